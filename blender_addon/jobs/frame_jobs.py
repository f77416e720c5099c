"""Edits of a picture over the scene's frames: each frame is taken as it is then and edited inside a
mask of its own, all at one threshold and with one seed, corrected by what was painted and picked
(frame_corrections.py), and written into the output folder.

One job a frame; those to come wait with the scene's other edits (waiting.py). What a film is asked
to be made with is in its files' names, so that asking for the same again goes on with the frames
that are missing.
"""

import hashlib
from pathlib import Path

import bpy
import msgspec
import numpy as np
from numpy.typing import NDArray

from ..data import picture_source, pictures, results
from ..data.changing import at_frame
from ..data.migration import new_uid
from ..data.properties_settings import asked
from ..data.taken_pictures import Picture
from ..data.thing_labels import unpacked
from ..link.arrived import Arrived
from ..link.encode import encode_png
from ..link.worker_thread import Link
from ..protocol.corrections import Correction
from ..protocol.messages import CaptureState
from ..protocol.requests import EditRequest, EditResult
from ..protocol.settings import EditSettings, PictureMapSettings, RegionSettings
from ..render import render_job
from ..render.painted_scene import NotFollowed
from ..render.rendered_files import Stopped
from ..render.take_picture import taking_picture
from . import frame_corrections, frame_files, waiting
from .ahead import Ahead, Parts
from .frame_corrections import CorrectedFrame, FilmPainting, FrameCorrection
from .job import WAITS, Job, Kind, NewJob, SessionError, artist_is_busy
from .one_render import OneRender

KIND = "edit_frame"
NO_FRAMES = (
    "The Picture is an image or a Render Result, which is the same at every frame: choose New "
    "Render or Viewport."
)
NO_MAP = (
    "Preview one of the frames first, and set the threshold: all frames are edited at that one."
)
ALL_THERE = (
    "All frames are there, made with these settings: delete those that are to be made anew from "
    "{}, or choose another seed."
)
TAKEN_OTHERWISE = (
    "Where the picture comes from, its size or its things were changed in the middle: set them "
    "back and press Edit Frames again, which goes on with the frames that are missing."
)


class _Taken(msgspec.Struct, frozen=True):
    """How the frames' pictures are taken."""

    source: str
    engine: str
    max_side: int
    things: str

    @classmethod
    def now(cls, settings: bpy.types.PropertyGroup) -> "_Taken":
        source = picture_source.chosen(settings)
        return cls(source.kind, source.name, settings.max_side, settings.things)


class _Film(msgspec.Struct, frozen=True):
    """What the frames are asked to be made with."""

    instruction: str
    maps: PictureMapSettings
    settings: EditSettings
    region: RegionSettings
    threshold: float
    invert: bool
    grow: int
    taken: _Taken
    correction: FrameCorrection | None = None

    @property
    def name(self) -> str:
        """The same for the same film, in names of files."""
        return f"edit-{hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:8]}"


def frame_jobs(scene: bpy.types.Scene) -> list[NewJob]:
    """The edits of all frames of the scene's range whose files are not there yet.

    Raises:
        SessionError, SceneError: there are none, no camera, no map whose threshold could be used,
            what is painted or picked cannot be kept to, or nothing can be written there.
    """
    settings = scene.watch_your_steps
    if settings.source.kind in (picture_source.IMAGE, picture_source.RESULT):
        raise SessionError(NO_FRAMES)
    frame_files.check_camera(scene)
    if not results.is_current(scene):
        raise SessionError(NO_MAP)
    correction, painting = frame_corrections.now(settings)
    film = _Film(
        settings.instruction,
        asked(PictureMapSettings, settings),
        asked(EditSettings, settings),
        asked(RegionSettings, settings),
        settings.threshold,
        settings.invert,
        settings.grow,
        _Taken.now(settings),
        correction,
    )
    frames = frame_files.frames_of(scene)
    prefix = frame_files.prefix_of(scene, film.name)
    missing = [one for one in frames if not frame_files.file_of(prefix, one).exists()]
    if not missing:
        raise SessionError(ALL_THERE.format(Path(prefix).parent))
    group = new_uid()
    return [
        _job(
            FilmFrame(film, frame, painting),
            str(frame_files.file_of(prefix, frame)),
            f"Frame {frame} ({number} of {len(missing)})",
            group,
        )
        for number, frame in enumerate(missing, 1)
    ]


def _job(frame: "FilmFrame", path: str, title: str, group: str) -> NewJob:
    return NewJob(KIND, frame.film.instruction, path, frame, title=title, group=group)


