"""How an edit's views are fitted by colour: pixel by pixel, or in squares whose structure counts.

Edited views never agree to the pixel. Absolute differences settle on what most of them show instead
of on the mean of all; and a square has the same structure where it is brighter in one of them.
The paper's code takes LPIPS for that; the structural similarity here needs no weights.
"""

import torch
from torch import Tensor, nn

from backend.fields.config import ColourLossConfig

WINDOW = 7
"""Pixels along a side of the windows of SSIM."""
LUMINANCE, CONTRAST = 0.01**2, 0.03**2
"""SSIM's constants for values in 0..1."""


class ColourLoss(nn.Module):
    """Stands in the place of nerfacto's squared error.

    Attributes:
        counted: bool (m), which of the colours that come next are fitted; None for all.
    """

    def __init__(self, config: ColourLossConfig, patch: int) -> None:
        """Args:
        config: all numbers.
        patch: pixels along a side of the squares that lie one after the other in the colours; 0
            for pixels that have nothing to do with each other.
        """
        super().__init__()
        self._config, self._patch = config, patch
        self.counted: Tensor | None = None

    def forward(self, true: Tensor, shown: Tensor) -> Tensor:
        """The loss of colours float32 (m, 3), 0..1."""
        if self.counted is not None:  # what is as it should be moves nothing
            shown = torch.where(self.counted[:, None], shown, true)
        of_pixels = nn.functional.l1_loss if self._config.absolute else nn.functional.mse_loss
        loss = of_pixels(true, shown)
        if self._patch and self._config.structure > 0:
            squares = [_squares(one, self._patch) for one in (true, shown)]
            loss = loss + self._config.structure * (1 - ssim(*squares))
        return loss


def _squares(colours: Tensor, side: int) -> Tensor:
    """(n, 3, side, side) of colours (n * side * side, 3), row by row."""
    return colours.view(-1, side, side, 3).permute(0, 3, 1, 2)


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """The mean structural similarity of pictures (n, c, h, w) in 0..1, at most 1 ("Image quality
    assessment: from error visibility to structural similarity", Wang et al. 2004), in windows that
    weigh all their pixels alike.
    """
    window = min(WINDOW, *first.shape[-2:])

    def mean(picture: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(picture, window, stride=1)

    a, b = mean(first), mean(second)
    # rounding must not make a variance negative
    aa, bb = (mean(first**2) - a**2).clamp(min=0), (mean(second**2) - b**2).clamp(min=0)
    ab = mean(first * second) - a * b
    likeness = (2 * a * b + LUMINANCE) * (2 * ab + CONTRAST)
    return torch.mean(likeness / ((a**2 + b**2 + LUMINANCE) * (aa + bb + CONTRAST)))
