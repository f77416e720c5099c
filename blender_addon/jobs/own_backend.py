"""The backend that this Blender starts, and the making of its environment. Main thread; returns at
once.
"""

import functools
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ..link import child_process
from ..link.child_process import Child
from ..link.worker_thread import LinkState
from ..protocol.connection import ALREADY_RUNS, default_connection_file
from ..protocol.folders import data_folder, program_note, typed_path
from . import hub_models, session
from .job import SessionError

NEEDED = (
    "It takes up to 3 GB on the disk, or up to 12 GB with an NVIDIA GPU, and a few minutes with a "
    "fast connection"
)
"""What the making takes; the installer's own limits are in installer/environments.py."""
NO_PROGRAM = (
    "To start a backend here, choose the program's folder, which holds install.py, in the "
    "preferences"
)

ENDED = {"server": "The backend has ended. {}", "installation": "The installation has ended. {}"}
KILLED = (
    "Something else did it (signal {}), perhaps because the memory was full: close other programs, "
    "and try again."
)
STAMP = re.compile(
    r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4} )?(worker: )?(\(\d+ s\) )?((warning|error): )?"
)
"""What a line of the log has before what it says."""
PERCENT = re.compile(r"\((\d{1,3})%\)")


class Stage(Enum):
    """How this Blender's own backend stands."""

    NO_PROGRAM = "no program"
    """Nobody knows where install.py lies."""
    NOT_INSTALLED = "not installed"
    """There is no environment yet, or its making was broken off."""
    OUTDATED = "outdated"
    """The environment was made for another version of the program."""
    INSTALLING = "installing"
    STARTING = "starting"
    """Its process runs, and there is no connection to it yet."""
    RUNNING = "running"
    """It has been connected to since it was started."""
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
    """The last line of what starts or is installed, without the time."""
    reached: bool = False
    """The server has been connected to."""

    @property
    def fraction(self) -> float | None:
        """How much of what is being downloaded is here, or None where that is not said."""
        found = PERCENT.search(self.said)
        return min(1.0, int(found[1]) / 100) if found else None


own = OwnBackend()


def log_file() -> Path:
    """The log of the server and of the installation."""
    return data_folder() / "backend.log"


def program_folder(chosen: str) -> Path | None:
    """The folder that holds install.py: the chosen one, or "" for where it was installed from."""
    if not chosen:
        try:
            chosen = program_note().read_text(encoding="utf-8").strip()
        except (OSError, ValueError):  # install.py has never run here, or not for this person
            return None
    folder = typed_path(chosen)
    try:
        return folder if (folder / "install.py").is_file() else None
    except (OSError, ValueError):  # where we may not look
        return None


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
        return Stage.RUNNING if own.reached else Stage.STARTING
    return Stage.NO_PROGRAM if program is None else _environment(program)


def _environment(program: Path) -> Stage:
    """How it stands with the environment, by what installer/environments.py has written of it."""
    try:
        text = (program / ".venv-backend" / "install_state.json").read_text(encoding="utf-8")
        state = json.loads(text)
        made_of = {
            name: sha256 for name, sha256 in state["files"].items() if name.startswith("backend/")
        }
        whole = state.get("complete") and _has_python(program)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Stage.NOT_INSTALLED  # not made, or half
    if not whole:
        return Stage.NOT_INSTALLED
    right = all(_sha256(program / name) == sha256 for name, sha256 in made_of.items())
    return Stage.STOPPED if right else Stage.OUTDATED


def _has_python(program: Path) -> bool:
    """Whether the environment's Python is there, and the one that it was made with, as where that
    was an older Blender's.
    """
    config = program / ".venv-backend" / "pyvenv.cfg"
    home = re.search(r"^home *= *(.+?)\s*$", config.read_text(encoding="utf-8"), re.MULTILINE)
    return home is not None and Path(home[1]).is_dir() and backend_python(program).is_file()


