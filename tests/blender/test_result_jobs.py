"""Results at the render's size by buttons in a window: rendered as Blender's own jobs, and put
together in a thread. Without a window the jobs are played (test_render_jobs).
"""

import importlib
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS
from fake_server import FakeServer
from test_render_jobs import Jobs, here, jobs  # noqa: F401  # a fixture
from test_result_size import large, loaded  # noqa: F401  # a fixture

OPS = bpy.ops.watch_your_steps


def press(installed: str, name: str, **given: object) -> set[str]:
    """What a button does in a window."""
    module = importlib.import_module(f"{installed}.ui.operators_output")
    kind = getattr(module, name)
    operator = SimpleNamespace(in_window=True, bl_label=kind.bl_label, **given)
    operator.result_then = partial(kind.result_then, operator)
    outcome: set[str] = kind.begin(operator, bpy.context, here().edits[here().edit_index])
    return outcome


def name_file(installed: str, jobs: Jobs, path: Path) -> None:  # noqa: F811
    """What *Save As* does with what was typed into the file browser."""
    press(installed, "WYS_OT_save_result", filepath=str(path))
    assert jobs.copy is None, "the 3D view, which the browser has hidden, is not drawn yet"
    jobs.module.settle()  # as for a file that is saved
    jobs.module.look()  # before it is drawn
    jobs.module.settle()
    assert jobs.copy is None
    assert jobs.module.is_running()
    jobs.module.look()
    assert jobs.copy is not None


def bytes_of(image: bpy.types.Image) -> bytes:
    return bytes(image.packed_file.data)


@pytest.fixture
def by_script(large: SimpleNamespace) -> bytes:  # noqa: F811
    """The file of the result as scripts get it; the edit has none yet."""
    OPS.show_result()
    entry = here().edits[0]
    made = bytes_of(entry.full)
    for name in ("full", "full_render"):
        image = getattr(entry, name)
        setattr(entry, name, None)
        bpy.data.images.remove(image)
    return made


def test_a_button_makes_what_a_script_makes(
    large: SimpleNamespace,  # noqa: F811
    by_script: bytes,
    jobs: Jobs,  # noqa: F811
    installed: str,
) -> None:
    bpy.ops.ed.undo_push(message="before")
    assert press(installed, "WYS_OT_show_result") == {"CANCELLED"}, "no undo step of its own"
    assert jobs.locked
    assert here().edits[0].full is None
    assert "is being made" in large.session.message_of(bpy.context.scene)
    panel = importlib.import_module(f"{installed}.ui.panel")
    assert panel.icon_of(bpy.context.scene) == "SORTTIME", "no warning"
    jobs.end()
    assert bytes_of(here().edits[0].full) == by_script
    assert "open an Image Editor" in large.session.message_of(bpy.context.scene)
    assert jobs.left() == jobs.handlers
    large.session.drain()
    bpy.ops.ed.undo()
    assert here().edits[0].full is None
    assert here().edits[0].image is not None
    bpy.ops.ed.redo()
    assert bytes_of(here().edits[0].full) == by_script
    assert press(installed, "WYS_OT_show_result") == {"FINISHED"}
    assert jobs.copy is None, "it is there already"


def test_the_file_is_written_when_the_render_has_ended(
    large: SimpleNamespace,  # noqa: F811
    by_script: bytes,
    jobs: Jobs,  # noqa: F811
    installed: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.png"
    name_file(installed, jobs, path)
    assert not path.exists()
    jobs.end()
    assert "a.png was saved" in large.session.message_of(bpy.context.scene)
    panel = importlib.import_module(f"{installed}.ui.panel")
    assert panel.icon_of(bpy.context.scene) == "CHECKMARK"
    own = large.pictures.decode_png(by_script)
    assert np.array_equal(loaded(path)[..., :3], own[..., :3])


def test_light_is_laid_together_while_the_window_goes_on(
    large: SimpleNamespace,  # noqa: F811
    jobs: Jobs,  # noqa: F811
    installed: str,
    tmp_path: Path,
) -> None:
    OPS.save_result(filepath=str(tmp_path / "script.exr"))
    name_file(installed, jobs, tmp_path / "a.exr")
    assert jobs.locked
    jobs.end()
    assert "a.exr was saved" in large.session.message_of(bpy.context.scene)
    assert (tmp_path / "a.exr").read_bytes() == (tmp_path / "script.exr").read_bytes()
    assert jobs.left() == jobs.handlers
    assert len(bpy.data.scenes) == 1


def test_esc_leaves_no_result(
    large: SimpleNamespace,  # noqa: F811
    jobs: Jobs,  # noqa: F811
    installed: str,
    tmp_path: Path,
) -> None:
    images = set(bpy.data.images.keys())
    name_file(installed, jobs, tmp_path / "a.png")
    jobs.end("render_cancel")
    assert "was stopped" in large.session.message_of(bpy.context.scene)
    assert set(bpy.data.images.keys()) == images
    assert not (tmp_path / "a.png").exists()
    assert len(bpy.data.scenes) == 1
    press(installed, "WYS_OT_show_result")
    jobs.end()
    assert here().edits[0].full is not None


def test_an_edit_that_arrives_beside_the_render_does_not_mix_them_up(
    large: SimpleNamespace,  # noqa: F811
    by_script: bytes,
    jobs: Jobs,  # noqa: F811
    server: FakeServer,
    installed: str,
) -> None:
    uid = here().edits[0].uid
    OPS.edit()
    press(installed, "WYS_OT_show_result")
    large.session.wait_for_job(bpy.context.scene, SECONDS)
    assert here().edits[1].uid == uid, "the list has moved"
    jobs.end()
    assert here().edits[0].full is None
    assert bytes_of(here().edits[1].full) == by_script


@pytest.mark.parametrize("gone", ["edit", "file"])
def test_what_it_is_of_may_go_while_it_is_put_together(
    large: SimpleNamespace,  # noqa: F811
    jobs: Jobs,  # noqa: F811
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
    gone: str,
) -> None:
    module = importlib.import_module(f"{installed}.data.full_results")
    laid_over, go_on = module.render_size.laid_over, threading.Event()

    def laid_later(*given: np.ndarray) -> np.ndarray:
        go_on.wait(SECONDS)
        made: np.ndarray = laid_over(*given)
        return made

    monkeypatch.setattr(module.render_size, "laid_over", laid_later)
    press(installed, "WYS_OT_show_result")
    copy, jobs.copy = jobs.copy, None
    jobs.render_still(copy)
    jobs.module.look()
    assert jobs.module.is_running()
    if gone == "edit":
        OPS.delete_edit()
    else:
        bpy.ops.wm.read_homefile(use_empty=True)
    go_on.set()
    while jobs.module.is_running():
        jobs.module.look()
        time.sleep(0.01)
    said = large.session.message_of(bpy.context.scene)
    assert said == ("The edit was deleted while its result was made." if gone == "edit" else "")
    assert not [one for one in bpy.data.images if "full size" in one.name]


def test_an_edit_at_full_size_follows_its_render(
    large: SimpleNamespace,  # noqa: F811
    jobs: Jobs,  # noqa: F811
    installed: str,
) -> None:
    module = importlib.import_module(f"{installed}.ui.operators_output")
    module.WYS_OT_edit_full_size.start(SimpleNamespace(), bpy.context, in_window=True)
    assert large.session.job_of(bpy.context.scene) is None
    jobs.end()
    large.session.wait_for_job(bpy.context.scene, SECONDS)
    assert len(here().edits) == 2
    assert large.pictures.size_of(here().edits[0].image) > large.pictures.size_of(
        here().edits[1].image
    )
