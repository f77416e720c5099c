"""Meshes of fields whose surfaces are known."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import cKDTree

from backend.captures.capture import Capture
from backend.captures.lens import Intrinsics
from backend.captures.transforms import NewView, open_capture, write_capture
from backend.captures.views import Pixels
from backend.fields.config import PRESETS
from backend.fields.radiance_training import train
from backend.meshes.extraction import (
    RAYS_SIDE,
    TriangleMesh,
    bounds,
    decimated,
    extract_mesh,
    follow_rays,
)
from backend.meshes.plainness import enclosed, telling, telling_photo
from backend.meshes.textured_mesh import MeshError

from .solid_field import SolidField, distances
from .tiny_capture import SPHERES, Truth, orbit_capture, orbit_pose

SIZE = 6.0
"""Of the scene: the floor's diameter."""
PAINTED = (-1.0, -1.0)
"""A place on the floor away from everything on it."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 12, 64)


@pytest.fixture(scope="module")
def mesh(scene: tuple[Capture, Truth]) -> TriangleMesh:
    return extract_mesh(SolidField(scene[0]), scene[0], resolution=80, plain=True)


def off_spheres(points: np.ndarray) -> np.ndarray:
    """Signed distances (n,) of points (n, 3) in capture coordinates to the nearest sphere."""
    each = [np.linalg.norm(points - centre, axis=1) - radius for centre, radius, _ in SPHERES]
    return np.asarray(np.min(each, axis=0))


def normals(mesh: TriangleMesh) -> np.ndarray:
    """Of the faces, twice as long as their areas."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    return np.cross(b - a, c - a)


def visible(scene: tuple[Capture, Truth]) -> np.ndarray:
    """Points of the true surfaces that the views see, in capture coordinates."""
    capture, truth = scene
    points = []
    for pose, camera, distance in zip(
        capture.camera_to_world, capture.intrinsics, truth.distances, strict=True
    ):
        rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
        rays = camera.directions(np.stack([columns, rows], -1)) @ pose[:3, :3].T
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        hit = np.isfinite(distance)
        points.append(pose[:3, 3] + rays[hit] * distance[hit][:, None])
    return np.concatenate(points)


def test_the_mesh_is_the_surface_in_capture_coordinates(mesh: TriangleMesh) -> None:
    assert mesh.vertices.dtype == np.float64
    assert mesh.faces.dtype == np.int64
    off = np.abs(distances(mesh.vertices))
    assert np.median(off) < 0.002 * SIZE
    assert np.quantile(off, 0.99) < 0.01 * SIZE


def test_all_that_is_seen_is_meshed(mesh: TriangleMesh, scene: tuple[Capture, Truth]) -> None:
    points = visible(scene)
    inner = points[np.hypot(points[:, 0], points[:, 1]) < 2.4]
    apart, _ = cKDTree(mesh.vertices).query(inner)
    # A cell is 0.0125. The undersides of the spheres are seen by fewer than three views.
    assert np.quantile(apart, 0.95) < 0.01 * SIZE


def test_faces_look_outwards(mesh: TriangleMesh) -> None:
    centres = mesh.vertices[mesh.faces].mean(axis=1)
    across = normals(mesh)
    for centre, radius, _ in SPHERES:
        on_it = np.abs(np.linalg.norm(centres - centre, axis=1) - radius) < 0.02
        on_it &= centres[:, 2] > 0.2
        assert on_it.sum() > 100
        assert (np.einsum("nd,nd->n", across, centres - centre)[on_it] > 0).mean() > 0.99
    floor = (np.abs(centres[:, 2]) < 0.03) & (np.hypot(*centres[:, :2].T) > 1.6)
    floor &= np.hypot(*centres[:, :2].T) < 2.5
    assert (across[floor, 2] > 0).mean() > 0.99


def test_no_wall_stands_where_knowledge_ends(mesh: TriangleMesh) -> None:
    """Nobody sees the floor from below or a sphere from within: the mesh is open there."""
    assert mesh.vertices[:, 2].min() > -0.06
    centre, radius, _ = SPHERES[0]
    assert np.linalg.norm(mesh.vertices - centre, axis=1).min() > radius - 0.06


