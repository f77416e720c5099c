"""Textures, fields and their edits over a real socket: a real server process, its worker killed."""

import json
import os
import signal
import sys

import msgspec
import numpy as np
import pytest

from backend.editing import Editor
from backend.meshes.texture_edit import MeshEditConfig, edit_mesh
from backend.work_lock import InUse, alone
from protocol.client import Client, JobCancelled
from protocol.line import ServerError
from protocol.messages import (
    Cancelled,
    DropCapture,
    Error,
    Failed,
    FieldState,
    GetScene,
    OpenCapture,
    Progress,
    PutView,
)
from protocol.requests import (
    EditSceneRequest,
    MeshViews,
    SceneMeshRequest,
    TextureRelevanceRequest,
    TextureRequest,
    TrainSceneRequest,
)
from protocol.settings import MapSettings
from protocol.values import new_capture_id
from tests.backend.server_scene_checks import (
    CAMERA,
    check_meshes,
    check_renders,
    check_textures,
    scene_texture_request,
)
from tests.backend.test_capture_server import ask
from tests.backend.test_mesh_edit import around, ball_mesh, two_halves, unlit_views
from tests.backend.test_server import PATIENCE, _child_of, running_server
from tests.backend.tiny_capture import orbit_pose, trace
from tests.protocol.flat import changed, flat

VIEWS, STEPS = 16, 150
INSTRUCTION = "make the sphere red"


def send_scene(client):
    """The two spheres, from all sides; returns the capture's id."""
    capture = new_capture_id()

    def view(index):
        pose = orbit_pose(2 * np.pi * index / VIEWS, (0.4, 0.7, 0.55)[index % 3])
        return PutView(
            capture=capture,
            index=index,
            name=f"Side {index}",
            image=trace(pose, CAMERA)[0],
            fx=CAMERA.fx,
            fy=CAMERA.fy,
            cx=CAMERA.cx,
            cy=CAMERA.cy,
            camera_to_world=tuple(pose.reshape(-1).tolist()),
        )

    assert client.send_capture(capture, VIEWS, view).sealed
    return capture


def step_in(event):
    """The step that words of progress name, or None."""
    words = event.stage.split() if isinstance(event, Progress) else []
    return int(words[2]) if words[:2] == ["Training,", "step"] else None


