"""`python -m backend scene render`: pictures of a scene along a camera path."""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.commands.scene_options import add_scene_options, open_scene
from backend.errors import BadInput
from backend.output.new_folder import appearing, check_new
from backend.output.report import Report

if TYPE_CHECKING:
    from backend.scenes.camera import Camera
    from backend.scenes.edit import SceneEdit
    from backend.scenes.scene import Scene

FRAMES, FRAMES_A_SECOND = 48, 12.0
LARGEST_WIDTH = 8192


def add_render_command(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `scene render` to the scene commands."""
    render = kinds.add_parser(
        "render",
        help="render a scene along a camera path",
        description="Write DIR/frames/0000.png ..., an animation of them, DIR/render.gif, and "
        "DIR/report.json. With --edit each frame shows the scene before (left) and after (right). "
        "DIR appears when all of it is there.",
    )
    render.add_argument("folder", type=Path, metavar="FOLDER")
    render.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    render.add_argument("--edit", metavar="NAME", help="of the scene's edits")
    render.add_argument(
        "--path",
        default="orbit",
        metavar="PATH",
        help="orbit (around what the cameras look at), through (along the capture's cameras), or "
        "the .json file of a camera path of nerfstudio's viewer (orbit)",
    )
    render.add_argument(
        "--frames", type=int, metavar="N", help=f"({FRAMES}; of a file: all that it has)"
    )
    render.add_argument(
        "--fps", type=float, help=f"frames a second ({FRAMES_A_SECOND:g}; of a file: its own)"
    )
    render.add_argument("--width", type=int, metavar="N", help="pixels (as the capture or file)")
    render.add_argument(
        "--format", choices=("gif", "webp"), default="gif", help="of the animation (gif)"
    )
    add_scene_options(render)
    render.set_defaults(run_scene=run_render, cancelled="cancelled; nothing was written")


def run_render(
    options: argparse.Namespace, report: Report, on_progress: Callable[[str, float], None]
) -> None:
    """Do it.

    Raises:
        EditError, CaptureError, CheckpointError, ValueError, OSError: the scene, the edit, the path
            or a setting cannot be used, or DIR is there already; nothing was written.
    """
    out = check_new(options.out)
    if options.frames is not None and options.frames < 2:
        raise BadInput("--frames must be 2 or more.")
    if options.fps is not None and not 0 < options.fps <= 100:
        raise BadInput("--fps must be above 0, and 100 at most.")
    if options.width is not None and not 1 <= options.width <= LARGEST_WIDTH:
        raise BadInput(f"--width must be 1 to {LARGEST_WIDTH}.")
    # Only now: torch and nerfstudio take seconds to load.

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    scene = open_scene(options)
    edit = None if options.edit is None else scene.edited(options.edit)
    cameras, fps = _path(options, scene)
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
            write_animation(unfinished / f"render.{options.format}", files, fps)
        report.write(unfinished)
    on_progress("Written", 1.0)
    print(f"wrote {len(cameras)} frames, render.{options.format} and report.json to {out}")


def _path(options: argparse.Namespace, scene: "Scene") -> tuple[list["Camera"], float]:
    """The cameras, and frames a second."""
    from backend.scenes import camera_path

    fps = FRAMES_A_SECOND
    if options.path == "orbit":
        cameras = camera_path.orbit(scene.capture, options.frames or FRAMES)
    elif options.path == "through":
        cameras = camera_path.through(scene.capture, options.frames or FRAMES)
    else:
        cameras, fps = camera_path.read_path(Path(options.path), scene.capture)
        cameras = camera_path.thinned(cameras, options.frames or len(cameras))
    if options.width is not None:
        cameras = camera_path.resized(cameras, options.width)
    return cameras, options.fps or fps


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
