"""A session as a person has it in Blender's window, each state photographed; the manual's pictures
are taken from these photographs.

    BLENDER --factory-startup --window-geometry 0 0 1200 1800 \
        --python blender_addon/demo/window_session.py -- \
        --zip ZIP --connection-file FILE --out DIR

with ZIP from `python install.py addon` and FILE of a backend that runs (`--model demo`). Wants a
screen of X11 for itself (such as Xvfb's) that is at least as large as the window, and on the PATH
xdotool and ImageMagick. Do not touch mouse and keyboard meanwhile. DIR gets the photographs, the
saved file and a result; the exit status is 1 where something went wrong.
"""

import argparse
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import bpy
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Vector

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tools")]
import session_parts  # noqa: E402
import still_life  # noqa: E402
from person import LEFT, RIGHT, Lost, Person, Steps  # noqa: E402
from real_addon import MODULE, install  # noqa: E402

SIZE, SAMPLES, STEPS = 512, 16, 20
VIEWS, VIEW_SIZE, TRAINED, UPDATED = 9, 64, 200, 60
"""Of the scene in 3D: its views, their pixels, and for how many steps it is trained and edited."""
CONNECTION, JOB, BAKE = 120, 600, 300
"""Seconds that are waited for."""
STROKE = ((-0.3, -0.2), (-0.1, 0.2), (0.1, -0.1), (0.3, 0.2))
"""Parts of the white ball's height, from its middle."""
BALL, TEXTURED, OTHER = "red ball", "cube", "ring"
"""The thing that is clicked on, and the meshes that get textures."""
LATER = ("Edits", "Result")
"""Sub-panels that are there once there is an edit."""


