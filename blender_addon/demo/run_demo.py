"""The main job from end to end: a Blender camera, one sentence, a local edit back in Blender; then
the same for the texture of what is named, and for the whole scene in 3D.

Run by `python install.py demo`, in Blender's own Python. Installs the built extension into the bpy
module, starts the real server as a process, and drives the add-on's own operators. Writes
report.json, contact_sheet.png, in_3d.png, demo.blend, in_3d.blend and the single pictures.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from real_addon import (
    MODULE,
    ROOT,
    DemoError,
    connect,
    install,
    send_blenders_words_to,
    server,
    wait,
)

sys.path.append(str(ROOT / "blender_addon" / "tools"))
from scripting import check_counts, end_with

PASSING_IOU = 0.5
EDIT_STEPS = 50
RENDER_SIZE, RENDER_SAMPLES = 1024, 20
SIDE_WIDTH = 896
MEASURED_SIZE, MEASURED_SAMPLES = 512, 32
"""Of the other scenes."""
VIEWS, TEXTURE_VIEWS, TEXTURE_ROUNDS = 24, 12, 2
VIEW_STEPS = 20


@dataclass
class Stages:
    """Prints what is being done and keeps how long it took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block under a name; a name may come again."""
        print(f"{name} ...", flush=True)
        start = time.perf_counter()
        yield
        spent = time.perf_counter() - start
        self.seconds[name] = round(self.seconds.get(name, 0) + spent, 2)
        print(f"{name}: {spent:.1f} s", flush=True)


def main() -> int:
    """Run the demo; the exit status."""
    parser = _parser()
    options = parser.parse_args()
    check_counts(parser, options)
    options.out.mkdir(parents=True, exist_ok=True)
    send_blenders_words_to(options.out / "blender.log")
    with tempfile.TemporaryDirectory(prefix="watch-your-steps-demo-") as folder:
        os.environ["BLENDER_USER_RESOURCES"] = folder  # before bpy is imported
        try:
            return _demo(options, Path(folder))
        except (RuntimeError, TimeoutError) as error:  # operators that refuse, and our own
            print(f"error: {error}", file=sys.stderr)
            return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python install.py demo", description=__doc__)
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--backend-python", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--install-report", type=Path, help="what install.py made, as JSON")
    parser.add_argument("--model", default="demo", help="for the server (demo)")
    parser.add_argument(
        "--seed", type=int, help="of another scene, drawn at random (the still life)"
    )
    parser.add_argument(
        "--size", type=int, default=RENDER_SIZE, help=f"of the render in pixels ({RENDER_SIZE})"
    )
    parser.add_argument("--steps", type=int, default=EDIT_STEPS, help=f"of the edit ({EDIT_STEPS})")
    parser.add_argument(
        "--scenes", type=int, default=0, metavar="N", help="then measure N other scenes too"
    )
    parser.add_argument(
        "--no-3d", action="store_true", help="only the picture, not the texture and the scene"
    )
    parser.add_argument(
        "--texture-views",
        type=int,
        default=TEXTURE_VIEWS,
        help=f"of the object whose texture is edited ({TEXTURE_VIEWS})",
    )
    parser.add_argument("--views", type=int, default=VIEWS, help=f"of the scene in 3D ({VIEWS})")
    parser.add_argument(
        "--view-steps", type=int, default=VIEW_STEPS, help=f"of a view's edit ({VIEW_STEPS})"
    )
    for name, of in (("train", "the field's training"), ("edit", "the scene's edit")):
        parser.add_argument(
            f"--{name}-iterations", type=int, default=0, help=f"of {of} (the preset's)"
        )
    return parser


def _demo(options: argparse.Namespace, folder: Path) -> int:
    stages = Stages()
    with stages("Installing the extension into Blender"):
        install(options.zip)
    import bpy

    connection_file = folder / "connection.json"
    log = options.out / "server.log"
    with server(options.backend_python, options.model, connection_file, log):
        with stages("Starting the server and loading the model"):
            welcome = connect(connection_file)
            print(f"The server runs {welcome.model} on {welcome.device}.")
        demo = _build(options.seed, options.size, RENDER_SAMPLES, stages)
        row = _picture(demo, options.out, stages, options.steps)
        if not options.no_3d:
            row["texture"] = _texture(options, demo, stages)
        with stages("Saving demo.blend"):
            bpy.ops.wm.save_as_mainfile(filepath=str(options.out / "demo.blend"))
        if not options.no_3d:
            row["in_3d"] = _in_3d(options, stages)
        measured = []
        first = 1 + (options.seed or 0)
        for seed in range(first, first + options.scenes):
            other = _build(seed, MEASURED_SIZE, MEASURED_SAMPLES, stages)
            measured.append(_picture(other, options.out / f"scene_{seed}", stages))
    sheets = import_module("sheets")
    sheet = options.out / "contact_sheet.png"
    sheets.poster(options.backend_python, sheet, row)
    if "in_3d" in row:
        sides = row["in_3d"]["pictures"]
        sheets.in_3d_sheet(options.backend_python, options.out / "in_3d.png", sides)
    report = _report(options, stages, welcome, row, measured)
    (options.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    if measured:
        sheets.scenes_sheet(options.backend_python, options.out / "scenes.png", measured)
        passed = report["scenes"]["passed"]
        print(f"IoU of at least {PASSING_IOU} on {passed} of {len(measured)} other scenes.")
    print(f"Made {sheet}, demo.blend and report.json: IoU {row['iou']:.2f}.")
    print(f"Next: open {options.out / 'demo.blend'} in Blender, or try other scenes with --seed N.")
    return 0


def _build(seed: int | None, size: int, samples: int, stages: Stages) -> Any:
    """A DemoScene, open: the still life, or one that is drawn from a seed."""
    with stages("Building the scene"):
        if seed is None:
            return import_module("still_life").build(size, samples)
        return import_module("scenes").build(seed, size, samples)


def _named(demo: Any) -> str:
    return "The still life" if demo.seed is None else f"Scene {demo.seed}"


def _picture(demo: Any, out: Path, stages: Stages, edit_steps: int | None = None) -> dict[str, Any]:
    """Preview the relevance of an open DemoScene and measure the mask; then edit it, unless
    `edit_steps` is None. Returns what was measured.
    """
    import bpy

    images, scenes = import_module("images"), import_module("scenes")
    pictures = import_module(f"{MODULE}.data.pictures")
    out.mkdir(parents=True, exist_ok=True)
    settings = demo.scene.watch_your_steps
    settings.instruction = demo.instruction
    settings.max_side = demo.scene.render.resolution_x
    print(f'{_named(demo)}, instruction: "{demo.instruction}"')
    with stages("Rendering and finding the relevance"):
        bpy.ops.watch_your_steps.preview_relevance()
        wait(demo.scene)
    relevance = pictures.read_gray(settings.relevance_image)
    mask = pictures.read_gray(settings.mask_image) > 0.5
    region = import_module(f"{MODULE}.data.region")
    snapped, labels = region.snapped_map(settings), region.things_of(settings)
    if not (mask == (snapped.values >= settings.threshold)).all():
        raise DemoError("The add-on's mask is not its thresholded map: this is a defect.")
    with stages("Rendering the true mask"):
        truth = scenes.true_mask(demo.scene, mask.shape[1], mask.shape[0])
    iou, alone = _iou(mask, truth), _iou(relevance >= settings.threshold, truth)
    print(
        f"The region snapped to {snapped.took}. IoU with the true one: {iou:.2f}, of the map alone "
        f"{alone:.2f}",
        flush=True,
    )
    result: dict[str, Any] = {
        "seed": demo.seed,
        "instruction": demo.instruction,
        "things": [" ".join(words) for words in demo.things],
        "share_of_frame": round(float(truth.mean()), 4),
        "region_share": round(float(mask.mean()), 4),
        "threshold": round(settings.threshold, 4),
        "prompt_check": settings.prompt_check or "passed",
        "snap": {"asked": settings.snap, "took": snapped.took, "why": snapped.why},
        "iou": round(iou, 4),
        "iou_of_the_map_alone": round(alone, 4),
    }
    render = pictures.read_rgb(settings.render_image)
    files: dict[str, Any] = {"render": render, "relevance": relevance, "mask": mask}
    if edit_steps is not None:
        settings.steps = edit_steps
        with stages("Editing"):
            bpy.ops.watch_your_steps.edit()
            wait(demo.scene)
        edited = pictures.read_rgb(settings.edit_image)
        files["edit"] = edited
        result["outside_is_input"] = bool((edited == render)[~mask].all())
        result["inside_changed"] = round(float((edited != render).any(axis=2)[mask].mean()), 4)
        result["settings"] = {name: getattr(settings, name) for name in _settings_names()}
    files["truth"] = truth
    if labels is not None:
        files["things"] = images.in_colours(labels)
    for name, picture in files.items():
        images.save_png(picture, out / f"{name}.png")
    result["pictures"] = {name: str(out / f"{name}.png") for name in files}
    return result


def _iou(one: Any, other: Any) -> float:
    """Of two masks, bool (H, W)."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def _texture(options: argparse.Namespace, demo: Any, stages: Stages) -> dict[str, Any]:
    """The texture of the named object, and the scene that shows it."""
    edit_texture = import_module("edit_texture").edit_texture
    width = round(SIDE_WIDTH * options.size / RENDER_SIZE)
    texture = demo.scene.watch_your_steps.texture
    texture.views, texture.steps = options.texture_views, options.view_steps
    texture.rounds = TEXTURE_ROUNDS
    found: dict[str, Any] = edit_texture(MODULE, demo, width, options.out, stages, wait)
    return found


