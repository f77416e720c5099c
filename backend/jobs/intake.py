"""What clients send, taken from the socket without ever waiting: large messages are decoded in
threads, and no more is taken ahead than memory has room for.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

import zmq

from backend.jobs.doorkeeper import Doorkeeper
from backend.jobs.errands import Errands
from protocol import codec
from protocol.messages import ClientMessage

THREADS = 2
LARGE_BYTES = 1024**2
"""From which a message is decoded in a thread, and nothing else is taken in the same turn."""
MOST_AT_ONCE = 100
"""Small messages in one turn."""
PACE_MS = 50
"""Between two turns while more waits in memory than should. Others are heard this often, however
fast one sends large messages, as the socket takes from all in turn."""

Outcome = ClientMessage | Exception
"""Of decoding."""


class Intake:
    """Takes messages from the clients' socket. All methods are called in the front end's thread.

    Attributes:
        errands: that decode; the front end delivers them.
    """

    def __init__(
        self,
        router: zmq.Socket[bytes],
        doorkeeper: Doorkeeper,
        disk: Errands,
        serve: Callable[[bytes, int, Outcome], None],
    ) -> None:
        """Args:
        router: the clients' socket.
        doorkeeper: is told what has been taken.
        disk: what waits there counts as taken ahead, too.
        serve: is called with the identity of who sent a message, its bytes, and the message or
            what was raised in decoding it. Those of one client come in their order.
        """
        self.errands = Errands(THREADS, "decoding")
        self._router, self._doorkeeper = router, doorkeeper
        self._disk, self._serve = disk, serve
        self._last_turn = 0.0

    @property
    def may_take(self) -> bool:
        """Whether there is room for a message just now."""
        if self._disk.hangs:
            return True  # to refuse it
        if self._disk.is_over_full or self.errands.is_full:
            return False
        return not self._disk.is_full or time.monotonic() - self._last_turn > PACE_MS / 1000

    def take(self) -> None:
        """Take what has come, but at most one large message."""
        self._last_turn = time.monotonic()
        for _ in range(MOST_AT_ONCE):
            try:
                identity, *frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._doorkeeper.note_taken(frames[-1])
            client, parts = identity.bytes, [frame.buffer for frame in frames]
            size = sum(map(len, parts))
            if size < LARGE_BYTES and not self.errands.concern(client):
                self._serve(client, size, _decoded(parts))
                continue
            self.errands.ask(
                client,
                size,
                partial(_decoded, parts),
                partial(self._serve, client, size),
            )
            if size >= LARGE_BYTES:
                return


def _decoded(parts: Sequence[codec.Frame]) -> Outcome:
    """The message, or what was raised in decoding it."""
    try:
        return codec.decode_client_message(parts)
    except Exception as error:  # noqa: BLE001  # whoever serves it tells of it
        return error
