"""What a person corrects of a region, beside plain searches; and messages that carry it."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol import codec
from protocol.corrections import ADDED, NOTHING, TAKEN, Correction, grown
from protocol.messages import Submit
from protocol.requests import EditRequest

ID = "0123456789abcdef" * 2
IMAGE = np.zeros((31, 47, 3), np.uint8)


def octagon(radius: int) -> NDArray[np.bool_]:
    """Which offsets (rows, columns), -radius..radius, a mask grows by."""
    side = np.abs(np.arange(-radius, radius + 1))
    slanted = round(((2 - 2**0.5) * radius - 1) / 2) * 2 + 1
    return side[:, None] + side <= 2 * radius - slanted


@pytest.mark.parametrize("pixels", [1, 2, 3, 4, 5, 8, 13])
def test_growing_is_the_union_of_octagons(pixels: int) -> None:
    values = np.random.default_rng(pixels).random((31, 47), np.float32)
    values[np.random.default_rng(1).random(values.shape) < 0.9] *= 0.5
    found = grown(values, pixels)
    around = octagon(pixels)
    for threshold in (0.3, 0.5, 0.8, 0.95):
        wanted = np.zeros(values.shape, bool)
        padded = np.pad(values >= np.float32(threshold), pixels)
        for row, column in zip(*np.nonzero(around), strict=True):
            wanted |= padded[row : row + 31, column : column + 47]
        assert np.array_equal(found >= np.float32(threshold), wanted)
        inside = np.pad(values >= np.float32(threshold), pixels, constant_values=True)
        left = np.ones(values.shape, bool)
        for row, column in zip(*np.nonzero(around), strict=True):
            left &= inside[row : row + 31, column : column + 47]
        shrunk = grown(values, -pixels)
        assert np.array_equal(shrunk >= np.float32(threshold), left)
    assert around[pixels].all(), "as far as was asked for"
    reach = np.hypot(*(np.array(np.nonzero(around)) - pixels))
    assert reach.max() <= pixels * 1.09 + 0.5, "and nowhere much further"


def test_a_radius_beyond_the_picture_fills_it() -> None:
    values = np.zeros((5, 9), np.float32)
    values[2, 3] = 1
    assert (grown(values, 256) == 1).all()
    assert (grown(values, -256) == 0).all()
    assert grown(values, 0) is values


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("grow", [-3, 0, 2])
def test_each_step_wins_over_those_before_it(invert: bool, grow: int) -> None:
    random = np.random.default_rng(4)
    values = random.random((31, 47), np.float32)
    painted = random.choice([NOTHING, ADDED, TAKEN], (31, 47)).astype(np.uint8)
    painted[:10] = NOTHING
    for threshold in (0.0, float(values[3, 3]), 0.5, 1.0):
        plain = (values >= np.float32(threshold)) != invert
        by_itself = Correction(invert=invert, grow=grow).mask(values, threshold)
        steps = grown(plain.astype(np.float32), grow) > 0.5
        assert np.array_equal(by_itself, steps)
        found = Correction(invert=invert, grow=grow, painted=painted).mask(values, threshold)
        assert np.array_equal(found, (steps | (painted == ADDED)) & (painted != TAKEN))
    assert values.min() >= 0, "the map itself is left alone"


def test_inverting_all_of_it_is_the_very_other_region() -> None:
    random = np.random.default_rng(5)
    values = random.random((20, 30), np.float32)
    painted = random.choice([NOTHING, ADDED, TAKEN], (20, 30), p=[0.8, 0.1, 0.1]).astype(np.uint8)
    other = np.array([NOTHING, TAKEN, ADDED], np.uint8)[painted]
    one = Correction(grow=2, painted=painted).mask(values, 0.9)
    assert np.array_equal(Correction(invert=True, grow=-2, painted=other).mask(values, 0.9), ~one)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("grow", [-3, 0, 2])
def test_what_is_clicked_grows_and_is_painted_over(invert: bool, grow: int) -> None:
    random = np.random.default_rng(6)
    values = random.random((31, 47), np.float32)
    clicked, painted = np.zeros((2, 31, 47), np.uint8)
    clicked[3:12, 5:20], clicked[15:28, 10:30] = ADDED, TAKEN
    painted[8:20, 12:24] = random.choice([NOTHING, ADDED, TAKEN], (12, 12))
    for threshold in (0.0, 0.5, 1.0):
        plain = (values >= np.float32(threshold)) != invert
        thing = (plain | (clicked == ADDED)) & (clicked != TAKEN)
        steps = grown(thing.astype(np.float32), grow) > 0.5
        correction = Correction(invert=invert, clicked=clicked, grow=grow, painted=painted)
        assert not correction.is_none
        found = correction.mask(values, threshold)
        assert np.array_equal(found, (steps | (painted == ADDED)) & (painted != TAKEN))
    assert not Correction(clicked=clicked).is_none


def test_a_correction_travels_with_an_edit() -> None:
    clicked, painted = np.random.default_rng(0).integers(0, 3, (2, 31, 47), np.uint8)
    correction = Correction(invert=True, clicked=clicked, grow=-7, painted=painted)
    request = EditRequest(image=IMAGE, instruction="make it red", correction=correction)
    sent = Submit(job=ID, request=request)
    read = codec.decode_client_message([bytes(one) for one in codec.encode(sent)])
    assert isinstance(read, Submit)
    assert isinstance(read.request, EditRequest)
    found = read.request.correction
    assert (found.invert, found.grow) == (True, -7)
    assert np.array_equal(found.painted, painted)
    assert np.array_equal(found.clicked, clicked)
    assert not found.is_none
    assert EditRequest(image=IMAGE, instruction="make it red").correction.is_none


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"grow": 257}, "256"),
        ({"grow": -257}, "-256"),
        ({"painted": np.zeros((31, 46), np.uint8)}, "painted is"),
        ({"painted": np.full((31, 47), 3, np.uint8)}, "painted must hold"),
        ({"clicked": np.zeros((30, 47), np.uint8)}, "clicked is"),
        ({"clicked": np.full((31, 47), 3, np.uint8)}, "clicked must hold"),
        ({"painted": np.zeros((31, 47), bool)}, "uint8"),
        ({"painted": np.zeros((31, 47, 1), np.uint8)}, "painted"),
        ({"painted": np.zeros((0, 0), np.uint8)}, "painted"),
    ],
)
def test_a_wrong_correction_is_refused_with_its_name(wrong: dict[str, Any], said: str) -> None:
    """As it comes from outside: structs that are made here do not check their numbers."""
    import msgspec

    fields = {"invert": False, "grow": 0, "painted": None} | wrong

    class Loose(msgspec.Struct, tag="edit_request"):
        image: NDArray[np.uint8]
        instruction: str
        correction: dict[str, Any]

    class Message(msgspec.Struct, tag="submit"):
        job: str
        request: Loose

    frames = codec.encode(Message(ID, Loose(IMAGE, "make it red", fields)))
    with pytest.raises(codec.BadMessage, match=said):
        codec.decode_client_message([bytes(one) for one in frames])
