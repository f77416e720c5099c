"""A server of a few lines that speaks the real protocol, and a line to it that can be cut."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import msgspec
import zmq
from zmq.auth.thread import ThreadAuthenticator

from protocol import codec
from protocol.connection import Connection, ServerKeys, new_server_keys
from protocol.messages import Error, Follow, Hello, Limits, ServerMessage, Submit, Welcome
from protocol.settings import GuidanceSettings
from protocol.values import MAX_FRAME_BYTES, MAX_WIRE_BYTES


class SmallServer:
    """Answers Hello, and what else it is told by `answer`: the answers to a message.

    Attributes:
        received: all messages but Hello, in order.
    """

    def __init__(
        self,
        answer: Callable[[object], list[ServerMessage]],
        keys: ServerKeys | None = None,
        bind: str = "tcp://127.0.0.1:*",
    ) -> None:
        self.keys = keys or new_server_keys()
        self.received: list[object] = []
        self._answer = answer
        self._context = zmq.Context()
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve(domain="*", location=zmq.auth.CURVE_ALLOW_ANY)
        self._router = self._context.socket(zmq.ROUTER)
        self._router.linger = 0
        self._router.setsockopt(zmq.MAXMSGSIZE, MAX_WIRE_BYTES)
        self._router.curve_server = True
        self._router.curve_secretkey = self.keys.server_secret_key.encode()
        self._router.bind(bind)
        endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self.connection: Connection = self.keys.connection(endpoint)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> "SmallServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Go away without a word."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self._authenticator.stop()
            self._context.destroy(linger=0)

    def _serve(self) -> None:
        while not self._stop.is_set():
            if not self._router.poll(20):
                continue
            identity, *frames = self._router.recv_multipart()
            message = codec.decode_client_message(frames)
            if isinstance(message, Hello):
                answers: list[ServerMessage] = [welcome()]
            else:
                self.received.append(message)
                answers = self._answer(message)
            for one in answers:
                self._router.send_multipart([identity, *codec.encode(one)])


def welcome() -> Welcome:
    """Of a server that can do nothing."""
    return Welcome(
        server="small",
        model="none",
        device="none",
        model_state="ready",
        native_size=64,
        guidance=GuidanceSettings(text_guidance=1.0, image_guidance=1.0),
        capabilities=(),
        limits=Limits(max_frame_bytes=MAX_FRAME_BYTES, max_queued_jobs=1),
    )


def unknown(message: object) -> Error:
    """The answer of a server that was started anew to Follow."""
    assert isinstance(message, Follow | Submit)
    return Error(code="unknown_job", message="The backend does not know it.", job=message.job)


class Line:
    """A TCP line to an endpoint: `cut` lets nothing through until `mend`, and tells nobody; `rate`
    lets through so many bytes a second each way, `delay` are seconds on the way.
    """

    def __init__(
        self, connection: Connection, rate: float | None = None, delay: float = 0.0
    ) -> None:
        self._target = int(connection.endpoint.rpartition(":")[2])
        self._rate, self._delay = rate, delay
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        self.connection = msgspec.structs.replace(connection, endpoint=f"tcp://127.0.0.1:{port}")
        self._open = threading.Event()
        self._open.set()
        self._generation = 0
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._open.set()
        self._generation += 1
        self._listening.close()

    def cut(self) -> None:
        """Let nothing through."""
        self._generation += 1
        self._open.clear()

    def mend(self) -> None:
        """Let new connections through; those that were cut stay so."""
        self._open.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._closed:
                near, _ = self._listening.accept()
                self._open.wait()
                far = socket.create_connection(("127.0.0.1", self._target))
                for pair in ((near, far), (far, near)):
                    arguments = (*pair, self._generation)
                    threading.Thread(target=self._carry, args=arguments, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, generation: int) -> None:
        piece = 65536 if self._rate is None else max(1, int(self._rate / 50))
        with contextlib.suppress(OSError):
            while data := source.recv(piece):
                if generation != self._generation:
                    while not self._closed:  # neither read on nor hang up
                        time.sleep(0.1)
                    return
                time.sleep(self._delay)
                sink.sendall(data)
                if self._rate is not None:
                    time.sleep(len(data) / self._rate)
        with contextlib.suppress(OSError):
            source.shutdown(socket.SHUT_RDWR)
            sink.shutdown(socket.SHUT_RDWR)
