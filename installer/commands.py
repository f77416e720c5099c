"""What install.py's commands do; `test` is in checks.py. Each returns its exit code."""

from __future__ import annotations

import json
import time
from pathlib import Path

from . import extension
from .environments import BACKEND, BLENDER, DOWNLOADER, ensure
from .processes import CACHE, ROOT, run

DIST = ROOT / "dist"


def backend(torch: str | None) -> int:
    """Makes the backend's environment."""
    ensure(BACKEND, torch=torch)
    print(f"Start the server: {BACKEND.python.relative_to(ROOT)} -m backend.server")
    return 0


def addon(blender: str | None, out: Path | None) -> int:
    """Builds the zips with the bpy environment, or with a Blender that also gets one installed."""
    out = (out or DIST).resolve()
    if blender is None:
        ensure(BLENDER)
        path = build_addon(out)
        print(f"Drag {path} into Blender's window to install it, or pass --blender PATH here.")
        return 0
    program = extension.find_blender(blender)
    ensure(DOWNLOADER)
    path = extension.build([program, "--command", "extension"], DOWNLOADER.python, out)
    extension.install_into(program, path)
    print(f"{path.name} is installed and enabled in {program}.")
    return 0


def build_addon(out: Path) -> Path:
    """Builds all zips with the bpy environment, which must be there. Returns this machine's zip."""
    print("Blender extension: building", flush=True)
    return extension.build(extension.extension_tool(BLENDER.python), BLENDER.python, out)


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
