"""Where a model is read from."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Source:
    """Where a model is read from, and how it is to run.

    Attributes:
        name: what it is called: a hub id, a folder or "demo".
        place: the hub id or folder itself.
        device, dtype: where and in which precision it runs.
    """

    name: str
    place: str
    device: torch.device
    dtype: torch.dtype
