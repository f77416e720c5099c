"""transforms.json, the file that makes a folder of images a capture: reading and writing.

Both dialects are read: nerfstudio's (docs.nerf.studio, "Data conventions") and instant-ngp's
(docs/nerf_dataset_tips.md). Lens values stand in the frame or, for all frames, at the top; poses
are camera-to-world with OpenGL cameras in both.
"""

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.scenes.capture import Capture, box_around
from backend.scenes.capture_checks import check_focus, check_overlap, check_poses
from backend.scenes.lens import Intrinsics, Lens
from backend.scenes.views import (
    CaptureError,
    Pixels,
    StoredView,
    image_size,
    pinhole,
)
from protocol import files

FILE_NAME = "transforms.json"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""Tried in this order, small and capital, where a file_path has no suffix."""
PERSPECTIVE = {"OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"}
FISHEYE = {"OPENCV_FISHEYE", "FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE"}
NGP_SCALE, NGP_OFFSET = 0.33, 0.5
"""How instant-ngp puts a capture into its unit cube where the file does not say otherwise."""


class _Camera(msgspec.Struct):
    """What may stand in a frame or at the top."""

    w: float | None = None
    h: float | None = None
    fl_x: float | None = None
    fl_y: float | None = None
    camera_angle_x: float | None = None
    camera_angle_y: float | None = None
    x_fov: float | None = None
    y_fov: float | None = None
    cx: float | None = None
    cy: float | None = None
    k1: float | None = None
    k2: float | None = None
    k3: float | None = None
    k4: float | None = None
    p1: float | None = None
    p2: float | None = None
    camera_model: str | None = None
    is_fisheye: bool | None = None


class _Frame(_Camera, kw_only=True):
    file_path: str
    transform_matrix: list[list[float]]
    depth_file_path: str | None = None
    mask_path: str | None = None


class _Transforms(_Camera, kw_only=True):
    frames: list[_Frame]
    aabb_scale: float | None = None
    scale: float | None = None
    offset: list[float] | None = None


# ---------------------------------------------------------------- reading


def open_capture(folder: Path, downscale: float = 1.0) -> Capture:
    """Open a folder with transforms.json and images, and check all of it but the pixels
    themselves (`check_images` reads those).

    Args:
        folder: the folder, or the .json file in it.
        downscale: how many times smaller the images are read, 1 or more; sizes are rounded down.

    Raises:
        CaptureError: it cannot be used; one sentence that names the file.
    """
    if not (math.isfinite(downscale) and downscale >= 1):
        raise CaptureError(f"{folder} cannot be scaled down {downscale:g} times: give 1 or more.")
    path = folder if folder.suffix == ".json" else folder / FILE_NAME
    transforms = _parse(path)
    views = tuple(_stored_view(path, transforms, frame) for frame in transforms.frames)
    _check_names(path, views)
    poses = _poses(path, transforms.frames)
    check_poses(path, [view.name for view in views], poses)
    intrinsics = tuple(_scaled_down(pinhole(view), downscale) for view in views)
    check_overlap(path, [view.name for view in views], intrinsics, poses)
    if transforms.aabb_scale is not None:
        check_focus(path, *_ngp_box(path, transforms), poses)
    notes: tuple[str, ...] = ()
    if any(frame.mask_path for frame in transforms.frames):
        notes = ("The masks that transforms.json names (mask_path) are not used.",)
    return Capture(path.parent, views, intrinsics, poses, box_around(poses), notes)


def _parse(path: Path) -> _Transforms:
    try:
        raw = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise CaptureError(f"There is no folder {path.parent}.") from None
        raise CaptureError(
            f"{path.parent} has no {path.name}: for photos alone, let `python -m backend scene "
            f'import "{path.parent}"` find the cameras.'
        ) from None
    except json.JSONDecodeError as error:
        raise CaptureError(
            f"{path} is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}."
        ) from error
    except UnicodeDecodeError as error:
        raise CaptureError(f"{path} is not a text file in UTF-8.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CaptureError(f"{path} cannot be read: {error}.") from error
    try:
        return msgspec.convert(raw, _Transforms)
    except (msgspec.ValidationError, OverflowError) as error:
        raise CaptureError(f"{path} is not a capture's description: {error}.") from error


def _stored_view(path: Path, transforms: _Transforms, frame: _Frame) -> StoredView:
    """The files and the camera of one frame, checked against the image's header."""
    image = _find_image(path, frame.file_path)
    try:
        name = image.relative_to(path.parent).as_posix()
    except ValueError:
        name = image.as_posix()
    width, height = image_size(image)
    depth = None
    if frame.depth_file_path is not None:
        depth = path.parent / _portable(frame.depth_file_path)
        if not depth.is_file():
            raise CaptureError(f"{path} names the depth image {depth}, which does not exist.")

    def value(field: str, otherwise: float) -> float:
        for place in (frame, transforms):
            if (found := getattr(place, field)) is not None:
                return float(found)
        return otherwise

    fx, fy = _focal_lengths(transforms, frame, width, height)
    numbers = {
        "w": value("w", width),
        "h": value("h", height),
        "fl_x": fx,
        "fl_y": fy,
        "cx": value("cx", width / 2),
        "cy": value("cy", height / 2),
        **{field: value(field, 0.0) for field in ("k1", "k2", "k3", "k4", "p1", "p2")},
    }
    for field, number in numbers.items():
        if not abs(number) < 1e9:
            raise CaptureError(f"{path} gives {name} the {field} {number:g}, which is no camera's.")
    if not (fx > 0 and fy > 0):
        raise CaptureError(
            f"{path} does not say the focal length of {name} (fl_x, camera_angle_x)."
        )
    intrinsics = Intrinsics(fx, fy, numbers["cx"], numbers["cy"], width, height)
    if (numbers["w"], numbers["h"]) != (width, height):
        said = f"{numbers['w']:g}x{numbers['h']:g}"
        raise CaptureError(f"{image} is {width}x{height}, but {path} says {said}.")
    lens = Lens(
        **{field: numbers[field] for field in ("k1", "k2", "k3", "k4", "p1", "p2")},
        fisheye=_is_fisheye(path, name, frame, transforms),
    )
    return StoredView(name, image, depth, intrinsics, lens)


