"""A disk that is full, and a folder for temporary files that cannot be written to."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import bpy
import image_files
import pytest
from driving import SECONDS, edit, here, preview
from fake_server import FakeServer
from test_edit_frames import in_window  # noqa: F401  # a fixture
from test_image_source import choose, colours, load
from test_render_jobs import Jobs, jobs  # noqa: F401  # a fixture
from test_texture_edit import node, thing  # noqa: F401  # fixtures
from test_udim import box  # noqa: F401  # a fixture
from test_view_render_jobs import next_render, windowed  # noqa: F401  # a fixture

resource = pytest.importorskip("resource", reason="Windows limits no files")

OPS = bpy.ops.watch_your_steps
LIMIT = 500
"""Bytes that a file may have on a disk that is full: less than all that is written here."""
SAID = re.compile(r"A temporary file could not be written to (\S+) \(.+\): free some space there")
Disk = Callable[[], AbstractContextManager[None]]


@contextmanager
def full() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def in_the_way() -> Iterator[None]:
    """A file is where Blender's folder was."""
    folder = Path(bpy.app.tempdir)
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("in the way")
    try:
        yield
    finally:
        folder.unlink()
        folder.mkdir()


@pytest.fixture
def disk(capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Iterator[Disk]:
    """Of the kind that the test asks for; what Blender prints goes into no file meanwhile."""
    with capfd.disabled():
        yield request.param


BOTH = pytest.mark.parametrize("disk", [full, in_the_way], indirect=True)
FULL = pytest.mark.parametrize("disk", [full], indirect=True)


def said_by(addon: SimpleNamespace, operator: Callable[..., object], **options: object) -> str:
    """What the panel says of an operator that does not work, or whose job fails."""
    with suppress(RuntimeError):  # what it says is in the panel, too
        operator(**options)
    wait(addon)
    sentence: str = addon.session.message_of(bpy.context.scene)
    return sentence


def wait(addon: SimpleNamespace) -> None:
    """Until no job is there any more."""
    scene = bpy.context.scene
    addon.session.wait(lambda: addon.session.job_of(scene) is None, SECONDS)


def a_render(_: Path) -> None:
    """The picture that one begins with."""


def the_render_result(_: Path) -> None:
    here().source.kind = "RESULT"
    bpy.ops.render.render()


def an_image(folder: Path) -> None:
    choose(load(folder / "photo.png", image_files.png(colours())))


@BOTH
@pytest.mark.parametrize("source", [a_render, the_render_result, an_image])
def test_no_picture_is_taken(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    disk: Disk,
    source: Callable[[Path], None],
    tmp_path: Path,
) -> None:
    source(tmp_path)
    scenes = len(bpy.data.scenes)
    with disk():
        said = said_by(connected, OPS.preview_relevance)
    assert SAID.search(said), said
    assert len(bpy.data.scenes) == scenes
    preview(connected, scene)
    assert here().relevance_image is not None


@BOTH
def test_a_capture_fails_and_goes_on_later(
    connected: SimpleNamespace, in_3d: bpy.types.PropertyGroup, disk: Disk
) -> None:
    with disk():
        said = said_by(connected, OPS.capture_scene)
    assert SAID.search(said), said
    assert not in_3d.sealed
    OPS.resume_capture()
    connected.session.wait_for_all_jobs(bpy.context.scene, SECONDS)
    assert in_3d.sealed


@BOTH
def test_no_view_of_a_texture_is_taken(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    disk: Disk,
) -> None:
    image = node(thing).image
    with disk():
        said = said_by(connected, OPS.edit_texture)
    assert SAID.search(said), said
    assert node(thing).image == image
    with disk():
        said = said_by(connected, OPS.make_texture)
    assert SAID.search(said), said


@BOTH
def test_an_edited_texture_with_tiles_is_not_kept_by_halves(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    disk: Disk,
) -> None:
    image, images = node(box).image, len(bpy.data.images)
    server.manual = True
    OPS.edit_texture()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    with disk():
        server.finish(job)
        wait(connected)
    said = connected.session.message_of(scene)
    assert SAID.search(said), said
    assert node(box).image == image
    assert len(bpy.data.images) == images


@BOTH
@pytest.mark.parametrize("ending", ["jpg", "tif", "exr"])
def test_no_result_is_saved_by_halves(
    connected: SimpleNamespace, scene: bpy.types.Scene, disk: Disk, ending: str, tmp_path: Path
) -> None:
    edit(connected)
    with disk():
        said = said_by(connected, OPS.save_result, filepath=str(tmp_path / f"made.{ending}"))
    assert SAID.search(said), said
    assert [one.name for one in tmp_path.iterdir() if one.suffix != ".json"] == []


@FULL
def test_where_the_result_does_not_fit_nothing_is_left(
    connected: SimpleNamespace, scene: bpy.types.Scene, disk: Disk, tmp_path: Path
) -> None:
    edit(connected)
    with disk():
        said = said_by(connected, OPS.save_result, filepath=str(tmp_path / "made.png"))
    assert "made.png cannot be written to" in said
    assert "choose another place" in said
    assert [one.name for one in tmp_path.iterdir() if one.suffix != ".json"] == []


@pytest.mark.parametrize("source", [a_render, the_render_result, an_image])
def test_a_file_with_holes_is_not_taken(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    source: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """On a full disk Blender leaves them, with files as long as they should be, and a render job
    goes on: rows of a picture were black.
    """
    source(tmp_path)
    left = shutil.disk_usage(tmp_path)._replace(free=4095)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: left)
        said = said_by(connected, OPS.preview_relevance)
    assert SAID.search(said), said
    preview(connected, scene)
    assert here().relevance_image is not None


@FULL
def test_a_render_job_that_writes_nothing_was_not_stopped(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    windowed: Jobs,  # noqa: F811
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blender says so in its status bar and ends the render as if it was complete."""
    OPS.capture_scene()
    next_render(connected, windowed)
    windowed.copy, copy = None, windowed.copy
    for handler in list(bpy.app.handlers.render_complete):
        handler(copy)
    with disk():
        windowed.module.look()
        wait(connected)
    assert SAID.search(connected.session.message_of(scene))
    assert not in_3d.sealed


def test_a_folder_that_the_system_has_tidied_up_is_made_again(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    shutil.rmtree(bpy.app.tempdir)
    preview(connected, scene)
    assert here().relevance_image is not None
