"""Which image of a material is edited, and how it is laid on: never one that is not its colour."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

SIZE = (6, 8)
Build = Callable[["Tree"], None]


class Tree:
    """A material's nodes, or a group's, with short ways to make them."""

    def __init__(self, tree: bpy.types.NodeTree) -> None:
        self.tree, self.nodes = tree, tree.nodes

    def image(self, name: str, data: bool = False) -> bpy.types.ShaderNodeTexImage:
        """An image texture node, its image made of one random draw."""
        node = self.nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.get(name) or bpy.data.images.new(name, SIZE[1], SIZE[0])
        if data:
            node.image.colorspace_settings.name = "Non-Color"
        return node

    def new(self, kind: str, **values: Any) -> bpy.types.ShaderNode:
        node = self.nodes.new(kind)
        for name, value in values.items():
            setattr(node, name, value)
        return node

    def link(self, source: Any, target: Any) -> bpy.types.NodeLink:
        """From a socket, or a node's first output, to a socket."""
        output = source if isinstance(source, bpy.types.NodeSocket) else source.outputs[0]
        return self.tree.links.new(output, target)

    @property
    def bsdf(self) -> bpy.types.ShaderNode:
        return self.nodes["Principled BSDF"]

    @property
    def output(self) -> bpy.types.ShaderNode:
        return self.nodes["Material Output"]

    def colour(self, source: Any) -> None:
        self.link(source, self.bsdf.inputs["Base Color"])

    def mix(self, first: Any, second: Any, blend: str = "MULTIPLY") -> bpy.types.NodeSocket:
        """The output of a colour mix of two, of the factor that new ones have."""
        node = self.new("ShaderNodeMix", data_type="RGBA", blend_type=blend)
        factor, one, other = (entry for entry in node.inputs if entry.enabled)
        factor.default_value = 0.5
        self.link(first, one)
        if second is not None:
            self.link(second, other)
        return next(socket for socket in node.outputs if socket.enabled)

    def group(self, name: str) -> tuple["Tree", bpy.types.ShaderNode]:
        """A new group with a colour in and a colour out, and the node that shows it here."""
        tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
        tree.interface.new_socket("In", in_out="INPUT", socket_type="NodeSocketColor")
        tree.interface.new_socket("Out", in_out="OUTPUT", socket_type="NodeSocketColor")
        inner = Tree(tree)
        inner.new("NodeGroupInput")
        inner.new("NodeGroupOutput")
        return inner, self.new("ShaderNodeGroup", node_tree=tree)


def group_ends(tree: Tree) -> tuple[bpy.types.ShaderNode, bpy.types.ShaderNode]:
    return tree.nodes["Group Input"], tree.nodes["Group Output"]


@pytest.fixture
def mesh_texture(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.meshes.mesh_reading")


@pytest.fixture
def thing(addon: SimpleNamespace) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=1)
    bpy.context.scene.render.engine = "CYCLES"
    return bpy.context.object


def material(thing: bpy.types.Object, name: str = "m") -> Tree:
    made = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0):
        made.use_nodes = True
    thing.data.materials.append(made)
    return Tree(made.node_tree)


def names(mesh_texture: ModuleType, thing: bpy.types.Object, engine: str = "CYCLES") -> list[str]:
    return [image.name for image in mesh_texture.colour_images(thing, engine)]


# ---------------------------------------------------------------- which image


def base_and_maps(t: Tree) -> None:
    t.link(t.image("normal"), (bump := t.new("ShaderNodeNormalMap")).inputs["Color"])
    t.link(bump, t.bsdf.inputs["Normal"])
    t.link(t.image("rough"), t.bsdf.inputs["Roughness"])
    t.link(t.image("height"), (lift := t.new("ShaderNodeDisplacement")).inputs["Height"])
    t.link(lift, t.output.inputs["Displacement"])
    t.colour(t.image("base"))


def ao_second(t: Tree) -> None:
    t.colour(t.mix(t.image("base"), t.image("shadows")))


def ao_first(t: Tree) -> None:
    t.colour(t.mix(t.image("WoodAO_2k"), t.image("wood_diff")))


def factor_only(t: Tree) -> None:
    t.link(t.image("metal", data=True), t.bsdf.inputs["Metallic"])
    t.colour(t.mix(t.image("base"), None))


