"""Train, edit and mesh of a captured scene through the panel's operators, against a scripted server
over a real socket.
"""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, SIZE, connect, reopen, run
from fake_scenes import CORNERS, FACES
from fake_server import FakeServer
from test_flows import refusal, submits

OPS = bpy.ops.watch_your_steps
NOT_HERE = (
    "This backend does not have the scene's capture: connect to the one that has it, or press "
    "Capture Anew"
)


# ---------------------------------------------------------------- capture


# ---------------------------------------------------------------- all steps


def check_mesh(_: object, instruction: str) -> bpy.types.Object:
    """The object that was brought is the scripted server's square, with its textures."""
    collection = bpy.data.collections["Watch Your Steps"]
    assert collection.name in bpy.context.scene.collection.children
    thing = collection.objects[instruction]
    places = np.array([thing.matrix_world @ vertex.co for vertex in thing.data.vertices])
    assert np.allclose(places, CORNERS)
    faces = [tuple(face.vertices) for face in thing.data.polygons]
    assert faces == [tuple(face) for face in FACES.tolist()]
    uvs = np.array([one.vector for one in thing.data.uv_layers["UVMap"].uv])
    assert np.allclose(uvs, (CORNERS[FACES.ravel()][:, :2] + 1) / 2)
    assert not thing.data.validate()
    return thing


def shown(thing: bpy.types.Object) -> bpy.types.Image:
    nodes = thing.active_material.node_tree.nodes
    return next(node for node in nodes if node.type == "TEX_IMAGE").image


