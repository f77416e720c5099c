"""The VAE's stage: pictures to latents and back, and latents of unit deviation."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from backend.demo import training
from backend.demo.cpu_speed import make_fast_on_cpu
from backend.demo.model import SCALING_FACTOR, build_vae, to_tensor
from backend.demo.training import Group
from backend.world import pool, world
from protocol import files

KL_WEIGHT = 3e-6
THING_WEIGHT = 4.0
"""How much more a pixel of a thing counts: things are small, and edits change their colour."""
CROP = 64


def train_vae(group: Group, cache: Path, minutes: float, batch: int, rate: float) -> None:
    """Trains for `minutes`, going on from the checkpoint; writes cache/vae.pt and a line to
    cache/vae.jsonl a minute.

    The first part of a run sees crops, for many steps; the rest whole pictures.
    """
    torch.manual_seed(1)
    vae = build_vae().to(group.device, memory_format=torch.channels_last)
    parameters = list(vae.parameters())
    average = training.Average(parameters, 0.998)
    optimiser = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.95), weight_decay=1e-4)
    checkpoint = training.load_checkpoint(cache / "vae.pt")
    step = 0
    if checkpoint is not None:
        training.take_over(checkpoint, vae, average, optimiser)
        step = checkpoint["step"]
    if group.device.type == "cpu":
        make_fast_on_cpu(vae)
    pictures = _pictures(cache, group)
    held_out = to_tensor(validation_pictures(24)).to(group.device)
    rng = np.random.default_rng([step, group.rank])
    torch.manual_seed(1000 * step + group.rank)
    clock, last, start = training.Clock(group, minutes), 0.0, step

    def keep(last_loss: float) -> None:
        with average.in_use():
            quality = round_trip_psnr(vae, held_out)
        figures = {"minutes": clock.minutes, "step": step, "loss": last_loss, "psnr": quality}
        training.note(cache / "vae.jsonl", figures)
        training.save_training(cache / "vae.pt", vae, average, optimiser, step=step)

    while clock.tick():
        whole = clock.share > 0.55
        x, weight = _batch(
            pictures, rng, max(1, batch // 4) if whole else batch, whole, group.device
        )
        with training.mixed_precision(group.device):
            posterior = vae.encode(x).latent_dist
            decoded = vae.decode(posterior.sample()).sample.float()
        loss = _loss(x, decoded, weight, posterior.mean.float(), posterior.logvar.float())
        training.descend(loss, parameters, optimiser, rate * clock.rate(step - start), group)
        step += 1
        average.update(step)
        if group.leads and clock.minutes - last > 1:
            last = clock.minutes
            keep(loss.item())
    if group.leads:
        keep(loss.item())


def train_decoder(
    group: Group, cache: Path, vae_folder: Path, minutes: float, batch: int, rate: float
) -> None:
    """Trains only the decoder of a finished VAE, on whole pictures: the latents, and so the UNet,
    stay as they are.

    Writes the averaged VAE back into `vae_folder` and its figures to cache/vae.jsonl.
    """
    torch.manual_seed(4 + group.rank)
    vae = AutoencoderKL.from_pretrained(vae_folder)
    vae = vae.to(group.device, memory_format=torch.channels_last)
    vae.requires_grad_(False)
    parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    average = training.Average(parameters, 0.998)
    optimiser = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.95), weight_decay=1e-4)
    if group.device.type == "cpu":
        make_fast_on_cpu(vae)
    pictures = _pictures(cache, group)
    held_out = to_tensor(validation_pictures(24)).to(group.device)
    rng = np.random.default_rng()
    clock, last, step = training.Clock(group, minutes), 0.0, 0

    def report() -> None:
        with average.in_use():
            quality = round_trip_psnr(vae, held_out)
        figures = {"decoder minutes": clock.minutes, "step": step, "psnr": quality}
        training.note(cache / "vae.jsonl", figures)

    while clock.tick():
        x, weight = _batch(pictures, rng, batch, True, group.device)
        with training.mixed_precision(group.device):
            with torch.no_grad():
                z = vae.encode(x).latent_dist.mode()
            z = z + 0.03 / SCALING_FACTOR * torch.randn_like(z)  # edits are not exact latents
            decoded = vae.decode(z).sample.float()
        loss = _reconstruction(x, decoded, weight)
        training.descend(loss, parameters, optimiser, rate * clock.rate(step), group)
        step += 1
        average.update(step)
        if group.leads and clock.minutes - last > 1:
            last = clock.minutes
            report()
    if group.leads:
        report()
        average.swap()
        replace_folder(vae, vae_folder)


def replace_folder(vae: AutoencoderKL, folder: Path) -> None:
    """Saves a VAE where `folder` is, whole or not at all."""
    files.make_folder(folder.parent)
    beside = Path(tempfile.mkdtemp(prefix=".vae-", dir=folder.parent))
    vae.save_pretrained(beside)
    if folder.exists():
        files.delete_folder(folder, f"{beside.name}-old")
    files.move_folder(beside, folder)


def _loss(x: Tensor, y: Tensor, weight: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    return _reconstruction(x, y, weight) + KL_WEIGHT * kl


def _reconstruction(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    d = (y - x) * weight / weight.mean()
    edges = (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
    return 2 * (d * (y - x)).mean() + d.abs().mean() + 0.5 * edges


Pictures = list[tuple[np.ndarray, np.ndarray]]
"""Blocks of pictures, uint8 (n, 128, 128, 3), with their things' masks, uint8 (n, 32, 32)."""


