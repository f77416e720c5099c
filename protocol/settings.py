"""The settings that travel together. Their defaults, ranges, names and help are written here and
nowhere else: messages carry these objects, the backend's functions take them, and the command line
and the add-on's properties are made from them.

The metadata of a field is msgspec's `Meta`: its range, its name for people (`title`), what it means
(`description`), and in `extra` what only one of the front ends wants:

- `none`: what None stands for, in words
- `suggested`: what a slider shows where None stands for a number that is decided later
- `soft_max`, `step`: how a slider moves
- `words`: of each choice, what it means; `names`: what it is called, where its own name will not do
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar

from msgspec import Meta

from .values import (
    MAX_IMAGE_SIDE,
    Detail,
    Normalisation,
    Preset,
    SceneMethod,
    Seed,
    Snap,
    Solver,
)

TEXT_GUIDANCE, IMAGE_GUIDANCE = 7.5, 1.5

Threshold = Annotated[
    float,
    Meta(
        ge=0.0,
        le=1.0,
        title="Threshold",
        description="Relevance from which a pixel is edited. Lower edits more of the picture, 0 "
        "all of it",
        extra={"suggested": 0.5},
    ),
]
SceneThreshold = Annotated[
    float,
    Meta(
        gt=0.0,
        le=1.0,
        title="Threshold",
        description="Relevance from which the scene is edited, on a scale that is calibrated to "
        "the scene: at 0.5 the region's outline follows the scene's edges best. Lower edits more",
        extra={"suggested": 0.5},
    ),
]
Steps = Annotated[
    int,
    Meta(
        ge=1,
        le=1000,
        title="Steps",
        description="Denoising steps: 100 as in the paper, 20 are good for a first look",
        extra={"soft_max": 200},
    ),
]
StepsOfView = Annotated[
    int,
    Meta(
        ge=1,
        le=1000,
        title="Steps",
        description="Denoising steps of each view's edit",
        extra={"soft_max": 100},
    ),
]
AsInPaper = Annotated[
    bool,
    Meta(
        title="As in the Paper",
        description="Edit wholly as in the paper, whatever the preset: 4,000 steps with an edit "
        "every ten, the relevance field fitted meanwhile to maps that are found when a view is "
        "first drawn, each normalised by itself, and edited where it is rendered above the "
        "threshold, whole views at a time. Otherwise by the preset: maps of all views first, "
        "normalised together, a calibrated threshold, and a region that keeps to what is there",
    ),
]
MethodOfScene = Annotated[
    SceneMethod,
    Meta(
        title="Method",
        description="How the scene comes to show the edit, inside the same region",
        extra={
            "names": {
                "dataset_update": "Edited Views",
                "consistent_views": "Consistent Views",
                "score_distillation": "Score Distillation",
            },
            "words": {
                "dataset_update": "Views are edited one by one while the scene learns them: the "
                "paper's own way, which shows what the model can do at its best",
                "consistent_views": "Every view is edited once, and all are brought together over "
                "the scene's surfaces before it learns them: for edits that differ from view to "
                "view",
                "score_distillation": "No view is edited: in every step the scene follows what the "
                "model would change in a picture of it. The most even colours, and the longest "
                "time",
            },
        },
    ),
]
Iterations = Annotated[
    int,
    Meta(
        ge=1,
        le=1_000_000,
        title="Iterations",
        description="Training steps at most",
        extra={"none": "as many as the preset has"},
    ),
]
TextureSize = Annotated[
    int,
    Meta(
        ge=16,
        le=MAX_IMAGE_SIDE,
        title="Texture",
        description="Pixels of a side of the mesh's textures",
    ),
]
DetailOfWork = Annotated[
    Detail,
    Meta(
        title="Detail",
        description="What the model is shown of the picture, and how large",
        extra={
            "words": {
                "sharp": "A part around the region, at the size that the model was trained at: "
                "more detail in the same time. The whole picture where that shows no more",
                "fast": "A part around the region, as large as it is in the whole picture: the "
                "same detail in less time",
                "tiles": "A part around the region with all its pixels, in overlapping tiles "
                "of the size that the model was trained at: the most detail, and the longest",
                "whole": "The whole picture, scaled down to the size that the model was trained at",
            }
        },
    ),
]
SnapOfRegion = Annotated[
    Snap,
    Meta(
        title="Snap",
        description="What the outline of the region keeps to",
        extra={
            "words": {
                "things": "Whole things, where they are known and explain the map; else edges",
                "edges": "The edges in the picture near the map's own outline",
                "nothing": "The map as it is, with its coarse cells",
            }
        },
    ),
]
Rim = Annotated[
    float,
    Meta(
        ge=0.0,
        le=256.0,
        title="Rim",
        description="Pixels over which the region's edge is soft",
        extra={"soft_max": 32.0, "step": 10},
    ),
]
Grow = Annotated[
    int,
    Meta(
        ge=-256,
        le=256,
        title="Grow",
        description="Pixels by which the mask reaches further than the map says; less than 0 "
        "shrinks it. What is painted by hand stays as it is",
        extra={"soft_max": 32},
    ),
]
UseOfField = Annotated[
    bool,
    Meta(
        title="Relevance Field",
        description="Whether a relevance field says where each view is edited, as in the "
        "paper; without it each view's own map does (the paper's ablation)",
        extra={"words": {"field": "A relevance field does", "off": "Each view's own map does"}},
    ),
]
Fixed = Annotated[
    Seed,
    Meta(
        title="Seed",
        description="Another seed gives another result, the same seed the same one again",
    ),
]


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """How a relevance map is made."""

    noise_level: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            title="Noise Level",
            description="How far pictures are noised for the map; 0.8 as in the paper",
        ),
    ] = 0.8
    relevance_seeds: Annotated[
        tuple[Seed, ...],
        Meta(
            min_length=1,
            max_length=64,
            title="Relevance Seeds",
            description="Noises to average over: more is steadier; the prompt check needs two",
            extra={"soft_max": 16},
        ),
    ] = (0, 1, 2, 3)
    normalisation: Annotated[
        Normalisation,
        Meta(
            title="Normalisation",
            description="How what the model finds becomes a map from 0 to 1",
            extra={
                "words": {
                    "full": "From the lowest to the highest difference that the model found: "
                    "regions of any size stand out",
                    "paper": "As published: outliers are clamped first. A region far below a "
                    "quarter of the picture is one, and its mask comes out too large",
                }
            },
        ),
    ] = "full"


@dataclass(frozen=True, kw_only=True)
class RegionSettings:
    """How a relevance map becomes the region that is edited."""

    snap: SnapOfRegion = "things"


@dataclass(frozen=True, kw_only=True)
class SceneRegionSettings:
    """The same of a scene's edit, whose preset says what is not said here."""

    snap: Annotated[SnapOfRegion, Meta(extra={"none": "things; nothing with paper"})] | None = None


