"""Which texels are edited: whole pieces and surfaces of a mesh, or what the views' edges say."""

from dataclasses import replace

import numpy as np
import pytest
import xatlas

from backend.editing import Edit
from backend.meshes.connectivity import islands, seams_changed
from backend.meshes.painting import edited_share_of_texels, to_linear
from backend.meshes.texture_edit import MeshEdit, MeshEditConfig, colour_change, edit_mesh
from backend.meshes.textured_mesh import (
    MeshError,
    MeshView,
    TexturedMesh,
    margin_source,
    see_texture,
)
from protocol.region import NO_WHOLE_THINGS
from tests.backend.test_mesh_connectivity import GREEN, RED, cube
from tests.backend.test_mesh_edit import (
    BLUE,
    CONFIG,
    SIZE,
    Painter,
    around,
    ball,
    ball_mesh,
    camera,
    square,
    two_halves,
)

NONE = np.zeros((0, 3, 3))
THINGS = replace(CONFIG, snap="things", threshold=None)
GREY = 128


def two_balls(texture: np.ndarray | None = None) -> TexturedMesh:
    """A ball in the left half of the texture, red, beside a green one in the right half."""
    corners, uvs = ball()
    if texture is None:
        texture = np.zeros((64, 128, 3), np.uint8)
        texture[:, :64], texture[:, 64:] = RED, GREEN
    placed = [0.55 * corners + (0, side, 0) for side in (-0.7, 0.7)]
    squeezed = [uvs * (0.5, 1) + (left, 0) for left in (0, 0.5)]
    return TexturedMesh(np.concatenate(placed), np.concatenate(squeezed), texture, NONE)


def plain_views(mesh: TexturedMesh, poses: list[np.ndarray]) -> list[MeshView]:
    """Renders of the bare texture, over grey."""
    views = []
    for pose in poses:
        empty = MeshView(np.full((SIZE, SIZE, 3), GREY, np.uint8), camera(), pose)
        seen = see_texture(mesh, empty, 3, 1.0)
        image = seen.render(mesh.texture[..., :3].astype(np.float32))
        image += GREY * (1 - seen.coverage[..., None])
        views.append(replace(empty, image=np.rint(image).astype(np.uint8)))
    return views


class Patchy(Painter):
    """Finds only what lies high in the picture of what is red: a map that cuts across things."""

    def redness(self) -> np.ndarray:
        return super().redness() * np.linspace(1.0, 0.5, SIZE)[:, None]


def edit(
    mesh: TexturedMesh,
    config: MeshEditConfig = THINGS,
    painter: Painter | None = None,
    things: np.ndarray | None = None,
    poses: list[np.ndarray] | None = None,
) -> MeshEdit:
    views = plain_views(mesh, poses or around(3, height=2.0))
    model = painter or Patchy()
    return edit_mesh(mesh, views, "make it blue", model, config, things=things)  # type: ignore[arg-type]


def is_blue(edit: MeshEdit) -> np.ndarray:
    colours = edit.texture[..., :3].astype(float)
    blue: np.ndarray = np.abs(colours - BLUE).max(axis=2) < 60
    return blue


def test_a_whole_piece_is_edited_with_the_texels_that_no_view_shows() -> None:
    mesh = two_balls()
    snapped, cells = edit(mesh), edit(mesh, replace(THINGS, snap="nothing"))
    assert (snapped.took, snapped.things, snapped.why) == ("things", "pieces", "")
    red, covered = np.zeros((2, *mesh.size), bool)
    red[:, :64] = True
    covered.reshape(-1)[mesh.surface.texel] = True
    assert snapped.region[red & covered].all(), "also the underside, which no camera sees"
    assert not snapped.region[~red & covered].any()
    assert is_blue(snapped)[red & covered].mean() >= 0.9
    assert np.array_equal(snapped.texture[~snapped.region], mesh.texture[~snapped.region])
    assert np.ptp(snapped.relevance[:, 8:56]) == 0, "a thing has one value"
    assert is_blue(cells)[red & covered].mean() < 0.9, "what the map alone gives"


def test_in_one_piece_surfaces_of_one_colour_are_the_things() -> None:
    mesh = cube([RED, GREEN, RED, GREEN, GREEN, GREEN])
    poses = [*around(4), *around(4, height=-1.0)]
    found = edit(mesh, poses=poses, painter=Painter())
    assert (found.took, found.things) == ("things", "surfaces")
    columns = np.arange(mesh.size[1]) // 16
    assert is_blue(found)[2:-2][:, np.isin(columns, [0, 2])].mean() > 0.85
    assert np.array_equal(found.texture[:, 56:], mesh.texture[:, 56:])


