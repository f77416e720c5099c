"""Writes what the backend needs to edit a mesh's texture.

    BLENDER_PYTHON blender_addon/tools/export_mesh.py MODEL --object NAME --out FOLDER
    BACKEND_PYTHON -m backend scene texture FOLDER "make the bottle blue" --out DIR

with the Pythons of .venv-blender and .venv-backend. MODEL is an .obj, .glb, .gltf or .blend file.
FOLDER gets mesh.npz (what `backend.meshes.folder` reads), texture.png and views/000.png ...
A .blend file's scene is rendered in its own light by its own engine; other files get a sky, a sun
and Cycles. For `scene texture --from-field CAPTURE` give that capture's folder here, too: the mesh
is then seen from where the capture's cameras stood, by the scene's own view transform.
"""

import argparse
import importlib
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import numpy as np
from mesh_import import import_mesh
from numpy.typing import NDArray
from scripting import Refused, check_counts, end_with, silence

FIELD_OF_VIEW = math.radians(40)
SKY = (0.45, 0.5, 0.58)
SUN_STRENGTH, SUN_ANGLES = 2.5, (0.7, 0.3, 0.5)
SAMPLES = 32


def main() -> int:
    """Export; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("--object", metavar="NAME", help="which mesh (the only one there is)")
    parser.add_argument(
        "--texture", metavar="NAME", help="which image, where several colour it (the main one)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--views", type=int, default=12, metavar="N", help="(12)")
    parser.add_argument("--size", type=int, default=128, help="pixels a side of a view (128)")
    parser.add_argument("--unlit", action="store_true", help="views show the bare texture")
    parser.add_argument("--up", choices=("Y", "Z"), default="Y", help="an .obj's up axis (Y)")
    parser.add_argument(
        "--capture",
        type=Path,
        metavar="FOLDER",
        help="a capture of the .blend file's scene, in its coordinates, for --from-field",
    )
    options = parser.parse_args()
    check_counts(parser, options)
    addon = _addon(
        "data.scene_error", "data.meshes.mesh_reading", "render.object_views", "link.encode"
    )
    try:
        _export(options, addon)
    except (Refused, addon["data.scene_error"].SceneError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _addon(*names: str) -> dict[str, ModuleType]:
    """Modules of the add-on, without its `__init__`: that needs the protocol, which lies beside it
    only in the built extension.
    """
    package = ModuleType("watch_your_steps")
    package.__path__ = [str(Path(__file__).parents[1])]
    sys.modules[package.__name__] = package
    return {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}


def _export(options: argparse.Namespace, addon: dict[str, ModuleType]) -> None:
    if options.size < 16:
        raise Refused(f"--size must be 16 or more, not {options.size}.")
    if options.capture is not None and (options.unlit or options.model.suffix.lower() != ".blend"):
        raise Refused("With --capture the model is the captured .blend file, without --unlit.")
    places = None if options.capture is None else _places(options.capture, options.views)
    with silence():
        scene = _open(options.model, options.up)
    thing = _find(scene, options.object, options.model)
    chosen = _texture(thing, options.texture, addon["data.meshes.mesh_reading"])
    read = addon["data.meshes.mesh_reading"].read_mesh_texture(bpy.context, thing, chosen)
    image = addon["data.meshes.mesh_reading"].with_full_name(bpy.data.images, read.image)
    if image.source == "TILED":
        raise Refused(f"{image.name} has UDIM tiles: edit it in Blender, by the add-on's panel.")
    _announce(thing, image, addon["data.meshes.mesh_reading"])
    cameras, size = addon["render.object_views"], options.size
    corners, field_of_view = read.corners.reshape(-1, 3), FIELD_OF_VIEW
    if places is None:
        poses = cameras.poses_around(corners, options.views, field_of_view)
    else:
        poses, field_of_view = cameras.poses_towards(places, corners)
        if not len(poses):
            raise Refused(f"No camera of {options.capture} sees {thing.name} as a whole.")
    images = []
    for number in range(len(poses)):
        print(f"view {number + 1} of {len(poses)}", flush=True)
        with silence():
            views = cameras.render_around(
                bpy.context.scene,
                thing,
                image,
                poses[number : number + 1],
                size,
                field_of_view,
                not options.unlit,
                as_captured=places is not None,
            )
        images.append(views.images[0])
    arrays: dict[str, Any] = {
        "corners": read.corners,
        "uvs": read.uvs,
        "occluders": read.occluders,
        "materials": read.materials,
        "intrinsics": views.intrinsics,
        "size": np.array([size, size]),
        "camera_to_world": poses,
        "lit": np.array(not options.unlit),
    }
    encode = addon["link.encode"].encode_png
    (options.out / "views").mkdir(parents=True, exist_ok=True)
    (options.out / "texture.png").write_bytes(encode(read.texture))
    for number, picture in enumerate(images):
        (options.out / "views" / f"{number:03d}.png").write_bytes(encode(picture))
    np.savez_compressed(options.out / "mesh.npz", **arrays)
    rows, columns = read.texture.shape[:2]
    print(
        f"wrote {len(read.corners)} triangles of {thing.name}, its texture {read.image} "
        f"({columns}x{rows}) and {len(poses)} views to {options.out}"
    )


def _texture(
    thing: bpy.types.Object, name: str | None, reading: ModuleType
) -> bpy.types.Image | None:
    """The image of an object's colours with this name or file name; None for the main one.

    Raises:
        Refused: there is none.
    """
    if name is None or thing.type != "MESH":
        return None
    images = reading.colour_images(thing, bpy.context.scene.render.engine)
    for image in images:
        if name in (image.name, bpy.path.basename(image.filepath)):
            return image
    names = ", ".join(image.name for image in images) or "none"
    raise Refused(f'No image "{name}" colours {thing.name}; those that do: {names}.')


def _announce(thing: bpy.types.Object, image: bpy.types.Image, reading: ModuleType) -> None:
    """Say which image is edited, and which others the object has."""
    others = reading.left_alone(thing, image)
    colours = reading.colour_images(thing, bpy.context.scene.render.engine)
    words = [f"the texture {image.name} of {thing.name} is the one to edit"]
    if others:
        words.append("left alone: " + ", ".join(other.name for other in others))
    choices = [other.name for other in others if other in colours]
    if choices:
        words.append(f"--texture chooses another one: {', '.join(choices)}")
    print("; ".join(words), flush=True)


def _places(capture: Path, count: int) -> NDArray[np.float64]:
    """Where cameras of a capture stood, at most `count` of them, spread over all: (n, 3).

    Raises:
        Refused: the folder holds no capture.
    """
    file = capture / "transforms.json"
    try:
        frames = json.loads(file.read_text("utf-8"))["frames"]
        poses = np.array([frame["transform_matrix"] for frame in frames], np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{file} cannot be read as a capture's: {error}") from error
    if poses.shape[1:] not in ((3, 4), (4, 4)):
        raise Refused(f"{file} holds no camera poses.")
    count = min(count, len(poses))
    return poses[[k * len(poses) // count for k in range(count)], :3, 3]


def _open(model: Path, up_axis: str) -> bpy.types.Scene:
    """The scene that holds the model.

    Raises:
        Refused: the file is not there or holds no mesh.
    """
    if not model.is_file():
        raise Refused(f"There is no file {model}.")
    path = model.absolute()
    try:
        if model.suffix.lower() == ".blend":
            bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False, use_scripts=False)
            return bpy.context.scene
        bpy.ops.wm.read_homefile(use_empty=True)
        scene = bpy.context.scene
        import_mesh(scene, path, up_axis)
    except RuntimeError as error:  # so Blender's operators say what they cannot read
        raise Refused(str(error).strip().removeprefix("Error: ")) from error
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = SAMPLES, False
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (*SKY, 1)
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = SUN_STRENGTH, SUN_ANGLES
    scene.collection.objects.link(sun)
    return scene


def _find(scene: bpy.types.Scene, name: str | None, model: Path) -> bpy.types.Object:
    """The object with this name, or the only mesh.

    Raises:
        Refused: there is no such object, or there are several to choose from.
    """
    meshes = sorted(thing.name for thing in scene.objects if thing.type == "MESH")
    names = ", ".join(meshes) or "none"
    if name is None and len(meshes) != 1:
        raise Refused(f"Say with --object which mesh of {model} is meant: {names}.")
    chosen = meshes[0] if name is None else name
    if chosen not in scene.objects:
        raise Refused(f'{model} holds no object "{chosen}"; its meshes are: {names}.')
    return scene.objects[chosen]


if __name__ == "__main__":
    end_with(main)
