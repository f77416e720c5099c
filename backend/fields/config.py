"""All numbers of fields, their training and the edit of a scene, and the presets of them."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from protocol.settings import MapSettings, RegionSettings, Stop, UpdateSettings
from protocol.values import DATASET_UPDATE

RegionKind = Literal["field", "maps", "everything"]
"""Where the views of a scene are edited: inside its relevance field, each inside its own map, or
everywhere."""
Fitted = Literal["before", "while"]
"""When the relevance field of an edit is fitted. "before" the scene changes: to the maps of all
views, normalised together, and calibrated by them. "while" it changes, as in the paper: to the maps
of views that had a turn, each normalised by itself; the threshold is on what is rendered of it."""


LONGEST, MOST_RAYS = 3.0, 2.0
"""How many times the steps and the rays of a step a field takes at most, of captures with many
pixels."""


@dataclass(frozen=True)
class ProposalConfig:
    """A small density field that says where along a ray the next field should be sampled."""

    samples: int
    """Samples along a ray."""
    levels: int = 5
    """Levels of its hash grid."""
    log2_table_size: int = 17
    """Binary logarithm of the entries in a level."""
    highest_resolution: int = 128
    """Cells along a side of the finest level."""
    hidden: int = 16
    """Width of its one hidden layer."""


@dataclass(frozen=True)
class FieldConfig(Stop):
    """A nerfacto field and its training. The defaults are nerfstudio 1.1.5's own nerfacto, which is
    what the paper trains; the losses of depths and of light that solid things lack,
    held-out views and the early end are added to it.
    """

    iterations: int = 30_000
    """Training steps at most, of up to `pixels` pixels."""
    pixels: int = 0
    """Pixels of all training views that the numbers are meant for. With more of them, steps and
    rays grow (see `for_pixels`); 0 for as many steps and rays however many they are."""
    rays: int = 4096
    """Rays in a step."""
    samples: int = 48
    """Samples of the field along a ray, after the proposals."""
    proposals: tuple[ProposalConfig, ...] = (
        ProposalConfig(samples=256),
        ProposalConfig(samples=96, highest_resolution=256),
    )
    """The proposal networks, coarse to fine; at least one."""
    levels: int = 16
    """Levels of the field's hash grid."""
    log2_table_size: int = 19
    """Binary logarithm of the entries in a level."""
    lowest_resolution: int = 16
    """Cells along a side of the coarsest level; the box [-2, 2]^3 of contracted space is a side."""
    highest_resolution: int = 2048
    """Cells along a side of the finest level."""
    hidden: int = 64
    """Width of the hidden layers of density and colour."""
    appearance: int = 32
    """Numbers that describe what is special about each photo (exposure, weather); 0 for none, as
    for rendered views."""
    optimise_cameras: bool = True
    """Whether training also corrects the cameras' poses (nerfstudio's SO3xR3)."""
    average_initial_density: float = 0.01
    """Factor on the density: below 1, empty space starts out emptier. At high learning rates a
    field that is almost empty learns a white background first, and then nothing else."""
    near: float = 0.05
    """Where rays begin while training, in box units."""
    far: float = 1000.0
    """Where rays end, in box units."""
    covered_by: float = 0.0
    """Share of the training views that must have a place in their picture for rays to begin there
    (see coverage.py); 0 where all rays begin at the near plane."""
    learning_rate: float = 1e-2
    """Adam's, at the start."""
    final_learning_rate: float = 1e-4
    """What the learning rate decays to, exponentially, over `decay_iterations`."""
    decay_iterations: int = 200_000
    """Steps that the decay takes; training may well end before."""
    warm_up: int = 0
    """Steps over which the learning rate grows to that at the start. At high rates the first steps
    else push parts of a field to where no gradient leads back from; nerfacto has none."""
    camera_learning_rate: float = 1e-3
    """Of the poses; it decays to a tenth over 5000 steps."""
    anneal_iterations: int = 1000
    """Steps over which the proposals' weights sharpen (mip-NeRF 360, Eq. 18)."""
    proposal_warm_up: int = 5000
    """Steps after which the proposals are trained in every fifth step only."""
    scale_gradients: bool = False
    """Whether what is near a camera learns more slowly, as only that camera sees it ("Floaters No
    More: Radiance Field Gradient Scaling", Philip and Deschaintre 2023)."""
    distortion: float = 0.002
    """Weight of the loss that pulls a ray's weights together (mip-NeRF 360, Eq. 15)."""
    sparsity: float = 0.0
    """Weight of a loss that empties what no view needs: mean of log(1 + 2 density^2) over all
    samples ("Baking Neural Radiance Fields", Hedman et al. 2021; nerfacto has none)."""
    depth: float = 0.1
    """Weight of the loss that pulls a ray's weights to where its view's depth says that the surface
    is (DS-NeRF, Eq. 7: "Depth-supervised NeRF", Deng et al. 2022); 0 leaves depths out."""
    depth_sigma: float = 0.01
    """How far around that the weights may lie, in box units: a standard deviation."""
    solid: float = 0.01
    """Weight of the loss that makes opaque what views show as opaque: the mean of the light that
    the field lacks there (nerfacto has none, and fills it with the last sample's colour)."""
    solid_from: int = 400
    """The step from which on that weight grows from 0. Only what the photos say of shapes should be
    there by then: what must be solid before that is put anywhere, a plain sky among the cameras,
    and the space before them is filled with fog."""
    solid_after: int = 1000
    """The step at which it is there in full."""
    starts: int = 1
    """Beginnings from other random numbers, of which the one that shows held-out views best goes
    on. From some, a field puts plain surroundings before its cameras, and never recovers. There is
    one where nothing is held out, where the number of steps is given, and where the steps are fewer
    than twice what the beginnings take (nerfacto has one)."""
    start_steps: int = 200
    """Steps of such a beginning."""
    hold_out_every: int = 8
    """Every n-th view, and at least one, is held out: it is not trained on and measures the field;
    0 for none."""
    evaluate_every: int = 1000
    """Steps between two measurements of the PSNR on held-out views."""
    stop_gain: float = 0.05
    stop_patience: int = 5

    @property
    def most_pixels(self) -> float:
        """Pixels of all training views up to which steps and rays grow; endless where they do not
        grow.
        """
        return self.pixels * LONGEST * MOST_RAYS**2 if self.pixels > 0 else math.inf

    def for_pixels(self, pixels: int, iterations: int | None = None) -> "FieldConfig":
        """The same with the steps and rays that so many pixels take: steps grow as the pixels do,
        up to LONGEST times, and beyond that rays, as the root of what is left. `iterations` sets
        the steps in their place.
        """
        growth = max(1.0, pixels / self.pixels) if self.pixels > 0 else 1.0
        longer = min(growth, LONGEST)
        return replace(
            self,
            iterations=math.ceil(self.iterations * longer) if iterations is None else iterations,
            evaluate_every=math.ceil(self.evaluate_every * longer),
            decay_iterations=math.ceil(self.decay_iterations * longer),
            rays=round(self.rays * math.sqrt(min(growth / longer, MOST_RAYS**2))),
        )


