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
    """GroupNorm by sums per channel: three passes over the tensor each way, in float32 whatever
    comes in.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
    ) -> Tensor:
        batch, channels = x.shape[:2]
        count = x[0, 0].numel() * (channels // groups)
        wide = x.float()
        mean = wide.sum((2, 3)).view(batch, groups, -1).sum(2) / count
        square = (wide * wide).sum((2, 3)).view(batch, groups, -1).sum(2) / count
        inverse = (square - mean * mean).clamp(min=0).add(eps).rsqrt()
        repeat = channels // groups
        mean, inverse = (v.repeat_interleave(repeat, 1) for v in (mean, inverse))
        scale = inverse * weight
        shift = bias - mean * scale
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.groups, ctx.count = groups, count
        return torch.addcmul(shift[..., None, None].to(x), x, scale[..., None, None].to(x))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        dy, wide = gradients[0].float(), x.float()
        batch, channels = x.shape[:2]
        sum_dy = dy.sum((2, 3))
        sum_dy_x = (dy * wide).sum((2, 3))
        sum_dy_hat = (sum_dy_x - mean * sum_dy) * inverse

        def over_groups(v: Tensor) -> Tensor:
            total = (v * weight).view(batch, ctx.groups, -1).sum(2) / ctx.count
            return total.repeat_interleave(channels // ctx.groups, 1)

        mean_dy, mean_dy_hat = over_groups(sum_dy), over_groups(sum_dy_hat)
        by_dy = inverse * weight
        by_x = -mean_dy_hat * inverse * inverse
        constant = -mean_dy * inverse - by_x * mean
        dx = (dy * by_dy[..., None, None]).addcmul_(wide, by_x[..., None, None])
        dx.add_(constant[..., None, None])
        return dx.to(x.dtype), sum_dy_hat.sum(0), sum_dy.sum(0), None, None


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
