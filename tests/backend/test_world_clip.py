"""The world CLIP: how it is trained and saved, and how well an encoder is said to retrieve."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPModel

from backend.__main__ import main
from backend.demo import train_clip, training
from backend.demo.model import PICTURE_SIZE
from backend.demo.world_clip import build_clip, build_clip_tokenizer, tokenize_captions
from backend.editing.encoders import load_encoder
from backend.errors import BadInput
from backend.evaluation.retrieval import Pairs, draw_pairs, retrieval
from backend.world import pool, world
from tests.backend.tiny_clip import save_tiny_clip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two rendered scenes."""
    monkeypatch.setattr(pool, "SCENES_PER_SHARD", 2)
    monkeypatch.setattr(pool, "SIZES", ((128, 160),))
    monkeypatch.setattr(pool, "SIZE_SHARE", (1.0,))
    pool.render_shard(tmp_path / "pictures", 0)
    return tmp_path


def test_no_caption_is_too_long() -> None:
    tokenizer = build_clip_tokenizer()
    captions = [
        caption
        for seed in world.VALIDATION_SEEDS[:12]
        for sample in pool.draw_samples(seed, 32, 32, kinds=None)
        for caption in sample.captions
    ]
    tokens = tokenize_captions(tokenizer, captions)
    assert (tokens[:, -1] == tokenizer.pad_token_id).all()
    words = set(" ".join(captions).replace(",", "").split())
    assert all(len(tokenizer(word).input_ids) == 3 for word in words)  # begin, word, end


def test_the_contrastive_loss_is_transformers_own() -> None:
    torch.manual_seed(0)
    tokenizer = build_clip_tokenizer()
    model = build_clip(tokenizer).eval()
    pictures = torch.randn(4, 3, PICTURE_SIZE, PICTURE_SIZE)
    tokens = tokenize_captions(tokenizer, ["red", "a blue cube", "wood", "a ground"])
    nothing = torch.zeros(0, 4, 8, 8)
    batch = train_clip.Batch(
        pictures, tokens, torch.zeros(0).long(), nothing, torch.zeros(0, 4, 3).long()
    )
    with torch.no_grad():
        expected = model(input_ids=tokens, pixel_values=pictures, return_loss=True)
        found, _ = train_clip.Contrast(model).loss(batch)
    same = train_clip.contrastive_loss(expected.logits_per_image, tokens)
    torch.testing.assert_close(same, expected.loss, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found, expected.loss, atol=1e-2, rtol=1e-2)  # bfloat16 at times


def test_equal_captions_are_equally_right() -> None:
    tokens = torch.tensor([[1, 2], [1, 2], [3, 2]])
    confused = torch.tensor([[9.0, 9, -9], [9, 9, -9], [-9, -9, 9]])
    least = 2 * np.log(2) / 3  # of the entropy that two equal captions leave
    found = train_clip.contrastive_loss(confused, tokens)
    assert found.item() == pytest.approx(least, abs=1e-4)
    assert train_clip.contrastive_loss(-confused, tokens) > 5


def test_names_are_read_from_the_patches_that_show_a_thing() -> None:
    things = torch.zeros(1, 4, 16, 16)
    things[0, 0, :, :8] = 1  # the left half: a cube, red, no pattern
    names = torch.full((1, 4, 3), -1)
    names[0, 0, :2] = torch.tensor([1, 0])
    scores = torch.zeros(1, 64, len(world.SHAPES) + len(world.COLOURS) + len(world.PATTERNS))
    unsure = (np.log(len(world.SHAPES)) + np.log(len(world.COLOURS))) / 3
    assert train_clip.names_loss(scores, things, names).item() == pytest.approx(unsure, abs=1e-5)
    rows = scores.view(1, 8, 8, -1)
    rows[:, :, :4, 1] = rows[:, :, :4, len(world.SHAPES)] = 20
    rows[:, :, 4:, 3] = 20  # what is said elsewhere does not count
    assert train_clip.names_loss(scores, things, names).item() < 1e-5


