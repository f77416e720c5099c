"""The options of the evaluations and benches. Importing them loads no model's libraries."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from tyro.conf import Positional, UseAppendAction, arg

from backend.captures.conventions.axes import Axes
from backend.errors import BadInput
from protocol.settings import (
    EditSettings,
    GuidanceSettings,
    MapSettings,
    SceneRegionSettings,
    SceneWorkSettings,
    TextureSettings,
)
from protocol.values import Detail, EditPreset, Normalisation

Executor = Literal["processes", "ray"]
Seeds = Literal["test", "validation"]
Way = Literal["plain", "guided", "paper", "true"]
Preset = Literal["preview", "full"]
SceneEditor = Literal["model", "truth"]
TrueWay = Literal["field", "surfaces", "masks", "everything", "recurrent"]
TrueKind = Literal["recolour", "replace", "put on top", "remove"]
CapturePreset = Literal["preview", "medium", "full"]
TextureWay = Literal["cells", "edges", "things", "things-sharp", "things-fast"]
RegionWay = Literal["today", "edges", "things", "edges-sharp", "things-sharp", "things-fast"]
SpeedWay = Literal["steps", "solver", "interval", "deep", "together", "seeds", "compile"]
REGION_WAYS: tuple[RegionWay, ...] = get_args(RegionWay)
WAYS: tuple[Way, ...] = ("plain", "guided", "paper", "true")


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What every evaluation has."""

    out: Annotated[Path, arg(metavar="DIR")]
    """where the results go"""
    model: str = "demo"
    """hub id, folder or demo"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps"""
    dtype: str = "auto"
    """auto, float32, float16, bfloat16"""
    seeds: Seeds = "test"
    """which scenes: test for figures that are published, validation to choose by"""


@dataclass(frozen=True, kw_only=True)
class RelevanceOptions(EvaluationOptions):
    """Of maps and edits."""

    samples: int = 300
    """maps"""
    edits: int = 60
    """edits, of these"""
    kinds: Annotated[
        tuple[str, ...] | None, arg(metavar="KIND [KIND ...]", help_behavior_hint="(default: all)")
    ] = None
    """kinds of edit, such as recolour"""
    captured: bool = False
    """the scenes as the views of a capture show them"""
    guidance: GuidanceSettings = GuidanceSettings()
    ways: tuple[Way, ...] = WAYS
    """of editing: each takes its time, guided is always measured"""
    renders: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: none)")] = (
        None
    )
    """measure selection on these pictures by Blender, too (see backend.evaluation.renders)"""
    calibrate: bool = False
    """write the prompt check's limit into the model's folder; validation scenes only"""


@dataclass(frozen=True, kw_only=True)
class SampleOptions(EvaluationOptions):
    """Of evaluations whose samples are spread over processes or machines."""

    kinds: Annotated[
        tuple[str, ...] | None, arg(metavar="KIND [KIND ...]", help_behavior_hint="(default: all)")
    ] = None
    """kinds of edit, such as recolour"""
    clip: Annotated[str, arg(metavar="CLIP")] = "demo"
    """of the edits' similarities: hub id, folder or demo"""
    lpips: Annotated[
        str | None, arg(metavar="WEIGHTS", help_behavior_hint="(default: no LPIPS)")
    ] = None
    """alex, vgg, or a folder with torchvision's weights"""
    steps: int = 20
    """of an edit"""
    executor: Executor = "processes"
    """who works: processes of this machine, or a cluster by the package ray; the figures are the
    same"""
    processes: Annotated[
        int | None, arg(help_behavior_hint="(default: one for every core, or one with a GPU)")
    ] = None
    """work in so many; the figures are the same with any number"""

    def check_executor(self) -> None:
        """Raise BadInput where there is no such executor here, or an option says nothing to it."""
        if self.executor == "ray" and importlib.util.find_spec("ray") is None:
            raise BadInput(
                "--executor ray needs the package ray, which is not installed here: install it in "
                "the backend's environment (pip install ray), or leave the option out to use this "
                "machine's cores."
            )
        if self.executor == "ray" and self.processes is not None:
            raise BadInput("--processes says nothing to --executor ray: leave it out.")


