"""DiffEdit (Couairon et al., "DiffEdit: Diffusion-based Semantic Image Editing with Mask Guidance",
2023), with a text-to-image model.

1. The mask: where predictions of noise under two texts differ, at half of the noise, averaged over
   ten noises; outliers clipped at three times the mean, scaled to 0..1, cut at 0.5.
2. The picture's latents are inverted by DDIM without a text, up to the encoding ratio.
3. They are denoised under the output's caption; after every step the cells outside the mask become
   the inversion's own latents of the level just reached (at the end the picture's).

Nothing is pasted after decoding, as published: outside the mask the picture passes the VAE.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from backend.editing.models.denoiser import Conditions, Denoiser, Prediction
from backend.editing.models.guidance import Guidance

from .method import Edited, Knob, Models, Need, Request, check
from .picture import Picture, denoised

NOISES = 10
MASK_LEVEL = 0.5
CLIP = 3.0
"""Times the mean difference, from which one is an outlier."""
CUT = 0.5
ENCODING_RATIO = Knob("encoding ratio", (0.4, 0.6, 0.8, 1.0), 0.8, 0.01, 1.0)
PLAIN_TEXT = Guidance(text=1.0, image=1.0)
"""What a model predicts under a text, as it is."""
NO_TEXT = Guidance(text=0.0, image=1.0)
"""What it predicts without one."""


@dataclass(frozen=True)
class DiffEdit:
    """DiffEdit.

    Attributes:
        both: whether the mask compares the output's caption with the input's, and not with the
            empty text.
    """

    label: str
    both: bool
    knob: Knob = ENCODING_RATIO

    @property
    def needs(self) -> Sequence[Need]:
        """See `ImageMethod`."""
        return ("text-to-image", "captions" if self.both else "output caption")

    def edit(self, models: Models, request: Request) -> Edited:
        """See `ImageMethod`."""
        check(self, models, request)
        assert models.text_to_image is not None
        assert request.captions is not None
        picture = Picture(models.text_to_image, request.image)
        model, clean = picture.model, picture.clean
        before, after = request.captions
        told, source = picture.told(after), picture.told(before if self.both else "")
        noises = torch.cat([picture.noise(request.seed + n) for n in range(NOISES)])
        cells = text_mask(model, clean, told, source, noises)
        ratio = self.knob.at(request.knob)
        levels = picture.levels(request.steps, ratio)
        inverted = inversion(model, clean, levels, picture.told(""))

        def put_back(index: int, _: Prediction, latents: Tensor) -> Tensor:
            return torch.where(cells, latents, inverted[index + 1])

        edited = denoised(model, inverted[0], levels, told, model.card.guidance, put_back)
        return Edited(picture.decoded(edited), picture.pixels(cells))


@torch.inference_mode()
def text_mask(
    model: Denoiser, clean: Tensor, target: Conditions, source: Conditions, noises: Tensor
) -> Tensor:
    """DiffEdit's mask, bool (1, 1, h, w); nowhere where the texts do not differ.

    Args:
        clean: (1, c, h, w) E(I).
        target, source: the picture under the two texts.
        noises: (N, c, h, w) standard normal.
    """
    count = len(noises)
    (level,) = model.levels(1, MASK_LEVEL)
    noisy = model.noised(clean.expand(count, -1, -1, -1), noises, level)
    with_target, with_source = (
        model.predict(noisy, level, [told] * count, PLAIN_TEXT).noise for told in (target, source)
    )
    differences = (with_target - with_source).abs()
    model.card.check_numbers(differences)
    found = differences.mean(dim=(0, 1))
    return (found.clamp(max=CLIP * found.mean()) > CUT * CLIP * found.mean())[None, None]


@torch.inference_mode()
def inversion(
    model: Denoiser, clean: Tensor, levels: Sequence[float], told: Conditions
) -> list[Tensor]:
    """DDIM backwards: latents (1, c, h, w) that denoising without a text leads to `clean`.

    Args:
        clean: (1, c, h, w) E(I), at the last level.
        levels: n + 1, falling to 0.
        told: the picture and any text, which is not heeded.

    Returns:
        n + 1 of them, one for each level, in the levels' order.
    """
    latents, found = clean, [clean]
    for low, high in pairwise(reversed(levels)):
        # the step from high to low, backwards, with what is predicted at its other end
        noise = model.predict(latents, high, [told], NO_TEXT).noise
        model.card.check_numbers(noise)
        sigma = model.noised(torch.zeros_like(latents), noise, low)
        signal = model.noised(torch.ones_like(latents), torch.zeros_like(latents), low)
        latents = model.noised((latents - sigma) / signal, noise, high)
        found.append(latents)
    return found[::-1]
