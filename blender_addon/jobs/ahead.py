"""What threads do of bringing a result into its scene, before the main thread does the rest."""

from collections.abc import Generator
from typing import Any

from ..link.aside import Aside
from ..render import window

Parts = Generator[Aside[Any], None, None]
"""Work on the main thread that gives calls which take nothing of Blender (`aside`)."""


class Ahead:
    """Such work, which in a window takes several ticks, and without one is done at once."""

    def __init__(self, parts: Parts | None) -> None:
        self._parts = parts
        self._call: Aside[Any] | None = None

    def is_done(self) -> bool:
        """Go on with it as far as that needs no waiting; whether all of it is done."""
        while self._parts is not None:
            if self._call is not None and not self._call.done:
                return False
            parts, self._parts = self._parts, None  # a defect ends it
            try:
                self._call = next(parts)
            except (StopIteration, ReferenceError):  # the latter: undone, or another file
                return True
            self._parts = parts
            if window.is_open():
                self._call.begin()
                return False
            self._call.run()
        return True
