"""What describes scenes and is not read, each with what to give in its place."""

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from backend.captures.files import FILE_NAME, FILM_SUFFIXES, photo_folder

HEAD = 8192
"""Bytes in which a file says what it is."""
SPLAT_FIELDS = (b"f_dc_0", b"packed_position")
AS_COLMAP = "export its cameras in COLMAP's text format, and put them into a folder sparse/0"
AS_TRANSFORMS = f"write its cameras into a {FILE_NAME}"
PHOTOS_OF_IT = "give the folder of the photos and cameras that it was made from"


@dataclass(frozen=True)
class Unread:
    """A kind of file.

    Attributes:
        patterns: of its name.
        what: it is.
        instead: what to do.
        head: what it must have among its first bytes, where others have names like its own.
    """

    patterns: tuple[str, ...]
    what: str
    instead: str
    head: bytes = b""


CAMERAS = (
    Unread(("bundle.out", "bundle.rd.out"), "Bundler's list of cameras", AS_COLMAP),
    Unread(("*.nvm",), "VisualSFM's list of cameras", AS_COLMAP),
    Unread(
        (
            "cameras.sfm",
            "sfm.abc",
            "sfm_data.json",
            "*.mg",
            "MeshroomCache/StructureFromMotion/*/cameras.sfm",
        ),
        "AliceVision's list of cameras",
        AS_COLMAP,
    ),
    Unread(
        ("reconstruction.json", "opensfm/reconstruction.json"),
        "OpenSfM's list of cameras",
        "run opensfm export_colmap",
    ),
    Unread(("*.csv",), "RealityCapture's list of cameras", AS_COLMAP, head=b"#name,x,y"),
    Unread(
        ("*.xmp", "images/*.xmp"),
        "a camera of RealityCapture's",
        AS_COLMAP,
        head=b"capturingreality",
    ),
    Unread(
        ("cameras.npz", "cameras_sphere.npz", "cameras_large.npz"),
        "the list of cameras of NeuS and IDR",
        AS_TRANSFORMS,
    ),
    Unread(("meta_data.json",), "SDFStudio's list of cameras", AS_TRANSFORMS),
    Unread(("cams/*_cam.txt",), "a camera of MVSNet's", AS_TRANSFORMS),
    Unread(("*.psx", "*.psz"), "a project of Metashape's", "export its cameras as Agisoft XML"),
    Unread(("*.rcproj", "*.rsproj"), "a project of RealityCapture's", AS_COLMAP),
    Unread(("*.p4d",), "a project of Pix4D's", AS_COLMAP),
    Unread(
        (
            "sparse/*.bin",
            "sparse/*.txt",
            "sparse/*/*.bin",
            "sparse/*/*.txt",
            "cameras.bin",
            "images.bin",
        ),
        "a part of a model of COLMAP's that lacks its cameras or its images",
        "give both, as cameras.bin and images.bin or as cameras.txt and images.txt",
    ),
)
"""What has cameras of photos: photos beside it are not searched for cameras anew unasked."""
OTHERS = (
    Unread(
        ("*.splat", "*.ksplat", "*.spz", "*.sog", "point_cloud/iteration_*/point_cloud.ply"),
        "a Gaussian splat, not a capture",
        PHOTOS_OF_IT,
    ),
    Unread(("*.zip", "*.r3d", "*.7z", "*.rar", "*.tar", "*.tgz", "*.tar.gz"), "an archive", ""),
    Unread(
        ("*.obj", "*.glb", "*.gltf", "*.fbx", "*.stl", "*.usd", "*.usdz", "*.dae"),
        "a mesh, not a capture",
        f"{PHOTOS_OF_IT}, or edit its texture with `scene texture`",
    ),
    Unread(("*.e57", "*.las", "*.laz", "*.pts", "*.pcd"), "a cloud of points", PHOTOS_OF_IT),
    Unread(("*.ply",), "a mesh or points, not a capture", PHOTOS_OF_IT),
    Unread(tuple(f"*{suffix}" for suffix in FILM_SUFFIXES), "a film", ""),
)
"""What counts only where it is named itself, or lies in a folder without photos."""


def refusal(place: Path) -> str | None:
    """One sentence on what a capture's place holds that is not read; None where it holds none.

    Args:
        place: a folder, or a file.
    """
    found = _first(place, CAMERAS)
    if found is None and (place.is_file() or (place.is_dir() and photo_folder(place) is None)):
        found = _first(place, OTHERS)
    if found is None:
        return None
    kind, file = found
    if kind.what == "an archive":
        return f"{file} is an archive: unpack it, and name the folder that it makes."
    if kind.what == "a film":
        return (
            f'{file} is a film: let `python -m backend scene import "{file}"` draw photos from it.'
        )
    what, instead = kind.what, kind.instead
    if file.suffix.lower() == ".ply" and is_splat(file):
        what, instead = OTHERS[0].what, OTHERS[0].instead
    if kind in CAMERAS and place.is_dir() and photo_folder(place) is not None:
        anew = place / FILE_NAME
        instead += f", or let `scene import` find the photos' cameras anew, with --out {anew}"
    return f"{file} is {what}, and such a file is not read: {instead}."


def is_splat(file: Path) -> bool:
    """Whether a .ply file holds Gaussian splats."""
    head = _head(file)
    return any(field in head for field in SPLAT_FIELDS)


def _first(place: Path, kinds: tuple[Unread, ...]) -> tuple[Unread, Path] | None:
    """The first of some kinds that a place is or holds."""
    if not place.exists():
        return None
    names = [place.name] if place.is_file() else sorted(file.name for file in place.iterdir())
    folder = place.parent if place.is_file() else place
    for kind in kinds:
        for pattern in kind.patterns:
            if "/" in pattern:
                found = sorted(place.glob(pattern)) if place.is_dir() else []
            else:
                found = [folder / name for name in names if fnmatch(name.lower(), pattern)]
            for file in found:
                if not kind.head or kind.head in _head(file):
                    return kind, file
    return None


def _head(file: Path) -> bytes:
    """The first bytes of a file; none of one that cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(HEAD)
    except OSError:
        return b""
