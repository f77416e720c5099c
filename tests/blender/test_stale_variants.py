"""The panel says so, too, where what has changed lies deeper: in modifiers, groups of nodes,
drivers, libraries, layers; and it says nothing where no pixel changes.
"""

from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest
from driving import preview
from test_stale_render import Change, base_colour, changes, material, setter
from test_stale_render import shown as shown  # a fixture


def group_of(kind: str, name: str) -> bpy.types.NodeTree:
    return bpy.data.node_groups.new(name, kind)


def colour_through_groups() -> None:
    """The material's colour comes from a group within a group."""
    inner = group_of("ShaderNodeTree", "inner")
    outer = group_of("ShaderNodeTree", "outer")
    for tree in (inner, outer):
        tree.interface.new_socket("Color", in_out="OUTPUT", socket_type="NodeSocketColor")
    colour = inner.nodes.new("ShaderNodeRGB")
    colour.name = "RGB"  # Blender 5 calls it otherwise
    within = outer.nodes.new("ShaderNodeGroup")
    within.node_tree = inner
    for tree, source in ((inner, colour), (outer, within)):
        end = tree.nodes.new("NodeGroupOutput")
        tree.links.new(source.outputs[0], end.inputs[0])
    tree = material().node_tree
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree = outer
    tree.links.new(node.outputs[0], base_colour())


def lift_by_nodes(thing: bpy.types.Object) -> None:
    """A modifier of geometry nodes with an input of its own."""
    tree = group_of("GeometryNodeTree", "lift")
    for name, way, kind in (
        ("Geometry", "INPUT", "NodeSocketGeometry"),
        ("Height", "INPUT", "NodeSocketVector"),
        ("Geometry", "OUTPUT", "NodeSocketGeometry"),
    ):
        tree.interface.new_socket(name, in_out=way, socket_type=kind)
    begin, end = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    lift = tree.nodes.new("GeometryNodeTransform")
    lift.name = "lift"
    tree.links.new(begin.outputs[0], lift.inputs[0])
    tree.links.new(begin.outputs[1], lift.inputs["Translation"])
    tree.links.new(lift.outputs[0], end.inputs[0])
    thing.modifiers.new("nodes", "NODES").node_group = tree


