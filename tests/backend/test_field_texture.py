"""A texture from an edited radiance field: solid fields whose change is known at every place."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backend.captures.capture import Capture
from backend.fields.calibration import Calibration
from backend.fields.relevance_field import Relevance
from backend.meshes.painting import PaintConfig, to_linear, to_srgb
from backend.meshes.texture_edit import MeshEdit, colour_change, rerender_difference
from backend.meshes.textured_mesh import MeshError, MeshView, TexturedMesh
from backend.scenes.texture import FieldEdit, texture_from_field

from .solid_field import Colours, SolidField
from .solid_scene import make_solid
from .test_capture_commands import scene
from .test_mesh_edit import ball
from .tiny_capture import SPHERES, orbit_capture, orbit_pose

CONFIG = PaintConfig(lit=False, border=1.0, margin=4)
SIDE = 96
CENTRE, RADIUS = np.array(SPHERES[0][0]), SPHERES[0][1]
RED, GREEN, BLUE = (0.8, 0.15, 0.15), (0.15, 0.6, 0.2), (0.1, 0.2, 0.85)


def sphere(points: np.ndarray) -> np.ndarray:
    """Signed distances to the first sphere alone."""
    return np.linalg.norm(points - CENTRE, axis=1) - RADIUS


def northern(points: np.ndarray) -> np.ndarray:
    """bool (n, 1)."""
    return points[:, 2:] > CENTRE[2]


def halves(points: np.ndarray) -> np.ndarray:
    return np.where(northern(points), RED, GREEN)


def edited(points: np.ndarray) -> np.ndarray:
    """The red half is blue, and all else a little brighter, as a field drifts."""
    return np.where(northern(points), BLUE, np.array(GREEN) + 0.05)


class NorthernRelevance:
    """r is 0.7 in the northern half, 0.3 in the southern."""

    def __init__(self, capture: Capture) -> None:
        self.solid = SolidField(capture)

    def composite(self, positions: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        values = np.where(northern(self.solid.in_capture(positions)), 0.7, 0.3)
        r = torch.from_numpy(values).float().view(*positions.shape[:-1], 1)
        return (weights * r).sum(-2)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 9, 48)[0]


@pytest.fixture(scope="module")
def mesh() -> TexturedMesh:
    """The sphere with a texture of both halves, with noise finer than the views' pixels."""
    corners, uvs = ball()
    rng = np.random.default_rng(0)
    texture = np.zeros((SIDE, SIDE, 4), np.uint8)
    texture[: SIDE // 2, :, :3] = np.array(RED) * 255
    texture[SIDE // 2 :, :, :3] = np.array(GREEN) * 255
    texture[..., :3] += rng.integers(0, 3, (SIDE, SIDE, 1), np.uint8)
    texture[..., 3] = rng.integers(0, 256, (SIDE, SIDE), np.uint8)
    return TexturedMesh(corners * RADIUS + CENTRE, uvs, texture, np.zeros((0, 3, 3)))


@pytest.fixture(scope="module")
def change(capture: Capture) -> FieldEdit:
    before, after = (SolidField(capture, colours, sphere) for colours in (halves, edited))
    relevance = Relevance(NorthernRelevance(capture), Calibration(0.3, 0.5, 0.7))  # type: ignore[arg-type]
    return FieldEdit(capture, before, after, relevance, 0.5, True)


@pytest.fixture(scope="module")
def views(capture: Capture) -> list[MeshView]:
    """What the field before the edit shows is what the mesh looks like."""
    field, shown = SolidField(capture, halves, sphere), []
    for number in range(len(capture)):
        seen = field.render(capture.camera_to_box[number], capture.intrinsics[number])
        image = np.rint(seen.rgb * 255).clip(0, 255).astype(np.uint8)
        shown.append(MeshView(image, capture.intrinsics[number], capture.camera_to_world[number]))
    return shown


@pytest.fixture(scope="module")
def made(mesh: TexturedMesh, views: list[MeshView], change: FieldEdit) -> MeshEdit:
    return texture_from_field(mesh, views, change, CONFIG, snap="nothing")


def test_the_region_is_what_the_relevance_field_says(made: MeshEdit) -> None:
    truth = np.zeros((SIDE, SIDE), bool)
    truth[: SIDE // 2] = True
    assert (made.region & truth).sum() / (made.region | truth).sum() > 0.9
    assert made.relevance[1:47].min() > 0.7, "right up to where the two halves meet"
    assert made.relevance[50:94].max() < 0.3
    assert made.threshold == 0.5
    assert made.applies is True


def test_far_from_the_origin_it_is_as_at_the_origin(
    made: MeshEdit,
    mesh: TexturedMesh,
    views: list[MeshView],
    change: FieldEdit,
) -> None:
    shift = np.array([512345.25, 5412345.5, -120.75])
    poses = change.capture.camera_to_world.copy()
    poses[:, :3, 3] += shift
    to_box = change.capture.to_box.copy()
    to_box[:3, 3] -= to_box[0, 0] * shift
    capture = replace(change.capture, camera_to_world=poses, to_box=to_box)
    far = texture_from_field(
        replace(mesh, corners=mesh.corners + shift),
        [replace(view, camera_to_world=pose) for view, pose in zip(views, poses, strict=True)],
        replace(change, capture=capture),
        CONFIG,
        snap="nothing",
    )
    assert (far.region != made.region).mean() < 0.001
    assert np.abs(far.texture.astype(int) - made.texture).mean() < 0.05
    assert np.abs(far.relevance - made.relevance).mean() < 1e-3


def test_texels_outside_keep_their_bytes(made: MeshEdit, mesh: TexturedMesh) -> None:
    assert np.array_equal(made.texture[~made.region], mesh.texture[~made.region])
    assert np.array_equal(made.texture[..., 3], mesh.texture[..., 3])
    assert (~made.region).mean() > 0.4


def test_the_change_of_the_fields_is_in_the_texture(made: MeshEdit, mesh: TexturedMesh) -> None:
    northern_rows = made.texture[6:40, :, :3].astype(float)
    assert np.abs(np.median(northern_rows, axis=(0, 1)) - np.array(BLUE) * 255).max() < 6
    detail = northern_rows - mesh.texture[6:40, :, :3]
    assert detail.std(axis=(0, 1)).max() < 12, "the same change everywhere: detail is kept"


def test_a_field_in_other_light_changes_colours_and_not_how_bright_they_are(
    mesh: TexturedMesh, views: list[MeshView], change: FieldEdit, capture: Capture
) -> None:
    """As where other things shade the mesh, which its own renders leave out."""

    def dimmed(colours: Colours) -> Colours:
        return lambda points: to_srgb(0.3 * to_linear(colours(points).astype(np.float32)))

    before, after = (SolidField(capture, dimmed(one), sphere) for one in (halves, edited))
    made = texture_from_field(mesh, views, replace(change, before=before, after=after), CONFIG)
    shown = np.median(made.texture[6:40, :, :3].astype(float), axis=(0, 1))
    assert np.abs(shown - np.array(BLUE) * 255).max() < 12


def test_it_looks_as_the_edited_views_do(made: MeshEdit, mesh: TexturedMesh) -> None:
    mean, worst = rerender_difference(made) or (1.0, 1.0)
    assert mean < 0.03
    assert worst < 0.05
    change, changed = colour_change(mesh, made) or (0.0, 0.0)
    expected = np.abs(np.subtract(BLUE, RED)).mean()
    assert change == pytest.approx(expected, abs=0.04)
    assert changed > 0.95
    assert len(made.edits) == len(made.renders) == len(made.masks) == 9


def test_a_texture_that_stays_is_told_from_one_that_changes(
    mesh: TexturedMesh, views: list[MeshView], change: FieldEdit
) -> None:
    idle = texture_from_field(mesh, views, replace(change, after=change.before), CONFIG)
    mean, _ = rerender_difference(idle) or (1.0, 1.0)
    assert mean < 0.01, "this figure is good"
    moved, changed = colour_change(mesh, idle) or (1.0, 1.0)
    assert moved < 0.01
    assert changed == 0
    none = texture_from_field(mesh, views, replace(change, threshold=1.1), CONFIG)
    assert colour_change(mesh, none) is None
    assert np.array_equal(none.texture, mesh.texture)


def test_what_hides_the_mesh_in_the_field_is_not_painted_on_it(
    mesh: TexturedMesh, capture: Capture
) -> None:
    """The second sphere, which the mesh's own renders leave out, stands before it and is edited."""

    def small(points: np.ndarray) -> np.ndarray:
        centre, radius, _ = SPHERES[1]
        return np.linalg.norm(points - centre, axis=1)[:, None] < 1.05 * radius

    class SmallRelevance(NorthernRelevance):
        def composite(self, positions: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            values = np.where(small(self.solid.in_capture(positions)), 0.7, 0.3)
            r = torch.from_numpy(values).float().view(*positions.shape[:-1], 1)
            return (weights * r).sum(-2)

    def recoloured(points: np.ndarray) -> np.ndarray:
        return np.where(small(points), BLUE, halves(points))

    lens = capture.intrinsics[0]
    pose = orbit_pose(0.427, 0.1)
    box = pose.copy()
    box[:3, 3] = pose[:3, 3] * capture.box_scale + capture.to_box[:3, 3]
    alone = SolidField(capture, halves, sphere).render(box, lens)
    hidden = SolidField(capture, halves).render(box, lens).depth < alone.depth - 0.01
    assert (hidden & (alone.accumulation > 0.5)).sum() > 60, "the view shows the case"
    change = FieldEdit(
        capture,
        SolidField(capture, halves),
        SolidField(capture, recoloured),
        Relevance(SmallRelevance(capture), Calibration(0.3, 0.5, 0.7)),  # type: ignore[arg-type]
        0.5,
    )
    image = np.rint(alone.rgb * 255).clip(0, 255).astype(np.uint8)
    made = texture_from_field(mesh, [MeshView(image, lens, pose)], change, CONFIG)
    assert not made.region.any()
    assert np.array_equal(made.texture, mesh.texture)
    assert made.relevance.max() < 0.3


class CapRelevance(NorthernRelevance):
    """r is 0.7 in the upper part of the northern half only."""

    def composite(self, positions: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        values = np.where(cap(self.solid.in_capture(positions)), 0.7, 0.3)
        r = torch.from_numpy(values).float().view(*positions.shape[:-1], 1)
        return (weights * r).sum(-2)


def cap(points: np.ndarray) -> np.ndarray:
    """bool (n, 1): five sixths of the northern half."""
    return points[:, 2:] > CENTRE[2] + RADIUS / 6


@pytest.fixture(scope="module")
def too_small(capture: Capture) -> FieldEdit:
    """An edit of the cap, of what is red down to the equator."""

    def painted(points: np.ndarray) -> np.ndarray:
        return np.where(cap(points), BLUE, halves(points))

    before, after = (SolidField(capture, one, sphere) for one in (halves, painted))
    relevance = Relevance(CapRelevance(capture), Calibration(0.3, 0.5, 0.7))  # type: ignore[arg-type]
    return FieldEdit(capture, before, after, relevance, 0.5)


NORTH = np.indices((SIDE, SIDE))[0] < SIDE // 2


def test_the_region_of_a_field_is_made_of_whole_things_where_these_are_known(
    mesh: TexturedMesh, views: list[MeshView], too_small: FieldEdit
) -> None:
    plain = texture_from_field(mesh, views, too_small, CONFIG, snap="nothing")
    assert (plain.region & NORTH).sum() < 0.92 * NORTH.sum()
    assert plain.took == "nothing"
    things = (mesh.corners[:, :, 2].mean(axis=1) > CENTRE[2]).astype(np.int32)
    whole = texture_from_field(mesh, views, too_small, CONFIG, things=things)
    assert (whole.took, whole.things, whole.why) == ("things", "things", "")
    assert np.array_equal(whole.region, NORTH)
    assert np.array_equal(whole.texture[~NORTH], mesh.texture[~NORTH])
    band = whole.texture[42:48, :, :3].astype(float)
    assert np.abs(np.median(band, axis=(0, 1)) - np.array(BLUE) * 255).max() < 12, (
        "what the field has left red follows what it has made blue"
    )
    assert (rerender_difference(whole) or (1,))[0] < 0.03


def test_the_region_of_a_field_keeps_to_edges_where_no_things_explain_it(
    mesh: TexturedMesh, views: list[MeshView], too_small: FieldEdit
) -> None:
    plain = texture_from_field(mesh, views, too_small, CONFIG, snap="nothing")
    by_edges = texture_from_field(mesh, views, too_small, CONFIG, snap="edges")
    overlap = [(one.region & NORTH).sum() / (one.region | NORTH).sum() for one in (plain, by_edges)]
    assert overlap[1] > overlap[0] + 0.03
    assert by_edges.took == "edges"
    fallen_back = texture_from_field(mesh, views, too_small, CONFIG)
    assert fallen_back.took == "edges"
    assert "Whole things do not explain" in fallen_back.why
    assert np.array_equal(fallen_back.texture, by_edges.texture)


def test_what_it_cannot_do_is_said(
    mesh: TexturedMesh, views: list[MeshView], change: FieldEdit, tmp_path: Path
) -> None:
    with pytest.raises(MeshError, match="without a relevance field"):
        texture_from_field(mesh, views, replace(change, relevance=None), CONFIG)
    with pytest.raises(MeshError, match="needs views"):
        texture_from_field(mesh, [], change, CONFIG)
    with pytest.raises(MeshError, match="1 labels of things"):
        texture_from_field(mesh, views, change, CONFIG, things=np.zeros(1, np.int32))

    def stop(words: str, share: float, picture: object) -> None:
        if words.startswith("Painting"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        texture_from_field(mesh, views, change, CONFIG, stop)


# ---------------------------------------------------------------- the command


@pytest.fixture
def folder(tmp_path: Path, mesh: TexturedMesh, capture: Capture) -> Path:
    """The mesh and views of it, as Blender writes them."""
    folder, lens = tmp_path / "mesh", capture.intrinsics[0]
    (folder / "views").mkdir(parents=True)
    np.savez(
        folder / "mesh.npz",
        corners=mesh.corners,
        uvs=mesh.uvs,
        occluders=mesh.occluders,
        intrinsics=np.array([lens.fx, lens.fy, lens.cx, lens.cy]),
        size=np.array([lens.width, lens.height]),
        camera_to_world=capture.camera_to_world[:4],
        lit=np.array(False),
    )
    Image.fromarray(mesh.texture).save(folder / "texture.png")
    for number in range(4):
        seen = SolidField(capture, halves).render(capture.camera_to_box[number], lens)
        image = np.rint(seen.rgb * 255).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / "views" / f"{number:03d}.png")
    return folder


def test_the_command_takes_an_edit_of_a_capture(
    folder: Path,
    tmp_path: Path,
    capture: Capture,
    mesh: TexturedMesh,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_solid(monkeypatch, halves, edited)
    out, source = tmp_path / "out", ("--from-field", capture.folder, "--edit", "blue")
    status, told = scene("texture", folder, *source, "--out", out)
    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert told[-1] == "Written"
    report = json.loads((out / "report.json").read_text())
    figures = report["figures"]
    assert figures["outside_is_input"] is True
    assert figures["rerender_difference"] < 0.03
    assert figures["mean_change_of_region"] > 0.1
    assert 0.3 < figures["visibly_changed_share_of_region"] < 0.85, "half of it turned blue"
    assert report["settings"]["instruction"] == "make the sphere blue"
    assert "of them visibly" in printed.out
    assert (figures["took"], figures["things"]) == ("things", "pieces"), "the edit is of all of it"
    with Image.open(out / "texture.png") as file:
        assert file.size == (SIDE, SIDE)
        assert file.mode == "RGBA"


def test_the_command_snaps_the_region_of_a_field_as_it_is_told(
    folder: Path, tmp_path: Path, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_solid(monkeypatch, halves, edited)
    source = ("--from-field", capture.folder, "--edit", "blue")
    found = {}
    for name, asked in (
        ("nothing", ["--snap", "nothing", "--things", "islands"]),
        ("things", ["--things", "pieces"]),
    ):
        out = tmp_path / name
        assert scene("texture", folder, *source, *asked, "--rim", "4", "--out", out)[0] == 0
        report = json.loads((out / "report.json").read_text())
        found[name] = report["figures"]
        unused = any("The things are not used: --snap nothing" in one for one in report["notes"])
        assert unused == (name == "nothing")
    assert found["nothing"]["took"] == "nothing"
    assert (found["things"]["took"], found["things"]["things"]) == ("things", "things")
    assert found["things"]["edited_share_of_mesh"] == 1
    assert found["nothing"]["edited_share_of_mesh"] < 0.9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Say what to change"),
        (["make it blue", "--from-field", "CAPTURE", "--edit", "blue"], "in place of an INSTRUC"),
        (["--from-field", "CAPTURE"], "name an --edit"),
        (["--from-field", "CAPTURE", "--edit", "red"], "no edit red"),
        (["--from-field", "missing", "--edit", "blue"], "missing"),
        (["--from-field", "CAPTURE", "--edit", "blue", "--steps", "5"], "setting steps"),
        (["--from-field", "CAPTURE", "--edit", "blue", "--detail", "fast"], "the setting detail"),
        (["--from-field", "CAPTURE", "--edit", "blue", "--noise-level", "0.5"], "noise level"),
        (["--from-field", "CAPTURE", "--edit", "blue", "--model", "demo"], "the setting model"),
        (["--from-field", "CAPTURE", "--edit", "blue", "--things", "x.npy"], "no file x.npy"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    folder: Path,
    tmp_path: Path,
    capture: Capture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    make_solid(monkeypatch, halves, edited)
    given = [str(capture.folder) if word == "CAPTURE" else word for word in arguments]
    assert scene("texture", folder, *given, "--out", tmp_path / "out")[0] == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
