"""Whether something lies at a path: pathlib raises OSError where the system does not tell, as of a
name that is too long, a folder that may not be entered or a network drive that is away.
"""

from pathlib import Path


def is_file(path: Path) -> bool:
    """Whether a file is there, as far as the system tells."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there, as far as the system tells."""
    try:
        return path.is_dir()
    except OSError:
        return False
