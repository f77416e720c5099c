"""The tab "Watch Your Steps" in the 3D view's sidebar."""

import bpy
import numpy as np

from ..data import edits, picture_source, region, results, thing_labels
from ..data.taken_pictures import STATE, VIEWPOINT
from ..data.translations import CONTEXT
from ..jobs import session
from ..jobs.job import Job
from ..jobs.kinds import KINDS
from ..jobs.picture_jobs import UNCHANGED
from ..protocol.known_settings import all_settings
from ..protocol.region import Snapped
from ..protocol.settings import GUIDANCE, EditSettings, PictureMapSettings
from ..render import freshness
from ..render.camera_render import viewpoint
from . import panel_backend, panel_source, panel_waiting, words
from .languages import iface_
from .overlay import lost_picture
from .presets import WYS_PT_edit_presets
from .switches import cell

PROMPT_ADVICE = "Edit still works, but where it edits is a guess."


SUB_PANELS = (
    "Mask",
    "Show in Camera View",
    "Edits",
    "Result",
    "Edit Settings",
    "Preview Settings",
    "Frames",
    "Texture",
    "Scene in 3D",
)

"""Titles of the sub-panels from the top: first what goes with the picture that is worked on, then
what is set once, then work on other things than one picture. All but "Edits" begin closed, so that
the first thing to be seen is instruction, preview, threshold, edit.
"""


class SidebarPanel:
    """Where all panels are."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Watch Your Steps"
    bl_translation_context = CONTEXT


class WYS_PT_main(SidebarPanel, bpy.types.Panel):
    """Instruction, preview, threshold, edit."""

    bl_idname = "WYS_PT_main"
    bl_label = "Watch Your Steps"

    def draw(self, context: bpy.types.Context) -> None:
        """From the top in the order in which an artist works."""
        layout = self.layout
        settings = context.scene.watch_your_steps
        job = session.job_of(context.scene)
        message = _message(context)
        unchanged = message.startswith(UNCHANGED)
        if unchanged:
            _draw_message(layout, context, message)
        panel_backend.draw(layout, context)

        panel_source.draw(layout, settings)
        column = layout.column(align=True)
        column.label(text="Instruction")
        column.prop(settings, "instruction", text="", placeholder="turn the ball red")

        column = layout.column()
        row = column.row()
        row.scale_y = 1.4
        row.operator("watch_your_steps.preview_relevance", icon="VIEWZOOM")
        column.prop(settings, "threshold", slider=True)
        suggested = region.suggestion(settings) if settings.relevance_image is not None else -1
        if suggested >= 0:
            row = column.row()
            row.label(text=iface_(f"Suggested: {suggested:.3f}"))
            row.operator("watch_your_steps.use_suggestion")
        found = region.snapped_map(settings) if settings.relevance_image is not None else None
        if found is not None and (why := why_so(settings, found)):
            words.paragraph(column, context, why, icon="INFO")
        if settings.prompt_check and results.is_current(context.scene):
            _draw_prompt_check(column, context, settings)
        if settings.edits:
            _draw_base(column, context, settings)
        row = column.row()
        row.scale_y = 1.4
        row.operator("watch_your_steps.edit", icon="BRUSH_DATA")
        row = column.row(align=True)
        row.operator("watch_your_steps.variants")
        row.prop(settings, "variants", text="")
        if job is not None and (KINDS[job.kind].over_camera or job.group):
            words.progress(layout, context, job)
        panel_waiting.draw(layout, context)
        if message and not unchanged:
            _draw_message(layout, context, message)
        _draw_hints(layout, context, settings)


def _draw_base(
    layout: bpy.types.UILayout, context: bpy.types.Context, settings: bpy.types.PropertyGroup
) -> None:
    """What the next edit is made of."""
    row = layout.row(align=True)
    row.label(text="Edit")
    row.prop(settings, "base", expand=True)
    if settings.base == "EDIT":
        below = edits.below_next(settings)
        text = f'On top of "{below.title}".' if below is not None else "On top of a deleted edit."
        if settings.base_image is None:
            text = "Choose the edit to go on from in the list."
        words.paragraph(layout, context, text, icon="INFO")


def why_so(settings: bpy.types.PropertyGroup, found: Snapped) -> str:
    """Why the map is not snapped as was asked, "" where it is."""
    things = thing_labels.of(settings.render_image) if settings.render_image is not None else None
    if settings.snap == "things" and things is not None and things.unknown:
        return f"{things.unknown} {found.why}"
    if found.took == "things" and things is not None and things.kind != settings.things:
        return "The kind of things has changed: preview again to find them."
    return found.why


def _draw_prompt_check(
    layout: bpy.types.UILayout, context: bpy.types.Context, settings: bpy.types.PropertyGroup
) -> None:
    """The warning that the map below the threshold is a guess; it stays as long as the map does."""
    box = layout.box()
    warning = box.column()
    warning.alert = True
    words.paragraph(warning, context, settings.prompt_check, icon="ERROR", inset=words.BOX)
    words.paragraph(box, context, PROMPT_ADVICE, icon="INFO", inset=words.BOX)


def _message(context: bpy.types.Context) -> str:
    """What is to be said, without what the panel says in another place already."""
    message = session.message_of(context.scene)
    if message == session.state.status.text:
        return ""
    settings = context.scene.watch_your_steps
    if settings.prompt_check and results.is_current(context.scene):
        message = message.replace(settings.prompt_check, "")
    found = region.snapped_map(settings)
    if found is not None and found.why:  # it stands below the threshold
        message = message.replace(found.why, "")
    return message.strip()


def _draw_message(layout: bpy.types.UILayout, context: bpy.types.Context, message: str) -> None:
    row = layout.box().row()
    inset = words.BOX + words.BUTTON
    words.paragraph(row.column(), context, message, icon=icon_of(context.scene), inset=inset)
    row.operator("watch_your_steps.dismiss", text="", icon="X", emboss=False)


def icon_of(scene: bpy.types.Scene) -> str:
    """What stands before the sentence in a scene's panel."""
    if session.says_done(scene):
        return "CHECKMARK"
    return "SORTTIME" if session.says_working(scene) else "ERROR"


