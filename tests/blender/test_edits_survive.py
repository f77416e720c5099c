"""What newcomers do to a file with edits: nothing of it loses an edit, shows another one, or ends
in an error.
"""

from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, preview, reopen
from fake_server import FakeServer
from test_edit_again import again, sent
from test_edit_history import edit, here
from test_flows import refusal

OPS = bpy.ops.watch_your_steps


def read(addon: SimpleNamespace, image: bpy.types.Image) -> np.ndarray:
    return addon.pictures.read_rgb(image).copy()


@pytest.fixture
def chain(connected: SimpleNamespace, scene: bpy.types.Scene) -> list[np.ndarray]:
    """A render, an edit of it and one on top, in layers; their pictures."""
    scene.name = "mine"
    preview(connected, scene)
    render = read(connected, here().render_image)
    first = edit(connected, threshold=0.3)
    here().base = "EDIT"
    second = edit(connected, instruction="and again", seed=5)
    for index in (1, 0):
        here().edit_index = index
        OPS.add_layer()
    return [render, first, second]


def whole(addon: SimpleNamespace, chain: list[np.ndarray]) -> None:
    """Everything of the chain can be seen, restored and made again in the scene that is open."""
    render, first, second = chain
    addon.pictures.forget_all()
    places = {one.instruction: index for index, one in enumerate(here().edits)}
    for name, base, picture in (
        ("turn the ball blue", render, first),
        ("and again", first, second),
    ):
        here().edit_index = places[name]
        assert np.array_equal(read(addon, here().edit_image), picture)
        assert OPS.restore_edit() == {"FINISHED"}
        assert np.array_equal(read(addon, here().render_image), base)
        assert np.array_equal(read(addon, here().edits[places[name]].render), base)
        assert addon.results.mask(bpy.context.scene) is not None
    layers = addon.overlay.layers
    assert np.array_equal(layers.composite(here()), second)


def made_again(addon: SimpleNamespace, server: FakeServer, chain: list[np.ndarray]) -> None:
    """The edit on top can be made again."""
    places = {one.instruction: index for index, one in enumerate(here().edits)}
    again(addon, places["and again"])
    assert np.array_equal(sent(server)[-1].image, chain[1])
    assert np.array_equal(read(addon, here().edits[0].image), chain[2])


@pytest.mark.parametrize("kind", ["LINK_COPY", "FULL_COPY", "copy()"])
@pytest.mark.parametrize("opened_again", [True, False])
def test_the_original_of_a_copy_is_deleted(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    chain: list[np.ndarray],
    tmp_path: Path,
    kind: str,
    opened_again: bool,
) -> None:
    if kind == "copy()":
        bpy.context.window.scene = scene.copy()
    else:
        bpy.ops.scene.new(type=kind)
    connected.session.drain()
    assert bpy.context.scene != scene
    whole(connected, chain)
    for _ in range(len(here().edits)):
        here().edit_index = 0
        OPS.delete_edit()
    bpy.context.window.scene = scene
    whole(connected, chain)
    copy = scene.copy()
    copy.name, copy.use_fake_user = "the copy", True  # else it is not saved
    connected.session.drain()
    bpy.context.window.scene = copy
    bpy.data.scenes.remove(scene)
    if opened_again:
        reopen(connected, tmp_path / "a.blend")
        bpy.ops.outliner.orphans_purge(do_recursive=True)
        connect(connected, server.file)
        bpy.context.window.scene = bpy.data.scenes["the copy"]
    whole(connected, chain)
    made_again(connected, server, chain)


