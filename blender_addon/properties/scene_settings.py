"""What the panel sets and what is saved with a scene."""

# mypy: disable-error-code="valid-type"
# Blender reads properties from annotations, which are calls and not types.

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..data import edits, frame_painting, results
from ..data.properties_settings import described, with_settings
from ..protocol.known_settings import Setting
from ..protocol.settings import (
    EditSettings,
    Grow,
    PictureMapSettings,
    RegionSettings,
    Threshold,
)
from ..render import things
from . import in_3d, kept_edits, layers, source_settings, waiting_edits
from .in_3d import ImageSettings, MaterialSettings, SceneIn3D, TextureProperties
from .kept_edits import KeptEdit
from .layers import Layer
from .source_settings import PictureSource
from .waiting_edits import WaitingEdit

VIEWS = (
    ("RENDER", "Picture", "The picture that was taken and sent"),
    (
        "RELEVANCE",
        "Relevance",
        "Where the instruction applies, from dark to bright, over the render; the line is the "
        "threshold",
    ),
    ("MASK", "Mask", "What Edit may change at the current threshold"),
    ("EDIT", "Edit", "The edited picture"),
    ("COMPARE", "Compare", "What the edit is compared with on the left, the edit on the right"),
    ("IN_3D", "3D Edit", "The edited scene in 3D, as Render View last saw it"),
    ("VARIANTS", "Variants", "All variants beside each other, with their seeds"),
    ("LAYERS", "Layers", "The render with the layers over it that are seen"),
)
"""Files keep their places: what is new comes last."""

BASES = (
    ("RENDER", "Picture", "Edit the picture that is chosen above"),
    ("EDIT", "Shown Edit", "Edit on top of the edit that is shown, which is kept, too"),
)
COMPARED = (
    ("BASE", "Its Base", "The picture that the edit was made of"),
    ("BEFORE", "Edit Before", "The edit before it, which is the next one down in the list"),
)


def _threshold_moved(changed: "SceneSettings", _: bpy.types.Context) -> None:
    """Blender calls this at every step of the slider."""
    has_map = changed.relevance_image is not None
    changed.threshold_of = changed.relevance_of if has_map else changed.instruction
    results.refresh_mask(changed.id_data)


def _normalisation_changed(changed: "SceneSettings", _: bpy.types.Context) -> None:
    """A threshold for maps of the other kind means nothing for the next one."""
    changed.threshold_of = ""


def _region_changed(changed: "SceneSettings", _: bpy.types.Context) -> None:
    """The map is thresholded in another way, which may suggest another threshold."""
    if changed.relevance_image is not None and not changed.threshold_of:
        results.follow_suggestion(changed.id_data)
    else:
        results.refresh_mask(changed.id_data)


def _picks_changed(changed: "SceneSettings", _: bpy.types.Context) -> None:
    """A thing was added to the mask or removed from it."""
    results.refresh_mask(changed.id_data)


def _grown(changed: "SceneSettings", _: bpy.types.Context) -> None:
    """The mask has another outline."""
    results.refresh_mask(changed.id_data)


def _edit_chosen(changed: "SceneSettings", _: bpy.types.Context) -> None:
    """Blender calls this when an edit is clicked on in the list."""
    edits.show(changed.id_data)


