"""What Blender runs of the session in its window (window_session.py): it installs the add-on, then
does the parts that it was asked for, and closes Blender as a person does.
"""

import argparse
import os
import sys
import traceback
from pathlib import Path

import bpy

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "tools")]
import file_steps  # noqa: E402
import frames_steps  # noqa: E402
import picture_steps  # noqa: E402
import result_steps  # noqa: E402
import scene_in_3d_steps  # noqa: E402
import still_life  # noqa: E402
import texture_steps  # noqa: E402
from person import Person, Steps  # noqa: E402
from real_addon import install  # noqa: E402
from session import STEPS, Session  # noqa: E402

SIZE, SAMPLES = 512, 16
PARTS = {
    "picture": picture_steps.steps,
    "result": result_steps.steps,
    "frames": frames_steps.steps,
    "scene_in_3d": scene_in_3d_steps.steps,
    "texture": texture_steps.steps,
    "file": file_steps.steps,
    "quit": file_steps.quits_in_mid_edit,
    "go_on": file_steps.goes_on,
}


CLOSED = ("quit", "go_on")
"""What works on the file that "file" has saved."""


def main() -> None:
    """Install, and begin once the window is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, required=True)
    parser.add_argument("--zip", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=float, required=True)
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    install(options.zip)
    bpy.context.preferences.view.ui_scale = options.scale
    bpy.context.preferences.system.use_region_overlap = False  # the sidebar covers no picture
    bpy.context.preferences.view.filebrowser_display_type = "SCREEN"  # one window to look at
    still_life.build(SIZE, SAMPLES).scene.watch_your_steps.steps = STEPS
    begun: list[Steps] = []

    def tick() -> float:
        try:
            if not begun:
                session = Session(Person(options.out), options.out)
                begun.append(_all(session, options.parts))
            return next(begun[0])
        except Exception:  # noqa: BLE001  # whatever it is, the window has to close
            traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)  # Blender has no exit status of its own

    bpy.app.timers.register(tick, first_interval=1.0, persistent=True)


def _all(session: Session, names: list[str]) -> Steps:
    if names[0] in CLOSED:
        bpy.ops.wm.open_mainfile(filepath=str(session.file))
        yield 5.0
    yield from session.begin()
    yield from session.person.photograph(f"begin_{names[0]}")
    yield from session.start_backend()
    yield from session.person.photograph(f"ready_{names[0]}")
    for name in names:
        yield from PARTS[name](session)
    if not bpy.data.filepath:  # else Blender asks where to save it
        bpy.ops.wm.save_as_mainfile(filepath=str(session.file))
    yield from session.person.leave_blender()


main()
