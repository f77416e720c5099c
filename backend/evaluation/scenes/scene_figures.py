"""Figures of fields and edits of a scene of the demo world, all in views that no field was trained
on, against what the world truly shows there.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.editing import Editor, RelevanceMap
from backend.evaluation import metrics
from backend.evaluation.edits import OUTSIDE, SAME
from backend.evaluation.scenes.scene_world import TrueView, WorldScene
from backend.evaluation.scenes.shown import Shown
from backend.fields.relevance_field import Relevance
from backend.scenes.camera import Camera, View
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_records import MIDDLE
from backend.scenes.scene import Scene
from backend.world.cameras import camera_to_world

PATH_FRAMES = 12
PATH_STEP = math.radians(5)
"""Of azimuth between two frames, as in a smooth flight."""

Picture = NDArray[np.float32]
Figures = dict[str, float]


# --- the radiance field ---------------------------------------------------------------------------


def reconstruction(scene: Scene, world: WorldScene) -> Figures:
    """How well the unedited field shows the held-out views: PSNR in dB."""
    values = [psnr_of(scene.render(view.camera), view) for view in world.held_out]
    return {"PSNR": float(np.mean(values)), "PSNR, worst view": min(values)}


def psnr_of(seen: View, true: TrueView) -> float:
    """PSNR in dB of a render against what its camera truly sees."""
    return psnr(seen.rgb, true.image / np.float32(255))


def psnr(
    shown: Picture, true: NDArray[np.floating], where: NDArray[np.bool_] | None = None
) -> float:
    """PSNR in dB of two pictures float (H, W, 3) in 0..1, over all pixels or those `where`."""
    difference = shown.astype(np.float64) - true
    chosen = difference if where is None else difference[where]
    return metrics.decibels(255**2 * float((chosen**2).mean()))


# --- where the instruction applies ----------------------------------------------------------------


@dataclass(frozen=True)
class Located:
    """Where an instruction applies in a scene, as field and as single maps.

    Attributes:
        relevance: the trained field.
        maps: what it was trained on: the own maps of the views that the radiance field knows.
        held_out: the held-out views' own maps, which nothing was trained on.
    """

    relevance: Relevance
    maps: Sequence[RelevanceMap]
    held_out: Sequence[RelevanceMap]


def maps_of(
    editor: Editor,
    instruction: str,
    images: Sequence[NDArray[np.uint8]],
    show: Callable[[str], None],
) -> list[RelevanceMap]:
    """Each image's own map, at the program's default settings."""
    found = []
    for number, one in editor.relevance_of_images(instruction, images):
        found.append(one)
        if (number + 1) % 8 == 0:
            show(f"{number + 1} of {len(images)} maps")
    return found


def relevance(scene: Scene, world: WorldScene, located: Located) -> Figures:
    """How well field and single maps find the target, in pixels of the held-out views.

    "IoU" is at the calibrated threshold, that of the single maps at the one that each suggests for
    itself; "selection" is the share of the captured views' maps in which the named thing is more
    relevant than every other. "dark" is the mean calibrated relevance of a view from the same place
    that does not show the target.
    """
    rows: list[Figures] = []
    for view, single in zip(world.held_out, located.held_out, strict=True):
        truth = view.shows(world.target)
        values = scene.render(view.camera, located.relevance).relevance
        assert values is not None
        own = single.at(*truth.shape)
        rows.append(
            {
                "IoU": iou(values >= MIDDLE, truth),
                "IoU at the best threshold": metrics.best_iou(values, truth),
                "IoU of single maps": iou(own >= single.suggested_threshold, truth),
                "IoU of single maps at 0.5": iou(own >= MIDDLE, truth),
            }
        )
    dark = []
    for view in world.elsewhere:
        values = scene.render(view.camera, located.relevance).relevance
        assert values is not None
        dark.append(float(values.mean()))
    figures = mean_of(rows)
    figures["gain over single maps"] = figures["IoU"] - figures["IoU of single maps"]
    chosen = _selections(scene, world, located.maps)
    if chosen:
        figures["selection"] = float(np.mean(chosen))
    return figures | {"dark": float(np.mean(dark)), "dark, worst view": max(dark)}


def iou(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks of one shape."""
    return metrics.intersection_over_union(mask, truth)


def _selections(scene: Scene, world: WorldScene, maps: Sequence[RelevanceMap]) -> list[bool]:
    """Whether each map chooses the target among the things, for those that have a choice."""
    chosen = []
    for name, single in zip(scene.field.names, maps, strict=True):
        view = world.captured[scene.capture.names.index(name)]
        things = [view.rendering.coverage(i) for i in range(len(world.scene.things))]
        found = metrics.selects(single.at(*view.image.shape[:2]), np.stack(things), world.target)
        if found is not None:
            chosen.append(found)
    return chosen


# --- edits ----------------------------------------------------------------------------------------


