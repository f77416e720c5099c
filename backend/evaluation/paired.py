"""Timing several ways to do one thing side by side: they take turns in one process, so that what
else the machine does falls on all of them alike.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Action = Callable[[], object]


def finish(device: torch.device) -> None:
    """Wait until a GPU has done all that it was given; on a CPU that is always so."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


class Stopwatch:
    """The seconds that are spent inside a network.

    Attributes:
        seconds: so far.
        calls: how often it was run so far.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds, self.calls = 0.0, 0
        self._device, self._began = device, 0.0

    @contextmanager
    def on(self, network: nn.Module) -> Iterator["Stopwatch"]:
        """Count while the block runs."""
        handles = [
            network.register_forward_pre_hook(self._before),
            network.register_forward_hook(self._after),
        ]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _before(self, network: nn.Module, given: Any) -> None:
        finish(self._device)
        self._began = time.perf_counter()

    def _after(self, network: nn.Module, given: Any, made: Any) -> None:
        finish(self._device)
        self.seconds += time.perf_counter() - self._began
        self.calls += 1


@dataclass(frozen=True)
class Turn:
    """One run of one way: seconds on the clock, of the processor, and inside the network."""

    wall: float
    processor: float
    inside: float


def take_turns(
    ways: Mapping[str, Action], rounds: int, network: nn.Module, device: torch.device
) -> dict[str, list[Turn]]:
    """Run every way once to warm up, then `rounds` times in turns.

    Args:
        ways: by name.
        rounds: timed runs of each, at least 1.
        network: whose seconds are told apart.
        device: where it runs.

    Returns:
        The timed runs by name.
    """
    turns: dict[str, list[Turn]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, action in ways.items():
            with Stopwatch(device).on(network) as watch:
                finish(device)
                wall, processor = time.perf_counter(), time.process_time()
                action()
                finish(device)
                done = time.perf_counter() - wall, time.process_time() - processor
            if number > 0:
                turns[name].append(Turn(*done, watch.seconds))
    return turns


def compared(turns: Mapping[str, list[Turn]], against: Mapping[str, str]) -> dict[str, Any]:
    """What a report says of runs.

    Args:
        turns: by name.
        against: by name, the way that it is compared with; ways that are not named with none.

    Returns:
        By name: the median "seconds" and "processor seconds", the share "outside the network" of
        all runs, and "share of NAME": the median over rounds of its seconds as a share of those of
        the way that it is compared with, in the same round; the same of processor seconds, which
        other work on the machine changes less.
    """
    found: dict[str, Any] = {}
    for name, runs in turns.items():
        wall = sum(run.wall for run in runs)
        figures = {
            "seconds": round(statistics.median(run.wall for run in runs), 4),
            "processor seconds": round(statistics.median(run.processor for run in runs), 4),
            "outside the network": round(1 - sum(run.inside for run in runs) / wall, 4),
        }
        if name in against:
            pairs = list(zip(runs, turns[against[name]], strict=True))
            share = statistics.median(ours.wall / theirs.wall for ours, theirs in pairs)
            figures[f"share of {against[name]}"] = round(share, 3)
            share = statistics.median(ours.processor / theirs.processor for ours, theirs in pairs)
            figures["share of its processor seconds"] = round(share, 3)
        found[name] = figures
    return found
