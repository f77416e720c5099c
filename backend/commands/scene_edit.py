"""`python -m backend scene edit`: an edit of a captured scene."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tyro.conf import Positional

from backend.command_line import otherwise
from backend.commands.options import ModelOptions, SceneCommand, SceneOptions
from backend.errors import BadInput, check_instruction
from backend.fields.config import EDIT_PRESETS, ClipGuidanceConfig, SceneEditConfig
from backend.output.contact_sheet import TILE, Tile, contact_sheet
from backend.output.progress import OnProgress
from backend.output.report import Report, print_notes
from backend.output.writable import check_writable
from protocol import files
from protocol.settings import SceneRegionSettings, SceneThreshold, SceneUpdateSettings
from protocol.values import EditPreset

if TYPE_CHECKING:
    from backend.scenes.edit import SceneEdit
    from backend.scenes.given_masks import Mask
    from backend.scenes.methods.painted_views import PaintedView
    from backend.scenes.scene import Scene

SHEET_VIEWS, SHEET_SIDE = 4, 2 * TILE
"""Views in before_and_after.png, and pixels of a side of each at most, of which it shows half:
whole photos of a phone would be rendered for an hour.
"""
CAPTIONED = "clip_guidance"
"""The method that needs captions."""


@dataclass(frozen=True, kw_only=True)
class EditScene(SceneOptions, SceneCommand):
    """Edit a scene whose field is trained, or go on with such an edit.

    WORK/edits/NAME keeps all of it, with before_and_after.png. Ctrl-C pauses: do the same to go on.
    """

    instruction: Positional[str]
    """such as "turn the bear into a panda\""""
    name: Annotated[str | None, otherwise("made from the instruction")] = None
    """of the edit"""
    base: Annotated[str | None, otherwise("the scene as it was captured", "NAME")] = None
    """stack it on this edit"""
    preset: Annotated[EditPreset | None, otherwise("that of the field")] = None
    """numbers not given here; paper is wholly the paper's"""
    threshold: Annotated[
        SceneThreshold | None, otherwise("0.5, which fits its edges best", "T")
    ] = None
    """relevance to edit from, above 0 to 1"""
    iterations: Annotated[int | None, otherwise("the preset's", "N")] = None
    """training steps"""
    views_at_once: Annotated[int | None, otherwise("the preset's")] = None
    """views edited in one batch, for a GPU with memory to spare"""
    method: Annotated[str, otherwise("dataset_update", "NAME")] = SceneEditConfig.method
    """what edits the scene, see the manual"""
    captions: Annotated[tuple[str, str] | None, otherwise("none", "BEFORE AFTER")] = None
    """what the scene shows, for clip_guidance"""
    clip: Annotated[str, otherwise("demo")] = ClipGuidanceConfig.clip
    """of clip_guidance: hub id or folder"""
    masks: Annotated[Path | None, otherwise("what the model finds", "DIR")] = None
    """folder with a mask of what to edit for every view"""
    painted: Annotated[Path | None, otherwise("nothing", "DIR")] = None
    """images of views: white adds, black takes away"""
    everything: bool = False
    """edit all of every view, not only where the instruction applies"""
    region: SceneRegionSettings = SceneRegionSettings()
    settings: SceneUpdateSettings = SceneUpdateSettings()
    model: str = ModelOptions.model
    """hub id, folder, demo or auto"""
    dtype: str = ModelOptions.dtype
    """auto, float32, float16, bfloat16"""
    compile: bool = ModelOptions.compile
    """compile the model's network, which takes minutes at first"""

    cancelled: ClassVar[str] = "paused: the same command goes on from the last checkpoint"

    def do(self, report: Report, on_progress: OnProgress) -> None:
        """Do it.

        Raises:
            EditError, CaptureError, CheckpointError, ModelNotFound, FloatingPointError, ValueError,
                OSError: as `Scene.edit`.
        """
        check_instruction(self.instruction)
        if self.method != CAPTIONED and (self.captions or self.clip != ClipGuidanceConfig.clip):
            raise BadInput(
                f"Captions and a CLIP are for the method {CAPTIONED}: add --method {CAPTIONED}, or "
                "leave --captions and --clip out."
            )
        # Only now: torch and nerfstudio take seconds to load.
        from backend.editing import Editor
        from backend.editing.notes import notes_on
        from backend.scenes.edit_run import edit_preset, rays_of, with_settings
        from backend.scenes.outcome import changed, compare, outcome_notes

        scene = self.open_scene()
        check_writable(
            scene.work, "name a copy of it with --work, or make it one that can be written"
        )
        config = with_settings(
            EDIT_PRESETS[self.preset or edit_preset(scene.field.config)],
            self.settings,
            self.iterations,
            self.region,
        )
        if self.views_at_once is not None:
            config = dataclasses.replace(config, views_at_once=self.views_at_once)
        clip = dataclasses.replace(config.clip_guidance, captions=self.captions, clip=self.clip)
        config = dataclasses.replace(config, method=self.method, clip_guidance=clip)
        if self.everything:
            config = dataclasses.replace(config, everything=True)
        masks = None if self.masks is None else _masks(self.masks, scene)
        painted = () if self.painted is None else _painted(self.painted, scene)
        with report.stage("loading the model"):
            editor = Editor.from_pretrained(self.model, self.device, self.dtype, self.compile)
        with report.stage("editing"):
            edit = scene.edit(
                self.instruction,
                editor,
                self.threshold,
                config,
                self.name,
                self.base,
                lambda words, share, _: on_progress(words, share),
                masks=masks,
                painted=painted,
            )
        on_progress("Edited", 1.0)
        card = editor.card
        ran = config.resolved(card.guidance.settings).for_views(len(edit.field.names))
        report.settings |= {
            "masks": None if self.masks is None else str(self.masks),
            "painted": None if self.painted is None else str(self.painted),
            "config": dataclasses.asdict(ran),
            "rays": rays_of(scene, edit.field, config),
            "model": card.name,
            "device": card.device_name,
            "dtype": str(card.dtype),
        }
        with report.stage("pictures"):
            report.figures |= _pictures(scene, edit)
            compared = compare(scene, edit)
        report.figures |= {"changed_share_of_region": changed(compared), "left_out": edit.unedited}
        # the prompt check has a line of its own
        about = notes_on(editor.card, self.instruction, applies=None)
        report.notes = [*outcome_notes(edit, compared), *about]
        report.write(edit.folder)
        print_notes(report.notes)
        print(f"model {card.name} on {card.device_name}")
        if edit.snap is not None:
            print(f"region: snapped to {edit.snap.took}")
        if edit.applies is not None:
            seen = "applies" if edit.applies else "does not apply, as far as the model sees"
            print(f"prompt check: {seen}")
        print(
            f"{report.figures['edits_of_views']} edits of views; the edit {edit.name}, "
            f"before_and_after.png and report.json are in {edit.folder}"
        )


