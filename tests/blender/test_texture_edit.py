"""The edit of an object's texture through the panel's operators, against a scripted server."""

import importlib
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, reopen
from fake_server import FakeServer, edited, relevance_of
from test_flows import refusal, submits
from test_mesh_views import noise, painted, state

OPS = bpy.ops.watch_your_steps


@pytest.fixture
def texture_edit(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.meshes.edited_textures")


@pytest.fixture
def thing(scene: bpy.types.Scene) -> bpy.types.Object:
    """The active object: a cube with a texture of noise, small and few views set."""
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 0, 2))
    thing = bpy.context.object
    thing.name = "box"
    image = painted(thing, noise(24, 32))
    image.pack()
    scene.watch_your_steps.texture.views = 3
    scene.watch_your_steps.texture.hidden_parts = False
    scene.watch_your_steps.texture.size = 24
    scene.watch_your_steps.texture.lit = False
    return thing


def pixels(mesh_texture: ModuleType, image: bpy.types.Image) -> np.ndarray:
    result: np.ndarray = mesh_texture.read_texture(image)
    return result


def node(thing: bpy.types.Object) -> bpy.types.ShaderNode:
    return next(one for one in thing.active_material.node_tree.nodes if one.type == "TEX_IMAGE")


def edit(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    OPS.edit_texture()
    addon.session.wait_for_job(scene, SECONDS)


def test_edit_show_and_revert(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    server: FakeServer,
    installed: str,
) -> None:
    mesh_texture = importlib.import_module(f"{installed}.data.meshes.mesh_reading")
    original = node(thing).image
    before = {name: value for name, value in state(scene).items() if name != "images"}
    edit(connected, scene)
    after = {name: value for name, value in state(scene).items() if name != "images"}
    assert after == before, "nothing of the scene has changed but the picture"

    request = submits(server)[-1].request
    assert request.views.shape == (3, 24, 24, 3)
    assert np.ptp(request.views.astype(int), axis=0).max() > 50, "the views differ"
    assert request.intrinsics[2:] == (12, 12)
    assert np.array_equal(request.texture, noise(24, 32))
    assert (request.instruction, request.lit, request.threshold) == (
        "turn the ball blue",
        False,
        None,
    )
    shown = node(thing).image
    assert shown.name == "paint (edited)"
    assert shown.packed_file is not None
    region = relevance_of(noise(24, 32)) >= np.float32(0.4)
    wanted = noise(24, 32)
    wanted[..., :3] = edited(wanted[..., :3], region)
    assert np.array_equal(pixels(mesh_texture, shown), wanted), "alpha too"
    assert np.array_equal(pixels(mesh_texture, original), noise(24, 32))
    assert scene.watch_your_steps.texture.threshold == pytest.approx(0.4)

    OPS.show_texture(what="RELEVANCE")
    relevance = connected.pictures.read_gray(node(thing).image)
    assert np.array_equal(relevance, relevance_of(noise(24, 32)))
    OPS.show_texture(what="ORIGINAL")
    assert node(thing).image == original
    OPS.show_texture(what="EDITED")
    assert node(thing).image == shown
    OPS.revert_texture()
    assert node(thing).image == original
    assert "paint (edited)" not in bpy.data.images
    assert "paint relevance" not in bpy.data.images
    assert not OPS.revert_texture.poll()


def test_edits_are_stacked_and_taken_back_one_by_one(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    server: FakeServer,
    texture_edit: ModuleType,
) -> None:
    original = node(thing).image
    scene.watch_your_steps.texture.base = "EDIT"
    edit(connected, scene)
    first = node(thing).image
    edit(connected, scene)
    second = node(thing).image
    assert np.array_equal(
        submits(server)[-1].request.texture, pixels(connected.mesh_reading, first)
    )
    OPS.show_texture(what="ORIGINAL")
    assert node(thing).image == original
    assert texture_edit.texture_of(thing) == second
    OPS.show_texture(what="EDITED")
    assert node(thing).image == second
    OPS.revert_texture()
    assert node(thing).image == first
    OPS.revert_texture()
    assert node(thing).image == original


def test_undo_takes_the_edit_back_and_redo_brings_it(
    connected: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object
) -> None:
    bpy.ops.ed.undo_push(message="before")
    edit(connected, scene)
    assert node(thing).image.name == "paint (edited)"
    bpy.ops.ed.undo()
    assert node(bpy.data.objects["box"]).image.name == "paint"
    bpy.ops.ed.redo()
    assert node(bpy.data.objects["box"]).image.name == "paint (edited)"


def test_original_and_edit_are_in_the_saved_file(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    texture_edit: ModuleType,
    tmp_path: Path,
) -> None:
    edit(connected, scene)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    thing = bpy.data.objects["box"]
    shown = texture_edit.texture_of(thing)
    assert shown.name == "paint (edited)"
    assert texture_edit.show(thing, shown, "ORIGINAL", "CYCLES")
    kept = pixels(connected.mesh_reading, node(thing).image)
    assert np.array_equal(kept[..., :3], noise(24, 32)[..., :3])


def test_blender_closed_in_the_middle_of_it(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    """Also where object and texture got other names before the file was saved."""
    server.manual = True
    OPS.edit_texture()
    session = connected.session
    job = session.job_of(scene).id
    session.wait(lambda: job in server.jobs, SECONDS)
    thing.name, node(thing).image.name = "renamed", "renamed too"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    session.disconnect()
    session.start_anew(loaded=True)
    server.finish(job)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    OPS.connect()
    session.wait_for_connection(SECONDS)
    session.wait_for_job(bpy.context.scene, SECONDS)
    thing = bpy.data.objects["renamed"]
    assert node(thing).image.name == "renamed too (edited)"
    assert bpy.context.scene.watch_your_steps.job_object is None


@pytest.mark.parametrize("closed", [False, True])
def test_names_of_several_lines(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    server: FakeServer,
    tmp_path: Path,
    closed: bool,
) -> None:
    """As files of other programs bring them with them."""
    thing.name, node(thing).image.name = "first\nsecond", "one\ntwo\nthree"
    server.manual = closed
    OPS.edit_texture()
    if closed:
        job = connected.session.job_of(scene).id
        connected.session.wait(lambda: job in server.jobs, SECONDS)
        reopen(connected, tmp_path / "a.blend")
        connect(connected, server.file)
        server.finish(job)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert connected.session.message_of(bpy.context.scene) == ""
    shown = node(bpy.data.objects["first\nsecond"]).image
    assert shown.name == "one\ntwo\nthree (edited)"


def test_views_that_cannot_be_sent_are_refused_before_they_are_rendered(
    connected: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object
) -> None:
    scene.watch_your_steps.texture.views, scene.watch_your_steps.texture.size = 86, 1024
    sentence = refusal("edit_texture")
    assert "86 views of 1024 pixels a side have more than 256 MiB together" in sentence
    assert connected.session.job_of(scene) is None
    assert scene.watch_your_steps.job_object is None


def test_cancel_while_views_are_rendered(
    connected: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object, server: FakeServer
) -> None:
    OPS.edit_texture()
    job = connected.session.job_of(scene)
    connected.session.wait(lambda: job.stage == "rendering view 2 of 3", SECONDS)
    assert job.preview.shape == (24, 24, 3)
    OPS.cancel()
    with pytest.raises(connected.session.SessionError, match="Texture edit was cancelled"):
        connected.session.wait_for_job(scene, SECONDS)
    assert submits(server) == []
    assert node(thing).image.name == "paint"
    edit(connected, scene)
    assert node(thing).image.name == "paint (edited)"


def test_another_scene_is_open_while_views_are_rendered(
    connected: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object, server: FakeServer
) -> None:
    other = bpy.data.scenes.new("other")
    scene.watch_your_steps.texture.lit = True
    OPS.edit_texture()
    bpy.context.window.scene = other
    connected.session.wait(lambda: connected.session.job_of(scene) is None, SECONDS)
    assert bpy.context.scene == other
    assert node(thing).image.name == "paint (edited)"


def test_other_threads_run_while_views_are_rendered(
    scene: bpy.types.Scene, thing: bpy.types.Object, installed: str
) -> None:
    """Blender crashed here: within a `temp_override` its renderer reads Python objects unlocked.

    Threads without anything to do but to begin and end hit that moment within some ten renders.
    """
    scene.watch_your_steps.texture.views = 30
    texture_jobs = importlib.import_module(f"{installed}.jobs.texture_jobs")
    new = texture_jobs.texture_job(bpy.context, 24)
    views, job = new.preparation, SimpleNamespace(id="", subject=new.subject)
    done = threading.Event()

    def begin_and_end() -> None:
        while not done.is_set():
            short = threading.Thread(target=sum, args=(range(200),))
            short.start()
            short.join()

    threads = [threading.Thread(target=begin_and_end) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        taken = [views.step(scene, job, None) for _ in range(31)]
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert taken[:30] == [None] * 30
    assert taken[30].views.shape == (30, 24, 24, 3)


def test_nothing_in_the_region(
    connected: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object, server: FakeServer
) -> None:
    scene.watch_your_steps.texture.use_threshold = True
    scene.watch_your_steps.texture.threshold = 1.0
    node(thing).image.pixels.foreach_set(np.full(24 * 32 * 4, 0.5, np.float32))
    with pytest.raises(connected.session.SessionError, match="Nothing was edited"):
        edit(connected, scene)
    assert node(thing).image.name == "paint"
    assert "paint (edited)" not in bpy.data.images


@pytest.mark.parametrize("cameras", ["AROUND", "FRAMES"])
def test_a_3d_edit_goes_into_a_meshs_own_texture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    server: FakeServer,
    installed: str,
    cameras: str,
) -> None:
    """Seen by views from the very places of the capture, however these were chosen."""
    mesh_texture = importlib.import_module(f"{installed}.data.meshes.mesh_reading")
    in_3d = scene.watch_your_steps.in_3d
    in_3d.views, in_3d.size, in_3d.cameras = 5, 16, cameras
    scene.frame_end = 5
    camera = scene.camera
    for frame in range(1, 6):
        camera.location = (6 * np.cos(frame), 6 * np.sin(frame), 3)
        camera.keyframe_insert("location", frame=frame)
    scene.frame_set(2)
    assert "no 3D edit yet" in refusal("bring_texture")
    for operator in (OPS.capture_scene, OPS.train_scene, OPS.edit_scene):
        operator()
        connected.session.wait_for_job(scene, SECONDS)
    original = node(thing).image
    before = {name: value for name, value in state(scene).items() if name != "images"}
    threshold = scene.watch_your_steps.texture.threshold
    original.watch_your_steps.sent.invert = True  # of an edit that was cancelled
    OPS.bring_texture()
    connected.session.wait_for_job(scene, SECONDS)
    after = {name: value for name, value in state(scene).items() if name != "images"}
    assert after == before, "nothing of the scene has changed but the picture"
    assert scene.watch_your_steps.texture.threshold == threshold, "it is on another scale"

    request = submits(server)[-1].request
    assert (request.capture, request.edit, request.threshold) == (in_3d.capture, in_3d.edit, None)
    assert request.lit is True, "the capture shows the scene's light"
    views = server.scenes.captures[in_3d.capture].views
    places = np.array([np.reshape(views[k].camera_to_world, (4, 4))[:3, 3] for k in range(5)])
    np.testing.assert_allclose(request.camera_to_world[:, :3, 3], places[[0, 1, 3]], atol=1e-5)
    assert request.views.shape == (3, 24, 24, 3)
    shown_box = (request.views != request.views[:, :1, :1]).any(axis=-1).mean(axis=(1, 2))
    assert shown_box.min() > 0.1, "each view shows the box, and the background around it"
    assert np.array_equal(request.texture, noise(24, 32))
    shown = node(thing).image
    assert shown.name == "paint (edited)"
    assert shown.watch_your_steps.instruction == "turn the ball blue"
    assert not shown.watch_your_steps.region.invert
    assert "inverted" not in shown.watch_your_steps.made_with
    assert "is not known" in why_not_again()
    region = relevance_of(noise(24, 32)) >= np.float32(0.4)
    wanted = noise(24, 32)
    wanted[..., :3] = edited(wanted[..., :3], region)
    assert np.array_equal(pixels(mesh_texture, shown), wanted)
    OPS.revert_texture()
    assert node(thing).image == original

    thing.scale = (90, 90, 90)  # all cameras are inside of it
    bpy.context.view_layer.update()
    assert "None of the capture's cameras sees" in refusal("bring_texture")
    thing.data.materials.clear()
    assert "no faces with an image texture" in refusal("bring_texture")
    assert texture_requests(server) == 1


def why_not_again() -> str:
    """Why the shown edit cannot be made again."""
    with pytest.raises(RuntimeError) as refused:
        OPS.texture_again()
    return str(refused.value)


def texture_requests(server: FakeServer) -> int:
    """How many requests for a 3D edit's texture were sent."""
    kind = server.requests.SceneTextureRequest
    return sum(isinstance(one.request, kind) for one in submits(server))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda thing: thing.data.uv_layers.remove(thing.data.uv_layers[0]), "no UV map"),
        (lambda thing: thing.data.materials.clear(), "no faces with an image texture"),
        (
            lambda thing: setattr(bpy.context.scene.watch_your_steps, "instruction", ""),
            "instruction is empty",
        ),
        (
            lambda thing: setattr(
                bpy.context.view_layer.objects, "active", bpy.data.objects["camera"]
            ),
            "is not a mesh",
        ),
        (
            lambda thing: setattr(bpy.context.view_layer.objects, "active", None),
            "no active object",
        ),
    ],
)
def test_refused_in_one_sentence(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    server: FakeServer,
    spoil,
    words: str,
) -> None:
    spoil(thing)
    assert words in refusal("edit_texture")
    assert submits(server) == []
    assert connected.session.job_of(scene) is None


