"""Where the picture comes from that Preview and Edit work on, saved with a scene."""

# mypy: disable-error-code="valid-type"
# Blender reads properties from annotations, which are calls and not types.

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, PointerProperty

from ..data import picture_source

SOURCES = (
    (
        picture_source.RENDER,
        "New Render",
        "Render the active camera with the scene's own engine. Your Render Result stays as it is",
        "RENDER_STILL",
        0,
    ),
    (
        picture_source.RESULT,
        "Render Result",
        "The render that you already have, in the slot that is shown, as it looks",
        "RENDER_RESULT",
        1,
    ),
    (picture_source.IMAGE, "Image", "An image from disk or of this file", "IMAGE_DATA", 2),
    (
        picture_source.VIEWPORT,
        "Viewport",
        "What the active camera sees, in seconds: EEVEE or Workbench, whatever the scene's engine",
        "VIEW3D",
        3,
    ),
)
ENGINES = (
    ("EEVEE", picture_source.ENGINES["EEVEE"], "With materials and lights. It needs a GPU"),
    ("WORKBENCH", picture_source.ENGINES["WORKBENCH"], "As Solid shading shows it in a render"),
)


def _is_image(_: "PictureSource", image: bpy.types.Image) -> bool:
    """Blender asks this for every image that could be chosen."""
    return image.type not in ("RENDER_RESULT", "COMPOSITING")


class PictureSource(bpy.types.PropertyGroup):
    """Where the next picture comes from."""

    kind: EnumProperty(
        name="Picture",
        description="What Preview and Edit work on",
        items=SOURCES,
        default=picture_source.RENDER,
    )
    image: PointerProperty(
        name="Image",
        description="The image to edit. It stays as it is: every edit is a new one",
        type=bpy.types.Image,
        poll=_is_image,
    )
    taken: PointerProperty(
        name="Taken Image",
        description="The image that the shown picture was taken from",
        type=bpy.types.Image,
    )
    engine: EnumProperty(
        name="Engine",
        description="What renders the viewport's picture",
        items=ENGINES,
        default="EEVEE",
    )
    limit_samples: BoolProperty(
        name="Limit Samples",
        description=(
            "Take no more samples than this for a new render of Cycles or EEVEE. The scene's own "
            "number stays as it is"
        ),
        default=True,
    )
    samples: IntProperty(
        name="Samples",
        description="How many samples a new render has at most",
        default=32,
        min=1,
        soft_max=512,
        max=16384,
    )


CLASSES = (PictureSource,)
