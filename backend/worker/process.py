"""The process that holds the models and works the jobs off, one at a time.

    python -m backend.worker.process ENDPOINT MODEL DEVICE DTYPE DATA_ROOT STILL_SECONDS

It is started by the server, speaks the protocol's own frames with it over an encrypted loopback
socket, and ends when the server's end of its standard input closes. Keeping the models in a process
of their own keeps the server answering whatever the GPU does, and lets it outlive a crash.
"""

import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import torch
import zmq
from numpy.typing import NDArray
from PIL import Image

from backend.captures.store import CaptureStore, out_of_room
from backend.editing import Editor, ImageEditor
from backend.errors import BadInput
from backend.jobs.worker_messages import (
    KEYS_VARIABLE,
    LOST_GPU,
    Loaded,
    MemoryPeak,
    NotLoaded,
    decode_worker_message,
)
from backend.logs import log_to
from backend.work_lock import InUse
from backend.worker.memory import give_back, is_out_of_memory, memory_of
from backend.worker.perform import perform
from backend.worker.watchdog import Mark, Watchdog
from protocol import codec
from protocol.messages import Cancel, Cancelled, Done, Failed, Progress, Submit
from protocol.requests import (
    EditSceneRequest,
    ImageRequest,
    MeshViews,
    Request,
    TrainSceneRequest,
)
from protocol.text import readable

logger = logging.getLogger("backend.worker")

SHORTEST_PAUSE = 0.1
"""Seconds between two words of progress; those that come sooner are left out, unless they bring a
picture."""
LARGEST_PREVIEW = 256
"""Pixels a side."""
KEEPS = TrainSceneRequest | EditSceneRequest
KEPT = "What was done is kept: start it again, and it goes on from there."
"""Of the jobs above, when they are cancelled."""


NO_MEMORY_CODE = "out_of_memory"
NO_ROOM = (
    "The model does not fit into the memory that is free: end other programs that use it, or start "
    "the backend with another --model, --dtype float16 or --device cpu."
)


class _Stopped(Exception):
    """The job that runs has been cancelled."""


class _Line:
    """The socket to the server."""

    def __init__(self, endpoint: str, keys: str) -> None:
        server_public, own_public, own_secret = (key.encode() for key in keys.split())
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 2000
        self._socket.curve_serverkey = server_public
        self._socket.curve_publickey = own_public
        self._socket.curve_secretkey = own_secret
        self._socket.connect(endpoint)
        self._cancelled: set[str] = set()
        self._submitted: list[Submit] = []
        self._works = self._ends = False
        signal.signal(signal.SIGTERM, self._end)

    def _end(self, *_: object) -> None:
        """Leave, but let a job come to its next word first, where it writes what it keeps."""
        self._ends = True
        if not self._works:
            os._exit(0)  # at once: there is nothing to tidy up, and the server waits

    def send(self, message: Loaded | NotLoaded | MemoryPeak | Progress) -> None:
        self._socket.send_multipart(codec.encode(message), copy=False)

    def send_end(self, end: Done | Failed | Cancelled) -> None:
        self._socket.send_multipart(frames_of_end(end), copy=False)

    def close(self) -> None:
        """Let what was sent arrive, then hang up."""
        self._socket.close()
        self._context.term()

    def next_job(self) -> Submit:
        """Wait for a job; leave where this process is to end."""
        self._works = False
        if self._ends:
            os._exit(0)
        while not self._submitted:
            self._receive()
        self._works = True
        submitted = self._submitted.pop(0)
        self._cancelled &= {submitted.job}  # the others have ended
        return submitted

    def is_cancelled(self, job: str) -> bool:
        """Look, without waiting, whether the server has cancelled `job`, or ends."""
        while self._socket.poll(0):
            self._receive()
        return self._ends or job in self._cancelled

    def _receive(self) -> None:
        message = codec.decode_client_message(self._socket.recv_multipart())
        if isinstance(message, Submit):
            self._submitted.append(message)
        elif isinstance(message, Cancel):
            self._cancelled.add(message.job)


def main(
    endpoint: str, model: str, device: str, dtype: str, data_root: str, still_seconds: str
) -> None:
    """Load the models, then do jobs until the server goes away."""
    # Ctrl-C and the end of a terminal reach both; the server ends this one
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _end_with_parent()
    line = _Line(endpoint, os.environ.pop(KEYS_VARIABLE))
    watchdog = Watchdog(float(still_seconds))
    try:
        with watchdog.over_loading():
            editor = Editor.from_pretrained(model, device, dtype)
    except Exception as error:
        if not isinstance(error, BadInput) and not is_out_of_memory(error):
            raise
        line.send(NotLoaded(message=str(error) if isinstance(error, BadInput) else NO_ROOM))
        line.close()
        sys.exit(1)
    captures = CaptureStore(Path(data_root))
    card = editor.card
    memory = memory_of(card.device)
    line.send(
        Loaded(
            model=card.name,
            device=card.device_name,
            dtype=str(card.dtype).removeprefix("torch."),
            native_size=card.native_size,
            guidance=card.guidance.settings,
            memory=memory,
        )
    )
    while True:
        submitted = line.next_job()
        with watchdog.over_job(card.device.type != "cpu", _mark(card.device)):
            end = _do(editor, captures, line, submitted.job, submitted.request)
            if isinstance(end, Failed) and is_lost(card.device):
                line.close()
                sys.exit(LOST_GPU)  # only a new process can use it again
            if isinstance(end, Failed) and end.code == NO_MEMORY_CODE:
                give_back()
        line.send_end(end)
        now = memory_of(card.device)
        if now is not None and memory is not None and now.peak_bytes > memory.peak_bytes:
            memory = now
            line.send(MemoryPeak(memory=now))