def compositor(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    if bpy.app.version < (5, 0):
        scene.use_nodes = True
        return scene.node_tree
    if scene.compositing_node_group is None:
        made = scene.compositing_node_group = group_of("CompositorNodeTree", "compositing")
        made.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        layers, end = made.nodes.new("CompositorNodeRLayers"), made.nodes.new("NodeGroupOutput")
        made.links.new(layers.outputs[0], end.inputs[0])
    return scene.compositing_node_group


def bring(scene: bpy.types.Scene, path: Path, library: bool) -> bpy.types.Object:
    """An object of another file."""
    thing = bpy.data.objects.new("from elsewhere", bpy.data.meshes.new("elsewhere"))
    thing.location = (0, 3, 0)
    bpy.data.libraries.write(str(path), {thing})
    if not library:
        return thing
    bpy.data.objects.remove(thing)
    with bpy.data.libraries.load(str(path), link=True) as (_, into):
        into.objects = ["from elsewhere"]
    scene.collection.objects.link(into.objects[0])
    return into.objects[0]


@pytest.fixture
def rich(shown: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path) -> SimpleNamespace:
    """A preview of a scene with modifiers, drivers, keys, groups, layers, a library and more."""
    ball, ground = bpy.data.objects["ball"], bpy.data.objects["ground"]
    ball.modifiers.new("bevel", "BEVEL")
    lift_by_nodes(ball)
    colour_through_groups()
    scene.world.use_nodes = True
    bpy.data.worlds.new("another world")
    scene["height"] = 0.0
    driver = ground.driver_add("location", 0).driver
    driver.type = "SUM"
    variable = driver.variables.new()
    variable.targets[0].id_type, variable.targets[0].id = "SCENE", scene
    variable.targets[0].data_path = '["height"]'
    walker = bpy.data.objects.new("walker", bpy.data.lights.new("walker", "SUN"))
    scene.collection.objects.link(walker)
    for frame in (1, 10):
        walker.location.x = frame
        walker.keyframe_insert("location", index=0, frame=frame)
    curve = bpy.data.curves.new("curve", "CURVE")
    curve.splines.new("POLY").points.add(1)
    text = bpy.data.curves.new("text", "FONT")
    hidden = bpy.data.collections.new("apart")
    scene.collection.children.link(hidden)
    for data in (curve, text):
        hidden.objects.link(bpy.data.objects.new(data.name, data))
    behind = bpy.data.scenes.new("behind")
    behind.collection.objects.link(bpy.data.objects.new("far", ball.data))
    scene.background_set = behind
    scene.view_layers.new("another layer")
    bring(scene, tmp_path / "library.blend", library=True)
    compositor(scene).nodes.new("CompositorNodeBlur")
    ball.data.uv_layers.new(name="second")
    ball["shade"] = 0.5
    scene.frame_set(1)
    preview(shown, scene)
    return shown


def of(collection: str, name: str, path: str, value: object) -> Change:
    """Sets bpy.data.COLLECTION[NAME].PATH."""
    return lambda _: setter(path, value)(getattr(bpy.data, collection)[name])


def animate(scene: bpy.types.Scene) -> None:
    walker = bpy.data.objects["walker"]
    walker.location.x = 5
    walker.keyframe_insert("location", index=0, frame=1)
    scene.frame_set(1)


def change_input(_: bpy.types.Scene) -> None:
    modifier = bpy.data.objects["ball"].modifiers["nodes"]
    identifier = modifier.node_group.interface.items_tree["Height"].identifier
    if bpy.app.version >= (5, 2):
        getattr(modifier.properties.inputs, identifier).value = (0, 0, 2)
    else:
        modifier[identifier] = (0, 0, 2)
    bpy.data.objects["ball"].update_tag()


def drive(scene: bpy.types.Scene) -> None:
    scene["height"] = 3.0
    scene.update_tag()


def inner_colour(_: bpy.types.Scene) -> None:
    node = bpy.data.node_groups["inner"].nodes["RGB"]
    node.outputs[0].default_value = (0, 0, 1, 1)


def in_library(scene: bpy.types.Scene) -> None:
    """Another program has written the file anew, and it is reloaded."""
    (library,) = (one for one in bpy.data.libraries if "library" in one.filepath)
    thing = bpy.data.objects.new("from elsewhere", bpy.data.meshes.new("elsewhere"))
    thing.location = (0, 5, 0)
    bpy.data.libraries.write(library.filepath, {thing})
    bpy.data.objects.remove(thing)
    library.reload()


def exclude(scene: bpy.types.Scene) -> None:
    scene.view_layers[0].layer_collection.children["apart"].exclude = True


def blur(scene: bpy.types.Scene) -> None:
    node = next(node for node in compositor(scene).nodes if node.type == "BLUR")
    sizes = [one for one in node.inputs if one.name == "Size" and hasattr(one, "default_value")]
    sizes[0].default_value = [7.0] * 2 if hasattr(sizes[0].default_value, "__len__") else 7.0


def second_map(_: bpy.types.Scene) -> None:
    bpy.data.objects["ball"].data.uv_layers["second"].active_render = True


def override(scene: bpy.types.Scene) -> None:
    scene.view_layers[0].material_override = material()


def shade(_: bpy.types.Scene) -> None:
    bpy.data.objects["ball"]["shade"] = 0.9
    bpy.data.objects["ball"].update_tag()


def background(scene: bpy.types.Scene) -> None:
    scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 3.0


def without_compositor(scene: bpy.types.Scene) -> None:
    if bpy.app.version < (5, 0):
        scene.use_nodes = False
    else:
        scene.compositing_node_group = None


def node_moved(_: bpy.types.Scene) -> None:
    lift = bpy.data.node_groups["lift"].nodes["lift"]
    lift.inputs["Scale"].default_value = (2, 2, 2)


def curve_moved(_: bpy.types.Scene) -> None:
    bpy.data.curves["curve"].splines[0].points[1].co = (1, 2, 3, 1)


def modifier(name: str, value: object) -> Change:
    return lambda _: setattr(bpy.data.objects["ball"].modifiers["bevel"], name, value)


RICH: dict[str, tuple[set[str], Change]] = {
    "modifier's width": ({"objects"}, modifier("width", 0.3)),
    "modifier off": ({"objects"}, modifier("show_render", False)),
    "input of geometry nodes": ({"objects"}, change_input),
    "node of geometry nodes": ({"objects"}, node_moved),
    "custom property": ({"objects"}, shade),
    "active UV map": ({"objects"}, second_map),
    "driver": ({"objects"}, drive),
    "frame with animation": ({"objects", "frame"}, lambda scene: scene.frame_set(5)),
    "key": ({"objects"}, animate),
    "curve's point": ({"objects"}, curve_moved),
    "text": ({"objects"}, of("curves", "text", "body", "another")),
    "collection hidden": ({"objects"}, of("collections", "apart", "hide_render", True)),
    "collection excluded": ({"objects"}, exclude),
    "library": ({"objects"}, in_library),
    "background scene": ({"objects"}, of("objects", "far", "location", (0, 0, 9))),
    "colour within groups": ({"materials and lights"}, inner_colour),
    "another world": (
        {"materials and lights"},
        lambda scene: setattr(scene, "world", bpy.data.worlds["another world"]),
    ),
    "world's strength": ({"materials and lights"}, background),
    "compositor's node": ({"render settings"}, blur),
    "no compositor": ({"render settings"}, without_compositor),
    "layer's material": ({"render settings"}, override),
}


@pytest.mark.parametrize("name", RICH)
def test_what_has_changed_deep_in_a_scene_is_named(rich: SimpleNamespace, name: str) -> None:
    wanted, change = RICH[name]
    assert changes(rich) == []
    change(bpy.context.scene)
    assert wanted <= set(changes(rich))
    assert set(changes(rich)) <= {*wanted, "materials and lights"}


def select(scene: bpy.types.Scene) -> None:
    bpy.ops.object.select_all(action="SELECT")
    bpy.context.view_layer.objects.active = bpy.data.objects["ground"]


def hide_in_the_view(scene: bpy.types.Scene) -> None:
    bpy.data.objects["ground"].hide_set(True)
    bpy.data.objects["walker"].hide_viewport = True


def look_into(_: bpy.types.Scene) -> None:
    """Edit mode and back, with everything selected and nothing changed."""
    bpy.context.view_layer.objects.active = bpy.data.objects["ball"]
    for action in ("SELECT", "DESELECT"):
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.select_all(action=action)
        bpy.ops.object.mode_set(mode="OBJECT")


def save(scene: bpy.types.Scene) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(bpy.app.tempdir) / "saved.blend"))


