"""The views of a texture edit show what can be shown of it, as the backend's modules measure it."""

import importlib
import math
import os
import subprocess
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from driving import SECONDS
from fake_server import FakeServer
from test_flows import submits
from test_mesh_views import ROOT, noise, painted
from test_texture_edit import edit, thing  # noqa: F401  # a fixture

OPS = bpy.ops.watch_your_steps
FIELD_OF_VIEW = math.radians(40)
SEEN = """
import sys
import numpy as np
from backend.captures.lens import Intrinsics
from backend.meshes.painting import PaintConfig, prepare_views
from backend.meshes.texture_relevance import seen_share
from backend.meshes.textured_mesh import MeshView, TexturedMesh
given = np.load(sys.argv[1])
corners, uvs, occluders = (given[name].astype(float) for name in ("corners", "uvs", "occluders"))
mesh = TexturedMesh(corners, uvs, given["texture"], occluders)
camera = Intrinsics(*given["intrinsics"], 256, 256)
image = np.zeros((256, 256, 3), np.uint8)
views = [MeshView(image, camera, pose) for pose in given["poses"]]
prepared = prepare_views(mesh, views, PaintConfig(lit=False))
print(seen_share(mesh, prepared))
"""


@pytest.fixture
def covering(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.covering_views")


def bucket(addon: SimpleNamespace, depth: float = 3.0) -> Any:
    """A deep box that is open above, with walls of some thickness; as it was read."""
    bpy.ops.mesh.primitive_cube_add(size=2, location=(40, 0, 0), scale=(1, 1, depth / 2))
    box = bpy.context.object
    bpy.ops.object.transform_apply(scale=True)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.object.mode_set(mode="OBJECT")
    top = max(box.data.polygons, key=lambda one: one.center.z)
    mesh = importlib.import_module("bmesh")
    shape = mesh.new()
    shape.from_mesh(box.data)
    shape.faces.ensure_lookup_table()
    mesh.ops.delete(shape, geom=[shape.faces[top.index]], context="FACES")
    shape.to_mesh(box.data)
    shape.free()
    wall = box.modifiers.new("wall", "SOLIDIFY")
    wall.thickness = 0.1
    bpy.ops.object.modifier_apply(modifier="wall")
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.uv.smart_project(island_margin=0.02)
    bpy.ops.object.mode_set(mode="OBJECT")
    painted(box, noise(128, 128), "bucket")
    bpy.context.view_layer.update()
    return addon.mesh_reading.read_mesh_texture(bpy.context, box)


def in_backend(read: Any, poses: np.ndarray, folder: Path) -> float:
    """The share of texels that the backend says these views show."""
    python = os.environ.get("WATCH_YOUR_STEPS_BACKEND_PYTHON")
    if not python:
        pytest.fail("Set WATCH_YOUR_STEPS_BACKEND_PYTHON (python install.py test does).")
    focal = 128 / math.tan(FIELD_OF_VIEW / 2)
    arrays = {name: getattr(read, name) for name in ("corners", "uvs", "occluders", "texture")}
    np.savez(folder / "given.npz", poses=poses, intrinsics=[focal, focal, 128, 128], **arrays)
    ask = [python, "-c", SEEN, str(folder / "given.npz")]
    return float(subprocess.run(ask, cwd=ROOT, check=True, capture_output=True).stdout)


def test_added_views_show_what_those_around_it_do_not(
    scene: bpy.types.Scene, addon: SimpleNamespace, covering: ModuleType, tmp_path: Path
) -> None:
    read = bucket(addon)
    around = covering.covering_poses(read, 12, 0, FIELD_OF_VIEW)
    began = time.perf_counter()
    more = covering.covering_poses(read, 12, 6, FIELD_OF_VIEW)
    assert time.perf_counter() - began < 5
    assert 12 < len(more) <= 18
    assert np.array_equal(more[:12], around)
    axes = more[:, :3, :3]
    np.testing.assert_allclose(
        axes @ axes.transpose(0, 2, 1), np.tile(np.eye(3), (len(more), 1, 1)), atol=1e-9
    )
    few, most = (covering.seen_share(read, poses, FIELD_OF_VIEW) for poses in (around, more))
    measured_few, measured = (in_backend(read, poses, tmp_path) for poses in (around, more))
    assert abs(few - measured_few) < 0.05, "what is counted here is what the backend sees"
    assert abs(most - measured) < 0.05
    assert measured_few < 0.85
    assert measured > 0.97


def test_a_ball_gets_one_more_view_from_below_and_no_other(
    scene: bpy.types.Scene, addon: SimpleNamespace, covering: ModuleType
) -> None:
    bpy.ops.mesh.primitive_uv_sphere_add()
    painted(bpy.context.object, noise(64, 64), "ball")
    read = addon.mesh_reading.read_mesh_texture(bpy.context, bpy.context.object)
    poses = covering.covering_poses(read, 12, 6, FIELD_OF_VIEW)
    assert len(poses) == 13
    assert poses[-1, 2, 2] < -0.9, "it looks up"
    assert covering.seen_share(read, poses, FIELD_OF_VIEW) > 0.99


def test_of_a_region_only_its_own_texels_have_to_be_seen(
    scene: bpy.types.Scene, addon: SimpleNamespace, covering: ModuleType
) -> None:
    read = bucket(addon)
    inner = np.ptp(read.corners[:, :, 2], axis=1) > 1
    middle = read.corners.mean(axis=1) - read.corners.reshape(-1, 3).mean(axis=0)
    normal = np.cross(
        read.corners[:, 1] - read.corners[:, 0], read.corners[:, 2] - read.corners[:, 0]
    )
    outside = (np.einsum("nd,nd->n", normal[:, :2], middle[:, :2]) > 0) & inner
    region = np.zeros((128, 128), np.bool_)
    for uvs in read.uvs[outside]:
        column, row = (uvs.mean(axis=0) * 128).astype(int)
        region[127 - row - 2 : 127 - row + 3, column - 2 : column + 3] = True
    assert len(covering.covering_poses(read, 12, 6, FIELD_OF_VIEW, region)) == 12
    assert len(covering.covering_poses(read, 12, 6, FIELD_OF_VIEW, ~region)) > 12


def test_the_job_renders_them(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    texture = scene.watch_your_steps.texture
    texture.views, texture.hidden_parts, texture.rounds = 1, True, 2
    OPS.preview_texture()
    connected.session.wait_for_job(scene, SECONDS)
    asked = submits(server)[-1].request
    assert len(asked.views) == len(asked.camera_to_world) == 3, "one, and two more"
    edit(connected, scene)
    asked = submits(server)[-1].request
    assert len(asked.views) == 3
    assert asked.settings.rounds == 2
    mine = next(one for one in bpy.data.images if one.watch_your_steps.original)
    assert "3 views" in mine.watch_your_steps.made_with