def written(frame: "FilmFrame") -> str:
    """What a job is to edit, as JSON."""
    return msgspec.json.encode((frame.film, frame.number)).decode()


def job_as_written(
    text: str, path: str, title: str, group: str, painting: FilmPainting | None
) -> NewJob:
    """The same job; `text` is `written`'s, `painting` that of its frame, and the others are those
    of NewJob.
    """
    film, number = msgspec.json.decode(text, type=tuple[_Film, int])
    return _job(FilmFrame(film, number, painting), path, title, group)


def painting_of(text: str) -> str:
    """Tells what was painted for a job, which `written` has made a text of; "" for nothing."""
    film, _ = msgspec.json.decode(text, type=tuple[_Film, int])
    return film.correction.painted if film.correction is not None else ""


class FilmFrame:
    """The preparation: the picture of one frame, and the request to edit it."""

    def __init__(self, film: _Film, number: int, painting: FilmPainting | None) -> None:
        self.film, self.number, self.painting = film, number, painting
        self._corrected = CorrectedFrame(film.correction, painting)
        self._render: OneRender[Picture] | None = None
        self._decoding: Ahead | None = None
        self._image: NDArray[np.uint8] | None = None
        self.taken = b""
        """The PNG file of the picture, once it is there."""

    def step(self, scene: bpy.types.Scene, job: Job, link: Link) -> EditRequest | None:
        """Take it as soon as the artist lets it, and ask for its edit once it is rendered."""
        film = self.film
        try:
            picture = self._picture(scene, job)
        except (Stopped, NotFollowed):  # all of them
            waiting.drop(scene, job.group)
            raise
        if picture is None:
            return None
        if self._decoding is None:
            self.taken, self._decoding = picture.png, Ahead(self._decoded(picture.png))
        if not self._decoding.is_done():
            return None
        image, corrected = self._image, self._corrected
        assert image is not None  # it has just been decoded
        shape = image.shape[0], image.shape[1]
        packed = picture.things.packed if picture.things is not None else b""
        return EditRequest(
            image=image,
            instruction=film.instruction,
            threshold=film.threshold,
            maps=film.maps,
            settings=film.settings,
            region=film.region,
            things=unpacked(packed, shape),
            correction=Correction(
                invert=film.invert,
                clicked=corrected.clicked(picture, shape),
                grow=film.grow,
                painted=corrected.painted(picture, shape),
            ),
        )

    def _picture(self, scene: bpy.types.Scene, job: Job) -> Picture | None:
        """Of the frame, None while it is not there."""
        if self._render is not None:
            return self._render.result()
        if self._corrected.is_looking:
            self._corrected.is_ready(scene)
            return None  # the artist may have begun something meanwhile
        if artist_is_busy() or render_job.is_running():
            job.stage = WAITS
            return None
        if _Taken.now(scene.watch_your_steps) != self.film.taken:
            waiting.drop(scene, job.group)
            raise SessionError(TAKEN_OTHERWISE)
        frame_files.check_camera(scene)
        self._corrected.check(self.film.taken.things)
        job.stage = "rendering: Esc stops all frames"
        if not self._corrected.is_ready(scene):
            return None
        moment = at_frame(scene, self.number)
        self._render = OneRender(taking_picture(scene, moment, self._corrected.look))
        return self._render.result()

    def _decoded(self, png: bytes) -> Parts:
        self._image = yield from pictures.decoding_as_seen(png)


def _install(scene: bpy.types.Scene, job: Job, arrived: Arrived | CaptureState) -> None:
    assert isinstance(arrived, Arrived)
    assert isinstance(arrived.result, EditResult)
    assert isinstance(job.preparation, FilmFrame)
    rgba = pictures.with_alpha_of(job.preparation.taken, arrived.result.image)
    path = Path(job.subject)
    try:
        frame_files.write(path, arrived.files["image"] if rgba is None else encode_png(rgba))
    except SessionError:  # so it would be with the next ones
        waiting.drop(scene, job.group)
        raise
    name = path.name[: -len("0000.png")]
    scene.watch_your_steps.edited_frames = f"{name}… in {path.parent}"


def _attach(scene: bpy.types.Scene, job: Job) -> None:
    raise SessionError(
        "The frames were not all edited when Blender was closed: press Edit Frames again, which "
        "goes on with those that are missing."
    )


EDIT_FRAME = Kind("Edit of a frame", False, _install, _attach)
