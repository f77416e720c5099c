"""When the views of a scene are edited while its field goes on training."""

import math
from dataclasses import dataclass

from backend.fields.config import SceneEditConfig


@dataclass(frozen=True)
class UpdatePlan:
    """The edits of a dataset update in their order, which come to an end before the settling.

    Every view has its turn: where there are not as many steps as that takes at the config's
    interval, the interval is shorter.

    Attributes:
        views: how many there are.
        edits: of views, in all; at least one of each.
        steps: of the training, before which all edits are due.
        every: steps between two edits; 0 where `steps` are shared out among the views.
    """

    views: int
    edits: int
    steps: int
    every: int

    @classmethod
    def of(cls, config: SceneEditConfig, views: int) -> "UpdatePlan":
        """The plan for so many views; the config is the one for them (`for_views`)."""
        steps = math.ceil(config.iterations * (1 - config.settling))
        edits = -(-steps // config.edit_every)
        if config.rounds > 0:
            edits = min(edits, config.rounds * views)
        if edits < views:
            return cls(views, views, steps, 0)
        return cls(views, edits, steps, config.edit_every)

    def due(self, count: int) -> int:
        """The steps after which the edit is made that `count` others come before."""
        return count * self.every if self.every else count * self.steps // self.views

    def together(self, count: int, most: int) -> range:
        """The counts of the next edits that are made together, `most` at most: of no view twice.
        Empty where `count` edits are all.
        """
        end_of_round = (count // self.views + 1) * self.views
        return range(count, min(count + most, end_of_round, self.edits))

    @property
    def round_steps(self) -> int:
        """The steps that it takes until every view has had its turn once more."""
        return max(1, self.due(self.views))
