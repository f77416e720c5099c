"""A model's U-Net compiled by torch.compile: the same numbers but for rounding, in less time once
it is compiled, which takes minutes on a CPU. Batches and pictures of another size compile it once
more, then for all sizes. It takes a C++ compiler on a CPU, and Triton on CUDA, which is torch's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from backend.errors import BadInput


def compile_network(model: object) -> None:
    """Compile a model's U-Net when it is run next, and run that from then on.

    Args:
        model: with a `unet` of diffusers.

    Raises:
        BadInput: it has none. Where this machine cannot compile, its runs raise that.
    """
    unet: Any = getattr(model, "unet", None)
    if not isinstance(unet, UNet2DConditionModel):
        raise BadInput("This model has no U-Net that can be compiled: leave --compile out.")
    unet.forward = partial(_run, unet)


def is_compiled(unet: object) -> bool:
    """Whether a U-Net runs as it was compiled."""
    forward = getattr(unet, "forward", None)
    return isinstance(forward, partial) and forward.func is _run


@contextmanager
def compiled(model: Any) -> Iterator[None]:
    """Run a model's U-Net as it is compiled, for so long; errors as of `compile_network`."""
    compile_network(model)
    try:
        yield
    finally:
        del model.unet.forward


@cache
def _forward() -> Callable[..., Any]:
    return torch.compile(UNet2DConditionModel.forward)


def _run(unet: UNet2DConditionModel, *given: Any, **named: Any) -> Any:
    # only now: it takes seconds to import, and compiling has imported it
    from torch._dynamo.exc import TorchDynamoException

    try:
        return _forward()(unet, *given, **named)
    except TorchDynamoException as error:
        said = getattr(error, "inner_exception", error)  # of the compiler, where that is at fault
        reason = str(said).strip().partition("\n")[0]
        raise BadInput(
            "The model cannot be compiled on this machine: leave --compile out, or install what is "
            f"missing. ({reason})"
        ) from error
