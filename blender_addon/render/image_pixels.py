"""Images from disk or of the file, as pictures to edit: as Blender's Image Editor shows them, but
upright.
"""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data.image_headers import FIRST, Header, read_header, upright
from ..data.reachable import is_file
from ..data.resizing import fitted
from ..data.scene_error import SceneError
from .written_image import written

MOST_PIXELS = 150_000_000
"""That are decoded: Blender needs about 10 bytes for each."""
READ_AGAIN = 4_000_000
"""Pixels up to which it is noticed that an image was painted on."""
LIGHT_FILES = {"OPEN_EXR", "HDR"}
"""Formats that hold light, which is seen through the scene's view transform."""
OPAQUE = 254
"""Alpha from which a pixel counts as opaque: Workbench's is not quite 255."""
NO_IMAGE = "No image is chosen: choose or open one below Picture."


def image_pixels(
    scene: bpy.types.Scene, image: bpy.types.Image | None, max_side: int
) -> NDArray[np.uint8]:
    """An image as it looks, uint8 (H, W, 3), or (H, W, 4) with straight alpha where it is
    transparent; row 0 at the top, sRGB, the longer side at most `max_side` pixels.

    Raises:
        SceneError: it cannot be taken; the text says why.
    """
    if image is None:
        raise SceneError(NO_IMAGE)
    _check_kind(image)
    header = header_of(image)
    _check_size(image, header.size)
    size = image.size[:]  # this decodes it
    if image.type == "MULTILAYER":  # of whose layers Blender counts no pixels
        raise SceneError(
            f'The image "{image.name}" has several layers: save the one that you mean as an image.'
        )
    if not all(size):
        raise SceneError(
            f'The image "{image.name}" cannot be read: its file is missing or damaged.'
        )
    _check_size(image, size)
    if by_the_scenes_view(image):
        pixels = written(image, scene)
    else:
        with _plain_view() as view:
            pixels = written(image, view)
    small = fitted(upright(pixels, header.orientation), max_side)
    return seen(small, image.alpha_mode in ("NONE", "CHANNEL_PACKED"))


def seen(pixels: NDArray[np.uint8], opaque: bool = False) -> NDArray[np.uint8]:
    """Pixels (H, W, 4), without their alpha where all are opaque or `opaque` says so."""
    if opaque or pixels[..., 3].min() >= OPAQUE:
        return np.ascontiguousarray(pixels[..., :3])
    return np.ascontiguousarray(pixels)


def by_the_scenes_view(image: bpy.types.Image) -> bool:
    """Whether an image is seen through the scene's view transform."""
    made_here = image.source == "GENERATED" and image.is_float
    return image.use_view_as_render or made_here or image.file_format in LIGHT_FILES


def header_of(image: bpy.types.Image) -> Header:
    """What the file of an image says of it, read without decoding it."""
    if image.packed_file is not None:
        return read_header(image.packed_file.data[:FIRST])
    path = _path(image)
    if not is_file(path):
        return Header()
    with path.open("rb") as file:
        return read_header(file.read(FIRST))


def image_state(image: bpy.types.Image, scene: bpy.types.Scene) -> str:
    """What a picture of an image depends on, as JSON: it differs where the picture would."""
    path = _path(image)
    facts = [*image.size, image.colorspace_settings.name, image.alpha_mode, image.file_format]
    if by_the_scenes_view(image):
        view = scene.view_settings
        facts += [view.view_transform, view.look, round(view.exposure, 4), round(view.gamma, 4)]
    if 0 < image.size[0] * image.size[1] <= READ_AGAIN:
        values = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(values)
        facts.append(zlib.crc32(values.data))
    elif image.packed_file is None and is_file(path):
        facts += [path.stat().st_size, path.stat().st_mtime]
    return json.dumps({"image": facts})


def _path(image: bpy.types.Image) -> Path:
    return Path(bpy.path.abspath(image.filepath_raw, library=image.library))


def _check_kind(image: bpy.types.Image) -> None:
    if image.source in ("MOVIE", "SEQUENCE"):
        raise SceneError(
            f'"{image.name}" is a film: save the frame that you mean as an image, and choose that.'
        )
    if image.source == "TILED":
        raise SceneError(f'The image "{image.name}" has UDIM tiles: choose an image without.')
    if image.type in ("RENDER_RESULT", "COMPOSITING"):
        raise SceneError(f'"{image.name}" is no image of its own: choose Render Result as Picture.')


def _check_size(image: bpy.types.Image, size: tuple[int, ...] | None) -> None:
    if size is not None and size[0] * size[1] > MOST_PIXELS:
        raise SceneError(
            f'The image "{image.name}" has {size[0]} x {size[1]} pixels, more than '
            f"{MOST_PIXELS // 1_000_000} million: save a smaller one, and choose that."
        )


@contextmanager
def _plain_view() -> Iterator[bpy.types.Scene]:
    """A scene that shows images as they are, as the Image Editor does."""
    scene = bpy.data.scenes.new(" watch your steps")
    try:
        scene.view_settings.view_transform = "Standard"
        scene.view_settings.look = "None"
        scene.render.dither_intensity = 0
        yield scene
    finally:
        bpy.data.scenes.remove(scene)
