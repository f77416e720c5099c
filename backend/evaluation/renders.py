"""The demo world's test scenes on their way to Blender and back, as pictures that Blender rendered.

`python -m backend.evaluation.renders --scenes N --out scenes.json` describes test scenes as plain
data; `blender_addon/demo/render_samples.py` builds and renders them, and
`blender_addon/demo/panel_samples.py` has the add-on's own buttons do it; `read_renders` gives the
same samples with Blender's pictures and Blender's masks in place of the world's own.
"""

import argparse
import dataclasses
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.counts import check_options
from backend.errors import BadInput
from backend.evaluation.samples import SEEDS
from backend.pictures import read_picture
from backend.world import world
from backend.world.lighting import FIRST_THING
from backend.world.pool import Sample, draw_samples, edited_picture
from backend.world.render import Rendering, id_of, render

FORMAT = 1
WORLD_SIZE = 128
EDITS_OF_ONE_SCENE = 4
WORLD = "world"
"""Stands for the world's own renderer among the engines."""

Ids = NDArray[np.uint8]


def describe(
    seed: int, edits: int = EDITS_OF_ONE_SCENE, kinds: Sequence[str] | None = None
) -> dict[str, Any] | None:
    """The scene of this seed, its camera and its instructions, as plain data.

    Args:
        seed: of the scene.
        edits: how many at most; those that could not be seen are left out.
        kinds: of edits; None for all.

    Returns:
        {"seed", "scene", "camera", "edits": [{"edit", "captions", "changed"}, ...]}; "changed" is
        the scene after an edit that changes what is there, else None. None where no edit is left.
    """
    samples = draw_samples(seed, WORLD_SIZE, WORLD_SIZE, edits, kinds=kinds)
    if not samples:
        return None
    described = []
    for sample in samples:
        structural = sample.edit.kind in world.STRUCTURAL_KINDS and sample.edit.target is not None
        changed = world.apply(sample.scene, sample.edit) if structural else None
        described.append(
            {
                "edit": dataclasses.asdict(sample.edit),
                "captions": sample.captions,
                "changed": None if changed is None else dataclasses.asdict(changed),
            }
        )
    scene, camera = samples[0].scene, samples[0].camera
    return {
        "seed": seed,
        "scene": dataclasses.asdict(scene),
        "camera": dataclasses.asdict(camera),
        "edits": described,
    }


def read_renders(folder: Path) -> dict[str, list[Sample]]:
    """What `render_samples.py` has rendered: samples by engine, in the same order for each.

    A sample has one edit of one picture, as the world's own samples have, but no true edited
    picture: `edited` is empty. Masks and `things` are shares of pixels, float32 (H, W) and
    (n, H, W), from what Blender shows where. Scenes of the world come once more under WORLD, as its
    own renderer draws them.

    Raises:
        BadInput: the folder holds no renders, or of another format.
    """
    index = read_index(folder)
    samples: dict[str, list[Sample]] = {}
    for entry in index["renders"]:
        for engine, file in entry["images"].items():
            samples.setdefault(engine, []).extend(rendered(folder, entry, file))
        if entry["camera"] is not None:
            samples.setdefault(WORLD, []).extend(drawn(entry, index["size"])[1])
    return samples


