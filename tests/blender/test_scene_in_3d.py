"""Capture, train, edit and mesh of a scene through the panel's operators, against a scripted server
over a real socket.
"""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect
from fake_scenes import CORNERS, FACES
from fake_server import FakeServer
from test_flows import refusal, submits

OPS = bpy.ops.watch_your_steps
VIEWS, SIZE = 5, 16


@pytest.fixture
def in_3d(scene: bpy.types.Scene) -> bpy.types.PropertyGroup:
    """The scene's settings, with few and small views."""
    in_3d = scene.watch_your_steps.in_3d
    in_3d.views, in_3d.size = VIEWS, SIZE
    return in_3d


@pytest.fixture
def scene_capture(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.scene_capture")


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps.in_3d


def run(addon: SimpleNamespace, operator: str) -> None:
    getattr(OPS, operator)()
    addon.session.wait_for_all_jobs(bpy.context.scene, SECONDS)


def reopen(addon: SimpleNamespace, path: Path) -> None:
    """Close Blender, as far as this process can, and open the file again."""
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_empty=True)
    addon.session.disconnect()
    addon.session.state = addon.session.State(loaded=True)
    bpy.ops.wm.open_mainfile(filepath=str(path))


# ---------------------------------------------------------------- capture


def test_a_capture_arrives_view_by_view(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    scene_capture: ModuleType,
) -> None:
    OPS.capture_scene()
    job = connected.session.job_of(scene)
    seen = []

    def ended() -> bool:
        seen.append((job.stage, round(job.fraction, 2)))
        return connected.session.job_of(scene) is None

    connected.session.wait(ended, SECONDS)
    stages = list(dict.fromkeys(stage.partition(",")[0] for stage, _ in seen))
    rendered = [stage for stage in stages if "rendering" in stage]
    assert rendered == [f"rendering view {number} of {VIEWS}" for number in range(1, VIEWS + 1)]
    assert [share for _, share in seen] == sorted(share for _, share in seen)
    kept = server.scenes.captures[in_3d.capture]
    assert kept.sealed
    assert in_3d.sealed
    assert in_3d.views_sent == in_3d.views_planned == VIEWS
    plan = scene_capture.Plan.from_json(in_3d.plan)
    for index in range(VIEWS):
        view, again = kept.views[index], scene_capture.take_view(scene, plan, index, in_3d.capture)
        assert np.array_equal(view.image, again.image)
        assert view.camera_to_world == again.camera_to_world
        assert view.image.shape == (SIZE, SIZE, 3)
        assert view.alpha is None
    assert sorted(server.scenes.put) == list(range(VIEWS))


