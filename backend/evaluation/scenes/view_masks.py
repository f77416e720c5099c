"""Masks of a capture's views, from a folder of image files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from backend.captures.capture import Capture
from backend.captures.lens import undistortion_map
from backend.captures.views import StoredView
from backend.errors import BadInput
from backend.pictures.masks import read_mask

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})


@dataclass(frozen=True)
class ViewMask:
    """The mask of one view, without the lens's distortion, as the view is.

    Attributes:
        share: float32 (H, W) at the stored image's size, 0..1.
    """

    share: NDArray[np.float32]

    def at(self, height: int, width: int) -> NDArray[np.float32]:
        """float32 (height, width), 0..1: how much of each pixel or cell is masked."""
        if self.share.shape == (height, width):
            return self.share
        scaled = Image.fromarray(self.share).resize((width, height), Image.Resampling.BOX)
        return np.asarray(scaled, np.float32).clip(0, 1)


def read_view_masks(folder: Path, capture: Capture) -> dict[str, ViewMask]:
    """The masks of all views by the views' names.

    A view images/frame_1.jpg has the mask FOLDER/images/frame_1.png, or FOLDER/frame_1.png where no
    other view's file is called so; the ending may be another, and may follow the photo's own, as in
    frame_1.jpg.png.

    Args:
        folder: of the masks; each is as large as its view's stored image, white where it masks.

    Raises:
        BadInput: a view has no mask or two, or a mask cannot be used.
    """
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}: name one that has a mask for every view.")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in ENDINGS and path.is_file():
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
    files = {view.name: _file_of(view.name, capture.names, found, folder) for view in capture.views}
    missing = [name for name, path in files.items() if path is None]
    if missing:
        raise BadInput(
            f"{folder} has no mask of {len(missing)} of {len(files)} views, such as "
            f"{PurePosixPath(missing[0]).stem}.png for {missing[0]}: give every view one, black "
            "where nothing is masked."
        )
    return {view.name: _read(files[view.name], view) for view in capture.views}


def _file_of(
    view: str, views: Sequence[str], found: dict[str, list[Path]], folder: Path
) -> Path | None:
    """The mask's file of a view, None where there is none."""
    name = PurePosixPath(view)
    wanted = [name.with_suffix("").as_posix(), name.as_posix()]
    alone = sum(PurePosixPath(other).stem == name.stem for other in views) == 1
    if alone:
        wanted += [name.stem, name.name]
    files = [path for key in dict.fromkeys(wanted) for path in found.get(key, [])]
    if len(files) > 1:
        raise BadInput(
            f"{folder} has {len(files)} masks for the view {view}, such as {files[0].name} and "
            f"{files[1].name}: keep one of them."
        )
    return files[0] if files else None


def _read(path: Path | None, view: StoredView) -> ViewMask:
    assert path is not None  # those that are missing were refused
    mask, _ = read_mask(path, (view.intrinsics.height, view.intrinsics.width))
    share = mask.astype(np.float32)
    if not view.lens.is_pinhole:
        rows_columns = np.moveaxis(undistortion_map(view.intrinsics, view.lens), -1, 0)
        share = ndimage.map_coordinates(share, rows_columns, order=1, mode="nearest")
    return ViewMask(share)
