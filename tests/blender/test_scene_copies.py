"""A copy of a scene, however it was made, never changes what its original has, and the other way
round: pictures, the running job, the capture at the backend, what was brought from it.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, preview, run, start_manual
from fake_server import FakeServer, relevance_of

OPS = bpy.ops.watch_your_steps


def by_operator(kind: str) -> Callable[[bpy.types.Scene], bpy.types.Scene]:
    def make(scene: bpy.types.Scene) -> bpy.types.Scene:
        bpy.context.window.scene = scene
        bpy.ops.scene.new(type=kind)
        made = bpy.context.window.scene
        bpy.context.window.scene = scene
        return made

    return make


def by_python(scene: bpy.types.Scene) -> bpy.types.Scene:
    made = scene.copy()
    made.use_fake_user = True  # otherwise it is not saved
    return made


COPIES = {
    "full": by_operator("FULL_COPY"),
    "linked": by_operator("LINK_COPY"),
    "settings": by_operator("EMPTY"),
    "python": by_python,
}
copied = pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)


def look(addon: SimpleNamespace, scene: bpy.types.Scene) -> tuple[np.ndarray, ...]:
    """The pictures of a scene, decoded anew."""
    addon.pictures.forget_all()
    settings, pictures = scene.watch_your_steps, addon.pictures
    mask = pictures.read_gray(settings.mask_image)
    return (
        pictures.read_rgb(settings.render_image).copy(),
        pictures.read_gray(settings.relevance_image).copy(),
        mask.copy(),
        *(pictures.read_rgb(entry.image).copy() for entry in settings.edits),
    )


def same(these: tuple[np.ndarray, ...], those: tuple[np.ndarray, ...]) -> bool:
    return len(these) == len(those) and all(map(np.array_equal, these, those))


def edit(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    OPS.edit()
    addon.session.wait_for_job(scene, SECONDS)


@copied
@pytest.mark.parametrize("changed", ["copy", "original"])
def test_a_copys_pictures_are_its_own(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    copy: Callable[[bpy.types.Scene], bpy.types.Scene],
    changed: str,
) -> None:
    preview(connected, scene)
    edit(connected, scene)
    texture = bpy.data.textures.new("uses the original's", "IMAGE")
    texture.image = scene.watch_your_steps.render_image
    made = copy(scene)
    before = look(connected, scene)
    changes, stays = (made, scene) if changed == "copy" else (scene, made)
    changes.watch_your_steps.threshold = 0.9  # at once: no timer was called in between
    assert same(look(connected, stays), before)
    if changes.camera is None:
        changes.camera = stays.camera
    bpy.context.window.scene = changes
    changes.render.resolution_x = 32
    preview(connected, changes)
    changes.watch_your_steps.threshold = 0.0
    edit(connected, changes)
    changes.watch_your_steps.edit_index = 1
    OPS.delete_edit()
    assert same(look(connected, stays), before)
    render, relevance, *_ = look(connected, changes)
    assert render.shape == (48, 32, 3)
    assert np.array_equal(relevance, relevance_of(render))
    assert texture.image == scene.watch_your_steps.render_image


@copied
@pytest.mark.parametrize("changed", ["copy", "original"])
def test_an_edit_that_is_put_back_in_one_scene_leaves_the_other_alone(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    copy: Callable[[bpy.types.Scene], bpy.types.Scene],
    changed: str,
) -> None:
    """Both scenes know the edit, so both can show its render and map: and then take new ones."""
    preview(connected, scene)
    edit(connected, scene)
    made = copy(scene)
    made.camera = scene.camera if made.camera is None else made.camera
    changes, stays = (made, scene) if changed == "copy" else (scene, made)
    for both in (False, True):
        for one in (stays, changes) if both else (changes,):
            bpy.context.window.scene = one
            one.watch_your_steps.edit_index = len(one.watch_your_steps.edits) - 1
            OPS.restore_edit()
        texture = bpy.data.textures.new("uses the other's", "IMAGE")
        texture.image = stays.watch_your_steps.render_image
        before = look(connected, stays)
        changes.render.resolution_x = 40 if both else 32
        preview(connected, changes)
        changes.watch_your_steps.threshold = 0.77
        assert same(look(connected, stays), before)
        assert texture.image == stays.watch_your_steps.render_image


@copied
def test_a_job_stays_with_its_scene(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    copy: Callable[[bpy.types.Scene], bpy.types.Scene],
    tmp_path: Path,
) -> None:
    scene.name = "z original"  # by name it comes after its copies
    job = start_manual(connected, scene, server)
    made = copy(scene)
    made.name = "a copy"
    assert connected.session.job_of(scene).id == job
    assert connected.session.job_of(made) is None
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    server.finish(job)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    scene, made = bpy.data.scenes["z original"], bpy.data.scenes["a copy"]
    connected.session.wait_for_job(scene, SECONDS)
    assert scene.watch_your_steps.relevance_image is not None
    assert made.watch_your_steps.relevance_image is None
    assert made.watch_your_steps.pending_image is None


@copied
def test_delete_capture_in_a_copy_leaves_the_originals(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    copy: Callable[[bpy.types.Scene], bpy.types.Scene],
) -> None:
    run(connected, "all_in_3d")
    capture = in_3d.capture
    made = copy(scene)
    bpy.context.window.scene = made
    OPS.drop_capture()
    connected.session.drain()
    assert made.watch_your_steps.in_3d.capture == ""
    assert "only this scene has forgotten it" in connected.session.message_of(made)
    assert capture in server.scenes.captures
    assert (in_3d.capture, in_3d.sealed, in_3d.borrowed) == (capture, True, False)
    bpy.context.window.scene = scene
    OPS.drop_capture()
    connected.session.wait(lambda: in_3d.capture == "", SECONDS)
    assert capture not in server.scenes.captures


@copied
def test_a_copy_uses_the_capture_but_deletes_nothing_of_it(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    copy: Callable[[bpy.types.Scene], bpy.types.Scene],
) -> None:
    run(connected, "all_in_3d")
    kept = server.scenes.captures[in_3d.capture]
    meshes = len(connected.brought_mesh.collection_of(scene).objects)
    before = set(bpy.data.objects)
    made = copy(scene)
    new = set(bpy.data.objects) - before  # of a full copy
    bpy.context.window.scene = made
    connected.session.drain()
    assert made.watch_your_steps.in_3d.borrowed
    assert not OPS.undo_scene_edit.poll()
    with pytest.raises(RuntimeError, match="belongs to the scene that this one was copied from"):
        OPS.train_scene(anew=True)
    made.watch_your_steps.instruction = "turn the ground red"
    run(connected, "edit_scene")
    run(connected, "bring_mesh")
    assert len(kept.edits) == 2
    assert kept.trained
    assert len(connected.brought_mesh.collection_of(scene).objects) == meshes
    brought = set(connected.brought_mesh.collection_of(made).objects) - new
    assert len(brought) == 1
    assert not brought & set(scene.collection.all_objects)


def copies_of_a_captured(
    addon: SimpleNamespace, scene: bpy.types.Scene
) -> tuple[bpy.types.Scene, bpy.types.Scene]:
    """Two copies, the second of the first, of a scene that was captured and edited."""
    run(addon, "all_in_3d")
    first = by_operator("LINK_COPY")(scene)
    addon.session.drain()
    second = by_operator("LINK_COPY")(first)
    addon.session.drain()
    first.name, second.name = "a", "b"
    return first, second


def delete(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    """As the artist does, with the timer's next call after it."""
    bpy.context.window.scene = scene
    bpy.ops.scene.delete()
    addon.session.drain()


