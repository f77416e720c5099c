"""The demo's scenes against a plain second way to their masks, and the demo itself."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "blender_addon" / "demo"))

import building  # noqa: E402
import images  # noqa: E402
import scenes  # noqa: E402
import still_life  # noqa: E402

SIZE = 48


def mask_by_emission(scene: bpy.types.Scene, name: str) -> np.ndarray:
    """bool (H, W): the named object shines, everything else is black; one sample a pixel."""
    for thing in scene.objects:
        if thing.type == "MESH":
            material = bpy.data.materials.new("flat")
            material.use_nodes = True
            nodes = material.node_tree.nodes
            nodes.clear()
            emission = nodes.new("ShaderNodeEmission")
            emission.inputs["Color"].default_value = (
                (1, 1, 1, 1) if thing.name == name else (0,) * 4
            )
            output = nodes.new("ShaderNodeOutputMaterial")
            material.node_tree.links.new(emission.outputs[0], output.inputs[0])
            thing.data.materials[0] = material
        elif thing.type == "LIGHT":
            thing.hide_render = True
    scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0
    scene.view_settings.view_transform = "Raw"
    scene.cycles.samples, scene.cycles.pixel_filter_type = 1, "BOX"
    with tempfile.TemporaryDirectory() as folder:
        scene.render.image_settings.file_format = "PNG"
        scene.render.filepath = str(Path(folder) / "mask.png")
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        pixels = np.empty(SIZE * SIZE * image.channels, np.float32)
        image.pixels.foreach_get(pixels)
    return pixels.reshape(SIZE, SIZE, -1)[::-1, :, 0] > 0.5


@pytest.mark.parametrize("seed", [None, 0, 16, 19])
def test_true_mask_is_where_the_camera_sees_the_object(addon: object, seed: int | None) -> None:
    if seed is None:
        demo = still_life.build(SIZE, samples=1)
    else:
        demo = scenes.build(seed, SIZE, samples=1)
    colours = {thing.name: tuple(thing.color) for thing in demo.scene.objects}
    mask = scenes.true_mask(demo.scene, SIZE, SIZE)
    assert demo.scene.render.engine == "CYCLES"
    assert demo.scene.render.resolution_x == SIZE
    assert {thing.name: tuple(thing.color) for thing in demo.scene.objects} == colours
    assert mask.mean() >= scenes.SMALLEST_SHARE * 0.9
    other = mask_by_emission(demo.scene, demo.things[0][1])
    assert (mask != other).mean() < 0.01  # the samples lie at other places within edge pixels


def test_seed_fixes_the_scene(addon: object) -> None:
    seen = []
    for seed in (3, 3, 5):
        demo = scenes.build(seed, SIZE, samples=1)
        camera = demo.scene.camera
        seen.append((demo.instruction, camera.location.to_tuple(4), round(camera.data.lens)))
        colour, shape = demo.things[0]
        assert demo.instruction.startswith(f"turn the {colour} {shape} ")
        assert len({colour for colour, _ in demo.things}) == len(demo.things)
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


def test_still_life_names_one_of_five_toys_on_a_table(addon: object) -> None:
    demo = still_life.build(SIZE, samples=1)
    meshes = [thing for thing in demo.scene.objects if thing.type == "MESH"]
    assert len(meshes) == 6
    toys = [thing for thing in meshes if thing.pass_index]
    assert len({thing.pass_index for thing in toys}) == 5
    table = next(thing for thing in meshes if not thing.pass_index)
    top = max((table.matrix_world @ vertex.co).z for vertex in table.data.vertices)
    assert top == pytest.approx(0, abs=1e-5)
    for toy in toys:  # on the table, or on another toy
        lowest = min((toy.matrix_world @ vertex.co).z for vertex in toy.data.vertices)
        assert lowest == pytest.approx(1.28 if toy.name == "white ball" else 0, abs=1e-4)
    assert demo.instruction == "turn the yellow cube purple"


@pytest.mark.parametrize("shape", ["cube", "sphere", "cone", "torus", "monkey"])
def test_painted_object_keeps_its_colour_in_uvs_that_overlap_nowhere(
    addon: object, shape: str
) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    thing = building.add_shape(shape)
    thing.data.materials.append(building.material("paint", (0.85, 0.2, 0.01)))
    image = building.paint(thing)
    colours = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(colours)
    shown = np.unique(colours.reshape(-1, 4), axis=0)
    assert len(shown) == 1
    # linear light 0.85, 0.2, 0.01 as sRGB
    np.testing.assert_allclose(shown[0], (0.931, 0.485, 0.100, 1), atol=0.004)
    uvs = np.empty(2 * len(thing.data.loops), np.float32)
    thing.data.uv_layers.active.data.foreach_get("uv", uvs)
    corners = uvs.reshape(-1, 2)
    areas = 0.0
    thing.data.calc_loop_triangles()
    for triangle in thing.data.loop_triangles:
        one, two, three = (corners[loop] for loop in triangle.loops)
        areas += 0.5 * abs(np.cross(two - one, three - one))
    assert 0 <= corners.min() <= corners.max() <= 1
    assert 0.2 < areas < 1  # of the unit square: what overlapped would be counted twice


def colourfulness_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """How alike two pictures (H, W, 3) are in where they are colourful: where the objects are, on
    their grey ground.
    """
    flat = [(picture.max(-1) - picture.min(-1)).ravel() for picture in (one, other)]
    return float(np.corrcoef(flat)[0, 1])


@pytest.mark.slow
@pytest.mark.one_blender
def test_demo_from_end_to_end(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "blender_addon" / "demo" / "run_demo.py")]
    options = {
        "--zip": os.environ["WATCH_YOUR_STEPS_ZIP"],
        "--backend-python": os.environ["WATCH_YOUR_STEPS_BACKEND_PYTHON"],
        "--out": str(tmp_path),
        "--size": "256",
        "--steps": "4",
        "--texture-views": "4",
        "--scenes": "1",
        "--views": "12",
        "--train-iterations": "200",
        "--edit-iterations": "60",
        "--view-steps": "2",
    }
    options_list = [part for pair in options.items() for part in pair]
    result = subprocess.run(
        [*command, *options_list],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1].startswith("Next: open")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["model"] == "demo"
    assert report["demo"]["iou"] >= 0.95  # a whole toy; the truth is Blender's own object index
    assert report["demo"]["snap"] == {"asked": "things", "took": "things", "why": ""}
    assert report["demo"]["iou_of_the_map_alone"] >= 0.5
    assert report["demo"]["outside_is_input"] is True
    assert report["demo"]["inside_changed"] > 0.5
    assert report["scenes"]["of"] == 1
    texture = report["demo"]["texture"]
    assert 0.05 < texture["edited_texels"] < 1
    sides = [images.load_png(Path(file)).astype(int) for file in texture["pictures"]]
    assert [side.shape for side in sides] == [(168, 224, 3)] * 3
    for side in sides:  # the yellow cube is seen as purple from each: more blue than green
        red, green, blue = side.transpose(2, 0, 1)
        assert ((blue > green + 40) & (red > green + 20)).mean() > 0.02
    in_3d = report["demo"]["in_3d"]
    assert in_3d["field"].endswith("trained for 200 steps.")
    assert in_3d["mesh"]["distance"]["vertices"] > 100
    assert 0 < in_3d["mesh"]["distance"]["median"] < 10
    assert 0 < in_3d["edited_texels"] < 1
    before, mesh, after = (
        [images.load_png(tmp_path / f"side_{side}_{kind}.png").astype(int) for side in range(3)]
        for kind in ("before", "mesh", "after")
    )
    for side in range(3):
        assert before[side].shape == mesh[side].shape == after[side].shape == (256, 256, 3)
        likeness = [colourfulness_correlation(scene, mesh[side]) for scene in before]
        assert max(likeness) == likeness[side]  # blurred after so few steps, but the same view
        assert (mesh[side] != after[side]).any()
    sheets = ("contact_sheet.png", "in_3d.png", "scenes.png")
    for name in (*sheets, "demo.blend", "in_3d.blend", "render.png", "truth.png"):
        assert (tmp_path / name).stat().st_size > 500
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "demo.blend"))
    settings = bpy.context.scene.watch_your_steps
    for image in (settings.render_image, settings.mask_image, settings.edit_image):
        assert image.packed_file is not None
        assert tuple(image.size) == (256, 256)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "in_3d.blend"))
    (brought,) = bpy.data.collections["Watch Your Steps"].objects
    assert brought.hide_render
    textures = {
        node.image for node in brought.active_material.node_tree.nodes if node.type == "TEX_IMAGE"
    }
    assert all(image.packed_file is not None for image in textures)