def read_index(folder: Path) -> dict[str, Any]:
    """What the scripts that render in Blender have written beside their pictures.

    Raises:
        BadInput: the folder holds no renders, or of another format.
    """
    try:
        index: dict[str, Any] = json.loads((folder / "index.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise BadInput(
            f"{folder} has no index.json: make it with blender_addon/demo/render_samples.py."
        ) from error
    if index.get("format") != FORMAT:
        raise BadInput(
            f"{folder / 'index.json'} has format {index.get('format')!r}, not {FORMAT}: "
            "render again."
        )
    return index


def rendered(folder: Path, entry: dict[str, Any], file: str) -> list[Sample]:
    """The samples of one picture by Blender, one for each edit of an entry of the index."""
    image = read_picture(folder / file).in_srgb()
    ids, side = _ids(folder, entry["ids"]), entry["samples_per_side"]
    scene, camera = _scene_and_camera(entry)
    things = np.stack([_share(ids == id_of(n), side) for n in range(len(scene.things))])
    samples = []
    for each in entry["edits"]:
        edit = msgspec.convert(each["edit"], world.Edit)
        after = None if each["ids"] is None else _ids(folder, each["ids"])
        mask = _share(_changed(edit, ids, after, len(scene.things)), side)
        nothing = np.zeros((0, 0, 3), np.uint8)
        captions = (each["captions"][0], each["captions"][1])
        samples.append(Sample(image, nothing, mask, things, edit, scene, camera, captions))
    return samples


def drawn(entry: dict[str, Any], size: int) -> tuple[Rendering, list[Sample]]:
    """The same samples by the world's own renderer, `size` pixels a side, and its picture."""
    scene, camera = _scene_and_camera(entry)
    picture = render(scene, camera, size, size)
    things = np.stack([picture.coverage(n) for n in range(len(scene.things))])
    samples = []
    for each in entry["edits"]:
        edit = msgspec.convert(each["edit"], world.Edit)
        edited, mask = edited_picture(scene, picture, edit)
        captions = (each["captions"][0], each["captions"][1])
        samples.append(Sample(picture.image, edited, mask, things, edit, scene, camera, captions))
    return picture, samples


def _scene_and_camera(entry: dict[str, Any]) -> tuple[world.Scene, world.Camera]:
    scene = msgspec.convert(entry["scene"], world.Scene)
    if entry["camera"] is None:  # a mesh of one's own, seen by a camera of Blender's
        return scene, world.Camera((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0)
    return scene, msgspec.convert(entry["camera"], world.Camera)


def _ids(folder: Path, file: str) -> Ids:
    return read_picture(folder / file).own[..., 0]


def _changed(edit: world.Edit, before: Ids, after: Ids | None, things: int) -> NDArray[np.bool_]:
    """Which samples show another surface before and after: see `backend.world.pool`."""
    if edit.target is None:
        return np.zeros(before.shape, np.bool_)
    mask = before == id_of(edit.target)
    if edit.kind == "put on top":
        mask = np.zeros_like(mask)
    if after is not None and edit.kind != "remove":
        new = FIRST_THING + things if edit.kind == "put on top" else id_of(edit.target)
        mask = mask | (after == new)
    return mask


def _share(samples: NDArray[np.bool_], side: int) -> NDArray[np.float32]:
    """Share of each pixel's `side` x `side` samples that are true, float32 (H, W)."""
    height, width = samples.shape
    cells = samples.reshape(height // side, side, width // side, side)
    return cells.mean(axis=(1, 3), dtype=np.float32)


def main() -> int:
    """Write the description; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m backend.evaluation.renders")
    parser.add_argument("--scenes", type=int, required=True, metavar="N", help="how many")
    parser.add_argument(
        "--edits-each",
        type=int,
        default=EDITS_OF_ONE_SCENE,
        metavar="N",
        help=f"of each scene ({EDITS_OF_ONE_SCENE})",
    )
    parser.add_argument(
        "--kind", action="append", choices=world.KINDS, help="of edits; may come again (all)"
    )
    parser.add_argument("--seeds", choices=SEEDS, default="test", help="of the scenes (test)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    try:
        check_options(options)
    except BadInput as error:
        parser.error(str(error))
    found = (describe(seed, options.edits_each, options.kind) for seed in SEEDS[options.seeds])
    described = list(itertools.islice(filter(None, found), options.scenes))
    options.out.write_text(json.dumps({"format": FORMAT, "scenes": described}) + "\n", "utf-8")
    print(f"wrote {len(described)} scenes to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
