"""Options that several commands have, and how single ones are shown."""

import abc
import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
from tyro.conf import Positional, arg

from backend.captures.conventions.axes import AXES, Axes
from backend.captures.files import folder_of
from backend.command_line import otherwise
from backend.counts import check_options
from backend.errors import BadInput, words_of
from backend.output.progress import OnProgress, show_log, shown_progress
from backend.output.report import Report
from backend.work_lock import InUse, alone_in

if TYPE_CHECKING:
    from backend.scenes.scene import Scene

Out = Annotated[Path, arg(metavar="DIR")]


AxesOption = Annotated[
    Axes | None,
    arg(
        help=f"the convention of the poses in transforms.json: {', '.join(AXES)}",
        help_behavior_hint="(default: what the scene was trained with, else opengl)",
        metavar="AXES",
    ),
]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model, and where it runs."""

    model: str = "auto"
    """hub id, folder, demo or auto"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps"""
    dtype: str = "auto"
    """auto, float32, float16, bfloat16"""
    compile: bool = False
    """compile its network, which takes minutes at first"""


@dataclass(frozen=True, kw_only=True)
class SceneOptions:
    """Which scene, and how it is read."""

    folder: Positional[Path]
    """the capture"""
    downscale: Annotated[float | None, otherwise("as it was trained with, else 1", "N")] = None
    """read images so many times smaller"""
    work: Annotated[Path | None, otherwise("FOLDER/.wys", "DIR")] = None
    """the scene's work folder"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1"""
    axes: AxesOption = None

    def work_folders(self) -> Sequence[Path]:
        """The work folder, in which no other command may work at the same time."""
        return work_of(self.folder, self.work)

    def open_scene(self) -> "Scene":
        """The scene.

        Raises:
            CaptureError: the capture cannot be used.
        """
        # Only now: torch and nerfstudio take seconds to load.
        from backend.scenes.scene import Scene

        show_log()
        scene = Scene.open(self.folder, self.downscale, self.work, self.device, self.axes)
        if self.downscale is None and scene.downscale != 1:
            print(f"note: Images are read {scene.downscale:g} times smaller, as in training.")
        return scene


def work_of(capture: Path, work: Path | None) -> Sequence[Path]:
    """The work folder of a capture; none where there is no capture, which opening it will say."""
    from backend.scenes.work_folder import work_folder

    if work is None and not folder_of(capture).is_dir():
        return ()
    return (work_folder(capture, work),)


class SceneCommand(abc.ABC):
    """A command on a scene, as a dataclass of its options."""

    cancelled: ClassVar[str] = "cancelled; nothing was written"
    """What is said where it is interrupted and the interruption says nothing itself."""

    def work_folders(self) -> Sequence[Path]:
        """Folders in which no other command may work at the same time."""
        return ()

    @abc.abstractmethod
    def do(self, report: Report, on_progress: OnProgress) -> None:
        """Do it, and tell what was done.

        Raises:
            BadInput, FloatingPointError, OSError: it cannot be done; the text says why.
        """

    def run(self, command: list[str], on_progress: OnProgress | None = None) -> int:
        """Do it; the exit status.

        Args:
            command: the command line, as typed.
            on_progress: is told how far it is; by default the standard error is.
        """
        report = Report(command, settings=settings_of(self))
        try:
            check_options(self)
            with contextlib.ExitStack() as stack:
                for work in self.work_folders():
                    stack.enter_context(alone_in(work))
                show = on_progress or stack.enter_context(shown_progress())
                self.do(report, show)
        except (BadInput, InUse, FloatingPointError, OSError) as error:
            print(f"error: {words_of(error)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt as interruption:
            print(str(interruption) or self.cancelled, file=sys.stderr)
            return 130
        return 0


def settings_of(command: Any) -> dict[str, Any]:
    """All that a command or a request holds for a report, settings beside the rest."""
    found: dict[str, Any] = {}
    names = getattr(command, "__struct_fields__", None) or vars(command)
    for name in names:
        value = getattr(command, name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            found |= dataclasses.asdict(value)
        elif isinstance(value, msgspec.Struct):
            found |= msgspec.structs.asdict(value)
        else:
            found[name] = str(value) if isinstance(value, Path) else value
    return found
