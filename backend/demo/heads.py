"""What the UNet is taught beside denoising: small heads that read its features while it trains."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

from backend.world.world import COLOURS, PATTERNS, SHAPES

NAME_PARTS = ((len(SHAPES), 3.0), (len(COLOURS), 1.0), (len(PATTERNS), 2.0))
"""How many shapes, colours and patterns there are, and how much each part counts."""


class Heads(nn.Module):
    """Read what the UNet's blocks know: the mask in the middle and two up blocks, and every thing's
    shape, colour and pattern where it is in one down, the middle and one up block. Only for
    training.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        _, middle, deep = unet.config.block_out_channels
        self.masks = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in (deep, deep, middle))
        scores = sum(count + 1 for count, _ in NAME_PARTS)
        self.names = nn.ModuleList(nn.Conv2d(c, scores, 1) for c in (middle, deep, deep))
        self._seen: dict[str, Tensor] = {}

        def watch(name: str, module: nn.Module) -> None:
            def keep(
                _module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]
            ) -> None:
                self._seen[name] = output if isinstance(output, Tensor) else output[1][0]

            module.register_forward_hook(keep)

        watch("down", unet.down_blocks[1])
        watch("mid", unet.mid_block)
        watch("up", unet.up_blocks[0])
        watch("fine", unet.up_blocks[1])

    def find_mask(self, mask: Tensor, things: Tensor) -> Tensor:
        """Cross entropy (B,) with the masks (B, 1, h, w), from the last call of the UNet, where
        every thing counts the same (see `_weight_of_places`).
        """
        total = torch.zeros(len(mask), device=mask.device)
        for head, place in zip(self.masks, ("mid", "up", "fine"), strict=True):
            features = self._seen[place]
            small = functional.interpolate(mask, features.shape[-2:], mode="area")
            weight = _weight_of_places(_shrink(things, features))
            logits = head(features.float())
            entropy = functional.binary_cross_entropy_with_logits(logits, small, reduction="none")
            total = total + (entropy[:, 0] * weight).mean((1, 2))
        return total / 3

    def name_things(self, things: Tensor, names: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Cross entropy (B,) with the names (B, 4, 3) of the things whose masks are (B, 4, h, w),
        from the last call of the UNet, and for each part of a name which things (B, 4) the up block
        names right (1), wrong (0), or are too small or have no such part (-1).
        """
        total = torch.zeros(len(things), device=things.device)
        right: list[Tensor] = []
        weights = sum(weight for _, weight in NAME_PARTS)
        for head, place in zip(self.names, ("down", "mid", "up"), strict=True):
            features = self._seen[place]
            own = _shrink(things, features)
            nothing = 1 - own.sum(1, keepdim=True).clamp(0, 1)
            weight = _weight_of_places(own)
            scores = head(features.float()).split([count + 1 for count, _ in NAME_PARTS], 1)
            for part, (count, importance) in enumerate(NAME_PARTS):
                log_share = functional.log_softmax(scores[part], 1)
                one_hot = functional.one_hot(names[..., part] % (count + 1), count + 1).float()
                target = torch.einsum("bthw,btk->bkhw", own, one_hot)
                target = torch.cat([target[:, :-1], target[:, -1:] + nothing], 1)
                entropy = -(target * log_share).sum(1)
                total = total + importance / weights * (entropy * weight).mean((1, 2))
                if place == "up":
                    found = torch.einsum("bkhw,bthw->btk", log_share[:, :-1], own).argmax(-1)
                    known = (names[..., part] >= 0) & (own.mean((2, 3)) > 0.015)
                    right.append(torch.where(known, (found == names[..., part]).long(), -1))
        return total / 3, right


def _shrink(masks: Tensor, features: Tensor) -> Tensor:
    return functional.interpolate(masks, features.shape[-2:], mode="area")


def _weight_of_places(things: Tensor) -> Tensor:
    """Weights (B, h, w) of mean 1: every thing counts the same, and what is around them as much as
    one of them.
    """
    nothing = 1 - things.sum(1).clamp(0, 1)
    weight = (things / (things.mean((2, 3), keepdim=True) + 0.01)).sum(1)
    weight = weight + nothing / (nothing.mean((1, 2), keepdim=True) + 0.01)
    return weight / weight.mean((1, 2), keepdim=True)
