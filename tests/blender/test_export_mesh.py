"""The script that writes a mesh, its texture and its views for the backend, run as a person does;
the backend's own reader says what it finds in the folder.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
import udim
from test_mesh_views import painted

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "blender_addon" / "tools" / "export_mesh.py"
READER = """
import sys
from pathlib import Path
import numpy as np
from backend.meshes.folder import read_mesh_folder
from backend.meshes.textured_mesh import see_texture
found = read_mesh_folder(Path(sys.argv[1]))
texture = found.mesh.texture[..., :3].astype(np.float32)
seen = [see_texture(found.mesh, view, 4, 1.0) for view in found.views]
np.savez(
    sys.argv[2], corners=found.mesh.corners, uvs=found.mesh.uvs, texture=found.mesh.texture,
    occluders=found.mesh.occluders, lit=found.lit, images=[view.image for view in found.views],
    renders=[one.render(texture) for one in seen], coverage=[one.coverage for one in seen],
)
"""


def export(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the script; its outcome."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def blend(addon: object, tmp_path: Path) -> Path:
    """A file with two cubes: "painted", turned, with ramps as its texture, and "bare"."""
    for name, x in (("painted", 0.0), ("bare", 5.0)):
        bpy.ops.mesh.primitive_cube_add(size=1, location=(x, 0, 0.5), rotation=(0, 0, 0.4))
        bpy.context.object.name = name
    thing, pixels = bpy.data.objects["painted"], np.full((32, 48, 4), 120, np.uint8)
    pixels[..., 0] = np.linspace(40, 220, 48)
    pixels[..., 1] = np.linspace(220, 40, 32)[:, None]
    pixels[..., 3] = 254 + np.arange(48) % 2  # with less, Workbench shows what is behind
    painted(thing, pixels)
    image = bpy.data.images.new("with alpha", 48, 32, alpha=True)  # a file keeps it only then
    image.pixels.foreach_set((pixels[::-1].astype(np.float32) / 255).ravel())
    image.pack()
    nodes = thing.active_material.node_tree.nodes
    next(node for node in nodes if node.type == "TEX_IMAGE").image = image
    path = tmp_path / "cubes.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


def test_the_backend_reads_what_was_exported(blend: Path, installed: str, tmp_path: Path) -> None:
    out = tmp_path / "made" / "mesh"
    mesh_texture = importlib.import_module(f"{installed}.data.meshes.mesh_reading")
    wanted = mesh_texture.read_mesh_texture(bpy.context, bpy.data.objects["painted"])
    asked = ("--object", "painted", "--unlit", "--views", 3, "--size", 40, "--out", out)
    done = export(blend, *asked)
    assert done.returncode == 0, done.stderr
    assert f"3 views to {out}" in done.stdout.splitlines()[-1]
    taken = tmp_path / "taken.npz"
    python = os.environ["WATCH_YOUR_STEPS_BACKEND_PYTHON"]
    subprocess.run([python, "-c", READER, str(out), str(taken)], cwd=ROOT, check=True)
    found = np.load(taken)
    for name in ("corners", "uvs", "occluders", "texture"):
        assert np.array_equal(found[name], getattr(wanted, name)), name
    assert np.ptp(found["texture"][..., 3]) > 0
    assert not found["lit"]
    assert found["images"].shape == (3, 40, 40, 3)
    inner = found["coverage"] == 1
    assert inner.mean() > 0.1
    apart = np.abs(found["renders"] - found["images"])[inner].mean()
    mirrored = np.abs(found["renders"][:, :, ::-1] - found["images"])[inner].mean()
    assert apart < 3, "the views show the mesh where its cameras say"
    assert mirrored > 5 * apart


def test_a_capture_says_where_from_and_in_which_colours(
    blend: Path, installed: str, tmp_path: Path
) -> None:
    pictures = importlib.import_module(f"{installed}.data.pictures")
    capture = tmp_path / "capture"
    capture.mkdir()
    frames = []
    for turn in range(6):
        pose = np.eye(4)
        pose[:3, 3] = 3 * np.cos(turn), 3 * np.sin(turn), 1.5
        frames.append({"file_path": f"{turn}.png", "transform_matrix": pose.tolist()})
    (capture / "transforms.json").write_text(json.dumps({"frames": frames}), "utf-8")
    scene = bpy.context.scene
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.display.shading.color_type, scene.display.shading.light = "TEXTURE", "FLAT"
    scene.view_settings.view_transform = "Raw"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    asked = ("--object", "painted", "--views", 3, "--size", 40)
    brightness = []
    for out, more in ((tmp_path / "around", ()), (tmp_path / "towards", ("--capture", capture))):
        done = export(blend, *asked, "--out", out, *more)
        assert done.returncode == 0, done.stderr
        shown = np.stack(
            [pictures.decode_png(one.read_bytes()) for one in (out / "views").iterdir()]
        )
        brightness.append(float(shown.max(axis=-1).max()))
    found = np.load(tmp_path / "towards" / "mesh.npz")
    stood = np.array([frames[number]["transform_matrix"] for number in (0, 2, 4)])
    assert np.array_equal(found["camera_to_world"][:, :3, 3], stood[:, :3, 3])
    assert found["lit"]
    standard, raw = brightness
    linear = ((standard / 255 + 0.055) / 1.055) ** 2.4 * 255
    assert raw == pytest.approx(linear, abs=10), "the scene's own view transform"
    assert standard > raw + 25


@pytest.mark.parametrize(("option", "value"), [("--views", "0"), ("--size", "-3")])
def test_counts_below_one_are_refused_in_words(tmp_path: Path, option: str, value: str) -> None:
    done = export(tmp_path / "none.blend", "--out", tmp_path / "out", f"{option}={value}")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith(f"{option} must be 1 or more, not {value}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--object", "ball"], 'no object "ball"; its meshes are: bare, painted'),
        ([], "Say with --object which mesh"),
        (["--object", "bare"], '"bare" has no faces with an image texture'),
        (["--object", "painted", "--capture", "nowhere"], "transforms.json cannot be read"),
        (["--object", "painted", "--capture", "nowhere", "--unlit"], "without --unlit"),
    ],
)
def test_refused_in_one_sentence(
    blend: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = export(blend, *arguments, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.one_blender
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.glb", b"no glTF", "glTF"),
        ("a.blend", b"no .blend file", "a.blend"),
        ("a.ply", b"ply", "is neither .obj nor .glb nor .gltf"),
    ],
)
def test_a_file_that_blender_cannot_read_is_refused(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    done = export(tmp_path / name, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_tiles_are_edited_in_blender_only(blend: Path, tmp_path: Path) -> None:
    thing = bpy.data.objects["painted"]
    nodes = thing.active_material.node_tree.nodes
    tiles = udim.image(tmp_path, udim.pixels_of())
    next(node for node in nodes if node.type == "TEX_IMAGE").image = tiles
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    done = export(blend, "--object", "painted", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "has UDIM tiles" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.one_blender
def test_a_defect_of_the_export_is_no_refusal(
    blend: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its traceback is what whoever mends it needs."""
    spoil = "import numpy\ndef spoiled(*_, **__):\n    raise ValueError('could not broadcast')\n"
    (tmp_path / "sitecustomize.py").write_text(f"{spoil}numpy.savez_compressed = spoiled\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    asked = ("--object", "painted", "--unlit", "--views", 1, "--size", 16)
    done = export(blend, *asked, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: could not broadcast"
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("up", ["Y", "Z"])
def test_an_obj_in_a_maps_coordinates_keeps_its_shape_and_its_views(
    installed: str, tmp_path: Path, up: str
) -> None:
    """One of 1 m at 5.4 million metres, where Blender's own numbers leave out half a metre."""
    encode = importlib.import_module(f"{installed}.link.encode").encode_png
    pixels = np.full((32, 48, 3), 120, np.uint8)
    pixels[..., 0] = np.linspace(40, 220, 48)
    pixels[..., 1] = np.linspace(220, 40, 32)[:, None]
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (1, 0.7, 0.3)
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    middle = np.array([512345.37, 5412345.21, 118.3])
    found = {}
    for name, place in (("near", np.zeros(3)), ("far", middle)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "paint it.png").write_bytes(encode(pixels))
        (folder / "of thing.mtl").write_text("newmtl a\nmap_Kd paint it.png\n")
        lines = [
            'mtllib "of thing.mtl"',
            *("  v {:.4f} {:.4f} {:.4f}".format(*v) for v in corners + place),
        ]
        lines += [f"vt {u} {v}" for u, v in ((0, 0), (1, 0), (1, 1), (0, 1))]
        lines += ["usemtl a"]
        lines += ["f " + " ".join(f"{v + 1}/{k + 1}" for k, v in enumerate(f)) for f in faces]
        (folder / "thing.obj").write_text("\n".join(lines) + "\n")
        asked = (folder / "thing.obj", "--views", 2, "--size", 40, "--unlit", "--up", up)
        done = export(*asked, "--out", folder / "out")
        assert done.returncode == 0, done.stderr
        decode = importlib.import_module(f"{installed}.data.pictures").decode_png
        views = [decode((folder / "out" / "views" / f"{k:03d}.png").read_bytes()) for k in range(2)]
        found[name] = (np.load(folder / "out" / "mesh.npz"), np.stack(views))
    (near, seen), (far, seen_far) = found["near"], found["far"]
    shift = middle if up == "Z" else middle[[0, 2, 1]] * (1, -1, 1)
    moved = far["corners"] - near["corners"]
    assert np.abs(moved - shift).max() < 0.3, "where the file says, as exactly as Blender can"
    assert np.ptp(moved, axis=(0, 1)).max() < 1e-5, "all of it alike"
    assert seen.std() > 20
    assert np.abs(seen.astype(int) - seen_far).mean() < 1
