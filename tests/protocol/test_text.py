"""Instructions, and words of unknown origin that are made fit to send."""

import os

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.messages import Error, Submit
from protocol.requests import EditRequest, EditSceneRequest, RelevanceRequest, TextureRequest
from protocol.text import MAX_INSTRUCTION, readable, wrong_instruction

JOB = "0123456789abcdef" * 2
IMAGE = np.zeros((4, 5, 3), np.uint8)
WRONG = {
    "": "instruction is empty",
    " \t\n": "instruction is empty",
    "\u3000\u00a0\u2003": "instruction is empty",  # spaces of other scripts
    "\u200b\u2060\ufeff": "instruction is empty",  # characters without width
    "\x00": "instruction is empty",
    "\ud83d": "character 1 is not text",
    "x" * (MAX_INSTRUCTION + 1): "has 1001 characters",
    "turn the ball \ud83d red": "character 15 is not text",
    f"turn the ball {os.fsdecode(bytes([0xFF]))} red": "character 15 is not text",
}
REQUESTS = {
    RelevanceRequest: {"image": IMAGE},
    EditRequest: {"image": IMAGE},
    EditSceneRequest: {"capture": JOB, "name": "a"},
    TextureRequest: {
        "corners": np.eye(3)[None],
        "uvs": np.zeros((1, 3, 2)),
        "occluders": np.zeros((0, 3, 3)),
        "texture": IMAGE,
        "views": IMAGE[None],
        "intrinsics": (5.0, 5.0, 2.5, 2.0),
        "camera_to_world": np.eye(4)[None],
        "lit": True,
    },
}


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("text", WRONG, ids=ascii)
def test_every_request_refuses_wrong_instructions_in_our_own_words(kind, text):
    with pytest.raises(ValueError, match=WRONG[text]):
        kind(**REQUESTS[kind], instruction=text)


@pytest.mark.parametrize("text", [text for text in WRONG if text.isprintable() or text.isspace()])
def test_wrong_instructions_from_the_wire_are_refused_with_the_job(text):
    version, header, *arrays = codec.encode(
        Submit(job=JOB, request=RelevanceRequest(image=IMAGE, instruction="x"))
    )
    plain = msgspec.msgpack.decode(header)
    plain["request"]["instruction"] = text
    with pytest.raises(codec.BadMessage, match=WRONG[text]) as refused:
        codec.decode_client_message([version, msgspec.msgpack.encode(plain), *arrays])
    assert refused.value.about == JOB


@pytest.mark.parametrize(
    "text", ["turn the ball red", "把球变成红色", "🔴", "x" * MAX_INSTRUCTION, " red ", "?"]
)
def test_other_instructions_are_allowed(text):
    assert wrong_instruction(text) is None


@given(st.text(st.characters(exclude_categories=()), max_size=3000))
def test_any_text_can_be_made_fit_to_send(text):
    shown = readable(text)
    assert len(shown) <= 1000
    assert shown.isprintable()
    frames = codec.encode(Error(code="x", message=shown))
    assert codec.decode_server_message(frames).message == shown


def test_readable_texts_stay_as_they_are():
    for text in ("", "View Camera.001 has no depth.", "Größe: 5 m², 把球变成红色"):
        assert readable(text) == text
    assert readable("a\nb\x1b[2J") == "a b\\x1b[2J"
    long = readable("start " + "x" * 100_000 + " end")
    assert long.startswith("start x")
    assert long.endswith("x end")
