"""`python -m backend scene texture`: an edited texture for a mesh that Blender has written."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tyro.conf import Positional

from backend.command_line import otherwise
from backend.commands.options import ModelOptions, Out, SceneCommand, work_of
from backend.errors import BadInput, check_instruction
from backend.meshes.connectivity import islands, pieces, seams_changed
from backend.meshes.folder import MeshFolder, read_labels, read_mesh_folder
from backend.meshes.textured_mesh import MeshError
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.new_folder import appearing, check_new
from backend.output.progress import OnPreview, OnProgress
from backend.output.report import Report, print_notes
from protocol.settings import MapSettings, RegionSettings, TextureSettings, Threshold

if TYPE_CHECKING:
    from backend.meshes.texture_edit import MeshEdit

SIDES = 3


@dataclass(frozen=True, kw_only=True)
class Texture(ModelOptions, SceneCommand):
    """Edit the texture of a mesh from Blender.

    FOLDER is written by blender_addon/tools/export_mesh.py. Write DIR/texture.png (outside the
    edited region with its own bytes), DIR/relevance.png (of each texel), DIR/views with every view
    before and after and the region in it, DIR/contact_sheet.png and DIR/report.json. DIR appears
    when all of it is there. With --from-field the change comes from an edit of a captured scene
    instead of from editing the views of FOLDER: no INSTRUCTION then, and of the settings of maps,
    regions and edits only --snap, --things and --rim.
    """

    folder: Positional[Path]
    """the mesh and its views"""
    instruction: Annotated[Positional[str | None], otherwise("none")] = None
    """such as "make the bottle blue\""""
    from_field: Annotated[Path | None, otherwise("no capture", "CAPTURE")] = None
    """a capture in the mesh's coordinates, of which --edit is an edit"""
    edit: Annotated[str | None, otherwise("none", "NAME")] = None
    """with --from-field: of the scene's edits"""
    work: Annotated[Path | None, otherwise("CAPTURE/.wys", "DIR")] = None
    """with --from-field: work folder"""
    out: Out
    """a new folder"""
    threshold: Annotated[Threshold | None, otherwise("what suits the map")] = None
    """relevance to edit from, 0..1"""
    maps: MapSettings = MapSettings()
    region: RegionSettings = RegionSettings()
    things: Annotated[str | None, otherwise("pieces or surfaces, by the map", "KIND")] = None
    """what a thing is: pieces, islands (of the UVs), materials, or a .npy file of face labels"""
    settings: TextureSettings = TextureSettings()

    def work_folders(self) -> Sequence[Path]:
        """The work folder of the scene whose field is asked for."""
        return () if self.from_field is None else work_of(self.from_field, self.work)

    def do(self, report: Report, on_progress: OnProgress) -> None:
        """Do it.

        Raises:
            MeshError, ModelNotFound, ValueError, FloatingPointError, OSError: the folder, the model
                or a setting cannot be used, or DIR is there already; nothing was written.
        """
        out = check_new(self.out)
        change: Callable[[MeshFolder, Report, OnPreview], MeshEdit]
        if self.from_field is not None:
            if self.instruction or self.edit is None:
                raise BadInput(
                    "With --from-field name an --edit of it, in place of an INSTRUCTION."
                )
            change = partial(self._from_field, self.from_field, self.edit)
        elif self.instruction is None:
            raise BadInput("Say what to change, or name an edited capture with --from-field.")
        else:
            check_instruction(self.instruction)
            change = partial(self._from_model, self.instruction)
        # Only now: torch takes seconds to load.
        from backend.meshes.texture_edit import outcome_note

        with report.stage("reading"):
            folder = read_mesh_folder(self.folder)
        with appearing(out) as unfinished:
            edit = change(folder, report, lambda words, share, _: on_progress(words, share))
            report.figures |= _figures(folder, edit, report.seconds["editing"])
            if self.things is not None and self.region.snap != "things":
                report.notes.append(
                    f"The things are not used: --snap {self.region.snap} asks for none."
                )
            unchanged = outcome_note(folder.mesh, edit)
            if unchanged is not None:
                report.notes.insert(0, unchanged)
            _write(unfinished, folder, edit, report)
        on_progress("Written", 1.0)
        print_notes(report.notes)
        if self.from_field is None:
            print(f"model {report.settings['model']} on {report.settings['device']}")
        for line in _summary(report.figures):
            print(line)
        names = "texture.png, relevance.png, views, contact_sheet.png and report.json"
        print(f"wrote {names} to {out}")

    def _from_model(
        self, instruction: str, folder: MeshFolder, report: Report, on_progress: OnPreview
    ) -> "MeshEdit":
        """Edits the mesh's own views."""
        # Only now: torch takes seconds to load, which a mistyped folder need not pay.
        from backend.editing import Editor
        from backend.editing.notes import notes_on
        from backend.meshes.texture_edit import MeshEditConfig, edit_mesh

        config = MeshEditConfig(
            lit=folder.lit,
            threshold=self.threshold,
            **dataclasses.asdict(self.maps),
            **dataclasses.asdict(self.region),
            **dataclasses.asdict(self.settings),
        )
        things = None if self.things is None else things_of(folder, self.things)
        with report.stage("loading the model"):
            editor = Editor.from_pretrained(self.model, self.device, self.dtype, self.compile)
        # the prompt check has a line of its own
        report.notes += notes_on(editor.card, instruction, applies=None)
        card = editor.card
        report.settings |= dataclasses.asdict(config.resolved(card.guidance.settings)) | {
            "model": card.name,
            "device": card.device_name,
            "dtype": str(card.dtype),
        }
        with report.stage("editing"):
            edit = edit_mesh(
                folder.mesh, folder.views, instruction, editor, config, on_progress, things
            )
        report.notes += [edit.why] if edit.why else []
        return edit

    def _from_field(
        self, capture: Path, edit: str, folder: MeshFolder, report: Report, on_progress: OnPreview
    ) -> "MeshEdit":
        """Takes over what an edit of a captured scene has changed."""
        from backend.meshes.painting import PaintConfig
        from backend.scenes.scene import Scene
        from backend.scenes.texture import field_edit, texture_from_field

        self._check_without_model()
        config = PaintConfig(lit=folder.lit)
        things = None if self.things is None else things_of(folder, self.things)
        with report.stage("loading the scene"):
            scene = Scene.open(capture, work=self.work, device=self.device)
            change = field_edit(scene, edit, self.threshold)
            instruction = scene.edited(edit).instruction
        report.settings |= dataclasses.asdict(config) | {"instruction": instruction}
        with report.stage("editing"):
            made = texture_from_field(
                folder.mesh,
                folder.views,
                change,
                config,
                on_progress,
                self.region.snap,
                things,
                self.settings.rim,
            )
        report.notes += [made.why] if made.why else []
        return made

    def _check_without_model(self) -> None:
        """Raise BadInput where a setting says how the model is used, as nothing asks it."""
        for group in (self, self.maps, self.settings):
            for field in dataclasses.fields(group):
                asked = group is not self or field.name in ("model", "dtype")
                if asked and field.name != "rim" and getattr(group, field.name) != field.default:
                    raise BadInput(
                        "With --from-field no model is asked, as the scene was edited before: "
                        f"leave out the setting {field.name.replace('_', ' ')}."
                    )