def _pictures(cache: Path, group: Group, most: int = 48) -> Pictures:
    """Square pictures of the shards that fall to this process."""
    found: Pictures = []
    for path in sorted((cache / "pictures").glob("pictures-*.npz"))[group.rank :: group.size]:
        with np.load(path) as shard:
            if shard["images"].shape[1:3] != (128, 128):
                continue
            things = shard["things"].max(1)
            found.append((shard["images"], things))
            found.append((shard["edited"][::2], things[shard["source"][::2]]))
        if len(found) >= 2 * most:
            break
    if not found:
        raise FileNotFoundError(f"No rendered pictures in {cache / 'pictures'}: render them first.")
    return found


def _batch(
    pictures: Pictures, rng: np.random.Generator, count: int, whole: bool, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Pictures (B, 3, H, W) in -1..1 and the weights of their pixels (B, 1, H, W)."""
    chosen, weights = [], []
    for _ in range(count):
        images, things = pictures[int(rng.integers(len(pictures)))]
        index = int(rng.integers(len(images)))
        picture, thing = images[index], things[index]
        if not whole:
            top, left = rng.integers(0, (128 - CROP) // 4 + 1, 2)
            picture = picture[4 * top : 4 * top + CROP, 4 * left : 4 * left + CROP]
            thing = thing[top : top + CROP // 4, left : left + CROP // 4]
        if rng.random() < 0.5:
            picture, thing = picture[:, ::-1], thing[:, ::-1]
        chosen.append(np.ascontiguousarray(picture))
        weights.append(1 + THING_WEIGHT / 255 * thing.repeat(4, 0).repeat(4, 1))
    weight = torch.from_numpy(np.stack(weights)).float()[:, None]
    return to_tensor(chosen).to(device), weight.to(device)


def validation_pictures(count: int) -> list[np.ndarray]:
    """Pictures and edited pictures of validation seeds."""
    found: list[np.ndarray] = []
    for seed in world.VALIDATION_SEEDS[: (count + 1) // 2]:
        samples = pool.draw_samples(seed, 128, 128, edits=1)
        found += [samples[0].image, samples[0].edited]
    return found[:count]


@torch.no_grad()
def round_trip_psnr(vae: AutoencoderKL, pictures: Tensor) -> float:
    """Mean PSNR in dB of decode(mode(encode(x))) over pictures (N, 3, H, W) in -1..1."""
    values = []
    for x in pictures.split(8):
        y = vae.decode(vae.encode(x).latent_dist.mode()).sample.clamp(-1, 1)
        error = ((y - x) / 2).square().mean((1, 2, 3)).clamp(min=1e-10)
        values.append(-10 * error.log10())
    return float(torch.cat(values).mean())


def finished_vae(cache: Path) -> AutoencoderKL:
    """The averaged VAE of the checkpoint, its latents scaled to unit deviation.

    The scaled latents' mean and deviation per channel, measured once when the encoder is finished,
    are folded into the VAE's own 1x1 convolutions: nobody who loads the model has to know of them.
    """
    checkpoint = training.load_checkpoint(cache / "vae.pt")
    if checkpoint is None:
        raise FileNotFoundError(f"No trained VAE in {cache}: run the VAE's stage first.")
    vae = build_vae()
    vae.load_state_dict(checkpoint["model"])
    for parameter, value in zip(vae.parameters(), checkpoint["average"], strict=True):
        parameter.data.copy_(value)
    vae.eval().to(memory_format=torch.channels_last)
    x = to_tensor(validation_pictures(96))
    with torch.no_grad():
        z = torch.cat([vae.encode(part).latent_dist.mode() for part in x.split(16)])
        mean, scale = z.mean((0, 2, 3)), 1 / (SCALING_FACTOR * z.std((0, 2, 3)))
        quant, post = vae.quant_conv, vae.post_quant_conv
        post.bias += post.weight[:, :, 0, 0] @ mean
        post.weight /= scale[None, :, None, None]
        quant.bias[:4] = (quant.bias[:4] - mean) * scale
        quant.weight[:4] *= scale[:, None, None, None]
        quant.bias[4:] += 2 * scale.log()
    return vae
