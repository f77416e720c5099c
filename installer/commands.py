"""What install.py's commands do; `test` is in checks.py. Each returns its exit code."""

from __future__ import annotations

import json
import time
from pathlib import Path

from protocol.folders import program_note

from . import extension
from .environments import BACKEND, BLENDER, DOWNLOADER, ensure
from .processes import CACHE, ROOT, run

DIST = ROOT / "dist"


def backend(torch: str | None) -> int:
    """Makes the backend's environment."""
    ensure(BACKEND, torch=torch)
    note_program()
    print(f"Start the server: {BACKEND.python.relative_to(ROOT)} -m backend.server")
    return 0


def addon(blender: str | None, out: Path | None, website: str | None) -> int:
    """Builds the zips with the bpy environment, or with a Blender that also gets one installed."""
    if website is not None:
        extension.check_website(website)  # before the environment, which takes minutes
    out = (out or DIST).resolve()
    if blender is None:
        ensure(BLENDER)
        path = build_addon(out, website)
        print(f"Drag {path} into Blender's window to install it, or pass --blender PATH here.")
        return 0
    program = extension.find_blender(blender)
    ensure(DOWNLOADER)
    path = extension.build([program, "--command", "extension"], DOWNLOADER.python, out, website)
    extension.install_into(program, path)
    note_program()
    print(f"{path.name} is installed and enabled in {program}.")
    return 0


def note_program() -> None:
    """Writes down where this program lies, for the add-on's button that starts the backend."""
    note = program_note()
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    note.write_text(f"{ROOT}\n", encoding="utf-8")


def blender(given: str | None, model: str) -> int:
    """Opens a Blender with the add-on installed, the demo scene, and the backend that it starts."""
    program = extension.find_blender(given) if given else extension.any_blender()
    ensure(BACKEND, DOWNLOADER)
    path = extension.build([program, "--command", "extension"], DOWNLOADER.python, DIST)
    extension.install_into(program, path)
    note_program()
    script = ROOT / "blender_addon" / "demo" / "open_demo.py"
    print(f"Opening {program}: the tab Watch Your Steps is in the sidebar (press N).", flush=True)
    return run([program, "--python", script, "--", "--model", model])


def build_addon(out: Path, website: str | None = None) -> Path:
    """Builds all zips with the bpy environment, which must be there. Returns this machine's zip."""
    print("Blender extension: building", flush=True)
    tool = extension.extension_tool(BLENDER.python)
    return extension.build(tool, BLENDER.python, out, website)


def demo(out: Path | None, torch: str | None, extra: list[str]) -> int:
    """Makes everything, then runs the demo in the bpy environment."""
    start = time.monotonic()
    report = {"environments": ensure(BACKEND, BLENDER, torch=torch)}
    path = build_addon(DIST)
    CACHE.mkdir(exist_ok=True)
    install_report = CACHE / "install_report.json"
    seconds = round(time.monotonic() - start, 1)
    install_report.write_text(
        json.dumps(report | {"seconds": seconds}, indent=2) + "\n", encoding="utf-8"
    )
    options = {
        "--zip": path,
        "--backend-python": BACKEND.python,
        "--out": (out or ROOT / "demo_output").resolve(),
        "--install-report": install_report,
    }
    script = ROOT / "blender_addon" / "demo" / "run_demo.py"
    return run(
        [BLENDER.python, script, *(part for pair in options.items() for part in pair), *extra]
    )
