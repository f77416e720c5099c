"""The built extension in this process and the real server beside it, as scripts drive them.

Importing this imports no bpy: BLENDER_USER_RESOURCES is to be set before that.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
MODULE = "bl_ext.user_default.watch_your_steps"
START_SECONDS, MODEL_SECONDS, JOB_SECONDS = 60, 300, 1800


class DemoError(RuntimeError):
    """The script cannot go on; the text says why."""


def send_blenders_words_to(log: Path) -> None:
    """Blender writes hundreds of lines a render to the process's standard output: keep them in a
    file, and let only what this script prints through.
    """
    own = os.dup(1)
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
    sys.stdout = os.fdopen(own, "w", encoding="utf-8", errors="replace")


def install(zip_file: Path) -> None:
    """Install the built extension and enable it.

    Raises:
        DemoError: Blender does not take it.
    """
    import bpy

    bpy.ops.extensions.package_install_files(
        filepath=str(zip_file.resolve()),
        repo="user_default",
        enable_on_install=True,
        overwrite=True,
    )
    if MODULE not in bpy.context.preferences.addons:
        raise DemoError(f"Blender does not accept {zip_file}: see blender.log.")


@contextlib.contextmanager
def server(backend_python: Path, model: str, connection_file: Path, log: Path) -> Iterator[None]:
    """The real server as a process, until the block ends; a SIGTERM ends the block, too.

    Raises:
        DemoError: it does not start.
    """
    command = [str(backend_python.absolute()), "-m", "backend.server"]
    command += ["--model", model, "--connection-file", str(connection_file)]
    command += ["--data-root", str(connection_file.parent / "data")]
    command += ["--stop-with-input"]  # the pipe is closed also when this script is killed
    signal.signal(signal.SIGTERM, _leave)
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not connection_file.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise DemoError(f"The server does not start; see {log}.")
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _leave(number: int, frame: FrameType | None) -> None:
    """Leave in order, so that what was made for the time of the script goes with it."""
    sys.exit(128 + number)


def connect(connection_file: Path) -> Any:
    """Connect the add-on; what the server said in welcome, with its model ready."""
    import bpy

    session = import_module(f"{MODULE}.jobs.session")
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.connection_file = str(connection_file)
    bpy.ops.watch_your_steps.connect()
    session.wait_for_connection(timeout=MODEL_SECONDS)
    return session.state.status.welcome


def wait(scene: Any, show: bool = True) -> None:
    """Drain the add-on's queue until the scene's job has ended, showing its progress where asked.

    Raises:
        DemoError: it did not end well.
    """
    session = import_module(f"{MODULE}.jobs.session")
    shown = -1

    def ended() -> bool:
        nonlocal shown
        job = session.job_of(scene)
        if show and job is not None and int(job.fraction * 10) > shown:
            shown = int(job.fraction * 10)
            print(f"  {job.fraction:4.0%}  {job.stage}", flush=True)
        return job is None

    session.wait(ended, timeout=JOB_SECONDS)
    words = session.message_of(scene)
    if "failed" in words or "cancelled" in words:
        raise DemoError(words)
