"""Depth images of views, in whatever form programs write them, and whether they fit the cameras."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.captures.box import AHEAD, crossing
from backend.captures.error import CaptureError
from backend.errors import BadInput

INTEGER_UNIT = 1e-3
"""Capture units of one step of a depth in whole numbers, as in nerfstudio."""
SAME_SHAPE = 0.02
"""By how much height / width may differ from the image's, besides the rounding of a pixel: depth
sensors have other sizes than cameras."""
BEYOND = 1e9
"""Renderers write such numbers where there is nothing."""
PACKED = {".depth": "lzfse", ".exr": "OpenEXR"}
"""Suffixes of depths, which Record3D writes, by the package that reads them."""
BESIDE = {"Z": "X", "V": "U"}
"""What Blender calls the channel of a depth, and what is beside it where it is part of vectors."""
FITS, FITS_SPREAD = 30.0, 300.0


def read_depth(
    path: Path, width: int, height: int, integer_unit: float = INTEGER_UNIT
) -> NDArray[np.float32]:
    """Read a depth image: `.npy` of any numbers, an image with 16 or 32 bits a pixel, OpenEXR, or
    Record3D's `.depth`. Floats are in capture units, whole numbers in `integer_unit` of them. What
    is not finite, beyond 1e9 or below 0 is not known.

    Args:
        path: the file; (h, w), with axes of length 1 or without.
        width, height: of the view's image; a depth image of another size is resized by taking the
            nearest pixel, never a mean of the near and the far side of an edge.
        integer_unit: capture units of one step of a whole number.

    Returns:
        float32 (height, width), distance along the viewing axis in capture units, 0 where it is not
        known.

    Raises:
        CaptureError: it is missing, damaged, holds no depths, or has another shape than the image.
    """
    with _as_capture_error(path):
        depth = _checked(path, _stored(path, width, height), width, height)
    rows, columns = depth.shape
    unit = integer_unit if depth.dtype.kind in "iu" else 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        metric = (depth.astype(np.float64) * unit).astype(np.float32)
        known = (metric > 0) & (metric < BEYOND)  # NaN is neither
    if (rows, columns) != (height, width):
        at_rows = (np.arange(height) * 2 + 1) * rows // (2 * height)
        at_columns = (np.arange(width) * 2 + 1) * columns // (2 * width)
        metric, known = (values[at_rows[:, None], at_columns] for values in (metric, known))
    return np.where(known, metric, np.float32(0))


def check_depth(path: Path, width: int, height: int) -> None:
    """Check a depth image by its header; one of Record3D's whole.

    Args:
        path, width, height: as in `read_depth`.

    Raises:
        CaptureError: as in `read_depth`, but for damage behind the header.
    """
    with _as_capture_error(path):
        if path.suffix.lower() == ".npy":
            _checked(path, np.load(path, mmap_mode="r", allow_pickle=False), width, height)
            return
        if path.suffix.lower() in PACKED:
            _checked(path, _stored(path, width, height), width, height)
            return
        with Image.open(path) as file:
            _check_mode(file)
            _check_size(path, file.height, file.width, width, height)


def _stored(path: Path, width: int, height: int) -> NDArray[np.generic]:
    """The file's array or image; of the view's shape where the file does not say its own."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if suffix in PACKED:
        try:
            package = import_module(PACKED[suffix])
        except ImportError as error:
            raise CaptureError(
                f"{path} needs the package {PACKED[suffix]}, which is missing: run `python "
                "install.py backend` again."
            ) from error
        path.stat()  # where it is missing, the packages do not say so
        return _exr(package, path) if suffix == ".exr" else _lzfse(package, path, width, height)
    with Image.open(path) as file:
        _check_mode(file)
        return np.asarray(file)


def _lzfse(package: Any, path: Path, width: int, height: int) -> NDArray[np.float32]:
    """Record3D's depths: float32 row by row, compressed by LZFSE."""
    try:
        data: bytes = package.decompress(path.read_bytes())
    except package.error as error:
        raise BadInput("it is damaged, or not compressed by LZFSE") from error
    count = len(data) // 4
    rows = round(math.sqrt(count * height / width))
    if rows == 0 or len(data) % (4 * rows):
        raise BadInput(f"its {len(data)} bytes are no depths of the shape of its image")
    return np.frombuffer(data, "<f4").reshape(rows, -1)


