"""Checkpoints of a training: facts in JSON, tensors beside it, never half-written."""

import hashlib
import json
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from backend.errors import BadInput
from backend.records import DamagedRecord, read_record
from protocol import files

FORMAT = 1
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

Config = TypeVar("Config")


class CheckpointError(BadInput):
    """A checkpoint that cannot be used; the text says which and what to do."""


class Facts(dict[str, Any]):
    """What the JSON of a checkpoint says. A fact that it lacks makes it a damaged one."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        super().__init__(facts)
        self._path = path

    def __missing__(self, fact: str) -> NoReturn:
        """Raises CheckpointError."""
        raise CheckpointError(
            f"{self._path} is damaged, it does not say {fact}: delete it to train anew."
        )


_Count = Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType
_Text = str | msgspec.UnsetType


class _Known(msgspec.Struct):
    """What the facts that there are must be."""

    step: _Count = msgspec.UNSET
    iterations: _Count = msgspec.UNSET
    seconds: float | msgspec.UnsetType = msgspec.UNSET
    finished: bool | msgspec.UnsetType = msgspec.UNSET
    scores: list[tuple[int, float]] | msgspec.UnsetType = msgspec.UNSET
    tensors: _Text = msgspec.UNSET
    config: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    names: list[str] | msgspec.UnsetType = msgspec.UNSET
    alpha: bool | msgspec.UnsetType = msgspec.UNSET
    implementation: _Text = msgspec.UNSET
    capture: _Text = msgspec.UNSET
    edits: _Count = msgspec.UNSET
    first_step: _Count = msgspec.UNSET


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
        torch.save(tensors, file)
    files.write_json(folder / f"{name}.json", {"format": FORMAT, "tensors": target.name} | facts)
    for path in old:
        path.unlink(missing_ok=True)


def load_facts(folder: Path, name: str) -> Facts | None:
    """The facts of the checkpoint that `save` wrote; None where there is none.

    Raises:
        CheckpointError: they are damaged, or of another version of this program.
    """
    path = folder / f"{name}.json"
    try:
        facts = Facts(path, read_record(path, dict[str, Any]))
        known = facts["format"] == FORMAT
        if known:
            msgspec.convert(facts, _Known)
    except FileNotFoundError:
        return None
    except (DamagedRecord, msgspec.ValidationError, OSError) as error:
        raise CheckpointError(f"{path} is damaged: delete it to train anew.") from error
    if not known:
        raise CheckpointError(
            f"{path} is of another version of this program: delete it to train anew."
        )
    return facts


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


def check_same(folder: Path, name: str, facts: dict[str, Any], free: Sequence[str] = ()) -> None:
    """Refuses to go on with a checkpoint of another field.

    Args:
        folder, name: of the checkpoint; there need not be one.
        facts: what must be the same in it, with a "config".
        free: keys of the config that may differ.

    Raises:
        CheckpointError: something is not the same, or the facts cannot be read.
    """
    found = load_facts(folder, name)
    if found is None:
        return
    mine = json.loads(json.dumps(facts))  # as it comes back from a file: tuples are lists there
    for config in (found.get("config", {}), mine["config"]):
        for key in free:
            config.pop(key, None)
    different = [key for key, value in mine.items() if found.get(key) != value]
    if different:
        raise CheckpointError(
            f"{folder} holds a {name} field that was trained with another "
            f"{' and '.join(different)}: name another folder, or delete it to train anew."
        )


def config_of(kind: type[Config], numbers: Any, name: str) -> Config:
    """A config from what a checkpoint's facts hold of it. Keys that are missing take their
    defaults.

    Args:
        kind: a dataclass.
        numbers: its fields by name, as JSON gives them.
        name: of the field that was trained with it, for the message.

    Raises:
        CheckpointError: keys or values are not those of this version of the program.
    """
    try:
        config = msgspec.convert(numbers, kind)
    except msgspec.ValidationError as error:
        what = f"{error}"
    else:
        known = msgspec.json.decode(msgspec.json.encode(config))
        unknown = _unknown_keys(numbers, known)
        if not unknown:
            return config
        what = f"it does not know {' and '.join(unknown)}"
    raise CheckpointError(
        f"The {name} field was trained by another version of this program, whose settings this one "
        f"cannot read ({what}): train it anew, or use that version."
    )


def _unknown_keys(numbers: Any, known: Any) -> list[str]:
    """The keys in `numbers`, nested too, that `known` does not have in the same place."""
    if isinstance(numbers, dict) and isinstance(known, dict):
        unknown = [key for key in numbers if key not in known]
        for key in numbers.keys() & known.keys():
            unknown += _unknown_keys(numbers[key], known[key])
        return unknown
    if isinstance(numbers, list) and isinstance(known, list):
        pairs = zip(numbers, known, strict=False)
        return [key for pair in pairs for key in _unknown_keys(*pair)]
    return []


def fingerprint(*arrays: NDArray[Any]) -> str:
    """A text that tells arrays apart by their bytes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]