def borrowing(addon: SimpleNamespace) -> set[str]:
    return {one.name for one in bpy.data.scenes if addon.copies.is_borrowed(one)}


@pytest.mark.parametrize("how", ["deleted", "captured anew", "deleted and saved"])
def test_a_capture_without_its_scene_belongs_to_a_copy(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    tmp_path: Path,
    how: str,
) -> None:
    """Which can then delete its edits, train it anew, and delete it."""
    copies_of_a_captured(connected, scene)
    capture = in_3d.capture
    assert borrowing(connected) == {"a", "b"}
    if how == "captured anew":
        bpy.context.window.scene = scene
        run(connected, "capture_scene")
        connected.session.drain()
    else:
        delete(connected, scene)
    if how == "deleted and saved":
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
        bpy.ops.wm.read_homefile(use_empty=True)
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert borrowing(connected) == {"b"}
    heir = bpy.context.window.scene = bpy.data.scenes["a"]
    connected.session.wait(lambda: connected.session.scene_state(heir) is not None, SECONDS)
    OPS.undo_scene_edit()
    connected.session.wait(lambda: not server.scenes.captures[capture].edits, SECONDS)
    OPS.train_scene(anew=True)
    connected.session.wait_for_job(heir, SECONDS)
    OPS.drop_capture()
    connected.session.wait(lambda: heir.watch_your_steps.in_3d.capture == "", SECONDS)
    assert capture not in server.scenes.captures


