"""report.json, which every command that makes something writes beside it, and the same as a page,
report.html.
"""

import importlib.metadata
import itertools
import platform
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend import __version__
from backend.output.page import page, pictures_since
from protocol import files

PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "nerfstudio",
    "pycolmap",
    "numpy",
    "pyzmq",
    "msgspec",
)


@dataclass
class Report:
    """What was done, with what and how long it took.

    Attributes:
        command: the command line, as typed.
        settings: every setting and seed of the run.
        notes: what a person should read, the most important first.
        figures: what was measured, by name.
        seconds: wall-clock seconds by stage, in order.
        began: seconds since 1970.
    """

    command: list[str]
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.time)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a stage's seconds."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 3)

    def write(self, folder: Path) -> Path:
        """Write folder/report.json, replacing an older one in one step, and folder/report.html with
        the pictures that were written into the folder since the report began. Returns the first.

        Raises:
            OSError: the folder cannot be made or written.
        """
        files.make_folder(folder)
        content = {
            "command": self.command,
            "versions": versions(),
            "machine": machine(),
            "settings": self.settings,
            "notes": self.notes,
            "figures": self.figures,
            "seconds": self.seconds,
            "peak_memory_mib": peak_memory_mib(),
        }
        # a file system may keep whole seconds
        pictures = pictures_since(folder, int(self.began))
        # names of files that are not UTF-8 have halves of pairs in them, as in report.json
        text = page(title_of(self.command), content, pictures)
        files.write_bytes(folder / "report.html", text.encode("utf-8", "backslashreplace"))
        return files.write_json(folder / "report.json", content)


def title_of(command: Sequence[str]) -> str:
    """What a command line does, such as "evaluate images"."""
    words = command[command.index("backend") + 1 if "backend" in command else 1 :]
    named = list(itertools.takewhile(lambda word: re.fullmatch("[a-z]+(-[a-z]+)*", word), words))
    return " ".join(named[:2]) or "Report"


def print_notes(notes: Sequence[str]) -> None:
    """Prints notes before all other results; one that begins with "Unchanged" as it is."""
    for note in notes:
        print(note if note.startswith("Unchanged") else f"note: {note}")


def versions() -> dict[str, str]:
    """Versions of this program, Python and the packages that decide about results."""
    found = {"watch-your-steps": __version__, "python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"  # what was run did without it


def machine() -> dict[str, Any]:
    """What figures depend on: system, processor, cores, GPU."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_memory_mib() -> dict[str, float]:
    """Highest memory of this process so far, in MiB: resident, and on the GPU where there is one.

    Resident memory is left out on Windows, where the standard library cannot tell it.
    """
    import torch

    peak = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        peak["resident"] = round(used / 2**20, 1)
    if torch.cuda.is_available():
        peak["gpu"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return peak