def _masks(folder: Path, scene: "Scene") -> "dict[str, Mask]":
    """The masks of all views at their size.

    Raises:
        BadInput: as `read_view_masks`, or they are those that training leaves out.
    """
    from backend.captures.view_masks import read_view_masks

    for view in scene.capture.views:
        if view.mask is not None and folder.resolve() in view.mask.resolve().parents:
            raise BadInput(
                f"The masks in {folder} say what of the photos, such as {view.name}, is not "
                "trained on: put masks of what is to be edited into another folder."
            )
    found = read_view_masks(folder, scene.capture)
    sizes = {view.name: view.intrinsics for view in scene.capture.views}
    return {name: mask.at(sizes[name].height, sizes[name].width) for name, mask in found.items()}


def _painted(folder: Path, scene: "Scene") -> "list[PaintedView]":
    """What was painted on views, with their cameras.

    Raises:
        BadInput: as `read_painted`.
    """
    from backend.captures.painted_files import read_painted
    from backend.scenes.camera import Camera
    from backend.scenes.methods.painted_views import PaintedView

    found = []
    for name, painted in read_painted(folder, scene.capture).items():
        camera = scene.camera(name)
        height, width = painted.shape
        lens = camera.intrinsics.resized(width, height)
        found.append(PaintedView(painted, Camera(camera.pose, lens)))
    return found


def _pictures(scene: "Scene", edit: "SceneEdit") -> dict[str, Any]:
    """Writes before_and_after.png; the edit's figures."""
    capture, rows = scene.capture, []
    out = [name for name in capture.names if name not in edit.field.names] or capture.names
    for name in [out[k * len(out) // SHEET_VIEWS] for k in range(min(SHEET_VIEWS, len(out)))]:
        after = edit.render(edit.camera(name).at_most(SHEET_SIDE))
        original = edit.original_field
        seen_from = scene.camera(name, original).at_most(SHEET_SIDE)
        before = scene.render(seen_from, edit.relevance, original)
        tiles: list[Tile] = [
            (Image.fromarray(capture.read(capture.names.index(name)).image), f"view {name}"),
            (_picture(before.rgb), "the field before"),
        ]
        if before.relevance is not None:
            words = f"{_shown(edit)}, edited from {edit.threshold:.2f}"
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
        "region": None if edit.snap is None else {"took": edit.snap.took, "why": edit.snap.why},
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


def _shown(edit: "SceneEdit") -> str:
    """What its relevance shows."""
    if edit.asked.painted:
        return "region"
    whole = edit.snap is not None and edit.snap.took == "things"
    return "whole things" if whole else "relevance"


def _picture(values: NDArray[np.float32]) -> Image.Image:
    """A picture of values (H, W, 3) in 0..1."""
    return Image.fromarray((values.clip(0, 1) * 255 + 0.5).astype(np.uint8))