def edited(scene: Shown, world: WorldScene, edit: Shown) -> Figures:
    """What an edit has changed in the held-out views.

    "colour" is the share of views in which the target is nearest to the asked one of all colours,
    as the scene's light shows them there, of the views in which colours can be told apart at all;
    it is missing where that is none. "colour, to half a stop" lets every colour be shown by up to
    half a stop less or more of light than the scene has. "direction similarity" is the paper's on
    pixels where the paper has CLIP embeddings: the mean cosine of what the edit changes in a view
    and what it truly should change. "PSNR inside" compares the edited field's renders with the true
    edit where the target is, in dB; "edit PSNR" with the unedited one's over whole views, as in the
    paper. "IoU" is that of the region which the edit's own relevance
    gives, whole things where it took them. "PSNR outside" compares the edited field's renders with
    the unedited one's where the target is not, in dB; "pooled" from the squared error of all views
    together.
    """
    right, to_half_a_stop, alike, inside, outside, errors = [], [], [], [], [], []
    whole = []
    overlaps = []
    for view in world.held_out:
        seen = edit.render(view.camera)
        before, after, there = scene.render(view.camera).rgb, seen.rgb, view.shows(world.target)
        truth = world.true_edit(view)
        inside.append(min(SAME, psnr(after, truth, there)))
        if seen.relevance is not None:
            overlaps.append(iou(seen.relevance >= MIDDLE, there))
        palettes = metrics.exposed_palettes(view.rendering, world.target, there)
        right.append(_is_asked_colour(world, palettes[metrics.STOPS.index(0)].nearest(255 * after)))
        nearest = metrics.nearest_colour(255 * after, palettes)
        to_half_a_stop.append(_is_asked_colour(world, nearest))
        change = truth - view.image.astype(np.float32) / np.float32(255)
        alike.append(_mean_cosine([after - before, change]))
        whole.append(min(SAME, psnr(after, before)))
        kept = view.rendering.coverage(world.target) < OUTSIDE
        outside.append(min(SAME, psnr(after, before, kept)))
        errors.append(float(((after - before)[kept].astype(np.float64) ** 2).mean()))
    return (
        _share("colour", right)
        | _share("colour, to half a stop", to_half_a_stop)
        | {
            "direction similarity": float(np.mean(alike)),
            "PSNR inside": float(np.mean(inside)),
            "edit PSNR": float(np.mean(whole)),
            "PSNR outside": float(np.mean(outside)),
            "PSNR outside, pooled": min(SAME, metrics.decibels(255**2 * float(np.mean(errors)))),
        }
        | ({"IoU": float(np.mean(overlaps))} if overlaps else {})
        | consistency(scene, world, edit)
    )


def edited_views(scene: Scene, world: WorldScene, edit: SceneEdit) -> Figures:
    """Of the captured views' own edits, which are what the model gave the field to learn from: the
    share in which the target has the asked colour, counted as "colour" of `edited` is, the PSNR
    inside against the true edit, and the mean IoU of what was edited with where the target is.
    """
    right, inside, overlaps = [], [], []
    for one in edit.views:
        view = world.captured[scene.capture.names.index(one.name)]
        there = view.shows(world.target)
        palette = metrics.palette_of(view.rendering, world.target, there)
        right.append(_is_asked_colour(world, palette.nearest(one.after)))
        if there.any():
            shown = one.after.astype(np.float32) / np.float32(255)
            inside.append(min(SAME, psnr(shown, world.true_edit(view), there)))
        overlaps.append(iou(one.mask, there))
    figures = _share("colour of the single edits", right)
    if inside:
        figures["PSNR inside of the single edits"] = float(np.mean(inside))
    return figures | ({"IoU of the single edits": float(np.mean(overlaps))} if overlaps else {})


def _is_asked_colour(world: WorldScene, nearest: str | None) -> bool | None:
    """Whether the colour that the target is nearest to is the asked one; None where nobody could
    tell.
    """
    return None if nearest is None else nearest == world.edit.colour


def _share(name: str, right: Sequence[bool | None]) -> Figures:
    """The share of those that are known; nothing where none is."""
    known = [one for one in right if one is not None]
    return {name: float(np.mean(known))} if known else {}


def consistency(scene: Shown, world: WorldScene, edit: Shown) -> Figures:
    """The paper's frame and edit consistency along a flight around the scene, on pixels where the
    paper has CLIP embeddings.

    Frame consistency is the mean correlation of neighbouring frames of the edited scene; edit
    consistency the mean cosine of what the edit changes in neighbouring frames. Both at most 1.
    """
    cameras = flight(world)
    before = [scene.render(camera).rgb for camera in cameras]
    after = [edit.render(camera).rgb for camera in cameras]
    frames = [frame - frame.mean(axis=(0, 1)) for frame in after]
    changes = [one - other for one, other in zip(after, before, strict=True)]
    return {
        "frame consistency": _mean_cosine(frames),
        "edit consistency": _mean_cosine(changes),
        "frame consistency of the unedited": _mean_cosine(
            [frame - frame.mean(axis=(0, 1)) for frame in before]
        ),
    }


def flight(world: WorldScene) -> list[Camera]:
    """Cameras a few degrees apart, around the scene from its first held-out view on."""
    first = world.held_out[0].rendering.camera
    middle = np.array(first.target)
    offset = np.array(first.position) - middle
    cameras = []
    for number in range(PATH_FRAMES):
        c, s = math.cos(number * PATH_STEP), math.sin(number * PATH_STEP)
        turned = (c * offset[0] - s * offset[1], s * offset[0] + c * offset[1], offset[2])
        x, y, z = middle + turned
        moved = dataclasses.replace(first, position=(float(x), float(y), float(z)))
        cameras.append(Camera(camera_to_world(moved), world.held_out[0].camera.intrinsics))
    return cameras


def _mean_cosine(pictures: Sequence[Picture]) -> float:
    """Mean cosine of neighbours; 0 where one of them is all zeros."""
    flat = [picture.astype(np.float64).ravel() for picture in pictures]
    lengths = [float(np.linalg.norm(one)) for one in flat]
    cosines = [
        float(flat[i] @ flat[i + 1]) / (lengths[i] * lengths[i + 1])
        if lengths[i] * lengths[i + 1] > 0
        else 0.0
        for i in range(len(flat) - 1)
    ]
    return float(np.mean(cosines))


def mean_of(rows: Sequence[Figures]) -> Figures:
    """Every column's mean over the rows that have it."""
    means = metrics.mean_figures(rows)
    del means["n"]
    return means
