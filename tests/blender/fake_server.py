"""A scripted server that speaks the real protocol, for what a real one does not do on command:
fail, wait, send progress at a chosen moment, die, be of another version.

It runs in a thread of the test's process with the protocol package of the installed extension.
Relevance is the image's green channel; an edit inverts the pixels inside the mask, of a texture
as of an image. What a map suggests and whether the prompt check passes is what the test says.
What it makes of captures is in fake_scenes.py.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import zmq
from fake_scenes import FakeScenes
from zmq.auth.thread import ThreadAuthenticator


def relevance_of(image: np.ndarray) -> np.ndarray:
    """Float32 (H, W) in 0..1 of a uint8 (H, W, 3) image."""
    return image[..., 1].astype(np.float32) / np.float32(255)


def edited(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image, uint8 (H, W, 3), inverted where `mask` (H, W) is true."""
    return np.where(mask[..., None], 255 - image, image)


class FakeServer:
    """Serves from `start` to `stop`; `manual` keeps jobs waiting for `progress` and `finish`."""

    def __init__(self, protocol: ModuleType, connection_file: Path, manual: bool = False) -> None:
        self.messages, self.requests = protocol.messages, protocol.requests
        self.values, self.settings = protocol.values, protocol.settings
        self.codec, self.region = protocol.codec, protocol.region
        self.connection = protocol.connection
        self.file = connection_file
        self.manual = manual
        self.model_state = "ready"
        self.largest_frame = -1
        """Bytes; a larger one breaks the connection. -1 for any, from the next `start` on."""
        self.more: tuple[str, ...] = ("texture_relevance_request",)
        """Capabilities beside those that every backend has."""
        self.refusal: tuple[str, str] | None = None
        """Code and sentence of the error that answers every Hello."""
        self.unknown = "unknown_job"
        """Code of the answer about a job that is not kept."""
        self.suggestion = 0.4
        self.whole_things = True
        """Whether whole things explain the relevance of textures."""
        self.unseen = ""
        """The note of a prompt check that fails; "" while it passes."""
        self.notes: tuple[str, ...] = ()
        """Of every result of an edit or map, before that of the prompt check."""
        self.keys = self.connection.new_server_keys()
        self.jobs: dict[str, Any] = {}
        """Requests by job id."""
        self.scenes = FakeScenes(protocol.messages, protocol.requests)
        self.received: list[Any] = []
        """All messages, in order."""
        self._peers: dict[str, bytes] = {}
        self._greeted: set[bytes] = set()
        self._final: dict[str, Any] = {}
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._at_work = threading.Lock()

    def __enter__(self) -> "FakeServer":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen on a free port and write the connection file."""
        self._stop.clear()
        self._context = zmq.Context()
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback("*", self)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 200
        self._socket.setsockopt(zmq.MAXMSGSIZE, self.largest_frame)
        self._socket.curve_server = True
        self._socket.curve_publickey = self.keys.server_public_key.encode()
        self._socket.curve_secretkey = self.keys.server_secret_key.encode()
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.connection.write_connection(self.file, self.keys.connection(f"tcp://127.0.0.1:{port}"))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Go away without a word, as a crashed server does."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join()
        self._thread = None
        self._authenticator.stop()
        self._context.destroy(linger=0)

    def forget(self) -> None:
        """Forget all jobs, as a server does that was started anew."""
        self.jobs.clear()
        self._peers.clear()
        self._final.clear()

    def callback(self, _domain: str, key: bytes) -> bool:
        """Which client key is let in (called by pyzmq's authenticator)."""
        return key == self.keys.client_public_key.encode()

    def progress(
        self, job: str, stage: str, fraction: float, preview: np.ndarray | None = None
    ) -> None:
        """Send progress of a job."""
        event = self.messages.Progress(job=job, stage=stage, fraction=fraction, preview=preview)
        self._calls.put(lambda: self._send(job, event))

    def fail(self, job: str, code: str, sentence: str) -> None:
        """End a job with an error."""
        event = self.messages.Failed(job=job, code=code, message=sentence)
        self._calls.put(lambda: self._end(job, event))

    def finish(self, job: str) -> None:
        """End a job well."""
        self._calls.put(lambda: self._end(job, self._done(job)))

    def load(self, state: str) -> None:
        """Change the model's state, and tell all clients."""
        self.model_state = state
        self._calls.put(self._greet)

    def send_unreadable(self, job: str) -> None:
        """End a job with a result that its client cannot read."""
        header = msgspec.msgpack.encode({"type": "done", "job": job, "result": {"type": "none"}})
        frames = [self.codec.VERSION_FRAME, header]
        self._calls.put(lambda: self._socket.send_multipart([self._peers[job], *frames]))

    def send_garbage(self, job: str) -> None:
        """Send frames that are no message to the client of a job."""
        self._calls.put(lambda: self._socket.send_multipart([self._peers[job], b"wys/1", b"\xc1"]))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Run no Python within the block, as a server of another process runs none of this one."""
        with self._at_work:
            time.sleep(0.05)  # until it waits
            yield

    # ---------------------------------------------------------------- the thread

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._at_work:
                pass
            while not self._calls.empty():
                self._calls.get()()
            if self._socket.poll(5):
                peer, *frames = self._socket.recv_multipart()
                message = self.codec.decode_client_message(frames)
                self.received.append(message)
                self._take(peer, message)

    def _take(self, peer: bytes, message: Any) -> None:
        m = self.messages
        if isinstance(message, m.Hello):
            self._greeted.add(peer)
            self._socket.send_multipart([peer, *self.codec.encode(self._welcome())])
            return
        if isinstance(message, m.CaptureMessage | m.SceneMessage):
            answer = self.scenes.answer(message)
            self._socket.send_multipart([peer, *self.codec.encode(answer)])
            return
        self._peers[message.job] = peer
        if isinstance(message, m.Submit):
            known = message.job in self.jobs
            self.jobs[message.job] = message.request
            if known and message.job in self._final:
                self._send(message.job, self._final[message.job])
                return
            self._send(message.job, m.Queued(job=message.job, position=0))
            if not self.manual:
                self._end(message.job, self._done(message.job))
        elif message.job not in self.jobs:
            text = f"no job {message.job} is kept"
            self._send(message.job, m.Error(code=self.unknown, message=text, job=message.job))
        elif message.job in self._final:
            self._send(message.job, self._final[message.job])
        elif isinstance(message, m.Cancel):
            self._end(message.job, m.Cancelled(job=message.job))
        else:
            self._send(message.job, m.Progress(job=message.job, stage="still at it", fraction=0.5))

    def _greet(self) -> None:
        for peer in self._greeted:
            self._socket.send_multipart([peer, *self.codec.encode(self._welcome())])

    def _welcome(self) -> Any:
        m = self.messages
        if self.refusal is not None:
            return m.Error(code=self.refusal[0], message=self.refusal[1])
        return m.Welcome(
            server="0",
            model="demo",
            device="cpu",
            model_state=self.model_state,
            native_size=64 if self.model_state == "ready" else 0,
            guidance=self.settings.GuidanceSettings(text_guidance=2.0, image_guidance=1.0),
            capabilities=("relevance_request", "edit_request", *self.more, "captures", "scenes"),
            limits=m.Limits(max_frame_bytes=self.codec.MAX_FRAME_BYTES, max_queued_jobs=256),
        )

    def _done(self, job: str) -> Any:
        m, r, request = self.messages, self.requests, self.jobs[job]
        if isinstance(request, r.SceneTextureRequest):
            found = relevance_of(request.texture[..., :3])
            return m.Done(job=job, result=self._texture(request, found, r.SceneTextureResult))
        if isinstance(request, r.TextureRelevanceRequest):
            return m.Done(job=job, result=self._texture_relevance(request))
        if isinstance(request, r.SceneRequest):
            return m.Done(job=job, result=self.scenes.result(request))
        texture = isinstance(request, r.TextureRequest)
        image = request.texture[..., :3] if texture else request.image
        relevance = relevance_of(image)
        found = {
            "relevance": relevance,
            "suggested_threshold": self.suggestion,
            "evidence": 0.1 if self.unseen else 0.8,
            "applies": not self.unseen,
            "notes": (*self.notes, self.unseen) if self.unseen else self.notes,
        }
        if texture:
            result = self._texture(request, relevance, r.TextureResult)
        elif isinstance(request, r.RelevanceRequest):
            result = r.RelevanceResult(spread=0.0, magnitude=1.0, **found)
        else:
            result = self._edit(request, found)
        return m.Done(job=job, result=result)

    def _edit(self, request: Any, found: dict[str, Any]) -> Any:
        if request.mask is not None:
            mask, threshold = request.mask, None
            found = {**dict.fromkeys(found), "notes": self.notes}
        else:
            suggested = found["suggested_threshold"]
            arrays = (found["relevance"], request.image)
            snapped = self.region.snapped(*arrays, request.region.snap, request.things, suggested)
            threshold = request.threshold
            if threshold is None:
                threshold = snapped.suggested_threshold
            mask = request.correction.mask(snapped.values, threshold)
        image = edited(request.image, mask)
        return self.requests.EditResult(image=image, mask=mask, threshold=threshold, **found)

    def _texture_relevance(self, request: Any) -> Any:
        """By edges the relevance is inverted; whole things are the rows."""
        relevance = relevance_of(request.texture)
        things = np.repeat(relevance.mean(axis=1, keepdims=True), relevance.shape[1], axis=1)
        return self.requests.TextureRelevanceResult(
            relevance=relevance,
            edges=1 - relevance,
            things=things if self.whole_things else None,
            of_things="pieces" if self.whole_things else "",
            suggested_threshold=self.suggestion,
            applies=not self.unseen,
            seen_share=0.75,
            notes=(*self.notes, self.unseen) if self.unseen else self.notes,
        )

    def _texture(self, request: Any, relevance: np.ndarray, kind: Any) -> Any:
        threshold = self.suggestion if request.threshold is None else request.threshold
        region = relevance >= np.float32(threshold)
        given = getattr(request, "mask", None)
        if given is not None:
            region, threshold = given, None
        image = request.texture.copy()
        image[..., :3] = edited(request.texture[..., :3], region)
        whole = (
            given is None
            and kind is self.requests.TextureResult
            and request.region.snap == "things"
        )
        return kind(
            took="things" if whole else "nothing",
            of_things="pieces" if whole else "",
            texture=image,
            relevance=None if given is not None else relevance,
            region=region,
            threshold=threshold,
            applies=not self.unseen,
            notes=self.notes,
            edited_share=float(region.mean()),
            rerender_difference=0.01,
        )

    def _end(self, job: str, event: Any) -> None:
        self._final[job] = event
        self._send(job, event)

    def _send(self, job: str, event: Any) -> None:
        self._socket.send_multipart([self._peers[job], *self.codec.encode(event)])
