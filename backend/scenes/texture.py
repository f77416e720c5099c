"""An edited texture for a known mesh from an edited radiance field.

Where the direct way (meshes/texture_edit.py) edits the mesh's own views, here the dataset update
has edited a field that was trained on a capture of the mesh. From each view

    what the edit changed  =  render of the edited field - render of the field before it

is painted onto the mesh. Both renders blur alike what a field cannot resolve, so that the texture
keeps its detail. They show the mesh in the light of the whole scene, which may be darker than that
of the mesh's own render: both are brought to the latter's first. Where something else stands before
the mesh in the field, the view says nothing of it.

The region is what the relevance field says at the mesh's own surface, snapped as that of the direct
way. Rendered relevance would mix, along the mesh's outlines, with that of what lies behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from backend.captures.capture import Capture
from backend.captures.lens import Intrinsics
from backend.fields.radiance_field import Rendering
from backend.fields.relevance_field import Relevance
from backend.meshes.painting import (
    PaintConfig,
    Painting,
    PreparedView,
    evened_shade,
    prepare_views,
    spread_to_margin,
    to_linear,
    to_srgb,
)
from backend.meshes.texture_edit import EditedView, MeshEdit, check_things
from backend.meshes.texture_region import TextureRegion, gather_relevance, texture_region
from backend.meshes.textured_mesh import MeshError, MeshView, TexturedMesh, margin_source
from backend.output.progress import OnPreview
from backend.scenes.scene import Scene
from protocol.values import Snap

AT_ONCE = 1 << 16
"""Places whose relevance is asked for at once."""
HIDING = 0.1
"""Share of the mesh's extent by which a field must be nearer than the mesh to hide it: as far as a
trained field's depth may be off."""


class RenderedField(Protocol):
    """What is asked of a field: a `RadianceField` has it. In box coordinates."""

    @property
    def device(self) -> torch.device:
        """Of its parameters."""

    def render(self, pose: NDArray[np.float64], camera: Intrinsics) -> Rendering:
        """What a camera sees."""


@dataclass(frozen=True, eq=False)
class FieldEdit:
    """An edit of a capture's field.

    Attributes:
        capture: whose box the fields live in; its coordinates are those of the mesh.
        before, after: the field before and after it.
        relevance: where it applies.
        threshold: 0..1 on the calibrated scale, from which the scene was edited; not None where
            there is a relevance field.
        applies: what the prompt check said; None where it did not ask.
    """

    capture: Capture
    before: RenderedField
    after: RenderedField
    relevance: Relevance | None
    threshold: float | None
    applies: bool | None = None


def field_edit(scene: Scene, name: str, threshold: float | None = None) -> FieldEdit:
    """An edit of a scene by its name, from its own threshold or another one on.

    Raises:
        MeshError: it is not finished.
        EditError: there is no such edit.
        CheckpointError: it is damaged.
    """
    edit = scene.edited(name)
    if not edit.finished:
        raise MeshError(f"The edit {name} is not finished: let it finish first.")
    return FieldEdit(
        scene.capture,
        edit.original_field,
        edit.field,
        edit.relevance,
        edit.threshold if threshold is None else threshold,
        edit.applies,
    )


def texture_from_field(
    mesh: TexturedMesh,
    views: Sequence[MeshView],
    edit: FieldEdit,
    config: PaintConfig | None = None,
    on_progress: OnPreview | None = None,
    snap: Snap = "things",
    things: NDArray[np.int32] | None = None,
    rim: float = 0.0,
) -> MeshEdit:
    """Bring a field's edit into a mesh's own texture.

    Args:
        mesh: the mesh and its texture; not changed.
        views: renders of it, of one size, from where the capture's cameras stand or near there.
        edit: of the field.
        config: by default `PaintConfig()`.
        on_progress: told what is being done; what it raises ends the work.
        snap: what the region keeps to, as in `texture_region`. What the field was not edited in
            follows what it was.
        things: int32 (F,), a label of each triangle, as in `edit_mesh`.
        rim: texels over which the region's edge is soft, half of them on each side.

    Raises:
        MeshError: no view shows the mesh, the views are not of one size, the edit was made without
            a relevance field, or there are not as many labels as triangles.
    """
    config = config or PaintConfig()
    report = on_progress or (lambda words, share, preview: None)
    threshold = edit.threshold
    if edit.relevance is None or threshold is None:
        raise MeshError(
            "This edit was made without a relevance field, which says where a texture is edited: "
            "edit the scene with one."
        )
    if not views or len({view.image.shape for view in views}) > 1:
        raise MeshError("A texture needs views of the mesh, and all of the same size.")
    check_things(mesh, things)
    total = 2 * len(views) + 2
    report("Finding what each view shows", 0.0, None)
    prepared = prepare_views(mesh, views, config)
    edited, shown = [], []
    for number, view in enumerate(views):
        words = f"Rendering the fields from view {number + 1} of {len(views)}"
        report(words, (1 + number) / total, view.image)
        image, hidden = _edited_view(mesh, view, prepared[number], edit, config)
        confidence = np.where(hidden, np.float32(0), prepared[number].confidence)
        prepared[number] = replace(prepared[number], confidence=confidence)
        edited.append(image)
        shown.append(~hidden)
    relevance = relevance_at_surface(mesh, edit)
    if snap == "nothing":
        _, seen = gather_relevance(mesh, prepared, [view.confidence for view in prepared], config)
        found = TextureRegion(relevance, seen, "nothing", "", None, "")
    else:
        maps = _maps(mesh, prepared, relevance, config)
        middle = edit.relevance.calibration.at
        found = texture_region(mesh, prepared, maps, middle, snap, things, config)
        for number, one in enumerate(maps):
            shown[number] &= one >= threshold
            confidence = prepared[number].confidence * shown[number]
            prepared[number] = replace(prepared[number], confidence=confidence)
    inside = found.known & (found.values >= threshold)
    painting = Painting(mesh, prepared, inside, config, rim, found.things)
    edits = []
    for number in range(len(views)):
        words = f"Painting view {number + 1} of {len(views)}"
        report(words, (1 + len(views) + number) / total, edited[number])
        edits += _painted(painting, number, edited[number], shown[number])
    report("Writing the texture", (total - 1) / total, None)
    painting.fill()
    texture, region = painting.texture()
    return MeshEdit(
        texture=texture,
        relevance=spread_to_margin(found.values, painting.source),
        region=region,
        threshold=threshold,
        applies=edit.applies,
        renders=tuple(painting.render(index) for index in range(len(views))),
        masks=tuple(mask & seen for mask, seen in zip(painting.masks, shown, strict=True)),
        edits=tuple(edits),
        took=found.took,
        things=found.kind,
        why=found.why if inside.any() else "",
    )


