"""Opening captures, whatever describes them (see formats/table.py), and writing transforms.json.

Poses are camera-to-world with OpenGL cameras. Other programs' poses are taken where one says so.
"""

import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.captures.box import box_around, standing
from backend.captures.capture import Capture
from backend.captures.checks import (
    box_note,
    check_overlap,
    check_places,
    check_poses,
    few_together_note,
    left_out_note,
    placeless_note,
    same_cameras_note,
    some_of,
    standing_notes,
    turned_round_note,
)
from backend.captures.conventions.axes import (
    NAMES,
    OPENGL,
    Axes,
    likelier,
    suspected,
    to_opengl,
    turned_round,
)
from backend.captures.conventions.picture_evidence import PictureEvidence
from backend.captures.depth_images import check_depth
from backend.captures.error import CaptureError
from backend.captures.files import (
    DEPTH_SUFFIXES,
    FILE_NAME,
    SUFFIXES,
    USUAL_DEPTH_FOLDER,
    USUAL_MASK_FOLDER,
    USUAL_THINGS_FOLDER,
    MaskFolder,
    NamedFiles,
)
from backend.captures.formats.described import Described, Frame
from backend.captures.formats.table import describe
from backend.captures.lens import Intrinsics, Lens
from backend.captures.view_depths import ViewDepths
from backend.captures.views import (
    Pixels,
    StoredView,
    check_things,
    image_size,
    note_on_turned,
    notes_on,
    pinhole,
    stored_view,
    turned_images,
)
from backend.pictures.fast_png import write_fast_png
from backend.pictures.label_images import write_labels
from protocol import files
from protocol.values import MIN_VIEWS

SAMPLED_DEPTHS = 3
"""Depth images of a capture that are compared with its cameras when it is opened."""


# ---------------------------------------------------------------- reading


def open_capture(folder: Path, downscale: float = 1.0, axes: Axes | None = None) -> Capture:
    """Open a capture in any of the forms of formats/table.py, and check all of it but the pixels
    themselves (`readable` reads those). What cannot be used is left out with a note while enough
    remains.

    Args:
        folder: its folder, or the file that describes it.
        downscale: how many times smaller the images are read, 1 or more; sizes are rounded down.
        axes: what the poses are; None for OpenGL's camera-to-world, with a note where they look as
            if they were others.

    Raises:
        CaptureError: it cannot be used; one sentence that names the file.
    """
    if not (math.isfinite(downscale) and downscale >= 1):
        raise CaptureError(f"{folder} cannot be scaled down {downscale:g} times: give 1 or more.")
    described = describe(folder)
    path = described.file
    if described.opengl and axes not in (None, OPENGL):
        raise CaptureError(f"{path} says itself what its poses are: leave --axes {axes} out.")
    frames, views, notes = _stored_views(described)
    matrices = np.array([frame.pose for frame in frames]).reshape(-1, 4, 4)
    names = [view.name for view in views]
    measured = {name for name, frame in zip(names, frames, strict=True) if frame.held_out}
    sound, left_out = check_poses(path, names, matrices)
    views, matrices = [views[index] for index in sound], matrices[sound]
    names = [view.name for view in views]
    notes += [*left_out, *placeless_note(names, matrices)]
    suspicion = None
    if axes is None and not described.opengl:
        suspicion = suspected(matrices, PictureEvidence(views, matrices).disagreement)
    elif axes is not None and axes != OPENGL:
        notes += _doubt(views, matrices, axes)
    poses = to_opengl(matrices, axes or OPENGL)
    try:
        check_places(path, poses)
        where = standing(poses)
        kept = np.flatnonzero(~where.stray)
        if len(kept) < MIN_VIEWS:
            kept = np.arange(len(views))
        notes += [*standing_notes(names, where, kept), *few_together_note(names, poses)]
        notes += same_cameras_note(names, poses)
        views, poses = [views[index] for index in kept], poses[kept]
        whole = [pinhole(view) for view in views]
        shortest = min(min(one.width, one.height) for one in whole)
        if 1 < shortest < 2 * downscale:
            raise CaptureError(
                f"{path} has views whose shorter side is {shortest} pixels: scaled down "
                f"{downscale:g} times they show nothing. Give {shortest / 2:g} at most."
            )
        intrinsics = tuple(_scaled_down(one, downscale) for one in whole)
        kept, alone = check_overlap(path, [view.name for view in views], intrinsics, poses)
        notes += alone
        views, poses = [views[index] for index in kept], poses[kept]
        intrinsics = tuple(intrinsics[index] for index in kept)
        if described.box is not None:
            notes += box_note(path, *described.box, poses)
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
    held_out, split_note = _held_out(described, measured, views)
    notes += split_note
    return Capture(
        described.folder,
        tuple(views),
        intrinsics,
        poses,
        box_around(poses),
        tuple(notes),
        held_out,
        described.turned_by,
    )