# ---------------------------------------------------------------- which of several


@pytest.fixture
def second(thing: bpy.types.Object) -> bpy.types.Image:
    """A second image that colours the same material: multiplied with the first one."""
    image = bpy.data.images.new("second", 32, 24)
    image.pixels.foreach_set((noise(24, 32, 5)[::-1].astype(np.float32) / 255).ravel())
    image.pack()
    tree = thing.active_material.node_tree
    first, other = node(thing), tree.nodes.new("ShaderNodeTexImage")
    other.image = image
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type, mix.blend_type = "RGBA", "MULTIPLY"
    _, one, two = (entry for entry in mix.inputs if entry.enabled)
    tree.links.new(first.outputs[0], one)
    tree.links.new(other.outputs[0], two)
    result = next(socket for socket in mix.outputs if socket.enabled)
    tree.links.new(result, tree.nodes["Principled BSDF"].inputs["Base Color"])
    return image


def test_one_of_several_images_is_chosen_and_stays_chosen(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    second: bpy.types.Image,
    server: FakeServer,
    texture_edit: ModuleType,
) -> None:
    """Also while its edit is shown in its place; the other image is left alone."""
    engine = scene.render.engine
    other = thing.active_material.node_tree.nodes["Image Texture.001"]

    def offered() -> tuple[list[str], str]:
        images, chosen = texture_edit.to_paint(thing, scene.watch_your_steps.texture.image, engine)
        return [image.name for image in images], chosen.name

    assert offered() == (["paint", "second"], "paint")
    OPS.choose_texture(image="second")
    assert offered() == (["paint", "second"], "second")
    edit(connected, scene)
    assert np.array_equal(submits(server)[-1].request.texture, noise(24, 32, 5))
    assert other.image.name == "second (edited)"
    assert node(thing).image.name == "paint"
    assert offered() == (["paint", "second (edited)"], "second (edited)")
    OPS.show_texture(what="RELEVANCE")
    assert other.image.name == "second relevance"
    assert "press Original or Edited" in refusal("edit_texture")
    OPS.show_texture(what="EDITED")
    OPS.choose_texture(image="paint")
    assert texture_edit.texture_of(thing, second) == other.image
    edit(connected, scene)
    assert (node(thing).image.name, other.image.name) == ("paint (edited)", "second (edited)")
    OPS.revert_texture()
    assert (node(thing).image.name, other.image.name) == ("paint", "second (edited)")


