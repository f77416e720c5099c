"""The demo model: its tokenizer, its weights, and a training that goes on after it was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from backend.demo import encode, heads, model, train, train_unet, train_vae, training
from backend.demo.cpu_speed import make_fast_on_cpu
from backend.editing.models.guidance import DEFAULT_GUIDANCE, read_guidance
from backend.editing.models.registry import load_model
from backend.evaluation.maps import checkpoint_figures
from backend.evaluation.samples import encode as encode_samples
from backend.world import instructions, pool, world

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


def test_the_weights_find_the_target_of_one_object_scenes() -> None:
    samples = []
    for seed in world.TEST_SEEDS[:14]:
        drawn = pool.draw_samples(seed, 128, 128, edits=3, things=1)
        samples += [s for s in drawn if s.edit.target is not None and s.mask.mean() > 0.03][:1]
    demo = load_model("demo", "cpu")
    figures = checkpoint_figures(demo, encode_samples(demo, samples))
    assert figures["all: n"] >= 10
    assert figures["all: AUROC"] > 0.85


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
    assert read_guidance(folder, DEFAULT_GUIDANCE) == model.GUIDANCE


def test_the_shipped_model_says_its_guidance() -> None:
    assert load_model("demo", "cpu").card.guidance == model.GUIDANCE


def test_an_export_can_be_the_mean_of_a_checkpoint_and_an_earlier_model(
    tokenizer, tmp_path
) -> None:
    """Of every parameter of UNet and text encoder; the VAE is the cache's own."""
    torch.manual_seed(1)
    unet, text_encoder = model.build_unet(), model.build_text_encoder(tokenizer)
    modules = torch.nn.ModuleDict(
        {"unet": unet, "text_encoder": text_encoder, "heads": heads.Heads(unet)}
    )
    average = [parameter.detach().clone() for parameter in modules.parameters()]
    training.save_checkpoint(
        tmp_path / "unet.pt", {"model": modules.state_dict(), "average": average}
    )
    vae = model.build_vae()
    train_vae.replace_folder(vae, tmp_path / "vae")
    earlier = (model.build_vae(), model.build_unet(), model.build_text_encoder(tokenizer))
    model.save_pipeline(tmp_path / "earlier", *earlier, tokenizer)
    out = tmp_path / "out"
    common = ["--stages", "export", "--cache", str(tmp_path), "--weights", str(out)]
    train.main([*common, "--blend", str(tmp_path / "earlier")])
    mixed = model.load_pipeline(out)
    for now, before, part in (
        (unet, earlier[1], mixed.unet),
        (text_encoder, earlier[2], mixed.text_encoder),
    ):
        for a, b, c in zip(now.parameters(), before.parameters(), part.parameters(), strict=True):
            torch.testing.assert_close(c, (a + b) / 2, atol=2e-3, rtol=2e-3)
    first, *_ = mixed.vae.parameters()
    torch.testing.assert_close(first, next(vae.parameters()), atol=1e-3, rtol=1e-3)


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


def loaded(cache: Path, tokenizer) -> list[train_unet.Block]:
    return train_unet.load_blocks(cache / "latents", tokenizer)


def test_a_batch_keeps_latents_masks_names_and_words_of_a_picture_together(
    small_cache, tokenizer
) -> None:
    (block,) = loaded(small_cache, tokenizer)
    with np.load(small_cache / "latents" / "latents-00000.npz") as file:
        texts = json.loads(bytes(file["texts"]))
    mirrored: list[bool] = []
    for side, count in ((None, 6), (16, 12)):  # whole pictures are four times as large
        batch = train_unet.draw_batch([block], np.random.default_rng(1), 12, side)
        assert len(batch.image) == count
        for i in range(len(batch.image)):
            tokens = batch.tokens[i].tolist()
            edits = [
                e for e, words in enumerate(texts) if tokens in map(partial(ids, tokenizer), words)
            ]
            shown = None
            for edit in edits:
                for flip in (False, True):
                    whole = [block.images[block.source[edit]].float(), block.edited[edit].float()]
                    whole += [block.masks[edit][None] / 255, block.things[block.source[edit]] / 255]
                    parts = [batch.image[i], batch.edited[i], batch.mask[i], batch.things[i]]
                    seen = [p.flip(-1) for p in parts] if flip else parts
                    size = seen[0].shape[-1]
                    for top in range(33 - size):
                        for left in range(33 - size):
                            window = [w[:, top : top + size, left : left + size] for w in whole]
                            if all(map(torch.equal, window, seen)):
                                shown = (edit, flip)
            assert shown is not None
            assert torch.equal(batch.names[i], block.names[block.source[shown[0]]])
            mirrored.append(shown[1])
    assert set(mirrored) == {False, True}


