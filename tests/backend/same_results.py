"""Whether two versions of this software compute the same, bit for bit, on the CPU: maps and edits
of pictures, a texture edit and edits of a small scene, with the demo model and a tiny random one.

    python -m tests.backend.same_results --out before.npz                     # in the one version
    python -m tests.backend.same_results --out after.npz --like before.npz    # in the other

Ends with 1, and says what and by how much, where anything differs. Results of two machines, or of
two versions of torch, differ anyway.
"""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.editing import Editor, RelevanceMap

# what moves from module to module is taken from the tests that use it, wherever it lies
from .quick_edit import INSTRUCTION, QUICK, scene_of, train_a_little
from .test_mesh_edit import MeshEditConfig, around, ball_mesh, edit_mesh, two_halves, unlit_views
from .tiny_editor import random_image
from .tiny_model import save_tiny_model

SIZES = ((64, 64), (37, 61), (200, 150))
EDITS: dict[str, dict[str, Any]] = {
    "by its own threshold": {},
    "everything": {"threshold": 0.0},
    "threshold 0.3": {"threshold": 0.3, "seed": 5},
    "threshold 0.7, 7 steps": {"threshold": 0.7, "steps": 7},
    "text guidance 3": {"threshold": 0.2, "text_guidance": 3.0},
    "text guidance 0": {"threshold": 0.2, "text_guidance": 0.0},
    "image guidance 1": {"threshold": 0.2, "image_guidance": 1.0},
    "image guidance 0.8": {"threshold": 0.2, "image_guidance": 0.8},
    "strength 0.63": {"threshold": 0.2, "strength": 0.63},
    "strength 0.02": {"threshold": 0.2, "strength": 0.02},
}
Found = Iterator[tuple[str, Any]]


def settings_of(kind: str, **values: Any) -> dict[str, Any]:
    """Settings of calls that take them as one object; one by one, in versions without objects."""
    try:
        from protocol import settings
    except ImportError:
        return {name.removeprefix("relevance_"): value for name, value in values.items()}
    return {"settings": getattr(settings, kind)(**values)}


def of_map(found: RelevanceMap) -> Found:
    """What a map consists of."""
    yield from (("raw", found.raw), ("values", found.values), ("spread", found.spread))
    yield from (("threshold", found.suggested_threshold), ("evidence", found.evidence or 0.0))


def of_pictures(editor: Editor) -> Found:
    """Maps and edits of single pictures and of several at once."""
    pictures = [random_image(*size, number) for number, size in enumerate(SIZES)]
    for picture in pictures:
        size = "x".join(map(str, picture.shape[:2]))
        editor.set_image(picture)
        for seeds, level, normalisation in (
            ((0,), 0.8, "paper"),
            ((0, 1, 7), 0.8, "full"),
            ((3,), 0.35, "full"),
            ((2, 4), 1.0, "full"),
            ((2,), 0.0, "paper"),
        ):
            found = editor.relevance(INSTRUCTION, level, seeds, normalisation=normalisation)
            for name, value in of_map(found):
                yield f"{size}, map at {level} of {seeds}: {name}", value
        for name, settings in EDITS.items():
            edit = editor.edit(INSTRUCTION, **{"steps": 3} | settings)
            yield f"{size}, {name}: image", edit.image
            yield f"{size}, {name}: mask", edit.mask
    for number, found in editor.relevance_of_images(
        INSTRUCTION, pictures * 2, **settings_of("MapSettings", relevance_seeds=(0, 1))
    ):
        for name, value in of_map(found):
            yield f"picture {number} of several: {name}", value
    several = [random_image(60, 84, seed) for seed in range(3)]
    masks = [np.random.default_rng(seed).random((60, 84)) < 0.4 for seed in range(3)]
    levels, seeds = (0.98, 0.41, 0.07), (7, 1, 2**31 - 1)
    edits = editor.edit_images(
        INSTRUCTION,
        several,
        masks,
        several[::-1],
        levels,
        seeds,
        **settings_of("EditSettings", steps=3),
    )
    yield "edits of several", np.stack(edits)


def of_texture(editor: Editor) -> Found:
    """A texture edited through views of its mesh."""
    mesh = ball_mesh(two_halves())
    config = MeshEditConfig(steps=2, rounds=2, relevance_seeds=(0, 1))
    edit = edit_mesh(mesh, unlit_views(mesh, around(4)), INSTRUCTION, editor, config)
    yield from (("texture", edit.texture), ("relevance", edit.relevance), ("region", edit.region))
    yield from (("renders", np.stack(edit.renders)), ("threshold", edit.threshold))


def of_scene(editor: Editor, folder: Path, trained: Path) -> Found:
    """A scene edited inside its relevance field."""
    scene = scene_of(trained, folder)
    for name, threshold, changed in (
        ("one-by-one", None, {}),
        ("three-at-once", 0.2, {"views_at_once": 3}),
        ("own-maps", None, {"relevance": False}),
    ):
        config = dataclasses.replace(QUICK, **changed)
        edit = scene.edit(INSTRUCTION, editor, threshold, config, name)
        for key, value in edit.field.model.state_dict().items():
            yield f"{name}: field's {key}", value.numpy()
        if edit.relevance is not None:
            for key, value in edit.relevance.field.state_dict().items():
                yield f"{name}: relevance field's {key}", value.numpy()
        for view in edit.views:
            yield f"{name}: view {view.count} after", view.after
            yield f"{name}: view {view.count} mask", view.mask
        for number, found in enumerate(edit.maps()):
            for key, value in of_map(found):
                yield f"{name}: map {number}: {key}", value


def results() -> dict[str, np.ndarray]:
    """Everything, by its name."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        trained = train_a_little(folder / "capture")
        for model, source in (("demo", "demo"), ("tiny", str(save_tiny_model(folder / "tiny")))):
            editor = Editor.from_pretrained(source, "cpu", "float32")
            for kind, values in (
                ("pictures", of_pictures(editor)),
                ("texture", of_texture(editor)),
                ("scene", of_scene(editor, folder / f"{model} scene", trained)),
            ):
                found |= {f"{model}, {kind}: {name}": np.asarray(one) for name, one in values}
                print(f"{model}, {kind}: {len(found)} results by now", flush=True)
    return found


def differences(found: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[str]:
    """A line for each result that is not the same bit for bit."""
    lines = [f"{name}: only in one of them" for name in found.keys() ^ other.keys()]
    for name in found.keys() & other.keys():
        one, two = found[name], other[name]
        if one.shape != two.shape or one.dtype != two.dtype:
            lines.append(f"{name}: {one.dtype} {one.shape} and {two.dtype} {two.shape}")
        elif one.tobytes() != two.tobytes():
            apart = np.abs(one.astype(np.float64) - two.astype(np.float64)).max()
            lines.append(f"{name}: apart by up to {apart:.3g}")
    return sorted(lines)


def main() -> int:
    """Compute, write, and compare where there is something to compare with."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a new .npz of all results")
    parser.add_argument("--like", type=Path, help="the .npz of another version")
    options = parser.parse_args()
    found = results()
    np.savez_compressed(options.out, **{name.replace("/", "|"): v for name, v in found.items()})
    if options.like is None:
        return 0
    with np.load(options.like) as stored:
        other = {name.replace("|", "/"): stored[name] for name in stored.files}
    lines = differences(found, other)
    print("\n".join(lines))
    print(
        f"{len(found)} results, {sum(v.size for v in found.values())} numbers: {len(lines)} differ"
    )
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
