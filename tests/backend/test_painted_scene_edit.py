"""Scene edits that keep to what a person has painted on some views."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backend.__main__ import main
from backend.captures.capture import Capture
from backend.captures.lens import Intrinsics
from backend.editing import Editor
from backend.errors import BadInput
from backend.fields.config import EDIT_PRESETS, ProposalConfig
from backend.fields.facts import CheckpointError
from backend.scenes import Camera, Scene, SceneEdit
from backend.scenes.edit_records import MASKS_FILE, EditError
from backend.scenes.methods.hull import Hull
from backend.scenes.methods.painted_views import PaintedPlaces, PaintedView
from backend.scenes.outcome import compare, outcome_notes
from protocol.corrections import ADDED, NOTHING, TAKEN

from .quick_edit import INSTRUCTION, QUICK, scene_of
from .solid_field import SolidField
from .solid_scene import ramps
from .tiny_capture import SPHERES, Truth, orbit_capture, orbit_pose, trace
from .tiny_field import TINY

SIDE = 48
LENS = Intrinsics(1.3 * SIDE, 1.3 * SIDE, SIDE / 2, SIDE / 2, SIDE, SIDE)


def camera_at(azimuth: float) -> Camera:
    return Camera(orbit_pose(azimuth, 0.5), LENS)


# ---------------------------------------------------------------- carried from view to view


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 6, 16)[0]


class PaintedField:
    """What is asked of a field: its pictures, and a density that rises into what is solid."""

    alpha, device = True, torch.device("cpu")

    def __init__(self, capture: Capture) -> None:
        self._solid = SolidField(capture, ramps)
        self.render = self._solid.render

    def density(self, positions: torch.Tensor) -> torch.Tensor:
        inside = -self._solid.distance(self._solid.in_capture(positions))
        return torch.from_numpy((inside * self._solid.capture.box_scale / 0.05 + 0.5).clip(0, 1))


def carried(capture: Capture, painted: list[PaintedView], to: Camera) -> np.ndarray:
    """What is painted on a view by then."""
    scene = Scene(capture, Path("unused"), None)  # type: ignore[arg-type]
    field = PaintedField(capture)
    places = PaintedPlaces([scene.in_box(view) for view in painted], field)  # type: ignore[arg-type]
    pose = scene.in_box(PaintedView(np.zeros((1, 1), np.uint8), to)).camera.pose
    return places.on(pose, to.intrinsics, field.render(pose, to.intrinsics))


def points(camera: Camera) -> np.ndarray:
    """float64 (H, W, 3), what is seen, in capture coordinates; not finite for the sky."""
    _, _, distances = trace(camera.pose, camera.intrinsics)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    rays = camera.intrinsics.directions(np.stack([columns, rows], -1)) @ camera.pose[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return camera.pose[:3, 3] + rays * distances[..., None]


def upper_half(camera: Camera) -> np.ndarray:
    """bool (H, W), the upper half of the large sphere."""
    _, mask, _ = trace(camera.pose, camera.intrinsics)
    return mask & (points(camera)[..., 2] > SPHERES[0][0][2])


def test_what_was_painted_lies_on_the_same_places_in_another_view(capture: Capture) -> None:
    from_, to = camera_at(0.0), camera_at(0.5)
    painted = PaintedView((upper_half(from_) * ADDED).astype(np.uint8), from_)
    found = carried(capture, [painted], to) == ADDED
    wanted = upper_half(to)
    offset = points(to) - from_.pose[:3, 3]
    normal = points(to) - np.array(SPHERES[0][0])
    faces = (np.where(wanted[..., None], offset * normal, 0)).sum(-1) < 0
    assert found[faces].mean() > 0.9, "all that both see"
    assert (found & ~wanted).sum() <= 0.12 * wanted.sum(), "pixels on its outline"
    same = carried(capture, [painted], from_)
    assert ((same == ADDED) == upper_half(from_)).mean() > 0.99


def test_what_a_painted_view_does_not_see_is_left_alone(capture: Capture) -> None:
    from_, behind = camera_at(0.0), camera_at(np.pi)
    everything = PaintedView(np.full((SIDE, SIDE), TAKEN, np.uint8), from_)
    found = carried(capture, [everything], behind)
    _, sphere, _ = trace(behind.pose, LENS)
    normal = points(behind) - np.array(SPHERES[0][0])
    hidden = sphere & (np.where(sphere[..., None], normal, 0)[..., 0] < -0.3)
    assert hidden.sum() > 50
    assert (found[hidden] == NOTHING).mean() > 0.97
    assert (found[~sphere] == TAKEN).any(), "the ground, which both see"


def test_the_later_of_two_views_wins_where_it_was_painted(capture: Capture) -> None:
    from_ = camera_at(0.0)
    all_ = np.full((SIDE, SIDE), ADDED, np.uint8)
    half = (upper_half(from_) * TAKEN).astype(np.uint8)
    found = carried(capture, [PaintedView(all_, from_), PaintedView(half, from_)], from_)
    assert ((found == TAKEN) == upper_half(from_)).mean() > 0.99
    ground = np.isfinite(points(from_)[..., 0]) & ~upper_half(from_)
    assert (found[ground] == ADDED).mean() > 0.95
    found = carried(capture, [PaintedView(half, from_), PaintedView(all_, from_)], from_)
    assert not (found == TAKEN).any()


def test_places_in_the_air_are_taken_away_along_the_view(capture: Capture) -> None:
    """Above the sphere nothing is yet; the camera looks through that on the ground and the sky."""
    scene = Scene(capture, Path("unused"), None)  # type: ignore[arg-type]
    centre = capture.in_box(np.array([0.0, 0.0, 1.6]))
    low, high = (centre + sign * 0.3 * capture.box_scale for sign in (-1, 1))
    hull = Hull(np.ones((8, 8, 8), np.float32), low.astype(np.float32), high.astype(np.float32))
    view = camera_at(0.0)
    left = np.zeros((SIDE, SIDE), np.uint8)
    left[:, : SIDE // 2] = TAKEN
    painted = scene.in_box(PaintedView(left, view))
    places = PaintedPlaces([painted], PaintedField(capture))  # type: ignore[arg-type]
    kept = places.without_taken(hull)
    assert 0.2 < kept.inside.mean() < 0.8
    pose, depth = painted.camera.pose, np.full((SIDE, SIDE), 10, np.float32)
    seen = kept.seen_from(pose, LENS, depth)
    assert seen[:, SIDE // 2 :].any()
    assert not seen[4:, : SIDE // 2 - 3].any(), "but for a cell beyond the picture"


# ---------------------------------------------------------------- edits


@pytest.fixture(scope="module")
def trained_well(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """A capture with things whose field knows where surfaces are, and what is true."""
    folder = tmp_path_factory.mktemp("spheres")
    _, truth = orbit_capture(folder, 12, 32, depth_every=1, things=True)
    proposal = ProposalConfig(24, levels=4, log2_table_size=12)
    Scene.open(folder, device="cpu").train(
        config=dataclasses.replace(
            TINY,
            iterations=250,
            rays=512,
            samples=16,
            proposals=(proposal,),
            levels=6,
            log2_table_size=13,
            highest_resolution=128,
            evaluate_every=125,
            hold_out_every=4,
        )
    )
    return folder, truth


@pytest.fixture
def scene(trained_well: tuple[Path, Truth], tmp_path: Path) -> Scene:
    return scene_of(trained_well[0], tmp_path / "work")


@pytest.fixture
def truth(trained_well: tuple[Path, Truth]) -> Truth:
    return trained_well[1]


def halves(scene: Scene, truth: Truth) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of the views by their names: the whole sphere, and the half that a model may find."""
    whole = dict(zip(scene.capture.names, truth.masks, strict=True))
    half = {}
    for name, mask in whole.items():
        half[name] = mask & ~_far_half(scene, name, mask)
    return whole, half


