"""Bounds what clients have been sent and have not read yet.

ZeroMQ bounds the messages that wait for a client, but not their bytes: a hundred results may be
many gigabytes, and a laptop that sleeps keeps its connection, and what waits for it, for minutes.
"""

from collections.abc import Sequence

import zmq

from protocol.codec import Frame

MOST_BYTES = 64 * 1024**2
"""Of one client, above which it is sent nothing more until some of them have left."""
LARGE_BYTES = 64 * 1024
"""Of a frame, from which it is counted: ZeroMQ copies smaller ones."""


class UnderWay:
    """Knows of each client how many bytes wait in ZeroMQ."""

    def __init__(self) -> None:
        self._sent: dict[bytes, list[tuple[zmq.MessageTracker, int]]] = {}

    def has_room(self, client: bytes) -> bool:
        """Whether a client may be sent something, however large."""
        return sum(size for _, size in self._waiting(client)) <= MOST_BYTES

    def send(self, router: zmq.Socket[bytes], client: bytes, frames: Sequence[Frame]) -> None:
        """Send a client a message; never waits.

        Raises:
            ZMQError: as `Socket.send_multipart`; nothing was sent then.
        """
        parts: list[Frame | zmq.Frame] = [client]
        sent = []
        for frame in frames:
            if len(frame) < LARGE_BYTES:
                parts.append(frame)
                continue
            tracked = zmq.Frame(frame, track=True, copy=False, copy_threshold=0)
            assert isinstance(tracked.tracker, zmq.MessageTracker)
            sent.append((tracked.tracker, len(frame)))
            parts.append(tracked)
        router.send_multipart(parts, zmq.NOBLOCK, copy=False)
        if sent:
            self._sent = {one: left for one in self._sent if (left := self._waiting(one))}
            self._sent.setdefault(client, []).extend(sent)

    def _waiting(self, client: bytes) -> list[tuple[zmq.MessageTracker, int]]:
        return [(one, size) for one, size in self._sent.get(client, ()) if not one.done]
