"""How long the add-on keeps Blender's main thread while jobs and renders run: the timer's calls by
what they bring, operators, sliders, strokes, and in a window what its panels and pictures draw.

    WATCH_YOUR_STEPS_ZIP=ZIP .venv-blender52/bin/python tests/blender/bench_main_thread.py [SIDE
    [ROUNDS]]

Installs the zip into an empty Blender and works on pictures of SIDE x SIDE pixels (1024), in so
many rounds (6), results of twice that, and a texture of 1024 x 1024, against the scripted server,
whose thread shares the interpreter with Blender, which a real server's does not. The add-on does as
in a window: renders are jobs, which are made here between two calls of the timer. In a Blender with
a window (`blender --factory-startup --python bench_main_thread.py`) each step waits for the window
to be drawn.

Prints percentiles on the clock and, "w", of the main thread's own work, which other programs do not
change; the renders themselves are left out. "a millisecond of Python" says what the machine adds.
"""

import importlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

RESOURCES = tempfile.TemporaryDirectory(prefix="wys-bench-")
os.environ.setdefault("BLENDER_USER_RESOURCES", RESOURCES.name)  # before bpy is imported
sys.path.insert(0, str(Path(__file__).parent))

import bpy  # noqa: E402
import numpy as np  # noqa: E402
from stopwatch import Stopwatch  # noqa: E402

MODULE = "bl_ext.user_default.watch_your_steps"
EDITS, VARIANTS = 200, 4
LIMIT = 20.0
PREVIEW_SIDE = 256
"""Pixels of the pictures that come with a job's progress."""
TICK = 0.05
"""Seconds between two calls of the timer while a job runs."""
MODULES = (
    *("jobs.session", "jobs.running", "jobs.texture_making", "ui.handlers", "ui.overlay"),
    *("jobs.link_events", "data.contact_sheet"),
    *("render.camera_render", "render.render_job", "render.window", "data.strokes", "data.layers"),
    "data.edits",
    *("ui.operators_output", "ui.panel_edits", "ui.thumbnails"),
    *(f"protocol.{name}" for name in ("messages", "codec", "connection", "region", "requests")),
    *("protocol.values", "protocol.settings"),
)
Steps = Iterator[None]
"""Work in pieces, between which the window is drawn."""


def install() -> SimpleNamespace:
    """Install the built zip; the modules of the extension by name."""
    bpy.ops.extensions.package_install_files(
        filepath=os.environ["WATCH_YOUR_STEPS_ZIP"],
        repo="user_default",
        enable_on_install=True,
        overwrite=True,
    )
    found = {name: importlib.import_module(f"{MODULE}.{name}") for name in MODULES}
    protocol = importlib.import_module(f"{MODULE}.protocol")
    short = {name.rpartition(".")[2]: module for name, module in found.items()}
    return SimpleNamespace(**short, protocol=protocol)


def press(module: str, name: str) -> None:
    """What a button does in a window; bpy alone has none to be pressed in."""
    if not bpy.app.background:
        getattr(bpy.ops.watch_your_steps, name)("INVOKE_DEFAULT")
        return
    kind = getattr(importlib.import_module(f"{MODULE}.ui.{module}"), f"WYS_OT_{name}")
    operator = SimpleNamespace(in_window=True, bl_label=kind.bl_label)
    if hasattr(kind, "start"):
        kind.start(operator, bpy.context, in_window=True)
        return
    operator.result_then = partial(kind.result_then, operator)
    settings = bpy.context.scene.watch_your_steps
    kind.begin(operator, bpy.context, settings.edits[settings.edit_index])


