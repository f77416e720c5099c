"""The jobs that look at an edited scene by the artist's own camera: one view, or all frames."""

import os
from contextlib import ExitStack
from pathlib import Path

import bpy
import msgspec
import numpy as np

from ..data import pictures
from ..data.results import VIEWPOINT
from ..data.scene_error import SceneError
from ..link.worker_thread import Arrived, Link
from ..protocol.files import write_bytes
from ..protocol.messages import CaptureState
from ..protocol.requests import SceneRenderRequest, SceneRenderResult, wrong_film
from ..render.camera_render import render_size, viewpoint
from ..render.pinhole import Pinhole, pinhole_of
from .job import Job, Kind, NewJob, SessionError, artist_is_busy


class Film(msgspec.Struct, frozen=True, kw_only=True):
    """What is rendered; as JSON it is the subject of the job, and saved with the scene."""

    frames: tuple[int, ...]
    """Of the scene."""
    prefix: str | None = None
    """Path of the files to the frame's number; None for a view that is kept in the .blend file."""
    viewpoint: tuple[float, ...] = ()
    """Of such a view (capture.viewpoint)."""

    def file(self, frame: int) -> Path:
        """Where a frame is written."""
        return Path(f"{self.prefix}{frame:04d}.png")


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
    frames = tuple(range(scene.frame_start, scene.frame_end + 1, scene.frame_step))
    if not frames:
        raise SessionError("The scene has no frames: set its range (Output Properties).")
    return _new_job(scene, Film(frames=frames, prefix=_prefix(scene)))


def _check(scene: bpy.types.Scene) -> None:
    if not scene.watch_your_steps.in_3d.field:
        raise SessionError("The scene is not trained yet: press Train first.")
    if scene.camera is None:
        raise SceneError("The scene has no active camera: add one (Add > Camera).")
    pinhole_of(scene, scene.camera, *_size(scene))


def _size(scene: bpy.types.Scene) -> tuple[int, int]:
    return render_size(scene.render, scene.watch_your_steps.max_side)


def _prefix(scene: bpy.types.Scene) -> str:
    """The path of the scene's output with the edit's name in it, so that no render of the artist's
    own is written over.
    """
    output = scene.render.filepath
    if output.startswith("//") and not bpy.data.filepath:
        raise SessionError("The output path begins at the .blend file: save the file first.")
    path = Path(bpy.path.abspath(output)).resolve()
    whole = not output or output.endswith(("/", "\\"))
    folder, stem = (path, "") if whole else (path.parent, f"{path.name}_")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SessionError(_not_written(folder, error)) from error
    if not os.access(folder, os.W_OK):
        raise SessionError(_not_written(folder, PermissionError(0, "permission denied")))
    return str(folder / f"{stem}{scene.watch_your_steps.in_3d.edit or 'scene-in-3d'}_")


def _not_written(folder: Path, error: OSError) -> str:
    return (
        f"The frames cannot be written to {folder} ({error.strerror}): choose another output path "
        "(Output Properties)."
    )


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
        with ExitStack() as stack:
            # Setting the present frame anew would undo what the artist has moved and not keyed.
            if frame != scene.frame_current:
                stack.callback(scene.frame_set, scene.frame_current, subframe=scene.frame_subframe)
                scene.frame_set(frame)
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
    for frame, png in zip(film.frames, files, strict=True):
        path = film.file(frame)
        try:
            write_bytes(path, png)
        except OSError as error:
            raise SessionError(_not_written(path.parent, error)) from error
    first, last = (film.file(frame).name for frame in (film.frames[0], film.frames[-1]))
    settings.in_3d.film = f"{first} to {last} are in {film.file(0).parent}."


def _attach(scene: bpy.types.Scene, job: Job) -> None:
    try:
        msgspec.json.decode(job.subject, type=Film)
    except msgspec.DecodeError as error:
        raise SessionError("The file has lost which frames its job renders: start it again.") from (
            error
        )


SCENE_RENDER = Kind("Render of the 3D edit", True, _install, _attach)