def _draw_hints(
    layout: bpy.types.UILayout, context: bpy.types.Context, settings: bpy.types.PropertyGroup
) -> None:
    """What the artist should know."""
    for job in session.waiting_elsewhere():
        words.paragraph(layout, context, _where_it_waits(job), icon="INFO")
    if lost := lost_picture(settings, settings.view):
        words.paragraph(layout, context, f"{lost}.", icon="ERROR")
    kind = picture_source.of(settings.render_image).kind if settings.render_image else ""
    text = words.stale(changed_since(context.scene), settings.view == "IN_3D", kind)
    if panel_source.is_other(settings):
        text = panel_source.OTHER
    if text:
        words.paragraph(layout, context, text, icon="INFO")
    if settings.relevance_image is not None and not results.is_current(context.scene):
        what = results.changed_since_map(context.scene)
        text = f"The {what} has changed: Edit will look for its relevance in the shown render."
        words.paragraph(layout, context, text, icon="INFO")


def _where_it_waits(job: Job) -> str:
    """What brings a result back whose scene is not there."""
    if job.file and job.file == bpy.data.filepath:
        return (
            f'A result waits for the scene "{job.scene_name}", which is not in this file any more: '
            "undo its deletion, or go back to the saved file (File > Revert)."
        )
    name = bpy.path.basename(job.file) or "a file that was never saved"
    return f'A result for the scene "{job.scene_name}" waits until {name} is opened again.'


def has_moved(scene: bpy.types.Scene) -> bool:
    """Whether the camera, its lens or the frame has changed since the shown render was taken."""
    settings = scene.watch_your_steps
    image = settings.scene_image if settings.view == "IN_3D" else settings.render_image
    if image is None or scene.camera is None or VIEWPOINT not in image:
        return False
    return not np.allclose(image[VIEWPOINT], viewpoint(scene), atol=1e-4)


def changed_since(scene: bpy.types.Scene) -> list[str]:
    """What of the scene has changed since the shown render was taken, as `freshness.changes`."""
    settings = scene.watch_your_steps
    image = settings.render_image
    state = image.get(STATE, "") if image is not None else ""
    of_image = image is not None and picture_source.of(image).kind == picture_source.IMAGE
    if settings.view == "IN_3D" or not state or (scene.camera is None and not of_image):
        return ["camera"] if has_moved(scene) else []
    return freshness.known_changes(scene, image, state)


