"""Messages about captures: what they refuse, and that they survive the wire bit for bit."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocol import codec
from protocol.messages import CaptureState, DropCapture, OpenCapture, PutView, SealCapture
from protocol.values import MAX_VIEWS, new_capture_id

ID = "0123456789abcdef" * 2
POSE = tuple(np.eye(4).reshape(-1).tolist())
IMAGE = np.zeros((4, 6, 3), np.uint8)
VIEW = PutView(
    capture=ID, index=0, name="a", image=IMAGE, fx=5, fy=5, cx=3, cy=2, camera_to_world=POSE
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


def over_the_wire(message, decode=codec.decode_client_message):
    return decode([bytes(frame) for frame in codec.encode(message)])


@st.composite
def views(draw):
    height, width = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    depths = hnp.arrays(np.float32, (height, width), elements=st.floats(0, 2**20, width=32))
    return PutView(
        capture=draw(st.from_regex("[0-9a-f]{32}", fullmatch=True)),
        index=draw(st.integers(0, MAX_VIEWS - 1)),
        name=draw(st.text(max_size=50)),
        image=draw(hnp.arrays(np.uint8, (height, width, 3))),
        alpha=draw(st.none() | hnp.arrays(np.uint8, (height, width))),
        depth=draw(st.none() | depths),
        things=draw(st.none() | hnp.arrays(np.uint16, (height, width))),
        fx=draw(positive),
        fy=draw(positive),
        cx=draw(numbers),
        cy=draw(numbers),
        camera_to_world=tuple(draw(st.lists(numbers, min_size=16, max_size=16))),
    )


@given(views())
def test_views_survive_the_wire_bit_for_bit(sent):
    received = over_the_wire(sent)
    assert isinstance(received, PutView)
    for name in PutView.__struct_fields__:
        ours, theirs = getattr(sent, name), getattr(received, name)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
            assert (ours == theirs).all()
        else:
            assert ours == theirs


@pytest.mark.parametrize("kind", [SealCapture, DropCapture])
def test_the_other_messages_survive_the_wire(kind):
    assert over_the_wire(kind(capture=ID)) == kind(capture=ID)
    assert over_the_wire(OpenCapture(capture=ID, views=7)) == OpenCapture(capture=ID, views=7)


def test_a_state_with_everything_missing_fits_into_a_message():
    state = CaptureState(capture=ID, views=MAX_VIEWS, missing=tuple(range(MAX_VIEWS)), sealed=False)
    assert over_the_wire(state, codec.decode_server_message) == state


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"capture": "../../etc"}, "capture"),
        ({"index": -1}, "index"),
        ({"index": MAX_VIEWS}, "index"),
        ({"fx": 0.0}, "fx"),
        ({"fx": math.inf}, "finite"),
        ({"cy": math.nan}, "finite"),
        ({"camera_to_world": POSE[:15]}, "camera_to_world"),
        ({"camera_to_world": (math.nan, *POSE[1:])}, "finite"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_views_that_make_no_sense_are_refused(wrong, words):
    def change(header):
        # Encoded as a plain map: the struct itself would refuse before it is sent.
        fields = msgspec.msgpack.decode(header)
        return msgspec.msgpack.encode(fields | wrong)

    version, header, *arrays = codec.encode(VIEW)
    with pytest.raises(codec.BadMessage, match=words):
        codec.decode_client_message([version, change(header), *map(bytes, arrays)])


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("image", np.zeros((4, 6), np.uint8), "HxWx3|shape"),
        ("alpha", np.zeros((4, 5), np.uint8), "alpha is"),
        ("alpha", np.zeros((4, 6), np.float32), "alpha must be uint8"),
        ("depth", np.zeros((6, 4), np.float32), "depth is"),
        ("depth", np.full((4, 6), -1, np.float32), "depth must be 0 or more"),
        ("things", np.zeros((4, 5), np.uint16), "things is"),
        ("things", np.zeros((4, 6), np.int32), "things must be uint16"),
        ("depth", np.full((4, 6), np.nan, np.float32), "finite|0 or more"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(name, array, words):
    with pytest.raises((ValueError, codec.BadMessage), match=words):
        over_the_wire(msgspec.structs.replace(VIEW, **{name: array}))


@pytest.mark.parametrize("views", [0, 2, MAX_VIEWS + 1])
def test_captures_of_too_few_or_too_many_views_are_refused(views):
    with pytest.raises(codec.BadMessage, match="views"):
        over_the_wire(OpenCapture(capture=ID, views=views))


def test_ids_are_random():
    assert len({new_capture_id() for _ in range(100)}) == 100
