"""Taking a picture for an operator: at once, or by a render job that the window goes on beside."""

from collections.abc import Callable

import bpy

from ..data import picture_source
from ..data.results import Picture
from ..data.scene_error import SceneError
from ..jobs import session
from ..jobs.job import SessionError
from ..render import render_job
from ..render.take_picture import BUSY, take_picture, taking_picture

RENDERED = {picture_source.RENDER, picture_source.VIEWPORT}
"""Sources whose pictures take a render."""


def take_then(scene: bpy.types.Scene, then: Callable[[Picture], None], in_window: bool) -> None:
    """Take a new picture and do something with it; where that does not work after a render job,
    the scene's panel says why.

    Args:
        scene: whose picture.
        then: what to do; it may raise SceneError and SessionError.
        in_window: whether a render is a job, which `then` follows later.

    Raises:
        SceneError, SessionError: it does not work; the text says why.
    """
    if not in_window or scene.watch_your_steps.source.kind not in RENDERED:
        then(take_picture(scene))
        return
    if render_job.is_running():
        raise SceneError(BUSY)
    uid = scene.session_uid

    def done(picture: Picture) -> None:
        try:
            then(picture)
        except (SceneError, SessionError) as error:
            failed(error)

    def failed(error: Exception) -> None:
        there = next((one for one in bpy.data.scenes if one.session_uid == uid), None)
        if there is not None:  # else another file was opened
            session.say(there, str(error), refusal=True)

    session.say(scene, "")
    render_job.start(taking_picture(scene), done, failed)