@dataclass(frozen=True, kw_only=True)
class PictureMapSettings(MapSettings):
    """The same, of a single picture."""

    closer: Annotated[
        bool,
        Meta(
            title="Look Closer",
            description="Whether a part around the region is looked at a second time, larger",
            extra={"words": {"on": "It is, where it can be", "off": "The map is found once"}},
        ),
    ] = True


@dataclass(frozen=True, kw_only=True)
class GuidanceSettings:
    """s_T and s_I of Eq. 1; None for what the model is best used with."""

    text_guidance: (
        Annotated[
            float,
            Meta(
                ge=0.0,
                le=100.0,
                title="Text Guidance",
                description="How strongly an edit follows the instruction",
                extra={
                    "none": "the model's own",
                    "suggested": TEXT_GUIDANCE,
                    "soft_max": 15.0,
                    "step": 10,
                },
            ),
        ]
        | None
    ) = None
    image_guidance: (
        Annotated[
            float,
            Meta(
                ge=0.0,
                le=100.0,
                title="Image Guidance",
                description="How closely an edit keeps to the picture in the mask",
                extra={
                    "none": "the model's own",
                    "suggested": IMAGE_GUIDANCE,
                    "soft_max": 3.0,
                    "step": 10,
                },
            ),
        ]
        | None
    ) = None

    @property
    def guidance(self) -> "GuidanceSettings":
        """The guidance alone."""
        return GuidanceSettings(
            text_guidance=self.text_guidance, image_guidance=self.image_guidance
        )

    def resolved(self, own: "GuidanceSettings") -> Self:
        """The same with the model's own guidance where None is asked for."""
        missing = [name for name in GUIDANCE if getattr(self, name) is None]
        return dataclasses.replace(self, **{name: getattr(own, name) for name in missing})

    @property
    def numbers(self) -> tuple[float, float]:
        """s_T and s_I, once both are known."""
        assert self.text_guidance is not None
        assert self.image_guidance is not None
        return self.text_guidance, self.image_guidance


GUIDANCE = tuple(field.name for field in dataclasses.fields(GuidanceSettings))
"""The names of the two numbers."""
INSTRUCT_PIX2PIX = GuidanceSettings(text_guidance=TEXT_GUIDANCE, image_guidance=IMAGE_GUIDANCE)
"""What InstructPix2Pix is best used with (Brooks et al. 2023)."""


@dataclass(frozen=True, kw_only=True)
class WorkSettings:
    """Which part of a picture is worked on at which size, and how the edit is put back in."""

    detail: DetailOfWork = "sharp"
    rim: Rim = 0.0


@dataclass(frozen=True, kw_only=True)
class SceneWorkSettings:
    """The same of the views of a scene, whose edit's preset says what is not said here."""

    detail: Annotated[DetailOfWork, Meta(extra={"none": "sharp; whole with paper"})] | None = None
    rim: Rim = WorkSettings.rim


