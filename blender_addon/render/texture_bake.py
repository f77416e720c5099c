"""Bakes the base colour of a mesh into an image, in a Blender process of its own: nothing that this
does to its file is kept. `jobs/texture_making.py` starts it.
"""

import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data.meshes.made_textures import NO_ROOM
from ..data.meshes.material_images import tree_of
from ..data.meshes.mesh_reading import materials_of
from ..data.meshes.painted_shaders import make_groups_own, make_shine, surface
from ..data.meshes.texture_uvs import NO_MAP_LEFT, SLACK
from ..data.scene_error import SceneError

TOLD = "watch_your_steps: "
"""Begins a line of the output that tells how far it is: percent and words."""
JOB, BLEND, IMAGE, UVS, MADE = "job.json", "mesh.blend", "texture.png", "uvs.npy", "made.json"
"""Files in the folder of a bake: what is asked for, the object, and what comes of it."""
GAP = 8
"""Texels between UV islands that are laid out here."""
STEEPEST = 1.15
"""Angle between faces of an island, radians."""
SAMPLES = 4
"""A texel: enough that edges within it are soft; colours have no noise."""
SHARED = 1.05
"""UV area of the mesh as it renders against the mesh as it was modelled, from which some parts of
it share texels."""
LEAST_SHARE = 1e-3
"""Of a mesh's area, up to which faces may have no place in a UV map."""
ALIKE = 1 / 255
"""Mean difference, 0..1, up to which parts that share texels have the same colours."""
LEAST_AREA = 1e-9
"""Of the UV square that a face takes up, below which it shows no part of an image."""


def run(folder: str) -> None:
    """Do what JOB in a folder asks for, write what comes of it, and end the process; where that
    cannot be done, with the reason as the last line of its output.
    """
    threading.Thread(target=_end_with_input, daemon=True).start()
    status = 0
    try:
        _run(Path(folder))
    except Exception as error:  # noqa: BLE001  # the Blender that waits says what it is
        print(f"\nerror: {' '.join(str(error).split())}\n", end="", flush=True)
        status = 1
    os._exit(status)  # all is written, and what Blender does at its end may wait for ever


def _end_with_input() -> None:
    """The input is a pipe from the Blender that waits for this, which the system closes with it."""
    with suppress(OSError):
        while os.read(0, 1):  # sys.stdin would be locked when the process ends
            pass
    os._exit(1)


def _tell(percent: int, words: str) -> None:
    # with its end in one piece: Blender writes to the same output
    print(f"{TOLD}{percent} {words}\n", end="", flush=True)


def _run(folder: Path) -> None:
    asked = json.loads((folder / JOB).read_text(encoding="utf-8"))
    _tell(2, "opening a copy")
    thing, scene = _open(folder, asked)
    evaluated = thing.evaluated_get(bpy.context.evaluated_depsgraph_get())
    slots = {slot.material for slot in thing.material_slots}
    if set(materials_of(thing, evaluated.data)) - slots - {None}:
        raise SceneError(
            f'Geometry nodes set a material of "{thing.name}": put that into a material slot, too.'
        )
    _tell(10, "laying out UVs")
    layer = next((one.name for one in thing.data.uv_layers if one.active_render), "")
    unwrapped = not layer or not _can_hold(thing, layer)
    if unwrapped:
        layer = _unwrap(thing, asked["layer"], asked["size"])
        np.save(folder / UVS, _uvs(thing.data, layer))
    shared = _shares_texels(thing, layer)
    _tell(30, "baking the colors")
    image = bpy.data.images.new("texture", asked["size"], asked["size"])
    shining = [_shine(material, asked["engine"], image) for material in _materials(thing)]
    if not any(shining):
        raise SceneError(f'No material of "{thing.name}" has a base color that could be baked.')
    if shared:
        _tell(40, "comparing what shares a place")
        _check_parts(scene, thing, layer, image)
        _tell(60, "baking the colors")
    _bake(scene, layer, margin=2 * GAP)
    _tell(90, "saving the texture")
    image.file_format = "PNG"
    image.save(filepath=str(folder / IMAGE))
    made = {"layer": layer, "unwrapped": unwrapped}
    (folder / MADE).write_text(json.dumps(made), encoding="utf-8")
    _tell(100, "done")


