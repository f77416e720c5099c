"""An evaluation's samples on the machines of a Ray cluster, each on one thread of one core or on
one GPU. Ray is an extra: it is imported where a person asks for it.
"""

import importlib
from collections.abc import Iterator, Sequence

from backend.errors import BadInput
from backend.evaluation.spread.processes import one_thread
from backend.evaluation.spread.records import Made, Records
from backend.evaluation.spread.work import Task, Tools, Work

TRIES = 5
"""How often a sample is done again whose worker was killed."""


def all_done(work: Work, records: Records, tasks: Sequence[Task], gpu: bool) -> Iterator[int]:
    """Do tasks on the cluster that this process has joined, or else that RAY_ADDRESS names or this
    machine belongs to, or on a new one of this machine alone. Records are written here: machines
    need share no disk. What a worker was doing when it was killed is done again, by another.

    Args:
        work: see `Work`; models that it names must be on every machine.
        records: where what comes back is kept.
        tasks: at least one.
        gpu: whether each takes a GPU.

    Yields:
        How many records came back since the last time, those of whole samples.

    Raises:
        BadInput: no cluster answers, or a sample's workers were killed more than TRIES times.
        ModuleNotFoundError: Ray is not installed.
    """
    ray = importlib.import_module("ray")

    joined = not ray.is_initialized()
    try:
        if joined:
            ray.init(log_to_driver=False, logging_level="error")
    except Exception as error:  # Ray raises no narrower one where a machine is too slow to begin
        raise BadInput(f"No Ray cluster could be joined or begun: {error}") from error
    try:
        kept = ray.put(work)
        far = ray.remote(num_cpus=1, num_gpus=1 if gpu else 0, max_retries=TRIES)(_do)
        waiting = [far.remote(kept, task) for task in tasks]
        while waiting:
            (done,), waiting = ray.wait(waiting, num_returns=1)
            found: list[Made] = ray.get(done)
            for made in found:
                records.keep(made)
            yield len(found)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise BadInput(
            f"The Ray cluster lost what it was given, {TRIES} times or for good; the same command "
            f"goes on: {str(error).splitlines()[0]}"
        ) from error
    finally:
        if joined:
            ray.shutdown()


_own: tuple[Work, Tools] | None = None
"""Of a worker that has done a task before."""


def _do(work: Work, task: Task) -> list[Made]:
    """On a worker."""
    global _own
    with one_thread():
        if _own is None or _own[0] != work:
            _own = work, work.names.load()
        return list(work.do(_own[1], task))
