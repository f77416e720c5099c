"""How far a model's download from the hub is, in the log: the hub's own bars are for terminals."""

import contextlib
import functools
import io
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

from diffusers.pipelines import pipeline_utils
from tqdm import tqdm  # type: ignore[import-untyped]

logger = logging.getLogger(__name__)

PAUSE = 2.0
"""Seconds between two words about a download, at least."""


class LoggedBar(tqdm):  # type: ignore[misc]
    """A bar of bytes whose words go to the log. The hub makes others beside it, which stay quiet:
    of whole files, and of what the network has brought and is not on the disk yet.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._told = -PAUSE
        self._speaks = options.get("unit") == "B" and options.get("desc") != "Downloading bytes"
        super().__init__(*args, **options | {"file": io.StringIO(), "mininterval": PAUSE})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """What tqdm calls to draw it."""
        now = time.monotonic()
        if self._speaks and self.total and now - self._told >= PAUSE:
            self._told = now
            logger.info("downloading the model: %s", so_far(self.n, self.total))


def so_far(done: float, total: float) -> str:
    """Bytes in words, such as "1.2 of 5.1 GB (24%)"."""
    unit, name = (1e9, "GB") if total >= 1e9 else (1e6, "MB")
    return f"{done / unit:.1f} of {total / unit:.1f} {name} ({min(100, int(100 * done / total))}%)"


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Have what diffusers downloads inside told in the log, where there is no terminal for bars."""
    if sys.stderr.isatty():
        yield
        return
    download = pipeline_utils.snapshot_download
    pipeline_utils.snapshot_download = functools.partial(download, tqdm_class=LoggedBar)
    try:
        yield
    finally:
        pipeline_utils.snapshot_download = download