def test_an_heir_gives_back_what_undo_gives_its_owner(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    copies_of_a_captured(connected, scene)
    scene.name = "original"
    bpy.ops.ed.undo_push(message="captured and copied")
    delete(connected, scene)
    bpy.ops.ed.undo_push(message="deleted")
    for _ in range(2):
        assert borrowing(connected) == {"b"}
        bpy.ops.ed.undo()
        connected.session.drain()
        assert "original" in bpy.data.scenes
        assert borrowing(connected) == {"a", "b"}
        bpy.ops.ed.redo()
        connected.session.drain()
    delete(connected, bpy.data.scenes["a"])
    assert borrowing(connected) == set(), "the last one has it"


def test_copies_of_an_heir_borrow(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    copies_of_a_captured(connected, scene)
    capture = in_3d.capture
    delete(connected, scene)
    made = by_operator("FULL_COPY")(bpy.data.scenes["a"])
    made.name = "Z"  # by name before its original
    assert not connected.copies.is_borrowed(bpy.data.scenes["a"]), "before the timer's next call"
    connected.session.drain()
    assert borrowing(connected) == {"Z", "b"}
    path = tmp_path / "a.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.append(directory=f"{path}/Scene/", filename="a")
    connected.session.drain()
    assert borrowing(connected) == {"a"}, "it belongs to the scene in the file that it came from"
    bpy.context.window.scene = bpy.data.scenes["a"]
    OPS.drop_capture()
    assert capture in server.scenes.captures


@copied
def test_an_interrupted_capture_goes_on_in_its_own_scene_only(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    copy: Callable[[bpy.types.Scene], bpy.types.Scene],
) -> None:
    OPS.capture_scene()
    OPS.cancel()
    connected.session.drain()
    assert in_3d.capture
    made = copy(scene)
    connected.session.drain()
    assert made.watch_your_steps.in_3d.capture == ""
    assert in_3d.capture
    run(connected, "resume_capture")
    assert in_3d.sealed


@pytest.mark.parametrize("by", ["data", "operator"])
def test_an_appended_scene_does_not_own_the_capture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    tmp_path: Path,
    by: str,
) -> None:
    run(connected, "capture_scene")
    preview(connected, scene)
    edit(connected, scene)
    capture, pictures = in_3d.capture, look(connected, scene)
    scene.name = "from elsewhere"
    path = tmp_path / "a.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_empty=True)
    for _ in range(2):  # the second one is a copy of the first, too
        if by == "data":
            with bpy.data.libraries.load(str(path)) as (_, into):
                into.scenes = ["from elsewhere"]
        else:
            bpy.ops.wm.append(directory=f"{path}/Scene/", filename="from elsewhere")
    connected.session.drain()
    first, second = bpy.data.scenes["from elsewhere"], bpy.data.scenes["from elsewhere.001"]
    for made in (first, second):
        assert made.watch_your_steps.in_3d.borrowed
        assert same(look(connected, made), pictures)
    bpy.context.window.scene = first
    OPS.drop_capture()
    first.watch_your_steps.threshold = 0.9
    first.render.resolution_x = 32
    preview(connected, first)
    assert capture in server.scenes.captures
    assert same(look(connected, second), pictures)


def test_a_scene_that_is_linked_from_another_file_is_left_alone(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    preview(connected, scene)
    scene.name = "from elsewhere"
    path = tmp_path / "a.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(path), link=True) as (_, into):
        into.scenes = ["from elsewhere"]
    linked = into.scenes[0]
    connected.session.drain()
    bpy.context.window.scene = linked
    connected.session.drain()
    with pytest.raises(RuntimeError, match="linked from another file: make it local first"):
        OPS.preview_relevance()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "b.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "b.blend"))


def test_a_linked_scene_that_was_made_local_has_its_pictures_in_this_file(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    """Outliner > ID Data > Make Local leaves all that the scene points to in the other file."""
    preview(connected, scene)
    edit(connected, scene)
    scene.name = "from elsewhere"
    path = tmp_path / "a.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    pictures = look(connected, scene)
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(path), link=True) as (_, into):
        into.scenes = ["from elsewhere"]
    made = into.scenes[0].make_local()
    connected.session.drain()
    bpy.context.window.scene = made
    assert same(look(connected, made), pictures)
    made.render.resolution_x = 32
    preview(connected, made)
    edit(connected, made)
    made.watch_your_steps.edit_index = 1
    OPS.restore_edit()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "b.blend"))
    path.unlink()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "b.blend"))
    made = bpy.context.scene
    render, relevance, mask, _, first = look(connected, made)
    assert same((render, relevance, mask, first), pictures)


