"""What both training stages share: processes that average what they learn, checkpoints, running
means, the curve.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor, nn

from protocol import files


@dataclass(frozen=True)
class Group:
    """The processes that train together; each draws its own data."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process measures, saves and prints."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Averages over the processes, in place; each must bring tensors of the same shapes."""
        if self.size == 1:
            return
        flat = torch.cat([t.detach().reshape(-1) for t in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        at = 0
        with torch.no_grad():
            for tensor in tensors:
                tensor.copy_(flat[at : at + tensor.numel()].view_as(tensor))
                at += tensor.numel()

    def agree(self, value: float) -> float:
        """The lead's value, in every process."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        torch.distributed.broadcast(shared, 0)
        return float(shared.item())


def _member(
    rank: int,
    size: int,
    device: str,
    meeting: str,
    work: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    torch.set_num_threads(1 if device == "cpu" else max(1, (os.cpu_count() or 2) // 2))
    if size > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=Path(meeting).as_uri(), rank=rank, world_size=size
        )
    work(Group(rank, size, torch.device(device)), *arguments)
    if size > 1:
        torch.distributed.destroy_process_group()


def run_group(
    work: Callable[..., None], arguments: tuple[Any, ...], processes: int, device: str
) -> None:
    """Calls work(group, *arguments) in that many processes (on a CPU two one-thread processes beat
    two threads).
    """
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        if processes == 1:
            _member(0, 1, device, meeting, work, arguments)
            return
        torch.multiprocessing.spawn(
            _member, (processes, device, meeting, work, arguments), nprocs=processes
        )


class Clock:
    """The share of this run's minutes that is over, the same in every process, and the learning
    rate's course.
    """

    def __init__(self, group: Group, minutes: float, every: int = 1, falling: float = 0.4) -> None:
        self._group, self._minutes, self._start = group, minutes, time.monotonic()
        self._ticks, self._every, self._falling = 0, every, falling
        self.share = 0.0

    def tick(self) -> bool:
        """True while there is time left. Call once a step in every process, which wait for each
        other at the first of `every` steps. Ends a process whose parent was killed: it would train
        on unseen.
        """
        self._ticks += 1
        if self._ticks % self._every != 1 % self._every:
            return True
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            raise SystemExit("The training was killed: this process ends with it.")
        elapsed = (time.monotonic() - self._start) / 60
        self.share = self._group.agree(elapsed / max(self._minutes, 1e-9))
        return self.share < 1

    @property
    def minutes(self) -> float:
        """Minutes since the start."""
        return self.share * self._minutes

    def rate(self, step: int, warm_up: int = 100) -> float:
        """A factor for the learning rate: up over `warm_up` steps, flat, and down to 3 % over the
        last `falling` of the time.
        """
        fall = min(1.0, (1 - self.share) / self._falling)
        return min(1.0, (step + 1) / warm_up) * (0.03 + 0.97 * fall)


class Average:
    """Exponential moving average of parameters; its horizon grows from short to `longest` with the
    steps.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], longest: float = 0.999) -> None:
        self._live = list(parameters)
        self.values = [p.detach().clone() for p in self._live]
        self._longest = longest

    def update(self, step: int) -> None:
        """Moves the averages towards the live parameters; `step` counts the calls."""
        keep = min(self._longest, (step + 1) / (step + 20))
        torch._foreach_lerp_(self.values, [p.detach() for p in self._live], 1 - keep)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The averages stand in for the live parameters in this context."""
        self.swap()
        yield
        self.swap()

    def swap(self) -> None:
        """Exchanges the live parameters and the averaged ones."""
        with torch.no_grad():
            for p, v in zip(self._live, self.values, strict=True):
                kept = p.detach().clone()
                p.copy_(v)
                v.copy_(kept)


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Writes in one step: a run killed while it saves leaves the checkpoint before."""
    files.make_folder(path.parent)
    with files.replacing(path) as file:
        torch.save(content, file)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, on the CPU, or None where there is nothing."""
    if not path.exists():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)


def save_training(
    path: Path,
    model: nn.Module,
    average: Average,
    optimiser: torch.optim.Optimizer,
    **where: float,
) -> None:
    """Writes a checkpoint to go on from; `where` says how far the training is."""
    content = {
        "model": model.state_dict(),
        "average": average.values,
        "optimiser": optimiser.state_dict(),
    }
    save_checkpoint(path, content | where)


def take_over(
    checkpoint: dict[str, Any],
    model: nn.Module,
    average: Average,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Goes on from what `save_training` wrote."""
    model.load_state_dict(checkpoint["model"])
    for value, stored in zip(average.values, checkpoint["average"], strict=True):
        value.copy_(stored)
    optimiser.load_state_dict(checkpoint["optimiser"])


def descend(
    loss: Tensor,
    parameters: Sequence[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    rate: float,
    group: Group | None = None,
) -> None:
    """One step down a loss; with a group, down the mean of its processes' losses."""
    for settings in optimiser.param_groups:
        settings["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if group is not None:
        group.average([p.grad for p in parameters if p.grad is not None])
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()


def note(path: Path, figures: dict[str, Any]) -> None:
    """Adds a line of JSON to the curve file, and prints it."""
    line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line, flush=True)


def mixed_precision(device: torch.device) -> torch.autocast:
    """Networks in bfloat16 inside this context, where the device computes in it. A CPU that only
    emulates it took more than seven times as long as in float32 (AVX2), so it stays with that.
    """
    native = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def channels_last(tensor: Tensor) -> Tensor:
    """The tensor (N, C, H, W) with channels innermost in memory, which CPUs convolve faster."""
    return tensor.contiguous(memory_format=torch.channels_last)
