"""Patterns as shader nodes: stripes, checks and wood in a material's or world's own node tree."""

import math
from typing import Any

import bpy

Colour = tuple[float, float, float]


def pattern_colour(
    tree: bpy.types.NodeTree,
    base: Colour,
    described: dict[str, Any],
    place: bpy.types.NodeSocket,
) -> bpy.types.NodeSocket:
    """Nodes that mix a base colour with a pattern's second one.

    Args:
        tree: where they are added.
        base: linear Rec. 709.
        described: a pattern as `backend/world/world.py` describes it: two colours that alternate
            every half period, or wood, which is Blender's own wave texture here.
        place: coordinates in the pattern's space.

    Returns:
        The colour's socket.

    Raises:
        ValueError: an unknown kind of pattern.
    """
    nodes, links = tree.nodes, tree.links

    def math_node(operation: str, *inputs: Any) -> bpy.types.NodeSocket:
        node = nodes.new("ShaderNodeMath")
        node.operation = operation
        for socket, value in zip(node.inputs, inputs, strict=False):
            if isinstance(value, bpy.types.NodeSocket):
                links.new(value, socket)
            else:
                socket.default_value = value
        return node.outputs[0]

    def first_half(along: bpy.types.NodeSocket, phase: float) -> bpy.types.NodeSocket:
        periods = math_node("MULTIPLY_ADD", along, 1 / described["period"], phase)
        return math_node("LESS_THAN", math_node("FLOORED_MODULO", periods, 1.0), 0.5)

    phase = described["phase"]
    if described["kind"] == "stripes":
        dot = nodes.new("ShaderNodeVectorMath")
        dot.operation = "DOT_PRODUCT"
        links.new(place, dot.inputs[0])
        dot.inputs[1].default_value = described["axis"]
        share = first_half(dot.outputs["Value"], phase[0])
    elif described["kind"] == "checks":
        apart = nodes.new("ShaderNodeSeparateXYZ")
        links.new(place, apart.inputs[0])
        halves = [first_half(apart.outputs[i], phase[i]) for i in range(3)]
        count = math_node("ADD", math_node("ADD", halves[0], halves[1]), halves[2])
        share = math_node("FLOORED_MODULO", count, 2.0)  # an odd number of first halves
    elif described["kind"] == "wood":
        wave = nodes.new("ShaderNodeTexWave")
        wave.wave_type = "RINGS"
        wave.rings_direction = "XYZ"[max(range(3), key=lambda i: abs(described["axis"][i]))]
        wave.inputs["Scale"].default_value = 2 * math.pi / (20 * described["period"])
        wave.inputs["Distortion"].default_value = 4.0
        wave.inputs["Phase Offset"].default_value = 2 * math.pi * phase[0]
        links.new(place, wave.inputs["Vector"])
        share = wave.outputs["Fac"]
    else:
        raise ValueError(f"Unknown pattern {described['kind']!r}.")
    mix = nodes.new("ShaderNodeMix")
    mix.data_type = "RGBA"
    links.new(share, mix.inputs["Factor"])
    colours = {"A": base, "B": described["albedo"]}
    for socket in mix.inputs:
        if socket.type == "RGBA" and socket.name in colours:
            socket.default_value = (*colours[socket.name], 1)
    return next(socket for socket in mix.outputs if socket.type == "RGBA")
