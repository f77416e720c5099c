"""What ends a command from outside, such as `kill` or a terminal that is closed: it cleans up and
pauses as after Ctrl-C.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Without SIGINT, of which Python itself makes a KeyboardInterrupt."""


@contextmanager
def ended_in_order() -> Iterator[list[int]]:
    """While it lasts, the first of `SIGNALS` raises KeyboardInterrupt in the main thread, and
    further ones do nothing: what cleans up is not cut short.

    Yields:
        The number of the signal once it has come.
    """
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        if not came:
            came.append(number)
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield came  # no signals come here
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # `nohup` asks to go on
            signal.signal(number, end)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Puts back what handles `SIGNALS` after an import of a library that takes them over: Google's
    logging, in COLMAP's, prints a stack of C++ and ends the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