def _do(
    editor: ImageEditor, captures: CaptureStore, line: _Line, job: str, request: Request
) -> Done | Failed | Cancelled:
    """One job to its end; whatever goes wrong in it becomes words, and the worker goes on."""
    told = -math.inf

    def on_progress(stage: str, fraction: float, preview: NDArray[np.uint8] | None) -> None:
        nonlocal told
        if line.is_cancelled(job):
            raise _Stopped
        now = time.monotonic()
        if preview is None and now - told < SHORTEST_PAUSE:
            return
        told = now
        if preview is not None:
            preview = smaller(preview)
        line.send(Progress(job=job, stage=stage, fraction=fraction, preview=preview))

    try:
        return Done(job=job, result=perform(editor, captures, request, on_progress))
    except _Stopped:
        return Cancelled(job=job, message=KEPT if isinstance(request, KEEPS) else "")
    except BadInput as error:
        return Failed(job=job, code="bad_input", message=str(error))
    except FloatingPointError as error:
        logger.warning("job %s has no result: %s", job, error)
        return Failed(job=job, code="bad_result", message=str(error))
    except InUse as error:
        return Failed(job=job, code="in_use", message=str(error))
    except Exception as error:
        logger.exception("job %s failed", job)
        if is_out_of_memory(error):
            words = f"The device ran out of memory {_too_large(request)}."
            return Failed(job=job, code=NO_MEMORY_CODE, message=words)
        if isinstance(error, OSError):
            return Failed(job=job, code="storage", message=out_of_room(error))
        # a defect: told to the client, and to the log with its traceback
        words = f"The backend failed on this job ({type(error).__name__}: {error}); see its log."
        return Failed(job=job, code="internal", message=words)


def frames_of_end(end: Done | Failed | Cancelled) -> list[codec.Frame]:
    """What is sent of a job's end. A result that could not be read becomes a failure in words."""
    if isinstance(end, Failed):  # whatever an error had to say
        end = msgspec.structs.replace(end, message=readable(end.message))
    try:
        frames = codec.encode(end)
        decode_worker_message(frames)
    except codec.BadMessage as error:
        logger.error("the result of job %s cannot be sent: %s", end.job, error)
        return codec.encode(Failed(job=end.job, code="bad_result", message=_unsent(error)))
    return frames


def _unsent(error: codec.BadMessage) -> str:
    """What the client is told of a result that cannot be sent."""
    if codec.NOT_FINITE in str(error):
        return (
            "The result holds values that are not finite numbers, as float16 can overflow: start "
            "the backend with --dtype float32."
        )
    return f"The result cannot be sent ({error}): ask for a smaller one."


def smaller(preview: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture (h, w, 3) with at most 256 pixels a side."""
    height, width = preview.shape[:2]
    factor = LARGEST_PREVIEW / max(height, width)
    if factor >= 1:
        return preview
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(Image.fromarray(preview).resize(size, Image.Resampling.BOX))


def _too_large(request: Request) -> str:
    """What the device's memory did not suffice for, and what to do."""
    if isinstance(request, ImageRequest):
        height, width = request.image.shape[:2]
        return f"on a {width}x{height} image: send a smaller one"
    if isinstance(request, MeshViews):
        height, width = request.views.shape[1:3]
        return f"on views of {width}x{height}: render smaller ones"
    return "on this scene: choose a smaller preset, or send smaller views"


def is_lost(device: torch.device) -> bool:
    """Whether a fault, such as an address that is not there, has made all use of a CUDA device by
    this process an error.
    """
    if device.type != "cuda":
        return False
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        logger.exception("the GPU is lost")
        return True
    return False


def _mark(device: torch.device) -> Mark | None:
    """Marks the end of what a CUDA device has been given; None for others."""
    if device.type != "cuda":
        return None

    def mark() -> Callable[[], bool]:
        event = torch.cuda.Event()
        event.record(torch.cuda.default_stream(device))
        return event.query

    return mark


def _end_with_parent() -> None:
    """End this process as soon as the server's end of standard input closes, however it ended."""

    def wait() -> None:
        while os.read(0, 1024):  # not sys.stdin, whose lock would be held while Python ends
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True, name="end-with-parent").start()


if __name__ == "__main__":
    log_to(sys.stderr, "worker")
    main(*sys.argv[1:])
