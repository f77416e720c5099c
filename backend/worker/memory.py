"""How much memory the models and their work take, and whether it was too much."""

import errno
import gc
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


NO_MEMORY = (
    "can't allocate memory",  # torch, of the computer's
    "CUDA error: out of memory",  # what does not ask torch for it
    "CUBLAS_STATUS_ALLOC_FAILED",
    "MPS backend out of memory",
)
"""What errors of no class of their own say of it."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether the memory of the device or of the computer did not suffice."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def give_back() -> None:
    """Let others have what torch keeps of the device's memory and nothing uses. To be called where
    the error is over: its traceback holds what it was about.
    """
    gc.collect()
    torch.cuda.empty_cache()


def _memory(peak: int, total: int) -> Memory:
    return Memory(peak_bytes=peak, total_bytes=total)
