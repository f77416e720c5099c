"""Where a picture is shown: in the camera's frame, and where it does not fit there, in an Image
Editor.
"""

import bpy

from ..data import edits, layers, picture_source, thing_labels
from ..data.overriding import overridden
from ..render.render_notes import CROPPED
from .frame import Frame

SAME_SHAPE = 0.02
"""By how much of one two shapes may differ and still count as one."""

ALONE = ("IN_3D", "VARIANTS")
"""Views that show no picture that an Image Editor has below them."""


def pictured(settings: bpy.types.PropertyGroup) -> bpy.types.Image | None:
    """The picture that what is shown belongs to: edits and layers may be of an earlier one."""
    if settings.view == "LAYERS":
        return layers.root(settings)
    if settings.view == "VARIANTS":
        return settings.sheet_image
    of_edit = settings.view in ("EDIT", "COMPARE")
    return edits.render_of_shown(settings) if of_edit else settings.render_image


def fits_camera(scene: bpy.types.Scene) -> bool:
    """Whether what is shown belongs into the camera's frame: what the add-on has rendered does, and
    other pictures where they have the frame's shape.
    """
    settings = scene.watch_your_steps
    picture = pictured(settings)
    if settings.view == "IN_3D" or picture is None:
        return True
    kind, render = picture_source.of(picture).kind, scene.render
    if kind in (picture_source.RENDER, picture_source.VIEWPORT):
        return True
    across, up = render.resolution_x, render.resolution_y
    if kind == picture_source.RESULT:  # whose pixels are the render's, square or not
        known = thing_labels.of(picture)
        whole = known is None or known.unknown != CROPPED
        return whole and same_shape((across, up), picture.size)
    shape = (across * render.pixel_aspect_x, up * render.pixel_aspect_y)
    return same_shape(shape, picture.size)


def frame_in_image_editor(
    settings: bpy.types.PropertyGroup, space: bpy.types.SpaceImageEditor, part: bpy.types.Region
) -> Frame | None:
    """Where what is shown lies in a region of an Image Editor: over the picture that it belongs to,
    or over the image that this was taken from. None where neither is there.
    """
    picture, image = pictured(settings), space.image
    if image is None or picture is None or space.mode != "VIEW":
        return None
    if settings.view in ALONE:
        return None
    if image != picture and image != picture_source.image_of(settings, picture):
        return None
    if not same_shape(image.size, picture.size):  # stored on its side
        return None
    return image_frame(part)


def image_frame(part: bpy.types.Region) -> Frame:
    """Where the image of an Image Editor lies in its region, to parts of a pixel."""
    view, width, height = part.view2d, part.width, part.height
    (x0, y0), (x1, y1) = view.region_to_view(0, 0), view.region_to_view(width, height)
    across, up = width / (x1 - x0), height / (y1 - y0)
    return Frame(-x0 * across, -y0 * up, (1 - x0) * across, (1 - y0) * up)


def same_shape(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two sizes (width, height) have nearly the same ratio."""
    if not (all(one) and all(other)):
        return False
    ratio = one[0] * other[1] / (one[1] * other[0])
    return abs(ratio - 1) < SAME_SHAPE


def shown_image(context: bpy.types.Context) -> bpy.types.Image | None:
    """The image or Render Result that an Image Editor shows: the one that asks, or else the first
    one that shows any.
    """
    asking = context.space_data
    here = [asking] if asking is not None and asking.type == "IMAGE_EDITOR" else []
    spaces = here or [area.spaces.active for area in _image_editors(context)]
    images = (space.image for space in spaces)
    return next((one for one in images if one is not None and one.type != "COMPOSITING"), None)


def _image_editors(context: bpy.types.Context) -> list[bpy.types.Area]:
    areas = [area for window in context.window_manager.windows for area in window.screen.areas]
    return [one for one in areas if one.ui_type == "IMAGE_EDITOR"]


def show_in_image_editor(image: bpy.types.Image) -> str:
    """Show an image in an Image Editor; what to say of it: "", or where there is none what to do.
    The timer calls this, too.
    """
    space = _editor_to_use()
    if space is None:
        return f'The image "{image.name}" is in the file: open an Image Editor to see it.'
    space.image = image
    space.mode = "VIEW"
    return ""


def _editor_to_use() -> bpy.types.SpaceImageEditor | None:
    """The largest open Image Editor, or a new window with one; None where no window can be made."""
    if editors := _image_editors(bpy.context):
        return max(editors, key=lambda area: area.width * area.height).spaces.active
    if bpy.app.background:
        return None
    windows = bpy.context.window_manager.windows
    before = set(windows)
    with overridden(window=windows[0]):  # the timer has none
        bpy.ops.wm.window_new()
    made = [window for window in windows if window not in before]
    if not made:
        return None
    area = made[0].screen.areas[0]
    area.ui_type = "IMAGE_EDITOR"
    return area.spaces.active
