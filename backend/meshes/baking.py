"""Textures for a mesh of a radiance field: UVs by xatlas, colours by short rays through the field.

A texel's ray passes the surface where the texel lies, from a little before it to a little behind
it, in the mean direction in which the views of the capture see it: the field knows how it looks
from there. The same rays go through the edited field and through the relevance field.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import xatlas
from numpy.typing import NDArray
from torch import Tensor

from backend.captures.capture import Capture
from backend.fields.nerfstudio_compat import RayBundle
from backend.fields.relevance_field import Relevance
from backend.meshes.extraction import TriangleMesh
from backend.meshes.painting import spread_to_margin
from backend.meshes.textured_mesh import (
    MeshView,
    Surface,
    TexturedMesh,
    margin_source,
    see_surface,
    see_texture,
)
from backend.output.progress import OnProgress

REACH = 0.015
"""How far a texel's ray begins before the surface and ends behind it, as a share of the mesh's
longest side: about two cells of the grid that the mesh comes from."""
PADDING = 4
"""Texels between charts, so that what is read linearly, or scaled down once, stays in its own."""
CHART_WORK = 4e7
"""Faces of a mesh times the faces that an even chart of it may have; the time of unwrapping rises
with it. Small meshes' charts may have all faces, large ones' as many as xatlas is fast with."""
MARGIN = 16
"""Texels around charts that continue them."""
VIEW_SIDE = 256
"""Pixels at most along a view's longer side in which it is looked up what the view shows."""
LEAST_COSINE, ANGLE_POWER = 0.1, 1.0
RAYS_AT_ONCE = 1 << 16
LEAST_LIGHT = 1e-3
"""Accumulation that a short ray is taken to have at least."""

Composite = Callable[[Tensor, Tensor], Tensor]