def _open(folder: Path, asked: dict[str, Any]) -> tuple[bpy.types.Object, bpy.types.Scene]:
    """The object, alone in a scene, visible and at the frame that is asked for."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(folder / BLEND)) as (_, wanted):
        wanted.objects = [asked["object"]]
    thing, scene = wanted.objects[0], bpy.context.scene
    for name, (path, alpha_mode) in asked["painted"].items():
        painted = bpy.data.images.load(path)
        old = bpy.data.images[name]
        painted.colorspace_settings.name = old.colorspace_settings.name
        painted.alpha_mode = alpha_mode
        old.user_remap(painted)
    scene.collection.objects.link(thing)
    thing.hide_render = thing.hide_viewport = False
    thing.is_holdout = thing.is_shadow_catcher = False  # which are baked black
    thing.hide_set(False)
    for modifier in thing.modifiers:  # only the bake itself sees what is for renders
        modifier.show_viewport = modifier.show_render
    scene.frame_set(asked["frame"])
    _choose(thing)
    return thing, scene


def _materials(thing: bpy.types.Object) -> Iterable[bpy.types.Material]:
    """The materials of all slots, each with nodes of its own; an empty slot gets the one that it
    is drawn with.
    """
    if not thing.material_slots:
        thing.data.materials.append(None)
    for slot in thing.material_slots:
        was = slot.material
        if tree_of(was) is not None:
            slot.material = was.copy()
        else:
            slot.material = bpy.data.materials.new("plain")
            if bpy.app.version < (5, 0):
                slot.material.use_nodes = True
            if was is not None:
                shader = slot.material.node_tree.nodes["Principled BSDF"]
                shader.inputs["Base Color"].default_value = was.diffuse_color
        yield slot.material


def _can_hold(thing: bpy.types.Object, layer: str) -> bool:
    """Whether a UV map gives every face a part of one image that is only its own."""
    mesh = thing.data
    uvs = _uvs(mesh, layer)
    if not np.isfinite(uvs).all() or uvs.min() < -SLACK or uvs.max() > 1 + SLACK:
        return False
    vertices, loops = _triangles(mesh)
    places = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", places)
    areas = _areas(places.reshape(-1, 3)[vertices])
    if areas[_areas(uvs[loops]) < LEAST_AREA].sum() > LEAST_SHARE * areas.sum():
        return False
    mesh.uv_layers.active = mesh.uv_layers[layer]
    with _all_faces_chosen():
        bpy.ops.uv.select_overlap()
    chosen = np.zeros(len(mesh.polygons), np.bool_)
    mesh.polygons.foreach_get("select", chosen)
    return not chosen.any()


def _unwrap(thing: bpy.types.Object, name: str, size: int) -> str:
    """Lay out a new UV map; its name."""
    layer = thing.data.uv_layers.new(name=name, do_init=False)
    if layer is None:
        raise SceneError(NO_ROOM.format(mesh=thing.data.name))
    thing.data.uv_layers.active = layer
    name = layer.name
    with _all_faces_chosen():
        bpy.ops.uv.smart_project(
            angle_limit=STEEPEST, margin_method="FRACTION", island_margin=GAP / size
        )
    return name


@contextmanager
def _all_faces_chosen() -> Iterator[None]:
    """The chosen object in Edit Mode, with all faces selected, hidden ones too."""
    bpy.context.scene.tool_settings.use_uv_select_sync = True
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.context.scene.tool_settings.mesh_select_mode = (False, False, True)
    bpy.ops.mesh.reveal()
    bpy.ops.mesh.select_all(action="SELECT")
    yield
    bpy.ops.object.mode_set(mode="OBJECT")


def _shares_texels(thing: bpy.types.Object, layer: str) -> bool:
    """Whether modifiers lay several parts of a mesh on the same part of the image.

    Raises:
        SceneError: they leave nothing that the image could be laid on.
    """
    own = _areas(_uvs(thing.data, layer)[_triangles(thing.data)[1]]).sum()
    mesh = thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    if layer not in mesh.uv_layers:
        raise SceneError(NO_MAP_LEFT.format(thing.name))
    rendered = _areas(_uvs(mesh, layer)[_triangles(mesh)[1]]).sum()
    if rendered < LEAST_AREA:
        raise SceneError(f'"{thing.name}" has no faces with an area that could be painted.')
    return bool(rendered > SHARED * own)


def _uvs(mesh: bpy.types.Mesh, layer: str) -> NDArray[np.float32]:
    """(loops, 2)."""
    flat = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers[layer].uv.foreach_get("vector", flat)
    return flat.reshape(-1, 2)


def _triangles(mesh: bpy.types.Mesh) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Vertices and loops of a mesh's triangles, each (F, 3)."""
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles) * 3
    vertices, loops = np.empty(count, np.int32), np.empty(count, np.int32)
    mesh.loop_triangles.foreach_get("vertices", vertices)
    mesh.loop_triangles.foreach_get("loops", loops)
    return vertices.reshape(-1, 3), loops.reshape(-1, 3)


