"""Pictures larger than a model was trained at, as overlapping tiles of the size that it knows.

Each tile is predicted by itself in every step, and what they say is averaged where they overlap, so
that they grow into one picture (Bar-Tal et al., "MultiDiffusion"). Weights fall towards a tile's
edges: where a tile ends, its neighbours say what is there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.values import Box

from .models.denoiser import Conditions, Denoiser, Encoding, Level, ModelCard, Prediction
from .models.guidance import Guidance
from .relevance import CELLS_AT_ONCE

OVERLAP = 0.25
"""Of a tile's side, that it shares with its neighbour at least."""


def tiles_of(shape: tuple[int, int], card: ModelCard) -> tuple[Box, ...]:
    """The tiles of a padded picture of this shape, boxes of one size in its pixels, on whole cells,
    row by row; none where the picture is no larger than the model's native size.
    """
    rows, columns = (_firsts(side, card) for side in shape)
    height, width = (min(side, _side(card)) for side in shape)
    if len(rows) * len(columns) == 1:
        return ()
    return tuple(Box(top, left, height, width) for top in rows for left in columns)


def _side(card: ModelCard) -> int:
    """A tile's, in pixels."""
    return max(card.multiple, card.native_size // card.multiple * card.multiple)


def _firsts(length: int, card: ModelCard) -> list[int]:
    """Where the tiles along a side begin: spread evenly from its beginning to its end."""
    side = _side(card)
    room = max(0, length - side) // card.multiple
    step = max(1, int(side * (1 - OVERLAP)) // card.multiple)
    count = -(-room // step) + 1
    return [round(index * room / max(1, count - 1)) * card.multiple for index in range(count)]


@dataclass(frozen=True)
class TiledEncoding:
    """What a model keeps of a picture's tiles, as the `condition` of the picture's encoding."""

    tiles: Sequence[Encoding]


class Tiled:
    """A model that sees a picture as tiles. Satisfies `Denoiser`.

    Attributes:
        card: the model's.
    """

    def __init__(
        self,
        model: Denoiser,
        tiles: Sequence[Box],
        shape: tuple[int, int],
        touched: NDArray[np.bool_] | None = None,
    ) -> None:
        """Args:
        model: what sees each tile.
        tiles: as `tiles_of` says.
        shape: rows and columns of the padded picture.
        touched: bool (h, w), the latent cells that are needed: only tiles with any of them are
            predicted and decoded, and what comes back elsewhere is 0. By default all.
        """
        self._model, self.card = model, model.card
        self._tiles, self._shape = tiles, shape
        self._needed = [
            number
            for number, tile in enumerate(tiles)
            if touched is None or touched[self._cells(tile).slices].any()
        ]

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """See `Denoiser`: the latents of all tiles, averaged."""
        found = [self._model.encode(image[tile.slices]) for tile in self._tiles]
        numbers = range(len(self._tiles))
        return Encoding(self._joined([one.latents for one in found], numbers), TiledEncoding(found))

    def latents(self, pixels: Tensor) -> Tensor:
        """See `Denoiser`."""
        found = [self._model.latents(pixels[..., *tile.slices]) for tile in self._tiles]
        return self._joined(found, range(len(self._tiles)))

    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """See `Denoiser`."""
        total = np.zeros((*self._shape, 3), np.float32)
        sums = np.full((*self._shape, 1), 1e-6, np.float32)
        for number in self._needed:
            tile = self._tiles[number]
            weight = _weight(tile.shape).numpy()[..., None]
            part = self._model.decode(latents[..., *self._cells(tile).slices])
            total[tile.slices] += weight * part
            sums[tile.slices] += weight
        decoded: NDArray[np.uint8] = (total / sums + 0.5).astype(np.uint8)
        return decoded

    def conditions(self, encoding: Encoding, instruction: str) -> list[Conditions]:
        """See `Denoiser`: those of every tile."""
        return [self._model.conditions(tile, instruction) for tile in encoding.condition.tiles]

    def noised(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """See `Denoiser`."""
        return self._model.noised(clean, noise, level)

    def difference(
        self, noisy: Tensor, level: float, conditions: Sequence[list[Conditions]]
    ) -> Tensor:
        """See `Denoiser`."""

        def of_tiles(part: Tensor, _: Level, told: list[Conditions]) -> tuple[Tensor]:
            return (self._model.difference(part, level, told),)

        (found,) = self._each(noisy, level, conditions, of_tiles)
        return found

    def predict(
        self,
        noisy: Tensor,
        level: Level,
        conditions: Sequence[list[Conditions]],
        guidance: Guidance,
    ) -> Prediction:
        """See `Denoiser`. Clean picture and noise are averaged with the same weights, so that they
        still make up the noised latents.
        """

        def of_tiles(part: Tensor, of: Level, told: list[Conditions]) -> tuple[Tensor, Tensor]:
            found = self._model.predict(part, of, told, guidance)
            return found.clean, found.noise

        return Prediction(*self._each(noisy, level, conditions, of_tiles))

    def levels(self, steps: int, strength: float) -> list[float]:
        """See `Denoiser`."""
        return self._model.levels(steps, strength)

    def _each(
        self,
        noisy: Tensor,
        level: Level,
        conditions: Sequence[list[Conditions]],
        of_tiles: Callable[..., tuple[Tensor, ...]],
    ) -> tuple[Tensor, ...]:
        """What is found of the needed tiles of B pictures, a few of them at once, each joined."""
        found: list[tuple[Tensor, ...]] = []
        for numbers in self._batches(len(noisy)):
            tiles = [self._cells(self._tiles[number]).slices for number in numbers]
            given = torch.cat([noisy[..., *tile] for tile in tiles])
            levels = level.repeat(len(tiles)) if isinstance(level, Tensor) else level
            told = [one[number] for number in numbers for one in conditions]
            parts = [part.split(len(noisy)) for part in of_tiles(given, levels, told)]
            found += list(zip(*parts, strict=True))
        return tuple(self._joined(parts, self._needed) for parts in zip(*found, strict=True))

    def _batches(self, pictures: int) -> Iterator[Sequence[int]]:
        height, width = self._cells(self._tiles[0]).shape
        at_once = max(1, CELLS_AT_ONCE // (height * width * pictures))
        for first in range(0, len(self._needed), at_once):
            yield self._needed[first : first + at_once]

    def _joined(self, parts: Sequence[Tensor], numbers: Sequence[int]) -> Tensor:
        """(B, c, h, w) of the whole picture from those of its tiles, averaged."""
        height, width = (side // self.card.cell for side in self._shape)
        weight = _weight(tuple(parts[0].shape[2:])).to(parts[0].device)
        total = parts[0].new_zeros(*parts[0].shape[:2], height, width)
        sums = parts[0].new_zeros(height, width)
        for part, number in zip(parts, numbers, strict=True):
            rows, columns = self._cells(self._tiles[number]).slices
            total[..., rows, columns] += weight * part
            sums[rows, columns] += weight
        return total / sums.clamp(min=1e-6)

    def _cells(self, tile: Box) -> Box:
        """A tile in latent cells."""
        cell = self.card.cell
        return Box(tile.top // cell, tile.left // cell, tile.height // cell, tile.width // cell)


def _weight(shape: tuple[int, ...]) -> Tensor:
    """float32 of this shape, above 0: highest in the middle, falling to the edges of a tile."""
    rows, columns = (_ramp(side) for side in shape)
    return rows[:, None] * columns[None, :]


def _ramp(length: int) -> Tensor:
    from_edge = torch.minimum(torch.arange(length), torch.arange(length).flip(0)) + 0.5
    return (from_edge / (length * OVERLAP)).clamp(max=1.0)