def test_floaters_are_left_out(scene: tuple[Capture, Truth]) -> None:
    """A speck that all see, and a ball before one camera; a ball that all see stays."""
    capture = scene[0]
    before_camera = capture.camera_to_world[0] @ (0.0, 0.0, -0.9, 1.0)
    balls = [((-1.0, 0.4, 1.2), 0.08), (before_camera[:3], 0.15), ((-1.0, -0.8, 1.0), 0.3)]

    def cluttered(points: np.ndarray) -> np.ndarray:
        each = [np.linalg.norm(points - centre, axis=1) - radius for centre, radius in balls]
        return np.minimum(distances(points), np.min(each, axis=0))

    field = SolidField(capture, distance=cluttered)
    found = extract_mesh(field, capture, resolution=80, plain=True)
    near = [
        (np.linalg.norm(found.vertices - centre, axis=1) < 1.5 * radius).sum()
        for centre, radius in balls
    ]
    assert near[:2] == [0, 0]
    assert near[2] > 100


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, SolidField, SolidField]:
    """A capture of opaque photos whose spheres and floor are plain; a field of it, and one that an
    edit has painted a square of the floor in.
    """
    folder = tmp_path_factory.mktemp("plain")
    capture, _ = orbit_capture(folder, 12, 64)

    def colours(points: np.ndarray) -> np.ndarray:
        return np.where(off_spheres(points)[:, None] < 0.02, (0.8, 0.2, 0.1), (0.6, 0.6, 0.6))

    def painted(points: np.ndarray) -> np.ndarray:
        there = (np.abs(points[:, :2] - PAINTED) < 0.4).all(axis=1)[:, None]
        return np.where(there, (0.1, 0.6, 0.1), colours(points))

    field = SolidField(capture, colours)
    for index, (pose, camera) in enumerate(
        zip(capture.camera_to_box, capture.intrinsics, strict=True)
    ):
        shown = (field.render(pose, camera).rgb * 255).round().astype(np.uint8)
        Image.fromarray(shown).save(folder / capture.names[index])
    return open_capture(folder), field, SolidField(capture, painted)


def test_what_photos_are_too_plain_to_tell_of_is_left_out(
    plain: tuple[Capture, SolidField, SolidField], scene: tuple[Capture, Truth], mesh: TriangleMesh
) -> None:
    """A floor between its rim and what stands on it; not what an edit has painted there."""
    capture, field, painted = plain

    def between(mesh: TriangleMesh) -> np.ndarray:
        inner = np.hypot(*mesh.vertices[:, :2].T) < 2.2
        return mesh.vertices[inner & (off_spheres(mesh.vertices) > 0.6)]

    found = extract_mesh(field, capture, resolution=80)
    assert len(between(mesh)) > 500
    assert len(between(found)) < 10
    seen = visible(scene)
    on_spheres = seen[off_spheres(seen) < 0.01]
    missed, _ = cKDTree(found.vertices).query(on_spheres)
    assert np.quantile(missed, 0.98) < 0.03 * SIZE
    assert 0.2 < found.left_out < 0.9
    edited = between(extract_mesh(painted, capture, resolution=80, before=field))
    assert len(edited) > 30
    assert (np.abs(edited[:, :2] - PAINTED) < 0.7).all()
    whole = extract_mesh(field, capture, resolution=80, plain=True)
    np.testing.assert_array_equal(whole.vertices, mesh.vertices)
    assert whole.left_out == 0


def test_depths_of_some_views_tell_of_what_is_plain_in_all(tmp_path: Path) -> None:
    """Those of a third of them: of the others, none tells where the floor is."""
    orbit_capture(tmp_path, 12, 64, depth_every=3)
    grey = np.full((64, 64, 3), 150, np.uint8)
    for picture in tmp_path.glob("images/*.png"):
        Image.fromarray(grey).save(picture)
    capture = open_capture(tmp_path)
    assert [capture.read(k).depth is not None for k in range(4)] == [True, False, False, True]
    found = extract_mesh(SolidField(capture), capture, resolution=80)
    inner = found.vertices[np.hypot(*found.vertices[:, :2].T) < 2.2]
    assert (off_spheres(inner) > 0.6).sum() > 500
    assert np.median(np.abs(distances(inner))) < 0.002 * SIZE
    assert found.left_out < 0.4, "three depths see the middle, not all of the rim"


