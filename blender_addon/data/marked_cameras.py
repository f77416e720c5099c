"""Cameras that timeline markers are bound to: Blender looks through them from their frames on."""

import bpy


def camera_of_markers(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The camera that markers have a render taken by, whichever is active: the last one up to the
    present frame, or else the first one; None where no marker has one.
    """
    marked = [one for one in scene.timeline_markers if one.camera and not one.camera.hide_render]
    marked.sort(key=lambda one: one.frame)
    past = [one for one in marked if one.frame <= scene.frame_current]
    return next((one.camera for one in (past[-1:] or marked)), None)


def follow_markers(scene: bpy.types.Scene) -> None:
    """Make that camera the active one, as Blender does when it renders or goes to another frame."""
    camera = camera_of_markers(scene)
    if camera is not None and scene.camera != camera:
        scene.camera = camera
