"""What is read of a texture is known until its pixels change: Blender drops what it has decoded."""

import importlib
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
import udim
from driving import SECONDS
from fake_server import FakeServer
from test_flows import refusal, submits
from test_mesh_views import noise
from test_texture_edit import node, thing  # noqa: F401  # a fixture


@pytest.fixture
def texture_pixels(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.meshes.texture_pixels")


@pytest.fixture
def image(addon: SimpleNamespace, scene: bpy.types.Scene) -> bpy.types.Image:
    """Packed, with what Blender has decoded of it dropped."""
    made = addon.pictures.new_packed_image("noise", addon.encode.encode_png(noise(24, 32, 1)))
    made.buffers_free()
    return made


def test_it_is_decoded_once(texture_pixels: ModuleType, image: bpy.types.Image) -> None:
    first = texture_pixels.read_texture(image)
    assert np.array_equal(first[..., :3], noise(24, 32, 1)[..., :3])
    image.buffers_free()
    assert not image.has_data
    assert not texture_pixels.load(image)
    assert np.array_equal(texture_pixels.read_texture(image), first)
    assert not image.has_data, "Blender has not decoded it again"


def test_what_was_painted_since_is_read(texture_pixels: ModuleType, image: bpy.types.Image) -> None:
    texture_pixels.read_texture(image)
    values = np.array(image.pixels[:], np.float32)
    values[:] = 0.2
    image.pixels.foreach_set(values)
    assert (texture_pixels.read_texture(image) == 51).all()
    image.pack()
    image.buffers_free()
    assert (texture_pixels.read_texture(image) == 51).all()
    image.alpha_mode = "NONE"
    assert (texture_pixels.read_texture(image)[..., 3] == 255).all()


def test_a_file_that_was_written_over_is_read_anew(
    texture_pixels: ModuleType, addon: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    for seed in (1, 2):
        path.write_bytes(addon.encode.encode_png(noise(24 + seed, 32, seed)[..., :3]))
        image = bpy.data.images.load(str(path), check_existing=True)
        image.reload()
        found = texture_pixels.read_texture(image)
        assert np.array_equal(found[..., :3], noise(24 + seed, 32, seed)[..., :3])
    path.unlink()
    image.buffers_free()
    with pytest.raises(Exception, match="its file is missing"):
        texture_pixels.read_texture(image)
    image.filepath_raw = f"/{'x' * 400}.png"  # of which the system tells nothing
    with pytest.raises(Exception, match="its file is missing"):
        texture_pixels.read_texture(image)


def test_what_is_packed_already_stays_packed(
    installed: str, texture_pixels: ModuleType, image: bpy.types.Image
) -> None:
    """Blender 5.0 drops the file of an image that is packed twice with nothing changed between."""
    pack = importlib.import_module(f"{installed}.data.tiles").pack
    pack(image)
    image.buffers_free()
    assert np.array_equal(texture_pixels.read_texture(image)[..., :3], noise(24, 32, 1)[..., :3])
    image.pixels.foreach_set(np.full(24 * 32 * 4, 0.2, np.float32))
    pack(image)
    image.buffers_free()
    assert (texture_pixels.read_texture(image) == 51).all()


def test_an_edit_decodes_its_texture_no_more_once_it_was_read(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    image = node(thing).image
    assert image.packed_file is not None
    bpy.ops.watch_your_steps.edit_texture()
    job = connected.session.job_of(scene)
    deadline = time.monotonic() + SECONDS
    while job.request is None:
        assert connected.session.job_of(scene) is job, "it has ended"
        assert time.monotonic() < deadline
        image.buffers_free()  # as renders do
        connected.session.drain()
        assert not image.has_data or job.request is None
    connected.session.wait_for_job(scene, SECONDS)
    assert node(thing).image.name.endswith("(edited)")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("extension", ["REPEAT", "CLIP"])
def test_broken_uvs_are_said_before_anything_is_rendered(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    wrong: float,
    extension: str,
) -> None:
    node(thing).extension = extension
    uvs = np.zeros(2 * len(thing.data.loops), np.float32)
    thing.data.uv_layers.active.uv.foreach_get("vector", uvs)
    uvs[4] = wrong
    thing.data.uv_layers.active.uv.foreach_set("vector", uvs)
    said = refusal("edit_texture")
    assert 'UVs of "paint" are broken: some corners' in said
    assert "Unwrap" in said
    assert submits(server) == []


@pytest.mark.parametrize("alpha_mode", ["STRAIGHT", "PREMUL", "CHANNEL_PACKED", "NONE"])
@pytest.mark.parametrize("tiled", [False, True])
def test_what_was_not_edited_is_kept_in_every_way_to_read_alpha(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    tmp_path: Path,
    alpha_mode: str,
    tiled: bool,
) -> None:
    if tiled:
        node(thing).image = udim.image(tmp_path, udim.pixels_of())
        udim.lay_out(thing)
    texture = importlib.import_module(connected.pictures.__name__.replace("pictures", "tiles"))
    read = texture.read if tiled else connected.pictures.channels
    original = node(thing).image
    original.alpha_mode = alpha_mode
    bpy.ops.watch_your_steps.edit_texture()
    connected.session.wait_for_job(scene, SECONDS)
    made = node(thing).image
    assert made != original
    for image in (original, made):
        image.buffers_free()
    before = np.rint(read(original) * (1 if tiled else 255)).astype(np.uint8)
    after = np.rint(read(made) * (1 if tiled else 255)).astype(np.uint8)
    kept = before[..., 1] < 90  # with the scripted server: 102 and more is edited
    assert kept.any()
    assert np.array_equal(after[kept], before[kept])
