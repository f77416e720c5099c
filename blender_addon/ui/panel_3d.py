"""The sub-panels "Texture" and "Scene in 3D"."""

import bpy

from ..data import copies, pictures
from ..data.meshes import edited_textures, live_textures
from ..data.meshes.brought_mesh import collection_of
from ..jobs import scene_jobs, session
from ..jobs.job import Job
from . import (
    panel_make,
    panel_painted_3d,
    panel_texture_edits,
    panel_texture_region,
    thumbnails,
    words,
)
from .languages import iface_
from .languages.sentences import capitalised
from .operators_several import FEWEST, selected_meshes
from .operators_texture_region import base_of
from .panel import SUB_PANELS, SidebarPanel, WYS_PT_main

SUGGESTED = 0.5
"""The threshold, on the scale that is calibrated to the scene."""
PREVIEW_SCALE = 6.0
PICTURES_SCALE = 9.0


TEXTURE_JOBS = {"texture", "texture_again", "texture_in_turn", "texture_relevance"}
SCENE_JOBS = {"capture", "train", "edit_scene", "mesh", "scene_texture", "scene_render"}


class WYS_PT_texture(SidebarPanel, bpy.types.Panel):
    """The edit of the active object's texture."""

    bl_parent_id = WYS_PT_main.bl_idname
    bl_label = "Texture"
    bl_order = SUB_PANELS.index(bl_label)
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        """How far it is, also while the panel is closed."""
        _draw_share(self.layout, context, TEXTURE_JOBS)

    def draw(self, context: bpy.types.Context) -> None:
        """Settings, the button, and the switch between original and edited."""
        layout = self.layout
        settings, thing = context.scene.watch_your_steps, context.active_object
        if thing is None or thing.type != "MESH":
            words.paragraph(layout, context, "Click on a mesh", icon="INFO")
        else:
            layout.label(text=thing.name, icon="MESH_DATA", translate=False)
            _draw_images(layout, context, thing)
            panel_make.draw(layout, context, thing)
        texture = settings.texture
        column = layout.column(align=True)
        for name in ("views", "hidden_parts", "size", "steps", "rounds"):
            column.prop(texture, name)
        _draw_size(layout, context, texture.size)
        words.guidance(layout, session.state.status.welcome, settings)
        layout.prop(texture, "lit")
        panel_texture_region.draw_settings(layout, context)
        panel_texture_edits.draw_base(layout, context)
        row = layout.row()
        row.scale_y = 1.4
        row.operator("watch_your_steps.edit_texture", icon="TEXTURE")
        if len(selected_meshes(context)) >= FEWEST:
            layout.operator("watch_your_steps.edit_textures", icon="DUPLICATE")
        _draw_job(layout, context, TEXTURE_JOBS)
        panel_texture_region.draw_edit(layout, context)
        panel_texture_edits.draw(layout, context)


def _draw_images(
    layout: bpy.types.UILayout, context: bpy.types.Context, thing: bpy.types.Object
) -> None:
    """Which image will be edited: a choice, where several colour the object."""
    engine = context.scene.render.engine
    if edited_textures.shows_relevance(thing, engine) or live_textures.mixed(thing):
        return
    images, chosen = edited_textures.to_paint(
        thing, context.scene.watch_your_steps.texture.image, engine
    )
    if len(images) == 1:
        base = base_of(context)
        name = images[0].name if base is None else base.name
        words.paragraph(layout, context, f'Edits "{name}"', icon="IMAGE_DATA")
    elif images:
        text = "Edits only the chosen one of these"
        words.paragraph(layout, context, text, icon="IMAGE_DATA")
        column = layout.column(align=True)
        for image in images:
            button = column.operator(
                "watch_your_steps.choose_texture",
                text=image.name,
                depress=image == chosen,
                translate=False,
            )
            button.image = image.name_full


class WYS_PT_scene_in_3d(SidebarPanel, bpy.types.Panel):
    """Capture, train, edit, mesh."""

    bl_parent_id = WYS_PT_main.bl_idname
    bl_label = "Scene in 3D"
    bl_order = SUB_PANELS.index(bl_label)
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        """How far it is, also while the panel is closed."""
        _draw_share(self.layout, context, SCENE_JOBS)

    def draw(self, context: bpy.types.Context) -> None:
        """One box a step, in the order in which an artist works."""
        layout = self.layout
        row = layout.row()
        row.scale_y = 1.4
        row.operator("watch_your_steps.all_in_3d", icon="PLAY")
        _draw_capture(layout.box(), context)
        _draw_training(layout.box(), context)
        _draw_edit(layout.box(), context)
        _draw_mesh(layout.box(), context)
        _draw_film(layout.box(), context)