def _find_image(path: Path, file_path: str) -> Path:
    """The image that a frame names, with or without its suffix."""
    if "\0" in file_path or not file_path.strip():
        raise CaptureError(f"{path} has a frame whose file_path names no file.")
    named = Path(os.path.normpath(path.parent / _portable(file_path)))
    try:
        if named.is_file():
            return named
        for suffix in SUFFIXES:
            for written in (suffix, suffix.upper()):
                if (candidate := named.with_name(named.name + written)).is_file():
                    return candidate
    except (OSError, ValueError) as error:  # a name that no file can have
        raise CaptureError(f"{path} names an image that cannot be read: {error}.") from error
    raise CaptureError(f"{path} names the image {named}, which does not exist.")


def _portable(written: str) -> PurePosixPath | PureWindowsPath:
    """A path as it stands in the file; some programs write backslashes."""
    return PureWindowsPath(written) if "\\" in written else PurePosixPath(written)


def _focal_lengths(
    transforms: _Transforms, frame: _Frame, width: int, height: int
) -> tuple[float, float]:
    """Focal lengths in pixels; 0 where nothing says them, NaN where it makes no sense."""
    for place in (frame, transforms):
        fx = _focal_length(place.fl_x, place.camera_angle_x, place.x_fov, width)
        fy = _focal_length(place.fl_y, place.camera_angle_y, place.y_fov, height)
        if fx is not None or fy is not None:
            return fx or fy or 0.0, fy or fx or 0.0
    return 0.0, 0.0


def _focal_length(
    focal: float | None, radians: float | None, degrees: float | None, pixels: int
) -> float | None:
    if focal is not None:
        return focal
    if degrees is not None:
        radians = math.radians(degrees)
    if radians is None:
        return None
    return pixels / 2 / math.tan(radians / 2) if 0 < radians < math.pi else math.nan


def _is_fisheye(path: Path, name: str, frame: _Frame, transforms: _Transforms) -> bool:
    model = frame.camera_model or transforms.camera_model
    if model is not None and model not in PERSPECTIVE | FISHEYE:
        raise CaptureError(
            f"{path} gives {name} the camera model {model}, which is not supported: undistort the "
            "images to a perspective camera."
        )
    if model is not None:
        return model in FISHEYE
    return bool(frame.is_fisheye if frame.is_fisheye is not None else transforms.is_fisheye)


def _check_names(path: Path, views: Sequence[StoredView]) -> None:
    seen: set[Path] = set()
    for view in views:
        if view.image in seen:
            raise CaptureError(f"{path} names the image {view.name} twice.")
        seen.add(view.image)


def _poses(path: Path, frames: Sequence[_Frame]) -> NDArray[np.float64]:
    poses = np.tile(np.eye(4), (len(frames), 1, 1))
    for pose, frame in zip(poses, frames, strict=True):
        rows = frame.transform_matrix
        if len(rows) not in (3, 4) or any(len(row) != 4 for row in rows):
            raise CaptureError(f"{path}: the transform_matrix of {frame.file_path} is not 4x4.")
        pose[: len(rows)] = rows
    return poses


