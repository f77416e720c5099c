"""Two replacements that make training on a CPU about twice as fast, with the same parameters and
the same results.

torch's backward of GroupNorm on channels-last tensors and its CPU backward of scaled-dot-product
attention take most of a training step of small networks in bfloat16. Both are replaced while
training; saved weights know nothing of it.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn


class _ChannelwiseGroupNorm(torch.autograd.Function):
    """torch's own GroupNorm forwards; backwards by sums per channel, in the type that comes in."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
    ) -> Tensor:
        batch, channels, height, width = x.shape
        y, mean, inverse = torch.native_group_norm(
            x, weight.to(x), bias.to(x), batch, channels, height * width, groups, eps
        )
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.groups = groups
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        dy = gradients[0]
        batch, channels, height, width = x.shape
        repeat = channels // ctx.groups
        mean, inverse = (v.float().repeat_interleave(repeat, 1) for v in (mean, inverse))
        sum_dy = dy.sum((2, 3)).float()
        sum_dy_hat = ((dy * x).sum((2, 3)).float() - mean * sum_dy) * inverse

        def over_groups(v: Tensor) -> Tensor:
            total = (v * weight).view(batch, ctx.groups, -1).sum(2) / (height * width * repeat)
            return total.repeat_interleave(repeat, 1)

        by_x = -over_groups(sum_dy_hat) * inverse * inverse
        constant = -over_groups(sum_dy) * inverse - by_x * mean
        by_dy, by_x, constant = (
            v.to(x.dtype)[..., None, None] for v in (inverse * weight, by_x, constant)
        )
        dx = torch.addcmul(constant, x, by_x).addcmul_(dy, by_dy)
        return dx, sum_dy_hat.sum(0), sum_dy.sum(0), None, None


class _GroupNorm(nn.GroupNorm):
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.device.type != "cpu":
            return super().forward(x)
        return _ChannelwiseGroupNorm.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, self.num_groups, self.eps
        )


def make_fast_on_cpu(model: nn.Module) -> None:
    """Switches a model's norms and attentions to the forms that are fast on a CPU, in place."""
    for module in model.modules():
        if type(module) is nn.GroupNorm:
            module.__class__ = _GroupNorm
    if isinstance(model, UNet2DConditionModel):
        model.set_attn_processor(AttnProcessor())
