"""Render a scene's active camera to the picture that an artist sees in a render."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data.helper_files import read_whole, whole
from ..data.scene_error import SceneError
from ..link.aside import Aside, aside
from ..link.decode import decode_exr, decode_targa
from ..link.encode import encode_png
from .own_settings import AS_THE_SCENE, OwnSettings
from .pinhole import check_extent
from .rendered_files import LIGHT_FILE, file_for, read_still, render_still, write_passes
from .seen import Seen, ThingsUnknown
from .stand_in import compositor_of, stand_in
from .things import REST, look_at, tell_apart

Made = TypeVar("Made")
Rendering = Generator[bpy.types.Scene | Aside[Any], None, Made]
"""Work on the main thread that gives what is to be done in between: stand-ins to be rendered, and
calls that take nothing of Blender."""
SMALLEST_SIDE = 4  # Blender renders nothing smaller
NO_LAYER = (
    "No view layer of the scene is rendered: tick Use for Rendering for one (View Layer Properties "
    "> View Layer)."
)
DEPTH_PASS = "Depth"
SKY = 0.99
"""Share of the clip end from which on a depth is the sky's: EEVEE gives it the clip end, to the
precision of its depth buffer, where Cycles and Workbench give it 1e10."""


@dataclass(frozen=True, eq=False)
class Captured:
    """A render of the active camera."""

    png: bytes
    """A PNG file: 8-bit RGB, or RGBA with straight colours."""
    things: NDArray[np.uint16] | None
    """(H, W), the label of what is seen at each pixel's centre, row 0 at the top; None where that
    is not known."""
    names: tuple[str, ...]
    """Of the things, by their labels; () where they are not known."""
    unknown: str
    """Why the things are not known; "" where they are."""


@dataclass(frozen=True, eq=False)
class Taken:
    """A render of the active camera whose things have still to be told apart."""

    file: bytes
    """The Targa file that Blender wrote: 8-bit RGB, or RGBA with straight colours."""
    seen: Seen | None
    """What the camera sees; None where that is not known."""
    unknown: str
    """Why the things are not known; "" where they may be."""


def render_size(render: bpy.types.RenderSettings, max_side: int) -> tuple[int, int]:
    """Width and height in pixels of the scene's render, scaled down (never up) so that the longer
    side has at most `max_side` pixels.
    """
    scale = render.resolution_percentage / 100
    width, height = (
        max(1, int(side * scale)) for side in (render.resolution_x, render.resolution_y)
    )
    shrink = min(1.0, max_side / max(width, height))
    return (
        max(SMALLEST_SIDE, round(width * shrink)),
        max(SMALLEST_SIDE, round(height * shrink)),
    )


def viewpoint(scene: bpy.types.Scene) -> tuple[float, ...]:
    """15 numbers that tell whether two renders show the same view: the active camera's place and
    the corners of its frame, in world space. They hold lens, shift and aspect ratio. Blender takes
    other objects as cameras too: of those, place and axes, a spot's angle, and the render's size.
    """
    camera = scene.camera
    placed = camera.matrix_world.normalized()
    if camera.type == "CAMERA":
        points = [placed @ corner for corner in camera.data.view_frame(scene=scene)]
    else:
        render = scene.render
        angle = camera.data.spot_size if getattr(camera.data, "type", "") == "SPOT" else 0.0
        points = [*placed.to_3x3(), (angle, float(render.resolution_x), float(render.resolution_y))]
    return tuple(number for point in (placed.translation, *points) for number in point)


def capture(scene: bpy.types.Scene, max_side: int, alpha: bool = False) -> bytes:
    """Render a scene's active camera; returns a PNG file: 8-bit RGB, or RGBA with straight colours.

    Engine, samples, film, compositing and view transform are the scene's. Not the scene's are the
    size, how the file is written, and what would show something else than the whole camera: a
    render region, stereo, the sequencer. The artist's own renders stay as they are (stand_in).

    Raises:
        SceneError: there is no camera, or the render fails.
    """
    _check_camera(scene)
    width, height = render_size(scene.render, max_side)
    return render_png(scene, width, height, alpha)


def capture_with_things(
    scene: bpy.types.Scene,
    max_side: int,
    kind: str,
    alpha: bool = False,
    own: OwnSettings = AS_THE_SCENE,
) -> Captured:
    """The same, and what thing is seen at each pixel; `kind` is one of `things.KINDS`, and `own`
    what is otherwise than in the scene.

    Raises:
        SceneError: there is no camera, or the render fails.
    """

    def parts() -> Rendering[Captured]:
        return (yield from telling_apart((yield from capturing(scene, max_side, kind, alpha, own))))

    return at_once(parts())


def at_once(parts: Rendering[Made]) -> Made:
    """What becomes of a `Rendering`, whose renders Blender makes while everything else waits.

    Raises:
        SceneError: as it does.
    """
    try:
        while True:
            step = next(parts)
            if isinstance(step, Aside):
                step.run()
            else:
                render_still(step)
    except StopIteration as end:
        made: Made = end.value
        return made
    finally:
        parts.close()


def capturing(
    scene: bpy.types.Scene,
    max_side: int,
    kind: str,
    alpha: bool,
    own: OwnSettings,
    traced: bool = False,
) -> Rendering[Taken]:
    """The first part of `capture_with_things`, with the render left to somebody else: the stand-in
    that is given is to be rendered, and written, before it goes on. Where that was stopped, it
    raises. Until it ends the scene may not be changed. `traced` keeps the surfaces that are seen.
    """
    _check_camera(scene)
    width, height = render_size(scene.render, max_side)
    with stand_in(scene) as copy:
        own.apply(copy)
        with file_for(copy, width, height, alpha) as path:
            yield copy
            file = read_still(path)
        try:
            return Taken(file, look_at(copy, width, height, kind, traced), "")
        except ThingsUnknown as error:
            return Taken(file, None, str(error))


def telling_apart(taken: Taken, look: Callable[[Seen], None] | None = None) -> Rendering[Captured]:
    """The second part, which takes nothing of the scene any more. `look` is called in any thread
    with what the camera sees, once it is drawn.
    """
    return (yield from aside(lambda: _told_apart(taken, look)))


def _told_apart(taken: Taken, look: Callable[[Seen], None] | None) -> Captured:
    pixels = whole(decode_targa, taken.file)
    png = encode_png(pixels)
    if taken.seen is None:
        return Captured(png, None, (), taken.unknown)
    numbers: dict[str, int] = {}
    try:
        things = tell_apart(taken.seen, numbers)
        if look is not None:
            look(taken.seen)
    except ThingsUnknown as error:
        return Captured(png, None, (), str(error))
    if pixels.shape[2] == 4:  # what is cut out of the film is no thing
        things[pixels[..., 3] == 0] = 0
    return Captured(png, things, (REST, *numbers), "")


def _check_camera(scene: bpy.types.Scene) -> None:
    if scene.camera is None:
        raise SceneError(
            "The scene has no active camera: add one (Add > Camera), or select one and press "
            "Ctrl Numpad 0."
        )
    check_extent(scene.camera.name, np.array(scene.camera.matrix_world, np.float64))
    if not renders_layers(scene) and compositor_of(scene) is None:
        raise SceneError(NO_LAYER)


def renders_layers(scene: bpy.types.Scene) -> bool:
    """Whether any of the scene's objects may be rendered; a compositor shows something without."""
    return any(layer.use for layer in scene.view_layers)


