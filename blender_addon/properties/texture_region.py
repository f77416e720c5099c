"""Where a texture is edited: maps in its own UVs, and what makes a region of them."""

# mypy: disable-error-code="valid-type"
# Blender reads properties from annotations, which are calls and not types.

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..data.meshes import live_textures
from ..data.properties_settings import described, prop
from ..protocol.settings import RegionSettings, Threshold
from ..render import grown_map


def _moved(changed: "TextureRegion", _: bpy.types.Context) -> None:
    """Blender calls this at every step of the slider."""
    changed.threshold_of = changed.instruction
    live_textures.refresh(changed)


def _grown(changed: "TextureRegion", context: bpy.types.Context) -> None:
    """Another map is thresholded."""
    grown_map.refresh(changed, context.scene, context.active_object)


def _inverted(changed: "TextureRegion", context: bpy.types.Context) -> None:
    """The other texels are meant, and what was grown is shrunk."""
    grown_map.refresh(changed, context.scene, context.active_object)
    live_textures.rebuild(changed)


class TextureRegion(bpy.types.PropertyGroup):
    """The region of a texture, of which nothing has to be asked from the backend any more. The
    pointers keep the maps in the file.
    """

    relevance: PointerProperty(name="Relevance", type=bpy.types.Image)
    edges: PointerProperty(name="Relevance by Edges", type=bpy.types.Image)
    things: PointerProperty(name="Relevance by Things", type=bpy.types.Image)
    grown: PointerProperty(name="Relevance, Grown", type=bpy.types.Image)
    paint: PointerProperty(name="Painted Correction", type=bpy.types.Image)
    before: StringProperty(description="What Blender's painting worked on before, as JSON")
    group: PointerProperty(name="Nodes", type=bpy.types.NodeTree)
    instruction: StringProperty(description="What the maps are about")
    maps: StringProperty(description="The settings that they were made with, as JSON")
    surface: StringProperty(description="What the UVs were when they were made")
    kind: StringProperty(description="Which kind of things was asked for")
    of_things: StringProperty(description="Which things the map by things is of")
    seen_share: FloatProperty(
        description="Share of the mesh's texels that the views have shown; -1: not known",
        default=-1.0,
    )
    suggested_threshold: FloatProperty(
        description="The maps' own suggestion; -1 without one", default=-1.0
    )
    threshold_of: StringProperty(
        description="Instruction for which the threshold was set by hand; empty: it follows the map"
    )
    made_at: FloatProperty(
        description="Of a finished edit: the threshold that it was made at; -1: not known",
        default=-1.0,
    )
    threshold: described(
        Threshold,
        "threshold",
        description=(
            "Relevance from which a texel is in the region; the mesh shows it while you move it. "
            "Nothing is sent"
        ),
        step=1,
        precision=3,
        update=_moved,
    )
    snap: prop(RegionSettings, "snap", update=_grown)
    grow: IntProperty(
        name="Grow",
        description=(
            "Pixels of the texture by which the region reaches further over the mesh, also across "
            "seams; less than 0 shrinks it. What was painted stays as it is"
        ),
        min=-256,
        max=256,
        soft_min=-32,
        soft_max=32,
        update=_grown,
    )
    invert: BoolProperty(
        name="Invert",
        description="Edit what the relevance does not reach. What was painted stays as it is",
        update=_inverted,
    )


CLASSES = (TextureRegion,)