PRESETS = {
    "preview": FieldConfig(
        iterations=800,
        pixels=21 * 128**2,
        rays=1024,
        samples=24,
        proposals=(ProposalConfig(samples=48, log2_table_size=15),),
        levels=8,
        log2_table_size=15,
        highest_resolution=256,
        hidden=48,
        appearance=0,
        optimise_cameras=False,
        average_initial_density=1.0,
        warm_up=100,
        starts=2,
        far=5.0,
        covered_by=0.35,
        scale_gradients=True,
        sparsity=1e-4,
        solid_from=150,
        solid_after=400,
        learning_rate=2e-2,
        final_learning_rate=1e-3,
        decay_iterations=800,
        anneal_iterations=100,
        evaluate_every=100,
        stop_patience=3,
    ),
    "full": FieldConfig(),
}
PRESETS["medium"] = replace(
    PRESETS["preview"],
    iterations=3000,
    pixels=100 * 128**2,
    rays=2048,
    samples=32,
    proposals=(ProposalConfig(samples=64, log2_table_size=16),),
    levels=12,
    log2_table_size=17,
    highest_resolution=1024,
    hidden=64,
    far=20.0,
    decay_iterations=3000,
    anneal_iterations=300,
    evaluate_every=250,
)


@dataclass(frozen=True)
class RelevanceConfig(Stop):
    """A relevance field and its training. It is coarse on purpose: the maps that it is trained on
    have a cell for 8 x 8 pixels or so, and what one of them alone says should not fit in.
    """

    iterations: int = 200
    """Training steps at most."""
    rays: int = 2048
    """Rays in a step."""
    levels: int = 6
    """Levels of its hash grid."""
    log2_table_size: int = 15
    """Binary logarithm of the entries in a level."""
    lowest_resolution: int = 8
    """Cells along a side of the coarsest level; the box [-2, 2]^3 of contracted space is a side."""
    highest_resolution: int = 128
    """Cells along a side of the finest level."""
    hidden: int = 32
    """Width of the head's one hidden layer."""
    learning_rate: float = 1e-2
    """Adam's, at the start."""
    final_learning_rate: float = 1e-3
    """What the learning rate decays to, exponentially, over all iterations."""
    dark: float = 0.2
    """Weight of a loss that keeps the air dark: the mean of r^2 over samples that send no light,
    before what a ray shows. No map says anything of them, and an edit may let the scene grow there.
    Within things it stays as it is near their surfaces, which an edit may take away."""
    evaluate_every: int = 50
    """Steps between two measurements of how well the field fits the maps."""
    stop_gain: float = 0.02
    stop_patience: int = 3


