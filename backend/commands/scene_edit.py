"""`python -m backend scene edit` and `scene undo`: edits of a captured scene."""

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.commands.scene_options import add_scene_options, open_scene
from backend.errors import check_instruction
from backend.fields.config import EDIT_PRESETS
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.progress import OnProgress
from backend.output.report import Report, print_notes
from protocol import files
from protocol.settings import UpdateSettings, taken

if TYPE_CHECKING:
    from backend.scenes.edit import SceneEdit
    from backend.scenes.scene import Scene

SHEET_VIEWS = 4


def add_edit_commands(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `scene edit` and `scene undo` to the scene commands."""
    edit = kinds.add_parser(
        "edit",
        help="edit a scene whose field is trained, or go on with such an edit",
        description="Find where the instruction applies in all views, train the relevance field, "
        "and update the views one by one while the radiance field goes on training. All of it is "
        "kept in WORK/edits/NAME, with before_and_after.png, every edited view and report.json; "
        "the capture and the scene's own field stay as they are. Ctrl-C pauses: the same command "
        "goes on.",
    )
    edit.add_argument("folder", type=Path, metavar="FOLDER")
    edit.add_argument("instruction", metavar="INSTRUCTION", help='"turn the bear into a panda"')
    edit.add_argument("--name", help="of the edit (made from the instruction)")
    edit.add_argument("--base", metavar="NAME", help="stack it on this edit")
    edit.add_argument("--preset", choices=tuple(EDIT_PRESETS), help="(that of the field)")
    edit.add_argument(
        "--threshold",
        type=float,
        help="0..1, relevance to edit from; 0.5, the default, fits its edges best",
    )
    edit.add_argument("--iterations", type=int, metavar="N", help="training steps (the preset's)")
    edit.add_argument(
        "--views-at-once",
        type=int,
        metavar="N",
        help="edit so many views in one batch, for a GPU with memory to spare (1)",
    )
    edit.add_argument(
        "--steps", type=int, default=UpdateSettings.steps, metavar="N", help="of one view's edit"
    )
    edit.add_argument("--text-guidance", type=float, help="(the model's own)")
    edit.add_argument("--image-guidance", type=float, help="(the model's own)")
    edit.add_argument("--seed", type=int, default=UpdateSettings.seed, help="(0)")
    edit.add_argument(
        "--relevance",
        choices=("field", "off"),
        default="field",
        help="off: edit each view inside its own map, as the paper's ablation does (field)",
    )
    edit.add_argument("--model", default="auto", help="hub id, folder, demo or auto (auto)")
    edit.add_argument("--dtype", default="auto", help="auto, float32, float16, bfloat16")
    add_scene_options(edit)
    edit.set_defaults(
        run_scene=run_edit, cancelled="paused: the same command goes on from the last checkpoint"
    )
    undo = kinds.add_parser(
        "undo", help="delete an edit of a scene", description="The scene itself stays as it is."
    )
    undo.add_argument("folder", type=Path, metavar="FOLDER")
    undo.add_argument("name", metavar="NAME", help="of the edit")
    add_scene_options(undo)
    undo.set_defaults(run_scene=run_undo, cancelled="cancelled; the edit is still there")


def run_edit(options: argparse.Namespace, report: Report, on_progress: OnProgress) -> None:
    """Do it.

    Raises:
        EditError, CaptureError, CheckpointError, ModelNotFound, FloatingPointError, ValueError,
            OSError: as `Scene.edit`.
    """
    check_instruction(options.instruction)
    # Only now: torch and nerfstudio take seconds to load.
    from backend.editing import Editor
    from backend.editing.notes import notes_on
    from backend.scenes.edit_run import edit_preset, with_settings
    from backend.scenes.outcome import changed, compare, outcome_notes

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    scene = open_scene(options)
    settings = dataclasses.replace(
        taken(UpdateSettings, options), relevance=options.relevance == "field"
    )
    config = with_settings(
        EDIT_PRESETS[options.preset or edit_preset(scene.field.config)],
        settings,
        options.iterations,
    )
    if options.views_at_once is not None:
        config = dataclasses.replace(config, views_at_once=options.views_at_once)
    with report.stage("loading the model"):
        editor = Editor.from_pretrained(options.model, options.device, options.dtype)
    with report.stage("editing"):
        edit = scene.edit(
            options.instruction,
            editor,
            options.threshold,
            config,
            options.name,
            options.base,
            lambda words, share, _: on_progress(words, share),
        )
    on_progress("Edited", 1.0)
    card = editor.card
    ran = config.resolved(card.guidance.settings).for_views(len(edit.field.names))
    report.settings |= {
        "config": dataclasses.asdict(ran),
        "rays": config.rays_for(edit.field.config.rays, len(edit.field.names)),
        "model": card.name,
        "device": card.device_name,
        "dtype": str(card.dtype),
    }
    with report.stage("pictures"):
        report.figures |= _pictures(scene, edit)
        compared = compare(scene, edit)
    report.figures |= {"changed_share_of_region": changed(compared), "left_out": edit.unedited}
    # the prompt check has a line of its own
    about = notes_on(editor.card, options.instruction, applies=None)
    report.notes = [*outcome_notes(edit, compared), *about]
    report.write(edit.folder)
    print_notes(report.notes)
    print(f"model {card.name} on {card.device_name}")
    if edit.applies is not None:
        seen = "applies" if edit.applies else "does not apply, as far as the model sees"
        print(f"prompt check: {seen}")
    print(
        f"{report.figures['edits_of_views']} edits of views; the edit {edit.name}, "
        f"before_and_after.png and report.json are in {edit.folder}"
    )


def run_undo(options: argparse.Namespace, report: Report, on_progress: OnProgress) -> None:
    """Do it.

    Raises:
        EditError, CaptureError, OSError: as `Scene.undo`.
    """
    scene = open_scene(options)
    scene.undo(options.name)
    left = scene.edits()
    print(f"undone; the scene has {', '.join(left) if left else 'no edits now'}")


def _pictures(scene: "Scene", edit: "SceneEdit") -> dict[str, Any]:
    """Writes before_and_after.png; the edit's figures."""
    capture, rows = scene.capture, []
    out = [name for name in capture.names if name not in edit.field.names] or capture.names
    for name in [out[k * len(out) // SHEET_VIEWS] for k in range(min(SHEET_VIEWS, len(out)))]:
        after = edit.render(edit.camera(name))
        original = edit.original_field
        before = scene.render(scene.camera(name, original), edit.relevance, original)
        tiles: list[Tile] = [
            (Image.fromarray(capture.read(capture.names.index(name)).image), f"view {name}"),
            (_picture(before.rgb), "the field before"),
        ]
        if before.relevance is not None:
            words = f"relevance, edited from {edit.threshold:.2f}"
            tiles.append((_picture(np.repeat(before.relevance[..., None], 3, axis=2)), words))
        tiles.append((_picture(after.rgb), f'after "{edit.instruction}"'))
        rows.append(tiles)
    with files.replacing(edit.folder / "before_and_after.png") as file:
        contact_sheet(rows).save(file, "PNG")
    facts, _ = edit.checkpoint()
    return {
        "views": len(edit.field.names),
        "applies": edit.applies,
        "threshold": edit.threshold,
        "steps": facts["step"],
        "seconds_of_all_runs": facts["seconds"],
        "edits_of_views": len(edit.views),
        "agreement": [[step, round(score, 2)] for step, score in facts["scores"]],
        "edits": [
            {
                "view": view.name,
                "step": view.step,
                "seed": view.seed,
                "noise_level": round(view.noise_level, 4),
            }
            for view in edit.views
        ],
    }


def _picture(values: NDArray[np.float32]) -> Image.Image:
    """A picture of values (H, W, 3) in 0..1."""
    return Image.fromarray((values.clip(0, 1) * 255 + 0.5).astype(np.uint8))
