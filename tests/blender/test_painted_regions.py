"""A texture's region that the artist corrects on the mesh by Blender's own Texture Paint."""

from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, reopen
from fake_server import FakeServer
from image_files import png
from test_flows import refusal, submits
from test_mesh_views import noise
from test_texture_copies import duplicate
from test_texture_edit import edit, node, pixels, thing  # noqa: F401  # fixtures
from test_texture_preview import (  # noqa: F401
    GREEN,
    baked,
    flat_uvs,
    keeps_no_pointers,
    live,
    preview,
    regions,
)

OPS = bpy.ops.watch_your_steps


@pytest.fixture
def previewed(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
) -> bpy.types.PropertyGroup:
    """The region of a preview as the map says it."""
    scene.watch_your_steps.texture.snap = "nothing"
    flat_uvs(thing)
    return preview(connected, scene)


def stroke(image: bpy.types.Image, rows: slice, value: float, alpha: float = 1.0) -> None:
    """Paint rows from the top, as a brush would."""
    width, height = image.size
    values = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    values = values.reshape(height, width, 4)
    values[::-1][rows] = (value, value, value, alpha)
    image.pixels.foreach_set(values.ravel())
    image.update()


def painted_by_hand(region: bpy.types.PropertyGroup) -> np.ndarray:
    """Rows 0 to 3 added, rows 20 to 23 taken away; the region that follows."""
    stroke(region.paint, slice(0, 4), 1.0)
    stroke(region.paint, slice(20, 24), 0.0)
    inside = np.float32(region.threshold) <= GREEN
    inside[:4], inside[20:] = True, False
    return inside


def test_painting_begins_with_everything_set_and_ends_with_everything_as_it_was(
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,
    live: ModuleType,  # noqa: F811
) -> None:
    own = bpy.data.images.new("own canvas", 4, 4)
    thing.data.uv_layers.new(name="other")
    thing.data.uv_layers.active_index = 1
    tools = scene.tool_settings.image_paint
    tools.mode, tools.canvas = "MATERIAL", own
    OPS.show_texture_preview()
    assert not OPS.end_texture_painting.poll()
    assert OPS.paint_texture_region(brush="ADD") == {"FINISHED"}
    assert thing.mode == "TEXTURE_PAINT"
    assert (tools.mode, tools.canvas) == ("IMAGE", previewed.paint)
    assert tuple(previewed.paint.size) == (32, 24)
    assert thing.data.uv_layers.active.name == "UVMap", "that the texture lies by"
    assert live.is_previewed(thing), "it is seen while it is painted"
    assert tuple(tools.brush.color) == (1, 1, 1)
    OPS.paint_texture_region(brush="REMOVE")
    assert (tuple(tools.brush.color), tools.brush.blend) == ((0, 0, 0), "MIX")
    OPS.paint_texture_region(brush="ERASE")
    assert tools.brush.blend == "ERASE_ALPHA"
    stroke(previewed.paint, slice(0, 2), 1.0)
    assert not OPS.clear_texture_painting.poll()
    assert OPS.end_texture_painting() == {"FINISHED"}
    assert thing.mode == "OBJECT"
    assert (tools.mode, tools.canvas, tools.brush.blend) == ("MATERIAL", own, "MIX")
    assert thing.data.uv_layers.active.name == "other"
    assert not previewed.paint.is_dirty
    OPS.paint_texture_region(brush="ERASE")
    stroke(previewed.paint, slice(0, 2), 0.0, 0.0)
    OPS.end_texture_painting()
    assert previewed.paint is None, "a correction that says nothing is not kept"


def test_what_is_painted_wins_over_the_slider_in_what_is_shown_and_in_what_is_edited(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,
    server: FakeServer,
    regions: ModuleType,  # noqa: F811
) -> None:
    plain = baked_plainly(scene, thing)
    OPS.paint_texture_region(brush="ADD")
    painted_by_hand(previewed)
    OPS.end_texture_painting()
    tint = np.array([1.0, 0.3, 0.02]) * 0.5
    for threshold in (0.3, 0.8):
        previewed.threshold = threshold
        inside = painted_by_hand(previewed)
        assert np.array_equal(regions.mask(previewed), inside)
        seen = np.abs(baked(scene, thing) - (plain * 0.5 + tint)).max(axis=-1) < 2e-3
        assert seen[inside].all()
        assert seen[~inside].mean() < 0.05
    previewed.invert = True
    other = np.float32(0.8) > GREEN
    other[:4], other[20:] = True, False
    assert np.array_equal(regions.mask(previewed), other), "what was painted stays"
    seen = np.abs(baked(scene, thing) - (plain * 0.5 + tint)).max(axis=-1) < 2e-3
    assert seen[other].all()
    assert seen[~other].mean() < 0.05
    previewed.invert = False
    again = preview(connected, scene)
    assert again.threshold == pytest.approx(0.8)
    assert np.array_equal(regions.mask(again), inside), "it survives new maps"
    edit(connected, scene)
    assert np.array_equal(submits(server)[-1].request.mask, inside)
    mine = node(thing).image.watch_your_steps
    assert "corrected by hand" in mine.made_with
    assert mine.region.paint not in (None, previewed.paint), "the edit has its own"
    above = baked(scene, thing)
    mine.region.threshold = 0.95
    kept = np.float32(0.95) <= GREEN
    kept[:4], kept[20:] = True, False
    wanted = np.where(kept[..., None], above, plain)
    np.testing.assert_allclose(baked(scene, thing), wanted, atol=1e-5)
    OPS.apply_texture_threshold()
    made = pixels(connected.mesh_reading, node(thing).image)
    assert np.array_equal((made != noise(24, 32)).any(axis=2), kept)


