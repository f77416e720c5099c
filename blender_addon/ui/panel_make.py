"""What the panel "Texture" shows of a texture that is, or can be, made of a mesh's materials."""

import bpy

from ..data.meshes import made_textures
from ..data.meshes.colour_changes import changing_node
from ..data.meshes.edited_textures import shows_relevance, to_paint
from ..jobs import texture_making
from . import esc, words
from .languages import iface_
from .languages.sentences import capitalised

CHANGED = (
    'The node "{node}" changes the colors of "{image}": an edit of it looks otherwise on the mesh. '
    "Make Texture bakes what is seen."
)

NO_IMAGE = "No image colors it: Make Texture bakes its materials into one."


def draw(layout: bpy.types.UILayout, context: bpy.types.Context, thing: bpy.types.Object) -> None:
    """How far it is, or the button that makes one or takes it off."""
    now = texture_making.makings.now
    if now is not None:
        _draw_progress(layout, context, now)
    elif made_textures.made_slots(thing):
        layout.operator("watch_your_steps.revert_making", icon="LOOP_BACK")
    else:
        _draw_why(layout, context, thing)
        column = layout.column(align=True)
        column.prop(context.scene.watch_your_steps.texture, "make_size")
        column.operator("watch_your_steps.make_texture", icon="RENDER_STILL")


def _draw_why(
    layout: bpy.types.UILayout, context: bpy.types.Context, thing: bpy.types.Object
) -> None:
    """Where an image is missing, or an edit of it would look otherwise on the mesh."""
    engine = context.scene.render.engine
    if shows_relevance(thing, engine):
        return
    _, image = to_paint(thing, context.scene.watch_your_steps.texture.image, engine)
    if image is None:
        words.paragraph(layout, context, NO_IMAGE, icon="INFO")
        return
    for slot in thing.material_slots:
        if changed := changing_node(slot.material, image, engine):
            text = CHANGED.format(node=changed, image=image.name)
            words.paragraph(layout, context, text, icon="INFO")
            return


def _draw_progress(
    layout: bpy.types.UILayout, context: bpy.types.Context, now: texture_making.Making
) -> None:
    box = layout.box()
    words.paragraph(box, context, f'Making the texture of "{now.name}"', inset=words.BOX)
    row = box.row(align=True)
    row.progress(factor=now.fraction, text=f"{now.fraction:.0%}")
    row.operator("watch_your_steps.cancel_making", text="", icon="CANCEL")
    stage = capitalised(iface_(now.stage))
    if follow := len(texture_making.makings.waiting):
        stage += iface_(f"; {follow} more to follow")
    words.paragraph(box, context, stage, inset=words.BOX)
    words.paragraph(box, context, iface_(esc.WORDS), inset=words.BOX)
