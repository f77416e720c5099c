"""What is painted on a picture of one frame, carried to pictures of others, beside what Workbench
draws of the painted faces there.
"""

import importlib
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Vector
from numpy.typing import NDArray
from test_things import bare

WIDTH, HEIGHT = 240, 180
FIRST, LAST = 1, 20
NOTHING, ADDED, TAKEN = range(3)
Mask = NDArray[np.bool_]


class Carrying(SimpleNamespace):
    """The modules that carry paint, and the scene that it is carried through."""

    def pixels(self, frame: int) -> NDArray[np.uint8]:
        """What Workbench draws at a frame, (H, W, 3)."""
        bpy.context.scene.frame_set(frame)
        png = self.camera_render.capture(bpy.context.scene, 4096)
        return self.pictures.decode_png(png)[..., :3]  # type: ignore[no-any-return]

    def truth(self, frame: int) -> Mask:
        """Where the marked faces are seen."""
        return self.pixels(frame)[..., 0] > 128

    def look(self, frame: int, painted: NDArray[np.uint8]) -> object:
        """Remember the scene as it was painted on at a frame."""
        scene = bpy.context.scene
        scene.frame_set(frame)
        place = self.place(scene)
        parts = self.painted_scene.looking(scene, nullcontext(), painted, place)
        return self.camera_render.at_once(parts)

    def place(self, scene: bpy.types.Scene) -> object:
        """Of what is painted now."""
        viewpoint = self.camera_render.viewpoint(scene)
        source = self.picture_source.NEW_RENDER
        return self.taken_pictures.Place(viewpoint, source, scene.camera.name, scene.frame_current)

    def carried(self, then: object, frame: int) -> NDArray[np.uint8]:
        """What was painted, at another frame."""
        scene, found = bpy.context.scene, []
        scene.frame_set(frame)
        self.camera_render.at_once(
            self.take_picture.taking_picture(
                scene, None, lambda seen: found.append(self.carried_paint.carried(then, seen))
            )
        )
        return found[0]  # type: ignore[no-any-return]

    def overlap(self, frame: int) -> float:
        """IoU of what was painted on the marked faces at the first frame with where they are seen
        at another one.
        """
        then = self.look(FIRST, np.where(self.truth(FIRST), ADDED, NOTHING).astype(np.uint8))
        return iou(self.carried(then, frame) == ADDED, self.truth(frame))


def iou(one: Mask, other: Mask) -> float:
    assert other.any()
    return float((one & other).sum() / (one | other).sum())


@pytest.fixture
def carrying(addon: SimpleNamespace, installed: str) -> Carrying:
    """A camera that looks along y at the origin, on a dark ground."""
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    look_from(scene.camera, (0, -8, 2.5))
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.frame_start, scene.frame_end = FIRST, LAST
    scene.watch_your_steps.max_side = 4096
    bare(scene)
    scene.display.shading.color_type = "MATERIAL"
    bpy.ops.mesh.primitive_plane_add(size=60)
    bpy.context.object.name = "ground"
    bpy.context.object.data.materials.append(colour("dark", 0.0))
    names = ("render.painted_scene", "render.carried_paint", "render.take_picture")
    more = ("data.picture_source", "data.taken_pictures")
    modules = {
        name.rpartition(".")[2]: importlib.import_module(f"{installed}.{name}")
        for name in (*names, *more)
    }
    return Carrying(camera_render=addon.camera_render, pictures=addon.pictures, **modules)


def colour(name: str, value: float) -> bpy.types.Material:
    material = bpy.data.materials.get(name) or bpy.data.materials.new(name)
    material.diffuse_color = (value, value, value, 1)
    return material


def look_from(camera: bpy.types.Object, place: tuple[float, float, float]) -> None:
    """Let a camera look at what stands on the origin."""
    camera.location = place
    towards = Vector((0, 0, 1)) - Vector(place)
    camera.rotation_euler = towards.to_track_quat("-Z", "Y").to_euler()


def marked(thing: bpy.types.Object, chosen: Callable[[Vector, Vector], bool]) -> bpy.types.Object:
    """Mark the faces of an object by their middle and normal in its space."""
    mesh = thing.data
    mesh.materials.append(colour("dark", 0.0))
    mesh.materials.append(colour("bright", 1.0))
    for face in mesh.polygons:
        face.material_index = int(chosen(face.center, face.normal))
    return thing


