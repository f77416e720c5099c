"""What a way of editing pictures has to offer, and what it is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.editing.editor import Editor
from backend.editing.models.denoiser import Denoiser
from backend.errors import BadInput, check_instruction, check_settings
from protocol.settings import EditSettings

STEPS = 20
"""Denoising steps by default: enough to compare by."""

Need = Literal["text-to-image", "output caption", "captions", "mask"]
"""What a method may need besides a picture, an instruction and a model that edits by it."""
WORDS: dict[Need, str] = {
    "text-to-image": "a text-to-image model",
    "output caption": "a caption of the edited picture",
    "captions": "captions of the picture before and after the edit",
    "mask": "a mask of where to edit",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One picture, what is known of it, and settings.

    Attributes:
        image: uint8 (H, W, 3).
        instruction: such as "turn the bear into a panda".
        captions: what the picture shows before and after the edit, where known.
        mask: bool (H, W), where to edit, for methods that are told from outside.
        steps: of denoising, at least 1.
        seed: fixes all noise.
        knob: the method's own number; None for its default.
    """

    image: NDArray[np.uint8]
    instruction: str
    captions: tuple[str, str] | None = None
    mask: NDArray[np.bool_] | None = None
    steps: int = STEPS
    seed: int = 0
    knob: float | None = None


@dataclass(frozen=True)
class Models:
    """What methods edit with.

    Attributes:
        editor: on a model that edits by instructions.
        text_to_image: a model whose conditions are a caption and say nothing of the picture, or
            None where there is none.
    """

    editor: Editor
    text_to_image: Denoiser | None = None


@dataclass(frozen=True)
class Edited:
    """What a method made.

    Attributes:
        image: uint8 (H, W, 3).
        mask: bool (H, W), where it edited, or None for methods that edit everywhere.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Knob:
    """The number that a method's curve runs along.

    Attributes:
        name: what it is.
        values: the curve's points.
        default: where it stands by itself, in words where that is no number.
        low, high: its range.
    """

    name: str
    values: tuple[float, ...]
    default: float | str
    low: float
    high: float

    def at(self, asked: float | None) -> float:
        """What was asked for, or else the default, which must be a number."""
        return float(self.default if asked is None else asked)


class ImageMethod(Protocol):
    """A way of editing a picture by a text."""

    @property
    def label(self) -> str:
        """What it is called in tables and plots."""

    @property
    def needs(self) -> Sequence[Need]:
        """What it needs besides picture and instruction."""

    @property
    def knob(self) -> Knob:
        """The number that its curve runs along."""

    def edit(self, models: Models, request: Request) -> Edited:
        """Edit a picture.

        Raises:
            BadInput: something that it needs is missing, or a value is out of range.
            FloatingPointError: the networks overflowed.
        """


def missing(method: ImageMethod, models: Models, request: Request) -> str | None:
    """The first thing that a method needs and is not given, in one sentence; None where it has
    all.
    """
    given = {
        "text-to-image": models.text_to_image,
        "output caption": request.captions,
        "captions": request.captions,
        "mask": request.mask,
    }
    for need in method.needs:
        if given[need] is None:
            return f"{method.label} needs {WORDS[need]}, and was given none."
    return None


def check(method: ImageMethod, models: Models, request: Request) -> None:
    """Refuse what a method cannot work with.

    Raises:
        BadInput: something is missing, or a value is out of range.
    """
    check_instruction(request.instruction)
    if sentence := missing(method, models, request):
        raise BadInput(sentence)
    check_settings(EditSettings(steps=request.steps, seed=request.seed))
    knob = method.knob
    if request.knob is not None and not knob.low <= request.knob <= knob.high:
        raise BadInput(
            f"The {knob.name} of {method.label} must be from {knob.low:g} to {knob.high:g}, not "
            f"{request.knob:g}."
        )
