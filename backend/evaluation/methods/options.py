"""The options of the evaluation of methods on scenes. Importing them loads no model's libraries."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from backend.captures.conventions.axes import Axes
from backend.errors import BadInput
from backend.evaluation.options import CapturePreset, EvaluationOptions, SceneEditor
from protocol.values import EditPreset

OF_CAPTURES = ("instruction", "colour", "captions", "downscale", "axes")
OF_WORLD = ("seeds", "scene", "views", "side")


@dataclass(frozen=True, kw_only=True)
class MethodsOptions(EvaluationOptions):
    """Of methods on one scene."""

    folder: Positional[Path | None] = None
    """a capture; without one, a scene of the demo world"""
    methods: Annotated[
        tuple[str, ...] | None,
        arg(metavar="METHOD [METHOD ...]", help_behavior_hint="(default: all)"),
    ] = None
    """what to compare, such as ours per-frame: each takes its time"""
    repeats: int = 3
    """edits by every method, from other seeds each"""
    text_to_image: Annotated[
        str | None, arg(metavar="MODEL", help_behavior_hint="(default: none)")
    ] = None
    """hub id, folder or demo: a text-to-image model, without which what needs one is left out"""
    editor: SceneEditor = "model"
    """truth: an editor that knows every edited view, for the methods that can use one"""
    masks: Annotated[
        Path | None, arg(metavar="DIR", help_behavior_hint="(default: none; the world's own)")
    ] = None
    """folder with a mask for every view, which some methods edit inside, and captures need"""
    preset: CapturePreset = "preview"
    """of field and edits"""
    edit_preset: Annotated[
        EditPreset | None, arg(help_behavior_hint="(default: that of the field)")
    ] = None
    """of the edits alone, such as paper"""
    clip: Annotated[
        str | None, arg(metavar="CLIP", help_behavior_hint="(default: demo; none of a capture)")
    ] = None
    """of similarities: hub id, folder or demo, which knows no photos"""
    lpips: Annotated[
        str | None, arg(metavar="WEIGHTS", help_behavior_hint="(default: no LPIPS)")
    ] = None
    """beside these: alex, vgg, or a folder with torchvision's weights"""
    scene: Annotated[
        int | None, arg(metavar="SEED", help_behavior_hint="(default: the first that is usable)")
    ] = None
    """of the demo world, by its seed"""
    views: int = 24
    """of the world's scene"""
    side: int = 128
    """pixels of one of these"""
    instruction: Annotated[str | None, arg(help_behavior_hint="(default: none)")] = None
    """for a capture"""
    colour: Annotated[
        Literal["red", "green", "blue"] | None, arg(help_behavior_hint="(default: none)")
    ] = None
    """that it asks for; with the truth, that the masks are painted"""
    captions: Annotated[
        tuple[str, str] | None,
        arg(metavar="BEFORE AFTER", help_behavior_hint="(default: none)"),
    ] = None
    """what a capture shows and what it is to show"""
    downscale: Annotated[
        float | None, arg(metavar="N", help_behavior_hint="(default: as DIR has it, else 1)")
    ] = None
    """read a capture's images so many times smaller"""
    axes: Annotated[
        Axes | None, arg(metavar="AXES", help_behavior_hint="(default: as DIR has it, else opengl)")
    ] = None
    """the convention of the poses in its transforms.json, as in scene train"""

    def check_scene(self) -> None:
        """Raise BadInput where an option says nothing to the scene, or is missing."""
        usual = MethodsOptions(out=self.out)
        others = OF_CAPTURES if self.folder is None else OF_WORLD
        for name in others:
            if getattr(self, name) != getattr(usual, name):
                whose = "a scene of the demo world" if self.folder is None else "a capture"
                raise BadInput(f"--{name} says nothing to {whose}: leave it out.")
        if self.folder is not None and self.masks is None:
            raise BadInput("A capture is measured inside and outside of masks: give --masks.")
        if self.folder is not None and (self.instruction is None) == (self.editor == "model"):
            raise BadInput(
                "A capture needs an --instruction for the model."
                if self.instruction is None
                else "--instruction says nothing to --editor truth, which paints the masks: leave "
                "it out, and name a --colour."
            )
        if self.folder is not None and self.lpips is not None and self.clip is None:
            raise BadInput("--lpips says nothing of a capture without --clip: leave it out.")
        if self.masks is not None and not self.masks.is_dir():
            raise BadInput(f"There is no folder {self.masks}: see --masks.")
