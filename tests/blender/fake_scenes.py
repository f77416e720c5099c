"""What the scripted server keeps of captures, and what it makes of them: a square that lies in the
scene's coordinates, half a metre above the ground, with the first view as its texture.
"""

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

CORNERS = np.array([[-1, -1, 0.5], [1, -1, 0.5], [1, 1, 0.5], [-1, 1, 0.5]], np.float64)
FACES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


@dataclass
class FakeCapture:
    """A capture with its views by index, and the edits by name, oldest first."""

    count: int
    views: dict[int, Any] = field(default_factory=dict)
    sealed: bool = False
    trained: bool = False
    edits: dict[str, Any] = field(default_factory=dict)


class FakeScenes:
    """All captures by id."""

    def __init__(self, messages: ModuleType, requests: ModuleType) -> None:
        self.messages, self.requests = messages, requests
        self.captures: dict[str, FakeCapture] = {}
        self.put: list[int] = []
        """Indices of the views in the order in which they came."""
        self.refusal: tuple[str, str] | None = None
        """Code and sentence that answer the next message about a capture."""
        self.notes: tuple[str, ...] = ()
        """On every sealed capture."""

    def answer(self, message: Any) -> Any:
        """The state after a message about a capture, or an error."""
        m, capture = self.messages, message.capture
        if self.refusal is not None:
            (code, text), self.refusal = self.refusal, None
            return m.Error(code=code, message=text, job=capture)
        if isinstance(message, m.OpenCapture):
            self.captures.setdefault(capture, FakeCapture(message.views))
        if capture not in self.captures:
            return m.Error(code="unknown_capture", message="send it anew", job=capture)
        kept = self.captures[capture]
        if isinstance(message, m.PutView):
            kept.views[message.index] = message
            self.put.append(message.index)
        elif isinstance(message, m.SealCapture):
            kept.sealed = len(kept.views) == kept.count
        elif isinstance(message, m.DropCapture):
            del self.captures[capture]
            return m.CaptureState(capture=capture, views=0, missing=(), sealed=False)
        elif isinstance(message, m.UndoSceneEdit):
            kept.edits.pop(message.edit, None)
        if isinstance(message, m.SceneMessage):
            return self._scene(capture)
        missing = tuple(index for index in range(kept.count) if index not in kept.views)
        return m.CaptureState(
            capture=capture,
            views=kept.count,
            missing=missing,
            sealed=kept.sealed,
            notes=self.notes if kept.sealed else (),
        )

    def _scene(self, capture: str) -> Any:
        m, kept = self.messages, self.captures[capture]
        done = m.FieldState(steps=400, iterations=400, finished=True, held_out_psnr=27.5)
        edits = tuple(
            m.EditState(
                name=name,
                instruction=request.instruction,
                base=request.base,
                finished=True,
                threshold=request.threshold,
            )
            for name, request in kept.edits.items()
        )
        return m.SceneState(
            capture=capture,
            views=kept.count,
            sealed=kept.sealed,
            field=done if kept.trained else None,
            edits=edits,
            jobs=(),
        )

    def result(self, request: Any) -> Any:
        """What a job on a capture returns."""
        r, kept = self.requests, self.captures[request.capture]
        first = kept.views[0].image
        if isinstance(request, r.TrainSceneRequest):
            kept.trained = True
            return r.TrainSceneResult(steps=400, held_out_psnr=27.5, seconds=1.0, preview=first)
        if isinstance(request, r.EditSceneRequest):
            kept.edits[request.name] = request
            gray = first[..., 0].astype(np.float32) / 255
            pictures = tuple(
                r.ScenePicture(
                    view=view.name, before=view.image, after=255 - view.image, relevance=gray
                )
                for view in (kept.views[0], kept.views[1])
            )
            return r.EditSceneResult(
                name=request.name,
                threshold=request.threshold,
                applies=True,
                edited_views=10,
                pictures=pictures,
                edited_share=0.2,
                change_inside=0.3,
                change_outside=0.01,
            )
        if isinstance(request, r.SceneRenderRequest):
            shape = (len(request.intrinsics), request.height, request.width, 3)
            frames = np.zeros(shape, np.uint8)
            frames += np.arange(shape[0], dtype=np.uint8)[:, None, None, None] + 1
            frames[:, 0, 0] = 250  # the picture's first row
            return r.SceneRenderResult(frames=frames)
        uvs = (CORNERS[FACES][..., :2] + 1) / 2
        edited = request.edit is not None
        return r.SceneMeshResult(
            vertices=CORNERS,
            faces=FACES,
            uvs=uvs.astype(np.float32),
            texture=first,
            edited_texture=255 - first if edited else None,
            relevance_texture=first[..., 1].astype(np.float32) / 255 if edited else None,
            threshold=0.5 if edited else None,
        )
