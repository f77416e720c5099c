"""The settings that an evaluation's records were made with, beside them: other ones are refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.errors import BadInput
from backend.records import read_record
from protocol import files

SETTINGS_FILE = "settings.json"


def check_settings(folder: Path, settings: dict[str, Any], later: Sequence[str] = ()) -> None:
    """Keep the settings beside the records, or refuse a folder with others.

    Args:
        folder: of the records.
        settings: what they all share.
        later: the settings that may be added later, and left out again: texts, "" without one.

    Raises:
        BadInput: it holds records of other settings.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        files.make_folder(folder)
        files.write_json(path, settings)
        return
    before = read_record(path, dict[str, Any])
    for name in later:
        if not before.get(name):  # nothing was made with one yet
            before[name] = settings[name]
            files.write_json(path, before)
    for name in settings | before:  # also those that this command leaves as they are by default
        value = settings.get(name)
        if before.get(name) != value and (name not in later or value):
            raise BadInput(
                f"The edits in {folder} were made with {name.replace('_', ' ')} "
                f"{before.get(name)!r}, not {value!r}: name another --out."
            )
