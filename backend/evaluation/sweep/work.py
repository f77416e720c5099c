"""What `evaluate sweep` makes of a sample: edits of one map at pairs of a threshold and an image
guidance, and maps at noise levels and of several noises.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from backend.editing import Editor, RelevanceMap
from backend.editing.methods.method import Edited
from backend.evaluation import metrics
from backend.evaluation.maps import map_figures
from backend.evaluation.samples import at_cells
from backend.evaluation.spread.edit_record import EditRecord, measured_edit
from backend.evaluation.spread.records import Made
from backend.evaluation.spread.work import SHOWN, Names, Task, Tools
from backend.world.pool import Sample
from protocol.settings import EditSettings, PictureMapSettings, RegionSettings
from protocol.values import Normalisation


@dataclass(frozen=True)
class Pair:
    """An edit's settings."""

    threshold: float
    image_guidance: float
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"edit-{self.threshold:g}-{self.image_guidance:g}-{self.seed}"


@dataclass(frozen=True)
class MapAt:
    """A map's settings: the noise level, and how many noises it is the mean of."""

    level: float
    noises: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"map-{self.level:g}-{self.noises}"


@dataclass(frozen=True)
class MapRecord:
    """`map_figures` of one map, by their names; none where the true mask has no cell, or all."""

    figures: dict[str, float]


@dataclass(frozen=True)
class SweepWork:
    """See `Work`.

    Attributes:
        names: what is loaded.
        steps: of every edit.
        normalisation: of every map.
    """

    names: Names
    steps: int
    normalisation: Normalisation

    def do(self, tools: Tools, task: Task) -> Iterator[Made]:
        """Edits, all from one map, and maps, of which those of one noise are kept as pictures."""
        editor, sample = tools.maps, task.sample
        editor.set_image(sample.image)
        palette = metrics.palette_of_sample(sample)
        for point in task.points:
            if isinstance(point, MapAt):
                found = self._map(editor, sample, point)
                shown = task.number < SHOWN and point.noises == 1
                picture = np.rint(found.values * 255).astype(np.uint8) if shown else None
                yield Made(task.number, point, map_record(found, sample), picture)
            else:
                settings = PictureMapSettings(normalisation=self.normalisation, closer=False)
                own = editor.relevance(sample.edit.instruction, settings=settings)
                yield Made(task.number, point, self._edit(tools, sample, palette, own, point))

    def _map(self, editor: Editor, sample: Sample, point: MapAt) -> RelevanceMap:
        settings = PictureMapSettings(
            noise_level=point.level,
            relevance_seeds=tuple(range(point.noises)),
            normalisation=self.normalisation,
            closer=False,
        )
        return editor.relevance(sample.edit.instruction, settings=settings)

    def _edit(
        self,
        tools: Tools,
        sample: Sample,
        palette: metrics.Palette | None,
        relevance: RelevanceMap,
        pair: Pair,
    ) -> EditRecord:
        settings = EditSettings(
            steps=self.steps, seed=pair.seed, image_guidance=pair.image_guidance, detail="whole"
        )

        def edit() -> Edited:
            made = tools.maps.edit(
                sample.edit.instruction,
                threshold=pair.threshold,
                relevance=relevance,
                settings=settings,
                region=RegionSettings(snap="nothing"),
            )
            return Edited(made.image, made.mask)

        return measured_edit(sample, palette, tools, edit)[0]


def map_record(found: RelevanceMap, sample: Sample) -> MapRecord:
    """A map against the sample's true mask, in latent cells."""
    rows, columns = found.values.shape
    truth = at_cells(sample.mask, (rows, columns)) > 0.5
    return MapRecord(map_figures(found.values, truth) if 0 < truth.sum() < truth.size else {})
