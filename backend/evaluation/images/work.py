"""What `evaluate images` makes of a sample: an edit at every point that is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass

from backend.evaluation import metrics
from backend.evaluation.images.points import measured
from backend.evaluation.spread.records import Made
from backend.evaluation.spread.work import SHOWN, Names, Task, Tools


@dataclass(frozen=True)
class ImagesWork:
    """See `Work`.

    Attributes:
        names: what is loaded.
        steps, seed: of every edit.
    """

    names: Names
    steps: int
    seed: int

    def do(self, tools: Tools, task: Task) -> Iterator[Made]:
        """An edit for each point; those at the knobs' defaults are kept as pictures."""
        palette = metrics.palette_of_sample(task.sample)
        for point in task.points:
            record, edited = measured(tools, task.sample, palette, point, self.steps, self.seed)
            shown = task.number < SHOWN and point.knob is None
            yield Made(task.number, point, record, edited if shown else None)
