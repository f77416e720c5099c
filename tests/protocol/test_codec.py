"""Messages to frames and back, and everything that must not pass."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from protocol import codec, messages
from protocol.messages import Follow, Progress, Submit
from protocol.requests import EditRequest, EditResult, RelevanceRequest, RelevanceResult
from protocol.text import wrong_instruction
from protocol.values import PROTOCOL_VERSION, new_job_id
from tests.protocol.flat import flat

JOB = "0123456789abcdef" * 2
IMAGE = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)

sides = st.integers(1, 12)
seeds = st.integers(0, 2**63 - 1)
unit = st.floats(0, 1)


def arrays(dtype, *trailing):
    return st.tuples(sides, sides).flatmap(lambda s: npst.arrays(dtype, (*s, *trailing)))


images = arrays(np.uint8, 3)
instructions = st.text(min_size=1, max_size=40).filter(lambda text: not wrong_instruction(text))


@st.composite
def edit_requests(draw):
    image = draw(images)
    mask = draw(st.none() | npst.arrays(np.bool_, image.shape[:2]))
    return flat(
        EditRequest,
        image=image,
        mask=mask,
        instruction=draw(instructions),
        threshold=draw(st.none() | unit),
        text_guidance=draw(st.none() | st.floats(0, 100)),
        image_guidance=draw(st.none() | st.floats(0, 100)),
        steps=draw(st.integers(1, 1000)),
        strength=draw(st.floats(0.001, 1)),
        seed=draw(seeds),
        relevance_seeds=tuple(draw(st.lists(seeds, min_size=1, max_size=5))),
        normalisation=draw(st.sampled_from(["paper", "full"])),
    )


def same(a, b):
    """Equal structs, with arrays compared by dtype, shape and bytes."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, msgspec.Struct):
        return type(a) is type(b) and all(
            same(getattr(a, name), getattr(b, name)) for name in a.__struct_fields__
        )
    if isinstance(a, tuple) and len(a) == len(b):
        return all(map(same, a, b))
    return a == b


def copied(frames):
    """The frames as they come off a socket: bytes of their own."""
    return [bytes(frame) for frame in frames]


@given(edit_requests())
def test_requests_survive_the_wire(request_):
    message = Submit(job=JOB, request=request_)
    assert same(codec.decode_client_message(copied(codec.encode(message))), message)


@given(
    arrays(np.uint8, 3),
    arrays(np.float32),
    st.lists(st.text(max_size=20), max_size=3),
    unit,
    st.none() | unit,
    st.none() | st.booleans(),
)
def test_results_survive_the_wire(image, relevance, notes, threshold, evidence, applies):
    relevance = np.nan_to_num(relevance)
    found = {"suggested_threshold": threshold, "evidence": evidence, "applies": applies}
    results = [
        RelevanceResult(
            relevance=relevance, spread=0.5, magnitude=threshold, notes=tuple(notes), **found
        ),
        EditResult(
            image=image,
            mask=image[..., 0] > 9,
            relevance=relevance,
            threshold=threshold,
            notes=tuple(notes),
            **found,
        ),
        EditResult(
            image=image,
            mask=image[..., 0] > 9,
            relevance=None,
            threshold=None,
            **dict.fromkeys(found),
        ),
    ]
    for result in results:
        message = messages.Done(job=JOB, result=result)
        assert same(codec.decode_server_message(copied(codec.encode(message))), message)


@given(st.none() | arrays(np.uint8, 3), unit)
def test_progress_survives_the_wire(preview, fraction):
    message = Progress(job=JOB, stage="Denoising", fraction=fraction, preview=preview)
    assert same(codec.decode_server_message(copied(codec.encode(message))), message)


def test_views_that_are_not_contiguous_are_sent_right():
    flipped = IMAGE[::-1, ::2]
    message = Submit(job=JOB, request=RelevanceRequest(image=flipped, instruction="x"))
    decoded = codec.decode_client_message(copied(codec.encode(message)))
    assert (decoded.request.image == flipped).all()


def test_decoded_arrays_share_the_frames_memory():
    frames = codec.encode(Submit(job=JOB, request=RelevanceRequest(image=IMAGE, instruction="x")))
    decoded = codec.decode_client_message(frames)
    assert np.shares_memory(decoded.request.image, IMAGE)


