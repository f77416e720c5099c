"""The lens of a view as transforms.json writes it: in a frame or, for all frames, at the top."""

import math
from pathlib import Path

import msgspec

from backend.captures.error import CaptureError, WrongSize
from backend.captures.lens import Intrinsics, Lens

PERSPECTIVE = {"OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"}
FISHEYE = {"OPENCV_FISHEYE", "FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE"}
FOCAL_LENGTHS = (("fl_x", "camera_angle_x", "x_fov"), ("fl_y", "camera_angle_y", "y_fov"))
"""Along x and along y, in pixels, in radians, in degrees."""
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
BEYOND_ANY_CAMERA = 1e9
SHORTEST = 0.1
"""Of a perspective camera, as a share of the image's side: an angle of view of 157 degrees. So the
50 mm of a common lens are no pixels of a picture either."""
SMALL = 8
"""Up to so many pixels a side, a centre of 0 to 1 is in pixels."""

SAME, RESIZED = 0.02, 1.3
"""A centre that is so many times as far right as the middle, and as far down up to this share, is
that of a picture of another size. The largest shifts of lenses and crops are not the same along
both sides."""


class CameraFields(msgspec.Struct):
    """What may stand in a frame or at the top. Sizes, focal lengths and centres in pixels;
    `camera_angle_*` in radians and `*_fov` in degrees, both across the whole image.
    """

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


def camera_of(
    file: Path, name: str, frame: CameraFields, top: CameraFields, size: tuple[int, int]
) -> tuple[Intrinsics, Lens]:
    """The camera of an image.

    Args:
        file: the description, for sentences.
        name: of the image, for sentences.
        frame: what stands in its frame, which counts more than
        top: what stands at the top.
        size: width and height of the image in pixels.

    Raises:
        CaptureError: a value makes no sense, is missing, or the model is not supported; the
            sentence names the field that the file has.
    """
    width, height = size

    def value(field: str, otherwise: float) -> float:
        given = [getattr(place, field) for place in (frame, top)]
        number = next((float(number) for number in given if number is not None), otherwise)
        if not abs(number) < BEYOND_ANY_CAMERA:
            raise CaptureError(f"{file} gives {name} the {field} {number:g}, which is no camera's.")
        return number

    cx, cy = value("cx", width / 2), value("cy", height / 2)
    if 0 < cx <= 1 and 0 < cy <= 1 and min(size) > SMALL:
        raise CaptureError(
            f"{file} gives {name} the cx {cx:g} and the cy {cy:g}, which is no centre in pixels of "
            f"an image of {width}x{height}: it looks like shares of the image's sides; leave both "
            "out if it is the middle."
        )
    _check_centre(file, name, (cx, cy), size, (value("w", width), value("h", height)))
    fisheye = _is_fisheye(file, name, frame, top)
    fx, fy = _focal_lengths(file, name, frame, top, size, fisheye)
    intrinsics = Intrinsics(fx, fy, cx, cy, width, height)
    lens = Lens(
        **{field: value(field, 0.0) for field in DISTORTION},
        fisheye=fisheye,
    )
    said = f"{value('w', width):g}x{value('h', height):g}"
    if said != f"{width}x{height}":
        lying = " (lying on its side: save it upright)" if said == f"{height}x{width}" else ""
        raise WrongSize(f"{file} says that {name} is {said}, but it is {width}x{height}{lying}.")
    return intrinsics, lens