def _painted(
    painting: Painting, number: int, edited: NDArray[np.uint8], shown: NDArray[np.bool_]
) -> list[EditedView]:
    """Paint a view, uint8 (H, W, 3), where it shows what was edited, bool (H, W)."""
    before, mask = painting.views[number].image, painting.masks[number] & shown
    if not mask.any():
        return []
    wanted = np.where(mask[..., None], edited, before)
    painting.write(number, wanted)
    return [EditedView(number, 0, before, wanted, mask, 0, 0.0)]


def _edited_view(
    mesh: TexturedMesh,
    view: MeshView,
    prepared: PreparedView,
    edit: FieldEdit,
    config: PaintConfig,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A view with what an edit changed in the field, uint8 (H, W, 3), and where something else
    stands before the mesh there, bool (H, W).
    """
    pose = view.camera_to_world.copy()
    pose[:3, 3] = edit.capture.in_box(pose[:3, 3])
    before = edit.before.render(pose, view.intrinsics)
    after = edit.after.render(pose, view.intrinsics)
    distance = before.depth / edit.capture.box_scale
    hidden = _hidden(prepared, view, distance, HIDING * mesh.extent)
    hidden = ndimage.binary_dilation(hidden, iterations=max(1, round(config.border)))
    was, now = to_linear(before.rgb), to_linear(after.rgb)
    coverage = prepared.seen.coverage * ~hidden
    light = evened_shade(prepared.original, was, coverage, config.shade_blur)
    change = (to_srgb(light * now) - to_srgb(light * was)) * 255
    return np.rint((view.image + change).clip(0, 255)).astype(np.uint8), hidden


def _maps(
    mesh: TexturedMesh,
    views: Sequence[PreparedView],
    relevance: NDArray[np.float32],
    config: PaintConfig,
) -> list[NDArray[np.float32]]:
    """What a relevance of texels, (T, S), looks like in each view, float32 (H, W), 0..1; 0 beside
    the mesh.
    """
    covered = np.zeros(relevance.size, np.bool_)
    covered[mesh.surface.texel] = True
    source = margin_source(covered.reshape(relevance.shape), config.margin)
    spread = spread_to_margin(relevance, source)[..., None]
    return [
        (view.seen.render(spread)[..., 0] / view.seen.coverage.clip(1e-6, None)).clip(0, 1)
        for view in views
    ]


def relevance_at_surface(mesh: TexturedMesh, edit: FieldEdit) -> NDArray[np.float32]:
    """What the relevance field of an edit says at each texel's place on the mesh, float32 (T, S) in
    0..1 on the calibrated scale, 0 for texels that lie on no face.
    """
    assert edit.relevance is not None
    capture, surface = edit.capture, mesh.surface
    # Relative to the box before float32: the mesh may lie far from the origin.
    places = surface.position * capture.box_scale + capture.in_box(mesh.centre)
    found = np.zeros(mesh.size, np.float32)
    device = edit.before.device
    for part in np.array_split(np.arange(len(places)), -(-len(places) // AT_ONCE)):
        positions = torch.from_numpy(places[part]).float().to(device)[:, None]
        with torch.inference_mode():
            values = edit.relevance.composite(positions, torch.ones_like(positions[..., :1]))
        texels = surface.texel[part]
        found.reshape(-1)[texels] = edit.relevance.calibration.of(values[:, 0].cpu().numpy())
    return found


def _hidden(
    prepared: PreparedView, view: MeshView, field_distance: NDArray[np.float32], slack: float
) -> NDArray[np.bool_]:
    """bool (H, W): where a field, whose distances (H, W) are along the rays in world units, shows
    something that is nearer than the mesh by more than `slack`.
    """
    samples = prepared.seen.samples
    mesh_depth = prepared.seen.depth[samples // 2 :: samples, samples // 2 :: samples]
    rows, columns = np.indices(mesh_depth.shape, np.float64) + 0.5
    rays = view.intrinsics.directions(np.stack([columns, rows], -1))
    nearer: NDArray[np.bool_] = field_distance / np.linalg.norm(rays, axis=-1) < mesh_depth - slack
    return nearer & np.isfinite(mesh_depth)
