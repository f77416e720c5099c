"""The jobs of one image: its relevance map, and its edit."""

from backend.editing import ImageEditor, RelevanceMap, Step, crop
from backend.editing.notes import notes_on
from backend.output.progress import OnPreview
from protocol.requests import (
    EditRequest,
    EditResult,
    ImageRequest,
    ImageResult,
    RelevanceRequest,
    RelevanceResult,
)


def perform_image(
    editor: ImageEditor, request: ImageRequest, on_progress: OnPreview
) -> ImageResult:
    """Do what a request asks for.

    Raises:
        BadInput: the request's data cannot be worked on; the text says why.
        FloatingPointError: the networks overflowed.
        torch.OutOfMemoryError: the device's memory does not suffice.
    """
    on_progress("Encoding the image", 0.0, None)
    editor.set_image(request.image)
    if isinstance(request, RelevanceRequest):
        return _relevance(editor, request, on_progress)
    return _edit(editor, request, on_progress)


def _relevance(
    editor: ImageEditor, request: RelevanceRequest, on_progress: OnPreview
) -> RelevanceResult:
    relevance = editor.relevance(
        request.instruction,
        settings=request.maps,
        on_draw=lambda index, count: on_progress(
            f"Relevance, noise {index + 1} of {count}", (index + 1) / (count + 1), None
        ),
    )
    return RelevanceResult(
        relevance=relevance.at(*request.image.shape[:2]),
        spread=_relative_spread(relevance),
        magnitude=float(relevance.raw.max()),
        suggested_threshold=relevance.suggested_threshold,
        evidence=relevance.evidence,
        applies=relevance.applies,
        notes=notes_on(editor.card, request.instruction, relevance.applies),
    )


def _edit(editor: ImageEditor, request: EditRequest, on_progress: OnPreview) -> EditResult:
    mapped, relevance = 0.0, None
    if request.mask is None:

        def after_draw(index: int, count: int) -> None:
            nonlocal mapped
            mapped = (index + 1) / (count + request.settings.steps + 1)
            on_progress(f"Relevance, noise {index + 1} of {count}", mapped, None)

        relevance = editor.relevance(request.instruction, settings=request.maps, on_draw=after_draw)

    def after_step(step: Step) -> None:
        words = f"Denoising, step {step.index + 1} of {step.count}"
        done = mapped + (1 - mapped) * (step.index + 1) / (step.count + 1)
        on_progress(words, done, editor.preview(step))

    edit = editor.edit(
        request.instruction,
        threshold=request.threshold,
        settings=request.settings,
        speed=request.speed,
        relevance=relevance,
        mask=request.mask,
        crop=request.crop,
        on_step=after_step,
        things=request.things,
        region=request.region,
        correction=request.correction,
    )
    applies = None if relevance is None else relevance.applies
    notes = notes_on(editor.card, request.instruction, applies)
    if edit.unchanged is not None:
        notes = (edit.unchanged, *notes)
    if edit.snapped is not None and edit.snapped.why:
        notes = (*notes, edit.snapped.why)
    return EditResult(
        image=edit.image,
        mask=edit.mask,
        relevance=relevance.at(*request.image.shape[:2]) if relevance is not None else None,
        threshold=edit.threshold,
        suggested_threshold=relevance.suggested_threshold if relevance is not None else None,
        evidence=relevance.evidence if relevance is not None else None,
        applies=applies,
        took=edit.snapped.took if edit.snapped is not None else None,
        crops=tuple(window.box for window in edit.windows),
        worked_at=tuple(window.shape for window in edit.windows),
        work=crop.words(edit.windows, request.image.shape),
        notes=notes,
    )


def _relative_spread(relevance: RelevanceMap) -> float:
    mean = float(relevance.raw.mean())
    return float(relevance.spread.mean()) / mean if mean > 0 else 0.0
