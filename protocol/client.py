"""A client of the backend: submit, follow, cancel, re-attach. No bpy, no torch.

A Client belongs to the one thread that made it. The add-on's worker thread calls `poll`, the
command line and the tests call `run`.
"""

import time
from collections.abc import Callable, Iterator
from typing import Self, TypeVar

import zmq
from zmq.utils.monitor import parse_monitor_message

from . import codec
from .connection import Connection
from .messages import (
    Cancel,
    Cancelled,
    CaptureMessage,
    CaptureState,
    ClientMessage,
    Error,
    Failed,
    FinalEvent,
    Follow,
    GetScene,
    Hello,
    JobEvent,
    OpenCapture,
    Progress,
    PutView,
    Queued,
    SceneMessage,
    SceneState,
    SealCapture,
    ServerMessage,
    Submit,
    UndoSceneEdit,
    Welcome,
)
from .requests import Request, Result
from .values import MAX_WIRE_BYTES, new_job_id

HANDSHAKE_TIMEOUT = 3.0
HEARTBEAT_INTERVAL_MS = 2000
HEARTBEAT_TIMEOUT_MS = 10000
ANSWER_TIMEOUT = 120.0
"""Seconds that a message about a capture may take: one view to the server and onto its disk."""

Answer = TypeVar("Answer", CaptureState, SceneState)


class ConnectionFailed(ConnectionError):
    """No usable connection to the server; the text says why and what to do."""


class KeyRefused(ConnectionFailed):
    """The server and this client do not hold matching keys."""


