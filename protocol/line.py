"""One encrypted line to one server: messages go out and come in, and a loss is noticed."""

import errno
import socket
import time
from typing import Self

import zmq
from zmq.utils.monitor import parse_monitor_message

from . import codec
from .connection import Connection
from .messages import ClientMessage, Error, Hello, ServerMessage, Welcome
from .values import MAX_WIRE_BYTES

HANDSHAKE_TIMEOUT = 10.0
"""Shaking hands is six journeys there and back, which may take half a second each and more."""
GREETING_SECONDS = 3.0
"""Until what listens at an address has greeted, as a backend does at once."""
HEARTBEAT_INTERVAL_MS = 2000
HEARTBEAT_TIMEOUT_MS = 6000
"""A server that is gone without a word is noticed within the two together."""
FRAME_TIMEOUT_MS = 600_000
"""That one frame may be on its way: the largest at 4 Mbit/s."""


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


class Line:
    """A line to a server, which belongs to the one thread that made it.

    `connect` shakes hands (`open` begins it without waiting), `send` sends, `poll` returns what has
    come. The sockets reconnect by themselves.

    Attributes:
        connection: where the server is.
        name: of this client, for the server's log.
        connected: whether the line is up just now.
        losses: how often it was lost: what was sent before may not have arrived.
        welcome: what the server last said of itself.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        self.connected = False
        self.losses = 0
        self.welcome: Welcome | None = None
        self._refused: KeyRefused | None = None
        self._unread: codec.BadMessage | None = None
        self._context = zmq.Context()
        self._open_sockets()

    def _open_sockets(self) -> None:
        """One socket for messages, and one whose only use are its heartbeats: those of the first
        would wait behind a large frame, as long as a slow line takes for it.
        """
        self._socket = self._new_socket(FRAME_TIMEOUT_MS)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_WIRE_BYTES)
        self._monitor = self._socket.get_monitor_socket()
        self._pulse = self._new_socket(HEARTBEAT_TIMEOUT_MS)
        self._pulse.setsockopt(zmq.IMMEDIATE, 1)  # can be written to while it is connected only
        self._pulse_felt = False
        self._connected_at = 0.0

    def _new_socket(self, heartbeat_timeout: int) -> zmq.Socket[bytes]:
        made = self._context.socket(zmq.DEALER)
        made.linger = 0
        made.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL_MS)
        made.setsockopt(zmq.HEARTBEAT_TIMEOUT, heartbeat_timeout)
        made.setsockopt(zmq.RECONNECT_IVL, 200)
        made.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        made.ipv6 = True
        made.curve_serverkey = self.connection.server_public_key.encode()
        made.curve_publickey = self.connection.client_public_key.encode()
        made.curve_secretkey = self.connection.client_secret_key.encode()
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the server. Jobs go on; another client may follow them."""
        self._close_sockets()
        self._context.destroy(linger=0)

    def _close_sockets(self) -> None:
        self._socket.disable_monitor()
        for one in (self._monitor, self._socket, self._pulse):
            one.close(linger=0)

    def open(self) -> None:
        """Begin to connect and say Hello, without waiting; `poll` brings the Welcome.

        Raises:
            ConnectionFailed: the endpoint is not an address.
        """
        try:
            self._connect_sockets()
        except zmq.ZMQError as error:
            raise ConnectionFailed(
                f"{self.connection.endpoint} is not an address that can be reached: {error}."
            ) from error
        self.send(Hello(client=self.name))

    def _connect_sockets(self) -> None:
        for one in (self._socket, self._pulse):
            one.connect(self.connection.endpoint)

    def go_to(self, connection: Connection) -> None:
        """Leave what there is of the line, and begin to connect anew."""
        self.losses += 1  # what was sent may not have come to its end
        self.connected = False
        self._close_sockets()
        self.connection = connection
        self._open_sockets()
        self._connect_sockets()

    def nothing_answers(self, timeout: float) -> ConnectionFailed:
        """The error of a server that has not answered Hello within `timeout` seconds."""
        where = f"Nothing answers at {self.connection.endpoint} within {timeout:g} seconds"
        if self.connection.is_local:
            return ConnectionFailed(f"{where}: has the backend stopped? Start it again.")
        return ConnectionFailed(f"{where}: is the backend running there, and is the port open?")

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

    def poll(self, timeout: float = 0.0) -> list[ServerMessage]:
        """Wait at most `timeout` seconds for messages and return all that have come.

        Raises:
            KeyRefused: the keys do not match.
            BadMessage: the server sent something that is not a message of this protocol; what came
                before and after it is there all the same.
        """
        if self._unread is not None:
            unread, self._unread = self._unread, None
            raise unread
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
                try:
                    frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
                except zmq.Again:  # the line broke off in the middle of a message
                    continue
                try:
                    message = codec.decode_server_message([frame.buffer for frame in frames])
                except codec.BadMessage as error:
                    if not messages:
                        raise
                    self._unread = error  # those that came before it first
                    return messages
                if isinstance(message, Welcome):
                    self.welcome = message
                messages.append(message)
            elif messages or time.monotonic() >= deadline:
                if not messages:  # what a server said before it went is heard first
                    self._feel_pulse()
                return messages

    def _feel_pulse(self) -> None:
        """Begin anew where the line is dead, of which the socket for messages may not know for
        long.
        """
        if self._pulse.poll(0, zmq.POLLOUT):
            self._pulse_felt = True
        elif self._pulse_felt or (
            self.connected and time.monotonic() - self._connected_at > HEARTBEAT_TIMEOUT_MS / 1000
        ):
            self.go_to(self.connection)

    def _watch(self) -> None:
        """Take one event of the socket's monitor: is the line up, were the keys refused?"""
        told = parse_monitor_message(self._monitor.recv_multipart())
        event = told["event"]
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.connected, self._connected_at = True, time.monotonic()
        elif event in (zmq.EVENT_DISCONNECTED, zmq.EVENT_CLOSED):
            self.losses += self.connected
            self.connected = False
        elif event in (
            zmq.EVENT_HANDSHAKE_FAILED_AUTH,
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
        ) or (
            event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            and told["value"] == errno.EPIPE
            and greets(self.connection)
        ):
            # A server with another key hangs up; one that was stopped or killed does not answer.
            # The near end of an SSH tunnel hangs up, too, where no backend runs at the far end.
            self._refused = KeyRefused(
                f"The backend at {self.connection.endpoint} refuses this key: copy its "
                "connection file again, it was made anew or belongs to another backend."
            )


def greets(connection: Connection) -> bool:
    """Whether something speaks first at an address, as ZeroMQ does before it knows any key."""
    host, _, port = connection.endpoint.removeprefix("tcp://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), GREETING_SECONDS) as line:
            return bool(line.recv(1))
    except OSError:
        return False
