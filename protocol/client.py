"""A client of the backend: submit, follow, cancel, re-attach. No bpy, no torch.

A Client belongs to the one thread that made it. The add-on's worker thread calls `poll`, the
command line and the tests call `run`.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from . import codec
from .connection import BadConnectionFile, Connection
from .line import FRAME_TIMEOUT_MS, ConnectionFailed, KeyRefused, Line, ServerError
from .messages import (
    Cancel,
    Cancelled,
    CaptureMessage,
    CaptureState,
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
from .values import MAX_FRAME_BYTES, new_job_id

logger = logging.getLogger("protocol.client")

POLL_SECONDS = 0.5
RETURN_SECONDS = 60.0
"""That a server which is gone may take to be there again."""
LOOK_SECONDS = 1.0
"""Between two looks at where the server is now."""
ANSWER_TIMEOUT = 120.0
"""Seconds that a message about a capture may take onto the server's disk, beside its way there."""
SLOWEST = MAX_FRAME_BYTES / FRAME_TIMEOUT_MS * 1000
"""Bytes a second of the slowest line that is waited for."""

GIVE_UP_SECONDS = 3.0
"""That a job is waited for which was cancelled because nobody waits for its result."""

Answer = TypeVar("Answer", CaptureState, SceneState)


class JobCancelled(Exception):
    """The job was cancelled."""


