"""The backend's front end: `python -m backend.server`.

One thread and one ROUTER socket that never wait for the GPU. Jobs are worked off by a process of
their own (backend.worker.process), which is started anew if it dies.
"""

import contextlib
import logging
import math
import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import msgspec
import zmq
from tyro.conf import arg
from zmq.auth.thread import ThreadAuthenticator

from backend import __version__
from backend.captures.store import CaptureStore
from backend.command_line import otherwise, parse
from backend.endings import SIGNALS
from backend.jobs.capture_desk import CaptureDesk, JobMessage
from backend.jobs.doorkeeper import Doorkeeper
from backend.jobs.intake import PACE_MS, Intake, Outcome
from backend.jobs.outbox import Outbox
from backend.jobs.queue import MAX_QUEUED_JOBS, Job, JobQueue, QueueFull, UnknownJob
from backend.jobs.refusals import defect, unknown, what_may_help
from backend.jobs.supervision import NOT_STARTED, WORKER, AllowedKey, Supervisor, Worker
from backend.jobs.under_way import UnderWay
from backend.jobs.worker_messages import Loaded, MemoryPeak, NotLoaded
from backend.logs import log_to
from backend.work_lock import lock
from protocol import codec
from protocol.connection import (
    ALREADY_RUNS,
    BadConnectionFile,
    default_connection_file,
    load_or_make_keys,
    reachable,
    read_connection,
    write_connection,
)
from protocol.folders import data_folder
from protocol.line import FRAME_TIMEOUT_MS
from protocol.messages import (
    Cancel,
    CaptureMessage,
    ClientMessage,
    Error,
    Failed,
    Follow,
    Hello,
    Limits,
    SceneMessage,
    ServerMessage,
    Submit,
    Welcome,
)
from protocol.requests import Request
from protocol.settings import GuidanceSettings
from protocol.text import readable
from protocol.values import MAX_FRAME_BYTES, MAX_WIRE_BYTES, PROTOCOL_VERSION

logger = logging.getLogger("backend.server")

CLIENTS = "clients"
"""ZAP domain of the socket to the clients."""
POLL_MS = 100
IO_THREADS = 4
"""Of ZeroMQ, which decrypt what comes: a large message must not hold up the others'."""
MESSAGES_READ_AHEAD, MESSAGES_SENT_AHEAD = 2, 100
"""Of each client, in memory."""
CAPABILITIES = (
    *(str(kind.__struct_config__.tag) for kind in get_args(Request)),
    "captures",
    "scenes",
)


class CannotStart(RuntimeError):
    """The server cannot start or go on; the text says why and what to do."""


class AlreadyRuns(CannotStart):
    """Another server runs with the same connection file."""