def _doubt(views: Sequence[StoredView], matrices: NDArray[np.float64], axes: Axes) -> list[str]:
    """A note where poses look to be in another convention than they were said to be in."""
    found = likelier(matrices, axes, PictureEvidence(views, matrices).disagreement)
    if found is None:
        return []
    instead = "leave it out" if found == OPENGL else f"give --axes {found}"
    return [
        f"The poses are read with --axes {axes}, but look like {NAMES[found]}: {instead} if the "
        "scene does not become sharp."
    ]


def _stored_views(described: Described) -> tuple[list[Frame], list[StoredView], list[str]]:
    """The frames whose images can be used, their views, and notes on the others.

    Raises:
        CaptureError: too few can be used, or the description makes no sense.
    """
    files = NamedFiles(described.folder)
    frames: list[Frame] = []
    views: list[StoredView] = []
    missing: list[str] = []
    without_depth: list[str] = []
    turned: list[str] = []
    for frame in described.frames:
        try:
            image = files.find(frame.image)
            if image is None:
                named = frame.image
                raise CaptureError(f"{frame.file} names the image {named}, which does not exist.")
            size = image_size(image)
            turning = turned_images([image])
        except CaptureError as error:
            missing.append(str(error))
            continue
        view = _stored_view(described, frame, image, size)
        if view.upright:
            size = size[::-1]
        else:
            turned += turning
        if frame.depth is not None:
            try:
                depth = files.find(frame.depth, DEPTH_SUFFIXES, USUAL_DEPTH_FOLDER)
                if depth is None:
                    raise CaptureError(f"There is no depth image {frame.depth}.")
                check_depth(depth, *size)
                view = replace(view, depth=depth)
            except CaptureError as error:
                without_depth.append(str(error))
        if frame.things is not None:
            view = replace(view, things=_things(frame.file, files, frame.things, size))
        frames.append(frame)
        views.append(view)
    path, count = described.file, len(described.frames)
    trained = sum(not frame.held_out for frame in frames)
    if missing and trained < MIN_VIEWS:
        raise CaptureError(
            f"{path} names {count} images, of which {trained} can be used, and a scene needs "
            f"{MIN_VIEWS}: {missing[0]}"
        )
    frames, views, notes = _each_once(path, frames, views)
    views, unused_masks = _with_masks(described.folder, files, frames, views)
    if missing:
        notes.append(left_out_note("images", count, missing))
    if files.elsewhere is not None:
        notes.append(
            f"{described.label} names files by paths that do not exist here, such as "
            f"{files.elsewhere}: those of the same names in the capture's folder are used."
        )
    if without_depth:
        depths = sum(frame.depth is not None for frame in described.frames)
        notes.append(left_out_note("depth images", depths, without_depth))
    notes += [*note_on_turned(turned), *notes_on(views), *unused_masks]
    return frames, views, [*notes, *described.notes]


def _with_masks(
    folder: Path, files: NamedFiles, frames: Sequence[Frame], views: Sequence[StoredView]
) -> tuple[list[StoredView], list[str]]:
    """The views with their masks: the ones that the description names, else those of the views'
    names in the folder `masks`; and a note where none of those there is called as a view is.

    Raises:
        CaptureError: one that is named does not exist: the view would be trained on whole.
    """
    beside = MaskFolder(folder, [view.name for view in views])
    masked = []
    for frame, view in zip(frames, views, strict=True):
        if frame.mask is None:
            mask = beside.of(view.name, view.image)
        else:
            mask = files.find(frame.mask, SUFFIXES, USUAL_MASK_FOLDER)
            if mask is None:
                raise CaptureError(
                    f"{frame.file} names the mask {frame.mask}, which does not exist."
                )
        masked.append(replace(view, mask=mask))
    used = {view.image for view in views} | {view.mask for view in masked}
    unused = [file for file in beside.files.values() if file not in used]
    if not unused or any(view.mask for view in masked):
        return masked, []
    return masked, [
        f"No mask is used: none of the files in {USUAL_MASK_FOLDER}, such as {unused[0].name}, is "
        f"called as a view is, like {PurePosixPath(views[0].name).stem}.png for {views[0].name} "
        "(in a folder of its own where several views have that name)."
    ]


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
    described: Described, frame: Frame, image: Path, size: tuple[int, int]
) -> StoredView:
    """The camera of one frame, checked against its image's size."""
    try:
        name = image.relative_to(described.folder).as_posix()
    except ValueError:
        name = image.as_posix()
    return stored_view(name, image, size, frame.camera, described.depth_unit)


