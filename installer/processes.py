"""Child processes: pip behind a status line, its failures in words, and commands that write to the
screen.
"""

from __future__ import annotations

import errno
import os
import platform
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
PIP_LOG = CACHE / "pip.log"
FETCHING = r"\s*(?:Downloading|Using cached) (\S+)(?<!\.metadata) (\(.*?\))"
"""What pip says of a file that it gets, other than one about a package."""
MULTIPLES = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}

NETWORK_SIGNS = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|NameResolution|ProxyError|SSLError"
    r"|ConnectionError|ConnectionReset|ConnectionRefused|Network is unreachable"
    r"|name resolution|Name or service not known"
)
COMPILER_SIGNS = re.compile(
    r"command '?\S*(gcc|cc|clang|g\+\+|cl\.exe)'? failed|Microsoft Visual C\+\+"
)


class InstallError(Exception):
    """What is missing, in one sentence that says what to do."""


def child_environ(extra: Mapping[str, str | Path] | None = None) -> dict[str, str]:
    """This process's variables plus `extra`, less those that lead another Python astray."""
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH")}
    environ |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}
    return environ | {key: str(value) for key, value in (extra or {}).items()}


def run(
    command: Sequence[str | Path],
    cwd: Path = ROOT,
    environ: Mapping[str, str | Path] | None = None,
    output: Path | None = None,
) -> int:
    """Runs a command that writes to the screen itself, or where `output` is given to that file.
    Returns its exit code.

    At Ctrl-C the terminal interrupts the child too: it gets the time to tidy up.
    """
    with (
        nullcontext() if output is None else output.open("wb") as file,
        subprocess.Popen(
            [str(c) for c in command],
            cwd=cwd,
            env=child_environ(environ),
            stdout=file,
            stderr=None if file is None else subprocess.STDOUT,
        ) as child,
    ):
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.wait()
            raise


def capture(command: Sequence[str | Path], cwd: Path = ROOT) -> tuple[int, str]:
    """Runs a command in silence. Returns its exit code and all that it printed."""
    done = subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env=child_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.returncode, done.stdout


def stop_with_input() -> None:
    """Has this process and all of its group end once the standard input does, as it does with the
    program that started it, however that ends.
    """

    def wait() -> None:
        while os.read(0, 1024):
            pass
        if sys.platform == "win32":
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(os.getpid())], check=False)
        else:
            os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def in_words(error: OSError) -> str:
    """What stopped the work, and where there is something to do about it, what."""
    if error.errno == errno.ENOSPC:
        return f"The disk is full: free some space where {ROOT} lies, and run this again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{error.filename or ROOT} cannot be written: move the program's folder to a place of"
            " your own, and run this again from there."
        )
    return str(error)


@dataclass(frozen=True)
class Download:
    """A file that pip fetches: its name, and its size in bytes."""

    name: str
    size: float

    @classmethod
    def of(cls, line: str) -> Download | None:
        """What a line of pip's is about, or None."""
        match = re.match(r"\s*Downloading (\S+) \(([\d.]+) (bytes|kB|MB|GB)\)", line)
        if match is None:
            return None
        return cls(unquote(match[1].rpartition("/")[2]), float(match[2]) * MULTIPLES[match[3]])

    def percent(self, scratch: Path) -> int | None:
        """How much of it is here, below pip's folder for temporary files; None where that is not
        known, as once it has been moved on.
        """
        for folder in scratch.iterdir() if scratch.is_dir() else ():
            try:
                here = (folder / self.name).stat().st_size
            except OSError:
                continue
            return min(100, int(100 * here / self.size)) if self.size else None
        return None