class Server:
    """Takes requests from clients, hands them to the worker, and tells clients what becomes of
    them.

    Args:
        bind: ZeroMQ endpoint to listen on; port `*` takes a free one.
        connection_file: where to write what clients need.
        model, device, dtype: see `backend.editing.models.registry.load_model`.
        advertise: host name that clients should use, where it is not the one in `bind`.
        new_keys: shut out all copies of earlier connection files.
        data_root: folder that keeps what outlives the server, such as captures; made when it is
            needed. None for the user's data folder.

    Raises:
        CannotStart: the endpoint cannot be bound or a file cannot be written.
    """

    def __init__(
        self,
        bind: str,
        connection_file: Path,
        model: str = "auto",
        device: str = "auto",
        dtype: str = "auto",
        advertise: str | None = None,
        new_keys: bool = False,
        data_root: Path | None = None,
    ) -> None:
        self.connection_file = connection_file
        # absolute, as the worker runs in another folder
        self._data_root = (data_folder() / "data" if data_root is None else data_root).resolve()
        self.captures = CaptureStore(self._data_root)
        self.queue = JobQueue()
        self.loaded: Loaded | None = None
        self._ever_loaded = False
        self._notice = ""
        self._settings = (model, device, dtype)
        self._clients: set[bytes] = set()
        try:
            self._lock = _claim(connection_file)
            keys = load_or_make_keys(
                connection_file.with_name(f"{connection_file.stem}-keys.json"), new_keys
            )
        except (BadConnectionFile, OSError) as error:
            raise CannotStart(str(error)) from error
        self._look_at_data_root()
        self._context = zmq.Context(IO_THREADS)
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(
            CLIENTS, credentials_provider=AllowedKey(keys.client_public_key)
        )
        self._router = self._context.socket(zmq.ROUTER)
        self._router.linger = 1000
        self._router.ipv6 = "[" in bind
        self._router.router_mandatory = True  # sending to a client that has gone is an error
        self._router.setsockopt(zmq.MAXMSGSIZE, MAX_WIRE_BYTES)
        self._router.rcvhwm = MESSAGES_READ_AHEAD
        self._router.sndhwm = MESSAGES_SENT_AHEAD
        self._router.setsockopt(zmq.HEARTBEAT_IVL, 5000)
        self._router.setsockopt(zmq.HEARTBEAT_TIMEOUT, FRAME_TIMEOUT_MS)
        self._router.zap_domain = CLIENTS.encode()
        self._doorkeeper = Doorkeeper(self._router)
        self._router.curve_server = True
        self._router.curve_secretkey = keys.server_secret_key.encode()
        try:
            self._router.bind(bind)
            bound = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
            self.connection = keys.connection(reachable(bound, advertise))
            write_connection(connection_file, self.connection)
        except (zmq.ZMQError, OSError, ValueError) as error:
            self._authenticator.stop()
            self._context.destroy(linger=0)
            os.close(self._lock)
            raise CannotStart(
                f"Cannot listen on {bind} or write {connection_file}: {error}. Is another server "
                "running there? Choose another place with --bind and --connection-file."
            ) from error
        self._under_way = UnderWay()
        self._outbox = Outbox(self._send_now, self._latest)
        self._desk = CaptureDesk(self.captures, self.queue, self._send, self._about_job)
        self._intake = Intake(
            self._router, self._doorkeeper, self._desk.storekeeper, self._serve_outcome
        )
        try:
            self._workers = Supervisor(self._start_worker)
        except NOT_STARTED as error:
            self._leave()
            raise CannotStart(f"The worker process cannot be started: {error}.") from error

    def _look_at_data_root(self) -> None:
        """Shut other people out of it. Where it cannot be used, all but captures still works."""
        if self._data_root.exists() and not self._data_root.is_dir():
            logger.error(
                "%s is a file, so no captures can be kept: name a folder with --data-root",
                self._data_root,
            )
        else:
            self.captures.make_private()

    def serve(self, stop: threading.Event) -> None:
        """Work until `stop` is set.

        Raises:
            CannotStart: the models cannot be loaded.
        """
        errands = self._desk.storekeeper, self._intake.errands
        try:
            while not stop.is_set():
                poller = zmq.Poller()  # made anew, as another worker has another socket
                for done in errands:
                    poller.register(done.woken, zmq.POLLIN)
                may_take = self._intake.may_take
                if may_take:
                    poller.register(self._router, zmq.POLLIN)
                worker = self._workers.worker
                if worker is not None:
                    poller.register(worker.socket, zmq.POLLIN)
                ready = dict(poller.poll(POLL_MS if may_take else PACE_MS))
                if worker is not None and worker.socket in ready:
                    self._hear_worker(worker)
                elif (trouble := self._workers.tend()) is not None:
                    self._worker_lost(trouble)
                for done in errands:
                    if done.woken.fileno() in ready:
                        done.deliver()
                if self._router in ready:
                    self._intake.take()
                self._doorkeeper.look()
                self._outbox.send_owed()
                self._feed_worker()
        finally:
            self._close()

    # ------------------------------------------------------------ clients

    def _serve_outcome(self, identity: bytes, size: int, outcome: Outcome) -> None:
        """Serve a message of so many bytes. Whatever went or goes wrong with it is told to whoever
        sent it, and the server goes on.
        """
        about = None
        try:
            if isinstance(outcome, Exception):
                raise outcome
            about = codec.about(outcome)
            self._serve_message(identity, outcome, size)
        except codec.BadMessage as error:
            logger.warning("refused a message: %s", error)
            code = "protocol_version" if isinstance(error, codec.OtherVersion) else "bad_message"
            self._send(identity, Error(code=code, message=str(error), job=error.about))
        except Exception as error:  # a defect must not cost the others their jobs
            logger.exception("a message could not be served")
            self._send(identity, defect(error, about))

    def _serve_message(self, identity: bytes, message: ClientMessage, size: int) -> None:
        if isinstance(message, Hello):
            logger.info("%s connected", message.client)
            self._clients.add(identity)
            self._send(identity, self._welcome())
            return
        if isinstance(message, CaptureMessage | SceneMessage):
            self._desk.hear(identity, message, size)
        elif not self._desk.takes(identity, message, size):
            self._about_job(identity, message)

    def _about_job(self, identity: bytes, message: JobMessage) -> None:
        try:
            if isinstance(message, Submit):
                job = self.queue.submit(message.job, message.request, identity)
                self._send(identity, job.event)
            elif isinstance(message, Follow):
                self._send(identity, self.queue.follow(message.job, identity).event)
            else:
                self._publish(self.queue.cancel(message.job))
                running = self.queue.running
                if running is not None and running.id == message.job:
                    assert self._workers.worker is not None  # as it works
                    self._workers.worker.send(message)
        except QueueFull as error:
            self._send(identity, Error(code="busy", message=str(error), job=message.job))
        except UnknownJob as error:
            self._send(identity, unknown(message.job, error))

    def _welcome(self) -> Welcome:
        model, device, _ = self._settings
        return Welcome(
            server=__version__,
            model=self.loaded.model if self.loaded else model,
            device=self.loaded.device if self.loaded else device,
            model_state="ready" if self.loaded else "loading",
            native_size=self.loaded.native_size if self.loaded else 0,
            guidance=self.loaded.guidance if self.loaded else GuidanceSettings(),
            capabilities=CAPABILITIES,
            limits=Limits(
                max_frame_bytes=MAX_FRAME_BYTES,
                max_queued_jobs=MAX_QUEUED_JOBS,
            ),
            notice=readable(self._notice),
            memory=self.loaded.memory if self.loaded else None,
        )

    def _greet_again(self) -> None:
        """Tell all clients that the model's state has changed."""
        for identity in list(self._clients):
            self._send(identity, self._welcome())

    def _send(self, identity: bytes, message: ServerMessage) -> None:
        """Tell a client something; if it does not read at present, as soon as it does."""
        self._outbox.send(identity, message)

    def _latest(self, job: str) -> ServerMessage:
        """What a client has missed of a job that it follows."""
        try:
            return self.queue.latest(job)
        except UnknownJob as error:
            return unknown(job, error)

    def _send_now(self, identity: bytes, message: ServerMessage) -> bool:
        """Whether a message has been sent, or nobody is there for it any more."""
        if not self._under_way.has_room(identity):
            return False
        try:
            frames = codec.encode(message)
        except Exception as error:  # as in _serve_outcome
            logger.exception("an answer could not be sent")
            frames = codec.encode(defect(error, codec.about(message)))
        try:
            self._under_way.send(self._router, identity, frames)
        except zmq.ZMQError as error:
            if error.errno == zmq.EAGAIN:
                return False
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.queue.unfollow(identity)  # it may follow its jobs again later
            self._clients.discard(identity)
            self._outbox.forget(identity)
        return True

    def _publish(self, jobs: list[Job]) -> None:
        for job in jobs:
            for follower in list(job.followers):
                self._send(follower, job.event)

    # ------------------------------------------------------------ worker

    def _start_worker(self) -> Worker:
        started = Worker(self._context, *self._settings, self._data_root)
        self._authenticator.configure_curve_callback(WORKER, credentials_provider=started.allowed)
        return started

    def _feed_worker(self) -> None:
        worker = self._workers.worker
        if self.loaded is None or worker is None or not worker.is_there:
            return
        job = self.queue.start_next()
        if job is None or job.request is None:
            return
        try:
            worker.send(Submit(job=job.id, request=job.request))
        except Exception as error:  # as in _serve_outcome
            logger.exception("a job could not be handed to the worker")
            self._fail(job, "internal", f"The backend failed on this job ({error}); see its log.")

    def _hear_worker(self, worker: Worker) -> None:
        try:
            message = worker.receive()
        except codec.BadMessage as error:
            logger.exception("the worker sent something that cannot be read")
            if (job := self.queue.running) is not None:
                worker.send(Cancel(job=job.id))
                self._fail(
                    job, "internal", f"What the worker made of this cannot be read: {error}."
                )
            return
        if message is None:
            return
        if isinstance(message, Loaded):
            self.loaded, self._ever_loaded = message, True
            self._notice = ""
            logger.info("ready: model %s on %s in %s", message.model, message.device, message.dtype)
            self._greet_again()
        elif isinstance(message, MemoryPeak):
            if self.loaded is not None:
                self.loaded = msgspec.structs.replace(self.loaded, memory=message.memory)
                self._greet_again()
        elif isinstance(message, NotLoaded):
            if not self._ever_loaded:
                raise CannotStart(message.message)
            self._workers.give_up()
            self._worker_lost(f"could not load its model: {message.message.rstrip('.')}")
        else:
            self._publish(self.queue.record(message))

    def _fail(self, job: Job, code: str, words: str) -> None:
        """End the job that runs, in words."""
        failed = Failed(job=job.id, code=code, message=readable(words))
        self._publish(self.queue.record(failed))

    def _worker_lost(self, trouble: str) -> None:
        """Fail the job that runs, and tell everybody; the supervisor starts another worker."""
        if not self._ever_loaded:
            raise CannotStart(f"The worker process {trouble} while it was loading a model.")
        pause = math.ceil(self._workers.pause)
        when = f"another is started in {pause} s" if pause else "another is being started"
        self._notice = f"The worker process {trouble}; {when}."
        logger.error("%s", self._notice)
        job = self.queue.running
        if job is not None:
            maybe = ", perhaps for want of memory" if trouble.startswith("ended") else ""
            words = (
                f"The worker process {trouble} in the middle of this job{maybe}. It is being "
                f"started anew: {what_may_help(job.request)}."
            )
            self._fail(job, "worker_died", words)
        self.loaded = None
        self._greet_again()

    def _close(self) -> None:
        words = (
            "The backend was stopped before this job had ended: start the backend again, and then "
            "this job."
        )
        for job in self.queue.unfinished():
            for follower in list(job.followers):
                self._send(follower, Failed(job=job.id, code="server_stopped", message=words))
        self._workers.stop()
        self._leave()

    def _leave(self) -> None:
        """Give up the address, and what tells clients of it."""
        for errands in (self._intake.errands, self._desk.storekeeper):
            errands.close()
        with contextlib.suppress(BadConnectionFile):  # ours to remove only while it is ours
            if read_connection(self.connection_file) == self.connection:
                self.connection_file.unlink()
        os.close(self._lock)
        self._authenticator.stop()
        self._doorkeeper.close()
        self._router.close()
        self._context.term()


