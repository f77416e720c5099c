"""How long the add-on keeps Blender's main thread: every operator, the timer's call, the threshold.

    WATCH_YOUR_STEPS_ZIP=ZIP .venv-blender/bin/python tests/blender/bench_main_thread.py [SIDE]

Installs the zip into an empty Blender, and runs previews, edits and slider steps on a picture of
SIDE x SIDE pixels (1024) against the scripted server, whose thread shares the interpreter with
Blender, which a real server does not. Prints milliseconds: median and worst of all calls on the
clock, and the worst of what the main thread itself worked, which other programs do not change.
"""

import importlib
import math
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import conftest  # sets Blender's folder and installs the zip: before bpy

# isort: split
import bpy
import numpy as np
from driving import SECONDS, make_scene
from fake_server import FakeServer

ROUNDS = 12
PREVIEW, RENDER = "operator: preview, without the render", "the render (Blender's own)"
SLIDER = "threshold: a step of the slider"
DRAIN = "timer: drain()"
DAB, STROKE = "a stroke on the mask: a piece", "a stroke on the mask: its end"
PICK, SNAP = "a click on a thing", "snap: another choice for the same map"
LIMIT = 50.0
LIMITS = {SLIDER: 16.0, DAB: 16.0, RENDER: math.inf, DRAIN: 200.0, SNAP: 200.0}
"""A map is snapped once, when it arrives, and once for each other choice."""
Result = TypeVar("Result")


class Stopwatch:
    """Milliseconds of calls by name: on the clock, and of the main thread's own work."""

    def __init__(self) -> None:
        self.clock: dict[str, list[float]] = defaultdict(list)
        self.work: dict[str, list[float]] = defaultdict(list)

    def __call__(self, name: str, call: Callable[[], Result]) -> Result:
        clock, work = time.perf_counter(), time.thread_time()
        result = call()
        self.work[name].append((time.thread_time() - work) * 1000)
        self.clock[name].append((time.perf_counter() - clock) * 1000)
        return result

    def subtract(self, name: str, part: str) -> None:
        """Take the last call of `part`, which happened inside it, off the last call of `name`."""
        self.clock[name][-1] -= self.clock[part][-1]
        self.work[name][-1] -= self.work[part][-1]

    def table(self) -> str:
        """One line for each name."""
        lines = [f"{'ms':<40}{'median':>9}{'worst':>9}{'worst work':>12}{'calls':>7}{'limit':>7}"]
        for name, clock in self.clock.items():
            limit = LIMITS.get(name, LIMIT)
            median, worst, work = statistics.median(clock), max(clock), max(self.work[name])
            over = "" if max(median, work) < limit else "  OVER"
            lines.append(
                f"{name:<40}{median:>9.2f}{worst:>9.2f}{work:>12.2f}{len(clock):>7}{limit:>7}{over}"
            )
        return "\n".join(lines)


def main(side: int) -> None:
    """Run and print."""
    modules = [
        importlib.import_module(f"{conftest.MODULE}.{name}")
        for name in ("jobs.session", "ui.taking", "data.strokes")
    ]
    session, taking, strokes = modules
    for name in ("messages", "codec", "connection", "region"):
        importlib.import_module(f"{conftest.MODULE}.protocol.{name}")
    protocol = importlib.import_module(f"{conftest.MODULE}.protocol")
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = make_scene()
    scene.render.resolution_x = scene.render.resolution_y = side
    settings = scene.watch_your_steps
    settings.max_side = side
    settings.snap = "things"
    bpy.ops.render.render()  # the first one also starts Blender's GPU code
    watch = Stopwatch()
    capture = taking.take_picture
    taking.take_picture = lambda *given: watch(RENDER, lambda: capture(*given))

    def wait() -> None:
        while session.job_of(scene) is not None:
            watch(DRAIN, session.drain)
            time.sleep(0.005)

    ops = bpy.ops.watch_your_steps
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "connection.json")
        with FakeServer(protocol, file) as server:
            bpy.context.preferences.addons[conftest.MODULE].preferences.connection_file = str(file)
            watch("operator: connect", ops.connect)
            session.wait_for_connection(SECONDS)
            for round_ in range(ROUNDS):
                scene.camera.location.x = 0.1 * round_
                watch(PREVIEW, ops.preview_relevance)
                watch.subtract(PREVIEW, RENDER)
                wait()
                for threshold in np.linspace(0.1, 0.9, 9):
                    watch(
                        SLIDER,
                        lambda value=float(threshold): setattr(settings, "threshold", value),
                    )
                watch(PICK, lambda: ops.pick_thing(label=1))
                watch(PICK, lambda: ops.pick_thing(label=1))
                stroke = strokes.Stroke(scene, 1, side / 20)
                for x in np.linspace(0.1, 0.9, 20) * side:
                    watch(DAB, lambda x=x, one=stroke: one.to(scene, x, side / 2))
                watch(STROKE, lambda one=stroke: one.end(scene))
                ops.clear_painting()
                for snap in ("edges", "things"):
                    watch(SNAP, lambda choice=snap: setattr(settings, "snap", choice))
                settings.threshold = 0.3
                watch("operator: edit", ops.edit)
                wait()
                server.manual = True
                watch("operator: edit", ops.edit)
                watch("operator: cancel", ops.cancel)
                wait()
                server.manual = False
            watch("operator: disconnect", ops.disconnect)
            for _ in range(ROUNDS):
                watch("operator: connect", ops.connect)
                session.wait_for_connection(SECONDS)
                watch("operator: disconnect", ops.disconnect)
    print(f"\nBlender {bpy.app.version_string}, {side} x {side} pixels")
    print(watch.table())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1024)
