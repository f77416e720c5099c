"""Settings and results of texture edits and of a scene in 3D, saved with scenes and images."""

# mypy: disable-error-code="valid-type"
# Blender reads properties from annotations, which are calls and not types.

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..data.meshes.mesh_reading import THINGS
from ..data.properties_settings import described, prop
from ..protocol.settings import (
    AsInPaper,
    FieldSettings,
    MeshSettings,
    MethodOfScene,
    RegionSettings,
    SceneThreshold,
    TextureSettings,
    Threshold,
    UpdateSettings,
)
from ..protocol.values import DATASET_UPDATE
from . import painted_in_3d, texture_region
from .painted_in_3d import PaintedIn3D
from .texture_region import TextureRegion

CAMERAS = (
    (
        "AROUND",
        "Around",
        "Cameras around the selected objects, or around all objects if none is selected, on two "
        "or three rings of different heights",
    ),
    ("CAMERAS", "Cameras", "All cameras of the scene, each one view"),
    ("FRAMES", "Frames", "The active camera at every frame of the scene's range"),
)
TEXTURE_SIZES = tuple((str(2**n), str(2**n), f"{2**n} x {2**n} pixels") for n in range(8, 14))
MADE_SIZES = (
    (
        "AUTO",
        "Automatic",
        "1024 x 1024 pixels, or 2048 x 2048 where the mesh has more than 50,000 faces",
    ),
    *(one for one in TEXTURE_SIZES if 512 <= int(one[0]) <= 4096),
)
BASES = (
    ("ORIGINAL", "Original", "Edit the texture as it was before its edits"),
    ("EDIT", "Shown Edit", "Edit what the mesh shows, on top of its edits, which are kept, too"),
)
NATIVE = "Pixels of a view's {}; 0: the size that the model was trained at, which is the best one"


class ImageSettings(bpy.types.PropertyGroup):
    """What a texture knows of its edits. The pointers keep all of them in the file."""

    original: PointerProperty(name="Original", type=bpy.types.Image)
    root: PointerProperty(
        name="Root", description="The texture below all edits", type=bpy.types.Image
    )
    deleted: BoolProperty(
        description="Whether the edit was deleted, and is only kept as others are on top of it"
    )
    edited: PointerProperty(name="Edited", type=bpy.types.Image)
    relevance: PointerProperty(name="Relevance", type=bpy.types.Image)
    instruction: StringProperty(description="What was asked for")
    made_with: StringProperty(description="Settings of the edit, in words")
    notes: StringProperty(description="What the backend said of the edit")
    asked: StringProperty(description="Settings of the edit, as JSON")
    asked_now: StringProperty(description="Settings of the edit that is made of it now, as JSON")
    made_for: StringProperty(description="Full names of the materials it was made for, by line")
    made_for_marks: StringProperty(description="Their marks, by line; empty: not known")
    date: StringProperty(description="When it was made, local time as ISO 8601 has it")
    preview: PointerProperty(
        name="Preview", description="Where the next edit applies", type=TextureRegion
    )
    sent: PointerProperty(
        name="Sent Preview", description="What the running edit was sent", type=TextureRegion
    )
    region: PointerProperty(
        name="Region", description="Where this edit applies", type=TextureRegion
    )


class MaterialSettings(bpy.types.PropertyGroup):
    """What a material knows that was made with a texture, or that a texture was edited for. The
    pointers keep these in the file.
    """

    layer: StringProperty(
        description="UV map that its texture is laid on with; empty: it was not made with one"
    )
    new_map: BoolProperty(description="Whether that UV map was made, too")
    image: PointerProperty(name="Made Texture", description="As it was made", type=bpy.types.Image)
    original: PointerProperty(
        name="Original", description="What it is a copy of", type=bpy.types.Material
    )
    was_of_mesh: BoolProperty(
        description="Whether the slot had its material from a mesh that other objects use"
    )
    mark: StringProperty(description="What edits of textures call it by")
    mark_of: StringProperty(description="The material that has this mark, which a copy is not")
    was_empty: StringProperty(
        description="EMPTY where the slot had no material, NONE where there was no slot"
    )


