"""Figures of a capture with masks, in the views that no field was trained on: how well the field
shows them, whether a region comes together in space, and what an edit that knows the truth becomes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.captures.view_masks import ViewMask
from backend.errors import BadInput
from backend.evaluation import metrics
from backend.evaluation.edits import SAME
from backend.evaluation.scenes.scene_figures import Figures, psnr
from backend.evaluation.scenes.true_editor import TrueEditor, Truth
from backend.fields.relevance_field import Relevance
from backend.scenes.camera import View
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_records import MIDDLE
from backend.scenes.scene import Scene

RIM = 1 / 64
"""Of the longer side: so far from the mask's outline a pixel is neither inside nor outside, since
its photo mixes both and no outline is truer."""
COLOURS = {"red": (0.85, 0.08, 0.08), "green": (0.1, 0.7, 0.12), "blue": (0.1, 0.15, 0.85)}
"""One of which a region is painted."""
DARKEST = 0.35
"""Of the colour, which black becomes: also there it can be told whether the colour is reached."""
CELLS = 64
"""Of exact maps, along the longer side at most."""
COMPARED = 16
"""Training views at most in which the edits' agreement is measured."""
NOTHING_HELD_OUT = (
    "This capture's training holds out no view, so that nothing says what its field is worth: "
    "leave some photos out of its list of training views."
)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Photo:
    """A view of a capture and where one mask is in it.

    Attributes:
        name: of the view.
        image: uint8 (H, W, 3), over black.
        opaque: bool (H, W), where it shows something that no mask keeps from training.
        share: float32 (H, W), how much of each pixel is masked.
        cells: float32 (h, w), the same of a map's cells.
    """

    name: str
    image: NDArray[np.uint8]
    opaque: Mask
    share: NDArray[np.float32]
    cells: NDArray[np.float32]

    @property
    def inside(self) -> Mask:
        """bool (H, W)."""
        found: Mask = (self.share > 0.5) & self.opaque
        return found

    @property
    def outside(self) -> Mask:
        """bool (H, W), not within a rim of the mask."""
        return self._away_from(self.share > 0)

    @property
    def core(self) -> Mask:
        """bool (H, W), inside, and not within a rim of what is not."""
        return self._away_from(self.share < 1)

    def _away_from(self, other: Mask) -> Mask:
        reach = max(1, round(RIM * max(self.share.shape)))
        found: Mask = ~ndimage.binary_dilation(other, iterations=reach) & self.opaque
        return found