def _draw_capture(box: bpy.types.UILayout, context: bpy.types.Context) -> None:
    in_3d = context.scene.watch_your_steps.in_3d
    _draw_title(box, "1  Capture", in_3d.sealed)
    box.row().prop(in_3d, "cameras", expand=True)
    column = box.column(align=True)
    if in_3d.cameras == "AROUND":
        column.prop(in_3d, "views")
    else:
        column.label(text=iface_(_how_many(context.scene, in_3d.cameras)))
    column.prop(in_3d, "size")
    _draw_size(box, context, in_3d.size)
    begun = in_3d.capture and not in_3d.sealed and session.job_of(context.scene) is None
    if begun:
        box.operator("watch_your_steps.resume_capture", icon="FILE_REFRESH")
    row = box.row(align=True)
    text = "Capture Anew" if in_3d.capture else "Capture"
    row.operator("watch_your_steps.capture_scene", text=text, icon="OUTLINER_OB_CAMERA")
    if in_3d.capture:
        row.operator("watch_your_steps.drop_capture", text="", icon="TRASH")
    _draw_job(box, context, {"capture"})
    if in_3d.sealed and in_3d.capture in session.state.lacking:
        text = f"{scene_jobs.NOT_HERE}."
        words.paragraph(box, context, text, icon="ERROR", inset=words.BOX)
    elif in_3d.sealed:
        text = f"{in_3d.views_planned} views are at the backend."
        words.paragraph(box, context, text, inset=words.BOX)
        if copies.is_borrowed(context.scene):
            words.paragraph(box, context, f"{scene_jobs.BORROWED}.", icon="INFO", inset=words.BOX)
    elif begun:
        text = f"{in_3d.views_sent} of {in_3d.views_planned} views were sent."
        words.paragraph(box, context, text, inset=words.BOX)


def _how_many(scene: bpy.types.Scene, cameras: str) -> str:
    if cameras == "CAMERAS":
        return f"{sum(thing.type == 'CAMERA' for thing in scene.objects)} cameras"
    return f"{len(range(scene.frame_start, scene.frame_end + 1, scene.frame_step))} frames"


def _draw_training(box: bpy.types.UILayout, context: bpy.types.Context) -> None:
    in_3d = context.scene.watch_your_steps.in_3d
    _draw_title(box, "2  Train", bool(in_3d.field))
    box.row().prop(in_3d, "preset", expand=True)
    box.prop(in_3d, "train_iterations")
    row = box.row(align=True)
    row.operator("watch_your_steps.train_scene", icon="RENDER_ANIMATION")
    if in_3d.field:
        row.operator("watch_your_steps.train_scene", text="", icon="FILE_REFRESH").anew = True
    _draw_job(box, context, {"train"})
    if in_3d.field:
        field = words.listed(in_3d.field.removesuffix("."))
        words.paragraph(box, context, capitalised(f"{field}."), inset=words.BOX)