def _far_half(scene: Scene, name: str, mask: np.ndarray) -> np.ndarray:
    """bool (H, W), of the sphere what lies on the side of +x."""
    camera = scene.camera(name)
    _, _, distances = trace(camera.pose, camera.intrinsics)
    height, width = mask.shape
    rows, columns = np.mgrid[:height, :width] + 0.5
    rays = camera.intrinsics.directions(np.stack([columns, rows], -1)) @ camera.pose[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return mask & ((camera.pose[:3, 3] + rays * distances[..., None])[..., 0] > 0)


def painted_on(scene: Scene, where: Mapping[str, np.ndarray], name: str, what: int) -> PaintedView:
    return PaintedView((where[name] * what).astype(np.uint8), scene.camera(name))


def overlap(scene: Scene, edit: SceneEdit, wanted: Mapping[str, np.ndarray]) -> float:
    """IoU of the rendered region, over the views that no field was trained on."""
    out = [name for name in scene.capture.names if name not in scene.field.names]
    both = either = 0
    for name in out:
        shown = scene.render(scene.camera(name), edit.relevance).relevance
        assert shown is not None
        assert edit.threshold is not None
        found = shown >= edit.threshold
        both += int((found & wanted[name]).sum())
        either += int((found | wanted[name]).sum())
    return both / either


FIELD = dataclasses.replace(QUICK.relevance_field, iterations=200, levels=4, log2_table_size=12)
LIFTED = dataclasses.replace(QUICK, relevance_field=FIELD, iterations=12, edit_every=1)


def test_what_is_painted_in_one_view_is_edited_in_all(
    scene: Scene, editor: Editor, truth: Truth
) -> None:
    whole, half = halves(scene, truth)
    missing = {name: whole[name] & ~half[name] for name in whole}
    seen_best = max(scene.field.names, key=lambda name: missing[name].sum())
    before = scene.edit(INSTRUCTION, editor, config=LIFTED, masks=half, name="half")
    painted = painted_on(scene, missing, seen_best, ADDED)
    after = scene.edit(
        INSTRUCTION, editor, config=LIFTED, masks=half, name="painted", painted=[painted]
    )
    assert overlap(scene, after, whole) > overlap(scene, before, whole) + 0.1
    last = {view.name: view.mask for view in after.views}
    assert last[seen_best][missing[seen_best]].all()
    shown = {one.view: one for one in compare(scene, after)}
    for name, one in shown.items():
        assert one.relevance is not None
        assert after.threshold is not None
        assert ((one.relevance >= after.threshold) == last[name]).mean() > 0.9


def test_what_is_taken_away_in_one_view_is_edited_in_none(
    scene: Scene, editor: Editor, truth: Truth
) -> None:
    whole, half = halves(scene, truth)
    away = {name: whole[name] & ~half[name] for name in whole}
    seen_best = max(scene.field.names, key=lambda name: away[name].sum())
    before = scene.edit(INSTRUCTION, editor, config=LIFTED, masks=whole, name="whole")
    painted = painted_on(scene, away, seen_best, TAKEN)
    after = scene.edit(
        INSTRUCTION, editor, config=LIFTED, masks=whole, name="painted", painted=[painted]
    )
    assert overlap(scene, after, half) > overlap(scene, before, half) + 0.1
    last = {view.name: view for view in after.views}
    assert not last[seen_best].mask[away[seen_best]].any()
    photo = scene.capture.read(scene.capture.names.index(seen_best)).image
    np.testing.assert_array_equal(last[seen_best].after[away[seen_best]], photo[away[seen_best]])


def test_painting_wins_over_whole_things(scene: Scene, editor: Editor, truth: Truth) -> None:
    whole, half = halves(scene, truth)
    away = {name: whole[name] & ~half[name] for name in whole}
    seen_best = max(scene.field.names, key=lambda name: away[name].sum())
    config = dataclasses.replace(LIFTED, snap="things")
    edit = scene.edit(
        INSTRUCTION,
        editor,
        config=config,
        masks=whole,
        painted=[painted_on(scene, away, seen_best, TAKEN)],
    )
    assert edit.snap is not None
    assert edit.snap.took == "things"
    last = {view.name: view.mask for view in edit.views}
    np.testing.assert_array_equal(last[seen_best], half[seen_best])
    assert overlap(scene, edit, half) > 0.6


@pytest.mark.parametrize("everything", [False, True])
def test_painting_counts_without_a_relevance_field(
    scene: Scene, editor: Editor, truth: Truth, everything: bool
) -> None:
    whole, _ = halves(scene, truth)
    name = scene.field.names[0]
    config = dataclasses.replace(QUICK, relevance=everything, everything=everything, iterations=12)
    edit = scene.edit(
        INSTRUCTION,
        editor,
        config=config,
        masks=None if everything else whole,
        painted=[painted_on(scene, whole, name, TAKEN)],
    )
    assert edit.relevance is None
    masks = {view.name: view.mask for view in edit.views}
    assert name not in masks or not masks[name][whole[name]].any()
    if everything:
        assert masks[name][~whole[name]].all()


def test_where_all_is_taken_away_nothing_is_edited(
    scene: Scene, editor: Editor, truth: Truth
) -> None:
    whole, _ = halves(scene, truth)
    away = np.full_like(truth.masks[0], TAKEN, np.uint8)
    painted = [PaintedView(away, scene.camera(name)) for name in scene.capture.names]
    edit = scene.edit(INSTRUCTION, editor, config=LIFTED, masks=whole, painted=painted)
    assert edit.finished
    assert edit.views == ()
    assert outcome_notes(edit, ()) == (
        "Unchanged: of the region, what was painted leaves nothing that a view shows.",
    )
    shown = scene.render(scene.camera(scene.capture.names[0]), edit.relevance).relevance
    assert shown is not None
    assert edit.threshold is not None
    assert (shown < edit.threshold).all(), "nor in a mesh's texture"


def test_an_edit_goes_on_with_the_painting_that_it_was_begun_with(
    scene: Scene, editor: Editor, truth: Truth
) -> None:
    whole, _ = halves(scene, truth)
    name = scene.field.names[0]
    painted = [painted_on(scene, whole, name, TAKEN)]

    class Stopped(Exception):
        pass

    def stop(words: str, share: float, picture: object) -> None:
        if words.startswith("Field of the region"):
            raise Stopped

    with pytest.raises(Stopped):
        scene.edit(
            INSTRUCTION, editor, config=LIFTED, masks=whole, painted=painted, on_progress=stop
        )
    path = scene.edit_folder(scene.edits()[0]) / MASKS_FILE
    kept = path.read_bytes()
    first = scene.edit(INSTRUCTION, editor, config=LIFTED, masks=whole, painted=painted)
    assert first.finished
    assert path.read_bytes() == kept
    moved = PaintedView(painted[0].painted, scene.camera(scene.field.names[1]))
    for other in ([], [moved], [painted_on(scene, whole, name, ADDED)]):
        with pytest.raises(EditError, match="other painting or other masks: give this one"):
            scene.edit(INSTRUCTION, editor, config=LIFTED, masks=whole, painted=other)
    path.write_bytes(kept[:40])
    (scene.edit_folder(first.name) / "edited.json").unlink()
    with pytest.raises(CheckpointError, match=r"region\.npz is damaged"):
        scene.edit(INSTRUCTION, editor, config=LIFTED, masks=whole, painted=painted)


def test_the_papers_own_region_takes_no_painting(scene: Scene, editor: Editor) -> None:
    painted = [PaintedView(np.ones((4, 4), np.uint8), scene.camera(scene.capture.names[0]))]
    with pytest.raises(BadInput, match="leave out what was painted"):
        scene.edit(INSTRUCTION, editor, config=EDIT_PRESETS["paper"], painted=painted)
    assert scene.edits() == ()


# ---------------------------------------------------------------- the command


def test_the_command_reads_what_was_painted_from_a_folder(
    trained: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "corrections"
    folder.mkdir()
    grey = np.full((24, 24, 2), (128, 255), np.uint8)
    Image.fromarray(grey, "LA").save(folder / "001.png")
    command = ["scene", "edit", str(trained), INSTRUCTION, "--painted", str(folder)]
    command += ["--name", "painted", "--relevance", "off", "--iterations", "20", "--steps", "1"]
    command += ["--model", str(tiny_model), "--device", "cpu", "--snap", "nothing"]
    assert main(command) == 1
    assert "Nothing is painted in" in capsys.readouterr().err
    painted = grey.copy()
    painted[:8, :, 0], painted[8:16, :, 0] = 255, 0
    painted[12:16, :, 1] = 0
    Image.fromarray(painted, "LA").save(folder / "000.png")
    assert main(command) == 0, capsys.readouterr().err
    scene = Scene.open(trained, device="cpu")
    try:
        edit = scene.edited("painted")
        mask = next(view.mask for view in edit.views if view.name == "images/000.png")
        assert mask[:8].mean() > 0.9
        assert mask[8:12].mean() < 0.1
        report = json.loads((edit.folder / "report.json").read_text())
        assert report["settings"]["painted"] == str(folder)
    finally:
        scene.undo("painted")
