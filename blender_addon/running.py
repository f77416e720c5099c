"""What the add-on holds in memory: the link, the jobs of all scenes, also of files that are closed,
and the sentences in their panels.

The truth about running jobs is here; a scene carries a copy of its job, so that a saved file can
attach to it again.
"""

from dataclasses import dataclass, field

import bpy

from . import results
from .jobs import Job
from .link import Link, LinkState, LinkStatus
from .protocol.messages import SceneState

OFF = LinkStatus(LinkState.CLOSED)


@dataclass
class State:
    """All that the add-on holds in memory."""

    link: Link | None = None
    status: LinkStatus = OFF
    jobs: dict[str, Job] = field(default_factory=dict)
    scenes: dict[str, SceneState] = field(default_factory=dict)
    """What the backend has made of captures, by their ids, as it said last."""
    messages: dict[int, str] = field(default_factory=dict)
    """The sentence in the panel, by Scene.session_uid."""
    last_edit: str = ""
    """What the last edit cost, in words."""
    undo_steps: list[str] = field(default_factory=list)
    """Names of undo steps that are to be pushed as soon as it is safe."""
    loaded: bool = False
    """The open file's jobs are attached."""
    changed: bool = False
    """Something that is drawn has changed since the last redraw."""


state = State()


def start_anew(loaded: bool = False) -> None:
    """Forget everything, as closing Blender does.

    Args:
        loaded: whether the open file's jobs count as attached.
    """
    state.__dict__.update(State(loaded=loaded).__dict__)


def job_of(scene: bpy.types.Scene) -> Job | None:
    """The scene's job that has not ended yet, or None."""
    for job in state.jobs.values():
        if find_scene(job) == scene:
            return job
    return None


def waiting_elsewhere() -> list[Job]:
    """Jobs that have ended but whose scene is in a file that is not open."""
    return [job for job in state.jobs.values() if job.outcome and find_scene(job) is None]


def find_scene(job: Job) -> bpy.types.Scene | None:
    """The scene that a job belongs to, or None while its file is not open.

    The scene that names the job, or the very scene that started it (an undo may have taken the
    name away), or after opening the file anew the scene of that name if no other job is its own.
    """
    scenes = bpy.data.scenes
    for scene in scenes:
        if scene.watch_your_steps.job == job.id:
            return scene
    for scene in scenes:
        if scene.session_uid == job.scene_uid:
            return scene
    if job.file and job.file == bpy.data.filepath:
        scene = scenes.get(job.scene_name)
        if scene is not None and scene.watch_your_steps.job not in state.jobs:
            return scene
    return None


def write_job(scene: bpy.types.Scene, job: Job | None) -> None:
    """The copy in the scene, which is saved with the file."""
    settings = scene.watch_your_steps
    settings.job = job.id if job else ""
    settings.job_kind = job.kind if job else ""
    settings.job_subject = job.subject if job else ""
    settings.job_instruction = job.instruction if job else ""
    settings.job_then = " ".join(job.then) if job else ""
    if job is None:
        settings.job_object = settings.job_image = None
    picture = job.picture if job else None
    if picture is None or settings.picture == picture.identity:
        results.drop_pending(scene)
    elif settings.pending_image is None:
        results.install_pending(scene, picture)


def say(scene: bpy.types.Scene, sentence: str) -> None:
    """Put a sentence into the scene's panel; "" takes it away."""
    state.messages[scene.session_uid] = sentence
    state.changed = True


def message_of(scene: bpy.types.Scene) -> str:
    """The sentence in the scene's panel, or ""."""
    return state.messages.get(scene.session_uid, "")
