"""Settings: what is known of each, what is refused of them, and that they are written once."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol import settings
from protocol.known_settings import Setting, all_settings, wrong_settings
from protocol.settings import (
    INSTRUCT_PIX2PIX,
    EditSettings,
    GuidanceSettings,
    MapSettings,
    taken,
)

ROOT = Path(__file__).parents[2]
KINDS = [
    kind
    for kind in vars(settings).values()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind)
]
KNOWN = [(kind, one) for kind in KINDS for one in all_settings(kind)]


@pytest.mark.parametrize(
    ("kind", "one"), KNOWN, ids=[f"{kind.__name__} {one.name}" for kind, one in KNOWN]
)
def test_a_setting_explains_itself_and_its_default_is_in_its_range(
    kind: type, one: Setting
) -> None:
    assert one.title
    assert len(one.description) > 15
    assert not one.description.endswith("."), "Blender adds the full stop itself"
    assert one.wrong(one.default) is None
    assert getattr(kind(), one.name) == one.default
    if one.kind in (bool, str):
        assert set(one.extra["words"]) == set(one.choices or one.extra["words"])
    if one.optional:
        assert one.wrong(None) is None
        assert one.extra["none"]


@pytest.mark.parametrize(
    ("kind", "one"), KNOWN, ids=[f"{kind.__name__} {one.name}" for kind, one in KNOWN]
)
def test_what_a_message_refuses_is_refused_everywhere(kind: type, one: Setting) -> None:
    """The wire's own check and ours have the same range, at both of its ends and beyond."""
    values: list[Any] = []
    if one.kind in (int, float):
        step = 1 if one.kind is int else 1e-6
        values = [end + one.kind(way * step) for end in (one.least, one.most) for way in (-1, 0, 1)]
    elif one.kind is tuple:
        values = [(0,) * int(count) for count in (one.least - 1, one.least, one.most, one.most + 1)]
        values += [(0, end) for end in (-1, 2**63 - 1)]
    elif one.kind is str:
        values = [*one.choices, "another"]
    for value in values:
        if one.kind is int and value >= 2**63:
            continue  # no message can hold it
        try:
            msgspec.convert({one.name: value}, kind)
            sent = True
        except msgspec.ValidationError:
            sent = False
        assert (wrong_settings(kind(**{one.name: value})) is None) == sent, value


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"steps": 0}, "The steps must be 1 or more, not 0."),
        ({"steps": 1001}, "The steps must be 1 to 1000, not 1001."),
        ({"strength": 0.0}, "The strength must be above 0 and at most 1, not 0.0."),
        ({"text_guidance": math.nan}, "The text guidance must be 0 to 100, not nan."),
        ({"image_guidance": math.inf}, "The image guidance must be 0 to 100, not inf."),
        ({"seed": -1}, "The seed must be 0 or more, not -1."),
        ({"seed": 1.0}, "The seed must be a whole number, not 1.0."),
        ({"steps": None}, "The steps must be a whole number, not None."),
        ({"strength": "1"}, "The strength must be a number, not 1."),
    ],
)
def test_a_value_out_of_range_is_told_in_one_sentence(wrong: dict[str, Any], sentence: str) -> None:
    assert wrong_settings(EditSettings(**wrong)) == sentence


def test_counts_and_choices_are_told_too() -> None:
    assert wrong_settings(MapSettings()) is None
    none = MapSettings(relevance_seeds=())
    assert wrong_settings(none) == "The relevance seeds must be 1 or more, not 0."
    negative = MapSettings(relevance_seeds=(0, -1))
    assert wrong_settings(negative) == "Each of the relevance seeds must be 0 or more, not -1."
    huge = MapSettings(relevance_seeds=(2**64,))
    assert "Each of the relevance seeds must be 0 to 9223372036854775807" in wrong_settings(huge)
    other = MapSettings(normalisation="other")  # type: ignore[arg-type]
    assert wrong_settings(other) == "The normalisation must be paper or full, not other."


def test_guidance_is_the_models_own_where_none_is_asked_for() -> None:
    asked = EditSettings(text_guidance=0.0, steps=7)
    resolved = asked.resolved(INSTRUCT_PIX2PIX)
    assert resolved == EditSettings(text_guidance=0.0, image_guidance=1.5, steps=7)
    assert resolved.numbers == (0.0, 1.5)
    assert taken(GuidanceSettings, asked) == asked.guidance == GuidanceSettings(text_guidance=0.0)


def test_settings_are_written_once() -> None:
    """They were copied by hand through the wire, the functions, the command line and the panel."""
    tops = ("backend", "blender_addon", "protocol", "installer", "install.py", "examples")
    files = [path for top in tops for path in [ROOT / top, *(ROOT / top).rglob("*.py")]]
    naming = [
        path.relative_to(ROOT).as_posix()
        for path in files
        if path.is_file() and "text_guidance" in path.read_text("utf-8")
    ]
    assert "protocol/settings.py" in naming
    assert len(naming) <= 8, naming
