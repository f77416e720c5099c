"""`python -m backend scene texture`: a folder from Blender in, an edited texture out."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.commands import texture as texture_command
from backend.editing import Editor
from backend.meshes.folder import read_mesh_folder
from backend.meshes.textured_mesh import MeshError, TexturedMesh
from backend.pictures.changes import NOWHERE
from tests.backend.colour_profiles import ADOBE_RGB
from tests.backend.test_capture_commands import scene
from tests.backend.test_mesh_edit import (
    SIZE,
    Painter,
    around,
    ball_mesh,
    camera,
    two_halves,
    unlit_views,
)

INSTRUCTION = "make the sphere blue"


def write_folder(folder: Path, mesh: TexturedMesh, views: int = 3, **other: object) -> Path:
    """The format's files, written as its description says."""
    shown, lens = unlit_views(mesh, around(views)), camera()
    arrays = {
        "corners": mesh.corners.astype(np.float32),
        "uvs": mesh.uvs.astype(np.float32),
        "occluders": mesh.occluders.astype(np.float32),
        "intrinsics": np.array([lens.fx, lens.fy, lens.cx, lens.cy]),
        "size": np.array([SIZE, SIZE]),
        "camera_to_world": np.stack([view.camera_to_world for view in shown]),
        "lit": np.array(False),
    }
    (folder / "views").mkdir(parents=True)
    given = {name: array for name, array in (arrays | other).items() if array is not None}
    np.savez(folder / "mesh.npz", **given)
    Image.fromarray(mesh.texture).save(folder / "texture.png")
    for number, view in enumerate(shown):
        Image.fromarray(view.image).save(folder / "views" / f"{number:03d}.png")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "ball", ball_mesh(two_halves()))


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> Painter:
    """Edits as the painter does it, with the tiny model's facts."""
    card, painter = Editor.from_pretrained(str(tiny_model), device="cpu").card, Painter()
    painter.card = card  # type: ignore[attr-defined]
    monkeypatch.setattr(Editor, "from_pretrained", lambda *arguments: painter)
    return painter


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file)


