"""Label images of a capture: read as they were written, never mixed, refused where wrong."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from backend.captures.capture import Pixels
from backend.captures.error import CaptureError
from backend.captures.lens import Intrinsics, Lens
from backend.captures.store import CaptureStore, answer
from backend.captures.transforms import open_capture, readable, write_capture
from backend.captures.views import StoredView
from protocol.messages import PutView
from tests.backend.capture_worlds import orbit, views_of_noise
from tests.backend.test_capture_commands import scene
from tests.backend.test_capture_refusals import read_json, refusal, write_json

COUNT, HEIGHT, WIDTH = 4, 16, 24
ID = "0123456789abcdef" * 2
LABELS = np.random.default_rng(1).choice([0, 1, 255, 256, 65535], (HEIGHT, WIDTH)).astype(np.uint16)


def views(*without, count=COUNT):
    """Views with a label image each, but some."""
    for index, view in enumerate(views_of_noise(orbit(count), WIDTH, HEIGHT)):
        things = None if index in without else np.roll(LABELS, index)
        yield replace(view, pixels=replace(view.pixels, things=things))


@pytest.fixture
def folder(tmp_path):
    write_capture(tmp_path / "scene", views())
    return tmp_path / "scene"


def test_things_are_read_as_they_were_written_and_are_not_part_of_the_picture(folder):
    capture = open_capture(folder)
    assert read_json(folder)["frames"][2]["things_file_path"] == "things/0002.png"
    assert capture.notes == ()
    for index in range(COUNT):
        assert (capture.things(index) == np.roll(LABELS, index)).all()
        assert (capture.read(index).things == np.roll(LABELS, index)).all()
        assert capture.read(index).things.dtype == np.uint16


def test_things_are_scaled_down_by_the_nearest_pixel(folder):
    small = open_capture(folder, 2.0).things(0)
    assert small.shape == (HEIGHT // 2, WIDTH // 2)
    corners = [LABELS[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    assert np.any([small == one for one in corners], axis=0).all()


def test_things_are_undistorted_with_the_picture(tmp_path):
    """What the two show stays together, and no label is invented."""
    camera = Intrinsics(30, 30, 20, 16, 40, 32)
    things = np.zeros((32, 40), np.uint16)
    things[8:24, 12:30] = 40000
    paths = tmp_path / "a.png", tmp_path / "things.png"
    Image.fromarray(np.repeat((things > 0)[..., None] * np.uint8(255), 3, 2)).save(paths[0])
    Image.fromarray(things).save(paths[1])
    lens = Lens(k1=-0.3, k2=0.05)
    read = StoredView("a.png", paths[0], None, camera, lens, things=paths[1]).read(40, 32)
    assert set(np.unique(read.things)) == {0, 40000}
    assert ((read.image[..., 0] > 127) == (read.things > 0)).mean() > 0.97
    assert (read.things != things).any()


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda p: Image.fromarray((LABELS % 256).astype(np.uint8)).save(p), LABELS % 256),
        (lambda p: palette(LABELS % 7).save(p), LABELS % 7),
        (lambda p: Image.fromarray(LABELS > 1).save(p), LABELS > 1),
    ],
)
def test_label_images_of_other_programs_are_read(folder, write, expected):
    write(folder / "things/0001.png")
    assert (open_capture(folder).things(1) == expected).all()


def palette(numbers):
    image = Image.fromarray(numbers.astype(np.uint8), "L").convert("P")
    image = Image.frombytes("P", image.size, numbers.astype(np.uint8).tobytes())
    image.putpalette(bytes(range(30)))
    return image


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.unlink(), "names the label image things/0001.png, which does not exist"),
        (
            lambda p: Image.fromarray(LABELS[:, 1:]).save(p),
            "is 23x16, unlike its picture, which is 24x16",
        ),
        (
            lambda p: Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(p),
            "is not a label image, which has one whole number a pixel (it is of the kind RGB)",
        ),
        (
            lambda p: Image.fromarray(LABELS.astype(np.uint8)).save(p, "JPEG"),
            "it is of the kind JPEG, with loss",
        ),
        (
            lambda p: Image.fromarray(LABELS.astype(np.int32) + 1).save(p, "TIFF"),
            "must be 0 to 65535",
        ),
        (lambda p: p.write_bytes(p.read_bytes()[:-60]), "cannot be read as a label image"),
        (lambda p: p.write_bytes(b"no picture"), "cannot be read as a label image"),
    ],
)
def test_a_label_image_that_cannot_be_used_is_refused_by_its_name(folder, change, words, capsys):
    change(folder / "things/0001.png")
    sentence = refusal(folder)
    assert words in sentence
    assert "0001.png" in sentence
    assert scene("import", folder)[0] == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_an_unnamed_label_image_is_refused_as_no_name(folder):
    content = read_json(folder)
    content["frames"][0]["things_file_path"] = ""
    write_json(folder, content)
    assert "cannot have a file of the name" in refusal(folder)


def test_a_capture_of_which_only_some_views_have_things_says_so(tmp_path):
    write_capture(tmp_path / "some", views(1, 3))
    capture = readable(open_capture(tmp_path / "some"))
    (note,) = capture.notes
    assert note.startswith("2 of 4 views have no things (things_file_path), such as that of images")
    assert "images/0001.png" in note
    assert [capture.things(index) is None for index in range(COUNT)] == [False, True, False, True]


def test_a_capture_without_things_is_written_and_read_as_before(tmp_path):
    write_capture(tmp_path, views_of_noise(orbit(COUNT)))
    assert "things" not in (tmp_path / "transforms.json").read_text()
    assert not (tmp_path / "things").exists()
    capture = open_capture(tmp_path)
    assert capture.notes == ()
    assert capture.things(0) is None
    assert capture.read(0).things is None


# ------------------------------------------------------------------ uploads


def put(index, view: Pixels, things):
    height, width = view.image.shape[:2]
    pose = tuple(orbit(COUNT)[index].reshape(-1).tolist())
    return PutView(
        capture=ID,
        index=index,
        name=f"view {index}",
        image=view.image,
        things=things,
        fx=30.0,
        fy=33.0,
        cx=width / 2,
        cy=height / 2,
        camera_to_world=pose,
    )


def test_things_that_are_sent_are_kept_and_told_where_some_lack(tmp_path):
    store = CaptureStore(tmp_path)
    store.open(ID, COUNT)
    for index, view in enumerate(views()):
        assert "bad" not in str(answer(store, put(index, view.pixels, view.pixels.things)))
    first = next(views()).pixels
    answer(store, put(0, first, None))  # a view that is sent again replaces the first
    state = store.seal(ID)
    assert "1 of 4 views have no things" in state.notes[0]
    assert str(tmp_path) not in state.notes[0]
    capture = open_capture(store.folder(ID))
    assert capture.things(0) is None
    assert (capture.things(2) == np.roll(LABELS, 2)).all()


def test_things_that_lie_damaged_are_asked_for_again(tmp_path):
    store = CaptureStore(tmp_path)
    store.open(ID, COUNT)
    for index, view in enumerate(views()):
        answer(store, put(index, view.pixels, view.pixels.things))
    (path,) = tmp_path.rglob("things/0002_*.png")
    path.write_bytes(b"")
    with pytest.raises(CaptureError, match="such as those of index 2: send them again"):
        store.seal(ID)
    assert store.state(ID).missing == (2,)


def test_uploads_that_were_begun_by_an_earlier_version_go_on(tmp_path):
    store = CaptureStore(tmp_path)
    store.open(ID, COUNT)
    for index, view in enumerate(views(0, 1, 2, 3)):
        answer(store, put(index, view.pixels, None))
    for path in tmp_path.rglob("views/*.json"):
        record = json.loads(path.read_text())
        assert record.pop("things") is None
        path.write_text(json.dumps(record))
    assert store.seal(ID).sealed
