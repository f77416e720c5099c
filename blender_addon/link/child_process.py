"""A program that this one starts and ends, and the log that it writes. No bpy; nothing waits."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAST_BYTES = 4096
"""Of the log, in which its last lines are looked for."""
LONGEST_LOG = 4_000_000
"""Bytes; a longer log begins anew."""
PATIENCE_SECONDS = 15.0
"""That a program gets to end by itself."""

NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)
"""On Windows, where a console program would open one."""


@dataclass
class Child:
    """A running program, or one that has ended.

    Its standard input is a pipe from this process, which the system closes however this process
    ends: a program that ends with its input never outlives it.
    """

    process: subprocess.Popen[bytes]
    log: Path
    begins: int
    """Where in the log its own lines begin, in bytes."""
    stopping: bool = False

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def last_line(self) -> str:
        """The last line that it has logged, "" before the first. What a progress bar has written
        over counts as older lines.
        """
        lines = last_lines(self.log, self.begins)
        return lines[-1].strip() if lines else ""

    def stop(self) -> None:
        """Have it end by closing its input, and make it end where it does not; returns at once."""
        if self.stopping or self.exit_code is not None:
            return
        self.stopping = True
        if self.process.stdin is not None:
            self.process.stdin.close()
        threading.Thread(target=self._end, name="Watch Your Steps: stop", daemon=True).start()

    def kill(self) -> None:
        """End it and all that it has started, whatever they do; returns at once."""
        self.stopping = True
        if self.exit_code is not None:
            return
        if sys.platform == "win32":
            subprocess.Popen(
                ["taskkill", "/F", "/T", "/PID", str(self.process.pid)],
                creationflags=NO_WINDOW,
            )
        else:
            os.killpg(self.process.pid, signal.SIGKILL)

    def _end(self) -> None:
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


def last_lines(log: Path, begins: int = 0) -> list[str]:
    """The last lines of a log that are not empty, of what lies behind so many bytes of it."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(begins, end - LAST_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:  # somebody has deleted it
        return []
    return [line for line in text.replace("\r", "\n").split("\n") if line.strip()]


def start(
    command: Sequence[str | Path], folder: Path, log: Path, more: Mapping[str, str] | None = None
) -> Child:
    """Start a program.

    Args:
        command: its path and arguments.
        folder: that it runs in.
        log: its output and errors are added to this file.
        more: variables of its environment beside this one's.

    Raises:
        OSError: it cannot be started, or the log cannot be written.
    """
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    anew = log.exists() and log.stat().st_size > LONGEST_LOG
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH")}
    environ |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **(more or {})}
    with log.open("wb" if anew else "ab") as output:
        begins = output.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            creationflags=NO_WINDOW,
            start_new_session=sys.platform != "win32",  # a group of its own, to end all of it
        )
    return Child(process, log, begins)
