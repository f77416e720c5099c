"""The edits of an evaluation, spread over processes, with a record of each on disk: what is there
is not made again.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from backend.editing import Editor
from backend.editing.methods.method import Models
from backend.editing.models.registry import load_text_to_image
from backend.errors import BadInput
from backend.evaluation import metrics
from backend.evaluation.encoders import Encoder, load_encoder
from backend.evaluation.images.points import Point, Record, measured
from backend.records import read_record
from backend.world.pool import Sample
from protocol import files

SHOWN = 8
"""Samples whose edits at the methods' defaults are kept as pictures, for the contact sheet."""


@dataclass(frozen=True)
class Plan:
    """What all edits of an evaluation share.

    Attributes:
        folder: with the records.
        model, device, dtype: of the model that edits by instructions, as `load_model` takes them.
        text_to_image: the other one, or None.
        clip: the encoder of similarities, as `load_encoder` takes it.
        steps, seed: of every edit.
    """

    folder: Path
    model: str
    device: str
    dtype: str
    text_to_image: str | None
    clip: str
    steps: int
    seed: int

    def models(self) -> Models:
        """Load them.

        Raises:
            BadInput: as `load_text_to_image`.
        """
        other = self.text_to_image
        return Models(
            Editor.from_pretrained(self.model, self.device, self.dtype),
            None if other is None else load_text_to_image(other, self.device, self.dtype),
        )

    def encoder(self) -> Encoder:
        """Load it.

        Raises:
            BadInput: as `load_encoder`.
        """
        return load_encoder(self.clip, self.device)

    def record(self, number: int, point: Point) -> Record | None:
        """What is known of a sample, by its number, at a point; None where that is to be made.

        Raises:
            DamagedRecord: its file cannot be understood.
        """
        try:
            return read_record(self._path(number, point, "json"), Record)
        except FileNotFoundError:
            return None

    def picture(self, number: int, point: Point) -> NDArray[np.uint8]:
        """One of those that are kept."""
        with Image.open(self._path(number, point, "png")) as image:
            return np.asarray(image)

    def keep(
        self, number: int, point: Point, record: Record, picture: NDArray[np.uint8] | None
    ) -> None:
        """Write a record, and before it its picture."""
        files.make_folder(self.folder / point.name)
        if picture is not None:
            content = BytesIO()
            Image.fromarray(picture).save(content, "PNG")
            files.write_bytes(self._path(number, point, "png"), content.getvalue())
        files.write_json(self._path(number, point, "json"), asdict(record))

    def _path(self, number: int, point: Point, ending: str) -> Path:
        return self.folder / point.name / f"{number:05d}.{ending}"


@dataclass(frozen=True)
class Task:
    """The points of one sample that are to be made."""

    number: int
    sample: Sample
    points: tuple[Point, ...]


def do(plan: Plan, models: Models, encoder: Encoder, task: Task) -> Iterator[int]:
    """Make what is asked of one sample, and keep it; yields 1 for every edit."""
    palette = metrics.palette_of_sample(task.sample)
    for point in task.points:
        record, edited = measured(
            models, encoder, task.sample, palette, point, plan.steps, plan.seed
        )
        shown = task.number < SHOWN and point.knob is None
        plan.keep(task.number, point, record, edited if shown else None)
        yield 1


def all_done(plan: Plan, tasks: Sequence[Task], processes: int) -> Iterator[int]:
    """Do tasks in so many processes, each with models of its own and one thread: the figures are
    the same to the bit with any number.

    Yields:
        How many edits were made since the last time: with one process each of them is told, with
        several those of whole samples.

    Raises:
        BadInput: a process ended before its time.
    """
    if processes == 1:
        with one_thread():
            models, encoder = plan.models(), plan.encoder()
            for task in tasks:
                yield from do(plan, models, encoder, task)
        return
    context = multiprocessing.get_context("spawn")
    workers = ProcessPoolExecutor(processes, context, _begin, (plan,))
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


_own: tuple[Plan, Models, Encoder] | None = None
"""Of a process that works for another."""


def _begin(plan: Plan) -> None:
    """At a process's start."""
    global _own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that it works for
    torch.set_num_threads(1)
    _own = plan, plan.models(), plan.encoder()


def _do(task: Task) -> int:
    assert _own is not None
    return sum(do(*_own, task))