def undo_and_redo(_: bpy.types.Scene) -> None:
    bpy.ops.ed.undo_push(message="before")
    bpy.data.objects["ball"].location.x += 1
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    bpy.ops.ed.redo()
    bpy.ops.ed.undo()


def fold_panels(_: bpy.types.Scene) -> None:
    for one in bpy.data.objects["ball"].modifiers:
        one.show_expanded = not one.show_expanded
        for name in [name for name in dir(one) if name.startswith(("open_", "show_manage"))]:
            setattr(one, name, not getattr(one, name))
    modifier = bpy.data.objects["ball"].modifiers["nodes"]
    modifier.show_group_selector = not modifier.show_group_selector


def move_nodes(_: bpy.types.Scene) -> None:
    for tree in (*bpy.data.node_groups, material().node_tree):
        for node in tree.nodes:
            node.location.x += 50
            node.hide = not node.hide
            node.select = True


def another_layer(scene: bpy.types.Scene) -> None:
    bpy.context.window.view_layer = scene.view_layers["another layer"]
    bpy.context.view_layer.update()


def rename_unused(_: bpy.types.Scene) -> None:
    bpy.data.worlds["another world"].name = "nobody's"
    bpy.data.materials.new("nobody's")


def settle(scene: bpy.types.Scene) -> None:
    """What the panels and the timer do all the time."""
    scene.watch_your_steps.view = "MASK"
    scene.watch_your_steps.opacity = 0.5
    scene.watch_your_steps.instruction = "another"


SAME = {
    "selection": select,
    "hidden in the view": hide_in_the_view,
    "edit mode": look_into,
    "saved": save,
    "undo and redo": undo_and_redo,
    "panels": fold_panels,
    "places of nodes": move_nodes,
    "shown layer": another_layer,
    "unused data": rename_unused,
    "own settings": settle,
}


@pytest.mark.parametrize("name", SAME)
def test_nothing_is_said_where_nothing_of_the_render_has_changed(
    rich: SimpleNamespace, name: str
) -> None:
    SAME[name](bpy.context.scene)
    assert changes(rich) == []
