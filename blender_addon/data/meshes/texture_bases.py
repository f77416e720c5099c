"""What the next edit of a texture is made of: the original, or what the mesh shows."""

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from . import live_textures, moved_threshold
from .edited_textures import (
    is_edit,
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


@contextmanager
def base_shown(context: bpy.types.Context) -> Iterator[None]:
    """Let the active object show what the next edit is made of, without a preview, from now on; as
    before, where something does not work. An edit whose threshold was moved is written into a
    texture of its own for that.

    Raises:
        SceneError: a picture is not in the file any more.
    """
    thing, engine = context.active_object, context.scene.render.engine
    texture = context.scene.watch_your_steps.texture
    with live_textures.without_preview(thing, engine):
        if thing is not None and thing.type == "MESH":
            with _base_shown(thing, texture, engine):
                yield
        else:
            yield  # is refused


@contextmanager
def _base_shown(
    thing: bpy.types.Object, texture: bpy.types.PropertyGroup, engine: str
) -> Iterator[None]:
    edited = shown_edit(thing, texture.image, engine)
    mixed = live_textures.mixed(thing)
    if edited is None or any(one != edited for one in mixed):  # the latter is refused
        yield
        return
    threshold, made = edited.watch_your_steps.region.threshold, None
    if texture.base == "ORIGINAL":
        show_itself(thing, original_of(edited), engine)
    elif mixed:
        made = moved_threshold.apply(thing, edited, engine)
    try:
        yield
    except Exception:
        if made is not None:
            revert(thing, made)
            edited.watch_your_steps.region.threshold = threshold
        show(thing, edited, "EDITED", engine)
        raise


@contextmanager
def shown_itself(context: bpy.types.Context, image: bpy.types.Image) -> Iterator[None]:
    """Let the active object show a version of its texture, without a preview, from now on; as
    before, where something does not work.

    Args:
        context: a mesh object is active.
        image: the version.
    """
    thing, engine = context.active_object, context.scene.render.engine
    with live_textures.without_preview(thing, engine):
        edited = texture_of(thing, image)
        what = "" if edited is None else shown(thing, edited, engine)
        show_itself(thing, image, engine)
        try:
            yield
        except Exception:
            if what:
                show(thing, edited, what, engine)
            raise


def put_preview(thing: bpy.types.Object, image: bpy.types.Image, engine: str) -> bool:
    """Show the preview of a texture on an object, also where that shows another version of it;
    whether there was a node to do it.
    """
    edited = shown_edit(thing, image, engine)
    if (edited or original_of(image)) != image:
        show_itself(thing, image, engine)
    return live_textures.put_preview(thing, image, engine)
