"""Where the picture comes from, in the panel."""

import bpy

from ..data import picture_source
from ..jobs import session
from ..render.camera_render import render_size
from ..render.image_pixels import by_the_scenes_view, header_of
from ..render.own_settings import own_settings
from . import words
from .picture_places import fits_camera

OTHER = "The shown picture comes from somewhere else: Preview and Edit take a new one."
NOT_IN_FRAME = (
    "This picture has another shape than the camera's view. It is shown in the Image Editor."
)
PROFILE = (
    'Blender does not use the color profile "{}" of this image: its colors are sent as Blender '
    "shows them."
)
SRGB = "sRGB"
"""Is in the names of colour profiles that change nothing."""


def draw(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """The choice, and what it needs."""
    source = settings.source
    column = layout.column()
    column.prop(source, "kind")
    if source.kind == picture_source.IMAGE:
        row = column.row(align=True)
        row.template_ID(source, "image", open="image.open")
        row.operator("watch_your_steps.use_shown_image", text="", icon="IMAGE")
    elif source.kind == picture_source.VIEWPORT:
        row = column.row()
        row.prop(source, "engine", expand=True)


def draw_place(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Where the shown picture is to be seen, where that is not the camera's frame."""
    if not fits_camera(context.scene):
        words.paragraph(layout, context, NOT_IN_FRAME, icon="INFO")
        layout.operator("watch_your_steps.show_in_image_editor", icon="IMAGE")


def is_other(settings: bpy.types.PropertyGroup) -> bool:
    """Whether the shown picture does not come from where the next one is to be taken from."""
    picture = settings.root_image or settings.render_image
    if picture is None or settings.base != "RENDER":
        return False
    return not picture_source.is_chosen(settings, picture)


def draw_settings(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """How the picture is taken."""
    settings = context.scene.watch_your_steps
    source = settings.source
    layout.prop(settings, "max_side")
    if source.kind != picture_source.IMAGE:
        layout.prop(settings, "things")
    if source.kind == picture_source.RENDER:
        row = layout.row(align=True, heading="Limit Samples")
        row.prop(source, "limit_samples", text="")
        if source.limit_samples:
            row.prop(source, "samples", text="")
    text = how(context.scene)
    welcome = session.state.status.welcome
    if welcome is not None and welcome.native_size:
        size = f"{welcome.native_size} x {welcome.native_size}"
        text = " ".join((text, f"The model was trained at {size}."))
    words.paragraph(layout, context, text, icon="INFO")
    if source.kind == picture_source.IMAGE and source.image is not None:
        profile = header_of(source.image).profile
        if profile and SRGB not in profile:
            words.paragraph(layout, context, PROFILE.format(profile), icon="INFO")


def how(scene: bpy.types.Scene) -> str:
    """How the next picture is taken, in words."""
    settings = scene.watch_your_steps
    source = picture_source.chosen(settings)
    width, height = render_size(scene.render, settings.max_side)
    if source.kind == picture_source.RESULT:
        return "Takes the slot of the Render Result that is shown, as it looks."
    if source.kind == picture_source.IMAGE:
        if settings.source.image is not None and by_the_scenes_view(settings.source.image):
            return "Takes the image as the scene's view transform shows it."
        return "Takes the image as it looks, and needs no camera."
    if source.kind == picture_source.VIEWPORT:
        engine = picture_source.ENGINES[source.name]
        return f"Renders {width} x {height} with {engine}, whatever the scene's engine."
    own = own_settings(settings, source)
    text = f"Renders {width} x {height} with the scene's own engine and colors"
    return f"{text}, with {own.samples} samples at most." if own.changes(scene) else f"{text}."
