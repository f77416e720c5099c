"""Edits of one render are laid over each other, each inside its own mask, and nothing is lost."""

import importlib
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, preview, reopen
from fake_server import FakeServer
from test_edit_history import edit, here
from test_flows import refusal

OPS = bpy.ops.watch_your_steps


@pytest.fixture
def layers(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.layers")


def add(*indices: int) -> None:
    """Layers of the edits at these places of the list, the lowest first."""
    for index in indices:
        here().edit_index = index
        assert OPS.add_layer() == {"FINISHED"}


def titles() -> list[str]:
    names = {one.uid: one.title for one in here().edits}
    return [names.get(layer.edit, "") for layer in here().layers]


def read(addon: SimpleNamespace, image: bpy.types.Image) -> np.ndarray:
    return addon.pictures.read_rgb(image).copy()


@pytest.fixture
def two(connected: SimpleNamespace, scene: bpy.types.Scene) -> dict[str, np.ndarray]:
    """A render, edits of the ball and of the ground, and their masks. `things` overlap nowhere."""
    here().snap = "things"
    preview(connected, scene)
    names = importlib.import_module(connected.edits.__package__ + ".thing_labels").names(
        here().render_image
    )
    found = {"render": read(connected, here().render_image)}
    for name in ("ball", "ground"):
        picks = [("+" if one == name else "-") + str(label) for label, one in enumerate(names)]
        found[name] = edit(connected, picks=" ".join(picks))
        here().edits[0].title = f"burn the {name}"
        found[f"{name} mask"] = connected.pictures.read_gray(here().edits[0].mask) > 0.5
        assert 0 < found[f"{name} mask"].sum() < found["render"][..., 0].size
    assert not (found["ball mask"] & found["ground mask"]).any()
    return found


def over(below: np.ndarray, above: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], above, below)


# ---------------------------------------------------------------- what is seen


def test_two_edits_of_a_render_are_seen_together(
    connected: SimpleNamespace, two: dict[str, np.ndarray], layers: ModuleType
) -> None:
    add(1)
    assert np.array_equal(layers.composite(here()), two["ball"]), "the very bytes of one edit"
    add(0)
    both = over(two["ball"], two["ground"], two["ground mask"])
    assert np.array_equal(layers.composite(here()), both)
    assert titles() == ["burn the ground", "burn the ball"]
    assert here().view == "LAYERS"
    assert layers.composite(here()) is layers.composite(here()), "it is made once"
    here().layers[0].visible = False
    assert np.array_equal(layers.composite(here()), two["ball"])
    here().layers[0].visible = True
    here().layers[0].opacity = 0.0
    assert np.array_equal(layers.composite(here()), two["ball"])
    here().layers[0].opacity = 0.5
    half = layers.composite(here()).astype(int)
    mask = two["ground mask"]
    mean = (two["render"][mask].astype(int) + two["ground"][mask]) / 2
    assert np.abs(half[mask] - mean).max() <= 0.5
    assert np.array_equal(half[~mask], two["ball"][~mask])
    for layer in here().layers:
        layer.visible = False
    assert np.array_equal(layers.composite(here()), two["render"])


def test_order_says_what_covers_what(
    connected: SimpleNamespace, scene: bpy.types.Scene, layers: ModuleType
) -> None:
    preview(connected, scene)
    wide = edit(connected, threshold=0.2)
    here().base = "EDIT"
    top = edit(connected, threshold=0.3, instruction="and again")
    here().edits[0].title, here().edits[1].title = "top", "wide"
    add(1, 0)
    assert np.array_equal(layers.composite(here()), top), "a chain shows its last edit"
    OPS.move_layer(to="DOWN")
    assert titles() == ["wide", "top"]
    assert here().layer_index == 1
    mask = connected.pictures.read_gray(here().edits[1].mask) > 0.5
    covered = over(top, wide, mask)
    assert np.array_equal(layers.composite(here()), covered)
    for _ in range(2):
        OPS.move_layer(to="UP")
    assert titles() == ["top", "wide"]
    assert here().layer_index == 0, "at the end it stays"
    here().layers[1].visible = False
    mask = connected.pictures.read_gray(here().edits[0].mask) > 0.5
    render = read(connected, here().edits[1].render)
    assert np.array_equal(layers.composite(here()), over(render, top, mask)), "inside its own mask"