def test_a_file_whose_scenes_share_everything_is_parted_when_it_is_opened(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    tmp_path: Path,
) -> None:
    """As a Blender without this add-on, or with an earlier one, has left it."""
    run(connected, "capture_scene")
    preview(connected, scene)
    made = by_python(scene)
    pictures = look(connected, scene)
    for one in (scene, made):
        one.watch_your_steps.owner = connected.copies._mark(one)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    scene, made = bpy.data.scenes
    assert not scene.watch_your_steps.in_3d.borrowed
    assert made.watch_your_steps.in_3d.borrowed
    made.watch_your_steps.threshold = 0.9
    assert same(look(connected, scene), pictures)


def test_a_scene_that_shares_only_pictures_keeps_its_own_capture_and_job(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    """An earlier version let copies share pictures for ever, also once both were captured."""
    run(connected, "capture_scene")
    preview(connected, scene)
    scene.name = "z original"  # by name it comes after its copy
    job = start_manual(connected, scene, server)
    made = by_python(scene)
    made.name = "a copy"
    connected.session.drain()
    for name in ("render_image", "relevance_image", "mask_image"):
        setattr(made.watch_your_steps, name, getattr(scene.watch_your_steps, name))
    made.watch_your_steps.in_3d.capture = "another"
    made.watch_your_steps.in_3d.borrowed = False
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    connected.session.disconnect()  # else its thread outlives the test
    connected.session.start_anew(loaded=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    for one in bpy.data.scenes:
        assert one.watch_your_steps.in_3d.capture
        assert not one.watch_your_steps.in_3d.borrowed
    made, scene = (bpy.data.scenes[name].watch_your_steps for name in ("a copy", "z original"))
    assert made.render_image != scene.render_image
    assert (made.job, scene.job) == ("", job)


def test_a_scene_stays_the_owner_through_saving_undo_and_renaming(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    tmp_path: Path,
) -> None:
    bpy.ops.ed.undo_push(message="before")
    run(connected, "capture_scene")
    bpy.ops.ed.undo_push(message="captured")
    scene.name = "renamed"
    bpy.ops.ed.undo_push(message="renamed")
    bpy.ops.ed.undo()
    connected.session.drain()
    for number in range(2):
        in_3d = bpy.context.scene.watch_your_steps.in_3d
        assert in_3d.sealed
        assert not in_3d.borrowed
        path = str(tmp_path / f"{number}.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        connected.session.drain()
