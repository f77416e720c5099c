"""A capture of which an image and a depth image are damaged inside is trained and edited by
what remains.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.__main__ import main
from backend.fields.config import EDIT_PRESETS, PRESETS
from backend.scenes import Scene

from .quick_edit import INSTRUCTION, QUICK
from .tiny_capture import orbit_capture
from .tiny_field import TINY


def test_what_is_damaged_is_left_out_of_training_and_edit(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capture, _ = orbit_capture(tmp_path / "scene", 9, 24, depth_every=1)
    for damaged in (capture.views[0].image, capture.views[2].image, capture.views[5].depth):
        assert damaged is not None
        damaged.write_bytes(damaged.read_bytes()[:-40])
    monkeypatch.setitem(PRESETS, "preview", TINY)
    monkeypatch.setitem(EDIT_PRESETS, "preview", QUICK)
    place = [str(tmp_path / "scene"), "--device", "cpu"]
    assert main(["scene", "train", *place]) == 0
    said = capsys.readouterr().out
    assert "2 of 9 images are left out" in said
    assert "1 of 9 depth images is left out" in said
    report = json.loads((tmp_path / "scene/.wys/report.json").read_text("utf-8"))
    assert len(report["notes"]) == 2
    assert all(f"note: {note}" in said for note in report["notes"])
    with_model = ["--model", str(tiny_model), "--name", "red", "--preset", "preview"]
    assert main(["scene", "edit", *place, INSTRUCTION, *with_model]) == 0
    scene = Scene.open(tmp_path / "scene", device="cpu")
    left = {capture.names[0], capture.names[2]}
    assert not left & set(scene.field.names)
    assert scene.edited("red").finished
