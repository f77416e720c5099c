"""One picture as a model sees it, for methods that have a denoising loop of their own."""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.editing.encoded_image import check_image
from backend.editing.models.denoiser import Conditions, Denoiser, Prediction, draw_noise
from backend.editing.models.guidance import Guidance
from backend.editing.work import Parts

After = Callable[[int, Prediction, Tensor], Tensor]
"""Told a step's number from 0, what was predicted in it, and the latents (1, c, h, w) that it came
to; gives the latents that the next step starts from."""


class Picture:
    """A whole picture, worked on at the size that a model was trained at where it is larger.

    Attributes:
        model: that sees it.
        image: uint8 (H, W, 3).
    """

    def __init__(self, model: Denoiser, image: NDArray[np.uint8]) -> None:
        check_image(image)
        self.model, self.image = model, image
        self._encoded = Parts(image, model.card.native_size, model).encoded()

    @property
    def clean(self) -> Tensor:
        """(1, c, h, w): E(I)."""
        return self._encoded.encoding.latents

    @property
    def extent(self) -> tuple[float, float]:
        """Cells (rows, columns) that the picture covers."""
        return self._encoded.extent

    def noise(self, seed: int) -> Tensor:
        """(1, c, h, w) standard normal, the very one that `Editor` draws for a seed."""
        return draw_noise(seed, self.clean)

    @torch.inference_mode()
    def told(self, text: str) -> Conditions:
        """What the model is told of the picture and a text."""
        return self._encoded.conditions(self.model, text)

    @torch.inference_mode()
    def decoded(self, latents: Tensor) -> NDArray[np.uint8]:
        """uint8 (H, W, 3) from latents (1, c, h, w)."""
        return self._encoded.decoded(self.model, latents)

    def cells(self, mask: NDArray[np.bool_]) -> Tensor:
        """bool (1, 1, h, w): the cells with any pixel of a mask, bool (H, W)."""
        found = torch.from_numpy(self._encoded.cells(mask))
        return found.to(self.clean.device)[None, None]

    def pixels(self, cells: Tensor) -> NDArray[np.bool_]:
        """bool (H, W): the pixels whose middle lies in one of some cells, bool (1, 1, h, w)."""
        rows, columns = (
            ((np.arange(pixels) + 0.5) / pixels * extent).astype(int)
            for pixels, extent in zip(self.image.shape[:2], self.extent, strict=True)
        )
        found: NDArray[np.bool_] = cells[0, 0].cpu().numpy()[np.ix_(rows, columns)]
        return found

    def pasted(self, latents: Tensor, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Latents decoded, and outside a mask, bool (H, W), the picture's own bytes."""
        return np.where(mask[..., None], self.decoded(latents), self.image)

    @cached_property
    def everywhere(self) -> NDArray[np.bool_]:
        """bool (H, W), True."""
        return np.ones(self.image.shape[:2], np.bool_)

    def levels(self, steps: int, strength: float) -> list[float]:
        """The levels that so many steps from a strength start from, and 0, where they end."""
        return [*self.model.levels(steps, strength), 0.0]


@torch.inference_mode()
def denoised(
    model: Denoiser,
    latents: Tensor,
    levels: Sequence[float],
    told: Conditions,
    guidance: Guidance,
    after: After | None = None,
) -> Tensor:
    """Deterministic DDIM (Eq. 4; Song et al. 2021) from one level to the next.

    Args:
        latents: (1, c, h, w) at the first level.
        levels: n + 1 of them for n steps, falling.
        told: what the model is told.
        guidance: how strongly it is held to it.
        after: what is done after each step.

    Returns:
        (1, c, h, w) at the last level.

    Raises:
        FloatingPointError: the networks overflowed.
    """
    for index, (level, following) in enumerate(pairwise(levels)):
        predicted = model.predict(latents, level, [told], guidance)
        model.card.check_numbers(predicted.noise)
        latents = model.noised(predicted.clean, predicted.noise, following)
        if after is not None:
            latents = after(index, predicted, latents)
    return latents
