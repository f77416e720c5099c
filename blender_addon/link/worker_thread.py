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
from ..protocol.requests import Request
from . import stillness
from .arrived import Arrived, arrived
from .open_jobs import GONE, MAX_TRIES, OpenJobs

POLL_SECONDS = 0.03
ANSWER_SECONDS = 3.0
"""Without an answer, after which the panel says so. It may still come, from far away or from a
machine that has much to do."""
LAST_ANSWER_SECONDS = 60.0
"""After which a new attempt may find what this one does not."""
RETRY_SECONDS = 1.0
BROKEN = (
    f"The connection broke {MAX_TRIES} times when this job was sent or its result came: start it "
    "again with smaller pictures, and see what the backend's log says."
)
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
    _jobs: OpenJobs = field(default_factory=OpenJobs)
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
                    elif not self._begins_anew(client, message):
                        self._pass_on(message)
                for job in self._jobs.due() if welcomed else ():
                    self._send(client, job)
                now = time.monotonic()
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
            if error.about is None or error.about not in self._jobs:
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
        for job in self._jobs.handed_over():
            self._send(client, job)
            if self._jobs.is_cancelled(job):
                client.cancel(job)
        for job in self._jobs.abandoned():
            client.cancel(job)

    def _begins_anew(self, client: Client, message: JobEvent | Error) -> bool:
        """Whether the backend has nothing of a job that it can be sent anew, now, later, or when it
        is there again; that is seen to then.
        """
        job = message.job
        if job is None or not self._jobs.can_begin_anew(job):
            return False
        if isinstance(message, Failed) and message.code == STOPPED:
            self._jobs.unheard(job)
        elif not isinstance(message, Error):
            return False
        elif message.code == BUSY:
            self._jobs.put_off(job, BUSY_SECONDS)
            self._events.put(Progress(job=job, stage=FULL, fraction=0.0))
        elif message.code in GONE and self._jobs.is_heard(job):
            self._jobs.unheard(job)
            self._send(client, job)
        else:
            return False
        return True

    def _send(self, client: Client, job: str) -> None:
        if not self._jobs.may_be_sent(job):
            self._pass_on(Failed(job=job, code="not_delivered", message=BROKEN))
            return
        request = self._jobs.to_send(job)
        try:
            if request is None:
                client.follow(job)
            else:
                client.submit(request, job)
        except BadMessage as error:
            self._pass_on(Failed(job=job, code="bad_input", message=f"Not sent: {error}."))
        else:
            self._jobs.sent(job)

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
                self._jobs.open(command.job, command.request)
                if client:
                    self._send(client, command.job)
            elif not isinstance(command, _Cancel):
                if client:
                    self._tell(client, command)
            else:
                self._cancel(client, command.job)

    def _cancel(self, client: Client | None, job: str) -> None:
        """Stop a job. What the backend has not heard of yet counts as stopped at once: on a slow
        line pictures take minutes, and what stops it goes behind them.
        """
        if job in self._jobs:
            if client is not None and self._jobs.is_heard(job):
                self._jobs.cancel(job)
            else:
                self._jobs.abandon(job)
                self._events.put(Cancelled(job=job))
        if client is not None:
            client.cancel(job)

    def _pass_on(self, message: JobEvent | Error) -> None:
        """Turn what the backend said into an event for the main thread."""
        if isinstance(message, Error):
            if message.job is None:
                raise ServerError(message.code, message.message)
            if message.job not in self._jobs:
                # about a capture, or the answer to a cancel that came too late
                self._events.put(message)
                return
            job, code = message.job, message.code
            if code in GONE and self._jobs.is_cancelled(job):
                message = Cancelled(job=job)
            else:
                message = Failed(job=job, code=code, message=_in_words(message))
        if message.job not in self._jobs:
            return
        stopped = isinstance(message, Failed) and message.code == STOPPED
        if stopped and self._jobs.is_cancelled(message.job):
            message = Cancelled(job=message.job)
        self._jobs.heard(message.job)
        if isinstance(message, FinalEvent):
            self._jobs.forget(message.job)
        if isinstance(message, Done):
            self._events.put(arrived(message))
        else:
            self._events.put(message)


def _in_words(error: Error) -> str:
    if error.code == "unknown_job":
        return "The backend does not know this job any more, it was started anew: try again."
    return error.message