def test_a_plain_thing_that_pictures_cut_off_has_no_hole(tmp_path: Path) -> None:
    """The chest of a bust in a plain pullover, the lower edge of each picture across it."""
    camera = Intrinsics(83.0, 83.0, 32.0, 32.0, 64, 64)
    blank = Pixels(np.zeros((64, 64, 3), np.uint8))
    poses = [
        orbit_pose(azimuth, (0.1, 0.25, 0.4)[k % 3], 2.2)
        for k, azimuth in enumerate(np.linspace(-1, 1, 12))
    ]
    views = [NewView(f"{k:03d}", blank, camera, pose) for k, pose in enumerate(poses)]
    write_capture(tmp_path, views)
    capture = open_capture(tmp_path)
    middle, radius, top = np.array([0.3, 0.15]), 0.45, 0.5

    def chest(points: np.ndarray) -> np.ndarray:
        return (
            np.hypot(
                np.linalg.norm(points[:, :2] - middle, axis=1), np.maximum(points[:, 2] - top, 0)
            )
            - radius
        )

    def bust(points: np.ndarray) -> np.ndarray:
        head = np.linalg.norm(points - (*middle, 1.1), axis=1) - 0.2
        return np.minimum(chest(points), head)

    field = SolidField(
        capture, lambda points: np.tile((0.5, 0.1, 0.1), (len(points), 1)), distance=bust
    )
    for name, pose, lens in zip(
        capture.names, capture.camera_to_box, capture.intrinsics, strict=True
    ):
        shown = (field.render(pose, lens).rgb * 255).round().astype(np.uint8)
        Image.fromarray(shown).save(tmp_path / name)
    assert not telling_photo(capture.read(5), 64, 64)[40:, 28:36].any()
    found = extract_mesh(field, capture, resolution=80)
    whole = extract_mesh(field, capture, resolution=80, plain=True)
    front = whole.vertices[(whole.vertices[:, 0] > 0.5) & (whole.vertices[:, 2] < 0.6)]
    assert len(front) > 300
    missed, _ = cKDTree(found.vertices).query(front)
    assert (missed < 0.05).mean() > 0.95
    assert found.left_out < 0.05


def test_a_plain_patch_is_kept_where_what_surrounds_it_is_known() -> None:
    rows, columns = np.mgrid[:20, :20]
    corner = (20 * rows + columns)[:-1, :-1].ravel()
    halves = [corner[:, None] + (0, 1, 21), corner[:, None] + (0, 21, 20)]
    faces = np.concatenate(halves)
    told = np.ones((20, 20), np.bool_)
    told[4:8, 6:10] = False  # a hole
    told[12:] = False  # an end, of whose outline the most is the sheet's
    kept = enclosed(faces, told.ravel())
    height = rows.ravel()[faces].max(axis=1)
    np.testing.assert_array_equal(kept, height < 12)
    told[12:, :2] = told[12:, 18:] = True  # held at its sides, too
    assert enclosed(faces, told.ravel()).all()


def test_a_capture_of_nothing_but_plain_pictures_says_so(scene: tuple[Capture, Truth]) -> None:
    capture = scene[0]

    class Plain:
        """The capture with other pictures."""

        def __getattr__(self, name: str) -> object:
            return getattr(capture, name)

        def __len__(self) -> int:
            return len(capture)

        def read(self, index: int) -> Pixels:
            return Pixels(np.full((64, 64, 3), 90, np.uint8))

    with pytest.raises(MeshError, match="too plain"):
        extract_mesh(SolidField(capture), Plain(), resolution=40)  # type: ignore[arg-type]


def test_depths_and_alpha_tell_of_what_is_plain() -> None:
    grey = np.full((32, 40, 3), 128, np.uint8)
    assert not telling_photo(Pixels(grey), 20, 16).any()
    alpha = np.full((32, 40), 255, np.uint8)
    assert not telling_photo(Pixels(grey, alpha=alpha), 20, 16).any(), "it is none"
    alpha[0] = 0
    assert telling_photo(Pixels(grey, alpha=alpha), 20, 16).all()
    depth = np.zeros((32, 40), np.float32)
    depth[:16] = 2.0
    found = telling_photo(Pixels(grey, depth=depth), 20, 16)
    assert found[:8].all()
    assert not found[8:].any()


def test_decimated_on_request(scene: tuple[Capture, Truth], mesh: TriangleMesh) -> None:
    few = extract_mesh(SolidField(scene[0]), scene[0], resolution=80, faces=1500, plain=True)
    assert 1000 < len(few.faces) <= 1500 < len(mesh.faces)
    assert np.median(np.abs(distances(few.vertices))) < 0.003 * SIZE
    assert set(np.unique(few.faces)) == set(range(len(few.vertices)))
    assert (np.linalg.norm(normals(few), axis=1) > 0).all()
    assert decimated(mesh, len(mesh.faces) + 1) is mesh