@dataclass(frozen=True, kw_only=True)
class ImagesOptions(SampleOptions):
    """Of methods on single pictures."""

    samples: int = 200
    """edits at every point of every curve"""
    methods: Annotated[
        tuple[str, ...] | None,
        arg(metavar="METHOD [METHOD ...]", help_behavior_hint="(default: all)"),
    ] = None
    """what to compare, such as ours sdedit-caption: each takes its time"""
    text_to_image: Annotated[
        str | None, arg(metavar="MODEL", help_behavior_hint="(default: none)")
    ] = None
    """hub id, folder or demo: a text-to-image model, without which what needs one is left out"""
    seed: int = 0
    """of the edits' noise"""
    defaults: bool = False
    """no curves: every method at its default alone"""


@dataclass(frozen=True, kw_only=True)
class SweepOptions(SampleOptions):
    """Of what thresholds, guidances, noise levels and seeds do."""

    samples: int = 50
    """edits at every pair of a threshold and an image guidance"""
    thresholds: Annotated[tuple[float, ...], arg(metavar="T [T ...]")] = (0.0, 0.2, 0.4, 0.6, 0.8)
    """relevance to edit from; 0 edits all"""
    image_guidances: Annotated[tuple[float, ...], arg(metavar="S [S ...]")] = (
        1.0,
        1.3,
        1.6,
        1.9,
        2.2,
    )
    """how closely an edit keeps to the picture"""
    edit_seeds: Annotated[tuple[int, ...], arg(metavar="SEED [SEED ...]")] = (0,)
    """of the edits' noise: every pair is edited with each of them"""
    noise_levels: Annotated[tuple[float, ...], arg(metavar="LEVEL [LEVEL ...]")] = (
        0.1,
        0.3,
        0.5,
        0.7,
        0.8,
        0.9,
    )
    """that maps are found at"""
    noises: Annotated[tuple[int, ...], arg(metavar="N [N ...]")] = (1, 2, 4, 8)
    """how many of them a map is the mean of"""
    normalisation: Normalisation = MapSettings.normalisation
    """of every map: full, or paper for its Eq. 3"""


@dataclass(frozen=True, kw_only=True)
class SceneOptions(EvaluationOptions):
    """Of fields and 3D edits."""

    scenes: int = 2
    """how many"""
    views: int = 24
    """of a capture"""
    side: int = 128
    """pixels of a view"""
    preset: Preset = "preview"
    """of field and edit"""
    edit_preset: Annotated[
        EditPreset | None, arg(help_behavior_hint="(default: that of the field)")
    ] = None
    """of the edit alone, such as paper"""
    depth: bool = False
    """capture the true depth, too"""
    edits: int = 1
    """edits, of these scenes; 0 for fields alone"""
    clip: Annotated[str, arg(metavar="CLIP")] = "demo"
    """of the edits' similarities: hub id, folder or demo"""
    lpips: Annotated[
        str | None, arg(metavar="WEIGHTS", help_behavior_hint="(default: no LPIPS)")
    ] = None
    """alex, vgg, or a folder with torchvision's weights"""
    ablation: bool = False
    """edit without the relevance field, too"""
    editor: SceneEditor = "model"
    """truth: an editor that knows every edited view, which tells what the 3D half loses"""
    scene: Annotated[
        tuple[int, ...], arg(metavar="SEED ...", help_behavior_hint="(default: as --scenes)")
    ] = ()
    """these, by their seeds, for edits by the truth"""
    kinds: tuple[TrueKind, ...] = get_args(TrueKind)
    """of edits by the truth"""
    ways: tuple[TrueWay, ...] = ("field", "masks")
    """of editing by the truth: inside the relevance field, the same though nothing may grow, each
    view's own mask, or everywhere; or recurrently, inside the field from random levels"""
    guidance: GuidanceSettings = GuidanceSettings()
    region: SceneRegionSettings = SceneRegionSettings()
    work: SceneWorkSettings = SceneWorkSettings()

    def check_editor(self) -> None:
        """Raise BadInput where an option was given that says nothing to the editor."""
        others = {
            "truth": (
                "model",
                "dtype",
                "edits",
                "clip",
                "lpips",
                "ablation",
                "text_guidance",
                "image_guidance",
            ),
            "model": ("scene", "kinds", "ways"),
        }
        given, usual = vars(self) | vars(self.guidance), SceneOptions(out=self.out)
        for name in others[self.editor]:
            if given[name] != (vars(usual) | vars(usual.guidance))[name]:
                option = f"--{name.replace('_', '-')}"
                raise BadInput(f"{option} says nothing to --editor {self.editor}: leave it out.")


