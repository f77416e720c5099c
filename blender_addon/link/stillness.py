"""Holding the add-on's threads still while Blender must not be disturbed by one that runs Python.

Within `Context.temp_override` Blender looks into the override's dictionary whenever an operator
asks for a part of the context. For the time of an operator it has given Python's lock away, and
takes it for the look only where no thread has it. Up to Python 3.11, which is that of Blender 4.5
and 5.0, that asks whether ANY thread has the lock: while another one runs Python, Blender looks
into the dictionary without it. It dies of that (SIGSEGV in PyDict_New), or counts references
wrongly. From Python 3.12 on each thread is asked for itself.

A thread that waits for a lock runs no Python. So there the link's thread comes by here between two
pieces of its work, and waits, while the main thread wants it to. Other threads of the add-on
(aside.py) have one piece, and the main thread waits for its end.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

NEEDED = sys.version_info < (3, 12)
PATIENCE = 1.0
"""Seconds that the main thread waits for a thread at most: a piece of work takes some hundredths of
a second, but where a large result has come just then, and where the link waits for an answer it
runs no Python."""
TO_THE_END = 60.0
"""The same for a thread that has one piece, which may take some seconds and runs Python in all."""
LOOK_SECONDS = 0.0005


@dataclass
class _Stillness:
    wanted: bool = False
    gate: threading.Lock = field(default_factory=threading.Lock)
    """Closed while it is wanted."""
    running: dict[int, float] = field(default_factory=dict)
    """Identities of the threads that come by, and the seconds to wait for each."""
    standing: set[int] = field(default_factory=set)
    """Those of them that wait."""


_stillness = _Stillness()


@contextmanager
def coming_by(patience: float | None = None) -> Iterator[None]:
    """What a thread does within the block has pieces, between which it comes by; `patience` are the
    seconds that it is waited for, PATIENCE by default.
    """
    me = threading.get_ident()
    _stillness.running[me] = PATIENCE if patience is None else patience
    try:
        yield
    finally:
        del _stillness.running[me]


def come_by() -> None:
    """Wait here as long as stillness is wanted."""
    if not _stillness.wanted:
        return
    me = threading.get_ident()
    _stillness.standing.add(me)
    with _stillness.gate:
        # before the gate is given back: who goes on is not to count as standing the next time
        _stillness.standing.discard(me)


@contextmanager
def still() -> Iterator[None]:
    """Hold the threads still within the block; only the main thread may, and in the block it waits
    for nothing that they do. The line to the backend lives on: its heartbeats are no Python.
    """
    if not NEEDED or _stillness.wanted:
        yield
        return
    _stillness.gate.acquire()
    _stillness.wanted = True
    try:
        began = time.monotonic()
        while any(
            time.monotonic() < began + patience
            for one, patience in dict(_stillness.running).items()
            if one not in _stillness.standing
        ):
            time.sleep(LOOK_SECONDS)
        time.sleep(LOOK_SECONDS)  # what each does after it has said so is to wait for the gate
        yield
    finally:
        _stillness.wanted = False
        _stillness.gate.release()