def test_where_it_is_used_as_something_else_an_image_stays(
    connected: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object
) -> None:
    """The same image as a height: only the node that colours shows the edit."""
    tree = thing.active_material.node_tree
    first, again = node(thing), tree.nodes.new("ShaderNodeTexImage")
    again.image = first.image
    tree.links.new(again.outputs[0], tree.nodes["Principled BSDF"].inputs["Roughness"])
    edit(connected, scene)
    assert (first.image.name, again.image.name) == ("paint (edited)", "paint")


def test_an_image_in_a_node_group_is_edited_there(
    connected: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object
) -> None:
    tree = thing.active_material.node_tree
    group = bpy.data.node_groups.new("inside", "ShaderNodeTree")
    group.interface.new_socket("Color", in_out="OUTPUT", socket_type="NodeSocketColor")
    end, image = group.nodes.new("NodeGroupOutput"), group.nodes.new("ShaderNodeTexImage")
    image.image = node(thing).image
    group.links.new(image.outputs[0], end.inputs[0])
    shown = tree.nodes.new("ShaderNodeGroup")
    shown.node_tree = group
    tree.links.new(shown.outputs[0], tree.nodes["Principled BSDF"].inputs["Base Color"])
    tree.nodes.remove(node(thing))
    edit(connected, scene)
    assert image.image.name == "paint (edited)"
    OPS.revert_texture()
    assert image.image.name == "paint"


