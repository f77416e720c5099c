"""Doing one job, of whatever kind."""

from backend.editing import Editor
from backend.jobs.perform_image import perform_image
from backend.jobs.perform_texture import perform_texture
from backend.jobs.words import OnProgress
from protocol.messages import ImageRequest, Request, Result, TextureRequest


def perform(editor: Editor, request: Request, on_progress: OnProgress) -> Result:
    """Do what a request asks for.

    Raises:
        ValueError: the request's data cannot be worked on; the text says why.
        FloatingPointError: the networks overflowed.
        torch.OutOfMemoryError: the device's memory does not suffice.
    """
    if isinstance(request, ImageRequest):
        return perform_image(editor, request, on_progress)
    if isinstance(request, TextureRequest):
        return perform_texture(editor, request, on_progress)
    raise ValueError("This backend cannot do this yet: its capabilities are in its welcome.")
