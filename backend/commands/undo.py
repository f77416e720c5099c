"""`python -m backend scene undo`: an edit of a scene deleted."""

from dataclasses import dataclass
from typing import ClassVar

from tyro.conf import Positional

from backend.commands.options import SceneCommand, SceneOptions
from backend.output.progress import OnProgress
from backend.output.report import Report


@dataclass(frozen=True, kw_only=True)
class Undo(SceneOptions, SceneCommand):
    """Delete an edit of a scene. The scene itself stays as it is."""

    name: Positional[str]
    """of the edit"""

    cancelled: ClassVar[str] = "cancelled; the edit is still there"

    def do(self, report: Report, on_progress: OnProgress) -> None:
        """Do it.

        Raises:
            EditError, CaptureError, OSError: as `Scene.undo`.
        """
        scene = self.open_scene()
        scene.undo(self.name)
        left = scene.edits()
        print(f"undone; the scene has {', '.join(left) if left else 'no edits now'}")
