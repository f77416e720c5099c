"""What an edit's image in Blender holds: pixels after the view transform, which compositing and
saving leave as they are, and the alpha of a transparent film.
"""

from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import preview, run
from test_own_renders import compositor


def bytes_of(image: bpy.types.Image) -> np.ndarray:
    """uint8 (H, W, channels), row 0 at the top."""
    width, height = image.size
    values = np.array(image.pixels[:], np.float32).reshape(height, width, -1)[::-1]
    return np.rint(values * 255).astype(np.uint8)


def loaded(path: Path) -> np.ndarray:
    image = bpy.data.images.load(str(path))
    pixels = bytes_of(image)
    bpy.data.images.remove(image)
    return pixels


def unchanged(pixels: np.ndarray, own: np.ndarray, most: float) -> None:
    """But for rounding, and the few colours that a view transform has no way back from."""
    difference = pixels[..., :3] - own
    assert abs(difference.mean()) < most
    assert np.median(np.abs(difference)) <= 1


@pytest.mark.parametrize(
    ("view_transform", "most"),
    [("Standard", 0.05), ("AgX", 0.5), ("Filmic", 0.5)],
)
def test_compositing_and_saving_leave_an_edit_unchanged(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    tmp_path: Path,
    view_transform: str,
    most: float,
) -> None:
    scene.view_settings.view_transform = view_transform
    preview(connected, scene)
    run(connected, "edit")
    for image in (scene.watch_your_steps.edit_image, scene.watch_your_steps.render_image):
        own = bytes_of(image)[..., :3].astype(int)
        assert np.ptp(own) > 100
        scene.render.image_settings.file_format = "PNG"
        image.save_render(str(tmp_path / "saved.png"), scene=scene)
        unchanged(loaded(tmp_path / "saved.png"), own, most)
        tree = compositor(scene)
        node = tree.nodes.new("CompositorNodeImage")
        node.image = image
        tree.links.new(node.outputs["Image"], tree.nodes["out"].inputs[0])
        scene.render.filepath = str(tmp_path / "composited.png")
        bpy.ops.render.render(write_still=True)
        unchanged(loaded(tmp_path / "composited.png"), own, most)


def test_a_transparent_film_keeps_its_alpha_in_the_edit(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: object
) -> None:
    scene.render.film_transparent = True
    bpy.data.objects.remove(bpy.data.objects["ground"])
    settings = scene.watch_your_steps
    preview(connected, scene)
    render = bytes_of(settings.render_image)
    alpha = render[..., 3]
    assert alpha.min() == 0
    solid = alpha > 250
    assert solid.any()
    assert ((alpha > 0) & (alpha < 255)).any(), "its outline is smooth"
    sent = connected.pictures.read_rgb(settings.render_image)
    assert (np.abs(sent[alpha == 0].astype(int) - 128) <= 1).all(), "the model sees grey"
    relevance = connected.pictures.read_gray(settings.relevance_image)
    settings.threshold = float(np.median(relevance[solid]))
    run(connected, "edit")
    edit = bytes_of(settings.edit_image)
    assert np.array_equal(edit[..., 3], alpha)
    mask = connected.results.mask(scene)
    kept = ~mask | (alpha == 0)
    assert (kept & solid).any()
    assert np.array_equal(edit[kept], render[kept])
    assert (edit[~kept & solid] != render[~kept & solid]).any()


def test_colours_come_out_of_the_grey_again(addon: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    own = rng.integers(0, 256, (16, 16, 4)).astype(np.uint8)
    own[0, :, 3] = 0
    png = addon.encode.encode_png(own)
    wanted = rng.integers(0, 256, (16, 16, 3))
    alpha = own[..., 3:] / 255
    edited = np.rint(wanted * alpha + 127.5 * (1 - alpha)).astype(np.uint8)
    got = addon.pictures.with_alpha_of(png, edited)
    assert np.array_equal(got[..., 3], own[..., 3])
    solid = own[..., 3] > 128
    assert np.abs(got[solid][:, :3].astype(int) - wanted[solid]).max() <= 2
    assert np.array_equal(got[0], own[0])
    assert addon.pictures.with_alpha_of(addon.encode.encode_png(own[..., :3]), edited) is None
