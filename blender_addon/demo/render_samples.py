"""Renders described scenes in Blender, to measure a model on what the add-on really sends.

    BACKEND_PYTHON -m backend.evaluation.renders --scenes 100 --out scenes.json
    BLENDER_PYTHON blender_addon/demo/render_samples.py --scenes scenes.json --out DIR
    BACKEND_PYTHON -m backend evaluate relevance --renders DIR --out OUT

or, for a mesh of one's own in place of the world's scenes

    BLENDER_PYTHON blender_addon/demo/render_samples.py --mesh FILE --name bottle --out DIR

with the Pythons of .venv-backend and .venv-blender.

Every scene is rendered by Cycles and, where nothing is patterned, by Workbench. Beside the pictures
lies what is seen where, several samples a pixel, also after edits that change what is there;
index.json names the files and repeats the descriptions.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import bpy
import images
from described import build, is_patterned
from truth import object_indices

sys.path.append(str(Path(__file__).parents[1] / "tools"))
from mesh_views import build_view, describe, with_thing
from scripting import check_counts, end_with, silence

FORMAT = 1
ENGINES = {"cycles": "CYCLES", "workbench": "BLENDER_WORKBENCH"}
EEVEE = "BLENDER_EEVEE" if bpy.app.version >= (5, 0, 0) else "BLENDER_EEVEE_NEXT"
PICTURE_SIZE = 128
SAMPLES_PER_SIDE, FEW_PER_SIDE, LARGE = 4, 2, 256
"""Samples of the truth along a pixel's side; few in pictures that are larger than LARGE."""


def main() -> int:
    """Render; the exit status."""
    parser = _parser()
    options = parser.parse_args()
    check_counts(parser, options)
    if options.mesh is None:
        descriptions = json.loads(options.scenes.read_text("utf-8"))["scenes"]
    else:
        views = range(options.views)
        descriptions = [describe(options.name, v, options.views, options.seed) for v in views]
    engines = options.engine or list(ENGINES)
    options.out.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    for number, description in enumerate(descriptions, 1):
        began = time.perf_counter()
        with silence():
            if options.mesh is None:
                entry = _render_scene(description, options.out, options.size, engines)
            else:
                entry = _render_view(description, options, engines)
        entries.append(entry)
        spent = time.perf_counter() - began
        print(f"{number} of {len(descriptions)}: {spent:.1f} s", flush=True)
    write_index(options.out, entries, options.size)
    print(f"wrote {len(entries)} renders and index.json to {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--scenes", type=Path, help="what to render, as JSON")
    what.add_argument("--mesh", type=Path, help="an .obj or .glb to render from all around instead")
    parser.add_argument("--name", default="object", help="what instructions call the mesh")
    parser.add_argument("--up", choices=("Y", "Z"), default="Y", help="the .obj's up axis (Y)")
    parser.add_argument("--views", type=int, default=12, help="of the mesh (12)")
    parser.add_argument("--seed", type=int, default=0, help="of the mesh's light and views (0)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=PICTURE_SIZE, help="pixels a side")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="(both)")
    return parser


def _render_scene(
    description: dict[str, Any], out: Path, size: int, engines: list[str]
) -> dict[str, Any]:
    """The description with the files of its renders."""
    name = str(description["seed"])
    if is_patterned(description["scene"]):
        engines = [engine for engine in engines if engine != "workbench"]
    entry = description | render(build(description, size, size), out, name, engines)
    return entry | {"edits": edits_with_ids(description, out, size)}


def edits_with_ids(description: dict[str, Any], out: Path, size: int) -> list[dict[str, Any]]:
    """The described edits for the index, with what is seen where after those that change it. They
    are built in place of the open scene.
    """
    edits = []
    for number, edit in enumerate(description["edits"]):
        ids = None
        if edit["changed"] is not None:
            ids = f"{description['seed']}_ids_{number}.png"
            save_ids(build(description | {"scene": edit["changed"]}, size, size), out / ids)
        edits.append({"edit": edit["edit"], "captions": edit["captions"], "ids": ids})
    return edits


def _render_view(
    description: dict[str, Any], options: argparse.Namespace, engines: list[str]
) -> dict[str, Any]:
    """The same for a view of a mesh."""
    scene = build_view(description, options.mesh.absolute(), options.up, options.size)
    files = render(scene, options.out, f"{options.name}_{description['seed']}", engines)
    edits = [
        {"edit": edit["edit"], "captions": edit["captions"], "ids": None}
        for edit in description["edits"]
    ]
    return with_thing(description, options.name) | files | {"edits": edits}


def render(scene: bpy.types.Scene, out: Path, name: str, engines: list[str]) -> dict[str, Any]:
    """Render the scene with each engine and write what its samples show.

    Returns:
        {"images": {engine: file}, "ids": file, "samples_per_side": n}, files relative to `out`. The
        ids are an 8-bit picture, n times as wide and high, of pass indices.
    """
    file = scene.render.image_settings
    file.file_format, file.color_mode, file.color_depth = "PNG", "RGB", "8"
    pictures = {}
    for engine in engines:
        scene.render.engine = ENGINES[engine]
        pictures[engine] = f"{name}_{engine}.png"
        scene.render.filepath = str((out / pictures[engine]).absolute())
        bpy.ops.render.render(write_still=True, scene=scene.name)
    save_ids(scene, out / f"{name}_ids.png")
    return {
        "images": pictures,
        "ids": f"{name}_ids.png",
        "samples_per_side": samples_per_side(scene),
    }


def save_ids(scene: bpy.types.Scene, path: Path) -> None:
    """Write what the samples of a scene's render show, by pass index."""
    size = (scene.render.resolution_x, scene.render.resolution_y)
    samples = samples_per_side(scene)
    images.save_png(object_indices(scene, *(side * samples for side in size)), path)


def samples_per_side(scene: bpy.types.Scene) -> int:
    """How many samples of the truth lie along the side of one pixel of the scene's render."""
    render = scene.render
    large = max(render.resolution_x, render.resolution_y) > LARGE
    return FEW_PER_SIDE if large else SAMPLES_PER_SIDE


def engine_name(engine: str) -> str:
    """Blender's name of "cycles", "workbench" or "eevee"."""
    return (ENGINES | {"eevee": EEVEE})[engine]


def write_index(out: Path, entries: list[dict[str, Any]], size: int) -> None:
    """index.json: the renders with their descriptions."""
    index = {
        "format": FORMAT,
        "blender": bpy.app.version_string,
        "size": size,
        "renders": entries,
    }
    (out / "index.json").write_text(json.dumps(index) + "\n", "utf-8")


if __name__ == "__main__":
    end_with(main)
