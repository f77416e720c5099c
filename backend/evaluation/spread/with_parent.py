"""Processes that end with the one that they work for."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Called in a process of multiprocessing: end once the process that made it has ended. One that
    was killed tells nobody, and what it leaves would compute, and then wait for work, without end.
    """
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