def _sha256(path: Path) -> str:
    """Of a file, as hex; "" of one that cannot be read."""
    try:
        return _sha256_at(path, path.stat().st_mtime_ns)
    except OSError:
        return ""


@functools.lru_cache(maxsize=16)
def _sha256_at(path: Path, changed: int) -> str:
    """Asked for at every redraw; the time of the last change tells whether it is another now."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_linked() -> bool:
    """Whether the connection, as far as there is one, is to the server that was started here."""
    link = session.state.link
    ours = link is not None and link.connection_file == default_connection_file()
    return own.server is not None and ours


def start_server(program: Path, model: str, online: bool) -> None:
    """Start the server, and connect to it once it is there.

    Args:
        program: the folder that holds install.py.
        model: as the server's `--model`.
        online: whether it may download a model: what Blender lets add-ons do.

    Raises:
        SessionError: it cannot be started, or runs already.
    """
    if own.server is not None:
        raise SessionError("The backend runs already.")
    hub_id = hub_models.hub_id(model)
    if hub_id == model and not online and not hub_models.is_here(hub_id):
        raise SessionError(
            f"The model {model} is not on this machine, and Blender's online access is off: switch "
            'on "Allow Online Access" in Preferences > System, or choose another model.'
        )
    command: list[str | Path] = [
        backend_python(program),
        "-m",
        "backend.server",
        "--stop-with-input",
    ]
    environ = {} if online else {"HF_HUB_OFFLINE": "1"}
    own.server = _start([*command, "--model", model], program, environ)
    own.trouble, own.reached = "", False
    session.connect(default_connection_file())


def install(program: Path) -> None:
    """Make the backend's environment, in a process of its own.

    Raises:
        SessionError: it cannot be started, or runs already.
    """
    if own.installation is not None:
        raise SessionError("The backend is being installed already.")
    script = program / "install.py"
    own.installation = _start([sys.executable, script, "backend", "--stop-with-input"], program)
    own.trouble = ""


def _start(
    command: Sequence[str | Path], program: Path, environ: Mapping[str, str] | None = None
) -> Child:
    session.state.changed = True
    try:
        return child_process.start(command, program, log_file(), environ)
    except OSError as error:
        what = error.filename or command[0]
        raise SessionError(f"It cannot be started ({what}: {error.strerror}).") from error


def stop() -> None:
    """Stop what this Blender has started; it ends within seconds. An installation goes on from
    there when it is started again.
    """
    if own.server is not None:
        own.server.stop()
        if is_linked():
            session.disconnect()
    if own.installation is not None:
        own.installation.kill()
    session.state.changed = True


def look() -> None:
    """See how the processes are; Blender's timer calls this."""
    if is_linked() and not own.reached and session.state.status.state is LinkState.CONNECTED:
        own.reached = session.state.changed = True
    for what, child in (("server", own.server), ("installation", own.installation)):
        if child is None:
            continue
        said = STAMP.sub("", child.last_line())
        if said != own.said:
            own.said = said
            session.state.changed = True
        if child.exit_code is not None:
            _ended(what, child)


def _ended(what: str, child: Child) -> None:
    """Say why, where it should not have; a link to another server that is there already stays."""
    session.state.changed = True
    linked, own.said = what == "server" and is_linked(), ""
    own.reached = own.reached and what != "server"
    setattr(own, what, None)
    another = what == "server" and child.exit_code == ALREADY_RUNS
    if child.stopping or child.exit_code == 0 or another:
        return
    own.trouble = ENDED[what].format(_why(child))
    if linked:
        session.disconnect()


def _why(child: Child) -> str:
    """In words, why a program has ended that was not stopped."""
    code, line = child.exit_code, child.last_line()
    for prefix in ("error: ", "install.py: "):
        if line.startswith(prefix):
            return line.removeprefix(prefix)
    if code is not None and code < 0:
        return KILLED.format(-code)
    said = f"It said last: {STAMP.sub('', line)}" if line else "It said nothing."
    return f"Its exit code is {code}. {said}"
