"""What edits of frames keep to of the correction of a picture's mask: what was painted, which
follows the scene's surfaces or stays where it lies in the picture, and the things that were clicked
on, by their names.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

import bpy
import msgspec
import numpy as np

from ..data import painting, picture_source, pictures, results, taken_pictures, thing_labels
from ..data.changing import at_frame
from ..data.frame_painting import FOLLOW, LEAVE_OUT
from ..data.region import Picks
from ..data.scene_error import SceneError
from ..data.taken_pictures import Picture, Place
from ..data.thing_labels import unpacked
from ..protocol.corrections import ADDED, NOTHING, TAKEN, Painted
from ..render import painted_scene
from ..render.carried_paint import PaintedScene, carried
from ..render.seen import NO_MATERIAL, Seen
from ..render.things import REST
from .job import SessionError
from .one_render import OneRender

OTHER_THINGS = (
    "What you have picked is of another kind of things than the frames will have: set Things back, "
    "or preview again and pick anew."
)
RENAMED = (
    '"{}", which you have picked, is not called so any more: preview again and pick it anew, or '
    "clear the picked things."
)
NOT_KNOWN = "So what you have picked is not found in this frame."
NOT_CARRIED = "So what you have painted cannot be followed to this frame."
OF = " of "
"""Between an instance and what it is an instance by (things.py)."""
PART = re.compile(r", (part|island) \d+$")


class FrameCorrection(msgspec.Struct, frozen=True):
    """What a film's frames keep to, as it is saved."""

    painted: str = ""
    """Tells what was painted from all else; "" for nothing."""
    follows: bool = False
    """Whether that follows the scene."""
    viewpoint: tuple[float, ...] = ()
    """Where it was painted, if it follows."""
    camera: str = ""
    frame: int = 0
    added: tuple[str, ...] = ()
    """Names of picked things."""
    removed: tuple[str, ...] = ()


@dataclass(eq=False)
class FilmPainting:
    """What was painted, which all frames of a film share."""

    painted: Painted
    then: PaintedScene | None = None
    """The scene as it was painted on, once somebody has looked."""
    session: int = 0
    """Scene.session_uid then: a file that is opened anew gives all objects others, by which `then`
    knows them."""


def has_some(settings: bpy.types.PropertyGroup) -> bool:
    """Whether anything is painted or picked."""
    return settings.painted_image is not None or Picks.read(settings.picks) != Picks()


def where_painted(settings: bpy.types.PropertyGroup) -> Place | None:
    """Where what is painted was painted; None where that is not known. What is from before that was
    kept belongs to the shown picture, where it was painted from there.
    """
    place = taken_pictures.place_of(settings.painted_image)
    if place is not None and place.camera:
        return place
    if place is not None and results.is_painted_elsewhere(settings):
        return place
    return taken_pictures.place_of(settings.render_image) or place


def why_not(settings: bpy.types.PropertyGroup) -> str:
    """Why frames cannot be edited with the correction as it is, as a sentence; "" where they
    can.
    """
    if settings.frames_painting == LEAVE_OUT:
        return ""
    image = settings.painted_image
    if image is not None and (lost := pictures.why_lost(image)):
        return f"{lost}. Clear the painting with the cross."
    if image is not None and settings.frames_painting == FOLLOW:
        render = settings.id_data.render
        pixel = render.pixel_aspect_x / render.pixel_aspect_y
        of = where_painted(settings), pictures.size_of(image), pixel
        return painted_scene.why_not(*of) or _why_no_picks(settings)
    return _why_no_picks(settings)


def _why_no_picks(settings: bpy.types.PropertyGroup) -> str:
    if Picks.read(settings.picks) == Picks():
        return ""
    render = settings.render_image
    known = None if render is None else thing_labels.of(render)
    if known is None or known.kind != settings.things:
        return OTHER_THINGS
    gone = [name for name in _names(settings) if not is_there(known.kind, name)]
    return RENAMED.format(gone[0]) if gone else ""


def _names(settings: bpy.types.PropertyGroup) -> list[str]:
    """Of all picked things."""
    picks = Picks.read(settings.picks)
    return [one for labels in (picks.added, picks.removed) for one in _named(settings, labels)]


def _named(settings: bpy.types.PropertyGroup, labels: frozenset[int]) -> tuple[str, ...]:
    names = thing_labels.names(settings.render_image)
    return tuple(names[label] for label in sorted(labels) if label < len(names))


