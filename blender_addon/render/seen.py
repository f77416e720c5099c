"""What one camera sees of the geometry that Blender has evaluated for a render: which thing at each
pixel, and, where somebody wants to trace them, which place of which surface.
"""

from bisect import bisect_right
from dataclasses import dataclass, field, replace

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data.scene_error import SceneError
from .drawn import Drawn, Key, Surface
from .geometry import Geometry, geometry_of
from .raster import Canvas
from .see_through import Cut, Opacity, cut_of, is_seen_through

MOST_TRIANGLES = 20_000_000
SMALL, TOGETHER = 2_000, 200_000
"""Triangles of an object that is drawn together with others, and how many of them at once: one by
one, thousands of objects take seconds."""
NO_MATERIAL = "Without material"
UNIT_BOX = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float64)
SURFACES = {"MESH", "POINTCLOUD", "CURVES"}
"""Types of what the dependency graph gives of curves, texts, metaballs and so on: their meshes."""


class ThingsUnknown(SceneError):
    """What the camera sees cannot be told apart into things; the text says why."""


@dataclass(frozen=True, eq=False)
class Eye:
    """A camera that need not be in the scene any more.

    Attributes:
        projection: (4, 4), from its space to clip space, as `Object.calc_matrix_camera` returns it.
        to_camera: (4, 4), from the world to its space.
    """

    projection: NDArray[np.float64]
    to_camera: NDArray[np.floating]


@dataclass
class _Names:
    """Numbers for all things, also those that are not seen: of each object, as many in a row as it
    has things.
    """

    starts: list[int] = field(default_factory=list)
    ranges: list[tuple[str, str, int]] = field(default_factory=list)
    known: dict[tuple[str, str], int] = field(default_factory=dict)
    next: int = 1

    def first(self, name: str, part: str, count: int) -> int:
        """The number of an object's first thing."""
        if (name, part) not in self.known:
            self.known[name, part] = self.next
            self.starts.append(self.next)
            self.ranges.append((name, part, count))
            self.next += count
        return self.known[name, part]

    def name(self, number: int) -> str:
        """What a number is called."""
        place = bisect_right(self.starts, number) - 1
        name, part, count = self.ranges[place]
        return f"{name}, {part} {number - self.starts[place] + 1}" if count > 1 else name


@dataclass
class _Group:
    """Instances of the same geometry that are the same things."""

    geometry: Geometry
    labels: NDArray[np.int64]
    matrices: list[NDArray[np.float64]]
    one_sided: NDArray[np.bool_] | None = None
    cut: Cut | None = None
    keys: list[Key] = field(default_factory=list)
    """Of the instances, where surfaces are traced."""


@dataclass(frozen=True)
class _Placed:
    """A small object in the camera's space, its front where the corners go round against the
    clock.
    """

    vertices: NDArray[np.float64]
    corners: NDArray[np.int32]
    labels: NDArray[np.int64]
    one_sided: NDArray[np.bool_]
    surface: Surface | None

    @staticmethod
    def of(group: _Group, matrix: NDArray[np.float64], surface: Surface | None) -> "_Placed":
        """The only instance of a group."""
        corners, one_sided = group.geometry.corners, group.one_sided
        if one_sided is None:
            one_sided = np.zeros(len(corners), bool)
        elif np.linalg.det(matrix[:3, :3]) < 0:
            corners = corners[:, ::-1]
        vertices = group.geometry.vertices @ matrix[:3, :3].T + matrix[:3, 3]
        return _Placed(vertices, corners, group.labels, one_sided, surface)