def measure(addon: SimpleNamespace, watch: Stopwatch) -> None:
    """Have the watch measure the timer, what is drawn, and leave the renders out."""
    session = addon.session

    def named(module: object, function: str, name: Callable[..., str]) -> None:
        """Say what the present call of the timer brings."""
        inner = getattr(module, function)

        def call(*given: object) -> object:
            watch.name = name(*given)
            return inner(*given)

        setattr(module, function, call)

    named(addon.link_events, "_take", lambda _: "timer: progress")
    named(session, "_prepare", lambda _, job: f"timer: {job.kind} is prepared")
    named(session, "finish", lambda _, job, *__: f"timer: {job.kind} arrives")
    named(addon.texture_making, "_start", lambda *_: "timer: a texture is begun")
    named(addon.texture_making, "_finish", lambda *_: "timer: a texture was made")
    named(addon.render_job.RenderJob, "go_on", lambda *_: "timer: a render goes on")
    named(addon.operators_output, "_composite", lambda *_: "timer: the compositor gets an edit")
    named(addon.camera_render, "write_passes", lambda *_: "timer: a view was rendered")
    named(addon.contact_sheet, "make", lambda *_: "timer: the last variant arrives")
    tick = addon.handlers._tick
    addon.tick = watch.wrapped("timer: nothing new", tick)
    bpy.app.timers.unregister(tick)  # the steps call it
    addon.begun, addon.press = [], press
    if bpy.app.background:
        addon.window.is_open = lambda: True
        addon.render_job._begin_job = addon.begun.append
        return
    for kind in (*bpy.types.Panel.__subclasses__(), *bpy.types.UIList.__subclasses__()):
        if not kind.__module__.startswith(MODULE):
            continue
        for name in ("draw", "draw_item", "filter_items"):
            if name in vars(kind):
                setattr(kind, name, _drawn(watch, kind, name))


def _drawn(watch: Stopwatch, kind: type, name: str) -> Callable[..., object]:
    """A method that is measured. Blender counts the arguments of what it calls."""
    inner = watch.wrapped(f"drawn: {kind.__name__}.{name}", vars(kind)[name])
    return {
        "draw": lambda self, context: inner(self, context),
        "filter_items": lambda self, context, data, name: inner(self, context, data, name),
        "draw_item": lambda self, context, layout, data, item, icon, active, active_name: inner(
            self, context, layout, data, item, icon, active, active_name
        ),
    }[name]


def textured(scene: bpy.types.Scene) -> bpy.types.Object:
    """The active object: a cube with a texture of noise."""
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 0, 2))
    thing = bpy.context.object
    image = bpy.data.images.new("noise", 1024, 1024)
    image.pixels.foreach_set(np.random.default_rng(1).random(1024 * 1024 * 4, np.float32))
    image.pack()
    material = bpy.data.materials.new("noise")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    node = nodes.new("ShaderNodeTexImage")
    node.image = image
    links.new(node.outputs[0], nodes["Principled BSDF"].inputs["Base Color"])
    thing.data.materials.append(material)
    texture = scene.watch_your_steps.texture
    texture.views, texture.size, texture.hidden_parts, texture.lit = 4, 256, False, False
    return thing


