"""What is spread: the points of one sample that are to be made, and what makes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from backend.editing.encoders import Encoder, load_encoder
from backend.editing.methods.method import Models
from backend.editing.models.registry import load_text_to_image
from backend.evaluation.lpips import Lpips, load_lpips
from backend.evaluation.spread.records import Made
from backend.evaluation.spread.shared_maps import SharedMaps
from backend.world.pool import Sample

SHOWN = 8
"""Samples of which pictures are kept, for the contact sheet."""


@dataclass(frozen=True)
class Task:
    """The points of one sample that are to be made."""

    number: int
    sample: Sample
    points: Sequence[Any]


@dataclass(frozen=True)
class Tools:
    """What a process works with.

    Attributes:
        maps: the editor, which finds a sample's maps once for all of its points.
        models: that one, and another.
        encoder: of similarities.
        lpips: measured beside these, or None.
    """

    maps: SharedMaps
    models: Models
    encoder: Encoder
    lpips: Lpips | None = None


@dataclass(frozen=True)
class Names:
    """What a process loads.

    Attributes:
        model, device, dtype: of the model that edits by instructions, as `load_model` takes them.
        text_to_image: the other one, or None.
        clip: the encoder of similarities, as `load_encoder` takes it.
        lpips: the weights of LPIPS, as `load_lpips` takes them, or None.
    """

    model: str
    device: str
    dtype: str
    text_to_image: str | None
    clip: str
    lpips: str | None

    def load(self) -> Tools:
        """Load it.

        Raises:
            BadInput: as `load_text_to_image`, `load_encoder` and `load_lpips`.
        """
        other = self.text_to_image
        maps = SharedMaps.from_pretrained(self.model, self.device, self.dtype)
        return Tools(
            maps,
            Models(
                maps,
                None if other is None else load_text_to_image(other, self.device, self.dtype),
            ),
            load_encoder(self.clip, self.device),
            None if self.lpips is None else load_lpips(self.lpips, self.device),
        )


class Work(Protocol):
    """An evaluation's, of one sample after the other; it can be pickled."""

    @property
    def names(self) -> Names:
        """What it needs."""

    def do(self, tools: Tools, task: Task) -> Iterator[Made]:
        """Make what is asked of one sample, which depends on nothing else."""
