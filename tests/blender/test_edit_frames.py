"""Edits of frames: each has its own render and mask, all of them one threshold and one seed."""

import importlib
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, preview, reopen
from fake_server import FakeServer, edited, relevance_of
from test_flows import refusal
from test_render_jobs import Jobs, jobs  # noqa: F401  # a fixture

OPS = bpy.ops.watch_your_steps
FRAMES = (3, 5, 7)


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


@pytest.fixture
def film(connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path) -> Path:
    """A ball that moves from frame to frame, previewed in the first one; the folder of its film."""
    ball = bpy.data.objects["ball"]
    for frame in range(1, 11):
        ball.location.x = frame / 3 - 2
        ball.keyframe_insert("location", frame=frame)
    scene.frame_start, scene.frame_end, scene.frame_step = 3, 8, 2
    scene.frame_set(1)
    scene.render.filepath = str(tmp_path / "film" / "shot")
    preview(connected, scene)
    here().threshold, here().seed = 0.35, 21
    return tmp_path / "film"


@pytest.fixture
def in_window(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are rendered as they are where Blender has a window."""
    window = importlib.import_module(f"{installed}.render.window")
    monkeypatch.setattr(window, "is_open", lambda: True)


def requests(server: FakeServer) -> list[Any]:
    sent = [m.request for m in server.received if isinstance(m, server.messages.Submit)]
    return [one for one in sent if isinstance(one, server.requests.EditRequest)]


def finish_all(addon: SimpleNamespace) -> None:
    session = addon.session
    session.wait(lambda: session.job_of(bpy.context.scene) is None and not here().queue, SECONDS)


def running(addon: SimpleNamespace, server: FakeServer) -> str:
    session = addon.session
    session.wait(
        lambda: getattr(session.job_of(bpy.context.scene), "id", "") in server.jobs, SECONDS
    )
    return str(session.job_of(bpy.context.scene).id)


def finish_one(addon: SimpleNamespace, server: FakeServer) -> None:
    job = running(addon, server)
    server.finish(job)
    addon.session.wait(lambda: job not in addon.session.state.jobs, SECONDS)


def pixels(addon: SimpleNamespace, path: Path) -> np.ndarray:
    """Of a file, uint8 (H, W, 3 or 4)."""
    return addon.pictures.decode_png(path.read_bytes())  # type: ignore[no-any-return]


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_each_frame_is_edited_inside_its_own_mask(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, film: Path
) -> None:
    film.mkdir()
    own = film / "shot0003.png"
    own.write_bytes(b"the artist's own")
    shown = here().render_image, here().relevance_image, here().view, here().threshold
    assert OPS.edit_frames() == {"FINISHED"}
    finish_all(connected)
    sent = requests(server)
    assert len(sent) == 3
    for one in sent:
        assert np.float32(one.threshold) == np.float32(0.35)
        assert (one.mask, one.settings.seed, one.instruction) == (None, 21, "turn the ball blue")
        assert one.things is not None
    assert not np.array_equal(sent[0].image, sent[1].image)
    assert not np.array_equal(sent[1].image, sent[2].image)
    assert scene.frame_current == 1
    for frame, one in zip(FRAMES, sent, strict=True):
        (path,) = (path for path in files(film) if path.name.endswith(f"_{frame:04d}.png"))
        mask = relevance_of(one.image) >= np.float32(0.35)
        assert 0 < mask.sum() < mask.size
        assert np.array_equal(pixels(connected, path), edited(one.image, mask))
        scene.frame_set(frame)
        preview(connected, scene)
        assert np.array_equal(one.image, connected.pictures.read_rgb(here().render_image)), frame
    assert own.read_bytes() == b"the artist's own"
    assert len(files(film)) == 4
    assert str(film) in here().edited_frames
    assert len(here().edits) == 0, "the list is not filled with frames"
    assert (here().view, here().threshold) == shown[2:]


def test_the_scenes_own_pictures_stay(
    connected: SimpleNamespace, scene: bpy.types.Scene, film: Path
) -> None:
    shown = here().render_image, here().relevance_image, here().mask_image, here().picture
    OPS.edit_frames()
    finish_all(connected)
    assert (
        here().render_image,
        here().relevance_image,
        here().mask_image,
        here().picture,
    ) == shown
    assert here().pending_image is None


def test_it_goes_on_where_it_was_cancelled(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, film: Path
) -> None:
    server.manual = True
    OPS.edit_frames()
    job = connected.session.job_of(scene)
    assert job.title == "Frame 3 (1 of 3)"
    finish_one(connected, server)
    running(connected, server)
    assert "Frames are being edited" in refusal("edit_frames")
    OPS.cancel()
    finish_all(connected)
    (first,) = files(film)
    before = first.stat().st_mtime_ns
    server.manual = False
    OPS.edit_frames()
    finish_all(connected)
    assert [path.name[-8:-4] for path in files(film)] == ["0003", "0005", "0007"]
    assert first.stat().st_mtime_ns == before
    assert "All frames are there" in refusal("edit_frames")
    here().seed = 22
    OPS.edit_frames()
    finish_all(connected)
    assert len(files(film)) == 6, "another seed makes other files"
    begins = first.name[: -len("0003.png")]
    for path in files(film):
        if not path.name.startswith(begins):
            path.unlink()
    OPS.edit_frames()
    finish_all(connected)
    assert len(files(film)) == 6, "they are made anew"


def test_one_frame_that_fails_does_not_lose_the_others(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, film: Path
) -> None:
    server.manual = True
    OPS.edit_frames()
    finish_one(connected, server)
    job = connected.session.job_of(scene)
    server.fail(running(connected, server), "out_of_memory", "The memory did not suffice.")
    connected.session.wait(lambda: connected.session.job_of(scene) is not job, SECONDS)
    finish_one(connected, server)
    assert [path.name[-8:-4] for path in files(film)] == ["0003", "0007"]
    assert connected.session.message_of(scene) == (
        "Frame 5 (2 of 3) failed: The memory did not suffice."
    )


def test_many_failures_are_counted(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, film: Path
) -> None:
    scene.frame_end, scene.frame_step = 8, 1
    server.manual = True
    OPS.edit_frames()
    for _ in range(6):
        job = running(connected, server)
        server.fail(job, "internal", "It broke.")
        connected.session.wait(lambda one=job: one not in connected.session.state.jobs, SECONDS)
    said = connected.session.message_of(scene)
    assert said.count("It broke.") == 3
    assert said.endswith("3 more failed.")


def test_a_transparent_film_keeps_its_alpha(
    connected: SimpleNamespace, scene: bpy.types.Scene, film: Path
) -> None:
    bpy.data.objects.remove(bpy.data.objects["ground"])
    scene.render.film_transparent = True
    scene.frame_end = 3
    preview(connected, scene)
    here().threshold = 0.1
    OPS.edit_frames()
    finish_all(connected)
    (path,) = files(film)
    alpha = pixels(connected, path)[..., 3]
    assert alpha.min() == 0
    assert alpha.max() > 250  # Workbench of Blender 4.5 leaves it at 254


def test_another_picture_in_the_middle_ends_it(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, film: Path
) -> None:
    server.manual = True
    OPS.edit_frames()
    running(connected, server)
    here().max_side = 32
    finish_one(connected, server)
    finish_all(connected)
    assert len(files(film)) == 1
    assert "were changed in the middle" in connected.session.message_of(scene)
    server.manual = False
    here().max_side = 512
    OPS.edit_frames()
    finish_all(connected)
    assert len(files(film)) == 3


@pytest.mark.parametrize("format_", ["PNG", "FFMPEG"])
def test_they_are_where_blender_writes_the_renders(
    connected: SimpleNamespace, scene: bpy.types.Scene, film: Path, tmp_path: Path, format_: str
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "own.blend"))
    file = scene.render.image_settings
    if format_ == "FFMPEG" and bpy.app.version >= (5, 0):
        file.media_type = "VIDEO"
    file.file_format = format_
    scene.render.filepath = "//{blend_name}/{{shot}}_####"
    OPS.edit_frames()
    finish_all(connected)
    assert scene.render.filepath == "//{blend_name}/{{shot}}_####"
    own = Path(scene.render.frame_path(frame=3))
    assert len(files(own.parent)) == 3
    assert all(one.name.startswith("{shot}__edit-") for one in files(own.parent))


def test_what_cannot_be_done_is_refused(
    connected: SimpleNamespace, scene: bpy.types.Scene, film: Path, tmp_path: Path
) -> None:
    (tmp_path / "blocked").write_bytes(b"")
    scene.render.filepath = str(tmp_path / "blocked" / "shot")
    assert "choose another output path" in refusal("edit_frames")
    scene.render.filepath = str(tmp_path / ("long" * 99))
    assert "choose another output path" in refusal("edit_frames")
    scene.render.filepath = "//shot"
    assert "save the file first" in refusal("edit_frames")
    scene.render.filepath = str(tmp_path / "{nonsense}" / "shot")
    assert "variable in braces that Blender does not know" in refusal("edit_frames")
    assert not list(tmp_path.glob("*nonsense*"))
    scene.render.filepath = str(film / "shot")
    here().source.kind = "RESULT"
    assert "the same at every frame" in refusal("edit_frames")
    here().source.kind = "RENDER"
    here().instruction = "something else"
    assert "Preview one of the frames first" in refusal("edit_frames")
    here().instruction = "turn the ball blue"
    camera, scene.camera = scene.camera, None
    assert "no active camera" in refusal("edit_frames")
    scene.camera = camera
    OPS.disconnect()
    assert "press Connect" in refusal("edit_frames")
    assert here().queue == ""
    here().relevance_image = None
    assert not OPS.edit_frames.poll()


def test_a_folder_that_goes_away_ends_it(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, film: Path
) -> None:
    server.manual = True
    OPS.edit_frames()
    running(connected, server)
    film.rmdir()
    film.write_bytes(b"")  # a file in its place
    finish_one(connected, server)
    finish_all(connected)
    assert len(requests(server)) == 1
    assert "cannot be written" in connected.session.message_of(scene)


def test_after_a_restart_it_is_begun_again_where_it_stopped(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    film: Path,
    installed: str,
    tmp_path: Path,
) -> None:
    server.manual = True
    OPS.edit_frames()
    finish_one(connected, server)
    running(connected, server)
    reopen(connected, tmp_path / "a.blend")
    said = connected.session.message_of(bpy.context.scene)
    assert "press Edit Frames again" in said
    saved = importlib.import_module(f"{installed}.jobs.saved_waiting")
    assert [one.title[:7] for one in saved.offered(bpy.context.scene)] == ["Frame 5", "Frame 7"]
    server.manual = False
    connect(connected, server.file)
    OPS.edit_frames()
    assert saved.offered(bpy.context.scene) == [], "not twice"
    finish_all(connected)
    assert [path.name[-8:-4] for path in files(film)] == ["0003", "0005", "0007"]


def test_the_panel_says_what_will_be_edited(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    film: Path,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = importlib.import_module(f"{installed}.ui.panel_frames")
    said: list[str] = []
    monkeypatch.setattr(panel.words, "paragraph", lambda *given, **_: said.append(given[2]))
    names: list[str] = []
    layout = SimpleNamespace(operator=lambda name, **_: names.append(name))
    panel.WYS_PT_frames.draw(SimpleNamespace(layout=layout), bpy.context)
    assert said == ["Frames 3 to 8, at threshold 0.350 and seed 21, into the output folder."]
    assert names == ["watch_your_steps.edit_frames"]
    OPS.edit_frames()
    finish_all(connected)
    said.clear()
    panel.WYS_PT_frames.draw(SimpleNamespace(layout=layout), bpy.context)
    assert any(str(film) in one for one in said)


def test_in_a_window_frames_are_blenders_own_render_jobs(
    connected: SimpleNamespace,
    film: Path,
    jobs: Jobs,  # noqa: F811
    server: FakeServer,
    in_window: None,
) -> None:
    OPS.edit_frames()
    for frame in FRAMES:
        connected.session.wait(lambda: jobs.copy is not None, SECONDS)
        assert jobs.locked
        assert jobs.copy.frame_current == frame
        jobs.end()
        assert bpy.context.scene.frame_current == 1
        connected.session.wait(lambda frame=frame: len(list(film.glob("*.png"))) > 0, SECONDS)
    finish_all(connected)
    assert len(list(film.glob("*.png"))) == len(FRAMES)
    sent = [request.image for request in requests(server)]
    assert all((one != other).any() for one, other in itertools.pairwise(sent))
    assert jobs.left() == jobs.handlers


def test_in_a_window_esc_ends_all_frames(
    connected: SimpleNamespace,
    film: Path,
    jobs: Jobs,  # noqa: F811
    in_window: None,
) -> None:
    OPS.edit_frames()
    connected.session.wait(lambda: jobs.copy is not None, SECONDS)
    jobs.end("render_cancel")
    finish_all(connected)
    assert jobs.copy is None
    assert "was stopped" in connected.session.message_of(bpy.context.scene)
    assert bpy.context.scene.frame_current == 1
    assert not list(film.glob("*.png"))
    OPS.edit_frames()
    connected.session.wait(lambda: jobs.copy is not None, SECONDS)
    OPS.cancel()
    jobs.end()
    finish_all(connected)
    assert not list(film.glob("*.png")), "a cancelled one's render is for nothing"
