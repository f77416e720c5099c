"""What runs: how the link to the backend and the jobs of all scenes go on, from being started to
their results being in the scenes.

Everything here belongs to the main thread and returns at once, but for the `wait` functions, which
are for scripts that run without Blender's event loop.
"""

import time
from collections.abc import Callable
from pathlib import Path

import bpy

from ..data import copies
from ..data.scene_error import SceneError
from ..link.worker_thread import Link, LinkState, LinkStatus
from ..protocol.connection import default_connection_file
from ..protocol.folders import typed_path
from ..protocol.messages import (
    Cancelled,
    CaptureMessage,
    Failed,
    SceneMessage,
    SceneState,
)
from ..protocol.values import new_job_id
from . import open_files, waiting
from .endings import finish, is_ready, push_undo
from .job import Job, NewJob, SessionError
from .kinds import KINDS
from .link_events import stop_clocks, take_events
from .running import (
    OFF,
    find_scene,
    job_of,
    message_of,
    say,
    says_done,
    says_working,
    start_anew,
    state,
    waiting_elsewhere,
    write_job,
)

__all__ = [
    "job_of",
    "message_of",
    "say",
    "says_done",
    "says_working",
    "start_anew",
    "state",
    "waiting_elsewhere",
]
"""What panels and operators ask of what runs."""
DRAIN_SECONDS = 0.02


# ---------------------------------------------------------------- the connection


def connection_file(preferences: bpy.types.AddonPreferences | None) -> Path:
    """The connection file of the preferences, or the place where a server puts it by default."""
    chosen = preferences.connection_file if preferences is not None else ""
    return typed_path(bpy.path.abspath(chosen)) if chosen else default_connection_file()


def connect(file: Path) -> None:
    """Start to connect; the link goes on trying until `disconnect`."""
    disconnect()
    version = ".".join(map(str, bpy.app.version))
    state.link = Link(file, f"Blender {version}", bpy.app.online_access)
    state.status = LinkStatus(LinkState.CONNECTING)
    for job in state.jobs.values():
        if job.outcome is None:
            _open(state.link, job)
    state.link.start()
    state.changed = True


def disconnect() -> None:
    """Leave the backend. Jobs go on there, and are attached to again by the next `connect`."""
    if state.link is not None:
        state.link.stop()
        take_events()  # what came before the end is not lost
        state.link = None
    state.status = OFF
    stop_clocks()
    state.changed = True


def check_connection() -> None:
    """Raise SessionError, with the sentence to show, where no backend can be reached just now."""
    if state.status.state is LinkState.FAILED:
        raise SessionError(state.status.text)
    if state.link is None:
        raise SessionError("There is no connection to a backend: press Connect.")


def _open(link: Link, job: Job) -> None:
    if job.request is not None:
        link.submit(job.id, job.request)
    elif job.preparation is None:
        link.follow(job.id)
    if job.cancelled:
        link.cancel(job.id)


def tell(message: CaptureMessage | SceneMessage) -> None:
    """Send a message about a capture; the answer comes with a later `drain`.

    Raises:
        SessionError: there is no connection.
    """
    check_connection()
    if state.link is None or state.status.state is not LinkState.CONNECTED:
        raise SessionError("The connection to the backend is not there yet: wait a moment.")
    state.link.tell(message)


# ---------------------------------------------------------------- jobs


def submit(scene: bpy.types.Scene, new: NewJob, then: tuple[str, ...] = ()) -> Job:
    """Start a job, which the next calls of `drain` prepare and send, and after it those of the
    kinds in `then`, each when the one before has ended well.

    Raises:
        SessionError: there is no connection, or a job of this scene runs already.
    """
    check_connection()
    copies.settle(scene)
    if job_of(scene) is not None:
        raise SessionError("A job of this scene runs already: wait for it, or cancel it.")
    job = Job(
        id=new.id or new_job_id(),
        kind=new.kind,
        instruction=new.instruction,
        subject=new.subject,
        picture=new.picture,
        preparation=new.preparation,
        asked=new.asked,
        region=new.region,
        title=new.title,
        group=new.group,
        then=then,
        scene_uid=scene.session_uid,
        scene_name=scene.name,
        file=bpy.data.filepath,
    )
    state.jobs[job.id] = job
    write_job(scene, job)
    say(scene, "")
    state.changed = True
    return job


def ask(scene: bpy.types.Scene, *jobs: NewJob) -> None:
    """Start jobs one after the other: now, or when those that were asked for before have ended.

    Raises:
        SessionError: there is no connection.
    """
    check_connection()
    copies.settle(scene)
    waiting.add(scene, *jobs)
    _begin_next(scene)


def _begin_next(scene: bpy.types.Scene) -> None:
    """Start the job whose turn it is, where there is one and no other job of the scene runs. Where
    the backend is not there it goes on waiting.
    """
    if state.link is None or state.status.state is LinkState.FAILED or job_of(scene) is not None:
        return
    new = waiting.take(scene)
    if new is not None:
        said = waiting.said_before(scene)
        submit(scene, new)
        say(scene, said)
        waiting.write(scene)