def is_there(kind: str, name: str) -> bool:
    """Whether something is called so that a thing of this name, of a kind of `things.KINDS`, could
    be.
    """
    if name == REST:
        return True
    blocks = bpy.data.materials if kind == "MATERIALS" else bpy.data.objects
    title = PART.sub("", name)
    if title in blocks or name == NO_MATERIAL:
        return True
    names = [one.name_full for one in blocks]
    return title in names or any(title.startswith(one + OF) for one in names)


def now(
    settings: bpy.types.PropertyGroup,
) -> tuple[FrameCorrection | None, FilmPainting | None]:
    """The correction that frames are to be edited with, None for none.

    Raises:
        SessionError: they cannot be.
    """
    if settings.frames_painting == LEAVE_OUT or not has_some(settings):
        return None, None
    if wrong := why_not(settings):
        raise SessionError(wrong)
    picks, image = Picks.read(settings.picks), settings.painted_image
    added, removed = (_named(settings, one) for one in (picks.added, picks.removed))
    painted = None if image is None else painting.read(image)
    if painted is None:
        return FrameCorrection(added=added, removed=removed), None
    follows = settings.frames_painting == FOLLOW
    place = where_painted(settings) if follows else None
    correction = FrameCorrection(
        painted=hashlib.sha256(f"{painted.shape}".encode() + painted.tobytes()).hexdigest(),
        follows=follows,
        viewpoint=() if place is None else place.viewpoint,
        camera="" if place is None else place.camera,
        frame=0 if place is None else place.frame,
        added=added,
        removed=removed,
    )
    return correction, FilmPainting(painted)


class CorrectedFrame:
    """The correction of one frame's mask, found beside its picture."""

    def __init__(self, of: FrameCorrection | None, given: FilmPainting | None) -> None:
        self._of, self._given = of or FrameCorrection(), given
        self._looking: OneRender[PaintedScene] | None = None
        self._carried: list[Painted] = []

    @property
    def _follows(self) -> bool:
        return self._of.follows and self._given is not None

    @property
    def is_looking(self) -> bool:
        """Whether a look at the scene as it was painted on has begun, and not ended."""
        return self._looking is not None

    def is_ready(self, scene: bpy.types.Scene) -> bool:
        """Whether the frame's picture may be taken; until then, call this again. Nothing else may
        be rendered meanwhile.

        Raises:
            SceneError: what was painted follows nothing (NotFollowed), or the look was stopped.
        """
        given = self._given
        if given is None or not self._of.follows:
            return True
        if given.then is not None and given.session == scene.session_uid:
            return True
        if self._looking is None:
            of = self._of
            place = Place(of.viewpoint, picture_source.NEW_RENDER, of.camera, of.frame)
            moment = at_frame(scene, of.frame)
            self._looking = OneRender(painted_scene.looking(scene, moment, given.painted, place))
            given.session = scene.session_uid
        given.then = self._looking.result()
        if given.then is not None:
            self._looking = None
        return given.then is not None

    @property
    def look(self) -> Callable[[Seen], None] | None:
        """What is to look at the frame, in any thread."""
        return self._carry if self._follows else None

    def _carry(self, seen: Seen) -> None:
        assert self._given is not None
        assert self._given.then is not None
        self._carried.append(carried(self._given.then, seen))

    def check(self, things: str) -> None:
        """Raise SceneError where picked things are not called so any more."""
        for name in (*self._of.added, *self._of.removed):
            if not is_there(things, name):
                raise SceneError(RENAMED.format(name))

    def painted(self, picture: Picture, shape: tuple[int, int]) -> Painted | None:
        """What is painted on the frame's picture, (H, W); None for nothing.

        Raises:
            SceneError: it cannot be carried to it.
        """
        if self._given is None:
            return None
        if not self._of.follows:
            return painting.scaled(self._given.painted, shape)
        if not self._carried:
            raise SceneError(f"{_unknown(picture)} {NOT_CARRIED}")
        return self._carried[0]

    def clicked(self, picture: Picture, shape: tuple[int, int]) -> Painted | None:
        """What is picked of it, the same way.

        Raises:
            SceneError: its things are not known.
        """
        of = self._of
        if not of.added and not of.removed:
            return None
        labels = None if picture.things is None else unpacked(picture.things.packed, shape)
        if picture.things is None or labels is None:
            raise SceneError(f"{_unknown(picture)} {NOT_KNOWN}")
        what = np.array(
            [
                ADDED if name in of.added else TAKEN if name in of.removed else NOTHING
                for name in picture.things.names
            ],
            np.uint8,
        )
        return what[labels]


def _unknown(picture: Picture) -> str:
    return "" if picture.things is None else picture.things.unknown
