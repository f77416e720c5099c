"""What becomes of jobs when a file is opened or saved, and when artists undo."""

import bpy

from ..data import contact_sheet, copies, layers, migration, pictures, region, results, undoing
from ..data.meshes import texture_pixels
from ..data.scene_error import SceneError
from ..link.arrived import Arrived
from ..protocol.messages import CaptureState, GetScene
from . import saved_waiting, scene_jobs, waiting
from .job import Job, SessionError
from .kinds import KINDS
from .running import find_scene, job_of, message_of, say, state, write_job
from .upload import Upload

NEWER = (
    "This file was saved by a newer version of Watch Your Steps. What that version has added stays "
    "in the file, but is not shown here: update the add-on to see it."
)


def ask_scenes() -> None:
    """Ask the backend what it has made of the open file's captures."""
    for scene in copies.editable():
        in_3d = scene.watch_your_steps.in_3d
        if in_3d.sealed and state.link is not None:
            state.link.tell(GetScene(capture=in_3d.capture))


def after_load() -> None:
    """A file was opened: attach its scenes' jobs again, and give back what was kept for them."""
    state.loaded = True
    pictures.forget_all()
    texture_pixels.forget_all()
    region.forget_all()
    contact_sheet.forget_all()
    layers.forget_all()
    state.messages.clear()
    state.undo_steps.clear()
    state.unrecorded.clear()
    state.changed = True
    copies.claim_all()
    for scene in copies.editable():
        settings = scene.watch_your_steps
        migration.migrate(scene)
        if migration.is_newer(scene):
            say(scene, NEWER)
        known = job_of(scene)
        if known is not None:
            known.scene_uid = scene.session_uid
            write_job(scene, known)
        elif settings.job:
            _attach(scene)
        saved_waiting.after_load(scene)
        not_begun = waiting.after_load(scene)
        if not_begun and not saved_waiting.offered(scene):  # saved by Blender itself as it crashed
            say(scene, f"{message_of(scene)} {not_begun}".lstrip())
        if settings.mask_image is None or settings.mask_image.packed_file is None:
            results.refresh_mask(scene)
    ask_scenes()


def _attach(scene: bpy.types.Scene) -> None:
    """Follow a job that was running when the file was saved."""
    settings = scene.watch_your_steps
    job = Job(
        id=settings.job,
        kind=settings.job_kind,
        instruction=settings.job_instruction,
        subject=settings.job_subject,
        preparation=None,
        asked=settings.job_asked,
        then=tuple(settings.job_then.split()),
        scene_uid=scene.session_uid,
        scene_name=scene.name,
        file=bpy.data.filepath,
        stage="asking the backend" if state.link else "waiting for a connection",
    )
    try:
        if not {job.kind, *job.then} <= KINDS.keys():
            raise SessionError("The job of this file is of another version: start it again.")
        KINDS[job.kind].attach(scene, job)
    except SessionError as error:
        write_job(scene, None)
        say(scene, str(error))
        return
    state.jobs[job.id] = job
    if state.link is not None:
        state.link.follow(job.id)


def after_save() -> None:
    """The file may have a new name: its jobs belong to that now."""
    for job in state.jobs.values():
        scene = find_scene(job)
        if scene is not None:
            job.file, job.scene_name = bpy.data.filepath, scene.name
    waiting.after_save()
    saved_waiting.after_save()


def before_undo() -> None:
    """Undo and redo are about to put back older settings."""
    undoing.begin(whole=bool(state.undo_steps))


def after_undo() -> None:
    """Undo and redo have put back older settings: the running jobs stay what they are, and results
    that no undo step has are not lost.
    """
    kept = undoing.end()
    copies.settle_all()
    for scene in copies.editable():
        running = job_of(scene)
        settings = scene.watch_your_steps
        if settings.job != (running.id if running else ""):
            settings.job_object = settings.job_image = None  # of an older job
        if settings.job or running is not None:
            write_job(scene, running)  # also where only its render is gone
        if running is not None and isinstance(running.preparation, Upload):
            scene_jobs.put_back(scene, running.preparation)
        results.refresh_mask(scene)
    for job in state.unrecorded:
        _put_back(job, kept)
    waiting.after_undo()
    saved_waiting.after_undo()
    state.changed = True


def _put_back(job: Job, kept: set[int]) -> None:
    """Bring a job's result into its scene again, where Blender has read that from an undo step."""
    scene = find_scene(job)
    if scene is None or scene.session_uid in kept:
        return
    assert isinstance(job.outcome, Arrived | CaptureState)
    try:
        KINDS[job.kind].install(scene, job, job.outcome)
    except (SessionError, SceneError) as error:  # its texture or edit is not in that step
        say(scene, str(error))
