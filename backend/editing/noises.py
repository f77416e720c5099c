"""The noise of an image's latents: each seed's own draw, or one that is handed in."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.errors import BadInput

from .encoded_image import EncodedImage
from .models.denoiser import draw_noise


def drawn_noises(seeds: Sequence[int], encoded: EncodedImage) -> Tensor:
    """(S, c, h, w) standard normal, each seed's own draw at the size of an image's latents."""
    return torch.cat([draw_noise(seed, encoded.encoding.latents) for seed in seeds])


def given_noise(noise: NDArray[np.float32], encoded: EncodedImage) -> Tensor:
    """(1, c, h, w) of a noise that was handed in for an image.

    Raises:
        BadInput: it is not of the size of the image's latents, or holds no numbers.
    """
    latents = encoded.encoding.latents
    shape = tuple(latents.shape[1:])
    if noise.shape != shape:
        raise BadInput(
            f"The noise must have the shape {shape}, that of the latents of what is worked on "
            f"(see detail and crop), not {noise.shape}."
        )
    if not np.isfinite(noise).all():
        raise BadInput("The noise holds values that are no numbers.")
    return torch.from_numpy(noise.astype(np.float32))[None].to(latents.device)
