"""The edits of an evaluation of methods, with a record of each on disk: what is there is not made
again, and what was stopped is gone on with.
"""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

from backend.editing import ImageEditor
from backend.evaluation.edits import SAME
from backend.evaluation.scenes.scene_figures import Figures
from backend.evaluation.scenes.shown import Remembered, Shown
from backend.evaluation.scenes.telling import told_of_edit
from backend.fields.config import SceneEditConfig
from backend.records import read_record
from protocol import files

from .frames import EditedFrames
from .rows import ROWS
from .subject import Subject

SECONDS, STEPS, EDITS = "seconds", "steps", "edits of views"


@dataclass(frozen=True)
class Plan:
    """What all edits of an evaluation share.

    Attributes:
        folder: with the records.
        subject: the scene.
        editor: that methods edit with.
        text_to_image: that those edit with that need one, or None.
        config: all numbers of ours, guidance as it was asked for.
    """

    folder: Path
    subject: Subject
    editor: ImageEditor
    text_to_image: ImageEditor | None
    config: SceneEditConfig

    def record(self, name: str, repeat: int) -> Figures | None:
        """The figures of a method's edit; None where it is to be made.

        Raises:
            DamagedRecord: its file cannot be understood.
        """
        try:
            return read_record(self._path(name, repeat), dict[str, float])
        except FileNotFoundError:
            return None

    def make(self, name: str, repeat: int) -> Figures:
        """Edit by a method, or go on with that, and measure and keep it. Seconds are those of the
        edit alone; there are none where it was stopped in between.

        Raises:
            BadInput: there can be no such edit.
            CheckpointError, FloatingPointError, OSError: as `Scene.edit`.
        """
        if ROWS[name].frames:
            frames = self._frames(name, repeat)
            figures = self.subject.figures(Remembered(frames))
            figures |= {EDITS: frames.count, STEPS: 0}
            seconds = frames.seconds
        else:
            scene, one = self.subject.scene, _edit_name(name, repeat)
            begun, began = scene.keeps(one), time.monotonic()
            edit = scene.edit(
                self.subject.instruction,
                self.editor_of(name),
                config=self.config_of(name, repeat),
                name=one,
                on_progress=told_of_edit(),
                masks=self.subject.masks if "masks" in ROWS[name].needs else None,
            )
            seconds = None if begun else time.monotonic() - began
            figures = self.subject.figures(Remembered(edit)) | self.subject.figures_of_views(edit)
            figures |= {EDITS: len(edit.views), STEPS: int(edit.checkpoint()[0]["step"])}
        if seconds is not None:
            figures[SECONDS] = seconds
        # of no change at all
        figures = {what: round(min(value, SAME), 5) for what, value in figures.items()} | {
            what: figures[what] for what in (SECONDS, STEPS, EDITS) if what in figures
        }
        files.make_folder(self._path(name, repeat).parent)
        files.write_json(self._path(name, repeat), dict(figures))
        return figures

    def shown(self, name: str, repeat: int) -> Shown:
        """An edit that was made."""
        if ROWS[name].frames:
            return self._frames(name, repeat)
        return self.subject.scene.edited(_edit_name(name, repeat))

    def editor_of(self, name: str) -> ImageEditor:
        """What a method edits with."""
        if "text-to-image" not in ROWS[name].needs:
            return self.editor
        assert self.text_to_image is not None
        return self.text_to_image

    def config_of(self, name: str, repeat: int) -> SceneEditConfig:
        """The numbers of an edit: all of its randomness is drawn anew for each repeat, and the same
        for all methods.
        """
        config = dataclasses.replace(self.config, **ROWS[name].changes)
        shift = repeat * len(config.relevance_seeds)
        return dataclasses.replace(
            config,
            seed=config.seed + repeat,
            relevance_seeds=tuple(seed + shift for seed in config.relevance_seeds),
        ).resolved(self.editor_of(name).card.guidance.settings)

    def _frames(self, name: str, repeat: int) -> EditedFrames:
        return EditedFrames(
            self.subject.unedited,
            self.editor_of(name),
            self.subject.instruction,
            self.config_of(name, repeat),
            self.folder / name / f"{repeat}-frames",
        )

    def _path(self, name: str, repeat: int) -> Path:
        return self.folder / name / f"{repeat}.json"


def _edit_name(name: str, repeat: int) -> str:
    return f"{name}-{repeat}"
