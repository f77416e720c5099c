"""What figures look at: anything that cameras can be pointed at."""

from typing import Protocol

from backend.scenes.camera import Camera, View


class Shown(Protocol):
    """A scene before or after an edit."""

    def render(self, camera: Camera) -> View:
        """What a camera sees of it."""


class Remembered:
    """The same, each view rendered once. Satisfies `Shown`."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._seen: dict[tuple[bytes, object], View] = {}

    def render(self, camera: Camera) -> View:
        """See `Shown`."""
        key = camera.pose.tobytes(), camera.intrinsics
        if key not in self._seen:
            self._seen[key] = self._shown.render(camera)
        return self._seen[key]
