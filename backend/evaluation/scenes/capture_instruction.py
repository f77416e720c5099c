"""What an instruction that asks for a colour does to a capture with masks, by the model itself."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from backend.editing import Editor
from backend.evaluation import metrics
from backend.evaluation.edits import SAME
from backend.evaluation.kept_settings import check_settings, contents_of
from backend.evaluation.options import CaptureOptions
from backend.evaluation.scenes.capture_figures import COLOURS, Photo
from backend.evaluation.scenes.scene_figures import Figures, psnr
from backend.evaluation.scenes.telling import told_of_edit
from backend.fields.config import SceneEditConfig
from backend.scenes.camera import View
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_records import MIDDLE
from backend.scenes.scene import Scene

NEARER = 5 / 255
"""How much nearer to the colour asked for a pixel's colour must come to count: less than that an
edit that does nothing may do."""


def open_model(options: CaptureOptions) -> Editor | None:
    """The model of an instruction, None without one.

    Raises:
        BadInput: it cannot be loaded.
    """
    if options.instruction is None:
        return None
    return Editor.from_pretrained(options.model, options.device, options.dtype)


def edit_by_model(
    scene: Scene, editor: Editor, options: CaptureOptions, config: SceneEditConfig
) -> SceneEdit:
    """The edit of the capture by its instruction, or what there is of it gone on with.

    Raises:
        BadInput: there can be none, as of an instruction that makes no difference to the model, or
            what there is was made by another model of this name.
    """
    assert options.instruction is not None
    asked = f"{options.instruction}\n{options.model}"
    if options.dtype != "auto":
        asked += f"\n{options.dtype}"
    name = f"model-{hashlib.sha256(asked.encode()).hexdigest()[:10]}"
    contents = contents_of(model=editor.model)
    check_settings(scene.edit_folder(name), contents, tuple(contents))
    return scene.edit(
        options.instruction,
        editor,
        config=config.resolved(editor.card.guidance.settings),
        name=name,
        on_progress=told_of_edit(),
    )


def edited_by_model(
    scene: Scene,
    edit: SceneEdit,
    colour: str,
    photos: Mapping[str, Sequence[Photo]],
    before: Sequence[View],
) -> dict[str, Figures]:
    """Figures of an edit, in held-out views, of what each folder's masks mark and of all else.

    "nearer" is the share of pixels whose colour comes nearer to the one asked for, by `NEARER` at
    least; "PSNR" compares floats with the unedited field's renders; "IoU" is of the edit's region.
    Pixels within a rim of the mask's outline count in the IoU alone.

    Args:
        photos: the held-out views, by mask folder.
        before: the unedited field's renders of them.
    """
    names = [photo.name for photo in next(iter(photos.values()))]
    after = [edit.render(scene.camera(name)) for name in names]
    return {name: figures_of(before, after, views, colour) for name, views in photos.items()}


def figures_of(
    before: Sequence[View], after: Sequence[View], photos: Sequence[Photo], colour: str | None
) -> Figures:
    """The figures of one mask folder, from renders of the same views before and after; without a
    colour that is asked for, none of what comes nearer to it.
    """
    figures: Figures = {}
    for words in ("inside", "outside"):
        nearer, kept = [], []
        for old, new, photo in zip(before, after, photos, strict=True):
            there = photo.core if words == "inside" else photo.outside
            if there.any():
                if colour is not None:
                    wanted = np.array(COLOURS[colour], np.float32)
                    gain = _distance(old.rgb, wanted) - _distance(new.rgb, wanted)
                    nearer.append(gain[there] >= NEARER)
                kept.append(min(SAME, psnr(new.rgb, old.rgb, there)))
        if nearer:
            figures[f"nearer, {words}"] = float(np.concatenate(nearer).mean())
            figures[f"nearer, {words}, worst view"] = min(float(one.mean()) for one in nearer)
        if kept:
            figures[f"PSNR {words}"] = float(np.mean(kept))
            figures[f"PSNR {words}, worst view"] = min(kept)
    if all(view.relevance is not None for view in after):
        shown = [(v.relevance, p) for v, p in zip(after, photos, strict=True)]
        found = np.concatenate([r[p.opaque] >= MIDDLE for r, p in shown if r is not None])
        inside = np.concatenate([photo.inside[photo.opaque] for photo in photos])
        figures["IoU"] = metrics.intersection_over_union(found, inside)
        figures["IoU, everything else"] = metrics.intersection_over_union(found, ~inside)
    return figures


def _distance(shown: NDArray[np.float32], colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (H, W), of a picture from one colour."""
    found: NDArray[np.float32] = np.linalg.norm(shown - colour, axis=-1)
    return found
