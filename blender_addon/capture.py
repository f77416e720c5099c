"""Render a scene's active camera to the picture that an artist sees in a render."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .decode import decode_exr

SMALLEST_SIDE = 4  # Blender renders nothing smaller
DEPTH_PASS = "Depth"
SKY = 0.99
"""Share of the clip end from which on a depth is the sky's: EEVEE gives it the clip end, to the
precision of its depth buffer, where Cycles and Workbench give it 1e10."""


class CaptureError(RuntimeError):
    """The camera cannot be rendered; the text says why and what to do."""


def render_size(render: bpy.types.RenderSettings, max_side: int) -> tuple[int, int]:
    """Width and height in pixels of the scene's render, scaled down (never up) so that the longer
    side has at most `max_side` pixels.
    """
    scale = render.resolution_percentage / 100
    width, height = int(render.resolution_x * scale), int(render.resolution_y * scale)
    shrink = min(1.0, max_side / max(width, height))
    return (
        max(SMALLEST_SIDE, round(width * shrink)),
        max(SMALLEST_SIDE, round(height * shrink)),
    )


def viewpoint(scene: bpy.types.Scene) -> tuple[float, ...]:
    """15 numbers that tell whether two renders show the same view: the active camera's place and
    the corners of its frame, in world space. They hold lens, shift and aspect ratio.
    """
    camera = scene.camera
    placed = camera.matrix_world.normalized()
    corners = [placed @ corner for corner in camera.data.view_frame(scene=scene)]
    return tuple(number for point in (placed.translation, *corners) for number in point)


@contextmanager
def changed(owner: Any, **values: Any) -> Iterator[None]:
    """Set attributes in the order given, and put all of them back in that order, also after an
    error. The order matters: choosing a file format may change depth and alpha.
    """
    before = {name: getattr(owner, name) for name in values}
    try:
        for name, value in values.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


def capture(scene: bpy.types.Scene, max_side: int) -> bytes:
    """Render a scene's active camera; returns the PNG file (8-bit RGB) that Blender wrote.

    Engine, samples, film, compositing and view transform are the scene's. Changed while it renders
    are the size, how the file is written, and what would show something else than the whole camera:
    a render region, stereo, the sequencer.

    Raises:
        CaptureError: there is no camera, or the render fails.
    """
    if scene.camera is None:
        raise CaptureError(
            "The scene has no active camera: add one (Add > Camera), or select one and press "
            "Ctrl Numpad 0."
        )
    width, height = render_size(scene.render, max_side)
    return render_png(scene, width, height)


def render_png(scene: bpy.types.Scene, width: int, height: int, alpha: bool = False) -> bytes:
    """Render a scene's active camera at a size in pixels; the file that Blender wrote: 8-bit RGB,
    or RGBA with straight colours.

    The scene need not be the window's. Do not call this within `Context.temp_override`: Blender's
    renderer then looks into that override's dictionary without holding Python's lock, which
    crashes as soon as another thread (the link's, say) runs Python at that moment.

    Raises:
        CaptureError: the render fails.
    """
    render, file = scene.render, scene.render.image_settings
    file_values = {
        "file_format": "PNG",
        "color_mode": "RGBA" if alpha else "RGB",
        "color_depth": "8",
        "compression": 15,
        "color_management": "FOLLOW_SCENE",
    }
    if "media_type" in file.bl_rna.properties:  # Blender 5
        file_values = {"media_type": "IMAGE", **file_values}
    with tempfile.TemporaryDirectory(prefix="watch-your-steps-") as folder:
        path = Path(folder) / "render.png"
        with (
            changed(file, **file_values),
            changed(
                render,
                resolution_x=width,
                resolution_y=height,
                resolution_percentage=100,
                filepath=str(path),
                use_file_extension=False,
                use_overwrite=True,
                use_placeholder=False,
                use_border=False,
                use_multiview=False,
                use_sequencer=False,
            ),
        ):
            try:
                bpy.ops.render.render(write_still=True, scene=scene.name)
            except RuntimeError as error:
                reason = str(error).strip().removeprefix("Error: ")
                raise CaptureError(f"Blender could not render the camera: {reason}") from error
        if not path.exists():
            raise CaptureError("The render was stopped before it was complete: start it again.")
        return path.read_bytes()


@contextmanager
def with_depth(scene: bpy.types.Scene) -> Iterator[None]:
    """Within the block renders of the scene have a depth for `rendered_depth`, if their engine
    gives one. It costs no samples: all engines know it from the first one.
    """
    with ExitStack() as stack:
        for layer in scene.view_layers:
            stack.enter_context(changed(layer, use_pass_z=True))
        yield


def rendered_depth(scene: bpy.types.Scene, clip_end: float) -> NDArray[np.float32] | None:
    """The depth of the scene's last render, which was made in a `with_depth` block.

    It is that of what is seen in the pixel's centre, along the viewing axis, not along the ray.
    Glass is seen as a surface; what is transparent is to Cycles from the view layer's alpha
    threshold on.

    Args:
        scene: as it was rendered.
        clip_end: of the camera, in scene units.

    Returns:
        float32 (H, W) in scene units, row 0 at the top, 0 where nothing is before the clip end.
        None where the engine gives no depth, or where several view layers were rendered: only the
        compositor knows which of them is seen where.

    Raises:
        CaptureError: it cannot be written to the disk for the moment that it takes to read it.
    """
    results = [image for image in bpy.data.images if image.type == "RENDER_RESULT"]
    if not results:
        return None
    file = scene.render.image_settings
    file_values: dict[str, str | bool] = {
        "file_format": "OPEN_EXR_MULTILAYER",
        "color_mode": "RGBA",
        "color_depth": "32",
        "exr_codec": "NONE",
    }
    if "media_type" in file.bl_rna.properties:  # Blender 5
        file_values = {"media_type": "MULTI_LAYER_IMAGE", **file_values}
    if "use_exr_interleave" in file.bl_rna.properties:  # Blender 5 writes a part for each pass
        file_values["use_exr_interleave"] = True
    with tempfile.TemporaryDirectory(prefix="watch-your-steps-") as folder:
        path = Path(folder) / "render.exr"
        try:
            with changed(file, **file_values):
                results[0].save_render(str(path), scene=scene)
        except RuntimeError as error:
            reason = str(error).strip().removeprefix("Error: ")
            raise CaptureError(f"Blender could not write the render's depth: {reason}") from error
        channels = decode_exr(path.read_bytes())
    # Channels are called LAYER.PASS.X, and what X is depends on Blender's version.
    found = [name for name in channels if name.split(".")[-2:-1] == [DEPTH_PASS]]
    if len(found) != 1:
        return None
    depth = channels[found[0]].astype(np.float32)
    depth[~(depth < SKY * clip_end)] = 0
    return depth
