"""Textures of meshes, baked from fields whose colours are known at every place."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from backend.captures.capture import Capture
from backend.fields.radiance_field import RadianceField
from backend.meshes import baking
from backend.meshes.baking import EditToBake, ShortRays, TexturedScene, texture_mesh, unwrap
from backend.meshes.connectivity import islands
from backend.meshes.extraction import TriangleMesh, extract_mesh
from backend.meshes.textured_mesh import TexturedMesh

from .solid_field import SolidField, first_sphere, solid_relevance
from .solid_scene import blue_sphere, ramps
from .tiny_capture import orbit_capture
from .tiny_field import TINY

SIZE = 160


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 12, 64)[0]


@pytest.fixture(scope="module")
def mesh(capture: Capture) -> TriangleMesh:
    return extract_mesh(SolidField(capture), capture, resolution=64, faces=1200)


@pytest.fixture(scope="module")
def baked(mesh: TriangleMesh, capture: Capture) -> TexturedScene:
    edited = SolidField(capture, blue_sphere)
    edit = EditToBake(edited, solid_relevance(capture), 0.5)
    return texture_mesh(mesh, SolidField(capture, ramps), capture, SIZE, edit)


def surface(scene: TexturedScene) -> tuple[np.ndarray, np.ndarray]:
    """Texels that faces cover, and their places."""
    corners, none = scene.vertices[scene.faces], np.zeros((0, 3, 3))
    mesh = TexturedMesh(corners, scene.uvs.astype(float), scene.texture, none)
    return mesh.surface.texel, mesh.surface.position + mesh.centre


def test_no_two_faces_share_a_texel(mesh: TriangleMesh, baked: TexturedScene) -> None:
    assert baked.uvs.shape == (len(mesh.faces), 3, 2)
    assert baked.uvs.dtype == np.float32
    assert 0 <= baked.uvs.min() < baked.uvs.max() <= 1
    texel, position = surface(baked)
    order = np.argsort(texel)
    same = np.flatnonzero(np.diff(texel[order]) == 0)
    apart = np.linalg.norm(position[order[same]] - position[order[same + 1]], axis=1)
    assert apart.max(initial=0) < 0.02, "only neighbours share the texels on their edge"
    assert len(np.unique(texel)) > 0.4 * SIZE**2, "the texture is made use of"


def test_texels_have_the_fields_colours(baked: TexturedScene) -> None:
    texel, position = surface(baked)
    shown = baked.texture.reshape(-1, 3)[texel] / 255
    apart = np.abs(shown - ramps(position)).max(axis=1)
    assert np.median(apart) < 0.01
    assert np.quantile(apart, 0.98) < 0.05


def test_far_from_the_origin_textures_are_as_at_the_origin(
    mesh: TriangleMesh, capture: Capture
) -> None:
    shift = np.array([512345.25, 5412345.5, -120.75])
    poses, to_box = capture.camera_to_world.copy(), capture.to_box.copy()
    poses[:, :3, 3] += shift
    to_box[:3, 3] -= to_box[0, 0] * shift
    far = dataclasses.replace(capture, camera_to_world=poses, to_box=to_box)
    field = SolidField(capture, ramps)
    near = texture_mesh(mesh, field, capture, 96)
    moved = texture_mesh(TriangleMesh(mesh.vertices + shift, mesh.faces), field, far, 96)
    assert np.abs(near.uvs - moved.uvs).max() < 0.01
    assert np.median(np.abs(near.texture.astype(int) - moved.texture)) == 0
    assert np.abs(near.texture.astype(int) - moved.texture).mean() < 0.5


def test_a_soft_surface_is_no_darker(mesh: TriangleMesh, capture: Capture) -> None:
    """A short ray loses a third of its light in a field so thin."""
    thin = SolidField(capture, ramps, density=25)
    scene = texture_mesh(mesh, thin, capture, 48)
    texel, position = surface(scene)
    shown = scene.texture.reshape(-1, 3)[texel] / 255
    assert np.median(np.abs(shown - ramps(position)).max(axis=1)) < 0.02


def test_the_edit_is_in_the_second_texture_and_only_in_the_region(baked: TexturedScene) -> None:
    assert baked.edited_texture is not None
    assert baked.relevance_texture is not None
    assert baked.region is not None
    texel, position = surface(baked)
    on_it = first_sphere(position)
    region = baked.region.reshape(-1)
    inner = np.linalg.norm(position - (0.0, 0.0, 0.6), axis=1) < 0.62
    clear = np.abs(np.linalg.norm(position - (0.0, 0.0, 0.6), axis=1) - 0.62) > 0.05
    assert (region[texel[clear]] == on_it[clear]).mean() > 0.97
    outside = ~baked.region
    assert np.array_equal(baked.edited_texture[outside], baked.texture[outside])
    blue = baked.edited_texture.reshape(-1, 3)[texel[inner & region[texel]]] / 255
    assert np.abs(np.median(blue, axis=0) - (0.1, 0.1, 0.9)).max() < 0.02
    relevance = baked.relevance_texture.reshape(-1)[texel]
    assert np.quantile(relevance[inner], 0.1) > 0.9
    assert np.quantile(relevance[clear & ~on_it], 0.9) < 0.1


def test_charts_have_a_margin(baked: TexturedScene) -> None:
    """Texels just beside a chart have a colour of the chart, not black."""
    texel, _ = surface(baked)
    covered = np.zeros((SIZE, SIZE), bool)
    covered.reshape(-1)[texel] = True
    rows, columns = np.nonzero(covered)
    tree = cKDTree(np.stack([rows, columns], 1))
    beside = np.stack(np.nonzero(~covered), 1)
    distance, nearest = tree.query(beside)
    near = distance < 3
    assert near.sum() > 500
    chart = baked.texture[rows[nearest[near]], columns[nearest[near]]].astype(int)
    there = baked.texture[beside[near, 0], beside[near, 1]].astype(int)
    assert np.median(np.abs(there - chart).max(axis=1)) <= 2


def test_without_a_relevance_field_all_of_it_is_the_region(
    mesh: TriangleMesh, capture: Capture
) -> None:
    told = []
    scene = texture_mesh(
        mesh,
        SolidField(capture, ramps),
        capture,
        48,
        EditToBake(SolidField(capture, blue_sphere), None, 0.5),
        lambda words, share: told.append(share),
    )
    assert scene.relevance_texture is None
    assert scene.region is not None
    assert scene.region.all()
    assert told == sorted(told)
    assert told[-1] <= 1


def test_without_an_edit_there_is_one_texture(mesh: TriangleMesh, capture: Capture) -> None:
    scene = texture_mesh(mesh, SolidField(capture, ramps), capture, 48)
    assert scene.texture.shape == (48, 48, 3)
    assert scene.edited_texture is None
    assert scene.relevance_texture is None
    assert scene.region is None


def test_a_mesh_far_from_the_origin_is_unwrapped_as_well(mesh: TriangleMesh) -> None:
    far = TriangleMesh(mesh.vertices * 1e-3 + 5000, mesh.faces)
    uvs = unwrap(far, 256)
    a, b, c = np.moveaxis(uvs.astype(float), 1, 0)
    area = np.abs(np.linalg.det(np.stack([b - a, c - a], 1))) / 2
    assert 0.4 < area.sum() <= 1


def test_charts_of_large_meshes_stay_small_enough_to_be_fast(
    mesh: TriangleMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    def charts(work: float) -> int:
        monkeypatch.setattr(baking, "CHART_WORK", work)
        blank = np.zeros((4, 4, 3), np.uint8)
        uvs = unwrap(mesh, 256).astype(float)
        unwrapped = TexturedMesh(mesh.vertices[mesh.faces], uvs, blank, np.zeros((0, 3, 3)))
        return int(islands(unwrapped).max()) + 1

    faces_of_a_chart = 50
    assert charts(len(mesh.faces) * faces_of_a_chart) > 1.5 * charts(np.inf)


def test_nerfacto_samples_short_rays_where_they_are(capture: Capture) -> None:
    config = dataclasses.replace(TINY, covered_by=0.15)
    field = RadianceField(config, capture.names)
    field.cover(capture.camera_to_box, capture.intrinsics)
    origins = torch.full((5, 3), 0.1)
    along = torch.nn.functional.normalize(torch.ones(5, 3), dim=-1)
    positions, _ = field.weigh(ShortRays(origins, along, 0.05).bundle(slice(0, 5)))
    distance = (positions - origins[:, None]).norm(dim=-1)
    assert 0 <= distance.min() < distance.max() <= 0.05
