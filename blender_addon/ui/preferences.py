"""The extension's preferences."""

# mypy: disable-error-code="valid-type"
# Blender reads properties from annotations, which are calls and not types.

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ..jobs import session
from ..protocol.connection import default_connection_file
from ..protocol.model_choices import MODEL_CHOICES
from . import shortcuts, words

OWN_MODEL = "own"
MODELS = (
    *((one.model, one.title, one.text) for one in MODEL_CHOICES),
    (OWN_MODEL, "Another One", "A model in diffusers' format: its hub id, or its folder"),
)

EXTENSION = (__package__ or "").rpartition(".")[0]
"""The package of the extension, by whose name Blender keeps its preferences."""


class WatchYourStepsPreferences(bpy.types.AddonPreferences):
    """How to reach the backend."""

    bl_idname = EXTENSION

    connection_file: StringProperty(
        name="Connection File",
        description=(
            "The file that the backend writes when it starts; for a backend on another machine, a "
            "copy of it. Empty: the place where a backend on this machine puts it"
        ),
        subtype="FILE_PATH",
    )
    connect_at_start: BoolProperty(
        name="Connect at Start",
        description="Look for the backend as soon as Blender starts, and connect when it is there",
        default=True,
    )

    program_folder: StringProperty(
        name="Program Folder",
        description=(
            "The folder of Watch Your Steps that holds install.py, for starting the backend from "
            "here. Empty: the one that this add-on was installed from"
        ),
        subtype="DIR_PATH",
    )
    model_choice: EnumProperty(
        name="Model", description="What Start Backend starts it with", items=MODELS
    )
    own_model: StringProperty(
        name="Hub Id or Folder", description="A model in diffusers' format, safetensors only"
    )

    def draw(self, context: bpy.types.Context) -> None:
        """The connection's settings and how it stands."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "connection_file", placeholder=str(default_connection_file()))
        layout.prop(self, "connect_at_start")
        layout.prop(self, "program_folder")
        layout.prop(self, "model_choice")
        if self.model_choice == OWN_MODEL:
            layout.prop(self, "own_model")
        else:
            text = next(one[2] for one in MODELS if one[0] == self.model_choice)
            words.paragraph(layout, context, f"{text}.", icon="INFO")
        shortcuts.draw(layout, context)
        row = layout.row()
        row.operator("watch_your_steps.connect", text="Test Connection", icon="FILE_REFRESH")
        status = session.state.status
        words.paragraph(layout, context, words.status(status), icon=words.status_icon(status.state))


def model(chosen: WatchYourStepsPreferences | None) -> str:
    """What Start Backend gives as `--model`."""
    if chosen is None:
        return MODEL_CHOICES[0].model
    return chosen.own_model or "auto" if chosen.model_choice == OWN_MODEL else chosen.model_choice


def get() -> WatchYourStepsPreferences | None:
    """The preferences, or None while Blender has not loaded them (as in some scripts)."""
    addon = bpy.context.preferences.addons.get(EXTENSION)
    return addon.preferences if addon is not None else None


def register() -> None:
    """Make the preferences known."""
    bpy.utils.register_class(WatchYourStepsPreferences)


def unregister() -> None:
    """Take them away; their values stay in Blender's own preferences."""
    bpy.utils.unregister_class(WatchYourStepsPreferences)
