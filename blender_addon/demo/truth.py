"""What the camera sees where, by pass index: the truth that masks are measured by."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import bpy
import images
import numpy as np
from numpy.typing import NDArray


def object_indices(scene: bpy.types.Scene, width: int, height: int) -> NDArray[np.uint8]:
    """The pass index of what is seen through the centre of each pixel of a render of this size,
    uint8 (height, width), row 0 at the top; 0 where nothing is seen.

    Workbench draws every object in a flat colour that is its index, without anti-aliasing. The
    scene's settings and the objects' own colours are changed only meanwhile.
    """
    render, display = scene.render, scene.display
    things = [thing for thing in scene.objects if thing.type == "MESH"]
    with ExitStack() as changes, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "indices.png"
        settings: tuple[tuple[Any, dict[str, Any]], ...] = (
            (
                render,
                {
                    "engine": "BLENDER_WORKBENCH",
                    "resolution_x": width,
                    "resolution_y": height,
                    "resolution_percentage": 100,
                    "filepath": str(file),
                    "film_transparent": False,
                    "dither_intensity": 0.0,
                },
            ),
            (render.image_settings, {"file_format": "PNG", "color_mode": "RGB"}),
            (display, {"render_aa": "OFF"}),
            (
                display.shading,
                {
                    "light": "FLAT",
                    "color_type": "OBJECT",
                    "show_shadows": False,
                    "show_cavity": False,
                    "show_object_outline": False,
                    "show_xray": False,
                    "use_dof": False,
                },
            ),
            (
                scene.view_settings,
                {"view_transform": "Raw", "look": "None", "exposure": 0.0, "gamma": 1.0},
            ),
            (scene.world, {"color": (0, 0, 0)}),
            *((thing, {"color": (thing.pass_index / 255, 0, 0, 1)}) for thing in things),
        )
        for owner, values in settings:
            changes.enter_context(_changed(owner, values))
        bpy.ops.render.render(write_still=True, scene=scene.name)
        return images.load_png(file)[..., 0]


@contextmanager
def _changed(owner: Any, values: dict[str, Any]) -> Iterator[None]:
    """Set attributes, and put them back in the end."""
    before = {}
    for name in values:
        value = getattr(owner, name)
        before[name] = value if isinstance(value, str | int | float | bool) else tuple(value)
    try:
        for name, value in values.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