@dataclass(frozen=True)
class ColourLossConfig:
    """How a field is fitted to the colours of edited views. The defaults are nerfacto's own."""

    absolute: bool = False
    """Whether differences count as they are (L1) and not squared."""
    patch: int = 0
    """Pixels along a side of the squares that a step's rays are drawn in, where views are as large;
    0 draws each ray by itself."""
    structure: float = 0.0
    """Weight of 1 - SSIM of these squares."""


@dataclass(frozen=True)
class DistillationConfig:
    """How score distillation follows a model's gradient."""

    side: int = 128
    """Pixels along the longer side of the picture that is rendered in each step, at most; views
    that are smaller are rendered as they are. The model sees it at the size that it sees the photo
    at."""
    weight: float = 1.0
    """Of its loss, beside that of the colours outside the region."""


@dataclass(frozen=True)
class ClipGuidanceConfig:
    """How CLIP guides a scene. The weights are those of NeRF-Art's published configuration."""

    captions: tuple[str, str] | None = None
    """What the scene shows before and after the edit, which the method cannot do without."""
    clip: str = "demo"
    """Hub id or folder of a CLIP of transformers, or "demo", which knows the demo world alone."""
    negatives: tuple[str, ...] = ()
    """Texts that the scene is not to be like, besides the caption before."""
    side: int = 128
    """Pixels along the longer side of the picture that is rendered in each step, at most."""
    direction: float = 1.0
    """Weight of the relative directional loss."""
    whole: float = 0.2
    """Weight of the contrastive loss of the whole picture."""
    patch: float = 0.1
    """Weight of that of each of the patches."""
    patches: int = 6
    """Patches in each step (NeRF-Art: 12)."""
    patch_share: float = 0.4
    """Of the picture's shorter side, that a side of a patch has."""
    temperature: float = 0.07
    """Of both contrastive losses."""
    content: float = 2.0
    """Weight of the loss that keeps the picture's content."""
    weight: float = 1.0
    """Of all of them, beside the loss of the colours outside the region."""


