"""The lines of the server's log, whatever others have put into them."""

import io
import logging
import re

import pytest

from backend.logs import LONGEST, TRACEBACK_LINES, Lines

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4} "


@pytest.fixture
def log():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines("worker"))
    logger = logging.getLogger("tests.logs")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    "name",
    [
        "two\nlines",
        "\r2026-01-01 00:00:00+0000 ready: model x",
        "\x1b[2J\x1b]0;title\x07",
        "\u2028\u2029\x85\x0b\x0c",
        "\x00\x08\x7f\x9b31m",
        "\u202eright to left",
        "half a pair \ud800",
        "x" * 100_000,
        "\x1b" * 100_000,
    ],
    ids=range(9),
)
def test_names_from_outside_stay_on_one_line_that_steers_no_terminal(log, name):
    logger, stream = log
    logger.info("%s connected", name)
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert len(line) <= LONGEST + 60
    assert re.match(f"{STAMP}worker: ", line)
    line.encode()


def test_every_line_has_its_time_and_grave_ones_say_so(log):
    logger, stream = log
    logger.info("ready: model %s", "demo")
    logger.warning("refused")
    logger.error("lost")
    lines = stream.getvalue().splitlines()
    assert [re.sub(f"^{STAMP}", "", line) for line in lines] == [
        "worker: ready: model demo",
        "worker: warning: refused",
        "worker: error: lost",
    ]


def test_tracebacks_follow_indented_cut_and_escaped(log):
    logger, stream = log

    def deep(depth):
        if depth:
            deep(depth - 1)
        raise ValueError("bad\n2026-01-01 00:00:00+0000 forged\x1b[31m" + "y" * 50_000)

    try:
        deep(3)
    except ValueError:
        logger.exception("job %s failed", "a\nb")
    first, *rest = stream.getvalue().splitlines()
    assert re.fullmatch(f"{STAMP}worker: error: job a b failed", first)
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
    assert len(rest) <= TRACEBACK_LINES + 1
    assert max(map(len, rest)) <= LONGEST + 20
    assert "    Traceback (most recent call last):" in rest
    assert any("raise ValueError" in line for line in rest)
    assert any("forged\\x1b[31m" in line for line in rest)
