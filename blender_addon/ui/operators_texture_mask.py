"""What the buttons do by which a mask is imported for a texture's region."""

import bpy

from ..data import tiles
from ..data.meshes import painted_regions, texture_bases, texture_regions
from ..data.pictures import size_of
from ..jobs import session
from ..render.imported_mask import imported_mask, imported_tiles
from .importing_masks import MaskFromFile, MaskFromImage
from .operators_texture_region import END_FIRST, PreviewOperator, base_of


class _TextureMaskOperator(PreviewOperator):
    """What both operators have in common."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Not while Blender paints on what is replaced, and not while views are rendered."""
        if painted_regions.being_painted(context) is not None:
            return END_FIRST
        if session.job_of(context.scene) is not None:
            return "A job of this scene runs: wait for it, or cancel it"
        return super().why_not(context)

    def bring_in(self, context: bpy.types.Context, image: bpy.types.Image, how: str) -> None:
        """Correct the region by an image, and show it."""
        texture = base_of(context)
        assert texture is not None  # poll has found its preview
        like = texture_regions.chosen_map(texture.watch_your_steps.preview)
        inside = (
            imported_tiles(image, like)
            if tiles.is_tiled(like)
            else imported_mask(context.scene, image, size_of(like))
        )
        painted_regions.bring_in(texture, inside, how)
        texture_bases.put_preview(context.active_object, texture, context.scene.render.engine)


class WYS_OT_import_texture_mask(MaskFromFile, _TextureMaskOperator):
    """Read a mask from an image file that is laid out as the texture: what is bright and opaque is inside. It counts as painted, and is scaled to the texture"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.import_texture_mask"
    bl_label = "Import Mask"


class WYS_OT_import_texture_mask_image(MaskFromImage, _TextureMaskOperator):
    """Take an image of this file that is laid out as the texture: what is bright and opaque is inside. It counts as painted, and is scaled to the texture"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.import_texture_mask_image"
    bl_label = "Import Image as Mask"


CLASSES = (WYS_OT_import_texture_mask, WYS_OT_import_texture_mask_image)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
