"""The full-size picture that an edit's result is laid over: where it comes from, and whether it can
still be had.
"""

import json
import zlib
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data import edits, full_results, picture_source, pictures, taken_pictures
from ..data.scene_error import SceneError
from ..data.taken_pictures import STATE, VIEWPOINT, taken_by
from ..link.encode import encode_png
from ..protocol.values import MAX_IMAGE_SIDE
from . import freshness, render_notes
from .camera_render import Rendering, render_size, rendering_png, viewpoint
from .image_pixels import image_pixels, image_state, seen
from .own_settings import AS_THE_SCENE, OwnSettings, own_settings
from .written_image import Unreadable, written

GONE = "The edit was deleted while its result was made."
MENDING = "undo that, or make the edit of a new preview"
NO_CAMERA = "The scene has no active camera: add one (Add > Camera)."


def full_size(scene: bpy.types.Scene) -> full_results.Size:
    """Height and width of the scene's own renders."""
    width, height = render_size(scene.render, MAX_IMAGE_SIDE)
    return height, width


def size_to_come(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup) -> full_results.Size:
    """Height and width of the result of an edit, made or not.

    Raises:
        SceneError: the picture that the edit was made of was deleted, or the image that this was
            taken from.
    """
    made = full_results.result_of(entry)
    known = full_results.full_render(scene.watch_your_steps, entry)
    if made is not None or known is not None:
        return pictures.size_of(made or known)
    below = full_results.render_below(entry)
    if picture_source.of(below).kind != picture_source.IMAGE:
        return full_size(scene)
    size = pictures.size_of(_image(entry, below))
    lies = (size[0] > size[1]) != (below.size[1] > below.size[0])  # turned when it was taken
    return size[::-1] if lies else size


def needs_picture(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup) -> bool:
    """Whether the result of an edit takes a full-size picture that is not there yet.

    Raises:
        SceneError: as for `size_to_come`.
    """
    if full_results.result_of(entry) is not None:
        return False
    if full_results.full_render(scene.watch_your_steps, entry) is not None:
        return False
    return pictures.size_of(full_results.render_below(entry)) != size_to_come(scene, entry)


def resulting(scene: bpy.types.Scene, uid: str) -> Rendering[bpy.types.Image]:
    """The edit of a uid at the render's size, made where it is not there yet, and kept with the
    edit. The artist's own renders stay as they are.

    Raises:
        SceneError: what the edit's picture was taken from has changed since, it cannot be rendered,
            a render of the artist's runs, a picture that the result is made of is not in the file
            any more, or the edit was deleted meanwhile.
    """
    entry, scene_uid = entry_of(scene, uid), scene.session_uid
    found = full_results.result_of(entry)
    if found is not None:
        return found
    full_results.check_sent(entry)  # what is missing is said before a long render
    full = yield from taking_original(scene, uid)
    entry = entry_of(scene, uid)
    png = yield from full_results.making(scene.watch_your_steps, entry, full)
    return full_results.keep(entry_of(scene_of(scene_uid), uid), png)


def taking_original(scene: bpy.types.Scene, uid: str) -> Rendering[bpy.types.Image | None]:
    """The full-size picture that an edit belongs to, taken where that was not done yet, and kept
    with the edit; None where the one that was sent is that.

    Raises:
        SceneError: as for `resulting`.
    """
    entry = entry_of(scene, uid)
    full = full_results.full_render(scene.watch_your_steps, entry)
    below = full_results.render_below(entry)
    if full is None and pictures.size_of(below) != size_to_come(scene, entry):
        png = yield from _full_picture(scene, entry, below)
        entry = entry_of(scene, uid)  # beside the render a job may have added an edit
        full = pictures.new_packed_image(f"{entry.title} full render", png)
        taken_pictures.tag_alike(full, full_results.render_below(entry))
    entry.full_render = full
    return full


def layering(scene: bpy.types.Scene, uid: str) -> Rendering[bytes]:
    """The PNG file of the edit of a uid alone, at the render's size (full_results.layering).

    Raises:
        SceneError: a picture that it is made of is not in the file any more.
    """
    entry = entry_of(scene, uid)
    size = full_size(scene)
    return (yield from full_results.layering(scene.watch_your_steps, entry, size))


def entry_of(scene: bpy.types.Scene, uid: str) -> bpy.types.PropertyGroup:
    """The edit of a uid. Raises SceneError where it was deleted."""
    entry = edits.named(scene.watch_your_steps, uid)
    if entry is None:
        raise SceneError(GONE)
    return entry