@dataclass(frozen=True, kw_only=True)
class CaptureOptions:
    """Of a capture with masks."""

    folder: Positional[Path]
    """the capture"""
    out: Annotated[Path, arg(metavar="DIR")]
    """where the results go"""
    masks: Annotated[
        UseAppendAction[tuple[Path, ...]],
        arg(metavar="DIR", help_behavior_hint="(default: none, and only the field is measured)"),
    ] = ()
    """folder with a mask of a region for every view, white where it is; again for another region"""
    preset: CapturePreset = "preview"
    """of field and edits"""
    downscale: Annotated[
        float | None, arg(metavar="N", help_behavior_hint="(default: as DIR has it, else 1)")
    ] = None
    """read images so many times smaller"""
    cells: int = 64
    """of the exact maps, along the longer side"""
    fields_only: bool = False
    """make no edits"""
    put_on_top: bool = False
    """also put a ball on top of each region, by an editor that knows the truth"""
    instruction: Annotated[str | None, arg(help_behavior_hint="(default: none)")] = None
    """also edit the capture by this instruction, with the model, and measure what it did inside and
    outside the masks; it must ask for a colour"""
    colour: Literal["red", "green", "blue"] = "red"
    """that --instruction asks for"""
    model: str = "demo"
    """of --instruction: hub id, folder or demo"""
    dtype: str = "auto"
    """of that model: auto, float32, float16, bfloat16"""
    clip: Annotated[str | None, arg(metavar="CLIP", help_behavior_hint="(default: none)")] = None
    """of similarities along an orbit: hub id, folder or demo, which knows no photos"""
    lpips: Annotated[
        str | None, arg(metavar="WEIGHTS", help_behavior_hint="(default: no LPIPS)")
    ] = None
    """beside these: alex, vgg, or a folder with torchvision's weights"""
    captions: Annotated[
        tuple[str, str] | None,
        arg(metavar="BEFORE AFTER", help_behavior_hint="(default: none)"),
    ] = None
    """what the capture shows and what that edit is to show, for the similarities with texts"""
    axes: Annotated[
        Axes | None, arg(metavar="AXES", help_behavior_hint="(default: as DIR has it, else opengl)")
    ] = None
    """the convention of the poses in transforms.json, as in scene train"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1"""

    def check(self) -> None:
        """Raise BadInput where an option is given without the one that it belongs to."""
        if self.put_on_top and not self.masks:
            raise BadInput("--put-on-top needs what the ball is to stand on: give --masks of it.")
        if self.put_on_top and self.fields_only:
            raise BadInput("--put-on-top is an edit: leave out --fields-only.")
        if self.instruction is not None and not self.masks:
            raise BadInput(
                "--instruction is measured inside and outside of masks: give them with --masks."
            )
        usual = CaptureOptions(folder=self.folder, out=self.out)
        for name in ("colour", "model", "dtype", "clip"):
            if self.instruction is None and getattr(self, name) != getattr(usual, name):
                raise BadInput(f"--{name} says nothing without --instruction: leave it out.")
        if self.captions is not None and self.clip is None:
            raise BadInput("--captions say nothing without --clip: leave them out.")
        if self.lpips is not None and self.clip is None:
            raise BadInput("--lpips says nothing without --clip: leave it out.")


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """Of a CLIP."""

    out: Annotated[Path, arg(metavar="DIR")]
    """where the results go"""
    clip: Annotated[str, arg(metavar="CLIP")] = "demo"
    """hub id, folder in the format of transformers, or demo for the own one of the demo world"""
    pictures: int = 100
    """that it has to tell apart"""
    side: int = 128
    """pixels of a picture"""
    seeds: Seeds = "test"
    """which scenes: test for figures that are published, validation to choose by"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps"""


