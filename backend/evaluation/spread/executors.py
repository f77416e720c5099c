"""Who does an evaluation's work, and how far it is."""

import time
from collections.abc import Sequence

from backend.evaluation.options import SampleOptions
from backend.evaluation.spread import cluster, processes
from backend.evaluation.spread.records import Point, Records
from backend.evaluation.spread.work import Task, Work
from backend.output.progress import shown_progress, time_left
from backend.world.pool import Sample


def make(
    work: Work,
    records: Records,
    samples: Sequence[Sample],
    points: Sequence[Point],
    options: SampleOptions,
    device: str,
) -> None:
    """Make everything of which there is no record yet, by the executor that the options name;
    `device` is the kind that computes, such as "cpu".

    Raises:
        BadInput: a process ended before its time, or there is no such executor here.
    """
    tasks = []
    for number, sample in enumerate(samples):
        if wanted := tuple(one for one in points if not records.has(number, one)):
            tasks.append(Task(number, sample, wanted))
    total = sum(len(task.points) for task in tasks)
    if not tasks:
        return
    if options.executor == "ray":
        counts = cluster.all_done(work, records, tasks, gpu=device == "cuda")
    else:
        asked = options.processes or (processes.cores() if device == "cpu" else 1)
        counts = processes.all_done(work, records, tasks, min(asked, len(tasks)))
    made, began = 0, time.monotonic()
    with shown_progress() as show:
        show(f"0 of {total} measured", 0.0)
        for count in counts:
            made += count
            left = (time.monotonic() - began) / made * (total - made)
            words = f", {time_left(left)}" if made < total else ""
            show(f"{made} of {total} measured{words}", made / total)
