"""The worker thread that owns the socket. It never touches bpy.

The main thread puts commands into a queue and takes typed events out of another one; neither side
ever waits for the other. The link connects by itself, again and again, reading the connection file
anew each time (a restarted backend may have written another one), and hands every open job to the
new connection: `Submit` of a job that the backend knows already only follows it.
"""

import queue
import threading
import time
import traceback
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from ..protocol.client import Client
from ..protocol.codec import BadMessage
from ..protocol.connection import (
    BadConnectionFile,
    Connection,
    NoConnectionFile,
    default_connection_file,
    read_connection,
)
from ..protocol.line import ConnectionFailed, ServerError
from ..protocol.messages import (
    Cancelled,
    CaptureMessage,
    CaptureState,
    Done,
    Error,
    Failed,
    FinalEvent,
    JobEvent,
    Progress,
    SceneMessage,
    SceneState,
    ServerMessage,
    Welcome,
)
from ..protocol.requests import EditSceneResult, Request, Result, ScenePicture, SceneRenderResult
from . import stillness
from .encode import encode_exr, encode_png

POLL_SECONDS = 0.03
ANSWER_SECONDS = 3.0
"""Without an answer, after which the panel says so. It may still come, from far away or from a
machine that has much to do."""
LAST_ANSWER_SECONDS = 60.0
"""After which a new attempt may find what this one does not."""
RETRY_SECONDS = 1.0
MAX_TRIES = 3
BROKEN = (
    f"The connection broke {MAX_TRIES} times when this job was sent or its result came: start it "
    "again with smaller pictures, and see what the backend's log says."
)
GONE = ("unknown_job", "result_gone")
"""Codes of a backend that has nothing of a job any more."""
BUSY, BUSY_SECONDS = "busy", 30.0
"""Code of a backend whose queue is full, and seconds until a job is sent to it again."""
FULL = "waiting for room in the backend's queue"
STOPPED = "server_stopped"
"""Code of a backend that stops, and takes a job with it."""
NO_BACKEND = "No backend runs on this machine: start one here, or connect to another one."
"""Where there is no connection file in the usual place."""


ANOTHER_MACHINE = (
    "If it runs on another machine, start it there with --bind tcp://0.0.0.0:5577 and copy its "
    "connection file again, or open an SSH tunnel to it."
)
"""Where a file from elsewhere names this machine, as it does unless the server was told to bind."""


class LinkState(Enum):
    """How the connection stands."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    FAILED = "failed"
    """Not connected; the link goes on trying."""
    CLOSED = "closed"


@dataclass(frozen=True)
class LinkStatus:
    """The connection's state; with CONNECTED what the backend is, with FAILED why not."""

    state: LinkState
    text: str = ""
    welcome: Welcome | None = None


@dataclass(frozen=True)
class Arrived:
    """A job has ended well. Pictures come with their file bytes, made in the worker thread.

    Arrays have row 0 at the top.
    """

    job: str
    result: Result
    files: dict[str, bytes]
    """By the name of the result's field: a PNG of every uint8 picture, an OpenEXR of every float32
    one."""


LinkEvent = LinkStatus | JobEvent | Arrived | CaptureState | SceneState | Error


@dataclass(frozen=True)
class _Open:
    """Command: submit the request, or follow the job where there is none (after a restart)."""

    job: str
    request: Request | None


@dataclass(frozen=True)
class _Cancel:
    job: str


Command = _Open | _Cancel | CaptureMessage | SceneMessage


