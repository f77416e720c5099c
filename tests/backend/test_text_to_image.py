"""The demo model's text-to-image companion: its parts, its training, and how it is measured."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

from backend.__main__ import main as command_line
from backend.demo import companion, train, train_captions, training
from backend.demo.model import WEIGHTS, tokenize
from backend.demo.world_clip import build_clip_tokenizer
from backend.editing.models import demo_text_to_image, registry
from backend.editing.models.denoiser import Encoding, Prediction
from backend.editing.models.registry import load_text_to_image
from backend.errors import BadInput
from backend.evaluation.captions import Question, edit_questions, right_answers, scene_questions
from backend.world import pool, world
from tests.backend.tiny_model import save_tiny_text_to_image_model

CAPTIONS = [["a red cube", "a blue cube"], ["a red cube", "a green cube"], ["a torus", "a cone"]]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Latents of two scenes and three edits. The number of the edit, and 0.5 for a picture before
    any, is their mean.
    """
    rng = np.random.default_rng(0)
    folder = tmp_path / "latents"
    folder.mkdir()
    side = 16

    def latents(means: Sequence[float]) -> np.ndarray:
        noise = rng.normal(size=(len(means), 4, side, side)) * 0.01
        return (noise + np.array(means)[:, None, None, None]).astype(np.float16)

    np.savez(
        folder / "latents-00000.npz",
        images=latents([-1, -2]),
        edited=latents([1, 2, 3]),
        source=np.array([0, 0, 1], np.int16),
        masks=np.full((3, side, side), 255, np.uint8),
        things=np.zeros((2, 4, side, side), np.uint8),
        names=np.array([[[2, 1, 0]] * 4, [[3, 0, 0]] * 4], np.int8),
        captions=np.frombuffer(json.dumps(CAPTIONS).encode(), np.uint8),
    )
    return tmp_path


@pytest.mark.parametrize("small", [False, True])
def test_a_batch_has_the_captions_of_its_pictures(cache: Path, small: bool) -> None:
    tokenizer = build_clip_tokenizer()
    pictures = train_captions.load_pictures(cache / "latents", tokenizer)
    batch = train_captions.draw_batch(pictures, np.random.default_rng(0), 16, small)
    assert batch.picture.shape[1:] == ((4, 8, 8) if small else (4, 16, 16))
    shows = {-1: "a red cube", -2: "a torus", 1: "a blue cube", 2: "a green cube", 3: "a cone"}
    means = batch.picture.mean((1, 2, 3)).round().int().tolist()
    assert set(means) == set(shows)
    for i, mean in enumerate(means):
        assert torch.equal(batch.tokens[i], tokenize(tokenizer, [shows[mean]])[0])
        assert batch.changed[i].mean() == (mean > 0)
        assert batch.named[i] == (mean < 0)
        assert mean > 0 or batch.names[i, 0, 0] == {-1: 2, -2: 3}[mean]


def test_the_companion_begins_as_the_demo_model_without_a_picture() -> None:
    whole = UNet2DConditionModel.from_pretrained(WEIGHTS, subfolder="unet").float()
    cut, encoder = companion.begin(WEIGHTS, build_clip_tokenizer())
    noisy, told = torch.randn(1, 4, 16, 16), torch.randn(1, 24, 128)
    with torch.no_grad():
        expected = whole(torch.cat([noisy, torch.zeros_like(noisy)], 1), 700, told).sample
        found = cut(noisy, 700, told).sample
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert encoder.config.max_position_embeddings == 48


def test_training_goes_on_and_what_it_writes_is_the_companion(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "check_captions", lambda *_: {})
    monkeypatch.setattr(train_captions, "STEPS_APART", 1)
    folder = tmp_path / "companion"
    options = ["--cache", str(cache), "--processes", "1", "--device", "cpu", "--batch", "4"]
    options += ["--minutes", "0.01", "--text-to-image", str(folder)]
    train.main(["--stages", "captions", *options])
    train.main(["--stages", "captions", "export-captions", *options])
    curve = [json.loads(line) for line in (cache / "captions.jsonl").read_text().splitlines()]
    assert curve[-1]["step"] > curve[0]["step"] > 0
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 12e6

    monkeypatch.setattr(registry, "DEMO_TEXT_TO_IMAGE", folder)
    model = load_text_to_image("demo", "cpu")
    assert model.card.native_size == 128
    assert model.card.guidance == companion.GUIDANCE
    checkpoint = training.load_checkpoint(cache / "captions.pt")
    assert checkpoint is not None
    begun, _ = companion.begin(WEIGHTS, build_clip_tokenizer())
    averaged, _, _ = train_captions.averaged_companion(cache, WEIGHTS)
    for was, learnt, stored in zip(
        begun.parameters(), averaged.parameters(), model.unet.parameters(), strict=True
    ):
        change = float((learnt - was).abs().max())
        assert change > 0
        torch.testing.assert_close(stored, learnt, atol=change / 250 + 1e-6, rtol=0)  # 8 bits

    monkeypatch.setattr(demo_text_to_image, "fingerprint", lambda weights: "another")
    with pytest.raises(BadInput, match="beside another demo model"):
        load_text_to_image("demo", "cpu")


