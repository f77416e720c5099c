"""How the scripts that run in Blender end."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "blender_addon" / "tools"
SCRIPT = """
import atexit, sys, time
sys.path.append(sys.argv[1])
from scripting import end_with
atexit.register(time.sleep, 600)  # as Blender 4.5 may wait
def main():
    print("all is written")
    {last}
end_with(main)
"""


@pytest.mark.one_blender
@pytest.mark.parametrize(
    ("last", "status", "said"),
    [
        ("return 0", 0, ""),
        ("return 3", 3, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(2)", 2, ""),
        ("sys.exit('There is no such mesh.')", 1, "There is no such mesh."),
        ("raise ValueError('odd')", 1, "ValueError: odd"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt"),
    ],
)
def test_scripts_end_whatever_waits_behind_them(last: str, status: int, said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(last=last), str(TOOLS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == status
    assert ended.stdout == "all is written\n"
    assert ended.stderr.strip().endswith(said)
    assert bool(ended.stderr) == bool(said)
