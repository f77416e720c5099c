"""Taking a picture for an operator: at once, or by a render job that the window goes on beside."""

from collections.abc import Callable
from typing import TypeVar

import bpy

from ..data import picture_source
from ..data.scene_error import SceneError
from ..data.taken_pictures import Picture
from ..jobs import session
from ..jobs.job import SessionError
from ..render import render_job
from ..render.camera_render import Rendering, at_once
from ..render.take_picture import BUSY, taking_picture

RENDERED = {picture_source.RENDER, picture_source.VIEWPORT}
"""Sources whose pictures take a render."""


Made = TypeVar("Made")


def take_then(
    scene: bpy.types.Scene, then: Callable[[bpy.types.Scene, Picture], None], in_window: bool
) -> None:
    """Take a new picture and do something with it; where that does not work after a render job,
    the scene's panel says why.

    Args:
        scene: whose picture.
        then: what to do, with the scene; it may raise SceneError and SessionError.
        in_window: whether a render is a job, which `then` follows later.

    Raises:
        SceneError, SessionError: it does not work; the text says why.
    """
    is_job = in_window and scene.watch_your_steps.source.kind in RENDERED
    render_then(scene, taking_picture(scene), then, is_job)


def render_then(
    scene: bpy.types.Scene,
    parts: Rendering[Made],
    then: Callable[[bpy.types.Scene, Made], None],
    as_job: bool,
    words: str = "",
    drawn_first: bool = False,
) -> None:
    """Make something of renders and do something with it; the rest is as in `take_then`.

    Args:
        scene: whose panel says why it does not work.
        parts: not begun yet.
        then: what to do, with the scene as it is by then: it may have been changed, or undone.
        as_job: whether the renders are jobs.
        words: what the panel says meanwhile, where they are.
        drawn_first: whether the window is drawn before a job begins.
    """
    if not as_job:
        then(scene, at_once(parts))
        return
    if render_job.is_running():
        raise SceneError(BUSY)
    uid = scene.session_uid

    def done(made: Made) -> None:
        there = _scene_of(uid)
        if there is None:  # another file was opened
            return
        try:
            then(there, made)
        except (SceneError, SessionError) as error:
            failed(error)

    def failed(error: Exception) -> None:
        there = _scene_of(uid)
        if there is not None:
            session.say(there, str(error), refusal=True)

    session.say(scene, words, working=True)
    render_job.start(parts, done, failed, drawn_first)


def _scene_of(uid: int) -> bpy.types.Scene | None:
    return next((one for one in bpy.data.scenes if one.session_uid == uid), None)
