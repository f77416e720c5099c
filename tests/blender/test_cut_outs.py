"""Leaves, hair cards and fences: planes that an image's alpha cuts out of are things where they are
seen, and what is seen through them keeps its own label.
"""

from collections.abc import Callable
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from test_things import captured, cube, empty, things  # noqa: F401

LEAF, LIGHT = "leaf", "light"
Builder = Callable[["Leaf"], None]


class Leaf:
    """A plane before a cube, in red light where it is not cut out; the cube's light is green."""

    def __init__(self) -> None:
        bpy.ops.mesh.primitive_plane_add(size=3, location=(0.2, -1, 1.2), rotation=(1.2, 0.3, 0.4))
        self.plane = bpy.context.object
        self.plane.name = LEAF
        self.material = bpy.data.materials.new(LEAF)
        self.material.use_nodes = True
        self.plane.data.materials.append(self.material)
        self.tree = self.material.node_tree
        self.end = self.tree.nodes["Material Output"]
        self.bsdf = self.tree.nodes["Principled BSDF"]
        self.bsdf.inputs["Emission Color"].default_value = (1, 0, 0, 1)
        self.bsdf.inputs["Emission Strength"].default_value = 1
        self.bsdf.inputs["Base Color"].default_value = (0, 0, 0, 1)
        self.bsdf.inputs["Specular IOR Level"].default_value = 0

    def new(self, kind: str) -> bpy.types.ShaderNode:
        """A node."""
        return self.tree.nodes.new(kind)

    def link(self, output: bpy.types.NodeSocket, entry: bpy.types.NodeSocket) -> None:
        """Connect two sockets."""
        self.tree.links.new(output, entry)

    def image(self, in_alpha: bool = True) -> bpy.types.ShaderNodeTexImage:
        """A round leaf beside a small square one, 32x16 pixels."""
        y, x = np.mgrid[0:16, 0:32] + 0.5
        inside = ((x / 2 - 5) ** 2 + (y - 8) ** 2 < 20) | ((x > 24) & (y > 11))
        pixels = np.ones((16, 32, 4), np.float32)
        pixels[..., 3 if in_alpha else slice(0, 3)] *= inside[..., None] if not in_alpha else inside
        made = bpy.data.images.new("leaf", 32, 16, alpha=True)
        made.pixels.foreach_set(pixels.ravel())
        made.pack()
        node = self.new("ShaderNodeTexImage")
        node.image, node.interpolation = made, "Closest"
        return node

    def mixed(self, factor: bpy.types.NodeSocket) -> None:
        """The surface, mixed with what is clear."""
        mix, clear = self.new("ShaderNodeMixShader"), self.new("ShaderNodeBsdfTransparent")
        self.link(factor, mix.inputs[0])
        self.link(clear.outputs[0], mix.inputs[1])
        self.link(self.bsdf.outputs[0], mix.inputs[2])
        self.link(mix.outputs[0], self.end.inputs["Surface"])


def by_alpha(leaf: Leaf) -> None:
    leaf.link(leaf.image().outputs["Alpha"], leaf.bsdf.inputs["Alpha"])


def by_a_mask(leaf: Leaf) -> None:
    leaf.mixed(leaf.image(in_alpha=False).outputs["Color"])


def by_a_mask_turned_round(leaf: Leaf) -> None:
    invert = leaf.new("ShaderNodeInvert")
    leaf.link(leaf.image(in_alpha=False).outputs["Color"], invert.inputs["Color"])
    leaf.mixed(invert.outputs[0])


def by_a_clip(leaf: Leaf) -> None:
    clip = leaf.new("ShaderNodeMath")
    clip.operation = "GREATER_THAN"
    clip.inputs[1].default_value = 0.3
    leaf.link(leaf.image().outputs["Alpha"], clip.inputs[0])
    leaf.link(clip.outputs[0], leaf.bsdf.inputs["Alpha"])


def by_another_uv_map_that_repeats(leaf: Leaf) -> None:
    layer = leaf.plane.data.uv_layers.new(name="second")
    own = np.empty(8, np.float32)
    leaf.plane.data.uv_layers[0].uv.foreach_get("vector", own)
    layer.uv.foreach_set("vector", own * 2.5 - 0.7)
    leaf.plane.data.uv_layers[0].active_render = True
    node, uvs = leaf.image(), leaf.new("ShaderNodeUVMap")
    uvs.uv_map = "second"
    leaf.link(uvs.outputs[0], node.inputs["Vector"])
    leaf.link(node.outputs["Alpha"], leaf.bsdf.inputs["Alpha"])


def within_a_group(leaf: Leaf) -> None:
    group = bpy.data.node_groups.new("cut", "ShaderNodeTree")
    group.interface.new_socket("Alpha", in_out="OUTPUT", socket_type="NodeSocketFloat")
    node, end = group.nodes.new("ShaderNodeTexImage"), group.nodes.new("NodeGroupOutput")
    node.image, node.interpolation = leaf.image().image, "Closest"
    group.links.new(node.outputs["Alpha"], end.inputs[0])
    used = leaf.new("ShaderNodeGroup")
    used.node_tree = group
    leaf.link(used.outputs[0], leaf.bsdf.inputs["Alpha"])


@pytest.fixture
def leaf(empty: bpy.types.Scene) -> Leaf:  # noqa: F811
    """Before a cube, by Cycles."""
    empty.render.engine = "CYCLES"
    empty.cycles.samples, empty.cycles.use_denoising = 16, False
    empty.cycles.pixel_filter_type = "BOX"
    behind = bpy.data.materials.new("behind")
    behind.use_nodes = True
    light = behind.node_tree.nodes.new("ShaderNodeEmission")
    light.inputs["Color"].default_value = (0, 1, 0, 1)
    end = behind.node_tree.nodes["Material Output"].inputs["Surface"]
    behind.node_tree.links.new(light.outputs[0], end)
    cube("behind", (0.5, 2, 1), 3).data.materials.append(behind)
    return Leaf()


@pytest.mark.parametrize("lens", ["PERSP", "ORTHO"])
@pytest.mark.parametrize(
    "build",
    [
        by_alpha,
        by_a_mask,
        by_a_mask_turned_round,
        by_a_clip,
        by_another_uv_map_that_repeats,
        within_a_group,
    ],
)
def test_what_an_image_cuts_out_is_not_of_the_thing(
    addon: SimpleNamespace,
    leaf: Leaf,
    build: Builder,
    lens: str,
) -> None:
    build(leaf)
    bpy.context.scene.camera.data.type = lens
    found = captured(addon)
    for channel, name in enumerate((LEAF, "behind")):
        shown = found.rgb[..., channel] > 127
        there = found.labels == found.names.index(name)
        assert shown.sum() > 100
        assert (shown & there).sum() / (shown | there).sum() > 0.95, name


def test_a_cut_that_is_not_known_and_workbench_show_the_whole_plane(
    addon: SimpleNamespace, leaf: Leaf
) -> None:
    by_alpha(leaf)
    cut = (captured(addon).labels == captured(addon).names.index(LEAF)).sum()
    bpy.context.scene.render.engine = "BLENDER_WORKBENCH"
    found = captured(addon)
    whole = (found.labels == found.names.index(LEAF)).sum()
    assert cut < 0.6 * whole
    bpy.context.scene.render.engine = "CYCLES"
    noise = leaf.new("ShaderNodeTexNoise")
    leaf.link(noise.outputs[0], leaf.bsdf.inputs["Alpha"])
    found = captured(addon)
    assert (found.labels == found.names.index(LEAF)).sum() == whole
