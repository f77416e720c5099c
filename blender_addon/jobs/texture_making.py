"""Textures that are made of materials: one mesh after the other, each baked by a Blender process of
its own from a copy. Main thread; returns at once, but for writing the copy.
"""

import json
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np

from ..data import alpha_modes
from ..data.blocks import with_uid
from ..data.changing import changed
from ..data.helper_files import not_written
from ..data.meshes.made_textures import (
    UV_MAP,
    Made,
    install_made,
    mesh_mark,
    modelling_mode,
    why_not_made,
)
from ..data.meshes.material_images import image_nodes, tree_of
from ..data.scene_error import SceneError
from ..link import child_process
from ..link.child_process import Child
from ..render.fingerprint import looks_of
from ..render.texture_bake import BLEND, IMAGE, JOB, MADE, TOLD, UVS
from .job import WAITS, SessionError, artist_is_busy
from .running import say, state

SIZE, LARGE_SIZE, MANY_FACES = 1024, 2048, 50_000
"""Pixels a side of a texture, of one for a mesh of many faces, and how many these are."""
LOG = "log.txt"
START = """
import importlib, sys, types
package = types.ModuleType("watch_your_steps")
package.__path__ = [{package!r}]
sys.modules[package.__name__] = package
importlib.import_module("watch_your_steps.render.texture_bake").run({folder!r})
"""
"""The program of the process: modules of the add-on, without its `__init__`, which registers it."""


@dataclass
class Making:
    """A texture that is being made."""

    child: Child
    folder: Path
    thing: int
    """The object's session uid: its name may change, and undo makes another of it."""
    name: str
    """It had when it was begun."""
    scene: int
    """The scene's session uid."""
    mark: str
    """Of its mesh; see `mesh_mark`."""
    looks: str
    """Of its materials; see `looks_of`."""
    stage: str = "starting"
    fraction: float = 0.0


@dataclass
class Makings:
    """What this Blender makes."""

    now: Making | None = None
    waiting: list[tuple[int, int]] = field(default_factory=list)
    """Session uids of scene and object of those that follow."""


makings = Makings()


def begin(scene: bpy.types.Scene, things: list[bpy.types.Object]) -> None:
    """Make a texture for each of some meshes, one after the other.

    Raises:
        SessionError: the first of them cannot be begun.
        SceneError: likewise.
    """
    if makings.now is not None:
        raise SessionError("A texture is being made already: wait for it, or cancel it.")
    makings.waiting = [(scene.session_uid, one.session_uid) for one in things[1:]]
    makings.now = _start(scene, things[0])


def cancel() -> None:
    """Stop what is being made, and what was to follow; nothing of it is in the file."""
    makings.waiting.clear()
    _drop()


def look() -> None:
    """See how it goes; Blender's timer calls this."""
    now = makings.now
    if now is None:
        return
    line = now.child.last_line()
    if line.startswith(TOLD):
        percent, _, words = line.removeprefix(TOLD).partition(" ")
        now.stage, now.fraction = words, int(percent) / 100
        state.changed = True
    if now.child.exit_code is None:
        return
    thing = with_uid(bpy.data.objects, now.thing)
    scene = with_uid(bpy.data.scenes, now.scene) or bpy.context.scene
    if thing is not None and now.child.exit_code == 0:
        waits = ""
        if mode := modelling_mode(thing):
            waits = f'waiting until you leave {mode} of "{thing.name}"'
        elif artist_is_busy():  # beside a render no mesh may be changed
            waits = WAITS
        if waits:
            now.stage, state.changed = waits, True
            return
    try:
        _finish(now, scene, thing)
    except (SceneError, SessionError) as error:
        say(scene, f"Make Texture failed: {error}")
    finally:
        _drop()
    _go_on()


def _go_on() -> None:
    """Begin the next one that can be made."""
    while makings.waiting and makings.now is None:
        scene_uid, uid = makings.waiting.pop(0)
        scene, thing = with_uid(bpy.data.scenes, scene_uid), with_uid(bpy.data.objects, uid)
        if scene is None or thing is None:
            continue  # the artist has deleted it
        try:
            makings.now = _start(scene, thing)
        except (SceneError, SessionError) as error:
            say(scene, f"Make Texture failed: {error}")


