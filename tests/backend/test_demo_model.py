"""The demo model: its tokenizer, its weights, and a training that goes on after it was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from backend.demo import encode, evaluate, instructions, model, pool, train_vae, training, world
from backend.demo.cpu_speed import make_fast_on_cpu

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pipeline():
    return model.load_pipeline()


@pytest.fixture(scope="module")
def tokenizer():
    return model.build_tokenizer()


def ids(tokenizer, text: str) -> list[int]:
    return model.tokenize(tokenizer, [text])[0].tolist()


# --- tokenizer ---------------------------------------------------------------------------------


def test_every_word_of_the_world_is_one_token(tokenizer) -> None:
    words = [w for w in instructions.vocabulary() if w.isalpha()]
    assert len(words) > 80
    assert all(len(tokenizer(w).input_ids) == 3 for w in words)
    assert len({tokenizer(w).input_ids[1] for w in words}) == len(words)


def test_case_and_punctuation_do_not_change_the_words(tokenizer) -> None:
    plain = ids(tokenizer, "make the red cube blue")
    assert ids(tokenizer, "  Make the RED\tcube   BLUE ") == plain
    marked = ids(tokenizer, "Make the red cube blue!")
    assert marked[:6] == plain[:6]
    assert marked[6] not in (tokenizer.eos_token_id, tokenizer.bos_token_id)


@pytest.mark.parametrize(
    "text", ["", "把立方体变成红色", "zębra 🦓", "x" * 500, "\x00\x07", "a\u0301"]
)
def test_any_text_has_tokens_of_the_right_length(tokenizer, text: str) -> None:
    tokens = ids(tokenizer, text)
    assert len(tokens) == model.MAX_TOKENS
    assert tokens[0] == tokenizer.bos_token_id
    assert tokenizer.eos_token_id in tokens
    assert max(tokens) < len(tokenizer)


def test_different_unknown_words_have_different_tokens(tokenizer) -> None:
    assert ids(tokenizer, "make it zebra") != ids(tokenizer, "make it panda")


# --- the weights in git ------------------------------------------------------------------------


def test_the_weights_are_small_half_precision_and_complete() -> None:
    files = [p for p in model.WEIGHTS.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 25 * 2**20
    tensors = [p for p in files if p.suffix == ".safetensors"]
    assert len(tensors) == 3
    for path in tensors:
        values = load_file(path)
        floating = [v for v in values.values() if v.is_floating_point()]
        assert all(v.dtype == torch.float16 for v in floating)
        assert all(torch.isfinite(v).all() for v in floating)


def test_diffusers_loads_an_instruct_pix2pix_of_the_documented_shape(pipeline) -> None:
    unet, vae = pipeline.unet.config, pipeline.vae.config
    assert (unet.in_channels, unet.out_channels) == (8, 4)
    factor = 2 ** (len(vae.block_out_channels) - 1)
    assert unet.sample_size * factor == vae.sample_size == model.PICTURE_SIZE
    stored = json.loads((model.WEIGHTS / "scheduler" / "scheduler_config.json").read_text())
    assert stored["prediction_type"] == "epsilon"
    assert {k: stored[k] for k in model.NOISE_SCHEDULE} == model.NOISE_SCHEDULE
    assert len(pipeline.tokenizer) == pipeline.text_encoder.config.vocab_size
    assert ids(pipeline.tokenizer, "make the red cube blue") == ids(
        model.build_tokenizer(), "make the red cube blue"
    )


def test_diffusers_own_pipeline_edits_a_picture_with_the_weights(pipeline) -> None:
    sample = pool.draw_samples(world.TEST_SEEDS[0], 128, 128, edits=1)[0]
    from PIL import Image

    edited = pipeline(
        sample.edit.instruction,
        image=Image.fromarray(sample.image),
        num_inference_steps=4,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).images[0]
    assert edited.shape == (128, 128, 3)
    assert np.isfinite(edited).all()
    assert edited.std() > 0.01


def test_latents_have_unit_deviation_and_pictures_survive_the_round_trip(pipeline) -> None:
    pictures = model.to_tensor(train_vae.validation_pictures(16))
    with torch.no_grad():
        latents = (
            pipeline.vae.encode(pictures).latent_dist.mode() * pipeline.vae.config.scaling_factor
        )
    assert 0.7 < latents.std() < 1.4
    assert train_vae.round_trip_psnr(pipeline.vae, pictures) > 28


def test_the_weights_find_the_target_of_one_object_scenes(pipeline) -> None:
    samples = []
    for seed in world.TEST_SEEDS[:14]:
        drawn = pool.draw_samples(seed, 128, 128, edits=3, things=1)
        samples += [s for s in drawn if s.edit.target is not None and s.mask.mean() > 0.03][:1]
    probe = evaluate.make_probe(pipeline.vae, samples)
    raw = evaluate.raw_relevance(
        pipeline.unet,
        pipeline.text_encoder,
        pipeline.tokenizer,
        probe.latents,
        [s.edit.instruction for s in samples],
    )
    assert len(samples) >= 10
    assert evaluate.relevance_figures(raw, probe)["auroc"] > 0.85


def test_saving_replaces_a_model_whole_and_leaves_the_live_one_alone(pipeline, tmp_path) -> None:
    folder = tmp_path / "model"
    weight = pipeline.unet.conv_in.weight.clone()
    for _ in range(2):
        model.save_pipeline(
            folder, pipeline.vae, pipeline.unet, pipeline.text_encoder, pipeline.tokenizer
        )
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert pipeline.unet.conv_in.weight.dtype == torch.float32
    assert torch.equal(pipeline.unet.conv_in.weight, weight)
    again = model.load_pipeline(folder)
    torch.testing.assert_close(again.unet.conv_in.weight, weight, atol=0, rtol=1e-3)


def test_a_folder_without_a_model_is_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no demo model.*backend\.demo\.train"):
        model.load_pipeline(tmp_path)


# --- training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_fast_group_norm_equals_torch(groups: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 8, 6, 7).contiguous(memory_format=torch.channels_last)
    norm = torch.nn.GroupNorm(groups, 8, eps=1e-5)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    outputs = []
    for fast in (False, True):
        if fast:
            make_fast_on_cpu(norm)
        own = x.clone().requires_grad_()
        norm.zero_grad()
        y = norm(own)
        (y * torch.arange(y.numel()).view_as(y).sin()).sum().backward()
        outputs.append((y, own.grad, norm.weight.grad.clone(), norm.bias.grad.clone()))
    for plain, quick in zip(*outputs, strict=True):
        torch.testing.assert_close(quick, plain, atol=1e-4, rtol=1e-4)


def test_the_fast_unet_predicts_what_the_plain_one_predicts(tokenizer) -> None:
    torch.manual_seed(0)
    unet = model.build_unet().eval()
    inputs = (torch.randn(2, 8, 16, 16), torch.tensor([10, 800]))
    text = torch.randn(2, model.MAX_TOKENS, model.TEXT_WIDTH)
    with torch.no_grad():
        plain = unet(*inputs, encoder_hidden_states=text).sample
        make_fast_on_cpu(unet)
        quick = unet(*inputs, encoder_hidden_states=text).sample
    torch.testing.assert_close(quick, plain, atol=1e-4, rtol=1e-3)


@pytest.fixture
def small_cache(tmp_path, monkeypatch) -> Path:
    """Two rendered scenes, an untrained VAE, and latents of both."""
    monkeypatch.setattr(pool, "SCENES_PER_SHARD", 2)
    monkeypatch.setattr(pool, "SIZES", ((128, 128),))
    monkeypatch.setattr(pool, "SIZE_SHARE", (1.0,))
    pool.render_shard(tmp_path / "pictures", 0)
    torch.manual_seed(0)
    train_vae.replace_folder(model.build_vae(), tmp_path / "vae")
    group = training.Group(0, 1, torch.device("cpu"))
    encode.encode_pool(group, tmp_path, tmp_path / "vae")
    return tmp_path


def test_encoding_keeps_pictures_edits_and_masks_together(small_cache) -> None:
    vae = AutoencoderKL.from_pretrained(small_cache / "vae")
    with np.load(small_cache / "pictures" / "pictures-00000.npz") as file:
        shard = dict(file)
    encoded = encode.encode_shard(vae, shard)
    assert encoded["images"].shape == (2, 4, 32, 32)
    unchanged = np.flatnonzero(shard["target"] == -3)
    for i in range(len(shard["source"])):
        same = np.array_equal(encoded["edited"][i], encoded["images"][shard["source"][i]])
        assert same == (i in unchanged)
    with torch.no_grad():
        mode = vae.encode(model.to_tensor([shard["edited"][0]])).latent_dist.mode()
    np.testing.assert_allclose(encoded["edited"][0], mode[0], atol=0.05 * float(mode.std()))
    assert encoded["masks"].shape[1:] == (32, 32)


def test_a_killed_training_goes_on_from_its_checkpoint(small_cache) -> None:
    def command(minutes: str) -> list[str]:
        options = ["--stages", "unet", "--minutes", minutes, "--batch", "4"]
        options += ["--check-minutes", "0.02", "--check-samples", "2", "--processes", "1"]
        options += ["--cache", str(small_cache), "--from-nothing", "--device", "cpu"]
        return [sys.executable, "-m", "backend.demo.train", *options]

    curve = small_cache / "unet.jsonl"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command("10"), cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 120
        while not (curve.exists() and curve.read_text().count("\n") >= 2):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        process.kill()
        process.wait()
    before = training.load_checkpoint(small_cache / "unet.pt")
    assert before is not None
    assert before["step"] > 0
    subprocess.run(command("0.03"), cwd=ROOT, env=environment, check=True, timeout=120)
    after = training.load_checkpoint(small_cache / "unet.pt")
    assert after is not None
    assert after["step"] > before["step"]
    assert after["seen"] > before["seen"]
    last = json.loads(curve.read_text().splitlines()[-1])
    assert last["step"] == after["step"]
    assert not list(small_cache.glob("*.part"))


def test_a_vae_learns_and_its_decoder_can_be_trained_alone(small_cache) -> None:
    group = training.Group(0, 1, torch.device("cpu"))
    for _ in range(2):
        train_vae.train_vae(group, small_cache, 0.03, 4, 2e-3)
    curve = [json.loads(line) for line in (small_cache / "vae.jsonl").read_text().splitlines()]
    checkpoint = training.load_checkpoint(small_cache / "vae.pt")
    assert checkpoint is not None
    assert checkpoint["step"] > 0
    vae = train_vae.finished_vae(small_cache)
    latents = vae.encode(model.to_tensor(train_vae.validation_pictures(8))).latent_dist.mode()
    assert (latents.std() * model.SCALING_FACTOR).item() == pytest.approx(1, abs=0.35)
    train_vae.replace_folder(vae, small_cache / "vae")
    encoder = [p.clone() for p in vae.encoder.parameters()]
    decoder = [p.clone() for p in vae.decoder.parameters()]
    train_vae.train_decoder(group, small_cache, small_cache / "vae", 0.03, 2, 1e-3)
    again = AutoencoderKL.from_pretrained(small_cache / "vae")
    assert all(torch.equal(a, b) for a, b in zip(encoder, again.encoder.parameters(), strict=True))
    moved = [
        not torch.equal(a, b) for a, b in zip(decoder, again.decoder.parameters(), strict=True)
    ]
    assert any(moved)
    assert len(curve) <= len((small_cache / "vae.jsonl").read_text().splitlines())


# --- measuring ---------------------------------------------------------------------------------


def test_area_under_roc_equals_the_count_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (5, 7)).astype(np.float32)
    truth = rng.random((5, 7)) < 0.4
    inside, outside = scores[truth], scores[~truth]
    pairs = (inside[:, None] > outside).mean() + 0.5 * (inside[:, None] == outside).mean()
    assert evaluate.area_under_roc(scores, truth) == pytest.approx(pairs)


def test_selection_counts_the_named_thing_only() -> None:
    samples = [
        s
        for s in pool.draw_samples(world.TEST_SEEDS[3], 128, 128, edits=12, things=2)
        if isinstance(s.edit.target, int)
    ]
    assert samples
    vae = model.build_vae()
    probe = evaluate.make_probe(vae, samples)
    named = np.stack([m[s.edit.target] for m, s in zip(probe.things, samples, strict=True)])
    other = np.stack([m[1 - s.edit.target] for m, s in zip(probe.things, samples, strict=True)])
    assert evaluate.relevance_figures(named, probe)["selection"] == 1
    assert evaluate.relevance_figures(other, probe)["selection"] == 0


def test_an_edit_is_a_success_only_if_the_others_keep_their_colour() -> None:
    sample = next(
        s
        for seed in world.TEST_SEEDS[:20]
        for s in pool.draw_samples(seed, 64, 64, edits=4, things=2)
        if isinstance(s.edit.target, int) and all((m > 0.5).mean() > 0.02 for m in s.things)
    )
    assert evaluate.strict_success(sample, sample.edited)
    assert not evaluate.strict_success(sample, sample.image)
    spoiled = sample.edited.copy()
    other = sample.things[1 - sample.edit.target] > 0.5
    spoiled[other] = 255 - spoiled[other] // 2
    assert not evaluate.strict_success(sample, spoiled)