# ---------------------------------------------------------------- linked from another file


def linked(thing: bpy.types.Object, folder: Path, way: str) -> bpy.types.Object:
    """The object in a file of its own, and in this file in the given way; the one here."""
    library = folder / "library.blend"
    bpy.data.libraries.write(str(library), {thing})
    scene = bpy.context.scene
    if way == "group":
        tree = thing.active_material.node_tree
        group = bpy.data.node_groups.new("inside", "ShaderNodeTree")
        group.interface.new_socket("Color", in_out="OUTPUT", socket_type="NodeSocketColor")
        end, image = group.nodes.new("NodeGroupOutput"), group.nodes.new("ShaderNodeTexImage")
        image.image = node(thing).image
        group.links.new(image.outputs[0], end.inputs[0])
        bpy.data.libraries.write(str(library), {group})
        bpy.data.node_groups.remove(group)
        with bpy.data.libraries.load(str(library), link=True) as (_, there):
            there.node_groups = ["inside"]
        shown = tree.nodes.new("ShaderNodeGroup")
        shown.node_tree = bpy.data.node_groups["inside"]
        tree.links.new(shown.outputs[0], tree.nodes["Principled BSDF"].inputs["Base Color"])
        tree.nodes.remove(node(thing))
        return thing
    if way in ("material", "image"):
        kind = "materials" if way == "material" else "images"
        with bpy.data.libraries.load(str(library), link=True) as (_, there):
            setattr(there, kind, ["paint"])
        block = next(one for one in getattr(bpy.data, kind) if one.library is not None)
        if way == "material":
            thing.data.materials[0] = block
        else:
            node(thing).image = block
        return thing
    bpy.data.objects.remove(thing)
    with bpy.data.libraries.load(str(library), link=True) as (_, there):
        there.objects = ["box"]
    thing = next(one for one in bpy.data.objects if one.library is not None)
    scene.collection.objects.link(thing)
    if way == "override":
        thing = thing.override_create(remap_local_usages=True)
    bpy.context.view_layer.objects.active = thing
    thing.select_set(True)
    return thing


