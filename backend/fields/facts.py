"""The facts of a checkpoint: what its JSON says of a training. Reading them needs no torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec

from backend.errors import BadInput
from backend.records import DamagedRecord, read_record

FORMAT = 1
RADIANCE = "radiance"
"""Name of the radiance field's checkpoint."""

_OTHER_VIEWS = "on other photos, cameras, masks or depths"
OTHERS = {
    "config": "with another preset or other settings",
    "implementation": "with another implementation of its hash grid",
    "names": _OTHER_VIEWS,
    "held_out": _OTHER_VIEWS,
    "alpha": _OTHER_VIEWS,
    "capture": _OTHER_VIEWS,
    "maps": "on other maps",
}
"""By the facts of a checkpoint, what is said where they are not the same."""

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
    different = [OTHERS[key] for key, value in mine.items() if found.get(key) != value]
    if different:
        raise CheckpointError(
            f"{folder} holds a {name} field that was trained "
            f"{' and '.join(dict.fromkeys(different))}: go back to those, name another folder, or "
            "delete it to train anew."
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
