"""Views of a mesh of one's own, such as a scanned object, on a ground, in changing light."""

import math
import random
from pathlib import Path
from typing import Any

import bpy
from described import FIRST_THING_INDEX, build
from mathutils import Matrix, Vector
from mesh_import import import_mesh

HEIGHT = 2.0
"""Longest side of the mesh's bounds in metres."""
FIELD_OF_VIEW = 0.7
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
TEMPLATES = ("make the {name} {colour}", "turn the {name} {colour}")
GREY = {"colour": None, "albedo": (0.5, 0.5, 0.5), "roughness": 0.5, "specular": 0.3}


def describe(name: str, view: int, views: int, seed: int) -> dict[str, Any]:
    """One of `views` views around an object, with instructions that name it, in the format that
    `described.build` reads and `render_samples.py` writes.
    """
    rng = random.Random(seed * 1000 + view)
    ground, sky = _neutral(rng), _neutral(rng)
    azimuth = 2 * math.pi * (view + rng.uniform(-0.2, 0.2)) / views
    elevation = rng.uniform(0.15, 0.7)
    distance = HEIGHT / (rng.uniform(0.5, 0.85) * 2 * math.tan(FIELD_OF_VIEW / 2))
    target = (0.0, 0.0, HEIGHT / 2)
    direction = (
        math.cos(azimuth) * math.cos(elevation),
        math.sin(azimuth) * math.cos(elevation),
        math.sin(elevation),
    )
    sun = azimuth + rng.uniform(-1.2, 1.2)
    return {
        "seed": seed * 1000 + view,
        "scene": {
            "things": [],
            "ground": {"surface": _plain(ground), "extent": None, "yaw": 0.0},
            "background": {"surface": _plain(sky), "low": 1.0, "high": 1.0},
            "lights": [
                {
                    "position": (math.cos(sun), math.sin(sun), rng.uniform(0.7, 1.6)),
                    "strength": rng.uniform(0.6, 1.0),
                    "colour": (1.0, 1.0, 1.0),
                    "point": False,
                    "shadow": True,
                    "softness": rng.uniform(0.02, 0.4),
                }
            ],
            "ambient": [rng.uniform(0.2, 0.5)] * 3,
            "occlusion": 0.0,
            "look": {"view": rng.choice(("standard", "agx")), "exposure": 1.0, "noise": 0.0},
        },
        "camera": {
            "position": [t + distance * d for t, d in zip(target, direction, strict=True)],
            "target": target,
            "fov": FIELD_OF_VIEW,
            "roll": 0.0,
        },
        "edits": _edits(rng, name),
    }


def _neutral(rng: random.Random) -> tuple[float, ...]:
    grey = rng.uniform(0.1, 0.75)
    return tuple(grey * rng.uniform(0.9, 1.1) for _ in range(3))


def _plain(albedo: tuple[float, ...]) -> dict[str, Any]:
    return GREY | {"albedo": albedo, "roughness": 0.8, "pattern": None}


def _edits(rng: random.Random, name: str) -> list[dict[str, Any]]:
    """Each template with the object's own name and as "the object", in other colours."""
    colours = rng.sample(COLOURS, 2 * len(TEMPLATES))
    wordings = [("shape", name), ("object", "object")]
    pairs = [(template, wording) for wording in wordings for template in TEMPLATES]
    edits = []
    for colour, (template, (wording, word)) in zip(colours, pairs, strict=True):
        edit = {
            "kind": "recolour",
            "target": 0,
            "colour": colour,
            "instruction": template.format(name=word, colour=colour),
            "wording": wording,
        }
        captions = (f"a {name}", f"a {colour} {name}")
        edits.append({"edit": edit, "captions": captions, "changed": None})
    return edits


def build_view(description: dict[str, Any], mesh: Path, up_axis: str, size: int) -> bpy.types.Scene:
    """The described view with the mesh in its middle, standing on the ground. `up_axis` as for
    `import_mesh`.

    Raises:
        Refused: a file of another format, or without a mesh.
        RuntimeError: Blender cannot read it.
        OSError: it cannot be read.
    """
    scene = build(description, size, size)
    added = import_mesh(scene, mesh, up_axis)
    meshes = [thing for thing in added if thing.type == "MESH"]
    bpy.context.view_layer.update()
    corners = [thing.matrix_world @ Vector(c) for thing in meshes for c in thing.bound_box]
    low = Vector(min(c[i] for c in corners) for i in range(3))
    high = Vector(max(c[i] for c in corners) for i in range(3))
    scale = HEIGHT / max(high - low)
    foot = Vector(((low.x + high.x) / 2, (low.y + high.y) / 2, low.z))
    placed = Matrix.Scale(scale, 4) @ Matrix.Translation(-foot)
    for thing in added:
        if thing.parent is None:
            thing.matrix_world = placed @ thing.matrix_world
        thing.pass_index = FIRST_THING_INDEX
    scene.display.shading.color_type = "TEXTURE"
    return scene


def with_thing(description: dict[str, Any], name: str) -> dict[str, Any]:
    """The description for the index: the mesh is its only thing, its camera Blender's own."""
    thing = {
        "shape": name,
        "surface": GREY,
        "position": (0.0, 0.0, HEIGHT / 2),
        "size": HEIGHT / 2,
        "stretch": 1.0,
        "rotation": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    }
    return description | {"scene": description["scene"] | {"things": [thing]}, "camera": None}