@pytest.mark.parametrize("way", ["object", "override", "material", "group"])
def test_what_is_linked_from_another_file_is_refused_until_it_is_local(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    server: FakeServer,
    texture_edit: ModuleType,
    tmp_path: Path,
    way: str,
) -> None:
    """An edit would be gone with the next start of Blender; made local as it says, it stays."""
    thing = linked(thing, tmp_path, way)
    said = refusal("edit_texture")
    assert "linked from library.blend" in said
    assert "Make Local" in said
    assert submits(server) == []
    if way == "group":
        bpy.data.node_groups["inside"].make_local()
    else:
        thing.select_set(True)
        bpy.ops.object.make_local(type="SELECT_OBDATA_MATERIAL")
    thing = bpy.context.view_layer.objects.active
    edit(connected, scene)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    thing = bpy.data.objects["box"]
    shown = texture_edit.texture_of(thing)
    assert shown.name == "paint (edited)"
    assert texture_edit.shown(thing, shown, "CYCLES") == "EDITED"


def test_a_mesh_that_lies_nowhere_is_said(
    connected: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object
) -> None:
    """It was said to have changed while its views were rendered."""
    thing.data.vertices[0].co.x = float("nan")
    thing.data.update()
    for operator in ("edit_texture", "preview_texture"):
        assert '"box" lies nowhere' in refusal(operator)