def baked_plainly(scene: bpy.types.Scene, thing: bpy.types.Object) -> np.ndarray:  # noqa: F811
    OPS.show_texture_preview()
    plain = baked(scene, thing)
    OPS.show_texture_preview()
    return plain


def test_a_correction_is_saved_while_it_is_painted(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,
    regions: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    OPS.paint_texture_region(brush="ADD")
    inside = painted_by_hand(previewed)
    reopen(connected, tmp_path / "a.blend")
    region = bpy.data.images["paint"].watch_your_steps.preview
    assert np.array_equal(regions.mask(region), inside)
    bpy.context.view_layer.objects.active = bpy.data.objects["box"]
    if bpy.context.object.mode != "TEXTURE_PAINT":  # Blender leaves it when a file is opened
        bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
    OPS.end_texture_painting()
    assert np.array_equal(regions.mask(region), inside)
    OPS.clear_texture_painting()
    assert region.paint is None
    assert "Paint" not in region.group.nodes
    assert "paint correction" not in bpy.data.images


def test_a_correction_without_its_preview_is_not_forgotten_silently(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    OPS.paint_texture_region(brush="ADD")
    painted_by_hand(previewed)
    OPS.end_texture_painting()
    scene.watch_your_steps.instruction = "turn the ball red"
    sent = len(submits(server))
    assert "What was painted corrects a preview" in refusal("edit_texture")
    assert len(submits(server)) == sent
    preview(connected, scene)
    edit(connected, scene)
    assert submits(server)[-1].request.mask[:4].all()


@keeps_no_pointers
def test_a_deleted_correction_is_none(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    OPS.paint_texture_region(brush="ADD")
    painted_by_hand(previewed)
    OPS.end_texture_painting()
    bpy.data.images.remove(previewed.paint)
    previewed.threshold = 0.6
    edit(connected, scene)
    mask = submits(server)[-1].request.mask
    assert np.array_equal(mask, np.float32(0.6) <= GREEN)


def test_what_cannot_be_painted_is_refused(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
) -> None:
    assert "has no preview yet" in refusal("paint_texture_region")
    assert "No correction is being painted" in refusal("end_texture_painting")
    flat_uvs(thing)
    scene.watch_your_steps.texture.lit = True
    tree = thing.active_material.node_tree
    move, uv = tree.nodes.new("ShaderNodeMapping"), tree.nodes.new("ShaderNodeUVMap")
    move.inputs["Scale"].default_value = (0.5, 0.5, 1)
    tree.links.new(uv.outputs[0], move.inputs["Vector"])
    tree.links.new(move.outputs[0], node(thing).inputs["Vector"])
    preview(connected, scene)
    assert "A Mapping node moves" in refusal("paint_texture_region")
    assert thing.mode == "OBJECT"
    bpy.ops.object.mode_set(mode="EDIT")
    assert "Go to Object Mode" in refusal("paint_texture_region")
    bpy.ops.object.mode_set(mode="OBJECT")


def test_a_finished_preview_waits_for_the_end_of_painting_with_its_undo_step(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,
) -> None:
    OPS.paint_texture_region(brush="ADD")
    painted_by_hand(previewed)
    OPS.preview_texture()
    connected.session.wait_for_job(scene, SECONDS)
    assert thing.mode == "TEXTURE_PAINT"
    assert scene.tool_settings.image_paint.canvas == previewed.paint
    assert connected.session.state.undo_steps
    OPS.end_texture_painting()
    connected.session.drain()
    assert not connected.session.state.undo_steps


@pytest.fixture
def own_canvas(scene: bpy.types.Scene) -> bpy.types.Image:
    """What Blender's painting works on before."""
    tools = scene.tool_settings.image_paint
    tools.mode, tools.canvas = "MATERIAL", bpy.data.images.new("own canvas", 4, 4)
    canvas: bpy.types.Image = tools.canvas
    return canvas


def is_given_back(scene: bpy.types.Scene, canvas: bpy.types.Image) -> bool:
    """After Done Painting."""
    assert OPS.end_texture_painting() == {"FINISHED"}
    tools = scene.tool_settings.image_paint
    assert not OPS.end_texture_painting.poll()
    is_painted = bpy.context.active_object.mode == "TEXTURE_PAINT"
    return (tools.mode, tools.canvas) == ("MATERIAL", canvas) and not is_painted


def test_painting_that_was_left_by_blenders_own_ways_can_be_ended_or_goes_on(
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,
    own_canvas: bpy.types.Image,
) -> None:
    for again in (True, False):
        OPS.paint_texture_region(brush="ADD")
        stroke(previewed.paint, slice(0, 4), 1.0)
        bpy.ops.object.mode_set(mode="OBJECT")
        if again:
            OPS.paint_texture_region(brush="REMOVE")
            assert thing.mode == "TEXTURE_PAINT"
        assert is_given_back(scene, own_canvas)
        assert previewed.paint is not None


def test_painting_is_ended_where_another_mesh_is_active_by_then(
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,
    own_canvas: bpy.types.Image,
) -> None:
    thing.data.uv_layers.new(name="other")
    thing.data.uv_layers.active_index = 1
    OPS.paint_texture_region(brush="ADD")
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.view_layer.objects.active = bpy.data.objects["ball"]
    assert is_given_back(scene, own_canvas)
    assert thing.data.uv_layers.active.name == "other"
    bpy.context.view_layer.objects.active = None
    assert not OPS.end_texture_painting.poll()


def test_an_edit_that_arrives_while_its_region_is_painted_leaves_done_painting(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,
    own_canvas: bpy.types.Image,
) -> None:
    OPS.paint_texture_region(brush="ADD")
    painted_by_hand(previewed)
    scene.watch_your_steps.texture.base = "EDIT"
    edit(connected, scene)
    assert thing.mode == "TEXTURE_PAINT"
    assert node(thing).image.name == "paint (edited)"
    assert is_given_back(scene, own_canvas)


def test_what_is_being_painted_is_not_taken_away(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,
    own_canvas: bpy.types.Image,
) -> None:
    scene.watch_your_steps.texture.base = "EDIT"
    edit(connected, scene)
    region = preview(connected, scene)
    edited = node(thing).image
    assert region == edited.watch_your_steps.preview
    OPS.paint_texture_region(brush="ADD")
    for operator in ("clear_texture_preview", "revert_texture", "clear_texture_painting"):
        assert "Press Done Painting first" in refusal(operator)
    with pytest.raises(RuntimeError, match="Press Done Painting first"):
        OPS.delete_texture_edit(edit=edited.name_full)
    OPS.show_texture(what="ORIGINAL")
    assert is_given_back(scene, own_canvas)
    OPS.revert_texture()
    assert [one.name for one in bpy.data.images if "correction" in one.name] == []


def test_two_textures_are_painted_one_after_the_other(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,
    own_canvas: bpy.types.Image,
) -> None:
    """The second one, of a copy that had its correction from the first, is begun without an end of
    the first.
    """
    OPS.paint_texture_region(brush="ADD")
    stroke(previewed.paint, slice(0, 4), 1.0)
    bpy.ops.object.mode_set(mode="OBJECT")
    other = duplicate(thing)
    node(other).image = node(other).image.copy()
    bpy.context.view_layer.objects.active = other
    region = preview(connected, scene)
    OPS.paint_texture_region(brush="REMOVE")
    assert region.paint not in (None, previewed.paint)
    stroke(region.paint, slice(0, 24), 0.0)
    assert is_given_back(scene, own_canvas)
    values = np.array(previewed.paint.pixels[:]).reshape(24, 32, 4)[::-1]
    assert (values[:4] == 1).all()
    assert (values[4:, :, 3] == 0).all()


def test_what_is_painted_on_a_linked_texture_is_saved(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    regions: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Blender's Make Local, which the refusal of a linked mesh names, leaves its images linked."""
    (tmp_path / "of" / "textures").mkdir(parents=True)
    image = node(thing).image
    image.unpack(method="REMOVE")
    image.filepath_raw = str(tmp_path / "of" / "textures" / "paint.png")
    (tmp_path / "of" / "textures" / "paint.png").write_bytes(png(noise(24, 32)))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "of" / "lib.blend"))
    bpy.ops.file.make_paths_relative()
    bpy.ops.wm.save_mainfile()
    for blocks in (bpy.data.objects, bpy.data.materials, bpy.data.images, bpy.data.meshes):
        for one in list(blocks):
            blocks.remove(one)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    with bpy.data.libraries.load(str(tmp_path / "of" / "lib.blend"), link=True) as (_, found):
        found.objects = ["box"]
    scene = bpy.context.scene
    linked = found.objects[0]
    scene.collection.objects.link(linked)
    linked.select_set(True)
    bpy.context.view_layer.objects.active = linked
    bpy.ops.object.make_local(type="SELECT_OBDATA_MATERIAL")
    thing = bpy.context.active_object
    assert node(thing).image.library is not None
    region = preview(connected, scene)
    region.threshold = 0.55
    OPS.paint_texture_region(brush="ADD")
    stroke(region.paint, slice(0, 4), 1.0)
    OPS.end_texture_painting()
    inside = regions.mask(region)
    reopen(connected, tmp_path / "a.blend")
    image = node(bpy.data.objects["box"]).image
    assert np.array_equal(regions.mask(image.watch_your_steps.preview), inside)
    found = pixels(connected.mesh_reading, image)[..., :3]  # the file has no alpha
    assert np.array_equal(found, noise(24, 32)[..., :3])
