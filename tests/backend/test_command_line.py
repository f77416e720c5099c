"""`python -m backend relevance|edit`: the files it writes, and its words about bad input."""

import io
import json
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.command_line import command_in
from backend.commands import COMMANDS
from backend.editing import Editor
from backend.editing.encoded_image import EncodedImage
from backend.output.contact_sheet import contact_sheet
from backend.output.contact_sheet import main as sheet_main
from backend.pictures import heat_map
from protocol import client
from protocol.connection import default_connection_file, write_connection
from protocol.messages import Queued
from protocol.region import snapped
from tests.backend.colour_profiles import ADOBE_RGB
from tests.backend.test_server import running_server
from tests.protocol.small_server import SmallServer


@pytest.fixture
def picture(tmp_path):
    """An image file and its pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png", pixels


def test_relevance_writes_map_pictures_and_report(picture, tmp_path, tiny_model, capsys):
    path, pixels = picture
    out = tmp_path / "out"
    arguments = [str(path), "make the sphere red", "--out", str(out), "--seeds", "2"]
    assert main(["relevance", *arguments, "--model", str(tiny_model), "--device", "cpu"]) == 0
    editor = Editor.from_pretrained(str(tiny_model), device="cpu")
    editor.set_image(pixels)
    expected = editor.relevance("make the sphere red", seeds=(0, 1)).at(48, 64)
    assert (np.load(out / "relevance.npy") == expected).all()
    assert (np.asarray(Image.open(out / "relevance.png")) == heat_map(expected)).all()
    report = json.loads((out / "report.json").read_text())
    assert report["settings"]["seeds"] == [0, 1]
    assert report["settings"]["model"] == str(tiny_model)
    assert report["seconds"]["job"] > 0
    assert report["figures"]["spread"] > 0
    assert set(report["versions"]) >= {"torch", "diffusers", "watch-your-steps"}
    assert "wrote relevance.png, region.png, overlay.png" in capsys.readouterr().out
    assert report["figures"]["took"] == "edges"
    region = np.asarray(Image.open(out / "region.png"))
    found = snapped(expected, pixels, "edges", None, report["figures"]["suggested_threshold"])
    assert (region == (found.values >= report["figures"]["region_threshold"])).all()


def test_things_of_a_label_image_are_whole_in_the_region(picture, tmp_path, tiny_model, capsys):
    """Of the map alone, of an edit, and of one on the other side of a message, the same."""
    path, pixels = picture
    labels = np.zeros(pixels.shape[:2], np.uint16)
    labels[:, 32:] = 700
    np.save(tmp_path / "things.npy", labels)
    Image.fromarray(labels).save(tmp_path / "things.png")
    regions = {}
    for name, file in (("relevance", "things.npy"), ("edit", "things.png")):
        out = tmp_path / name
        words = [name, str(path), "make the sphere red", "--out", str(out), "--seeds", "2"]
        words += ["--things", str(tmp_path / file), "--model", str(tiny_model), "--device", "cpu"]
        words += [] if name == "relevance" else ["--steps", "1"]
        assert main(words) == 0
        figures = json.loads((out / "report.json").read_text())["figures"]
        told = capsys.readouterr().out
        assert (figures["took"] == "edges") == ("Whole things do not explain" in told)
        file = "region.png" if name == "relevance" else "mask.png"
        regions[name] = np.asarray(Image.open(out / file))
    assert (regions["relevance"] == regions["edit"]).all()


def test_things_of_another_size_are_refused(picture, tmp_path, tiny_model, capsys):
    path, _ = picture
    Image.new("L", (64, 47)).save(tmp_path / "things.png")
    words = ["edit", str(path), "make it red", "--out", str(tmp_path / "out")]
    assert main([*words, "--things", str(tmp_path / "things.png")]) == 1
    told = capsys.readouterr().err
    assert "64x47, unlike the image, which is 64x48" in told
    assert not (tmp_path / "out").exists()


def test_edit_here_and_on_a_server_are_the_same(picture, tmp_path, tiny_model):
    path, pixels = picture
    common = ["edit", str(path), "make the sphere red", "--steps", "2", "--threshold", "0.4"]
    here = [*common, "--out", str(tmp_path / "here"), "--model", str(tiny_model)]
    assert main([*here, "--device", "cpu"]) == 0
    with running_server(tiny_model, tmp_path):
        there = [*common, "--out", str(tmp_path / "there")]
        assert main([*there, "--server", str(tmp_path / "connection.json")]) == 0
    images = [np.asarray(Image.open(tmp_path / d / "edit.png")) for d in ("here", "there")]
    mask = np.asarray(Image.open(tmp_path / "here" / "mask.png"))
    assert (images[0] == images[1]).all()
    assert (images[0][~mask] == pixels[~mask]).all()
    reports = [json.loads((tmp_path / d / "report.json").read_text()) for d in ("here", "there")]
    for report in reports:  # that server was still loading when it was asked
        assert (report["settings"]["text_guidance"], report["settings"]["image_guidance"]) == (
            7.5,
            1.5,
        )
    report = reports[1]
    assert report["figures"]["outside_is_input"] is True
    assert report["settings"]["threshold"] == 0.4
    assert report["settings"]["device"] == "cpu"


def test_given_mask_is_used(picture, tmp_path, tiny_model):
    path, pixels = picture
    mask = np.zeros((48, 64), np.uint8)
    mask[10:20, 10:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    arguments = ["edit", str(path), "make the sphere red", "--steps", "2", "--device", "cpu"]
    out = ["--out", str(tmp_path / "out"), "--model", str(tiny_model)]
    assert main([*arguments, *out, "--mask", str(tmp_path / "mask.png")]) == 0
    edited = np.asarray(Image.open(tmp_path / "out" / "edit.png"))
    assert (edited[mask == 0] == pixels[mask == 0]).all()
    assert (edited[mask > 0] != pixels[mask > 0]).any()
    Image.fromarray(mask[:, :10]).save(tmp_path / "mask.png")
    assert main([*arguments, *out, "--mask", str(tmp_path / "mask.png")]) == 1


def edited(tmp_path, model, path, *options, out="out"):
    """What an edit of a file leaves: the exit code, the PNG as it was written, and the report."""
    arguments = ["edit", str(path), "make the sphere red", "--steps", "2", "--device", "cpu"]
    where = ["--out", str(tmp_path / out), "--model", str(model)]
    code = main([*arguments, *where, *options])
    with Image.open(tmp_path / out / "edit.png") as file:
        file.load()
    return code, file, json.loads((tmp_path / out / "report.json").read_text())


def test_a_turned_photo_comes_back_upright(picture, tmp_path, tiny_model):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(picture[1]).save(tmp_path / "turned.png", exif=exif)
    mask = np.zeros((64, 48), np.uint8)
    mask[:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = ["--mask", str(tmp_path / "mask.png")]
    _, result, report = edited(tmp_path, tiny_model, tmp_path / "turned.png", *options)
    upright = np.rot90(picture[1], -1)
    assert (np.asarray(result)[20:] == upright[20:]).all()
    assert (np.asarray(result)[:20] != upright[:20]).any()
    assert result.getexif().get(274, 1) == 1
    assert report["figures"]["outside_is_input"] is True


def test_alpha_and_profile_come_back_with_the_edit(picture, tmp_path, tiny_model):
    alpha = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    given = np.dstack([picture[1], alpha])
    Image.fromarray(given).save(tmp_path / "cut.png", icc_profile=ADOBE_RGB)
    mask = np.zeros((48, 64), np.uint8)
    mask[:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = ["--mask", str(tmp_path / "mask.png")]
    code, result, report = edited(tmp_path, tiny_model, tmp_path / "cut.png", *options)
    written = np.asarray(result)
    assert code == 0
    assert result.info["icc_profile"] == ADOBE_RGB
    assert (written[..., 3] == alpha).all()
    assert (written[20:] == given[20:]).all()
    assert (written[:20, 1:, :3] != given[:20, 1:, :3]).any()
    assert report["notes"] == []


def test_notes_name_what_was_read_otherwise(picture, tmp_path, tiny_model, capsys):
    Image.fromarray(picture[1][..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.new("RGBA", (64, 48), (255, 255, 255, 255)).save(tmp_path / "mask.png")
    options = ["--mask", str(tmp_path / "mask.png"), "--threshold", "0.7"]
    _, _, report = edited(tmp_path, tiny_model, tmp_path / "deep.png", *options)
    deep, everything, unused = report["notes"][-3:]
    assert "16 bits a channel" in deep
    assert "marks everything" in everything
    assert "threshold is not used" in unused
    assert report["settings"]["threshold"] is None
    assert report["figures"]["threshold"] is None
    said = capsys.readouterr().out
    assert all(f"note: {note}\n" in said for note in report["notes"])


@pytest.mark.parametrize("why", ["threshold", "empty mask", "transparent", "same"])
def test_an_edit_that_changes_nothing_says_unchanged_first(
    picture, tmp_path, tiny_model, capsys, monkeypatch, why
):
    path, pixels = picture
    options = ["--seeds", "2"]
    if why == "threshold":
        options = ["--threshold", "1"]
    elif why == "empty mask":
        Image.new("L", (64, 48), 90).save(tmp_path / "mask.png")
        options = ["--mask", str(tmp_path / "mask.png")]
    elif why == "transparent":
        Image.fromarray(np.dstack([pixels, 0 * pixels[..., 0]])).save(path)
        options = ["--threshold", "0"]
    else:
        monkeypatch.setattr(EncodedImage, "decoded", lambda self, model, latents: self.image)
    code, result, report = edited(tmp_path, tiny_model, path, *options)
    assert code == 0
    assert (np.asarray(result)[..., :3] == pixels).all()
    assert capsys.readouterr().out.startswith("Unchanged: ")
    assert report["notes"][0].startswith("Unchanged: ")
    assert not any(note.startswith("Unchanged") for note in report["notes"][1:])


def test_a_server_says_unchanged_first_too(picture, tmp_path, tiny_model, capsys):
    common = ["edit", str(picture[0]), "make the sphere red", "--steps", "2", "--threshold", "1"]
    with running_server(tiny_model, tmp_path):
        there = [*common, "--out", str(tmp_path / "there")]
        assert main([*there, "--server", str(tmp_path / "connection.json")]) == 0
    assert capsys.readouterr().out.startswith("Unchanged: no pixel reaches the threshold of 1.00")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": "nowhere.png"}, "There is no image nowhere.png"),
        ({"image": __file__}, "is not an image that can be read"),
        ({"instruction": ""}, "The instruction is empty"),
        ({"instruction": "\u2003"}, "The instruction is empty"),
        ({"instruction": "x" * 1001}, "has 1001 characters"),
        ({"instruction": "a\udcff"}, "character 2 is not text"),
        ({"--threshold": "1.5"}, "--threshold must be 0 to 1, not 1.5."),
        ({"--threshold": "nan"}, "--threshold must be 0 to 1, not nan."),
        ({"--steps": "0"}, "--steps must be 1 or more, not 0."),
        ({"--steps": "1001"}, "--steps must be 1 to 1000, not 1001."),
        ({"--seeds": "0"}, "--seeds must be 1 or more, not 0."),
        ({"--seeds": "1000000000"}, "--seeds must be 1 to 64, not 1000000000."),
        ({"--seed": str(2**63)}, f"--seed must be 0 to {2**63 - 1}, not {2**63}."),
        ({"--strength": "nan"}, "--strength must be above 0 and at most 1, not nan."),
        ({"--text-guidance": "inf"}, "--text-guidance must be 0 to 100, not inf."),
        ({"--noise-level": "-1"}, "--noise-level must be 0 to 1, not -1.0."),
        ({"--model": "./nowhere"}, "There is no folder ./nowhere"),
        ({"--device": "abacus"}, "There is no device 'abacus'"),
        ({"--dtype": "int3"}, "dtype 'int3'"),
        ({"--server": "nowhere.json"}, "no connection file nowhere.json"),
        ({"--mask": "nowhere.png"}, "There is no image nowhere.png"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    picture, tmp_path, tiny_model, capsys, change, words
):
    values = {
        "image": str(picture[0]),
        "instruction": "make the sphere red",
        "--out": str(tmp_path / "out"),
        "--model": str(tiny_model),
        "--device": "cpu",
    } | change
    options = [part for name, value in values.items() if name[0] == "-" for part in (name, value)]
    assert main(["edit", values["image"], values["instruction"], *options]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_results_that_cannot_be_written_are_refused_before_the_work(picture, capsys, monkeypatch):
    path = picture[0]
    before = path.rename(path.with_name("edit.png")).read_bytes()
    path, folder = path.with_name("edit.png"), path.parent
    monkeypatch.setattr(Editor, "from_pretrained", None)  # the work would end in a TypeError
    common = ["edit", str(path), "make the sphere red", "--model", "demo", "--out"]
    for out, words in (
        (path, f"{path} is a file, not a folder"),
        (path / "below" / "it", f"{path} is a file, not a folder"),
        (folder, f"{path} would be overwritten by the result"),
    ):
        assert main([*common, str(out)]) == 1
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
    assert path.read_bytes() == before
    assert list(folder.iterdir()) == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode elsewhere")
def test_file_names_that_are_not_utf_8(picture, tmp_path, tiny_model, monkeypatch):
    path = picture[0].rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    out = tmp_path / os.fsdecode(b"r\xe9sultat")
    said = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", said)
    common = ["edit", str(path), "make the sphere red", "--steps", "1", "--out", str(out)]
    assert main([*common, "--model", str(tiny_model), "--device", "cpu"]) == 0
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert report["command"][4] == str(path)
    said.flush()
    assert b"r\\udce9sultat" in said.buffer.getvalue()


def test_options_that_a_server_does_not_use_are_named(picture, tmp_path, tiny_model, capsys):
    common = ["relevance", str(picture[0]), "make the sphere red", "--seeds", "1"]
    with running_server(tiny_model, tmp_path):
        there = [*common, "--out", str(tmp_path / "there"), "--model", "other"]
        assert main([*there, "--server", str(tmp_path / "connection.json")]) == 0
    assert "note: Not used: --model. The server has its own model." in capsys.readouterr().out


def test_a_server_that_is_gone_is_said_and_ends_the_command(picture, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(client, "RETURN_SECONDS", 2)
    file, out = tmp_path / "connection.json", tmp_path / "out"
    gone = threading.Event()

    def answer(message):
        gone.set()
        return [Queued(job=message.job, position=0)]

    with SmallServer(answer) as server:
        write_connection(file, server.connection)
        thread = threading.Thread(target=lambda: (gone.wait(), server.stop()))
        thread.start()
        options = ["--server", str(file), "--out", str(out)]
        assert main(["edit", str(picture[0]), "make the sphere red", *options]) == 1
        thread.join()
    said = capsys.readouterr().err.splitlines()
    assert "was lost; trying" in said[-2]
    assert said[-1].startswith("error: The backend at tcp://127.0.0.1:")
    assert "has not come back" in said[-1]
    assert not out.exists()


def test_interrupt_writes_nothing(picture, tmp_path, tiny_model, monkeypatch):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(Editor, "edit", interrupt)
    arguments = [str(picture[0]), "make the sphere red", "--out", str(tmp_path / "out")]
    assert main(["edit", *arguments, "--model", str(tiny_model), "--device", "cpu"]) == 130
    assert not (tmp_path / "out").exists()


def test_contact_sheet_shows_every_picture(tmp_path):
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    pictures = []
    for number, colour in enumerate(colours):
        Image.new("RGB", (40, 20), colour).save(tmp_path / f"{number}.png")
        pictures.append({"picture": str(tmp_path / f"{number}.png"), "words": "two\nlines"})
    description = tmp_path / "sheet.json"
    description.write_text(json.dumps([pictures[:2], pictures[2:]]))
    assert sheet_main([str(tmp_path / "sheet.png"), str(description)]) == 0
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    for colour in colours:
        found = (sheet == colour).all(axis=2)
        assert found.sum() == 256 * 128
    assert sheet_main(["only one argument"]) == 2
    assert contact_sheet([[(Image.new("RGB", (9, 900)), "")]]).height > 256


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (
            "",
            "Say what to do, after 'python -m backend': relevance, edit, scene, evaluate or",
        ),
        ("draw", "There is no command 'draw': use relevance, edit, scene, evaluate or bench."),
        ("scene", "Say what to do, after 'python -m backend scene': import, train, edit, undo"),
        (
            "scene fly",
            "There is no command 'scene fly': use import, train, edit, undo",
        ),
        ("edit", "IMAGE, INSTRUCTION and --out are missing."),
        ("edit a b", "--out is missing."),
        ("edit a b --out", "--out needs a value."),
        ("edit a b c --out d", "'c' belongs to nothing: put texts with spaces in quotes."),
        ("edit a b --out d --stepz 4", "There is no option --stepz: did you mean --steps?"),
        ("edit a b --stepz=4", "There is no option --stepz: did you mean --steps?"),
        ("edit a b --out d --banana", "There is no option --banana."),
        ("edit a b --out d --steps 2.5", "--steps must be a whole number, not 2.5."),
        ("edit a b --out d --steps x", "--steps must be a whole number, not x."),
        ("edit a b --out d --seeds x", "--seeds must be a whole number, not x."),
        ("edit a b --out d --strength x", "--strength must be a number, not x."),
        ("edit a b --out d --threshold x", "--threshold must be a number, not x."),
        ("edit a b --out d --normalisation x", "--normalisation must be full or paper, not x."),
        ("scene train f --preset x", "--preset must be preview, medium or full, not x."),
        ("scene edit f i --relevance x", "--relevance must be field or off, not x."),
        (
            "evaluate relevance --out d --ways x",
            "--ways must be plain, guided, paper or true, not",
        ),
        ("evaluate relevance --out d --captured=3", "'3' belongs to nothing"),
        ("evaluate relevance --out d --ways", "--ways needs a value."),
        ("edit a b --out d --text 7", "There is no option --text: did you mean --text-guidance?"),
        ("edit --stepz 3 a b --out d", "There is no option --stepz: did you mean --steps?"),
        ("scene train --folder f", "There is no option --folder."),
        ("scene train f --axes x", "--axes must be opengl, opencv, pytorch3d, unity, opengl-w2c,"),
        ("edit a b --out=", "The name of a file or folder is empty: give one."),
        ("edit a b --out d --threshold=", "--threshold must be a number, not empty."),
        ("edit a b --out d --seed " + "9" * 5000, "--seed has too many digits."),
        ("edit a b --out d --crop 1 2 3", "--crop needs 4 whole numbers: X Y W H."),
        ("edit a b --out d --crop 1.5 2 3 4", "--crop needs 4 whole numbers: X Y W H."),
        ("edit a b --out d --crop", "--crop needs 4 whole numbers: X Y W H."),
        ("--tyro-print-completion", "Say --tyro-print-completion SHELL, where SHELL is bash, zsh"),
        ("--tyro-print-completion sh", "Say --tyro-print-completion SHELL, where SHELL is bash"),
    ],
)
def test_what_is_typed_wrong_is_one_line_and_status_2(capsys, monkeypatch, tmp_path, typed, words):
    monkeypatch.setattr(sys, "argv", ["backend/__main__.py"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(typed.split())
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {words}")
    assert (printed.err.count("\n"), printed.out) == (1, "")
    assert not list(tmp_path.iterdir())


def test_texts_may_begin_with_a_dash():
    words = ["-a b.png", "-make it = red", "--out", "-d e"]
    edit = command_in(COMMANDS, ["edit", *words], "x")
    assert (edit.image, edit.instruction) == (Path("-a b.png"), "-make it = red")
    assert edit.out == Path("-d e")
    assert command_in(COMMANDS, ["edit", "--out", "d", "--", "a", "-b"], "x").instruction == "-b"


@pytest.mark.parametrize("command", ["train", "import"])
def test_a_file_in_place_of_a_capture_is_named(picture, capsys, command):
    assert main(["scene", command, str(picture[0])]) == 1
    assert capsys.readouterr().err.startswith(f"error: {picture[0]} is a file, not a folder: ")


def test_measuring_into_a_file_is_refused_before_the_work(picture, capsys):
    for words in ("evaluate relevance", "evaluate scene", "evaluate check", "bench radiance"):
        assert main([*words.split(), "--out", str(picture[0])]) == 1
        assert "is a file, not a folder" in capsys.readouterr().err


def test_a_server_is_asked_by_its_own_connection_file_where_none_is_named(tmp_path, capsys):
    own = default_connection_file()
    for typed, file in ((["--server"], own), (["--server", "x.json"], Path("x.json"))):
        for words in ([*typed, "--out", "d"], ["--out", "d", *typed]):
            edit = command_in(COMMANDS, ["edit", "a", "b", *words], "x")
            assert (edit.server, edit.image, edit.instruction) == (file, Path("a"), "b")
    assert command_in(COMMANDS, ["edit", "a", "b", "--out", "d"], "x").server is None