def _held_out(
    described: Described, asked: Collection[str], views: Sequence[StoredView]
) -> tuple[frozenset[str] | None, list[str]]:
    """The names of the views that are kept for measuring, None where nothing says so, and a note.

    Args:
        asked: names of the views that the description keeps for that.
        views: that can be used.

    Raises:
        CaptureError: too few others are left.
    """
    out = frozenset(view.name for view in views if view.name in asked)
    if not out:
        return None, []
    if len(views) - len(out) < MIN_VIEWS:
        raise CaptureError(
            f"{described.file} leaves {len(views) - len(out)} views to train on, as it keeps "
            f"{len(out)} for measuring, and a scene needs {MIN_VIEWS}."
        )
    return out, [f"{len(out)} of {len(views)} views are held out of training, as the capture says."]


def _each_once(
    path: Path, frames: Sequence[Frame], views: Sequence[StoredView]
) -> tuple[list[Frame], list[StoredView], list[str]]:
    """The frames and views without those that say of an image what was said before, and a note.

    Raises:
        CaptureError: something else is said of one.
    """
    seen: dict[Path, tuple[Frame, StoredView]] = {}
    again = []
    for frame, view in zip(frames, views, strict=True):
        first_frame, first = seen.setdefault(view.image, (frame, view))
        if first is view:
            continue
        if first != view or not np.array_equal(frame.pose, first_frame.pose, equal_nan=True):
            raise CaptureError(
                f"{path} names the image {view.name} twice, with different cameras: take the wrong "
                "one out of the file."
            )
        again.append(view.name)
    many = "are" if len(again) > 1 else "is"
    note = f"{len(again)} of {len(views)} images {many} named again ({{}}): each counts once."
    once = list(seen.values())
    return (
        [frame for frame, _ in once],
        [view for _, view in once],
        [note.format(some_of(again))] if again else [],
    )


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


def readable(capture: Capture, on_view: Callable[[int], None] = lambda done: None) -> Capture:
    """Read every image and depth image whole; the capture without the views whose image is damaged
    or whose mask hides all of it, and without depth images that are damaged, in the same box, with
    notes on them.

    Args:
        on_view: told after each view how many are done.

    Raises:
        CaptureError: too few images can be used, or a label image cannot; the sentence names one.
    """
    kept, unusable, depths = [], [], ViewDepths(capture.views)
    unseen: list[str] = []
    use = "trained on"
    for index, view in enumerate(capture.views):
        try:
            colours = view.read_image()
        except CaptureError as error:
            unusable.append(str(error))
            use = "read"
        else:
            if colours.shape[2] == 4 and not colours[..., 3].any():
                unseen.append(view.name)
            view.read_things(view.intrinsics.width, view.intrinsics.height)
            seen = view.read_mask(view.intrinsics.width, view.intrinsics.height)
            if seen is None or seen.any():
                kept.append(index)
            else:
                unusable.append(f"The mask {view.mask} hides all of {view.name}.")
            depths.read(index)
        on_view(index + 1)
    if unseen and len(capture) - len(unusable) - len(unseen) < MIN_VIEWS:
        raise CaptureError(
            f"{capture.folder} has {len(unseen)} images that are transparent everywhere, such as "
            f"{unseen[0]}: save them without an alpha channel if their colours are to be seen."
        )
    views, notes = depths.fitting(FILE_NAME, capture.camera_to_world)
    if notes:
        capture = replace(capture, views=tuple(views), notes=(*capture.notes, *notes))
    if not unusable:
        return capture
    if len(kept) < MIN_VIEWS:
        raise CaptureError(
            f"{capture.folder} has {len(kept)} images that can be {use}, and a scene needs "
            f"{MIN_VIEWS}: {unusable[0]}"
        )
    note = left_out_note("images", len(capture), unusable)
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