class Knowing:
    """Denoises to the very picture that a caption is known to be of."""

    def __init__(self, known: dict[str, float]) -> None:
        self.known = known

    def encode(self, image: np.ndarray) -> Encoding:
        return Encoding(torch.full((1, 4, 8, 8), image.mean() / 255))

    def conditions(self, encoding: Encoding, caption: str) -> str:
        return caption

    def noised(self, clean, noise, level):
        return clean + level.view(-1, 1, 1, 1).float() * noise

    def predict(self, noisy, level, conditions, guidance) -> Prediction:
        clean = torch.tensor([self.known[one] for one in conditions]).view(-1, 1, 1, 1)
        return Prediction(clean, (noisy - clean) / level.view(-1, 1, 1, 1).float())


def test_a_model_that_knows_captions_answers_right_and_one_that_errs_wrong() -> None:
    questions = [
        Question(np.full((32, 32, 3), grey, np.uint8), right, wrong)
        for grey, right, wrong in ((51, "dark", "bright"), (204, "bright", "dark"))
    ]
    assert right_answers(Knowing({"dark": 0.2, "bright": 0.8}), questions) == 1.0
    assert right_answers(Knowing({"dark": 0.8, "bright": 0.2}), questions) == 0.0
    assert right_answers(Knowing({"dark": 0.2, "bright": 0.2}), questions) == 0.0  # no guess


def test_questions_have_each_pictures_own_caption() -> None:
    samples = [pool.draw_samples(seed, 32, 32)[0] for seed in world.VALIDATION_SEEDS[:3]]
    first, second = edit_questions(samples[:1])
    assert (first.right, first.wrong) == samples[0].captions
    assert (second.wrong, second.right) == samples[0].captions
    assert first.picture is samples[0].image
    assert second.picture is samples[0].edited
    for question, sample in zip(scene_questions(samples), samples, strict=True):
        assert question.picture is sample.image
        assert question.right == sample.captions[0] != question.wrong


def test_the_companion_in_the_repository_knows_what_captions_say() -> None:
    model = load_text_to_image("demo", "cpu")
    assert model.card.guidance == companion.GUIDANCE
    samples = [pool.draw_samples(seed, 128, 128)[0] for seed in world.TEST_SEEDS[:16]]
    # by chance half of these 48; fewer than one guess in a thousand has so many right
    right = sum(
        right_answers(model, questions) * len(questions)
        for questions in (edit_questions(samples), scene_questions(samples))
    )
    assert right >= 36


def test_the_command_writes_figures_and_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_tiny_text_to_image_model(
        tmp_path / "model", DDIMScheduler(timestep_spacing="trailing", steps_offset=1)
    )
    out = tmp_path / "out"
    asked = ["--model", str(folder), "--pictures", "3", "--edits", "2", "--out", str(out)]
    assert command_line(["evaluate", "captions", *asked]) == 0
    report = json.loads((out / "report.json").read_text())
    choice = report["figures"]["Of two captions, the right one denoises better"]
    assert choice["before or after an edit"]["n"] > 0
    assert 0 <= choice["another scene's"]["share"] <= 1
    (sdedit,) = report["figures"]["SDEdit with the caption after the edit"].values()
    assert sdedit["n"] == 2
    assert 3 < sdedit["PSNR to the true edit"] < 30
    assert (out / "contact_sheet.png").is_file()
    assert "caption" in (out / "figures.md").read_text()
    few = [*asked[:2], "--pictures", "1", "--out", str(tmp_path / "few")]
    assert command_line(["evaluate", "captions", *few]) == 1
    assert "1 pictures are too few to tell their edits apart" in capsys.readouterr().err
