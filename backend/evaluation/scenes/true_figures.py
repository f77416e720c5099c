"""Figures of edits of the demo world's scenes whose editor knows the truth, in views that nothing
was trained on: what is lost here, the 3D half loses.
"""

import numpy as np
from numpy.typing import NDArray

from backend.evaluation import metrics
from backend.evaluation.edits import OUTSIDE, SAME
from backend.evaluation.scenes.scene_figures import Figures, psnr
from backend.evaluation.scenes.scene_world import WorldScene
from backend.evaluation.scenes.shown import Remembered, Shown
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_records import MIDDLE
from backend.scenes.scene import Scene

CHANGED = 0.1
"""Distance of two colours (0..1 a channel) from which a pixel has changed."""
SHADED = 0.02
"""From which a pixel outside the edit changes by its shadow: it is not counted there."""


def true_edit(scene: Scene, world: WorldScene, edit: SceneEdit) -> Figures:
    """What an edit has become.

    "IoU" is that of the pixels that have changed from the unedited field's renders with those that
    should, all views together. "reached" is the share of views that are nearer to the true edit
    than to the unedited view where it should change; "nearer" the share of these pixels.
    "PSNR inside" and "PSNR outside" are as those of `scene_figures.edited`, in dB; "photos outside"
    is that against the true views there, and "... of the unedited field" that of the field before:
    an update of many steps goes on learning what it keeps, and so changes it for the better. Where
    nothing but a shadow should change, nothing is counted.
    """
    unedited, edited = Remembered(scene), Remembered(edit)
    region_both = region_either = 0
    reached, nearer, inside, outside, kept_after, kept_before = [], [], [], [], [], []
    for view in world.held_out:
        truth, share = world.true_change(view)
        true, image = truth / np.float32(255), view.image / np.float32(255)
        seen, before = edited.render(view.camera), unedited.render(view.camera).rgb
        after = seen.rgb
        asked = (share > 0.5) & (_distance(true, image) > CHANGED)
        if seen.relevance is not None:
            region, wanted = seen.relevance >= MIDDLE, share > 0.5
            region_both += int((region & wanted).sum())
            region_either += int((region | wanted).sum())
        if asked.any():
            near = _distance(after, true) < _distance(after, image)
            nearer.append(float(near[asked].mean()))
            reached.append(psnr(after, true, asked) > psnr(after, image, asked))
            inside.append(min(SAME, psnr(after, true, asked)))
        kept = (share < OUTSIDE) & (_distance(true, image) <= SHADED)
        outside.append(min(SAME, psnr(after, before, kept)))
        kept_after.append(min(SAME, psnr(after, image, kept)))
        kept_before.append(min(SAME, psnr(before, image, kept)))
    figures = {"IoU": changed_iou(unedited, world, edited)}
    if reached:
        figures |= {
            "reached": float(np.mean(reached)),
            "nearer": float(np.mean(nearer)),
            "PSNR inside": float(np.mean(inside)),
        }
    figures |= {
        "PSNR outside": float(np.mean(outside)),
        "photos outside": float(np.mean(kept_after)),
        "... of the unedited field": float(np.mean(kept_before)),
    }
    if region_either:
        figures["IoU of the region"] = region_both / region_either
    return figures | _of_views(scene, world, edit)


def changed_iou(scene: Shown, world: WorldScene, edit: Shown) -> float:
    """IoU of the pixels that have changed from the unedited field's renders with those that should,
    all held-out views together; what should change by a shadow alone is not counted.
    """
    both = either = 0
    for view in world.held_out:
        truth, share = world.true_change(view)
        difference = _distance(truth / np.float32(255), view.image / np.float32(255))
        asked = (share > 0.5) & (difference > CHANGED)
        counted = (share > 0.5) | (difference <= SHADED)
        before, after = scene.render(view.camera).rgb, edit.render(view.camera).rgb
        done = _distance(after, before) > CHANGED
        both += int((asked & done & counted).sum())
        either += int(((asked | done) & counted).sum())
    return both / either if either else 1.0


def _of_views(scene: Scene, world: WorldScene, edit: SceneEdit) -> Figures:
    """Of the last edits of the captured views: how well their masks fit what should change."""
    latest = {one.name: one for one in edit.views}
    overlaps = []
    for one in latest.values():
        view = world.captured[scene.capture.names.index(one.name)]
        share = world.true_change(view)[1]
        overlaps.append(metrics.intersection_over_union(one.mask, share > 0.5))
    return {"IoU of the views' masks": float(np.mean(overlaps))} if overlaps else {}


def _distance(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.floating]:
    """(H, W), between the colours of two pictures (H, W, 3)."""
    found: NDArray[np.floating] = np.linalg.norm(one - other, axis=-1)
    return found
