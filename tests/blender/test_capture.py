"""The picture that is sent is the one that Blender renders, and nothing of the scene is changed."""

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from driving import preview
from test_own_renders import compositor

CHANGED = (
    "resolution_x resolution_y resolution_percentage filepath use_file_extension use_overwrite "
    "use_placeholder use_border use_multiview use_sequencer"
)
FILE = "file_format color_mode color_depth compression color_management"


def settings_of(scene: bpy.types.Scene) -> dict[str, Any]:
    values = {name: getattr(scene.render, name) for name in CHANGED.split()}
    return values | {name: getattr(scene.render.image_settings, name) for name in FILE.split()}


def captured(addon: SimpleNamespace, max_side: int = 512) -> np.ndarray:
    png = addon.camera_render.capture(bpy.context.scene, max_side)
    return addon.pictures.read_rgb(addon.pictures.new_packed_image("capture", png))


def rendered_by_blender(scene: bpy.types.Scene, path: Path) -> np.ndarray:
    """The scene as Blender itself writes it to a PNG file: uint8 (H, W, 3)."""
    scene.render.filepath = str(path)
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    width, height = image.size
    values = np.array(image.pixels[:], np.float32).reshape(height, width, -1)[::-1, :, :3]
    return np.rint(values * 255).astype(np.uint8)


@pytest.mark.parametrize("view_transform", ["Standard", "AgX"])
def test_equals_what_blender_writes(
    addon: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path, view_transform: str
) -> None:
    scene.view_settings.view_transform = view_transform
    scene.view_settings.exposure = 0.4
    own = captured(addon)
    assert own.shape == (48, 64, 3)
    assert np.ptp(own) > 100, "the picture shows something"
    assert np.array_equal(own, rendered_by_blender(scene, tmp_path / "plain.png"))