def test_a_batch_holds_pictures_with_their_own_captions(cache: Path) -> None:
    drawn = train_clip.load_pool(cache / "pictures")
    with np.load(cache / "pictures" / "pictures-00000.npz") as file:
        captions = json.loads(bytes(file["captions"]))
    tokenizer = build_clip_tokenizer()
    known = {}
    for number, caption in enumerate(captions):
        known[drawn.edited[number].tobytes()] = caption[1]
    for number, first in enumerate(drawn.first[:-1]):
        known[drawn.images[number].tobytes()] = captions[first][0]
    batch = train_clip.draw_batch(drawn, np.random.default_rng(0), 6)
    assert len(batch.images) == 6 * (1 + train_clip.EDITS_OF_ONE_SCENE)
    for picture, tokens in zip(batch.images, batch.tokens, strict=True):
        shown = ((picture + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        caption = known.get(shown.tobytes()) or known[shown[:, ::-1].tobytes()]
        assert torch.equal(tokens, tokenize_captions(tokenizer, [caption])[0])


def test_a_training_goes_on_from_its_checkpoint_and_its_export_can_be_loaded(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_clip, "CHECKED_PICTURES", 2)
    command = ["--cache", str(cache), "--weights", str(cache / "clip"), "--scenes", "2"]
    command += ["--minutes", "0.02", "--device", "cpu"]
    train_clip.main(command)
    before = training.load_checkpoint(cache / "clip.pt")
    train_clip.main(command)
    after = training.load_checkpoint(cache / "clip.pt")
    assert before is not None
    assert after is not None
    assert after["step"] > before["step"] > 0
    last = json.loads((cache / "clip.jsonl").read_text().splitlines()[-1])
    assert last["step"] == after["step"]
    assert {"loss", "text to image", "caption after"} <= last.keys()

    saved = CLIPModel.from_pretrained(cache / "clip", dtype=torch.float16)
    modules = train_clip.Contrast(build_clip(build_clip_tokenizer()))
    names = [name.removeprefix("model.") for name, _ in modules.named_parameters()]
    averages = dict(zip(names, after["average"], strict=True))
    for name, parameter in saved.named_parameters():
        assert torch.equal(parameter, averages[name].half())
    found = load_encoder(str(cache / "clip")).images([np.zeros((40, 60, 3), np.uint8)])
    assert found.shape == (1, 128)


def test_training_without_pictures_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadInput, match="--stages render"):
        train_clip.load_pool(tmp_path)
    with pytest.raises(SystemExit):
        train_clip.main(["--stages", "export", "--cache", str(tmp_path)])
    assert "run the stage train first" in capsys.readouterr().err


class Knowing:
    """An encoder that knows what every picture shows, or is wrong about all of them."""

    name = "knowing"

    def __init__(self, pairs: Pairs, sign: int = 1) -> None:
        pictures = [*pairs.pictures, *(e.image for e in pairs.edits)]
        pictures += [e.edited for e in pairs.edits]
        captions = [*pairs.captions, *(e.captions[0] for e in pairs.edits)]
        captions += [e.captions[1] for e in pairs.edits]
        numbers = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
        self._axes = np.eye(len(numbers), dtype=np.float32)
        self._shown = {
            one.tobytes(): numbers[caption] for one, caption in zip(pictures, captions, strict=True)
        }
        self._said, self._sign = numbers, sign

    def images(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        return self._axes[[self._shown[one.tobytes()] for one in pictures]]

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return self._sign * self._axes[[self._said[text] for text in texts]]


def test_retrieval_counts_what_is_right() -> None:
    pairs = draw_pairs(world.VALIDATION_SEEDS, 4, 48)
    assert len(pairs.pictures) == len(set(pairs.captions)) == 4
    assert all(edit.captions[0] != edit.captions[1] for edit in pairs.edits)
    right, wrong = retrieval(Knowing(pairs), pairs), retrieval(Knowing(pairs, -1), pairs)
    shares = ("text to image", "image to text", "after by caption", "caption after")
    assert [right[name] for name in shares] == [1] * 4
    assert [wrong[name] for name in shares] == [0] * 4
    assert (right["direction"], wrong["direction"]) == pytest.approx((1, -1))
    assert right["direction, another edit's"] == pytest.approx(0, abs=0.3)
    half = dataclasses.replace(pairs, edits=pairs.edits[:1])
    swapped = dataclasses.replace(
        pairs.edits[0], image=pairs.edits[0].edited, edited=pairs.edits[0].image
    )
    both = dataclasses.replace(half, edits=[swapped])
    found = retrieval(Knowing(pairs), both)
    assert (found["text to image"], found["after by caption"], found["caption after"]) == (1, 0, 0)


def test_command_measures_any_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny_clip(tmp_path / "clip")
    command = ["evaluate", "clip", "--clip", str(folder), "--pictures", "3", "--side", "48"]
    command += ["--seeds", "validation", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (row,) = report["figures"]["Retrieval"].values()
    expected = retrieval(load_encoder(str(folder)), draw_pairs(world.VALIDATION_SEEDS, 3, 48))
    assert row == {"pictures": 3, "edits": 3} | {
        name: pytest.approx(value, abs=6e-4) for name, value in expected.items()
    }
    assert report["settings"]["clip"] == str(folder)
    assert str(folder) in (tmp_path / "out" / "figures.md").read_text()
    assert main([*command[:3], str(tmp_path), *command[4:]]) == 1
    assert "is no CLIP that can be had here" in capsys.readouterr().err


def test_the_shipped_one_knows_the_world() -> None:
    """Far above chance, which is 0.05 of 20 and 0.5 of two."""
    found = retrieval(load_encoder("demo"), draw_pairs(world.VALIDATION_SEEDS, 20, PICTURE_SIZE))
    assert min(found["text to image"], found["image to text"]) > 0.6
    assert found["caption after"] > 0.75
    assert found["direction"] > found["direction, another edit's"] + 0.3


def test_what_tells_nothing_apart_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "clip", "--clip", str(save_tiny_clip(tmp_path / "clip"))]
    command += ["--out", str(tmp_path / "out"), "--seeds", "validation"]
    assert main([*command, "--pictures", "1", "--side", "32"]) == 1
    assert "1 pictures are too few to tell their edits apart" in capsys.readouterr().err
    assert main([*command, "--side", "1"]) == 1
    assert "--side must be 16 or more, not 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
