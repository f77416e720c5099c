"""Which preset, cameras and threshold an edit of a scene goes by, and fields of other versions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.editing import Editor
from backend.fields import relevance_field
from backend.fields.config import EDIT_PRESETS, PRESETS
from backend.fields.facts import CheckpointError
from backend.fields.radiance_field import RadianceField
from backend.fields.radiance_training import RadianceTraining
from backend.fields.rays import ViewRays
from backend.fields.views import Views
from backend.scenes import Scene
from backend.scenes.edit_run import edit_preset
from backend.scenes.methods.dataset_update import DatasetUpdate
from backend.scenes.methods.regions import everything
from backend.worker.perform_scene import _edit_config
from protocol.requests import EditSceneRequest
from tests.protocol.flat import flat

from .quick_edit import INSTRUCTION, QUICK, VIEWS
from .tiny_capture import orbit_capture
from .tiny_field import TINY


def test_every_field_preset_is_edited_with_its_own_edit_preset() -> None:
    assert EDIT_PRESETS.keys() == {*PRESETS, "paper"}
    for name, preset in PRESETS.items():
        assert edit_preset(preset) == name
        assert edit_preset(dataclasses.replace(preset, iterations=7, stop_patience=0)) == name
        # one that was trained when a preset had another number: "full" was edited as "preview"
        assert edit_preset(dataclasses.replace(preset, distortion=0.5, near=0.07)) == name
        request = flat(
            EditSceneRequest, capture="0" * 32, name="red", instruction=INSTRUCTION, preset=name
        )
        assert _edit_config(request) == EDIT_PRESETS[name]
    assert edit_preset(TINY) == "preview"


def test_an_edit_takes_the_preset_of_its_field_by_default(
    scene: Scene, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = dataclasses.replace(scene.field.config, iterations=9)
    monkeypatch.setitem(PRESETS, "medium", own)
    monkeypatch.setitem(EDIT_PRESETS, "medium", dataclasses.replace(QUICK, iterations=4))
    assert scene.edit(INSTRUCTION, editor).asked.config == EDIT_PRESETS["medium"]


def test_an_edit_looks_from_where_its_own_field_has_moved_the_cameras(
    editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training corrects the poses: those of an edited field are not those of the scene's own."""
    capture, _ = orbit_capture(tmp_path / "capture", VIEWS, 24)
    scene = Scene.open(capture.folder, device="cpu")
    moving = dataclasses.replace(
        TINY, hold_out_every=4, optimise_cameras=True, camera_learning_rate=0.02
    )
    scene.train(config=moving)
    low = scene.edit(INSTRUCTION, editor, config=QUICK, name="low")
    name = scene.field.names[0]
    index = capture.names.index(name)
    box = low.field.corrected(capture.camera_to_box[index], name)
    np.testing.assert_allclose(low.camera(name).pose[:3, :3], box[:3, :3])
    assert np.abs(low.camera(name).pose - scene.camera(name).pose).max() > 0.01

    trained_from = []
    train = relevance_field.train

    def noting(field: object, rays: ViewRays, *arguments: object) -> object:
        trained_from.append(rays.bundle(rays.of_view(0)).origins[0].numpy())
        return train(field, rays, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(relevance_field, "train", noting)
    high = scene.edit(INSTRUCTION, editor, config=QUICK, name="high", base="low")
    np.testing.assert_allclose(trained_from[0], box[:3, 3], atol=1e-6)
    first = high.views[0]
    seen = scene.render(low.camera(first.name), high.relevance, low.field)
    np.testing.assert_array_equal(first.before, (seen.rgb * 255 + 0.5).astype(np.uint8))
    assert seen.relevance is not None
    np.testing.assert_array_equal(first.mask, seen.relevance >= 0.5)


def test_the_agreement_of_edited_views_is_measured_from_corrected_cameras(tmp_path: Path) -> None:
    capture, _ = orbit_capture(tmp_path, VIEWS, 24)
    config = dataclasses.replace(TINY, optimise_cameras=True)
    views = Views(capture)
    field = RadianceField(config, capture.names, seed=1)
    update = DatasetUpdate(
        RadianceTraining(field, views, None),
        None,  # type: ignore[arg-type]
        INSTRUCTION,
        everything(),
        QUICK,
        tmp_path / "edit",
        0,
        lambda words, share: None,
    )
    state = update.state()
    state["inside"][:] = True
    update.load_state(state | {"count": len(capture)})
    with torch.no_grad():
        field.model.camera_optimizer.pose_adjustment[:, :3] = 0.3
        for view, (name, pose) in enumerate(zip(capture.names, capture.camera_to_box, strict=True)):
            seen = field.render(field.corrected(pose, name), capture.intrinsics[view])
            shown = torch.from_numpy((seen.rgb * 255 + 0.5).astype(np.uint8))
            views.pixels[views.rays.of_view(view)] = shown.reshape(-1, 3)
    measured = update.measure()
    assert measured is not None
    assert measured > 50  # the views are what these cameras see, to a rounding


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("radiance", '"levels": ', '"storeys": ', "storeys"),
        ("radiance", '"samples": 8', '"samples": 8, "colour": 1', "colour"),
        ("radiance", '"samples": 8', '"sample": 8', "samples"),
        ("radiance", '"learning_rate": ', '"learning_rate": "fast", "x": ', "learning_rate"),
        ("relevance", '"levels": ', '"storeys": ', "storeys"),
        ("relevance", '"rays": ', '"rays": null, "x": ', "rays"),
    ],
)
def test_a_checkpoint_whose_config_has_other_keys_is_refused_in_a_sentence(
    scene: Scene, editor: Editor, name: str, old: str, new: str, said: str
) -> None:
    edit = scene.edit(INSTRUCTION, editor, config=dataclasses.replace(QUICK, iterations=1))
    path = (scene.work if name == "radiance" else edit.folder) / f"{name}.json"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    again = Scene.open(scene.capture.folder, work=scene.work, device="cpu")
    match = f"The {name} field was trained by another version .*{said}.*: train it anew"
    with pytest.raises(CheckpointError, match=match):
        again.relevance(edit.name) if name == "relevance" else again.field
