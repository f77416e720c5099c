"""The jobs that look at an edited scene by the artist's own camera: one view, or all frames."""

import bpy
import msgspec
import numpy as np

from ..data import pictures
from ..data.changing import at_frame
from ..data.scene_error import SceneError
from ..data.taken_pictures import VIEWPOINT
from ..link.arrived import Arrived
from ..link.worker_thread import Link
from ..protocol.messages import CaptureState
from ..protocol.requests import SceneRenderRequest, SceneRenderResult, wrong_film
from ..render.camera_render import render_size, viewpoint
from ..render.pinhole import Pinhole, pinhole_of
from . import frame_files
from .job import Job, Kind, NewJob, SessionError, artist_is_busy


class Film(msgspec.Struct, frozen=True, kw_only=True):
    """What is rendered; as JSON it is the subject of the job, and saved with the scene."""

    frames: tuple[int, ...]
    """Of the scene."""
    prefix: str | None = None
    """Path of the files to the frame's number; None for a view that is kept in the .blend file."""
    viewpoint: tuple[float, ...] = ()
    """Of such a view (capture.viewpoint)."""


def view_job(scene: bpy.types.Scene) -> NewJob:
    """Render the chosen 3D edit, or the trained field where there is none, as the active camera
    sees it now.

    Raises:
        SessionError: nothing was trained yet, or the view is too large.
        SceneError: there is no camera, or it is no pinhole.
    """
    _check(scene)
    film = Film(frames=(scene.frame_current,), viewpoint=viewpoint(scene))
    return _new_job(scene, film)


def film_job(scene: bpy.types.Scene) -> NewJob:
    """The same at every frame of the scene's range, into the scene's output folder.

    Raises:
        SessionError: nothing was trained yet, there are no frames or too many, or nothing can be
            written there.
        SceneError: there is no camera, or it is no pinhole.
    """
    _check(scene)
    frames = frame_files.frames_of(scene)
    prefix = frame_files.prefix_of(scene, scene.watch_your_steps.in_3d.edit or "scene-in-3d")
    return _new_job(scene, Film(frames=frames, prefix=prefix))


def _check(scene: bpy.types.Scene) -> None:
    if not scene.watch_your_steps.in_3d.field:
        raise SessionError("The scene is not trained yet: press Train first.")
    frame_files.check_camera(scene)
    pinhole_of(scene, scene.camera, *_size(scene))


def _size(scene: bpy.types.Scene) -> tuple[int, int]:
    return render_size(scene.render, scene.watch_your_steps.max_side)


def _new_job(scene: bpy.types.Scene, film: Film) -> NewJob:
    in_3d = scene.watch_your_steps.in_3d
    instruction = in_3d.edit_of if in_3d.edit else ""
    width, height = _size(scene)
    if wrong := wrong_film(len(film.frames), width, height):
        raise SessionError(f"{wrong}.")
    cameras = _Cameras(film, in_3d.capture, in_3d.edit or None, (width, height))
    return NewJob("scene_render", instruction, msgspec.json.encode(film).decode(), cameras)


class _Cameras:
    """The preparation: where the camera is at one frame a step."""

    def __init__(self, film: Film, capture: str, edit: str | None, size: tuple[int, int]) -> None:
        self._film, self._capture, self._edit, self._size = film, capture, edit, size
        self._taken: list[Pinhole] = []

    def step(self, scene: bpy.types.Scene, job: Job, link: Link) -> SceneRenderRequest | None:
        """Look at the next frame; the request, once all of them are there."""
        frames = self._film.frames
        if len(self._taken) < len(frames):
            if not artist_is_busy():
                job.stage = f"frame {len(self._taken) + 1} of {len(frames)}"
                self._taken.append(self._look(scene, frames[len(self._taken)]))
            return None
        width, height = self._size
        return SceneRenderRequest(
            capture=self._capture,
            edit=self._edit,
            width=width,
            height=height,
            intrinsics=np.array([(one.fx, one.fy, one.cx, one.cy) for one in self._taken]),
            camera_to_world=np.stack([one.camera_to_world for one in self._taken]),
        )

    def _look(self, scene: bpy.types.Scene, frame: int) -> Pinhole:
        with at_frame(scene, frame):
            if scene.camera is None:
                raise SceneError("The scene has no active camera any more.")
            return pinhole_of(scene, scene.camera, *self._size)


def _install(scene: bpy.types.Scene, job: Job, end: Arrived | CaptureState) -> None:
    assert isinstance(end, Arrived)
    assert isinstance(end.result, SceneRenderResult)
    film = msgspec.json.decode(job.subject, type=Film)
    files = [end.files[f"frame {number}"] for number in range(len(film.frames))]
    settings = scene.watch_your_steps
    if film.prefix is None:
        image = pictures.new_packed_image(f"{scene.name} 3D view", files[0], end.result.frames[0])
        image[VIEWPOINT] = film.viewpoint
        settings.scene_image, settings.view = image, "IN_3D"
        return
    paths = [frame_files.file_of(film.prefix, frame) for frame in film.frames]
    for path, png in zip(paths, files, strict=True):
        frame_files.write(path, png)
    settings.in_3d.film = f"{paths[0].name} to {paths[-1].name} are in {paths[0].parent}."


def _attach(scene: bpy.types.Scene, job: Job) -> None:
    try:
        msgspec.json.decode(job.subject, type=Film)
    except msgspec.DecodeError as error:
        raise SessionError("The file has lost which frames its job renders: start it again.") from (
            error
        )


SCENE_RENDER = Kind("Render of the 3D edit", True, _install, _attach)