class Bench:
    """The steps, which each scene goes through."""

    def __init__(
        self, addon: SimpleNamespace, watch: Stopwatch, server: object, side: int, rounds: int
    ) -> None:
        self.addon, self.watch, self.server = addon, watch, server
        self.side, self.rounds = side, rounds

    @property
    def scene(self) -> bpy.types.Scene:
        """The open one."""
        return bpy.context.scene

    def wait(self, running: Callable[[], object]) -> Steps:
        """Let the timer call while something runs."""
        while running():
            while self.addon.begun:
                self.addon.camera_render.render_still(self.addon.begun.pop())
            self.addon.tick()
            self.watch("a millisecond of Python", _a_millisecond)
            yield
            time.sleep(TICK if bpy.app.background else 0)

    def job(self) -> Steps:
        """Wait for the scene's jobs."""
        running = self.addon.running
        render_job = self.addon.render_job
        return self.wait(
            lambda: running.job_of(self.scene) or running.state.queues or render_job.is_running()
        )

    def steps(self) -> Steps:
        """All of it."""
        watch, ops = self.watch, bpy.ops.watch_your_steps
        settings = self.scene.watch_your_steps
        watch("operator: connect", ops.connect)
        yield from self.wait(lambda: self.addon.running.state.status.welcome is None)
        for number in range(self.rounds):
            self.scene.camera.location.x = 0.1 * number
            watch("operator: preview", lambda: self.addon.press("operators", "preview_relevance"))
            yield from self.job()
            yield from self.region(settings)
            watch("operator: edit", lambda: self.addon.press("operators", "edit"))
            yield from self.job()
            yield from self.beside_a_job(settings)
        yield from self.variants_and_layers(settings)
        yield from self.full_size(settings)
        yield from self.capture(settings)
        yield from self.texture(settings)
        yield from self.many_edits(settings)
        watch("operator: disconnect", ops.disconnect)

    def region(self, settings: bpy.types.PropertyGroup) -> Steps:
        """Sliders, clicks and strokes on the mask."""
        watch, ops, side = self.watch, bpy.ops.watch_your_steps, self.side
        for threshold in np.linspace(0.1, 0.9, 9):
            watch("slider: threshold", lambda to=float(threshold): _set(settings, "threshold", to))
            yield
        for grow in (3, -3, 0):
            watch("slider: grow", lambda to=grow: _set(settings, "grow", to))
            yield
        for _ in range(2):
            watch("a click on a thing", lambda: ops.pick_thing(label=1))
            yield
        stroke = self.addon.strokes.Stroke(self.scene, 1, side / 20)
        for x in np.linspace(0.1, 0.9, 20) * side:
            watch("a stroke: a piece", lambda x=x: stroke.to(self.scene, x, side / 2))
            yield
        watch("a stroke: its end", lambda: stroke.end(self.scene))
        yield
        watch("operator: clear painting", ops.clear_painting)
        for snap in ("edges", "things"):
            watch(f"snapped to {snap}", lambda to=snap: _set(settings, "snap", to))
            yield
        settings.threshold = 0.3

    def beside_a_job(self, settings: bpy.types.PropertyGroup) -> Steps:
        """An edit whose progress comes in pictures, while the slider is moved."""
        server = self.server
        server.manual = True
        self.watch("operator: edit", bpy.ops.watch_your_steps.edit)
        job = self.addon.running.job_of(self.scene).id
        yield from self.wait(lambda: job not in server.jobs)
        picture = np.zeros((PREVIEW_SIDE, PREVIEW_SIDE, 3), np.uint8)
        for step in range(20):
            server.progress(job, f"step {step}", step / 20, picture + np.uint8(step))
            settings.opacity = step / 20
            ends = time.monotonic() + 2 * TICK
            yield from self.wait(lambda ends=ends: time.monotonic() < ends)
            to = 0.2 + step / 40
            self.watch("slider: threshold", lambda to=to: _set(settings, "threshold", to))
        settings.threshold = 0.3
        server.manual = False
        server.finish(job)
        yield from self.job()

    def variants_and_layers(self, settings: bpy.types.PropertyGroup) -> Steps:
        """A contact sheet, and edits laid over each other."""
        watch, ops = self.watch, bpy.ops.watch_your_steps
        for number in range(self.rounds):
            settings.variants, settings.seed = VARIANTS, 100 * number
            watch("operator: variants", ops.variants)
            yield from self.job()
        for index in range(3):
            settings.edit_index = index
            watch("operator: add layer", ops.add_layer)
            yield
        for opacity in np.linspace(1, 0.2, 20):
            to = partial(_set, settings.layers[0], "opacity", float(opacity))
            watch("slider: opacity", to)
            watch("layers: put together", lambda: self.addon.layers.composite(settings))
            yield
        watch("operator: keep layers", ops.keep_layers)
        yield
        ops.clear_layers()
        settings.edit_index = 1

    def full_size(self, settings: bpy.types.PropertyGroup) -> Steps:
        """Results at the render's size."""
        for index in range(3):
            settings.edit_index = 2 + index
            for name in ("show_result", "composite_result"):
                press = partial(self.addon.press, "operators_output", name)
                self.watch(f"operator: {name}", press)
                yield from self.job()

    def capture(self, settings: bpy.types.PropertyGroup) -> Steps:
        """Views of the scene, of half the pictures' side."""
        settings.in_3d.views, settings.in_3d.size = 6, self.side // 2
        self.watch("operator: capture", bpy.ops.watch_your_steps.capture_scene)
        yield from self.job()

    def texture(self, settings: bpy.types.PropertyGroup) -> Steps:
        """A preview on a mesh, its slider, the edit, and a texture that is made."""
        watch, ops = self.watch, bpy.ops.watch_your_steps
        thing = textured(self.scene)
        image = thing.active_material.node_tree.nodes[-1].image
        watch("operator: preview on mesh", ops.preview_texture)
        yield from self.job()
        region = image.watch_your_steps.preview
        for threshold in np.linspace(0.2, 0.8, 20):
            watch("slider: texture", lambda to=float(threshold): _set(region, "threshold", to))
            yield
        region.threshold = 0.4
        watch("operator: edit texture", ops.edit_texture)
        yield from self.job()
        making = self.addon.texture_making.makings
        for _ in range(3):
            bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 0, 2))
            bpy.context.object.data.materials.append(bpy.data.materials.new("plain"))
            watch("operator: make texture", ops.make_texture)
            yield from self.wait(lambda: making.now is not None)

    def many_edits(self, settings: bpy.types.PropertyGroup) -> Steps:
        """A long list."""
        image = settings.edit_image
        while len(settings.edits) < EDITS:
            entry = self.addon.edits.new_entry(settings, f"edit {len(settings.edits)}")
            entry.image = image
        for index in range(0, EDITS, 10):
            settings.edit_index = index
            self.addon.tick()
            yield
        self.watch("operator: edit", bpy.ops.watch_your_steps.edit)
        yield from self.job()


