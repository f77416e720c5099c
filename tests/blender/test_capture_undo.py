"""Undo and closing around a capture, which takes long: what was rendered is not lost."""

from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest
from driving import SECONDS, VIEWS, here
from fake_server import FakeServer
from test_edit_frames import in_window  # noqa: F401  # a fixture
from test_render_jobs import Jobs, jobs  # noqa: F401  # a fixture
from test_view_render_jobs import end_all, next_render, windowed  # noqa: F401  # a fixture

OPS = bpy.ops.watch_your_steps


def move(steps: int) -> None:
    """What the artist does otherwise."""
    for number in range(steps):
        bpy.data.objects["ball"].location.x = number
        bpy.ops.ed.undo_push(message=f"move {number}")


@pytest.mark.parametrize("operator", ["capture_scene", "all_in_3d"])
def test_the_file_is_unsaved_from_the_beginning_on(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    operator: str,
    tmp_path: Path,
) -> None:
    """Else Blender closes without asking, and nothing knows the capture any more."""
    here().instruction = "turn the ball blue"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    if bpy.data.is_dirty:
        pytest.skip("Without a window this Blender counts no file as saved.")
    getattr(OPS, operator)("EXEC_DEFAULT", True)  # as a button does, with an undo step
    assert bpy.data.is_dirty
    connected.session.cancel(scene)
    connected.session.wait(lambda: connected.session.job_of(here().id_data) is None, SECONDS)


def test_an_undo_in_its_middle_leaves_what_was_sent(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    windowed: Jobs,  # noqa: F811
    server: FakeServer,
) -> None:
    """It could not go on where it was cancelled after that."""
    move(3)
    OPS.capture_scene()
    capture = in_3d.capture
    for _ in range(3):
        next_render(connected, windowed)
        windowed.end()
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    assert here().in_3d.capture == capture
    assert here().in_3d.views_planned == VIEWS
    connected.session.cancel(bpy.context.scene)
    if windowed.copy is not None:
        windowed.end()
    connected.session.wait(lambda: connected.session.job_of(bpy.context.scene) is None, SECONDS)
    sent = len(server.scenes.put)
    assert sent > 0
    OPS.resume_capture()
    end_all(connected, windowed)
    assert here().in_3d.sealed
    assert here().in_3d.capture == capture
    assert len(server.scenes.put) == VIEWS


def test_an_undo_after_its_end_can_be_taken_back(
    connected: SimpleNamespace, scene: bpy.types.Scene, in_3d: bpy.types.PropertyGroup
) -> None:
    move(2)
    OPS.capture_scene("EXEC_DEFAULT", True)
    connected.session.wait_for_all_jobs(scene, SECONDS)
    capture = in_3d.capture
    OPS.train_scene()
    connected.session.wait_for_all_jobs(scene, SECONDS)
    field = in_3d.field
    move(2)
    for _ in range(2):
        bpy.ops.ed.undo()
        assert (here().in_3d.capture, here().in_3d.sealed) == (capture, True)
        assert here().in_3d.field == field
    for _ in range(3):
        bpy.ops.ed.undo()
    assert here().in_3d.capture == ""
    for _ in range(5):
        bpy.ops.ed.redo()
    assert (here().in_3d.capture, here().in_3d.sealed) == (capture, True)
    assert here().in_3d.field == field
