"""What phones keep: HEIC photos and films."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from backend.__main__ import main
from backend.captures import video
from backend.captures.error import CaptureError
from backend.captures.transforms import open_capture, write_capture
from backend.command_line import command_in
from backend.commands import COMMANDS
from backend.pictures import PictureError, heif, read_picture
from backend.work_lock import alone
from tests.backend.capture_worlds import orbit, views_of_noise

TURN = (0).to_bytes(4, "big"), (65536).to_bytes(4, "big"), (2**32 - 65536).to_bytes(4, "big")
PLAIN = TURN[1] + TURN[0] * 3 + TURN[1]
"""What a film's file says of its turning."""


def gradient(height: int = 48, width: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([columns * 3, rows * 4, 128 + 0 * rows]).astype(np.uint8)


def heic(file: Path, pixels: np.ndarray, **how) -> None:
    package = pytest.importorskip("pillow_heif")
    package.register_heif_opener()
    Image.fromarray(pixels).save(file, "HEIF", quality=100, **how)


@pytest.mark.parametrize("suffix", [".heic", ".HEIC", ".heif", ".jpg"])
def test_heic_photos_are_read_as_they_are(tmp_path, suffix):
    """Whatever their suffix: phones rename what they send."""
    heic(tmp_path / f"photo{suffix}", gradient())
    picture = read_picture(tmp_path / f"photo{suffix}")
    difference = picture.own.astype(int) - gradient()
    assert np.abs(difference).mean() < 3
    assert picture.notes == ()


@pytest.mark.parametrize("suffix", [".HEIC", ".hif"])
def test_heic_photos_make_a_capture(tmp_path, suffix):
    write_capture(tmp_path, views_of_noise(orbit(6), 64, 48))
    for file in sorted((tmp_path / "images").iterdir()):
        heic(file.with_suffix(suffix), np.asarray(Image.open(file)))
        file.unlink()
    text = (tmp_path / "transforms.json").read_text().replace(".png", "")
    (tmp_path / "transforms.json").write_text(text)
    capture = open_capture(tmp_path)
    assert capture.names == tuple(f"images/{index:04}{suffix}" for index in range(6))
    assert capture.read(0).image.shape == (48, 64, 3)


def test_damaged_heic_is_refused_in_one_sentence(tmp_path):
    heic(tmp_path / "a.heic", gradient())
    (tmp_path / "a.heic").write_bytes((tmp_path / "a.heic").read_bytes()[:500])
    with pytest.raises(PictureError, match=r"a\.heic is "):
        read_picture(tmp_path / "a.heic")


def test_heic_without_its_package_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    monkeypatch.setattr(heif, "import_module", lambda name: __import__("none_of_this_name"))
    heif.register.cache_clear()
    with pytest.raises(PictureError, match="pillow-heif is missing: run"):
        read_picture(tmp_path / "a.heic")


def film(file: Path, frames: list[np.ndarray], aspect: Fraction = Fraction(1)) -> None:
    package = pytest.importorskip("av")
    with package.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
        stream.sample_aspect_ratio = aspect
        for pixels in frames:
            container.mux(stream.encode(package.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def frames(count: int, sharp: set[int]) -> list[np.ndarray]:
    """Each of its own brightness at the left border, noise elsewhere, blurred but for some."""
    rng, made = np.random.default_rng(0), []
    for index in range(count):
        noise = np.kron(rng.integers(0, 256, (12, 16), np.uint8), np.ones((8, 8), np.uint8))
        picture = Image.fromarray(noise).convert("RGB")
        if index not in sharp:
            picture = picture.filter(ImageFilter.GaussianBlur(3))
        pixels = np.asarray(picture).copy()
        pixels[:, :32] = 20 + 8 * index
        made.append(pixels)
    return made


def test_the_sharpest_frame_of_each_part_of_a_film_is_drawn(tmp_path):
    sharp = {2, 9, 10, 19, 23}
    film(tmp_path / "a.mp4", frames(24, sharp))
    told = []
    count = video.draw_photos(
        tmp_path / "a.mp4", tmp_path / "a/images", 4, lambda words, share: told.append(words)
    )
    assert count == 4
    names = sorted(file.name for file in (tmp_path / "a/images").iterdir())
    assert names == ["0000.jpg", "0001.jpg", "0002.jpg", "0003.jpg"]
    drawn = []
    for name in names:
        pixels = np.asarray(Image.open(tmp_path / "a/images" / name))
        assert pixels.shape == (96, 128, 3)
        drawn.append(round((pixels[:, 4:24].mean() - 20) / 8))
    assert [index // 6 for index in drawn] == [0, 1, 2, 3]
    assert drawn[0] == 2
    assert drawn[1] in (9, 10)
    assert drawn[2] not in sharp  # frames 12 to 17 are all blurred
    assert drawn[3] in (19, 23)
    assert told[-1] == "Frame 24 of 24 of a.mp4"
    assert video.draw_photos(tmp_path / "a.mp4", tmp_path / "all", 100) == 24


def test_frames_of_a_film_stand_upright(tmp_path):
    """As phones turn them: the file says by how much; and pixels are square."""
    film(tmp_path / "a.mp4", [gradient()] * 5)
    data = (tmp_path / "a.mp4").read_bytes()
    track = data.index(b"tkhd")
    at = data.index(PLAIN, track)
    turned = TURN[0] + TURN[1] + TURN[0] + TURN[2] + TURN[0]
    (tmp_path / "b.mp4").write_bytes(data[:at] + turned + data[at + len(turned) :])
    video.draw_photos(tmp_path / "b.mp4", tmp_path / "b", 3)
    pixels = np.asarray(Image.open(tmp_path / "b/0000.jpg")).astype(int)
    assert pixels.shape == (64, 48, 3)
    assert np.abs(pixels - np.rot90(gradient(), -1).astype(int)).mean() < 8
    film(tmp_path / "wide.mkv", [gradient()] * 5, Fraction(2))
    video.draw_photos(tmp_path / "wide.mkv", tmp_path / "wide", 3)
    assert Image.open(tmp_path / "wide/0000.jpg").size == (128, 48)


def test_films_that_cannot_be_used_are_refused_in_one_sentence(tmp_path, capsys):
    film(tmp_path / "a.mp4", [gradient()] * 2)
    with pytest.raises(CaptureError, match="has 2 frames"):
        video.draw_photos(tmp_path / "a.mp4", tmp_path / "a", 3)
    (tmp_path / "b.mp4").write_bytes(b"no film")
    for place in ("b.mp4", "a.mp4"):
        assert main(["scene", "import", str(tmp_path / place)]) == 1
        told = capsys.readouterr().err
        assert told.startswith("error: ")
        assert place in told
    film(tmp_path / "c.mp4", frames(12, set()))
    (tmp_path / "c.mp4").write_bytes((tmp_path / "c.mp4").read_bytes()[:4000])
    with pytest.raises(CaptureError, match=r"c\.mp4 "):
        video.draw_photos(tmp_path / "c.mp4", tmp_path / "c", 4)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "c.mp4"]


def test_a_film_without_its_package_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "a.mov").write_bytes(b"x")
    monkeypatch.setattr(video, "import_module", lambda name: __import__("none_of_this_name"))
    with pytest.raises(CaptureError, match="package av, which reads it, is missing: run"):
        video.draw_photos(tmp_path / "a.mov", tmp_path / "a", 3)


def test_a_folder_with_a_film_alone_is_one(tmp_path):
    (tmp_path / "walk.MOV").write_bytes(b"x")
    assert video.video_in(tmp_path) == tmp_path / "walk.MOV"
    assert video.video_in(tmp_path / "walk.MOV") == tmp_path / "walk.MOV"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert video.video_in(tmp_path) is None


def import_stopped_at(words: str, *arguments) -> int:
    """The status of an import that Ctrl-C stops when it tells something that begins like this."""

    def stop(told: str, share: float) -> None:
        if told.startswith(words):
            raise KeyboardInterrupt

    typed = ["scene", "import", *map(str, arguments)]
    return command_in(COMMANDS, typed, "python -m backend").run(typed, stop)


@pytest.mark.parametrize("place", ["a.mp4", "."])
def test_an_import_of_a_film_that_is_stopped_keeps_its_photos_and_says_so(tmp_path, place, capsys):
    film(tmp_path / "a.mp4", frames(12, set()))
    folder = tmp_path / "a" if place == "a.mp4" else tmp_path
    assert import_stopped_at("Reading photo", tmp_path / place, "--frames", 4) == 130
    told = capsys.readouterr().err
    assert f"the photos in {folder / 'images'} are kept: import {folder} to go on" in told
    assert len(list((folder / "images").iterdir())) == 4
    assert import_stopped_at("Reading photo", folder) == 130
    assert "nothing was written" in capsys.readouterr().err


def test_an_import_that_is_stopped_while_frames_are_drawn_leaves_nothing(tmp_path, capsys):
    film(tmp_path / "a.mp4", frames(12, set()))
    assert import_stopped_at("Frame 5", tmp_path / "a.mp4") == 130
    assert "nothing was written" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


def test_frames_are_drawn_by_one_command_at_a_time(tmp_path, capsys):
    film(tmp_path / "a.mp4", frames(12, set()))
    (tmp_path / "a").mkdir()
    with alone(tmp_path / "a"), ThreadPoolExecutor() as other:
        typed = ["scene", "import", str(tmp_path / "a.mp4")]
        assert other.submit(main, typed).result() == 1
    assert "works in" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "a").iterdir()] == [".wys.lock"]