def mask_between(t: Tree) -> None:
    result = t.mix(t.image("base"), None, "MIX")
    t.link(t.image("mask"), result.node.inputs["Factor"])
    t.colour(result)


def blended(t: Tree) -> None:
    result = t.mix(t.image("below"), t.image("above"), "MIX")
    next(entry for entry in result.node.inputs if entry.enabled).default_value = 0.9
    t.colour(result)


def corrected(t: Tree) -> None:
    before: Any = t.image("base")
    for kind in ("HueSaturation", "Gamma", "BrightContrast", "Invert", "RGBCurve"):
        node = t.new(f"ShaderNode{kind}")
        t.link(before, node.inputs["Color"])
        before = node
    t.colour(before)


def through_vectors(t: Tree) -> None:
    t.link(t.image("base"), (move := t.new("ShaderNodeMapping")).inputs["Vector"])
    t.link(move, (product := t.new("ShaderNodeVectorMath", operation="MULTIPLY")).inputs[0])
    t.link(product, (curve := t.new("ShaderNodeVectorCurve")).inputs["Vector"])
    t.colour(curve)


def split_and_joined(t: Tree) -> None:
    apart, joined = t.new("ShaderNodeSeparateColor"), t.new("ShaderNodeCombineColor")
    t.link(t.image("base"), apart.inputs[0])
    for number in range(3):
        raised = t.new("ShaderNodeMath", operation="POWER")
        t.link(apart.outputs[number], raised.inputs[0])
        t.link(raised, joined.inputs[number])
    packed = t.new("ShaderNodeSeparateColor")
    t.link(t.image("orm_of_it"), packed.inputs[0])
    t.colour(t.mix(joined, packed.outputs[0]))


def one_channel_thrice(t: Tree) -> None:
    apart, joined = t.new("ShaderNodeSeparateColor"), t.new("ShaderNodeCombineColor")
    t.link(t.image("packed"), apart.inputs[0])
    for entry in joined.inputs:
        t.link(apart.outputs["Red"], entry)
    t.colour(joined)


def multiplied_by_black(t: Tree) -> None:
    """As glTF files have it whose surface only glows."""
    result = t.mix(t.image("base"), None)
    factor, _, second = (entry for entry in result.node.inputs if entry.enabled)
    factor.default_value, second.default_value = 1, (0, 0, 0, 1)
    t.colour(result)
    t.link(t.image("glow"), t.bsdf.inputs["Emission Color"])
    t.bsdf.inputs["Emission Strength"].default_value = 1


def mixed_by_a_vector(t: Tree) -> None:
    node = t.new("ShaderNodeMix", data_type="VECTOR", factor_mode="NON_UNIFORM")
    factor, first, second = (entry for entry in node.inputs if entry.enabled)
    factor.default_value = (1, 1, 1)
    t.link(t.image("covered"), first)
    t.link(t.image("base"), second)
    t.colour(next(socket for socket in node.outputs if socket.enabled))


def vertex_colours(t: Tree) -> None:
    t.colour(t.mix(t.new("ShaderNodeVertexColor"), t.image("base")))


def rerouted(t: Tree) -> None:
    t.link(t.image("base"), (one := t.new("NodeReroute")).inputs[0])
    t.link(one, (two := t.new("NodeReroute")).inputs[0])
    t.colour(two)
    t.link(t.image("other"), t.bsdf.inputs["Roughness"])


def in_nested_groups(t: Tree) -> None:
    outer, node = t.group("outer")
    inner, deeper = outer.group("inner")
    inner.link(inner.image("base"), group_ends(inner)[1].inputs[0])
    inner.image("unused")
    outer.link(deeper, group_ends(outer)[1].inputs[0])
    t.colour(node)


def through_a_group(t: Tree) -> None:
    inner, node = t.group("tint")
    come, go = group_ends(inner)
    inner.link(inner.mix(come.outputs[0], inner.new("ShaderNodeRGB")), go.inputs[0])
    t.link(t.image("base"), node.inputs[0])
    t.colour(node)


def two_groups_of_one_tree(t: Tree) -> None:
    """What goes into the one that is connected counts, and not what goes into the other."""
    inner, node = t.group("tint")
    inner.link(group_ends(inner)[0].outputs[0], group_ends(inner)[1].inputs[0])
    other = t.new("ShaderNodeGroup", node_tree=node.node_tree)
    t.link(t.image("base"), node.inputs[0])
    t.link(t.image("rough"), other.inputs[0])
    t.link(other, t.bsdf.inputs["Roughness"])
    t.colour(node)


