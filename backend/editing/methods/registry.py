"""Which ways of editing pictures there are."""

from backend.errors import BadInput

from .diffedit import DiffEdit
from .given_mask import GivenMask
from .method import ImageMethod
from .ours import Ours, OursAsInThePaper
from .own_levels import OwnLevels
from .plain import Plain
from .score_distillation import ScoreDistillation
from .sdedit import SdEdit
from .seed_choice import SeedChoice
from .soft_mask import SoftMask

METHODS: dict[str, ImageMethod] = {
    "ours": Ours(),
    "ours-paper": OursAsInThePaper(),
    "given-mask": GivenMask(),
    "ip2p-noised-picture": Plain("InstructPix2Pix, from the noised picture", from_picture=True),
    "ip2p-pure-noise": Plain("InstructPix2Pix, from pure noise", from_picture=False),
    "sdedit-caption": SdEdit("SDEdit, output caption", by_caption=True),
    "sdedit-instruction": SdEdit("SDEdit, instruction", by_caption=False),
    "diffedit-captions": DiffEdit("DiffEdit, both captions", both=True),
    "diffedit-caption": DiffEdit("DiffEdit, output caption", both=False),
    "score-distillation": ScoreDistillation(),
    "soft-mask": SoftMask(),
    "seed-choice": SeedChoice(),
    "own-levels": OwnLevels(),
}
"""By name."""


def method(name: str) -> ImageMethod:
    """A method by its name.

    Raises:
        BadInput: there is none of this name.
    """
    if name not in METHODS:
        raise BadInput(f"There is no method {name!r}: use {', '.join(METHODS)}.")
    return METHODS[name]
