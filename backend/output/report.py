"""report.json, which every command that makes something writes beside it."""

import importlib.metadata
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend import __version__
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
    """

    command: list[str]
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

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
        """Write folder/report.json, replacing an older one in one step.

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
        return files.write_json(folder / "report.json", content)


def print_notes(notes: Sequence[str]) -> None:
    """Prints notes before all other results; one that begins with "Unchanged" as it is."""
    for note in notes:
        print(note if note.startswith("Unchanged") else f"note: {note}")


def versions() -> dict[str, str]:
    """Versions of this program, Python and the packages that decide about results."""
    found = {"watch-your-steps": __version__, "python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


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