def _drop() -> None:
    if makings.now is not None:
        makings.now.child.kill()
        shutil.rmtree(makings.now.folder, ignore_errors=True)
        makings.now = None
    state.changed = True


def _start(scene: bpy.types.Scene, thing: bpy.types.Object) -> Making:
    if why := why_not_made(thing):
        raise SessionError(f"{why}.")
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="make-texture-", dir=bpy.app.tempdir))
        asked = {
            "object": thing.name,
            "layer": UV_MAP,
            "size": _size(scene.watch_your_steps.texture.make_size, thing.data),
            "engine": scene.render.engine,
            "frame": scene.frame_current,
            "painted": _save_painted(thing, folder),
        }
        (folder / JOB).write_text(json.dumps(asked), encoding="utf-8")
        bpy.data.libraries.write(str(folder / BLEND), {thing}, path_remap="ABSOLUTE")
    except (OSError, RuntimeError) as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise not_written(getattr(error, "strerror", "") or str(error).strip()) from error
    package = str(Path(__file__).parents[1])
    program = START.format(package=package, folder=str(folder))
    try:
        child = child_process.start([*_blender(), program], folder, folder / LOG)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        reason = error.strerror or str(error)
        raise SessionError(f"No second Blender can be started to bake it: {reason}.") from error
    state.changed = True
    return Making(
        child,
        folder,
        thing.session_uid,
        thing.name,
        scene.session_uid,
        mesh_mark(thing.data),
        looks_of(thing),
    )


def _blender() -> list[str]:
    """The command that runs a Python program in a Blender without a window."""
    if bpy.app.binary_path:
        options = ("--background", "--factory-startup", "--python-exit-code", "1", "--python-expr")
        return [bpy.app.binary_path, *options]
    return [sys.executable, "-c"]  # Blender as a Python module


def _size(chosen: str, mesh: bpy.types.Mesh) -> int:
    if chosen != "AUTO":
        return int(chosen)
    return LARGE_SIZE if len(mesh.polygons) > MANY_FACES else SIZE


def _save_painted(thing: bpy.types.Object, folder: Path) -> dict[str, tuple[str, str]]:
    """Save copies of the images that were painted on and not saved: by the images' names the files
    and how their alpha is to be read.
    """
    nodes = [node for slot in thing.material_slots for node in image_nodes(tree_of(slot.material))]
    saved: dict[str, tuple[str, str]] = {}
    for image in {node.image for node in nodes if node.image.is_dirty}:
        if image.source == "TILED":
            raise SessionError(f'Save the painted tiles of "{image.name}" first (Image > Save).')
        path = folder / f"painted-{len(saved)}"
        with changed(image, file_format="OPEN_EXR" if image.is_float else "PNG"):
            image.save(filepath=str(path), save_copy=True)
        saved[image.name] = str(path), alpha_modes.of_pixels(image)
    return saved


def _finish(now: Making, scene: bpy.types.Scene, thing: bpy.types.Object | None) -> None:
    """Bring what was baked into the file."""
    if now.child.exit_code != 0:
        line = now.child.last_line()
        said = line.startswith("error: ")
        raise SessionError(
            line.removeprefix("error: ") if said else f'"{now.name}" cannot be baked: {line}'
        )
    if thing is None:
        raise SessionError(f'"{now.name}" was deleted while its texture was made.')
    if why := why_not_made(thing):
        raise SessionError(f"{why}.")
    if mesh_mark(thing.data) != now.mark:
        raise SessionError(
            f'The faces or UV maps of "{thing.name}" have changed meanwhile: make it again.'
        )
    if looks_of(thing) != now.looks:
        raise SessionError(
            f'The materials of "{thing.name}" have changed meanwhile: make it again.'
        )
    told = json.loads((now.folder / MADE).read_text(encoding="utf-8"))
    uvs = np.load(now.folder / UVS) if told["unwrapped"] else None
    made = Made((now.folder / IMAGE).read_bytes(), told["layer"], uvs)
    scene.watch_your_steps.texture.image = install_made(thing, made, scene.render.engine)
    state.undo_steps.append("Watch Your Steps: Make Texture")
    say(scene, "")