# ------------------------------------------------------------------ what must not pass


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_random_frames_are_bad_messages(frames):
    with pytest.raises(codec.BadMessage):
        codec.decode_client_message(frames)


@given(st.binary(max_size=300), st.lists(st.binary(max_size=50), max_size=3))
def test_random_headers_are_bad_messages(header, arrays):
    with pytest.raises(codec.BadMessage):
        codec.decode_client_message([codec.VERSION_FRAME, header, *arrays])


@given(st.data())
def test_damaged_messages_are_bad_or_still_valid(data):
    """Whatever byte is changed: either it is refused, or a message that passes its own checks
    comes out. Nothing else is ever raised.
    """
    frames = copied(
        codec.encode(Submit(job=JOB, request=flat(EditRequest, image=IMAGE, instruction="x")))
    )
    which = data.draw(st.integers(0, len(frames) - 1))
    at = data.draw(st.integers(0, len(frames[which]) - 1))
    frame = bytearray(frames[which])
    frame[at] ^= data.draw(st.integers(1, 255))
    frames[which] = bytes(frame)
    try:
        decoded = codec.decode_client_message(frames)
    except codec.BadMessage:
        return
    assert isinstance(decoded, Submit)


def header_with(**image):
    """A relevance request whose image reference says what is given."""
    reference = {"dtype": "uint8", "shape": [4, 5, 3], "frame": 0} | image
    request = {"type": "relevance_request", "image": reference, "instruction": "x"}
    return msgspec.msgpack.encode({"type": "submit", "job": JOB, "request": request})


@pytest.mark.parametrize(
    ("reference", "frame", "words"),
    [
        ({"dtype": "object"}, bytes(60), "dtype 'object' is not allowed"),
        ({"dtype": "float16", "shape": [4, 5, 3]}, bytes(120), "not allowed"),
        ({"dtype": "float64", "shape": [4, 5, 3]}, bytes(480), "image must be uint8"),
        ({"dtype": "float32"}, bytes(240), "image must be uint8"),
        ({"shape": [4, 5, 4]}, bytes(80), "HxWx3"),
        ({"shape": [60]}, bytes(60), "HxWx3"),
        ({"shape": [4, 5, -3]}, bytes(60), "shape"),
        ({"shape": [4, 5, 3]}, bytes(59), "its frame has 59"),
        ({"shape": [4, 5, 3]}, bytes(61), "its frame has 61"),
        ({"shape": [0, 5, 3]}, b"", "each side must have"),
        ({"shape": [2**40, 2**40, 3]}, bytes(60), "its frame has 60"),
        ({"shape": [1, 9000, 3]}, bytes(27000), "each side must have"),
        ({"frame": 1}, bytes(60), "missing or used twice"),
        ({"frame": -1}, bytes(60), "missing or used twice"),
    ],
)
def test_wrong_arrays_are_refused_in_words(reference, frame, words):
    with pytest.raises(codec.BadMessage, match=words):
        codec.decode_client_message([codec.VERSION_FRAME, header_with(**reference), frame])


def test_arrays_that_nothing_refers_to_are_refused():
    frames = codec.encode(Follow(job=JOB))
    with pytest.raises(codec.BadMessage, match="belong to nothing"):
        codec.decode_client_message([*frames, b"abc"])


def test_too_many_and_too_large_frames_are_refused(monkeypatch):
    frames = codec.encode(Follow(job=JOB))
    with pytest.raises(codec.BadMessage, match="more than 16"):
        codec.decode_client_message([*frames, *[b""] * 17])
    with pytest.raises(codec.BadMessage, match="header"):
        codec.decode_client_message([frames[0], bytes(codec.MAX_HEADER_BYTES + 1)])
    monkeypatch.setattr(codec, "MAX_FRAME_BYTES", 50)
    with pytest.raises(codec.BadMessage, match="more than 50"):
        codec.encode(Submit(job=JOB, request=RelevanceRequest(image=IMAGE, instruction="x")))
    with pytest.raises(codec.BadMessage, match="more than 50"):
        codec.decode_client_message([codec.VERSION_FRAME, header_with(), IMAGE.tobytes()])


