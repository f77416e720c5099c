"""What the link to the backend says, brought to the jobs and scenes that it is about."""

from ..data import copies
from ..link.arrived import Arrived
from ..link.worker_thread import LinkEvent, LinkState, LinkStatus
from ..protocol.messages import (
    Cancelled,
    CaptureState,
    Error,
    Failed,
    Progress,
    Queued,
    SceneState,
)
from . import open_files, scene_jobs
from .running import say, state
from .upload import Upload


def take_events() -> None:
    """Take what the link has put into its queue. The main thread calls this, and it never waits."""
    while state.link is not None and (event := state.link.next_event()) is not None:
        state.changed = True
        _take(event)


def _take(event: LinkEvent) -> None:
    if isinstance(event, LinkStatus):
        _take_status(event)
        return
    if isinstance(event, SceneState | CaptureState | Error):
        _take_answer(event)
        return
    job = state.jobs.get(event.job)
    if job is None:
        return  # cancelled here while the link was down
    if isinstance(event, Queued):
        job.stage = f"waiting for {event.position} other jobs" if event.position else "starting"
        if event.position == 1:
            job.stage = "waiting for 1 other job"
    elif isinstance(event, Progress):
        if not job.cancelled:
            job.stage = event.stage
        job.fraction = event.fraction
        if event.preview is not None:
            job.preview = event.preview
    elif isinstance(event, Arrived | Failed | Cancelled):
        job.outcome, job.server = event, state.status.welcome


def _take_status(status: LinkStatus) -> None:
    was_connected = state.status.state is LinkState.CONNECTED
    state.status = status
    is_connected = status.state is LinkState.CONNECTED
    if is_connected and was_connected:
        return  # the model's state has changed
    for job in state.jobs.values():
        if isinstance(job.preparation, Upload):
            job.preparation.lost()
    if is_connected:
        state.lacking.clear()  # it may be another backend
        open_files.ask_scenes()
    else:
        stop_clocks()


def stop_clocks() -> None:
    """Without a backend that says so, nobody knows how far its jobs are."""
    for job in state.jobs.values():
        if job.outcome is None and (job.request is not None or job.preparation is None):
            job.stage, job.fraction = "waiting for the backend", 0.0


def _take_answer(answer: SceneState | CaptureState | Error) -> None:
    """What the backend says about a capture: to the upload that runs, or to the scenes."""
    capture = answer.job if isinstance(answer, Error) else answer.capture
    if isinstance(answer, SceneState):
        state.scenes[answer.capture] = answer
    lacks = isinstance(answer, Error) and answer.code == "unknown_capture"
    if capture:
        (state.lacking.add if lacks else state.lacking.discard)(capture)
    job = state.jobs.get(capture or "")
    if job is None:
        for scene in copies.editable():
            if capture and scene.watch_your_steps.in_3d.capture == capture:
                scene_jobs.take_answer(scene, answer)
                if isinstance(answer, Error):
                    here = scene.watch_your_steps.in_3d.sealed and lacks
                    say(scene, f"{scene_jobs.NOT_HERE}." if here else answer.message)
    elif isinstance(answer, Error) and job.outcome is None:  # not of a cancel that came too late
        job.outcome = Failed(job=job.id, code=answer.code, message=answer.message)
    elif isinstance(answer, CaptureState) and isinstance(job.preparation, Upload):
        job.preparation.answered(answer)
