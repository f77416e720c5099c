"""How much memory the models and their work take."""

import os
import sys

import torch

from protocol.messages import Memory


def memory_of(device: torch.device) -> Memory | None:
    """The most that this process has taken of a device's memory, or of the computer's where that is
    where it computes; None where the system does not tell.
    """
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        return _memory(torch.cuda.max_memory_reserved(device), total)
    if device.type == "mps":
        return _memory(torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory())
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return _memory(peak, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _memory(peak: int, total: int) -> Memory:
    return Memory(peak_bytes=peak, total_bytes=total)
