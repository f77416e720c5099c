"""Relevance maps of views that are found when their turn to be edited first comes, as in the paper.

A map is of the view as it was before the edit, and normalised by itself: wherever a view's map is
highest it is 1, also where the view does not show the target.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.editing import ImageEditor
from backend.fields.relevance_field import RelevanceTraining, scene_maps
from backend.output.progress import OnProgress
from backend.scenes.view_maps import map_file, read_map, write_map
from protocol import files
from protocol.settings import MapSettings


class DrawnMaps:
    """What a relevance field is fitted to while the scene is edited."""

    def __init__(
        self,
        editor: ImageEditor,
        instruction: str,
        images: Sequence[NDArray[np.uint8]],
        settings: MapSettings,
        folder: Path,
        fitting: RelevanceTraining,
    ) -> None:
        """Args:
        editor, instruction, settings: what maps are found by.
        images: uint8 (H, W, 3), the views as they were before the edit, over black.
        folder: where maps are kept.
        fitting: of the relevance field, to which no map is known yet.
        """
        self._editor, self._instruction, self._images = editor, instruction, images
        self._settings, self._folder, self._fitting = settings, folder, fitting
        self._known: set[int] = set()

    def learn(self, views: Sequence[int], on_stage: OnProgress) -> None:
        """Lets the field be fitted to these views, too. The maps that are not kept yet are found,
        each alone, so that it is the same whichever views are drawn with it.

        Raises:
            CheckpointError: a map that was kept is damaged.
            FloatingPointError: the networks overflowed.
            OSError: a map cannot be written.
        """
        for view in views:
            if view not in self._known:
                values = self._map(view, on_stage)
                self._fitting.learn(view, values)
                self._known.add(view)

    def _map(self, view: int, on_stage: OnProgress) -> NDArray[np.float32]:
        """The map of a view at its size, float32 (H, W) in 0..1."""
        path, image = map_file(self._folder, view), self._images[view]
        if not path.exists():

            def tell(draw: int, draws: int) -> None:
                on_stage("Relevance of a view", (draw + 1) / draws)

            files.make_folder(self._folder)
            for _, found in self._editor.relevance_of_images(
                self._instruction, [image], self._settings, on_draw=tell
            ):
                write_map(path, found)
        height, width = image.shape[:2]
        return scene_maps([read_map(path)], [(height, width)], self._settings.normalisation)[0]
