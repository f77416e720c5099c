"""The server's side of the worker: its process, the socket to it, and what becomes of both.

Whether the process still runs is found by ZeroMQ's own heartbeats: they are answered by a thread
without Python in it, so that neither loading a large model nor a call that holds the interpreter
counts as silence, and a process that was stopped does. Whether its work goes on is seen from the
words about it, and sooner by the process itself, which ends where its work stands still
(backend.worker.watchdog).
"""

import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from backend.jobs.worker_messages import (
    HUNG,
    KEYS_VARIABLE,
    LOST_GPU,
    Loaded,
    WorkerMessage,
    decode_worker_message,
)
from protocol import codec
from protocol.connection import new_server_keys
from protocol.messages import Cancel, FinalEvent, Progress, Submit

logger = logging.getLogger("backend.server")

WORKER = "worker"
"""ZAP domain of the socket to the worker."""
ROOT = Path(__file__).parents[2]
STOP_SECONDS = 10
"""That the worker has to write its checkpoint when the server is stopped."""
HEARTBEAT_MS, SILENCE_MS = 3000, 15000
"""Between two heartbeats, and without an answer to one."""
CONNECT_SECONDS = 300.0
"""Until a new process has imported torch, from a slow disk too, and says that it is there."""
STILL_SECONDS = 120.0
"""That a job may stand still, neither using the processor nor a disk; see `watchdog` for where it
may be longer."""
WORDLESS_SECONDS = 1800.0
"""Without a word about a job that runs. The longest calls in between, such as unwrapping a mesh of
millions of faces, take minutes."""
CANCEL_SECONDS = 120.0
"""Until a job that was cancelled has stopped, after the step that it is in."""
DYING_SECONDS = 1.0
"""Between the end of a process's connection and that of the process."""
STEADY_SECONDS = 60.0
"""After which a worker that was ready is not counted among those that do not come to work."""
LONGEST_PAUSE = 60.0
"""Before a worker is started anew, however many have failed."""
LONGEST_TURN = 10.0
"""Of the server's loop, in seconds. What takes longer is a stop, of its process or its machine."""
SAID_AGAIN_SECONDS = 60.0
"""Between two words in the log about wrong keys."""
NOT_STARTED = (OSError, zmq.ZMQError)
"""What a start can raise where the machine has no more processes, files or ports to give."""


class AllowedKey:
    """Lets in whoever holds one key."""

    def __init__(self, public_key: str) -> None:
        self._public_key = public_key.encode()
        self._refused = 0  # since that was said
        self._said = -math.inf

    def callback(self, domain: str, key: bytes) -> bool:
        """What the ZAP authenticator asks for every client, again and again of one that is refused:
        that goes on trying.
        """
        if key == self._public_key:
            return True
        self._refused += 1
        if time.monotonic() - self._said >= SAID_AGAIN_SECONDS:
            since = f", {self._refused} times since" if self._refused > 1 else ""
            logger.warning("refused a client with a wrong key%s", since)
            self._refused, self._said = 0, time.monotonic()
        return False


