"""From the pool's pictures to latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from backend.demo.model import to_tensor
from backend.demo.training import Group, mixed_precision
from protocol import files

Array = np.ndarray


def encode_pool(group: Group, cache: Path, vae_folder: Path) -> None:
    """Encodes every shard that is not encoded yet into cache/latents.

    Every process takes the shards that fall to it. A shard of latents has the keys of a shard of
    pictures, with float16 (n, 4, h, w) posterior modes for images and edited.
    """
    vae = AutoencoderKL.from_pretrained(vae_folder)
    vae = vae.to(group.device, memory_format=torch.channels_last)
    shards = sorted((cache / "pictures").glob("pictures-*.npz"))[group.rank :: group.size]
    for number, path in enumerate(shards):
        place = cache / "latents" / path.name.replace("pictures", "latents")
        if place.exists():
            continue
        with np.load(path) as file:
            shard = dict(file)
        _write(place, encode_shard(vae, shard))
        if group.leads:
            print(f"encoded {number + 1} of {len(shards)} shards", flush=True)


def encode_shard(vae: AutoencoderKL, shard: dict[str, Array]) -> dict[str, Array]:
    """The shard with latents in place of pictures; an edit that changes nothing shares its
    picture's latents.
    """
    image_latents = _latents(vae, shard["images"])
    edited_latents = image_latents[shard["source"]].copy()
    changed = np.flatnonzero(shard["target"] != -3)
    edited_latents[changed] = _latents(vae, shard["edited"][changed])
    return shard | {"images": image_latents, "edited": edited_latents}


@torch.no_grad()
def _latents(vae: AutoencoderKL, pictures: Array) -> Array:
    found = []
    for start in range(0, len(pictures), 16):
        x = to_tensor(list(pictures[start : start + 16])).to(vae.device)
        with mixed_precision(vae.device):
            mode = vae.encode(x).latent_dist.mode()
        found.append(mode.half().cpu().numpy())
    return np.concatenate(found)


def _write(path: Path, arrays: dict[str, Array]) -> None:
    files.make_folder(path.parent)
    with files.replacing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
