"""Steps that tests of the backend that Blender starts share."""

import os
from pathlib import Path
from types import ModuleType, SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120.0


def program(tmp_path: Path, environment: bool) -> Path:
    """A folder like the program's, whose server and environment are the real ones."""
    folder = tmp_path / "program"
    folder.mkdir()
    for name in ("backend", "protocol", "install.py"):
        (folder / name).symlink_to(ROOT / name)
    if environment:
        python = Path(os.environ["WATCH_YOUR_STEPS_BACKEND_PYTHON"])
        (folder / ".venv-backend").symlink_to(python.parent.parent)
    return folder


def drained(backend: ModuleType, addon: SimpleNamespace, condition: object) -> None:
    def done() -> bool:
        backend.look()
        return bool(condition())  # type: ignore[operator]

    addon.session.wait(done, SECONDS)
