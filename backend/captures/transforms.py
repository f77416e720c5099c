"""transforms.json, the file that makes a folder of images a capture: reading and writing.

Both dialects are read: nerfstudio's (docs.nerf.studio, "Data conventions") and instant-ngp's
(docs/nerf_dataset_tips.md). Lens values stand in the frame or, for all frames, at the top; poses
are camera-to-world with OpenGL cameras in both. Other programs' poses are taken where one says so.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.captures.box import box_around, standing
from backend.captures.camera_fields import CameraFields, camera_of
from backend.captures.capture import Capture
from backend.captures.checks import (
    check_focus,
    check_overlap,
    check_places,
    check_poses,
    left_out_note,
    placeless_note,
    standing_notes,
    turned_round_note,
)
from backend.captures.conventions.axes import Axes, suspected, to_opengl, turned_round
from backend.captures.conventions.picture_evidence import PictureEvidence
from backend.captures.depth_images import INTEGER_UNIT, check_depth
from backend.captures.error import CaptureError
from backend.captures.files import (
    DEPTH_SUFFIXES,
    FILE_NAME,
    TRAIN_FILE_NAME,
    USUAL_DEPTH_FOLDER,
    USUAL_THINGS_FOLDER,
    NamedFiles,
    description_of,
    other_descriptions,
)
from backend.captures.lens import Intrinsics, Lens
from backend.captures.view_depths import ViewDepths
from backend.captures.views import (
    Pixels,
    StoredView,
    check_things,
    image_size,
    note_on_turned,
    note_without_things,
    pinhole,
    turned_images,
)
from backend.pictures.fast_png import write_fast_png
from backend.pictures.label_images import write_labels
from protocol import files
from protocol.values import MIN_VIEWS

NGP_SCALE, NGP_OFFSET = 0.33, 0.5
"""How instant-ngp puts a capture into its unit cube where the file does not say otherwise."""
SAMPLED_DEPTHS = 3
"""Depth images of a capture that are compared with its cameras when it is opened."""


class _Frame(CameraFields, kw_only=True):
    file_path: str
    transform_matrix: list[list[float | None]] | None = None
    depth_file_path: str | None = None
    depth_path: str | None = None
    things_file_path: str | None = None
    mask_path: str | None = None

    @property
    def depth(self) -> str | None:
        """The depth image, as nerfstudio or instant-ngp names it."""
        return self.depth_file_path or self.depth_path


class _Transforms(CameraFields, kw_only=True):
    frames: list[_Frame]
    aabb_scale: float | None = None
    scale: float | None = None
    offset: list[float] | None = None
    integer_depth_scale: float | None = None


# ---------------------------------------------------------------- reading


def open_capture(folder: Path, downscale: float = 1.0, axes: Axes | None = None) -> Capture:
    """Open a folder with transforms.json (or transforms_train.json) and images, and check all of
    it but the pixels themselves (`readable` reads those). What cannot be used is left out with a
    note while enough remains.

    Args:
        folder: the folder, or the .json file in it.
        downscale: how many times smaller the images are read, 1 or more; sizes are rounded down.
        axes: what the poses are; None for OpenGL's camera-to-world, with a note where they look as
            if they were others.

    Raises:
        CaptureError: it cannot be used; one sentence that names the file.
    """
    if not (math.isfinite(downscale) and downscale >= 1):
        raise CaptureError(f"{folder} cannot be scaled down {downscale:g} times: give 1 or more.")
    path = description_of(folder)
    transforms = _parse(path)
    frames, views, notes = _stored_views(path, transforms)
    matrices = _matrices(path, frames)
    names = [view.name for view in views]
    sound, left_out = check_poses(path, names, matrices)
    views, matrices = [views[index] for index in sound], matrices[sound]
    names = [view.name for view in views]
    notes += [*left_out, *placeless_note(names, matrices)]
    suspicion = None
    if axes is None:
        suspicion = suspected(matrices, PictureEvidence(views, matrices).disagreement)
    poses = to_opengl(matrices, axes or "opengl")
    try:
        check_places(path, poses)
        where = standing(poses)
        kept = np.flatnonzero(~where.stray)
        if len(kept) < MIN_VIEWS:
            kept = np.arange(len(views))
        notes += standing_notes(names, where, kept)
        views, poses = [views[index] for index in kept], poses[kept]
        intrinsics = tuple(_scaled_down(pinhole(view), downscale) for view in views)
        kept, alone = check_overlap(path, [view.name for view in views], intrinsics, poses)
        notes += alone
        views, poses = [views[index] for index in kept], poses[kept]
        intrinsics = tuple(intrinsics[index] for index in kept)
        if transforms.aabb_scale is not None:
            check_focus(path, *_ngp_box(path, transforms), poses)
    except CaptureError as error:
        if suspicion is None:
            raise
        raise CaptureError(f"{str(error).removesuffix('.')}; {suspicion}.") from error
    if suspicion is not None:
        said = str(suspicion)
        notes.append(f"{said[0].upper()}{said[1:]}.")
    else:
        notes += turned_round_note([view.name for view in views], turned_round(poses))
    views, depth_notes = _with_depths_that_fit(path, views, poses)
    notes += depth_notes
    return Capture(path.parent, tuple(views), intrinsics, poses, box_around(poses), tuple(notes))


def _parse(path: Path) -> _Transforms:
    try:
        raw = json.loads(path.read_text("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        if path.parent.exists() and not path.parent.is_dir():
            raise CaptureError(
                f"{path.parent} is a file, not a folder: name a capture's folder, or the .json "
                "file that describes it."
            ) from None
        if not path.parent.is_dir():
            raise CaptureError(f"There is no folder {path.parent}.") from None
        if others := other_descriptions(path):
            raise CaptureError(
                f"{path.parent} has no {path.name}, but {', '.join(others)}: name one of these "
                "files in place of the folder."
            ) from None
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


def _stored_views(
    path: Path, transforms: _Transforms
) -> tuple[list[_Frame], list[StoredView], list[str]]:
    """The frames whose images can be used, their views, and notes on the others.

    Raises:
        CaptureError: too few can be used, or the description makes no sense.
    """
    files = NamedFiles(path.parent)
    frames: list[_Frame] = []
    views: list[StoredView] = []
    missing: list[str] = []
    without_depth: list[str] = []
    turned: list[str] = []
    for frame in transforms.frames:
        try:
            image = files.find(frame.file_path)
            if image is None:
                named = frame.file_path
                raise CaptureError(f"{path} names the image {named}, which does not exist.")
            size = image_size(image)
            turned += turned_images([image])
        except CaptureError as error:
            missing.append(str(error))
            continue
        view = _stored_view(path, transforms, frame, image, size)
        if frame.depth is not None:
            try:
                depth = files.find(frame.depth, DEPTH_SUFFIXES, USUAL_DEPTH_FOLDER)
                if depth is None:
                    raise CaptureError(f"There is no depth image {frame.depth}.")
                check_depth(depth, *size)
                view = replace(view, depth=depth)
            except CaptureError as error:
                without_depth.append(str(error))
        if frame.things_file_path is not None:
            view = replace(view, things=_things(path, files, frame.things_file_path, size))
        frames.append(frame)
        views.append(view)
    if missing and len(views) < MIN_VIEWS:
        raise CaptureError(
            f"{path} names {len(transforms.frames)} images, of which {len(views)} can be used, and "
            f"a scene needs {MIN_VIEWS}: {missing[0]}"
        )
    _check_names(path, views)
    notes = []
    if missing:
        notes.append(left_out_note("images", len(transforms.frames), missing))
    if files.elsewhere is not None:
        notes.append(
            f"{path.name} names files by paths that do not exist here, such as {files.elsewhere}: "
            "those of the same names in the capture's folder are used."
        )
    if without_depth:
        count = sum(frame.depth is not None for frame in transforms.frames)
        notes.append(left_out_note("depth images", count, without_depth))
    notes += [*note_on_turned(turned), *note_without_things(views)]
    if any(frame.mask_path for frame in transforms.frames):
        notes.append(f"The masks that {path.name} names (mask_path) are not used.")
    others = other_descriptions(path)
    if path.name.lower() == TRAIN_FILE_NAME and others:
        notes.append(f"Only the views of {path.name} are used, not those of {', '.join(others)}.")
    return frames, views, notes


def _things(path: Path, files: NamedFiles, named: str, size: tuple[int, int]) -> Path:
    """The label image of a frame, checked by its header. One that cannot be used is not left out:
    an edit would take another region without it.
    """
    found = files.find(named, (".png",), USUAL_THINGS_FOLDER)
    if found is None:
        raise CaptureError(f"{path} names the label image {named}, which does not exist.")
    check_things(found, size)
    return found


def _stored_view(
    path: Path, transforms: _Transforms, frame: _Frame, image: Path, size: tuple[int, int]
) -> StoredView:
    """The camera of one frame, checked against its image's size."""
    try:
        name = image.relative_to(path.parent).as_posix()
    except ValueError:
        name = image.as_posix()
    intrinsics, lens = camera_of(path, name, frame, transforms, size)
    unit = INTEGER_UNIT
    if transforms.integer_depth_scale is not None:
        unit = transforms.integer_depth_scale
        if not 0 < unit < math.inf:
            raise CaptureError(f"{path} says that integer_depth_scale is {unit:g}.")
    return StoredView(name, image, None, intrinsics, lens, unit)


