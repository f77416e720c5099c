"""Data-blocks and their scene, found again by what works later than it was asked for."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import bpy

from .overriding import overridden


def with_uid(blocks: Iterable[bpy.types.ID], uid: int) -> Any:
    """The data-block of a session uid, whatever it is called by now; None where it is not in the
    file any more.
    """
    return next((one for one in blocks if one.session_uid == uid), None)


def in_scene(scene: bpy.types.Scene, thing: bpy.types.Object) -> AbstractContextManager[None]:
    """Work in an object's scene, also while another one is open."""
    layers = [one for one in scene.view_layers if thing.name in one.objects]
    layer = layers[0] if layers else scene.view_layers[0]
    own = {} if scene == bpy.context.scene else {"scene": scene, "view_layer": layer}
    return overridden(**own)