def things_of(folder: MeshFolder, kind: str) -> NDArray[np.int32]:
    """Labels of a mesh's triangles, int32 (F,).

    Args:
        folder: the mesh.
        kind: "pieces", "islands", "materials", or the name of a .npy file.

    Raises:
        MeshError: they are not there or cannot be used.
    """
    if kind == "pieces":
        return pieces(folder.mesh)
    if kind == "islands":
        return islands(folder.mesh)
    if kind == "materials":
        if folder.materials is None:
            raise MeshError(
                "The folder does not say which materials the mesh has: write it again with "
                "blender_addon/tools/export_mesh.py."
            )
        return folder.materials
    return read_labels(Path(kind), len(folder.mesh.corners))


def _figures(folder: MeshFolder, edit: "MeshEdit", seconds: float) -> dict[str, Any]:
    from backend.meshes.texture_edit import (
        colour_change,
        edited_share,
        rerender_difference,
    )

    mean, worst = rerender_difference(edit) or (None, None)
    change, changed = colour_change(folder.mesh, edit) or (None, None)
    return {
        "views": len(folder.views),
        "applies": edit.applies,
        "threshold": round(float(edit.threshold), 4),
        "took": edit.took,
        "things": edit.things or None,
        "edited_share_of_texture": float(edit.region.mean()),
        "edited_share_of_mesh": edited_share(folder.mesh, edit.region),
        "rerender_difference": mean,
        "rerender_difference_of_worst_view": worst,
        "mean_change_of_region": change,
        "visibly_changed_share_of_region": changed,
        "seams": seams_changed(folder.mesh, edit.texture, edit.region),
        "seconds_per_view": round(seconds / len(folder.views), 2),
        "edits": [
            {
                "view": one.view,
                "round": one.round,
                "seed": one.seed,
                "noise_level": round(one.noise_level, 4),
            }
            for one in edit.edits
        ],
    }