def _draw_edit(box: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings, in_3d = context.scene.watch_your_steps, context.scene.watch_your_steps.in_3d
    _draw_title(box, "3  Edit", bool(in_3d.edit))
    box.prop(settings, "instruction", text="", placeholder="turn the ball red")
    column = box.column(align=True)
    column.prop(in_3d, "as_in_paper")
    column.prop(in_3d, "threshold", slider=True)
    if not in_3d.as_in_paper:  # the paper's are its own
        column.prop(in_3d, "method")
        column.prop(in_3d, "snap")
        column.prop(in_3d, "detail")
    column.prop(in_3d, "rim")
    column.prop(in_3d, "steps")
    column.prop(in_3d, "edit_iterations")
    words.guidance(box, session.state.status.welcome, settings)
    if in_3d.threshold != SUGGESTED:
        box.label(text=iface_(f"Suggested threshold: {SUGGESTED}"), icon="INFO")
    if in_3d.edit:
        box.prop(in_3d, "stack")
    panel_painted_3d.draw(box, context)
    box.operator("watch_your_steps.edit_scene", icon="BRUSH_DATA")
    _draw_job(box, context, {"edit_scene"})
    known = session.scene_state(context.scene)
    for edit in known.edits if known is not None else ():
        row = box.row(align=True)
        chosen = edit.name == in_3d.edit
        if edit.finished:
            row.operator(
                "watch_your_steps.choose_scene_edit",
                text=edit.instruction,
                translate=False,
                icon="RADIOBUT_ON" if chosen else "RADIOBUT_OFF",
                depress=chosen,
            ).name = edit.name
        else:
            text = f'"{edit.instruction}" is not finished: Edit in 3D by it goes on.'
            inset = words.BOX + words.BUTTON
            words.paragraph(row.column(), context, text, icon="PAUSE", inset=inset)
        row.operator("watch_your_steps.undo_scene_edit", text="", icon="TRASH").name = edit.name
    if in_3d.edit and in_3d.pictures is not None:
        if lost := pictures.why_lost(in_3d.pictures):
            words.paragraph(box, context, f"{lost}.", icon="ERROR", inset=words.BOX)
            return
        number = thumbnails.icon("pictures", pictures.read_rgb(in_3d.pictures))
        box.template_icon(icon_value=number, scale=PICTURES_SCALE)
        box.label(text="Before, after, relevance")


def _draw_mesh(box: bpy.types.UILayout, context: bpy.types.Context) -> None:
    in_3d = context.scene.watch_your_steps.in_3d
    _draw_title(box, "4  Bring Back", False)
    column = box.column(align=True)
    column.prop(in_3d, "faces")
    column.prop(in_3d, "texture_size")
    column.prop(in_3d, "plain")
    box.operator("watch_your_steps.bring_mesh", icon="MESH_MONKEY")
    _draw_job(box, context, {"mesh"})
    thing = context.active_object
    ready = bool(in_3d.edit) and thing is not None and thing.type == "MESH"
    text = f"Bring into {thing.name}'s Texture" if ready else "Bring into Its Own Texture"
    box.operator("watch_your_steps.bring_texture", text=iface_(text), icon="TEXTURE")
    _draw_job(box, context, {"scene_texture"})
    brought = collection_of(context.scene)
    if brought is not None and brought.objects:
        text = (
            f'The mesh lies in the collection "{brought.name}", where the scene itself '
            "is. Click on it: Numpad / shows it alone, and Texture above switches its picture."
        )
        words.paragraph(box, context, text, inset=words.BOX)


def _draw_film(box: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings, in_3d = context.scene.watch_your_steps, context.scene.watch_your_steps.in_3d
    _draw_title(box, "5  Look Through the Camera", False)
    box.prop(settings, "max_side")
    row = box.row(align=True)
    row.operator("watch_your_steps.render_view", icon="RENDER_STILL")
    row.operator("watch_your_steps.render_frames", icon="RENDER_ANIMATION")
    _draw_job(box, context, {"scene_render"})
    if in_3d.film:
        words.paragraph(box, context, in_3d.film, inset=words.BOX)


def _draw_title(box: bpy.types.UILayout, text: str, done: bool) -> None:
    row = box.row()
    row.label(text=text)
    if done:
        row.label(icon="CHECKMARK")


def _draw_size(layout: bpy.types.UILayout, context: bpy.types.Context, chosen: int) -> None:
    """What a size of 0 stands for."""
    welcome = session.state.status.welcome
    if not chosen and welcome is not None and welcome.native_size:
        text = f"Size 0: the model's own, {welcome.native_size} px"
        words.paragraph(layout, context, text, icon="INFO", inset=words.BOX)


def _running(context: bpy.types.Context, kinds: set[str]) -> Job | None:
    job = session.job_of(context.scene)
    return job if job is not None and job.kind in kinds else None


def _draw_share(layout: bpy.types.UILayout, context: bpy.types.Context, kinds: set[str]) -> None:
    job = _running(context, kinds)
    if job is not None:
        layout.label(text=f"{job.fraction:.0%}")


def _draw_job(layout: bpy.types.UILayout, context: bpy.types.Context, kinds: set[str]) -> None:
    """Progress, a small picture, what is being done, and Cancel."""
    job = _running(context, kinds)
    if job is None:
        return
    words.progress(layout, context, job)
    if job.preview is not None:
        number = thumbnails.icon("preview", job.preview)
        layout.template_icon(icon_value=number, scale=PREVIEW_SCALE)


CLASSES = (WYS_PT_texture, WYS_PT_scene_in_3d)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
