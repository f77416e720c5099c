"""What the worker says to the server, beside the events of its jobs."""

import msgspec

from protocol import codec
from protocol.messages import Cancelled, Done, Failed, Memory, Progress
from protocol.settings import GuidanceSettings

KEYS_VARIABLE = "WATCH_YOUR_STEPS_WORKER_KEYS"
"""Environment variable with server public, own public and own secret key, separated by spaces."""

HUNG, LOST_GPU = 70, 71
"""Exit codes of a worker whose work stood still, and of one whose GPU answers only errors."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag="loaded"):
    """The worker's models are in place."""

    model: str
    device: str
    dtype: str
    native_size: int
    guidance: GuidanceSettings
    memory: Memory | None = None


class MemoryPeak(msgspec.Struct, frozen=True, kw_only=True, tag="memory_peak"):
    """A job has taken more memory than any before."""

    memory: Memory


class NotLoaded(msgspec.Struct, frozen=True, kw_only=True, tag="not_loaded"):
    """The worker's models cannot be loaded; it has ended."""

    message: str


WorkerMessage = Loaded | NotLoaded | MemoryPeak | Progress | Done | Failed | Cancelled
decode_worker_message = codec.Decoder[WorkerMessage](WorkerMessage)
"""Frames to a WorkerMessage (used by the server)."""
