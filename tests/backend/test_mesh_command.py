"""`python -m backend scene mesh`: what it writes, and that nothing is left where it ends early."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.commands import mesh as mesh_command
from backend.meshes.textured_mesh import MeshView
from backend.work_lock import LOCK_FILE

from .solid_scene import make_solid
from .test_capture_commands import scene
from .tiny_capture import orbit_capture

QUICK = ("--resolution", 40, "--faces", 600, "--texture-size", 96)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene") / "capture"
    orbit_capture(folder, 8, 40)
    return folder


@pytest.fixture(autouse=True)
def _solid(monkeypatch: pytest.MonkeyPatch) -> None:
    make_solid(monkeypatch)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file)


def test_a_mesh_with_both_textures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = folder / LOCK_FILE
    before, out = sorted({*folder.rglob("*")} - {lock}), tmp_path / "made" / "mesh"
    status, told = scene("mesh", folder, "--edit", "blue", "--out", out, *QUICK)
    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert told[0] == "Following the rays of view 1 of 8"
    assert told[-1] == "Written"
    assert sorted({*folder.rglob("*")} - {lock}) == before
    assert {path.name for path in out.iterdir()} == {
        *("original.glb", "original.png", "edited.glb", "edited.png", "relevance.png"),
        *("contact_sheet.png", "report.html", "report.json"),
    }
    original, edited = pixels(out / "original.png"), pixels(out / "edited.png")
    assert original.shape == (96, 96, 3)
    changed = (original != edited).any(axis=2)
    assert not changed[pixels(out / "relevance.png") < 127].any()
    report = json.loads((out / "report.json").read_text())
    figures = report["figures"]
    assert figures["outside_is_original"] is True
    assert 400 < figures["faces"] <= 600
    assert 0.02 < figures["region_share_of_mesh"] < 0.5
    assert figures["change_inside"] > 0.15
    assert 3 < max(figures["extent"]) < 6.5
    assert 0 < figures["difference_from_views"] < 0.5
    assert report["settings"]["resolution"] == 40
    assert f"{figures['vertices']} vertices" in printed.out
    assert not list(out.parent.glob(".*"))


def test_an_obj_of_the_scene_alone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mesh"
    assert scene("mesh", folder, "--out", out, "--format", "obj", *QUICK)[0] == 0
    assert {path.name for path in out.iterdir()} == {
        *("original.obj", "original.mtl", "original.png"),
        *("contact_sheet.png", "report.html", "report.json"),
    }
    figures = json.loads((out / "report.json").read_text())["figures"]
    assert "outside_is_original" not in figures


def test_a_mesh_is_compared_with_large_photos_at_a_smaller_size(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four photos of a phone took gigabytes, and with them the mesh, which was made by then."""
    sizes = []
    see = mesh_command.see_texture

    def seen(mesh: object, view: MeshView, samples: int, border: float) -> object:
        sizes.append((view.intrinsics.width, view.image.shape))
        return see(mesh, view, samples, border)  # type: ignore[arg-type]

    monkeypatch.setattr(mesh_command, "see_texture", seen)
    monkeypatch.setattr(mesh_command, "SEEN_SIDE", 12)
    assert scene("mesh", folder, "--out", tmp_path / "mesh", *QUICK)[0] == 0
    assert set(sizes) == {(12, (12, 12, 3))}
    figures = json.loads((tmp_path / "mesh" / "report.json").read_text())["figures"]
    assert 0 < figures["difference_from_views"] < 0.5


def test_a_mesh_with_more_faces_than_asked_for_says_so(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("backend.meshes.extraction.decimated", lambda mesh, faces: mesh)
    out = tmp_path / "mesh"
    quick = ("--resolution", 30, "--faces", 12, "--texture-size", 96)
    assert scene("mesh", folder, "--out", out, *quick)[0] == 0
    note = "The mesh has more faces than the 12 of --faces: its pieces cannot be simplified any"
    assert f"note: {note}" in capsys.readouterr().out
    assert json.loads((out / "report.json").read_text())["notes"][-1].startswith(note)


@pytest.mark.parametrize("moment", ["extracting", "writing"])
def test_an_interrupt_leaves_nothing(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    moment: str,
) -> None:
    def interrupted(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    if moment == "extracting":
        monkeypatch.setattr("backend.meshes.extraction.follow_rays", interrupted)
    else:
        monkeypatch.setattr(mesh_command, "contact_sheet", interrupted)
    assert scene("mesh", folder, "--out", tmp_path / "out", *QUICK)[0] == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--edit", "red"], "no edit red: it has blue"),
        (["--texture-size", "3"], "--texture-size must be"),
        (["--resolution", "2"], "a resolution of 8 at least"),
        (["--resolution", "100000"], "a resolution beyond 1024 fits no memory"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert scene("mesh", folder, "--out", tmp_path / "out", *arguments)[0] == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert scene("mesh", folder, "--out", tmp_path)[0] == 1
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
