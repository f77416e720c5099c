"""Esc, which stops what this Blender makes for jobs: views of captures and textures, and textures
made of materials. While a view is rendered Blender's own render takes the key; beside it a tool
does, which waits for nothing else and is there for as long as there is something to stop.
"""

import bpy

from ..data.overriding import overridden
from ..jobs import session, texture_making
from ..jobs.job import ESC, Job, running_tools
from ..jobs.running import find_scene
from ..jobs.texture_views import Views
from ..jobs.upload import Upload
from ..link.worker_thread import LinkState

WORDS = "Esc stops it."


def stops(job: Job) -> bool:
    """Whether Esc stops a job: its views are taken just now."""
    is_connected = session.state.status.state is LinkState.CONNECTED
    views = isinstance(job.preparation, Upload | Views) and job.request is None
    return is_connected and views and job.outcome is None


def _stoppable() -> list[Job]:
    return [one for one in session.state.jobs.values() if stops(one)]


def look() -> None:
    """Wait for the key in all windows as soon as it can stop something; the timer calls this."""
    if bpy.app.background or not (_stoppable() or texture_making.makings.now is not None):
        return
    if bpy.app.is_job_running("RENDER"):  # which takes the key, and lets no tool begin
        return
    for window in bpy.context.window_manager.windows:
        if any(tool.bl_idname == ESC for tool in window.modal_operators):
            continue
        with overridden(window=window):
            bpy.ops.watch_your_steps.wait_for_esc("INVOKE_DEFAULT")


class WYS_OT_wait_for_esc(bpy.types.Operator):
    """Stop with Esc what is rendered for jobs"""

    bl_idname = "watch_your_steps.wait_for_esc"
    bl_label = "Wait for Esc"
    bl_options = {"INTERNAL"}

    def invoke(self, context: bpy.types.Context, _: bpy.types.Event) -> set[str]:
        """Wait."""
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Blender calls this for every event; all but the key go on to Blender."""
        jobs = _stoppable()
        if not jobs and texture_making.makings.now is None:
            return {"FINISHED", "PASS_THROUGH"}
        if event.type != "ESC" or event.value != "PRESS" or running_tools():
            return {"PASS_THROUGH"}  # of several tools the key ends the others first
        for job in jobs:
            scene = find_scene(job)
            if scene is not None:
                session.cancel(scene)
        if not jobs:
            texture_making.cancel()
        return {"RUNNING_MODAL"}


register, unregister = bpy.utils.register_classes_factory((WYS_OT_wait_for_esc,))
