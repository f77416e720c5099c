"""The options by which every command opens a scene."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from backend.captures.conventions.axes import AXES

if TYPE_CHECKING:
    from backend.scenes.scene import Scene


def add_scene_options(
    command: argparse.ArgumentParser, downscale: str = "as it was trained with (1)"
) -> None:
    """Add the options that `open_scene` reads, but for the folder.

    Args:
        downscale: the help of --downscale.
    """
    command.add_argument("--downscale", type=float, default=1.0, help=downscale)
    command.add_argument("--work", type=Path, metavar="DIR", help="work folder (FOLDER/.wys)")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    add_axes_option(command)


def add_axes_option(command: argparse.ArgumentParser) -> None:
    """Add what poses of other programs are."""
    command.add_argument(
        "--axes",
        choices=AXES,
        help="what the poses in transforms.json are: of cameras with OpenGL's axes (y up, z "
        "backward), OpenCV's (y down, z forward), PyTorch3D's (x left, y up, z forward) or Unity's "
        "(y up, z forward, in a left-handed world, which comes out with its z negated); w2c for "
        "world-to-camera matrices (what the scene was trained with, else opengl)",
    )


def open_scene(options: argparse.Namespace) -> "Scene":
    """The scene in options.folder.

    Raises:
        CaptureError: the capture cannot be used.
    """
    # Only now: torch and nerfstudio take seconds to load.
    from backend.scenes.scene import Scene

    return Scene.open(options.folder, options.downscale, options.work, options.device, options.axes)
