"""What the next edit of a texture is made of: the original, or what the mesh shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import bpy

from ..blocks import with_uid
from . import live_textures, moved_threshold, texture_regions
from .edited_textures import (
    is_edit,
    nodes_with,
    original_of,
    revert,
    show,
    show_itself,
    shown,
    texture_of,
    to_paint,
)


def shown_edit(
    thing: bpy.types.Object, chosen: bpy.types.Image | None, engine: str
) -> bpy.types.Image | None:
    """The edit that an object shows of the chosen texture, or where none is chosen of its main one;
    None where it shows the original.

    Args:
        thing: a mesh object.
        chosen: a version of the texture, where the object has several.
        engine: the scene's.
    """
    _, image = to_paint(thing, chosen, engine)
    if image is None:
        return None
    mixed = live_textures.mixed(thing)
    of_texture = (one for one in mixed if original_of(one) == original_of(image))
    return next(of_texture, image if is_edit(image) else None)


def base_of(
    thing: bpy.types.Object, texture: bpy.types.PropertyGroup, engine: str
) -> bpy.types.Image | None:
    """The image that the next edit is made of. None where there is none, or none yet, as a moved
    threshold mixes two.

    Args:
        thing: a mesh object.
        texture: the scene's settings of textures.
        engine: the scene's.
    """
    if texture.base == "EDIT" and live_textures.mixed(thing):
        return None
    _, image = to_paint(thing, texture.image, engine)
    return original_of(image) if image is not None and texture.base == "ORIGINAL" else image


@dataclass
class Before:
    """What an object showed before it was made to show what an edit is made of. It is known by
    session uids, as an undo may come between.
    """

    thing: int = 0
    engine: str = ""
    previewed: list[int] = field(default_factory=list)
    """Textures whose previews it showed."""
    edited: int = 0
    """The edit that it showed, 0 for none."""
    what: str = "EDITED"
    """Which of SHOWN of that."""
    made: int = 0
    """What that was written into, at its moved threshold."""
    threshold: float = 0.0
    """The moved one."""
    now: int = 0
    """The image that it shows since."""

    @classmethod
    def of(cls, thing: bpy.types.Object, engine: str) -> "Before":
        """An object that still shows its previews."""
        previewed = [image.session_uid for image in live_textures.previewed(thing)]
        return cls(thing.session_uid, engine, previewed)

    def put_back(self) -> None:
        """Let it show that again, unless the artist has chosen something else since."""
        thing, edited = with_uid(bpy.data.objects, self.thing), self._image(self.edited)
        now, made = self._image(self.now), self._image(self.made)
        if thing is None or now is None or not nodes_with(thing, now, self.engine):
            return
        if live_textures.mixed(thing) or live_textures.is_previewed(thing):
            return
        if edited is not None:
            if made is not None:
                revert(thing, made)
                edited.watch_your_steps.region.threshold = self.threshold
            show(thing, edited, self.what, self.engine)
        for uid in self.previewed:
            image = self._image(uid)
            if image is not None and texture_regions.chosen_map(image.watch_your_steps.preview):
                live_textures.put_preview(thing, image, self.engine)

    def _image(self, uid: int) -> bpy.types.Image | None:
        return with_uid(bpy.data.images, uid)


@contextmanager
def base_shown(context: bpy.types.Context) -> Iterator[Before]:
    """Let the active object show what the next edit is made of, without a preview, from now on; as
    before, where something does not work. An edit whose threshold was moved is written into a
    texture of its own for that. Gives what it showed before.

    Raises:
        SceneError: a picture is not in the file any more.
    """
    thing, engine = context.active_object, context.scene.render.engine
    texture = context.scene.watch_your_steps.texture
    if thing is None or thing.type != "MESH":
        yield Before()  # is refused
        return
    with base_shown_of(thing, texture.image, texture.base, engine) as before:
        yield before


@contextmanager
def base_shown_of(
    thing: bpy.types.Object, chosen: bpy.types.Image | None, base: str, engine: str
) -> Iterator[Before]:
    """The same of any mesh object.

    Args:
        thing: the object.
        chosen: a version of the texture, where it has several.
        base: ORIGINAL or EDIT.
        engine: the scene's.
    """
    before = Before.of(thing, engine)
    with live_textures.without_preview(thing, engine), _base_shown(thing, chosen, base, before):
        yield before


@contextmanager
def _base_shown(
    thing: bpy.types.Object, chosen: bpy.types.Image | None, base: str, before: Before
) -> Iterator[None]:
    engine = before.engine
    edited = shown_edit(thing, chosen, engine)
    mixed = live_textures.mixed(thing)
    if edited is None or any(one != edited for one in mixed):  # the latter is refused
        _, image = to_paint(thing, chosen, engine)
        before.now = image.session_uid if image is not None else 0
        yield
        return
    threshold = edited.watch_your_steps.region.threshold
    made: bpy.types.Image | None = None
    now = edited
    if base == "ORIGINAL":
        now = original_of(edited)
        show_itself(thing, now, engine)
    elif mixed:
        made = now = moved_threshold.apply(thing, edited, engine)
        before.made, before.threshold = made.session_uid, threshold
    before.edited, before.now = edited.session_uid, now.session_uid
    try:
        yield
    except Exception:
        if made is not None:
            revert(thing, made)
            edited.watch_your_steps.region.threshold = threshold
        show(thing, edited, "EDITED", engine)
        raise


@contextmanager
def shown_itself(thing: bpy.types.Object, image: bpy.types.Image, engine: str) -> Iterator[Before]:
    """Let an object show a version of its texture, without a preview, from now on; as before, where
    something does not work. Gives what it showed before.

    Args:
        thing: a mesh object.
        image: the version.
        engine: the scene's.
    """
    before = Before.of(thing, engine)
    with live_textures.without_preview(thing, engine):
        edited = texture_of(thing, image)
        before.what = "" if edited is None else shown(thing, edited, engine)
        show_itself(thing, image, engine)
        before.now = image.session_uid
        before.edited = edited.session_uid if edited is not None and before.what else 0
        try:
            yield before
        except Exception:
            if before.what:
                show(thing, edited, before.what, engine)
            raise


@contextmanager
def shown_for_now(thing: bpy.types.Object, image: bpy.types.Image, engine: str) -> Iterator[None]:
    """The same, and in the end as before."""
    with shown_itself(thing, image, engine) as before:
        yield
    before.put_back()


def put_preview(thing: bpy.types.Object, image: bpy.types.Image, engine: str) -> bool:
    """Show the preview of a texture on an object, also where that shows another version of it;
    whether there was a node to do it.
    """
    edited = shown_edit(thing, image, engine)
    if (edited or original_of(image)) != image:
        show_itself(thing, image, engine)
    return live_textures.put_preview(thing, image, engine)
