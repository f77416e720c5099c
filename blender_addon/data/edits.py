"""The edits of a scene's renders: all of them are kept in the .blend file, with what they were made
of and with, until the artist deletes them.
"""

import dataclasses
import time

import bpy
import msgspec
import numpy as np
from numpy.typing import NDArray

from ..link.encode import encode_png
from ..protocol.messages import Welcome
from ..protocol.requests import EditResult
from ..protocol.settings import EditSettings, GuidanceSettings, PictureMapSettings, RegionSettings
from . import (
    copies,
    edit_masks,
    layer_list,
    painting,
    picture_source,
    pictures,
    results,
    taken_pictures,
    thing_labels,
)
from .migration import new_uid
from .properties_settings import asked, copy, put
from .scene_error import SceneError

FULL_SIZE_ALONE = (
    "The edit that this one was made of at full size was deleted, so the shown render and map stay."
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What an edit was asked to be made with; as JSON it is saved with the scene while its job
    runs.
    """

    maps: PictureMapSettings
    settings: EditSettings
    region: RegionSettings = RegionSettings(snap="nothing")
    """How it was before there was a choice."""
    threshold: float | None = None
    """None where the map's own suggestion is taken."""
    picks: str = ""
    """The things that were added and removed, as `region.Picks` writes them."""
    painted: str = ""
    """What was painted on the mask, as `painting.write` writes it."""
    grow: int = 0
    invert: bool = False
    variants: str = ""
    """The group of variants that it is one of; "" for one of its own."""


def asked_for(scene: bpy.types.Scene, chosen: EditSettings, shown: bool, variants: str = "") -> str:
    """The JSON of an edit that the scene's settings ask for now, but for its own settings `chosen`
    and the group of variants that it is one of. Picked things are those of the region that is
    `shown`: where another one is to be found, they have no part in it.
    """
    settings = scene.watch_your_steps
    current = results.is_current(scene)
    all_asked = Asked(
        maps=asked(PictureMapSettings, settings),
        settings=chosen,
        region=asked(RegionSettings, settings),
        threshold=settings.threshold if current else None,
        picks=settings.picks if shown else "",
        painted=painting.write(settings.painted_image),
        grow=settings.grow,
        invert=settings.invert,
        variants=variants,
    )
    return msgspec.json.encode(all_asked).decode()


def keep(
    scene: bpy.types.Scene,
    instruction: str,
    result: EditResult,
    png: bytes,
    noted: str = "",
    server: Welcome | None = None,
) -> None:
    """Keep an edit of the render that the scene shows, and show it.

    Args:
        scene: whose render and relevance map are those of the edit.
        instruction: what was asked for.
        result: what the backend has made.
        png: the file of its picture.
        noted: what `asked_for` said when the edit began; "" where that is not known.
        server: what the backend says of itself, which has the model's name and guidance.
    """
    settings = scene.watch_your_steps
    copies.settle(scene)
    entry = new_entry(settings, instruction)
    entry.image = new_picture(scene, settings.render_image, result.image, png)
    entry.mask = edit_masks.new_image(f"{scene.name} edit mask", result.mask)
    entry.render, entry.relevance = settings.render_image, settings.relevance_image
    entry.root, entry.parent = settings.root_image, settings.render_image.get(pictures.EDIT, "")
    entry.picture = settings.picture
    entry.camera, entry.frame = taken_pictures.taken_by(settings.render_image)
    entry.source_image = picture_source.image_of(settings, settings.render_image)
    entry.suggested_threshold = settings.suggested_threshold
    entry.prompt_check = settings.prompt_check
    note(entry, result, noted, server)
    if result.threshold is not None:  # else the region was sent
        entry.threshold = result.threshold
    settings.edit_index = 0  # shows it


def note(
    entry: bpy.types.PropertyGroup, result: EditResult, noted: str, server: Welcome | None
) -> None:
    """Write down what is known of any edit that has just been made; the arguments are `keep`'s."""
    entry.notes = " ".join(result.notes)
    entry.date = time.strftime("%Y-%m-%d %H:%M")
    entry.model = server.model if server is not None else ""
    _write_asked(entry, noted, server)


def new_picture(
    scene: bpy.types.Scene,
    render: bpy.types.Image | None,
    rgb: NDArray[np.uint8],
    png: bytes,
) -> bpy.types.Image:
    """A new image of an edited picture, with the alpha of the render that it was made of.

    Args:
        scene: whose it is.
        render: what it was made of, of the same size; None where that is lost.
        rgb: (H, W, 3), sRGB, row 0 at the top.
        png: the same, encoded.
    """
    packed = render.packed_file if render is not None else None
    rgba = pictures.with_alpha_of(packed.data, rgb) if packed is not None else None
    file, pixels = (png, rgb) if rgba is None else (encode_png(rgba), None)
    image = pictures.new_packed_image(f"{scene.name} edit", file, pixels)
    if render is None or picture_source.of(render).kind != picture_source.IMAGE:
        pictures.tag_as_seen(scene, image)
    return image


def _write_asked(entry: bpy.types.PropertyGroup, noted: str, server: Welcome | None) -> None:
    try:
        chosen = msgspec.json.decode(noted, type=Asked)
    except msgspec.DecodeError:
        return  # the edit began in another version of the add-on: the entry says that it is unknown
    entry.known = True
    entry.own_guidance = chosen.settings.guidance == GuidanceSettings()
    own = server.guidance if server is not None else GuidanceSettings()
    for settings in (chosen.maps, chosen.settings.resolved(own), chosen.region):
        put(entry, settings)
    entry.picks, entry.variants = chosen.picks, chosen.variants
    entry.grow, entry.invert = chosen.grow, chosen.invert
    entry.painted = _painting(entry, chosen.painted)
    if chosen.threshold is not None:
        entry.threshold = chosen.threshold


def _painting(entry: bpy.types.PropertyGroup, written: str) -> bpy.types.Image | None:
    """The image of what was painted on an edit's mask: one that is there already, where one is."""
    painted, settings = painting.parse(written), entry.id_data.watch_your_steps
    if painted is None:
        return None
    for image in (settings.painted_image, *(one.painted for one in settings.edits)):
        known = None if image is None else painting.read(image)
        if known is not None and np.array_equal(known, painted):
            return image
    return painting.new_image(f"{entry.id_data.name} painting (earlier)", painted)


def new_entry(settings: bpy.types.PropertyGroup, instruction: str) -> bpy.types.PropertyGroup:
    """At the top of the list."""
    settings.edits.add()
    settings.edits.move(len(settings.edits) - 1, 0)
    entry = settings.edits[0]
    entry.name = entry.instruction = entry.title = instruction
    entry.uid = new_uid()
    return entry


def adopt(scene: bpy.types.Scene) -> None:
    """Keep an edit from before edits were kept. It was made of the render that the scene shows:
    call this before that is replaced. Its settings are not known.
    """
    settings = scene.watch_your_steps
    if settings.edit_image is None or _shown(settings) is not None:
        return
    entry = new_entry(settings, settings.edit_of)
    entry.image, entry.render, entry.picture = (
        settings.edit_image,
        settings.render_image,
        settings.picture,
    )
    if settings.relevance_of == settings.edit_of:
        entry.relevance, entry.normalisation = settings.relevance_image, settings.relevance_by
    entry.threshold = settings.threshold
    entry.suggested_threshold = settings.suggested_threshold
    entry.prompt_check = settings.prompt_check


def _shown(settings: bpy.types.PropertyGroup) -> bpy.types.PropertyGroup | None:
    """The entry of the edit that is shown."""
    image = settings.edit_image
    return next((one for one in settings.edits if image is not None and one.image == image), None)


def chosen(scene: bpy.types.Scene) -> bpy.types.PropertyGroup | None:
    """The entry that is chosen in the list, or None where there is none."""
    settings = scene.watch_your_steps
    count = len(settings.edits)
    return settings.edits[settings.edit_index] if 0 <= settings.edit_index < count else None


def named(settings: bpy.types.PropertyGroup, uid: str) -> bpy.types.PropertyGroup | None:
    """The entry of an edit; None where there is none any more."""
    return next((one for one in settings.edits if uid and one.uid == uid), None)


def depth(settings: bpy.types.PropertyGroup, entry: bpy.types.PropertyGroup) -> int:
    """On top of how many other edits an edit is, as far as these are in the list."""
    count, below = 0, named(settings, entry.parent)
    while below is not None and count < len(settings.edits):
        count, below = count + 1, named(settings, below.parent)
    return count


def below_next(settings: bpy.types.PropertyGroup) -> bpy.types.PropertyGroup | None:
    """The entry of the edit that the next one will be on top of; None where that is not kept."""
    image = settings.base_image
    if image is None:
        return None
    found = next((one for one in settings.edits if one.image == image), None)
    return found if found is not None else named(settings, image.get(pictures.EDIT, ""))


def base(scene: bpy.types.Scene) -> taken_pictures.Picture | None:
    """The picture that the next edit is to be made of, where there is one: the shown render, or the
    shown edit; None where a new picture has to be taken first, also because another source of it
    was chosen.

    Raises:
        SceneError: it was deleted, or is no longer what was made.
    """
    settings = scene.watch_your_steps
    if settings.base == "EDIT":
        return _on_top(settings)
    image, identity = settings.render_image, settings.picture
    if settings.root_image is not None:
        image = settings.root_image
        identity = taken_pictures.identity_of(_packed(image), thing_labels.of(image))
    if image is None or not picture_source.is_chosen(settings, image):
        return None
    picture = taken_pictures.picture_of(image, identity)
    if picture is None:
        raise SceneError(f'The image "{image.name}" is no longer the packed render: preview again.')
    return picture


def _on_top(settings: bpy.types.PropertyGroup) -> taken_pictures.Picture:
    image = settings.base_image
    if image is None:
        raise SceneError(
            "There is no edit to go on from: press Edit first, or choose Picture instead of Shown "
            "Edit."
        )
    if image.packed_file is None:
        raise SceneError(
            f'The image "{image.name}" is no longer packed: pack it (File > External Data), or '
            "choose another edit in the list."
        )
    png = image.packed_file.data
    if pictures.EDIT in image:  # put back with an edit that was made of it
        identity = taken_pictures.identity_of(png, thing_labels.of(image))
        picture = taken_pictures.picture_of(image, identity)
        assert picture is not None  # it is packed, and every base says where it was taken from
        return picture
    entry = next((one for one in settings.edits if one.image == image), None)
    render = entry.render if entry is not None else None
    seen = taken_pictures.picture_of(render, "") if render is not None else None
    if entry is None or seen is None:
        raise SceneError(
            "The render that the shown edit was made of was deleted from the file: choose another "
            "edit in the list, or Picture instead of Shown Edit."
        )
    identity = taken_pictures.identity_of(png, seen.things)
    return dataclasses.replace(seen, identity=identity, png=png, edit=entry.uid)


def _packed(image: bpy.types.Image) -> bytes:
    return image.packed_file.data if image.packed_file is not None else b""


def render_of_shown(settings: bpy.types.PropertyGroup) -> bpy.types.Image | None:
    """The render that the shown edit was made of: not the last one, where there was another preview
    since.
    """
    entry = _shown(settings)
    render = entry.render if entry is not None else None
    return render if render is not None else settings.render_image


def before_shown(settings: bpy.types.PropertyGroup) -> bpy.types.PropertyGroup | None:
    """The entry of the edit that was made before the shown one, or None where there is none."""
    shown = _shown(settings)
    later = [index for index, one in enumerate(settings.edits) if one == shown]
    after = later[0] + 1 if later else len(settings.edits)
    return settings.edits[after] if after < len(settings.edits) else None


def beside(settings: bpy.types.PropertyGroup) -> bpy.types.Image | None:
    """The picture that the shown edit is compared with: the one that it was made of, or the edit
    before it, where that is asked for and there is one.
    """
    before = before_shown(settings) if settings.compare_with == "BEFORE" else None
    if before is not None and before.image is not None:
        return before.image
    return render_of_shown(settings)


def show(scene: bpy.types.Scene) -> None:
    """Show the edit that is chosen in the list."""
    settings, entry = scene.watch_your_steps, chosen(scene)
    if entry is None or entry.image is None:
        return
    settings.edit_image, settings.edit_of = entry.image, entry.instruction
    settings.base_image = entry.image
    settings.view = "EDIT"


def restore(scene: bpy.types.Scene) -> None:
    """Put the render, the map, the threshold and the settings back with which the chosen edit was
    made, and show it; of one at full size, those of the edit that it was made of, as its own are
    for a larger picture. What is not known of it stays as it is.
    """
    settings, entry = scene.watch_your_steps, chosen(scene)
    assert entry is not None  # the operator's poll has found it
    copies.settle(scene)
    small = named(settings, entry.made_of)
    source = entry if small is None else small
    if source.known:
        copy(source, settings)
        settings.seed = entry.seed
    if entry.instruction:  # else it was kept of layers
        settings.instruction = entry.instruction
    show(scene)
    if source.render is not None and source.relevance is not None:
        results.put_back(scene, source)


def not_restored(entry: bpy.types.PropertyGroup) -> str:
    """What `restore` cannot bring back, as a sentence; "" where that is nothing."""
    if entry.made_of:
        small = named(entry.id_data.watch_your_steps, entry.made_of)
        return FULL_SIZE_ALONE if small is None else not_restored(small)
    pairs = ((entry.render, "picture that it was made of"), (entry.relevance, "relevance map"))
    lost = [words for image, words in pairs if image is None]
    if not lost or not entry.known:
        return ""
    return f"The {' and the '.join(lost)} of this edit is gone, so the shown render and map stay."


def delete(scene: bpy.types.Scene) -> None:
    """Delete the chosen edit with its layer, and its pictures where nothing else uses them."""
    settings, entry = scene.watch_your_steps, chosen(scene)
    assert entry is not None  # the operator's poll has found it
    images = [getattr(entry, name) for name in copies.KEPT_PICTURES]
    was_shown = settings.edit_image is not None and settings.edit_image == entry.image
    uid = entry.uid
    settings.edits.remove(settings.edit_index)
    if settings.base_image in images:
        settings.base_image = None
    if was_shown:
        settings.edit_image, settings.edit_of = None, ""
        if settings.view in ("EDIT", "COMPARE"):
            settings.view = "RELEVANCE" if settings.relevance_image is not None else "RENDER"
    layer_list.remove_of(settings, uid)
    settings.edit_index = min(settings.edit_index, len(settings.edits) - 1)  # shows the next one
    for image in images:
        if image is not None and image.users == 0:
            bpy.data.images.remove(image)