def scene_of(uid: int) -> bpy.types.Scene:
    """The scene of a session uid. Raises SceneError where it was deleted."""
    scene = next((one for one in bpy.data.scenes if one.session_uid == uid), None)
    if scene is None:
        raise SceneError(GONE)
    return scene


def _full_picture(
    scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, below: bpy.types.Image
) -> Rendering[bytes]:
    """The PNG file of what `below` was, before it was made small. The artist may not change the
    scene until it ends.
    """
    found = origin(scene, entry, below)
    if isinstance(found, Shown):
        image, pixels = found.image, found.pixels
        if pixels is None:
            return encode_png(image_pixels(scene, image, max(image.size)))
        return encode_png(seen(pixels, opaque=not full_results.has_alpha(below)))
    check_no_render()
    height, width = full_size(scene)
    alpha = scene.render.film_transparent
    return (yield from rendering_png(scene, width, height, alpha, found))


@dataclass(frozen=True, eq=False)
class Shown:
    """The Render Result, or another image, that an edit is of."""

    image: bpy.types.Image
    pixels: NDArray[np.uint8] | None
    """Of the Render Result: (H, W, 4), as they are seen."""


def origin(
    scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, below: bpy.types.Image
) -> Shown | OwnSettings:
    """Where what `below` was before it was made small can be had from: an image that is there, or a
    new render with settings of its own.

    Raises:
        SceneError: it cannot be had any more.
    """
    source = picture_source.of(below)
    if source.kind == picture_source.IMAGE:
        return Shown(_unchanged_image(scene, entry, below), None)
    own = AS_THE_SCENE
    if source.kind == picture_source.RESULT:
        shown = _render_result(scene, below)
        if shown is not None:
            return shown
        if VIEWPOINT not in below:
            raise SceneError(
                "The Render Result that this edit was made of is not there any more, and how it "
                "was rendered is not known: make the edit of a new preview."
            )
    elif source.kind == picture_source.VIEWPORT:
        own = own_settings(scene.watch_your_steps, source)
    check_unchanged(scene, below)
    return own


def check_no_render() -> None:
    """Raises SceneError while a render of the artist's runs."""
    if bpy.app.is_job_running("RENDER"):
        raise SceneError("Blender renders just now: wait until that is done.")


def _unchanged_image(
    scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, below: bpy.types.Image
) -> bpy.types.Image:
    image = _image(entry, below)
    if image_state(image, scene) != below.get(STATE, ""):
        raise SceneError(
            f'The image "{image.name}" has changed since it was edited: make the edit of a new '
            "preview."
        )
    return image


def _image(entry: bpy.types.PropertyGroup, below: bpy.types.Image) -> bpy.types.Image:
    image: bpy.types.Image | None = entry.source_image
    if image is None:
        name = picture_source.of(below).name
        raise SceneError(f'The image "{name}", which was edited, is not in the file any more.')
    return image


def _render_result(scene: bpy.types.Scene, below: bpy.types.Image) -> Shown | None:
    """The Render Result where it still shows what `below` is of, else None."""
    shown, own = render_notes.artists_result(), json.loads(below.get(STATE, "") or "{}")
    if shown is None or "pixels" not in own:
        return None
    try:
        whole = written(shown, scene)
    except Unreadable:  # another scene's, or an empty slot
        return None
    if zlib.crc32(np.ascontiguousarray(whole).data) != own["pixels"]:
        return None
    return Shown(shown, whole)


def check_unchanged(scene: bpy.types.Scene, below: bpy.types.Image) -> None:
    """Refuse another render where it would not show what an earlier, smaller one shows.

    Raises:
        SceneError: what has changed, and what to do.
    """
    if scene.camera is None:
        raise SceneError(NO_CAMERA)
    camera, frame = taken_by(below)
    changed = _changes(scene, below)
    if "frame" in changed:
        raise SceneError(f"This edit's render is of frame {frame}: go back to that frame.")
    if "camera" in changed and camera and scene.camera.name != camera:
        raise SceneError(f'This edit\'s render is by the camera "{camera}": make that the active.')
    if changed:
        raise SceneError(
            f"{freshness.have_changed(changed)} since this edit's render, which a full-size one "
            f"would not fit any more: {MENDING}."
        )


def _changes(scene: bpy.types.Scene, below: bpy.types.Image) -> list[str]:
    state = below.get(STATE, "")
    if state:
        return freshness.changes_at_any_size(scene, state)
    known = below.get(VIEWPOINT)  # a render from before more than that was kept
    moved = known is not None and not np.allclose(known, viewpoint(scene), atol=1e-4)
    return ["camera"] if moved else []