def test_a_film_beside_a_capture_is_not_taken_for_it(tmp_path, capsys):
    """As renders of NeRF's synthetic scenes and Record3D's exports lie there."""
    write_capture(tmp_path / "scene", views_of_noise(orbit(6)))
    (tmp_path / "scene/images").rename(tmp_path / "scene/train")
    described = (tmp_path / "scene/transforms.json").read_text().replace("images/", "train/")
    (tmp_path / "scene/transforms.json").unlink()
    (tmp_path / "scene/transforms_train.json").write_text(described)
    film(tmp_path / "scene/render.mp4", frames(12, set()))
    assert main(["scene", "import", str(tmp_path / "scene")]) == 0
    assert "6 views can be used" in capsys.readouterr().out
    assert not (tmp_path / "scene/images").exists()
    film(tmp_path / "scene.mp4", frames(12, set()))
    assert main(["scene", "import", str(tmp_path / "scene.mp4")]) == 1
    assert "scene, where the photos of scene.mp4 would go, holds a capture" in (
        capsys.readouterr().err
    )
    film(tmp_path / "a.mp4", frames(12, set()))
    (tmp_path / "a").write_text("")
    assert main(["scene", "import", str(tmp_path / "a.mp4")]) == 1
    assert "a, where the photos of a.mp4 would go, is a file: give" in capsys.readouterr().err