def _scaled_down(camera: Intrinsics, downscale: float) -> Intrinsics:
    if downscale == 1:
        return camera
    return camera.resized(
        max(1, int(camera.width / downscale)), max(1, int(camera.height / downscale))
    )


def _ngp_box(path: Path, transforms: _Transforms) -> tuple[NDArray[np.float64], float]:
    """Middle and half side of the cube that instant-ngp's aabb_scale describes, in capture
    coordinates.
    """
    scale = NGP_SCALE if transforms.scale is None else transforms.scale
    offset = [NGP_OFFSET] * 3 if transforms.offset is None else transforms.offset
    size = transforms.aabb_scale or 0.0
    if not (0 < scale < 1e9 and 0 < size < 1e9 and len(offset) == 3 and np.isfinite(offset).all()):
        raise CaptureError(f"{path} describes no box: check aabb_scale, scale and offset.")
    return (0.5 - np.array(offset)) / scale, size / 2 / scale


def check_images(capture: Capture) -> Iterable[int]:
    """Read every image and depth image whole; yields after each view how many are done.

    Raises:
        CaptureError: one is damaged; the sentence names it.
    """
    for done, view in enumerate(capture.views, start=1):
        view.read_stored()
        yield done


# ---------------------------------------------------------------- writing


@dataclass(frozen=True, eq=False)
class NewView:
    """A view that is to be written.

    Attributes:
        name: of its files, without suffix.
        camera_to_world: float64 (4, 4), OpenGL camera to capture coordinates.
    """

    name: str
    pixels: Pixels
    intrinsics: Intrinsics
    camera_to_world: NDArray[np.float64]


def write_capture(folder: Path, views: Iterable[NewView]) -> Path:
    """Write views as a capture: images/NAME.png (RGBA where there is an alpha), depth/NAME.npy,
    and, when all are there, transforms.json.

    Returns:
        The path of transforms.json.

    Raises:
        CaptureError: the folder holds a capture already; nothing is overwritten.
        OSError: it cannot be written.
    """
    stored, poses = [], []
    if (folder / FILE_NAME).exists():
        raise CaptureError(f"{folder / FILE_NAME} exists already: choose another folder.")
    for view in views:
        stored.append(write_view(folder, view))
        poses.append(view.camera_to_world)
    return write_transforms(folder / FILE_NAME, stored, np.array(poses))


def write_view(folder: Path, view: NewView) -> StoredView:
    """Write the files of one view, each in one step.

    Raises:
        OSError: it cannot be written.
    """
    pixels = view.pixels
    image = folder / "images" / f"{view.name}.png"
    files.make_folder(image.parent)
    channels = [pixels.image] if pixels.alpha is None else [pixels.image, pixels.alpha[..., None]]
    with files.replacing(image) as file:
        Image.fromarray(np.concatenate(channels, axis=2)).save(file, "PNG", compress_level=1)
    depth = None
    if pixels.depth is not None:
        depth = folder / "depth" / f"{view.name}.npy"
        files.make_folder(depth.parent)
        with files.replacing(depth) as file:
            np.save(file, pixels.depth)
    name = image.relative_to(folder).as_posix()
    return StoredView(name, image, depth, view.intrinsics, Lens())


def write_transforms(
    path: Path, views: Sequence[StoredView], camera_to_world: NDArray[np.float64]
) -> Path:
    """Write transforms.json in one step, as nerfstudio and instant-ngp read it.

    Args:
        path: where to; files are named relative to its folder.
        views: n views.
        camera_to_world: float64 (n, 4, 4).

    Returns:
        `path`.

    Raises:
        OSError: it cannot be written.
    """
    cameras = [_camera_fields(view) for view in views]
    same = all(camera == cameras[0] for camera in cameras)
    frames = []
    for view, camera, pose in zip(views, cameras, camera_to_world, strict=True):
        frame: dict[str, Any] = {"file_path": _relative(view.image, path.parent)}
        if view.depth is not None:
            frame["depth_file_path"] = _relative(view.depth, path.parent)
        frames.append(frame | ({} if same else camera) | {"transform_matrix": pose.tolist()})
    content = (cameras[0] if same and cameras else {}) | {"frames": frames}
    return files.write_text(path, json.dumps(content, indent=1) + "\n")


def _camera_fields(view: StoredView) -> dict[str, Any]:
    camera, lens = view.intrinsics, view.lens
    fields = {
        "w": camera.width,
        "h": camera.height,
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        **{name: getattr(lens, name) for name in ("k1", "k2", "k3", "k4", "p1", "p2")},
    }
    return fields | {"camera_model": "OPENCV_FISHEYE" if lens.fisheye else "OPENCV"}


def _relative(file: Path, folder: Path) -> str:
    """How transforms.json in `folder` names a file."""
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return file.resolve().as_posix()
