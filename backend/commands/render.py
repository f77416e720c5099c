"""`python -m backend scene render`: pictures of a scene along a camera path."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.command_line import otherwise
from backend.commands.options import Out, SceneCommand, SceneOptions
from backend.errors import BadInput
from backend.output.new_folder import appearing, check_new
from backend.output.progress import OnProgress
from backend.output.report import Report, print_notes

if TYPE_CHECKING:
    from backend.scenes.camera import Camera
    from backend.scenes.edit import SceneEdit
    from backend.scenes.scene import Scene

FRAMES, FRAMES_A_SECOND = 48, 12.0
LARGEST_WIDTH, USUAL_WIDTH = 8192, 1920
"""Pixels that can be asked for, and that a film from a capture's cameras has at most where nothing
is asked for: at the width of a phone's photos it would take hours.
"""


@dataclass(frozen=True, kw_only=True)
class Render(SceneOptions, SceneCommand):
    """Render a scene along a camera path.

    Write DIR/frames/0000.png ..., an animation of them, DIR/render.gif, and DIR/report.json. With
    --edit each frame shows the scene before (left) and after (right). DIR appears when all of it is
    there.
    """

    out: Out
    """a new folder"""
    edit: Annotated[str | None, otherwise("the scene alone", "NAME")] = None
    """of the scene's edits"""
    path: str = "orbit"
    """orbit (around what they look at), through (along the cameras), or nerfstudio's .json file"""
    frames: Annotated[int | None, otherwise(f"{FRAMES}; of a file: all that it has")] = None
    """how many"""
    fps: Annotated[float | None, otherwise(f"{FRAMES_A_SECOND:g}; of a file: its own")] = None
    """frames a second"""
    width: Annotated[
        int | None, otherwise(f"a file's, or the capture's, at most {USUAL_WIDTH}")
    ] = None
    """pixels"""
    format: Literal["gif", "webp"] = "gif"
    """of the animation"""

    def do(self, report: Report, on_progress: OnProgress) -> None:
        """Do it.

        Raises:
            EditError, CaptureError, CheckpointError, ValueError, OSError: the scene, the edit, the
                path or a setting cannot be used, or DIR is there already; nothing was written.
        """
        out = check_new(self.out)
        if self.frames is not None and self.frames < 2:
            raise BadInput("--frames must be 2 or more.")
        if self.fps is not None and not 0 < self.fps <= 100:
            raise BadInput("--fps must be above 0, and 100 at most.")
        if self.width is not None and not 1 <= self.width <= LARGEST_WIDTH:
            raise BadInput(f"--width must be 1 to {LARGEST_WIDTH}.")
        scene = self.open_scene()
        edit = None if self.edit is None else scene.edited(self.edit)
        cameras, fps = self._path(scene)
        report.notes += self._notes(scene, cameras)
        print_notes(report.notes)
        lens = cameras[0].intrinsics
        report.settings |= {"frames": len(cameras), "fps": fps, "width": lens.width}
        with appearing(out) as unfinished:
            (unfinished / "frames").mkdir()
            with report.stage("rendering"):
                for number, frame in enumerate(_frames(scene, edit, cameras)):
                    on_progress(f"Frame {number + 1} of {len(cameras)}", number / len(cameras))
                    Image.fromarray(frame).save(unfinished / "frames" / f"{number:04d}.png")
            report.figures |= {
                "height": lens.height,
                "width": lens.width,
                "seconds_a_frame": round(report.seconds["rendering"] / len(cameras), 3),
            }
            with report.stage("animation"):
                files = sorted((unfinished / "frames").glob("*.png"))
                write_animation(unfinished / f"render.{self.format}", files, fps)
            report.write(unfinished)
        on_progress("Written", 1.0)
        print(f"wrote {len(cameras)} frames, render.{self.format} and report.json to {out}")

    def _notes(self, scene: "Scene", cameras: Sequence["Camera"]) -> list[str]:
        """What a person should know about where the path goes."""
        from backend.scenes import camera_path

        if self.path == "orbit":
            return camera_path.arc_note(scene.capture)
        return camera_path.unseen_note(scene.capture, cameras)

    def _path(self, scene: "Scene") -> tuple[list["Camera"], float]:
        """The cameras, and frames a second."""
        from backend.scenes import camera_path

        fps = FRAMES_A_SECOND
        if self.path == "orbit":
            cameras = camera_path.orbit(scene.capture, self.frames or FRAMES)
        elif self.path == "through":
            cameras = camera_path.through(scene.capture, self.frames or FRAMES)
        else:
            cameras, fps = camera_path.read_path(Path(self.path), scene.capture)
            cameras = camera_path.thinned(cameras, self.frames or len(cameras))
        width = self.width
        if width is None and self.path in ("orbit", "through"):
            width = min(USUAL_WIDTH, cameras[0].intrinsics.width)
        if width is not None:
            cameras = camera_path.resized(cameras, width)
        return cameras, self.fps or fps


def _frames(
    scene: "Scene", edit: "SceneEdit | None", cameras: Sequence["Camera"]
) -> Iterator[NDArray[np.uint8]]:
    """uint8 (H, W or 2 W, 3): the scene, or before and after its edit side by side."""
    fields = [scene.field] if edit is None else [edit.original_field, edit.field]
    for camera in cameras:
        shown = np.concatenate([scene.render(camera, field=field).rgb for field in fields], axis=1)
        yield (shown.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def write_animation(path: Path, frames: Sequence[Path], fps: float) -> None:
    """Write frames as one file that runs again and again: .gif, whose colours are reduced to 256 a
    frame, or .webp.

    Raises:
        OSError: it cannot be written.
    """
    pictures = _opened(frames)
    first = next(pictures)
    first.save(
        path,
        save_all=True,
        append_images=pictures,
        duration=round(1000 / fps),
        loop=0,
        quality=90,  # of .webp
    )


def _opened(frames: Sequence[Path]) -> Iterator[Image.Image]:
    """One after the other, so that no more than one is in memory."""
    for path in frames:
        with Image.open(path) as picture:
            yield picture.convert("RGB")
