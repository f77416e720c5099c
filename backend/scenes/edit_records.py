"""What is kept of a scene's edits beside their tensors: what was asked for, and how far they are.

edits/NAME/edit.json              what was asked for
edits/NAME/maps/0000.npz          the views' raw maps
edits/NAME/prompt_check.json      the prompt check of all views together
edits/NAME/relevance.json, relevance-STEP.pt, calibration.json
edits/NAME/snap.json              what the region keeps to
edits/NAME/hull.npz               the places in the air into which the scene may grow, if it may
edits/NAME/in_air.npz             where each view looks into these
edits/NAME/region.npz             where each view is edited, where something was painted
edits/NAME/region/                a field of the region, where that is whole things or was painted
edits/NAME/edited.json, edited-STEP.pt
                                  the edited field, and the views as it is trained on them
edits/NAME/views/00000.json, ...  every view that was edited: before, after, mask

Nothing here needs torch. `work` is the scene's work folder throughout (see work_folder.py).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from backend.errors import BadInput
from backend.fields.config import SceneEditConfig
from backend.fields.facts import CheckpointError, load_facts
from backend.records import DamagedRecord, read_record
from protocol import files
from protocol.values import Snap

NAME = "edited"
"""Of the edited field's checkpoint."""
EDIT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
EDIT_FILE = "edit.json"
CHECK_FILE = "prompt_check.json"
MAPS_FOLDER = "maps"
SNAP_FILE = "snap.json"
HULL_FILE = "hull.npz"
IN_AIR_FILE = "in_air.npz"
MASKS_FILE = "region.npz"
REGION_FOLDER = "region"
BEFORE = {
    "snap": "nothing",
    "detail": "whole",
    "refit_every": 0,
    "keep_region": False,
    "grow": False,
    "inside_rays": 0.0,
    "air_samples": 0.0,
}
"""What an edit was made with whose record does not say."""
MIDDLE = 0.5
"""The threshold on the calibrated scale whose region fits the scene best (see `Calibration`)."""


class EditError(BadInput):
    """A scene edit that cannot be made or used; the text is one sentence."""


@dataclass(frozen=True)
class Asked:
    """What an edit was asked for. Kept in edit.json.

    Attributes:
        instruction: such as "turn the bear into a panda".
        base: the edit that it is stacked on, or None.
        threshold: 0..1 on the calibrated scale, or of each view's own map without the relevance
            field; None for what suits them.
        model: name of the editor's model.
        config: all numbers.
        masks: a text that tells the masks apart that were given for the views, "" without any.
        painted: the same of what was painted on views.
    """

    instruction: str
    base: str | None
    threshold: float | None
    model: str
    config: SceneEditConfig
    masks: str = ""
    painted: str = ""


class PromptCheck(msgspec.Struct):
    """The prompt check of all views together.

    Attributes:
        evidence: 0..1, pooled over the views; None with one seed.
        limit: the model's, from which an instruction counts as applying.
    """

    evidence: float | None
    limit: float


class SnapRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the region of an edit keeps to."""

    took: Snap
    why: str = ""
    """One sentence where that is not what was asked for."""
    scores: dict[int, float] = {}
    """Of the things by their labels, 0..1 on the scale of the threshold, where it takes things."""
    things: str = ""
    """A text that tells the labels apart that these scores are for."""
    grows: bool = False
    """Whether the scene may grow into places where nothing is yet (see hull.py)."""
    middle: float = 0.5
    """What takes the middle's place on the calibrated scale where it may (see growth.py)."""


def edits_folder(work: Path) -> Path:
    """The folder of all edits."""
    return work / "edits"


def edit_folder(work: Path, name: str) -> Path:
    """The folder of an edit.

    Raises:
        BadInput: the name is none.
    """
    if not EDIT_NAME.fullmatch(name):
        raise BadInput(f"An edit's name has letters a to z, digits, - and _, not {name!r}.")
    return edits_folder(work) / name