def test_an_overridden_material_is_refused_until_it_is_local(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    tmp_path: Path,
) -> None:
    """The nodes of a preview, or of a moved threshold, would be gone with the next start."""
    thing = linked(thing, tmp_path, "override")
    thing.data.override_create(remap_local_usages=True)
    thing.active_material.override_create(remap_local_usages=True)
    for operator in ("preview_texture", "edit_texture"):
        said = refusal(operator)
        assert f'"{thing.active_material.name}" is a library override' in said
        assert "Make Local" in said
    thing.active_material.make_local()
    assert thing.active_material.override_library is None
    OPS.preview_texture()
    connected.session.wait_for_job(scene, SECONDS)
    kinds = {one.type for one in thing.active_material.node_tree.nodes}
    assert "GROUP" in kinds
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    thing = next(one for one in bpy.data.objects if one.active_material)
    assert {one.type for one in thing.active_material.node_tree.nodes} == kinds


def test_the_edit_of_a_linked_image_stays(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    texture_edit: ModuleType,
    tmp_path: Path,
) -> None:
    """Its material is local; the image itself forgets its edits, which are found all the same, also
    where the original was shown when the file was saved.
    """
    thing = linked(thing, tmp_path, "image")
    edit(connected, scene)
    OPS.show_texture(what="ORIGINAL")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    thing = bpy.data.objects["box"]
    shown = texture_edit.texture_of(thing)
    assert shown is not None
    assert texture_edit.shown(thing, shown, "CYCLES") == "ORIGINAL"
    assert texture_edit.show(thing, shown, "EDITED", "CYCLES")
    bpy.context.view_layer.objects.active = thing
    OPS.revert_texture()
    assert node(thing).image.library is not None


def test_an_earlier_edit_of_a_texture_stays_in_the_file(
    connected: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object, tmp_path: Path
) -> None:
    edit(connected, scene)
    OPS.show_texture(what="ORIGINAL")
    edit(connected, scene)
    assert node(thing).image.name == "paint (edited).001"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert "paint (edited)" in bpy.data.images