def ball(name: str = "ball", place: tuple[float, float, float] = (0, 0, 1)) -> bpy.types.Object:
    """A ball with marked faces on the side of the camera."""
    bpy.ops.mesh.primitive_uv_sphere_add(segments=48, ring_count=24, location=place)
    bpy.context.object.name = name
    return marked(bpy.context.object, lambda at, _: at.y < -0.55 and at.z > -0.4)


def keyed(thing: bpy.types.Object, path: str, first: object, last: object) -> None:
    for frame, value in ((FIRST, first), (LAST, last)):
        setattr(thing, path, value)
        thing.keyframe_insert(path, frame=frame)


# ---------------------------------------------------------------- what moves


def camera_moves(carrying: Carrying) -> None:
    ball()
    camera = bpy.context.scene.camera
    for frame, place in ((FIRST, (0, -8, 2.5)), (LAST, (3, -7, 3.5))):
        look_from(camera, place)
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_euler", frame=frame)


def lens_changes(carrying: Carrying) -> None:
    ball()
    camera = bpy.context.scene.camera.data
    camera.shift_x = 0.1
    keyed(camera, "lens", 50.0, 80.0)


def object_moves(carrying: Carrying) -> None:
    thing = ball()
    keyed(thing, "location", (-1, 0, 1), (1.2, 1, 1.5))
    keyed(thing, "rotation_euler", (0, 0, -0.2), (0.2, 0.1, 0.3))
    keyed(thing, "scale", (1, 1, 1), (1.2, 0.9, 1.1))


def parent_moves(carrying: Carrying) -> None:
    thing = ball()
    parent = bpy.data.objects.new("parent", None)
    bpy.context.scene.collection.objects.link(parent)
    thing.parent = parent
    keyed(parent, "location", (-1, 0, 0), (1, 0, 0.3))


def armature_bends(carrying: Carrying) -> None:
    bpy.ops.mesh.primitive_cylinder_add(vertices=32, radius=0.6, depth=3, location=(0, 0, 1.5))
    thing = bpy.context.object
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.subdivide(number_cuts=6)
    bpy.ops.object.mode_set(mode="OBJECT")
    marked(thing, lambda at, normal: normal.y < -0.5 and at.z > 0.2 and at.z < 1.3)
    bpy.ops.object.armature_add()
    rig = bpy.context.object
    bpy.ops.object.mode_set(mode="EDIT")
    lower = rig.data.edit_bones[0]
    lower.head, lower.tail = (0, 0, 0), (0, 0, 1.5)
    upper = rig.data.edit_bones.new("upper")
    upper.head, upper.tail, upper.parent = (0, 0, 1.5), (0, 0, 3), lower
    bpy.ops.object.mode_set(mode="OBJECT")
    for name, above in ((rig.data.bones[0].name, False), ("upper", True)):
        group = thing.vertex_groups.new(name=name)
        for vertex in thing.data.vertices:
            share = min(max(vertex.co.z * 2 + 0.5, 0.0), 1.0)
            group.add([vertex.index], share if above else 1 - share, "REPLACE")
    thing.modifiers.new("bend", "ARMATURE").object = rig
    bone = rig.pose.bones["upper"]
    bone.rotation_mode = "XYZ"
    keyed(bone, "rotation_euler", (0, 0, 0), (0.3, 0, 0.7))


def shape_key_grows(carrying: Carrying) -> None:
    thing = ball()
    thing.shape_key_add(name="basis")
    key = thing.shape_key_add(name="wide")
    for vertex in key.data:
        vertex.co = (vertex.co.x * 1.5, vertex.co.y, vertex.co.z + 0.3 * vertex.co.x)
    keyed(key, "value", 0.0, 1.0)


def subdivided_and_waved(carrying: Carrying) -> None:
    thing = ball()
    thing.modifiers.new("round", "SUBSURF").render_levels = 2
    wave = thing.modifiers.new("wave", "WAVE")
    wave.height, wave.speed, wave.narrowness, wave.width = 0.4, 0.1, 2.0, 1.0
    keyed(thing, "location", (0, 0, 1), (0.6, 0, 1))


