"""What a person does with a Blender that has a window, as steps: moves and clicks of the mouse and
keys through xdotool, and photographs of the screen through ImageMagick's `import`.

Every step is a generator of seconds to wait, in which Blender handles what was done.
"""

import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

Steps = Generator[float, None, None]
TICK = 0.08
"""Seconds that Blender gets for a hover or a key."""
SETTLE = 0.8
"""For a click, after which a panel may be laid out anew."""
ROW, HEADING = 18, 25
"""Unscaled pixels: less than a row of buttons is high; the height of a sub-panel's heading."""
EDGE, DARKER = 12, 7
"""Unscaled pixels from the sidebar's left edge to a panel's margin; how much darker an open
sub-panel is there than the panel (of 255).
"""
LEFT, MIDDLE, RIGHT = 0.15, 0.35, 0.83
"""Where in the sidebar's width most buttons are, and those at the ends of rows."""
LOOKS = 5
"""At panels that move, at most: while a job runs, they may go on moving."""
LEAVING = 60.0
"""Seconds that Blender gets to close."""
PATIENCE = (0.05, 0.6, 1.5)
"""Seconds that Blender gets to see where the pointer is, look by look."""


class Lost(RuntimeError):
    """The session cannot go on: what it looks for is not on the screen."""


class Person:
    """Hands and eyes on one 3D view, which fills the window.

    Args:
        out: folder of the photographs.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.known: dict[str, int] = {}

    # ------------------------------------------------------------ where things are

    @property
    def window(self) -> bpy.types.Window:
        """The one there is; another one once a file was opened."""
        return bpy.context.window_manager.windows[0]

    @property
    def area(self) -> bpy.types.Area:
        """The 3D view."""
        return next(area for area in self.window.screen.areas if area.type == "VIEW_3D")

    def region(self, kind: str = "UI") -> bpy.types.Region:
        """One of its regions, its sidebar or "WINDOW"."""
        return next(region for region in self.area.regions if region.type == kind)

    def context(self, kind: str = "UI") -> bpy.types.TypingContextManager:
        """What operators see whose buttons are in that region."""
        return bpy.context.temp_override(
            window=self.window, area=self.area, region=self.region(kind)
        )

    def scale(self) -> float:
        """Pixels of the screen for one that is unscaled."""
        return bpy.context.preferences.system.ui_scale

    def find(self, name: str, place: float = MIDDLE) -> Generator[float, None, tuple[int, int]]:
        """Move the pointer down the sidebar until it is on a button.

        Args:
            name: a part of the operator's call as Blender writes it, or of the property's path.
            place: where in the width of the sidebar to look.

        Returns:
            Pixels of the window from its lower left corner.
        """
        region = self.region()
        x, step = region.x + round(place * region.width), round(ROW * self.scale())
        top, lowest = region.y + region.height - 2, max(region.y, self._end_of_panels())
        seen = {""}
        for patience in PATIENCE:
            again = [self.known[name]] if name in self.known else []
            for y in (*again, *range(top, lowest, -step)):
                yield from self.move(x, y)
                yield patience
                under = self._under_pointer()
                if name in under:
                    self.known[name] = y
                    return x, y
                seen.add(under)
        others = "\n".join(sorted(seen))
        raise Lost(f"No button of {name} is to be seen, but only these:{others}")

    def _under_pointer(self) -> str:
        """What Blender copies of the button that the pointer is on."""
        manager = bpy.context.window_manager
        manager.clipboard = ""
        with self.context():
            if bpy.ops.ui.copy_python_command_button.poll():
                bpy.ops.ui.copy_python_command_button()
            elif bpy.ops.ui.copy_data_path_button.poll():
                bpy.ops.ui.copy_data_path_button(full_path=True)
        return manager.clipboard

    # ------------------------------------------------------------ mouse and keys

    def move(self, x: float, y: float) -> Steps:
        """The pointer to a place in the window."""
        self._xdotool("mousemove", round(x), self.window.height - 1 - round(y))
        yield TICK

    def click(self, name: str, place: float = MIDDLE) -> Steps:
        """Find a button and press it. Arguments as for `find`."""
        yield from self.find(name, place)
        yield from self.press()

    def press(self, times: int = 1) -> Steps:
        """The left button of the mouse, where the pointer is."""
        self._xdotool("click", "--repeat", times, "--delay", 80, 1)
        yield SETTLE

    def drag(self, path: list[tuple[float, float]]) -> Steps:
        """Along a path, with the left button held."""
        yield from self.move(*path[0])
        self._xdotool("mousedown", 1)
        yield TICK
        for x, y in path[1:]:
            yield from self.move(x, y)
        self._xdotool("mouseup", 1)
        yield SETTLE

    def key(self, *names: str) -> Steps:
        """Keys by their X names, such as "ctrl+z"."""
        self._xdotool("key", *names)
        yield SETTLE

    def write(self, field: str, text: str) -> Steps:
        """Type into a text field, in place of what is there."""
        yield from self.find(field)
        yield from self.press(2)
        yield from self.key("ctrl+a")
        self._xdotool("type", "--delay", 30, "--", text)
        yield SETTLE
        yield from self.key("Return")

    def name_file(self, file: Path) -> Steps:
        """Type a name into the file browser that opens in place of the 3D view, and take it."""
        yield from self.wait(lambda: self._file_browser() is not None, 20)
        yield SETTLE
        area = self._file_browser()
        area.spaces.active.params.directory = str(file.parent).encode()
        yield SETTLE
        row = next(region for region in area.regions if region.type == "EXECUTE")
        x, y = row.x + round(0.25 * row.width), row.y + round(0.6 * row.height)
        yield from self.move(x, y)
        yield SETTLE
        yield from self.press(2)
        yield from self.key("ctrl+a")
        self._xdotool("type", "--delay", 30, "--", file.name)
        yield SETTLE
        yield from self.key("Return")
        yield from self.key("Return")
        yield from self.wait(lambda: self._file_browser() is None, 20)
        yield SETTLE

    def _file_browser(self) -> bpy.types.Area | None:
        areas = self.window.screen.areas
        return next((area for area in areas if area.type == "FILE_BROWSER"), None)

    def leave_blender(self) -> Steps:
        """Close it, and have it save what is not saved; it does not come back."""
        middle = self.region("WINDOW")
        yield from self.move(middle.x + middle.width // 2, middle.y + middle.height // 2)
        asks = bpy.data.is_dirty
        yield from self.key("ctrl+q")
        if asks:
            yield from self.photograph("leaving")
            yield from self.key("Return")
        yield LEAVING
        raise Lost("Blender does not close.")

    def heading(self, from_below: int, of_all: bool = True) -> Steps:
        """Press the heading of a sub-panel, which opens or closes it.

        Args:
            from_below: 1 for the lowest, with all below it closed.
            of_all: of all sub-panels; else of those above what the first open one shows.
        """
        region = self.region()
        yield from self.move(region.x - 60, region.y + region.height // 2)
        ends = self._headings_end(of_all)
        y = ends + round((from_below - 0.5) * HEADING * self.scale())
        yield from self.move(region.x + round(0.45 * region.width), y)
        yield from self.press()

    def _headings_end(self, of_all: bool) -> int:
        """Where the last panel ends, or the first open sub-panel's heading, in pixels from the
        window's lower edge.
        """
        if of_all:
            end = self._end_of_panels()
            if end <= self.region().y:
                raise Lost("The sidebar has no room below the panels: make the window higher.")
            return end
        margin = self._margin()
        panel = margin[np.flatnonzero(margin > margin[0] + 3)[0] + 5]
        darker = np.flatnonzero(margin == panel - DARKER)
        if not len(darker):
            raise Lost("No sub-panel is open.")
        return self.region().y + self.region().height - int(darker[0])

    def _end_of_panels(self) -> int:
        """Where the last panel ends, in pixels from the window's lower edge."""
        margin, region = self._margin(), self.region()
        inside = np.flatnonzero(margin > margin[0] + 3)
        end = int(inside[-1]) + 1 if len(inside) else 0
        return region.y + region.height - end

    def _margin(self) -> NDArray[np.int64]:
        """From the top of the sidebar, how bright (0 to 255) a column of pixels is that lies in the
        panels' left margin, which has the colours of the panels' parts.
        """
        region = self.region()
        x = region.x + round(EDGE * self.scale())
        top = self.window.height - region.y - region.height
        return self._pixels(x, top, 1, region.height)[:, 0].max(axis=1).astype(np.int64)

    def _xdotool(self, *words: object) -> None:
        subprocess.run(["xdotool", *map(str, words)], check=True)

    # ------------------------------------------------------------ eyes

    def _redraw(self) -> None:
        with self.context("WINDOW"):
            bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)

    def _pixels(self, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """What the screen shows, uint8 (H, W, 3)."""
        self._redraw()
        crop = f"{width}x{height}+{left}+{top}"
        command = ["import", "-window", "root", "-crop", crop, "-depth", "8", "rgb:-"]
        shown = subprocess.run(command, check=True, capture_output=True).stdout
        return np.frombuffer(shown, np.uint8).reshape(height, width, 3)

    def photograph(self, name: str) -> Steps:
        """The window as a PNG in the folder of the photographs, once panels that have grown or
        shrunk have moved to their places.
        """
        before = None
        for _ in range(LOOKS):
            yield SETTLE
            now = self._margin()
            if before is not None and np.array_equal(now, before):
                break
            before = now
        size = f"{self.window.width}x{self.window.height}+0+0"
        file = self.out / f"{name}.png"
        subprocess.run(["import", "-window", "root", "-crop", size, str(file)], check=True)
        print(f"{file.name}", flush=True)

    def wait(self, ended: Callable[[], bool], seconds: float) -> Steps:
        """Until something has happened."""
        waited = 0.0
        while not ended():
            if waited > seconds:
                raise Lost("What is waited for does not come.")
            yield 0.5
            waited += 0.5
