"""A scene's results as Image data-blocks: put there, replaced, and the mask kept up to date.

A new picture is always a new data-block, never new pixels in an old one, so that undo brings the
old picture back. Render, relevance, mask and painting take their predecessor's name and place (also
in Image Editors and materials) and the predecessor goes, unless an edit that is kept was made of it
(edits).
"""

import json
from collections.abc import Iterator

import bpy
import msgspec
import numpy as np
from numpy.typing import NDArray

from ..protocol.corrections import Painted
from ..protocol.known_settings import all_settings
from ..protocol.settings import PictureMapSettings
from . import copies, painting, picture_source, pictures, region, thing_labels
from .properties_settings import asked
from .taken_pictures import CAMERA, FRAME, VIEWPOINT, Picture, Place, identity_of, new_render


def install_pending(scene: bpy.types.Scene, picture: Picture) -> None:
    """Keep a render that was sent, so that it is in the file while its job runs."""
    settings = scene.watch_your_steps
    drop_pending(scene)
    settings.pending_image = new_render(scene, picture)


def is_shown(scene: bpy.types.Scene, picture: Picture) -> bool:
    """Whether the render that the scene shows is that picture, also where that was unpacked."""
    settings = scene.watch_your_steps
    image = settings.render_image
    if image is None or settings.picture != picture.identity:
        return False
    return not pictures.why_lost(image) and pictures.size_of(image) == picture.size


def is_pending(scene: bpy.types.Scene, picture: Picture) -> bool:
    """Whether the render that is kept while a job runs is that picture."""
    image = scene.watch_your_steps.pending_image
    if image is None or image.packed_file is None or not picture.shows_the_same(image):
        return False
    return picture.identity == identity_of(image.packed_file.data, thing_labels.of(image))


def drop_pending(scene: bpy.types.Scene) -> None:
    """Forget the render of a job that ended without a result."""
    image = scene.watch_your_steps.pending_image
    scene.watch_your_steps.pending_image = None
    if image is not None and image.users == 0:
        bpy.data.images.remove(image)


def install_picture(scene: bpy.types.Scene, picture: Picture) -> None:
    """Make `picture` the render that the scene shows. Its relevance and mask are about to be
    replaced by the result that came with `picture`; the shown edit stays, with its own render.
    """
    copies.settle(scene)
    settings = scene.watch_your_steps
    shown = settings.render_image
    if (
        settings.picture == picture.identity
        and shown is not None
        and shown.get(pictures.EDIT, "") == picture.edit  # an edit may have a render's very bytes
        and thing_labels.of(shown) == picture.things
        and picture.shows_the_same(shown)
    ):
        drop_pending(scene)
        return
    image = settings.pending_image
    settings.pending_image = None
    if image is None:  # undone, or the file was opened anew
        image = new_render(scene, picture)
    settings.source.taken = _taken_from(settings, picture)
    settings.root_image = _below(settings, picture.edit)
    _replace(scene, "render_image", image)
    settings.picture = picture.identity


def _taken_from(settings: bpy.types.PropertyGroup, picture: Picture) -> bpy.types.Image | None:
    """The image that a picture, or the one below an edit's, was taken from."""
    entry = next((one for one in settings.edits if picture.edit and one.uid == picture.edit), None)
    return entry.source_image if entry is not None else picture_source.named(picture.source)


def _below(settings: bpy.types.PropertyGroup, edit: str) -> bpy.types.Image | None:
    """The render that is below an edit's picture; None for a render's own."""
    if not edit:
        return None
    entry = next((one for one in settings.edits if one.uid == edit), None)
    if entry is None:  # deleted while its picture was edited
        return settings.root_image or settings.render_image
    return entry.root or entry.render


