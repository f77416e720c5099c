"""Edits of frames keep to what was painted and picked on the mask of one picture."""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, here, preview, reopen
from fake_server import FakeServer, edited, relevance_of
from numpy.typing import NDArray
from test_edit_frames import (
    FRAMES,
    files,
    film,
    finish_all,
    finish_one,
    in_window,
    pixels,
    requests,
    running,
)
from test_flows import refusal
from test_painted_mask import ADDED, NOTHING, TAKEN, Modules, mask
from test_render_jobs import Jobs, jobs

__all__ = ["film", "in_window", "jobs", "mask"]  # fixtures

OPS = bpy.ops.watch_your_steps
Labels = NDArray[np.uint16]


@pytest.fixture
def corrections(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.jobs.frame_corrections")


def label_of(mask: Modules, name: str) -> int:
    """Of a thing of the shown render."""
    return int(mask.thing_labels.names(here().render_image).index(name))


def thing(mask: Modules, name: str) -> NDArray[np.bool_]:
    """Where it is in the shown render."""
    return mask.thing_labels.labels(here().render_image) == label_of(mask, name)


def paint_on(mask: Modules, where: NDArray[np.bool_], what: int = ADDED) -> None:
    """Paint some pixels of the shown render."""
    painted = np.where(where, what, NOTHING).astype(np.uint8)
    place = mask.taken_pictures.place_of(here().render_image)
    mask.results.install_painting(bpy.context.scene, painted, place)


def sent(addon: SimpleNamespace, server: FakeServer) -> list[Any]:
    """What edits of all frames ask for."""
    server.received.clear()
    assert OPS.edit_frames() == {"FINISHED"}
    finish_all(addon)
    return requests(server)


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def balls(found: list[Any]) -> list[NDArray[np.bool_]]:
    """Where the ball is seen in each frame: its front is the nearest thing."""
    return [one.things == one.things[20, int(np.argmax(red(one.image)[20]))] for one in found]


def red(image: NDArray[np.uint8]) -> NDArray[np.int_]:
    return image[..., 0].astype(int) - image[..., 1]


# ---------------------------------------------------------------- what is painted


def test_what_is_painted_follows_what_it_was_painted_on(
    connected: SimpleNamespace,
    server: FakeServer,
    film: Path,
    mask: Modules,
) -> None:
    assert all(one.correction.is_none for one in sent(connected, server))
    ball, ground = thing(mask, "ball"), thing(mask, "ground")
    painted = np.where(ball, ADDED, NOTHING).astype(np.uint8)
    painted[ground & (np.arange(64) > 40)] = TAKEN
    mask.results.install_painting(
        bpy.context.scene, painted, mask.taken_pictures.place_of(here().render_image)
    )
    here().grow = 1
    found = sent(connected, server)
    assert len(found) == len(FRAMES)
    for frame, one, now in zip(FRAMES, found, balls(found), strict=True):
        assert iou(one.correction.painted == ADDED, now) > 0.8, "but for the side that comes up"
        assert not (one.correction.painted[now] == TAKEN).any()
        right = (np.arange(64) > 41) & (one.things == one.things[-1, 0])
        seen = right & ~ball
        assert (one.correction.painted[seen] == TAKEN).mean() > 0.95
        region = one.correction.mask(relevance_of(one.image), one.threshold)
        assert region[one.correction.painted == ADDED].all()
        (path,) = (path for path in files(film) if one_of(path, frame, region, one, connected))
        assert path.name.endswith(f"_{frame:04d}.png")
    assert len(files(film)) == 2 * len(FRAMES), "beside those that were edited without it"


def one_of(
    path: Path, frame: int, region: NDArray[np.bool_], sent: Any, addon: SimpleNamespace
) -> bool:
    """Whether a file is the edit of a frame inside a region."""
    same = path.name.endswith(f"_{frame:04d}.png")
    return same and np.array_equal(pixels(addon, path), edited(sent.image, region))


def test_where_nothing_moves_it_is_as_it_was_painted(
    connected: SimpleNamespace,
    server: FakeServer,
    film: Path,
    mask: Modules,
) -> None:
    bpy.data.objects["ball"].animation_data_clear()
    preview(connected, bpy.context.scene)
    mask.paint(ADDED, (10, 5), (60, 40), radius=4)
    mask.paint(TAKEN, (30, 25), radius=6)
    painted = mask.region.painted(here())
    for one in sent(connected, server):
        assert np.array_equal(one.correction.painted, painted)


def test_it_may_stay_in_the_picture_or_be_left_out(
    connected: SimpleNamespace,
    server: FakeServer,
    film: Path,
    mask: Modules,
) -> None:
    paint_on(mask, thing(mask, "ball"))
    painted = mask.region.painted(here())
    here().frames_painting = "STAY"
    for one in sent(connected, server):
        assert np.array_equal(one.correction.painted, painted)
    here().frames_painting = "LEAVE_OUT"
    here().picks = f"+{label_of(mask, 'ball')}"
    for one in sent(connected, server):
        assert one.correction.is_none
    assert len(files(film)) == 2 * len(FRAMES)
    for path in files(film):
        path.unlink()
    here().frames_painting, here().picks, here().max_side = "STAY", "", 32
    for one in sent(connected, server):
        assert one.correction.painted.shape == (24, 32), "it is scaled to smaller frames"


def test_other_paint_makes_other_files(
    connected: SimpleNamespace,
    server: FakeServer,
    film: Path,
    mask: Modules,
) -> None:
    paint_on(mask, thing(mask, "ball"))
    sent(connected, server)
    assert "All frames are there" in refusal("edit_frames")
    paint_on(mask, thing(mask, "ground"))
    sent(connected, server)
    assert len(files(film)) == 2 * len(FRAMES)


def test_a_cut_to_another_camera(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    film: Path,
    mask: Modules,
) -> None:
    """Paint belongs to the scene, whoever looks at it."""
    other = bpy.data.objects.new("other", bpy.data.cameras.new("other"))
    scene.collection.objects.link(other)
    other.location, other.rotation_euler = (4, -7, 3.5), (1.2, 0, 0.45)
    for name, frame, camera in (("a", 1, scene.camera), ("b", 5, other)):
        scene.timeline_markers.new(name, frame=frame).camera = camera
    bpy.data.objects["ball"].animation_data_clear()
    scene.frame_set(1)
    preview(connected, scene)
    paint_on(mask, thing(mask, "ball"))
    found = sent(connected, server)
    assert not np.array_equal(found[0].image, found[1].image)
    painted = [one.correction.painted == ADDED for one in found]
    for now, one in zip(balls(found), painted, strict=True):
        assert not (one & ~now).any()
        assert one.sum() > 0.6 * now.sum(), "but for the side that was not seen"
    assert np.array_equal(painted[1], painted[2])


def test_objects_that_are_renamed_or_deleted_between_frames(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    film: Path,
    mask: Modules,
) -> None:
    paint_on(mask, thing(mask, "ball"))
    server.manual = True
    OPS.edit_frames()
    finish_one(connected, server)
    bpy.data.objects["ball"].name = "renamed"
    finish_one(connected, server)
    bpy.data.objects.remove(bpy.data.objects["renamed"])
    server.manual = False
    finish_all(connected)
    found = [one.correction.painted == ADDED for one in requests(server)]
    assert found[0].sum() > 0
    assert found[1].sum() > 0
    assert len(files(film)) == 3
    # of the last one the picture may have been taken before: then it shows the ball still
    assert (found[2].sum() > 0) == (red(requests(server)[2].image).max() > 100)


def test_one_stroke_back_is_one_undo_and_frames_that_are_asked_for_keep_theirs(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    film: Path,
    mask: Modules,
) -> None:
    bpy.ops.ed.undo_push(message="before")
    mask.paint(ADDED, (30, 25), radius=9)
    bpy.ops.ed.undo_push(message="painted")
    server.manual = True
    OPS.edit_frames()
    running(connected, server)
    bpy.ops.ed.undo()
    assert here().painted_image is None
    server.manual = False
    server.finish(connected.session.job_of(bpy.context.scene).id)
    finish_all(connected)
    found = requests(server)
    assert len(found) == 3
    assert all((one.correction.painted == ADDED).any() for one in found)
    assert all(one.correction.is_none for one in sent(connected, server))
    assert here().frames_painting == "FOLLOW"


def test_it_goes_on_after_a_restart_with_what_was_painted(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    film: Path,
    mask: Modules,
    tmp_path: Path,
) -> None:
    paint_on(mask, thing(mask, "ball"))
    whole = [one.correction.painted for one in sent(connected, server)]
    for path in files(film):
        path.unlink()
    here().frames_painting = "STAY"
    here().frames_painting = "FOLLOW"
    server.manual = True
    OPS.edit_frames()
    finish_one(connected, server)
    running(connected, server)
    reopen(connected, tmp_path / "a.blend")
    assert here().frames_painting == "FOLLOW"
    here().frames_painting = "LEAVE_OUT"  # of what is asked for next
    OPS.clear_painting()
    server.forget()
    connect(connected, server.file)
    connected.session.wait(lambda: connected.session.job_of(bpy.context.scene) is None, SECONDS)
    server.manual = False
    server.received.clear()
    assert OPS.go_on() == {"FINISHED"}
    finish_all(connected)
    found = [one.correction.painted for one in requests(server)]
    assert len(found) == 2
    for one, other in zip(found, whole[1:], strict=True):
        assert np.array_equal(one, other)
    assert len(files(film)) == 3
    assert not [one.name for one in bpy.data.images if "painting" in one.name]


def test_it_follows_still_once_its_file_was_closed_and_opened_again(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    film: Path,
    mask: Modules,
    tmp_path: Path,
) -> None:
    """All objects are known by other numbers then."""
    paint_on(mask, thing(mask, "ball"))
    whole = [one.correction.painted for one in sent(connected, server)]
    for path in files(film):
        path.unlink()
    server.manual = True
    OPS.edit_frames()
    finish_one(connected, server)
    job = running(connected, server)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    server.manual = False
    server.finish(job)
    finish_all(connected)
    found = [one.correction.painted for one in requests(server)][-1]
    assert (found == ADDED).any()
    assert np.array_equal(found, whole[-1])
    assert len(files(film)) == 3


def test_paint_from_before_frames_were_kept_is_of_the_shown_picture(
    connected: SimpleNamespace,
    server: FakeServer,
    film: Path,
    mask: Modules,
    corrections: ModuleType,
) -> None:
    paint_on(mask, thing(mask, "ball"))
    image = here().painted_image
    assert mask.taken_pictures.taken_by(image) == ("camera", 1)
    del image[mask.taken_pictures.CAMERA], image[mask.taken_pictures.FRAME]
    assert corrections.where_painted(here()).frame == 1
    assert corrections.why_not(here()) == ""
    bpy.context.scene.camera.location.x += 1
    preview(connected, bpy.context.scene)
    assert "not known by which camera" in refusal("edit_frames")
    here().frames_painting = "STAY"
    assert len(sent(connected, server)) == 3


# ---------------------------------------------------------------- what is picked


def test_picked_things_are_found_in_every_frame(
    connected: SimpleNamespace,
    server: FakeServer,
    film: Path,
    mask: Modules,
) -> None:
    here().threshold = 1.0
    here().picks = f"+{label_of(mask, 'ball')} -{label_of(mask, 'ground')}"
    here().grow = 2
    shown = mask.shown()
    found = sent(connected, server)
    for one, now in zip(found, balls(found), strict=True):
        assert np.array_equal(one.correction.clicked == ADDED, now)
        assert one.correction.painted is None
        assert one.correction.mask(relevance_of(one.image), 1.0).sum() > now.sum(), "it is grown"
    scene = bpy.context.scene
    scene.frame_start = scene.frame_end = 1
    (one,) = sent(connected, server)
    assert np.array_equal(one.correction.mask(relevance_of(one.image), one.threshold), shown)
    mask.paint(TAKEN, (32, 22), radius=5)
    (one,) = sent(connected, server)
    made = one.correction.mask(relevance_of(one.image), one.threshold)
    assert np.array_equal(made, mask.shown()), "as the single picture has it"


def test_picks_that_cannot_be_found_are_refused(
    connected: SimpleNamespace,
    server: FakeServer,
    film: Path,
    mask: Modules,
) -> None:
    here().picks = f"+{label_of(mask, 'ball')}"
    here().things = "MATERIALS"
    assert "another kind of things" in refusal("edit_frames")
    here().things = "OBJECTS"
    bpy.data.objects["ball"].name = "else"
    assert '"ball", which you have picked, is not called so any more' in refusal("edit_frames")
    bpy.data.objects["else"].name = "ball"
    assert len(sent(connected, server)) == 3


@pytest.mark.parametrize(
    ("kind", "name", "there"),
    [
        ("OBJECTS", "ball", True),
        ("OBJECTS", "Background", True),
        ("OBJECTS", "bal", False),
        ("OBJECTS", "ball of empty", True),
        ("FACES", "ball, part 3", True),
        ("ISLANDS", "ground of ball, island 12", True),
        ("ISLANDS", "gone, island 12", False),
        ("MATERIALS", "Without material", True),
        ("MATERIALS", "red", False),
    ],
)
def test_whether_a_thing_may_still_be_called_so(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    corrections: ModuleType,
    kind: str,
    name: str,
    there: bool,
) -> None:
    assert corrections.is_there(kind, name) == there


# ---------------------------------------------------------------- what cannot be


def test_what_cannot_follow_is_said(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    film: Path,
    mask: Modules,
    installed: str,
) -> None:
    source = importlib.import_module(f"{installed}.data.picture_source")
    painted = np.ones((48, 64), np.uint8)
    place = mask.taken_pictures.Place((), source.Source("IMAGE", "photo"), "", 0)
    mask.results.install_painting(scene, painted, place)
    assert "painted on an image" in refusal("edit_frames")
    place = mask.taken_pictures.place_of(here().render_image)
    mask.results.install_painting(scene, np.ones((20, 64), np.uint8), place)
    assert "painted on a part of what the camera sees" in refusal("edit_frames")
    paint_on(mask, thing(mask, "ball"))
    scene.camera.data.type = "PANO"
    assert "panoramic" in refusal("edit_frames")
    scene.camera.data.type = "PERSP"
    assert len(sent(connected, server)) == 3


def test_paint_whose_file_is_lost_is_said(
    connected: SimpleNamespace,
    server: FakeServer,
    film: Path,
    mask: Modules,
    tmp_path: Path,
) -> None:
    paint_on(mask, thing(mask, "ball"))
    here().painted_image.unpack(method="REMOVE")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    connected.session.drain()
    assert "Clear the painting" in refusal("edit_frames")
    here().frames_painting = "LEAVE_OUT"
    assert len(sent(connected, server)) == 3


def test_where_surfaces_are_not_known_nothing_is_edited(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    film: Path,
    mask: Modules,
) -> None:
    paint_on(mask, thing(mask, "ball"))
    scene.display.shading.show_xray, scene.display.shading.xray_alpha = True, 0.4
    OPS.edit_frames()
    finish_all(connected)
    said = connected.session.message_of(scene)
    assert "X-Ray" in said
    assert "choose Stay in the Picture" in said
    assert requests(server) == []
    here().frames_painting = "STAY"
    assert len(sent(connected, server)) == 3


def test_a_frame_of_another_kind_of_camera_fails_alone(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    film: Path,
    mask: Modules,
) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    preview(connected, scene)
    here().threshold = 0.35
    round_ = bpy.data.objects.new("round", bpy.data.cameras.new("round"))
    scene.collection.objects.link(round_)
    round_.matrix_world = scene.camera.matrix_world
    round_.data.type = "PANO"
    for name, frame, camera in (("a", 1, scene.camera), ("b", 5, round_), ("c", 7, scene.camera)):
        scene.timeline_markers.new(name, frame=frame).camera = camera
    paint_on(mask, thing(mask, "ball"))
    OPS.edit_frames()
    finish_all(connected)
    assert [path.name[-8:-4] for path in files(film)] == ["0003", "0007"]
    assert "cannot be followed to this frame" in connected.session.message_of(scene)


# ---------------------------------------------------------------- the window


def test_in_a_window_the_frame_that_was_painted_on_is_not_rendered_again(
    connected: SimpleNamespace,
    film: Path,
    jobs: Jobs,
    server: FakeServer,
    mask: Modules,
    in_window: None,
) -> None:
    paint_on(mask, thing(mask, "ball"))
    server.received.clear()
    OPS.edit_frames()
    for frame in FRAMES:
        connected.session.wait(
            lambda: jobs.copy is not None or (jobs.module.look(), False)[1], SECONDS
        )
        assert jobs.copy.frame_current == frame
        assert bpy.context.scene.frame_current in (1, frame)
        jobs.end()
        assert bpy.context.scene.frame_current == 1
    finish_all(connected)
    found = requests(server)
    assert len(found) == 3
    for one, now in zip(found, balls(found), strict=True):
        assert iou(one.correction.painted == ADDED, now) > 0.8


def test_the_panel_has_the_choice_where_something_is_painted(
    connected: SimpleNamespace,
    film: Path,
    mask: Modules,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = importlib.import_module(f"{installed}.ui.panel_frames")
    said: list[str] = []
    drawn: list[str] = []
    monkeypatch.setattr(panel.words, "paragraph", lambda *given, **_: said.append(given[2]))
    layout = SimpleNamespace(
        operator=lambda *_, **__: None, prop=lambda _, name, **__: drawn.append(name)
    )

    def draw() -> list[str]:
        said.clear()
        drawn.clear()
        panel.WYS_PT_frames.draw(SimpleNamespace(layout=layout), bpy.context)
        return said[1:]

    assert draw() == []
    assert drawn == []
    paint_on(mask, thing(mask, "ball"))
    assert draw() == ["Painted at frame 1: what is not seen there is left to the slider."]
    assert drawn == ["frames_painting"]
    here().frames_painting = "STAY"
    assert draw() == []
    here().frames_painting = "FOLLOW"
    bpy.context.scene.camera.data.type = "PANO"
    (text,) = draw()
    assert "choose Stay in the Picture" in text
