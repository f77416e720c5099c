"""`python -m backend evaluate scene`: figures of fields and 3D edits on scenes of the demo world.

Each scene is captured from cameras all around; all is measured in other views, whose truth the
world knows. Writes report.json, figures.md, contact_sheet.png, and under scenes/ the captures with
their fields: the same command goes on with them where it was stopped.
"""

import dataclasses
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.captures.files import FILE_NAME
from backend.captures.lens import Intrinsics
from backend.editing import Editor
from backend.editing.encoders import Encoder, load_encoder
from backend.errors import BadInput, words_of
from backend.evaluation.lpips import Lpips, load_lpips
from backend.evaluation.maps import Table
from backend.evaluation.options import SceneOptions
from backend.evaluation.relevance import markdown
from backend.evaluation.samples import SEEDS
from backend.evaluation.scenes import clip_figures, mesh_distance, scene_figures
from backend.evaluation.scenes.agreement import agreement
from backend.evaluation.scenes.scene_figures import Figures, Located
from backend.evaluation.scenes.scene_world import HELD_OUT, WorldScene, draw
from backend.evaluation.scenes.telling import show, told, told_of_edit
from backend.fields.config import EDIT_PRESETS, SceneEditConfig
from backend.meshes.textured_mesh import MeshError
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.report import Report
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_records import MIDDLE
from backend.scenes.edit_run import with_numbers
from backend.scenes.scene import Scene
from backend.work_lock import InUse, alone_in

GUIDED, ALONE = "with the relevance field", "without the relevance field"
SHEET_VIEWS = 3
RELEVANCE = "relevance"
"""Name of the edit folder that holds nothing but a relevance field."""


@dataclass
class Measured:
    """What was measured on one scene.

    Attributes:
        located: where the instruction applies.
        figures: of the fields.
        edits: figures of each edit, by way of editing.
        guided: the edit with the relevance field, where one was made.
    """

    world: WorldScene
    scene: Scene
    located: Located
    figures: Figures
    edits: dict[str, Figures] = field(default_factory=dict)
    guided: SceneEdit | None = None

    @property
    def name(self) -> str:
        """Of its row in the tables."""
        return f"{self.world.seed}: {self.world.edit.instruction}"