def muted_between(t: Tree) -> None:
    hue = t.new("ShaderNodeHueSaturation", mute=True)
    t.link(t.image("base"), hue.inputs["Color"])
    t.colour(hue)
    result = t.mix(t.image("dirt"), t.image("base"))
    result.node.mute = True


def muted_link(t: Tree) -> None:
    t.colour(t.image("base"))
    glow = t.link(t.image("glow"), t.bsdf.inputs["Emission Color"])
    t.bsdf.inputs["Emission Strength"].default_value = 1
    glow.is_muted = True


def dark_emission(t: Tree) -> None:
    t.colour(t.image("base"))
    t.link(t.image("glow"), t.bsdf.inputs["Emission Color"])
    t.bsdf.inputs["Emission Strength"].default_value = 0


def glow(t: Tree) -> None:
    t.link(t.image("glow"), t.bsdf.inputs["Emission Color"])
    t.bsdf.inputs["Emission Strength"].default_value = 2
    t.link(t.image("rough"), t.bsdf.inputs["Roughness"])


def unlit(t: Tree) -> None:
    light = t.new("ShaderNodeEmission")
    t.link(t.image("base"), light.inputs["Color"])
    t.link(light, t.output.inputs["Surface"])
    t.colour(t.image("old"))


def as_background(t: Tree) -> None:
    light = t.new("ShaderNodeBackground")
    t.link(t.image("base"), light.inputs["Color"])
    t.link(light, t.output.inputs["Surface"])


def straight_to_the_surface(t: Tree) -> None:
    t.link(t.image("base"), t.output.inputs["Surface"])


def layered_shaders(t: Tree) -> None:
    mixed = t.new("ShaderNodeMixShader")
    mixed.inputs[0].default_value = 0.05
    coat = t.new("ShaderNodeBsdfDiffuse")
    t.link(t.image("paint"), coat.inputs["Color"])
    layer = t.new("ShaderNodeBsdfDiffuse")
    t.link(t.image("dirt"), layer.inputs["Color"])
    t.link(coat, mixed.inputs[1])
    t.link(layer, mixed.inputs[2])
    both = t.new("ShaderNodeAddShader")
    t.link(mixed, both.inputs[1])
    t.link(both, t.output.inputs["Surface"])


def cut_out(t: Tree) -> None:
    mixed, clear = t.new("ShaderNodeMixShader"), t.new("ShaderNodeBsdfTransparent")
    leaf = t.image("leaf")
    t.link(t.image("cut"), mixed.inputs[0])
    t.link(clear, mixed.inputs[1])
    t.link(t.bsdf, mixed.inputs[2])
    t.colour(leaf)
    t.link(leaf.outputs["Alpha"], t.bsdf.inputs["Alpha"])
    t.link(t.image("behind"), clear.inputs["Color"])
    t.link(mixed, t.output.inputs["Surface"])


def seen_by_cameras_only(t: Tree) -> None:
    mixed, rays = t.new("ShaderNodeMixShader"), t.new("ShaderNodeLightPath")
    light = t.new("ShaderNodeEmission")
    t.link(t.image("for_light"), light.inputs["Color"])
    t.link(rays.outputs["Is Camera Ray"], mixed.inputs[0])
    t.link(light, mixed.inputs[1])
    t.link(t.bsdf, mixed.inputs[2])
    t.colour(t.image("base"))
    t.link(mixed, t.output.inputs["Surface"])


def toon(t: Tree) -> None:
    t.colour(t.image("base"))
    seen = t.new("ShaderNodeShaderToRGB")
    t.link(t.bsdf, seen.inputs[0])
    light = t.new("ShaderNodeEmission")
    t.link(seen.outputs["Color"], light.inputs["Color"])
    t.link(light, t.output.inputs["Surface"])


def active_output(t: Tree) -> None:
    t.colour(t.image("old"))
    other = t.new("ShaderNodeBsdfPrincipled")
    t.link(t.image("base"), other.inputs["Base Color"])
    end = t.new("ShaderNodeOutputMaterial")
    t.link(other, end.inputs["Surface"])
    t.output.is_active_output = False
    end.is_active_output = True


def ramp(t: Tree) -> None:
    t.link(t.image("grey"), (colours := t.new("ShaderNodeValToRGB")).inputs[0])
    t.colour(colours)


