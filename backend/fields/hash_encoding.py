"""nerfstudio's hash encoding, faster: the same parameter, values and gradients.

On a CPU a hundred lines of C (hash_encoding.c, compiled once per machine at first use) do the work
where there is a C compiler, and torch's `embedding_bag` with a `bincount` backward where there is
none; both avoid the large temporary tensors and the serial `index_put` of nerfstudio's own torch
implementation. Other devices take the torch way too, or tiny-cuda-nn where it is installed.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from protocol.folders import data_folder

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("hash_encoding.c")
FLAGS = ("-O3", "-std=c99", "-fPIC", "-shared")
PRIMES = (1, 2654435761, 805459861)
MAX_FEATURES = 8
"""Of a level, in hash_encoding.c."""

Way = Literal["c", "torch"]


# --- the C library --------------------------------------------------------------------------------


def _processor() -> str:
    """What tells processors apart that run different code."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text().splitlines()
        return next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return platform.processor()


def _compile(target: Path) -> str | None:
    """Compiles the library to `target`. Returns why it did not work, None where it did."""
    compilers = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    compiler = next((path for name in compilers if name and (path := shutil.which(name))), None)
    if compiler is None:
        return "there is no C compiler"
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    why = ""
    for extra in (["-march=native"], []):  # not every compiler knows it for every processor
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            built = Path(folder) / target.name
            done = subprocess.run(
                [compiler, *FLAGS, *extra, "-o", built, SOURCE], capture_output=True, text=True
            )
            if done.returncode == 0:
                built.replace(target)  # in one step: another process may be doing the same
                return None
            why = f"{compiler} failed: {done.stderr.strip().splitlines()[-1:]}"
    return why


@functools.cache
def compiled_code() -> ctypes.CDLL | None:
    """The compiled hash_encoding.c, None where it cannot be had; says once which it is.

    It is kept in the user's data folder, one for each version of the source and each processor.
    """
    key = hashlib.sha256(SOURCE.read_bytes())
    key.update("\n".join((*FLAGS, platform.platform(), _processor())).encode())
    path = data_folder() / "compiled" / f"hash_encoding-{key.hexdigest()[:16]}.so"
    try:
        why = None if path.exists() else _compile(path)
        if why is None:
            loaded = ctypes.CDLL(str(path))
            log.info("hash encoding: compiled C")
            return loaded
    except OSError as error:
        why = str(error)
    log.warning("hash encoding: torch, several times slower than compiled C, as %s", why)
    return None


@functools.cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "hash-encoding")


