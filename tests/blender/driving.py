"""Steps that several tests take through the add-on's own operators."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
from fake_server import FakeServer

SECONDS = 10.0
"""A generous limit for what takes milliseconds."""
VIEWS, SIZE = 5, 16
"""How many views a capture has, and how wide they are."""
THINGS = (
    ("ball", (0.8, 0.05, 0.05, 1), 1, 1),
    ("ground", (0.1, 0.6, 0.1, 1), 20, -20),
)


def make_scene() -> bpy.types.Scene:
    """A red block on a green ground in Workbench's own colours, seen by a camera; 64x48 pixels."""
    scene = bpy.context.scene
    for name, color, size, z in THINGS:
        bpy.ops.mesh.primitive_cube_add(size=2 * size, location=(0, 0, z))
        thing = bpy.context.object
        thing.name = name
        thing.color = color
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.location = (0, -8, 3)
    scene.camera.rotation_euler = (1.25, 0, 0)
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.display.shading.color_type = "OBJECT"
    scene.render.resolution_x, scene.render.resolution_y = 64, 48
    scene.watch_your_steps.instruction = "turn the ball blue"
    scene.watch_your_steps.snap = "nothing"  # tests of snapping choose it
    scene.watch_your_steps.threshold = 0.3  # with the scripted server: most of the ground
    return scene


def connect(addon: SimpleNamespace, file: Path) -> None:
    """Connect with a connection file, and wait until the model is ready."""
    addon.preferences.connection_file = str(file)
    bpy.ops.watch_your_steps.connect()
    addon.session.wait_for_connection(SECONDS)


def preview(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    """A whole preview."""
    bpy.ops.watch_your_steps.preview_relevance()
    addon.session.wait_for_job(scene, SECONDS)


def start_manual(addon: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer) -> str:
    """Start a preview whose end the test decides; returns the job's id once the server has it."""
    server.manual = True
    bpy.ops.watch_your_steps.preview_relevance()
    job: str = addon.session.job_of(scene).id
    addon.session.wait(lambda: job in server.jobs, SECONDS)
    return job


def run(addon: SimpleNamespace, operator: str) -> None:
    """An operator of this add-on, with all jobs that it starts."""
    getattr(bpy.ops.watch_your_steps, operator)()
    addon.session.wait_for_all_jobs(bpy.context.scene, SECONDS)


def reopen(addon: SimpleNamespace, path: Path) -> bpy.types.PropertyGroup:
    """Close Blender, as far as this process can, and open the file again; the scene's settings in
    3D.
    """
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_empty=True)
    addon.session.disconnect()
    addon.session.start_anew(loaded=True)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    return bpy.context.scene.watch_your_steps.in_3d


@contextmanager
def as_before_versions() -> Iterator[None]:
    """Save as an add-on does that knows no versions and nothing that came with them."""
    handlers = bpy.app.handlers.save_pre
    own = [one for one in handlers if "watch_your_steps" in one.__module__]
    for one in own:
        handlers.remove(one)
    for scene in bpy.data.scenes:
        settings = scene.watch_your_steps
        settings.property_unset("version")
        for entry in settings.edits:
            entry.property_unset("title")
    try:
        yield
    finally:
        handlers.extend(own)


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


def edit(addon: SimpleNamespace, **settings: object) -> np.ndarray:
    """Edit with these settings; the picture."""
    for name, value in settings.items():
        setattr(here(), name, value)
    bpy.ops.watch_your_steps.edit()
    addon.session.wait_for_job(bpy.context.scene, SECONDS)
    return addon.pictures.read_rgb(here().edit_image).copy()
