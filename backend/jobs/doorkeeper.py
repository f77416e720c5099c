"""Bounds what clients have sent and nobody has taken yet.

ZeroMQ bounds the bytes of one frame and the messages read ahead, but not the frames of a message,
and shows a message once all of them are there. So one that has no end would fill the memory unseen:
what can be seen is how much its connection has brought since a message of it was taken. The system
tells that on Linux only; elsewhere nothing is bounded here.
"""

import contextlib
import logging
import os
import socket
import struct
import sys
import time
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import parse_monitor_message

from backend.jobs.errands import READ_AHEAD_BYTES
from protocol.codec import MAX_ARRAYS
from protocol.values import MAX_WIRE_BYTES

logger = logging.getLogger("backend.server")

MOST_UNREAD_BYTES = MAX_ARRAYS * MAX_WIRE_BYTES + READ_AHEAD_BYTES
"""Of all clients together: the largest message there is, and what else is read ahead."""
LOOK_SECONDS = 0.05
TCP_INFO_BYTES, BYTES_RECEIVED_AT = 136, 128
"""Of the system's struct tcp_info, the length up to tcpi_bytes_received and where that is."""


@dataclass
class _Door:
    """One connection.

    Attributes:
        number: of its socket in the system, which nothing else has while it is open.
        taken_at: how many bytes it had brought when a message of it was taken.
    """

    number: tuple[int, int]
    taken_at: int = 0


class Doorkeeper:
    """Hangs up on the connection that brings most, where all together bring too much."""

    def __init__(self, router: zmq.Socket[bytes]) -> None:
        """`router` is the clients' socket, not bound yet."""
        self._monitor = router.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._doors: dict[int, _Door] = {}  # by their file descriptors
        self._looked = 0.0

    def note_taken(self, frame: zmq.Frame) -> None:
        """A message that ends with this frame has been taken."""
        descriptor = int(frame.get(zmq.SRCFD))
        if descriptor in self._doors:
            received = _received(descriptor, self._doors[descriptor])
            if received is not None:
                self._doors[descriptor].taken_at = received

    def look(self) -> None:
        """See what has been brought, if it is time; never waits."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        while self._monitor.poll(0):
            told = parse_monitor_message(self._monitor.recv_multipart())
            descriptor = int(told["value"])
            if told["event"] == zmq.EVENT_ACCEPTED and (number := _number(descriptor)) is not None:
                self._doors[descriptor] = _Door(number)
            elif told["event"] == zmq.EVENT_DISCONNECTED:
                self._doors.pop(descriptor, None)
        unread = {}
        for descriptor, door in list(self._doors.items()):
            received = _received(descriptor, door)
            if received is not None:
                unread[descriptor] = received - door.taken_at
        if sum(unread.values()) > MOST_UNREAD_BYTES:
            most = max(unread, key=unread.__getitem__)
            logger.error("hung up on a client: %d MB without a message", unread[most] // 10**6)
            _hang_up(most, self._doors.pop(most))

    def close(self) -> None:
        """Stop looking; the clients' socket must still be open."""
        self._monitor.close()


def _number(descriptor: int) -> tuple[int, int] | None:
    try:
        told = os.fstat(descriptor)
    except OSError:  # it is closed already
        return None
    return told.st_dev, told.st_ino


def _opened(descriptor: int, door: _Door) -> socket.socket | None:
    """The connection behind a descriptor, if it is still the same; for the caller to close.

    ZeroMQ closes descriptors in its own threads, and others may get their numbers.
    """
    try:
        same = os.dup(descriptor)
    except OSError:
        return None
    if _number(same) != door.number:
        os.close(same)
        return None
    return socket.socket(fileno=same)


def _received(descriptor: int, door: _Door) -> int | None:
    """Bytes that a connection has brought; None where that cannot be had (any more)."""
    if sys.platform != "linux":
        return None
    connection = _opened(descriptor, door)
    if connection is None:
        return None
    with connection:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    if len(told) < TCP_INFO_BYTES:
        return None
    return int(struct.unpack_from("=Q", told, BYTES_RECEIVED_AT)[0])


def _hang_up(descriptor: int, door: _Door) -> None:
    connection = _opened(descriptor, door)
    if connection is not None:
        with connection, contextlib.suppress(OSError):  # the other end may have gone by itself
            connection.shutdown(socket.SHUT_RDWR)
