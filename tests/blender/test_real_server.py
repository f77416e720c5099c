"""The add-on against the real backend as a process of its own, with an untrained model of the real
architecture: what comes back is arbitrary, but everything around it is real.

Needs WATCH_YOUR_STEPS_BACKEND_PYTHON, which `python install.py test` sets. What is about the link
and the server's end is the same in every Blender, and run in one.
"""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import connect, preview

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0
JOB_SECONDS = 120.0
MAKE_MODEL = (
    "import sys, pathlib; from tests.backend.tiny_model import save_tiny_model;"
    "save_tiny_model(pathlib.Path(sys.argv[1]))"
)


@pytest.fixture(scope="module")
def backend_python() -> str:
    python = os.environ.get("WATCH_YOUR_STEPS_BACKEND_PYTHON")
    if not python:
        pytest.fail("Set WATCH_YOUR_STEPS_BACKEND_PYTHON (python install.py test does).")
    return python


@pytest.fixture(scope="module")
def model(backend_python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    subprocess.run([backend_python, "-c", MAKE_MODEL, str(folder)], cwd=ROOT, check=True)
    return folder


@dataclass
class Server:
    """A backend that can be killed and started again."""

    python: str
    model: Path
    file: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        options = ["--model", str(self.model), "--device", "cpu", "--connection-file", self.file]
        options += more
        self.process = subprocess.Popen(
            [self.python, "-m", "backend.server", *options],
            cwd=ROOT,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def real(
    backend_python: str, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    server = Server(backend_python, model, folder / "connection.json")
    server.start()
    yield server
    assert server.process is not None
    server.process.terminate()
    server.process.wait(30)


@pytest.fixture
def ready(addon: SimpleNamespace, scene: bpy.types.Scene, real: Server) -> SimpleNamespace:
    """The add-on, connected to the real server, whose model is loaded."""
    addon.preferences.connection_file = str(real.file)
    bpy.ops.watch_your_steps.connect()
    addon.session.wait_for_connection(START_SECONDS)
    settings = scene.watch_your_steps
    settings.instruction, settings.steps = "turn the sphere red", 4
    return addon


def edit(addon: SimpleNamespace, scene: bpy.types.Scene) -> np.ndarray:
    bpy.ops.watch_your_steps.edit()
    addon.session.wait_for_job(scene, JOB_SECONDS)
    image: np.ndarray = addon.pictures.read_rgb(scene.watch_your_steps.edit_image)
    return image


def test_preview_threshold_edit(ready: SimpleNamespace, scene: bpy.types.Scene) -> None:
    settings, pictures = scene.watch_your_steps, ready.pictures
    scene.render.resolution_x, scene.render.resolution_y = 61, 37
    preview(ready, scene)
    render = pictures.read_rgb(settings.render_image)
    relevance = pictures.read_gray(settings.relevance_image)
    assert render.shape == (37, 61, 3)
    assert relevance.shape == (37, 61)
    assert relevance.min() >= 0
    assert relevance.max() <= 1
    assert np.ptp(relevance) > 0.1

    assert settings.threshold == settings.suggested_threshold
    assert relevance.min() < settings.suggested_threshold < relevance.max()
    assert settings.prompt_check in ("", ready.session.message_of(scene))

    settings.threshold = float(np.quantile(relevance, 0.6))
    shown = pictures.read_gray(settings.mask_image) > 0.5
    assert 0 < shown.sum() < shown.size
    image = edit(ready, scene)
    assert np.array_equal(pictures.read_gray(settings.relevance_image), relevance)
    assert np.array_equal(image[~shown], render[~shown]), "outside every byte is the render's own"
    assert not np.array_equal(image[shown], render[shown])
    assert np.array_equal(edit(ready, scene), image), "the same seed gives the same picture"
    settings.seed = 5
    assert not np.array_equal(edit(ready, scene), image)


@pytest.mark.parametrize("snap", ["things", "edges"])
def test_an_edit_without_a_preview_keeps_to_the_snapped_region_that_is_shown_then(
    ready: SimpleNamespace, scene: bpy.types.Scene, snap: str
) -> None:
    settings = scene.watch_your_steps
    settings.property_unset("threshold")
    settings.threshold_of, settings.snap = "", snap
    image = edit(ready, scene)
    render = ready.pictures.read_rgb(settings.render_image)
    shown = ready.results.mask(scene)
    assert 0 < shown.sum() < shown.size
    assert np.array_equal(image[~shown], render[~shown])
    assert (image[shown] != render[shown]).any(axis=1).mean() > 0.9
    assert np.array_equal(edit(ready, scene), image), "by the mask that was shown"


def test_just_the_painted_mask_is_edited(
    ready: SimpleNamespace, scene: bpy.types.Scene, installed: str
) -> None:
    strokes = importlib.import_module(f"{installed}.data.strokes")
    settings = scene.watch_your_steps
    settings.threshold = 1.0
    preview(ready, scene)
    settings.threshold = 1.0  # nothing but what is painted, most likely
    strokes.paint(scene, 1, 9, [(20, 20), (40, 30)])  # added
    strokes.paint(scene, 2, 4, [(30, 25)])  # taken away
    shown = ready.pictures.read_gray(settings.mask_image) > 0.5
    rows, columns = np.indices(shown.shape) + 0.5
    hole = (columns - 30) ** 2 + (rows - 25) ** 2 <= 16
    assert not shown[hole].any()
    assert 300 < shown.sum() < shown.size / 2
    render = ready.pictures.read_rgb(settings.render_image)
    image = edit(ready, scene)
    assert np.array_equal(image[~shown], render[~shown]), "bit for bit"
    assert (image[shown] != render[shown]).any(axis=1).mean() > 0.9
    settings.instruction = "turn the sphere yellow"  # the backend finds its map
    settings.grow = 2
    settings.threshold_of = ""
    image = edit(ready, scene)
    shown = ready.pictures.read_gray(settings.mask_image) > 0.5
    assert not shown[hole].any()
    assert settings.edits[0].painted == settings.painted_image
    assert np.array_equal(image[~shown], render[~shown])
    assert (image[shown] != render[shown]).any(axis=1).mean() > 0.9


@pytest.mark.one_blender
def test_cancel_stops_an_edit(ready: SimpleNamespace, scene: bpy.types.Scene) -> None:
    session = ready.session
    scene.watch_your_steps.steps = 1000
    scene.watch_your_steps.threshold = 0.0
    bpy.ops.watch_your_steps.edit()
    job = session.job_of(scene)
    session.wait(lambda: 0.02 < job.fraction < 0.9, JOB_SECONDS)
    bpy.ops.watch_your_steps.cancel()
    with pytest.raises(session.SessionError, match="Edit was cancelled"):
        session.wait_for_job(scene, JOB_SECONDS)
    assert job.fraction < 0.95
    assert scene.watch_your_steps.edit_image is None
    scene.watch_your_steps.steps = 2
    edit(ready, scene)


@pytest.mark.one_blender
def test_wrong_key(
    ready: SimpleNamespace, real: Server, protocol: ModuleType, tmp_path: Path
) -> None:
    connection = protocol.connection
    theirs = connection.read_connection(real.file)
    stranger = connection.new_server_keys()
    wrong = connection.Connection(
        endpoint=theirs.endpoint,
        server_public_key=theirs.server_public_key,
        client_public_key=stranger.client_public_key,
        client_secret_key=stranger.client_secret_key,
    )
    connection.write_connection(tmp_path / "wrong.json", wrong)
    ready.preferences.connection_file = str(tmp_path / "wrong.json")
    bpy.ops.watch_your_steps.connect()
    session = ready.session
    session.wait(lambda: "refuses this key" in session.state.status.text, 3.0)
    connect(ready, real.file)


def test_file_closed_and_reopened_in_the_middle_of_an_edit(
    ready: SimpleNamespace, scene: bpy.types.Scene, real: Server, tmp_path: Path
) -> None:
    """With all of the add-on's memory gone, as when Blender was closed."""
    scene.watch_your_steps.steps = 100
    scene.watch_your_steps.threshold = 0.0
    bpy.ops.watch_your_steps.edit()
    job = ready.session.job_of(scene)
    ready.session.wait(lambda: job.fraction > 0, JOB_SECONDS)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    ready.session.disconnect()
    ready.session.start_anew(loaded=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    connect(ready, real.file)
    scene = bpy.context.scene
    ready.session.wait(lambda: scene.watch_your_steps.edit_image is not None, JOB_SECONDS)
    assert ready.pictures.read_rgb(scene.watch_your_steps.edit_image).shape == (48, 64, 3)


@pytest.mark.one_blender
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_server_is_killed_and_started_again(
    ready: SimpleNamespace, scene: bpy.types.Scene, real: Server
) -> None:
    session = ready.session
    scene.watch_your_steps.steps = 300
    scene.watch_your_steps.threshold = 0.0
    bpy.ops.watch_your_steps.edit()
    job = session.job_of(scene)
    session.wait(lambda: job.fraction > 0, JOB_SECONDS)
    real.end(signal.SIGKILL)
    session.wait(lambda: session.state.status.welcome is None, JOB_SECONDS)
    assert session.job_of(scene) is job
    real.start()
    session.wait_for_job(scene, START_SECONDS)
    assert scene.watch_your_steps.edit_image is not None


@pytest.mark.one_blender
def test_server_ends_cleanly_while_a_client_is_connected(
    ready: SimpleNamespace, scene: bpy.types.Scene, real: Server
) -> None:
    start = time.monotonic()
    assert real.end(signal.SIGTERM) == 0
    assert time.monotonic() - start < 20
    session = ready.session
    session.wait(lambda: session.state.status.welcome is None, 15)
    with pytest.raises(RuntimeError, match="connection"):
        bpy.ops.watch_your_steps.preview_relevance()
    real.start()
    session.wait_for_connection(START_SECONDS)
    preview(ready, scene)


def test_an_edit_is_made_again_and_laid_over_others(
    ready: SimpleNamespace, scene: bpy.types.Scene, installed: str
) -> None:
    settings, pictures = scene.watch_your_steps, ready.pictures
    layers = importlib.import_module(f"{installed}.data.layers")
    shares = importlib.import_module(f"{installed}.data.edge_share")
    preview(ready, scene)
    render = pictures.read_rgb(settings.render_image)
    relevance = pictures.read_gray(settings.relevance_image)
    settings.threshold, settings.rim = float(np.quantile(relevance, 0.8)), 6.0
    settings.seed = 4
    expected = edit(ready, scene).copy()
    settings.seed = 3
    first = edit(ready, scene).copy()
    bpy.ops.watch_your_steps.delete_edit()
    settings.edit_index = 0
    settings.edits[0].seed = 3  # so that the next one is 4
    settings.threshold, settings.rim, settings.steps = 0.0, 0.0, 1
    bpy.ops.watch_your_steps.edit_again()
    ready.session.wait_for_job(scene, JOB_SECONDS)
    again = settings.edits[0]
    assert (again.seed, again.rim, again.steps) == (4, 6.0, 4)
    assert np.array_equal(pictures.read_rgb(again.image), expected), "as the panel would make it"
    assert not np.array_equal(expected, first), "another seed gives another edit"
    bpy.ops.watch_your_steps.add_layer()
    assert np.array_equal(layers.composite(settings), expected)
    share = shares.share(pictures.read_gray(again.mask) > 0.5, again.rim)
    assert ((share > 0) & (share < 1)).any()
    assert np.array_equal(expected[share == 0], render[share == 0])
    settings.layers[0].opacity = 0.0
    assert np.array_equal(layers.composite(settings), render)


def test_variants_and_frames(
    ready: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    settings, read = scene.watch_your_steps, ready.pictures.read_rgb
    preview(ready, scene)
    render, relevance = (
        read(settings.render_image),
        ready.pictures.read_gray(settings.relevance_image),
    )
    settings.threshold = float(np.quantile(relevance, 0.6))
    mask = ready.results.mask(scene)
    settings.seed = 6
    alone = edit(ready, scene).copy()
    settings.seed, settings.variants = 5, 3
    bpy.ops.watch_your_steps.variants()
    ready.session.wait_for_all_jobs(scene, JOB_SECONDS)
    assert [entry.seed for entry in settings.edits] == [7, 6, 5, 6]
    made = [read(entry.image) for entry in list(settings.edits)[:3]]
    assert np.array_equal(made[1], alone), "as it would be made by itself"
    for one in made:
        assert np.array_equal(one[~mask], render[~mask])
    assert not np.array_equal(made[0], made[2])
    scene.frame_end = 2
    scene.render.filepath = str(tmp_path / "shot")
    settings.seed = 6
    bpy.ops.watch_your_steps.edit_frames()
    ready.session.wait_for_all_jobs(scene, JOB_SECONDS)
    first, second = sorted(tmp_path.glob("shot_edit-*.png"))
    assert first.read_bytes() == second.read_bytes(), "nothing moves, and the seed is the same"
    outside = ready.pictures.decode_png(first.read_bytes())[~mask]
    assert np.array_equal(outside, render[~mask])


def test_frames_keep_to_what_is_painted_on_what_moves(
    ready: SimpleNamespace, scene: bpy.types.Scene, installed: str, tmp_path: Path
) -> None:
    settings, read = scene.watch_your_steps, ready.pictures.read_rgb
    labels = importlib.import_module(f"{installed}.data.thing_labels")
    ball = bpy.data.objects["ball"]
    for frame, x in ((1, -1.5), (3, 1.5)):
        ball.location.x = x
        ball.keyframe_insert("location", frame=frame)
    scene.frame_set(1)
    preview(ready, scene)

    def where() -> np.ndarray:
        name = labels.names(settings.render_image).index("ball")
        return labels.labels(settings.render_image) == name

    painted = np.where(where(), 1, 2).astype(np.uint8)  # the ball, and nothing else
    place = ready.taken_pictures.place_of(settings.render_image)
    ready.results.install_painting(scene, painted, place)
    scene.frame_end, settings.threshold = 3, 1.0
    scene.render.filepath = str(tmp_path / "shot")
    bpy.ops.watch_your_steps.edit_frames()
    ready.session.wait_for_all_jobs(scene, JOB_SECONDS)
    found = sorted(tmp_path.glob("shot_edit-*.png"))
    assert len(found) == 3
    for frame, path in zip((1, 2, 3), found, strict=True):
        scene.frame_set(frame)
        preview(ready, scene)
        render, edited = read(settings.render_image), ready.pictures.decode_png(path.read_bytes())
        changed = (edited != render).any(axis=2)
        front = where() & (render[..., 0] > render[where()][:, 0].max() / 2)
        assert changed[front].mean() > 0.7, "all of it that was seen when it was painted"
        assert changed[~where()].sum() <= 3, "the map alone reaches 1.0 in a pixel or so"