@pytest.mark.parametrize("rim", [1.0, 3.0, 8.5])
def test_a_soft_edge_is_mixed_with_what_lies_below(layers: ModuleType, rim: float) -> None:
    shares = importlib.import_module(f"{layers.__package__}.edge_share")
    rng = np.random.default_rng(0)
    mask = np.zeros((40, 50), np.bool_)
    mask[8:30, 10:44] = True
    mask[20:30, 30:40] = False
    share = shares.share(mask, rim)
    rows, columns = np.indices(mask.shape)
    for row, column in rng.integers(0, mask.shape, (60, 2)):  # by looking at all other pixels
        other = mask != mask[row, column]
        far = np.sqrt(((rows - row) ** 2 + (columns - column) ** 2)[other].min()) - 0.5
        depth = far if mask[row, column] else -far
        assert share[row, column] == pytest.approx(np.clip(0.5 + depth / rim, 0, 1), abs=1e-5)
    own, model, below = (rng.integers(0, 256, (40, 50, 3)).astype(float) for _ in range(3))
    part_of = share[..., None]
    made = np.rint((1 - part_of) * own + part_of * model).astype(np.uint8)
    base, under = own.astype(np.uint8), below.astype(np.uint8)
    part = layers.Part.cut_out(made, base, share)
    on_base, on_other = base.copy(), under.copy()
    part.put_on(on_base, 1.0)
    assert np.array_equal(on_base, made)
    part.put_on(on_other, 1.0)
    assert np.abs(on_other - ((1 - part_of) * below + part_of * model)).max() <= 1.01
    assert np.array_equal(on_other[share == 0], under[share == 0])


def test_shares_of_masks_without_an_edge(layers: ModuleType) -> None:
    shares = importlib.import_module(f"{layers.__package__}.edge_share")
    for value in (0, 1):
        assert (shares.share(np.full((5, 7), bool(value)), 4.0) == value).all()
    one = np.zeros((1, 6), np.bool_)
    one[0, :3] = True
    assert shares.share(one, 0.0).tolist() == [[1, 1, 1, 0, 0, 0]]
    assert shares.share(one, 4.0)[0].tolist() == [1, 0.875, 0.625, 0.375, 0.125, 0]


def test_moving_the_opacity_is_fast(
    connected: SimpleNamespace, scene: bpy.types.Scene, layers: ModuleType
) -> None:
    scene.render.resolution_x = scene.render.resolution_y = 512
    preview(connected, scene)
    for threshold in (0.1, 0.2, 0.3):
        edit(connected, threshold=threshold, rim=8.0)
    add(2, 1, 0)
    layers.composite(here())
    taken = []
    for step in range(20):
        here().layers[1].opacity = step / 20
        began = time.perf_counter()
        layers.composite(here())
        taken.append(time.perf_counter() - began)
    assert np.median(taken) < 0.1, "20 ms on a machine without other work"


# ---------------------------------------------------------------- what becomes of it


def test_layers_survive_saving_and_purging(
    connected: SimpleNamespace, two: dict[str, np.ndarray], layers: ModuleType, tmp_path: Path
) -> None:
    add(1, 0)
    here().layers[0].opacity = 0.25
    seen = layers.composite(here()).copy()
    for number in range(2):
        reopen(connected, tmp_path / f"{number}.blend")
        bpy.ops.outliner.orphans_purge(do_recursive=True)
    assert titles() == ["burn the ground", "burn the ball"]
    assert here().view == "LAYERS"
    assert np.array_equal(layers.composite(here()), seen)


