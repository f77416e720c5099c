"""What an edit of a scene has changed, in pictures and in words."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.captures.checks import some_of
from backend.editing.relevance import normalise_together
from backend.pictures.changes import NOWHERE, UNSEEN
from backend.pictures.visible_change import LEAST_SHARE, changed_share
from backend.scenes.edit import SceneEdit
from backend.scenes.scene import Scene
from protocol.region import edge_map
from protocol.values import MAX_PICTURES

PICTURE_SIDE = 256
"""Pixels of a side, at most, of pictures of an edited scene."""
DRIFT = 8
"""Of 255: the mean of a few pixels of a field that is trained on moves by so much where nothing was
edited (in a hundredth of them by 6 to 8, in the preset "preview")."""


@dataclass(frozen=True, eq=False)
class Compared:
    """A view that was edited, as the field showed it before and shows it after the edit.

    Attributes:
        view: its name.
        before, after: uint8 (h, w, 3), from the cameras as each field has corrected them.
        relevance: float32 (h, w), of what `before` shows, snapped as the region was; None without
            a relevance field.
        region: bool (h, w), where the view was edited.
    """

    view: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    relevance: NDArray[np.float32] | None
    region: NDArray[np.bool_]


def compare(
    scene: Scene, edit: SceneEdit, on_view: Callable[[], None] | None = None
) -> tuple[Compared, ...]:
    """Some of the views that were edited, MAX_PICTURES at most, spread over the capture.

    Args:
        scene: of the edit.
        edit: finished.
        on_view: called before each of them is rendered.

    Raises:
        CheckpointError: what was kept of the edit is damaged.
    """
    latest = {one.name: one for one in edit.views}
    names = [name for name in scene.capture.names if name in latest]
    count = min(MAX_PICTURES, len(names))
    original, snap = edit.original_field, edit.snap
    found = []
    for name in (names[k * len(names) // count] for k in range(count)):
        if on_view is not None:
            on_view()
        camera = scene.camera(name, original).at_most(PICTURE_SIDE)
        before = scene.render(camera, edit.relevance, original)
        relevance = before.relevance
        follows = snap is not None and snap.took == "edges" and not edit.asked.painted
        if relevance is not None and follows:
            relevance = edge_map(relevance, before.image)
        if relevance is not None and edit.hull is not None:  # nothing is there yet to be seen
            pose = camera.pose.copy()
            pose[:3, 3] = scene.capture.in_box(pose[:3, 3])
            distances = before.depth * np.float32(scene.capture.box_scale)
            relevance[edit.hull.seen_from(pose, camera.intrinsics, distances)] = 1
        after = scene.render(edit.camera(name).at_most(PICTURE_SIDE), field=edit.field)
        size = camera.intrinsics.width, camera.intrinsics.height
        mask = Image.fromarray(latest[name].mask).resize(size, Image.Resampling.NEAREST)
        found.append(Compared(name, before.image, after.image, relevance, np.asarray(mask)))
    return tuple(found)


def outcome_notes(edit: SceneEdit, compared: tuple[Compared, ...]) -> tuple[str, ...]:
    """What a person should know about what a finished edit has changed, in sentences. Where that is
    nothing, or nothing that can be seen, the first one begins with the word "Unchanged".

    Args:
        edit: finished.
        compared: some of its views, from `compare`.
    """
    latest = {one.name: one for one in edit.views}
    if not latest and edit.asked.config.region == "everything":
        return ("Unchanged: no view shows anything.",)
    if not latest and _applies_nowhere(edit):
        return (NOWHERE,)
    if not latest and edit.asked.painted:
        return ("Unchanged: of the region, what was painted leaves nothing that a view shows.",)
    if not latest:
        limit = "threshold" if edit.threshold is None else f"threshold of {edit.threshold:.2f}"
        return (f"Unchanged: nothing in any view reaches the {limit}. Lower it.",)
    notes = []
    own = [one.changed for one in latest.values()]
    if all(share is not None and share < LEAST_SHARE for share in own):
        notes.append(
            f"Unchanged: the model changed no view by more than {UNSEEN} of 255 in what the "
            "instruction is about. Say it in other words, or raise the text guidance."
        )
    elif changed(compared) < LEAST_SHARE:
        notes.append(
            f"Unchanged: the scene shows no difference of more than {DRIFT} of 255 in what the "
            "instruction is about. Raise the text guidance, or edit with more iterations."
        )
    snap = edit.snap
    if snap is not None and snap.why:
        notes.append(snap.why)
    left = edit.unedited
    if left:
        notes.append(
            f"{len(left)} of {len(edit.field.names)} views stayed as they were, as nothing in them "
            f"is relevant enough: {some_of(left)}."
        )
    return tuple(notes)


def _applies_nowhere(edit: SceneEdit) -> bool:
    """Whether the relevance of all views is zero everywhere, as they were edited by it."""
    maps, config = edit.maps(), edit.asked.config
    values = [one.values for one in maps]
    if config.region == "field" and not config.fits_while_edited:
        values = normalise_together([one.raw for one in maps], config.normalisation)
    return not any(one.any() for one in values)


def changed(compared: tuple[Compared, ...]) -> float:
    """The share 0..1 of the regions' pixels that can be seen to have changed."""
    pixels = [int(one.region.sum()) for one in compared]
    shares = [changed_share(one.before, one.after, one.region, DRIFT) for one in compared]
    return float(np.average(shares, weights=pixels)) if sum(pixels) else 0.0
