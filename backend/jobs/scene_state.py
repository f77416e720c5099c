"""What has become of a capture: its radiance field, its edits, and undoing one of these."""

import logging
import os
from functools import lru_cache
from pathlib import Path

from backend.captures.store import NO_CAPTURE, CaptureStore, UnknownCapture, out_of_room
from backend.errors import BadInput
from backend.fields.facts import RADIANCE, load_facts
from backend.scenes.edit_records import (
    EDIT_FILE,
    edit_folder,
    edit_names,
    is_finished,
    keeps,
    read_asked,
    undo,
)
from backend.scenes.work_folder import WORK_FOLDER, open_as_trained, work_folder
from backend.work_lock import InUse, alone
from protocol.messages import EditState, Error, FieldState, SceneMessage, SceneState, UndoSceneEdit
from protocol.values import MAX_EDITS, MAX_LISTED_INSTRUCTION

logger = logging.getLogger("backend.captures")


def answer_scene(
    captures: CaptureStore, message: SceneMessage, jobs: tuple[str, ...]
) -> SceneState | Error:
    """Do what a client's message about a scene asks for; what goes wrong becomes words.

    Args:
        captures: all captures.
        message: the question, or which edit is to be undone.
        jobs: ids of the jobs that use the capture; none where an edit is to be undone.
    """
    capture = message.capture
    try:
        state = captures.state(capture)
        folder = captures.place(capture)
        work = _work_folder(folder) if state.sealed else None
        undone = message.edit if isinstance(message, UndoSceneEdit) else None
        if work is not None and undone is not None and keeps(work, undone):
            with alone(folder):
                undo(work, undone)
        return SceneState(
            capture=capture,
            views=state.views,
            sealed=state.sealed,
            field=None if work is None else _field(work),
            edits=() if work is None else _edits(work),
            jobs=jobs,
        )
    except UnknownCapture:
        code, words = "unknown_capture", NO_CAPTURE
    except BadInput as error:  # CaptureError, CheckpointError, EditError
        code, words = "bad_capture", without_paths(f"{error}", captures.place(capture))
    except InUse as error:
        code, words = "in_use", str(error)
    except OSError as error:
        logger.exception("capture %s", capture)
        code, words = "storage", out_of_room(error)
    return Error(code=code, message=words, job=capture)


@lru_cache(maxsize=64)
def _work_folder(folder: Path) -> Path:
    """The work folder of a sealed capture, whose checks need not be made again for every question:
    of the capture only its work folder is looked at.
    """
    work = work_folder(folder)
    open_as_trained(folder, work, axes="opengl")
    return work


def _field(work: Path) -> FieldState | None:
    facts = load_facts(work, RADIANCE)
    if facts is None:
        return None
    return FieldState(
        steps=facts["step"],
        iterations=facts["iterations"],
        finished=facts["finished"],
        held_out_psnr=facts["scores"][-1][1] if facts["scores"] else None,
    )


def _edits(work: Path) -> tuple[EditState, ...]:
    """The newest edits, oldest first."""
    names = sorted(
        edit_names(work), key=lambda name: (edit_folder(work, name) / EDIT_FILE).stat().st_mtime
    )
    asked = {name: read_asked(work, name) for name in names[-MAX_EDITS:]}
    return tuple(
        EditState(
            name=name,
            instruction=one.instruction[:MAX_LISTED_INSTRUCTION],
            base=one.base,
            finished=is_finished(work, name),
            threshold=one.threshold,
        )
        for name, one in asked.items()
    )


def without_paths(text: str, folder: Path) -> str:
    """A sentence about a capture in `folder`, for people who do not see the server's disk."""
    for place in (folder / WORK_FOLDER, folder):
        text = text.replace(f"{place}{os.sep}", "").replace(f"{place}", "The capture")
    return text
