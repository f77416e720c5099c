"""The masks of a scene's views that an edit keeps to, and how they are kept on the disk."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.fields.facts import CheckpointError
from protocol import files

Mask = NDArray[np.bool_]
"""(H, W)."""


def write_masks(path: Path, masks: Sequence[Mask]) -> None:
    """Keeps masks of any sizes; the file appears in one step."""
    with files.replacing(path) as file:
        np.savez_compressed(
            file,
            shapes=np.array([mask.shape for mask in masks], np.int64),
            bits=np.packbits(np.concatenate([mask.ravel() for mask in masks])),
        )


def read_masks(path: Path) -> list[Mask]:
    """What `write_masks` wrote.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            shapes, bits = file["shapes"], file["bits"]
        ends = np.cumsum(shapes.prod(axis=1))
        flat = np.unpackbits(bits, count=int(ends[-1])).astype(bool)
        parts = np.split(flat, ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    except (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is damaged: undo the edit and make it anew.") from error
