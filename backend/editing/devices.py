"""Devices by their names."""

import torch

from backend.errors import BadInput

NAMES = ("cpu", "cuda", "mps")


def named_device(name: str) -> torch.device:
    """What "cpu", "cuda", "cuda:1" or "mps" names.

    Raises:
        BadInput: there is no such device on this machine.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in NAMES:
        raise BadInput(f"There is no device {name!r}: use auto, cpu, cuda or mps.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadInput("There is no CUDA device here: use --device cpu, or check the driver.")
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise BadInput(f"There is no device {name!r}: the last one here is cuda:{count - 1}.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise BadInput("There is no device 'mps' here: use --device cpu.")
    return device


def in_words(device: torch.device) -> str:
    """Such as "cuda (NVIDIA RTX 4090)" or "cpu"."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return device.type
