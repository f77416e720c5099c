"""Doing one job, of whatever kind."""

from backend.captures.store import CaptureStore
from backend.editing import ImageEditor
from backend.output.progress import OnPreview
from backend.worker.perform_image import perform_image
from backend.worker.perform_scene import perform_scene
from backend.worker.perform_texture import perform_texture
from protocol.requests import ImageRequest, Request, Result, TextureJobRequest


def perform(
    editor: ImageEditor, captures: CaptureStore, request: Request, on_progress: OnPreview
) -> Result:
    """Do what a request asks for.

    Raises:
        BadInput: the request's data cannot be worked on; the text says why.
        FloatingPointError: the networks overflowed, or a training diverged.
        InUse: another process works on the capture.
        OSError: the disk is full or cannot be written.
        torch.OutOfMemoryError: the device's memory does not suffice.
    """
    if isinstance(request, ImageRequest):
        return perform_image(editor, request, on_progress)
    if isinstance(request, TextureJobRequest):
        return perform_texture(editor, request, on_progress)
    return perform_scene(editor, captures, request, on_progress)