def _exr(package: Any, path: Path) -> NDArray[np.generic]:
    """The channel Z, Y or R of an OpenEXR file, which may have others of the same numbers; or the
    only one of its layers that is called so as Blender calls depths: `ViewLayer.Depth.Z`, `V`.
    """
    try:
        with package.File(str(path), separate_channels=True) as file:
            channels: dict[str, Any] = {
                name: channel.pixels for name, channel in file.channels().items()
            }
    except (RuntimeError, ValueError) as error:
        raise BadInput("it is damaged, or no OpenEXR file") from error
    name = next((name for name in "ZYR" if name in channels), None)
    alone = [
        name
        for name in channels
        if (end := name[-1:]) in BESIDE
        and name[-2:-1] in ("", ".")
        and name[:-1] + BESIDE[end] not in channels
    ]
    if name is None and len(alone) == 1:
        name = alone[0]
    if name is None:
        raise BadInput(f"it has the channels {', '.join(channels)}, and none is Z, Y or R")
    depth = np.asarray(channels[name])
    further = [channels[other] for other in "GB" if name == "R" and other in channels]
    if not all(np.array_equal(depth, other, equal_nan=True) for other in further):
        raise BadInput("it has colours")
    return depth


def _check_mode(file: Image.Image) -> None:
    if not (file.mode.startswith("I") or file.mode == "F"):
        raise BadInput(
            f"it has colours, or less than 16 bits a pixel (it is of the kind {file.mode})"
        )


def _checked(
    path: Path, stored: NDArray[np.generic], width: int, height: int
) -> NDArray[np.generic]:
    """(h, w) of an array that may have more axes, of length 1."""
    if stored.dtype.kind not in "fiu":
        raise BadInput(f"it holds {stored.dtype}, not numbers")
    flat = stored if stored.ndim == 2 else stored.squeeze()
    if flat.ndim != 2 or flat.size == 0:
        raise BadInput(f"its array has the shape {stored.shape}, not (height, width)")
    rows, columns = flat.shape
    _check_size(path, rows, columns, width, height)
    return flat


def _check_size(path: Path, rows: int, columns: int, width: int, height: int) -> None:
    slack = SAME_SHAPE * rows * width + max(width, height) / 2  # sizes are rounded
    if abs(rows * width - columns * height) > slack:
        raise CaptureError(
            f"{path} is {columns}x{rows}, of another shape than its image, which is "
            f"{width}x{height}."
        )


@contextmanager
def _as_capture_error(path: Path) -> Iterator[None]:
    try:
        yield
    except CaptureError:
        raise
    except FileNotFoundError:
        raise CaptureError(f"The depth image {path} does not exist.") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise CaptureError(f"{path} cannot be read as a depth image: {error}.") from error


def usual_depth(depth: NDArray[np.float32] | None) -> float:
    """The median of a depth image where it is known, NaN where it nowhere is."""
    known = np.zeros(0) if depth is None else depth[depth > 0]
    return float(np.median(known)) if len(known) else math.nan


@dataclass(frozen=True, eq=False)
class DepthUnits:
    """How depths fit the cameras' distances.

    Attributes:
        times: of all, how many times larger they are than the cameras allow, below 1 where they are
            smaller; None where they may be right.
        odd: bool (n,), those that are in another unit than most.
    """

    times: float | None
    odd: NDArray[np.bool_]


def depth_units(depths: NDArray[np.float64], camera_to_world: NDArray[np.float64]) -> DepthUnits:
    """Compare depths with the cameras and with each other: with what the cameras look at up to a
    factor of FITS or, where they look at no one thing, with how far they spread up to FITS_SPREAD.

    Args:
        depths: float64 (n,), `usual_depth` of each camera's, NaN where that is not known.
        camera_to_world: float64 (n, 4, 4), of cameras at different places.
    """
    positions, forward = camera_to_world[:, :3, 3], -camera_to_world[:, :3, 2]
    found = crossing(camera_to_world)
    expected = np.full(len(positions), np.ptp(positions, axis=0).max())
    fits = FITS_SPREAD
    if found is not None and found.ahead >= AHEAD:
        expected, fits = ((found.point - positions) * forward).sum(axis=1), FITS
    ratios = depths / np.where(expected > 0, expected, math.nan)
    if np.isnan(ratios).all():
        return DepthUnits(None, np.zeros(len(depths), dtype=bool))
    times = float(np.nanmedian(ratios))
    with np.errstate(invalid="ignore"):
        odd = (ratios > FITS_SPREAD * times) | (ratios < times / FITS_SPREAD)
    return DepthUnits(None if 1 / fits <= times <= fits else times, odd)
