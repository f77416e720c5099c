"""The models that a server can be started with by name, and what each is good for. The one home of
this list; docs/models.md says more.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelChoice:
    """A value of the server's `--model`, for a person who chooses one."""

    model: str
    """What `--model` gets."""
    title: str
    text: str
    """Size, and what it is good for: a sentence without its full stop."""
    hub_id: str = ""
    """What is downloaded for it where it is not here; "" for nothing."""
    download: str = ""
    """How much that is."""


INSTRUCT_PIX2PIX = "timbrooks/instruct-pix2pix"

MODEL_CHOICES = (
    ModelChoice(
        "auto",
        "The Best There Is",
        "InstructPix2Pix where it can be had, else the demo model; the panel says which it is",
        INSTRUCT_PIX2PIX,
        "about 5 GB",
    ),
    ModelChoice(
        INSTRUCT_PIX2PIX,
        "InstructPix2Pix",
        "For real pictures and any instruction, at 512 pixels. About 5 GB, downloaded once. A GPU "
        "is wanted, of whose memory its networks alone take 2.3 GB: without one it takes 4.3 GB "
        "of the computer's, and many minutes for a picture",
        INSTRUCT_PIX2PIX,
        "about 5 GB",
    ),
    ModelChoice(
        "demo",
        "Demo Model",
        "To try the buttons with, at 128 pixels, on any computer. It is here already, and knows "
        "simple shapes and colors only",
    ),
)
