"""The methods that are compared on one scene, a row of the table each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from backend.editing.methods.sdedit import STRENGTH
from backend.errors import BadInput

Need = Literal["model", "masks", "text-to-image", "captions", "clip"]
"""What a method may need besides a scene, an instruction and an editor."""
LACKING: dict[Need, str] = {
    "model": "asks the model about pictures that no truth is known of: it has no row with --editor "
    "truth",
    "masks": "needs masks of the views: see --masks",
    "text-to-image": "needs a text-to-image model: see --text-to-image",
    "captions": "needs captions of the scene before and after the edit: see --captions",
    "clip": "needs a CLIP: see --clip",
}


@dataclass(frozen=True)
class Row:
    """A method.

    Attributes:
        label: what it is called in tables.
        needs: what it needs. With masks it edits inside these, and with a text-to-image model by
            that.
        changes: numbers of `SceneEditConfig` in which it differs from ours.
        frames: whether it edits what cameras see of the unedited field, and no field.
    """

    label: str
    needs: Sequence[Need] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    frames: bool = False


EVERYTHING: Mapping[str, Any] = {"everything": True}
"""Of a method that knows no region."""
ROWS: dict[str, Row] = {
    "ours": Row("ours"),
    "own-maps": Row("ours without the field", changes={"relevance": False}),
    "given-masks": Row("masks from outside", needs=("masks",)),
    "instruct-nerf2nerf": Row("Instruct-NeRF2NeRF", changes=EVERYTHING),
    # a text-to-image model is told nothing of the picture: what it starts from is all that it keeps
    "instruct-nerf2nerf-text-to-image": Row(
        "Instruct-NeRF2NeRF with a text-to-image model",
        needs=("text-to-image", "captions"),
        changes={**EVERYTHING, "first_level": STRENGTH.default},
    ),
    "score-distillation": Row(
        "score distillation",
        needs=("model",),
        changes={**EVERYTHING, "method": "score_distillation"},
    ),
    "score-distillation-in-region": Row(
        "score distillation in our region",
        needs=("model",),
        changes={"method": "score_distillation"},
    ),
    "clip-guidance": Row(
        "CLIP guidance",
        needs=("captions", "clip"),
        changes={**EVERYTHING, "method": "clip_guidance"},
    ),
    "consistent-views": Row("views made consistent first", changes={"method": "consistent_views"}),
    "per-frame": Row("InstructPix2Pix, frame by frame", needs=("model",), frames=True),
}
"""By name."""


def row(name: str) -> Row:
    """A method by its name.

    Raises:
        BadInput: there is none of this name.
    """
    if name not in ROWS:
        raise BadInput(f"There is no method {name!r}: use {', '.join(ROWS)}.")
    return ROWS[name]


def usable(asked: Sequence[str] | None, given: set[Need]) -> tuple[list[str], list[str]]:
    """The methods that were asked for (all without a choice) and have what they need, and a
    sentence on each other.

    Raises:
        BadInput: there is no such method, or none is left.
    """
    chosen, left_out = [], []
    for name in dict.fromkeys(ROWS if asked is None else asked):
        one = row(name)
        lacking = next((need for need in one.needs if need not in given), None)
        if lacking is None:
            chosen.append(name)
        else:
            left_out.append(f"{one.label} {LACKING[lacking]}.")
    if not chosen:
        raise BadInput(left_out[0])
    return chosen, left_out
