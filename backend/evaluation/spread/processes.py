"""An evaluation's samples on this machine, in processes of one thread each."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch

from backend.errors import BadInput
from backend.evaluation.spread.records import Records
from backend.evaluation.spread.with_parent import end_with_parent
from backend.evaluation.spread.work import Task, Tools, Work


def all_done(work: Work, records: Records, tasks: Sequence[Task], count: int) -> Iterator[int]:
    """Do tasks in so many processes, each with models of its own and one thread: the records are
    the same to the bit with any number, but for seconds.

    Yields:
        How many records were made since the last time: with one process each of them is told, with
        several those of whole samples.

    Raises:
        BadInput: a process ended before its time.
    """
    if count == 1:
        with one_thread():
            tools = work.names.load()
            for task in tasks:
                for made in work.do(tools, task):
                    records.keep(made)
                    yield 1
        return
    context = multiprocessing.get_context("spawn")
    workers = ProcessPoolExecutor(count, context, _begin, (work, records))
    try:
        waiting = {workers.submit(_do, task) for task in tasks}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for one in done:
                yield one.result()
    except BrokenProcessPool as error:
        raise BadInput(
            "A process of the evaluation ended before its time, perhaps for want of memory: ask "
            "for fewer with --processes; the same command goes on."
        ) from error
    finally:
        # what is left was stopped or has failed: whole records alone are on disk
        ours = list((workers._processes or {}).values())
        workers.shutdown(wait=False, cancel_futures=True)
        for process in ours:
            process.terminate()


@contextmanager
def one_thread() -> Iterator[None]:
    """While it lasts, torch computes on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_own: tuple[Work, Records, Tools] | None = None
"""Of a process that works for another."""


def _begin(work: Work, records: Records) -> None:
    """At a process's start."""
    global _own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that it works for
    end_with_parent()
    torch.set_num_threads(1)
    _own = work, records, work.names.load()


def _do(task: Task) -> int:
    assert _own is not None
    work, records, tools = _own
    count = 0
    for made in work.do(tools, task):
        records.keep(made)
        count += 1
    return count
