"""A job of one scene, and what the kinds of jobs have to say about themselves."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data import pictures
from ..data.frozen_region import FrozenRegion
from ..data.migration import new_uid
from ..data.taken_pictures import Picture
from ..link.arrived import Arrived
from ..link.worker_thread import Link
from ..protocol.messages import Cancelled, CaptureState, Failed, Welcome
from ..protocol.requests import Request
from ..protocol.text import wrong_instruction
from .ahead import Ahead, Parts

PICKING, PICKING_VARIANT = "WATCH_YOUR_STEPS_OT_pick_things", "WATCH_YOUR_STEPS_OT_contact_sheet"
PAINTING = "WATCH_YOUR_STEPS_OT_paint_mask"
RENDER_TOOL, ESC = "RENDER_OT_render", "WATCH_YOUR_STEPS_OT_wait_for_esc"
WAITING_TOOLS = (PICKING, PICKING_VARIANT, PAINTING)
"""How Blender calls the tools that wait for clicks on things and on a contact sheet, and for
strokes on the mask; and ESC the one that waits for that key beside anything else."""


WAITS = "waiting for your render or tool to end"
"""How far a job is beside `artist_is_busy`."""


class SessionError(RuntimeError):
    """Something does not work; the text is the sentence that the panel shows."""


def check_instruction(text: str) -> str:
    """The instruction without spaces around it. Raises SessionError where it cannot be one."""
    if wrong := wrong_instruction(text):
        raise SessionError(wrong)
    return text.strip()


class Preparation(Protocol):
    """Work on the main thread that comes before a job's request, or is the job."""

    def step(self, scene: bpy.types.Scene, job: "Job", link: Link) -> Request | None:
        """Do one piece of it, such as one render; returns the request once it is there. What needs
        no request puts the end into `job.outcome` instead.

        Raises:
            SessionError, SceneError: it does not work; the text says why.
        """


@dataclass
class Job:
    """A job of one scene, from the moment when it was started until its result is in the scene."""

    id: str
    kind: str
    """A key of `kinds.KINDS`."""
    instruction: str
    subject: str
    """What the result belongs to, in the words of the kind; saved with the scene."""
    scene_uid: int
    scene_name: str
    file: str
    """Path of the .blend file, "" while it has none."""
    preparation: Preparation | None
    """Until the request was sent; None after a restart of Blender: the backend has the request."""
    picture: Picture | None = None
    """The render that a relevance map or an edit belongs to."""
    asked: str = ""
    """The settings that it was started with, in the words of the kind; saved with the scene."""
    region: FrozenRegion | None = None
    """Where an edit is made, as it was when it was asked for; None after a restart of Blender."""
    title: str = ""
    """What it is called among those that were asked for together; "" for one of its own."""
    group: str = ""
    """The same for all that were asked for together; "" for one of its own."""
    then: tuple[str, ...] = ()
    """Kinds of the jobs that follow when this one ends well."""
    started: float = field(default_factory=time.monotonic)
    request: Request | None = None
    """What was sent, once it was."""
    cancelled: bool = False
    """Whether the artist has cancelled it, and the backend is to be told so."""
    stage: str = "sending"
    fraction: float = 0.0
    preview: NDArray[np.uint8] | None = None
    """uint8 (h, w, 3): a small look at the result so far."""
    outcome: Arrived | CaptureState | Failed | Cancelled | None = None
    """How it ended, while that is not yet in its scene. A capture ends with being sealed."""
    server: Welcome | None = None
    """What the backend said of itself when the result came."""
    ahead: Ahead | None = None
    """What is done of its result before that is brought into the scene, once it has begun."""
    put_back: Callable[[], None] | None = None
    """Makes the scene as it was before the job, where that ends without a result."""


@dataclass(frozen=True)
class NewJob:
    """A job that is to be started; the fields are those of `Job`."""

    kind: str
    instruction: str
    subject: str
    preparation: Preparation
    picture: Picture | None = None
    asked: str = ""
    region: FrozenRegion | None = None
    title: str = ""
    group: str = ""
    id: str | None = None
    """None: a new one."""


@dataclass
class Queue:
    """What waits in one scene, and what has failed of those that were asked for together."""

    scene_uid: int
    scene_name: str
    file: str
    """Path of the .blend file, "" while it has none."""
    id: str = field(default_factory=new_uid)
    jobs: list[NewJob] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Sentences, said until all that waits has ended."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """What was said of jobs that ended well, each with what they are called: said as long."""


@dataclass(frozen=True)
class Kind:
    """What a kind of job does beside being sent and followed."""

    title: str
    """Begins sentences about it: "Preview" was cancelled."""
    undo: bool
    """Whether its result is an undo step of its own."""
    install: Callable[[bpy.types.Scene, Job, Arrived | CaptureState], None]
    """Bring the result into the scene. Raises SessionError where that does not work."""
    attach: Callable[[bpy.types.Scene, Job], None]
    """Complete a job whose fields were saved with the scene. Raises SessionError where the file
    has lost what it needs, or the job cannot go on without Blender."""
    follow: Callable[[bpy.types.Scene], NewJob] | None = None
    """Makes the job from the scene's settings where it may follow another one."""
    over_camera: bool = False
    """Whether its previews show the camera's view."""
    ahead: Callable[[bpy.types.Scene, Job, Arrived], Parts] | None = None
    """What threads can do before `install`, which it leaves less to do."""
    title_of: Callable[[Job], str] | None = None
    """Instead of the title in sentences about jobs that are asked for several at once."""
    forget: Callable[[bpy.types.Scene, Job], None] | None = None
    """Drop what was kept for the result of a job that ends without one."""


class Sending:
    """The preparation of a job whose request costs no more than a step, once the image that it is
    of is decoded.
    """

    def __init__(
        self,
        make: Callable[[bpy.types.Scene], Request],
        of: Callable[[bpy.types.Scene], bpy.types.Image] | None = None,
    ) -> None:
        self._make, self._of = make, of
        self._loading: Ahead | None = None

    def step(self, scene: bpy.types.Scene, job: Job, link: Link) -> Request | None:
        """The request."""
        if self._loading is None:
            self._loading = Ahead(None if self._of is None else pictures.loading(self._of(scene)))
        return self._make(scene) if self._loading.is_done() else None


def artist_is_busy() -> bool:
    """Whether a tool or a render of the artist's runs, beside which nothing may be rendered. The
    tools of this add-on, which only wait, may go on.
    """
    if any(bpy.app.is_job_running(kind) for kind in ("RENDER", "OBJECT_BAKE")):
        return True
    return any(tool not in WAITING_TOOLS for tool in running_tools())


def running_tools() -> list[str]:
    """How Blender calls the tools that run in its windows, but for the one that waits for Esc. A
    render's own stays there after its end until the mouse is moved: it counts only while something
    is rendered.
    """
    windows = bpy.context.window_manager.windows
    tools = [tool.bl_idname for window in windows for tool in window.modal_operators]
    renders = bpy.app.is_job_running("RENDER")
    return [tool for tool in tools if tool != ESC and (renders or tool != RENDER_TOOL)]