def put_back(scene: bpy.types.Scene, kept: bpy.types.PropertyGroup) -> None:
    """Show the render and the relevance map again that an edit was made of, at its threshold."""
    settings = scene.watch_your_steps
    copies.settle(scene)
    settings.root_image = kept.root
    settings.base = "EDIT" if pictures.EDIT in kept.render else "RENDER"
    if pictures.EDIT in kept.render:
        settings.base_image = kept.render
    picture_source.choose(settings, kept.root or kept.render, kept.source_image)
    for name, image in (("render_image", kept.render), ("relevance_image", kept.relevance)):
        _replace(scene, name, copies.own_picture(scene, name, image))
    settings.picture, settings.relevance_of = kept.picture, kept.instruction
    settings.relevance_by = kept.normalisation or settings.normalisation
    settings.relevance_maps = _written(asked(PictureMapSettings, kept)) if kept.known else ""
    settings.suggested_threshold = kept.suggested_threshold
    settings.prompt_check = kept.prompt_check
    settings.picks = kept.picks
    settings.picks_of = thing_labels.identity(settings.render_image)
    settings.grow, settings.invert = kept.grow, kept.invert
    if kept.painted is None:
        _drop_painting(settings)
    else:
        painted = copies.own_picture(scene, "painted_image", kept.painted)
        _replace(scene, "painted_image", painted)
    settings.threshold = kept.threshold  # refreshes the mask


def install_relevance(
    scene: bpy.types.Scene,
    relevance: NDArray[np.float32],
    exr: bytes,
    instruction: str,
    maps: PictureMapSettings,
    suggested_threshold: float,
    found_in: str,
) -> None:
    """Show a relevance map, float32 (H, W) in 0..1, and its mask: at the map's own suggestion, or
    where the artist has put the threshold for this instruction. `found_in` is the uid of the edit
    in whose picture it was found, "" for a render.
    """
    copies.settle(scene)
    settings = scene.watch_your_steps
    shown = settings.relevance_image
    things = thing_labels.identity(settings.render_image)
    now = (things, instruction, maps.normalisation)
    is_other = (settings.picks_of, settings.relevance_of, settings.relevance_by) != now
    if settings.picks and is_other:  # to set it snaps the map that is about to go once more
        settings.picks = ""
    settings.picks_of = things
    same = shown is not None and shown.get(pictures.EDIT) == found_in and _holds(shown, relevance)
    if not same:  # edits that are kept share their map
        image = pictures.new_packed_image(f"{scene.name} relevance", exr, relevance)
        image[pictures.EDIT] = found_in
        _replace(scene, "relevance_image", image)
    settings.relevance_of = instruction
    settings.relevance_by, settings.relevance_maps = maps.normalisation, _written(maps)
    settings.suggested_threshold = suggested_threshold
    if settings.threshold_of == instruction:
        refresh_mask(scene)
    else:
        follow_suggestion(scene)
    if not settings.is_property_set("snap"):
        settings.snap = settings.snap  # saved with the map that is thresholded so


def _holds(image: bpy.types.Image, values: NDArray[np.float32]) -> bool:
    """Whether a packed image holds the very same map."""
    return image.packed_file is not None and np.array_equal(pictures.read_gray(image), values)


def follow_suggestion(scene: bpy.types.Scene) -> None:
    """Set the threshold to the shown map's suggestion; later maps set it to theirs."""
    settings = scene.watch_your_steps
    settings.threshold = region.suggestion(settings)  # refreshes the mask
    settings.threshold_of = ""


def is_current(scene: bpy.types.Scene) -> bool:
    """Whether there is a map, and it is the one that the settings ask for now."""
    return scene.watch_your_steps.relevance_image is not None and not changed_since_map(scene)


def changed_since_map(scene: bpy.types.Scene) -> str:
    """What a map depends on that is set otherwise than when the shown one was found, in words such
    as "instruction"; "" where all is as it was.
    """
    settings = scene.watch_your_steps
    if settings.relevance_of != settings.instruction:
        return "instruction"
    made = json.loads(settings.relevance_maps or "{}")
    made["normalisation"] = settings.relevance_by
    now = json.loads(_written(asked(PictureMapSettings, settings)))
    for one in all_settings(PictureMapSettings):
        if one.name in made and made[one.name] != now[one.name]:
            return f'setting "{one.title}"'
    return ""