@dataclass(frozen=True)
class SceneEditConfig(MapSettings, RegionSettings, UpdateSettings, Stop):
    """The edit of a scene: relevance of its views, and the dataset update. The defaults are the
    paper's schedule (when views are edited, from which noise, in how many steps) for `views` views
    or fewer; how maps, region and losses are made is the program's own. A measurement is one of the
    agreement among the edited views, in each round.
    """

    method: str = DATASET_UPDATE
    """Which of the methods that edit scenes (scenes/methods/scene_method.py)."""
    everything: bool = False
    """Whether all of every view is edited, in place of where the instruction applies."""
    iterations: int = 4000
    """Training steps of the dataset update at most, of up to `views` views."""
    views: int = 100
    """Training views that the numbers are meant for. With more of them, steps grow as their number
    does, and rays as its root; 0 for as many steps and rays whatever their number."""
    edit_every: int = 10
    """Steps between the edits of two views."""
    views_at_once: int = 1
    """Views that are edited in one batch, for a GPU that one view does not fill; it takes as many
    times the memory. Of such a batch all edits are made when the first is due: there are as many
    edits, but a view's render does not show what the batch's others bring."""
    rounds: int = 0
    """Edits of each view at most; 0 for as many as there are steps for."""
    noise_range: tuple[float, float] = (0.02, 0.98)
    """Levels that a render is noised to, drawn evenly."""
    first_level: float | None = None
    """Level of each view's first edit; None draws it as all others are. With few edits of each view
    the highest level is the right one: from a lower one, little of the edit appears."""
    relevance_field: RelevanceConfig = RelevanceConfig()
    """The relevance field."""
    fitted: Fitted = "before"
    """When the relevance field is fitted."""
    refit_every: int = 4
    """Steps of the update between two in which the relevance field goes on being fitted to the
    maps, where the scene is by then; 0 leaves it as it was fitted to the unedited scene."""
    keep_region: bool = True
    """Whether what was edited in a view stays in its region, though the edit has taken away or
    covered what was relevant there."""
    grow: bool = True
    """Whether the scene may grow into places where nothing is yet, where the views' maps agree
    better on these than on surfaces."""
    air_samples: float = 0.5
    """Share of a ray's samples that are taken within such places while the scene is trained, where
    the ray passes through some, and what was edited teaches nothing of what is behind them. Else
    few would be, as nothing is there yet, and what is behind is painted in place of what should
    appear; 0 goes by the field alone."""
    learning_rate: float | None = 5e-3
    """Of the radiance field during the update, at its start: what nerfacto's has come to at the end
    of its training. None goes on with the field's own, which may be too low for what is not there
    yet to appear: then what is behind it is painted in its place."""
    final_learning_rate: float = 1e-3
    """What it decays to, exponentially, over all iterations, where `learning_rate` is given."""
    move_cameras: bool = True
    """Whether the update goes on correcting the cameras, where the field's training did."""
    colour_loss: ColourLossConfig = ColourLossConfig()
    """How the radiance field is fitted to the views' colours."""
    distillation: DistillationConfig = DistillationConfig()
    """Of the method score_distillation, whose noise levels are drawn from `noise_range`."""
    inside_rays: float = 0.05
    """Share of a step's rays that are drawn inside what was edited, at least, so that what is small
    is learnt, too; 0 draws all pixels alike. It says nothing where rays are drawn in squares."""
    clip_guidance: ClipGuidanceConfig = ClipGuidanceConfig()
    """Of the method clip_guidance."""
    settling: float = 0.0
    """Share of the steps, at their end, in which no view is edited any more."""
    stop_gain: float = 0.1

    @property
    def region(self) -> RegionKind:
        """Where views are edited."""
        if self.everything:
            return "everything"
        return "field" if self.relevance else "maps"

    @property
    def finds_maps_before(self) -> bool:
        """Whether the maps of all views are found before the first of them is edited."""
        return not self.everything and not self.fits_while_edited

    @property
    def fits_while_edited(self) -> bool:
        """Whether there is a relevance field that is fitted beside the scene alone."""
        return self.region == "field" and self.fitted == "while"

    def growth(self, views: int) -> float:
        """How many times the views there are that the numbers are meant for, at least 1."""
        return max(1.0, views / self.views) if self.views > 0 else 1.0

    def rays_for(self, rays: int, views: int) -> int:
        """Rays of a step for so many views, of `rays` for as many as the numbers are meant for."""
        return round(rays * math.sqrt(self.growth(views)))

    def for_views(self, views: int) -> "SceneEditConfig":
        """The same with the steps and the relevance field's rays that so many views take."""
        field = self.relevance_field
        return replace(
            self,
            iterations=math.ceil(self.iterations * self.growth(views)),
            relevance_field=replace(field, rays=self.rays_for(field.rays, views)),
        )


_PREVIEW = SceneEditConfig(
    iterations=600,
    views=24,
    # all views in the first steps: as long as few are edited, these are painted on what is there
    edit_every=3,
    rounds=1,  # the demo model's edits from low noise levels lose what the first one gained
    first_level=0.98,
    refit_every=0,  # it was found to help where views are edited again
    settling=0.15,
    stop_patience=3,  # of a round each, which takes few steps
)
EDIT_PRESETS = {
    "preview": _PREVIEW,
    # for a field that is larger and takes longer to follow
    "medium": replace(_PREVIEW, iterations=1500, views=60),
    # the paper's schedule, with the program's own region
    "full": SceneEditConfig(),
    # section 4.3, and where that leaves something open the authors' own code
    "paper": SceneEditConfig(
        relevance_seeds=(0,),
        normalisation="paper",
        snap="nothing",
        detail="whole",
        fitted="while",
        relevance_field=RelevanceConfig(
            iterations=4000,
            rays=4096,
            levels=16,
            log2_table_size=19,
            lowest_resolution=16,
            highest_resolution=2048,
            hidden=64,
            final_learning_rate=1e-2,
            dark=0.0,
        ),
        refit_every=1,
        keep_region=False,
        grow=False,
        learning_rate=1e-2,
        final_learning_rate=1e-2,
        move_cameras=False,
        inside_rays=0.0,
        # on a validation scene edited by the truth, L1 gained 3 dB inside over squares of the
        # differences, and structure 1 dB outside over L1 alone
        colour_loss=ColourLossConfig(absolute=True, patch=16, structure=0.2),
    ),
}
"""By the names of the radiance field's presets that they are meant for; "paper" is for any field.
docs/how-it-works.md says how each of them differs from the paper."""
