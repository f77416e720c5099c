"""What a command shows while it runs: a bar in a terminal, plain lines elsewhere."""

import contextlib
import logging
import os
import re
import sys
from pathlib import Path

import pytest

from backend.output import progress
from backend.output.progress import show_log, shown_progress


def test_a_pipe_gets_a_line_for_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress() as show:
        for step in range(41):
            show(f"step {step} [of 40]", step / 40)
        show("and on", 1.0)
    out, err = capsys.readouterr()
    assert out == ""
    tenths = [f"{share:4.0%}  step {round(share * 40)} [of 40]" for share in (0, 0.1, 0.2)]
    assert err.splitlines()[:3] == tenths
    assert err.splitlines()[-1] == "100%  step 40 [of 40]"
    assert len(err.splitlines()) == 11


def test_a_pipe_gets_lines_between_where_a_tenth_takes_minutes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with shown_progress() as show:
        for minute in range(8):
            show(f"minute {minute}", minute / 80)
            now += 60
    lines = capsys.readouterr()[1].splitlines()
    assert [line.split()[-1] for line in lines] == ["0", "2", "4", "6"]


class Terminal:
    """The standard error as a terminal, whose text can be read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pty = pytest.importorskip("pty")
        self._ours, theirs = pty.openpty()
        self._theirs = os.fdopen(theirs, "w", encoding="utf-8")
        monkeypatch.setattr(sys, "stderr", self._theirs)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "100")
        for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)

    def text(self) -> str:
        self._theirs.flush()
        os.set_blocking(self._ours, False)
        parts = []
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._ours, 4096):
                parts.append(part)
        return b"".join(parts).decode()


def test_a_terminal_gets_a_bar_and_its_cursor_back(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    with shown_progress() as show:
        show("Reading [/b] a.png", 0.0)
        show("Reading b.png", 0.5)
        print("told in between", file=sys.stderr)
        show("Read", 1.0)
    shown = terminal.text()
    assert "Reading [/b] a.png" in shown  # not taken for markup
    assert "100%" in shown.split("\n")[-2]
    assert "\ntold in between\r\n" in shown or "\x1b[2Ktold in between\r\n" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_log_lines_stand_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    show_log()
    with shown_progress() as show:
        show("Training", 0.5)
        logging.getLogger("backend").warning("told in between")
        show("Trained", 1.0)
    shown = terminal.text()
    assert "\x1b[2Ktold in between\r\n" in shown


@pytest.mark.parametrize("columns", [100, 60, 30])
def test_long_words_are_cut_and_leave_the_bar_its_room(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    terminal = Terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(columns))
    with shown_progress() as show:
        show("Reading " + 30 * "a long name ", 0.5)
        show("Read " + 30 * "a long name ", 1.0)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.text()).replace("\r", "\n").split("\n")
    drawn = [line for line in lines if line]
    assert {line[:4] for line in drawn} <= {"  0%", " 50%", "100%"}
    for line in drawn:
        assert "Rea" in line or columns == 30
        assert len(line) <= columns
        assert ":" in line  # of the time


def test_an_error_ends_the_bar_before_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    with contextlib.suppress(KeyboardInterrupt), shown_progress() as show:
        show("Training", 0.25)
        raise KeyboardInterrupt
    print("paused", file=sys.stderr)
    shown = terminal.text()
    assert "25%" in shown
    assert shown.rstrip().endswith("paused")
    assert "\x1b[1A\x1b[2K" in shown[shown.rindex("Training") :]  # the line is taken back
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_results_stay_on_the_standard_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    terminal = Terminal(monkeypatch)
    with (tmp_path / "out.txt").open("w+", encoding="utf-8") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with shown_progress() as show:
            show("Training", 0.25)
            print("wrote a file")
        out.seek(0)
        assert out.read() == "wrote a file\n"
    assert "wrote a file" not in terminal.text()


def test_a_terminal_that_cannot_redraw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    with shown_progress() as show:
        show("Training", 0.25)
    assert terminal.text() == " 25%  Training\r\n"