def photos_of(
    scene: Scene,
    names: Sequence[str],
    masks: Mapping[str, ViewMask] | None = None,
    cells: int = CELLS,
) -> list[Photo]:
    """Views with their masks; with nothing masked where these are None.

    Args:
        scene: with the capture that they are of.
        names: of the views.
        masks: by the views' names.
        cells: of an exact map, along the longer side at most.
    """
    photos = []
    for name in names:
        pixels = scene.capture.read(scene.capture.names.index(name))
        image = pixels.image
        measured = np.ones(image.shape[:2], np.bool_) if pixels.seen is None else pixels.seen
        if pixels.alpha is not None:
            measured = measured & (pixels.alpha > 127)
            alpha = pixels.alpha[..., None].astype(np.uint16)
            image = (image * alpha // 255).astype(np.uint8)
        height, width = image.shape[:2]
        scale = min(1.0, cells / max(height, width))
        rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
        share = np.zeros((height, width), np.float32)
        in_cells = np.zeros((rows, columns), np.float32)
        if masks is not None:
            share, in_cells = masks[name].at(height, width), masks[name].at(rows, columns)
        photos.append(Photo(name, image, measured, share, in_cells))
    return photos


def check_marked(name: str, trained: Sequence[Photo], held_out: Sequence[Photo]) -> None:
    """Refuse masks that mark nothing or everything.

    Raises:
        BadInput: they do, in all trained or all held-out views.
    """
    for photos, which in ((trained, "trained"), (held_out, "held-out")):
        if not any(photo.inside.any() for photo in photos):
            raise BadInput(
                f"The masks {name} mark nothing in any {which} view: give masks of a region that "
                "most views show."
            )
        if all(photo.inside[photo.opaque].all() for photo in photos):
            raise BadInput(
                f"The masks {name} mark everything in all {which} views: give masks of a region "
                "with something around it."
            )


def paint_for(photos: Sequence[Photo]) -> str:
    """The name of the colour that the masked pixels of some views are farthest from."""
    pixels = np.concatenate([photo.image[photo.inside] for photo in photos])
    mean = pixels.mean(axis=0) / 255
    return max(COLOURS, key=lambda name: float(np.linalg.norm(mean - np.array(COLOURS[name]))))


def painted(photo: Photo, colour: str) -> NDArray[np.float32]:
    """What a view truly shows after its masked region was painted: float32 (H, W, 3), 0..1, in
    shades of one colour there, as bright and dark as it was.
    """
    image = photo.image.astype(np.float32) / np.float32(255)
    light = image @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    shades = (DARKEST + (1 - DARKEST) * light[..., None]) * np.array(COLOURS[colour], np.float32)
    share = photo.share[..., None]
    return share * shades + (1 - share) * image


def truth_of(photo: Photo, colour: str) -> Truth:
    """What is known of a view whose masked region is painted."""
    edited = (255 * painted(photo, colour) + 0.5).astype(np.uint8)
    return Truth(photo.image, edited, photo.cells)


def cell_of(photos: Sequence[Photo]) -> int:
    """Pixels of a view for a cell of its exact map, about."""
    first = photos[0]
    return max(1, round(first.image.shape[1] / first.cells.shape[1]))


def painter(photos: Sequence[Photo], colour: str) -> TrueEditor:
    """An editor that knows these views with their masked region painted.

    Raises:
        BadInput: as `TrueEditor`.
    """
    return TrueEditor([truth_of(photo, colour) for photo in photos], cell_of(photos))


def reconstruction(views: Sequence[View], photos: Sequence[Photo]) -> Figures:
    """How solid the field is where the held-out photos show something (accumulation, 0..1), and
    how well it shows them: PSNR in dB.

    Raises:
        BadInput: none of them shows anything.
    """
    shown = [(v, p) for v, p in zip(views, photos, strict=True) if p.opaque.any()]
    if not shown:
        raise BadInput(
            "No view that is held out of training shows anything, as all are transparent or "
            "masked: name others for it in the capture's lists."
        )
    solid = np.concatenate([view.accumulation[photo.opaque] for view, photo in shown])
    scores = [psnr(view.rgb, photo.image / np.float32(255), photo.opaque) for view, photo in shown]
    return {
        "accumulation": float(solid.mean()),
        "accumulation, see-through pixels": float((solid < 0.9).mean()),
        "PSNR": float(np.mean(scores)),
        "PSNR, worst view": min(scores),
    }


def located(
    scene: Scene, relevance: Relevance, photos: Sequence[Photo], behind: bool = False
) -> tuple[Figures, str]:
    """IoU of a relevance field with the masks of held-out views, all their pixels together: at the
    calibrated threshold, at the best one, and in the worst view that shows the region; with all but
    the masks where it is about what is `behind` them. And the name of the worst view.
    """
    values, truths = [], []
    each: dict[str, float] = {}
    for photo in photos:
        shown = scene.render(scene.camera(photo.name), relevance).relevance
        assert shown is not None
        truth = ~photo.inside if behind else photo.inside
        values.append(shown[photo.opaque])
        truths.append(truth[photo.opaque])
        if truths[-1].any():
            each[photo.name] = metrics.intersection_over_union(values[-1] >= MIDDLE, truths[-1])
    found, wanted = np.concatenate(values), np.concatenate(truths)
    worst = min(each, key=lambda name: each[name])
    return {
        "IoU": metrics.intersection_over_union(found >= MIDDLE, wanted),
        "at the best threshold": metrics.best_iou(found, wanted),
        "worst view": each[worst],
    }, worst


def edited(
    after: Sequence[View], colour: str, held_out: Sequence[Photo], before: Sequence[View]
) -> Figures:
    """What the painting of a region has become.

    "colour reached" is the share of the mask's pixels in held-out views that are nearer to the true
    edit than to the photo. "PSNR outside" compares floats away from the mask, with the unedited
    field's renders, and with the photos ("of the unedited field" is that field's own).

    Args:
        after, before: renders of the held-out views with and without the edit.
        colour: that it was painted.
        held_out: these views.
    """
    reached, each, kept, real, own = [], [], [], [], []
    for photo, shown, seen in zip(held_out, after, before, strict=True):
        now = shown.rgb
        image = photo.image.astype(np.float32) / np.float32(255)
        truth = painted(photo, colour)
        if photo.inside.any():
            nearer = distance(now, truth) < distance(now, image)
            reached.append(nearer[photo.inside])
            each.append(float(reached[-1].mean()))
        if photo.outside.any():
            kept.append(min(SAME, psnr(now, seen.rgb, photo.outside)))
            real.append(psnr(now, image, photo.outside))
            own.append(psnr(seen.rgb, image, photo.outside))
    figures = {
        "colour reached": float(np.concatenate(reached).mean()),
        "colour reached, worst view": min(each),
    }
    if kept:
        figures["PSNR outside"] = float(np.mean(kept))
        figures["PSNR outside, worst view"] = min(kept)
        figures["PSNR outside, against the photos"] = float(np.mean(real))
        figures["of the unedited field"] = float(np.mean(own))
    return figures


def agreement(edit: SceneEdit, trained: Sequence[Photo]) -> Figures:
    """How much of the edits of a scene's training views is one edit of one scene: "agreement
    between views" is the PSNR in dB of the edited field against them, inside their regions.
    """
    latest = {one.name: one for one in edit.views}
    overlaps, scores = [], []
    every = max(1, -(-len(trained) // COMPARED))
    for photo in trained[::every]:
        one = latest.get(photo.name)
        if one is None:
            continue
        mask = one.mask
        overlaps.append(metrics.intersection_over_union(mask, photo.inside))
        seen = edit.render(edit.camera(photo.name)).rgb
        scores.append(psnr(seen, one.after / np.float32(255), mask))
    if not scores:
        return {}
    return {
        "agreement between views": float(np.mean(scores)),
        "IoU of the edited regions": float(np.mean(overlaps)),
    }


def distance(shown: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (H, W), between two pictures' colours."""
    found: NDArray[np.float32] = np.linalg.norm(shown - other, axis=-1)
    return found