def gray(t: Tree) -> None:
    t.link(t.image("base"), (grey := t.new("ShaderNodeRGBToBW")).inputs[0])
    t.colour(grey)


def alpha_as_colour(t: Tree) -> None:
    t.colour(t.image("base").outputs["Alpha"])


def no_colour_data(t: Tree) -> None:
    t.colour(t.image("normal", data=True))


def unconnected(t: Tree) -> None:
    t.link(t.image("old"), t.new("ShaderNodeBsdfPrincipled").inputs["Base Color"])


CASES: list[tuple[Build, list[str]]] = [
    (base_and_maps, ["base"]),
    (ao_second, ["base", "shadows"]),
    (ao_first, ["wood_diff", "WoodAO_2k"]),
    (factor_only, ["base"]),
    (mask_between, ["base"]),
    (blended, ["above", "below"]),
    (corrected, ["base"]),
    (through_vectors, ["base"]),
    (split_and_joined, ["base"]),
    (one_channel_thrice, []),
    (multiplied_by_black, ["glow"]),
    (mixed_by_a_vector, ["base"]),
    (vertex_colours, ["base"]),
    (rerouted, ["base"]),
    (in_nested_groups, ["base"]),
    (through_a_group, ["base"]),
    (two_groups_of_one_tree, ["base"]),
    (muted_between, ["base"]),
    (muted_link, ["base"]),
    (dark_emission, ["base"]),
    (glow, ["glow"]),
    (unlit, ["base"]),
    (as_background, ["base"]),
    (straight_to_the_surface, ["base"]),
    (layered_shaders, ["paint", "dirt"]),
    (cut_out, ["leaf"]),
    (seen_by_cameras_only, ["base"]),
    (toon, ["base"]),
    (active_output, ["base"]),
    (ramp, []),
    (gray, []),
    (alpha_as_colour, []),
    (no_colour_data, []),
    (unconnected, []),
]


@pytest.mark.parametrize(("build", "wanted"), CASES, ids=[case[0].__name__ for case in CASES])
def test_the_image_that_is_edited_feeds_the_surfaces_colour(
    mesh_texture: ModuleType,
    addon: SimpleNamespace,
    thing: bpy.types.Object,
    build: Build,
    wanted: list[str],
) -> None:
    build(material(thing))
    assert names(mesh_texture, thing) == wanted
    if wanted:
        assert mesh_texture.read_mesh_texture(bpy.context, thing).image == wanted[0]
    else:
        with pytest.raises(addon.scene_error.SceneError) as refused:
            mesh_texture.read_mesh_texture(bpy.context, thing)
        assert str(refused.value).count(". ") == 0, "one sentence"
        present = {
            node.image.name
            for node in thing.active_material.node_tree.nodes
            if node.type == "TEX_IMAGE"
        }
        assert any(f'"{name}"' in str(refused.value) for name in present)


@pytest.mark.skipif(bpy.app.version < (5, 0), reason="shaders had no such node")
def test_only_what_a_menu_switch_is_set_to_counts(
    mesh_texture: ModuleType, thing: bpy.types.Object
) -> None:
    tree = material(thing)
    switch = tree.new("GeometryNodeMenuSwitch", data_type="RGBA")
    menu, first, second, *_ = switch.inputs
    tree.link(tree.image("first"), first)
    tree.link(tree.image("second"), second)
    tree.colour(switch)
    assert names(mesh_texture, thing) == ["first"]
    menu.default_value = second.name
    assert names(mesh_texture, thing) == ["second"]


def test_a_mesh_without_faces_is_not_said_to_show_data(
    mesh_texture: ModuleType, addon: SimpleNamespace, thing: bpy.types.Object
) -> None:
    tree = material(thing)
    tree.colour(tree.image("base"))
    thing.data.clear_geometry()
    with pytest.raises(addon.scene_error.SceneError, match='has the material with "base"'):
        mesh_texture.read_mesh_texture(bpy.context, thing)


def test_each_engine_has_its_own_output(mesh_texture: ModuleType, thing: bpy.types.Object) -> None:
    tree = material(thing)
    tree.colour(tree.image("for cycles"))
    tree.output.target = "CYCLES"
    other = tree.new("ShaderNodeEmission")
    tree.link(tree.image("for eevee"), other.inputs["Color"])
    end = tree.new("ShaderNodeOutputMaterial", target="EEVEE")
    tree.link(other, end.inputs["Surface"])
    assert names(mesh_texture, thing, "CYCLES") == ["for cycles"]
    assert names(mesh_texture, thing, "BLENDER_EEVEE_NEXT") == ["for eevee"]


