"""Messages that were damaged at random, for the tests and the bench beside this."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from protocol import codec
from protocol import messages as m
from protocol import requests as r
from protocol.corrections import Correction, PaintedView
from tests.protocol.flat import flat

IMAGE = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
ID = "0123456789abcdef" * 2
VIEWS: dict[str, Any] = {
    "corners": np.eye(3)[None],
    "uvs": np.zeros((1, 3, 2)),
    "occluders": np.zeros((0, 3, 3)),
    "texture": IMAGE,
    "views": IMAGE[None],
    "intrinsics": (5.0, 5.0, 2.5, 2.0),
    "camera_to_world": np.eye(4)[None],
    "lit": True,
}
REQUESTS: list[Any] = [
    r.RelevanceRequest(image=IMAGE, instruction="make it red"),
    flat(r.EditRequest, image=IMAGE, instruction="make it red", mask=IMAGE[..., 0] > 9, steps=1),
    r.EditRequest(
        image=IMAGE,
        instruction="make it red",
        correction=Correction(
            invert=True, clicked=IMAGE[..., 1] % 3, grow=2, painted=IMAGE[..., 0] % 3
        ),
    ),
    flat(r.TextureRequest, **VIEWS, instruction="make it red", steps=1, rounds=1),
    r.TextureRelevanceRequest(**VIEWS, instruction="make it red"),
    flat(r.TrainSceneRequest, capture=ID),
    flat(r.EditSceneRequest, capture=ID, name="red", instruction="make it red"),
    flat(
        r.EditSceneRequest,
        capture=ID,
        name="red",
        instruction="make it red",
        painted=(
            PaintedView(
                painted=IMAGE[..., 0] % 3,
                fx=5.0,
                fy=5.0,
                cx=2.5,
                cy=2.0,
                camera_to_world=tuple(np.eye(4).reshape(-1).tolist()),
            ),
        ),
    ),
    flat(r.SceneMeshRequest, capture=ID),
    r.SceneTextureRequest(**VIEWS, capture=ID, edit="red"),
    r.SceneRenderRequest(
        capture=ID,
        width=5,
        height=4,
        intrinsics=np.array([[5.0, 5.0, 2.5, 2.0]]),
        camera_to_world=np.eye(4)[None],
    ),
]
PUT_VIEW = m.PutView(
    capture=ID,
    index=0,
    name="Camera",
    image=IMAGE,
    alpha=IMAGE[..., 0],
    depth=np.ones((4, 5), np.float32),
    things=np.ones((4, 5), np.uint16),
    fx=5.0,
    fy=5.0,
    cx=2.5,
    cy=2.0,
    camera_to_world=tuple(np.eye(4).reshape(-1).tolist()),
)
FROM_CLIENTS: list[Any] = [
    m.Hello(client="the bench"),
    *(m.Submit(job=ID, request=request) for request in REQUESTS),
    m.Follow(job=ID),
    m.Cancel(job=ID),
    m.OpenCapture(capture=ID, views=3),
    PUT_VIEW,
    m.SealCapture(capture=ID),
    m.DropCapture(capture=ID),
    m.GetScene(capture=ID),
    m.UndoSceneEdit(capture=ID, edit="red"),
]
FROM_SERVERS: list[Any] = [
    m.Queued(job=ID, position=3),
    m.Progress(job=ID, stage="Denoising", fraction=0.5, preview=IMAGE),
    m.Failed(job=ID, code="bad_input", message="No."),
    m.Cancelled(job=ID),
    m.CaptureState(capture=ID, views=5, missing=(1, 2), sealed=False, notes=("a",)),
    m.Error(code="busy", message="Wait.", job=ID),
    m.Done(
        job=ID,
        result=r.EditResult(
            image=IMAGE,
            mask=IMAGE[..., 0] > 9,
            relevance=np.ones((4, 5), np.float32),
            threshold=0.5,
            suggested_threshold=0.5,
            evidence=0.5,
            applies=True,
            notes=("One.",),
        ),
    ),
    m.Done(
        job=ID,
        result=r.SceneMeshResult(
            vertices=np.eye(3),
            faces=np.array([[0, 1, 2]], np.int32),
            uvs=np.zeros((1, 3, 2), np.float32),
            texture=IMAGE[:, :4],
            edited_texture=None,
            relevance_texture=None,
            threshold=None,
        ),
    ),
]


def mutated(sources: list[Any], seed: int) -> Iterator[list[bytes]]:
    """Frames of messages that are each damaged in one to three ways; without end."""
    rng = random.Random(seed)
    whole = [[bytes(frame) for frame in codec.encode(message)] for message in sources]
    while True:
        frames = list(rng.choice(whole))
        for _ in range(rng.randint(1, 3)):
            rng.choice((_bytes, _bytes, _frames, _value, _value, _value))(frames, rng)
        yield frames


def _bytes(frames: list[bytes], rng: random.Random) -> None:
    """Change, cut or lengthen a frame."""
    if not frames:
        return
    which = rng.randrange(len(frames))
    frame = bytearray(frames[which])
    way = rng.randrange(4)
    if way == 0 and frame:
        frame[rng.randrange(len(frame))] = rng.randrange(256)
    elif way == 1:
        del frame[rng.randint(0, len(frame)) :]
    elif way == 2:
        at = rng.randint(0, len(frame))
        frame[at:at] = rng.randbytes(rng.choice((1, 3, 100)))
    else:
        frame = bytearray(rng.randbytes(rng.choice((0, 1, 30, 3000))))
    frames[which] = bytes(frame)


def _frames(frames: list[bytes], rng: random.Random) -> None:
    """Leave a frame out, repeat or move it, or name another version."""
    if not frames:
        return
    which = rng.randrange(len(frames))
    way = rng.randrange(4)
    if way == 0:
        del frames[which]
    elif way == 1:
        frames.insert(which, frames[which])
    elif way == 2:
        rng.shuffle(frames)
    else:
        frames[0] = rng.choice((b"wys/4", b"wys/", b"wys/\xff\xfe", b"wys/999999999999", b"http"))


def _value(frames: list[bytes], rng: random.Random) -> None:
    """Put another value, of the right type or not, somewhere into the header."""
    if len(frames) < 2:
        return
    try:
        header = msgspec.msgpack.decode(frames[1])
    except Exception:  # noqa: BLE001  # it was damaged before
        return
    places = list(_places(header))
    if not places:
        return
    holder, key = rng.choice(places)
    if rng.randrange(8) == 0:
        del holder[key]
    else:
        holder[key] = msgspec.msgpack.decode(rng.choice(STRANGE))
    frames[1] = msgspec.msgpack.encode(header)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in list(keys):
        yield value, key
        yield from _places(value[key])


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


STRANGE = tuple(
    msgspec.msgpack.encode(value)
    for value in (
        None,
        True,
        -1,
        0,
        1,
        2**63,
        2**64 - 1,
        -(2**63),
        0.5,
        1e308,
        float("nan"),
        float("inf"),
        "",
        " ",
        "x",
        "x" * 300,
        "x" * 70_000,
        "\U0001f534\u202e\x00\x1b[2J",
        b"\xff\xfe",
        [],
        {},
        [1, 2, 3],
        list(range(25_000)),
        {"x" * 1000: {}},
        {"dtype": "uint8", "shape": [2**40, 2**40, 3], "frame": 0},
        {"dtype": "object", "shape": [1], "frame": -1},
        {"dtype": "float64", "shape": [0, 2**63, 3], "frame": 1},
        msgspec.msgpack.Ext(5, b"x"),
        _nested(3),
        _nested(300),
        ID,
        "edit_request",
    )
)
"""What a value is replaced by."""


def decode_one(decode: Any, frames: list[bytes]) -> bool:
    """Whether damaged frames can be read all the same. Whatever comes out can be sent on: a message
    again, a refusal as an Error.
    """
    try:
        message = decode(frames)
    except codec.BadMessage as error:
        refusal = m.Error(code="bad_message", message=str(error), job=error.about)
        if len(codec.encode(refusal)[1]) > 4100:
            raise AssertionError("a refusal is too long") from error
        return False
    codec.encode(message)
    return True