def _claim(connection_file: Path) -> int:
    """The lock of the one server that may run with a connection file.

    Raises:
        AlreadyRuns: another one does.
        OSError: its folder cannot be made or written.
    """
    connection_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    held = lock(connection_file.with_name(f".{connection_file.name}.lock"))
    if held is None:
        raise AlreadyRuns(
            f"Another server runs with the connection file {connection_file}: use that one, stop "
            "it, or name another file with --connection-file."
        )
    return held


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Serve relevance maps and local edits to Blender and other clients."""

    bind: Annotated[str, arg(metavar="ENDPOINT")] = "tcp://127.0.0.1:*"
    """where to listen; tcp://0.0.0.0:5577 serves other machines too"""
    advertise: Annotated[str | None, otherwise("this machine's own", "HOST")] = None
    """host name for the connection file, if clients need another"""
    model: str = "auto"
    """hub id, folder, demo, or auto: InstructPix2Pix where it can be had, else the demo model"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps"""
    dtype: str = "auto"
    """auto, float32, float16, bfloat16"""
    connection_file: Annotated[Path | None, otherwise(str(default_connection_file()), "FILE")] = (
        None
    )
    """where to write address and keys for clients"""
    new_keys: bool = False
    """make new keys; older connection files stop working"""
    data_root: Annotated[Path | None, otherwise(f"{data_folder() / 'data'}", "DIR")] = None
    """where to keep captures"""
    stop_with_input: bool = False
    """stop when the standard input ends, as it does with the program that started this one"""


