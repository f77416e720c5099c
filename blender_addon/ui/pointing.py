"""Which place of the shown picture is under the pointer: over the camera's frame in a 3D view, and
in an Image Editor that shows one of the pictures.
"""

from dataclasses import dataclass

import bpy

from ..data import picture_source
from .frame import Frame, camera_frame
from .picture_places import fits_camera, image_frame, same_shape

PICTURED = ("render_image", "relevance_image", "mask_image", "painted_image")
"""What an Image Editor shows where places are those of the picture."""


@dataclass(frozen=True)
class Canvas:
    """Where a picture is shown: a region of a 3D view or of an Image Editor."""

    space: bpy.types.Space
    part: bpy.types.Region

    def is_open(self, screen: bpy.types.Screen) -> bool:
        """Whether it is still there: a script may give its area to another editor meanwhile."""
        return any(
            area.spaces.active == self.space and self.part in list(area.regions)
            for area in screen.areas
        )

    def frame(self, scene: bpy.types.Scene) -> Frame | None:
        """Where the picture lies in the region; None where it is not shown."""
        if self.space.type == "IMAGE_EDITOR":
            if not shows_picture(self.space, scene.watch_your_steps):
                return None
            return image_frame(self.part)
        if not (self.space.overlay.show_overlays and fits_camera(scene)):
            return None
        return visible_frame(scene, self.space, self.part)

    def place(self, scene: bpy.types.Scene, event: bpy.types.Event) -> tuple[float, float] | None:
        """The pointer's place, (0, 0) being the picture's lower left corner and (1, 1) its upper
        right one; it may be beyond. None where no picture is shown.
        """
        frame = self.frame(scene)
        if frame is None:
            return None
        x, y = event.mouse_x - self.part.x + 0.5, event.mouse_y - self.part.y + 0.5
        across, up = frame.right - frame.left, frame.top - frame.bottom
        return (x - frame.left) / across, (y - frame.bottom) / up


def shows_picture(space: bpy.types.SpaceImageEditor, settings: bpy.types.PropertyGroup) -> bool:
    """Whether an Image Editor shows one of the scene's pictures, or the image that they are of."""
    image, render = space.image, settings.render_image
    if image is None or render is None:
        return False
    if image in [getattr(settings, one) for one in PICTURED]:
        return True
    taken = picture_source.image_of(settings, render)
    return image == taken and same_shape(image.size, render.size)


def canvas_at(screen: bpy.types.Screen, x: int, y: int) -> Canvas | None:
    """The 3D view or Image Editor at a place of the window; None where something else is, such as a
    sidebar.
    """
    for area in screen.areas:
        if area.type not in ("VIEW_3D", "IMAGE_EDITOR"):
            continue
        there = [
            one
            for one in area.regions
            if one.x <= x < one.x + one.width and one.y <= y < one.y + one.height
        ]
        if there and all(one.type == "WINDOW" for one in there):
            return Canvas(area.spaces.active, there[0])
    return None


def why_no_canvas(context: bpy.types.Context) -> str:
    """Why no picture can be pointed at here, without a full stop; "" where one can."""
    space = context.space_data
    if space is not None and space.type == "IMAGE_EDITOR":
        if shows_picture(space, context.scene.watch_your_steps):
            return ""
        return "Show the render, the map or the mask in this editor first"
    if not fits_camera(context.scene):
        return ""  # it is shown in Image Editors
    view = getattr(space, "region_3d", None)
    if view is None or view.view_perspective != "CAMERA":
        return "Look through the camera first, where the pictures are shown"
    return ""


def visible_frame(
    scene: bpy.types.Scene, space: bpy.types.SpaceView3D, part: bpy.types.Region
) -> Frame | None:
    """The frame of the scene's camera in a region of a 3D view, or None where the view does not
    look through it.
    """
    camera, view = scene.camera, part.data
    if camera is None or camera.type != "CAMERA" or view is None:
        return None
    if view.view_perspective != "CAMERA" or (space.use_local_camera and space.camera != camera):
        return None
    corners = camera.data.view_frame(scene=scene)
    return camera_frame(corners, view.window_matrix, part.width, part.height)
