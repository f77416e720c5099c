"""What all parts of the session in Blender's window have in common: the panels, where things are in
the view, and waiting for jobs.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import bpy
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Vector
from person import Lost, Person, Steps
from real_addon import MODULE

WIDTH = 280
"""Of the sidebar in unscaled pixels: Blender's own, in which no text may be cut off."""
ZOOM, OFFSET = -10.0, (0.0, -0.4)
"""Of the camera's view, which puts it beside the panel's top."""
STEPS = 20
"""Of every edit."""
CONNECTION, JOB = 180, 900
"""Seconds that are waited for."""
STROKE = ((-0.3, -0.2), (-0.1, 0.2), (0.1, -0.1), (0.3, 0.2))
"""Parts of an object's height, from its middle."""
BALL, TEXTURED, OTHER = "red ball", "cube", "ring"
"""The thing that is clicked on, and the meshes that get textures."""
LATER = ("Edits", "Result")
"""Sub-panels that are there once there is an edit."""


class Session:
    """The session as far as it has come.

    Args:
        person: who does it.
        out: folder for files.
    """

    def __init__(self, person: Person, out: Path) -> None:
        self.person, self.out = person, out
        self.jobs = import_module(f"{MODULE}.jobs.session")
        self.waiting = import_module(f"{MODULE}.jobs.waiting")
        self.panels = import_module(f"{MODULE}.ui.panel")

    @property
    def settings(self) -> Any:
        """The scene's."""
        return self.person.window.scene.watch_your_steps

    @property
    def file(self) -> Path:
        """Where the session is saved."""
        return self.out / "session.blend"

    # ------------------------------------------------------------ backend and panels

    def begin(self) -> Steps:
        """The 3D view alone, and the sidebar's tab."""
        person = self.person
        space = person.area.spaces.active
        space.show_region_ui, space.region_3d.view_perspective = True, "CAMERA"
        space.show_region_toolbar = space.overlay.show_floor = False
        view = space.region_3d
        view.view_camera_zoom, view.view_camera_offset = ZOOM, OFFSET
        if len(person.window.screen.areas) > 1:
            with person.context("WINDOW"):
                bpy.ops.screen.screen_full_area()
        yield 1.0
        while person.region().is_property_readonly("active_panel_category"):
            yield 0.3
        person.region().active_panel_category = "Watch Your Steps"
        yield 1.0
        if person.region().width != round(WIDTH * person.scale()):
            raise Lost(f"The sidebar is {person.region().width} pixels wide.")

    def start_backend(self) -> Steps:
        """One of this Blender's own, with the demo model."""
        bpy.context.preferences.addons[MODULE].preferences.model_choice = "demo"
        yield from self.person.click("watch_your_steps.start_backend()")
        yield from self.person.wait(self._is_ready, CONNECTION)

    def _is_ready(self) -> bool:
        welcome = self.jobs.state.status.welcome
        return welcome is not None and welcome.model_state == "ready"

    def open(self, title: str) -> Steps:
        """A closed sub-panel, where no other is open but "Edits"."""
        titles = [one for one in self.panels.SUB_PANELS if self.settings.edits or one not in LATER]
        if self.settings.edits and title in titles[: titles.index("Edits")]:
            number = titles.index("Edits") - titles.index(title) + 1
            yield from self.person.heading(number, of_all=False)
            return
        if title == "Layers":  # the last of what is in Edits
            title = "Edits"
        yield from self.person.heading(len(titles) - titles.index(title))

    def close(self) -> Steps:
        """The first one that is open."""
        yield from self.person.heading(1, of_all=False)

    def begun(self, fraction: float = 0.2) -> Steps:
        """Until so much of the scene's job is done, before it ends."""

        def far_enough() -> bool:
            job = self.jobs.job_of(self.person.window.scene)
            return job is not None and job.fraction >= fraction

        yield from self.person.wait(far_enough, CONNECTION)

    def job(self, seconds: float = JOB) -> Steps:
        """Until the scene's renders and jobs are done."""

        def ended() -> bool:
            scene = self.person.window.scene  # another one after an undo
            renders = bpy.app.is_job_running("RENDER")
            return (
                not renders and self.jobs.job_of(scene) is None and not self.waiting.waiting(scene)
            )

        for _ in range(2):  # a job begins a little later than the render that it is for ends
            yield 1.0
            yield from self.person.wait(ended, seconds)
        yield 1.0

    # ------------------------------------------------------------ where things are

    def place(self, name: str, right: float = 0.0, up: float = 0.0) -> tuple[float, float]:
        """Where an object's origin is in the window, moved by parts of its height."""
        person, thing = self.person, bpy.data.objects[name]
        part, view = person.region("WINDOW"), person.area.spaces.active.region_3d
        size = thing.dimensions.z
        turn = view.view_rotation
        at = thing.location + size * (turn @ Vector((right, up, 0)))
        x, y = location_3d_to_region_2d(part, view, at)
        return part.x + x, part.y + y

    def stroke(self, name: str = "white ball") -> list[tuple[float, float]]:
        """Where the pointer goes over an object."""
        return [self.place(name, *place) for place in STROKE]
