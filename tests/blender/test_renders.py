"""Described scenes in Blender: the same things at the same places as the world's own renderer draws
them, with the same patterns, and the files that measure a model on them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "blender_addon" / "demo" / "render_samples.py"
UPRIGHT = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
TRIANGLES = "v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


def surface(albedo: list[float], pattern: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "colour": None,
        "albedo": albedo,
        "roughness": 0.8,
        "specular": 0.0,
        "pattern": pattern,
    }


def pattern(kind: str, period: float) -> dict[str, Any]:
    return {
        "kind": kind,
        "colour": "white",
        "albedo": [0.9, 0.9, 0.9],
        "period": period,
        "axis": [0.36, 0.48, 0.8],
        "phase": [0.2, 0.3, 0.4],
    }


def thing(shape: str, x: float, made_of: dict[str, Any]) -> dict[str, Any]:
    return {
        "shape": shape,
        "surface": made_of,
        "position": [x, 0.0, 0.6],
        "size": 0.6,
        "stretch": 1.0,
        "rotation": UPRIGHT,
        "flat_shaded": False,
    }


def edit(kind: str, target: int | str, new: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "kind": kind,
        "target": target,
        "colour": "blue",
        "instruction": f"{kind} it",
        "wording": "shape",
        "pattern": None,
        "thing": new,
    }


def description() -> dict[str, Any]:
    """A striped ball, a checkered cube and a plain cone on a dark ground, under a sun."""
    things = [
        thing("sphere", -1.4, surface([0.5, 0.02, 0.02], pattern("stripes", 0.6))),
        thing("cube", 0.0, surface([0.02, 0.3, 0.02], pattern("checks", 0.9))),
        thing("cone", 1.4, surface([0.6, 0.6, 0.02])),
    ]
    new = thing("cylinder", 1.4, surface([0.02, 0.02, 0.6]))
    sun = {
        "position": [0.3, -0.8, 0.9],
        "strength": 1.0,
        "colour": [1.0, 1.0, 1.0],
        "point": False,
        "shadow": True,
        "softness": 0.1,
        "wrap": 0.0,
    }
    look = {"view": "standard", "exposure": 0.8, "contrast": 1.0, "noise": 0.0, "noise_seed": 0}
    scene = {
        "things": things,
        "ground": {"surface": surface([0.1, 0.1, 0.1]), "extent": 3.0, "yaw": 0.4},
        "background": {"surface": surface([0.5, 0.5, 0.6]), "low": 1.0, "high": 0.7},
        "lights": [sun],
        "ambient": [0.3, 0.3, 0.3],
        "occlusion": 0.5,
        "look": look,
    }
    edits = [
        (edit("recolour", 1), None),
        (edit("recolour", "ground"), None),
        (edit("replace", 2, new), scene | {"things": [*things[:2], new]}),
        (edit("remove", 0), scene | {"things": things[1:]}),
    ]
    return {
        "seed": 5,
        "scene": scene,
        "camera": {
            "position": [0.8, -6.0, 2.5],
            "target": [0.1, 0.0, 0.5],
            "fov": 0.6,
            "roll": 0.1,
        },
        "edits": [
            {"edit": asked, "captions": ["before", "after"], "changed": changed}
            for asked, changed in edits
        ],
    }


def render(out: Path, *options: str | Path) -> dict[str, Any]:
    command = [sys.executable, SCRIPT, *options, "--out", out]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    index: dict[str, Any] = json.loads((out / "index.json").read_text())
    return index


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the backend finds when it reads what Blender has rendered."""
    folder = tmp_path_factory.mktemp("renders")
    plain = description() | {"seed": 6}
    plain["scene"]["things"] = [
        thing | {"surface": thing["surface"] | {"pattern": None}}
        for thing in plain["scene"]["things"]
    ]
    scenes = {"patterned": description(), "plain": plain}
    for name, scene in scenes.items():
        (folder / f"{name}.json").write_text(json.dumps({"format": 1, "scenes": [scene]}))
    report = {}
    for name in scenes:
        index = render(folder / name, "--scenes", folder / f"{name}.json")
        report[name] = {"engines": sorted(index["renders"][0]["images"])}
        answer = subprocess.run(
            [
                os.environ["WATCH_YOUR_STEPS_BACKEND_PYTHON"],
                "-c",
                "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])",
                Path(__file__).with_name("compare_renders.py"),
                folder / name,
            ],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        report[name] |= json.loads(answer.stdout)
    return report


def test_every_thing_is_where_the_world_has_it(compared: dict[str, Any]) -> None:
    for name, engines in {"patterned": ["cycles"], "plain": ["cycles", "workbench"]}.items():
        assert compared[name]["engines"] == engines, "Workbench shows no patterns"
        for engine in engines:
            assert min(compared[name][engine]["things"]) > 0.95


def test_masks_of_edits_also_of_those_that_change_what_is_there(compared: dict[str, Any]) -> None:
    assert len(compared["patterned"]["cycles"]["edits"]) == 4
    assert min(compared["patterned"]["cycles"]["edits"]) > 0.95


def test_patterns_lie_on_things_as_in_the_world(compared: dict[str, Any]) -> None:
    stripes, checks, _ = compared["patterned"]["cycles"]["greys"]
    assert stripes > 0.9
    assert checks > 0.9


def test_views_of_a_mesh(tmp_path: Path) -> None:
    mesh = tmp_path / "thing.obj"
    mesh.write_text(TRIANGLES)
    options = ["--mesh", mesh, "--name", "bottle", "--views", "2", "--engine", "workbench"]
    index = render(tmp_path / "out", *options, "--size", "32")
    first, second = index["renders"]
    assert first["camera"] is None
    texts = [each["edit"]["instruction"] for each in first["edits"]]
    assert any(text.startswith("make the bottle ") for text in texts)
    assert any(text.startswith("turn the object ") for text in texts)
    for entry in (first, second):
        for file in (entry["ids"], entry["images"]["workbench"]):
            assert (tmp_path / "out" / file).stat().st_size > 100
    pictures = [(tmp_path / "out" / each["ids"]).read_bytes() for each in (first, second)]
    assert pictures[0] != pictures[1], "another view"
    read = (
        "import sys, pathlib; from backend.evaluation.renders import read_renders as r;"
        "s = r(pathlib.Path(sys.argv[1])); print(*s, s['workbench'][0].mask.mean())"
    )
    answer = subprocess.run(
        [os.environ["WATCH_YOUR_STEPS_BACKEND_PYTHON"], "-c", read, tmp_path / "out"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    engine, share = answer.stdout.split()
    assert engine == "workbench"
    assert 0.02 < float(share) < 0.6