def render_png(
    scene: bpy.types.Scene,
    width: int,
    height: int,
    alpha: bool = False,
    own: OwnSettings = AS_THE_SCENE,
) -> bytes:
    """Render a scene's active camera at a size in pixels; a PNG file: 8-bit RGB, or RGBA with
    straight colours. `own` is what is otherwise than in the scene.

    The scene need not be the window's. Do not call this within `Context.temp_override`: there
    Blender 4.5 and 5.0 look into the override's dictionary without holding Python's lock, which
    crashes as soon as another thread (the link's, say) runs Python at that moment
    (link/stillness.py).

    Raises:
        SceneError: the render fails.
    """
    return at_once(rendering_png(scene, width, height, alpha, own))


def rendering_png(
    scene: bpy.types.Scene, width: int, height: int, alpha: bool, own: OwnSettings
) -> Rendering[bytes]:
    """The same, with the render left to somebody else (`capturing`)."""
    file = yield from rendering_seen(scene, width, height, alpha, own)
    return (yield from aside(lambda: encode_png(whole(decode_targa, file))))


def rendering_seen(
    scene: bpy.types.Scene, width: int, height: int, alpha: bool, own: OwnSettings
) -> Rendering[bytes]:
    """The same as the Targa file that Blender writes, which any thread may decode."""
    with stand_in(scene) as copy:
        own.apply(copy)
        with file_for(copy, width, height, alpha) as path:
            yield copy
            return read_still(path)