def test_where_whole_things_do_not_explain_the_map_edges_of_the_views_do() -> None:
    """A scan: one piece, whose seams lie anywhere, and the instruction means a part of it."""
    texture = np.full((96, 96, 4), 255, np.uint8)
    texture[..., :3] = GREEN
    texture[:24, :, :3] = RED
    mesh = ball_mesh(texture)
    poses = around(6, height=2.0)
    found = edit(mesh, poses=poses)
    assert (found.took, found.things) == ("edges", "")
    assert found.why == NO_WHOLE_THINGS
    truth, covered = np.zeros((2, 96, 96), bool)
    truth[:24] = True
    covered.reshape(-1)[mesh.surface.texel] = True

    def iou(region: np.ndarray) -> float:
        both, either = region & truth & covered, (region | truth) & covered
        return float(both.sum() / either.sum())

    cells = edit(mesh, replace(THINGS, snap="nothing"), poses=poses)
    assert iou(found.region) >= iou(cells.region)
    asked = edit(mesh, replace(THINGS, snap="edges"), poses=poses)
    assert asked.why == ""
    assert np.array_equal(asked.region, found.region)


def test_labels_that_are_given_are_the_things() -> None:
    mesh = cube([RED] * 6)
    poses = [*around(4), *around(4, height=-1.0)]
    painter = Painter()
    assert edit(mesh, poses=poses, painter=painter).things == "pieces"
    labels = islands(mesh)
    assert edit(mesh, poses=poses, things=labels * 1000 + 7).things == "things"
    with pytest.raises(MeshError, match="There are 5 labels of things, and 12 triangles"):
        edit(mesh, things=labels[:5])


def test_texels_that_two_things_share_go_with_the_more_relevant_one() -> None:
    corners, uvs = ball()
    mesh = TexturedMesh(
        np.concatenate([0.55 * corners + (0, side, 0) for side in (-0.7, 0.7)]),
        np.concatenate([uvs, uvs]),
        np.full((64, 64, 3), RED, np.uint8),
        NONE,
    )
    found = edit(mesh, painter=Painter())
    assert found.took == "things"
    assert is_blue(found).reshape(-1)[np.unique(mesh.surface.texel)].mean() > 0.9


def test_a_rim_is_half_on_each_side_blends_in_linear_light_and_keeps_all_bytes_beyond() -> None:
    corners, uvs = square(0.0)
    texture = np.full((64, 64, 3), (30, 160, 40), np.uint8)
    texture[:, :32] = (200, 30, 30)
    mesh = TexturedMesh(corners, uvs, texture, NONE)
    poses = [np.array(pose) for pose in around(1, height=0.0)]
    config = replace(THINGS, snap="nothing", threshold=0.5, rounds=1)
    sharp, soft = (
        edit(mesh, replace(config, rim=rim), Painter(), None, poses) for rim in (0.0, 8.0)
    )
    edge = sharp.region[32].argmin()
    assert soft.region[32, : edge + 4].all()
    assert not soft.region[32, edge + 4 :].any(), "half of eight texels"
    assert np.array_equal(soft.texture[~soft.region], texture[~soft.region])
    inner = np.s_[24:40, 8 : edge - 4]  # away from the square's own borders
    assert np.array_equal(soft.texture[inner], sharp.texture[inner])
    share = edited_share_of_texels(mesh, sharp.region, 8.0)[32]
    np.testing.assert_allclose(share[edge - 4 : edge + 4], (7.5 - np.arange(8)) / 8, atol=0.02)
    place = edge - 1
    light = [to_linear(one[32, place] / np.float32(255)) for one in (texture, sharp.texture)]
    wanted = (1 - share[place]) * light[0] + share[place] * light[1]
    found = to_linear(soft.texture[32, place] / np.float32(255))
    np.testing.assert_allclose(found, wanted, atol=0.01)


def test_a_rim_goes_on_across_a_seam() -> None:
    mesh = ball_mesh(two_halves())
    region = np.zeros((96, 96), bool)
    region[40:56, :2] = True  # beside the seam, whose other side is the last column
    share = edited_share_of_texels(mesh, region, 6.0)
    assert share[48, -1] == pytest.approx(share[48, 2], abs=0.1)
    assert share[48, -1] > 0.25
    assert share[48, 48] == 0


class Recorder(Painter):
    """Keeps the settings of the edits."""

    def edit(self, instruction: str, **settings: object) -> Edit:
        return super().edit(instruction, **settings)


