"""`python -m backend scene mesh`: a textured mesh of a scene."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from backend.command_line import otherwise
from backend.commands.options import Out, SceneCommand, SceneOptions
from backend.meshes.textured_mesh import MeshView, SeenTexture, TexturedMesh, see_texture
from backend.meshes.writing import WRITERS, FileMesh
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.new_folder import appearing, check_new
from backend.output.progress import OnProgress
from backend.output.report import Report, print_notes
from protocol.settings import MeshSettings, TextureSize

if TYPE_CHECKING:
    from backend.meshes.baking import TexturedScene
    from backend.scenes.scene import Scene

SHEET_VIEWS = 4
SEEN_SIDE = 1024
"""Pixels of a side, at most, at which the mesh is compared with the views: SAMPLES of each pixel of
a phone's photos would take gigabytes.
"""
SAMPLES = 2
"""Points a pixel, along each side, at which the mesh is compared with the views."""


@dataclass(frozen=True, kw_only=True)
class Mesh(SceneOptions, SceneCommand):
    """Make a textured mesh of a scene whose field is trained.

    Write DIR/original.glb with the colours of the scene, in the capture's coordinates; with --edit
    also DIR/edited.glb and DIR/relevance.png (of each texel). Outside the edited region both have
    the same colours. DIR also gets the textures as .png, contact_sheet.png (the views, and the mesh
    from there) and report.json, and appears when all of it is there.
    """

    out: Out
    """a new folder"""
    edit: Annotated[str | None, otherwise("the scene alone", "NAME")] = None
    """of the scene's edits"""
    faces: int = 10_000
    """triangles at most, as far as the mesh can be simplified; 0 for all"""
    texture_size: TextureSize = MeshSettings.texture_size
    """pixels a side"""
    resolution: Annotated[int | None, otherwise("160")] = None
    """grid cells along the longest side of what the views see"""
    plain: bool = False
    """also mesh skies, bare grounds and walls that views are too plain to tell the place of"""
    format: Literal["glb", "obj", "ply"] = "glb"
    """of the mesh"""

    def do(self, report: Report, on_progress: OnProgress) -> None:
        """Do it.

        Raises:
            EditError, CaptureError, CheckpointError, MeshError, ValueError, OSError: the scene, the
                edit or a setting cannot be used, or DIR is there already; nothing was written.
        """
        out = check_new(self.out)
        # Only now: torch and nerfstudio take seconds to load.
        from backend.meshes.extraction import RESOLUTION
        from backend.scenes.mesh import LEFT_OUT, mesh_of_scene, too_plain

        scene = self.open_scene()
        scene.leave_out_damaged()
        edit = None if self.edit is None else scene.edited(self.edit)
        report.settings["resolution"] = self.resolution or RESOLUTION
        with appearing(out) as unfinished:
            with report.stage("mesh and textures"):
                made = mesh_of_scene(
                    scene,
                    edit,
                    self.faces or None,
                    self.texture_size,
                    report.settings["resolution"],
                    on_progress,
                    self.plain,
                )
            with report.stage("writing"):
                textures = {"original": made.texture}
                if made.edited_texture is not None:
                    textures["edited"] = made.edited_texture
                for name, texture in textures.items():
                    mesh = FileMesh(made.vertices, made.faces, made.uvs, texture, name)
                    WRITERS[self.format](unfinished / f"{name}.{self.format}", mesh)
                    Image.fromarray(texture).save(unfinished / f"{name}.png")
                if made.relevance_texture is not None:
                    grey = np.rint(made.relevance_texture * 255).astype(np.uint8)
                    Image.fromarray(grey).save(unfinished / "relevance.png")
            with report.stage("pictures"):
                report.figures |= _figures(made) | _compare(scene, made, unfinished)
            if made.left_out >= LEFT_OUT:
                report.notes.append(f"{too_plain(made.left_out)} --plain meshes them, too.")
            if 0 < self.faces < len(made.faces):
                report.notes.append(
                    f"The mesh has more faces than the {self.faces} of --faces: its pieces cannot "
                    "be simplified any further."
                )
            report.write(unfinished)
        on_progress("Written", 1.0)
        print_notes(report.notes)
        figures = report.figures
        print(
            f"{figures['vertices']} vertices, {figures['faces']} faces; with its texture it is "
            f"{figures['difference_from_views']:.2%} from the views"
        )
        if made.edited_texture is not None:
            share = f"{figures['region_share_of_mesh']:.1%}"
            print(f"{share} of the mesh's texels are in the edited region")
        names = ", ".join(f"{name}.{self.format}" for name in textures)
        print(f"wrote {names}, their textures, contact_sheet.png and report.json to {out}")


def _figures(made: "TexturedScene") -> dict[str, Any]:
    figures: dict[str, Any] = {
        "vertices": len(made.vertices),
        "faces": len(made.faces),
        "extent": np.ptp(made.vertices, axis=0).round(6).tolist(),
    }
    if made.edited_texture is None or made.region is None:
        return figures
    on_mesh = np.zeros(made.region.size, np.bool_)
    on_mesh[_textured(made, made.texture).surface.texel] = True
    region = made.region.reshape(-1) & on_mesh
    before, after = (
        texture.reshape(-1, 3).astype(np.float64) / 255
        for texture in (made.texture, made.edited_texture)
    )
    return figures | {
        "region_share_of_mesh": float(region.sum() / on_mesh.sum()),
        "change_inside": float(np.abs(after - before)[region].mean()) if region.any() else None,
        "outside_is_original": np.array_equal(
            made.texture[~made.region], made.edited_texture[~made.region]
        ),
    }


def _compare(scene: "Scene", made: "TexturedScene", out: Path) -> dict[str, Any]:
    """Writes contact_sheet.png: views, and the mesh from there. How far the mesh is from the views,
    the mean absolute difference where it covers pixels, as a share of the range of colours.
    """
    capture, rows, apart = scene.capture, [], []
    textures = [made.texture]
    if made.edited_texture is not None:
        textures.append(made.edited_texture)
    mesh = _textured(made, made.texture)
    names = capture.names
    for name in [names[k * len(names) // SHEET_VIEWS] for k in range(min(SHEET_VIEWS, len(names)))]:
        camera = scene.camera(name).at_most(SEEN_SIDE)
        size = camera.intrinsics.width, camera.intrinsics.height
        photo = Image.fromarray(capture.read(names.index(name)).image)
        image = np.asarray(photo.resize(size, Resampling.BOX))
        seen = see_texture(mesh, MeshView(image, camera.intrinsics, camera.pose), SAMPLES, 1.0)
        shown = [_show(seen, texture) for texture in textures]
        whole = seen.coverage == 1
        apart.append(np.abs(shown[0].astype(np.float64) - image)[whole].ravel() / 255)
        words = ("the mesh", "the edited mesh")
        tiles: list[Tile] = [(Image.fromarray(image), f"view {name}")]
        tiles += [(Image.fromarray(s), w) for s, w in zip(shown, words, strict=False)]
        rows.append(tiles)
    contact_sheet(rows).save(out / "contact_sheet.png")
    values = np.concatenate(apart)
    return {"difference_from_views": float(values.mean()) if len(values) else None}


def _textured(made: "TexturedScene", texture: NDArray[np.uint8]) -> TexturedMesh:
    none = np.zeros((0, 3, 3))
    return TexturedMesh(made.vertices[made.faces], made.uvs.astype(np.float64), texture, none)


def _show(seen: SeenTexture, texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): the mesh before black."""
    return np.rint(seen.render(texture.astype(np.float32)).clip(0, 255)).astype(np.uint8)
