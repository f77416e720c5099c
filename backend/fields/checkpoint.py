"""Checkpoints of a training: facts in JSON (facts.py), tensors beside it, never half-written."""

import hashlib
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.fields.facts import FORMAT, CheckpointError, Facts, load_facts
from protocol import files

UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    struct.error,
    pickle.UnpicklingError,
)
"""What torch says of a file with tensors that is damaged."""


def save(folder: Path, name: str, facts: dict[str, Any], tensors: dict[str, Any]) -> None:
    """Writes folder/name.json and folder/name-STEP.pt, and deletes the checkpoint before and what
    processes that were killed have left of theirs.

    The JSON, which names the file with the tensors, is replaced in one step after these are on the
    disk: a process killed at any moment leaves the old checkpoint or the new one.

    Args:
        folder: made where it is missing.
        name: of the field.
        facts: what JSON can hold; "step" is among it.
        tensors: what `torch.save` can hold and `torch.load` reads without running code.

    Raises:
        OSError: the folder cannot be written.
    """
    files.make_folder(folder)
    target = folder / f"{name}-{facts['step']:06d}.pt"
    old = {path for path in folder.glob(f"{name}-*.pt*") if path != target}
    old |= set(folder.glob(f"{name}.json.*{files.UNFINISHED}"))  # of processes that were killed
    with files.replacing(target) as file:
        try:
            torch.save(tensors, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # a full disk, of which torch says nothing
                raise error.__context__ from None
            raise
    files.write_json(folder / f"{name}.json", {"format": FORMAT, "tensors": target.name} | facts)
    for path in old:
        path.unlink(missing_ok=True)


def load(folder: Path, name: str) -> tuple[Facts, dict[str, Any]] | None:
    """What `save` wrote, (facts, tensors), on the CPU; None where there is no checkpoint.

    Raises:
        CheckpointError: it is damaged, or of another version of this program.
    """
    facts = load_facts(folder, name)
    if facts is None:
        return None
    path = folder / facts["tensors"]
    try:
        return facts, dict(torch.load(path, map_location="cpu", weights_only=True))
    except UNREADABLE as error:
        raise CheckpointError(
            f"{path} is missing or damaged: delete {name}.json beside it to train anew."
        ) from error


def fingerprint(*arrays: NDArray[Any]) -> str:
    """A text that tells arrays apart by their bytes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]