def rendering_light(
    scene: bpy.types.Scene, width: int, height: int, alpha: bool, own: OwnSettings
) -> Rendering[bytes]:
    """The same as light: an OpenEXR file, 32 bits a channel, of what the scene's view shows."""
    with stand_in(scene) as copy:
        own.apply(copy)
        with file_for(copy, width, height, alpha, LIGHT_FILE) as path:
            yield copy
            return read_still(path)


@dataclass(frozen=True, eq=False)
class Measured:
    """A render whose pixels, depth and objects have still to be read, which any thread may do.

    The depth is that of each pixel's centre, along the viewing axis, not along the ray. Glass is
    seen as a surface; what is transparent is to Cycles from the view layer's alpha threshold on. It
    costs no samples: all engines know it from the first one.
    """

    file: bytes
    """The Targa file that Blender wrote: 8-bit RGB, or RGBA with straight colours."""
    passes: Path
    """The OpenEXR file of the render with its passes, for as long as its folder is there."""
    seen: Seen | None
    """What the camera sees; None where that is not known."""

    def pixels(self) -> NDArray[np.uint8]:
        """Uint8 (H, W, 3), or (H, W, 4), row 0 at the top, as they are seen."""
        return whole(decode_targa, self.file)

    def depth(self, clip_end: float) -> NDArray[np.float32] | None:
        """Float32 (H, W) in scene units, row 0 at the top, 0 where nothing is before the clip end
        of the camera; None where the engine gives no depth, or where several view layers were
        rendered: only the compositor knows which of them is seen where.
        """
        channels = whole(decode_exr, read_whole(self.passes))
        # Channels are called LAYER.PASS.X, and what X is depends on Blender's version.
        found = [name for name in channels if name.split(".")[-2:-1] == [DEPTH_PASS]]
        if len(found) != 1:
            return None
        depth = channels[found[0]].astype(np.float32)
        depth[~(depth < SKY * clip_end)] = 0
        return depth

    def things(self, numbers: dict[str, int]) -> NDArray[np.uint16] | None:
        """Uint16 (H, W), the labels of the objects; None where they are not known. `numbers` are as
        for `things.label_image`.
        """
        try:
            return None if self.seen is None else tell_apart(self.seen, numbers)
        except ThingsUnknown:
            return None  # the backend says so of the whole capture


def rendering_with_depth(
    scene: bpy.types.Scene, width: int, height: int, alpha: bool, folder: Path
) -> Rendering[Measured]:
    """What `rendering_png` makes, and depth and objects of what is seen in it, which are read from
    a `helper_folder`.

    Raises:
        SceneError: the render fails, or the depth cannot be written to the disk for the moment
            that it takes to read it.
    """
    with stand_in(scene) as copy:
        for layer in copy.view_layers:
            layer.use_pass_z = True
        with file_for(copy, width, height, alpha) as path:
            yield copy
            file = read_still(path)
        passes = write_passes(copy, folder)
        try:
            return Measured(file, passes, look_at(copy, width, height, "OBJECTS"))
        except ThingsUnknown:
            return Measured(file, passes, None)
