"""Renders of the scene in 3D through the panel's operators, against a scripted server over a real
socket.
"""

import importlib
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
from driving import run
from fake_server import FakeServer
from test_flows import refusal, submits


def test_the_edit_is_seen_by_the_camera_as_it_is_now(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    installed: str,
) -> None:
    pinhole = importlib.import_module(f"{installed}.render.pinhole")
    panel = importlib.import_module(f"{installed}.ui.panel")
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


def test_a_film_that_is_too_large_is_refused_before_its_first_frame(
    connected: SimpleNamespace, scene: bpy.types.Scene, in_3d: bpy.types.PropertyGroup
) -> None:
    run(connected, "capture_scene")
    run(connected, "train_scene")
    scene.render.resolution_x = scene.render.resolution_y = 1024
    scene.watch_your_steps.max_side = 1024
    scene.frame_end = 86  # of 3 MiB each
    sentence = refusal("render_frames")
    assert "86 frames of 1024x1024" in sentence
    assert "at most 256 MiB of them: render fewer at a time, or smaller ones." in sentence
    assert connected.session.job_of(scene) is None