class Client(Line):
    """A line on which jobs are done and captures sent. `submit`, `follow` and `cancel` only send;
    `events`, `run` and what is about captures wait, and survive a loss of the line.

    Args:
        connection, name: as `Line`.
        find: where the server is now, asked while it is gone: one that was started anew may listen
            elsewhere. By default it is looked for at `connection` only.
        say: told in a sentence when the server is lost or found again, or something is amiss there.
    """

    def __init__(
        self,
        connection: Connection,
        name: str = "watch-your-steps client",
        find: Callable[[], Connection] | None = None,
        say: Callable[[str], None] = logger.warning,
    ) -> None:
        super().__init__(connection, name)
        self._find = find
        self._say = say
        self._looked = 0.0  # elsewhere, when last
        self._sent_after: dict[str, int] = {}  # losses before each job was last sent

    def submit(self, request: Request, job: str | None = None) -> str:
        """Start a job, or follow it where the server knows its id already. Returns the id."""
        job = job or new_job_id()
        self.send(Submit(job=job, request=request))
        self._sent_after[job] = self.losses
        return job

    def follow(self, job: str) -> None:
        """Ask for a job's latest event and all later ones, for example after a restart."""
        self.send(Follow(job=job))
        self._sent_after[job] = self.losses

    def cancel(self, job: str) -> None:
        """Ask the server to stop a job; a Cancelled event tells when it has stopped."""
        self.send(Cancel(job=job))

    def events(self, job: str, request: Request | None = None) -> Iterator[JobEvent]:
        """The events of one job until it has ended. Waits as long as the job takes.

        Where the server is lost, this says so, and attaches to the job again once it is back; with
        the job's `request` it starts the job anew on a server that does not know it any more.

        Raises:
            ServerError: the server does not know the job or refused it.
            KeyRefused: the server was started anew with other keys.
            ConnectionFailed: the server was lost and has not been heard of for a minute.
        """

        def attach() -> None:
            if request is None:
                self.follow(job)
            else:
                self.submit(request, job)

        sent_after = self._sent_after.get(job, self.losses)
        for message in self._answers(job, attach, sent_after):
            if isinstance(message, JobEvent):
                yield message
            if isinstance(message, FinalEvent):
                self._sent_after.pop(job, None)
                return

    def _answers(
        self, about: str, send: Callable[[], None], sent_after: int, patience: float = math.inf
    ) -> Iterator[ServerMessage]:
        """The messages about a job or a capture, as they come, for ever. `send` asks for them, and
        was called when `sent_after` losses of the line had been; it is called again after others.

        Raises:
            ServerError: the server refuses.
            KeyRefused: as `events`.
            ConnectionFailed: as `events`, or nothing has come for `patience` seconds.
        """
        heard = time.monotonic()  # of this job or capture, or the beginning
        lost: float | None = None  # since when the server is not there
        notice = ""
        while True:
            messages = self._poll_while_lost(about, lost)
            for message in messages:
                if isinstance(message, Error) and message.job in (about, None):
                    raise ServerError(message.code, message.message)
                if isinstance(message, Welcome) and message.notice not in ("", notice):
                    self._say(f"The backend says: {message.notice}")
                    notice = message.notice
                if codec.about(message) == about:
                    if lost is not None:
                        self._say("The backend is there again.")
                    lost, heard = None, time.monotonic()
                    yield message
            now = time.monotonic()
            if now - heard > patience:
                raise ConnectionFailed(
                    f"{self.connection.endpoint} has not answered for {patience:.0f} seconds: try "
                    "again, and a capture goes on where it stopped."
                )
            if lost is None and (sent_after != self.losses or not (self.connected or messages)):
                lost = now
                self._say(
                    f"The connection to {self.connection.endpoint} was lost; trying for "
                    f"{RETURN_SECONDS:g} seconds to attach again."
                )
            if lost is None:
                continue
            if now - lost > RETURN_SECONDS:
                raise ConnectionFailed(
                    f"The backend at {self.connection.endpoint} has not come back within "
                    f"{RETURN_SECONDS:g} seconds: start it if it has stopped (python -m "
                    "backend.server), then try again."
                )
            if self.connected and sent_after != self.losses:
                sent_after = self.losses
                self.send(Hello(client=self.name))
                send()
            elif not self.connected:
                self._look_elsewhere()

    def _poll_while_lost(self, about: str, lost: float | None) -> list[ServerMessage]:
        """What has come, for who waits for words `about` a job. A server that is lost, and may be
        found elsewhere, may refuse the keys for a while: a new one writes its connection file after
        it has begun to listen.
        """
        try:
            return self.poll(POLL_SECONDS)
        except codec.BadMessage as error:
            if error.about not in (about, None):
                return []
            words = f"What the backend sent cannot be read: {error}."
            raise ServerError("bad_message", words) from error
        except KeyRefused:
            if self._find is None:
                raise
            if lost is not None and time.monotonic() - lost > RETURN_SECONDS:
                raise
            self._refused = None
            return []

    def _look_elsewhere(self) -> None:
        """Go to where the server is now, if that is known and another place."""
        if self._find is None or time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            found = self._find()
        except BadConnectionFile:
            return  # it is not there again yet
        if found != self.connection:
            self.go_to(found)

    def run(self, request: Request, on_event: Callable[[JobEvent], None] | None = None) -> Result:
        """Submit a job and wait for its result. `on_event` sees every event of the job. Ctrl-C
        cancels it.

        Raises:
            ServerError: the job failed.
            JobCancelled: somebody cancelled it.
            KeyRefused, ConnectionFailed: as `events`.
        """
        job = self.submit(request)
        try:
            for event in self.events(job, request):
                if on_event is not None:
                    on_event(event)
        except KeyboardInterrupt:
            self._give_up(job)
            raise
        if isinstance(event, Failed):
            raise ServerError(event.code, event.message)
        if isinstance(event, Cancelled):
            raise JobCancelled(job)
        assert not isinstance(event, Queued | Progress)
        return event.result

    def _give_up(self, job: str) -> None:
        """Cancel a job that nobody waits for any more, as far as the server can be reached."""
        until = time.monotonic() + GIVE_UP_SECONDS
        with contextlib.suppress(ConnectionFailed, codec.BadMessage):
            self.cancel(job)
            while time.monotonic() < until:
                for message in self.poll(until - time.monotonic()):
                    if isinstance(message, FinalEvent | Error) and message.job == job:
                        return

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
        """Send a message about a capture and wait for the answer of that kind. All of them may be
        sent again, as after a loss of the line.
        """

        def send() -> None:
            self.send(message)

        send()
        patience = ANSWER_TIMEOUT + codec.array_bytes(message) / SLOWEST
        for answer in self._answers(message.capture, send, self.losses, patience):
            if isinstance(answer, kind):
                return answer
        raise AssertionError("answers do not end")