class WYS_PT_view(SidebarPanel, bpy.types.Panel):
    """What is shown over the camera's frame."""

    bl_parent_id = "WYS_PT_main"
    bl_label = "Show in Camera View"
    bl_order = SUB_PANELS.index(bl_label)
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header(self, context: bpy.types.Context) -> None:
        """The switch that hides the pictures."""
        self.layout.prop(context.scene.watch_your_steps, "show", text="")

    def draw(self, context: bpy.types.Context) -> None:
        """The choice of the picture."""
        layout = self.layout
        settings = context.scene.watch_your_steps
        region = context.space_data.region_3d
        if not settings.show:
            text = "Nothing is shown while the box above is not ticked."
            words.paragraph(layout, context, text, icon="INFO")
        if region is not None and region.view_perspective != "CAMERA" and context.scene.camera:
            layout.operator("watch_your_steps.look_through_camera", icon="VIEW_CAMERA")
        column = layout.column(align=True)
        rows = (("RENDER", "RELEVANCE", "MASK"), ("EDIT", "COMPARE", "LAYERS"))
        for views in (*rows, ("VARIANTS", "IN_3D")):
            row = column.row(align=True)
            for view in views:
                cell(row, "watch_your_steps.show_picture", "view", view, settings.view == view)
        if settings.view == "COMPARE":
            layout.prop(settings, "split", slider=True)
            layout.row().prop(settings, "compare_with", expand=True)
            if settings.compare_with == "BEFORE" and edits.before_shown(settings) is None:
                text = "There is no edit before this one: it is compared with its base."
                words.paragraph(layout, context, text, icon="INFO")
        layout.prop(settings, "opacity", slider=True)
        panel_source.draw_place(layout, context)


class WYS_PT_edit(SidebarPanel, bpy.types.Panel):
    """How the edit is made."""

    bl_parent_id = "WYS_PT_main"
    bl_label = "Edit Settings"
    bl_order = SUB_PANELS.index(bl_label)
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header_preset(self, _: bpy.types.Context) -> None:
        """The button beside the title."""
        WYS_PT_edit_presets.draw_panel_header(self.layout)

    def draw(self, context: bpy.types.Context) -> None:
        """The diffusion's settings."""
        layout = self.layout
        settings = context.scene.watch_your_steps
        column = layout.column(align=True)
        for one in all_settings(EditSettings):
            if one.name == "seed":
                row = column.row(align=True)
                row.prop(settings, "seed")
                row.operator("watch_your_steps.random_seed", text="", icon="FILE_REFRESH")
                row.prop(settings, "new_seed", text="", icon="RNDCURVE")
            elif one.name not in (*GUIDANCE, "rim"):  # the mask's panel has the rim
                column.prop(settings, one.name)
        words.guidance(layout, session.state.status.welcome, settings)
        if session.state.last_edit:
            words.paragraph(layout, context, session.state.last_edit, icon="INFO")


class WYS_PT_relevance(SidebarPanel, bpy.types.Panel):
    """How the picture is taken."""

    bl_parent_id = "WYS_PT_main"
    bl_label = "Preview Settings"
    bl_order = SUB_PANELS.index(bl_label)
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The settings of where it comes from."""
        panel_source.draw_settings(self.layout, context)


class WYS_PT_advanced(SidebarPanel, bpy.types.Panel):
    """How the relevance is found."""

    bl_parent_id = "WYS_PT_relevance"
    bl_label = "Advanced"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The relevance map's settings."""
        settings = context.scene.watch_your_steps
        column = self.layout.column()
        choices, numbers = column.row(), column.column(align=True)
        for one in all_settings(PictureMapSettings):
            if one.kind is str:
                choices.prop(settings, one.name, expand=True)
            else:
                numbers.prop(settings, one.name)


CLASSES = (WYS_PT_main, WYS_PT_view, WYS_PT_edit, WYS_PT_relevance, WYS_PT_advanced)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
