"""The end of a job: its result, or why there is none, comes into its scene, with a step of undo."""

import bpy

from ..data import contact_sheet
from ..data.scene_error import SceneError
from ..link.arrived import Arrived
from ..link.open_jobs import GONE
from ..link.worker_thread import STOPPED
from ..protocol.messages import Cancelled, CaptureState, Failed
from . import open_files, saved_waiting, scene_jobs, waiting
from .ahead import Ahead
from .job import Job, SessionError, running_tools
from .kinds import KINDS
from .picture_jobs import what_it_cost
from .running import say, state, write_job

LOST = (*GONE, STOPPED)
"""Codes of a job that was not refused and did not fail: it can be made again as it was."""


def is_ready(
    scene: bpy.types.Scene, job: Job, outcome: Arrived | CaptureState | Failed | Cancelled
) -> bool:
    """Whether threads have done what they can of bringing the end of a job into its scene."""
    if job.ahead is None:
        ahead, parts = KINDS[job.kind].ahead, None
        if ahead is not None and isinstance(outcome, Arrived):
            parts = ahead(scene, job, outcome)
        job.ahead = Ahead(parts)
    return job.ahead.is_done()


def finish(
    scene: bpy.types.Scene, job: Job, outcome: Arrived | CaptureState | Failed | Cancelled
) -> bool:
    """Bring the end of a job into its scene; whether it has ended well."""
    del state.jobs[job.id]
    state.changed = True
    kind = KINDS[job.kind]
    if isinstance(outcome, Arrived | CaptureState):
        try:
            kind.install(scene, job, outcome)
        except (SceneError, SessionError) as error:
            outcome = job.outcome = Failed(job=job.id, code="bad_input", message=str(error))
    if isinstance(outcome, Failed | Cancelled):
        if kind.forget is not None:
            kind.forget(scene, job)
        if job.put_back is not None:
            job.put_back()
    if waiting.is_last_of(scene, job):
        contact_sheet.make(scene, job.group)
    write_job(scene, None)
    goes_on = False
    if isinstance(outcome, Failed) and outcome.code in LOST:
        goes_on = saved_waiting.offers(scene, job.id)
    else:
        saved_waiting.ended(scene, job.id)
    title = _called(job) or kind.title
    if goes_on:  # the panel offers that, so it has not failed
        say(scene, waiting.said_at_end(scene, "", failed=False))
    elif isinstance(outcome, Failed):
        why, in_3d = outcome.message, scene.watch_your_steps.in_3d
        if outcome.code == "unknown_capture" and in_3d.sealed:
            state.lacking.add(in_3d.capture)
            why = f"{scene_jobs.NOT_HERE}."
        _say_end(scene, job, f"{title} failed: {why}")
    elif isinstance(outcome, Cancelled):
        _say_end(scene, job, " ".join((f"{title} was cancelled.", outcome.message)).rstrip())
    else:
        said = outcome.result if isinstance(outcome, Arrived) else outcome
        say(scene, waiting.said_at_good_end(scene, _called(job), " ".join(said.notes)))
        state.last_edit = what_it_cost(job) or state.last_edit
        if kind.undo:
            state.undo_steps.append(f"Watch Your Steps: {kind.title}")
            state.unrecorded.append(job)
        open_files.ask_scenes()
        return True
    return False


def _called(job: Job) -> str:
    """What sentences call one of several that were asked for together; "" for one of its own."""
    if job.group:
        return job.title
    title_of = KINDS[job.kind].title_of
    return title_of(job) if title_of is not None else ""


def _say_end(scene: bpy.types.Scene, job: Job, sentence: str) -> None:
    """Say how a job has ended, with what has failed of those that were asked for before it."""
    say(scene, waiting.said_at_end(scene, sentence, isinstance(job.outcome, Failed)))


def push_undo() -> None:
    """An undo step for the result that has come, when that is safe.

    Without a step of its own a result would vanish when the artist undoes whatever they did last.
    In edit and paint modes undo does not touch scenes, and while a tool runs (grab, say) a step
    would hold a half-done change: so it waits for object mode and for the tool's end. Results that
    have waited are one step by then, as each of its own would be the same.
    """
    if not state.undo_steps or bpy.context.mode != "OBJECT":
        return
    if running_tools():
        return
    bpy.ops.ed.undo_push(message=state.undo_steps[-1])
    state.undo_steps.clear()
    state.unrecorded.clear()
