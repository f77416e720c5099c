"""The list of edits that wait for their turn."""

import textwrap

import bpy

from ..jobs import saved_waiting, session, waiting
from ..jobs.job import NewJob
from . import words
from .languages import iface_
from .languages.sentences import capitalised

SHOWN = 5
"""The next ones; of the others there is the number."""
INSTRUCTION = 50
"""How many letters of an instruction stand in the list."""


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What waits in the scene, with buttons to change that; nothing where nothing waits."""
    _draw_saved(layout, context)
    jobs = waiting.waiting(context.scene)
    if not jobs:
        return
    box = layout.box()
    row = box.row()
    text = f"{len(jobs)} edits wait" if jobs[1:] else "1 edit waits"
    row.label(text=iface_(text), icon="SORTTIME")
    row.operator("watch_your_steps.remove_all_waiting", text="", icon="TRASH")
    if session.job_of(context.scene) is None:
        text = "They begin when the backend is connected."
        words.paragraph(box, context, text, inset=words.BOX)
    for job in jobs[:SHOWN]:
        _draw_one(box, context, job)
    if jobs[SHOWN:]:
        box.label(text=iface_(f"and {len(jobs) - SHOWN} more"))


def _draw_saved(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What had not ended when the file was saved, until it goes on."""
    entries = saved_waiting.offered(context.scene)
    if not entries:
        return
    box = layout.box()
    many = f"{len(entries)} edits had not ended when this file was saved."
    text = many if entries[1:] else "1 edit had not ended when this file was saved."
    words.paragraph(box, context, text, icon="SORTTIME", inset=words.BOX)
    for entry in entries[:SHOWN]:
        words.paragraph(box, context, _said(entry), inset=words.BOX)
    if entries[SHOWN:]:
        box.label(text=iface_(f"and {len(entries) - SHOWN} more"))
    row = box.row(align=True)
    row.operator("watch_your_steps.go_on", icon="PLAY")
    row.operator("watch_your_steps.drop_saved", text="", icon="TRASH")


def _said(job: NewJob | bpy.types.PropertyGroup) -> str:
    title = capitalised(iface_(job.title))
    begin = textwrap.shorten(job.instruction, INSTRUCTION, placeholder="...")
    return title if job.group else f'{title}: "{begin}"'


def _draw_one(layout: bpy.types.UILayout, context: bpy.types.Context, job: NewJob) -> None:
    row = layout.row()
    words.paragraph(row.column(), context, _said(job), inset=words.BOX + 3 * words.BUTTON)
    buttons = row.row(align=True)
    for to, icon in (("UP", "TRIA_UP"), ("DOWN", "TRIA_DOWN")):
        button = buttons.operator("watch_your_steps.move_waiting", text="", icon=icon)
        button.job, button.to = job.id, to
    buttons.operator("watch_your_steps.remove_waiting", text="", icon="X").job = job.id