class ServerError(RuntimeError):
    """The server could not serve a message, or the job failed.

    Attributes:
        code: one of the codes in protocol/README.md.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class JobCancelled(Exception):
    """The job was cancelled."""


class Client:
    """One encrypted connection to one server.

    `connect` shakes hands (`open` begins it without waiting); `submit`, `follow` and `cancel` only
    send; `poll` returns what has come.
    The socket reconnects by itself; `connected` says whether the line is up just now, and `welcome`
    what the server last said of itself.
    """

    def __init__(self, connection: Connection, name: str = "watch-your-steps client") -> None:
        self.connection = connection
        self.name = name
        self.connected = False
        self.welcome: Welcome | None = None
        self._refused: KeyRefused | None = None
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_WIRE_BYTES)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL_MS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 200)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        self._socket.ipv6 = True
        self._socket.curve_serverkey = connection.server_public_key.encode()
        self._socket.curve_publickey = connection.client_public_key.encode()
        self._socket.curve_secretkey = connection.client_secret_key.encode()
        self._monitor = self._socket.get_monitor_socket()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the server. Jobs go on; another client may follow them."""
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._context.destroy(linger=0)

    def open(self) -> None:
        """Begin to connect and say Hello, without waiting; `poll` brings the Welcome.

        Raises:
            ConnectionFailed: the endpoint is not an address.
        """
        try:
            self._socket.connect(self.connection.endpoint)
        except zmq.ZMQError as error:
            raise ConnectionFailed(
                f"{self.connection.endpoint} is not an address that can be reached: {error}."
            ) from error
        self.send(Hello(client=self.name))

    def nothing_answers(self, timeout: float) -> ConnectionFailed:
        """The error of a server that has not answered Hello within `timeout` seconds."""
        return ConnectionFailed(
            f"Nothing answers at {self.connection.endpoint} within {timeout:g} seconds: is the "
            "backend running there (python -m backend.server), and is the port open?"
        )

    def connect(self, timeout: float = HANDSHAKE_TIMEOUT) -> Welcome:
        """Shake hands and learn what the server is.

        Raises:
            KeyRefused: the keys do not match.
            ConnectionFailed: nothing answers within `timeout` seconds.
            ServerError: the server refuses, for example because it is of another version.
        """
        self.open()
        deadline = time.monotonic() + timeout
        while (remaining := deadline - time.monotonic()) > 0:
            for message in self.poll(remaining):
                if isinstance(message, Welcome):
                    return message
                if isinstance(message, Error):
                    raise ServerError(message.code, message.message)
        raise self.nothing_answers(timeout)

    def send(self, message: ClientMessage) -> None:
        """Queue one message for the server; returns at once.

        Raises:
            BadMessage: the message is over a limit of the protocol.
            ConnectionFailed: messages have piled up because the server does not take them.
        """
        try:
            self._socket.send_multipart(codec.encode(message), flags=zmq.NOBLOCK, copy=False)
        except zmq.Again:
            raise ConnectionFailed(
                f"{self.connection.endpoint} takes no messages at present: check the backend."
            ) from None

    def submit(self, request: Request, job: str | None = None) -> str:
        """Start a job, or follow it where the server knows its id already. Returns the id."""
        job = job or new_job_id()
        self.send(Submit(job=job, request=request))
        return job

    def follow(self, job: str) -> None:
        """Ask for a job's latest event and all later ones, for example after a restart."""
        self.send(Follow(job=job))

    def cancel(self, job: str) -> None:
        """Ask the server to stop a job; a Cancelled event tells when it has stopped."""
        self.send(Cancel(job=job))

    def poll(self, timeout: float = 0.0) -> list[ServerMessage]:
        """Wait at most `timeout` seconds for messages and return all that have come.

        Raises:
            KeyRefused: the keys do not match.
            BadMessage: the server sent something that is not a message of this protocol.
        """
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        deadline = time.monotonic() + timeout
        messages: list[ServerMessage] = []
        while True:
            wait = 0.0 if messages else max(0.0, deadline - time.monotonic())
            ready = dict(poller.poll(int(wait * 1000)))
            if self._monitor in ready:
                self._watch()
            if self._refused:
                raise self._refused
            if self._socket in ready:
                frames = self._socket.recv_multipart(copy=False)
                message = codec.decode_server_message([frame.buffer for frame in frames])
                if isinstance(message, Welcome):
                    self.welcome = message
                messages.append(message)
            elif messages or time.monotonic() >= deadline:
                return messages

    def _watch(self) -> None:
        """Take one event of the socket's monitor: is the line up, were the keys refused?"""
        event = parse_monitor_message(self._monitor.recv_multipart())["event"]
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.connected = True
        elif event in (zmq.EVENT_DISCONNECTED, zmq.EVENT_CLOSED):
            self.connected = False
        elif event in (
            zmq.EVENT_HANDSHAKE_FAILED_AUTH,
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
            zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
        ):
            self._refused = KeyRefused(
                f"The backend at {self.connection.endpoint} refuses this key: copy its "
                "connection file again, it was made anew or belongs to another backend."
            )

    def events(self, job: str) -> Iterator[JobEvent]:
        """The events of one job until it has ended. Waits as long as the job takes.

        Raises:
            ServerError: the server does not know the job or refused it.
            KeyRefused: the server was started anew with other keys.
        """
        while True:
            for message in self.poll(0.5):
                if isinstance(message, Error) and message.job in (job, None):
                    raise ServerError(message.code, message.message)
                if isinstance(message, JobEvent) and message.job == job:
                    yield message
                    if isinstance(message, FinalEvent):
                        return

    def run(self, request: Request, on_event: Callable[[JobEvent], None] | None = None) -> Result:
        """Submit a job and wait for its result. `on_event` sees every event of the job.

        Raises:
            ServerError: the job failed.
            JobCancelled: somebody cancelled it.
        """
        job = self.submit(request)
        for event in self.events(job):
            if on_event is not None:
                on_event(event)
        if isinstance(event, Failed):
            raise ServerError(event.code, event.message)
        if isinstance(event, Cancelled):
            raise JobCancelled(job)
        assert not isinstance(event, Queued | Progress)
        return event.result

    def send_capture(
        self,
        capture: str,
        views: int,
        view: Callable[[int], PutView],
        on_state: Callable[[CaptureState], None] | None = None,
    ) -> CaptureState:
        """Send what is missing of a capture view by view, and seal it. After an interruption the
        same call goes on where it stopped.

        Args:
            capture: its id, see `values.new_capture_id`.
            views: how many it has.
            view: makes the view of an index; called only for those that the server lacks.
            on_state: told after every view.

        Raises:
            ServerError: a view or the capture cannot be used.
            ConnectionFailed: the server does not answer.
        """
        state = self._ask(OpenCapture(capture=capture, views=views), CaptureState)
        for index in state.missing:
            state = self._ask(view(index), CaptureState)
            if on_state is not None:
                on_state(state)
        return self._ask(SealCapture(capture=capture), CaptureState)

    def scene(self, capture: str) -> SceneState:
        """What has become of a capture: its field, its edits, and the jobs that use it.

        Raises:
            ServerError: the server does not have the capture.
            ConnectionFailed: the server does not answer.
        """
        return self._ask(GetScene(capture=capture), SceneState)

    def undo_scene_edit(self, capture: str, edit: str) -> SceneState:
        """Delete an edit of a capture; what is left.

        Raises:
            ServerError: another edit is based on it, or a job uses the capture.
            ConnectionFailed: the server does not answer.
        """
        return self._ask(UndoSceneEdit(capture=capture, edit=edit), SceneState)

    def _ask(self, message: CaptureMessage | SceneMessage, kind: type[Answer]) -> Answer:
        """Send a message about a capture and wait for the answer of that kind."""
        self.send(message)
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while (remaining := deadline - time.monotonic()) > 0:
            for answer in self.poll(remaining):
                if isinstance(answer, kind) and answer.capture == message.capture:
                    return answer
                if isinstance(answer, Error) and answer.job in (message.capture, None):
                    raise ServerError(answer.code, answer.message)
        raise ConnectionFailed(
            f"{self.connection.endpoint} has not answered for {ANSWER_TIMEOUT:g} seconds: try "
            "again, and a capture goes on where it stopped."
        )