def instances_move(carrying: Carrying) -> None:
    thing = ball("one", (0, 0, 0))
    group = bpy.data.collections.new("group")
    group.objects.link(thing)
    bpy.context.scene.collection.objects.unlink(thing)
    for name, first, last in (("a", (-1.5, 0, 1), (0, 0.5, 1)), ("b", (1.5, 0, 1), (2, 0, 1.6))):
        empty = bpy.data.objects.new(name, None)
        empty.instance_type, empty.instance_collection = "COLLECTION", group
        bpy.context.scene.collection.objects.link(empty)
        keyed(empty, "location", first, last)


def scattered(carrying: Carrying) -> None:
    """Instances by geometry nodes, on points that move."""
    thing = ball("one", (0, 0, 0))
    thing.hide_render = True
    points = bpy.data.meshes.new("points")
    points.from_pydata([(-1.5, 0, 0), (0, 0, 0), (1.5, 0, 0)], [], [])
    grid = bpy.data.objects.new("points", points)
    bpy.context.scene.collection.objects.link(grid)
    tree = bpy.data.node_groups.new("scatter", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    begin, end = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    source, put = (
        tree.nodes.new(f"GeometryNode{name}") for name in ("ObjectInfo", "InstanceOnPoints")
    )
    source.inputs["Object"].default_value = thing
    put.inputs["Scale"].default_value = (0.7, 0.7, 0.7)
    for one, other in (
        (begin.outputs[0], put.inputs["Points"]),
        (source.outputs["Geometry"], put.inputs["Instance"]),
        (put.outputs[0], end.inputs[0]),
    ):
        tree.links.new(one, other)
    grid.modifiers.new("scatter", "NODES").node_group = tree
    keyed(grid, "location", (-0.6, 0, 1), (0.6, 0, 1.3))
    keyed(grid, "scale", (1, 1, 1), (1.2, 1.2, 1))


def camera_is_flat(carrying: Carrying) -> None:
    bpy.context.scene.camera.data.type = "ORTHO"
    bpy.context.scene.camera.data.ortho_scale = 5
    camera_moves(carrying)


def pixels_are_wide(carrying: Carrying) -> None:
    bpy.context.scene.render.pixel_aspect_x = 1.6
    camera_moves(carrying)


@pytest.mark.parametrize(
    "moves",
    [
        camera_moves,
        lens_changes,
        object_moves,
        parent_moves,
        armature_bends,
        shape_key_grows,
        subdivided_and_waved,
        instances_move,
        scattered,
        camera_is_flat,
        pixels_are_wide,
    ],
)
def test_paint_stays_on_the_faces_that_it_was_painted_on(
    carrying: Carrying, moves: Callable[[Carrying], None]
) -> None:
    moves(carrying)
    before, after = carrying.truth(FIRST), carrying.truth(LAST)
    assert iou(before, after) < 0.7, "it moves"
    for frame in (FIRST, 8, LAST):
        found = carrying.overlap(frame)
        print(moves.__name__, frame, round(found, 4))
        assert found >= (1 if frame == FIRST else 0.9), frame


def test_where_nothing_moves_each_pixel_keeps_what_was_painted_on_it(carrying: Carrying) -> None:
    """On surfaces, their outlines and the sky."""
    ball()
    random = np.random.default_rng(3)
    painted = random.integers(0, 3, (HEIGHT, WIDTH), np.uint8)
    then = carrying.look(FIRST, painted)
    assert np.array_equal(carrying.carried(then, LAST), painted)


def test_paint_goes_behind_what_passes_in_front_and_shows_on_no_back(carrying: Carrying) -> None:
    ball()
    bpy.ops.mesh.primitive_cube_add(size=1.2)
    cube = bpy.context.object
    cube.data.materials.append(colour("dark", 0.0))
    keyed(cube, "location", (-4, -3, 1), (0.4, -3, 1.2))
    assert carrying.overlap(LAST) >= 0.9
    turning = bpy.data.objects["ball"]
    keyed(turning, "rotation_euler", (0, 0, 0), (0, 0, math.pi))
    then = carrying.look(FIRST, np.where(carrying.truth(FIRST), ADDED, NOTHING).astype(np.uint8))
    assert not (carrying.carried(then, LAST) == ADDED).any(), "the other side is left to the slider"


def test_what_was_hidden_is_left_to_the_slider(carrying: Carrying) -> None:
    """All of the picture is painted: only what comes into view is not."""
    bpy.ops.mesh.primitive_cube_add(size=2, location=(0, 0, 1))
    cube = bpy.context.object
    cube.data.materials.append(colour("bright", 1.0))
    keyed(cube, "location", (-2, 0, 1), (2, 0, 1))
    hidden = carrying.truth(FIRST)
    then = carrying.look(FIRST, np.full((HEIGHT, WIDTH), TAKEN, np.uint8))
    found, cube_now = carrying.carried(then, LAST), carrying.truth(LAST)
    left = found == NOTHING
    assert not (left & ~hidden & ~cube_now).any()
    assert (left & hidden & ~cube_now).sum() > 0.8 * (hidden & ~cube_now).sum()


def test_paint_on_the_sky_turns_with_the_camera(carrying: Carrying) -> None:
    camera = bpy.context.scene.camera
    bpy.data.objects.remove(bpy.data.objects["ground"])
    painted = np.zeros((HEIGHT, WIDTH), np.uint8)
    painted[60:120, 90:150] = ADDED
    then = carrying.look(FIRST, painted)
    camera.location.x += 5
    assert np.array_equal(carrying.carried(then, LAST), painted), "it is endlessly far away"
    lens = camera.data
    turn = math.atan(30 / WIDTH * lens.sensor_width / lens.lens)
    camera.matrix_world = camera.matrix_world @ Matrix.Rotation(turn, 4, "Y")
    bpy.context.view_layer.update()
    moved = np.roll(painted, 30, axis=1)
    assert iou(carrying.carried(then, LAST) == ADDED, moved == ADDED) > 0.9


def test_an_object_that_goes_takes_its_paint_along(carrying: Carrying) -> None:
    ball("left", (-1.2, 0, 1))
    ball("right", (1.2, 0, 1))
    then = carrying.look(FIRST, np.where(carrying.truth(FIRST), ADDED, NOTHING).astype(np.uint8))
    bpy.data.objects["right"].name = "left"  # names tell nothing
    bpy.data.objects.remove(bpy.data.objects["left"])
    assert bpy.data.objects["left.001"]
    assert iou(carrying.carried(then, LAST) == ADDED, carrying.truth(LAST)) >= 0.9


def test_a_mesh_that_gets_other_faces_carries_its_paint_as_a_whole(carrying: Carrying) -> None:
    thing = ball()
    keyed(thing, "location", (-1, 0, 1), (1, 0, 1))
    finer = thing.modifiers.new("finer", "SUBSURF")
    finer.subdivision_type = "SIMPLE"
    keyed(finer, "render_levels", 0, 1)
    for curve in thing.animation_data.action.layers[0].strips[0].channelbags[0].fcurves:
        for point in curve.keyframe_points:
            point.interpolation = "CONSTANT" if "levels" in curve.data_path else "LINEAR"
    assert carrying.overlap(LAST) >= 0.9


def test_another_mesh_with_as_many_vertices_does_not_get_paint_by_their_numbers(
    carrying: Carrying,
) -> None:
    """Such as a simulation's or a switch's: paint was scattered all over it."""
    thing = ball()
    then = carrying.look(FIRST, np.where(carrying.truth(FIRST), ADDED, NOTHING).astype(np.uint8))
    mesh = thing.data
    order = np.random.default_rng(1).permutation(len(mesh.vertices))
    other = bpy.data.meshes.new("other")
    places = [None] * len(order)
    for vertex in mesh.vertices:
        places[order[vertex.index]] = vertex.co[:]
    faces = [[int(order[one]) for one in face.vertices] for face in mesh.polygons]
    other.from_pydata(places, [], faces)
    for material in mesh.materials:
        other.materials.append(material)
    for face, one in zip(mesh.polygons, other.polygons, strict=True):
        one.material_index = face.material_index
    thing.data = other
    assert iou(carrying.carried(then, LAST) == ADDED, carrying.truth(LAST)) >= 0.9


def test_it_is_painted_through_the_camera_as_it_stood(carrying: Carrying) -> None:
    """Where that was not keyed, and has been moved since; and where another one is active."""
    ball()
    scene = bpy.context.scene
    for flat in (False, True):
        scene.camera.data.type = "ORTHO" if flat else "PERSP"
        scene.camera.data.ortho_scale = 6
        scene.camera.data.shift_y = 0.1
        look_from(scene.camera, (0, -8, 2.5))
        painted = np.where(carrying.truth(FIRST), ADDED, NOTHING).astype(np.uint8)
        place = carrying.place(scene)
        look_from(scene.camera, (2, -7, 4))
        scene.frame_set(FIRST)
        parts = carrying.painted_scene.looking(scene, nullcontext(), painted, place)
        then = carrying.camera_render.at_once(parts)
        assert iou(carrying.carried(then, LAST) == ADDED, carrying.truth(LAST)) >= 0.9
    camera = scene.camera
    scene.camera = bpy.data.objects.new("other", bpy.data.cameras.new("other"))
    scene.collection.objects.link(scene.camera)
    bpy.data.objects.remove(camera)
    parts = carrying.painted_scene.looking(scene, nullcontext(), painted, place)
    with pytest.raises(carrying.painted_scene.NotFollowed, match="is not there any more"):
        carrying.camera_render.at_once(parts)


def new_hair(points: list[int]) -> bpy.types.Curves:
    curves = bpy.data.hair_curves.new("hair")
    curves.add_curves(points)
    return curves


def hair() -> bpy.types.Object:
    """Curtains of hair all over the picture."""
    curves = new_hair([6] * 400)
    places = np.zeros((2400, 3), np.float32)
    side = np.arange(400)
    for step in range(6):
        places[step::6, 0] = side / 100 - 2
        places[step::6, 2] = 0.3 + step / 3
    curves.attributes["position"].data.foreach_set("vector", places.ravel())
    thing = bpy.data.objects.new("hair", curves)
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.scene.frame_set(FIRST)
    return thing


def left_half() -> NDArray[np.uint8]:
    painted = np.zeros((HEIGHT, WIDTH), np.uint8)
    painted[:, : WIDTH // 2] = ADDED
    return painted


def test_other_hair_with_as_many_points_does_not_get_paint_by_their_numbers(
    carrying: Carrying,
) -> None:
    thing = hair()
    then = carrying.look(FIRST, left_half())
    before = carrying.carried(then, LAST)
    places = np.empty((2400, 3), np.float32)
    thing.data.attributes["position"].data.foreach_get("vector", places.ravel())
    other = new_hair([6] * 200 + [3] * 400)
    other.attributes["position"].data.foreach_set("vector", np.roll(places, 1200, axis=0).ravel())
    thing.data = other
    assert (before != carrying.carried(then, LAST)).mean() < 0.05, "gaps between the shorter ones"


def test_hair_curves_carry_paint(carrying: Carrying) -> None:
    thing, painted = hair(), left_half()
    then = carrying.look(FIRST, painted)
    index = then.index  # type: ignore[attr-defined]
    here = painted == ADDED
    hairs = index == index[HEIGHT // 2, WIDTH // 2]
    assert hairs.sum() > 1000
    thing.location.x += 1.0
    bpy.context.view_layer.update()
    found = carrying.carried(then, LAST) == ADDED
    assert (found & ~here).sum() > 0.15 * (hairs & here).sum(), "it is where nothing was painted"


def test_large_pictures_are_carried_in_little_time(carrying: Carrying) -> None:
    ball()
    camera_moves(carrying)
    thing = bpy.data.objects["ball"]
    thing.modifiers.new("round", "SUBSURF").render_levels = 4
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 1920, 1080
    painted = np.full((1080, 1920), ADDED, np.uint8)
    then = carrying.look(FIRST, painted)
    spent: list[float] = []
    module: ModuleType = carrying.carried_paint

    def look(seen: object) -> None:
        began = time.process_time()
        module.carried(then, seen)
        spent.append(time.process_time() - began)

    scene.frame_set(LAST)
    carrying.camera_render.at_once(carrying.take_picture.taking_picture(scene, None, look))
    print("seconds", spent)
    assert spent[0] < 15