@pytest.mark.parametrize("faces", [4, 12])
def test_an_open_sheet_has_no_more_faces_than_asked_for(faces: int) -> None:
    """A first pass of the library gives up before."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:30, :30]
    height = rng.normal(0, 0.5, (30, 30))
    corner = np.ravel_multi_index((rows[:-1, :-1], columns[:-1, :-1]), (30, 30)).ravel()
    halves = [corner[:, None] + (0, 1, 31), corner[:, None] + (0, 31, 30)]
    vertices = np.stack([columns, rows, height], axis=-1).reshape(-1, 3)
    sheet = TriangleMesh(vertices, np.concatenate(halves).astype(np.int64))
    assert 0 < len(decimated(sheet, faces).faces) <= faces


def test_light_is_lost_as_the_formula_says(scene: tuple[Capture, Truth]) -> None:
    """Through a layer of fog of even density, half of the light is lost after ln 2 / density."""
    capture = scene[0]
    camera = capture.intrinsics[0]
    seen = follow_rays(SolidField(capture), capture.camera_to_box[0], camera)
    assert seen.distance.shape == seen.lost.shape == (64 * 64, 63)
    assert (np.diff(seen.lost, axis=1) >= -1e-6).all()
    truth = scene[1].distances[0].ravel() * capture.box_scale
    hit = np.isfinite(truth) & (truth < 1.5)
    assert np.median(np.abs(seen.end[hit] - truth[hit])) < 0.01
    assert np.isinf(seen.end[~np.isfinite(truth)]).mean() > 0.9
    rays = np.flatnonzero(hit)[::50]
    at_end = seen.mean_lost(rays, seen.end[rays].astype(np.float64), 1e-4)
    np.testing.assert_allclose(at_end, 0.5, atol=0.02)
    whole = seen.mean_lost(rays, np.full(len(rays), 1.0), 1.0)
    np.testing.assert_allclose(whole, 1 - seen.end[rays] / 2, atol=0.01)
    large = follow_rays(SolidField(capture), capture.camera_to_box[0], camera.resized(400, 300))
    assert (large.camera.width, large.camera.height) == (RAYS_SIDE, RAYS_SIDE * 3 // 4)


def test_where_a_picture_tells_how_far_away_things_are() -> None:
    """Not in a smooth sky; in a plain thing that ends in the picture, and a little around it."""
    picture = np.tile(np.linspace(80, 230, 100).astype(np.uint8)[:, None, None], (1, 120, 3))
    assert not telling(picture).any()
    picture[30:70, 40:80] = (230, 25, 25)
    found = telling(picture)
    assert found[27:73, 37:83].all()
    assert not found[:25].any()
    assert not found[:, 86:].any()
    grass = np.random.default_rng(0).integers(90, 130, picture.shape, np.uint8)
    assert telling(grass).all()


def test_bounds_leave_background_and_outliers_out() -> None:
    rng = np.random.default_rng(0)
    subject = rng.uniform(-0.3, 0.4, (1000, 3))
    far = rng.uniform(-1, 1, (400, 3)) + 5
    low, high = bounds(np.concatenate([subject, far]))
    assert ((low > -0.31) & (low < -0.27) & (high > 0.37) & (high < 0.41)).all()
    outwards, _ = bounds(np.concatenate([subject, far, far, far]))
    assert (outwards < 0.4).all()


def test_what_cannot_be_meshed_is_said(scene: tuple[Capture, Truth]) -> None:
    capture = scene[0]
    empty = SolidField(capture, distance=lambda points: np.full(len(points), 9.0))
    with pytest.raises(MeshError, match="shows nothing"):
        extract_mesh(empty, capture, resolution=16)
    with pytest.raises(MeshError, match="resolution of 8"):
        extract_mesh(empty, capture, resolution=4)


def test_an_exception_from_progress_ends_it(scene: tuple[Capture, Truth]) -> None:
    class Cancelled(Exception):
        pass

    told = []

    def stop(words: str, share: float) -> None:
        told.append(words)
        if len(told) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        extract_mesh(SolidField(scene[0]), scene[0], 16, None, stop)
    assert told == [f"Following the rays of view {k} of 12" for k in (1, 2, 3)]


@pytest.mark.slow
def test_a_trained_field_is_meshed_within_a_hundredth(tmp_path: Path) -> None:
    """The median over the mesh, against the true surfaces, of the scene's size."""
    capture, _ = orbit_capture(tmp_path, 16, 48)
    config = dataclasses.replace(
        PRESETS["preview"],
        iterations=250,
        rays=512,
        hidden=32,
        learning_rate=1e-2,
        decay_iterations=250,
        distortion=0.002,
    )
    field, _ = train(capture, config)
    found = extract_mesh(field, capture, resolution=96)
    off = np.abs(distances(found.vertices))
    on_floor = np.abs(found.vertices[:, 2]) < off + 0.3
    assert np.median(off) < 0.01 * SIZE
    assert np.median(off[~on_floor]) < 0.01 * SIZE
