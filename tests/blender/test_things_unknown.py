"""Where things cannot be told apart, it says why, and the mask follows the edges."""

from types import SimpleNamespace

import bpy
import pytest
from test_own_renders import compositor


def captured(addon: SimpleNamespace) -> SimpleNamespace:
    """The names of what a preview's labels tell apart, and why they do not."""
    found = addon.camera_render.capture_with_things(bpy.context.scene, 512, "OBJECTS")
    return SimpleNamespace(names=found.names, unknown=found.unknown)


def test_x_ray_says_why_its_things_are_not_known(
    addon: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    seen, shading = captured(addon).names, scene.display.shading
    assert len(seen) > 1
    shading.show_xray, shading.xray_alpha = True, 0.5
    assert "X-Ray" in captured(addon).unknown
    shading.xray_alpha = 1.0  # shows as much as without
    assert captured(addon).names == seen


@pytest.mark.parametrize("in_group", [False, True])
def test_a_compositor_that_moves_the_picture_says_why_its_things_are_not_known(
    addon: SimpleNamespace, scene: bpy.types.Scene, in_group: bool
) -> None:
    """The labels lay where the things had been."""
    seen, tree = captured(addon).names, compositor(scene)
    assert len(seen) > 1
    if in_group:
        node = tree.nodes.new("CompositorNodeGroup")
        node.node_tree = bpy.data.node_groups.new("group", "CompositorNodeTree")
        for way in ("INPUT", "OUTPUT"):
            node.node_tree.interface.new_socket("Image", in_out=way, socket_type="NodeSocketColor")
        inner = node.node_tree.nodes.new("CompositorNodeTranslate")
    else:
        inner = node = tree.nodes.new("CompositorNodeTranslate")
    assert captured(addon).names == seen, "what is not in use moves nothing"
    end = next(one for one in tree.nodes if one.type in ("COMPOSITE", "GROUP_OUTPUT"))
    render = next(one for one in tree.nodes if one.type == "R_LAYERS")
    tree.links.new(render.outputs["Image"], node.inputs[0])
    tree.links.new(node.outputs[0], end.inputs[0])
    assert f'"{node.name}" moves the picture' in captured(addon).unknown
    inner.mute = True
    assert captured(addon).names == seen
