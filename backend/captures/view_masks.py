"""Masks of a capture's views, from a folder of image files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from backend.captures.capture import Capture
from backend.captures.files import tails
from backend.captures.lens import undistortion_map
from backend.captures.views import StoredView, note_on_masks
from backend.errors import BadInput
from backend.pictures.masks import level_of, stored_brightness

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
GREY, MOSTLY_GREY = (0.15, 0.85), 0.5
"""Of the brightest: a photo has most of its pixels between these."""
LABELLED = 0.05
"""Share of what is not dark that lies in flat grey areas: more is no mask, but several in one."""


@dataclass(frozen=True)
class ViewMask:
    """The mask of one view, without the lens's distortion, as the view is.

    Attributes:
        stored: uint8 (H, W) at the stored image's size, 255 where a pixel is masked whole.
    """

    stored: NDArray[np.uint8]

    def at(self, height: int, width: int) -> NDArray[np.float32]:
        """float32 (height, width), 0..1: how much of each pixel or cell is masked."""
        share: NDArray[np.float32] = self.stored.astype(np.float32) / np.float32(255)
        if share.shape == (height, width):
            return share
        scaled = Image.fromarray(share).resize((width, height), Image.Resampling.BOX)
        return np.asarray(scaled, np.float32).clip(0, 1)


def read_view_masks(folder: Path, capture: Capture) -> dict[str, ViewMask]:
    """The masks of all views by the views' names.

    A view images/left/1.jpg has the mask FOLDER/images/left/1.png, or FOLDER/left/1.png or
    FOLDER/1.png where no other view's file is called so; the ending may be another, and may follow
    the photo's own, as in 1.jpg.png.

    Args:
        folder: of the masks; each of the shape of its view's stored image, white where it masks, or
            dark in all of them.

    Raises:
        BadInput: a view has no mask or two, a mask cannot be used, or none masks anything or leaves
            anything.
    """
    files = files_of_views(folder, capture)
    missing = [name for name, path in files.items() if path is None]
    if missing:
        raise BadInput(
            f"{folder} has no mask of {len(missing)} of {len(files)} views, such as "
            f"{PurePosixPath(missing[0]).stem}.png for {missing[0]}: give every view one, black "
            "where nothing is masked."
        )
    there = [(view, file) for view in capture.views if (file := files[view.name]) is not None]
    brightest, grey = np.array([_levels(_brightness(file, view)) for view, file in there]).T
    if grey.mean() > MOSTLY_GREY:
        raise BadInput(
            f"The images in {folder}, such as {there[0][1].name}, are no masks, but have all "
            "shades of grey: they must be white where the region is, and black elsewhere."
        )
    most = float(brightest.max())
    masks, flat, marked = {}, 0, 0
    for view, file in there:
        bright = _brightness(file, view)
        masks[view.name] = _read(bright, view, level_of(most))
        flat += _flat_grey(bright, most)
        marked += int((bright > GREY[0] * most).sum())
    if flat > LABELLED * marked:
        raise BadInput(
            f"The images in {folder}, such as {there[0][1].name}, have flat areas of several "
            "shades, as labels of several things have: give masks of one region, white where it is "
            "and black elsewhere."
        )
    for empty, what in ((0, "nothing"), (255, "everything")):
        if all((mask.stored == empty).all() for mask in masks.values()):
            raise BadInput(
                f"The masks in {folder} mark {what} in all views: they must be white where the "
                "region is, and black elsewhere."
            )
    return masks


def files_of_views(folder: Path, capture: Capture) -> dict[str, Path | None]:
    """The image files in a folder that are called as the views are, by the views' names, as
    `read_view_masks` looks for them; None for a view without.

    Raises:
        BadInput: there is no such folder, or a view has two.
    """
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}: name one that has the views' masks.")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in ENDINGS and path.is_file():
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
    names = tails(capture.names)
    return {view.name: _file_of(view, names[view.name], found, folder) for view in capture.views}


def without_training_masks(capture: Capture, folders: Sequence[Path]) -> Capture:
    """A capture whose pixels are not kept from training by masks that lie in some folders, as these
    are of regions.
    """
    regions = {folder.resolve() for folder in folders}
    views = tuple(
        replace(view, mask=None)
        if view.mask is not None and regions & {*view.mask.resolve().parents}
        else view
        for view in capture.views
    )
    notes = [note for note in capture.notes if note not in note_on_masks(capture.views)]
    return replace(capture, views=views, notes=(*notes, *note_on_masks(views)))


def _file_of(
    view: StoredView, names: Sequence[str], found: dict[str, list[Path]], folder: Path
) -> Path | None:
    """The mask's file of a view, None where there is none."""
    wanted = [form for name in names for form in (name, f"{name}{view.image.suffix}")]
    files = [path for form in dict.fromkeys(wanted) for path in found.get(form, [])]
    if len(files) > 1:
        raise BadInput(
            f"{folder} has {len(files)} masks for the view {view.name}, such as {files[0].name} "
            f"and {files[1].name}: keep one of them."
        )
    return files[0] if files else None


def _brightness(path: Path, view: StoredView) -> NDArray[np.float32]:
    return stored_brightness(path, (view.intrinsics.height, view.intrinsics.width))


def _levels(bright: NDArray[np.float32]) -> tuple[float, float]:
    """The brightest of some pixels, and the share of them that are neither dark nor as bright."""
    brightest = float(bright.max())
    grey = (bright > GREY[0] * brightest) & (bright < GREY[1] * brightest)
    return brightest, float(grey.mean())


def _flat_grey(bright: NDArray[np.float32], most: float) -> int:
    """How many pixels are neither dark nor bright, as those around them are: the edges of masks are
    no areas.
    """
    middle = bright[1:-1, 1:-1]
    flat = (middle > GREY[0] * most) & (middle < GREY[1] * most)
    for beside in (bright[:-2, 1:-1], bright[2:, 1:-1], bright[1:-1, :-2], bright[1:-1, 2:]):
        flat &= middle == beside
    return int(flat.sum())


def _read(bright: NDArray[np.float32], view: StoredView, level: float) -> ViewMask:
    masked = (bright >= level).astype(np.uint8) * np.uint8(255)
    if not view.lens.is_pinhole:
        rows_columns = np.moveaxis(undistortion_map(view.intrinsics, view.lens), -1, 0)
        masked = ndimage.map_coordinates(masked, rows_columns, order=1, mode="nearest")
    return ViewMask(masked)