class Awake:
    """A clock that stands still while this process does, stopped or on a machine that sleeps: what
    it waits for was stopped as well. It is to be read in every turn of the server's loop.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._read = time.monotonic()

    def __call__(self) -> float:
        """Seconds that it has gone."""
        before, self._read = self._read, time.monotonic()
        self._seconds += min(self._read - before, LONGEST_TURN)
        return self._seconds


class Worker:
    """The worker process and the encrypted loopback socket to it."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        model: str,
        device: str,
        dtype: str,
        data_root: Path,
    ) -> None:
        keys = new_server_keys()
        self.allowed = AllowedKey(keys.client_public_key)
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.zap_domain = WORKER.encode()
        self.socket.curve_server = True
        self.socket.curve_secretkey = keys.server_secret_key.encode()
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, SILENCE_MS)
        secrets = (keys.server_public_key, keys.client_public_key, keys.client_secret_key)
        self._clock = Awake()
        self._started = self._clock()
        self._ready_since: float | None = None
        self._connected = False
        self._lost_since: float | None = None
        self._last_word: float | None = None  # about the job that it does
        self._cancelled: float | None = None
        self._unreachable = False
        try:
            port = self.socket.bind_to_random_port("tcp://127.0.0.1")
            address = f"tcp://127.0.0.1:{port}"
            arguments = [address, model, device, dtype, f"{data_root}", f"{STILL_SECONDS}"]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "backend.worker.process", *arguments],
                cwd=ROOT,
                env=os.environ | {KEYS_VARIABLE: " ".join(secrets)},
                stdin=subprocess.PIPE,
            )
        except NOT_STARTED:
            self._hang_up()
            raise

    @property
    def is_steady(self) -> bool:
        """Whether it has been ready for so long that its loss is a new one."""
        since = self._ready_since
        return since is not None and self._clock() - since > STEADY_SECONDS

    @property
    def is_there(self) -> bool:
        """Whether something can be sent to the process just now."""
        return bool(self.socket.poll(0, zmq.POLLOUT))

    def send(self, message: Submit | Cancel) -> None:
        """Hand the process a job, or stop the one that it does; never waits. Where this does not
        reach it, `trouble` says so.
        """
        try:
            self.socket.send_multipart(codec.encode(message), zmq.NOBLOCK, copy=False)
        except zmq.Again:
            self._unreachable = True
        if isinstance(message, Submit):
            self._last_word, self._cancelled = self._clock(), None
        elif self._cancelled is None:
            self._cancelled = self._clock()

    def receive(self) -> WorkerMessage | None:
        """The next message that has come, or None: the socket also wakes for a line that broke off
        in the middle of one.

        Raises:
            BadMessage: it cannot be read.
        """
        try:
            frames = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        message = decode_worker_message(frames)
        now = self._clock()
        if isinstance(message, Loaded):
            self._ready_since = now
        elif isinstance(message, Progress):
            self._last_word = now
        elif isinstance(message, FinalEvent):
            self._last_word = self._cancelled = None
        return message

    def trouble(self) -> str | None:
        """Why this worker is to be replaced, as the end of a sentence that begins with its name;
        None where it is well.
        """
        now = self._clock()
        code = self.process.poll()
        if code == HUNG:
            return "hung, as a driver can make it"
        if code == LOST_GPU:
            return "lost its GPU, as a fault in a driver can make it"
        if code is not None:
            return f"ended (exit code {code})"
        if self._unreachable:
            return "cannot be reached"
        if self.is_there:
            self._connected, self._lost_since = True, None
        elif self._connected and self._lost_since is None:
            self._lost_since = now
        if self._lost_since is not None and now - self._lost_since > DYING_SECONDS:
            return f"has not answered for {SILENCE_MS // 1000} seconds"
        if not self._connected and now - self._started > CONNECT_SECONDS:
            return f"has not come to life within {CONNECT_SECONDS:.0f} seconds"
        if self._last_word is None:
            return None
        if now - self._last_word > WORDLESS_SECONDS:
            return f"has not got on with its job for {WORDLESS_SECONDS / 60:.0f} minutes"
        if self._cancelled is not None and now - self._cancelled > CANCEL_SECONDS:
            return f"has not stopped {CANCEL_SECONDS:.0f} seconds after its job was cancelled"
        return None

    def stop(self) -> None:
        """End the process, first kindly."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return
        self._hang_up()

    def kill(self) -> None:
        """End the process without waiting for it: a driver that hangs may hold it for long."""
        self.process.kill()
        self._hang_up()

    def _hang_up(self) -> None:
        process = getattr(self, "process", None)
        if process is not None and process.stdin is not None:
            process.stdin.close()
        self.socket.close()


class Supervisor:
    """Keeps one worker running: replaces one that has ended or does not answer, at once for the
    first time, and after longer and longer pauses where the next ones do not come to work either.

    Attributes:
        worker: the one that runs, or None during a pause.
    """

    def __init__(self, start: Callable[[], Worker]) -> None:
        """`start` starts a worker.

        Raises:
            OSError, zmq.ZMQError: the first process, or the socket to it, cannot be had.
        """
        self._start = start
        self._losses = 0
        self._again = 0.0
        self._dying: list[Worker] = []
        self.worker: Worker | None = start()

    def tend(self) -> str | None:
        """Start a worker where its time has come, and see to the one that runs. Where that one is
        lost: what became of it, as `Worker.trouble` says it.
        """
        self._dying = [one for one in self._dying if one.process.poll() is None]
        if self.worker is not None:
            trouble = self.worker.trouble()
            if trouble is not None:
                self.give_up()
            return trouble
        if time.monotonic() >= self._again:
            try:
                self.worker = self._start()
            except NOT_STARTED as error:
                self._count_loss()
                return f"could not be started ({error})"
        return None

    def give_up(self) -> None:
        """End the worker that runs, without waiting for it; `tend` starts another."""
        assert self.worker is not None
        if self.worker.is_steady:
            self._losses = 0
        self.worker.kill()
        self._dying.append(self.worker)
        self.worker = None
        self._count_loss()

    def _count_loss(self) -> None:
        self._losses += 1
        pause = 0.0 if self._losses == 1 else min(LONGEST_PAUSE, 2.0 ** (self._losses - 2))
        self._again = time.monotonic() + pause

    @property
    def pause(self) -> float:
        """Seconds until a worker is started anew; 0 where one runs or starts at once."""
        return 0.0 if self.worker is not None else max(0.0, self._again - time.monotonic())

    def stop(self) -> None:
        """End the worker that runs, first kindly."""
        if self.worker is not None:
            self.worker.stop()
            self.worker = None