def test_layers_are_kept_as_an_edit_which_others_go_on_from(
    connected: SimpleNamespace,
    two: dict[str, np.ndarray],
    layers: ModuleType,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    add(1, 0)
    here().layers[1].opacity = 0.5
    here().layers[0].visible = False
    seen = layers.composite(here()).copy()
    assert OPS.keep_layers() == {"FINISHED"}
    made = here().edits[0]
    assert np.array_equal(read(connected, made.image), seen)
    assert here().edit_image == made.image
    assert made.notes == 'Layers from the top: "burn the ball" (50%).'
    assert "not known" not in connected.edit_words.describe(made)
    mask = connected.pictures.read_gray(made.mask) > 0.5
    assert np.array_equal(mask, two["ball mask"])
    assert "has no seed" in refusal("edit_again")
    made.title = ""
    assert made.title == "Layers"
    here().base = "EDIT"
    picture = edit(connected, instruction="and again")
    top = here().edits[0]
    assert np.array_equal(read(connected, top.render), seen)
    assert top.parent == here().edits[1].uid
    assert np.array_equal(read(connected, top.root), two["render"])
    assert picture.shape == seen.shape
    for _ in range(2):
        OPS.remove_layer()
    assert (len(here().layers), here().view) == (0, "EDIT")
    reopen(connected, tmp_path / "a.blend")
    here().edit_index = 1
    here().instruction = "as it was"
    OPS.restore_edit()
    assert here().instruction == "as it was"
    assert titles() == ["burn the ground", "burn the ball"]
    assert [(one.visible, one.opacity) for one in here().layers] == [(False, 1.0), (True, 0.5)]
    assert np.array_equal(layers.composite(here()), seen)
    assert np.array_equal(read(connected, here().edit_image), seen)


def test_an_edit_kept_of_layers_can_be_a_layer(
    connected: SimpleNamespace, two: dict[str, np.ndarray], layers: ModuleType
) -> None:
    add(1, 0)
    seen = layers.composite(here()).copy()
    OPS.keep_layers()
    for _ in range(2):
        OPS.remove_layer()
    add(0)
    assert np.array_equal(layers.composite(here()), seen)


def test_a_deleted_edit_takes_its_layer_with_it(
    connected: SimpleNamespace,
    two: dict[str, np.ndarray],
    layers: ModuleType,
    capfd: pytest.CaptureFixture[str],
) -> None:
    add(1, 0)
    here().edit_index = 1
    bpy.ops.ed.undo_push(message="two layers")
    OPS.delete_edit()
    assert '"burn the ball" was a layer, too' in capfd.readouterr().out
    assert titles() == ["burn the ground"]
    assert np.array_equal(layers.composite(here()), two["ground"])
    bpy.ops.ed.undo_push(message="deleted")
    bpy.ops.ed.undo()
    assert titles() == ["burn the ground", "burn the ball"]
    both = over(two["ball"], two["ground"], two["ground mask"])
    assert np.array_equal(layers.composite(here()), both)
    for _ in range(2):
        here().edit_index = 0
        OPS.delete_edit()
    assert here().view != "LAYERS"
    assert layers.composite(here()) is None


def test_each_operator_is_one_undo_step(
    connected: SimpleNamespace, two: dict[str, np.ndarray]
) -> None:
    add(1)
    bpy.ops.ed.undo_push(message="one layer")
    for do in (
        lambda: add(0),
        lambda: OPS.move_layer(to="DOWN"),
        lambda: OPS.remove_layer(),
        lambda: OPS.keep_layers(),
        lambda: OPS.clear_layers(),
    ):
        before, edits = titles(), len(here().edits)
        do()
        bpy.ops.ed.undo_push(message="done")
        after, more = titles(), len(here().edits)
        assert (before, edits) != (after, more)
        bpy.ops.ed.undo()
        assert (titles(), len(here().edits)) == (before, edits)
        bpy.ops.ed.redo()
        assert (titles(), len(here().edits)) == (after, more)


def test_copies_of_a_scene_own_their_layers(
    connected: SimpleNamespace, two: dict[str, np.ndarray], layers: ModuleType
) -> None:
    scene = bpy.context.scene
    add(1, 0)
    seen = layers.composite(here()).copy()
    bpy.context.window.scene = scene.copy()
    connected.session.drain()
    assert np.array_equal(layers.composite(here()), seen)
    here().layers[0].visible = False
    here().edit_index = 1
    OPS.delete_edit()
    assert len(here().layers) == 1
    edit(connected, instruction="of the copy")
    add(0)
    assert len(here().layers) == 2, "its render is the same, though it is its own"
    bpy.context.window.scene = scene
    assert np.array_equal(layers.composite(here()), seen)


# ---------------------------------------------------------------- what is refused


def test_edits_of_another_render_are_refused(
    connected: SimpleNamespace, two: dict[str, np.ndarray]
) -> None:
    scene = bpy.context.scene
    add(0)
    assert "is a layer already" in refusal("add_layer")
    scene.camera.location.x += 1
    preview(connected, scene)
    edit(connected)
    assert "edits of another render" in refusal("add_layer")
    scene.render.resolution_x = 32
    preview(connected, scene)
    edit(connected)
    assert "another size" in refusal("add_layer")
    assert len(here().layers) == 1
    OPS.clear_layers()
    assert here().view == "EDIT"
    assert OPS.add_layer() == {"FINISHED"}


def test_lost_pictures_are_said_and_left_out(
    connected: SimpleNamespace, two: dict[str, np.ndarray], layers: ModuleType
) -> None:
    add(1, 0)
    bpy.data.images.remove(here().edits[0].image)
    assert np.array_equal(layers.composite(here()), two["ball"])
    assert "was deleted from the file" in layers.why_lost(here().edits[0])
    OPS.remove_layer()
    assert "was deleted from the file" in refusal("add_layer")
    bpy.data.images.remove(here().edits[1].render)
    assert layers.composite(here()) is None
    assert "render of the layers was deleted" in refusal("keep_layers")
    with pytest.raises(RuntimeError, match="render of the layers was deleted"):
        OPS.show_picture(view="LAYERS")


def test_masks_of_before_are_found_again_or_the_edit_is_refused(
    connected: SimpleNamespace, two: dict[str, np.ndarray], layers: ModuleType
) -> None:
    for entry in here().edits:
        entry.mask = None
    add(1)
    assert np.array_equal(layers.composite(here()), two["ball"])
    here().edits[0].relevance = None
    here().edit_index = 0
    assert "Where this edit has changed its render is not known" in refusal("add_layer")


def test_nothing_to_add_remove_move_or_keep(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    assert "There is no edit in the list" in refusal("add_layer")
    for operator in ("remove_layer", "clear_layers", "move_layer"):
        assert "There is no layer in the list" in refusal(operator)
    assert "There are no layers yet" in refusal("keep_layers")


def test_a_transparent_render_keeps_its_alpha(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    scene.render.film_transparent = True
    bpy.data.objects.remove(bpy.data.objects["ground"])
    preview(connected, scene)
    edit(connected)
    add(0)
    OPS.keep_layers()
    new, old = (one.image for one in here().edits)
    assert np.array_equal(new.pixels[:], old.pixels[:])


def test_layers_go_with_a_scene_to_another_file(
    connected: SimpleNamespace, two: dict[str, np.ndarray], layers: ModuleType, tmp_path: Path
) -> None:
    add(1, 0)
    bpy.context.scene.name = "layered"
    seen = layers.composite(here()).copy()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    for link in (False, True):
        with bpy.data.libraries.load(str(tmp_path / "a.blend"), link=link) as (_, wanted):
            wanted.scenes = ["layered"]
        connected.session.drain()
        (scene,) = wanted.scenes
        assert np.array_equal(layers.composite(scene.watch_your_steps), seen)
        if link:
            bpy.context.window.scene = scene
            for operator in ("add_layer", "remove_layer", "move_layer", "keep_layers"):
                assert "linked from another file" in refusal(operator)


def test_layers_lie_over_the_picture_that_they_are_of(
    connected: SimpleNamespace, two: dict[str, np.ndarray], installed: str
) -> None:
    places = importlib.import_module(f"{installed}.ui.picture_places")
    add(0)
    render = here().edits[0].render
    bpy.context.scene.camera.location.x += 1
    preview(connected, bpy.context.scene)
    here().view = "LAYERS"
    assert here().render_image != render
    assert places.pictured(here()) == render


def test_a_running_job_is_no_hindrance(
    connected: SimpleNamespace, two: dict[str, np.ndarray], server: FakeServer
) -> None:
    server.manual = True
    OPS.preview_relevance()
    job = connected.session.job_of(bpy.context.scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    add(1, 0)
    OPS.keep_layers()
    server.finish(job)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert len(here().layers) == 2
    assert connect is not None
