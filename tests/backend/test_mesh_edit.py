"""Textures edited through views of a known mesh: geometry against formulas, edits against truth."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.captures.lens import Intrinsics
from backend.editing import Edit, Editor, RelevanceMap
from backend.meshes.painting import Painting, prepare_views
from backend.meshes.rasterise import fragments, nearest
from backend.meshes.texture_edit import MeshEditConfig, edit_mesh
from backend.meshes.textured_mesh import (
    MeshError,
    MeshView,
    TexturedMesh,
    margin_source,
    project,
    see_surface,
    see_texture,
)

SIZE = 48
BLUE = np.array([20, 40, 230], np.uint8)


# ---------------------------------------------------------------- scenes with known answers


def look_at(place: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Camera to world (4, 4), OpenGL, z up."""
    back = (place - target) / np.linalg.norm(place - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    pose[:3, 3] = place
    return pose


def around(count: int, distance: float = 4.0, height: float = 1.0) -> list[np.ndarray]:
    angles = np.arange(count) * 2 * np.pi / count
    places = np.stack([np.cos(angles), np.sin(angles), np.full(count, height / distance)], axis=1)
    return [look_at(place * distance, np.zeros(3)) for place in places]


def ball(rows: int = 24, columns: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """A sphere of radius 1 with longitude and latitude as UVs: corners (F, 3, 3), uvs (F, 3, 2)."""
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    theta, phi = np.pi * (v - 0.5), 2 * np.pi * u
    place = np.stack([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), np.sin(theta)], -1)
    both = np.concatenate([place, np.stack([u, v], -1)], axis=-1)
    a, b, c, d = both[:-1, :-1], both[:-1, 1:], both[1:, 1:], both[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], 2), np.stack([a, c, d], 2)]).reshape(-1, 3, 5)
    area = np.linalg.norm(
        np.cross(faces[:, 1, :3] - faces[:, 0, :3], faces[:, 2, :3] - faces[:, 0, :3]), axis=1
    )
    faces = faces[area > 1e-9]  # without the triangles that shrink to a point at the poles
    return faces[..., :3], faces[..., 3:]


