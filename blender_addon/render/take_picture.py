"""The picture that Preview and Edit work on, from where the panel says."""

import json
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data import picture_source, taken_pictures
from ..data.changing import at_frame
from ..data.picture_source import Source
from ..data.resizing import fitted
from ..data.scene_error import SceneError
from ..data.taken_pictures import Picture
from ..data.thing_labels import Things
from ..link.encode import encode_png
from . import freshness, render_notes
from .camera_render import (
    Rendering,
    at_once,
    capturing,
    render_size,
    telling_apart,
    viewpoint,
)
from .image_pixels import image_pixels, image_state, seen
from .own_settings import own_settings
from .render_notes import CROPPED, Note
from .seen import Seen, ThingsUnknown
from .stand_in import stand_in
from .things import REST, label_image
from .written_image import Unreadable, written

BUSY = "Blender renders just now: wait until that is done, or stop it with Esc."
NO_RESULT = (
    "There is no Render Result of this scene in the slot that is shown: render first (F12), or "
    "choose New Render as Picture."
)
IMAGE_WITHOUT_THINGS = "An image has no things."
NOT_SEEN = "How this was rendered is not known."
CHANGED = "The scene has changed since this was rendered."


def take_picture(scene: bpy.types.Scene) -> Picture:
    """A new picture from where the scene's settings say.

    Raises:
        SceneError: there is none, or it cannot be rendered; the text says why, and what to do.
    """
    return at_once(taking_picture(scene))


def taking_picture(
    scene: bpy.types.Scene,
    moment: AbstractContextManager[None] | None = None,
    look: Callable[[Seen], None] | None = None,
) -> Rendering[Picture]:
    """The same, with the render, where there is one, left to somebody else (`capturing`). `moment`
    is how the scene is while it is rendered. `look` is called, in any thread, with what the render
    shows, drawn and traced, where that is known.
    """
    source = picture_source.chosen(scene.watch_your_steps)
    if source.kind == picture_source.IMAGE:
        return _of_image(scene, source)
    if bpy.app.is_job_running("RENDER"):  # beside which nothing may be rendered
        raise SceneError(BUSY)
    if source.kind == picture_source.RESULT:
        return _of_result(scene, source)
    return (
        yield from _of_render(scene, source, moment or at_frame(scene, scene.frame_current), look)
    )


def _of_render(
    scene: bpy.types.Scene,
    source: Source,
    moment: AbstractContextManager[None],
    look: Callable[[Seen], None] | None,
) -> Rendering[Picture]:
    settings = scene.watch_your_steps
    alpha, own, kind = (
        scene.render.film_transparent,
        own_settings(settings, source),
        settings.things,
    )
    with moment:
        traced = look is not None
        taken = yield from capturing(scene, settings.max_side, kind, alpha, own, traced)
        by = (viewpoint(scene), scene.camera.name, scene.frame_current)
        state = freshness.state_of(scene, source)
    told = yield from telling_apart(taken, look)  # the scene may be another one after this
    things = Things.of(kind, told.things, told.names, told.unknown)
    identity = taken_pictures.identity_of(told.png, things)
    return Picture(identity, told.png, *by, state, things, source=source)


def _of_image(scene: bpy.types.Scene, source: Source) -> Picture:
    settings, image = scene.watch_your_steps, scene.watch_your_steps.source.image
    png = encode_png(image_pixels(scene, image, settings.max_side))
    things = Things.of(settings.things, None, (), IMAGE_WITHOUT_THINGS)
    state = image_state(image, scene)
    identity = taken_pictures.identity_of(png, things)
    return Picture(identity, png, (), state=state, things=things, source=source)


def _of_result(scene: bpy.types.Scene, source: Source) -> Picture:
    settings, result = scene.watch_your_steps, render_notes.artists_result()
    if result is None:
        raise SceneError(NO_RESULT)
    note = render_notes.note_of(scene, render_notes.shown_slot())
    try:
        whole = written(result, scene)
    except Unreadable as error:
        raise SceneError(NO_RESULT) from error
    alpha = scene.render.film_transparent or scene.render.use_border
    pixels = seen(fitted(whole, settings.max_side), opaque=not alpha)
    things = _things_of_result(scene, source, note, whole, pixels)
    png = encode_png(pixels)
    identity = taken_pictures.identity_of(png, things)
    shown = {"pixels": zlib.crc32(np.ascontiguousarray(whole).data)}
    if note is None or note.other:  # no camera of the scene sees it so
        return Picture(identity, png, (), state=json.dumps(shown), things=things, source=source)
    state = json.dumps(json.loads(note.state) | shown)
    by = (note.viewpoint, note.camera, note.frame)
    return Picture(identity, png, *by, state, things, source=source)


def _things_of_result(
    scene: bpy.types.Scene,
    source: Source,
    note: Note | None,
    whole: NDArray[np.uint8],
    pixels: NDArray[np.uint8],
) -> Things:
    """What the Render Result shows, where the scene is still as it was rendered."""
    kind = scene.watch_your_steps.things
    if note is None:
        return Things.of(kind, None, (), NOT_SEEN)
    if note.other:
        return Things.of(kind, None, (), note.other)
    if freshness.changes(scene, note.state, source):
        return Things.of(kind, None, (), CHANGED)
    height, width = whole.shape[:2]
    if (width, height) != render_size(scene.render, max(width, height)):
        return Things.of(kind, None, (), CROPPED)
    numbers: dict[str, int] = {}
    height, width = pixels.shape[:2]
    try:
        with stand_in(scene) as copy:
            labels = label_image(copy, width, height, kind, numbers)
    except ThingsUnknown as error:
        return Things.of(kind, None, (), str(error))
    if pixels.shape[2] == 4:  # what is cut out of the film, or outside of a border, is no thing
        labels[pixels[..., 3] == 0] = 0
    return Things.of(kind, labels, (REST, *numbers), "")
