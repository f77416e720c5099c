"""What the buttons do by which the artist corrects a texture's region on the mesh."""

import bpy
from bpy.props import EnumProperty

from ..data.meshes import painted_regions
from ..data.scene_error import SceneError
from ..jobs import session
from .languages import tip_
from .operators import ExplainedOperator, refuse
from .operators_texture_region import END_FIRST, PreviewOperator, base_of, preview_of
from .switches import cell_of

Outcome = set[str]
BRUSHES = (
    ("ADD", "Add", "Paint white: what is painted is edited, whatever the threshold"),
    ("REMOVE", "Take Away", "Paint black: what is painted is not edited, whatever the threshold"),
    ("ERASE", "Erase", "Take paint away again: what has none is left to the threshold"),
)

NOT_PAINTING = "No correction is being painted"


class WYS_OT_paint_texture_region(PreviewOperator):
    """Correct the region with Blender's Texture Paint, on the mesh."""

    bl_idname = "watch_your_steps.paint_texture_region"
    bl_label = "Paint Region"

    brush: EnumProperty(items=BRUSHES)  # type: ignore[valid-type]  # Blender reads the annotation

    @classmethod
    def description(cls, context: bpy.types.Context, given: bpy.types.OperatorProperties) -> str:
        """The tooltip of the brush that the button takes."""
        return tip_(next(text for name, _, text in BRUSHES if name == given.brush))

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Nothing to erase where nothing was painted."""
        region = preview_of(context)
        if region is not None and region.paint is None and cell_of(context) == "ERASE":
            return "Nothing was painted yet"
        if session.job_of(context.scene) is not None and (
            region is None or not painted_regions.is_painting(context, region)
        ):  # views show the texture itself, and painting shows the region
            return "A job of this scene runs: wait for it, or cancel it"
        thing = context.active_object
        if thing is not None and thing.mode not in ("OBJECT", painted_regions.PAINT_MODE):
            return "Go to Object Mode first"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Set mode, canvas and brush."""
        image = base_of(context)
        assert image is not None  # poll has found its preview
        try:
            if not painted_regions.is_painting(context, image.watch_your_steps.preview):
                painted_regions.begin(context, image)
        except (SceneError, RuntimeError) as error:  # the latter is Blender's own refusal
            return refuse(self, context, error)
        painted_regions.take_brush(context, self.brush)
        return {"FINISHED"}


class WYS_OT_end_texture_painting(ExplainedOperator):
    """Keep what was painted, and go back to Object Mode. Blender's painting has its own canvas and color again"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.end_texture_painting"
    bl_label = "Done Painting"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Until it is ended, also where the mesh shows another picture by now."""
        if painted_regions.being_painted(context) is None:
            return NOT_PAINTING
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Put everything back."""
        try:
            painted_regions.end(context, painted_regions.being_painted(context))
        except SceneError as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_clear_texture_painting(PreviewOperator):
    """Throw the painted correction away: the region is left to the threshold again"""

    bl_idname = "watch_your_steps.clear_texture_painting"
    bl_label = "Clear Correction"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is one, and it is not just being painted."""
        region = preview_of(context)
        if region is not None and region.paint is None:
            return "Nothing was painted yet"
        if region is not None and painted_regions.being_painted(context) == region:
            return END_FIRST
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Take it out of the file."""
        painted_regions.clear(preview_of(context))
        return {"FINISHED"}


CLASSES = (
    WYS_OT_paint_texture_region,
    WYS_OT_end_texture_painting,
    WYS_OT_clear_texture_painting,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
