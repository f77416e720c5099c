"""What thing a camera sees at each pixel: objects, materials, UV islands, or connected faces.

The things are drawn by a depth buffer of our own from Blender's geometry as it is evaluated for a
render, and not by passes of an engine: Workbench has none, and no engine knows islands. So it is
one way for every engine and version, needs no GPU, and changes nothing in the file: a render engine
of ours, which Blender hands the geometry to, is there for a moment.

What is seen is what has a surface. Hair of particle systems, volumes and grease pencil are looked
through, and so is what lets more than half of the light straight through (see_through), all of a
material or where an image cuts it out, as leaves are on planes; glass is not.
"""

import bpy
import numpy as np
from numpy.typing import NDArray

from .moved_pixels import MOVED, mover_of
from .seen import Eye, Seen, ThingsUnknown
from .stand_in import compositor_of

KINDS = (
    ("OBJECTS", "Objects", "Each object is a thing, and so are the instances of one by another"),
    ("MATERIALS", "Materials", "All that has one material is a thing"),
    (
        "ISLANDS",
        "UV Islands",
        "Each island of an object's UV map is a thing; without a map the whole object",
    ),
    ("FACES", "Connected Faces", "Each part of an object whose faces hang together is a thing"),
)
"""Of things, as Blender's enumerations are written."""
REST = "Background"
"""Name of what is seen where there is no thing: label 0."""
MOST_LABELS = 65_535


def label_image(
    copy: bpy.types.Scene, width: int, height: int, kind: str, numbers: dict[str, int]
) -> NDArray[np.uint16]:
    """What thing the active camera sees at the centre of each pixel.

    Args:
        copy: a `stand_in`; nothing stays of what is changed on it.
        width, height: of the picture in pixels.
        kind: one of KINDS.
        numbers: the labels by the things' names. What is seen and not yet among them is added, so
            that several pictures can share their labels.

    Returns:
        uint16 (H, W), row 0 at the top; 0 is what is no thing: the sky, holdouts.

    Raises:
        ThingsUnknown: the camera is no pinhole, the picture shows something else at a pixel than
            the first surface there, or there is too much to be told apart.
    """
    return tell_apart(look_at(copy, width, height, kind), numbers)


def look_at(
    copy: bpy.types.Scene,
    width: int,
    height: int,
    kind: str,
    traced: bool = False,
    eye: Eye | None = None,
) -> Seen:
    """The first part of `label_image`: what the camera sees, from which `tell_apart` makes the
    labels without Blender. `traced` keeps the surfaces, and `eye` is looked through in place of the
    active camera.
    """
    engine, camera = copy.render.engine, copy.camera
    flat = camera.type != "CAMERA" or camera.data.type in ("PERSP", "ORTHO")
    if eye is None and not flat:
        raise ThingsUnknown(
            f'The camera "{camera.name}" is panoramic: what things it sees is not known.'
        )
    _check_shown(copy)
    view = Seen(kind, engine, width, height, _layers_of(copy), traced, eye)
    _Engine.view = view
    bpy.utils.register_class(_Engine)
    try:
        render = copy.render
        render.engine = _Engine.bl_idname
        render.resolution_x, render.resolution_y = width, height
        render.resolution_percentage = 100
        render.use_border = render.use_multiview = render.use_sequencer = False
        render.use_compositing = render.use_freestyle = False
        bpy.ops.render.render(scene=copy.name)
    finally:
        copy.render.engine = engine
        bpy.utils.unregister_class(_Engine)
        _Engine.view = None
    if view.error is not None:
        raise view.error
    if view.canvas is None:
        raise ThingsUnknown("Blender was stopped before it could tell things apart.")
    return view


def tell_apart(seen: Seen, numbers: dict[str, int]) -> NDArray[np.uint16]:
    """The second part of `label_image`, for any thread."""
    seen.draw()
    return _numbered(seen, numbers)


def _check_shown(copy: bpy.types.Scene) -> None:
    """Refuse what shows each pixel's things mixed or moved."""
    shading, tree = copy.display.shading, compositor_of(copy)
    through = shading.show_xray and shading.xray_alpha < 1
    if copy.render.engine == "BLENDER_WORKBENCH" and through:
        raise ThingsUnknown(
            "X-Ray shows things through each other: switch it off (Render Properties > Options), "
            "and they are told apart."
        )
    mover = mover_of(tree) if tree is not None else None
    if mover is not None:
        raise ThingsUnknown(MOVED.format(mover.name))


def _layers_of(copy: bpy.types.Scene) -> set[str] | None:
    """The view layers that the compositor shows, None where it is not used: then the picture is the
    first one that is rendered.
    """
    tree = compositor_of(copy)
    if tree is None:
        return None
    named = {node.layer for node in tree.nodes if node.type == "R_LAYERS"}
    return named or {layer.name for layer in copy.view_layers}


def _numbered(view: Seen, numbers: dict[str, int]) -> NDArray[np.uint16]:
    assert view.canvas is not None
    drawn, place = np.unique(view.canvas.labels, return_inverse=True)
    raw = np.zeros(len(drawn), np.int64)
    raw[drawn > 0] = view.drawn.labels(drawn[drawn > 0])
    seen, of = np.unique(raw, return_inverse=True)
    found = np.zeros(len(seen), np.int64)
    for index, number in enumerate(seen.tolist()):
        if number:
            found[index] = numbers.setdefault(view.named.name(number), len(numbers) + 1)
    if found.max(initial=0) > MOST_LABELS:
        raise ThingsUnknown(
            f"The camera sees more than {MOST_LABELS:,} things: choose objects or materials."
        )
    return found.astype(np.uint16)[of][place].reshape(view.canvas.labels.shape)


class _Engine(bpy.types.RenderEngine):
    """Blender gives it the scene as it renders it."""

    bl_idname = "WATCH_YOUR_STEPS_THINGS"
    bl_label = "Watch Your Steps: Things"
    view: Seen | None = None

    def render(self, depsgraph: bpy.types.Depsgraph) -> None:
        """Blender calls this for each view layer."""
        view = _Engine.view
        if view is None or view.error is not None:
            return
        try:
            view.look(depsgraph)
        except Exception as error:  # noqa: BLE001  # Blender would only print it
            view.error = error