def run(options: SceneOptions, command: list[str]) -> int:
    """Measure and write; the exit status."""
    try:
        with alone_in(options.out / "scenes"):  # the captures, with their work folders
            return _run(options, command)
    except (BadInput, InUse, FloatingPointError, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 1


def _run(options: SceneOptions, command: list[str]) -> int:
    config = EDIT_PRESETS[options.edit_preset or options.preset]
    report = Report(
        command,
        settings={
            "scenes": options.scenes,
            "seeds": options.seeds,
            "views": options.views,
            "held_out": HELD_OUT,
            "side": options.side,
            "depth": options.depth,
            "edits": options.edits,
        },
    )
    editor = Editor.from_pretrained(options.model, options.device, options.dtype)
    config = with_numbers(config, options.guidance, options.region, options.work)
    config = config.resolved(editor.card.guidance.settings)
    encoder = load_encoder(options.clip, options.device) if options.edits else None
    lpips = None
    if options.edits and options.lpips is not None:
        lpips = load_lpips(options.lpips, options.device)
    report.settings |= {
        "model": editor.card.name,
        "device": editor.card.device_name,
        "clip": encoder and encoder.name,
        "lpips": lpips and lpips.name,
    }
    measured: list[Measured] = []
    worlds = _worlds(options)
    while True:
        with report.stage("drawing scenes"):
            world = next(worlds, None)
        if world is None:
            break
        folder = options.out / "scenes" / str(world.seed)
        scene = open_scene(world, folder, options.depth, options.device)
        done = measure(world, scene, editor, options.preset, report)
        report.settings |= grown(scene, config)
        if encoder is not None and len(measured) < options.edits:
            edit(done, editor, config, options.ablation, encoder, lpips, report)
        measured.append(done)
    tables = tables_of(measured)
    report.figures |= tables
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(markdown(title, table) for title, table in tables.items() if table)
    (options.out / "figures.md").write_text(text, "utf-8")
    sheet(measured).save(options.out / "contact_sheet.png")
    report.write(options.out)
    print(text)
    print(f"wrote figures.md, contact_sheet.png and report.json to {options.out}")
    return 0


def _worlds(options: SceneOptions) -> Iterator[WorldScene]:
    """The first scenes of the seeds that can be measured."""
    left = options.scenes
    for seed in SEEDS[options.seeds]:
        world = draw(seed, options.views, options.side) if left > 0 else None
        if world is not None:
            left -= 1
            yield world
        if left <= 0:
            return


def open_scene(world: WorldScene, folder: Path, depth: bool, device: str) -> Scene:
    """The capture of a world in `folder`, written where it is not there yet.

    Raises:
        BadInput: there is one of other views, so that its pictures were taken for those of the
            world's cameras, or one with depth where it is asked for without, or the other way
            round.
    """
    if not (folder / FILE_NAME).exists():
        world.write(folder, depth)
    scene = Scene.open(folder, device=device)
    scene.leave_out_damaged()
    kept = _views(scene.capture.intrinsics)
    asked = _views([view.camera.intrinsics for view in world.captured])
    if kept != asked:
        raise BadInput(
            f"The capture {folder} has {kept} pixels, not {asked} as asked for: name another --out."
        )
    if (scene.capture.views[0].depth is not None) != depth:
        raise BadInput(
            f"The captures in {folder.parent} were made {'without' if depth else 'with'} --depth: "
            "name another --out."
        )
    return scene


def _views(cameras: Sequence[Intrinsics]) -> str:
    """How many views there are, and of which size, which is the same for all."""
    return f"{len(cameras)} views of {cameras[0].width}x{cameras[0].height}"


def grown(scene: Scene, config: SceneEditConfig) -> dict[str, Any]:
    """The numbers of a scene's field and its edits, as its views take them."""
    edit = config.for_views(len(scene.field.names))
    return {"field": dataclasses.asdict(scene.trained_with()), "edit": dataclasses.asdict(edit)}


def measure(
    world: WorldScene, scene: Scene, editor: Editor, preset: str, report: Report
) -> Measured:
    """Trains both fields of a scene, or takes them from its folder, and measures them."""
    instruction = world.edit.instruction
    show(f"{world.seed}: {instruction}")
    with report.stage("radiance fields"):
        course = scene.train(config=preset, on_step=told("radiance field"))
    trained = [world.captured[scene.capture.names.index(name)].image for name in scene.field.names]
    with report.stage("maps"):
        maps = scene_figures.maps_of(editor, instruction, trained, show)
    with report.stage("relevance fields"):
        found = scene.train_relevance(RELEVANCE, maps, on_step=told("relevance field"))
    with report.stage("measuring"):
        single = scene_figures.maps_of(
            editor, instruction, [view.image for view in world.held_out], show
        )
        located = Located(found, maps, single)
        figures = scene_figures.reconstruction(scene, world)
        figures |= {"steps": course.step, "seconds": round(course.seconds, 2)}  # as it is kept
        figures |= scene_figures.relevance(scene, world, located)
    with report.stage("meshes"):
        try:
            figures |= mesh_distance.of_scene(scene, world.scene)
        except MeshError as error:
            show(f"no mesh: {error}")
    return Measured(world, scene, located, figures)


def edit(
    done: Measured,
    editor: Editor,
    config: SceneEditConfig,
    ablation: bool,
    encoder: Encoder,
    lpips: Lpips | None,
    report: Report,
) -> None:
    """Edits a scene, or takes its edits from its folder, and measures them."""
    ways = {GUIDED: config}
    if ablation:
        ways[ALONE] = dataclasses.replace(config, relevance=False)
    for way, chosen in ways.items():
        with report.stage(f"edits {way}"):
            made = done.scene.edit(
                done.world.edit.instruction,
                editor,
                config=chosen,
                name=way.replace(" ", "-"),
                on_progress=told_of_edit(),
            )
        with report.stage("measuring"):
            figures = scene_figures.edited(done.scene, done.world, made)
            figures |= scene_figures.edited_views(done.scene, done.world, made)
            figures |= agreement(done.scene, done.world, made)
            figures |= clip_figures.edited(done.scene, done.world, made, encoder, lpips)
            done.edits[way] = figures
        if way == GUIDED:
            done.guided = made


def tables_of(measured: Sequence[Measured]) -> dict[str, Table]:
    """Tables with a row a scene and their mean; those of edits with a row a way more."""
    if not measured:
        return {}
    edits = {
        f"{done.name} ({way})": figures for done in measured for way, figures in done.edits.items()
    }
    for way in (GUIDED, ALONE):
        rows = [done.edits[way] for done in measured if way in done.edits]
        if len(rows) > 1:
            edits[f"mean {way}"] = scene_figures.mean_of(rows)
    fields = {done.name: done.figures for done in measured}
    fields["mean"] = scene_figures.mean_of([done.figures for done in measured])
    rounded = {"Fields": fields, "Edits": edits}
    return {
        title: {
            row: {name: round(value, 3) for name, value in figures.items()}
            for row, figures in table.items()
        }
        for title, table in rounded.items()
    }


def sheet(measured: Sequence[Measured]) -> Image.Image:
    """Held-out views of every scene: truth, field, relevance and mask, edit."""
    rows: list[list[Tile]] = []
    for done in measured:
        for view in done.world.held_out[:SHEET_VIEWS]:
            seen = done.scene.render(view.camera, done.located.relevance)
            assert seen.relevance is not None
            mask = seen.relevance >= MIDDLE
            overlap = scene_figures.iou(mask, view.shows(done.world.target))
            tiles: list[Tile] = [
                (Image.fromarray(view.image), textwrap.fill(done.world.edit.instruction, 19)),
                (_picture(seen.rgb), f"field, {scene_figures.psnr_of(seen, view):.1f} dB"),
                (_picture(seen.relevance), "relevance"),
                (Image.fromarray(mask), f"at 0.5\nIoU {overlap:.2f}"),
            ]
            if done.guided is not None:
                tiles.append((_picture(done.guided.render(view.camera).rgb), "edited field"))
            rows.append(tiles)
    return contact_sheet(rows, tile=128)


def _picture(values: NDArray[np.float32]) -> Image.Image:
    """A picture of values in 0..1, (H, W) or (H, W, 3)."""
    return Image.fromarray((values * 255 + 0.5).astype(np.uint8))
