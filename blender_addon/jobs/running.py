"""What the add-on holds in memory: the link, the jobs of all scenes, also of files that are closed,
and the sentences in their panels.

The truth about running jobs is here; a scene carries a copy of its job, so that a saved file can
attach to it again.
"""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Protocol

import bpy

from ..data import copies, picture_source, results
from ..data.meshes import texture_regions
from ..link.worker_thread import Link, LinkState, LinkStatus
from ..protocol.messages import SceneState
from .job import Job, Queue

OFF = LinkStatus(LinkState.CLOSED)


class Kept(Protocol):
    """What belongs to a scene, also while its file is closed."""

    id: str
    scene_uid: int
    scene_name: str
    file: str


@dataclass(frozen=True)
class Message:
    """A sentence in a scene's panel."""

    sentence: str
    asked: tuple[object, ...] | None = None
    """What the scene asked for when it was said (`_asked`): once it asks for something else, the
    sentence goes. None: it stays until something else is said, or it is dismissed."""
    done: bool = False
    """Whether it says that what was asked for is done."""
    working: bool = False
    """Whether it says that it is being done."""


@dataclass
class State:
    """All that the add-on holds in memory."""

    link: Link | None = None
    status: LinkStatus = OFF
    jobs: dict[str, Job] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    """What waits in scenes until their jobs have ended, by the queues' ids."""
    scenes: dict[str, SceneState] = field(default_factory=dict)
    """What the backend has made of captures, by their ids, as it said last."""
    lacking: set[str] = field(default_factory=set)
    """Ids of captures that this backend does not have, as it said last."""
    messages: dict[int, Message] = field(default_factory=dict)
    """What is said in the panel, by Scene.session_uid."""
    last_edit: str = ""
    """What the last edit cost, in words."""
    undo_steps: list[str] = field(default_factory=list)
    """Names of undo steps that are to be pushed as soon as it is safe."""
    unrecorded: list[Job] = field(default_factory=list)
    """Jobs whose results wait for these steps."""
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
    """The scene that a job belongs to, or None while its file is not open."""
    return scene_that_has(job, "job", state.jobs)


def scene_that_has(kept: Kept, name: str, others: Container[str]) -> bpy.types.Scene | None:
    """The scene that something belongs to, or None while its file is not open.

    The very scene that started it (an undo may have taken its id away from it), or after opening
    the file anew the scene that has its id as the property `name`, or the scene of that name if
    none of the `others` is its own.
    """
    scenes = copies.editable()
    for scene in scenes:
        if scene.session_uid == kept.scene_uid:
            return scene
    for scene in scenes:
        if getattr(scene.watch_your_steps, name) == kept.id:
            return scene
    if kept.file and kept.file == bpy.data.filepath:
        scene = bpy.data.scenes.get(kept.scene_name)
        if scene in scenes and getattr(scene.watch_your_steps, name) not in others:
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
    settings.job_asked = job.asked if job else ""
    if job is None:
        settings.job_object = settings.job_image = None
    picture = job.picture if job else None
    if picture is None or results.is_shown(scene, picture):
        results.drop_pending(scene)
    elif not results.is_pending(scene, picture):  # undo may bring another job's back
        results.install_pending(scene, picture)


def say(
    scene: bpy.types.Scene,
    sentence: str,
    refusal: bool = False,
    done: bool = False,
    working: bool = False,
) -> None:
    """Put a sentence into the scene's panel; "" takes it away.

    Args:
        scene: whose panel.
        sentence: for the artist.
        refusal: whether it says why what was asked for cannot be done; then it goes by itself as
            soon as something else is asked for.
        done: whether it says that what was asked for is done.
        working: whether it says that it is being done.
    """
    asked = _asked(scene) if refusal else None
    state.messages[scene.session_uid] = Message(sentence, asked, done, working)
    state.changed = True


def message_of(scene: bpy.types.Scene) -> str:
    """The sentence in the scene's panel, or ""."""
    message = state.messages.get(scene.session_uid)
    if message is None or message.asked not in (None, _asked(scene)):
        return ""
    return message.sentence


def says_done(scene: bpy.types.Scene) -> bool:
    """Whether that sentence says that what was asked for is done."""
    message = state.messages.get(scene.session_uid)
    return message is not None and message.done


def says_working(scene: bpy.types.Scene) -> bool:
    """Whether that sentence says that what was asked for is being done."""
    message = state.messages.get(scene.session_uid)
    return message is not None and message.working


def _asked(scene: bpy.types.Scene) -> tuple[object, ...]:
    """What a refusal may be about."""
    settings, camera = scene.watch_your_steps, scene.camera
    in_3d = ("cameras", "views", "size", "capture", "edit")
    return (
        settings.instruction.strip(),
        picture_source.chosen(settings),
        *(getattr(settings, name) for name in ("threshold", "max_side", "normalisation")),
        *(getattr(settings, name) for name in ("picks", "grow", "invert")),
        settings.painted_image and settings.painted_image.session_uid,
        *(getattr(settings.texture, name) for name in ("views", "size")),
        *texture_regions.previewed(),
        *(getattr(settings.in_3d, name) for name in in_3d),
        (camera.name, camera.type, camera.data and camera.data.name) if camera else None,
        (scene.frame_start, scene.frame_end, scene.frame_step, scene.render.filepath),
        len(scene.objects),
        bpy.data.filepath,
        state.status.state,
    )
