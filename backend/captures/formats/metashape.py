"""The cameras that Agisoft Metashape exports as XML (its manual, appendix "Camera models").

Cameras are OpenCV's (y down, looking along z), in the chunk's coordinates or, where a component has
a transform, in those that it leads to, in units of the first one.
"""

from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from backend.captures.error import CaptureError
from backend.captures.files import photo_folder, photos_in
from backend.captures.formats.described import (
    UNKNOWN,
    CameraOf,
    Described,
    Frame,
    camera_of_size,
    from_opencv,
)
from backend.captures.lens import Intrinsics, Lens
from backend.pictures.reading import PictureError, orientation_in

LENS_TYPES = ("frame", "fisheye")
SKEW = 0.5
"""Pixels: a B2 up to this moves nothing by more than about a quarter of one."""
HEAD = 4096
"""Bytes in which a file says what it is."""


def find(place: Path) -> Path | None:
    """The first .xml file of a folder that has Metashape's cameras, or the one that is named."""
    files = sorted(place.glob("*.xml")) if place.is_dir() else [place]
    return next((file for file in files if file.suffix.lower() == ".xml" and _is_ours(file)), None)


def _is_ours(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        head = opened.read(HEAD)
    return b"<document" in head and b"<chunk" in head


def read(place: Path, file: Path) -> Described:
    """The photos of all cameras of the file's first chunk.

    Raises:
        CaptureError: it makes no sense, or has lenses that are not read.
    """
    try:
        chunk = ElementTree.parse(file).getroot().find("chunk")
        if chunk is None:
            raise ValueError("it has no chunk")
        sensors = {
            sensor.get("id"): _sensor(file, sensor)
            for sensor in chunk.iterfind("sensors/sensor")
            if _calibration(sensor) is not None or sensor.get("type") not in LENS_TYPES
        }
        components = _components(chunk)
        folder = photo_folder(file.parent)
        photos = [] if folder is None else photos_in(folder)
        inside = "" if folder in (None, file.parent) else f"{folder.name}/" if folder else ""
        frames = []
        orientations: dict[str, str] = {}
        in_rigs = []
        for camera in chunk.iterfind("cameras//camera"):
            if camera.get("enabled") in ("false", "0"):
                continue
            label = camera.get("label") or ""
            sensor = sensors.get(camera.get("sensor_id"))
            placed = camera.find("transform")
            pose = UNKNOWN
            if placed is not None and sensor is not None:
                turn, scale = components.get(camera.get("component_id"), (np.eye(4), 1.0))
                own = np.array(_numbers(placed)).reshape(4, 4)
                own[:3, 3] *= scale
                pose = from_opencv(turn @ own)
            written = f"{inside}{_photo(photos, label)}"
            frames.append(Frame(file, written, sensor or _unknown_camera(file), pose))
            orientations[written] = (camera.findtext("orientation") or "").strip()
            if placed is None and camera.get("master_id") is not None:
                in_rigs.append(label)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        if isinstance(error, CaptureError):
            raise
        raise CaptureError(f"{file} cannot be read as Metashape's cameras: {error}.") from error
    notes = [*_rig_note(in_rigs), *_turned_note(file.parent, orientations)]
    return Described(file, file.parent, frames, opengl=True, notes=notes)


def _rig_note(labels: list[str]) -> list[str]:
    """On cameras whose place is that of another one in a rig, and is not given."""
    if not labels:
        return []
    return [
        f"Cameras of a rig, such as {labels[0]} ({len(labels)} in all), have no place but that of "
        "their master (master_id), which is not read: let Metashape export the cameras for COLMAP."
    ]


def _turned_note(folder: Path, orientations: dict[str, str]) -> list[str]:
    """On photos that may have been turned after Metashape had read them: its cameras are those of
    the pixels as they were stored, and `orientation` says how they were to be shown.
    """
    turned = []
    for name, known in orientations.items():
        try:
            if known not in ("", str(orientation_in(folder / name))):
                turned.append(name)
        except PictureError:
            pass  # it is left out, and that is said
    if not turned:
        return []
    return [
        f"Photos such as {turned[0]} ({len(turned)} in all) are marked to be shown otherwise than "
        "when Metashape read them (orientation): if they were saved upright since, give them as "
        "they were."
    ]


def _numbers(element: Element) -> list[float]:
    return [float(word) for word in (element.text or "").split()]


def _photo(photos: list[str], label: str) -> str:
    """The photo of a camera's label, which has its suffix or not."""
    name = label.replace("\\", "/").rsplit("/", 1)[-1]
    for photo in photos:
        if name.casefold() in (photo.casefold(), Path(photo).stem.casefold()):
            return photo
    stem = Path(name).stem.casefold()
    return next((photo for photo in photos if Path(photo).stem.casefold() == stem), name)


def _calibration(sensor: Element) -> Element | None:
    """The adjusted calibration, else the only one."""
    found = sensor.findall("calibration")
    adjusted = [one for one in found if one.get("class") == "adjusted"]
    return next(iter(adjusted or found), None)


def _sensor(file: Path, sensor: Element) -> CameraOf:
    kind = sensor.get("type") or "frame"
    if kind not in LENS_TYPES:
        raise CaptureError(
            f"{file} has a camera of the type {kind}, which is not read: let Metashape undistort "
            "the photos, and export them with their cameras."
        )
    found = _calibration(sensor)
    calibration = sensor if found is None else found
    size = calibration.find("resolution")
    size = sensor.find("resolution") if size is None else size
    if size is None:
        raise ValueError("a sensor has no resolution")
    width, height = int(size.get("width", 0)), int(size.get("height", 0))

    def value(name: str) -> float:
        element = calibration.find(name)
        number = 0.0 if element is None else float(element.text or "nan")
        if not np.isfinite(number):
            raise ValueError(f"a calibration has no number in {name}")
        return number

    focal = value("f") or value("fx")
    if min(focal, width, height) <= 0:
        raise ValueError("a calibration has no focal length or no size")
    if abs(value("b2")) > SKEW:
        raise CaptureError(
            f"{file} has a skew (b2 of {value('b2'):g}), which is not read: fix B2 in Metashape's "
            "camera calibration, optimise the cameras, and export them again."
        )
    # Metashape's P1 and P2 are OpenCV's the other way round.
    p1, p2 = value("p2"), value("p1")
    if kind == "fisheye" and (p1 or p2):
        raise CaptureError(
            f"{file} has a fisheye lens with p1 and p2, which is not read: fix P1 and P2 in "
            "Metashape's camera calibration, optimise the cameras, and export them again."
        )
    lens = Lens(
        value("k1"), value("k2"), value("k3"), value("k4"), p1, p2, fisheye=kind == "fisheye"
    )
    camera = Intrinsics(
        focal + value("b1"),
        focal,
        width / 2 + value("cx"),
        height / 2 + value("cy"),
        width,
        height,
    )
    return camera_of_size(file, camera, lens)


def _unknown_camera(file: Path) -> CameraOf:
    """Of a photo whose pose is unknown, too: it is left out for that."""

    def camera_of(name: str, size: tuple[int, int]) -> tuple[Intrinsics, Lens]:
        width, height = size
        return Intrinsics(width, width, width / 2, height / 2, width, height), Lens()

    return camera_of


def _components(chunk: Element) -> dict[str | None, tuple[NDArray[np.float64], float]]:
    """By a component's id: what its cameras' poses are turned and shifted by, after their
    positions have been scaled.
    """
    found: dict[str | None, tuple[NDArray[np.float64], float]] = {}
    unit = None
    for component in chunk.iterfind("components/component"):
        transform = component.find("transform")
        if transform is None:
            continue
        parts = {part.tag: _numbers(part) for part in transform}
        scale = parts.get("scale", [1.0])[0]
        unit = scale if unit is None else unit
        turn = np.eye(4)
        turn[:3, :3] = np.array(parts.get("rotation", np.eye(3).ravel())).reshape(3, 3)
        turn[:3, 3] = np.array(parts.get("translation", [0.0, 0, 0])) / unit
        found[component.get("id")] = turn, scale / unit
    return found
