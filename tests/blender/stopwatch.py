"""Milliseconds that calls take the main thread, by what they are."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

Result = TypeVar("Result")
SHOWN = (50, 99, 100)
"""Percentiles."""


class Stopwatch:
    """Milliseconds of calls by name: on the clock, and of the main thread's own work, which other
    programs on the machine do not change. Calls of `left_out` within them do not count.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.clock: dict[str, list[float]] = defaultdict(list)
        self.work: dict[str, list[float]] = defaultdict(list)
        self.name = ""
        """Of the call that goes on; it may be renamed from within."""
        self._left_out = np.zeros(2)

    def __call__(self, name: str, call: Callable[[], Result]) -> Result:
        outer, self.name = self.name, name
        before, out = self._now(), self._left_out.copy()
        try:
            return call()
        finally:
            taken = self._now() - before - (self._left_out - out)
            self.clock[self.name].append(taken[0])
            self.work[self.name].append(taken[1])
            self.name = outer

    @staticmethod
    def _now() -> "np.ndarray":
        return np.array([time.perf_counter(), time.thread_time()]) * 1000

    def wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function that is measured each time."""
        return lambda *given, **named: self(name, lambda: call(*given, **named))

    def left_out(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function that is none of the time of whoever calls it."""

        def timed(*given: Any, **named: Any) -> Any:
            with self._out():
                return call(*given, **named)

        return timed

    @contextmanager
    def _out(self) -> Iterator[None]:
        before = self._now()
        try:
            yield
        finally:
            self._left_out += self._now() - before

    def table(self) -> str:
        """One line for each name, and for all names that begin alike before a colon: percentiles of
        the clock and of the work; OVER where the work's 99th is above the limit.
        """
        for times in (self.clock, self.work):
            for name in [one for one in times if ":" in one]:
                times[f"all of {name.partition(':')[0]}"] += times[name]
        heads = [f"p{one}" if one < 100 else "max" for one in SHOWN]
        columns = "".join(f"{head:>8}" for head in (*heads, *(f"w {one}" for one in heads)))
        lines = [f"{'milliseconds':<48}{columns}{'calls':>7}"]
        for name in sorted(self.clock):
            clock, work = (np.percentile(of[name], SHOWN) for of in (self.clock, self.work))
            numbers = "".join(f"{number:>8.1f}" for number in (*clock, *work))
            over = "  OVER" if work[1] > self.limit else ""
            lines.append(f"{name:<48}{numbers}{len(self.clock[name]):>7}{over}")
        return "\n".join(lines)
