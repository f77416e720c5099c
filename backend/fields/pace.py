"""How long a training takes yet, reckoned from what its parts have taken."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LATEST_STEPS = 50
"""The steps whose mean is that of those to come."""
FEWEST_STEPS = 10
"""Before so many, nothing is said."""


@dataclass(frozen=True)
class Aside:
    """What a training does between some of its steps, such as editing a view.

    Attributes:
        spent: seconds that this has taken, in this run.
        left: seconds that it will take yet; None while nothing tells, and while the steps are none
            that tell how long those to come will take.
    """

    spent: float = 0.0
    left: float | None = 0.0


class Pace:
    """What the parts of a training take.

    Its steps are much alike, and their number is known. What comes between some of them may take a
    hundred times as long: were that a part of the mean, a few such events at the start would be
    taken for the pace of all steps to come.
    """

    def __init__(self) -> None:
        self._end = time.monotonic()
        self._steps: deque[float] = deque(maxlen=LATEST_STEPS)
        self._apart = 0.0
        self._aside = 0.0
        self._latest: dict[str, float] = {}

    @contextmanager
    def apart(self, part: str) -> Iterator[None]:
        """Times a part that is not the step's own."""
        began = time.monotonic()
        yield
        self._latest[part] = time.monotonic() - began
        self._apart += self._latest[part]

    def took(self, part: str) -> float:
        """Seconds of a part, the last time; 0 before the first."""
        return self._latest.get(part, 0.0)

    def end_step(self, aside: Aside) -> None:
        """Notes that a step is done, with all that came before it since the last one."""
        now = time.monotonic()
        if aside.left is not None:
            self._steps.append(now - self._end - self._apart - (aside.spent - self._aside))
        self._end, self._apart, self._aside = now, 0.0, aside.spent

    def remaining(
        self, steps: int, of: int, times: dict[str, int], every: dict[str, float], aside: Aside
    ) -> float | None:
        """Seconds that a training takes yet.

        Args:
            steps: that are left.
            of: how many it has in all.
            times: how many times a part comes yet.
            every: seconds between two times of other parts, which come at the end, too.
            aside: what is done between steps.

        Returns:
            None while too little has been timed.
        """
        if aside.left is None or len(self._steps) < max(1, min(FEWEST_STEPS, of // 10)):
            return None
        seconds = steps * sum(self._steps) / len(self._steps) + aside.left
        seconds += sum(count * self.took(part) for part, count in times.items())
        more = 0.0
        for part, interval in every.items():
            turns = steps if interval * steps <= seconds else seconds / interval
            more += (turns + 1) * self.took(part)
        return seconds + more
