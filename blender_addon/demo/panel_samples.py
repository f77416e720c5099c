"""Has the add-on's own buttons edit described scenes, to measure what an artist gets in Blender.

    BACKEND_PYTHON -m backend.evaluation.renders --scenes 60 --edits-each 1 --out scenes.json
    BLENDER_PYTHON blender_addon/demo/panel_samples.py --scenes scenes.json --zip ZIP --out DIR
    BACKEND_PYTHON -m backend.evaluation.panel DIR

with the Pythons of .venv-backend and .venv-blender, and ZIP from `python install.py addon`. The
second also wants --backend-python BACKEND_PYTHON.

Installs the built extension, starts the real server as a process, and for every scene and engine
presses Preview Relevance, takes the region that the panel shows at the suggested threshold, and
presses Edit. DIR gets the pictures and index.json, as render_samples.py writes it. With
--connection-file a server that runs already is used: so a Blender with a window can take part,
where EEVEE needs one, by `blender --python panel_samples.py -- OPTIONS`. Where a window is drawn by
the processor, EEVEE takes minutes at its own number of samples: --samples lowers it.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tools")]
from real_addon import (  # noqa: E402
    MODULE,
    connect,
    install,
    send_blenders_words_to,
    server,
    wait,
)
from scripting import check_counts, end_with  # noqa: E402

SIZE = 512
EDIT_STEPS = 20
DEFAULT_ENGINES = ("cycles", "workbench")


def main() -> int:
    """Run; the exit status."""
    parser = _parser()
    own = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    options = parser.parse_args(own)
    check_counts(parser, options)
    if (options.backend_python is None) == (options.connection_file is None):
        parser.error("give one of --backend-python and --connection-file")
    options.out.mkdir(parents=True, exist_ok=True)
    send_blenders_words_to(options.out / "blender.log")
    with tempfile.TemporaryDirectory(prefix="watch-your-steps-samples-") as folder:
        os.environ.setdefault("BLENDER_USER_RESOURCES", folder)  # before bpy is imported
        try:
            install(options.zip)
            with _server(options, Path(folder)) as connection_file:
                connect(connection_file)
                _all(options)
        except (RuntimeError, TimeoutError) as error:  # operators that refuse, and our own
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True, help="what to build, as JSON")
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--backend-python", type=Path, help="to start the server with")
    parser.add_argument("--connection-file", type=Path, help="of a server that runs")
    parser.add_argument("--model", default="demo", help="for the server that is started (demo)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=SIZE, help=f"pixels a side ({SIZE})")
    parser.add_argument(
        "--engine",
        action="append",
        choices=("cycles", "workbench", "eevee"),
        help="may come again (cycles and workbench)",
    )
    parser.add_argument("--samples", type=int, metavar="N", help="a pixel (as described: 6 or 16)")
    parser.add_argument(
        "--steps", type=int, default=EDIT_STEPS, metavar="N", help=f"of an edit ({EDIT_STEPS})"
    )
    parser.add_argument("--no-edits", action="store_true", help="only the regions")
    return parser


@contextlib.contextmanager
def _server(options: argparse.Namespace, folder: Path) -> Iterator[Path]:
    """The connection file of the server that is asked for."""
    if options.connection_file is not None:
        yield options.connection_file
        return
    file = folder / "connection.json"
    with server(options.backend_python, options.model, file, options.out / "server.log"):
        yield file


def _all(options: argparse.Namespace) -> None:
    """Every scene of the description; index.json grows with each, so that what is done counts where
    the run is stopped.
    """
    write_index = import_module("render_samples").write_index
    descriptions = json.loads(options.scenes.read_text("utf-8"))["scenes"]
    entries = []
    for number, description in enumerate(descriptions, 1):
        began = time.perf_counter()
        engines = _engines(description, options)
        if not engines:
            continue
        entries.append(_scene(description, options, engines))
        write_index(options.out, entries, options.size)
        spent = time.perf_counter() - began
        print(f"{number} of {len(descriptions)}: {spent:.1f} s", flush=True)


def _engines(description: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """Those of the asked engines that show all of the scene: Workbench has no patterns."""
    patterned = import_module("described").is_patterned(description["scene"])
    asked = options.engine or DEFAULT_ENGINES
    return [engine for engine in asked if engine != "workbench" or not patterned]


def _scene(
    description: dict[str, Any], options: argparse.Namespace, engines: list[str]
) -> dict[str, Any]:
    """The index's entry of a scene: what `render_samples.py` writes, and for each edit what the
    panel showed, by engine.
    """
    build, renders = import_module("described").build, import_module("render_samples")
    out, size, name = options.out, options.size, str(description["seed"])
    edits = renders.edits_with_ids(description, out, size)
    with _still():
        scene = build(description, size, size)
    renders.save_ids(scene, out / f"{name}_ids.png")
    if options.samples:
        scene.cycles.samples = scene.eevee.taa_render_samples = options.samples
    images: dict[str, str] = {}
    for engine in engines:
        scene.render.engine = renders.engine_name(engine)
        for number, edit in enumerate(edits):
            if edit["edit"]["target"] is None:
                continue
            shown = _press(scene, edit["edit"]["instruction"], options)
            files = {kind: f"{name}_{engine}_{number}_{kind}.png" for kind in shown["pictures"]}
            images[engine] = files["render"] = f"{name}_{engine}.png"  # the same for all edits
            for kind, picture in shown.pop("pictures").items():
                import_module("images").save_png(picture, out / files[kind])
            edit.setdefault("panel", {})[engine] = shown | {"files": files}
    return description | {
        "images": images,
        "ids": f"{name}_ids.png",
        "samples_per_side": renders.samples_per_side(scene),
        "edits": edits,
    }


def _press(scene: Any, instruction: str, options: argparse.Namespace) -> dict[str, Any]:
    """What the panel shows after its buttons were pressed: pictures as arrays, figures."""
    import bpy

    in_window = import_module("building").in_window
    pictures, snapping = (import_module(f"{MODULE}.data.{name}") for name in ("pictures", "region"))
    settings = scene.watch_your_steps
    settings.instruction = instruction
    began = time.perf_counter()
    with _still(), in_window():
        bpy.ops.watch_your_steps.preview_relevance()
    rendered = time.perf_counter()
    wait(scene, show=False)
    previewed = time.perf_counter()
    render = pictures.read_rgb(settings.render_image)
    region = pictures.read_gray(settings.mask_image) > 0.5
    relevance = pictures.read_gray(settings.relevance_image)
    snapped = snapping.snapped_map(settings)
    found: dict[str, Any] = {
        "threshold": settings.threshold,
        "suggested_threshold": settings.suggested_threshold,
        "took": snapped.took,
        "why": snapped.why,
        "pictures": {
            "render": render,
            "relevance": relevance,
            "plain": relevance >= np.float32(settings.suggested_threshold),
            "region": region,
        },
        "seconds": {"render": rendered - began, "map": previewed - rendered},
    }
    things = snapping.things_of(settings)
    if things is not None:
        assert things.max() < 256  # scenes of the world have few
        found["pictures"]["things"] = things.astype(np.uint8)
    if not options.no_edits and region.any():
        settings.steps = options.steps
        with _still(), in_window():
            bpy.ops.watch_your_steps.edit()
        wait(scene, show=False)
        edited = pictures.read_rgb(settings.edit_image)
        found["pictures"]["edit"] = edited
        found["seconds"]["edit"] = time.perf_counter() - previewed
        found["outside_is_input"] = bool((edited == render)[~region].all())
    return found


def _still() -> contextlib.AbstractContextManager[None]:
    """Hold the add-on's thread still, as operators run in an overridden context."""
    still: contextlib.AbstractContextManager[None] = import_module(
        f"{MODULE}.link.stillness"
    ).still()
    return still


if __name__ == "__main__":
    end_with(main)