def test_the_panel_says_which_image_will_be_edited(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    installed: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its name, and a choice once there are several."""
    panel = importlib.import_module(f"{installed}.ui.panel_3d")

    class Layout:
        """Keeps labels, and the operators with whether they are pressed."""

        def __init__(self) -> None:
            self.texts: list[str] = []
            self.buttons: list[tuple[str, bool, SimpleNamespace]] = []

        def label(self, text: str, icon: str = "NONE", **_how: object) -> None:
            self.texts.append(text)

        def column(self, align: bool = False) -> "Layout":
            return self

        def operator(self, name: str, text: str, depress: bool, translate: bool) -> SimpleNamespace:
            assert not translate, "a name"
            assert name == "watch_your_steps.choose_texture"
            self.buttons.append((text, depress, SimpleNamespace()))
            return self.buttons[-1][2]

    def shown() -> tuple[list[str], list[tuple[str, bool]]]:
        layout = Layout()
        with monkeypatch.context() as patch:  # there is no window to wrap lines in
            patch.setattr(panel.words, "paragraph", lambda to, _, text, icon: to.label(text, icon))
            panel._draw_images(layout, bpy.context, thing)
        return layout.texts, [(text, pressed) for text, pressed, _ in layout.buttons]

    assert shown() == (['Edits "paint"'], [])
    request.getfixturevalue("second")
    assert shown()[1] == [("paint", True), ("second", False)]
    OPS.choose_texture(image="second")
    assert shown()[1] == [("paint", False), ("second", True)]
    edit(connected, scene)
    assert shown()[1] == [("paint", False), ("second (edited)", True)]


def test_a_collections_instance_is_refused_with_what_to_do(
    addon: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object
) -> None:
    collection = bpy.data.collections.new("things")
    collection.objects.link(thing)
    instance = bpy.data.objects.new("instance", None)
    instance.instance_type, instance.instance_collection = "COLLECTION", collection
    scene.collection.objects.link(instance)
    with pytest.raises(addon.scene_error.SceneError, match="Make Instances Real"):
        addon.mesh_reading.read_mesh_texture(bpy.context, instance)


def test_instances_on_a_mesh_are_refused_as_they_would_be_painted_onto_it(
    addon: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object
) -> None:
    bpy.ops.mesh.primitive_ico_sphere_add(radius=0.1)
    ball = bpy.context.object
    modifier = thing.modifiers.new("scatter", "PARTICLE_SYSTEM")
    particles = modifier.particle_system.settings
    particles.type, particles.count = "HAIR", 5
    particles.render_type, particles.instance_object = "OBJECT", ball
    with pytest.raises(addon.scene_error.SceneError, match='Instances on "box", such as "Ico'):
        addon.mesh_reading.read_mesh_texture(bpy.context, thing)
    modifier.show_render = False
    assert len(addon.mesh_reading.read_mesh_texture(bpy.context, thing).corners) == 12


def through_geometry_node(thing: bpy.types.Object, kind: str) -> bpy.types.Node:
    """A node that the object's mesh goes through."""
    group = bpy.data.node_groups.new(kind, "GeometryNodeTree")
    group.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    come, go = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    node = group.nodes.new(kind)
    group.links.new(come.outputs[0], node.inputs["Geometry"])
    group.links.new(node.outputs[0], go.inputs[0])
    thing.modifiers.new(kind, "NODES").node_group = group
    return node


def test_a_uv_map_that_geometry_nodes_take_away_is_not_asked_for_by_unwrapping(
    connected: SimpleNamespace, scene: bpy.types.Scene, thing: bpy.types.Object
) -> None:
    node = through_geometry_node(thing, "GeometryNodeRemoveAttribute")
    node.inputs["Name"].default_value = thing.data.uv_layers.active.name
    bpy.context.view_layer.update()
    assert 'The modifiers of "box" make a mesh that has no UV map: apply' in refusal("edit_texture")
    thing.modifiers.clear()
    thing.data.uv_layers.remove(thing.data.uv_layers.active)
    assert "The mesh has no UV map: unwrap it" in refusal("edit_texture")


def test_a_material_that_geometry_nodes_set_has_no_slot_to_show_an_edit(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    server: FakeServer,
) -> None:
    node = through_geometry_node(thing, "GeometryNodeSetMaterial")
    node.inputs["Material"].default_value = thing.active_material
    thing.data.materials.clear()
    bpy.context.view_layer.update()
    read = connected.mesh_reading.read_mesh_texture(bpy.context, thing)
    assert (read.image, len(read.corners)) == ("paint", 12)
    assert "put the material into a slot" in refusal("edit_texture")
    assert submits(server) == []


def test_faces_are_labelled_by_the_kind_of_things_that_is_chosen(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    server: FakeServer,
) -> None:
    texture, mesh = scene.watch_your_steps.texture, thing.data
    material = thing.active_material.copy()
    mesh.materials.append(material)
    for polygon in mesh.polygons:
        polygon.material_index = int(polygon.index == 0)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.duplicate()
    bpy.ops.transform.translate(value=(3, 0, 0))
    bpy.ops.object.mode_set(mode="OBJECT")
    # as an importer leaves a mesh: a vertex of its own for each face's corner
    bpy.ops.object.modifier_add(type="EDGE_SPLIT")
    thing.modifiers[-1].split_angle = 0.0

    def labels(kind: str, snap: str = "things") -> np.ndarray | None:
        texture.things, texture.snap = kind, snap
        edit(connected, scene)
        request = submits(server)[-1].request
        assert request.region.snap == snap
        found: np.ndarray | None = request.things
        if found is not None:
            assert found.shape == (24,)
            assert found.dtype == np.int32
        return found

    assert labels("AUTO") is None, "the backend chooses"
    assert labels("MATERIALS", "edges") is None
    request = submits(server)[-1].request
    beyond = request.corners[:, :, 0].mean(axis=1) > 1.5
    faces = labels("FACES")
    assert faces is not None
    assert np.array_equal(faces == faces[0], beyond == beyond[0])
    assert len(set(faces.tolist())) == 2
    materials = labels("MATERIALS")
    assert materials is not None
    assert np.bincount(materials).tolist() == [20, 4], "one side of each cube is of the second"
    islands = labels("ISLANDS")
    assert islands is not None
    assert np.array_equal(islands, faces), "the cubes share their UVs, but are two islands"


def test_detail_rim_and_what_the_region_took_go_to_the_edit_and_come_back(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    server: FakeServer,
) -> None:
    texture = scene.watch_your_steps.texture
    assert (texture.snap, texture.detail, texture.rim) == ("things", "whole", 0.0)
    texture.detail, texture.rim = "fast", 3.5
    edit(connected, scene)
    settings = submits(server)[-1].request.settings
    assert (settings.detail, settings.rim) == ("fast", 3.5)
    made_with = node(thing).image.watch_your_steps.made_with
    assert made_with.endswith("snapped to pieces")
