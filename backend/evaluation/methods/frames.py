"""A scene that is edited frame by frame: what cameras see of it, each picture by itself."""

import hashlib
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.editing import ImageEditor
from backend.evaluation.scenes.shown import Shown
from backend.fields.config import SceneEditConfig
from backend.scenes.camera import Camera, View
from protocol import files
from protocol.settings import EditSettings, taken


class EditedFrames:
    """What an editor makes of every frame, everywhere in it and from the highest noise level; all
    from one seed, which keeps them as alike as single edits can be. Satisfies `Shown`.

    Attributes:
        count: frames so far.
        seconds: that their edits took; None where some were made before.
    """

    def __init__(
        self,
        unedited: Shown,
        editor: ImageEditor,
        instruction: str,
        config: SceneEditConfig,
        folder: Path,
    ) -> None:
        """Args:
        unedited: the scene.
        editor: the model.
        instruction: such as "turn the bear into a panda".
        config: its guidance, steps and seed.
        folder: where every frame is kept, and found again.
        """
        self._unedited, self._editor, self._instruction = unedited, editor, instruction
        self._config, self._folder = config, folder
        self.count = 0
        self.seconds: float | None = 0.0

    def render(self, camera: Camera) -> View:
        """See `Shown`."""
        seen = self._unedited.render(camera)
        picture = seen.image
        path = self._folder / f"{hashlib.sha256(picture.tobytes()).hexdigest()[:32]}.png"
        self.count += 1
        if path.exists():
            self.seconds = None
            with Image.open(path) as image:
                edited = np.asarray(image)
        else:
            edited = self._edited(picture, path)
        return View(
            (edited / np.float32(255)).astype(np.float32), seen.depth, None, seen.accumulation
        )

    def _edited(self, picture: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
        began = time.monotonic()
        (edited,) = self._editor.edit_images(
            self._instruction,
            images=[picture],
            masks=[np.ones(picture.shape[:2], np.bool_)],
            starts=[picture],
            strengths=[1.0],
            seeds=[self._config.seed],
            settings=taken(EditSettings, self._config),
        )
        if self.seconds is not None:
            self.seconds += time.monotonic() - began
        content = BytesIO()
        Image.fromarray(edited).save(content, "PNG")
        files.make_folder(self._folder)
        files.write_bytes(path, content.getvalue())
        return edited
