"""Where this program keeps what is a person's own."""

import os
import sys
from pathlib import Path


def data_folder() -> Path:
    """The user's own folder for connection files and keys, by the rules of the platform."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "watch-your-steps"


def typed_path(text: str) -> Path:
    """A path as somebody has typed it, with the home folder for `~`, where that is known."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # of somebody who is not known here
        return Path(text)


def program_note() -> Path:
    """The text file in which install.py says where the program's folder is; the add-on, which
    lies elsewhere, finds the backend by it.
    """
    return data_folder() / "program-folder.txt"
