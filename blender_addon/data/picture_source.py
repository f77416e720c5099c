"""Where a picture comes from, as the panel says it and as a picture's data-block keeps it."""

from dataclasses import dataclass, field

import bpy

RENDER, RESULT, IMAGE, VIEWPORT = "RENDER", "RESULT", "IMAGE", "VIEWPORT"
SOURCE, NAME = "watch_your_steps_source", "watch_your_steps_source_name"
"""Custom properties of a picture's Image data-block; a render of before there was a choice has
none."""
ENGINES = {"EEVEE": "EEVEE", "WORKBENCH": "Workbench"}
"""What renders the viewport's picture, and what people call it."""


@dataclass(frozen=True)
class Source:
    """Where a picture comes from."""

    kind: str = RENDER
    name: str = ""
    """The full name of the image, or which of ENGINES has rendered the viewport; else ""."""
    uid: int = field(default=0, compare=False)
    """ID.session_uid of the image, which may be renamed; 0 where it is known by its name alone."""

    @property
    def words(self) -> str:
        """For people, such as 'image "photo.jpg"'; "" for a render of the add-on's own."""
        if self.kind == IMAGE:
            return f'image "{self.name}"'
        return {RESULT: "Render Result", VIEWPORT: f"{ENGINES.get(self.name, '')} viewport"}.get(
            self.kind, ""
        )


NEW_RENDER = Source()


def of(picture: bpy.types.Image) -> Source:
    """Where the picture in an Image data-block of ours was taken from."""
    return Source(picture.get(SOURCE, RENDER), picture.get(NAME, ""))


def put(picture: bpy.types.Image, source: Source) -> None:
    """Keep that with the picture."""
    picture[SOURCE], picture[NAME] = source.kind, source.name


def chosen(settings: bpy.types.PropertyGroup) -> Source:
    """Where the scene's next picture is to be taken from."""
    source = settings.source
    if source.kind == IMAGE:
        image = source.image
        return Source(IMAGE, image.name_full, image.session_uid) if image else Source(IMAGE)
    return Source(source.kind, source.engine if source.kind == VIEWPORT else "")


def is_chosen(settings: bpy.types.PropertyGroup, picture: bpy.types.Image) -> bool:
    """Whether a picture comes from where the next one is to be taken from; also where its image is
    gone, and no other one is chosen.
    """
    source = of(picture)
    if source.kind == settings.source.kind == IMAGE:
        return bool(image_of(settings, picture) == settings.source.image)
    return source == chosen(settings)


def image_of(settings: bpy.types.PropertyGroup, picture: bpy.types.Image) -> bpy.types.Image | None:
    """The image that a picture of the scene was taken from, whatever it is called by now; None
    where it was none, or is not in the file any more.
    """
    source = of(picture)
    if source.kind != IMAGE:
        return None
    if picture in (settings.render_image, settings.root_image):
        return settings.source.taken
    entry = next((one for one in settings.edits if picture in (one.render, one.root)), None)
    return entry.source_image if entry is not None else named(source)


def named(source: Source) -> bpy.types.Image | None:
    """The image of a source; None where it is not in the file any more."""
    for one in bpy.data.images:
        known = one.session_uid == source.uid if source.uid else one.name_full == source.name
        if known:
            return one
    return None


def choose(
    settings: bpy.types.PropertyGroup, picture: bpy.types.Image, image: bpy.types.Image | None
) -> None:
    """Choose again what a picture was taken from.

    Args:
        settings: of the scene.
        picture: its Image data-block.
        image: where that was one: what it was taken from, None where it is not known any more.
    """
    source = of(picture)
    settings.source.kind = source.kind
    if source.kind == IMAGE:
        settings.source.image = settings.source.taken = image
    elif source.kind == VIEWPORT:
        settings.source.engine = source.name