@dataclass(frozen=True, kw_only=True)
class EditSettings(WorkSettings, GuidanceSettings):
    """How a picture is edited."""

    steps: Steps = 100
    strength: Annotated[
        float,
        Meta(
            gt=0.0,
            le=1.0,
            title="Strength",
            description="How much detail inside the mask is given up; small values retouch",
        ),
    ] = 1.0
    seed: Fixed = 0


@dataclass(frozen=True, kw_only=True)
class SpeedSettings:
    """What makes edits faster at some cost, all of it off by default."""

    solver: Annotated[
        Solver,
        Meta(
            title="Solver",
            description="How each step gets from one noise level to the next",
            extra={
                "words": {
                    "ddim": "DDIM, of first order, as in the paper",
                    "dpm++": "DPM-Solver++(2M), of second order: as good in fewer steps",
                }
            },
        ),
    ] = "ddim"
    guidance_low: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            title="Guide From",
            description="Noise level below which steps are not guided",
        ),
    ] = 0.0
    guidance_high: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            title="Guide To",
            description="Noise level above which steps are not guided",
        ),
    ] = 1.0
    deep_every: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            title="Deep Every",
            description="Compute the network's deep blocks once in so many steps",
        ),
    ] = 1


@dataclass(frozen=True, kw_only=True)
class PictureRegionSettings(RegionSettings, PictureMapSettings):
    """How the region of a picture is found, all together for the command line."""


@dataclass(frozen=True, kw_only=True)
class PictureEditSettings(SpeedSettings, EditSettings):
    """How a picture is edited, and what makes that faster, all together for the command line."""


@dataclass(frozen=True, kw_only=True)
class TextureSettings(WorkSettings, GuidanceSettings):
    """How the views of a mesh are edited for its texture."""

    detail: DetailOfWork = "whole"  # views larger than the model's size come out better by it
    steps: StepsOfView = 20
    rounds: Annotated[
        int,
        Meta(ge=1, le=20, title="Rounds", description="How often each view is edited at most"),
    ] = 3
    seed: Fixed = 0


@dataclass(frozen=True, kw_only=True)
class FieldSettings:
    """How large a radiance field is, and how long it is trained."""

    preset: Annotated[
        Preset,
        Meta(
            title="Preset",
            description="How large the radiance field is, and how long it is trained",
            extra={
                "words": {
                    "preview": "Minutes on a CPU: small pictures, to see whether the edit is right",
                    "medium": "More detail, of many views: a quarter of an hour without a GPU",
                    "full": "As large as the paper's and trained as long, 30,000 steps, for a GPU "
                    "with time. Edits follow the paper's schedule but not its region: for that, "
                    "edit as in the paper",
                }
            },
        ),
    ] = "preview"
    iterations: Iterations | None = None
    seed: Fixed = 0


@dataclass(frozen=True, kw_only=True)
class UpdateSettings(WorkSettings, GuidanceSettings):
    """How the views of a scene are edited."""

    steps: StepsOfView = 20
    seed: Fixed = 0
    relevance: UseOfField = True


@dataclass(frozen=True, kw_only=True)
class SceneUpdateSettings(SceneWorkSettings, GuidanceSettings):
    """The same as they are asked for: what is not said is the preset's own."""

    steps: StepsOfView = UpdateSettings.steps
    seed: Fixed = UpdateSettings.seed
    relevance: UseOfField = UpdateSettings.relevance


@dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """How fine the mesh of a scene is."""

    faces: (
        Annotated[
            int,
            Meta(
                ge=4,
                le=4_000_000,
                title="Faces",
                description="Triangles of the mesh at most, as far as its pieces can be simplified",
                extra={
                    "none": "all that the field gives",
                    "suggested": 50_000,
                    "soft_max": 500_000,
                },
            ),
        ]
        | None
    ) = None
    texture_size: TextureSize = 1024
    plain: Annotated[
        bool,
        Meta(
            title="Plain Surroundings",
            description="Also mesh skies, bare grounds and walls that opaque views are too plain "
            "to tell the place of, wherever the scene has put them",
            extra={"words": {"on": "All is meshed", "off": "What is too plain is left out"}},
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Stop:
    """When a training ends before its last step: after so many measurements in a row that gain less
    than this over the best; a patience of 0 never ends it.
    """

    stop_gain: float = 0.0
    """Decibels."""
    stop_patience: int = 0
    """Measurements."""


Settings = TypeVar(
    "Settings",
    MapSettings,
    PictureMapSettings,
    GuidanceSettings,
    RegionSettings,
    EditSettings,
    SpeedSettings,
    TextureSettings,
    UpdateSettings,
)


def taken(kind: type[Settings], more: Any) -> Settings:
    """The settings of a kind that an object has among others; what it lacks has its default."""
    names = (field.name for field in dataclasses.fields(kind))
    return kind(**{name: getattr(more, name) for name in names if hasattr(more, name)})
