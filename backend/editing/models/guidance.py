"""How much guidance a model is best used with, which belongs to the model: what makes up for one
that hardly heeds an instruction drives one that does past its colours.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from backend.errors import BadInput
from protocol.settings import INSTRUCT_PIX2PIX, GuidanceSettings

GUIDANCE_FILE = "guidance.json"
"""Beside a model's model_index.json: {"text": number, "image": number}."""


@dataclass(frozen=True)
class Guidance:
    """s_T and s_I of Eq. 1; by default those of InstructPix2Pix (Brooks et al. 2023)."""

    text: float = INSTRUCT_PIX2PIX.numbers[0]
    image: float = INSTRUCT_PIX2PIX.numbers[1]

    @property
    def settings(self) -> GuidanceSettings:
        """The same as settings of an edit."""
        return GuidanceSettings(text_guidance=self.text, image_guidance=self.image)

    def resolved(self, asked: GuidanceSettings) -> "Guidance":
        """What was asked for, and where that is None these."""
        return Guidance(*asked.resolved(self.settings).numbers)


DEFAULT_GUIDANCE = Guidance()
"""InstructPix2Pix's own."""
UNGUIDED = Guidance(1.0, 1.0)
"""What the model says of picture and instruction as it is: the branch of Eq. 1 that has both."""


def read_guidance(folder: Path, default: Guidance) -> Guidance:
    """That of the model in this folder; `default` where its folder says nothing.

    Raises:
        BadInput: the folder's file cannot be read.
    """
    path = folder / GUIDANCE_FILE
    if not path.is_file():
        return default
    try:
        stored = json.loads(path.read_text("utf-8"))
        found = Guidance(float(stored["text"]), float(stored["image"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} does not say a model's guidance: {error!r}") from error
    if not all(0 <= one < math.inf for one in (found.text, found.image)):
        raise BadInput(f"{path} does not say a model's guidance: it must be 0 or more.")
    return found


def write_guidance(folder: Path, guidance: Guidance) -> None:
    """Write a model's file into its folder."""
    values = {"text": guidance.text, "image": guidance.image}
    (folder / GUIDANCE_FILE).write_text(json.dumps(values) + "\n", "utf-8")
