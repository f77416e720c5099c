"""The buttons that bring a backend: install, start and stop one here, or connect to another."""

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..data.translations import CONTEXT
from ..jobs import hub_models, own_backend, session
from ..jobs.job import SessionError
from ..jobs.own_backend import Stage
from ..link.child_process import last_lines
from ..protocol.connection import BadConnectionFile, parse_connection, write_connection
from ..protocol.folders import typed_path
from . import preferences, words
from .languages import iface_
from .operators import ExplainedOperator, refuse

SHOWN_LINES, LOG_WIDTH = 20, 640
"""Of the log, the last ones; and how wide they are shown, in unscaled pixels."""
PASTED = "pasted-connection.json"


def program() -> Path | None:
    """The folder that holds install.py, or None."""
    chosen = preferences.get()
    given = chosen.program_folder if chosen is not None else ""
    return own_backend.program_folder(bpy.path.abspath(given) if given else "")


def stage() -> Stage:
    """How this Blender's own backend stands."""
    return own_backend.stage(program())


def _use(file: str) -> None:
    """Connect with that file, now and the next time."""
    chosen = preferences.get()
    if chosen is None:
        raise SessionError("The add-on's preferences are not there: switch the add-on on.")
    chosen.connection_file = file
    bpy.context.preferences.is_dirty = True
    session.connect(session.connection_file(chosen))


