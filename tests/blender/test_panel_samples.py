"""Described scenes through the add-on's own buttons and a real server, and their figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

from test_real_server import MAKE_MODEL
from test_renders import ROOT, description

SIZE = 96


def run(*command: str | Path) -> str:
    done = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300
    )
    return done.stdout


def test_the_panels_regions_are_measured_beside_the_worlds(tmp_path: Path) -> None:
    backend = os.environ["WATCH_YOUR_STEPS_BACKEND_PYTHON"]
    run(backend, "-c", MAKE_MODEL, tmp_path / "model")
    plain = description()
    plain["edits"] = plain["edits"][1:3]  # of the ground and, changing what is there, of a thing
    for thing in plain["scene"]["things"]:
        thing["surface"]["pattern"] = None
    scenes = [plain, description() | {"seed": 6, "edits": []}]
    (tmp_path / "scenes.json").write_text(json.dumps({"format": 1, "scenes": scenes}))
    script = ROOT / "blender_addon" / "demo" / "panel_samples.py"
    options = {
        "--scenes": tmp_path / "scenes.json",
        "--zip": os.environ["WATCH_YOUR_STEPS_ZIP"],
        "--backend-python": backend,
        "--model": tmp_path / "model",
        "--out": tmp_path / "out",
        "--size": str(SIZE),
        "--steps": "2",
        "--engine": "workbench",
    }
    run(sys.executable, script, *(part for pair in options.items() for part in pair))
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    (only,) = index["renders"]
    assert only["seed"] == 5, "Workbench shows no patterns"
    for edit in only["edits"]:
        shown = edit["panel"]["workbench"]
        assert shown["outside_is_input"]
        assert {*shown["files"]} >= {"render", "relevance", "plain", "region", "things", "edit"}
    run(backend, "-m", "backend.evaluation.panel", tmp_path / "out", "--model", tmp_path / "model")
    figures = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]
    panel, world = figures["workbench: all"], figures["workbench: all, world"]
    assert panel["n"] == world["n"] == 2
    assert panel["masks agree"] > 0.95
    assert figures["workbench: recolour: ground"]["IoU of the best thing"] > 0.95
    assert (tmp_path / "out" / "contact_sheet.png").stat().st_size > 1000