@dataclass(frozen=True, kw_only=True)
class CaptionOptions(EvaluationOptions):
    """Of a text-to-image model."""

    pictures: int = 100
    """scenes whose captions are told apart"""
    edits: int = 60
    """of these, edits by caption; 0 for none"""
    text_guidance: float | None = None
    """of pictures that are made; by default the model's own"""


@dataclass(frozen=True, kw_only=True)
class CheckOptions(EvaluationOptions):
    """Of the prompt check."""

    scenes: int = 40
    """how many"""
    views: int = 8
    """of each"""
    side: int = 128
    """pixels of a view"""
    edits: int = 2
    """instructions for each scene"""
    calibrate: bool = False
    """write the check's limit for views into the model's folder; validation scenes only"""


@dataclass(frozen=True, kw_only=True)
class TextureOptions:
    """Of the edit of a mesh's texture."""

    folder: Positional[Path]
    """the mesh and its views, written by blender_addon/tools/export_mesh.py"""
    instruction: Positional[str]
    """such as "turn the yellow thing green\""""
    out: Annotated[Path, arg(metavar="DIR")]
    """where the results go"""
    part: Annotated[tuple[str, ...], arg(metavar="PART [PART ...]")]
    """what the instruction names: numbers of pieces, or colours such as #ffcc00"""
    tolerance: float = 0.25
    """difference of a channel, 0..1, up to which a texel has a colour of the part"""
    steps: int = TextureSettings.steps
    """of each view's edit"""
    rounds: int = TextureSettings.rounds
    """how often each view is edited at most"""
    ways: tuple[TextureWay, ...] = get_args(TextureWay)
    """what to compare: each takes its time; "cells" is as it was before regions were snapped"""
    model: str = "demo"
    """hub id, folder or demo"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps"""
    dtype: str = "auto"
    """auto, float32, float16, bfloat16"""


@dataclass(frozen=True, kw_only=True)
class RadianceOptions:
    """Of a training step's time."""

    out: Annotated[Path, arg(metavar="DIR")]
    """where the report goes"""
    rays: int = 4096
    """in a step"""
    rounds: int = 3
    """timed steps of each"""
    device: str = "cpu"
    """cpu, cuda, cuda:1"""


@dataclass(frozen=True, kw_only=True)
class BenchCaptureOptions:
    """Of fields of a capture after equal minutes."""

    folder: Positional[Path]
    """the capture"""
    out: Annotated[Path, arg(metavar="DIR")]
    """where the report goes"""
    minutes: float = 5.0
    """of training, for each"""
    preset: CapturePreset = "preview"
    """of this program's field"""
    downscale: float = 1.0
    """read images so many times smaller"""
    axes: Annotated[Axes | None, arg(metavar="AXES", help_behavior_hint="(default: opengl)")] = None
    """the convention of the poses in transforms.json, as in scene train"""


