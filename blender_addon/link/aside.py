"""Work that takes nothing of Blender: in a window a thread does it, and Blender goes on."""

import threading
from collections.abc import Callable, Generator
from typing import Generic, TypeVar

from . import stillness

Made = TypeVar("Made")


class Aside(Generic[Made]):
    """A call that may be made in any thread."""

    def __init__(self, call: Callable[[], Made]) -> None:
        self._call = call
        self._made: list[Made] = []
        self._error: Exception | None = None
        self.done = False

    def begin(self) -> None:
        """Let a thread make it."""
        known = threading.Event()
        threading.Thread(target=self._run_beside, args=[known], daemon=True).start()
        known.wait()  # from here on stillness waits for it

    def _run_beside(self, known: threading.Event) -> None:
        with stillness.coming_by(stillness.TO_THE_END):  # it comes by at its end only
            known.set()
            self.run()

    def run(self) -> None:
        """Make it; what it raises is raised by `result`."""
        try:
            self._made.append(self._call())
        except Exception as error:  # noqa: BLE001  # raised where it is waited for
            self._error = error
        self.done = True

    def result(self) -> Made:
        """What the call has returned.

        Raises:
            Exception: what it has raised.
        """
        if self._error is not None:
            raise self._error
        return self._made[0]


def aside(call: Callable[[], Made]) -> Generator[Aside[Made], None, Made]:
    """A part of a `Rendering`: whoever goes through it makes the call before it goes on. Meanwhile
    the artist may do anything: nothing of the file that was known before is sure to be there still.
    """
    work = Aside(call)
    yield work
    return work.result()


def breath() -> Generator[Aside[None], None, None]:
    """A part at which Blender may draw its window: what comes before it and after it takes long
    enough. The artist may do anything there, too.
    """
    yield from aside(lambda: None)
