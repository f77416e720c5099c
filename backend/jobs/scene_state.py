"""What has become of a capture: its radiance field, its edits, and undoing one of these."""

import logging
import os
from functools import lru_cache
from pathlib import Path

from backend.captures.store import NO_CAPTURE, CaptureStore, UnknownCapture, out_of_room
from backend.errors import BadInput
from backend.fields import checkpoint, radiance_training
from backend.scenes.edit import EDIT_FILE
from backend.scenes.scene import WORK_FOLDER, Scene
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
        scene = _open(captures.folder(capture)) if state.sealed else None
        undone = message.edit if isinstance(message, UndoSceneEdit) else None
        if scene is not None and undone is not None and scene.keeps(undone):
            with alone(scene.capture.folder):
                scene.undo(undone)
        return SceneState(
            capture=capture,
            views=state.views,
            sealed=state.sealed,
            field=None if scene is None else _field(scene),
            edits=() if scene is None else _edits(scene),
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
def _open(folder: Path) -> Scene:
    """A sealed capture, whose checks need not be made again for every question: of the scene only
    its work folder is looked at.
    """
    return Scene.open(folder, device="cpu", axes="opengl")


def _field(scene: Scene) -> FieldState | None:
    facts = checkpoint.load_facts(scene.work, radiance_training.NAME)
    if facts is None:
        return None
    return FieldState(
        steps=facts["step"],
        iterations=facts["iterations"],
        finished=facts["finished"],
        held_out_psnr=facts["scores"][-1][1] if facts["scores"] else None,
    )


def _edits(scene: Scene) -> tuple[EditState, ...]:
    """The newest edits, oldest first."""
    edits = [scene.edited(name) for name in scene.edits()]
    edits.sort(key=lambda edit: (edit.folder / EDIT_FILE).stat().st_mtime)
    return tuple(
        EditState(
            name=edit.name,
            instruction=edit.instruction[:MAX_LISTED_INSTRUCTION],
            base=edit.base,
            finished=edit.finished,
            threshold=edit.asked.threshold,
        )
        for edit in edits[-MAX_EDITS:]
    )


def without_paths(text: str, folder: Path) -> str:
    """A sentence about a capture in `folder`, for people who do not see the server's disk."""
    for place in (folder / WORK_FOLDER, folder):
        text = text.replace(f"{place}{os.sep}", "").replace(f"{place}", "The capture")
    return text
