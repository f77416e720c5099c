"""The things of a scene, by the labels of its views' pixels, and which of them an edit is about.

A thing's score is the mean of the rendered relevance over its pixels in all views together: the
field has one opinion of it, where single maps differ. The labels are those of the capture. An edit
on top of another one takes them as long as the scene still has the shape that they show.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from backend.fields.checkpoint import fingerprint
from backend.fields.radiance_field import RadianceField
from backend.fields.relevance_field import Relevance
from backend.fields.views import Views, corrected_rays
from backend.scenes.edit_records import SnapRecord
from protocol.region import NO_THINGS, NO_WHOLE_THINGS, explained, thing_scores
from protocol.values import Snap

Labels = NDArray[np.uint16]
OnView = Callable[[int, int], None]
Composite = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What renders the relevance with the scene (`RelevanceField.composite`)."""

ANOTHER_SHAPE = (
    "An earlier edit has given the scene another shape than the things of its capture show: the "
    "region follows the pictures' edges."
)

SEEN_SIDE = 128
"""Pixels that are enough along the longer side of a view: of larger ones, every n-th pixel."""
MOVED = 0.1
"""Share of a pixel's depth by which it differs where the shape has changed."""
SAME_SHAPE = 0.2
"""Share of the visibly changed pixels whose depth may differ in a scene of the same shape."""
CHANGED_COLOUR = 8 / 255
"""By which a pixel has visibly changed."""


def choose_snap(
    snap: Snap,
    relevance: Relevance,
    threshold: float,
    field: RadianceField,
    views: Views,
    things: Sequence[Labels | None],
    below: RadianceField | None,
    on_view: OnView,
) -> SnapRecord:
    """What the region of an edit keeps to.

    Args:
        snap: what was asked for.
        relevance: the relevance field.
        threshold: of it, on its calibrated scale.
        field: the field that is edited.
        views: that it was trained on.
        things: their labels; None of a view that has none.
        below: the scene's own field, where `field` is that of an edit of it.
        on_view: told of the number of each view that is rendered, and how many there are.
    """
    labelled = {view: labels for view, labels in enumerate(things) if labels is not None}
    if snap != "things":
        return SnapRecord(took=snap)
    if not labelled:
        return SnapRecord(took="edges", why=NO_THINGS)
    if below is not None and _has_another_shape(below, field, views, tuple(labelled), on_view):
        return SnapRecord(took="edges", why=ANOTHER_SHAPE)
    shown = shaded(field, views, tuple(labelled), on_view, relevance.composite)
    values = relevance.calibration.of(np.concatenate([one[:, 5] for one in shown]))
    numbers = np.concatenate([thinned(labels).ravel() for labels in labelled.values()])
    if not explained(values, numbers, threshold=threshold):
        return SnapRecord(took="edges", why=NO_WHOLE_THINGS)
    scores = thing_scores(values, numbers)
    return SnapRecord(
        took="things",
        scores={int(label): float(scores[label]) for label in np.unique(numbers)},
        things=fingerprint_of(things),
    )


def fingerprint_of(things: Sequence[Labels | None]) -> str:
    """A text that tells the labels of views apart."""
    empty = np.zeros((0, 0), np.uint16)
    return fingerprint(*(empty if labels is None else labels for labels in things))


def values_of_things(labels: Labels, scores: dict[int, float]) -> NDArray[np.float32]:
    """float32 (H, W), each pixel's thing's score, 0 for a thing without one."""
    table = np.zeros(max(int(labels.max()), *scores, 0) + 1, np.float32)
    for label, score in scores.items():
        table[label] = score
    return table[labels]


def thinned(picture: NDArray[np.generic], side: int = SEEN_SIDE) -> NDArray[np.generic]:
    """Every n-th pixel of a view's picture (H, W), so that no side has more than `side`."""
    every = -(-max(picture.shape) // side)
    return picture[every // 2 :: every, every // 2 :: every]


def shaded(
    field: RadianceField,
    views: Views,
    which: Sequence[int],
    on_view: OnView,
    composite: Composite | None = None,
    side: int = SEEN_SIDE,
) -> Iterator[NDArray[np.float32]]:
    """What a field shows at the thinned pixels of each view, from its own cameras: float32
    (n, 5 or 6), channels as in `RadianceField.shade`.
    """
    rays = corrected_rays(field, views)
    for number, view in enumerate(which):
        on_view(number, len(which))
        pixels = thinned(rays.of_view(view).cpu().numpy().reshape(rays.shape(view)), side)
        chosen = torch.from_numpy(pixels.ravel()).to(field.device)
        yield field.shade(rays.bundle(chosen), composite).cpu().numpy()


def _has_another_shape(
    below: RadianceField,
    field: RadianceField,
    views: Views,
    which: Sequence[int],
    on_view: OnView,
) -> bool:
    """Whether an edited field shows another shape than the scene's own, where it shows another
    picture.
    """
    changed, moved = 0, 0
    pairs = zip(
        shaded(below, views, which, on_view), shaded(field, views, which, on_view), strict=True
    )
    for before, after in pairs:
        other = np.abs(after[:, :3] - before[:, :3]).max(axis=1) > CHANGED_COLOUR
        apart = np.abs(after[:, 3] - before[:, 3]) > MOVED * np.minimum(after[:, 3], before[:, 3])
        changed += int(other.sum())
        moved += int((other & apart).sum())
    return moved > SAME_SHAPE * changed
