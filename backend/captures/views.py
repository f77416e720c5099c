"""The files of one view of a capture, and reading their pixels."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from backend.captures.depth_images import INTEGER_UNIT, read_depth
from backend.captures.error import CaptureError, WrongSize
from backend.captures.lens import (
    WIDEST,
    Intrinsics,
    Lens,
    is_cropped,
    undistorted,
    undistortion_map,
)
from backend.errors import BadInput
from backend.pictures import PictureError, asks_for_turning, lies_on_its_side, read_picture, size_of
from backend.pictures.label_images import check_labels, read_labels
from backend.pictures.masks import read_training_mask

Whole = TypeVar("Whole", np.uint8, np.uint16)


@dataclass(frozen=True, eq=False)
class Pixels:
    """What one view shows, as a pinhole camera sees it. Row 0 is at the top.

    Attributes:
        image: uint8 (H, W, 3), sRGB; straight colours where there is an alpha.
        alpha: uint8 (H, W), 255 where the scene is, 0 where nothing was rendered; or None.
        depth: float32 (H, W), distance along the viewing axis in capture units, 0 where it is not
            known; or None.
        things: uint16 (H, W), a label for every pixel, in all views the same for the same thing; or
            None.
        seen: bool (H, W), where a mask lets the pixels be trained on; None for everywhere.
    """

    image: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    depth: NDArray[np.float32] | None = None
    things: NDArray[np.uint16] | None = None
    seen: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class StoredView:
    """One view's files, as they are stored.

    Attributes:
        name: what transforms.json calls the image.
        image: an image file, with or without alpha.
        depth: a depth image (see `depth_images.read_depth`), or None.
        intrinsics: the camera of the stored image, before undistortion and downscaling.
        lens: its distortion.
        depth_unit: capture units of one step of a depth in whole numbers.
        things: a label image of the image's size (see `label_images.read_labels`), or None.
        mask: an image of the image's shape, dark where its pixels are not to be trained on, or
            None.
        upright: whether the image's pixels are turned as its EXIF data ask.
    """

    name: str
    image: Path
    depth: Path | None
    intrinsics: Intrinsics
    lens: Lens
    depth_unit: float = INTEGER_UNIT
    things: Path | None = None
    mask: Path | None = None
    upright: bool = False

    def read(self, width: int, height: int) -> Pixels:
        """Read, undistort and scale down to `width` x `height`.

        Raises:
            CaptureError: a file is missing, damaged or of another size than it should have.
        """
        colours, depth = self.read_image(), self.read_depth()
        if not self.lens.is_pinhole:
            rows_columns = np.moveaxis(undistortion_map(self.intrinsics, self.lens), -1, 0)
            channels = [
                ndimage.map_coordinates(colours[..., c], rows_columns, order=1, mode="nearest")
                for c in range(colours.shape[2])
            ]
            colours = np.stack(channels, axis=-1)
            if depth is not None:
                depth = ndimage.map_coordinates(depth, rows_columns, order=0, mode="nearest")
        if colours.shape[:2] != (height, width):
            # A pixel's colour is the mean over its area, so the borders of the image stay in place.
            colours = np.asarray(
                Image.fromarray(colours).resize((width, height), Image.Resampling.BOX)
            )
            if depth is not None:  # never a mean of the near and the far side of an edge
                scaled = Image.fromarray(depth).resize((width, height), Image.Resampling.NEAREST)
                depth = np.asarray(scaled)
        alpha = np.ascontiguousarray(colours[..., 3]) if colours.shape[2] == 4 else None
        things = self.read_things(width, height)
        seen = self.read_mask(width, height)
        return Pixels(np.ascontiguousarray(colours[..., :3]), alpha, depth, things, seen)

    def read_things(self, width: int, height: int) -> NDArray[np.uint16] | None:
        """Read the label image alone, undistorted and scaled down to `width` x `height` by taking
        the nearest pixel: uint16 (height, width); None where there is none.

        Raises:
            CaptureError: as in `read`.
        """
        if self.things is None:
            return None
        with _as_capture_error():
            labels = read_labels(self.things, (self.intrinsics.height, self.intrinsics.width))
        return self._undistorted(labels, width, height, Image.Resampling.NEAREST)

    def read_mask(self, width: int, height: int) -> NDArray[np.bool_] | None:
        """Read the mask alone, undistorted and scaled down to `width` x `height`: bool (height,
        width), false where any part of a pixel is not to be trained on; None where there is none.

        Raises:
            CaptureError: as in `read`.
        """
        if self.mask is None:
            return None
        stored = self.intrinsics.height, self.intrinsics.width
        with _as_capture_error():
            seen = read_training_mask(self.mask, stored).astype(np.uint8) * np.uint8(255)
        seen = self._undistorted(seen, width, height, Image.Resampling.BOX)
        return np.asarray(seen == 255)

    def _undistorted(
        self, stored: NDArray[Whole], width: int, height: int, resampling: Image.Resampling
    ) -> NDArray[Whole]:
        """Whole numbers (H, W) of the stored picture's pixels, each the nearest one's, for the
        undistorted picture at a size.
        """
        if not self.lens.is_pinhole:
            rows_columns = np.moveaxis(undistortion_map(self.intrinsics, self.lens), -1, 0)
            stored = ndimage.map_coordinates(stored, rows_columns, order=0, mode="nearest")
        if stored.shape != (height, width):
            stored = np.asarray(Image.fromarray(stored).resize((width, height), resampling))
        return stored

    def read_image(self) -> NDArray[np.uint8]:
        """Read the image file whole: uint8 (H, W, 3 or 4).

        Raises:
            CaptureError: as in `read`.
        """
        colours = read_image(self.image, self.upright)
        if colours.shape[:2] != (self.intrinsics.height, self.intrinsics.width):
            raise CaptureError(f"{self.image} has changed its size since the capture was opened.")
        return colours

    def read_depth(self) -> NDArray[np.float32] | None:
        """Read the depth image at the image's size: float32 (H, W) in capture units, 0 where it is
        not known; None where there is none.

        Raises:
            CaptureError: as in `read`.
        """
        if self.depth is None:
            return None
        size = self.intrinsics.width, self.intrinsics.height
        return read_depth(self.depth, *size, self.depth_unit)


def stored_view(
    name: str,
    image: Path,
    size: tuple[int, int],
    camera: Callable[[str, tuple[int, int]], tuple[Intrinsics, Lens]],
    depth_unit: float,
) -> StoredView:
    """The view of an image, which is turned as it asks for where its camera is of that size.

    Args:
        name, image, depth_unit: as in StoredView.
        size: width and height of the stored image.
        camera: of the image, by its name and size; raises WrongSize where it has none of that size.

    Raises:
        CaptureError: it has none.
    """
    upright = False
    try:
        intrinsics, lens = camera(name, size)
    except WrongSize as error:
        with _as_capture_error():
            upright = lies_on_its_side(image)
        if not upright:
            raise
        try:
            intrinsics, lens = camera(name, size[::-1])
        except WrongSize:
            raise error from None
    return StoredView(name, image, None, intrinsics, lens, depth_unit, upright=upright)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file, read from its header.

    Raises:
        CaptureError: it is missing, not an image, or has 32-bit or floating-point values.
    """
    with _as_capture_error():
        return size_of(path)