def test_a_scene_is_linked_made_local_and_gone_on_with(
    connected: SimpleNamespace, server: FakeServer, chain: list[np.ndarray], tmp_path: Path
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.scenes = ["mine"]
    connected.session.drain()
    (scene,) = wanted.scenes
    bpy.context.window.scene = scene
    for operator in ("restore_edit", "edit_again", "delete_edit"):
        assert "linked from another file" in refusal(operator)
    scene.make_local()
    connected.session.drain()
    (tmp_path / "library.blend").unlink()
    reopen(connected, tmp_path / "b.blend")
    connect(connected, server.file)
    whole(connected, chain)
    made_again(connected, server, chain)


def test_a_scene_is_appended_twice(
    connected: SimpleNamespace, server: FakeServer, chain: list[np.ndarray], tmp_path: Path
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    scenes = []
    for _ in range(2):
        with bpy.data.libraries.load(str(tmp_path / "a.blend")) as (_, wanted):
            wanted.scenes = ["mine"]
        connected.session.drain()
        scenes += wanted.scenes
    bpy.context.window.scene = scenes[0]
    whole(connected, chain)
    for _ in range(2):
        OPS.delete_edit()
    assert len(here().edits) == 0
    bpy.context.window.scene = scenes[1]
    whole(connected, chain)
    made_again(connected, server, chain)


def test_all_images_are_renamed(
    connected: SimpleNamespace, server: FakeServer, chain: list[np.ndarray], tmp_path: Path
) -> None:
    for number, image in enumerate(bpy.data.images):
        image.name = f"mine {number}"
    whole(connected, chain)
    reopen(connected, tmp_path / "a.blend")
    connect(connected, server.file)
    whole(connected, chain)
    made_again(connected, server, chain)


def test_all_images_are_unpacked_and_their_files_moved(
    connected: SimpleNamespace, server: FakeServer, chain: list[np.ndarray], tmp_path: Path
) -> None:
    """Each of the buttons then says what is missing."""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    for image in bpy.data.images:
        if image.packed_file is not None:
            image.unpack(method="REMOVE")
    reopen(connected, tmp_path / "a.blend")
    connect(connected, server.file)
    for index in range(2):
        here().edit_index = index
        assert "its file is missing" in refusal("edit_again")
        assert OPS.restore_edit() == {"FINISHED"}
    assert connected.overlay.layers.composite(here()) is None
    assert "its file is missing" in refusal("keep_layers")
    for _ in range(2):
        OPS.delete_edit()
    assert not here().edits


@pytest.mark.parametrize("name", ["image", "render", "mask"])
def test_a_picture_was_resized_and_packed(
    connected: SimpleNamespace,
    server: FakeServer,
    chain: list[np.ndarray],
    tmp_path: Path,
    name: str,
) -> None:
    image = getattr(here().edits[0], name)
    image.scale(32, 20)
    image.pack()
    reopen(connected, tmp_path / "a.blend")
    connect(connected, server.file)
    here().edit_index = 0
    if name == "image":
        assert OPS.edit_again.poll()
    else:
        assert "another size than the picture" in refusal("edit_again")
    assert "another size than" in connected.overlay.layers.why_lost(here().edits[0])
    seen = connected.overlay.layers.composite(here())
    assert np.array_equal(seen, chain[1]), "the edit below still is a layer"
    assert OPS.restore_edit() == {"FINISHED"}


def test_the_scene_is_deleted_while_its_edit_is_made_again(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, chain: list[np.ndarray]
) -> None:
    other = bpy.data.scenes.new("other")
    server.manual = True
    OPS.edit_again()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    bpy.context.window.scene = other
    bpy.data.scenes.remove(scene)
    server.finish(job)
    connected.session.wait(lambda: not server._final or job in server._final, SECONDS)
    for _ in range(20):
        connected.session.drain()
    assert len(other.watch_your_steps.edits) == 0


def test_its_scene_is_not_shown_while_it_is_made_again(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, chain: list[np.ndarray]
) -> None:
    server.manual = True
    OPS.edit_again()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    bpy.context.window.scene = bpy.data.scenes.new("other")
    scene.name = "renamed"
    server.finish(job)
    connected.session.wait_for_job(scene, SECONDS)
    assert len(here().edits) == 0
    bpy.context.window.scene = scene
    assert [one.seed for one in here().edits] == [6, 5, 0]
    assert np.array_equal(read(connected, here().edit_image), chain[2])


def test_undo_while_an_edit_is_made_again(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, chain: list[np.ndarray]
) -> None:
    bpy.ops.ed.undo_push(message="before")
    here().edits[0].title = "renamed"
    bpy.ops.ed.undo_push(message="renamed")
    server.manual = True
    here().edit_index = 0
    OPS.edit_again()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    bpy.ops.ed.undo()
    server.finish(job)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert [one.title for one in here().edits] == ["and again", "and again", "turn the ball blue"]


def test_an_edit_in_the_middle_is_deleted_from_under_layers(
    connected: SimpleNamespace, chain: list[np.ndarray], tmp_path: Path
) -> None:
    here().edit_index = 1
    OPS.delete_edit()
    reopen(connected, tmp_path / "a.blend")
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    (layer,) = here().layers
    assert layer.edit == here().edits[0].uid
    mask = connected.pictures.read_gray(here().edits[0].mask) > 0.5
    seen = np.where(mask[..., None], chain[2], chain[0])
    assert np.array_equal(connected.overlay.layers.composite(here()), seen)


@pytest.mark.parametrize("lost", ["render", "relevance"])
def test_restoring_says_what_does_not_come_back(
    connected: SimpleNamespace, chain: list[np.ndarray], lost: str
) -> None:
    here().edit_index = 1
    bpy.data.images.remove(getattr(here().edits[1], lost))
    here().seed = 99
    before = here().render_image
    assert OPS.restore_edit() == {"FINISHED"}
    assert here().seed == 0
    assert here().render_image == before
    what = {"render": "picture that it was made of", "relevance": "relevance map"}[lost]
    assert what in connected.session.message_of(bpy.context.scene)