@dataclass(frozen=True, kw_only=True)
class DetailOptions(EvaluationOptions):
    """Of what an edit's detail gives and takes."""

    samples: int = 12
    """edits of each"""
    size: int = 512
    """pixels of a picture's side"""
    share: tuple[float, float] = (0.06, 0.15)
    """of the picture that the region fills, from and to"""
    apart: bool = False
    """two things that lie apart instead, edited in parts of their own and in one part for both"""
    steps: int = 20
    """of an edit"""
    details: tuple[Detail, ...] = ("whole", "sharp", "fast")
    """the first is what the others are compared with"""
    rims: Annotated[
        tuple[float, ...] | None,
        arg(metavar="PIXELS [PIXELS ...]", help_behavior_hint="(default: none)"),
    ] = None
    """soft edges of so many pixels, too"""


@dataclass(frozen=True, kw_only=True)
class PairedOptions(EvaluationOptions):
    """Of what is timed beside other programs on the same networks."""

    full_size: bool = False
    """in place of --model, random weights at Stable Diffusion 1.5's size, which need no network"""
    size: Annotated[int | None, arg(help_behavior_hint="(default: the model's own)")] = None
    """pixels of the picture's side"""
    rounds: int = 5
    """timed runs of each"""


@dataclass(frozen=True, kw_only=True)
class EditBenchOptions(PairedOptions):
    """Of an edit's time."""

    steps: int = 20
    """of an edit"""


@dataclass(frozen=True, kw_only=True)
class SpeedOptions(EvaluationOptions):
    """Of what makes edits faster."""

    samples: int = 40
    """edits in every way"""
    steps: int = 20
    """of an edit as it is"""
    ways: tuple[SpeedWay, ...] = ("steps", "solver", "interval", "deep", "together", "seeds")
    """what to compare with that: each takes its time; compile, which takes a compiler, many minutes
    at first"""


@dataclass(frozen=True, kw_only=True)
class GpuOptions:
    """Of what a GPU is tried with."""

    out: Annotated[Path, arg(metavar="DIR")]
    """where the report goes; a new folder"""
    device: str = "auto"
    """auto, cuda, cuda:1, mps, or cpu to try the bench itself"""
    seconds: float = 270.0
    """after so many nothing more is begun"""
    small: bool = False
    """all of it small, to try the bench itself"""


@dataclass(frozen=True, kw_only=True)
class GridOptions:
    """Of a grid of edits."""

    image: Positional[Path]
    """the picture"""
    instruction: Positional[str]
    """such as "turn the bear into a panda\""""
    out: Annotated[Path, arg(metavar="DIR")]
    """where the results go; a new folder"""
    thresholds: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8)
    """relevance to edit from, a row for each; 0 edits all"""
    image_guidances: tuple[float, ...] = (1.0, 1.3, 1.6, 1.9, 2.2)
    """how closely an edit keeps to the picture, a column for each"""
    text_guidance: Annotated[float | None, arg(help_behavior_hint="(default: the model's own)")] = (
        GuidanceSettings.text_guidance
    )
    """how strongly an edit follows the instruction"""
    steps: int = 20
    """of an edit"""
    seed: int = EditSettings.seed
    """of every edit's noise"""
    detail: Detail = "whole"
    """what the model is shown of the picture, and how large"""
    model: str = "auto"
    """hub id, folder, demo or auto"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps"""
    dtype: str = "auto"
    """auto, float32, float16, bfloat16"""


@dataclass(frozen=True, kw_only=True)
class RegionOptions(EvaluationOptions):
    """Of snapped regions and the edits in them."""

    samples: int = 100
    """regions"""
    edits: int = 30
    """edits in every way, of these"""
    size: int = 512
    """pixels of a picture's side"""
    kinds: Annotated[
        tuple[str, ...] | None, arg(metavar="KIND [KIND ...]", help_behavior_hint="(default: all)")
    ] = None
    """kinds of edit, such as recolour"""
    guidance: GuidanceSettings = GuidanceSettings()
    ways: tuple[RegionWay, ...] = REGION_WAYS
    """of editing: what the region keeps to, and of which part of the picture; today is always
    measured"""