def _written(maps: PictureMapSettings) -> str:
    return msgspec.json.encode(maps).decode()


def mask(scene: bpy.types.Scene) -> NDArray[np.bool_] | None:
    """The region that is shown, bool (H, W): the very one that the backend edits; or None where
    there is no relevance map, or its file is missing.
    """
    found = region.found(scene.watch_your_steps)
    return None if found is None else found.mask


def refresh_mask(scene: bpy.types.Scene) -> None:
    """Write the mask at the scene's threshold into its Image data-block, made where it is missing.

    The only picture that is rewritten in place: at every step of the threshold's slider.
    """
    copies.settle_all()  # a copy that has no mask of its own yet would see this one change
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


def install_painting(scene: bpy.types.Scene, painted: Painted | None, on: Place | None) -> None:
    """Show what is painted on the scene's mask, (H, W) as painting.py has it, and correct the mask
    by it; None, or nothing that is painted, takes the painting away. `on` is where it was painted.
    """
    copies.settle(scene)
    settings = scene.watch_your_steps
    if painted is None or not painted.any():
        _drop_painting(settings)
    else:
        image = painting.new_image(f"{scene.name} painting", painted)
        if on is not None:
            image[VIEWPOINT], image[CAMERA], image[FRAME] = on.viewpoint, on.camera, on.frame
            picture_source.put(image, on.source)
        _replace(scene, "painted_image", image)
    refresh_mask(scene)


def _drop_painting(settings: bpy.types.PropertyGroup) -> None:
    image = settings.painted_image
    settings.painted_image = None
    if image is not None and image.users == 0:
        bpy.data.images.remove(image)


def is_painted_elsewhere(settings: bpy.types.PropertyGroup) -> bool:
    """Whether what is painted was painted on a picture that was taken by another camera or from
    another place than the shown one.
    """
    painted, render = settings.painted_image, settings.render_image
    if painted is None or render is None or VIEWPOINT not in painted:
        return False
    if picture_source.of(painted) != picture_source.of(render):
        return True
    one, other = tuple(painted[VIEWPOINT]), tuple(render.get(VIEWPOINT, ()))
    return len(one) != len(other) or not np.allclose(one, other, atol=1e-4)


def pack_masks() -> None:
    """Put the masks' present pixels into the file that is about to be saved."""
    for scene in copies.editable():
        image = scene.watch_your_steps.mask_image
        if image is not None and image.is_dirty:
            image.pack()


def _replace(scene: bpy.types.Scene, name: str, image: bpy.types.Image) -> None:
    """Point a setting to an image, which takes over the present one's users and its name; but not
    the edits that are kept, of which the present one goes on being a part.
    """
    copies.settle_all()  # a copy that has no pictures of its own yet would be a user, too
    settings = scene.watch_your_steps
    old = getattr(settings, name)
    if old is not None and old != image:
        title, kept = old.name, list(_kept(old))
        old.user_remap(image)  # the setting itself among them
        for entry, field in kept:
            setattr(entry, field, old)
        if kept:
            old.name = f"{title} (earlier)"
        else:
            bpy.data.images.remove(old)
        image.name = title
    setattr(settings, name, image)


def _kept(image: bpy.types.Image) -> Iterator[tuple[bpy.types.PropertyGroup, str]]:
    """The places in all scenes that go on pointing to an image when another takes its place."""
    for scene in copies.editable():
        settings = scene.watch_your_steps
        kept = ((one, copies.KEPT_PICTURES) for one in settings.edits)
        for group, fields in ((settings, copies.BASES), *kept):
            for field in fields:
                if getattr(group, field) == image:
                    yield group, field
