"""The sending of a capture: views are rendered one by one, as far ahead as the backend keeps up."""

import time
from dataclasses import dataclass, field

import bpy

from ..link.open_jobs import MAX_TRIES
from ..link.worker_thread import BROKEN, Link
from ..protocol.messages import (
    Cancelled,
    CaptureState,
    Failed,
    OpenCapture,
    PutView,
    SealCapture,
)
from ..render import render_job
from ..render.capture_views import Plan, taking_view
from ..render.rendered_files import Stopped
from .job import WAITS, Job, artist_is_busy
from .one_render import OneRender

AHEAD = 2
"""Views that may be under way to the backend at a time."""


@dataclass
class Upload:
    """One capture on its way. What has arrived is what the backend says; it is asked again after
    every loss of the connection, so that an interrupted capture goes on where it stopped.
    """

    capture: str
    plan: Plan
    _state: CaptureState | None = None
    """What the backend said last; None while it was not asked, or has not answered."""
    _asked: bool = False
    _sealing: bool = False
    _under_way: set[int] = field(default_factory=set)
    _render: tuple[int, OneRender[PutView]] | None = None
    """The view that is rendered now, by its number."""
    _losses: int = 0
    """How often the connection was lost with views under way, since one arrived."""
    _least: int | None = None
    """Of all that the backend said, the fewest missing views."""
    _began: tuple[float, int] | None = None
    """When the backend first said how many views it lacks, and how many."""

    def lost(self) -> None:
        """The connection is gone or another one, and what was under way did not arrive."""
        self._losses += bool(self._under_way)
        self._state, self._asked, self._sealing = None, False, False
        self._under_way.clear()

    def answered(self, state: CaptureState) -> None:
        """The backend says what it has."""
        self._state = state
        self._under_way &= set(state.missing)
        if self._least is None or len(state.missing) < self._least:
            self._least, self._losses = len(state.missing), 0

    def step(self, scene: bpy.types.Scene, job: Job, link: Link) -> None:
        """Ask what is missing, or render and send the next view, or seal the whole."""
        count = len(self.plan.shots)
        if self._losses >= MAX_TRIES:
            job.outcome = Failed(job=job.id, code="not_delivered", message=BROKEN)
            return
        if self._state is None:
            job.stage = "asking which views are missing"
            if not self._asked:
                link.tell(OpenCapture(capture=self.capture, views=count))
                self._asked = True
            return
        missing = self._state.missing
        job.fraction = 1 - len(missing) / count
        scene.watch_your_steps.in_3d.views_sent = count - len(missing)
        if self._state.sealed:
            job.outcome = self._state
        elif not missing:
            job.stage = "checking the capture"
            if not self._sealing:
                link.tell(SealCapture(capture=self.capture))
                self._sealing = True
        else:
            self._send_next(scene, job, link, missing)

    def _send_next(
        self, scene: bpy.types.Scene, job: Job, link: Link, missing: tuple[int, ...]
    ) -> None:
        waiting = [index for index in missing if index not in self._under_way]
        if self._render is None:
            if not waiting or len(self._under_way) >= AHEAD:
                return
            if render_job.is_running():  # another scene's view
                return
            if artist_is_busy():
                job.stage = WAITS
                return
            self._say_how_far(job, waiting)
            view = taking_view(scene, self.plan, waiting[0], self.capture)
            self._render = waiting[0], OneRender(view)
        self._send_rendered(scene, job, link, waiting)

    def _say_how_far(self, job: Job, waiting: list[int]) -> None:
        now = time.monotonic()
        if self._began is None:
            self._began = (now, len(waiting))
        count = len(self.plan.shots)
        job.stage = f"rendering view {count - len(waiting) + 1} of {count}"
        done = self._began[1] - len(waiting)
        if done > 0:
            seconds = (now - self._began[0]) / done * len(waiting)
            job.stage = ", ".join((job.stage, time_left(seconds)))

    def _send_rendered(
        self, scene: bpy.types.Scene, job: Job, link: Link, waiting: list[int]
    ) -> None:
        """Send the view that was rendered, once it is, and where it is still missing."""
        assert self._render is not None
        index, render = self._render
        try:
            view = render.result()
        except Stopped:
            job.outcome = Cancelled(job=job.id)
            return
        if view is None:
            return
        self._render = None
        job.preview = view.image
        plan = self.plan.to_json()  # with the objects that it was the first to see
        if scene.watch_your_steps.in_3d.plan != plan:
            scene.watch_your_steps.in_3d.plan = plan
        if index in waiting:
            link.tell(view)
            self._under_way.add(index)


def time_left(seconds: float) -> str:
    """A remaining time for the end of a sentence, as the backend words it."""
    if seconds < 100:
        return f"about {max(1, round(seconds))} s left"
    return f"about {round(seconds / 60)} min left"