@pytest.fixture(scope="module")
def server(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    with running_server(tiny_model, folder, "--data-root", str(folder / "data")) as running:
        yield folder / "data", *running


@pytest.fixture(scope="module")
def trained(server):
    """A capture whose field has had as many steps as it takes to see a surface."""
    with Client(server[2], "the tests") as client:
        client.connect(PATIENCE)
        capture = send_scene(client)
        client.run(flat(TrainSceneRequest, capture=capture, iterations=STEPS))
    return capture


@pytest.fixture
def client(server):
    with Client(server[2], "the tests") as connected:
        connected.connect(PATIENCE)
        yield connected


# ------------------------------------------------------------------ textures


def texture_request():
    mesh = ball_mesh(two_halves(64))
    views = unlit_views(mesh, around(3))
    camera = views[0].intrinsics
    return flat(
        TextureRequest,
        corners=mesh.corners,
        uvs=mesh.uvs,
        occluders=mesh.occluders,
        texture=mesh.texture,
        views=np.stack([view.image for view in views]),
        intrinsics=(camera.fx, camera.fy, camera.cx, camera.cy),
        camera_to_world=np.stack([view.camera_to_world for view in views]),
        lit=False,
        instruction=INSTRUCTION,
        relevance_seeds=(0, 1),
        steps=2,
        rounds=1,
        seed=3,
    )


def test_a_texture_comes_back_as_the_function_makes_it(client, tiny_model):
    mesh = ball_mesh(two_halves(64))
    config = MeshEditConfig(lit=False, relevance_seeds=(0, 1), steps=2, rounds=1, seed=3)
    editor = Editor.from_pretrained(str(tiny_model), device="cpu")
    expected = edit_mesh(mesh, unlit_views(mesh, around(3)), INSTRUCTION, editor, config)
    events = []
    result = client.run(texture_request(), events.append)
    assert (result.texture == expected.texture).all()
    assert (result.region == expected.region).all()
    assert (result.relevance == expected.relevance).all()
    assert result.threshold == expected.threshold
    assert result.applies == expected.applies
    assert 0 < result.edited_share < 1
    assert 0 < result.rerender_difference < 1
    outside = ~result.region
    assert (result.texture[outside] == mesh.texture[outside]).all()
    assert any(e.preview is not None for e in events if isinstance(e, Progress))


def test_labels_of_triangles_arrive_and_what_the_region_took_comes_back(client, tiny_model):
    mesh = ball_mesh(two_halves(64))
    labels = (mesh.corners[:, :, 2].mean(axis=1) > 0).astype(np.int32) * 70_000
    config = MeshEditConfig(lit=False, relevance_seeds=(0, 1), steps=2, rounds=1, seed=3)
    editor = Editor.from_pretrained(str(tiny_model), device="cpu")
    views = unlit_views(mesh, around(3))
    expected = edit_mesh(mesh, views, INSTRUCTION, editor, config, things=labels)
    result = client.run(changed(texture_request(), things=labels))
    assert (result.texture == expected.texture).all()
    assert (result.took, result.of_things) == (expected.took, expected.things)
    assert (expected.why in result.notes) == bool(expected.why)
    asked = client.run(changed(texture_request(), things=labels, snap="nothing"))
    assert (asked.took, asked.of_things) == ("nothing", "")


def relevance_request(**values):
    asked = texture_request()
    shared = {name: getattr(asked, name) for name in MeshViews.__struct_fields__}
    maps = MapSettings(relevance_seeds=(0, 1))
    values = {"instruction": INSTRUCTION, "maps": maps} | values
    return TextureRelevanceRequest(**shared, **values)


def test_a_textures_relevance_comes_back_and_its_mask_is_edited_and_nothing_else(client):
    """The preview, thresholded by the client, is the region of the edit in one go."""
    events = []
    whole = client.run(changed(texture_request(), snap="nothing"))
    found = client.run(relevance_request(), events.append)
    assert (found.relevance == whole.relevance).all()
    assert found.suggested_threshold == whole.threshold
    assert found.applies == whole.applies
    assert found.edges.any()
    assert (found.edges != found.relevance).any()
    assert 0.5 < found.seen_share <= 1
    assert any(e.preview is not None for e in events if isinstance(e, Progress))
    mask = found.relevance >= np.float32(found.suggested_threshold)
    edited = client.run(changed(texture_request(), mask=mask))
    assert (edited.relevance, edited.threshold, edited.applies) == (None, None, None)
    assert (edited.region == whole.region).all()
    assert (edited.texture == whole.texture).all()


def test_the_mask_of_a_texture_edit_may_be_any(client):
    request = texture_request()
    mask = np.zeros(request.texture.shape[:2], np.bool_)
    mask[10:20, 5:40] = True
    result = client.run(changed(request, mask=mask))
    assert result.region[mask].all()
    assert (result.texture[~result.region] == request.texture[~result.region]).all()
    assert (result.texture[mask] != request.texture[mask]).any()
    with pytest.raises(ServerError, match="mask holds no texel of the mesh"):
        client.run(changed(request, mask=np.zeros_like(mask)))
    with pytest.raises(ValueError, match="mask must have the shape"):
        changed(request, mask=mask[1:])


def test_relevance_with_labels_of_things_gives_each_thing_one_value(client):
    mesh = ball_mesh(two_halves(64))
    labels = (mesh.corners[:, :, 2].mean(axis=1) > 0).astype(np.int32)
    edited = client.run(changed(texture_request(), things=labels))
    found = client.run(relevance_request(things=labels))
    assert found.of_things == edited.of_things
    if edited.took == "things":
        assert (found.things == edited.relevance).all()
    else:
        assert found.things is None
        assert (found.edges == edited.relevance).all()


def test_a_texture_without_a_region_stays_and_a_note_says_so(client):
    request = changed(texture_request(), threshold=1.0, relevance_seeds=(0,))
    result = client.run(request)
    assert (result.texture == request.texture).all()
    assert result.rerender_difference is None
    assert result.notes[0].startswith("Unchanged: no texel reaches the threshold of 1.00")


def test_a_texture_edit_is_cancelled_within_a_step(client):
    with pytest.raises(JobCancelled):
        client.run(
            changed(texture_request(), steps=1000, rounds=20),
            lambda event: client.cancel(event.job) if isinstance(event, Progress) else None,
        )


def test_a_mesh_that_cannot_be_painted_is_refused_in_words(client):
    request = texture_request()
    poses = request.camera_to_world * np.array([2, 1, 1, 1.0])
    with pytest.raises(ServerError, match="camera_to_world must be a rigid 4x4") as refused:
        client.run(msgspec.structs.replace(request, camera_to_world=poses))
    assert refused.value.code == "bad_input"


# ------------------------------------------------------------------ training


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the worker in /proc")
def test_a_training_goes_on_after_a_cancel_and_after_a_kill(client, server):
    capture = send_scene(client)
    assert client.scene(capture).field is None
    long = flat(TrainSceneRequest, capture=capture, iterations=100_000)
    job = client.submit(long)
    for event in client.events(job):
        if step_in(event):
            client.cancel(job)
    assert isinstance(event, Cancelled)
    assert "it goes on from there" in event.message
    kept = client.scene(capture).field
    assert kept.steps > 0
    assert not kept.finished

    job = client.submit(long)
    killed = False
    for event in client.events(job):
        if step_in(event) and not killed:
            assert step_in(event) > kept.steps
            os.kill(_child_of(server[1].pid), signal.SIGKILL)
            killed = True
    assert isinstance(event, Failed)
    assert event.code == "worker_died"
    assert "send it again, and it goes on" in event.message

    steps = []
    result = client.run(
        flat(TrainSceneRequest, capture=capture, iterations=kept.steps + 3),
        lambda event: steps.append(step_in(event)),
    )
    assert result.steps == kept.steps + 3
    assert min(filter(None, steps)) > kept.steps  # nothing was done twice
    assert any(f"went on from step {kept.steps}" in note for note in result.notes)
    assert client.scene(capture).field == FieldState(
        steps=result.steps,
        iterations=result.steps,
        finished=True,
        held_out_psnr=result.held_out_psnr,
    )


def test_a_field_that_is_there_is_returned_at_once(client, trained):
    events = []
    result = client.run(flat(TrainSceneRequest, capture=trained, iterations=STEPS), events.append)
    assert result.steps == STEPS
    assert not any(map(step_in, events))
    assert result.preview.shape == (24, 24, 3)
    assert result.seconds > 0


def test_training_shows_steps_and_pictures_and_another_preset_needs_a_new_beginning(client):
    capture = send_scene(client)
    events = []
    first = client.run(flat(TrainSceneRequest, capture=capture, iterations=3), events.append)
    assert first.steps == 3
    progress = [event for event in events if step_in(event)]
    assert progress[-1].stage.startswith("Training, step 3 of 3")
    assert progress[-1].preview.shape == (24, 24, 3)
    with pytest.raises(ServerError, match=r"another preset than medium.*train anew") as refused:
        client.run(flat(TrainSceneRequest, capture=capture, iterations=1, preset="medium"))
    assert refused.value.code == "bad_input"
    anew = flat(TrainSceneRequest, capture=capture, iterations=2, preset="medium", anew=True)
    assert client.run(anew).steps == 2


# ------------------------------------------------------------------ refusals


def test_captures_that_are_not_there_or_not_whole_are_refused(client):
    capture = new_capture_id()
    with pytest.raises(ServerError, match="does not have this capture") as refused:
        client.run(flat(TrainSceneRequest, capture=capture))
    assert refused.value.code == "unknown_capture"
    with pytest.raises(ServerError, match="does not have this capture"):
        client.scene(capture)
    ask(client, OpenCapture(capture=capture, views=5))
    with pytest.raises(ServerError, match=r"not complete \(0 of 5 views have come\)") as refused:
        client.run(flat(TrainSceneRequest, capture=capture))
    assert refused.value.code == "bad_capture"
    state = client.scene(capture)
    assert (state.views, state.sealed, state.field, state.edits) == (5, False, None, ())


def test_edits_and_meshes_need_a_field(client, server):
    capture = send_scene(client)
    edit = flat(EditSceneRequest, capture=capture, name="red", instruction=INSTRUCTION)
    for request in (edit, flat(SceneMeshRequest, capture=capture)):
        with pytest.raises(ServerError, match="The capture holds no trained field") as refused:
            client.run(request)
        assert refused.value.code == "bad_input"
        assert str(server[0]) not in str(refused.value)
    with pytest.raises(ServerError, match="The scene has no edit red"):
        client.run(flat(SceneMeshRequest, capture=capture, edit="red"))


def test_a_capture_in_use_stays_and_names_its_jobs(client):
    capture = send_scene(client)
    long = flat(TrainSceneRequest, capture=capture, iterations=100_000)
    jobs = client.submit(long), client.submit(long)
    events = client.events(jobs[0])
    while step_in(next(events)) is None:
        pass
    assert client.scene(capture).jobs == jobs
    refused = ask(client, DropCapture(capture=capture))
    assert isinstance(refused, Error)
    assert refused.code == "in_use"
    with pytest.raises(ServerError, match="A job uses this capture"):
        client.undo_scene_edit(capture, "red")
    for job in reversed(jobs):
        client.cancel(job)
    assert isinstance(list(events)[-1], Cancelled)
    assert client.scene(capture).jobs == ()
    assert ask(client, DropCapture(capture=capture)).views == 0
    client.send(GetScene(capture=capture))
    with pytest.raises(ServerError, match="does not have this capture"):
        client.scene(capture)


def test_a_capture_that_another_backend_works_on_is_left_alone(client, server, trained):
    folder = server[0] / "captures" / trained
    with alone(folder):
        with pytest.raises(ServerError, match="Another backend") as refused:
            client.run(flat(TrainSceneRequest, capture=trained, iterations=STEPS))
        assert refused.value.code == "in_use"
        with pytest.raises(InUse), alone(folder):
            pass
    assert client.run(flat(TrainSceneRequest, capture=trained, iterations=STEPS)).steps == STEPS


# ------------------------------------------------------------------ edits


def edit_request(capture, **changes):
    settings = {"name": "red", "instruction": INSTRUCTION, "iterations": 12, "steps": 2}
    return flat(EditSceneRequest, capture=capture, **(settings | changes))


def test_an_edit_is_paused_gone_on_with_meshed_stacked_and_undone(client, server, trained):
    def pause(event):
        if isinstance(event, Progress) and event.fraction > 0.15 / 12:  # one of 14 maps is kept
            client.cancel(event.job)

    with pytest.raises(JobCancelled):
        client.run(edit_request(trained), pause)
    with pytest.raises(ServerError, match="The edit red is not finished"):
        client.run(flat(SceneMeshRequest, capture=trained, edit="red"))
    with pytest.raises(ServerError, match="The edit red is not finished"):
        client.run(scene_texture_request(trained))
    (begun,) = client.scene(trained).edits
    assert (begun.name, begun.finished, begun.instruction) == ("red", False, INSTRUCTION)
    with pytest.raises(ServerError, match="edit red already, of another instruction"):
        client.run(edit_request(trained, instruction="make the sphere blue"))

    events = []
    result = client.run(edit_request(trained), events.append)
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert not any(stage.startswith("Relevance of view 1 ") for stage in stages)  # it was kept
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert result.threshold == 0.5
    assert result.edited_views >= 1
    assert 1 <= len(result.pictures) <= 4
    for picture in result.pictures:
        assert picture.before.shape == picture.after.shape == (24, 24, 3)
        assert picture.relevance.min() >= 0
        assert picture.relevance.max() <= 1
        assert picture.view.endswith(".png")
    assert 0 < result.edited_share < 1
    assert result.change_inside > 0
    again = []
    assert client.run(edit_request(trained), again.append).threshold == result.threshold
    assert not any(step_in(event) for event in again)

    check_meshes(client, trained)
    check_textures(client, server[0] / "captures" / trained)
    check_renders(client, server[0] / "captures" / trained)
    stacked = edit_request(trained, name="blue", base="red", relevance=False)
    result = client.run(stacked)
    assert (result.edited_share, result.change_inside) == (None, None)  # there is no field for it
    assert result.threshold is None  # each view had its own
    assert all(picture.relevance is None for picture in result.pictures)
    assert [(edit.name, edit.base, edit.finished) for edit in client.scene(trained).edits] == [
        ("red", None, True),
        ("blue", "red", True),
    ]
    with pytest.raises(ServerError, match="The edit blue is stacked on red"):
        client.undo_scene_edit(trained, "red")
    assert [edit.name for edit in client.undo_scene_edit(trained, "blue").edits] == ["red"]
    assert client.undo_scene_edit(trained, "red").edits == ()
    assert client.undo_scene_edit(trained, "red").edits == ()
    assert client.scene(trained).field.finished


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without a word")
def test_a_stopped_server_keeps_what_was_trained(tiny_model, tmp_path):
    data = tmp_path / "data"
    with running_server(tiny_model, tmp_path, "--data-root", str(data)) as (process, connection):
        with Client(connection, "the tests") as client:
            client.connect(PATIENCE)
            capture = send_scene(client)
            job = client.submit(flat(TrainSceneRequest, capture=capture, iterations=100_000))
            seen = 0
            for event in client.events(job):
                if step_in(event) and not seen:
                    seen = step_in(event)
                    process.send_signal(signal.SIGTERM)
        assert isinstance(event, Failed)
        assert event.code == "server_stopped"
        assert process.wait(60) == 0
    kept = json.loads((data / "captures" / capture / ".wys" / "radiance.json").read_text())
    assert kept["step"] >= seen


@pytest.mark.parametrize("method", ["consistent_views", "score_distillation"])
def test_an_edit_is_made_by_the_method_that_is_asked_for(client, trained, method):
    asked = flat(
        EditSceneRequest,
        capture=trained,
        name=method.replace("_", "-"),
        instruction=INSTRUCTION,
        threshold=0.1,
        iterations=4,
        steps=1,
        method=method,
    )
    events = []
    result = client.run(asked, events.append)
    assert result.edited_views > 0
    assert result.pictures
    words = [event.stage for event in events if isinstance(event, Progress)]
    edited = any(one.startswith("Editing") for one in words)
    assert edited == (method == "consistent_views")
    with pytest.raises(ServerError, match="another instruction, model or setting"):
        client.run(changed(asked, method="dataset_update"))
    with pytest.raises(ServerError, match="another preset than paper"):
        client.run(changed(asked, name="paper-way", preset="paper", method="score_distillation"))


def test_an_edit_as_in_the_paper_by_the_server_says_what_it_does_not_do(client, trained):
    """Its preset's own region where none is asked for, and a sentence where another is."""
    asked = flat(
        EditSceneRequest,
        capture=trained,
        name="paper",
        instruction=INSTRUCTION,
        preset="paper",
        threshold=0.4,
        iterations=2,
        steps=1,
    )
    with pytest.raises(ServerError, match="snap it to nothing, or take another preset"):
        client.run(changed(asked, snap="things"))
    events = []
    result = client.run(changed(asked, detail="sharp"), events.append)
    assert result.threshold == 0.4
    assert result.applies is None
    words = [event.stage for event in events if isinstance(event, Progress)]
    assert any(one.startswith("Relevance of a view, 100%") for one in words)
    with pytest.raises(ServerError, match="another instruction, model or setting"):
        client.run(asked)  # a sharp edit is another one