class Seen:
    """What is seen by one camera."""

    def __init__(
        self,
        kind: str,
        engine: str,
        width: int,
        height: int,
        layers: set[str] | None,
        traced: bool,
        eye: Eye | None,
    ) -> None:
        self.kind, self.engine, self.layers = kind, engine, layers
        self.size = width, height
        self.canvas: Canvas | None = None
        """Of the numbers of `drawn`."""
        self.drawn = Drawn()
        self.camera_to_world: NDArray[np.floating] = np.eye(4)
        self._traced, self._eye = traced, eye
        self.named = _Names()
        self.error: Exception | None = None
        self._undrawn: list[tuple[list[_Group], NDArray[np.float64]]] = []
        """What view layers show, and where their camera is."""
        self._triangles = 0
        self._opacities: dict[bpy.types.Material | None, Opacity] = {}
        self._small: list[_Placed] = []
        self._waiting = 0
        """Triangles of the small."""

    def look(self, depsgraph: bpy.types.Depsgraph) -> None:
        """Read all that a view layer shows; of several layers that are composited, the nearest is
        seen.
        """
        if self.layers is None and self.canvas is not None:
            return
        width, height = self.size
        eye = self._eye or self._camera(depsgraph)
        if self.canvas is None:
            self.canvas = Canvas(eye.projection, width, height)
            self.camera_to_world = np.linalg.inv(eye.to_camera)
        if self.layers is not None and depsgraph.view_layer.name not in self.layers:
            return
        to_camera = eye.to_camera.astype(np.float64)
        groups = list(self._groups(depsgraph).values())
        self._undrawn.append((groups, to_camera))
        if any(group.cut is not None for group in groups):
            self.draw()  # reads images

    def _camera(self, depsgraph: bpy.types.Depsgraph) -> Eye:
        """The scene's own."""
        render, (width, height) = depsgraph.scene.render, self.size
        camera = depsgraph.scene.camera.evaluated_get(depsgraph)
        aspect = {"scale_x": render.pixel_aspect_x, "scale_y": render.pixel_aspect_y}
        matrix = camera.calc_matrix_camera(depsgraph, x=width, y=height, **aspect)
        place = np.array(camera.matrix_world.normalized(), np.float64)
        return Eye(np.array(matrix, np.float64), np.linalg.inv(place))

    def draw(self) -> None:
        """Draw what was read."""
        for groups, to_camera in self._undrawn:
            for group in groups:
                self._draw(group, to_camera)
            self._draw_small()
        self._undrawn.clear()

    def _draw(self, group: _Group, to_camera: NDArray[np.float64]) -> None:
        assert self.canvas is not None
        geometry = group.geometry
        matrices = to_camera @ np.array(group.matrices)
        triangles = geometry.corners.shape[1] == 3
        small = triangles and len(geometry.corners) <= SMALL and group.cut is None
        if len(matrices) == 1 and small:
            surface = self._surface(group, matrices, group.keys)
            self._small.append(_Placed.of(group, matrices[0], surface))
            self._waiting += len(geometry.corners)
            if self._waiting > TOGETHER:
                self._draw_small()
            return
        low, high = geometry.vertices.min(axis=0), geometry.vertices.max(axis=0)
        box = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), -1).reshape(-1, 3)
        in_view = self.canvas.in_view(box, matrices)
        matrices = matrices[in_view]
        if not len(matrices):
            return
        keys = [key for key, seen in zip(group.keys, in_view, strict=False) if seen]
        vertices, corners = geometry.vertices, geometry.corners
        step = len(corners)
        self._count(len(matrices) * step)
        surface = self._surface(group, matrices, keys)
        numbers = self.drawn.add(group.labels, len(matrices), surface)
        if triangles:
            sides = group.one_sided, group.cut
            self.canvas.draw(vertices, corners, matrices, numbers, *sides, step)
        else:
            self.canvas.strands(vertices, corners, matrices, numbers, step)

    def _surface(
        self, group: _Group, matrices: NDArray[np.float64], keys: list[Key]
    ) -> Surface | None:
        if not self._traced:
            return None
        geometry = group.geometry
        return Surface(geometry.vertices, geometry.corners, geometry.joins, keys, matrices)

    def _draw_small(self) -> None:
        """Draw the small objects that have gathered, those in view as one."""
        assert self.canvas is not None
        pieces, self._small, self._waiting = self._small, [], 0
        if not pieces:
            return
        low = np.array([one.vertices.min(axis=0) for one in pieces])
        high = np.array([one.vertices.max(axis=0) for one in pieces])
        boxes = np.tile(np.eye(4), (len(pieces), 1, 1))
        boxes[:, range(3), range(3)], boxes[:, :3, 3] = high - low, low
        in_view = self.canvas.in_view(UNIT_BOX, boxes)
        pieces = [one for one, seen in zip(pieces, in_view, strict=True) if seen]
        if not pieces:
            return
        counts = [len(one.vertices) for one in pieces]
        first = np.repeat(np.cumsum([0, *counts[:-1]]), [len(one.corners) for one in pieces])
        corners = np.concatenate([one.corners for one in pieces]) + first[:, None]
        self._count(len(corners))
        self.canvas.draw(
            np.concatenate([one.vertices for one in pieces]),
            corners,
            np.eye(4)[None],
            np.concatenate([self.drawn.add(one.labels, 1, one.surface) for one in pieces]),
            np.concatenate([one.one_sided for one in pieces]),
        )

    def _count(self, triangles: int) -> None:
        self._triangles += triangles
        if self._triangles > MOST_TRIANGLES:
            raise ThingsUnknown(
                f"The camera sees more than {MOST_TRIANGLES // 1_000_000} million triangles: too "
                "many to tell things apart."
            )

    def _groups(self, depsgraph: bpy.types.Depsgraph) -> dict[tuple[object, ...], _Group]:
        """All that is rendered. An instance is only valid until the next one is asked for."""
        groups: dict[tuple[object, ...], _Group] = {}
        known: dict[int, Geometry | None] = {}
        held_out: dict[str, bool] = {}
        layer = depsgraph.view_layer
        for instance in depsgraph.object_instances:
            thing = instance.object
            if thing.type not in SURFACES or thing.data is None or not instance.show_self:
                continue
            name = thing.original.name_full
            owner = _owner(instance).name_full
            if self._is_hidden(instance, layer):
                continue
            pointer = thing.data.as_pointer()
            key = (pointer, name, owner)
            if key not in groups:
                if pointer not in known:
                    known[pointer] = geometry_of(thing.data, self.kind, self._traced)
                geometry = known[pointer]
                if geometry is None:
                    continue
                if owner not in held_out:
                    held_out[owner] = self._is_held_out(instance, layer)
                title = name if owner == name else f"{name} of {owner}"
                group = self._group(geometry, thing, title, depsgraph)
                if held_out[owner]:
                    group.labels = np.zeros_like(group.labels)
                groups[key] = group
            groups[key].matrices.append(np.array(instance.matrix_world, np.float64))
            if self._traced:
                groups[key].keys.append(_key_of(instance))
        return {key: group for key, group in groups.items() if len(group.geometry.corners)}

    def _is_hidden(
        self, instance: bpy.types.DepsgraphObjectInstance, layer: bpy.types.ViewLayer
    ) -> bool:
        """Whether the engine does not show an object to the camera."""
        if self.engine == "BLENDER_WORKBENCH":
            return False
        owner = _owner(instance)
        indirect = self.engine == "CYCLES" and owner.indirect_only_get(view_layer=layer)
        return bool(indirect or not instance.object.visible_camera)

    def _is_held_out(
        self, instance: bpy.types.DepsgraphObjectInstance, layer: bpy.types.ViewLayer
    ) -> bool:
        """Whether an object is a hole in the picture."""
        if self.engine == "BLENDER_WORKBENCH":
            return False
        held_out = _owner(instance).holdout_get(view_layer=layer)
        return bool(held_out or instance.object.original.is_holdout)

    def _group(
        self,
        geometry: Geometry,
        thing: bpy.types.Object,
        title: str,
        depsgraph: bpy.types.Depsgraph,
    ) -> _Group:
        """The geometry of an object, labelled, without what nothing is seen of."""
        count = len(geometry.corners)
        materials = _materials(thing, depsgraph.view_layer)
        slots = np.minimum(geometry.slots, len(materials) - 1)
        if self.kind == "MATERIALS":
            names = [NO_MATERIAL if one is None else one.name_full for one in materials]
            by_slot = np.array([self.named.first(name, "material", 1) for name in names])
            labels = by_slot[slots] if len(slots) else np.full(count, by_slot[0])
        elif geometry.parts is not None:
            part, parts = ("part" if self.kind == "FACES" else "island"), geometry.parts
            labels = self.named.first(title, part, int(parts.max()) + 1) + parts.astype(np.int64)
        else:
            labels = np.full(count, self.named.first(title, "", 1))
        if not len(slots):
            return _Group(geometry, labels, [])
        shading = depsgraph.scene.display.shading
        opacities = [self._opacity(one) for one in materials]
        clear = [
            is_seen_through(opacity, one, thing, self.engine, shading)
            for opacity, one in zip(opacities, materials, strict=True)
        ]
        solid = ~np.array(clear)[slots]
        cut = None
        if self.engine != "BLENDER_WORKBENCH":
            cut = cut_of(thing.data, opacities, slots, solid)
        one_sided = np.array([self._is_one_sided(one, depsgraph) for one in materials])[slots]
        if not solid.all():
            labels, one_sided = labels[solid], one_sided[solid]
            geometry = replace(geometry, corners=geometry.corners[solid], slots=slots[solid])
        return _Group(geometry, labels, [], one_sided if one_sided.any() else None, cut)

    def _opacity(self, material: bpy.types.Material | None) -> Opacity:
        if material not in self._opacities:
            self._opacities[material] = Opacity(material, self.engine)
        return self._opacities[material]

    def _is_one_sided(
        self, material: bpy.types.Material | None, depsgraph: bpy.types.Depsgraph
    ) -> bool:
        if self.engine == "BLENDER_WORKBENCH":
            return bool(depsgraph.scene.display.shading.show_backface_culling)
        if self.engine == "CYCLES" or material is None:
            return False
        return bool(material.use_backface_culling)


def _owner(instance: bpy.types.DepsgraphObjectInstance) -> bpy.types.Object:
    """What is in the scene of an instance: the object itself, or the one that instances it."""
    owner = instance.parent if instance.is_instance else instance.object
    return owner.original


def _key_of(instance: bpy.types.DepsgraphObjectInstance) -> Key:
    """What tells an instance from all others, at every frame and whatever it is called."""
    thing = instance.object
    of = (thing.original.session_uid, _owner(instance).session_uid, type(thing.data).__name__)
    return (*of, *instance.persistent_id) if instance.is_instance else of


def _materials(
    thing: bpy.types.Object, layer: bpy.types.ViewLayer
) -> list[bpy.types.Material | None]:
    """Of each slot of an object, at least one."""
    slots = [slot.material for slot in thing.material_slots] or [None]
    if layer.material_override is not None:
        return [layer.material_override] * len(slots)
    return [one.original if one is not None else None for one in slots]
