"""3D: captures, the radiance field and what is made from it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.scenes.edit import SceneEdit
    from backend.scenes.scene import Camera, Scene, View

__all__ = ["Camera", "Scene", "SceneEdit", "View"]


def __getattr__(name: str) -> Any:
    """`Scene` and its kin only when they are asked for: torch and nerfstudio take seconds to
    import, which reading a capture need not pay.
    """
    if name in __all__:
        from backend.scenes import edit as scene_edit
        from backend.scenes import scene

        return getattr(scene_edit if name == "SceneEdit" else scene, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