class ShadedField(Protocol):
    """What is asked of a field: a `RadianceField` has it. All in box coordinates."""

    @property
    def device(self) -> torch.device:
        """Where rays must be."""

    @property
    def alpha(self) -> bool:
        """Whether it lies over black where it is see-through; else over its last sample."""

    def shade(self, bundle: RayBundle, relevance: Composite | None = None) -> Tensor:
        """float32 (m, 5 or 6): red, green, blue, depth, accumulation, relevance."""

    def corrected(self, pose: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """The pose (4, 4) of a view as training has corrected it."""


@dataclass(frozen=True, eq=False)
class EditToBake:
    """An edit whose colours become a second texture.

    Attributes:
        field: after the edit.
        relevance: where it applies, and what it means on a person's scale; None where the edit did
            without: then all of the mesh is the region.
        threshold: 0..1 on that scale, from which the scene was edited; not None where there is a
            relevance field.
    """

    field: ShadedField
    relevance: Relevance | None
    threshold: float | None


@dataclass(frozen=True, eq=False)
class TexturedScene:
    """A mesh with its textures.

    Attributes:
        vertices: float64 (V, 3), in capture coordinates.
        faces: int64 (F, 3), counterclockwise as seen from outside.
        uvs: float32 (F, 3, 2), of the faces' corners; v = 1 is row 0 of the textures.
        texture: uint8 (T, T, 3), sRGB, of the field before the edit.
        edited_texture: uint8 (T, T, 3), after it; outside `region` it has the bytes of `texture`.
            None without an edit.
        relevance_texture: float32 (T, T), 0..1 on the scale of the threshold, 0 where no face is;
            None without a relevance field.
        region: bool (T, T), the texels that the edit may have changed; None without an edit.
        left_out: as a `TriangleMesh` says it.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    uvs: NDArray[np.float32]
    texture: NDArray[np.uint8]
    edited_texture: NDArray[np.uint8] | None = None
    relevance_texture: NDArray[np.float32] | None = None
    region: NDArray[np.bool_] | None = None
    left_out: float = 0.0


def texture_mesh(
    mesh: TriangleMesh,
    field: ShadedField,
    capture: Capture,
    size: int,
    edit: EditToBake | None = None,
    on_progress: OnProgress | None = None,
) -> TexturedScene:
    """Unwrap a mesh and bake its textures.

    Args:
        mesh: in capture coordinates, from `extract_mesh`.
        field: before the edit.
        capture: that the field was trained on.
        size: T, pixels of a side of the textures.
        edit: baked too where it is given.
        on_progress: told what is being done; what it raises ends the work.

    Raises:
        MeshError: the mesh is too small for a single texel.
    """
    report = on_progress or (lambda words, share: None)
    report("Unwrapping the mesh", 0.0)
    uvs = unwrap(mesh, size)
    blank = np.zeros((size, size, 3), np.uint8)
    corners = mesh.vertices[mesh.faces]
    textured = TexturedMesh(corners, uvs.astype(np.float64), blank, np.zeros((0, 3, 3)))
    surface = textured.surface
    report("Looking from all views", 0.2)
    rays = _short_rays(textured, _directions(textured, field, capture), capture, field.device)
    covered = np.zeros(size * size, np.bool_)
    covered[surface.texel] = True
    source = margin_source(covered.reshape(size, size), MARGIN)
    relevance = edit.relevance if edit is not None else None
    threshold = None if edit is None else edit.threshold
    composite = None if relevance is None else relevance.composite
    steps = 1 if edit is None else 2
    teller = _teller(report, "Baking the texture", 0.3, 0.7 / steps)
    shaded = _shade(field, rays, composite, teller)
    texture = _picture(_colours(shaded, field), surface, source, size)
    if edit is None:
        return TexturedScene(mesh.vertices, mesh.faces, uvs, texture, left_out=mesh.left_out)
    teller = _teller(report, "Baking the edited texture", 0.65, 0.7 / steps)
    shaded_after = _shade(edit.field, rays, None, teller)
    edited = _picture(_colours(shaded_after, edit.field), surface, source, size)
    values, region = None, np.ones((size, size), np.bool_)
    if relevance is not None:
        assert threshold is not None
        # A full ray through the scene is opaque, and so the calibration is for such rays.
        light = shaded[:, 4].clip(LEAST_LIGHT, None)
        flat = np.zeros(size * size, np.float32)
        flat[surface.texel] = relevance.calibration.of(shaded[:, 5] / light)
        values = spread_to_margin(flat.reshape(size, size), source)
        region = values >= threshold
    edited = np.where(region[..., None], edited, texture)
    return TexturedScene(
        mesh.vertices, mesh.faces, uvs, texture, edited, values, region, mesh.left_out
    )


def unwrap(mesh: TriangleMesh, size: int) -> NDArray[np.float32]:
    """float32 (F, 3, 2): texture coordinates, 0..1, in which no two faces overlap.

    Args:
        mesh: at least one face.
        size: pixels of a side of the texture that they are for.
    """
    low, extent = mesh.vertices.min(axis=0), np.ptp(mesh.vertices, axis=0).max()
    atlas = xatlas.Atlas()
    places = (mesh.vertices - low) / extent  # xatlas compares with fixed small numbers
    atlas.add_mesh(places.astype(np.float32), mesh.faces.astype(np.uint32))
    charts, packing = xatlas.ChartOptions(), xatlas.PackOptions()
    a, b, c = np.moveaxis(places[mesh.faces], 1, 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    # Left to itself xatlas grows charts without end, in time that rises with their square, and cuts
    # most of them up again as they do not lie flat.
    charts.max_chart_area = area * min(1.0, CHART_WORK / len(mesh.faces) ** 2)
    packing.resolution, packing.padding, packing.bilinear = size, PADDING, True
    atlas.generate(charts, packing)
    _, corners, uvs = atlas.get_mesh(0)
    found: NDArray[np.float32] = uvs[corners].reshape(-1, 3, 2).astype(np.float32)
    return found


def _directions(mesh: TexturedMesh, field: ShadedField, capture: Capture) -> NDArray[np.float32]:
    """float32 (N, 3), of length 1: in which the views look at the entries of the mesh's surface, in
    the mean by how straight they do; against the normal where none sees it.
    """
    surface = mesh.surface
    total = np.zeros(surface.position.shape, np.float32)
    for index, name in enumerate(capture.names):
        camera = capture.intrinsics[index]
        shrink = min(1.0, VIEW_SIDE / max(camera.width, camera.height))
        small = camera.resized(
            max(1, round(camera.width * shrink)), max(1, round(camera.height * shrink))
        )
        pose = field.corrected(capture.camera_to_box[index], name).copy()
        pose[:3, 3] = (pose[:3, 3] - capture.to_box[:3, 3]) / capture.box_scale
        view = MeshView(np.zeros((small.height, small.width, 3), np.uint8), small, pose)
        depth = see_texture(mesh, view, 1, 1.0).depth
        seen = see_surface(mesh, view, depth, LEAST_COSINE, ANGLE_POWER)
        away = surface.position[seen.index] - (pose[:3, 3] - mesh.centre).astype(np.float32)
        away /= np.linalg.norm(away, axis=1, keepdims=True).clip(1e-12, None)
        total[seen.index] += away * seen.weight[:, None]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    known = length > 1e-6
    directions: NDArray[np.float32] = np.where(
        known, total / np.where(known, length, 1), -surface.normal
    )
    return directions


@dataclass(frozen=True, eq=False)
class ShortRays:
    """Rays that end.

    Attributes:
        origins: float32 (N, 3), in box coordinates.
        directions: float32 (N, 3), of length 1.
        length: in box units.
    """

    origins: Tensor
    directions: Tensor
    length: float

    def bundle(self, part: slice) -> RayBundle:
        """nerfstudio's rays."""
        origins = self.origins[part]
        one = torch.ones_like(origins[:, :1])
        return RayBundle(
            origins=origins,
            directions=self.directions[part],
            pixel_area=one,
            camera_indices=torch.zeros_like(one, dtype=torch.long),
            nears=torch.zeros_like(one),
            fars=one * self.length,
        )


def _short_rays(
    mesh: TexturedMesh,
    directions: NDArray[np.float32],
    capture: Capture,
    device: torch.device,
) -> ShortRays:
    reach = REACH * mesh.extent * capture.box_scale
    middle = mesh.surface.position * capture.box_scale + capture.in_box(mesh.centre)
    origins, along = (
        torch.from_numpy(a.astype(np.float32)).to(device)
        for a in (middle - reach * directions, directions)
    )
    return ShortRays(origins, along, 2 * reach)


def _shade(
    field: ShadedField,
    rays: ShortRays,
    relevance: Composite | None,
    on_share: Callable[[float], None],
) -> NDArray[np.float32]:
    """float32 (N, 5 or 6), as `RadianceField.shade`."""
    parts, count = [], len(rays.origins)
    for at in range(0, count, RAYS_AT_ONCE):
        on_share(at / count)
        bundle = rays.bundle(slice(at, at + RAYS_AT_ONCE))
        parts.append(field.shade(bundle, relevance).cpu().numpy())
    return np.concatenate(parts)


def _colours(shaded: NDArray[np.float32], field: ShadedField) -> NDArray[np.float32]:
    """float32 (N, 3): the colours of short rays as if the field were opaque there. A short ray does
    not pass all of a soft surface, and over black it would be darker than the surface looks.
    """
    rgb = shaded[:, :3]
    return rgb / shaded[:, 4:5].clip(LEAST_LIGHT, None) if field.alpha else rgb


def _teller(report: OnProgress, words: str, begun: float, part: float) -> Callable[[float], None]:
    return lambda share: report(words, begun + part * share)


def _picture(
    colours: NDArray[np.float32], surface: Surface, source: NDArray[np.int64], size: int
) -> NDArray[np.uint8]:
    """uint8 (size, size, 3): a texture of the surface's entries, with the margin of its charts."""
    flat = np.zeros((size * size, 3), np.uint8)
    flat[surface.texel] = np.rint(colours.clip(0, 1) * 255)
    margin = np.flatnonzero(source >= 0)
    flat[margin] = flat[source[margin]]
    return flat.reshape(size, size, 3)