def _shown(job: Job) -> tuple[object, ...]:
    """What panels say of a job that is prepared."""
    return job.stage, job.fraction, id(job.preview), job.request is None, job.outcome is None


def _prepare(link: Link, job: Job) -> None:
    """Do one piece of the work that comes before a job's request, if its scene is open."""
    scene = find_scene(job)
    if scene is None or job.preparation is None:
        return
    try:
        job.request = job.preparation.step(scene, job, link)
    except (SessionError, SceneError) as error:  # refusals: they say in words what is wrong
        job.outcome = Failed(job=job.id, code="bad_input", message=str(error))
    except Exception as error:
        text = f"the add-on has a defect ({error!r})."
        job.outcome = Failed(job=job.id, code="internal", message=text)
        raise
    else:
        if job.request is not None:
            job.stage, job.fraction = "sending", 0.0
            link.submit(job.id, job.request)


def cancel(scene: bpy.types.Scene) -> None:
    """Ask the backend to stop the scene's job.

    Raises:
        SessionError: no job of this scene runs.
    """
    job = job_of(scene)
    if job is None:
        raise SessionError("No job of this scene runs.")
    if job.group:
        waiting.drop(scene, job.group)
    unsent = job.request is None and job.preparation is not None
    if state.link is None or unsent:  # nobody to ask; the backend may finish it for nothing
        job.outcome = Cancelled(job=job.id)
    else:
        state.link.cancel(job.id)
        job.cancelled, job.stage = True, "cancelling"
    state.changed = True


# ---------------------------------------------------------------- what the timer calls


def drain() -> None:
    """Take what the worker thread has put into its queue, and bring it into the scenes.

    Blender's timer calls this; scripts call it themselves. It never waits, and leaves for the next
    call what would take longer than a frame.
    """
    if not state.loaded:  # the add-on was switched on while a file is open
        open_files.after_load()
    copies.settle_all()
    take_events()
    began = time.perf_counter()
    for job in list(state.jobs.values()):
        if time.perf_counter() - began > DRAIN_SECONDS:
            break
        if job.outcome is not None:
            scene = find_scene(job)
            if scene is not None and is_ready(scene, job, job.outcome):
                if finish(scene, job, job.outcome):
                    _go_on(scene, job.then)
                push_undo()
        elif job.request is None and job.preparation is not None and state.link is not None:
            before = _shown(job)
            _prepare(state.link, job)
            state.changed |= _shown(job) != before  # a redraw may take long, with a large scene
    for scene in map(waiting.find_scene, list(state.queues.values())):
        if scene is not None:
            _begin_next(scene)
    push_undo()


def scene_state(scene: bpy.types.Scene) -> SceneState | None:
    """What the backend has made of the scene's capture, as it said last, or None."""
    return state.scenes.get(scene.watch_your_steps.in_3d.capture)


def _go_on(scene: bpy.types.Scene, kinds: tuple[str, ...]) -> None:
    """Start the first of the jobs that are to follow."""
    if not kinds:
        return
    follow = KINDS[kinds[0]].follow
    assert follow is not None
    words = message_of(scene)
    try:
        submit(scene, follow(scene), kinds[1:])
    except (SessionError, SceneError) as error:
        words = f"{words} {error}".lstrip()
    say(scene, words)


# ---------------------------------------------------------------- for scripts without event loop


def wait(condition: Callable[[], bool], timeout: float) -> None:
    """Drain until the condition holds.

    Raises:
        TimeoutError: it does not within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        drain()
        if condition():
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} seconds; the link is {state.status}")
        time.sleep(0.01)


def wait_for_connection(timeout: float) -> None:
    """Wait until the backend's model is ready.

    Raises:
        SessionError: no connection within `timeout`; the text says why.
    """

    def ready() -> bool:
        welcome = state.status.welcome
        return welcome is not None and welcome.model_state == "ready"

    try:
        wait(ready, timeout)
    except TimeoutError as error:
        raise SessionError(state.status.text or str(error)) from error


def wait_for_job(scene: bpy.types.Scene, timeout: float) -> None:
    """Wait until the scene's job has ended and its result is in the scene.

    Raises:
        SessionError: the job failed or was cancelled.
        TimeoutError: it still runs after `timeout` seconds.
    """
    job = job_of(scene)
    wait(lambda: job is None or job.id not in state.jobs, timeout)
    if job is not None and isinstance(job.outcome, Failed | Cancelled):
        raise SessionError(message_of(scene))


def wait_for_all_jobs(scene: bpy.types.Scene, timeout: float) -> None:
    """Wait until the scene's job and those that follow it have ended, `timeout` seconds each.

    Raises:
        SessionError: one of them failed or was cancelled.
        TimeoutError: one of them still runs after `timeout` seconds.
    """
    while job_of(scene) is not None:
        wait_for_job(scene, timeout)