def read_image(path: Path, upright: bool = False) -> NDArray[np.uint8]:
    """Read an image file whole, in sRGB: uint8 (H, W, 3), or (H, W, 4) where it has an alpha. The
    orientation that a camera may have noted beside the pixels is left out, as COLMAP does, unless
    it is to be `upright`.

    Raises:
        CaptureError: as `image_size`, or it is damaged.
    """
    with _as_capture_error():
        picture = read_picture(path, upright=upright)
    colours = picture.in_srgb()
    return colours if picture.alpha is None else np.dstack([colours, picture.alpha])


def turned_images(images: Sequence[Path]) -> tuple[str, ...]:
    """Names of those whose EXIF data ask for them to be shown turned or mirrored.

    Raises:
        CaptureError: as `image_size`.
    """
    with _as_capture_error():
        return tuple(image.name for image in images if asks_for_turning(image))


def notes_on(views: Sequence[StoredView]) -> tuple[str, ...]:
    """What a person should know of how pictures are read."""
    return (
        *_note_on_uprighted(views),
        *_note_without_things(views),
        *note_on_masks(views),
        *_note_on_cropped(views),
    )


def _note_on_uprighted(views: Sequence[StoredView]) -> tuple[str, ...]:
    """Where pictures are turned to suit their cameras."""
    names = [view.name for view in views if view.upright]
    if not names:
        return ()
    return (
        f"{len(names)} of {len(views)} photos, such as {names[0]}, are turned upright as they ask "
        "for, since their cameras are those of upright photos.",
    )


def note_on_turned(names: Sequence[str]) -> tuple[str, ...]:
    """What a person should know about the photos of `turned_images` that are not turned; nothing
    where none is.
    """
    if not names:
        return ()
    which = (
        f"{len(names)} photos, such as {names[0]}, are"
        if len(names) > 1
        else f"The photo {names[0]} is"
    )
    them = "them" if len(names) > 1 else "it"
    return (
        f"{which} only marked to be shown turned or mirrored: save {them} upright first, as edits "
        "see what is stored.",
    )


def check_things(path: Path, size: tuple[int, int]) -> None:
    """Check a label image by its header.

    Args:
        path: the file.
        size: width and height of the image that it belongs to.

    Raises:
        CaptureError: it is missing, no label image, or of another size.
    """
    with _as_capture_error():
        check_labels(path, size[::-1])


def note_on_masks(views: Sequence[StoredView]) -> tuple[str, ...]:
    """What a person should know where views have masks."""
    masked = [view for view in views if view.mask is not None]
    if not masked:
        return ()
    return (
        f"{len(masked)} of {len(views)} views have a mask, such as "
        f"{masked[0].mask.name if masked[0].mask else ''}: what is black in it is not trained on.",
    )


def _note_on_cropped(views: Sequence[StoredView]) -> tuple[str, ...]:
    """Where a fisheye's pictures are not used to their rim."""
    count = sum(is_cropped(view.intrinsics, view.lens) for view in views)
    if count == 0:
        return ()
    return (
        f"{count} of {len(views)} pictures are cropped: what a fisheye lens shows more than "
        f"{math.degrees(WIDEST):.0f} degrees off its axis is not used.",
    )


def _note_without_things(views: Sequence[StoredView]) -> tuple[str, ...]:
    """Where some views have things and some have none."""
    without = [view.name for view in views if view.things is None]
    if len(without) in (0, len(views)):
        return ()
    return (
        f"{len(without)} of {len(views)} views have no things (things_file_path), such as that of "
        f"{without[0]}: edits of whole things follow the picture's edges there.",
    )


@contextmanager
def _as_capture_error() -> Iterator[None]:
    try:
        yield
    except PictureError as error:
        raise CaptureError(str(error)) from error


def pinhole(view: StoredView) -> Intrinsics:
    """The camera of a view without its distortion, at the stored size.

    Raises:
        CaptureError: the distortion cannot be undone.
    """
    try:
        return undistorted(view.intrinsics, view.lens)
    except BadInput as error:
        raise CaptureError(
            f"{view.name} cannot be used: {error}; check the numbers of its lens (k1, k2, ...), or "
            "give undistorted photos."
        ) from error