def test_naming_looks_at_what_the_whole_network_sees(tokenizer) -> None:
    torch.manual_seed(0)
    unet, text_encoder = model.build_unet().eval(), model.build_text_encoder(tokenizer).eval()
    reading = heads.Heads(unet)
    diffusion = train_unet.Diffusion(unet, text_encoder, reading, torch.zeros(24, dtype=torch.long))
    stacked, t = torch.randn(2, 8, 20, 28), torch.tensor([10, 800])
    text = torch.randn(2, model.MAX_TOKENS, model.TEXT_WIDTH)
    seen = []
    with torch.no_grad():
        for look in (
            lambda: unet(stacked, t, encoder_hidden_states=text),
            lambda: diffusion._look(stacked, t, text),
        ):
            look()
            seen.append([reading._seen[place].clone() for place in ("down", "mid", "up")])
    for whole, half in zip(*seen, strict=True):
        torch.testing.assert_close(half, whole)


def test_noisy_latents_hold_the_original_whole_in_half_and_go_past_the_edit_in_a_quarter():
    torch.manual_seed(0)
    shares = train_unet.shares_of_original(4000, torch.device("cpu"))
    assert (shares == 1).float().mean() == pytest.approx(0.5, abs=0.03)
    assert (shares < 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert -1 <= shares.min() < -0.95


def test_a_shade_off_counts_alike_for_small_and_large_and_noise_hardly() -> None:
    masks = torch.zeros(2, 2, 16, 16)
    masks[0, 0, :2, :2], masks[0, 1, 4:], masks[1, 0, 4:] = 1, 1, 1  # nothing in the last
    values = torch.full((2, 4, 16, 16), 7.0)
    values[0] = torch.where(masks[0].amax(0) > 0, 0.3, 50.0)
    values[1] = 0.3 * torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(0))
    ((small, large), (noise, nothing)), there = train_unet.mean_square_of_means(values, masks)
    assert small == pytest.approx(0.09)
    assert large == pytest.approx(0.09)
    assert noise < 0.002
    assert nothing == 0
    assert there.tolist() == [[True, True], [True, False]]


def test_shades_count_of_what_changes_and_as_much_of_all_else_together() -> None:
    mask, things = torch.zeros(4, 1, 16, 16), torch.zeros(4, 4, 16, 16)
    things[:, 0, :4], things[:, 1, 8:12] = 1, 1
    mask[:3, :, :4] = 1  # the first thing; and nothing changes in the last
    off = torch.zeros(4, 4, 16, 16)
    off[0, :, :4], off[1, :, 8:12], off[2, :, 12:], off[3, :, :4] = 1, 1, 1, 1
    named, other, around, absent = train_unet.shade_loss(off, mask, things)
    assert named == pytest.approx(1)
    assert other == pytest.approx(1 / 2)  # of the second thing and the rest
    assert around == pytest.approx((1 / 2) ** 2 / 2)  # half of the rest is off
    assert absent == pytest.approx(1 / 3)


