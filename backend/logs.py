"""The log of the server and its worker: a time stamp on every line, and nothing in one that could
be taken for another, or steer a terminal.
"""

import logging
import time
from typing import TextIO

from protocol.text import readable

LONGEST = 1000
"""Characters of one line, whatever others have put into it."""
TRACEBACK_LINES = 60


class Lines(logging.Formatter):
    """What is logged, on one line; a traceback follows on lines that are indented."""

    def __init__(self, who: str = "") -> None:
        super().__init__()
        self._who = f"{who}: " if who else ""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record, such as `2026-01-31 23:59:59+0100 worker: job 12 failed`."""
        when = time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(record.created))
        grave = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        lines = [f"{when} {self._who}{grave}{readable(record.getMessage(), LONGEST)}"]
        if record.exc_info:
            told = self.formatException(record.exc_info).splitlines()
            if len(told) > TRACEBACK_LINES:
                half = TRACEBACK_LINES // 2
                told = [*told[:half], "...", *told[-half:]]
            for line in told:
                indent = line[: len(line) - len(line.lstrip(" "))]
                lines.append(f"    {indent}{readable(line[len(indent) :], LONGEST)}")
        return "\n".join(lines)


def log_to(stream: TextIO, who: str = "") -> None:
    """Have everything that is logged written to a stream.

    Args:
        stream: standard output or error.
        who: the process, where several write into one log.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines(who))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