def done_with_nan():
    relevance = np.full((4, 5), np.nan, np.float32)
    result = RelevanceResult(
        relevance=relevance,
        spread=0.0,
        magnitude=1.0,
        suggested_threshold=0.5,
        evidence=1.0,
        applies=True,
    )
    return messages.Done(job=JOB, result=result)


def test_numbers_that_are_none_are_refused_on_both_sides(monkeypatch):
    with pytest.raises(codec.BadMessage, match="finite"):
        codec.encode(done_with_nan())
    with monkeypatch.context() as patch:
        patch.setattr(codec.np, "isfinite", lambda array: np.ones_like(array, bool))
        frames = codec.encode(done_with_nan())
    with pytest.raises(codec.BadMessage, match="finite"):
        codec.decode_server_message(frames)


@pytest.mark.parametrize("text", [b"\xff", b"\xed\xa0\x80", b"gr\xfcn"])
def test_a_text_that_is_not_utf_8_is_said_in_our_words(text):
    """As an instruction with half of a pair is, where it was not written by our own encoder."""
    header = header_with().replace(b"\xa1x", bytes([0xA0 | len(text)]) + text)
    with pytest.raises(codec.BadMessage, match="a text in the message is not UTF-8") as refused:
        codec.decode_client_message([codec.VERSION_FRAME, header, bytes(60)])
    assert refused.value.about == JOB


def test_bytes_that_are_no_bools_are_refused():
    request = flat(EditRequest, image=IMAGE, instruction="x", mask=np.ones((4, 5), bool))
    version, header, image, _ = codec.encode(Submit(job=JOB, request=request))
    with pytest.raises(codec.BadMessage, match="bool"):
        codec.decode_client_message([version, header, image, bytes([2] * 20)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 1.01},
        {"threshold": float("nan")},
        {"steps": 0},
        {"steps": 2.5},
        {"strength": 0.0},
        {"seed": -1},
        {"relevance_seeds": ()},
        {"text_guidance": -0.1},
        {"image_guidance": float("inf")},
    ],
)
def test_values_out_of_range_are_refused(wrong):
    request = flat(EditRequest, **({"image": IMAGE, "instruction": "x"} | wrong))
    with pytest.raises(codec.BadMessage, match="cannot be read"):
        codec.decode_client_message(codec.encode(Submit(job=JOB, request=request)))


@pytest.mark.parametrize(
    "job", ["", "x" * 32, JOB[:-1], JOB + "\n", JOB.upper(), "../../etc/passwd"]
)
def test_job_ids_are_checked(job):
    with pytest.raises(codec.BadMessage):
        codec.decode_client_message(codec.encode(Follow(job=job)))


def request_with(**changes):
    """The header of a relevance request in which some fields are what they should not be."""
    reference = {"dtype": "uint8", "shape": [4, 5, 3], "frame": 0}
    request = {"type": "relevance_request", "image": reference, "instruction": "x"} | changes
    return msgspec.msgpack.encode({"type": "submit", "job": JOB, "request": request})


LONG_CHOICE = {"normalisation": "x" * 200_000}
LONG_NUMBER = {"relevance_seeds": [2**64 - 1]}
NESTED = b"\x91" * 200_000
"""A list in a list in a list..., as msgpack."""


