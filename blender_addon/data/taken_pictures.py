"""Pictures as they were taken: by which camera, from where, at which frame and of what, and how the
Image data-block of one keeps that.
"""

import hashlib
from dataclasses import dataclass

import bpy

from . import picture_source, pictures, thing_labels
from .picture_source import IMAGE, NEW_RENDER, Source
from .thing_labels import Things

VIEWPOINT = "watch_your_steps_viewpoint"
"""Custom property of a render's Image data-block."""
STATE = "watch_your_steps_state"
"""The same: what it depends on (freshness)."""
CAMERA, FRAME = "watch_your_steps_camera", "watch_your_steps_frame"
"""The same: what it was taken by, in words for people."""


@dataclass(frozen=True)
class Place:
    """Where something was painted."""

    viewpoint: tuple[float, ...]
    """Of the picture; () for none."""
    source: Source
    """Of the picture."""
    camera: str
    """What took the picture, "" where that is not known."""
    frame: int
    """At which frame."""


@dataclass(frozen=True)
class Picture:
    """A render that results belong to."""

    identity: str
    png: bytes
    """Its file, 8-bit RGB, or RGBA where the film is transparent."""
    viewpoint: tuple[float, ...]
    """Where it was taken from (capture.viewpoint); () where that is not known."""
    camera: str = ""
    """Name of the camera that took it."""
    frame: int = 0
    """Of the scene."""
    state: str = ""
    """What it depends on (freshness), as JSON."""
    things: Things | None = None
    """What it shows, where somebody has looked."""
    edit: str = ""
    """The uid of the edit whose picture this is; "" for a render."""
    source: Source = NEW_RENDER
    """Where it comes from."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return pictures.png_size(self.png)

    def shows_the_same(self, image: bpy.types.Image) -> bool:
        """Whether a render, or an edit of one, shows the scene as this does: what was found in one
        of them is in the same place in the other.
        """
        if not is_taken(image) or pictures.size_of(image) != self.size:
            return False
        taken = (tuple(image.get(VIEWPOINT, ())), image.get(STATE, ""), taken_by(image))
        own = (tuple(self.viewpoint), self.state, (self.camera, self.frame))
        return taken == own and picture_source.of(image) == self.source


def identity_of(png: bytes, things: Things | None) -> str:
    """The identity of a picture with what it shows."""
    shown = b"" if things is None else things.packed + things.kind.encode()
    return hashlib.sha256(png + shown).hexdigest()


def new_render(scene: bpy.types.Scene, picture: Picture) -> bpy.types.Image:
    """A picture as a new Image data-block, from which `picture_of` has it again."""
    image = pictures.new_packed_image(f"{scene.name} render", picture.png)
    if picture.source.kind != IMAGE:  # which is no render, and stays as it looks
        pictures.tag_as_seen(scene, image)
    if picture.viewpoint:
        image[VIEWPOINT] = picture.viewpoint
    image[STATE] = picture.state
    picture_source.put(image, picture.source)
    image[CAMERA], image[FRAME] = picture.camera, picture.frame
    if picture.edit:
        image[pictures.EDIT] = picture.edit
    if picture.things is not None:
        thing_labels.put(image, picture.things)
    return image


def picture_of(image: bpy.types.Image, identity: str) -> Picture | None:
    """The render in an Image data-block, or None where the artist has unpacked or replaced it."""
    if image.packed_file is None or not is_taken(image):
        return None
    view, state = tuple(image.get(VIEWPOINT, ())), image.get(STATE, "")
    things = thing_labels.of(image)
    png, edit = image.packed_file.data, image.get(pictures.EDIT, "")
    source = picture_source.of(image)
    return Picture(identity, png, view, *taken_by(image), state, things, edit, source)


def tag_alike(image: bpy.types.Image, picture: bpy.types.Image) -> None:
    """Say of an image what is known of a picture that it shows at another size; but for what things
    it shows.
    """
    for name in (
        VIEWPOINT,
        STATE,
        pictures.EDIT,
        CAMERA,
        FRAME,
        picture_source.SOURCE,
        picture_source.NAME,
    ):
        if name in picture:
            image[name] = picture[name]
    image.colorspace_settings.name = picture.colorspace_settings.name


def is_taken(image: bpy.types.Image) -> bool:
    """Whether an image is a picture that results can belong to."""
    return VIEWPOINT in image or picture_source.SOURCE in image


def taken_by(render: bpy.types.Image) -> tuple[str, int]:
    """The name of the camera that took a render, "" where it is not known, and the frame."""
    return render.get(CAMERA, ""), render.get(FRAME, 0)


def place_of(picture: bpy.types.Image | None) -> Place | None:
    """Where a picture, or what was painted on one, belongs; None where it is not known."""
    if picture is None or not is_taken(picture):
        return None
    view = tuple(picture.get(VIEWPOINT, ()))
    return Place(view, picture_source.of(picture), *taken_by(picture))
