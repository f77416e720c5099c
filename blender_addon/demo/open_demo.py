"""Run inside a Blender with a window, by `python install.py blender`: builds the demo's still life
and has the add-on start the backend.
"""

import argparse
import sys
from pathlib import Path

import bpy

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tools")]
import still_life  # noqa: E402

SIZE, SAMPLES = 512, 32


def main() -> None:
    """Build the scene, look through its camera, and press Start Backend."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="auto")
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    made = still_life.build(SIZE, SAMPLES)
    made.scene.watch_your_steps.instruction = made.instruction
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.spaces.active.show_region_ui = True
                area.spaces.active.region_3d.view_perspective = "CAMERA"
    bpy.ops.watch_your_steps.start_backend(model=options.model)


main()