class TextureProperties(bpy.types.PropertyGroup):
    """How the texture of an object is edited."""

    image: PointerProperty(
        name="Texture",
        description="Which image is edited, if there are several",
        type=bpy.types.Image,
    )
    base: EnumProperty(
        name="Edit",
        description="What Edit Texture and Preview on Mesh work on",
        items=BASES,
        default="ORIGINAL",
    )
    make_size: EnumProperty(
        name="Pixels",
        description="Pixels a side of the texture that Make Texture makes",
        items=MADE_SIZES,
        default="AUTO",
    )
    views: IntProperty(
        name="Views",
        description="From how many sides the object is rendered; every view is edited",
        default=12,
        min=1,
        soft_max=48,
        max=256,
    )
    hidden_parts: BoolProperty(
        name="More for Hidden Parts",
        description=(
            "Add up to half as many views again, from where parts of the texture are seen that the "
            "others do not show. Not for meshes of more than 300,000 triangles"
        ),
        default=True,
    )
    size: IntProperty(
        name="Size", description=NATIVE.format("side"), default=0, min=0, max=8192, subtype="PIXEL"
    )
    lit: BoolProperty(
        name="In the Scene's Light",
        description=(
            "Show the object to the model in the scene's light, by the scene's engine; otherwise "
            "its bare texture, without any light"
        ),
        default=True,
    )
    steps: prop(TextureSettings, "steps")
    rounds: prop(TextureSettings, "rounds")
    snap: prop(RegionSettings, "snap")
    things: EnumProperty(
        name="Things",
        description="What Snap takes for a thing of the mesh",
        items=THINGS,
        default="AUTO",
    )
    detail: prop(TextureSettings, "detail")
    rim: prop(
        TextureSettings,
        "rim",
        description=(
            "Texels over which the region's edge is soft, half of them on each side of it; 0 cuts "
            "it sharp. Nothing beyond is changed"
        ),
    )
    use_threshold: BoolProperty(
        name="Own Threshold",
        description=(
            "Edit where the relevance reaches the threshold that is set here; otherwise where the "
            "relevance of all views together falls into two parts by itself"
        ),
        default=False,
    )
    threshold: described(
        Threshold,
        "threshold",
        description="Relevance from which a texel is edited. Every edit sets it to what it used",
    )


class SceneIn3D(bpy.types.PropertyGroup):
    """How a scene is captured, trained, edited and brought back as a mesh, and how far it is."""

    cameras: EnumProperty(
        name="Cameras",
        description="Where the scene is rendered from",
        items=CAMERAS,
        default="AROUND",
    )
    views: IntProperty(
        name="Views",
        description="How many cameras around the objects",
        default=24,
        min=3,
        soft_max=100,
        max=2000,
    )
    size: IntProperty(
        name="Size",
        description=NATIVE.format("shorter side"),
        default=0,
        min=0,
        max=8192,
        subtype="PIXEL",
    )
    preset: prop(FieldSettings, "preset")
    train_iterations: prop(FieldSettings, "iterations")
    as_in_paper: described(AsInPaper, "as_in_paper", default=False)
    method: described(MethodOfScene, "method", default=DATASET_UPDATE)
    threshold: described(SceneThreshold, "threshold")
    snap: prop(RegionSettings, "snap")
    detail: prop(UpdateSettings, "detail")
    rim: prop(UpdateSettings, "rim")
    steps: prop(UpdateSettings, "steps")
    edit_iterations: prop(
        FieldSettings,
        "iterations",
        description=(
            "Training steps with edited views at most; 0: as many as the preset has for so many "
            "views"
        ),
    )
    stack: BoolProperty(
        name="On Top of the Last Edit",
        description="Edit what the last edit has made, instead of the scene as it was captured",
        default=False,
    )
    use_painting: BoolProperty(
        name="Use Painting",
        description=(
            "Edit what was added to the mask by hand, and leave what was taken away, in all views "
            "that see the same places of the scene. The scene must be as it was captured"
        ),
        default=True,
    )
    painted: CollectionProperty(
        name="Painted Views",
        description="Views that were painted on, beside the shown picture",
        type=PaintedIn3D,
    )
    faces: prop(MeshSettings, "faces")
    plain: prop(MeshSettings, "plain")
    texture_size: EnumProperty(
        name="Texture",
        description="Size of the mesh's textures",
        items=TEXTURE_SIZES,
        default=str(MeshSettings.texture_size),
    )

    capture: StringProperty(description="Id of the scene's capture at the backend")
    plan: StringProperty(description="The capture's cameras")
    views_planned: IntProperty(description="How many views the capture has")
    views_sent: IntProperty(description="How many of them the backend has")
    sealed: BoolProperty(description="Whether the capture is complete")
    borrowed: BoolProperty(
        description="Whether the capture belongs to the scene that this one was copied from"
    )
    inherited: BoolProperty(
        description="Whether a borrowed capture is this scene's since its owner was deleted"
    )
    field: StringProperty(description="What the backend said of the trained field")
    edit: StringProperty(description="The last edit's name at the backend")
    edit_of: StringProperty(description="The last edit's instruction")
    film: StringProperty(description="Where the frames of the last film are")
    pictures: PointerProperty(
        name="Pictures of the Edit",
        description="One row a view: before, after, relevance",
        type=bpy.types.Image,
    )

    borrowed_collection: PointerProperty(
        name="Results of Another Scene",
        description="What was brought into the scene that this one was copied from",
        type=bpy.types.Collection,
    )

    def forget_capture(self) -> None:
        """Take a capture, and what the backend has made of it, out of the settings."""
        for name in (
            "capture",
            "plan",
            "views_planned",
            "views_sent",
            "sealed",
            "borrowed",
            "inherited",
            "field",
            "edit",
            "edit_of",
            "film",
        ):
            self.property_unset(name)


CLASSES = (
    *painted_in_3d.CLASSES,
    *texture_region.CLASSES,
    ImageSettings,
    MaterialSettings,
    TextureProperties,
    SceneIn3D,
)
