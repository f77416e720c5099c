"""What has not ended, as it is in the saved file: after a restart of Blender it is offered to the
artist, and goes on when they say so.

It is written when the file is saved, and taken out of the scene again right after: while Blender
runs, the truth is in memory (waiting.py, running.py).
"""

import bpy
import msgspec

from ..data import copies, remembered_edits
from ..data.scene_error import SceneError
from . import waiting
from .job import Job, NewJob, SessionError
from .running import job_of, state
from .saved_jobs import WAYS, Read, Written

FIELDS = ("kind", "instruction", "subject", "asked", "title", "group")
POINTERS = ("picture", "mask", "relevance")
OTHER_VERSION = "It was saved by another version of the add-on: ask for it again."

_written: set[str] = set()
"""Ids of the jobs that the last saving has written: these are in memory."""
_settled: set[str] = set()
"""Ids of those that went on, have ended or were dropped, which an undo must not bring back."""


def offered(scene: bpy.types.Scene) -> list[bpy.types.PropertyGroup]:
    """What had not ended when the file was saved, and is not in memory: the running one first."""
    return [
        one
        for one in scene.watch_your_steps.waiting
        if one.job not in _written and one.job not in state.jobs
    ]


def offers(scene: bpy.types.Scene, job: str) -> bool:
    """Whether a job is among what is offered."""
    return any(one.job == job for one in offered(scene))


def go_on(scene: bpy.types.Scene) -> tuple[list[NewJob], str]:
    """New jobs for all that is offered, which is not offered any more; and what the panel is to say
    of what cannot go on.
    """
    jobs, lost = [], dict[str, list[str]]()
    shared = Read()
    for entry in offered(scene):
        try:
            if entry.kind not in WAYS:
                raise SessionError(OTHER_VERSION)
            jobs.append(WAYS[entry.kind].read(scene, entry, shared))
        except (SessionError, SceneError) as error:
            lost.setdefault(str(error), []).append(named(entry))
        except msgspec.MsgspecError:
            lost.setdefault(OTHER_VERSION, []).append(named(entry))
    drop(scene)
    return jobs, " ".join(_lost(reason, titles) for reason, titles in lost.items())


def drop(scene: bpy.types.Scene, kind: str = "") -> None:
    """Forget what is offered, or only jobs of a kind."""
    jobs = {one.job for one in offered(scene) if kind in ("", one.kind)}
    _remove(scene, jobs, settled=True)


def ended(scene: bpy.types.Scene, job: str) -> None:
    """A job has ended whose result is here, or which is not to be offered."""
    _remove(scene, {job}, settled=True)


def named(entry: bpy.types.PropertyGroup) -> str:
    """What an edit is called, with its instruction."""
    return f'"{entry.instruction.strip()}" ({entry.title})'


def before_save() -> None:
    """Write what has not ended into the scenes."""
    _forget_written()
    for scene in copies.editable():
        settings, shared = scene.watch_your_steps, Written()
        running = job_of(scene)
        jobs: list[Job | NewJob] = [*([running] if running else []), *waiting.waiting(scene)]
        for job in jobs:
            way = WAYS.get(job.kind)
            if way is None or job.preparation is None or job.id is None:
                continue
            entry = settings.waiting.add()
            entry.job = job.id
            for name in FIELDS:
                setattr(entry, name, getattr(job, name))
            way.write(scene, job, entry, shared)
            _written.add(job.id)


def after_save() -> None:
    """The file has it: take it out of the scenes."""
    _forget_written()


def after_load(scene: bpy.types.Scene) -> None:
    """A file was opened: of what it has, forget what is in memory and goes on by itself."""
    _written.clear()
    _settled.clear()
    here = {one.id for one in waiting.waiting(scene) if one.id}
    here |= {job.id for job in state.jobs.values() if job.preparation is not None}
    _remove(scene, here)


def after_undo() -> None:
    """Undo has put back what was offered before."""
    for scene in copies.editable():
        _remove(scene, _settled)


def _forget_written() -> None:
    for scene in copies.editable():
        _remove(scene, _written)
    _written.clear()


def _remove(scene: bpy.types.Scene, jobs: set[str], settled: bool = False) -> None:
    """Take entries out, and their pictures where nothing else uses them."""
    entries, images = scene.watch_your_steps.waiting, []
    for index in reversed(range(len(entries))):
        entry = entries[index]
        if entry.job not in jobs:
            continue
        if settled:
            _settled.add(entry.job)
        images += [getattr(entry, name) for name in POINTERS]
        images += remembered_edits.pictures_of(entry.edit)
        entries.remove(index)
    for image in dict.fromkeys(images):
        if image is not None and image.users == 0:
            bpy.data.images.remove(image)


def _lost(reason: str, titles: list[str]) -> str:
    if titles[1:]:
        return f"{titles[0]} and {len(titles) - 1} more cannot go on: {reason}"
    return f"{titles[0]} cannot go on: {reason}"