def test_views_are_edited_with_the_detail_that_is_asked_for_and_without_a_rim_of_their_own() -> (
    None
):
    painter = Recorder()
    edit(two_balls(), replace(THINGS, detail="fast", rim=4.0), painter)
    asked = [call["settings"] for call in painter.calls]
    assert {(one.detail, one.rim) for one in asked} == {("fast", 0.0)}  # type: ignore[attr-defined]


class TwoMinds(Painter):
    """Paints every view in another blue: what two views show differs where one takes over."""

    def edit(self, instruction: str, **settings: object) -> Edit:
        made = super().edit(instruction, **settings)
        tint = 120 * (len(self.calls) % 2)
        lighter = made.image.clip(0, 255 - tint) + tint
        image = np.where(made.mask[..., None], lighter, made.image)
        return replace(made, image=image.astype(np.uint8))


def test_views_that_disagree_leave_no_line_along_a_seam() -> None:
    mesh = cube([RED] * 6, cell=128)  # a view's pixel has many texels
    poses = [*around(4), *around(4, height=-1.0)]
    painted = edit(mesh, painter=TwoMinds(), poses=poses)
    seams = seams_changed(mesh, painted.texture, painted.region)
    assert seams["before"] is not None
    assert seams["after"] is not None
    assert seams["after"] <= 0.5 / 255, "before there was none"
    blue = painted.texture[2:-2].astype(float)[..., 2]
    assert np.ptp(blue) > 20, "what the views have painted is there all the same"


def many_islands(size: int = 256) -> TexturedMesh:
    """A ball in spots of red, cut into many islands of all turns, as automatic unwrapping does."""
    corners, _ = ball()
    places, faces = np.unique(corners.reshape(-1, 3).round(9), axis=0, return_inverse=True)
    cut = xatlas.Atlas()
    cut.add_mesh(places.astype(np.float32), faces.reshape(-1, 3).astype(np.uint32))
    charts, pack = xatlas.ChartOptions(), xatlas.PackOptions()
    charts.max_chart_area = 0.3
    pack.resolution, pack.padding = size, 4
    cut.generate(charts, pack)
    source, triangles, uvs = cut[0]
    mesh = TexturedMesh(
        places[source][triangles], uvs[triangles], np.zeros((size, size, 3), np.uint8), NONE
    )
    texture = np.zeros((size * size, 3))
    surface = mesh.surface
    spots = np.sin(9 * surface.position).prod(axis=1)
    texture[surface.texel] = RED + np.outer(spots, (40, 25, 25))
    source_of = margin_source((texture.sum(axis=1) > 0).reshape(size, size), 8)
    painted = texture[source_of.clip(0)].clip(0, 255).reshape(size, size, 3)
    return replace(mesh, texture=painted.astype(np.uint8))


@pytest.mark.parametrize("painter", [Painter, TwoMinds])
def test_an_edit_adds_no_visible_seam_between_many_islands(painter: type[Painter]) -> None:
    mesh = many_islands()
    assert islands(mesh).max() >= 12
    poses = [*around(4), *around(4, height=-1.0)]
    found = edit(mesh, painter=painter(), poses=poses, config=replace(THINGS, threshold=0.2))
    assert colour_change(mesh, found)[0] > 0.2  # type: ignore[index]
    seams = seams_changed(mesh, found.texture, found.region)
    assert seams["before"] > 0  # type: ignore[operator]
    assert seams["ratio"] <= 1.2  # type: ignore[operator]


def test_colours_that_were_apart_at_a_seam_and_agree_after_an_edit_stay_so() -> None:
    mesh = cube([RED, (200, 40, 120), RED, (200, 120, 40), RED, RED])
    poses = [*around(4), *around(4, height=-1.0)]
    painted = edit(mesh, painter=Painter(), poses=poses, config=replace(THINGS, threshold=0.2))
    seams = seams_changed(mesh, painted.texture, painted.region)
    assert seams["before"] > 0.05  # type: ignore[operator]
    assert seams["after"] < seams["before"] / 2  # type: ignore[operator]


def test_uvs_far_from_the_texture_are_read_as_near_ones_or_refused() -> None:
    mesh, poses = cube([RED] * 6), [*around(4), *around(4, height=-1.0)]
    near = edit(mesh, poses=poses)
    far = edit(replace(mesh, uvs=mesh.uvs + np.array([999_990, -999_990])), poses=poses)
    assert near.region.any()
    assert np.array_equal(far.texture, near.texture)
    assert seams_changed(mesh, far.texture, far.region)["ratio"] == pytest.approx(1, abs=0.1)
    with pytest.raises(MeshError, match="too far to tell one texel"):
        replace(mesh, uvs=mesh.uvs + 1e17)