@dataclass
class Link:
    """One connection, kept up by one thread.

    Attributes:
        connection_file: read at every attempt to connect.
        name: what the backend's log calls this client.
        online: whether Blender lets add-ons reach other machines.
    """

    connection_file: Path
    name: str
    online: bool
    _commands: "queue.SimpleQueue[Command]" = field(default_factory=queue.SimpleQueue)
    _events: "queue.SimpleQueue[LinkEvent]" = field(default_factory=queue.SimpleQueue)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    # What follows belongs to the thread.
    _open: dict[str, Request | None] = field(default_factory=dict)
    _tries: dict[str, int] = field(default_factory=dict)
    """How often each open job was sent since the backend last said something about it."""
    _known: set[str] = field(default_factory=set)
    """Open jobs that the backend has said something about: after a loss they are followed, as their
    pictures need not be sent again."""
    _cancelled: set[str] = field(default_factory=set)
    """Open jobs that are to be stopped, which a backend may not have heard before a loss."""
    _put_off: dict[str, float] = field(default_factory=dict)
    """Open jobs for which the backend had no room, and when they are sent again."""
    _abandoned: set[str] = field(default_factory=set)
    """Jobs that count as cancelled here, and that the backend may still work on, also where only
    an earlier link has told it of them."""
    _status: LinkStatus | None = None

    def start(self) -> None:
        """Start to connect."""
        self._thread = threading.Thread(target=self._run, name="Watch Your Steps", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> bool:
        """End the thread, at most one poll later. Jobs go on in the backend. True if it ended."""
        self._stop.set()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def submit(self, job: str, request: Request) -> None:
        """Start a job as soon as the backend can be reached."""
        self._commands.put(_Open(job, request))

    def follow(self, job: str) -> None:
        """Attach to a job that was started before."""
        self._commands.put(_Open(job, None))

    def cancel(self, job: str) -> None:
        """Stop a job; a Cancelled event says when it has stopped."""
        self._commands.put(_Cancel(job))

    def tell(self, message: CaptureMessage | SceneMessage) -> None:
        """Send a message about a capture; the answer comes as an event. While there is no
        connection the message is dropped: tell it again when there is.
        """
        self._commands.put(message)

    def next_event(self) -> LinkEvent | None:
        """The oldest event that was not taken yet, or None. Never waits."""
        try:
            return self._events.get_nowait()
        except queue.Empty:
            return None

    # ---------------------------------------------------------------- the thread

    def _run(self) -> None:
        with stillness.coming_by():
            self._connect_again_and_again()

    def _connect_again_and_again(self) -> None:
        while not self._stop.is_set():
            if self._status is None:
                self._report(LinkStatus(LinkState.CONNECTING))
            try:
                self._serve()
            except NoConnectionFile as error:
                usual = self.connection_file == default_connection_file()
                self._report(LinkStatus(LinkState.FAILED, NO_BACKEND if usual else str(error)))
            except (BadConnectionFile, ConnectionFailed, ServerError) as error:
                self._report(LinkStatus(LinkState.FAILED, str(error)))
            except BadMessage as error:
                text = f"The backend sent something that is not understood: {error}."
                self._report(LinkStatus(LinkState.FAILED, text))
            except Exception as error:  # noqa: BLE001  # a defect must reach the panel, not end the thread
                traceback.print_exc()
                text = f"The add-on has a defect ({error!r}); the system console has the details."
                self._report(LinkStatus(LinkState.FAILED, text))
            self._wait(RETRY_SECONDS)

    def _wait(self, seconds: float) -> None:
        """Take commands while there is no connection."""
        deadline = time.monotonic() + seconds
        while not self._stop.is_set() and time.monotonic() < deadline:
            stillness.come_by()
            self._take_commands(None)
            self._stop.wait(POLL_SECONDS)

    def _report(self, status: LinkStatus) -> None:
        if status != self._status:
            self._status = status
            self._events.put(status)

    def _serve(self) -> None:
        """One connection, from the handshake to its loss (an exception) or the end, or until it has
        not answered for long, or not while the connection file has come to name another one.
        """
        connection = read_connection(self.connection_file)
        self._check_reachable(connection)
        with Client(connection, self.name) as client:
            client.open()
            welcomed = False
            asked = looked = time.monotonic()
            while not self._stop.is_set():
                stillness.come_by()
                self._take_commands(client if welcomed else None)
                for message in self._poll(client):
                    if isinstance(message, Welcome):
                        self._report(LinkStatus(LinkState.CONNECTED, welcome=message))
                        if not welcomed:
                            self._resume(client)
                        welcomed = True
                    elif isinstance(message, CaptureState | SceneState):
                        self._events.put(message)
                    elif self._is_for_the_next(message):
                        self._known.discard(message.job)
                    elif self._found_no_room(message):
                        self._put_off[message.job or ""] = time.monotonic() + BUSY_SECONDS
                    elif (job := self._to_be_sent_again(message)) is not None:
                        self._send_again(client, job)
                    else:
                        self._pass_on(message)
                now = time.monotonic()
                for job in [one for one, when in self._put_off.items() if when < now and welcomed]:
                    del self._put_off[job]
                    self._send(client, job, self._open[job])
                if not welcomed and now - asked > ANSWER_SECONDS:
                    self._report(LinkStatus(LinkState.FAILED, self._nothing_answers(client)))
                    if now - asked > LAST_ANSWER_SECONDS:
                        return  # to another attempt
                    if now - looked > RETRY_SECONDS:
                        looked = now
                        if read_connection(self.connection_file) != connection:
                            return  # to where it is now
                if client.losses:
                    raise ConnectionFailed(
                        "The connection to the backend was lost: start it again if it has "
                        "stopped; the work goes on from there by itself."
                    )

    def _nothing_answers(self, client: Client) -> str:
        text = str(client.nothing_answers(ANSWER_SECONDS))
        if client.connection.is_local and self.connection_file != default_connection_file():
            text = f"{text} {ANOTHER_MACHINE}"
        return text

    def _poll(self, client: Client) -> list[ServerMessage]:
        """What has come. A job whose end cannot be read has failed, and the line goes on."""
        try:
            return client.poll(POLL_SECONDS)
        except BadMessage as error:
            if error.about is None or error.about not in self._open:
                raise
            text = f"What the backend made cannot be read: {error}."
            return [Failed(job=error.about, code="bad_message", message=text)]

    def _check_reachable(self, connection: Connection) -> None:
        if not self.online and not connection.is_local:
            raise ConnectionFailed(
                f"The backend is on another machine ({connection.host}) and Blender's online "
                'access is off: switch on "Allow Online Access" in Preferences > System.'
            )

    def _resume(self, client: Client) -> None:
        """Hand the open jobs to a new connection."""
        self._put_off.clear()
        for job, request in list(self._open.items()):
            if job not in self._cancelled:
                self._send(client, job, None if job in self._known else request)
                continue
            self._send(client, job, None)
            if job in self._open:
                client.cancel(job)
        for job in self._abandoned:
            client.cancel(job)
        self._abandoned.clear()

    def _is_for_the_next(self, message: JobEvent | Error) -> TypeGuard[Failed]:
        """Whether a backend that stops has not done a job, which the next one can begin anew."""
        return (
            isinstance(message, Failed)
            and message.code == STOPPED
            and message.job not in self._cancelled
            and self._open.get(message.job) is not None
        )

    def _found_no_room(self, message: JobEvent | Error) -> TypeGuard[Error]:
        """Whether the backend's queue is too full for a job, which is said then."""
        if not isinstance(message, Error) or message.code != BUSY or message.job is None:
            return False
        if self._open.get(message.job) is None:
            return False
        self._tries[message.job] = 0
        self._events.put(Progress(job=message.job, stage=FULL, fraction=0.0))
        return True

    def _to_be_sent_again(self, message: JobEvent | Error) -> str | None:
        """The job that the backend has lost what it knew of, if it can begin anew."""
        if not isinstance(message, Error) or message.code not in GONE or message.job is None:
            return None
        job = message.job
        anew = job in self._known and job not in self._cancelled
        return job if anew and self._open.get(job) is not None else None

    def _send_again(self, client: Client, job: str) -> None:
        self._known.discard(job)
        self._tries[job] = 0
        self._send(client, job, self._open[job])

    def _send(self, client: Client, job: str, request: Request | None) -> None:
        tries = self._tries.get(job, 0)
        if tries >= MAX_TRIES:
            self._pass_on(Failed(job=job, code="not_delivered", message=BROKEN))
            return
        try:
            if request is None:
                client.follow(job)
            else:
                client.submit(request, job)
        except BadMessage as error:
            self._pass_on(Failed(job=job, code="bad_input", message=f"Not sent: {error}."))
        else:
            self._tries[job] = tries + 1

    def _tell(self, client: Client, message: CaptureMessage | SceneMessage) -> None:
        try:
            client.send(message)
        except BadMessage as error:
            text = f"Not sent: {error}."
            self._events.put(Error(code="bad_input", message=text, job=message.capture))

    def _take_commands(self, client: Client | None) -> None:
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            if isinstance(command, _Open):
                self._open[command.job] = command.request
                if client:
                    self._send(client, command.job, command.request)
            elif not isinstance(command, _Cancel):
                if client:
                    self._tell(client, command)
            else:
                self._cancel(client, command.job)

    def _cancel(self, client: Client | None, job: str) -> None:
        """Stop a job. What the backend has not heard of yet counts as stopped at once: on a slow
        line pictures take minutes, and what stops it goes behind them.
        """
        if job in self._open:
            if client is not None and job in self._known:
                self._cancelled.add(job)
            else:
                self._abandoned.add(job)
                self._forget(job)
                self._events.put(Cancelled(job=job))
        if client is not None:
            client.cancel(job)

    def _pass_on(self, message: JobEvent | Error) -> None:
        """Turn what the backend said into an event for the main thread."""
        if isinstance(message, Error):
            if message.job is None:
                raise ServerError(message.code, message.message)
            if message.job not in self._open:
                # about a capture, or the answer to a cancel that came too late
                self._events.put(message)
                return
            job, code = message.job, message.code
            if code in GONE and job in self._cancelled:
                message = Cancelled(job=job)
            else:
                message = Failed(job=job, code=code, message=_in_words(message))
        if message.job not in self._open:
            return
        stopped = isinstance(message, Failed) and message.code == STOPPED
        if stopped and message.job in self._cancelled:
            message = Cancelled(job=message.job)
        self._tries[message.job] = 0
        self._known.add(message.job)
        if isinstance(message, FinalEvent):
            self._forget(message.job)
        if isinstance(message, Done):
            self._events.put(_prepared(message))
        else:
            self._events.put(message)

    def _forget(self, job: str) -> None:
        """A job has ended."""
        self._open.pop(job, None)
        self._tries.pop(job, None)
        self._put_off.pop(job, None)
        self._known.discard(job)
        self._cancelled.discard(job)


def _in_words(error: Error) -> str:
    if error.code == "unknown_job":
        return "The backend does not know this job any more, it was started anew: try again."
    return error.message


def _prepared(done: Done) -> Arrived | Failed:
    """The result with its files, or in words why it cannot be had."""
    try:
        return prepare(done.job, done.result)
    except Exception as error:  # noqa: BLE001  # a defect ends the job, and not for ever again
        traceback.print_exc()
        text = f"the add-on has a defect ({error!r}); the system console has the details."
        return Failed(job=done.job, code="internal", message=text)


def prepare(job: str, result: Result) -> Arrived:
    """A result with the file bytes that its Image data-blocks will hold."""
    files = {}
    for name in result.__struct_fields__:
        value = getattr(result, name)
        if not isinstance(value, np.ndarray):
            continue
        if value.dtype == np.uint8 and value.ndim == 3:
            files[name] = encode_png(value)
        elif value.dtype == np.float32 and value.ndim == 2:
            files[name] = encode_exr(value)
    if isinstance(result, EditSceneResult) and result.pictures:
        files["pictures"] = encode_png(side_by_side(result.pictures))
    if isinstance(result, SceneRenderResult):
        files |= {f"frame {number}": encode_png(one) for number, one in enumerate(result.frames)}
    return Arrived(job, result, files)


def side_by_side(pictures: tuple[ScenePicture, ...]) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): one row a view, in it before, after, and the relevance in gray."""
    height = max(one.before.shape[0] for one in pictures)
    width = max(one.before.shape[1] for one in pictures)
    sheet = np.zeros((len(pictures), height, 3, width, 3), np.uint8)
    for row, one in zip(sheet, pictures, strict=True):
        rows, columns = one.before.shape[:2]
        row[:rows, 0, :columns] = one.before
        row[:rows, 1, :columns] = one.after
        if one.relevance is not None:
            row[:rows, 2, :columns] = np.rint(one.relevance * 255)[..., None]
    return sheet.reshape(-1, 3 * width, 3)