def test_the_image_on_most_faces_comes_first_and_each_can_be_chosen(
    mesh_texture: ModuleType, addon: SimpleNamespace, thing: bpy.types.Object
) -> None:
    """Over several materials, one of which is the object's own in place of the mesh's."""
    for name in ("one", "two", "hidden"):
        tree = material(thing, name)
        tree.colour(tree.image(name))
    own = bpy.data.materials["two"]
    thing.data.materials.append(bpy.data.materials["one"])
    thing.material_slots[2].link = "OBJECT"
    thing.material_slots[2].material = own
    for number, polygon in enumerate(thing.data.polygons):
        polygon.material_index = (0, 1, 1, 2, 3, 2)[number]
    assert names(mesh_texture, thing) == ["two", "one"]
    read = mesh_texture.read_mesh_texture(bpy.context, thing)
    assert (read.image, len(read.corners), len(read.occluders)) == ("two", 8, 4)
    images = bpy.data.images
    read = mesh_texture.read_mesh_texture(bpy.context, thing, images["one"])
    assert (read.image, len(read.corners), len(read.occluders)) == ("one", 4, 8)
    left = mesh_texture.left_alone(thing, images["two"])
    assert [image.name for image in left] == ["one"]
    with pytest.raises(addon.scene_error.SceneError, match='"hidden" does not color "Cube"'):
        mesh_texture.read_mesh_texture(bpy.context, thing, images["hidden"])


# ---------------------------------------------------------------- how it is laid on


def base(thing: bpy.types.Object) -> tuple[Tree, bpy.types.ShaderNodeTexImage]:
    tree = material(thing)
    node = tree.image("base")
    tree.colour(node)
    return tree, node


def moved(thing: bpy.types.Object, kind: str, **values: Any) -> None:
    tree, node = base(thing)
    mapping = tree.new("ShaderNodeMapping", vector_type=kind)
    for name, value in values.items():
        mapping.inputs[name].default_value = value
    tree.link(tree.new("ShaderNodeTexCoord").outputs["UV"], mapping.inputs["Vector"])
    tree.link(mapping, node.inputs["Vector"])


@pytest.mark.parametrize("kind", ["POINT", "TEXTURE", "VECTOR"])
def test_a_mapping_node_moves_the_uvs(
    mesh_texture: ModuleType, thing: bpy.types.Object, kind: str
) -> None:
    """Scaled first, then turned, then moved; "Texture" is the other way round."""
    plain = thing.copy()
    plain.data = thing.data.copy()
    bpy.context.scene.collection.objects.link(plain)
    base(plain)
    moved(
        thing,
        kind,
        Scale=(2, 0.5, 1),
        Rotation=(0, 0, np.pi / 2),
        **({} if kind == "VECTOR" else {"Location": (0.25, -1, 0)}),
    )
    uvs = mesh_texture.read_mesh_texture(bpy.context, plain).uvs
    found = mesh_texture.read_mesh_texture(bpy.context, thing).uvs
    u, v = np.moveaxis(uvs, -1, 0)
    wanted = {
        "POINT": (-v * 0.5 + 0.25, u * 2 - 1),
        "VECTOR": (-v * 0.5, u * 2),
        "TEXTURE": ((v + 1) / 2, -(u - 0.25) / 0.5),
    }[kind]
    np.testing.assert_allclose(found, np.stack(wanted, axis=-1), atol=1e-6)