@pytest.mark.parametrize(
    "frames",
    {
        "long dtype": [codec.VERSION_FRAME, header_with(dtype="x" * 70_000), bytes(60)],
        "long shape": [codec.VERSION_FRAME, header_with(shape=list(range(25_000))), bytes(60)],
        "huge sides": [codec.VERSION_FRAME, header_with(shape=[2**63, 0, 3]), b""],
        "long type": [codec.VERSION_FRAME, msgspec.msgpack.encode({"type": "x" * 200_000})],
        "long key": [codec.VERSION_FRAME, msgspec.msgpack.encode({"x" * 200_000: 1})],
        "long choice": [
            codec.VERSION_FRAME,
            request_with(maps={"normalisation": "x" * 200_000}),
            bytes(60),
        ],
        "long number": [
            codec.VERSION_FRAME,
            request_with(maps={"relevance_seeds": [2**64 - 1]}),
            bytes(60),
        ],
        "nested": [codec.VERSION_FRAME, NESTED],
        "nested inside": [codec.VERSION_FRAME, b"\x81\xa7request" + NESTED],
        "no text": [codec.VERSION_FRAME, request_with(instruction="")],
        "text of no encoding": [codec.VERSION_FRAME, b"\x81\xa4type\xa2\xff\xff"],
        "other version, nested": [b"wys/99", NESTED],
        "other version, nested error": [b"wys/99", b"\x82\xa4type\xa5error\xa4code" + NESTED],
        "other version, no encoding": [b"wys/99", b"\x82\xa4type\xa5error\xa4code\xa2\xff\xff"],
        "other version, no version": [b"wys/\xff\x00\x1b[2J", b"\xc0"],
        "other version, no header": [b"wys/99", b""],
    }.items(),
    ids=lambda one: one[0],
)
def test_whatever_comes_is_refused_by_words_that_can_be_sent(frames):
    for decode in (codec.decode_client_message, codec.decode_server_message):
        with pytest.raises(codec.BadMessage) as refused:
            decode(frames[1])
        words = str(refused.value)
        assert len(words) <= 1000
        assert words.isprintable()
        codec.encode(messages.Error(code="bad_message", message=words, job=refused.value.about))


def test_a_refusal_knows_the_job_and_the_capture():
    for header in (header_with(dtype="object"), request_with(maps={"noise_level": 7.0})):
        with pytest.raises(codec.BadMessage) as refused:
            codec.decode_client_message([codec.VERSION_FRAME, header, bytes(60)])
        assert refused.value.about == JOB
    header = msgspec.msgpack.encode({"type": "put_view", "capture": JOB, "index": -1})
    for version, kind in ((codec.VERSION_FRAME, codec.BadMessage), (b"wys/99", codec.OtherVersion)):
        with pytest.raises(kind) as refused:
            codec.decode_client_message([version, header])
        assert refused.value.about == JOB


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (messages.Hello(client="\ud800"), "not Unicode"),
        (messages.Error(code="x", message="a\udcffb"), "not Unicode"),
        (messages.GetScene(capture=2**70), "64 bits"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_written_is_a_bad_message_too(message, words):
    with pytest.raises(codec.BadMessage, match=words):
        codec.encode(message)


def test_the_largest_array_passes_and_one_byte_more_does_not(monkeypatch):
    monkeypatch.setattr(codec, "MAX_FRAME_BYTES", IMAGE.nbytes)
    message = Submit(job=JOB, request=RelevanceRequest(image=IMAGE, instruction="x"))
    assert same(codec.decode_client_message(copied(codec.encode(message))), message)
    monkeypatch.setattr(codec, "MAX_FRAME_BYTES", IMAGE.nbytes - 1)
    with pytest.raises(codec.BadMessage, match="more than 59"):
        codec.encode(message)


def test_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="mask is"):
        flat(EditRequest, image=IMAGE, instruction="x", mask=np.ones((4, 4), bool))


# ------------------------------------------------------------------ versions


def test_other_versions_are_named_on_both_sides():
    frames = codec.encode(Follow(job=JOB))
    with pytest.raises(codec.OtherVersion, match=f"protocol {PROTOCOL_VERSION}.*protocol 99"):
        codec.decode_client_message([b"wys/99", *frames[1:]])


def test_errors_of_any_version_can_be_read():
    header = codec.encode(messages.Error(code="protocol_version", message="Both versions."))[1]
    decoded = codec.decode_server_message([b"wys/8", header])
    assert decoded == messages.Error(code="protocol_version", message="Both versions.")


def test_new_job_ids_are_valid_and_differ():
    ids = {new_job_id() for _ in range(100)}
    assert len(ids) == 100
    for job in ids:
        assert codec.decode_client_message(codec.encode(Follow(job=job))) == Follow(job=job)


def test_documented_frames(tmp_path):
    """The layout that protocol/README.md writes down."""
    version, header, *arrays = codec.encode(
        Submit(job=JOB, request=RelevanceRequest(image=IMAGE, instruction="x"))
    )
    assert version == b"wys/12"
    plain = msgspec.msgpack.decode(header)
    assert plain["type"] == "submit"
    assert plain["request"]["image"] == {"dtype": "uint8", "shape": [4, 5, 3], "frame": 0}
    assert bytes(arrays[0]) == IMAGE.tobytes()
