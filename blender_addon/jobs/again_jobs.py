"""The job that makes an edit of a render again, with another seed."""

from contextlib import AbstractContextManager

import bpy
import msgspec

from ..data import copies, edit_masks, edits, edits_again, pictures, remembered_edits
from ..data.properties_settings import asked
from ..link.arrived import Arrived
from ..protocol.messages import CaptureState
from ..protocol.requests import EditRequest, EditResult
from ..protocol.settings import PictureMapSettings
from . import waiting
from .job import Job, Kind, NewJob, Sending, SessionError
from .running import job_of

KIND, FULL_SIZE = AGAIN = ("edit_again", "edit_full_size")
"""The kinds of these jobs: with another seed, and of the full-size render (full_size_jobs)."""
GONE = "The edit that was made again is not in the list any more."


class MakingAgain(Sending):
    """The preparation of these jobs."""

    def __init__(self, entry: bpy.types.PropertyGroup, request: EditRequest) -> None:
        super().__init__(lambda _: request)
        self.edit = remembered_edits.remember(entry)


def why_not(entry: bpy.types.PropertyGroup) -> str:
    """Why an edit cannot be made again, without a full stop; "" where it can."""
    if entry.layers:
        return "This edit was kept of layers: it has no seed"
    if not entry.known:
        return "What this edit was made with is not known: restore it, and press Edit"
    if entry.render is None:
        return "The picture that this edit was made of was deleted from the file"
    return pictures.why_lost(entry.render) or edit_masks.why_unknown(entry)


def again_job(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup) -> NewJob:
    """The job that makes an edit again with the next seed: of the same picture, inside the same
    mask, with all other settings as they were.
    """
    copies.settle(scene)
    to_come = {
        msgspec.json.decode(job.asked, type=edits.Asked).settings.seed
        for job in _to_come(scene)
        if job.instruction == entry.instruction
    }
    seed = edits_again.next_seed(scene.watch_your_steps, entry, to_come)
    return job_with(entry, edits_again.asked_with(entry, seed))


def job_with(entry: bpy.types.PropertyGroup, chosen: edits.Asked) -> NewJob:
    """The job that makes an edit again, where `why_not` says nothing of it."""
    request = EditRequest(
        image=pictures.read_rgb(entry.render),
        instruction=entry.instruction,
        maps=asked(PictureMapSettings, entry),
        settings=chosen.settings,
        region=chosen.region,
        threshold=chosen.threshold,
        mask=edit_masks.of(entry),
    )
    noted = msgspec.json.encode(chosen).decode()
    sending = MakingAgain(entry, request)
    title = f"seed {chosen.settings.seed}"
    return NewJob(KIND, entry.instruction, entry.uid, sending, asked=noted, title=title)


def is_made_again(scene: bpy.types.Scene, uid: str) -> bool:
    """Whether a job makes the very edit of this uid again, or waits for that."""
    return any(job.subject == uid for job in _to_come(scene))


def _to_come(scene: bpy.types.Scene) -> list[Job | NewJob]:
    """The jobs that make edits of a scene again: the one that runs, and those that wait."""
    running = job_of(scene)
    jobs: list[Job | NewJob] = [*waiting.waiting(scene)]
    if running is not None:
        jobs.append(running)
    return [job for job in jobs if job.kind in AGAIN]


def _install(scene: bpy.types.Scene, job: Job, arrived: Arrived | CaptureState) -> None:
    assert isinstance(arrived, Arrived)
    assert isinstance(arrived.result, EditResult)
    png, about = arrived.files["image"], (job.subject, job.instruction)
    with with_edit(scene, job):
        edits_again.keep(scene, *about, arrived.result, png, job.asked, job.server)


def with_edit(scene: bpy.types.Scene, job: Job) -> AbstractContextManager[None]:
    """Have the edit that was made again in the list, also where undo has taken it away.

    Raises:
        SessionError: it is not there, and not saved with the job.
    """
    if isinstance(job.preparation, MakingAgain):
        return remembered_edits.listed(scene, job.preparation.edit)
    return remembered_edits.listed(scene, remembered_edits.remember(edit_of(scene, job)))


def edit_of(scene: bpy.types.Scene, job: Job | bpy.types.PropertyGroup) -> bpy.types.PropertyGroup:
    """The edit that a job makes again, or one that is saved in the scene: in the list, or as it was
    saved with the job, where undo had taken it out of there.

    Raises:
        SessionError: it is neither.
    """
    edit = edits.named(scene.watch_your_steps, job.subject)
    if edit is not None:
        return edit
    uid = job.id if isinstance(job, Job) else job.job
    for saved in scene.watch_your_steps.waiting:
        if saved.job == uid and saved.edit.uid:
            return saved.edit
    raise SessionError(GONE)


def _check(scene: bpy.types.Scene, job: Job) -> None:
    edit_of(scene, job)


EDIT_AGAIN = Kind("Edit", True, _install, _check, over_camera=True)
