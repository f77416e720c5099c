"""What clients are told. One that does not read for a while loses nothing that still counts: of
each job the latest event, and the latest answers about each capture, wait until it reads again.
"""

from collections.abc import Callable

from protocol.messages import CaptureState, Error, JobEvent, SceneState, ServerMessage

MAX_ANSWERS = 100
"""Answers that wait for one client, beside the events of its jobs; later ones replace the first."""


Key = str | tuple[type[ServerMessage], str | None]
"""A job, or a kind of answer and the job or capture that it is about."""


class Outbox:
    """Sends, or keeps what cannot be sent yet."""

    def __init__(
        self,
        send: Callable[[bytes, ServerMessage], bool],
        latest: Callable[[str], ServerMessage],
    ) -> None:
        """Args:
        send: tells a client something, False where it does not read at present.
        latest: the latest event of a job. It is asked when the client reads again, so that what
            waits keeps no results in memory.
        """
        self._send, self._latest = send, latest
        self._owed: dict[bytes, dict[Key, ServerMessage | None]] = {}

    def send(self, client: bytes, message: ServerMessage) -> None:
        """Tell a client something, now or as soon as it reads again."""
        owed = self._owed.get(client)
        if owed is None:
            if self._send(client, message):
                return
            owed = self._owed[client] = {}
        if isinstance(message, JobEvent):
            owed[message.job] = None
            return
        about = message.capture if isinstance(message, CaptureState | SceneState) else None
        key = type(message), message.job if isinstance(message, Error) else about
        owed.pop(key, None)
        owed[key] = message
        answers = [one for one, kept in owed.items() if kept is not None]
        if len(answers) > MAX_ANSWERS:
            del owed[answers[0]]

    def send_owed(self) -> None:
        """Tell clients that read again what they have missed."""
        for client in list(self._owed):
            owed = self._owed[client]
            while owed:
                key = next(iter(owed))
                message = owed[key]
                if not self._send(client, message or self._latest(str(key))):
                    break
                owed.pop(key, None)
            if not owed:
                self._owed.pop(client, None)

    def forget(self, client: bytes) -> None:
        """A client has gone."""
        self._owed.pop(client, None)