def test_the_models_size_is_the_default(
    connected: SimpleNamespace, in_3d: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    in_3d.property_unset("size")
    run(connected, "capture_scene")
    assert server.scenes.captures[in_3d.capture].views[0].image.shape == (64, 64, 3)
    server.load("loading")
    session = connected.session
    session.wait(lambda: session.state.status.welcome.model_state == "loading", SECONDS)
    assert "still loading" in refusal("capture_scene")


def test_only_few_views_are_under_way_at_a_time(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the backend takes its time."""
    upload = importlib.import_module(f"{installed}.upload")
    taken = []
    original = upload.take_view
    monkeypatch.setattr(upload, "take_view", lambda *given: taken.append(1) or original(*given))
    told = []
    monkeypatch.setattr(connected.session.state.link, "tell", told.append)
    OPS.capture_scene()
    connected.session.drain()
    job = connected.session.job_of(scene)
    job.preparation.answered(
        upload.CaptureState(capture=job.id, views=VIEWS, missing=tuple(range(VIEWS)), sealed=False)
    )
    for _ in range(10):
        connected.session.drain()
    assert len(taken) == upload.AHEAD
    assert len(told) == 1 + upload.AHEAD
    OPS.cancel()


def test_a_lost_connection_does_not_lose_a_capture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    OPS.capture_scene()
    session = connected.session
    session.wait(lambda: len(server.scenes.put) >= 2, SECONDS)
    server.stop()
    session.wait(lambda: "was lost" in session.state.status.text, SECONDS)
    before = len(server.scenes.put)
    server.start()
    session.wait_for_job(scene, SECONDS)
    assert in_3d.sealed
    assert before < VIEWS
    assert len(server.scenes.put) <= VIEWS + 2, "only what was under way is sent again"
    opened = [m for m in server.received if isinstance(m, server.messages.OpenCapture)]
    assert len({m.capture for m in opened}) == 1
    assert len(opened) == 2


def test_cancelled_and_gone_on_with(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    OPS.capture_scene()
    session = connected.session
    session.wait(lambda: len(server.scenes.put) >= 2, SECONDS)
    OPS.cancel()
    with pytest.raises(session.SessionError, match="Capture was cancelled"):
        session.wait_for_job(scene, SECONDS)
    capture = in_3d.capture
    assert not in_3d.sealed
    assert "not captured yet" in refusal("train_scene")
    sent = len(server.scenes.put)
    run(connected, "resume_capture")
    assert in_3d.capture == capture
    assert in_3d.sealed
    assert len(server.scenes.put) <= VIEWS + 1
    assert sent < VIEWS
    assert not OPS.resume_capture.poll()


def test_blender_closed_in_the_middle_of_a_capture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    """Nothing is rendered without being asked for; the same cameras go on."""
    OPS.capture_scene()
    session = connected.session
    session.wait(lambda: len(server.scenes.put) >= 2, SECONDS)
    capture, plan = in_3d.capture, in_3d.plan
    reopen(connected, tmp_path / "a.blend")
    assert session.job_of(bpy.context.scene) is None
    assert "press Go On with Capture" in session.message_of(bpy.context.scene)
    assert (here().capture, here().plan) == (capture, plan)
    connect(connected, server.file)
    run(connected, "resume_capture")
    assert here().sealed
    assert len(server.scenes.put) <= VIEWS + 2


def test_the_backend_refuses_a_view(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    OPS.capture_scene()
    connected.session.wait(lambda: len(server.scenes.put) >= 1, SECONDS)
    server.scenes.refusal = ("bad_capture", "View 3 sees nothing.")
    with pytest.raises(connected.session.SessionError, match="Capture failed: View 3 sees nothing"):
        connected.session.wait_for_job(scene, SECONDS)


def test_a_camera_that_is_no_pinhole_is_refused_before_anything_is_sent(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    in_3d.cameras = "FRAMES"
    scene.camera.data.type = "ORTHO"
    assert "not a perspective camera" in refusal("capture_scene")
    assert in_3d.capture == ""
    assert not server.scenes.captures


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
    scene.watch_your_steps.text_guidance = 3
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
    assert train.preset == "preview"
    assert (edit.instruction, edit.threshold, edit.text_guidance) == ("turn the ball blue", 0.5, 3)
    assert edit.name.startswith("turn-the-ball-blue-")
    assert (mesh.edit, mesh.faces, mesh.texture_size) == (edit.name, 50_000, 1024)
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
    scene_mesh = importlib.import_module(f"{installed}.scene_mesh")
    scene_mesh.install_mesh(scene, result, addon.link.prepare("", result).files, "")
    for name in ("ball", "ground"):
        bpy.data.objects.remove(bpy.data.objects[name])
    bpy.ops.mesh.primitive_plane_add(size=50, location=(0, 0, -1))
    scene.render.engine, scene.world = "CYCLES", None
    scene.cycles.samples, scene.cycles.use_denoising = 4, False
    scene.render.resolution_x = scene.render.resolution_y = 64
    scene.camera.location, scene.camera.rotation_euler = (0, 0, 5.5), (0, 0, 0)
    render = addon.pictures.decode_png(addon.capture.capture(bpy.context.scene, 64)).astype(int)
    for columns, colour in ((slice(22, 28), texture[0, 0]), (slice(36, 42), texture[0, 15])):
        assert np.abs(render[22:42, columns] - colour.astype(int)).max() <= 4
    assert render[:4].max() < 20


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


def test_the_edit_is_seen_by_the_camera_as_it_is_now(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    installed: str,
) -> None:
    pinhole = importlib.import_module(f"{installed}.pinhole")
    panel = importlib.import_module(f"{installed}.panel")
    assert "not trained yet" in refusal("render_view")
    assert "not trained yet" in refusal("render_frames")
    for operator in ("capture_scene", "train_scene", "render_view"):
        run(connected, operator)
    assert submits(server)[-1].request.edit is None
    settings = scene.watch_your_steps
    first = settings.scene_image
    run(connected, "edit_scene")
    scene.camera.data.shift_x = 0.1
    run(connected, "render_view")
    request = submits(server)[-1].request
    assert (request.capture, request.edit) == (in_3d.capture, in_3d.edit)
    width, height = request.width, request.height
    assert max(width, height) == min(settings.max_side, scene.render.resolution_x)
    true = pinhole.pinhole_of(scene, scene.camera, width, height)
    np.testing.assert_allclose(request.camera_to_world, true.camera_to_world[None])
    np.testing.assert_allclose(request.intrinsics, [(true.fx, true.fy, true.cx, true.cy)])
    shown = settings.scene_image
    assert shown != first
    assert shown.packed_file is not None
    pixels = connected.pictures.read_rgb(shown)
    assert pixels.shape == (height, width, 3)
    assert (pixels[0, 0] == 250).all()
    assert (pixels[1:] == 1).all()
    assert settings.view == "IN_3D"
    assert not panel.has_moved(scene)
    scene.camera.location.x += 1
    bpy.context.view_layer.update()
    assert panel.has_moved(scene)
    scene.camera.data.type = "ORTHO"
    assert "not a perspective camera" in refusal("render_view")
    scene.camera = None
    assert "no active camera" in refusal("render_frames")


def test_a_film_of_the_edit_lies_in_the_output_folder(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    """Every frame where the camera is then; what is there already is left alone."""
    for operator in ("capture_scene", "train_scene", "edit_scene"):
        run(connected, operator)
    scene.frame_start, scene.frame_end, scene.frame_step = 3, 8, 2
    for frame in range(1, 11):
        scene.camera.location = (frame, -6, 3)
        scene.camera.keyframe_insert("location", frame=frame)
    scene.frame_set(1)
    scene.render.filepath = str(tmp_path / "film" / "shot")
    (tmp_path / "film").mkdir()
    own = tmp_path / "film" / "shot0003.png"
    own.write_bytes(b"the artist's own")
    run(connected, "render_frames")
    request = submits(server)[-1].request
    assert request.edit == in_3d.edit
    np.testing.assert_allclose(request.camera_to_world[:, 0, 3], [3, 5, 7], atol=1e-5)
    assert scene.frame_current == 1
    files = sorted(path.name for path in (tmp_path / "film").iterdir())
    names = [f"shot_{in_3d.edit}_{frame:04d}.png" for frame in (3, 5, 7)]
    assert files == sorted([*names, own.name])
    assert own.read_bytes() == b"the artist's own"
    for number, name in enumerate(names):
        image = bpy.data.images.load(str(tmp_path / "film" / name))
        pixels = connected.pictures.read_rgb(image)
        assert (pixels[1:] == number + 1).all()
    assert f"{names[0]} to {names[2]} are in" in in_3d.film

    (tmp_path / "blocked").write_bytes(b"")
    scene.render.filepath = str(tmp_path / "blocked" / "shot")
    assert "choose another output path" in refusal("render_frames")
    scene.render.filepath = "//shot"
    assert "save the file first" in refusal("render_frames")


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
    reopen(connected, tmp_path / "a.blend")
    assert session.job_of(bpy.context.scene).then == ("edit_scene", "mesh")
    server.manual = False
    server.finish(job)
    connect(connected, server.file)
    session.wait_for_all_jobs(bpy.context.scene, SECONDS)
    check_mesh(server, "turn the ball blue")
    assert here().field


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
    assert session.message_of(bpy.context.scene) == "send it anew"
    assert here().capture == ""
    run(connected, "all_in_3d")
    check_mesh(server, "turn the ball blue")


def test_a_capture_is_deleted(
    connected: SimpleNamespace, in_3d: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    assert not OPS.drop_capture.poll()
    run(connected, "capture_scene")
    server.stop()
    session = connected.session
    session.wait(lambda: "was lost" in session.state.status.text, SECONDS)
    assert "was lost" in refusal("drop_capture")
    server.start()
    session.wait_for_connection(SECONDS)
    OPS.drop_capture()
    session.wait(lambda: in_3d.capture == "", SECONDS)
    assert not in_3d.sealed
    assert not server.scenes.captures


def test_what_was_brought_is_not_captured_again(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    bpy.ops.object.select_all(action="DESELECT")
    run(connected, "all_in_3d")
    first = server.scenes.captures[in_3d.capture]
    bpy.data.objects["turn the ball blue"].location.z = 2  # above everything
    run(connected, "capture_scene")
    second = server.scenes.captures[in_3d.capture]
    assert first is not second
    for index in range(VIEWS):
        assert second.views[index].camera_to_world == first.views[index].camera_to_world
        assert np.array_equal(second.views[index].image, first.views[index].image)
    assert not bpy.data.collections["Watch Your Steps"].hide_render


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
    with pytest.raises(connected.session.SessionError, match="This capture is not kept"):
        connected.session.wait_for_job(scene, SECONDS)
    assert in_3d.capture == ""
    assert not in_3d.sealed


def test_a_defect_ends_the_job(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And is told, as the timer tells what `drain` raises."""
    upload = importlib.import_module(f"{installed}.upload")
    monkeypatch.setattr(upload, "take_view", lambda *given: 1 // 0)
    OPS.capture_scene()
    with pytest.raises(ZeroDivisionError):
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