def _summary(figures: dict[str, Any]) -> list[str]:
    """The figures in words."""
    lines = []
    if figures["applies"] is not None:
        seen = "applies" if figures["applies"] else "does not apply"
        lines.append(f"prompt check: {seen}; threshold {figures['threshold']:.2f}")
    if figures["rerender_difference"] is None:
        return lines
    if figures["took"] == "things":
        lines.append(f"the region is made of whole {figures['things']}")
    return [
        *lines,
        f"{figures['edited_share_of_mesh']:.1%} of the mesh's texels were edited, "
        f"{figures['seconds_per_view']:.1f} s a view",
        f"their colours changed by {figures['mean_change_of_region']:.1%} on average, "
        f"{figures['visibly_changed_share_of_region']:.0%} of them visibly",
        f"the new texture is {figures['rerender_difference']:.2%} from the edited views inside the "
        f"region ({figures['rerender_difference_of_worst_view']:.2%} in the worst one)",
    ]


def _write(out: Path, folder: MeshFolder, edit: "MeshEdit", report: Report) -> None:
    """Write everything into a folder that is there."""
    Image.fromarray(edit.texture).save(out / "texture.png")
    report.figures["outside_is_input"] = _keeps_outside(out / "texture.png", folder, edit.region)
    Image.fromarray(np.rint(edit.relevance * 255).astype(np.uint8)).save(out / "relevance.png")
    (out / "views").mkdir()
    for number, view in enumerate(folder.views):
        pictures: dict[str, NDArray[Any]] = {
            "before": view.image,
            "after": edit.renders[number],
            "mask": edit.masks[number],
        }
        for name, picture in pictures.items():
            Image.fromarray(picture).save(out / "views" / f"{number:03d}_{name}.png")
    _sheet(folder, edit).save(out / "contact_sheet.png")
    report.write(out)


def _keeps_outside(path: Path, folder: MeshFolder, region: NDArray[np.bool_]) -> bool:
    """Whether the file has the original's bytes outside the region, and its alpha everywhere."""
    with Image.open(path) as file:
        written = np.asarray(file)
    original = folder.mesh.texture
    return (
        written.shape == original.shape
        and np.array_equal(written[~region], original[~region])
        and np.array_equal(written[..., 3:], original[..., 3:])
    )


def _sheet(folder: MeshFolder, edit: "MeshEdit") -> Image.Image:
    """Before and after, from sides that are far from each other."""
    sides = _sides(folder, edit.masks)
    before: list[Tile] = [
        (Image.fromarray(folder.views[side].image), f"view {side}, before") for side in sides
    ]
    after: list[Tile] = [
        (Image.fromarray(edit.renders[side]), f"view {side}, after") for side in sides
    ]
    return contact_sheet([before, after])


def _sides(folder: MeshFolder, masks: Sequence[NDArray[np.bool_]]) -> list[int]:
    """The view that shows most of the region, and then always that which looks from farthest away
    from the ones before.
    """
    looks = np.stack([view.camera_to_world[:3, 2] for view in folder.views])
    chosen = [int(np.argmax([mask.sum() for mask in masks]))]
    while len(chosen) < min(SIDES, len(looks)):
        nearest = (looks @ looks[chosen].T).max(axis=1)
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
    return chosen