def square(x: float, side: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """A square in the plane of y and z at `x`, with the unit square as UVs."""
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    place = np.concatenate([np.full((4, 1), x), (uv - 0.5) * side], axis=1)
    order = np.array([[0, 1, 2], [0, 2, 3]])
    return place[order], uv[order]


def camera(size: int = SIZE) -> Intrinsics:
    return Intrinsics(1.4 * size, 1.4 * size, size / 2, size / 2, size, size)


def ball_mesh(texture: np.ndarray) -> TexturedMesh:
    return TexturedMesh(*ball(), texture, np.zeros((0, 3, 3)))


def two_halves(size: int = 96) -> np.ndarray:
    """A texture that is red in the northern half of the ball, green in the southern, with noise."""
    rng = np.random.default_rng(0)
    texture = np.zeros((size, size, 4), np.uint8)
    texture[: size // 2, :, :3] = (200, 30, 30)
    texture[size // 2 :, :, :3] = (30, 160, 40)
    texture[..., :3] += rng.integers(0, 24, (size, size, 1), np.uint8)
    texture[..., 3] = rng.integers(0, 256, (size, size), np.uint8)
    return texture


def unlit_views(mesh: TexturedMesh, poses: list[np.ndarray], light: bool = False) -> list[MeshView]:
    """Renders of the ball by the formula of its surface, 16 points a pixel, background grey."""
    views = []
    for pose in poses:
        fine = camera(SIZE * 4)
        v, u = (np.mgrid[: fine.height, : fine.width] + 0.5).astype(np.float64)
        ray = fine.directions(np.stack([u, v], axis=-1)) @ pose[:3, :3].T
        ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
        along = -ray @ pose[:3, 3]
        under = along**2 - (pose[:3, 3] @ pose[:3, 3] - 1)
        place = pose[:3, 3] + (along - np.sqrt(under.clip(0)))[..., None] * ray
        texel_u = np.arctan2(place[..., 1], place[..., 0]) / (2 * np.pi) % 1
        texel_v = np.arcsin(place[..., 2].clip(-1, 1)) / np.pi + 0.5
        rows, columns = mesh.size
        colour = mesh.texture[
            ((1 - texel_v) * rows).astype(int).clip(0, rows - 1),
            (texel_u * columns).astype(int).clip(0, columns - 1),
            :3,
        ].astype(np.float64)
        if light:
            shade = 0.35 + 0.65 * (place @ np.array([0.6, 0.3, 0.74])).clip(0)
            linear = (colour / 255) ** 2.2 * shade[..., None]
            colour = linear ** (1 / 2.2) * 255
        colour = np.where((under > 0)[..., None], colour, 128.0)
        image = colour.reshape(SIZE, 4, SIZE, 4, 3).mean(axis=(1, 3))
        views.append(MeshView(np.rint(image).astype(np.uint8), camera(), pose))
    return views


class Painter:
    """Stands in for a model that makes red things blue and does so exactly: what the texture has to
    become is then known. Its relevance is the redness of the view.
    """

    def __init__(self) -> None:
        self.calls: list[dict[str, object]] = []

    def set_image(self, image: np.ndarray) -> None:
        self.image = image

    def redness(self) -> np.ndarray:
        red, green, blue = np.moveaxis(self.image.astype(np.float32) / 255, -1, 0)
        return (red - np.maximum(green, blue)).clip(0)

    def relevance_of_images(
        self,
        instruction: str,
        images: list[np.ndarray],
        on_draw: Callable[[int, int], None],
        **settings: object,
    ) -> Iterator[tuple[int, RelevanceMap]]:
        for number, self.image in enumerate(images):
            raw = self.redness().reshape(SIZE // 4, 4, SIZE // 4, 4).mean(axis=(1, 3))
            on_draw(number, len(images))
            yield number, RelevanceMap(raw * 0, raw, raw * 0, (SIZE // 4,) * 2, 0.5, None, None)

    def edit(self, instruction: str, **settings: object) -> Edit:
        self.calls.append(settings)
        mask = np.asarray(settings["mask"])
        light = self.image.max(axis=2, keepdims=True) / 212
        painted = np.where(mask[..., None], BLUE * light, self.image)
        image = np.rint(painted).clip(0, 255).astype(np.uint8)
        return Edit(image=image, mask=mask, relevance=None, threshold=None, unchanged=None)


CONFIG = MeshEditConfig(lit=False, threshold=0.5, rounds=2, border=1.0, margin=4, snap="nothing")


# ---------------------------------------------------------------- rasteriser


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    behind=st.booleans(),
)
def test_fragments_are_the_pixels_whose_centres_lie_inside(
    seed: int, height: int, width: int, behind: bool
) -> None:
    rng = np.random.default_rng(seed)
    w = rng.uniform(-1.0 if behind else 0.5, 3.0, (4, 3, 1))
    corners = np.concatenate([rng.uniform(-10, 34, (4, 3, 2)) * w, w], axis=2)
    near, found = 0.3, set()
    for some in fragments(corners, height, width, near):
        found |= set(zip(some.face.tolist(), some.pixel.tolist(), strict=True))
        point = np.einsum("nk,nkd->nd", some.weights, corners[some.face])
        centre = np.stack([some.pixel % width + 0.5, some.pixel // width + 0.5], axis=1)
        np.testing.assert_allclose(point[:, :2] / point[:, 2:], centre, atol=1e-4)
        np.testing.assert_allclose(point[:, 2], some.depth, rtol=1e-6)
    centres = np.moveaxis(np.mgrid[:height, :width][::-1] + 0.5, 0, -1).reshape(-1, 2)
    centres = np.concatenate([centres, np.ones((len(centres), 1))], axis=1)
    expected, doubtful = set(), set()
    for face, corner in enumerate(corners):
        over_w = np.linalg.solve(corner.T, centres.T).T
        inside = np.minimum(over_w.min(axis=1), 1 / near - over_w.sum(axis=1))
        expected |= {(face, int(pixel)) for pixel in np.flatnonzero(inside > 0)}
        doubtful |= {(face, int(pixel)) for pixel in np.flatnonzero(np.abs(inside) < 1e-4)}
    assert found ^ expected <= doubtful


def test_nearest_of_two_crossing_triangles() -> None:
    far = np.array([[0, 0, 1], [16, 0, 1], [0, 16, 1.0]]) * 4.0
    tilted = np.array([[0, 0, 1], [16, 0, 1], [0, 16, 1.0]]) * [[2.0], [2.0], [8.0]]
    seen = nearest(np.stack([far, tilted]), 8, 8)
    row = np.arange(8)[:, None] + 0.5 + np.zeros(8)
    depth = 1 / (0.5 + (1 / 8 - 1 / 2) * row / 16)
    np.testing.assert_array_equal(seen.face, np.where(depth < 4, 1, 0))
    np.testing.assert_allclose(seen.depth, np.minimum(depth, 4), rtol=1e-5)


def test_neighbours_leave_no_gap_and_no_pixel_twice_inside() -> None:
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(np.linspace(0, 40, 9), np.linspace(0, 40, 9)), axis=-1)
    grid[1:-1, 1:-1] += rng.uniform(-2, 2, (7, 7, 2))
    points = np.concatenate([grid, np.ones((9, 9, 1))], axis=-1)
    a, b, c, d = points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]
    corners = np.concatenate([np.stack([a, b, c], 2), np.stack([a, c, d], 2)]).reshape(-1, 3, 3)
    times = np.zeros(40 * 40, int)
    for some in fragments(corners, 40, 40):
        times += np.bincount(some.pixel, minlength=1600)
    assert (times == 1).mean() > 0.99
    assert times.min() == 1


# ---------------------------------------------------------------- mesh, texels, views


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_projection_and_rays_are_inverse(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose = look_at(rng.uniform(-3, 3, 3), rng.uniform(-3, 3, 3) + np.array([0.1, 0.2, 0.3]))
    lens = Intrinsics(*rng.uniform(20, 200, 2), *rng.uniform(-10, 90, 2), 64, 48)
    pixel, depth = rng.uniform(-20, 90, (50, 2)), rng.uniform(0.1, 20, (50, 1))
    point = (lens.directions(pixel) * depth) @ pose[:3, :3].T + pose[:3, 3]
    again = project(point, lens, pose)
    np.testing.assert_allclose(again[:, 2:], depth, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(again[:, :2] / again[:, 2:], pixel, rtol=1e-6, atol=1e-6)


def test_texels_lie_where_the_sphere_is() -> None:
    mesh = ball_mesh(np.zeros((64, 96, 3), np.uint8))
    surface = mesh.surface
    # The triangles at the poles leave out a part of the first and last rows.
    assert set(range(3 * 96, 61 * 96)) <= set(surface.texel.tolist()), "the UVs cover all of it"
    u, v = (surface.texel % 96 + 0.5) / 96, 1 - (surface.texel // 96 + 0.5) / 64
    theta, phi = np.pi * (v - 0.5), 2 * np.pi * u
    place = np.stack([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), np.sin(theta)], -1)
    assert np.abs(surface.position - place).max() < 0.01  # the facets' distance from the sphere
    assert (np.abs(np.einsum("nd,nd->n", surface.normal, place)) > 0.98).all()


def test_textures_repeat() -> None:
    corners, uvs = square(0.0)
    texture = np.zeros((8, 8, 3), np.uint8)
    plain = TexturedMesh(corners, uvs, texture, np.zeros((0, 3, 3))).surface
    moved = TexturedMesh(corners, uvs + np.array([3.0, -2.0]), texture, np.zeros((0, 3, 3))).surface
    np.testing.assert_allclose(moved.position, plain.position, atol=1e-6)
    np.testing.assert_array_equal(moved.texel, plain.texel)
    twice = TexturedMesh(corners, uvs * 2, texture, np.zeros((0, 3, 3))).surface
    assert len(twice.texel) >= 4 * 64, "every texel lies at four places"
    with pytest.raises(MeshError, match="unwrap"):
        TexturedMesh(corners, uvs * 40, texture, np.zeros((0, 3, 3)))


@pytest.mark.parametrize("pose", around(3))
def test_a_view_shows_what_the_formula_says(pose: np.ndarray) -> None:
    mesh = ball_mesh(two_halves())
    (view,) = unlit_views(mesh, [pose])
    seen = see_texture(mesh, view, samples=4, border=2.0)
    image = seen.render(mesh.texture[..., :3].astype(np.float32))
    inner = seen.coverage == 1
    assert inner.sum() > 300
    assert np.abs(image - view.image)[inner].mean() < 6
    assert (seen.confidence[~inner] == 0).all()
    surface = see_surface(mesh, view, seen.depth, least_cosine=0.2, angle_power=2.0)
    to_camera = pose[:3, 3] - mesh.surface.position
    place = mesh.surface.position
    facing = np.einsum("nd,nd->n", place, to_camera) / np.linalg.norm(to_camera, axis=1)
    shown = np.zeros(len(place), bool)
    shown[surface.index] = True
    assert shown[facing > 0.25].all()
    assert not shown[facing < 0.15].any()


def test_what_is_hidden_is_not_painted() -> None:
    corners, uvs = square(0.0)
    screen = square(1.0, side=0.8)[0]
    mesh = TexturedMesh(corners, uvs, np.zeros((32, 32, 3), np.uint8), screen)
    view = MeshView(
        np.zeros((SIZE, SIZE, 3), np.uint8), camera(), look_at(np.array([4.0, 0, 0]), np.zeros(3))
    )
    seen = see_texture(mesh, view, 2, 1.0)
    surface = see_surface(mesh, view, seen.depth, 0.2, 2.0)
    shadow = 0.4 * 4 / 3  # half the side of what the screen hides, seen from a distance of 4
    y, z = mesh.surface.position[:, 1:].T
    hidden = (np.abs(y) < shadow - 0.05) & (np.abs(z) < shadow - 0.05)
    open_ = (np.abs(y) > shadow + 0.05) | (np.abs(z) > shadow + 0.05)
    shown = np.zeros(len(y), bool)
    shown[surface.index] = True
    assert hidden.sum() > 50
    assert not shown[hidden].any()
    assert shown[open_].all()


def test_margin_continues_the_nearest_island() -> None:
    covered = np.zeros((9, 9), np.bool_)
    covered[4, 2:5] = True
    source = margin_source(covered, margin=2).reshape(9, 9)
    assert source[4, 3] == 4 * 9 + 3
    assert source[2, 3] == 4 * 9 + 3
    assert source[4, 6] == 4 * 9 + 4
    assert source[1, 3] == -1
    assert (source >= 0).sum() > covered.sum()


# ---------------------------------------------------------------- painting and edits


@pytest.mark.parametrize("lit", [False, True])
def test_without_changes_renders_are_the_views(lit: bool) -> None:
    mesh = ball_mesh(two_halves())
    config = replace(CONFIG, lit=lit)
    views = unlit_views(mesh, around(4), light=lit)
    painting = Painting(mesh, prepare_views(mesh, views, config), np.ones((96, 96), bool), config)
    for index, view in enumerate(views):
        assert np.array_equal(painting.render(index), view.image)
        painting.write(index, view.image)
    assert np.abs(painting.changes).max() < 1e-5
    texture, _ = painting.texture()
    on_faces = np.zeros(96 * 96, bool)
    on_faces[mesh.surface.texel] = True  # the margin is another matter: it continues the faces
    assert np.array_equal(texture.reshape(-1, 4)[on_faces], mesh.texture.reshape(-1, 4)[on_faces])


@pytest.mark.parametrize("lit", [False, True])
def test_a_written_view_comes_back(lit: bool) -> None:
    mesh = ball_mesh(two_halves())
    config = replace(CONFIG, lit=lit, shade_blur=0.05)
    views = unlit_views(mesh, around(1), light=lit)
    painting = Painting(mesh, prepare_views(mesh, views, config), np.ones((96, 96), bool), config)
    wanted = views[0].image.copy()
    ramp = np.linspace(0, 60, SIZE)[None, :, None] * (0.2, 1.0, -0.4)
    wanted[painting.masks[0]] = (wanted + ramp).clip(0, 255)[painting.masks[0]].astype(np.uint8)
    painting.write(0, wanted)
    # The outermost pixels' texels are too slanted to be painted from this view alone.
    inner = painting.views[0].confidence > 0.5
    assert np.abs(wanted - views[0].image.astype(float))[inner].mean() > 10
    assert np.abs(painting.render(0) - wanted.astype(float))[inner].mean() < 3


@pytest.mark.parametrize("lit", [False, True])
def test_the_named_half_is_painted_and_the_rest_keeps_its_bytes(lit: bool) -> None:
    mesh = ball_mesh(two_halves())
    before = mesh.texture.copy()
    views = unlit_views(mesh, [*around(6), look_at(np.array([0.1, 0.0, 4.0]), np.zeros(3))], lit)
    painter, told = Painter(), []
    edit = edit_mesh(
        mesh,
        views,
        "make the red half blue",
        painter,  # type: ignore[arg-type]
        replace(CONFIG, lit=lit, threshold=None),
        lambda words, fraction, preview: told.append(fraction),
    )
    assert np.array_equal(mesh.texture, before), "what is handed in is never changed"
    assert edit.texture.dtype == np.uint8
    assert edit.texture.shape == before.shape
    assert np.array_equal(edit.texture[..., 3], before[..., 3])
    assert np.array_equal(edit.texture[~edit.region], before[~edit.region])
    truth = np.zeros((96, 96), bool)
    truth[:48] = True
    assert (edit.region & truth).sum() / (edit.region | truth).sum() > 0.85
    safe = edit.texture[4:40, :, :3].astype(float)  # away from the border of the halves
    assert (safe[..., 2] > 1.8 * safe[..., 0]).mean() > 0.97
    assert np.abs(safe.mean(axis=(0, 1)) - BLUE).max() < 30
    assert safe.std(axis=(0, 1)).max() < 30, "light and shadow do not end up in the texture"
    assert told == sorted(told)
    assert told[-1] <= 1
    assert len(edit.renders) == len(edit.masks) == len(views)
    for one in edit.edits:
        outside = ~one.mask
        assert np.array_equal(one.after[outside], views[one.view].image[outside])
    first = [one for one in edit.edits if one.round == 0]
    assert first[0].noise_level == pytest.approx(CONFIG.noise_range[1])
    assert all(call["start"] is not None for call in painter.calls)


FAR = np.array([512345.25, 5412345.5, -120.75])
"""Where a map's coordinates (UTM) put a mesh: float32 is half a metre there."""


@pytest.mark.parametrize("lit", [False, True])
def test_far_from_the_origin_a_texture_is_edited_as_at_the_origin(lit: bool) -> None:
    mesh = ball_mesh(two_halves())
    views = unlit_views(mesh, around(6), lit)
    far_mesh = replace(mesh, corners=mesh.corners + FAR)
    far_views = []
    for view in views:
        pose = view.camera_to_world.copy()
        pose[:3, 3] += FAR
        far_views.append(replace(view, camera_to_world=pose))
    near, far = (
        edit_mesh(one, seen, "make the red half blue", Painter(), replace(CONFIG, lit=lit))  # type: ignore[arg-type]
        for one, seen in ((mesh, views), (far_mesh, far_views))
    )
    assert near.region.mean() > 0.3
    assert (near.region != far.region).mean() < 0.001
    apart = np.abs(near.texture.astype(int) - far.texture)
    assert apart.mean() < 0.05
    for number, render in enumerate(near.renders):
        assert np.abs(render.astype(int) - far.renders[number]).mean() < 0.1


def test_texels_keep_detail_finer_than_a_views_pixels() -> None:
    texture = np.full((256, 256, 3), (180, 30, 30), np.uint8)
    texture[::2] += 12  # two texels make far less than a pixel
    mesh = ball_mesh(texture)
    edit = edit_mesh(
        mesh,
        unlit_views(mesh, around(4)),
        "make it blue",
        Painter(),
        CONFIG,  # type: ignore[arg-type]
    )
    blue = edit.texture[100:156, :, 2].astype(float)
    assert np.abs(np.diff(blue, axis=0)).mean() == pytest.approx(12, abs=2)


def test_a_view_without_the_target_stays_dark() -> None:
    """Each map stretched by itself would be 1 somewhere in every view."""
    texture = np.full((96, 96, 3), (60, 150, 60), np.uint8)
    texture[30:66, :24] = (220, 20, 20)
    mesh = ball_mesh(texture)
    edit = edit_mesh(
        mesh,
        unlit_views(mesh, around(6)),
        "make the spot blue",
        Painter(),
        CONFIG,  # type: ignore[arg-type]
    )
    assert edit.relevance[34:62, 4:20].min() > 0.5
    assert edit.relevance[:, 36:84].max() < 0.1


def test_texels_that_no_view_shows_follow_their_neighbours() -> None:
    mesh = ball_mesh(np.full((64, 64, 3), (200, 20, 20), np.uint8))
    config = replace(CONFIG, unseen_reach=0.2)
    views = unlit_views(mesh, around(6, height=0.0))  # the poles are too slanted
    edit = edit_mesh(mesh, views, "make it blue", Painter(), config)  # type: ignore[arg-type]
    assert edit.region.all()
    assert (edit.texture[..., 2] > 150).all()
    near = edit_mesh(
        mesh,
        views,
        "make it blue",
        Painter(),
        replace(config, unseen_reach=0.0),  # type: ignore[arg-type]
    )
    assert not near.region[0].any()
    assert np.array_equal(near.texture[0], mesh.texture[0])


def test_an_exception_from_progress_ends_the_edit() -> None:
    mesh = ball_mesh(two_halves())
    views = unlit_views(mesh, around(3))

    class Cancelled(Exception):
        pass

    def stop(words: str, fraction: float, preview: np.ndarray | None) -> None:
        if words.startswith("Round"):
            raise Cancelled

    with pytest.raises(Cancelled):
        edit_mesh(mesh, views, "make it blue", Painter(), CONFIG, stop)  # type: ignore[arg-type]


def test_it_stops_when_the_texture_has_settled_and_noise_falls_from_round_to_round() -> None:
    mesh = ball_mesh(two_halves())
    edit = edit_mesh(
        mesh,
        unlit_views(mesh, around(3)),
        "make it blue",
        Painter(),  # type: ignore[arg-type]
        replace(CONFIG, rounds=6),
    )
    assert {one.round for one in edit.edits} == {0, 1}, "the painter repeats itself"
    assert sorted(one.view for one in edit.edits) == [0, 0, 1, 1, 2, 2]
    low, high = CONFIG.noise_range
    assert all(one.noise_level <= (low + high) / 2 for one in edit.edits if one.round == 1)
    assert len({one.seed for one in edit.edits}) == 6


def test_nothing_relevant_changes_nothing() -> None:
    mesh = ball_mesh(np.full((32, 32, 3), 90, np.uint8))
    painter = Painter()
    edit = edit_mesh(mesh, unlit_views(mesh, around(3)), "make it blue", painter, CONFIG)  # type: ignore[arg-type]
    assert np.array_equal(edit.texture, mesh.texture)
    assert not edit.region.any()
    assert not painter.calls


def test_bad_input_is_refused_in_one_sentence() -> None:
    corners, uvs = square(0.0)
    none, texture = np.zeros((0, 3, 3)), np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(MeshError, match="no faces"):
        TexturedMesh(none, np.zeros((0, 3, 2)), texture, none)
    with pytest.raises(MeshError, match="corners"):
        TexturedMesh(corners, uvs[:1], texture, none)
    with pytest.raises(MeshError, match="not numbers"):
        TexturedMesh(corners * np.nan, uvs, texture, none)
    with pytest.raises(MeshError, match="uint8"):
        TexturedMesh(corners, uvs, texture.astype(float), none)  # type: ignore[arg-type]
    with pytest.raises(MeshError, match="covers no texel"):
        _ = TexturedMesh(corners, uvs * 0, texture, none).surface
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    with pytest.raises(MeshError, match="rigid"):
        MeshView(image, camera(), np.diag([2.0, 2, 2, 1]))
    with pytest.raises(MeshError, match="camera says"):
        MeshView(image[1:], camera(), np.eye(4))
    mesh = TexturedMesh(corners, uvs, texture, none)
    away = MeshView(image, camera(), look_at(np.array([4.0, 0, 0]), np.array([9.0, 0, 0])))
    with pytest.raises(MeshError, match="None of the views"):
        edit_mesh(mesh, [away], "make it blue", Painter())  # type: ignore[arg-type]
    with pytest.raises(MeshError, match="at least one view"):
        edit_mesh(mesh, [], "make it blue", Painter())  # type: ignore[arg-type]


def test_an_edit_starts_from_one_image_and_is_conditioned_on_another(tiny_model: Path) -> None:
    """With the start equal to the image nothing is different; and outside the mask stands the
    image, whatever the start.
    """
    editor = Editor.from_pretrained(str(tiny_model), device="cpu")
    rng = np.random.default_rng(0)
    image, start = rng.integers(0, 256, (2, 40, 56, 3), np.uint8)
    mask = np.zeros((40, 56), np.bool_)
    mask[8:32, 8:40] = True
    editor.set_image(image)
    inside = {"mask": mask, "steps": 3, "strength": 0.4}
    plain = editor.edit("make it red", **inside)
    same = editor.edit("make it red", start=image, **inside)
    other = editor.edit("make it red", start=start, **inside)
    assert np.array_equal(plain.image, same.image)
    assert not np.array_equal(plain.image, other.image)
    assert np.array_equal(other.image[~mask], image[~mask])
    with pytest.raises(ValueError, match="start"):
        editor.edit("make it red", start=start[:, 1:], **inside)
