"""Renders of stand-ins as Blender's own render jobs: the window is drawn, the status bar shows how
far they are, and Esc stops them.

While one runs, Blender's interface is locked (RenderSettings.use_lock_interface): nobody can undo,
save, or change what is rendered, all of which Blender does not bear while the stand-in is there.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import bpy

from ..data.overriding import overridden
from ..data.scene_error import SceneError
from ..link.aside import Aside
from .camera_render import Made, Rendering
from .rendered_files import STOPPED, Stopped, cannot_render, check_written

LOST = "The file was changed while it was rendered: start it again."
LEAVING_SECONDS = 0.25
TO_DRAW = 2
"""Looks by Blender's timer, between which it draws: the timer comes before the drawing."""
ENDS = ("render_complete", "render_cancel")


class RenderJob:
    """A `Rendering` whose renders are Blender's jobs, and whose other calls threads make."""

    def __init__(
        self,
        parts: Rendering[Made],
        done: Callable[[Made], None],
        failed: Callable[[SceneError], None],
        looks: int = 0,
    ) -> None:
        self._parts, self._done, self._failed = parts, done, failed
        self._looks = looks
        self._ended = ""
        self._handlers: list[tuple[str, Callable[..., None]]] = []
        self._aside: Aside[Any] | None = None
        self._copy: bpy.types.Scene | None = None
        """What is rendered, or was last."""

    def go_on(self) -> None:
        """Do what comes before the next render or call, and begin that; or end."""
        try:
            step = next(self._parts)
            if isinstance(step, Aside):
                self._aside = step
                step.begin()
            else:
                self._begin(step)
        except StopIteration as end:
            self._end()
            self._done(end.value)
        except SceneError as error:
            self._end()
            self._failed(error)
        except ReferenceError:  # the stand-in is gone
            self._end()
            self._failed(SceneError(LOST))
        except Exception:  # a defect, which the timer tells
            self._end()
            raise

    def look(self) -> bool:
        """Go on where the render or call has ended; whether it had. Only the main thread may call
        this.
        """
        if self._looks:
            self._looks -= 1
            if not self._looks:
                self.go_on()
            return not self._looks
        if self._aside is not None:
            if not self._aside.done:
                return False
            self._aside = None
            self.go_on()
            return True
        if bpy.app.is_job_running("RENDER"):
            return False
        self._forget_handlers()
        if self._ended == "render_complete":
            self._go_on_with_render()
        else:
            self._end()
            self._failed(Stopped(STOPPED))
        return True

    def _go_on_with_render(self) -> None:
        """Blender says in its own status bar alone that a job's file could not be written."""
        assert self._copy is not None
        try:
            check_written(self._copy)
        except SceneError as error:
            self._end()
            self._failed(error)
        except ReferenceError:  # the stand-in is gone
            self._end()
            self._failed(SceneError(LOST))
        else:
            self.go_on()

    @property
    def is_begun(self) -> bool:
        """Whether it does not wait for the window to be drawn any more."""
        return not self._looks

    def _begin(self, copy: bpy.types.Scene) -> None:
        self._copy = copy
        copy.render.use_lock_interface = True
        self._ended = ""
        for name in ENDS:
            handler = self._handler(name)
            getattr(bpy.app.handlers, name).append(handler)
            self._handlers.append((name, handler))
        _begin_job(copy)

    def _handler(self, name: str) -> Callable[..., None]:
        def ended(*_: Any) -> None:  # in the render's own thread
            self._ended = name

        return ended

    def _forget_handlers(self) -> None:
        for name, handler in self._handlers:
            with suppress(ValueError):  # another file was opened
                getattr(bpy.app.handlers, name).remove(handler)
        self._handlers.clear()

    def _end(self) -> None:
        global _running
        _running = None
        self._forget_handlers()
        with suppress(ReferenceError):
            self._parts.close()


def _begin_job(copy: bpy.types.Scene) -> None:
    """Let Blender begin to render a stand-in, without a window of Render Result."""
    preferences = bpy.context.preferences
    display, unsaved = preferences.view.render_display_type, preferences.is_dirty
    preferences.view.render_display_type = "NONE"
    window = bpy.context.window or bpy.context.window_manager.windows[0]  # the timer has none
    try:
        with overridden(window=window):
            bpy.ops.render.render("INVOKE_DEFAULT", write_still=True, scene=copy.name)
    except RuntimeError as error:
        raise SceneError(cannot_render(error)) from error
    finally:
        preferences.view.render_display_type = display
        preferences.is_dirty = unsaved


_running: RenderJob | None = None


def start(
    parts: Rendering[Made],
    done: Callable[[Made], None],
    failed: Callable[[SceneError], None],
    drawn_first: bool = False,
) -> None:
    """Begin a `Rendering`, whose renders are Blender's jobs.

    Args:
        parts: not begun yet.
        done: is called with what it makes, on the main thread, from the timer; at once where it
            renders nothing.
        failed: the same, with why it was not made.
        drawn_first: whether the window is drawn before. A locked interface draws no 3D view, which
            would stay black where something else, such as the file browser, was in its place.
    """
    global _running
    _running = RenderJob(parts, done, failed, TO_DRAW if drawn_first else 0)
    if _running.is_begun:
        _running.go_on()


def is_running() -> bool:
    """Whether there is one."""
    return _running is not None


def look() -> bool:
    """Go on where a render has ended; whether one had."""
    return _running is not None and _running.look()


def leave(then: Callable[[], None]) -> None:
    """The add-on is switched off: take away what is there for a render, and do something then; a
    render that Blender is at has to end before.
    """
    if bpy.app.is_job_running("RENDER") and _running is not None:
        then()  # the other handlers of the add-on
        bpy.app.timers.register(partial(_left, then), first_interval=LEAVING_SECONDS)
        return
    _left(then)


def _left(then: Callable[[], None]) -> float | None:
    if bpy.app.is_job_running("RENDER") and _running is not None:
        return LEAVING_SECONDS
    if _running is not None:
        _running._end()
    then()
    return None


def settle() -> None:
    """The same before the file is saved or something is undone: until then what was rendered would
    be there, and the scene as it was for that.
    """
    if _running is not None and _running.is_begun:
        look()
