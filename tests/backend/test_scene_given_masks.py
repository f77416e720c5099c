"""Scene edits inside masks that are given, in place of what a model finds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.editing import Editor
from backend.errors import BadInput
from backend.scenes import Scene
from backend.scenes.edit_records import EditError

from .quick_edit import INSTRUCTION, LEAST, QUICK, VIEWS
from .tiny_capture import orbit_capture


class Asked(Exception):
    """The model was asked where the instruction applies."""


class Unasked:
    """An editor that must not be asked for maps."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    def __getattr__(self, name: str) -> object:
        return getattr(self._editor, name)

    def relevance_of_images(
        self, instruction: str, images: object, settings: object, wanted: object = None, *_: object
    ) -> list[object]:
        if wanted != []:
            raise Asked
        return []


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The true masks of the large sphere, by the views' names."""
    folder = tmp_path_factory.mktemp("truth")
    _, truth = orbit_capture(folder, VIEWS, 24)
    names = Scene.open(folder, device="cpu").capture.names
    return dict(zip(names, truth.masks, strict=True))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_each_view_is_edited_inside_its_own_mask(
    scene: Scene, editor: Editor, masks: dict[str, np.ndarray]
) -> None:
    config = dataclasses.replace(QUICK, relevance=False, iterations=12)
    edit = scene.edit(INSTRUCTION, Unasked(editor), config=config, masks=masks)  # type: ignore[arg-type]
    assert edit.finished
    assert edit.applies is None
    assert {view.name for view in edit.views} == set(scene.field.names)
    for view in edit.views:
        np.testing.assert_array_equal(view.mask, masks[view.name])
        photo = scene.capture.read(scene.capture.names.index(view.name)).image
        np.testing.assert_array_equal(view.after[~view.mask], photo[~view.mask])


@pytest.mark.parametrize("paper", [False, True])
def test_masks_are_lifted_to_the_relevance_field(
    scene: Scene, editor: Editor, masks: dict[str, np.ndarray], paper: bool
) -> None:
    """With "paper", too, whose clamp would take masks of a small part for outliers."""
    field = dataclasses.replace(QUICK.relevance_field, iterations=200)
    config = dataclasses.replace(QUICK, relevance_field=field, iterations=12)
    if paper:
        field = dataclasses.replace(field, final_learning_rate=1e-2, dark=0.0)
        config = dataclasses.replace(
            config,
            relevance_field=field,
            iterations=250,
            normalisation="paper",
            fitted="while",
            refit_every=1,
            edit_every=25,
        )
    edit = scene.edit(INSTRUCTION, Unasked(editor), config=config, masks=masks)  # type: ignore[arg-type]
    assert edit.asked.config.normalisation == "full"
    assert edit.views
    assert edit.relevance is not None, "which meshes and textures know the region by"
    found = {}
    for name in edit.field.names:
        shown = scene.render(scene.camera(name), edit.relevance).relevance
        assert shown is not None
        found[name] = shown >= 0.5
    assert np.mean([iou(mask, masks[name]) for name, mask in found.items()]) > 0.5
    assert np.mean([iou(mask, ~masks[name]) for name, mask in found.items()]) < 0.2


def test_an_edit_goes_on_with_the_masks_that_it_was_begun_with(
    scene: Scene, editor: Editor, masks: dict[str, np.ndarray]
) -> None:
    first = scene.edit(INSTRUCTION, editor, config=LEAST, masks=masks)
    again = scene.edit(INSTRUCTION, editor, config=LEAST, masks=masks)
    assert again.views == first.views
    moved = {name: np.roll(mask, 3, axis=1) for name, mask in masks.items()}
    for other in (moved, None):
        with pytest.raises(EditError, match="other masks: give this one another name"):
            scene.edit(INSTRUCTION, editor, config=LEAST, masks=other)


def test_large_masks_are_kept_small(
    scene: Scene, editor: Editor, masks: dict[str, np.ndarray]
) -> None:
    large = {name: np.kron(mask, np.ones((40, 40), bool)) for name, mask in masks.items()}
    edit = scene.edit(INSTRUCTION, editor, config=LEAST, masks=large)
    kept = edit.maps()[0]
    assert kept.raw.shape == (256, 256)
    expected = masks[scene.field.names[0]].mean()
    assert kept.raw.mean() == pytest.approx(expected, abs=1e-3)


def test_what_is_no_mask_is_refused_in_words(
    scene: Scene, editor: Editor, masks: dict[str, np.ndarray]
) -> None:
    name = scene.field.names[0]

    def refused(masks: dict[str, np.ndarray], words: str, **changes: object) -> None:
        config = dataclasses.replace(LEAST, **changes)  # type: ignore[arg-type]
        with pytest.raises(BadInput, match=words):
            scene.edit(INSTRUCTION, editor, config=config, masks=masks)

    refused({k: m for k, m in masks.items() if k != name}, f"There is no mask of the view {name}")
    refused(masks | {name: np.zeros((4, 4, 3))}, "must be .H, W. and of numbers from 0 to 1")
    refused(masks | {name: np.full((4, 4), np.nan)}, "numbers from 0 to 1")
    refused({k: np.ones((4, 4)) for k in masks}, "nothing or all of each view")
    refused(masks, "Everything is edited, or what masks show", everything=True)
    assert scene.edits() == ()


def test_the_command_reads_them_from_a_folder(
    trained: Path,
    tiny_model: Path,
    masks: dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "masks"
    for name, mask in masks.items():
        path = folder / Path(name).with_suffix(".png").name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    command = ["scene", "edit", str(trained), INSTRUCTION, "--masks", str(folder)]
    command += ["--name", "masked", "--relevance", "off", "--iterations", "20", "--steps", "1"]
    command += ["--model", str(tiny_model), "--device", "cpu", "--snap", "nothing"]
    assert main(command) == 0, capsys.readouterr().err
    scene = Scene.open(trained, device="cpu")
    try:
        views = scene.edited("masked").views
        assert views
        for view in views:
            np.testing.assert_array_equal(view.mask, masks[view.name])
    finally:
        scene.undo("masked")
    next(folder.iterdir()).unlink()
    assert main([*command[:-1], "edges"]) == 1
    assert "has no mask of 1 of 8 views" in capsys.readouterr().err
