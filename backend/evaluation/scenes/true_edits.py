"""`python -m backend evaluate scene --editor truth`: what the 3D half of an edit loses.

The world knows what every view shows after an edit; an editor that answers with that takes the
model's place. Recolourings, and edits that change the shape of what is there. The same command goes
on where it was stopped.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from backend.errors import BadInput, words_of
from backend.evaluation.maps import Table
from backend.evaluation.options import SceneOptions, TrueKind, TrueWay
from backend.evaluation.relevance import markdown
from backend.evaluation.samples import SEEDS
from backend.evaluation.scenes import scene_figures, true_figures
from backend.evaluation.scenes.scene import grown, open_scene
from backend.evaluation.scenes.scene_figures import Figures
from backend.evaluation.scenes.scene_world import WorldScene, draw
from backend.evaluation.scenes.telling import show, told, told_of_edit
from backend.evaluation.scenes.true_editor import NAME, TrueEditor, Truth
from backend.fields.config import EDIT_PRESETS, SceneEditConfig
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.report import Report
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_run import with_numbers
from backend.scenes.scene import Scene
from backend.work_lock import InUse, alone_in

CELLS = 32
"""Of the true maps, along a side at most."""
RECURRENT_EVERY = 4
"""Steps between two edits of the recurrent update: many rounds cost the true editor nothing."""
SHEET_VIEWS = 2


@dataclasses.dataclass
class Done:
    """An edit by the truth and its figures."""

    world: WorldScene
    scene: Scene
    way: TrueWay
    edit: SceneEdit
    figures: Figures


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
    config = with_numbers(config, options.region, options.work)
    # perfect maps are relevance already, and to Eq. 3 all that is not 0 in them is an outlier
    config = dataclasses.replace(config, normalisation="full")
    report = Report(
        command,
        settings={
            "scenes": list(options.scene) or options.scenes,
            "seeds": options.seeds,
            "views": options.views,
            "side": options.side,
            "depth": options.depth,
            "model": NAME,
            "preset": options.preset,
            "edit_preset": options.edit_preset or options.preset,
            "kinds": options.kinds,
            "ways": options.ways,
        },
    )
    done: list[Done] = []
    most = len(options.scene) or options.scenes
    for seed in options.scene or SEEDS[options.seeds]:
        left = [kind for kind in options.kinds if _scenes_of(kind, done) < most]
        if not left:
            break
        with report.stage("drawing scenes"):
            world = draw(seed, options.views, options.side)
            asked = {} if world is None else _asked(world, left)
        if world is not None and asked:
            done += _edits_of(world, asked, config, options, report)
    if not done:
        print("error: none of these scenes offers such an edit: give others.", file=sys.stderr)
        return 1
    tables = _tables(done)
    report.figures |= dict(tables)
    text = "\n".join(markdown(title, table) for title, table in tables.items() if table)
    report.write(options.out)
    (options.out / "figures.md").write_text(text, "utf-8")
    _sheet(done).save(options.out / "contact_sheet.png")
    print(text)
    print(f"wrote figures.md, contact_sheet.png and report.json to {options.out}")
    return 0


def _scenes_of(kind: TrueKind, done: Sequence[Done]) -> int:
    """How many scenes have an edit of a kind."""
    return len({one.world.seed for one in done if one.world.edit.kind == kind})


def _asked(world: WorldScene, kinds: Sequence[TrueKind]) -> dict[TrueKind, WorldScene]:
    """The scene with an edit of each kind, as far as it offers them."""
    found: dict[TrueKind, WorldScene] = {}
    for kind in kinds:
        asked = world if kind == "recolour" else world.with_edit(kind)
        if asked is None:
            show(f"{world.seed}: nothing to {kind} can be seen from all sides")
        else:
            found[kind] = asked
    return found


def _edits_of(
    world: WorldScene,
    asked: Mapping[TrueKind, WorldScene],
    config: SceneEditConfig,
    options: SceneOptions,
    report: Report,
) -> list[Done]:
    """All edits of one scene, which are not stacked."""
    scene = open_scene(
        world, options.out / "scenes" / str(world.seed), options.depth, options.device
    )
    with report.stage("radiance fields"):
        scene.train(config=options.preset, on_step=told(f"{world.seed}, radiance field"))
    report.settings |= grown(scene, config)
    done = []
    for kind, one in asked.items():
        editor = editor_of(one)
        for way in options.ways:
            show(f"{world.seed}: {one.edit.instruction} ({way})")
            with report.stage("edits"):
                made = scene.edit(
                    one.edit.instruction,
                    editor,
                    config=config_of(config, way),
                    name=f"{kind.replace(' ', '-')}-{way}",
                    on_progress=told_of_edit(),
                )
            with report.stage("measuring"):
                figures = true_figures.true_edit(scene, one, made)
            done.append(Done(one, scene, way, made, figures))
    return done


def config_of(config: SceneEditConfig, way: TrueWay) -> SceneEditConfig:
    """An edit's numbers for a way of editing."""
    if way == "masks":
        return dataclasses.replace(config, relevance=False)
    if way == "everything":
        return dataclasses.replace(config, everything=True)
    if way == "surfaces":
        return dataclasses.replace(config, grow=False)
    if way == "recurrent":
        return dataclasses.replace(config, rounds=0, first_level=None, edit_every=RECURRENT_EVERY)
    return config


def editor_of(world: WorldScene) -> TrueEditor:
    """An editor that knows the captured views."""
    width = world.captured[0].camera.intrinsics.width
    return TrueEditor(truths_of(world), max(1, width // CELLS))


def truths_of(world: WorldScene) -> list[Truth]:
    """What is known of the captured views."""
    found = []
    for view in world.captured:
        edited, share = world.true_change(view)
        height, width = share.shape
        size = min(CELLS, width), min(CELLS, height)
        cells = Image.fromarray(share).resize(size, Image.Resampling.BOX)
        found.append(Truth(view.image, edited, np.asarray(cells, np.float32).clip(0, 1)))
    return found


def _tables(done: Sequence[Done]) -> Mapping[str, Table]:
    """A row for each kind and way, the mean over the scenes; and one for each edit."""
    groups: dict[str, list[Figures]] = {}
    each: Table = {}
    for one in done:
        groups.setdefault(f"{one.world.edit.kind}, {one.way}", []).append(one.figures)
        each[f"{one.world.seed}: {one.world.edit.instruction} ({one.way})"] = one.figures
    means = {f"{name} ({len(rows)})": scene_figures.mean_of(rows) for name, rows in groups.items()}
    return {
        title: {
            row: {name: round(value, 3) for name, value in figures.items()}
            for row, figures in table.items()
        }
        for title, table in {"Edits by the truth": means, "Each": each}.items()
    }


def _sheet(done: Sequence[Done]) -> Image.Image:
    """Held-out views of every edit: before, true edit, edited field, its region."""
    rows: list[list[Tile]] = []
    for one in done:
        for view in one.world.held_out[:SHEET_VIEWS]:
            seen = one.edit.render(view.camera)
            shown = [
                (view.image, f"{one.world.edit.kind},\n{one.way}"),
                (one.world.true_change(view)[0], "true edit"),
                (one.scene.render(view.camera).image, "field"),
                (seen.image, "edited field"),
            ]
            if seen.relevance is not None:
                shown.append(((seen.relevance.clip(0, 1) * 255).astype(np.uint8), "relevance"))
            rows.append([(Image.fromarray(picture), words) for picture, words in shown])
    return contact_sheet(rows, tile=128)