def keeps(work: Path, name: str) -> bool:
    """Whether there is an edit of this name, even a damaged one.

    Raises:
        BadInput: the name is none.
    """
    return (edit_folder(work, name) / EDIT_FILE).exists()


def read_asked(work: Path, name: str) -> Asked:
    """What an edit was asked for.

    Raises:
        BadInput: the name is none.
        EditError: there is no such edit.
        CheckpointError: it is damaged.
    """
    folder = edit_folder(work, name)
    path = folder / EDIT_FILE
    if not path.exists():
        raise EditError(f"The scene has no edit {name}: {_known(work)}.")
    try:
        record = read_record(path, dict[str, Any])
        record["config"] = BEFORE | record["config"]
        return msgspec.convert(record, Asked)
    except (OSError, KeyError, TypeError, msgspec.ValidationError, DamagedRecord) as error:
        raise CheckpointError(f"{path} is damaged: delete {folder} to edit anew.") from error


def read_snap(work: Path, name: str) -> SnapRecord | None:
    """What the region of an edit keeps to; None where that is not decided yet, and of edits of
    earlier versions.

    Raises:
        BadInput: the name is none.
        CheckpointError: it is damaged.
    """
    path = edit_folder(work, name) / SNAP_FILE
    try:
        return read_record(path, SnapRecord)
    except FileNotFoundError:
        return None
    except (OSError, DamagedRecord) as error:
        raise CheckpointError(f"{path} is damaged: undo the edit and make it anew.") from error


def forget_region(work: Path, name: str) -> None:
    """Lets it be decided anew what the region of an edit keeps to, as for another threshold.

    Raises:
        BadInput: the name is none.
        OSError: something cannot be deleted.
    """
    folder = edit_folder(work, name)
    for record in (SNAP_FILE, HULL_FILE, IN_AIR_FILE, MASKS_FILE):
        (folder / record).unlink(missing_ok=True)
    if (folder / REGION_FOLDER).exists():
        files.delete_folder(folder / REGION_FOLDER, f".{REGION_FOLDER}.deleted")


def is_finished(work: Path, name: str) -> bool:
    """Whether an edit has come to its end.

    Raises:
        CheckpointError: it is damaged.
    """
    facts = load_facts(edit_folder(work, name), NAME)
    return facts is not None and bool(facts["finished"])


def edit_names(work: Path) -> tuple[str, ...]:
    """The names of a scene's edits, finished or not, each after the one that it is stacked on.

    Raises:
        CheckpointError: one is damaged.
    """
    left = {name: read_asked(work, name).base for name in _folder_names(work)}
    found: list[str] = []
    while left:
        # what is stacked on an edit that was deleted by hand comes last
        ready = [name for name, base in left.items() if base not in left] or list(left)
        found += ready
        for name in ready:
            del left[name]
    return tuple(found)


def undo(work: Path, name: str) -> None:
    """Delete an edit, even a damaged one. The scene and other edits stay as they are.

    Raises:
        EditError: there is no such edit, or another one is stacked on it.
        OSError: it cannot be deleted.
    """
    if not keeps(work, name):
        raise EditError(f"The scene has no edit {name}: {_known(work)}.")
    for other in _folder_names(work):
        try:
            base = read_asked(work, other).base
        except CheckpointError:
            continue  # it cannot be used, whatever lies under it
        if base == name:
            raise EditError(f"The edit {other} is stacked on {name}: undo that one first.")
    files.delete_folder(edit_folder(work, name), f".{name}.deleted")


def _folder_names(work: Path) -> list[str]:
    """The names of a scene's edits, damaged ones too. What else lies there is none, such as what is
    left of a deletion.
    """
    names = (path.parent.name for path in edits_folder(work).glob(f"*/{EDIT_FILE}"))
    return sorted(name for name in names if EDIT_NAME.fullmatch(name))


def _known(work: Path) -> str:
    names = edit_names(work)
    return f"it has {', '.join(names)}" if names else "it has none"
