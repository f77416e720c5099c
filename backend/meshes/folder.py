"""Reading a mesh, its texture and views of it from the folder that Blender wrote them into.

    mesh.npz        corners (F, 3, 3), uvs (F, 3, 2) and occluders (G, 3, 3) as in `TexturedMesh`;
                    intrinsics (4,): fx, fy, cx, cy of all views in pixels; size (2,): width and
                    height of all views; camera_to_world (V, 4, 4); lit (): whether they are lit;
                    materials (F,), the number of each triangle's material, which may be left out
    texture.png     sRGB, with or without alpha
    views/000.png   ... as many as there are cameras

`blender_addon/tools/export_mesh.py` writes it.
"""

import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.captures.lens import Intrinsics
from backend.meshes.textured_mesh import MeshError, MeshView, TexturedMesh
from backend.pictures import PictureError, read_picture

NUMBERS = {
    "corners": (None, 3, 3),
    "uvs": (None, 3, 2),
    "occluders": (None, 3, 3),
    "intrinsics": (4,),
    "size": (2,),
    "camera_to_world": (None, 4, 4),
    "lit": (),
}
"""The arrays of mesh.npz and their shapes; None is any length."""
MATERIALS = "materials"
"""One more, of integers, which older folders lack."""
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""What numpy raises for damaged files."""


@dataclass(frozen=True, eq=False)
class MeshFolder:
    """What a folder holds.

    Attributes:
        mesh: the mesh and its texture.
        views: at least one, all of one size.
        lit: whether the views show the mesh in light, or its bare texture.
        materials: int32 (F,), the number of each triangle's material; None where it is not known.
    """

    mesh: TexturedMesh
    views: tuple[MeshView, ...]
    lit: bool
    materials: NDArray[np.int32] | None = None


def read_mesh_folder(folder: Path) -> MeshFolder:
    """Read and check all of a folder.

    Raises:
        MeshError: something is missing or cannot be used; one sentence that names the file.
    """
    if folder.exists() and not folder.is_dir():
        raise MeshError(
            f"{folder} is no folder: write one with blender_addon/tools/export_mesh.py."
        )
    if not folder.exists():
        raise MeshError(
            f"There is no folder {folder}: write it with blender_addon/tools/export_mesh.py."
        )
    path = folder / "mesh.npz"
    arrays = _read_arrays(path)
    texture = _read_image(folder / "texture.png")
    lens, size = arrays["intrinsics"], arrays["size"]
    if not np.isfinite([*lens, *size]).all() or min(*lens[:2], *size) <= 0:
        raise MeshError(f"{path} holds intrinsics or a size that no camera has: write it again.")
    fx, fy, cx, cy = lens.tolist()
    camera = Intrinsics(fx, fy, cx, cy, int(size[0]), int(size[1]))
    if not len(arrays["camera_to_world"]):
        raise MeshError(f"{path} holds no cameras: write it again with at least one view.")
    try:
        mesh = TexturedMesh(arrays["corners"], arrays["uvs"], texture, arrays["occluders"])
    except MeshError as error:
        raise MeshError(f"{path} cannot be used: {error}") from error
    views = []
    for number, pose in enumerate(arrays["camera_to_world"]):
        file = folder / "views" / f"{number:03d}.png"
        image = _read_image(file)
        try:
            views.append(MeshView(image[..., :3], camera, pose))
        except MeshError as error:
            raise MeshError(f"{file} cannot be used: {error}") from error
    materials = None
    if MATERIALS in arrays:
        materials = checked_labels(arrays[MATERIALS], path, len(mesh.corners))
    return MeshFolder(mesh, tuple(views), bool(arrays["lit"]), materials)


def read_labels(path: Path, faces: int) -> NDArray[np.int32]:
    """Labels of things, int32 (F,), for the triangles of a mesh, from a .npy file.

    Raises:
        MeshError: it is missing or damaged, or holds something else; one sentence that names it.
    """
    try:
        return checked_labels(np.load(path, allow_pickle=False), path, faces)
    except FileNotFoundError:
        raise MeshError(
            f"There is no file {path}: say pieces, islands or materials, or name a .npy file."
        ) from None
    except UNREADABLE as error:
        if isinstance(error, MeshError):
            raise
        raise MeshError(f"{path} cannot be read as a .npy file: {error}.") from error


def checked_labels(labels: NDArray[Any], path: Path, faces: int) -> NDArray[np.int32]:
    """Labels of a mesh's triangles, int32 (F,), from an array of a file.

    Raises:
        MeshError: they are no whole numbers from 0 on, or not one for each triangle.
    """
    labels = np.asarray(labels)
    if labels.shape != (faces,):
        raise MeshError(
            f"{path} must hold one label for each of the mesh's {faces} triangles, not an array of "
            f"the shape {labels.shape}."
        )
    whole = labels.dtype.kind in "buif" and bool((labels == np.floor(labels)).all())
    if not whole or labels.min() < 0 or labels.max() >= 2**31:
        raise MeshError(f"{path}: labels must be whole numbers from 0 on.")
    return labels.astype(np.int32)


def _read_arrays(path: Path) -> dict[str, NDArray[np.float64]]:
    arrays = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in NUMBERS:
                arrays[name] = np.asarray(file[name], np.float64)
            if MATERIALS in file:
                arrays[MATERIALS] = np.asarray(file[MATERIALS], np.float64)
    except FileNotFoundError:
        raise MeshError(
            f"There is no file {path}: write it with blender_addon/tools/export_mesh.py."
        ) from None
    except KeyError as error:
        raise MeshError(f"{path} is not complete, write it again: {error.args[0]}.") from error
    except UNREADABLE as error:
        raise MeshError(f"{path} cannot be read, write it again: {error}.") from error
    for name, shape in NUMBERS.items():
        found = arrays[name].shape
        if len(found) != len(shape) or any(
            wanted not in (None, length) for wanted, length in zip(shape, found, strict=True)
        ):
            raise MeshError(f"{path}: {name} must have the shape {shape}, not {found}.")
    return arrays


def _read_image(path: Path) -> NDArray[np.uint8]:
    """uint8 (H, W, 3 or 4), sRGB."""
    try:
        picture = read_picture(path, upright=False)
    except PictureError as error:
        raise MeshError(f"{str(error)[:-1]}; or write the folder again.") from error
    if not picture.is_srgb:
        raise MeshError(
            f"{path} has a colour profile that is not sRGB: save it again in sRGB, without one."
        )
    return picture.own if picture.alpha is None else np.dstack([picture.own, picture.alpha])
