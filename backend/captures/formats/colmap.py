"""COLMAP's models: cameras and images as .bin or .txt (colmap.github.io/format.html).

COLMAP's own library reads them, too, but takes minutes over a file that was cut off, and reads all
points, of which nothing is needed here.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from backend.captures.error import CaptureError
from backend.captures.files import photo_folder, photo_folders, photos_in
from backend.captures.formats.described import Described, Frame, camera_of_size, from_opencv
from backend.captures.lens import Intrinsics, Lens

PARTS = ("cameras", "images")
SUFFIXES = (".bin", ".txt")
PLACES = (
    "sparse",
    "colmap/sparse",
    "distorted/sparse",
    "model",
    ".",
    "dense/0/sparse",
    "dense/sparse",
)
"""Where models lie in a capture's folder: there, or in a numbered folder there."""
ABOVE = 3
"""So many folders up from what is named its pictures are looked for, too, as it may be a model."""

MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    12: ("SIMPLE_DIVISION", 4),
    13: ("DIVISION", 5),
    14: ("SIMPLE_FISHEYE", 3),
    15: ("FISHEYE", 4),
    16: ("EUCM", 6),
    17: ("EQUIRECTANGULAR", 2),
}
"""COLMAP's camera models by their number: name, and count of parameters."""
LENSES: dict[str, Callable[..., Lens]] = {
    "SIMPLE_PINHOLE": Lens,
    "PINHOLE": Lens,
    "SIMPLE_RADIAL": lambda k1: Lens(k1=k1),
    "RADIAL": lambda k1, k2: Lens(k1=k1, k2=k2),
    "OPENCV": lambda k1, k2, p1, p2: Lens(k1=k1, k2=k2, p1=p1, p2=p2),
    "SIMPLE_FISHEYE": lambda: Lens(fisheye=True),
    "FISHEYE": lambda: Lens(fisheye=True),
    "SIMPLE_RADIAL_FISHEYE": lambda k1: Lens(k1=k1, fisheye=True),
    "RADIAL_FISHEYE": lambda k1, k2: Lens(k1=k1, k2=k2, fisheye=True),
    "OPENCV_FISHEYE": lambda k1, k2, k3, k4: Lens(k1=k1, k2=k2, k3=k3, k4=k4, fisheye=True),
}
"""By COLMAP's name of the camera model: the lens of its parameters after focal lengths and
centre."""


def find(place: Path) -> Path | None:
    """The folder of the largest model that a capture has, of those that lie where photos do if
    there are any; or the model that is named itself, by its folder or one of its files.
    """
    if place.is_file() and place.stem in PARTS and place.suffix in SUFFIXES:
        place = place.parent
    if not place.is_dir():
        return None
    found = []
    for name in PLACES:
        models = [model for model in _models(place / name) if _suffix(model) is not None]
        if models:
            found.append(max(models, key=_size))
    with_photos = (model for model in found if any(map(photo_folder, _between(place, model))))
    return next(with_photos, found[0] if found else None)


def read(place: Path, model: Path) -> Described:
    """The pictures that a model has placed.

    Raises:
        CaptureError: it is damaged, has no pictures, or a camera of a model that is not read.
    """
    frames, nested = [], False
    cameras, images = _read(model)
    folder, photos = _folders(place, model, [image.name for image in images])
    known = {
        number: camera_of_size(model, *_intrinsics(model, cameras[number]))
        for number in {image.camera for image in images}
    }
    for image in images:
        written = image.name if photos == folder else f"{photos.name}/{image.name}"
        nested |= "/" in image.name
        frames.append(Frame(model, written, known[image.camera], from_opencv(image.pose())))
    notes = []
    placed = {frame.image.rsplit("/", 1)[-1] for frame in frames}
    without = [] if nested else [name for name in photos_in(photos) if name not in placed]
    if without:
        notes.append(
            f"{len(without)} photos in {photos.name} have no camera in {model.name}, such as "
            f"{without[0]}, and are left out."
        )
    rest = sorted({other.name for other in _models(model.parent) if _suffix(other)} - {model.name})
    named = place.is_file() or place.resolve() == model.resolve()
    if model.name.isdigit() and rest and not named:
        notes.append(
            f"COLMAP left {len(rest) + 1} models, of which the largest is read ({model.name}), not "
            f"{', '.join(rest)}: their cameras do not stand in one world."
        )
    return Described(model, folder, frames, opengl=True, notes=notes)


def _models(place: Path) -> Iterator[Path]:
    """Where models may lie: in a folder or in its numbered ones."""
    if place.is_dir():
        yield place
        yield from sorted(one for one in place.iterdir() if one.name.isdigit() and one.is_dir())


def _suffix(model: Path) -> str | None:
    """In which form a folder has a model; None where it has none."""
    for suffix in SUFFIXES:
        if all((model / f"{part}{suffix}").is_file() for part in PARTS):
            return suffix
    return None


def _size(model: Path) -> int:
    return (model / f"images{_suffix(model)}").stat().st_size


def _folders(place: Path, model: Path, names: Sequence[str]) -> tuple[Path, Path]:
    """The folder of a capture, and the one in it that a model's names of pictures are relative to:
    where any of these is, else where any photos are.
    """
    place = place.parent if place.is_file() else place
    bases = (*_between(place, model), *place.resolve().parents[:ABOVE])
    found = [(base, photos) for base in bases for photos in photo_folders(base)]
    for base, photos in found:
        if any((photos / name).is_file() for name in names):
            return base, photos
    return found[0] if found else (place, place)


