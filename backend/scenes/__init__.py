"""3D: captures, the radiance field and what is made from it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.scenes.camera import Camera, View
    from backend.scenes.edit import SceneEdit
    from backend.scenes.scene import Scene

__all__ = ["Camera", "Scene", "SceneEdit", "View"]
_HOMES = {"Camera": "camera", "Scene": "scene", "SceneEdit": "edit", "View": "camera"}


def __getattr__(name: str) -> Any:
    """`Scene` and its kin only when they are asked for: torch and nerfstudio take seconds to
    import, which reading a capture need not pay.
    """
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
