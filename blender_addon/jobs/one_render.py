"""A render that a job's preparation waits for."""

from typing import Generic

from ..data.scene_error import SceneError
from ..render import render_job, window
from ..render.camera_render import Made, Rendering, at_once
from .job import SessionError


class OneRender(Generic[Made]):
    """What becomes of a `Rendering`: in a window by render jobs of Blender's, which go on beside
    the timer and which Esc stops; without one at once.

    Args:
        parts: not begun yet; no render job may run.

    Raises:
        SceneError: it cannot be begun.
    """

    def __init__(self, parts: Rendering[Made]) -> None:
        self._made: list[Made | SceneError] = []
        if window.is_open():
            render_job.start(parts, self._made.append, self._made.append)
        else:
            self._made.append(at_once(parts))

    def result(self) -> Made | None:
        """What was made; None while it is rendered.

        Raises:
            Stopped: somebody has stopped it.
            SceneError: it cannot be made; the text says why.
            SessionError: the file was changed meanwhile.
        """
        if not self._made:
            if not render_job.is_running():  # a defect, which the timer has told
                raise SessionError(render_job.LOST)
            return None
        made = self._made[0]
        if isinstance(made, SceneError):
            raise made
        return made