def _between(place: Path, model: Path) -> list[Path]:
    """The folders from a model up to the capture's."""
    return [base for base in (model, *model.parents) if base.is_relative_to(place)]


@dataclass(frozen=True)
class _Camera:
    model: str
    width: int
    height: int
    params: Sequence[float]


@dataclass(frozen=True)
class _Image:
    name: str
    camera: int
    quaternion: Sequence[float]
    """Of world to camera, w first."""
    shift: Sequence[float]

    def pose(self) -> NDArray[np.float64]:
        """float64 (4, 4): camera-to-world, OpenCV's camera."""
        w, *xyz = self.quaternion
        turned = Rotation.from_quat([*xyz, w]).as_matrix().T
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turned, -turned @ np.array(self.shift)
        return pose


def _read(model: Path) -> tuple[dict[int, _Camera], list[_Image]]:
    """The cameras by their number, and the placed images by their names.

    Raises:
        CaptureError: a file is damaged.
    """
    try:
        if _suffix(model) == ".bin":
            cameras = dict(_binary_cameras((model / "cameras.bin").read_bytes()))
            images = list(_binary_images((model / "images.bin").read_bytes()))
        else:
            cameras = dict(_text_cameras((model / "cameras.txt").read_text("utf-8-sig")))
            images = list(_text_images((model / "images.txt").read_text("utf-8-sig")))
        for image in images:
            if image.camera not in cameras:
                raise ValueError(f"{image.name} has the camera {image.camera}, which is missing")
            image.pose()
        for camera in cameras.values():
            if len(camera.params) != dict(MODELS.values()).get(camera.model, len(camera.params)):
                raise ValueError(f"a camera {camera.model} has {len(camera.params)} parameters")
    except (OSError, ValueError, LookupError, struct.error) as error:
        raise CaptureError(
            f"{model} cannot be read as a model of COLMAP's, it may have been cut off: {error}."
        ) from error
    return cameras, sorted(images, key=lambda image: image.name)


def _binary_cameras(data: bytes) -> Iterator[tuple[int, _Camera]]:
    at, count = 8, struct.unpack_from("<Q", data)[0]
    for _ in range(count):
        number, model, width, height = struct.unpack_from("<iiQQ", data, at)
        name, params = MODELS.get(model, (f"number {model}", 0))
        at += 24
        yield number, _Camera(name, width, height, struct.unpack_from(f"<{params}d", data, at))
        at += 8 * params
        if model not in MODELS:
            return  # how long it is nobody knows; the name refuses it


def _binary_images(data: bytes) -> Iterator[_Image]:
    at, count = 8, struct.unpack_from("<Q", data)[0]
    for _ in range(count):
        _, *numbers, camera = struct.unpack_from("<i7di", data, at)
        end = data.index(b"\0", at + 64)
        name = data[at + 64 : end].decode("utf-8", "surrogateescape")
        yield _Image(name, camera, numbers[:4], numbers[4:])
        (points,) = struct.unpack_from("<Q", data, end + 1)
        at = end + 9 + 24 * points
        if at > len(data):
            raise ValueError(f"images.bin ends within {name}")


def _text_cameras(text: str) -> Iterator[tuple[int, _Camera]]:
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            number, model, width, height, *params = line.split()
            yield int(number), _Camera(model, int(width), int(height), [*map(float, params)])


def _text_images(text: str) -> Iterator[_Image]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in lines:
        if not line.strip():
            continue
        words = line.split(maxsplit=9)
        yield _Image(
            words[9].strip(), int(words[8]), [*map(float, words[1:5])], [*map(float, words[5:8])]
        )
        points = next(lines, "").split()  # x, y and number of each, none in an empty line
        if len(points) % 3 or not all(map(_is_number, points[-3:])):
            raise ValueError(f"the line after that of {words[9].strip()} does not hold its points")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _intrinsics(model: Path, camera: _Camera) -> tuple[Intrinsics, Lens]:
    """A camera and its lens.

    Raises:
        CaptureError: it is of a model that no lens here can be, or its numbers are no camera's.
    """
    name, params = camera.model, camera.params
    if name == "FULL_OPENCV" and len(params) == 12 and not any(params[9:]):
        k1, k2, p1, p2, k3 = params[4:9]
        lens, one = Lens(k1=k1, k2=k2, k3=k3, p1=p1, p2=p2), 0
    elif name in LENSES:
        one = name.startswith("SIMPLE") or name in ("RADIAL", "RADIAL_FISHEYE")
        lens = LENSES[name](*params[3 if one else 4 :])
    else:
        raise CaptureError(
            f"{model} has the camera model {name}, which is not read: let COLMAP undistort the "
            "photos (colmap image_undistorter), and give the folder that it writes."
        )
    fx, fy, cx, cy = (params[0], *params[:3]) if one else params[:4]
    if not (min(fx, fy, camera.width, camera.height) > 0 and np.isfinite(params).all()):
        raise CaptureError(f"{model} has a camera whose numbers are no camera's: {params}.")
    return Intrinsics(fx, fy, cx, cy, camera.width, camera.height), lens
