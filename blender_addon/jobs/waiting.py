"""Jobs that wait until those of their scene that were asked for before have ended: in what order
they wait, and whose they are.

The truth is here, as with jobs that run (running.py); a scene carries in words what waits, so that
a file that is opened after a restart of Blender can say what was not begun.
"""

import dataclasses

import bpy

from ..data import copies
from ..protocol.values import new_job_id
from .job import Job, NewJob, Queue
from .running import job_of, scene_that_has, state

NAMED = 3
"""Jobs that a sentence names; of others it gives the number."""
NOT_BEGUN = "Not begun when the file was closed: {}. Ask for it again."


def find_scene(queue: Queue) -> bpy.types.Scene | None:
    """The scene that a queue belongs to, or None while its file is not open."""
    return scene_that_has(queue, "queue", state.queues)


def queue_of(scene: bpy.types.Scene) -> Queue | None:
    """What waits in a scene, or None."""
    return next((one for one in state.queues.values() if find_scene(one) == scene), None)


def waiting(scene: bpy.types.Scene) -> tuple[NewJob, ...]:
    """The jobs that wait in a scene, the next one first."""
    queue = queue_of(scene)
    return tuple(queue.jobs) if queue is not None else ()


def add(scene: bpy.types.Scene, *jobs: NewJob) -> None:
    """Let jobs wait behind those that wait already."""
    queue = queue_of(scene)
    if queue is None:
        queue = Queue(scene.session_uid, scene.name, bpy.data.filepath)
        state.queues[queue.id] = queue
    queue.jobs.extend(dataclasses.replace(job, id=job.id or new_job_id()) for job in jobs)
    write(scene)


def take(scene: bpy.types.Scene) -> NewJob | None:
    """The job whose turn it is, which waits no more; None where none waits. Once it runs, call
    `write`.
    """
    queue = queue_of(scene)
    return queue.jobs.pop(0) if queue is not None and queue.jobs else None


def remove(scene: bpy.types.Scene, index: int) -> None:
    """Forget one that waits."""
    queue = queue_of(scene)
    if queue is not None:
        del queue.jobs[index]
    write(scene)


def move(scene: bpy.types.Scene, index: int, to: int) -> None:
    """Let one that waits have another place among them."""
    queue = queue_of(scene)
    if queue is not None:
        queue.jobs.insert(to, queue.jobs.pop(index))
    write(scene)


def is_last_of(scene: bpy.types.Scene, job: Job) -> bool:
    """Whether a job is the last of those that were asked for together."""
    return bool(job.group) and job.group not in {one.group for one in waiting(scene)}


def drop(scene: bpy.types.Scene, group: str | None = None) -> None:
    """Forget all that wait, or only those of a group."""
    queue = queue_of(scene)
    if queue is not None:
        queue.jobs = [one for one in queue.jobs if group is not None and one.group != group]
    write(scene)


def said_at_end(scene: bpy.types.Scene, sentence: str, failed: bool) -> str:
    """What the panel says when a job has ended: `sentence`, which is about itself, and what was
    said of those that ended before it while others waited.
    """
    queue = queue_of(scene)
    if queue is None:
        return sentence
    if failed and (queue.jobs or queue.failures):
        queue.failures.append(sentence)
        sentence = ""
    text = " ".join([*_said(queue), *([sentence] if sentence else [])])
    write(scene)
    return text


def said_at_good_end(scene: bpy.types.Scene, called: str, notes: str) -> str:
    """What the panel says when a job has ended well.

    Args:
        scene: the job's.
        called: the job, as one of several that were asked for together; "" for one of its own.
        notes: what there is to say of it; may be empty.
    """
    queue = queue_of(scene)
    if not (called and notes):
        return said_at_end(scene, notes, failed=False)
    if queue is None:
        return _note(notes, [called])
    queue.notes.setdefault(notes, []).append(called)
    return said_at_end(scene, "", failed=False)


def said_before(scene: bpy.types.Scene) -> str:
    """What was said of jobs that have ended, while others that were asked for with them wait or
    run.
    """
    queue = queue_of(scene)
    return " ".join(_said(queue)) if queue is not None else ""


def _said(queue: Queue) -> list[str]:
    failed, noted = len(queue.failures) - NAMED, len(queue.notes) - NAMED
    return [
        *queue.failures[:NAMED],
        *([f"{failed} more failed."] if failed > 0 else []),
        *(_note(notes, of) for notes, of in list(queue.notes.items())[:NAMED]),
        *([f"Notes that are not shown: {noted}."] if noted > 0 else []),
    ]


def _note(notes: str, of: list[str]) -> str:
    if len(of) > 1:
        return f"{of[0]} and {len(of) - 1} more have a note: {notes}"
    return f"{of[0]} has a note: {notes}"


def write(scene: bpy.types.Scene) -> None:
    """The copy in the scene, which is saved with the file. What is over is forgotten."""
    settings, queue = scene.watch_your_steps, queue_of(scene)
    if queue is not None and not queue.jobs and not (_said(queue) and job_of(scene)):
        del state.queues[queue.id]
        queue = None
    settings.queue = queue.id if queue is not None else ""
    settings.queue_words = _words(queue.jobs) if queue is not None else ""
    state.changed = True


def _words(jobs: list[NewJob]) -> str:
    more = len(jobs) - NAMED
    named = ", ".join(f'"{one.instruction.strip()}" ({one.title})' for one in jobs[:NAMED])
    return f"{named} and {more} more" if more > 0 else named


def after_load(scene: bpy.types.Scene) -> str:
    """A file was opened: go on with what waits in a scene. Returns what the panel is to say of what
    was not begun before Blender was closed.
    """
    settings, queue = scene.watch_your_steps, queue_of(scene)
    words = settings.queue_words
    if queue is not None:
        queue.scene_uid = scene.session_uid
    write(scene)
    return NOT_BEGUN.format(words) if words and queue is None else ""


def after_save() -> None:
    """The file may have a new name: what waits belongs to that now."""
    for queue in state.queues.values():
        scene = find_scene(queue)
        if scene is not None:
            queue.file, queue.scene_name = bpy.data.filepath, scene.name


def after_undo() -> None:
    """Undo and redo have put back older words: what waits stays what it is."""
    for scene in copies.editable():
        if queue_of(scene) is not None or scene.watch_your_steps.queue:
            write(scene)