@pytest.mark.parametrize("way", ["node", "attribute", "reroute", "group"])
def test_another_uv_map_is_followed(
    mesh_texture: ModuleType, thing: bpy.types.Object, way: str
) -> None:
    second = thing.data.uv_layers.new(name="second")
    second.uv.foreach_set("vector", np.linspace(0, 1, 48, dtype=np.float32))
    tree, node = base(thing)
    if way == "attribute":
        source = tree.new("ShaderNodeAttribute", attribute_name="second").outputs["Vector"]
    else:
        source = tree.new("ShaderNodeUVMap", uv_map="second").outputs[0]
    if way == "reroute":
        tree.link(source, (between := tree.new("NodeReroute")).inputs[0])
        source = between.outputs[0]
    if way == "group":
        inner, shown = tree.group("inside")
        come, go = group_ends(inner)
        image = inner.image("base")
        inner.link(come.outputs[0], image.inputs["Vector"])
        inner.link(image, go.inputs[0])
        tree.link(source, shown.inputs[0])
        tree.colour(shown)
    else:
        tree.link(source, node.inputs["Vector"])
    read = mesh_texture.read_mesh_texture(bpy.context, thing)
    thing.data.calc_loop_triangles()
    loops = np.array([triangle.loops[:] for triangle in thing.data.loop_triangles])
    values = np.linspace(0, 1, 48, dtype=np.float32).reshape(-1, 2)
    assert np.array_equal(read.uvs, values[loops])


def test_the_bare_texture_is_shown_with_its_own_uv_map(
    mesh_texture: ModuleType, thing: bpy.types.Object, installed: str
) -> None:
    """All faces show one corner of the image by the second map, and all of it by the first one."""
    view_cameras = importlib.import_module(f"{installed}.render.object_views")
    layers = thing.data.uv_layers
    second = layers.new(name="second")
    second.uv.foreach_set("vector", np.full(48, 0.9, np.float32))
    layers.active_index = 0
    tree, node = base(thing)
    pixels = np.zeros((*SIZE, 4), np.float32)
    pixels[..., 3] = 1
    pixels[3:, 4:, 0] = 1  # the upper right quarter: Blender counts from below
    node.image.pixels.foreach_set(pixels.ravel())
    tree.link(tree.new("ShaderNodeUVMap", uv_map="second"), node.inputs["Vector"])
    tree.image("active").select = True
    tree.nodes.active = tree.nodes[-1]
    read = mesh_texture.read_mesh_texture(bpy.context, thing)
    poses = view_cameras.poses_around(read.corners.reshape(-1, 3), 1, 0.7)
    views = view_cameras.render_around(
        bpy.context.scene, thing, node.image, poses, 32, 0.7, lit=False
    )
    inner = views.images[0, 12:20, 12:20]
    assert np.abs(inner.astype(int) - (255, 0, 0)).max() <= 2
    assert layers.active_index == 0
    assert layers[0].active_render


def projection(thing: bpy.types.Object, kind: str) -> None:
    base(thing)[1].projection = kind


def extension(thing: bpy.types.Object, kind: str) -> None:
    base(thing)[1].extension = kind
    values = np.zeros(48, np.float32)
    thing.data.uv_layers[0].uv.foreach_get("vector", values)
    thing.data.uv_layers[0].uv.foreach_set("vector", values * 2)


def coordinates(thing: bpy.types.Object, kind: str) -> None:
    tree, node = base(thing)
    tree.link(tree.new("ShaderNodeTexCoord").outputs[kind], node.inputs["Vector"])


def source(thing: bpy.types.Object, kind: str) -> None:
    base(thing)[1].image.source = kind


def missing_map(thing: bpy.types.Object, kind: str) -> None:
    tree, node = base(thing)
    tree.link(tree.new("ShaderNodeUVMap", uv_map=kind), node.inputs["Vector"])


def attribute(thing: bpy.types.Object, kind: str) -> None:
    """By a UV map's name, but as a number."""
    tree, node = base(thing)
    there = tree.new("ShaderNodeAttribute", attribute_name=thing.data.uv_layers[0].name)
    tree.link(there.outputs[kind], node.inputs["Vector"])


def colour_space(thing: bpy.types.Object, kind: str) -> None:
    base(thing)[1].image.colorspace_settings.name = kind


def laid_on_twice(thing: bpy.types.Object, kind: str) -> None:
    tree, node = base(thing)
    mapping, again = tree.new("ShaderNodeMapping"), tree.image("base")
    mapping.inputs["Scale"].default_value = (2, 2, 2)
    tree.link(tree.new("ShaderNodeUVMap"), mapping.inputs["Vector"])
    tree.link(mapping, again.inputs["Vector"])
    tree.colour(tree.mix(node, again))


