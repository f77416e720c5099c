"""Photos alone: COLMAP finds cameras that are known, and a failed import leaves nothing behind."""

import numpy as np
import pytest
from PIL import ExifTags, Image

from backend.captures import photos as photos_module
from backend.captures.alignment import pose_errors
from backend.captures.error import CaptureError
from backend.captures.lens import Intrinsics, Lens
from backend.captures.photos import import_photos, pairs_to_match
from backend.captures.transforms import open_capture
from backend.captures.up import up_of, upright
from tests.backend.capture_worlds import TexturedRoom, look_at, orbit

CAMERA = Intrinsics(260.0, 260.0, 128.0, 96.0, 256, 192)
LENS = Lens(k1=0.04, k2=-0.03)
COUNT = 12


def room_poses():
    """Cameras on an arc in front of the room's corner."""
    angles = np.linspace(0.15, 0.35, COUNT) * np.pi
    heights = 2.2 + 0.4 * np.sin(np.arange(COUNT))
    places = np.stack([4.5 * np.cos(angles), 4.5 * np.sin(angles), heights], axis=1)
    return np.array([look_at(place, (0.6, 0.6, 0.9)) for place in places])


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos of the room, and one that shows nothing of it."""
    folder = tmp_path_factory.mktemp("photos") / "images"
    folder.mkdir()
    room = TexturedRoom()
    for index, pose in enumerate(room_poses()):
        image, _ = room.render(CAMERA, pose, LENS)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6 if index == 4 else 1
        Image.fromarray(image).save(folder / f"photo ({index:02}).jpg", quality=95, exif=exif)
    noise = np.random.default_rng(0).integers(0, 256, (192, 256, 3), np.uint8)
    Image.fromarray(noise).save(folder / "photo (99).jpg")
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture(scope="module")
def imported(photos, tmp_path_factory):
    """What an import made, with the calls of its progress."""
    out = tmp_path_factory.mktemp("capture") / "transforms.json"
    before = {path: path.read_bytes() for path in photos.parent.rglob("*") if path.is_file()}
    calls = []
    made = import_photos(
        photos.parent, out, threads=1, on_progress=lambda words, share: calls.append((words, share))
    )
    after = {path: path.read_bytes() for path in photos.parent.rglob("*") if path.is_file()}
    assert before == after
    return made, calls


def test_photos_are_numbered_in_their_order_whatever_the_threads(photos, tmp_path):
    """What comes after asks the numbers: features that came first used to have the first ones, and
    every import placed the cameras a little otherwise.
    """
    files = sorted(photos.glob("*.jpg"))
    found = photos_module._Reconstruction(tmp_path, 4, lambda words, share: None)
    found.add_photos(files)
    with photos_module.pycolmap.Database.open(tmp_path / "database.db") as database:
        images = database.read_all_images()
        assert [image.image_id for image in images] == list(range(1, COUNT + 2))
        assert [image.name for image in images] == [f"{k:04}.jpg" for k in range(COUNT + 1)]
        assert all(database.num_keypoints_for_image(image.image_id) > 100 for image in images)


def test_cameras_are_found_within_a_tenth_of_a_degree(imported):
    made, _ = imported
    assert made.registered == tuple(f"photo ({index:02}).jpg" for index in range(COUNT))
    capture = open_capture(made.path)
    errors = pose_errors(capture.camera_to_world, room_poses())
    assert np.median(errors.rotation) < 0.1
    assert np.median(errors.position) < 0.005
    lens_error = np.abs(capture.views[0].intrinsics.fx - CAMERA.fx) / CAMERA.fx
    assert lens_error < 0.02


def test_images_are_where_the_capture_says_and_stand_upright(imported, photos):
    capture = open_capture(imported[0].path)
    assert [view.image for view in capture.views] == [
        photos / name for name in imported[0].registered
    ]
    np.testing.assert_allclose(up_of(capture), (0, 0, 1), atol=1e-9)


def test_a_photo_of_something_else_is_named(imported):
    made, _ = imported
    assert made.unregistered == ("photo (99).jpg",)
    assert made.notes[0] == ("1 of 13 photos could not be placed and are left out: photo (99).jpg.")


def test_a_photo_that_is_marked_to_be_turned_is_used_as_stored_and_named(imported):
    made, _ = imported
    assert made.turned == ("photo (04).jpg",)
    assert "The photo photo (04).jpg is only marked" in made.notes[1]
    capture = open_capture(made.path)
    assert (capture.intrinsics[4].width, capture.intrinsics[4].height) == (256, 192)


def test_progress_goes_from_nothing_to_all(imported):
    _, calls = imported
    shares = [share for _, share in calls]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    words = " ".join(words for words, _ in calls)
    for stage in ("Reading photo 13 of 13", "Finding features", "Comparing", "Placing"):
        assert stage in words


class Stop(Exception):
    """Raised by a person who cancels."""


@pytest.mark.parametrize("stage", ["Finding", "Comparing", "Placing"])
def test_an_import_can_be_stopped_at_every_stage(photos, tmp_path, stage, monkeypatch):
    monkeypatch.setattr(photos_module.tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    some = tmp_path / "photos"
    some.mkdir()
    for photo in sorted(photos.glob("*.jpg"))[:4]:
        (some / photo.name).write_bytes(photo.read_bytes())
    before = sorted(tmp_path.rglob("*"))

    def stop(words, share):
        if words.startswith(stage):
            raise Stop

    with pytest.raises(Stop):
        import_photos(some, threads=1, on_progress=stop)
    assert sorted(tmp_path.rglob("*")) == before


def test_photos_that_do_not_fit_together_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(4):
        Image.fromarray(rng.integers(0, 256, (96, 128, 3), np.uint8)).save(
            tmp_path / f"{index}.png"
        )
    with pytest.raises(CaptureError, match=f"photos in {tmp_path} do not fit together"):
        import_photos(tmp_path, threads=1)
    assert not (tmp_path / "transforms.json").exists()


def test_a_damaged_photo_is_named_and_a_capture_is_not_overwritten(tmp_path):
    for index in range(3):
        Image.new("RGB", (64, 48)).save(tmp_path / f"{index}.jpg")
    with (tmp_path / "1.jpg").open("r+b") as file:
        file.truncate(300)
    with pytest.raises(CaptureError, match=r"1\.jpg"):
        import_photos(tmp_path)
    (tmp_path / "transforms.json").write_text("{}")
    with pytest.raises(CaptureError, match="exists already"):
        import_photos(tmp_path)
    assert (tmp_path / "transforms.json").read_text() == "{}"


def test_too_few_photos_are_refused(tmp_path):
    with pytest.raises(CaptureError, match="There is no folder"):
        import_photos(tmp_path / "nowhere")
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg")
    with pytest.raises(CaptureError, match="holds 1 photos"):
        import_photos(tmp_path)


def test_pairs_of_few_photos_are_all_and_of_many_near_ones():
    assert len(pairs_to_match(50, "auto")) == 50 * 49 // 2
    many = pairs_to_match(1000, "auto")
    assert many == pairs_to_match(1000, "sequential")
    assert len(set(many)) == len(many) < 22 * 1000
    steps = {b - a for a, b in many}
    assert steps == {*range(1, 16), 30, 60, 120, 240, 480, 960}
    assert len(pairs_to_match(1000, "exhaustive")) == 1000 * 999 // 2
    assert pairs_to_match(3, "sequential") == [(0, 1), (0, 2), (1, 2)]


def test_photos_are_neighbours_as_their_numbers_are(tmp_path):
    """Of 300 in the order of letters, 2 came between 199 and 20, and was compared with neither 1
    nor 3.
    """
    for index in (1, 2, 3, 10, 11, 20, 100, 200):
        Image.new("RGB", (8, 6)).save(tmp_path / f"frame{index}.jpg")
    Image.new("RGB", (8, 6)).save(tmp_path / "Frame02 (1).JPG")
    _, names = photos_module.find_photos(tmp_path)
    assert names.pop(1) == "Frame02 (1).JPG"
    assert names == [f"frame{index}.jpg" for index in (1, 2, 3, 10, 11, 20, 100, 200)]


def test_upright_turns_the_world_and_nothing_else():
    poses = orbit(6)
    tilt = np.eye(4)
    tilt[:3, :3] = look_at((1, 2, 3), (0, 1, 1))[:3, :3]
    turned = upright(tilt @ poses, [1] * 6)
    assert turned[:, 2, 1].mean() == pytest.approx(poses[:, 2, 1].mean())
    errors = pose_errors(turned, poses)
    assert errors.alignment.scale == pytest.approx(1)
    assert errors.rotation.max() < 1e-5
    cancelling = np.array([np.eye(4), np.diag([-1.0, -1, 1, 1])])
    assert (upright(cancelling, [1, 1]) == cancelling).all()


SAVED = (
    ("0.webp", "WEBP", "RGB", {"quality": 95}),
    ("1.jpg", "WEBP", "RGB", {"lossless": True}),
    ("2.JPG", "JPEG", "CMYK", {"quality": 95}),
    ("3.tif", "TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("4.bmp", "BMP", "RGB", {}),
    ("5.png", "PNG", "RGBA", {}),
    ("6.jpeg", "JPEG", "L", {"quality": 95}),
)


def test_photos_webp_and_others_go_to_colmap_as_png_and_hidden_files_are_skipped(tmp_path):
    """Also photos_apple_double: what systems put beside photos is none, and what cannot be read is
    left out.
    """
    room = TexturedRoom()
    for pose, (name, kind, mode, options) in zip(room_poses()[::2], SAVED[:6], strict=True):
        image = Image.fromarray(room.render(CAMERA, pose)[0]).convert(mode)
        image.save(tmp_path / name, kind, **options)
    grey = Image.fromarray(room.render(CAMERA, room_poses()[5])[0]).convert("L")
    grey.save(tmp_path / SAVED[6][0], quality=95)
    for name in ("._0.webp", "._1.jpg", ".hidden.png", "Thumbs.db", ".DS_Store", "desktop.ini"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7" * 20)
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "7.jpg").write_bytes((tmp_path / "6.jpeg").read_bytes()[:400])
    (tmp_path / "8.HEIC").write_bytes(b"\0\0\0 ftypheic")
    made = import_photos(tmp_path, threads=1)
    assert made.registered == tuple(name for name, *_ in SAVED)
    assert made.unregistered == ()
    (note,) = made.notes
    assert note.startswith("2 of 9 photos are left out: ")
    assert "7.jpg" in note
    assert "8.HEIC" in note
    capture = open_capture(made.path)
    assert [view.image.name for view in capture.views] == list(made.registered)


def test_two_photos_and_ones_that_cannot_be_read_are_too_few(tmp_path):
    for index in range(4):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{index}.jpg")
    for index in (1, 3):
        (tmp_path / f"{index}.jpg").write_bytes(b"no photo")
    with pytest.raises(CaptureError, match=r"has 2 photos that can be read.*1\.jpg"):
        import_photos(tmp_path)
    assert not (tmp_path / "transforms.json").exists()