def _areas(corners: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of triangles (F, 3, 2 or 3)."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = (first * first).sum(1) * (second * second).sum(1) - (first * second).sum(1) ** 2
    return np.sqrt(across.clip(0).astype(np.float64)) / 2


def _shine(material: bpy.types.Material, engine: str, image: bpy.types.Image) -> bool:
    """Have a material shine in its base colour, to be baked into an image; whether it has one."""
    tree = material.node_tree
    make_groups_own(tree)
    entry = surface(material, engine)
    shines = entry is not None and make_shine(entry)
    for node in list(tree.nodes):
        if entry is not None and node.type == "OUTPUT_MATERIAL" and node != entry.node:
            tree.nodes.remove(node)  # another engine's
    if entry is not None:
        entry.node.target = "ALL"
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    tree.nodes.active = node
    return shines


def _check_parts(
    scene: bpy.types.Scene, thing: bpy.types.Object, layer: str, image: bpy.types.Image
) -> None:
    """Refuse parts that lie on the same part of the image and have different colours: the image is
    another one where they are baked in another order.
    """
    now = bpy.context.evaluated_depsgraph_get()
    mesh = bpy.data.meshes.new_from_object(
        thing.evaluated_get(now), preserve_all_data_layers=True, depsgraph=now
    )
    twin = bpy.data.objects.new("twin", mesh)
    twin.matrix_world = thing.matrix_world
    for slot, own in zip(twin.material_slots, thing.material_slots, strict=False):
        slot.material = own.material
    scene.collection.objects.link(twin)
    _choose(twin)
    baked = []
    for _ in range(2):
        _bake(scene, layer, margin=0)
        pixels = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(pixels)
        baked.append(pixels)
        with _all_faces_chosen():
            bpy.ops.mesh.sort_elements(type="REVERSE", elements={"FACE"})
    bpy.data.objects.remove(twin)
    _choose(thing)
    if np.abs(baked[0] - baked[1]).mean() > ALIKE:
        raise SceneError(
            f'Modifiers such as Mirror lay parts of "{thing.name}" that have different colors on '
            "the same part of a texture: apply these modifiers first."
        )


def _choose(thing: bpy.types.Object) -> None:
    for one in bpy.context.selected_objects:
        one.select_set(False)
    bpy.context.view_layer.objects.active = thing
    thing.select_set(True)


def _bake(scene: bpy.types.Scene, layer: str, margin: int) -> None:
    """Bake what the chosen object shines with, and so many texels around its islands."""
    scene.render.engine = "CYCLES"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_denoising = False
    bpy.ops.object.bake(
        type="EMIT",
        margin=margin,
        margin_type="ADJACENT_FACES",
        target="IMAGE_TEXTURES",
        save_mode="INTERNAL",
        use_clear=True,
        uv_layer=layer,
    )