def missing_file(thing: bpy.types.Object, kind: str) -> None:
    image = base(thing)[1].image
    image.filepath, image.source = kind, "FILE"


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (projection, "BOX", "by Box projection"),
        (projection, "SPHERE", "by Sphere projection"),
        (projection, "TUBE", "by Tube projection"),
        (extension, "EXTEND", "does not repeat it"),
        (extension, "CLIP", "does not repeat it"),
        (extension, "MIRROR", "does not repeat it"),
        (coordinates, "Generated", "not laid on by a UV map"),
        (coordinates, "Object", "not laid on by a UV map"),
        (coordinates, "Camera", "not laid on by a UV map"),
        (attribute, "Fac", "not laid on by a UV map"),
        (colour_space, "Linear Rec.709", 'read as "Linear Rec.709", and only sRGB'),
        (colour_space, "AgX Base sRGB", 'read as "AgX Base sRGB", and only sRGB'),
        (source, "SEQUENCE", "an image sequence"),
        (source, "MOVIE", "a movie"),
        (missing_file, "/nowhere/lost.png", "its file is missing"),
        (missing_map, "gone", 'no UV map "gone"'),
        (laid_on_twice, "", "in several ways"),
    ],
)
def test_other_ways_to_lay_it_on_are_refused_in_one_sentence(
    mesh_texture: ModuleType,
    addon: SimpleNamespace,
    thing: bpy.types.Object,
    spoil: Callable[[bpy.types.Object, str], None],
    kind: str,
    words: str,
) -> None:
    spoil(thing, kind)
    with pytest.raises(addon.scene_error.SceneError, match=words) as refused:
        mesh_texture.read_mesh_texture(bpy.context, thing)
    assert str(refused.value).count(". ") == 0


@pytest.mark.parametrize("kind", ["EXTEND", "CLIP", "MIRROR"])
def test_what_does_not_reach_beyond_the_image_needs_no_repeat(
    mesh_texture: ModuleType, thing: bpy.types.Object, kind: str
) -> None:
    base(thing)[1].extension = kind
    assert mesh_texture.read_mesh_texture(bpy.context, thing).image == "base"


def test_a_moved_texture_is_not_shown_bare(
    addon: SimpleNamespace, thing: bpy.types.Object, installed: str
) -> None:
    view_cameras = importlib.import_module(f"{installed}.render.object_views")
    moved(thing, "POINT", Scale=(2, 2, 1))
    poses = view_cameras.poses_around(np.array([[-1, -1, -1], [1, 1, 1.0]]), 1, 0.7)
    with pytest.raises(addon.scene_error.SceneError, match="have it rendered lit"):
        view_cameras.render_around(
            bpy.context.scene, thing, bpy.data.images["base"], poses, 16, 0.7, lit=False
        )


# ---------------------------------------------------------------- the whole way


def test_the_exporter_says_which_image_and_lets_choose(
    mesh_texture: ModuleType, thing: bpy.types.Object, tmp_path: Path
) -> None:
    from test_export_mesh import export

    tree = material(thing)
    for name, value in (("base", 0.8), ("shadows", 0.4), ("normal", 0.5)):
        node = tree.image(name)
        node.image.pixels.foreach_set(np.full(4 * SIZE[0] * SIZE[1], value, np.float32))
        node.image.pack()
    nodes = {node.image.name: node for node in tree.nodes if node.type == "TEX_IMAGE"}
    tree.colour(tree.mix(nodes["base"], nodes["shadows"]))
    tree.link(nodes["normal"], (bump := tree.new("ShaderNodeNormalMap")).inputs["Color"])
    tree.link(bump, tree.bsdf.inputs["Normal"])
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    asked = (tmp_path / "a.blend", "--views", 1, "--size", 16, "--unlit")
    pictures = importlib.import_module(
        mesh_texture.__name__.replace("meshes.mesh_reading", "pictures")
    )
    for more, name, value in (((), "base", 0.8), (("--texture", "shadows"), "shadows", 0.4)):
        done = export(*asked, "--out", tmp_path / name, *more)
        assert done.returncode == 0, done.stderr
        first = next(line for line in done.stdout.splitlines() if "the one to edit" in line)
        assert f"the texture {name} of Cube is the one to edit" in first
        other = "shadows" if name == "base" else "base"
        assert f"left alone: {', '.join(sorted(['normal', other]))}" in first
        written = pictures.decode_png((tmp_path / name / "texture.png").read_bytes())
        assert np.abs(written[..., :3].astype(float) - value * 255).max() <= 1
    done = export(*asked, "--out", tmp_path / "c", "--texture", "normal")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "base, shadows" in done.stderr
    assert not (tmp_path / "c").exists()