def test_a_model_edits_texels_from_the_threshold_and_leaves_the_rest(
    folder: Path, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = sorted(folder.rglob("*")), tmp_path / "out"
    settings = ["--threshold", 0.4, "--steps", 2, "--seeds", 1, "--rounds", 1, "--seed", 3]
    model = ["--model", tiny_model, "--device", "cpu", "--dtype", "float32"]
    status, told = scene("texture", folder, INSTRUCTION, "--out", out, *model, *settings)
    assert status == 0, capsys.readouterr().err
    assert told[-1] == "Written"
    assert sorted(folder.rglob("*")) == before
    texture, original = pixels(out / "texture.png"), two_halves()
    changed = (texture != original).any(axis=2)
    relevance = pixels(out / "relevance.png") / 255
    assert not changed[relevance < 0.39].any()
    assert changed[relevance > 0.41].mean() > 0.9
    assert 0.02 < changed.mean() < 0.98, "the threshold parts the texels"
    report = json.loads((out / "report.json").read_text())
    figures = report["figures"]
    assert figures["outside_is_input"] is True
    assert figures["edited_share_of_texture"] == pytest.approx(changed.mean(), abs=0.05)
    assert figures["threshold"] == 0.4
    assert {edit["view"] for edit in figures["edits"]} == {0, 1, 2}
    assert report["settings"]["steps"] == 2
    assert report["settings"]["lit"] is False
    for number in range(3):
        view, mask = (pixels(out / f"views/{number:03d}_{n}.png") for n in ("before", "mask"))
        assert np.array_equal(view, pixels(folder / f"views/{number:03d}.png"))
        assert mask.dtype == bool
        assert pixels(out / f"views/{number:03d}_after.png").shape == (SIZE, SIZE, 3)
    assert pixels(out / "contact_sheet.png").shape[2] == 3
    assert not list(tmp_path.glob(".*"))


def test_the_named_half_changes_and_the_figures_say_how_far_it_is_from_the_edited_views(
    folder: Path, tmp_path: Path, painter: Painter, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made" / "out"
    status, _ = scene("texture", folder, INSTRUCTION, "--out", out, "--rounds", 2)
    printed = capsys.readouterr()
    assert status == 0, printed.err
    texture = pixels(out / "texture.png").astype(float)
    # Rows that the three views show at no slant, in the red half and in the green one.
    assert (texture[20:40, :, 2] > 1.8 * texture[20:40, :, 0]).mean() > 0.9
    assert np.array_equal(texture[60:], two_halves()[60:])
    figures = json.loads((out / "report.json").read_text())["figures"]
    assert 0.35 < figures["edited_share_of_mesh"] < 0.6
    assert 0 < figures["rerender_difference"] <= figures["rerender_difference_of_worst_view"]
    # The painter paints each view the same, so the views are nearly what it painted.
    apart = []
    for number in range(3):
        names = ("before", "after", "mask")
        view, after, mask = (pixels(out / f"views/{number:03d}_{name}.png") for name in names)
        painter.set_image(view)
        wanted = painter.edit(INSTRUCTION, mask=mask).image
        apart.append(np.abs(after.astype(float) - wanted)[mask].ravel())
    expected = float(np.concatenate(apart).mean()) / 255
    assert figures["rerender_difference"] == pytest.approx(expected, rel=1e-6)
    assert f"{expected:.2%} from the edited views" in printed.out


@pytest.mark.parametrize("kind", ["labels.npy", "materials"])
def test_a_region_of_whole_things_takes_what_no_view_shows_and_the_report_says_so(
    tmp_path: Path, painter: Painter, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    mesh = ball_mesh(two_halves())
    labels = (mesh.corners[:, :, 2].mean(axis=1) > 0).astype(np.int64) * 9
    folder = write_folder(tmp_path / "ball", mesh, materials=labels)
    named = kind
    if kind.endswith(".npy"):
        named = str(tmp_path / kind)
        np.save(named, labels)
    out = tmp_path / "out"
    assert scene("texture", folder, INSTRUCTION, "--out", out, "--things", named)[0] == 0
    assert "made of whole things" in capsys.readouterr().out
    figures = json.loads((out / "report.json").read_text())["figures"]
    assert (figures["took"], figures["things"]) == ("things", "things")
    changed = (pixels(out / "texture.png") != mesh.texture).any(axis=2)
    on_mesh = np.zeros(changed.size, bool)
    on_mesh[mesh.surface.texel] = True
    on_mesh = on_mesh.reshape(changed.shape)
    assert changed[:48][on_mesh[:48]].mean() > 0.99
    assert not changed[48:][on_mesh[48:]].any()
    assert figures["seams"]["before"] == pytest.approx(figures["seams"]["after"], abs=0.02)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("materials", "does not say which materials the mesh has: write it again"),
        ("faces", "There is no file faces: say pieces, islands or materials, or name a .npy file"),
        (
            "few.npy",
            "one label for each of the mesh's 2208 triangles, not an array of the shape (5,)",
        ),
        ("half.npy", "labels must be whole numbers from 0 on"),
        ("minus.npy", "labels must be whole numbers from 0 on"),
        ("words.npy", "labels must be whole numbers from 0 on"),
        ("text.npy", "cannot be read as a .npy file"),
    ],
)
def test_things_that_cannot_be_used_are_one_sentence(
    folder: Path,
    painter: Painter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    words: str,
) -> None:
    monkeypatch.chdir(folder.parent)
    faces = len(ball_mesh(two_halves()).corners)
    np.save("few.npy", np.zeros(5, int))
    np.save("half.npy", np.full(faces, 0.5))
    np.save("minus.npy", np.full(faces, -1))
    np.save("words.npy", np.full(faces, "a"))
    Path("text.npy").write_text("no")
    status, _ = scene("texture", "ball", INSTRUCTION, "--out", "out", "--things", kind)
    error = capsys.readouterr().err
    assert status == 1
    assert words in error
    assert error.count("\n") == 1
    assert not Path("out").exists()


def test_nothing_relevant_is_said_and_the_texture_stays(
    tmp_path: Path, painter: Painter, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = np.full((32, 32, 3), 90, np.uint8)
    folder, out = write_folder(tmp_path / "grey", ball_mesh(grey)), tmp_path / "out"
    assert scene("texture", folder, INSTRUCTION, "--out", out, "--threshold", 0.5)[0] == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == NOWHERE
    report = json.loads((out / "report.json").read_text())
    assert report["notes"] == [said.splitlines()[0]]
    assert np.array_equal(pixels(out / "texture.png"), grey)
    assert json.loads((out / "report.json").read_text())["figures"]["rerender_difference"] is None


def test_what_the_model_does_not_read_of_an_instruction_is_said_after_unchanged(
    tmp_path: Path, painter: Painter, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = np.full((32, 32, 3), 90, np.uint8)
    folder, out = write_folder(tmp_path / "grey", ball_mesh(grey)), tmp_path / "out"
    instruction = f"{INSTRUCTION} {'très ' * 90}"
    assert scene("texture", folder, instruction, "--out", out, "--threshold", 0.5)[0] == 0
    said = capsys.readouterr().out.splitlines()
    notes = json.loads((out / "report.json").read_text())["notes"]
    assert [said[0], *(line.removeprefix("note: ") for line in said[1:3])] == notes
    assert notes[0] == NOWHERE
    assert notes[1].startswith("The instruction is too long for the model, which does not read: ")
    assert notes[2].startswith("The model was trained on English instructions")


@pytest.mark.parametrize("moment", ["editing", "writing"])
def test_an_interrupt_leaves_nothing(
    folder: Path,
    tmp_path: Path,
    painter: Painter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    moment: str,
) -> None:
    def interrupted(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    if moment == "editing":
        monkeypatch.setattr(painter, "edit", interrupted)
    else:
        monkeypatch.setattr(texture_command, "contact_sheet", interrupted)
    before = sorted(tmp_path.rglob("*"))
    status, _ = scene("texture", folder, INSTRUCTION, "--out", tmp_path / "out", "--threshold", 0.5)
    assert status == 130
    assert "nothing was written" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "mesh.npz").unlink(), "There is no file .*mesh.npz"),
        (lambda folder: _cut(folder / "mesh.npz"), "mesh.npz cannot be read"),
        (lambda folder: (folder / "mesh.npz").write_bytes(b"no"), "mesh.npz cannot be read"),
        (lambda folder: (folder / "texture.png").unlink(), "no image .*texture.png"),
        (lambda folder: _cut(folder / "texture.png"), "texture.png is damaged"),
        (
            lambda folder: Image.new("RGB", (8, 8)).save(
                folder / "texture.png", icc_profile=ADOBE_RGB
            ),
            "texture.png has a colour profile that is not sRGB",
        ),
        (lambda folder: (folder / "views/001.png").unlink(), "no image .*001.png"),
        (
            lambda folder: Image.new("RGB", (SIZE, 9)).save(folder / "views/001.png"),
            "001.png cannot be used: A view must be",
        ),
    ],
)
def test_a_spoilt_folder_is_refused_by_its_files_name(
    folder: Path, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(folder)
    with pytest.raises(MeshError, match=words) as refused:
        read_mesh_folder(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"uvs": None}, "not complete.*uvs"),
        ({"uvs": np.zeros((3, 2))}, "uvs must have the shape"),
        ({"uvs": np.zeros((5, 3, 2))}, "cannot be used: A mesh needs"),
        ({"corners": np.full((3, 3, 3), "a")}, "cannot be read"),
        ({"corners": np.array([None])}, "cannot be read"),
        ({"intrinsics": np.array([0.0, 1, 1, 1])}, "no camera has"),
        ({"size": np.array([np.nan, 48])}, "no camera has"),
        ({"camera_to_world": np.zeros((0, 4, 4))}, "no cameras"),
        ({"camera_to_world": np.zeros((3, 4, 4))}, "000.png cannot be used: .*rigid"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, arrays: dict[str, object], words: str) -> None:
    folder = write_folder(tmp_path / "ball", ball_mesh(two_halves()), **arrays)
    with pytest.raises(MeshError, match=words):
        read_mesh_folder(folder)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing", INSTRUCTION, "--out", "out"], "There is no folder missing"),
        ([__file__, INSTRUCTION, "--out", "out"], "is no folder"),
        (["ball", INSTRUCTION, "--out", "ball"], "is not empty: name a new folder"),
        (["ball", INSTRUCTION, "--out", "ball/mesh.npz"], "is not empty: name a new folder"),
        (["ball", INSTRUCTION, "--out", "out", "--steps", "0"], "--steps must be 1 or more"),
        (["ball", INSTRUCTION, "--out", "out", "--text-guidance", "-1"], "must be 0 to 100"),
        (["ball", INSTRUCTION, "--out", "out", "--threshold", "2"], "threshold must be 0 to 1"),
        (["ball", INSTRUCTION, "--out", "out", "--rounds", "0"], "--rounds must be 1 or more"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    folder: Path,
    painter: Painter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(folder.parent)
    before = sorted(folder.parent.rglob("*"))
    status, _ = scene("texture", *arguments)
    error = capsys.readouterr().err
    assert status == 1
    assert words in error
    assert error.count("\n") == 1
    assert sorted(folder.parent.rglob("*")) == before