class StatusLine:
    """A line that is overwritten; without a terminal, a new line every ten seconds at most, or
    every two where there is something new to say.
    """

    def __init__(self) -> None:
        self.start = self.last = time.monotonic()
        self.shown = ""
        self.terminal = sys.stdout.isatty()

    def show(self, text: str) -> None:
        """Shows `text` and the seconds since the start."""
        now = time.monotonic()
        line = f"  ({now - self.start:.0f} s) {text}"[:99]
        if self.terminal:
            print("\r" + line.ljust(99), end="", flush=True)
        elif now - self.last >= (2 if text != self.shown else 10):
            self.last, self.shown = now, text
            print(line, flush=True)

    def clear(self) -> None:
        """Empties the line for whatever is printed next."""
        if self.terminal:
            print("\r" + " " * 99 + "\r", end="", flush=True)


def lines_or_pauses(child: subprocess.Popen[str]) -> Iterator[str | None]:
    """Yields the child's lines as they come, and None for every second without one."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def run_pip(python: Path, arguments: Sequence[str | Path], packages: int = 0) -> None:
    """Runs an environment's pip, with the user's own pip configuration, behind a status line.

    `packages` is the number of packages expected, for the status line only. All that pip says goes
    to PIP_LOG. Raises InstallError, in words, where pip fails.
    """
    CACHE.mkdir(exist_ok=True)
    command = [str(a) for a in (python, "-m", "pip", *arguments, "--no-input")]
    status, output, seen, doing = StatusLine(), "", 0, "asking the package index"
    fetched, download = 0, None
    scratch, environ = CACHE / "pip", {}
    if arguments[0] == "install":
        # What pip has in hand lies next to the environments, as the system's place for temporary
        # files may have no room for torch. Installs are never two at a time, other than downloads.
        shutil.rmtree(scratch, ignore_errors=True)  # of one that was killed
        scratch.mkdir(exist_ok=True)
        environ = dict.fromkeys(("TMPDIR", "TMP", "TEMP"), scratch)
    with (
        PIP_LOG.open("a", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=child_environ(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as child,
    ):
        log.write(f"\n$ {' '.join(command)}\n")
        for line in lines_or_pauses(child):
            if line is not None:
                log.write(line)
                output += line
                download = Download.of(line)
                if line.startswith(("Collecting ", "Processing ")):
                    seen += 1
                    name = re.split("[-=]", Path(line.split()[1]).name)[0]
                    doing = f"{seen}/{max(packages, seen)} {name}"
                elif match := re.match(FETCHING, line):
                    fetched += 1
                    name = match[1].rpartition("/")[2].partition("-")[0]
                    doing = f"{fetched}/{max(packages, seen, fetched)} {name} {match[2]}"
                elif line.startswith("Installing collected packages"):
                    doing = "unpacking and compiling " + line.split(": ")[1].strip()
            percent = download.percent(scratch) if download else None
            status.show(doing if percent is None else f"{doing} ({percent}%)")
    status.clear()
    if environ:
        shutil.rmtree(scratch, ignore_errors=True)
    if child.returncode != 0:
        raise InstallError(explain_failure(output))


def explain_failure(output: str) -> str:
    """Says in one sentence what, by its output, made pip fail."""
    if re.search(r"No space left on device|Errno 28|not enough space", output):
        return (
            f"The disk is full: free some space where {ROOT} and the temporary files lie, and"
            " run this again."
        )
    if "DO NOT MATCH THE HASHES" in output:
        return (
            "A downloaded file is not the pinned one (its hash differs): run this again, or"
            " check your mirror."
        )
    if NETWORK_SIGNS.search(output):
        return (
            "The package index cannot be reached: check the network, or pip's proxy and index"
            " settings."
        )
    if COMPILER_SIGNS.search(output):
        return (
            "A package must be compiled and no C compiler works: install one (Debian:"
            " build-essential)."
        )
    if missing := re.search(r"No matching distribution found for (\S+)", output):
        machine = f"{platform.system()} {platform.machine()}"
        return (
            f"The package index has no {missing[1]} for this Python on {machine}: {PIP_LOG} says"
            " more."
        )
    errors = re.findall(r"^ERROR: (.+)", output, re.MULTILINE)
    return (
        f"pip failed ({errors[-1] if errors else 'it gave no reason'}): {PIP_LOG} has all of its"
        " output."
    )