def _in_3d(options: argparse.Namespace, stages: Stages) -> dict[str, Any]:
    """The scene in 3D, saved as in_3d.blend."""
    import bpy

    in_3d = import_module("edit_in_3d")
    effort = in_3d.Effort(
        views=options.views,
        train_iterations=options.train_iterations,
        edit_iterations=options.edit_iterations,
        steps=options.view_steps,
    )
    before = sum(stages.seconds.values())
    demo = _build(options.seed, MEASURED_SIZE, MEASURED_SAMPLES, stages)
    demo.scene.watch_your_steps.instruction = demo.instruction
    print(f'{_named(demo)} in 3D, instruction: "{demo.instruction}"')
    found: dict[str, Any] = in_3d.edit_in_3d(MODULE, demo, effort, options.out, stages, wait)
    found["seconds"] = round(sum(stages.seconds.values()) - before, 1)
    distance = found["mesh"]["distance"]
    with stages("Saving in_3d.blend"):
        bpy.ops.wm.save_as_mainfile(filepath=str(options.out / "in_3d.blend"))
    found["scene"], found["instruction"] = options.seed, demo.instruction
    print(found["field"])
    print(f"The mesh is {distance['median']:.2f} % of the objects' size from them (median).")
    return found


def _settings_names() -> list[str]:
    """Of the settings that a report names but for the guidance, which is the model's own."""
    known = import_module(f"{MODULE}.protocol.settings")
    kinds = (known.PictureMapSettings, known.EditSettings)
    all_settings = import_module(f"{MODULE}.protocol.known_settings").all_settings
    names = [one.name for kind in kinds for one in all_settings(kind)]
    return [*(name for name in names if name not in known.GUIDANCE), "max_side"]


def _report(
    options: argparse.Namespace,
    stages: Stages,
    welcome: Any,
    demo: dict[str, Any],
    measured: list[dict[str, Any]],
) -> dict[str, Any]:
    import bpy

    words = (
        "import json, backend.output.report as r; print(json.dumps([r.versions(), r.machine()]))"
    )
    asked = subprocess.run(
        [str(options.backend_python.absolute()), "-c", words],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    versions, machine = json.loads(asked.stdout)
    install = (
        json.loads(options.install_report.read_text("utf-8")) if options.install_report else {}
    )
    report = {
        "command": ["python", "install.py", "demo", *sys.argv[1:]],
        "versions": versions | {"blender": bpy.app.version_string},
        "machine": machine,
        "model": welcome.model,
        "device": welcome.device,
        **asdict(welcome.guidance),
        "install": install,
        "seconds": stages.seconds,
        "demo": demo,
    }
    if measured:
        passed = sum(scene["iou"] >= PASSING_IOU for scene in measured)
        report["scenes"] = {
            "passing_iou": PASSING_IOU,
            "passed": passed,
            "of": len(measured),
            "measured": measured,
        }
    return report


if __name__ == "__main__":
    end_with(main)