def _set(group: bpy.types.PropertyGroup, name: str, value: object) -> None:
    setattr(group, name, value)


def _a_millisecond() -> int:
    return sum(range(40_000))


def prepare(side: int) -> bpy.types.Scene:
    """A scene of some objects; its pictures have SIDE x SIDE pixels, half of its renders'."""
    from driving import make_scene  # which needs pyzmq, of the zip

    if bpy.app.background:
        bpy.ops.wm.read_homefile(use_empty=True)
    else:
        for one in list(bpy.data.objects):
            bpy.data.objects.remove(one)
    scene = make_scene()
    scene.render.resolution_x = scene.render.resolution_y = 2 * side
    settings = scene.watch_your_steps
    settings.max_side, settings.snap = side, "things"
    bpy.ops.render.render()  # the first one also starts Blender's GPU code
    return scene


def in_window(steps: Steps, end: Callable[[], None]) -> None:
    """Go through the steps by Blender's timer, with the sidebar's tab open."""
    area = next(one for one in bpy.context.screen.areas if one.type == "VIEW_3D")
    area.spaces.active.show_region_ui = True
    area.spaces.active.region_3d.view_perspective = "CAMERA"

    def step() -> float | None:
        sidebar = next(one for one in area.regions if one.type == "UI")
        sidebar.active_panel_category = "Watch Your Steps"
        try:
            next(steps)
        except StopIteration:
            end()
            return None
        except Exception:
            traceback.print_exc()
            end()
            raise
        area.tag_redraw()
        return 0.01

    bpy.app.timers.register(step, first_interval=1)


def main(side: int = 1024, rounds: int = 6) -> None:
    """Run and print."""
    addon, watch = install(), Stopwatch(LIMIT)
    from fake_server import FakeServer  # which needs pyzmq, of the zip

    prepare(side)
    measure(addon, watch)
    folder = tempfile.TemporaryDirectory()
    file = Path(folder.name, "connection.json")
    server = FakeServer(addon.protocol, file)
    server.start()
    bpy.context.preferences.addons[MODULE].preferences.connection_file = str(file)
    steps = Bench(addon, watch, server, side, rounds).steps()

    def end() -> None:
        server.stop()
        folder.cleanup()
        print(
            f"\nBlender {bpy.app.version_string}, {side} x {side} pixels, {rounds} rounds, load",
            os.getloadavg(),
        )
        print(watch.table(), flush=True)
        if not bpy.app.background:
            bpy.ops.wm.quit_blender()

    if not bpy.app.background:
        in_window(steps, end)
        return
    for _ in steps:
        pass
    end()


if __name__ == "__main__":
    main(*(int(one) for one in sys.argv[1:] if one.isdigit()))
