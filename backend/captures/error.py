"""What is raised where a capture cannot be used."""

from backend.errors import BadInput


class CaptureError(BadInput):
    """A capture that cannot be used; the text is one sentence that names the file."""

    def __init__(self, sentence: str) -> None:
        # What files call each other can hold anything: kept to one line that can be printed.
        super().__init__(" ".join(sentence.encode("utf-8", "replace").decode().split()))


class WrongSize(CaptureError):
    """A picture is not of the size that its camera is for."""
