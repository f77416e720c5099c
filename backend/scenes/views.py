"""The files of one view of a capture, and reading their pixels."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from backend.errors import BadInput
from backend.pictures import PictureError, asks_for_turning, read_picture, size_of
from backend.scenes.lens import Intrinsics, Lens, undistorted, undistortion_map

DEPTH_PNG_UNIT = 1e-3
"""Capture units of one step of a 16-bit depth image, as in nerfstudio."""


class CaptureError(BadInput):
    """A capture that cannot be used; the text is one sentence that names the file."""

    def __init__(self, sentence: str) -> None:
        # What files call each other can hold anything: kept to one line that can be printed.
        super().__init__(" ".join(sentence.encode("utf-8", "replace").decode().split()))


@dataclass(frozen=True, eq=False)
class Pixels:
    """What one view shows, as a pinhole camera sees it. Row 0 is at the top.

    Attributes:
        image: uint8 (H, W, 3), sRGB; straight colours where there is an alpha.
        alpha: uint8 (H, W), 255 where the scene is, 0 where nothing was rendered; or None.
        depth: float32 (H, W), distance along the viewing axis in capture units, 0 where it is not
            known; or None.
    """

    image: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    depth: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class StoredView:
    """One view's files, as they are stored.

    Attributes:
        name: what transforms.json calls the image.
        image: an image file, with or without alpha.
        depth: float32 `.npy` (H, W) in capture units, or 16-bit PNG in thousandths; or None.
        intrinsics: the camera of the stored image, before undistortion and downscaling.
        lens: its distortion.
    """

    name: str
    image: Path
    depth: Path | None
    intrinsics: Intrinsics
    lens: Lens

    def read(self, width: int, height: int) -> Pixels:
        """Read, undistort and scale down to `width` x `height`.

        Raises:
            CaptureError: a file is missing, damaged or of another size than it should have.
        """
        colours, depth = self.read_stored()
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
        return Pixels(np.ascontiguousarray(colours[..., :3]), alpha, depth)

    def read_stored(self) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """Read the files as they are: uint8 (H, W, 3 or 4) and float32 (H, W) or None.

        Raises:
            CaptureError: as in `read`.
        """
        colours = read_image(self.image)
        if colours.shape[:2] != (self.intrinsics.height, self.intrinsics.width):
            raise CaptureError(f"{self.image} has changed its size since the capture was opened.")
        return colours, None if self.depth is None else self._read_depth(self.depth)

    def _read_depth(self, path: Path) -> NDArray[np.float32]:
        try:
            if path.suffix.lower() == ".npy":
                depth = np.load(path, allow_pickle=False)
                if depth.dtype != np.float32:
                    raise BadInput(f"it holds {depth.dtype}, not float32")
            else:
                with Image.open(path) as file:
                    if not file.mode.startswith("I"):
                        raise BadInput("it does not have 16 bits a pixel")
                    depth = np.asarray(file).astype(np.float32) * np.float32(DEPTH_PNG_UNIT)
        except FileNotFoundError:
            raise CaptureError(f"The depth image {path} does not exist.") from None
        except (OSError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise CaptureError(f"{path} cannot be read as a depth image: {error}.") from error
        if depth.shape != (self.intrinsics.height, self.intrinsics.width):
            size = f"{self.intrinsics.width}x{self.intrinsics.height}"
            raise CaptureError(f"{path} is of another size than its image, which is {size}.")
        if not (np.isfinite(depth).all() and (depth >= 0).all()):
            raise CaptureError(f"{path} holds depths that are negative or not finite numbers.")
        return depth


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file, read from its header.

    Raises:
        CaptureError: it is missing, not an image, or has 32-bit or floating-point values.
    """
    with _as_capture_error():
        return size_of(path)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file whole, in sRGB: uint8 (H, W, 3), or (H, W, 4) where it has an alpha. The
    orientation that a camera may have noted beside the pixels is left out, as COLMAP does.

    Raises:
        CaptureError: as `image_size`, or it is damaged.
    """
    with _as_capture_error():
        picture = read_picture(path, upright=False)
    colours = picture.in_srgb()
    return colours if picture.alpha is None else np.dstack([colours, picture.alpha])


def turned_images(images: Sequence[Path]) -> tuple[str, ...]:
    """Names of those whose EXIF data ask for them to be shown turned or mirrored.

    Raises:
        CaptureError: as `image_size`.
    """
    with _as_capture_error():
        return tuple(image.name for image in images if asks_for_turning(image))


def note_on_turned(names: Sequence[str]) -> tuple[str, ...]:
    """What a person should know about the photos of `turned_images`; nothing where none is."""
    if not names:
        return ()
    which = (
        f"{len(names)} photos, such as {names[0]}, are"
        if len(names) > 1
        else f"The photo {names[0]} is"
    )
    return (
        f"{which} only marked to be shown turned: edits see what is stored, lying on its side "
        "unless it is saved upright first.",
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
    except ValueError as error:
        raise CaptureError(f"{view.name} cannot be used: {error}.") from error
