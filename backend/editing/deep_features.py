"""Deep features of a U-Net that are computed in some steps of an edit and reused in those between:
from one step to the next they change little (Ma et al., "DeepCache: Accelerating Diffusion Models
for Free", 2024). Nothing is trained for it.

The shallow part is the outermost block on the way down and the last one on the way up, with the
skips between these two; all other blocks are deep. What the last block is given of them is kept.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from diffusers import UNet2DConditionModel
from torch import Tensor

from backend.errors import BadInput

from .models.compiled import is_compiled


class DeepFeatures:
    """What the last block of a U-Net was given of the deep ones, by the U-Net's calls in a step.

    Args:
        model: with a `unet`.
        every: the deep blocks are computed in every so manieth step; 1 is as without.

    Raises:
        BadInput: `every` is above 1, and the model has no U-Net of two blocks or more, or one that
            is compiled.
    """

    def __init__(self, model: object, every: int) -> None:
        unet: Any = getattr(model, "unet", None)
        if every > 1 and not (isinstance(unet, UNet2DConditionModel) and len(unet.up_blocks) > 1):
            raise BadInput("This model has no deep blocks to reuse: leave --deep-every at 1.")
        if every > 1 and is_compiled(unet):
            raise BadInput(
                "A network is compiled as a whole, deep blocks and all: leave --compile or "
                "--deep-every out."
            )
        self._unet, self._every = unet, every
        self._kept: list[Tensor] = []
        self._call, self._since, self._computing = 0, 0, True

    def next_step(self, anew: bool) -> None:
        """Begin a step, whose deep blocks are computed in any case where it is `anew`."""
        self._since = 0 if anew else self._since + 1
        self._computing = self._since % self._every == 0
        self._call = 0
        if self._computing:
            self._kept = []

    @contextmanager
    def reused(self) -> Iterator[None]:
        """While this lasts, the U-Net computes its deep blocks only in the steps that need it."""
        if self._every == 1:
            yield
            return
        unet = self._unet
        replaced = {
            **{block: self._skipped_down(block) for block in unet.down_blocks[1:]},
            **{block: self._skipped(block) for block in (unet.mid_block, *unet.up_blocks[:-2])},
            unet.up_blocks[-2]: self._kept_or(unet.up_blocks[-2]),
        }
        replaced.pop(None, None)  # a U-Net without a middle
        own = [block for block in replaced if "forward" in vars(block)]  # as accelerate's hooks do
        before = {block: block.forward for block in own}
        try:
            for block, forward in replaced.items():
                block.forward = forward
            yield
        finally:
            for block in replaced:
                del block.forward
            for block, forward in before.items():
                block.forward = forward

    def _skipped(self, block: Any) -> Callable[..., Any]:
        """A block's forward that hands on what it is given where nothing deep is computed."""
        forward = block.forward

        def run(hidden_states: Tensor, *given: Any, **named: Any) -> Any:
            if self._computing:
                return forward(hidden_states, *given, **named)
            return hidden_states

        return run

    def _skipped_down(self, block: Any) -> Callable[..., Any]:
        """The same of a block on the way down, which has as many skips as ever."""
        forward = block.forward
        skips = len(block.resnets) + (block.downsamplers is not None)

        def run(hidden_states: Tensor, *given: Any, **named: Any) -> Any:
            if self._computing:
                return forward(hidden_states, *given, **named)
            return hidden_states, (hidden_states,) * skips

        return run

    def _kept_or(self, block: Any) -> Callable[..., Tensor]:
        """The forward of the last deep block: computed and kept, or as it was kept."""
        forward = block.forward

        def run(*given: Any, **named: Any) -> Tensor:
            if self._computing:
                self._kept.append(forward(*given, **named))
            self._call += 1
            return self._kept[self._call - 1]

        return run