class Session:
    """The steps of the session, in order.

    Args:
        person: who does them.
        options: of the command line.
    """

    def __init__(self, person: Person, options: argparse.Namespace) -> None:
        self.person, self.options = person, options
        self.jobs = import_module(f"{MODULE}.jobs.session")
        self.waiting = import_module(f"{MODULE}.jobs.waiting")
        self.panels = import_module(f"{MODULE}.ui.panel")

    @property
    def settings(self) -> Any:
        """The scene's."""
        return self.person.window.scene.watch_your_steps

    def steps(self) -> Steps:
        """All of it."""
        yield from self.begin()
        for part in (
            self.first_preview,
            self.mask,
            self.edit,
            self.variants,
            self.on_top,
            self.layers,
            self.result,
            self.settings_panels,
            self.scene_in_3d,
            self.texture,
            self.saved,
        ):
            yield from part()

    def begin(self) -> Steps:
        """The sidebar's tab, and the backend."""
        person = self.person
        space = person.area.spaces.active
        space.show_region_ui, space.region_3d.view_perspective = True, "CAMERA"
        space.show_region_toolbar = space.overlay.show_floor = False
        with person.context("WINDOW"):
            bpy.ops.screen.screen_full_area()
        yield 1.0
        while person.region().is_property_readonly("active_panel_category"):
            yield 0.3
        person.region().active_panel_category = "Watch Your Steps"
        yield 1.0
        print(person.window.width, person.window.height, person.region().width, flush=True)
        yield from person.photograph("begin")
        preferences = bpy.context.preferences.addons[MODULE].preferences
        preferences.connection_file = str(self.options.connection_file)
        yield from person.click("watch_your_steps.connect()")
        yield from person.wait(self._is_ready, CONNECTION)
        yield from person.photograph("ready")

    def first_preview(self) -> Steps:
        """Instruction, preview, slider."""
        person = self.person
        yield from person.write("instruction", still_life.INSTRUCTION)
        yield from person.click("watch_your_steps.preview_relevance()")
        yield from self.job()
        yield from person.photograph("relevance")
        yield from person.write("watch_your_steps.threshold", "0.15")
        yield from person.photograph("threshold")
        yield from person.click("watch_your_steps.use_suggestion()", RIGHT)

    def mask(self) -> Steps:
        """Snapped to edges and to things, a thing clicked on, and painted."""
        person, settings = self.person, self.settings
        yield from self._open("Mask")
        settings.view = "MASK"
        settings.snap = "edges"
        yield from person.photograph("edges")
        settings.snap = "things"
        yield from person.photograph("things")
        yield from person.click("watch_your_steps.pick_things()")
        yield from person.move(*self.place(BALL))
        yield from person.photograph("pick")
        yield from person.press()
        yield from person.key("Escape")
        yield from person.photograph("picked")
        yield from person.click("watch_your_steps.clear_picks()", RIGHT)
        yield from person.click("watch_your_steps.paint_mask()")
        yield from person.drag(self.stroke())
        yield from person.photograph("paint")
        yield from person.key("Escape")
        if settings.painted_image is None:
            raise Lost("The stroke has painted nothing.")
        with person.context():
            bpy.ops.ed.undo()
        yield 1.0
        if self.settings.painted_image is not None:
            raise Lost("An undo leaves the stroke.")
        with person.context():
            bpy.ops.ed.redo()
        yield 1.0
        yield from self._close()

    def edit(self) -> Steps:
        """The edit of the painted mask, and what can be shown of it."""
        person = self.person
        yield from person.click("watch_your_steps.edit()")
        yield 3.0
        yield from person.photograph("editing")
        yield from self.job()
        yield from person.photograph("edit")
        yield from self._open("Show in Camera View")
        yield from person.click("show_picture(view='COMPARE')")
        yield from person.photograph("compare")
        yield from person.click("show_picture(view='EDIT')", LEFT)
        yield from self._close()

    def variants(self) -> Steps:
        """Several seeds, of which one is clicked on."""
        person = self.person
        with person.context():
            bpy.ops.watch_your_steps.clear_painting("INVOKE_DEFAULT")
        yield from person.click("watch_your_steps.variants()")
        yield 2.0
        yield from person.photograph("variants_waiting")
        yield from self.job()
        yield from person.photograph("variants")
        yield from person.click("watch_your_steps.contact_sheet()")
        yield from person.move(*self.place(BALL))
        yield from person.photograph("contact_sheet")
        yield from person.press()
        yield from person.photograph("picked_variant")

    def on_top(self) -> Steps:
        """Another edit on top of the one that was picked, with a title and a star."""
        person, settings = self.person, self.settings
        settings.base = "EDIT"
        yield from person.write("instruction", "turn the red ball green")
        yield from person.click("watch_your_steps.preview_relevance()")
        yield from self.job()
        yield from person.photograph("relevance_on_top")
        yield from person.click("watch_your_steps.edit()")
        yield from self.job()
        entry = settings.edits[settings.edit_index]
        entry.title, entry.favourite = "green ball", True
        yield from person.photograph("on_top")

    def layers(self) -> Steps:
        """Two edits over each other."""
        person, settings = self.person, self.settings
        settings.base = "RENDER"
        yield from self._open("Layers")
        yield from person.photograph("no_layers")
        yield from person.click("watch_your_steps.add_layer()")
        settings.edit_index = 0 if settings.edit_index else len(settings.edits) - 1
        yield 1.0
        yield from person.click("watch_your_steps.add_layer()", RIGHT)
        settings.layers[0].opacity = 0.5
        with person.context():
            bpy.ops.watch_your_steps.show_picture("INVOKE_DEFAULT", view="LAYERS")
        yield from person.photograph("layers")
        yield from self._close()

    def result(self) -> Steps:
        """The edit at the render's size, in a file."""
        person = self.person
        yield from self._open("Result")
        yield from person.photograph("result_panel")
        with person.context():
            file = self.options.out / "result.png"
            bpy.ops.watch_your_steps.save_result(filepath=str(file))
        yield from self.job()
        yield from person.photograph("result_saved")
        if not file.exists():
            raise Lost("No result was saved.")
        yield from session_parts.saved_as_light(self)
        yield from self._close()

    def settings_panels(self) -> Steps:
        """What is set once."""
        for title in ("Edit Settings", "Preview Settings", "Frames"):
            yield from self._open(title)
            yield from self.person.photograph(title.replace(" ", "_").lower())
            yield from self._close()

    def scene_in_3d(self) -> Steps:
        """The scene captured, trained and edited."""
        person, in_3d = self.person, self.settings.in_3d
        self.settings.show, self.settings.instruction = False, still_life.INSTRUCTION
        yield from self._open("Scene in 3D")
        yield from person.photograph("scene_in_3d")
        in_3d.views, in_3d.size, in_3d.steps = VIEWS, VIEW_SIZE, STEPS
        in_3d.train_iterations, in_3d.edit_iterations = TRAINED, UPDATED
        yield from session_parts.stopped_capture(self)
        yield from person.click("watch_your_steps.train_scene()")
        yield from self.job()
        yield from session_parts.painted_view(self)
        yield from person.click("watch_your_steps.edit_scene()")
        yield 10.0
        yield from person.photograph("editing_in_3d")
        yield from self.job()
        yield from person.photograph("edit_in_3d")
        if not in_3d.edit:
            raise Lost("The scene in 3D was not edited.")
        in_3d.painted.clear()
        yield from self._close()

    def texture(self) -> Steps:
        """A texture for a mesh that has none, where the instruction applies on it, and its edit."""
        person, texture = self.person, self.settings.texture
        thing = bpy.data.objects[TEXTURED]
        with person.context("WINDOW"):
            bpy.ops.object.select_all(action="DESELECT")
        bpy.data.objects[OTHER].select_set(True)
        thing.select_set(True)
        person.window.view_layer.objects.active = thing
        texture.steps = STEPS
        yield from self._open("Texture")
        yield from person.photograph("no_texture")
        yield from person.click("watch_your_steps.make_texture()")
        yield 1.0
        yield from person.photograph("making_texture")
        making = import_module(f"{MODULE}.jobs.texture_making")
        yield from person.wait(lambda: making.makings.now is None, BAKE)
        yield from person.photograph("texture_made")
        bpy.data.objects[OTHER].select_set(False)
        person.area.spaces.active.shading.type = "MATERIAL"
        yield 3.0
        yield from person.click("watch_your_steps.preview_texture()")
        yield from self.job()
        yield 3.0
        yield from person.photograph("texture_preview")
        yield from session_parts.corrected_region(self)
        yield from person.click("watch_your_steps.edit_texture()")
        yield 10.0
        yield from person.photograph("texture_editing")
        yield from self.job()
        yield 3.0
        yield from person.photograph("texture_edit")
        yield from session_parts.textures_of_several(self, OTHER)
        yield from self._close()

    def saved(self) -> Steps:
        """A painted mask, and the file saved and opened again."""
        person = self.person
        self.settings.show = True
        yield from self._open("Edits")
        yield from self._open("Mask")
        yield from person.click("watch_your_steps.paint_mask()")
        yield from person.drag(self.stroke())
        yield from person.key("Escape")
        yield from person.photograph("to_save")
        file, before = self.options.out / "session.blend", self._kept()
        bpy.ops.wm.save_as_mainfile(filepath=str(file))
        bpy.ops.wm.open_mainfile(filepath=str(file))
        yield 5.0
        yield from person.photograph("opened_again")
        after = self._kept()
        if lost := [what for what, it in before.items() if not it or after[what] != it]:
            raise Lost(f"The saved file has not kept: {', '.join(lost)}.")

    # ------------------------------------------------------------ helpers

    def _kept(self) -> dict[str, Any]:
        """What the file is to keep: for pictures, their values by their names."""
        thing, settings = bpy.data.objects[TEXTURED], self.settings
        painted = [settings.painted_image] if settings.painted_image else []
        nodes = [node for slot in thing.material_slots for node in slot.material.node_tree.nodes]
        textures = [node.image for node in nodes if node.type == "TEX_IMAGE"]
        return {
            "edits": [(one.uid, one.title, _pixels_of([one.image])) for one in settings.edits],
            "painted mask": _pixels_of(painted),
            "texture": _pixels_of(textures),
        }

    def stroke(self, name: str = "white ball") -> list[tuple[float, float]]:
        """Where the pointer goes over an object."""
        return [self.place(name, *place) for place in STROKE]

    def texture_of(self) -> bpy.types.Image:
        """The one whose preview is shown on its mesh."""
        return next(one for one in bpy.data.images if one.watch_your_steps.preview.group)

    def place(self, name: str, right: float = 0.0, up: float = 0.0) -> tuple[float, float]:
        """Where an object's origin is in the window, moved by parts of its height."""
        person, thing = self.person, bpy.data.objects[name]
        part, view = person.region("WINDOW"), person.area.spaces.active.region_3d
        size = thing.dimensions.z
        turn = view.view_rotation
        at = thing.location + size * (turn @ Vector((right, up, 0)))
        x, y = location_3d_to_region_2d(part, view, at)
        return part.x + x, part.y + y

    def _open(self, title: str) -> Steps:
        """A closed sub-panel, where no other is open but "Edits"."""
        titles = [one for one in self.panels.SUB_PANELS if self.settings.edits or one not in LATER]
        if self.settings.edits and title in titles[: titles.index("Edits")]:
            number = titles.index("Edits") - titles.index(title) + 1
            yield from self.person.heading(number, of_all=False)
            return
        if title == "Layers":  # the last of what is in Edits
            title = "Edits"
        yield from self.person.heading(len(titles) - titles.index(title))

    def _close(self) -> Steps:
        """The first one that is open."""
        yield from self.person.heading(1, of_all=False)

    def _is_ready(self) -> bool:
        welcome = self.jobs.state.status.welcome
        return welcome is not None and welcome.model_state == "ready"

    def job(self, seconds: float = JOB) -> Steps:
        """Until the scene's renders and jobs are done."""
        scene = self.person.window.scene

        def ended() -> bool:
            renders = bpy.app.is_job_running("RENDER")
            return (
                not renders and self.jobs.job_of(scene) is None and not self.waiting.waiting(scene)
            )

        for _ in range(2):  # a job begins a little later than the render that it is for ends
            yield 1.0
            yield from self.person.wait(ended, seconds)
        yield 1.0


def _pixels_of(images: list[bpy.types.Image]) -> dict[str, tuple[float, ...]]:
    return {image.name: tuple(image.pixels[:]) for image in images}


def main() -> None:
    """Install, build the scene, and begin once the window is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--connection-file", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0, help="of the interface (1)")
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    options.out.mkdir(parents=True, exist_ok=True)
    install(options.zip)
    bpy.context.preferences.view.ui_scale = options.scale
    bpy.context.preferences.system.use_region_overlap = False  # the sidebar covers no picture
    bpy.context.preferences.view.filebrowser_display_type = "SCREEN"  # one window to look at
    made = still_life.build(SIZE, SAMPLES)
    made.scene.watch_your_steps.steps = STEPS
    session: list[Steps] = []

    def tick() -> float | None:
        try:
            if not session:
                session.append(Session(Person(options.out), options).steps())
            return next(session[0])
        except StopIteration:
            _leave(0)
        except Exception:  # noqa: BLE001  # whatever it is, the window has to close
            traceback.print_exc()
            _leave(1)
        return None

    bpy.app.timers.register(tick, first_interval=1.0, persistent=True)


def _leave(status: int) -> None:
    """Close Blender; it has no exit status of its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


main()