def _share(work: Callable[[int, int], None], total: int) -> None:
    """Calls work(first, last) for parts of range(total), in torch's number of threads."""
    threads = min(torch.get_num_threads(), total)
    if threads < 2:
        work(0, total)
        return
    bounds = [total * i // threads for i in range(threads + 1)]
    for _ in _pool(threads, os.getpid()).map(work, bounds[:-1], bounds[1:]):
        pass


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


class _Compiled(torch.autograd.Function):
    """The encoding by the C library. Deterministic, whatever the number of threads."""

    @staticmethod
    def forward(ctx: Any, positions: Tensor, table: Tensor, scalings: Tensor, log2: int) -> Tensor:
        lib = compiled_code()
        assert lib is not None
        positions, table = positions.contiguous(), table.contiguous()
        ctx.save_for_backward(positions, table, scalings)
        ctx.log2 = log2
        levels, features = len(scalings), table.shape[1]
        encoded = torch.empty(len(positions), levels * features)
        shape = (ctypes.c_int(levels), ctypes.c_int(log2), ctypes.c_int(features))
        arrays = [_pointer(t) for t in (positions, table, scalings, encoded)]
        _share(
            lambda first, last: lib.encode(
                *arrays, ctypes.c_int64(first), ctypes.c_int64(last), *shape
            ),
            len(positions),
        )
        return encoded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        lib = compiled_code()
        assert lib is not None
        positions, table, scalings = ctx.saved_tensors
        levels, features = len(scalings), table.shape[1]
        shape = (ctypes.c_int(levels), ctypes.c_int(ctx.log2), ctypes.c_int(features))
        gradient = gradient.contiguous()
        of_positions = of_table = None
        if ctx.needs_input_grad[1]:
            of_table = torch.zeros_like(table)
            arrays = [_pointer(t) for t in (positions, gradient, scalings, of_table)]
            points = ctypes.c_int64(len(positions))
            _share(
                lambda first, last: lib.table_gradient(
                    *arrays, points, ctypes.c_int(first), ctypes.c_int(last), *shape
                ),
                levels,
            )
        if ctx.needs_input_grad[0]:
            of_positions = torch.zeros_like(positions)
            arrays = [_pointer(t) for t in (positions, table, gradient, scalings, of_positions)]
            _share(
                lambda first, last: lib.position_gradient(
                    *arrays, ctypes.c_int64(first), ctypes.c_int64(last), *shape
                ),
                len(positions),
            )
        return of_positions, of_table, None, None


# --- the same in torch ----------------------------------------------------------------------------


def _corners(positions: Tensor, scalings: Tensor, log2: int) -> tuple[Tensor, Tensor]:
    """Table rows int64 (n, levels, 8) of the corners around positions (n, 3), and the position in
    the cell, float32 (n, levels, 3). Bit 0, 1, 2 of a corner: the upper one along x, y, z.
    """
    scaled = positions[:, None] * scalings[:, None]  # (n, levels, 3)
    low = scaled.floor()
    primes = torch.tensor(PRIMES, device=positions.device)
    hashed = torch.stack([low, scaled.ceil()]).long() * primes  # (2, n, levels, 3)
    x, y, z = hashed.unbind(-1)
    levels = torch.arange(len(scalings), device=positions.device) << log2
    rows = [x[c & 1] ^ y[c >> 1 & 1] ^ z[c >> 2] for c in range(8)]
    return (torch.stack(rows, -1) & ((1 << log2) - 1)) + levels[:, None], scaled - low


def _weights(offsets: Tensor) -> Tensor:
    """Trilinear weights (n, levels, 8) of the corners for offsets (n, levels, 3) in the cells."""
    x, y, z = torch.stack([1 - offsets, offsets]).unbind(-1)
    return torch.stack([x[c & 1] * y[c >> 1 & 1] * z[c >> 2] for c in range(8)], -1)


class _InTorch(torch.autograd.Function):
    """The encoding by `embedding_bag`, its gradient by `bincount`."""

    @staticmethod
    def forward(ctx: Any, positions: Tensor, table: Tensor, scalings: Tensor, log2: int) -> Tensor:
        rows, offsets = _corners(positions, scalings, log2)
        weights = _weights(offsets)
        ctx.save_for_backward(table, scalings, rows, offsets, weights)
        encoded = nn.functional.embedding_bag(
            rows.view(-1, 8), table, per_sample_weights=weights.view(-1, 8), mode="sum"
        )
        return encoded.view(len(positions), -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        table, scalings, rows, offsets, weights = ctx.saved_tensors
        gradient = gradient.reshape(*rows.shape[:2], 1, table.shape[1])  # (n, levels, 1, features)
        of_positions = of_table = None
        if ctx.needs_input_grad[1]:
            columns = [
                torch.bincount(rows.view(-1), (weights * g).view(-1), len(table))
                for g in gradient.unbind(-1)
            ]
            of_table = torch.stack(columns, 1).to(table.dtype)
        if ctx.needs_input_grad[0]:
            values = (table[rows] * gradient).sum(-1)  # (n, levels, 8)
            with torch.enable_grad():
                inside = offsets.detach().requires_grad_()
                (of_offsets,) = torch.autograd.grad((_weights(inside) * values).sum(), inside)
            of_positions = (of_offsets * scalings[:, None]).sum(1)
        return of_positions, of_table, None, None


# --- use ------------------------------------------------------------------------------------------


def encode(
    positions: Tensor, table: Tensor, scalings: Tensor, log2: int, way: Way | None = None
) -> Tensor:
    """Features of positions in a multiresolution hash grid (Mueller et al. 2022, section 3).

    Args:
        positions: float32 (n, 3) in 0..1.
        table: float32 (levels * 2^log2, features), the levels one after the other.
        scalings: float32 (levels), cells along a side.
        log2: binary logarithm of a level's number of rows.
        way: "c" or "torch"; None for C where the tensors and the machine allow it.

    Returns:
        float32 (n, levels * features), level by level. Differentiable once, by both tensors.
    """
    if way is None:
        fits = positions.device.type == "cpu" and table.shape[1] <= MAX_FEATURES
        way = "c" if fits and compiled_code() is not None else "torch"
    scalings = scalings.to(torch.float32)  # nerfstudio's are integers where there is one level
    function: Any = _Compiled if way == "c" else _InTorch
    return function.apply(positions, table, scalings, log2)