def test_equals_what_blender_writes_in_cycles(
    addon: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    own = captured(addon)
    assert np.array_equal(own, rendered_by_blender(scene, tmp_path / "plain.png"))


def test_settings_come_back(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    render = scene.render
    render.image_settings.file_format = "OPEN_EXR"
    render.image_settings.color_mode = "RGBA"
    render.image_settings.color_depth = "32"
    render.resolution_percentage = 50
    render.use_border = True
    render.border_max_x = 0.5
    render.use_multiview = True
    render.filepath = "//somewhere"
    before = settings_of(scene)
    assert captured(addon).shape == (24, 32, 3)
    assert settings_of(scene) == before


def test_a_render_region_does_not_cut_the_picture(
    addon: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    whole = captured(addon)
    scene.render.use_border = True
    scene.render.border_max_x = 0.5
    assert np.array_equal(captured(addon), whole)


def test_settings_come_back_after_a_failure(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    scene.render.image_settings.file_format = "JPEG"
    before = settings_of(scene)

    def broken_engine(engine: bpy.types.RenderEngine, _: bpy.types.Depsgraph) -> None:
        engine.report({"ERROR"}, "no light today")

    engine = type(
        "BrokenEngine",
        (bpy.types.RenderEngine,),
        {"bl_idname": "WYS_BROKEN", "bl_label": "Broken", "render": broken_engine},
    )
    bpy.utils.register_class(engine)
    try:
        scene.render.engine = "WYS_BROKEN"
        with pytest.raises(addon.scene_error.SceneError, match="no light today"):
            captured(addon)
    finally:
        scene.render.engine = "BLENDER_WORKBENCH"
        bpy.utils.unregister_class(engine)
    assert settings_of(scene) == before


def test_without_a_layer_one_sentence(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    """All was black, and captures failed for want of a depth."""
    scene.view_layers[0].use = False
    with pytest.raises(addon.scene_error.SceneError, match=r"No view layer .* tick Use for"):
        captured(addon)
    compositor(scene)  # which may show what is not rendered
    captured(addon)


def test_without_a_camera_one_sentence(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    scene.camera = None
    with pytest.raises(addon.scene_error.SceneError, match="no active camera"):
        captured(addon)


def test_a_camera_without_extent_one_sentence(
    addon: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    scene.camera.scale = (1, 1, 0)
    scene.view_layers[0].update()
    with pytest.raises(addon.scene_error.SceneError, match="scaled to nothing along an axis"):
        captured(addon)
    scene.camera.scale, scene.camera.location.x = (1, 1, 1), float("nan")
    scene.view_layers[0].update()
    with pytest.raises(addon.scene_error.SceneError, match="is nowhere, as a constraint"):
        captured(addon)
    scene.camera.location.x = 0
    scene.camera.scale = (0.001, 2, 1000)
    scene.view_layers[0].update()
    captured(addon)


@pytest.mark.parametrize(
    ("resolution", "percentage", "max_side", "size"),
    [
        ((1920, 1080), 100, 512, (512, 288)),
        ((1080, 1920), 100, 512, (288, 512)),
        ((1920, 1080), 25, 512, (480, 270)),
        ((64, 48), 100, 512, (64, 48)),
        ((1000, 10), 100, 100, (100, 4)),
        ((37, 61), 100, 512, (37, 61)),
        ((64, 48), 1, 512, (4, 4)),
    ],
)
def test_size(
    addon: SimpleNamespace,
    scene: bpy.types.Scene,
    resolution: tuple[int, int],
    percentage: int,
    max_side: int,
    size: tuple[int, int],
) -> None:
    scene.render.resolution_x, scene.render.resolution_y = resolution
    scene.render.resolution_percentage = percentage
    assert addon.camera_render.render_size(scene.render, max_side) == size


def test_size_is_the_size_of_blenders_own_render(
    addon: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    scene.render.resolution_x, scene.render.resolution_y = 61, 37
    scene.render.resolution_percentage = 77
    plain = rendered_by_blender(scene, tmp_path / "plain.png")
    assert captured(addon).shape == plain.shape


OTHERS = ("SPOT", "AREA", "SUN", "POINT", "empty", "mesh", "armature")


@pytest.mark.parametrize("kind", OTHERS)
def test_any_object_may_be_the_active_camera(
    connected: SimpleNamespace, scene: bpy.types.Scene, installed: str, kind: str
) -> None:
    """Blender looks through any object: a preview does too, and a capture says what to do."""
    if kind in ("empty", "mesh", "armature"):
        makers = {"mesh": bpy.data.meshes.new, "armature": bpy.data.armatures.new}
        data = makers[kind]("data") if kind in makers else None
    else:
        data = bpy.data.lights.new("light", kind)
    other = bpy.data.objects.new("other", data)
    other.matrix_world = scene.camera.matrix_world
    other.location, other.rotation_euler = scene.camera.location, scene.camera.rotation_euler
    scene.collection.objects.link(other)
    scene.camera = other
    bpy.context.view_layer.update()
    preview(connected, scene)
    settings = scene.watch_your_steps
    assert np.ptp(connected.pictures.read_rgb(settings.render_image)) > 100
    assert not connected.panel.has_moved(scene)
    other.location.x += 1
    bpy.context.view_layer.update()
    assert connected.panel.has_moved(scene)
    scene_capture = importlib.import_module(f"{installed}.render.capture_views")
    film_jobs = importlib.import_module(f"{installed}.jobs.film_jobs")
    for refused in (
        lambda: scene_capture.plan_frames(scene, 32),
        lambda: film_jobs.pinhole_of(scene, scene.camera, 32, 32),
    ):
        with pytest.raises(
            connected.scene_error.SceneError, match=r'"other" is .*no camera .*Ctrl'
        ):
            refused()
    plan = scene_capture.plan_around(scene, bpy.context.view_layer, 3, 16)
    assert scene_capture.take_view(scene, plan, 0, "0" * 32).depth is not None
