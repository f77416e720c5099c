"""What the backend does without Blender: `python -m backend`, or `watch-your-steps`."""

import io
import os
import sys

from backend.command_line import PROGRAM, command_in
from backend.commands import COMMANDS
from backend.endings import ended_in_order
from backend.errors import BadInput


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files can hold what it cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    program = "python -m backend" if sys.argv[0].endswith(".py") else PROGRAM
    typed = sys.argv[1:] if arguments is None else arguments
    try:
        command = command_in(COMMANDS, typed, program)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # who reads the help, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    with ended_in_order() as ended:
        try:
            status: int = command.run([*program.split(), *typed])
        except KeyboardInterrupt:
            print(getattr(command, "cancelled", "cancelled"), file=sys.stderr)
            status = 130
    return 128 + ended[0] if ended else status


if __name__ == "__main__":
    sys.exit(main())