def test_all_steps_by_one_button(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    settings = scene.watch_your_steps
    settings.own_guidance, settings.text_guidance = False, 3
    run(connected, "all_in_3d")
    requests = [submit.request for submit in submits(server)]
    r = server.requests
    assert [type(one) for one in requests] == [
        r.TrainSceneRequest,
        r.EditSceneRequest,
        r.SceneMeshRequest,
    ]
    assert {one.capture for one in requests} == {in_3d.capture}
    train, edit, mesh = requests
    assert train.settings.preset == "preview"
    assert (edit.instruction, edit.threshold) == ("turn the ball blue", 0.5)
    assert edit.settings.text_guidance == 3
    assert edit.name.startswith("turn-the-ball-blue-")
    assert (mesh.edit, mesh.settings.faces, mesh.settings.texture_size) == (edit.name, 50_000, 1024)
    assert "27.5 dB" in in_3d.field
    assert in_3d.edit == edit.name
    first = server.scenes.captures[in_3d.capture].views[0].image
    sheet = connected.pictures.read_rgb(in_3d.pictures)
    assert sheet.shape == (2 * SIZE, 3 * SIZE, 3)
    assert np.array_equal(sheet[:SIZE, : 2 * SIZE], np.hstack([first, 255 - first]))
    thing = check_mesh(server, "turn the ball blue")
    assert np.array_equal(connected.pictures.read_rgb(shown(thing)), 255 - first)
    assert shown(thing).packed_file is not None
    bpy.context.view_layer.objects.active = thing
    OPS.show_texture(what="ORIGINAL")
    assert np.array_equal(connected.pictures.read_rgb(shown(thing)), first)
    OPS.show_texture(what="RELEVANCE")
    relevance = connected.pictures.read_gray(shown(thing))
    assert np.array_equal(relevance, first[..., 1].astype(np.float32) / 255)
    OPS.show_texture(what="EDITED")
    shown(thing).watch_your_steps.region.threshold = 0.75
    OPS.apply_texture_threshold()
    wanted = np.where(relevance[..., None] >= np.float32(0.75), 255 - first, first)
    assert np.array_equal(connected.pictures.read_rgb(shown(thing)), wanted)

    count = len(server.scenes.put)
    scene.watch_your_steps.instruction = "turn the ground red"
    run(connected, "all_in_3d")
    assert len(server.scenes.put) == count, "the capture is there already"
    check_mesh(server, "turn the ground red")


@pytest.mark.parametrize(
    ("view_transform", "exposure"), [("Standard", 0), ("AgX", 0), ("Filmic", 0), ("AgX", 0.7)]
)
def test_a_mesh_looks_as_its_views_did(
    addon: SimpleNamespace,
    scene: bpy.types.Scene,
    protocol: ModuleType,
    installed: str,
    view_transform: str,
    exposure: float,
) -> None:
    """Through the scene's view transform, and it lights nothing else."""
    scene.view_settings.view_transform, scene.view_settings.exposure = view_transform, exposure
    texture = np.empty((16, 16, 3), np.uint8)
    texture[:, :8], texture[:, 8:] = (180, 70, 50), (60, 90, 170)
    result = protocol.requests.SceneMeshResult(
        vertices=CORNERS,
        faces=FACES,
        uvs=((CORNERS[FACES][..., :2] + 1) / 2).astype(np.float32),
        texture=texture,
        edited_texture=None,
        relevance_texture=None,
        threshold=None,
    )
    scene_mesh = importlib.import_module(f"{installed}.data.meshes.brought_mesh")
    scene_mesh.install_mesh(scene, result, addon.arrived.prepare("", result).files, "")
    for name in ("ball", "ground"):
        bpy.data.objects.remove(bpy.data.objects[name])
    bpy.ops.mesh.primitive_plane_add(size=50, location=(0, 0, -1))
    scene.render.engine, scene.world = "CYCLES", None
    scene.cycles.samples, scene.cycles.use_denoising = 4, False
    scene.render.resolution_x = scene.render.resolution_y = 64
    scene.camera.location, scene.camera.rotation_euler = (0, 0, 5.5), (0, 0, 0)
    render = addon.pictures.decode_png(addon.camera_render.capture(bpy.context.scene, 64)).astype(
        int
    )
    for columns, colour in ((slice(22, 28), texture[0, 0]), (slice(36, 42), texture[0, 15])):
        assert np.abs(render[22:42, columns] - colour.astype(int)).max() <= 4
    assert render[:4].max() < 20


def test_a_mesh_far_from_the_origin_keeps_its_shape(
    addon: SimpleNamespace, scene: bpy.types.Scene, protocol: ModuleType, installed: str
) -> None:
    """At a map's coordinates, where Blender's own numbers leave out half a metre."""
    far = np.array([512345.3, 5412345.2, -120.7])
    corners = CORNERS * 0.37
    result = protocol.requests.SceneMeshResult(
        vertices=corners + far,
        faces=FACES,
        uvs=np.zeros((len(FACES), 3, 2), np.float32),
        texture=np.zeros((16, 16, 3), np.uint8),
        edited_texture=None,
        relevance_texture=None,
        threshold=None,
    )
    scene_mesh = importlib.import_module(f"{installed}.data.meshes.brought_mesh")
    thing = scene_mesh.install_mesh(scene, result, addon.arrived.prepare("", result).files, "")
    places = np.array([tuple(vertex.co) for vertex in thing.data.vertices])
    np.testing.assert_allclose(places + np.array(thing.location), corners + far, atol=1e-6)


def test_step_by_step_and_an_undo(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    run(connected, "capture_scene")
    run(connected, "train_scene")
    assert not submits(server)[-1].request.anew
    OPS.train_scene(anew=True)
    connected.session.wait_for_job(scene, SECONDS)
    assert submits(server)[-1].request.anew
    run(connected, "bring_mesh")
    assert submits(server)[-1].request.edit is None
    thing = check_mesh(server, "Scene in 3D")
    assert shown(thing).name == "Scene in 3D texture"
    assert connected.session.state.scenes[in_3d.capture].field.finished
    bpy.ops.object.select_all(action="DESELECT")
    bpy.data.objects.remove(thing)

    run(connected, "edit_scene")
    first = in_3d.edit
    in_3d.stack = True
    scene.watch_your_steps.instruction = "turn the ground red"
    run(connected, "edit_scene")
    second = submits(server)[-1].request
    assert second.base == first
    assert in_3d.edit == second.name != first
    state = connected.session.state
    connected.session.wait(lambda: len(state.scenes[in_3d.capture].edits) == 2, SECONDS)
    OPS.choose_scene_edit(name=first)
    assert (in_3d.edit, in_3d.edit_of) == (first, "turn the ball blue")
    OPS.choose_scene_edit(name=second.name)
    OPS.undo_scene_edit(name=second.name)
    connected.session.wait(lambda: in_3d.edit == first, SECONDS)
    assert in_3d.edit_of == "turn the ball blue"
    server.scenes.refusal = ("in_use", "A job uses this capture.")
    OPS.undo_scene_edit(name=first)
    connected.session.wait(
        lambda: connected.session.message_of(scene) == "A job uses this capture.", SECONDS
    )
    OPS.undo_scene_edit(name=first)
    connected.session.wait(lambda: in_3d.edit == "", SECONDS)
    assert "no edit to undo" in refusal("undo_scene_edit")


def test_the_same_edit_goes_on_and_another_one_has_another_name(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    run(connected, "capture_scene")
    run(connected, "edit_scene")
    run(connected, "edit_scene")
    one, two = (submit.request for submit in submits(server))
    assert one == two
    in_3d.threshold = 0.4
    run(connected, "edit_scene")
    assert submits(server)[-1].request.name != one.name


def test_an_edit_as_in_the_paper_is_asked_for_by_its_preset(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    """Whatever is chosen of what the panel does not show then; guidance and steps are kept."""
    run(connected, "capture_scene")
    in_3d.as_in_paper, in_3d.snap, in_3d.detail, in_3d.steps = True, "edges", "tiles", 7
    in_3d.method = "score_distillation"
    scene.watch_your_steps.own_guidance = False
    scene.watch_your_steps.text_guidance = 9.0
    run(connected, "edit_scene")
    request = submits(server)[-1].request
    assert request.preset == "paper"
    assert (request.region.snap, request.settings.detail) == (None, None)  # the preset's own
    assert request.method == "dataset_update"
    assert (request.settings.steps, request.settings.text_guidance) == (7, 9.0)
    in_3d.as_in_paper = False
    run(connected, "edit_scene")
    request = submits(server)[-1].request
    assert request.preset == in_3d.preset == "preview"
    assert (request.region.snap, request.settings.detail) == ("edges", "tiles")
    assert request.method == "score_distillation"


def test_what_is_cancelled_stops_the_rest(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    server.manual = True
    OPS.all_in_3d()
    session = connected.session
    session.wait(lambda: len(server.jobs) == 1, SECONDS)
    training = session.job_of(scene)
    assert training.then == ("edit_scene", "mesh")
    server.progress(training.id, "training, step 3 of 400", 0.3, np.full((6, 8, 3), 9, np.uint8))
    session.wait(lambda: training.fraction == 0.3, SECONDS)
    assert training.preview.shape == (6, 8, 3)
    OPS.cancel()
    session.wait(lambda: session.job_of(scene) is None, SECONDS)
    assert "Training was cancelled" in session.message_of(scene)
    server.manual = False
    run(connected, "all_in_3d")
    assert len(server.jobs) == 4


def test_blender_closed_while_the_chain_runs(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    """The reopened file follows the job, and goes on with those behind it."""
    server.manual = True
    OPS.all_in_3d()
    session = connected.session
    session.wait(lambda: len(server.jobs) == 1, SECONDS)
    job = session.job_of(scene).id
    in_3d = reopen(connected, tmp_path / "a.blend")
    assert session.job_of(bpy.context.scene).then == ("edit_scene", "mesh")
    server.manual = False
    server.finish(job)
    connect(connected, server.file)
    session.wait_for_all_jobs(bpy.context.scene, SECONDS)
    check_mesh(server, "turn the ball blue")
    assert in_3d.field


def test_undo_takes_the_mesh_back_and_keeps_the_running_chain(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    run(connected, "capture_scene")
    bpy.ops.ed.undo_push(message="before")
    server.manual = True
    OPS.all_in_3d()
    session = connected.session
    session.wait(lambda: len(server.jobs) == 1, SECONDS)
    bpy.ops.ed.undo_push(message="something")
    bpy.ops.ed.undo()
    running = session.job_of(bpy.context.scene)
    assert running.then == ("edit_scene", "mesh")
    server.manual = False
    server.finish(running.id)
    session.wait_for_all_jobs(bpy.context.scene, SECONDS)
    check_mesh(server, "turn the ball blue")
    bpy.ops.ed.undo()
    assert "Watch Your Steps" not in bpy.data.collections
    bpy.ops.ed.redo()
    check_mesh(server, "turn the ball blue")


def test_the_backend_has_lost_the_capture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    run(connected, "capture_scene")
    server.scenes.captures.clear()
    reopen(connected, tmp_path / "a.blend")
    connect(connected, server.file)
    session = connected.session
    session.wait(lambda: session.message_of(bpy.context.scene) != "", SECONDS)
    assert session.message_of(bpy.context.scene) == f"{NOT_HERE}."
    with pytest.raises(RuntimeError, match=NOT_HERE):
        OPS.all_in_3d()
    run(connected, "capture_scene")
    run(connected, "all_in_3d")
    check_mesh(server, "turn the ball blue")


def test_another_backend_does_not_make_the_scene_forget_its_capture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    protocol: ModuleType,
    tmp_path: Path,
) -> None:
    """Hours of work lie at the one that has it."""
    run(connected, "capture_scene")
    run(connected, "train_scene")
    run(connected, "edit_scene")
    kept = in_3d.capture, in_3d.field, in_3d.edit
    with FakeServer(protocol, tmp_path / "another.json") as another:
        connect(connected, another.file)
        session = connected.session
        session.wait(lambda: session.message_of(scene) == f"{NOT_HERE}.", SECONDS)
        with pytest.raises(RuntimeError, match=NOT_HERE):
            OPS.train_scene()
        assert (in_3d.capture, in_3d.field, in_3d.edit) == kept
        connect(connected, server.file)
    session.wait(lambda: not session.state.lacking, SECONDS)
    run(connected, "bring_mesh")
    check_mesh(server, "turn the ball blue")


def test_a_capture_that_is_not_here_is_only_forgotten(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    run(connected, "capture_scene")
    connected.session.state.lacking.add(in_3d.capture)
    OPS.drop_capture()
    assert in_3d.capture == ""
    assert "only this scene has forgotten it" in connected.session.message_of(scene)
    assert len(server.scenes.captures) == 1


def test_a_job_finds_that_the_backend_has_lost_the_capture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    run(connected, "capture_scene")
    server.manual = True
    OPS.train_scene()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    server.fail(job, "unknown_capture", "This capture is not kept.")
    with pytest.raises(connected.session.SessionError, match=NOT_HERE):
        connected.session.wait_for_job(scene, SECONDS)
    assert in_3d.sealed
    with pytest.raises(RuntimeError, match=NOT_HERE):
        OPS.train_scene()


@pytest.mark.parametrize("defect", [ZeroDivisionError, ValueError])
def test_a_defect_ends_the_job(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
    defect: type[Exception],
) -> None:
    """And is told, as the timer tells what `drain` raises; numpy's own are no refusals."""

    def spoiled(*_: object) -> None:
        raise defect("could not broadcast")

    upload = importlib.import_module(f"{installed}.jobs.upload")
    monkeypatch.setattr(upload, "taking_view", spoiled)
    OPS.capture_scene()
    with pytest.raises(defect):
        connected.session.wait(lambda: False, SECONDS)
    connected.session.drain()
    assert connected.session.job_of(scene) is None
    assert "defect" in connected.session.message_of(scene)


def test_a_picture_becomes_an_icon(connected: SimpleNamespace) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    thumbnails = connected.thumbnails
    thumbnails.icon("preview", pixels)
    made = thumbnails._icons["preview"]
    assert tuple(made.image_size) == (9, 6)
    values = np.array(made.image_pixels_float[:]).reshape(6, 9, 4)
    assert np.array_equal(np.rint(values[::-1, :, :3] * 255), pixels)


@pytest.mark.parametrize("operator", ["edit_scene", "all_in_3d"])
def test_no_instruction(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    operator: str,
) -> None:
    run(connected, "capture_scene")
    scene.watch_your_steps.instruction = " "
    assert "instruction is empty" in refusal(operator)
