"""A session as a person has it in Blender's window, from the install to a saved edit and one in
whose middle Blender is closed, each state photographed; the manual's pictures are taken from these.

    python3 blender_addon/demo/window_session.py --blender BLENDER --zip ZIP --out DIR

with ZIP from `python install.py addon`, and the backend's environment made by `python install.py
backend`, as the session starts it by *Start Backend*. Wants Xvfb, xdotool and ImageMagick on the
PATH; your own screen and Blender's settings are left alone. DIR gets the photographs and the saved
file; the exit status is 1 where something went wrong.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).parent / "window_steps" / "in_blender.py"
PARTS = ("picture", "result", "frames", "scene_in_3d", "texture", "file")
"""Of the first Blender, in this order. "result" needs "picture" before it, "file" needs all others
but "frames"."""
CLOSED = ("quit", "go_on")
"""Of Blenders of their own, which open the file that "file" has saved."""
WINDOWS = ((1.0, 1200, 1800), (9.0, 1400, 2600))
"""Up to which scale of the interface the window has which size."""
ENDING = 20
"""Seconds that what Blender has started gets to end."""


def main() -> int:
    """Run; the exit status."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = options.only or [*PARTS, *CLOSED]
    visits = [[one for one in PARTS if one in chosen], *([one] for one in CLOSED if one in chosen)]
    size = next(size for scale, *size in WINDOWS if options.scale <= scale)
    with tempfile.TemporaryDirectory(prefix="watch-your-steps-window-") as own, _screen(*size):
        for parts in filter(None, visits):
            if wrong := _visit(options, Path(own), size, parts):
                print(f"error: {' '.join(parts)}: {wrong}", file=sys.stderr)
                return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blender", type=Path, required=True)
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0, help="of the interface (1)")
    parser.add_argument("--only", nargs="+", choices=[*PARTS, *CLOSED], help="these parts of it")
    return parser.parse_args()


@contextlib.contextmanager
def _screen(width: int, height: int) -> Iterator[None]:
    """A screen of X11 that the window fills, as DISPLAY."""
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{width}x{height}x24", "-noreset"]
    before = os.environ.get("DISPLAY")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as screen:
        assert screen.stdout is not None
        os.environ["DISPLAY"] = f":{screen.stdout.readline().decode().strip()}"
        try:
            yield
        finally:
            os.environ.pop("DISPLAY")
            if before is not None:
                os.environ["DISPLAY"] = before
            screen.terminate()


def _visit(options: argparse.Namespace, own: Path, size: list[int], parts: list[str]) -> str:
    """One Blender from its start to its end; what went wrong, "" for nothing.

    Args:
        options: of the command line.
        own: a folder for what Blender and the add-on keep of a person.
        size: of the window.
        parts: what is done in it.
    """
    note = own / "data" / "watch-your-steps" / "program-folder.txt"  # as install.py writes it
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(str(ROOT), encoding="utf-8")
    settings = {"BLENDER_USER_RESOURCES": own / "blender", "XDG_DATA_HOME": own / "data"}
    command = [options.blender, "--factory-startup", "--window-geometry", 0, 0, *size]
    command += ["--python-exit-code", 1, "--python", INSIDE, "--", "--parts", *parts]
    for name in ("zip", "out"):
        command += [f"--{name}", getattr(options, name).resolve()]
    command += ["--scale", options.scale]
    environ = os.environ | {name: str(value) for name, value in settings.items()}
    code = subprocess.run(list(map(str, command)), env=environ).returncode
    if code:
        return f"Blender's exit status is {code}."
    if left := _left(own):
        return f"Blender has left behind: {', '.join(left)}"
    return ""


def _left(own: Path) -> list[str]:
    """The command lines of what still runs of all that was started for that folder."""
    deadline = time.monotonic() + ENDING
    while (running := _running(str(own).encode())) and time.monotonic() < deadline:
        time.sleep(0.5)
    return running


def _running(marked: bytes) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marked in (process / "environ").read_bytes():
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append(words.decode(errors="replace").strip())
        except OSError:  # it has ended by now, or is somebody else's
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