class WYS_OT_install_backend(ExplainedOperator):
    """Make the environment that the backend runs in, in the background"""

    bl_idname = "watch_your_steps.install_backend"
    bl_label = "Install Backend"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Where the program is and its environment is not."""
        now = stage()
        if now is Stage.NO_PROGRAM:
            return own_backend.NO_PROGRAM
        if now in (Stage.NOT_INSTALLED, Stage.OUTDATED):
            return ""
        return "It is installed, or being installed"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Tell the size and the time before."""
        return context.window_manager.invoke_confirm(
            self,
            event,
            title="Install the backend?",
            message=iface_(f"{own_backend.NEEDED}."),
            confirm_text="Install",
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start it; how it goes stands in the panel."""
        found = program()
        try:
            if not bpy.app.online_access:
                raise SessionError(
                    'Installing needs the network: switch on "Allow Online Access" in '
                    "Preferences > System."
                )
            if found is None:
                raise SessionError(f"{own_backend.NO_PROGRAM}.")
            own_backend.install(found)
        except SessionError as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_start_backend(ExplainedOperator):
    """Start the backend on this machine and connect to it. It stops with Blender"""

    bl_idname = "watch_your_steps.start_backend"
    bl_label = "Start Backend"

    model: StringProperty(  # type: ignore[valid-type]
        name="Model",
        description="Hub id or folder of the model. Empty: the one of the preferences",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Where it is installed and does not run."""
        reasons = {
            Stage.NO_PROGRAM: own_backend.NO_PROGRAM,
            Stage.NOT_INSTALLED: "The backend is not installed yet: press Install Backend first",
            Stage.OUTDATED: "The backend is of another version: press Update Backend first",
            Stage.INSTALLING: "The backend is being installed: wait a moment",
            Stage.STOPPING: "The backend is being stopped: wait a moment",
            Stage.STARTING: "The backend is starting already",
            Stage.RUNNING: "The backend runs already",
        }
        return reasons.get(stage(), "")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Tell the size of a download before."""
        text = hub_models.question(self.model or preferences.model(preferences.get()))
        if not text or not bpy.app.online_access:
            return self.execute(context)
        return context.window_manager.invoke_confirm(
            self, event, title="Download the model?", message=iface_(text), confirm_text="Start"
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the process; how it goes stands in the panel."""
        found = program()
        model = self.model or preferences.model(preferences.get())
        try:
            if found is None:
                raise SessionError(f"{own_backend.NO_PROGRAM}.")
            own_backend.start_server(found, model, bpy.app.online_access)
        except SessionError as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_stop_backend(ExplainedOperator):
    """Stop the backend, or its installation. What it has trained goes on from there next time"""

    bl_idname = "watch_your_steps.stop_backend"
    bl_label = "Stop Backend"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Where this Blender has started something."""
        running = stage() in (Stage.INSTALLING, Stage.STARTING, Stage.RUNNING)
        return "" if running else "This Blender has started no backend"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Have the processes end."""
        own_backend.stop()
        return {"FINISHED"}


class WYS_OT_show_backend_log(ExplainedOperator):
    """Show what the backend and its installation have said last, and open all of it"""

    bl_idname = "watch_your_steps.show_backend_log"
    bl_label = "Show Log"
    bl_options = {"INTERNAL"}  # nothing of it is in the file

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Where there is one."""
        return "" if own_backend.log_file().is_file() else "Nothing was started here yet"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """A window with the last lines."""
        return context.window_manager.invoke_props_dialog(
            self, width=LOG_WIDTH, title="What the Backend Has Said", confirm_text="Open All of It"
        )

    def draw(self, context: bpy.types.Context) -> None:
        """The last lines and where all of them are."""
        path = own_backend.log_file()
        column = self.layout.box().column(align=True)
        for line in last_lines(path)[-SHOWN_LINES:]:
            words.wide_paragraph(column, context, line, LOG_WIDTH)
        words.wide_paragraph(self.layout, context, str(path), LOG_WIDTH)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Open the file in the system's own program for such files."""
        try:
            bpy.ops.wm.path_open(filepath=str(own_backend.log_file()))
        except RuntimeError as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_choose_connection(bpy.types.Operator):
    """Choose the connection file of a backend, such as a copy of another machine's"""

    bl_translation_context = CONTEXT
    bl_idname = "watch_your_steps.choose_connection"
    bl_label = "Connection File..."

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Open the file browser."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Check the file, and connect with it."""
        path = typed_path(bpy.path.abspath(self.filepath))
        try:
            parse_connection(path.read_bytes(), str(path))
            _use(str(path))
        except OSError as error:
            return refuse(self, context, SessionError(f"{path} cannot be read: {error.strerror}."))
        except (BadConnectionFile, SessionError) as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_paste_connection(bpy.types.Operator):
    """Connect with the text of a connection file, which is a password"""

    bl_translation_context = CONTEXT
    bl_idname = "watch_your_steps.paste_connection"
    bl_label = "Paste Connection..."
    bl_options = {"INTERNAL"}  # so that no log of Blender's shows the keys

    text: StringProperty(  # type: ignore[valid-type]
        name="Text",
        description="All of the connection file's text; what was copied is here already",
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Show what was copied: a text field takes the first of several lines only. What cannot
        be a connection, such as another password, stays where it is.
        """
        copied = " ".join(context.window_manager.clipboard.split())
        self.text = copied if copied.startswith("{") else ""
        return context.window_manager.invoke_props_dialog(
            self, width=420, title="Connect with a Connection File's Text", confirm_text="Connect"
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Check the text, keep it where only its owner can read it, and connect."""
        try:
            connection = parse_connection(self.text.encode(errors="replace"), "The pasted text")
            folder = bpy.utils.extension_path_user(preferences.EXTENSION, create=True)
            write_connection(Path(folder) / PASTED, connection)
            _use(str(Path(folder) / PASTED))
        except (BadConnectionFile, SessionError) as error:
            return refuse(self, context, error)
        except OSError as error:
            return refuse(self, context, SessionError(f"It cannot be kept: {error.strerror}."))
        return {"FINISHED"}


class WYS_OT_show_preferences(bpy.types.Operator):
    """Open this add-on's preferences: the program's folder, the model, the connection file"""

    bl_translation_context = CONTEXT
    bl_idname = "watch_your_steps.show_preferences"
    bl_label = "Preferences"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Open Blender's own window of them."""
        bpy.ops.preferences.addon_show(module=preferences.EXTENSION)
        return {"FINISHED"}


class WYS_OT_manual(ExplainedOperator):
    """Open the manual of this add-on, which lies in the program's folder"""

    bl_idname = "watch_your_steps.manual"
    bl_label = "Manual"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Where the program is."""
        return own_backend.NO_PROGRAM if program() is None else ""

    def execute(self, context: bpy.types.Context) -> set[str]:
        """The page for a browser where it was built, else its source."""
        found = program()
        if found is None:
            return refuse(self, context, SessionError(f"{own_backend.NO_PROGRAM}."))
        built = found / "site" / "blender.html"
        if built.is_file():
            bpy.ops.wm.url_open(url=built.as_uri())
        else:
            bpy.ops.wm.path_open(filepath=str(found / "docs" / "blender.md"))
        return {"FINISHED"}


CLASSES = (
    WYS_OT_install_backend,
    WYS_OT_start_backend,
    WYS_OT_stop_backend,
    WYS_OT_show_backend_log,
    WYS_OT_choose_connection,
    WYS_OT_paste_connection,
    WYS_OT_show_preferences,
    WYS_OT_manual,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
