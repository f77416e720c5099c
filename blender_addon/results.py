"""A scene's results as Image data-blocks: put there, replaced, and the mask kept up to date.

A new picture is always a new data-block, never new pixels in an old one, so that undo brings the
old picture back. Render, relevance and mask take their predecessor's name and place (also in Image
Editors and materials) and the predecessor goes. An edit leaves the earlier edits alone: they stay
in the file as long as something uses them, as any image does in Blender.
"""

from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from . import pictures

VIEWPOINT = "watch_your_steps_viewpoint"
"""Custom property of a render's Image data-block."""


@dataclass(frozen=True)
class Picture:
    """A render that results belong to."""

    identity: str
    png: bytes
    """Its file, 8-bit RGB."""
    viewpoint: tuple[float, ...]
    """Where it was taken from (capture.viewpoint)."""


def install_pending(scene: bpy.types.Scene, picture: Picture) -> None:
    """Keep a render that was sent, so that it is in the file while its job runs."""
    settings = scene.watch_your_steps
    drop_pending(scene)
    settings.pending_image = _render(scene, picture)


def drop_pending(scene: bpy.types.Scene) -> None:
    """Forget the render of a job that ended without a result."""
    image = scene.watch_your_steps.pending_image
    scene.watch_your_steps.pending_image = None
    if image is not None and image.users == 0:
        bpy.data.images.remove(image)


def install_picture(scene: bpy.types.Scene, picture: Picture) -> None:
    """Make `picture` the render that the scene shows. An edit of another render is put aside; its
    relevance and mask are about to be replaced by the result that came with `picture`.
    """
    settings = scene.watch_your_steps
    if settings.picture == picture.identity and settings.render_image is not None:
        drop_pending(scene)
        return
    image = settings.pending_image
    settings.pending_image = None
    if image is None:  # undone, or the file was opened anew
        image = _render(scene, picture)
    _replace(scene, "render_image", image)
    settings.picture = picture.identity
    settings.edit_image = None
    settings.edit_of = ""


def install_relevance(
    scene: bpy.types.Scene,
    relevance: NDArray[np.float32],
    exr: bytes,
    instruction: str,
    normalisation: str,
    suggested_threshold: float,
) -> None:
    """Show a relevance map, float32 (H, W) in 0..1, and its mask: at the map's own suggestion, or
    where the artist has put the threshold for this instruction.
    """
    settings = scene.watch_your_steps
    image = pictures.new_packed_image(f"{scene.name} relevance", exr, relevance)
    _replace(scene, "relevance_image", image)
    settings.relevance_of = instruction
    settings.relevance_by = normalisation
    settings.suggested_threshold = suggested_threshold
    if settings.threshold_of == instruction:
        refresh_mask(scene)
    else:
        follow_suggestion(scene)


def follow_suggestion(scene: bpy.types.Scene) -> None:
    """Set the threshold to the shown map's suggestion; later maps set it to theirs."""
    settings = scene.watch_your_steps
    settings.threshold = settings.suggested_threshold  # refreshes the mask
    settings.threshold_of = ""


def is_current(scene: bpy.types.Scene) -> bool:
    """Whether the shown map is the one of the instruction and normalisation that are set now."""
    settings = scene.watch_your_steps
    return (
        settings.relevance_image is not None
        and settings.relevance_of == settings.instruction
        and settings.relevance_by == settings.normalisation
    )


def install_edit(
    scene: bpy.types.Scene, edit: NDArray[np.uint8], png: bytes, instruction: str
) -> None:
    """Show an edited picture, uint8 (H, W, 3)."""
    settings = scene.watch_your_steps
    settings.edit_image = pictures.new_packed_image(f"{scene.name} edit", png, edit)
    settings.edit_of = instruction


def mask(scene: bpy.types.Scene) -> NDArray[np.bool_] | None:
    """The mask at the scene's threshold, bool (H, W): the very one that the backend uses, or None
    where there is no relevance map.
    """
    settings = scene.watch_your_steps
    if settings.relevance_image is None:
        return None
    relevance = pictures.read_gray(settings.relevance_image)
    return relevance >= np.float32(settings.threshold)


def refresh_mask(scene: bpy.types.Scene) -> None:
    """Write the mask at the scene's threshold into its Image data-block, made where it is missing.

    The only picture that is rewritten in place: at every step of the threshold's slider.
    """
    settings = scene.watch_your_steps
    values = mask(scene)
    if values is None:
        return
    height, width = values.shape
    image = settings.mask_image
    if image is None or tuple(image.size) != (width, height):
        image = bpy.data.images.new(f"{scene.name} mask", width, height)
        _replace(scene, "mask_image", image)
    pictures.write_mask(image, values)


def pack_masks() -> None:
    """Put the masks' present pixels into the file that is about to be saved."""
    for scene in bpy.data.scenes:
        image = scene.watch_your_steps.mask_image
        if image is not None and image.is_dirty:
            image.pack()


def _render(scene: bpy.types.Scene, picture: Picture) -> bpy.types.Image:
    image = pictures.new_packed_image(f"{scene.name} render", picture.png)
    image[VIEWPOINT] = picture.viewpoint
    return image


def picture_of(image: bpy.types.Image, identity: str) -> Picture | None:
    """The render in an Image data-block, or None where the artist has unpacked or replaced it."""
    if image.packed_file is None or VIEWPOINT not in image:
        return None
    return Picture(identity, image.packed_file.data, tuple(image[VIEWPOINT]))


def _replace(scene: bpy.types.Scene, name: str, image: bpy.types.Image) -> None:
    """Point a setting to a new image, which takes over the old one's users and its name."""
    settings = scene.watch_your_steps
    old = getattr(settings, name)
    if old is not None:
        title = old.name
        old.user_remap(image)  # the setting itself among them
        bpy.data.images.remove(old)
        image.name = title
    setattr(settings, name, image)