def _check_names(path: Path, views: Sequence[StoredView]) -> None:
    seen: set[Path] = set()
    for view in views:
        if view.image in seen:
            raise CaptureError(f"{path} names the image {view.name} twice.")
        seen.add(view.image)


def _matrices(path: Path, frames: Sequence[_Frame]) -> NDArray[np.float64]:
    """float64 (n, 4, 4); NaN where a file gives nothing."""
    if all(frame.transform_matrix is None for frame in frames) and frames:
        raise CaptureError(f"{path} gives no camera poses (transform_matrix).")
    matrices = np.tile(np.eye(4), (len(frames), 1, 1))
    for matrix, frame in zip(matrices, frames, strict=True):
        rows = frame.transform_matrix or [[None] * 4] * 4
        if len(rows) not in (3, 4) or any(len(row) != 4 for row in rows):
            raise CaptureError(f"{path}: the transform_matrix of {frame.file_path} is not 4x4.")
        matrix[: len(rows)] = np.array(rows, np.float64)
    return matrices


def _with_depths_that_fit(
    path: Path, views: Sequence[StoredView], poses: NDArray[np.float64]
) -> tuple[list[StoredView], list[str]]:
    """The views, without depths of which a few show that they are damaged or in another unit than
    the cameras.
    """
    with_depth = [index for index, view in enumerate(views) if view.depth is not None]
    step = max(1, len(with_depth) // SAMPLED_DEPTHS)
    sampled = ViewDepths(views)
    for index in with_depth[step // 2 :: step][:SAMPLED_DEPTHS]:
        sampled.read(index)
    return sampled.fitting(path.name, poses)


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


def readable(capture: Capture, on_view: Callable[[int], None] = lambda done: None) -> Capture:
    """Read every image and depth image whole; the capture without the views whose image is damaged
    and without depth images that are, in the same box, with notes on them.

    Args:
        on_view: told after each view how many are done.

    Raises:
        CaptureError: too few images can be read, or a label image cannot; the sentence names one.
    """
    kept, damaged, depths = [], [], ViewDepths(capture.views)
    for index, view in enumerate(capture.views):
        try:
            view.read_image()
        except CaptureError as error:
            damaged.append(str(error))
        else:
            kept.append(index)
            view.read_things(view.intrinsics.width, view.intrinsics.height)
            depths.read(index)
        on_view(index + 1)
    views, notes = depths.fitting(FILE_NAME, capture.camera_to_world)
    if notes:
        capture = replace(capture, views=tuple(views), notes=(*capture.notes, *notes))
    if not damaged:
        return capture
    if len(kept) < MIN_VIEWS:
        raise CaptureError(
            f"{capture.folder} has {len(kept)} images that can be read, and a scene needs "
            f"{MIN_VIEWS}: {damaged[0]}"
        )
    note = left_out_note("images", len(capture), damaged)
    return replace(capture.subset(kept), notes=(*capture.notes, note))


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
    things/NAME.png, and, when all are there, transforms.json.

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
        write_fast_png(file, np.concatenate(channels, axis=2))
    depth = None
    if pixels.depth is not None:
        depth = folder / "depth" / f"{view.name}.npy"
        files.make_folder(depth.parent)
        with files.replacing(depth) as file:
            np.save(file, pixels.depth)
    things = None
    if pixels.things is not None:
        things = folder / "things" / f"{view.name}.png"
        files.make_folder(things.parent)
        with files.replacing(things) as file:
            write_labels(file, pixels.things)
    name = image.relative_to(folder).as_posix()
    return StoredView(name, image, depth, view.intrinsics, Lens(), things=things)


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
        frame: dict[str, Any] = {"file_path": relative_name(view.image, path.parent)}
        if view.depth is not None:
            frame["depth_file_path"] = relative_name(view.depth, path.parent)
        if view.things is not None:
            frame["things_file_path"] = relative_name(view.things, path.parent)
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


def relative_name(file: Path, folder: Path) -> str:
    """How transforms.json in `folder` names a file."""
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return file.resolve().as_posix()