def _stop_with_input(stop: threading.Event) -> None:
    """Set `stop` once the standard input has ended: the system closes it with the process at its
    other end, also where that crashes or is killed, on every platform.
    """
    while os.read(0, 1024):  # not sys.stdin, whose lock would be held while Python ends
        pass
    logger.info("the program that started this server has ended, or stops it")
    stop.set()


def main(arguments: list[str] | None = None) -> int:
    """Run the server until SIGINT, SIGTERM or the end of its terminal; the exit status: 1 where it
    cannot start or go on, ALREADY_RUNS where another one is there.
    """
    typed = sys.argv[1:] if arguments is None else arguments
    options: Serve = parse(Serve, typed, "python -m backend.server")
    log_to(sys.stdout)
    os.umask(0o077)  # what is written here is nobody else's, and ours to read, whoever started it
    stop = threading.Event()
    for number in (signal.SIGINT, *SIGNALS):  # before there is anything to leave behind
        hangs_up = number == getattr(signal, "SIGHUP", None)
        if not (hangs_up and signal.getsignal(number) == signal.SIG_IGN):  # as `nohup` asks for
            signal.signal(number, lambda *_: stop.set())
    if options.stop_with_input:
        threading.Thread(target=_stop_with_input, args=(stop,), daemon=True).start()
    try:
        server = Server(
            options.bind,
            options.connection_file or default_connection_file(),
            options.model,
            options.device,
            options.dtype,
            options.advertise,
            options.new_keys,
            options.data_root,
        )
        logger.info("Watch Your Steps backend %s, protocol %d", __version__, PROTOCOL_VERSION)
        logger.info("listening on %s", server.connection.endpoint)
        logger.info("connection file %s", server.connection_file)
        logger.info("loading model %s on device %s", options.model, options.device)
        server.serve(stop)
    except CannotStart as error:
        print(f"error: {error}", file=sys.stderr)
        return ALREADY_RUNS if isinstance(error, AlreadyRuns) else 1
    logger.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
