"""Run inside a Blender with a window, by `python install.py blender`: builds the demo's still life
and has the add-on start the backend.
"""

import argparse
import sys
from pathlib import Path

import bpy

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tools")]
import building  # noqa: E402
import still_life  # noqa: E402

SIZE, SAMPLES = 512, 32


def main() -> None:
    """Build the scene; look through its camera, and press Start Backend, once the window is there.
    Before that Blender crashes on changes to a view of a file that was just opened.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="auto")
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    made = still_life.build(SIZE, SAMPLES)
    made.scene.watch_your_steps.instruction = made.instruction

    def begin() -> None:
        with building.in_window():
            _look_through_camera()
            bpy.ops.watch_your_steps.start_backend("INVOKE_DEFAULT", model=options.model)

    bpy.app.timers.register(begin, first_interval=0.5)
    bpy.app.timers.register(_open_tab, first_interval=1.0)


def _views() -> list[bpy.types.Area]:
    screen = bpy.context.window_manager.windows[0].screen
    return [area for area in screen.areas if area.type == "VIEW_3D"]


def _look_through_camera() -> None:
    for area in _views():
        area.spaces.active.show_region_ui = True
        area.spaces.active.region_3d.view_perspective = "CAMERA"


def _open_tab() -> float | None:
    """The sidebar has tabs only once it was drawn: until then, the seconds to the next try."""
    for area in _views():
        for region in area.regions:
            if region.type == "UI":
                if region.is_property_readonly("active_panel_category"):
                    return 0.3
                region.active_panel_category = "Watch Your Steps"
                region.tag_redraw()
    return None


main()
