"""The backend that this Blender starts, and the making of its environment. Main thread; returns at
once.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ..link import child_process
from ..link.child_process import Child
from ..link.worker_thread import LinkState
from ..protocol.connection import default_connection_file
from ..protocol.folders import data_folder, program_note
from . import session
from .job import SessionError

NEEDED = (
    "It takes up to 3 GB on the disk, or up to 12 GB with an NVIDIA GPU, and a few minutes with a "
    "fast connection"
)
"""What the making takes; the installer's own limits are in installer/environments.py."""
NO_PROGRAM = (
    "The backend's program is not found: choose the folder that holds install.py in the add-on's "
    "preferences"
)

ENDED = {"server": "The backend has ended. {}", "installation": "The installation has ended. {}"}


class Stage(Enum):
    """How this Blender's own backend stands."""

    NO_PROGRAM = "no program"
    """Nobody knows where install.py lies."""
    NOT_INSTALLED = "not installed"
    """There is no environment yet."""
    INSTALLING = "installing"
    STARTING = "starting"
    """Its process runs, and there is no connection to it yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    """It can be started."""


@dataclass
class OwnBackend:
    """What this Blender has started, at most one of each."""

    server: Child | None = None
    installation: Child | None = None
    trouble: str = ""
    """Why the last one has ended, where it should not have; a sentence."""
    said: str = ""
    """The last line of what starts or is installed."""


own = OwnBackend()


def log_file() -> Path:
    """The log of the server and of the installation."""
    return data_folder() / "backend.log"


def program_folder(chosen: str) -> Path | None:
    """The folder that holds install.py: the chosen one, or "" for where it was installed from."""
    if not chosen:
        try:
            chosen = program_note().read_text(encoding="utf-8").strip()
        except OSError:  # install.py has never run here, or not for this person
            return None
    folder = Path(chosen).expanduser()
    return folder if (folder / "install.py").is_file() else None


def backend_python(program: Path) -> Path:
    """The interpreter of the backend's environment, whether it is there or not."""
    inside = Path("Scripts", "python.exe") if os.name == "nt" else Path("bin", "python")
    return program / ".venv-backend" / inside


def stage(program: Path | None) -> Stage:
    """How it stands with the program in that folder."""
    if own.installation is not None:
        return Stage.INSTALLING
    if own.server is not None:
        if own.server.stopping:
            return Stage.STOPPING
        connected = session.state.status.state is LinkState.CONNECTED
        return Stage.RUNNING if connected else Stage.STARTING
    if program is None:
        return Stage.NO_PROGRAM
    made = program / ".venv-backend" / "install_state.json"  # written when all is installed
    return Stage.STOPPED if made.is_file() else Stage.NOT_INSTALLED


def start_server(program: Path, model: str, extra: Sequence[str] = ()) -> None:
    """Start the server, and connect to it once it is there.

    Raises:
        SessionError: it cannot be started, or runs already.
    """
    if own.server is not None:
        raise SessionError("The backend runs already.")
    command: list[str | Path] = [
        backend_python(program),
        "-m",
        "backend.server",
        "--stop-with-input",
    ]
    own.server = _start([*command, "--model", model, *extra], program)
    own.trouble = ""
    session.connect(default_connection_file())


def install(program: Path) -> None:
    """Make the backend's environment, in a process of its own.

    Raises:
        SessionError: it cannot be started, or runs already.
    """
    if own.installation is not None:
        raise SessionError("The backend is being installed already.")
    own.installation = _start([sys.executable, program / "install.py", "backend"], program)
    own.trouble = ""


def _start(command: Sequence[str | Path], program: Path) -> Child:
    session.state.changed = True
    try:
        return child_process.start(command, program, log_file())
    except OSError as error:
        raise SessionError(f"{command[0]} cannot be started: {error.strerror}.") from error


def stop() -> None:
    """Stop what this Blender has started; it ends within seconds. An installation goes on from
    there when it is started again.
    """
    if own.server is not None:
        own.server.stop()
        session.disconnect()
    if own.installation is not None:
        own.installation.kill()
    session.state.changed = True


def look() -> None:
    """See how the processes are; Blender's timer calls this."""
    for what, child in (("server", own.server), ("installation", own.installation)):
        if child is None:
            continue
        line = child.last_line()
        if line != own.said:
            own.said = line
            session.state.changed = True
        if child.exit_code is not None:
            setattr(own, what, None)
            _ended(what, child, line)


def _ended(what: str, child: Child, line: str) -> None:
    session.state.changed = True
    own.said = ""
    if child.exit_code == 0 or child.stopping:
        return
    why = line.removeprefix("error: ").removeprefix("install.py: ")
    why = why or f"Its exit code is {child.exit_code}, and it has said nothing."
    own.trouble = ENDED[what].format(why)
    if session.state.status.state is not LinkState.CONNECTED:
        session.disconnect()