@with_settings(
    PictureMapSettings,
    RegionSettings,
    EditSettings,
    normalisation={"update": _normalisation_changed},
    snap={"update": _region_changed},
)
class SceneSettings(bpy.types.PropertyGroup):
    """Settings and results of one scene."""

    instruction: StringProperty(
        name="Instruction",
        description="What to change, as one sentence: turn the red ball into a green one",
        maxlen=1000,
    )
    threshold: described(
        Threshold,
        "threshold",
        description=(
            f"{Setting.of('threshold', Threshold).description}. A new map sets it to the map's own "
            "suggestion, unless you have moved it for this instruction: then it stays where you "
            "put it. Moving it needs no backend"
        ),
        step=1,
        precision=3,
        update=_threshold_moved,
    )
    things: EnumProperty(
        name="Things",
        description="What Snap takes for a thing, in the next preview",
        items=things.KINDS,
        default="OBJECTS",
    )
    own_guidance: BoolProperty(
        name="Model's Own Guidance",
        description="Use as much guidance by text and image as the model is best used with",
        default=True,
    )
    new_seed: BoolProperty(
        name="New Seed for Each",
        description="Edit and Variants draw a new seed before they begin; each edit keeps its own",
        default=False,
    )
    variants: IntProperty(
        name="Variants",
        description="How many edits Variants makes: each with the next seed, all else the same",
        default=4,
        min=2,
        soft_max=9,
        max=64,
    )
    base: EnumProperty(
        name="Edit", description="What Edit and Preview work on", items=BASES, default="RENDER"
    )
    max_side: IntProperty(
        name="Size Limit",
        description=(
            "Longest side in pixels of the picture that is sent; its own size where that is "
            "smaller. InstructPix2Pix was trained at 512"
        ),
        default=512,
        min=16,
        max=8192,
        subtype="PIXEL",
    )
    show: BoolProperty(
        name="Show in Camera View",
        description="Draw the picture over the camera's frame in the 3D view",
        default=True,
    )
    view: EnumProperty(
        name="View",
        description="What is shown in the camera's frame",
        items=VIEWS,
        default="RELEVANCE",
    )
    opacity: FloatProperty(
        name="Opacity",
        description="Opacity of the picture over the 3D view",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    split: FloatProperty(
        name="Split",
        description="Left of this is what the edit is compared with, right of it the edit",
        default=0.5,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    compare_with: EnumProperty(
        name="Compare With",
        description="What is left of the split",
        items=COMPARED,
        default="BASE",
    )

    render_image: PointerProperty(name="Render", type=bpy.types.Image)
    relevance_image: PointerProperty(name="Relevance", type=bpy.types.Image)
    mask_image: PointerProperty(name="Mask", type=bpy.types.Image)
    painted_image: PointerProperty(
        name="Painting",
        description="What was painted on the mask: white is added, black taken away",
        type=bpy.types.Image,
    )
    edit_image: PointerProperty(name="Edit", type=bpy.types.Image)
    sheet_image: PointerProperty(name="Contact Sheet", type=bpy.types.Image)
    scene_image: PointerProperty(name="3D Edit", type=bpy.types.Image)
    base_image: PointerProperty(
        name="Base", description="The edit that the next one is on top of", type=bpy.types.Image
    )
    root_image: PointerProperty(
        name="Render Below",
        description="Where the picture that is worked on is an edit: the render below it",
        type=bpy.types.Image,
    )
    picture: StringProperty(description="Identity of the render that the results belong to")
    relevance_of: StringProperty(description="Instruction that the relevance belongs to")
    relevance_by: StringProperty(description="Normalisation that the relevance was made with")
    relevance_maps: StringProperty(
        description="All settings that the relevance was made with, as JSON; empty: not known"
    )
    suggested_threshold: FloatProperty(
        description="The map's own suggestion; -1 without one", default=-1.0
    )
    threshold_of: StringProperty(
        description="Instruction for which the threshold was set by hand; empty: it follows the map"
    )
    picks: StringProperty(
        description="Labels of things added to the mask and removed from it, such as +3 -1",
        update=_picks_changed,
    )
    picks_of: StringProperty(description="Identity of the things that these are among")
    grow: described(Grow, "grow", default=0, soft_min=-32, update=_grown)
    invert: BoolProperty(description="Whether the mask is where the map is below the threshold")
    brush: IntProperty(
        name="Brush",
        description=(
            "Radius of the brush that paints on the mask, in pixels of the picture. While you "
            "paint: [ and ], or Ctrl and the wheel"
        ),
        default=16,
        min=1,
        max=1024,
        soft_max=256,
        subtype="PIXEL",
    )
    prompt_check: StringProperty(
        description="What the model says where it does not see where the instruction applies"
    )
    edit_of: StringProperty(description="Instruction that the edit belongs to")
    edits: CollectionProperty(type=KeptEdit, description="All edits, the latest first")
    edit_index: IntProperty(
        name="Edit", description="The edit that is shown and restored", update=_edit_chosen
    )
    layers: CollectionProperty(type=Layer, description="Edits laid over each other, the top first")
    layer_index: IntProperty(name="Layer", description="The layer that is chosen")
    only_favourites: BoolProperty(
        name="Only Favourites", description="List only the edits that are marked with a star"
    )
    version: IntProperty(description="Of what is saved here; 0: from before there were versions")
    owner: StringProperty(
        description="Mark of the scene that all this was written for; of a copy it is another one"
    )

    pending_image: PointerProperty(name="Sent Render", type=bpy.types.Image)
    job: StringProperty(description="Id of the job that runs for this scene, to attach to it again")
    job_kind: StringProperty(description="What that job is")
    job_subject: StringProperty(description="What the job's result belongs to, as its kind says")
    job_instruction: StringProperty(description="The job's instruction")
    job_then: StringProperty(description="Kinds of the jobs that follow it")
    job_asked: StringProperty(description="The settings that the job was started with, as JSON")
    job_object: PointerProperty(name="Painted Object", type=bpy.types.Object)
    job_image: PointerProperty(name="Painted Texture", type=bpy.types.Image)

    frames_painting: EnumProperty(
        name="Painted",
        description="What Edit Frames does with what is painted on the mask of one picture. Picked "
        "things are found in every frame by their names",
        items=frame_painting.WAYS,
        default=frame_painting.FOLLOW,
    )
    edited_frames: StringProperty(description="Where the frames are that were edited last")
    queue: StringProperty(description="Id of what waits for that job's end")
    queue_words: StringProperty(description="What waits for that job's end, in words")
    waiting: CollectionProperty(
        type=WaitingEdit, description="What waited when the file was saved, until it goes on"
    )

    source: PointerProperty(type=PictureSource)
    texture: PointerProperty(type=TextureProperties)
    in_3d: PointerProperty(type=SceneIn3D)


CLASSES = (
    *in_3d.CLASSES,
    *kept_edits.CLASSES,
    *layers.CLASSES,
    *source_settings.CLASSES,
    *waiting_edits.CLASSES,
    SceneSettings,
)
_register_classes, _unregister_classes = bpy.utils.register_classes_factory(CLASSES)


def register() -> None:
    """Give every scene the settings, and every image and material what it knows."""
    _register_classes()
    bpy.types.Scene.watch_your_steps = PointerProperty(type=SceneSettings)
    bpy.types.Image.watch_your_steps = PointerProperty(type=ImageSettings)
    bpy.types.Material.watch_your_steps = PointerProperty(type=MaterialSettings)


def unregister() -> None:
    """Take the settings off again; what is saved in files stays there."""
    del bpy.types.Material.watch_your_steps
    del bpy.types.Image.watch_your_steps
    del bpy.types.Scene.watch_your_steps
    _unregister_classes()
