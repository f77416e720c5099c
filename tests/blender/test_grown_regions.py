"""A texture's region grown and shrunk over the mesh: on its surface, across the seams of UVs."""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
import udim
from driving import SECONDS, reopen
from fake_server import FakeServer, edited
from test_flows import refusal, submits
from test_mesh_views import noise
from test_painted_regions import stroke
from test_texture_edit import edit, node, pixels, thing  # noqa: F401  # fixtures
from test_texture_preview import GREEN, keeps_no_pointers, live, preview, regions  # noqa: F401

OPS = bpy.ops.watch_your_steps
SHAPE = (80, 120)
FACES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
"""Of the unit cube, whose corners are numbered 4 x + 2 y + z; each is a cell of 3 x 2 in UVs."""


@pytest.fixture
def surface(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.surface_texels")


def cube(gap: float = 0.0, shares: tuple[float, ...] = (1,) * 6) -> tuple[np.ndarray, np.ndarray]:
    """Corners (12, 3, 3) and UVs (12, 3, 2); `gap` around each face, which takes up a share."""
    corners = np.array([(n >> 2 & 1, n >> 1 & 1, n & 1) for n in range(8)], np.float64)
    found, uvs = [], []
    for number, face in enumerate(FACES):
        low = np.array([number % 3 / 3, number // 3 / 2]) + gap
        size = (np.array([1 / 3, 1 / 2]) - 2 * gap) * shares[number]
        square = [low + size * one for one in ((0, 0), (1, 0), (1, 1), (0, 1))]
        for three in ((0, 1, 2), (0, 2, 3)):
            found.append(corners[[face[one] for one in three]])
            uvs.append([square[one] for one in three])
    return np.array(found), np.array(uvs)


def places_of(corners: np.ndarray, uvs: np.ndarray, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Where the middle of each texel lies, (T, S, 3); NaN where no face is."""
    height, width = shape
    made = np.full((height, width, 3), np.nan)
    row, column = np.mgrid[:height, :width] + 0.5
    there = np.stack([column / width, 1 - row / height], axis=-1)
    for place, uv in zip(corners, uvs, strict=True):
        inverse = np.linalg.inv(np.stack([uv[1] - uv[0], uv[2] - uv[0]], axis=1))
        share = (there - uv[0]) @ inverse.T
        inside = (share >= -1e-9).all(axis=-1) & (share.sum(axis=-1) <= 1 + 1e-9)
        made[inside] = place[0] + share[inside] @ (place[1:] - place[0])
    return made


def ways(places: np.ndarray, start: np.ndarray) -> np.ndarray:
    """How far it is over the cube from a place on its lowest face, over one edge at most."""
    found = np.full(places.shape[:2], np.inf)
    low = np.abs(places[..., 2]) < 1e-9
    found[low] = np.linalg.norm(places[low] - start, axis=-1)
    for axis in (0, 1):
        for side, sign in ((0.0, -1), (1.0, 1)):
            on_side = np.abs(places[..., axis] - side) < 1e-9
            away = side + sign * places[..., 2] - start[axis]
            way = np.hypot(away, places[..., 1 - axis] - start[1 - axis])
            found[on_side] = np.minimum(found, way)[on_side]
    return found


@pytest.mark.parametrize("gap", [0.0, 0.02])
@pytest.mark.parametrize("shares", [(1,) * 6, (1, 0.5, 0.7, 1, 0.6, 0.9)])
@pytest.mark.parametrize("start", [(0.5, 0.5, 0), (0.9, 0.5, 0), (0.3, 0.06, 0)])
def test_it_grows_as_far_over_the_surface_in_all_directions(
    surface: ModuleType, gap: float, shares: tuple[float, ...], start: tuple[float, ...]
) -> None:
    """Whatever lies beside a face in the texture, and however large it is there."""
    shape = (200, 300)
    corners, uvs = cube(gap, shares)
    far = ways(places_of(corners, uvs, shape), np.array(start))
    far[np.isnan(far)] = np.inf
    seed = np.zeros(shape, np.float32)
    seed[np.unravel_index(far.argmin(), shape)] = 1
    texels = surface.surface_texels(corners, uvs, shape)
    inside = (texels.grown(seed, 12) > 0) & texels.covered
    assert far[inside].max() < 15.5 * texels.side
    assert far[texels.covered & ~inside].min() > 10.5 * texels.side
    assert np.isfinite(far[inside]).all(), "no face that does not touch the lowest one"


def test_a_stretched_texture_is_measured_on_the_mesh(surface: ModuleType) -> None:
    corners, uvs = cube(0.02)
    shape = (100, 600)  # texels thrice as high as wide
    far = ways(places_of(corners, uvs, shape), np.array((0.5, 0.5, 0)))
    seed = np.zeros(shape, np.float32)
    far[np.isnan(far)] = np.inf
    seed[np.unravel_index(far.argmin(), shape)] = 1
    texels = surface.surface_texels(corners, uvs, shape)
    inside = (texels.grown(seed, 10) > 0) & np.isfinite(far)
    assert far[inside].max() < 13 * texels.side
    assert far[np.isfinite(far) & ~inside].min() > 9 * texels.side


def test_every_threshold_grows_and_what_shrinks_is_the_rest_that_grows(
    surface: ModuleType,
) -> None:
    corners, uvs = cube(0.02)
    texels = surface.surface_texels(corners, uvs, SHAPE)
    values = np.random.default_rng(0).random(SHAPE, np.float32)
    assert np.array_equal(texels.grown(values, 0)[texels.covered], values[texels.covered])
    more, less = texels.grown(values, 3), texels.grown(values, -3)
    on_mesh = texels.covered
    for threshold in (0.2, 0.5, 0.97):
        alone = texels.grown((values >= np.float32(threshold)).astype(np.float32), 3)
        assert np.array_equal(more[on_mesh] >= np.float32(threshold), alone[on_mesh] > 0)
    assert np.array_equal(less[on_mesh], -texels.grown(-values, 3)[on_mesh])
    beyond = texels.grown(values, 3) != values
    assert beyond[~on_mesh].any(), "the margin goes on"


@pytest.mark.parametrize("size", [0.0, 100.0])
def test_faces_within_a_texel_and_without_a_size_do_not_make_it_go_on_without_end(
    surface: ModuleType, size: float
) -> None:
    """As grounds have in palettes, and what was scaled to nothing."""
    corners, uvs = cube(0.02)
    if size:
        ground = size * np.array([[(0, 0, 0), (1, 0, 0), (1, 1, 0)]])
        corners = np.concatenate([corners, ground])
        uvs = np.concatenate([uvs, ground[..., :2] * 1e-5])
    else:
        corners = 0 * corners
    texels = surface.surface_texels(corners, uvs, SHAPE)
    assert 10 * texels.side < 60 * texels.step
    assert np.isfinite(texels.grown(np.zeros(SHAPE, np.float32), 10)).all()


@pytest.fixture
def region(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
) -> bpy.types.PropertyGroup:
    """A preview on a cube, as the map says it."""
    scene.watch_your_steps.texture.snap = "nothing"
    return preview(connected, scene)


def reach(
    connected: SimpleNamespace,
    surface: ModuleType,
    thing: bpy.types.Object,  # noqa: F811
    texels: int,
    values: np.ndarray = GREEN,
) -> np.ndarray:
    read = connected.mesh_reading.read_mesh_texture(bpy.context, thing)
    found = surface.surface_texels(read.corners, read.uvs, values.shape)
    made: np.ndarray = found.grown(values, texels)
    return made


def test_grow_is_live_and_edited_and_kept(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    region: bpy.types.PropertyGroup,
    regions: ModuleType,  # noqa: F811
    surface: ModuleType,
    server: FakeServer,
) -> None:
    sent = len(submits(server))
    region.threshold = 0.9
    before = regions.mask(region)
    region.grow = 2
    wanted = reach(connected, surface, thing, 2) >= np.float32(0.9)
    assert np.array_equal(regions.mask(region), wanted)
    assert before.sum() < wanted.sum() < wanted.size
    grown = region.grown
    region.threshold = 0.95
    assert region.grown == grown, "the threshold costs nothing"
    assert region.group.nodes["Map"].image == grown, "and is seen"
    region.grow = -1
    region.threshold = 0.3
    shrunk = reach(connected, surface, thing, -1) >= np.float32(0.3)
    assert np.array_equal(regions.mask(region), shrunk)
    assert sum("grown" in one.name for one in bpy.data.images) == 1
    assert len(submits(server)) == sent, "nothing is sent"

    edit(connected, scene)
    assert np.array_equal(submits(server)[-1].request.mask, shrunk)
    shown = node(thing).image
    assert "shrunk by 1 px" in shown.watch_your_steps.made_with
    target = noise(24, 32)
    target[..., :3] = edited(target[..., :3], shrunk)
    assert np.array_equal(pixels(connected.mesh_reading, shown), target)
    OPS.texture_again()
    connected.session.wait_for_job(scene, SECONDS)
    assert np.array_equal(submits(server)[-1].request.mask, shrunk)
    assert "shrunk by 1 px" in node(thing).image.watch_your_steps.made_with
    region = node(thing).image.watch_your_steps.region
    region.threshold = 0.5
    within = reach(connected, surface, thing, -1) >= np.float32(0.5)
    assert np.array_equal(regions.mask(region), within), "the edit's own slider"


def test_what_was_painted_stays_and_what_is_inverted_grows_the_other_way(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    region: bpy.types.PropertyGroup,
    regions: ModuleType,  # noqa: F811
    surface: ModuleType,
) -> None:
    region.threshold, region.grow, region.invert = 0.3, 2, True
    rest = ~(reach(connected, surface, thing, -2) >= np.float32(0.3))
    assert np.array_equal(regions.mask(region), rest)
    region.invert = False
    OPS.paint_texture_region(brush="REMOVE")
    stroke(region.paint, slice(0, 4), 0.0)
    stroke(region.paint, slice(20, 24), 1.0)
    OPS.end_texture_painting()
    for grow in (2, 5, -3, 0):
        region.grow = grow
        wanted = reach(connected, surface, thing, grow) >= np.float32(0.3)
        wanted[:4], wanted[20:] = False, True
        assert np.array_equal(regions.mask(region), wanted), grow
    assert region.grown is None


def test_it_is_one_step_back_and_saved_and_outlives_another_preview(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    region: bpy.types.PropertyGroup,
    regions: ModuleType,  # noqa: F811
    surface: ModuleType,
    tmp_path: Path,
) -> None:
    region.threshold = 0.9
    bpy.ops.ed.undo_push(message="before")
    before = regions.mask(region)
    region.grow = 2
    bpy.ops.ed.undo_push(message="grown")
    after = regions.mask(region)
    bpy.ops.ed.undo()
    region = bpy.data.images["paint"].watch_your_steps.preview
    assert (region.grow, region.grown) == (0, None)
    assert np.array_equal(regions.mask(region), before)
    bpy.ops.ed.redo()
    reopen(connected, tmp_path / "a.blend")
    region = bpy.data.images["paint"].watch_your_steps.preview
    assert np.array_equal(regions.mask(region), after)
    bpy.context.view_layer.objects.active = bpy.data.objects["box"]
    region.grow = 3
    wanted = reach(connected, surface, bpy.data.objects["box"], 3) >= np.float32(0.9)
    assert np.array_equal(regions.mask(region), wanted), "the mesh is read again"


def test_another_preview_is_grown_as_well(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    region: bpy.types.PropertyGroup,
    regions: ModuleType,  # noqa: F811
    surface: ModuleType,
) -> None:
    """Of the mesh as it is by then, whatever is active when the result comes."""
    region.grow, region.threshold = 2, 0.9
    scene.watch_your_steps.instruction = "paint it red"
    for vertex in thing.data.vertices:
        vertex.co.x *= 3 if vertex.co.y > 0 else 1
    OPS.preview_texture()
    bpy.context.view_layer.objects.active = None
    connected.session.wait_for_job(scene, SECONDS)
    bpy.context.view_layer.objects.active = thing
    region.threshold, region.snap = 0.8, "edges"
    wanted = reach(connected, surface, thing, 2, 1 - GREEN) >= np.float32(0.8)
    assert np.array_equal(regions.mask(region), wanted)


def test_a_mesh_that_cannot_be_read_is_told_and_nothing_else_is_edited(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    region: bpy.types.PropertyGroup,
    regions: ModuleType,  # noqa: F811
    server: FakeServer,
    installed: str,
) -> None:
    grown_map = importlib.import_module(f"{installed}.render.grown_map")
    grown_map._surfaces.clear()
    sent = len(submits(server))
    bpy.context.view_layer.objects.active = None
    region.grow = 2
    assert region.grown is None
    assert "is not grown" in regions.why_not_grown(region)
    bpy.context.view_layer.objects.active = thing
    assert "is not grown" in refusal("edit_texture")
    assert len(submits(server)) == sent
    region.grow = 2  # again
    assert regions.why_not_grown(region) == ""
    edit(connected, scene)
    assert len(submits(server)) == sent + 1


def test_it_reaches_from_tile_to_tile(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    regions: ModuleType,  # noqa: F811
    surface: ModuleType,
    tmp_path: Path,
) -> None:
    """Two faces that share an edge on the mesh, and lie on tiles of different sizes."""
    tiles = {1001: (32, 32), 1002: (16, 16)}
    pixel = {number: np.zeros((*size, 4), np.uint8) for number, size in tiles.items()}
    pixel[1001][:, -4:, 1] = 255
    node(thing).image = udim.image(tmp_path, pixel)
    mesh = bpy.data.meshes.new("two")
    places = [(x, y, 2) for y in (-1, 1) for x in (-2, 0, 2)]
    mesh.from_pydata(places, [], [(0, 1, 4, 3), (1, 2, 5, 4)])
    layer = mesh.uv_layers.new(name="UVMap")
    layer.uv.foreach_set("vector", [0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 2, 0, 2, 1, 1, 1])
    mesh.materials.append(thing.active_material)
    thing.data = mesh
    scene.watch_your_steps.texture.snap = "nothing"
    region = preview(connected, scene)
    atlas = importlib.import_module(surface.__package__[: -len("render")] + "data.tiles")
    region.threshold, region.grow = 0.5, 8
    inside = regions.mask(region)
    first, second = (inside[one.slices] for one in atlas.atlas_of(node(thing).image).tiles)
    side = reach_side(connected, surface, thing)
    wide = np.flatnonzero(first.any(axis=0))
    assert wide[-1] == 31
    assert abs((28 - wide[0]) * 2 / 32 - 8 * side) < 0.2, "as far within its tile"
    assert abs(second.any(axis=0).sum() * 2 / 16 - 8 * side) < 0.2, "as over the border"
    assert second.all(axis=0)[0]


def reach_side(
    connected: SimpleNamespace,
    surface: ModuleType,
    thing: bpy.types.Object,  # noqa: F811
) -> float:
    read = connected.mesh_reading.read_mesh_texture(bpy.context, thing)
    side: float = surface.surface_texels(read.corners, read.uvs, read.texture.shape[:2]).side
    return side