def _check_centre(
    file: Path,
    name: str,
    centre: tuple[float, float],
    size: tuple[int, int],
    said: tuple[float, float],
) -> None:
    """That a centre is that of a picture of this size. One that is the middle of another size, or
    on the border, is no camera's: its focal length is for another size, too, or nobody gave it.

    Args:
        centre: cx and cy.
        size: width and height of the image.
        said: those that the file says, which is refused where it differs.

    Raises:
        CaptureError: it is not.
    """
    if any(given != pixels for given, pixels in zip(said, size, strict=True)):
        return
    times = [2 * at / pixels for at, pixels in zip(centre, size, strict=True)]
    wrong = (
        f"{file} gives {name} the cx {centre[0]:g} and the cy {centre[1]:g}, but it is "
        f"{size[0]}x{size[1]}"
    )
    same = abs(times[0] - times[1]) <= SAME * max(times)
    if min(times) > 0 and same and not 1 / RESIZED < times[0] < RESIZED:
        raise CaptureError(
            f"{wrong}: they look like those of an image of {2 * centre[0]:.0f}x"
            f"{2 * centre[1]:.0f}; write fl_x, fl_y, cx and cy of {size[0]}x{size[1]}, or give the "
            "images of that size."
        )
    if not all(0 < at < 2 for at in times):
        raise CaptureError(
            f"{wrong}, and they are not inside it: correct them, or leave both out if it is the "
            "middle."
        )


def _focal_lengths(
    file: Path,
    name: str,
    frame: CameraFields,
    top: CameraFields,
    size: tuple[int, int],
    fisheye: bool,
) -> tuple[float, float]:
    """Focal lengths along x and y in pixels; one that is missing is the other."""
    for place in (frame, top):
        fx, fy = (
            _focal_length(file, name, place, fields, pixels, fisheye)
            for fields, pixels in zip(FOCAL_LENGTHS, size, strict=True)
        )
        either = fy if fx is None else fx
        if either is not None:
            return either, either if fy is None else fy
    raise CaptureError(f"{file} does not say the focal length of {name} (fl_x, camera_angle_x).")


def _focal_length(
    file: Path,
    name: str,
    place: CameraFields,
    fields: tuple[str, str, str],
    pixels: int,
    fisheye: bool,
) -> float | None:
    """The focal length in pixels by the first of three fields that the file has: pixels, radians,
    degrees.
    """
    length, radians, degrees = (getattr(place, field) for field in fields)
    if length is not None:
        if not 0 < length < BEYOND_ANY_CAMERA:
            raise CaptureError(
                f"{file} gives {name} the {fields[0]} {length:g}, which is no focal length."
            )
        if length < SHORTEST * pixels and not fisheye:
            raise CaptureError(
                f"{file} gives {name} the {fields[0]} {length:g}, which is no focal length in "
                f"pixels of an image of {pixels}: it looks like a share of the image's side or "
                "another unit."
            )
        return float(length)
    field, angle, half_turn = fields[1], radians, math.pi
    if degrees is not None:
        field, angle, half_turn = fields[2], degrees, 180.0
    if angle is None:
        return None
    if not 0 < angle < half_turn:
        wrong = f"{file} gives {name} the {field} {angle:g}, which is no angle of view"
        if half_turn < angle < 180:
            wrong += f": it looks like degrees, which are {math.radians(angle):.6g} radians"
        raise CaptureError(f"{wrong}.")
    if degrees is not None and angle <= math.pi:
        raise CaptureError(
            f"{file} gives {name} the {field} {angle:g}, which looks like radians: write "
            f"{math.degrees(angle):.6g}, as {field} is in degrees, or {fields[1]} in its place; of "
            f"a telephoto lens, give {fields[0]}."
        )
    found = pixels / 2 / math.tan(angle * math.pi / half_turn / 2)
    if not 0 < found < BEYOND_ANY_CAMERA:
        raise CaptureError(f"{file} gives {name} the {field} {angle:g}, which is no camera's.")
    return found


def _is_fisheye(file: Path, name: str, frame: CameraFields, top: CameraFields) -> bool:
    model = frame.camera_model or top.camera_model
    if model is not None and model.upper() not in PERSPECTIVE | FISHEYE:
        raise CaptureError(
            f"{file} gives {name} the camera model {model}, which is not supported: undistort the "
            "images to a perspective camera."
        )
    if model is not None:
        return model.upper() in FISHEYE
    return bool(frame.is_fisheye if frame.is_fisheye is not None else top.is_fisheye)