def test_a_name_is_right_where_the_heads_say_so_and_every_thing_counts_the_same() -> None:
    reading = heads.Heads(model.build_unet())
    things = torch.zeros(1, 4, 16, 16)
    things[0, 0, :4, :4], things[0, 1, 8:, :] = 1, 1
    names = torch.tensor([[[2, 5, -1], [1, 3, 0], [-1, -1, -1], [-1, -1, -1]]])
    channels = [head.in_channels for head in reading.names]
    for head in reading.names:
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    reading._seen = {
        place: torch.zeros(1, c, 16, 16)
        for place, c in zip(("down", "mid", "up"), channels, strict=True)
    }
    blind, _ = reading.name_things(things, names)
    for head, place in zip(reading.names, reading._seen, strict=True):
        with torch.no_grad():  # channel 0 shows the small thing, channel 1 the large, 2 the rest
            reading._seen[place][0, :2] = things[0, :2]
            reading._seen[place][0, 2] = 1 - things[0].sum(0)
            for channel, name in ((0, (2, 5, 3)), (1, (1, 3, 0)), (2, (6, 10, 3))):
                for value, first in zip(name, (0, 7, 18), strict=True):
                    head.weight[first + value, channel] = 20
    loss, (shape, colour, pattern) = reading.name_things(things, names)
    assert loss.item() < 0.01 < blind.item()
    assert shape.tolist() == colour.tolist() == [[1, 1, -1, -1]]
    assert pattern.tolist() == [[-1, 1, -1, -1]]
    wrong_small, wrong_large = names.clone(), names.clone()
    wrong_small[0, 0, 0], wrong_large[0, 1, 0] = 0, 0
    small, (right, *_) = reading.name_things(things, wrong_small)
    large, _ = reading.name_things(things, wrong_large)
    assert right.tolist() == [[0, 1, -1, -1]]
    assert small.item() == pytest.approx(large.item(), rel=0.2)  # though an eighth of its area


def _average_two(rank: int, meeting: str, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    tensors = [torch.full((2, 3), float(rank)), torch.arange(4.0) * (1 + 2 * rank)]
    training.Group(rank, 2, torch.device("cpu")).average(tensors)
    torch.save(tensors, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_processes_average_what_they_bring(tmp_path) -> None:
    meeting = (tmp_path / "meeting").as_uri()
    torch.multiprocessing.spawn(_average_two, (meeting, str(tmp_path)), nprocs=2)
    for rank in range(2):
        first, second = torch.load(tmp_path / f"{rank}.pt")
        assert torch.equal(first, torch.full((2, 3), 0.5))
        assert torch.equal(second, torch.arange(4.0) * 2)


def test_a_clock_asks_the_others_only_now_and_then(monkeypatch) -> None:
    now = iter(range(0, 600, 6))  # a tenth of a minute each time
    monkeypatch.setattr(training.time, "monotonic", lambda: float(next(now)))
    clock = training.Clock(training.Group(0, 1, torch.device("cpu")), 1.0, every=3)
    shares = []
    while clock.tick():
        shares.append(round(clock.share, 2))
    assert shares == [s for s in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9) for _ in range(3)]


def test_the_learning_rate_falls_over_the_share_of_the_time_that_is_asked_for() -> None:
    group = training.Group(0, 1, torch.device("cpu"))
    late, whole = training.Clock(group, 1.0), training.Clock(group, 1.0, falling=1.0)
    courses = []
    for clock in (late, whole):
        rates = []
        for share in (0.0, 0.5, 0.8, 1.0):
            clock.share = share
            rates.append(clock.rate(1000))
        courses.append(rates)
    assert courses[0] == pytest.approx([1, 1, 0.515, 0.03])
    assert courses[1] == pytest.approx([1, 0.515, 0.224, 0.03])


def test_networks_stay_in_float32_on_a_cpu_that_only_emulates_bfloat16() -> None:
    convolution = torch.nn.Conv2d(8, 8, 3)
    with training.mixed_precision(torch.device("cpu")):
        found = convolution(torch.zeros(1, 8, 8, 8)).dtype
    native = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert found == (torch.bfloat16 if native else torch.float32)


def test_a_killed_training_goes_on_from_its_checkpoint(small_cache) -> None:
    def command(minutes: str) -> list[str]:
        options = ["--stages", "unet", "--minutes", minutes, "--batch", "4"]
        options += ["--check-minutes", "0.02", "--check-samples", "2", "--processes", "1"]
        options += ["--cache", str(small_cache), "--from-nothing", "--device", "cpu"]
        options += ["--naming-minutes", "0.02"]
        return [sys.executable, "-m", "backend.demo.train", *options]

    curve = small_cache / "unet.jsonl"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command("10"), cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 300
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
    subprocess.run(command("0.03"), cwd=ROOT, env=environment, check=True, timeout=300)
    after = training.load_checkpoint(small_cache / "unet.pt")
    assert after is not None
    assert after["step"] > before["step"]
    assert after["seen"] > before["seen"]
    last = json.loads(curve.read_text().splitlines()[-1])
    assert last["step"] == after["step"]
    assert not list(small_cache.glob("*.unfinished"))


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
