"""`python -m backend evaluate texture`: figures of an edit whose part is known."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.editing import Editor
from backend.errors import BadInput
from backend.evaluation.texture import figures_of, named_part
from backend.meshes.textured_mesh import TexturedMesh
from tests.backend.test_mesh_connectivity import GREEN, RED, cube
from tests.backend.test_mesh_edit import around
from tests.backend.test_texture_region import Patchy, edit, plain_views, two_balls


def test_a_part_is_named_by_pieces_or_by_colours() -> None:
    mesh = two_balls()
    red = np.zeros(mesh.size, bool)
    red.reshape(-1)[mesh.surface.texel] = True
    red[:, 64:] = False
    for name in ("0", "#c82828", "rgb(190, 50, 45)"):
        assert np.array_equal(named_part(mesh, [name], 0.1), red), name
    both = named_part(mesh, ["0", "1"], 0.1)
    assert both.sum() == 2 * red.sum()
    for name, words in (
        ("2", "pieces 0 to 1"),
        ("reddish", "no piece's number and no colour"),
        ("#0000ff", "No texel"),
    ):
        with pytest.raises(BadInput, match=words):
            named_part(mesh, [name], 0.1)


def test_figures_are_shares_of_the_part_and_ratios_of_its_seams() -> None:
    mesh = cube([RED, RED, RED, GREEN, GREEN, GREEN])
    made = edit(mesh, poses=[*around(4), *around(4, height=-1.0)])
    part = named_part(mesh, ["#c82828"], 0.1)
    half = np.zeros(mesh.size, bool)
    half[:, :24] = True  # one side and a half of the three that are the part
    green = np.where(half[..., None], np.uint8(GREEN), mesh.texture)
    found = figures_of(mesh, replace(made, region=half, texture=green), part)
    assert found["part of mesh"] == pytest.approx(0.5, abs=0.01)
    assert found["edited of part"] == found["changed of part"] == pytest.approx(0.5, abs=0.02)
    assert found["edited beside it"] == 0
    assert "seams ratio" not in found, "the two sides that were edited have no edge in common"


def test_the_command_compares_ways_on_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    mesh = two_balls()
    write_folder(tmp_path / "balls", mesh)
    painter = Patchy()
    painter.card = Editor.from_pretrained(str(tiny_model), device="cpu").card  # type: ignore[attr-defined]
    monkeypatch.setattr(Editor, "from_pretrained", lambda *arguments: painter)
    arguments = [str(tmp_path / "balls"), "make it blue", "--part", "0", "--rounds", "1"]
    ways = ["--ways", "cells", "things"]
    out = tmp_path / "out"
    command = ["evaluate", "texture", *arguments, *ways, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["backend", *command])
    assert main(command) == 0
    figures = json.loads((out / "report.json").read_text())["figures"]
    assert list(figures) == ["cells", "things"]
    assert figures["things"]["edited of part"] == 1
    assert figures["things"]["took"] == "things"
    assert figures["cells"]["edited of part"] < 0.95
    assert "| things |" in (out / "figures.md").read_text()
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.height > 3 * 256


def test_maps_that_are_made_once_count_in_the_seconds_of_every_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    write_folder(tmp_path / "balls", two_balls())

    class Slow(Patchy):
        def relevance_of_images(self, *asked: Any, **settings: Any) -> Any:
            time.sleep(5)
            return super().relevance_of_images(*asked, **settings)

    painter = Slow()
    painter.card = Editor.from_pretrained(str(tiny_model), device="cpu").card  # type: ignore[attr-defined]
    monkeypatch.setattr(Editor, "from_pretrained", lambda *arguments: painter)
    arguments = [str(tmp_path / "balls"), "make it blue", "--part", "0", "--rounds", "1"]
    out = tmp_path / "out"
    ways = ["--ways", "cells", "things", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["backend", "evaluate", "texture", *arguments, *ways])
    begun = time.perf_counter()
    assert main(["evaluate", "texture", *arguments, *ways]) == 0
    taken = time.perf_counter() - begun
    figures = json.loads((out / "report.json").read_text())["figures"]
    assert all(figure["seconds"] >= 5 for figure in figures.values())
    assert sum(figure["seconds"] for figure in figures.values()) < taken + 5.1


def write_folder(folder: Path, mesh: TexturedMesh) -> None:
    views = plain_views(mesh, around(3, height=2.0))
    lens = views[0].intrinsics
    (folder / "views").mkdir(parents=True)
    np.savez(
        folder / "mesh.npz",
        corners=mesh.corners,
        uvs=mesh.uvs,
        occluders=mesh.occluders,
        intrinsics=np.array([lens.fx, lens.fy, lens.cx, lens.cy]),
        size=np.array([lens.width, lens.height]),
        camera_to_world=np.stack([view.camera_to_world for view in views]),
        lit=np.array(False),
    )
    Image.fromarray(mesh.texture).save(folder / "texture.png")
    for number, view in enumerate(views):
        Image.fromarray(view.image).save(folder / "views" / f"{number:03d}.png")
