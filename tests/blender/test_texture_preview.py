"""Where a texture edit applies, shown on the mesh before it is made: against a scripted server, and
rendered.
"""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, reopen
from fake_server import FakeServer, edited, relevance_of
from test_flows import refusal, submits
from test_mesh_views import noise
from test_texture_copies import duplicate, press
from test_texture_edit import edit, node, pixels, texture_edit, thing  # noqa: F401  # fixtures
from test_threshold import Written

OPS = bpy.ops.watch_your_steps
GREEN = relevance_of(noise(24, 32))
ROWS = np.repeat(GREEN.mean(axis=1, keepdims=True), 32, axis=1)


keeps_no_pointers = pytest.mark.skipif(
    (5, 0) <= bpy.app.version < (5, 1),
    reason="Blender 5.0 leaves pointers of images to images that were deleted",
)


@pytest.fixture
def regions(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.meshes.texture_regions")


@pytest.fixture
def live(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.meshes.live_textures")


def preview(addon: SimpleNamespace, scene: bpy.types.Scene) -> bpy.types.PropertyGroup:
    """A whole preview of the active object; its region."""
    OPS.preview_texture()
    addon.session.wait_for_job(scene, SECONDS)
    return node(bpy.context.active_object).image.watch_your_steps.preview


def baked(scene: bpy.types.Scene, thing: bpy.types.Object) -> np.ndarray:  # noqa: F811
    """What the material gives each texel by its nodes, float32 (24, 32, 3), row 0 at the top."""
    tree = thing.active_material.node_tree
    target = tree.nodes.new("ShaderNodeTexImage")
    target.image = bpy.data.images.new("target", 32, 24, float_buffer=True)
    target.image.colorspace_settings.name = "Non-Color"
    emit, output = tree.nodes.new("ShaderNodeEmission"), tree.get_output_node("CYCLES")
    was = output.inputs["Surface"].links[0].from_socket
    color = next(link.from_socket for link in was.node.inputs[0].links)
    tree.links.new(color, emit.inputs["Color"])
    for link in was.node.inputs["Alpha"].links if "Alpha" in was.node.inputs else ():
        tree.links.new(link.from_socket, emit.inputs["Strength"])
    tree.links.new(emit.outputs[0], output.inputs["Surface"])
    tree.nodes.active = target
    for one in tree.nodes:
        one.select = one == target
    engine, samples = scene.render.engine, scene.cycles.samples
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.render.bake.margin = 0
    bpy.context.view_layer.objects.active = thing
    for one in bpy.context.view_layer.objects:
        one.select_set(one == thing)
    bpy.ops.object.bake(type="EMIT")
    scene.render.engine, scene.cycles.samples = engine, samples
    values = np.empty(24 * 32 * 4, np.float32)
    target.image.pixels.foreach_get(values)
    tree.links.new(was, output.inputs["Surface"])
    bpy.data.images.remove(target.image)
    tree.nodes.remove(target)
    tree.nodes.remove(emit)
    return values.reshape(24, 32, 4)[::-1, :, :3]


def flat_uvs(thing: bpy.types.Object) -> None:  # noqa: F811
    """One face with the whole texture, so that every texel is on the mesh."""
    mesh = bpy.data.meshes.new("plane")
    mesh.from_pydata([(-1, -1, 2), (1, -1, 2), (1, 1, 2), (-1, 1, 2)], [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new(name="UVMap")
    layer.data.foreach_set("uv", [0, 0, 1, 0, 1, 1, 0, 1])
    mesh.materials.append(thing.active_material)
    thing.data = mesh


def test_a_preview_is_asked_for_and_its_region_is_edited_and_nothing_is_found_again(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    live: ModuleType,
) -> None:
    original = node(thing).image
    region = preview(connected, scene)
    asked = submits(server)[-1].request
    assert type(asked).__name__ == "TextureRelevanceRequest"
    assert asked.views.shape == (3, 24, 24, 3)
    assert np.array_equal(asked.texture, noise(24, 32))
    assert asked.things is None
    assert live.is_previewed(thing)
    assert node(thing).image == original, "nothing is changed yet"
    assert region.threshold == pytest.approx(0.4)
    assert np.array_equal(connected.pictures.read_gray(region.relevance), GREEN)
    assert "at the suggestion already" in refusal("use_texture_suggestion")
    region.threshold = 0.3
    assert OPS.use_texture_suggestion() == {"FINISHED"}
    assert region.threshold == pytest.approx(0.4)

    sent = len(submits(server))
    region.snap, region.threshold = "nothing", 0.62
    assert len(submits(server)) == sent, "nothing is sent"
    inside = np.float32(region.threshold) <= GREEN
    edit(connected, scene)
    asked = submits(server)[-1].request
    assert np.array_equal(asked.mask, inside)
    assert len(submits(server)) == sent + 1
    shown = node(thing).image
    wanted = noise(24, 32)
    wanted[..., :3] = edited(wanted[..., :3], inside)
    assert np.array_equal(pixels(connected.mesh_reading, shown), wanted)
    assert "threshold 0.620" in shown.watch_your_steps.made_with
    OPS.show_texture(what="RELEVANCE")
    assert np.array_equal(connected.pictures.read_gray(node(thing).image), GREEN)
    assert not live.is_previewed(thing)

    OPS.show_texture(what="ORIGINAL")
    scene.watch_your_steps.seed = 7
    edit(connected, scene)
    assert np.array_equal(submits(server)[-1].request.mask, inside), "another seed, the same region"


def test_the_regions_views_show_the_texture_and_not_the_preview(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    scene.watch_your_steps.texture.lit = True
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.world = bpy.data.worlds.new("bright")
    scene.world.color = (1, 1, 1)
    preview(connected, scene)
    first = submits(server)[-1].request.views
    assert np.ptp(first) > 50, "there is something to be seen in them"
    for start in (OPS.preview_texture, OPS.edit_texture):
        start()
        connected.session.wait_for_job(scene, SECONDS)
        assert np.array_equal(submits(server)[-1].request.views, first)


def test_snapping_chooses_among_the_maps_without_the_backend(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    regions: ModuleType,
) -> None:
    region = preview(connected, scene)
    sent = len(submits(server))
    region.threshold = 0.5
    half = np.float32(0.5)
    for snap, wanted in (("nothing", GREEN), ("edges", 1 - GREEN), ("things", ROWS)):
        region.snap = snap
        assert np.array_equal(regions.mask(region), wanted >= half), snap
        assert region.group.nodes["Map"].image == regions.chosen_map(region)
    assert regions.took(region) == "pieces"
    assert len(submits(server)) == sent

    region.snap = "edges"
    region = preview(connected, scene)
    assert region.snap == "edges", "what was chosen stays"
    region.snap = "things"
    server.whole_things = False
    old = {region.relevance.name, region.edges.name, region.things.name}
    region = preview(connected, scene)
    assert region.threshold == 0.5, "it was set by hand for this instruction"
    assert region.things is None
    assert np.array_equal(regions.mask(region), half <= 1 - GREEN), "edges, and it says so"
    assert "Whole things do not explain" in regions.why_so(region)
    mine = {image.name for image in bpy.data.images if "relevance" in image.name}
    assert len(mine) == 2 < len(old), "what is replaced is not left in the file"


@pytest.mark.parametrize(("vector", "alpha"), [(False, False), (True, True)])
def test_the_slider_changes_what_the_material_shows(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    vector: bool,
    alpha: bool,
) -> None:
    """Texel by texel: the preview colours the region, and a mix shows the edit there."""
    flat_uvs(thing)
    tree = thing.active_material.node_tree
    if vector:
        uv = tree.nodes.new("ShaderNodeUVMap")
        uv.uv_map = "UVMap"
        tree.links.new(uv.outputs[0], node(thing).inputs["Vector"])
    node(thing).interpolation = "Closest"
    if alpha:  # colours are then read in another way
        shader = tree.get_output_node("CYCLES").inputs["Surface"].links[0].from_node
        tree.links.new(node(thing).outputs["Alpha"], shader.inputs["Alpha"])
    opacity = noise(24, 32)[..., 3:] / 255 if alpha else 1.0
    count = len(tree.nodes)
    plain = baked(scene, thing)
    scene.watch_your_steps.texture.snap = "nothing"
    region = preview(connected, scene)
    for threshold in (0.4, 0.7):
        region.threshold = threshold
        inside = np.float32(region.threshold) <= GREEN
        seen = baked(scene, thing)
        tinted = plain * 0.5 + np.array([1.0, 0.3, 0.02]) * 0.5 * opacity
        np.testing.assert_allclose(seen[inside], tinted[inside], atol=2e-3)
        apart = np.abs(seen - tinted).max(axis=-1)[~inside]
        assert (apart > 0.02).mean() > 0.95
    OPS.show_texture_preview()
    np.testing.assert_allclose(baked(scene, thing), plain, atol=1e-6)
    assert len(tree.nodes) == count, "the material is as it was"

    edit(connected, scene)
    mine = node(thing).image.watch_your_steps.region
    above = baked(scene, thing)
    assert np.abs(above - plain).max() > 0.5
    for threshold, first in ((0.85, 0.85), (0.1, 0.7)):  # not beyond what was edited
        mine.threshold = threshold
        assert node(thing).image.name == "paint", "it is mixed"
        inside = np.float32(first) <= GREEN
        wanted = np.where(inside[..., None], above, plain)
        np.testing.assert_allclose(baked(scene, thing), wanted, atol=1e-5)


def test_apply_writes_the_mix_and_keeps_the_edit(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    texture_edit: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    original = node(thing).image
    count = len(thing.active_material.node_tree.nodes)
    edit(connected, scene)
    first = node(thing).image
    before = pixels(connected.mesh_reading, first)
    assert "was not moved" in refusal_of(OPS.apply_texture_threshold)
    region = first.watch_your_steps.region
    bpy.ops.ed.undo_push(message="before")
    region.threshold = 0.8
    assert texture_edit.shown(thing, first, "CYCLES") == "EDITED"
    OPS.show_texture(what="ORIGINAL")
    assert (node(thing).image, len(thing.active_material.node_tree.nodes)) == (original, count)
    OPS.show_texture(what="EDITED")
    assert len(thing.active_material.node_tree.nodes) > count, "it is mixed again"
    assert OPS.apply_texture_threshold() == {"FINISHED"}
    made = node(thing).image
    assert len(thing.active_material.node_tree.nodes) == count
    inside = np.float32(0.8) <= GREEN
    wanted = np.where(inside[..., None], before, noise(24, 32))
    assert np.array_equal(pixels(connected.mesh_reading, made), wanted)
    assert "threshold moved to 0.800" in made.watch_your_steps.made_with
    assert np.array_equal(pixels(connected.mesh_reading, first), before)
    assert set(texture_edit.edits_of(original)) == {first, made}
    assert region.threshold == region.made_at
    names = (first.name, made.name)
    reopen(connected, tmp_path / "a.blend")
    first, made = (bpy.data.images[name] for name in names)
    assert np.array_equal(pixels(connected.mesh_reading, made), wanted)
    box = bpy.data.objects["box"]
    bpy.context.view_layer.objects.active = box
    assert made.watch_your_steps.region.threshold == pytest.approx(0.8)
    OPS.revert_texture()
    assert node(box).image.name == "paint"


def refusal_of(operator) -> str:
    """Why an operator's poll says no."""
    with pytest.raises(RuntimeError) as refused:
        operator()
    return str(refused.value)


def test_reset_and_duplicates_of_a_moved_edit(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
) -> None:
    """A duplicate with a material of its own shows the same edit, and is taken back alone."""
    edit(connected, scene)
    shown = node(thing).image
    other = duplicate(thing)
    region = shown.watch_your_steps.region
    region.threshold = 0.9
    for one in (thing, other):
        groups = [n for n in one.active_material.node_tree.nodes if n.type == "GROUP"]
        assert [n.node_tree for n in groups] == [region.group]
    press("revert_texture", other)
    assert node(other).image.name == "paint"
    assert not [n for n in other.active_material.node_tree.nodes if n.type == "GROUP"]
    bpy.context.view_layer.objects.active = thing
    assert OPS.reset_texture_threshold() == {"FINISHED"}
    assert region.threshold == region.made_at
    OPS.show_texture(what="EDITED")
    assert node(thing).image == shown
    OPS.revert_texture()
    assert node(thing).image.name == "paint"
    assert not bpy.data.node_groups, "nothing is left"
    assert not [one for one in bpy.data.images if "edited" in one.name or "relev" in one.name]


def test_undo_takes_the_preview_back_and_a_slider_move_is_one_step(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    live: ModuleType,
) -> None:
    bpy.ops.ed.undo_push(message="before")
    preview(connected, scene)
    node(thing).image.watch_your_steps.preview.threshold = 0.7
    bpy.ops.ed.undo_push(message="moved")
    bpy.ops.ed.undo()
    region = bpy.data.images["paint"].watch_your_steps.preview
    assert region.threshold == pytest.approx(0.4)
    assert region.group.nodes["Threshold"].outputs[0].default_value == pytest.approx(0.4)
    bpy.ops.ed.undo()
    box = bpy.data.objects["box"]
    assert not live.is_previewed(box)
    assert bpy.data.images["paint"].watch_your_steps.preview.relevance is None
    bpy.ops.ed.redo()
    assert live.is_previewed(bpy.data.objects["box"])


def test_a_preview_is_saved_and_goes_on(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    live: ModuleType,
    tmp_path: Path,
) -> None:
    region = preview(connected, scene)
    region.snap, region.threshold = "nothing", 0.55
    reopen(connected, tmp_path / "a.blend")
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    box = bpy.data.objects["box"]
    bpy.context.view_layer.objects.active = box
    assert live.is_previewed(box)
    OPS.connect()
    connected.session.wait_for_connection(SECONDS)
    edit(connected, bpy.context.scene)
    mask = submits(server)[-1].request.mask
    assert np.array_equal(mask, np.float32(0.55) <= GREEN)
    assert node(box).image.name == "paint (edited)"


def test_another_instruction_is_looked_for_anew(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    regions: ModuleType,
) -> None:
    region = preview(connected, scene)
    scene.watch_your_steps.instruction = "turn the ball red"
    assert regions.changed_since(region, scene.watch_your_steps) == "instruction"
    edit(connected, scene)
    assert submits(server)[-1].request.mask is None
    assert not node(thing).image.watch_your_steps.sent.relevance
    OPS.show_texture(what="ORIGINAL")
    scene.watch_your_steps.instruction = "turn the ball blue"
    scene.watch_your_steps.noise_level = 0.5
    assert regions.changed_since(region, scene.watch_your_steps) == 'setting "Noise Level"'


def test_an_inverted_region_is_edited_and_its_threshold_moves_the_other_way(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    flat_uvs(thing)
    scene.watch_your_steps.texture.snap = "nothing"
    region = preview(connected, scene)
    region.invert, region.threshold = True, 0.0
    assert "raise the threshold" in refusal("edit_texture")
    region.threshold = 0.6
    edit(connected, scene)
    assert np.array_equal(submits(server)[-1].request.mask, np.float32(0.6) > GREEN)
    mine = node(thing).image.watch_your_steps
    assert "inverted" in mine.made_with
    mine.region.threshold = 0.2
    OPS.apply_texture_threshold()
    changed = pixels(connected.mesh_reading, node(thing).image) != noise(24, 32)
    assert np.array_equal(changed.any(axis=2), np.float32(0.2) > GREEN)
    assert node(thing).image.watch_your_steps.region.invert


@keeps_no_pointers
def test_what_cannot_be_edited_by_the_preview_is_refused_and_the_preview_stays(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    live: ModuleType,
) -> None:
    region = preview(connected, scene)
    sent = len(submits(server))
    region.threshold = 1.0
    assert "region is empty at this threshold" in refusal("edit_texture")
    assert "region is empty" in connected.session.message_of(scene)
    region.threshold = 0.2
    assert connected.session.message_of(scene) == "", "that is mended"
    thing.data.uv_layers[0].data[0].uv.x += 0.01
    assert "UVs or the size" in refusal("edit_texture")
    thing.data.uv_layers[0].data[0].uv.x -= 0.01
    for name in ("relevance", "edges", "things"):
        bpy.data.images.remove(getattr(region, name))
    assert not OPS.clear_texture_preview.poll()
    assert len(submits(server)) == sent
    assert live.is_previewed(thing)
    edit(connected, scene)
    assert submits(server)[-1].request.mask is None


def test_a_preview_that_fails_is_cancelled_or_cannot_be_leaves_all_as_it_was(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    live: ModuleType,
) -> None:
    bpy.context.view_layer.objects.active = None
    assert "no active object" in refusal("preview_texture")
    bpy.context.view_layer.objects.active = thing
    server.manual = True
    OPS.preview_texture()
    job = connected.session.job_of(scene)
    assert "A job of this scene runs" in refusal("preview_texture")
    connected.session.wait(lambda: job.id in server.jobs, SECONDS)
    server.fail(job.id, "out_of_memory", "There is no memory left.")
    with pytest.raises(connected.session.SessionError, match="Preview on the mesh failed"):
        connected.session.wait_for_job(scene, SECONDS)
    assert not live.is_previewed(thing)
    OPS.preview_texture()
    OPS.cancel()
    with pytest.raises(connected.session.SessionError, match="was cancelled"):
        connected.session.wait_for_job(scene, SECONDS)
    server.manual = False
    preview(connected, scene)
    scene.watch_your_steps.instruction = ""
    assert "instruction is empty" in refusal("preview_texture")
    assert live.is_previewed(thing), "the one that is there is still shown"
    assert OPS.clear_texture_preview() == {"FINISHED"}
    assert not live.is_previewed(thing)
    assert not bpy.data.node_groups
    assert not [one for one in bpy.data.images if "relevance" in one.name]


def test_an_older_backend_is_told_apart(
    addon: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    server.more = ()
    addon.preferences.connection_file = str(server.file)
    OPS.connect()
    addon.session.wait_for_connection(SECONDS)
    assert "older than the add-on" in refusal("preview_texture")


@pytest.fixture
def grouped(thing: bpy.types.Object) -> bpy.types.ShaderNodeTree:  # noqa: F811
    """The tree in which the texture is now: a node group of the material, behind a reroute."""
    tree = thing.active_material.node_tree
    group = bpy.data.node_groups.new("of the artist", "ShaderNodeTree")
    group.interface.new_socket("Color", in_out="OUTPUT", socket_type="NodeSocketColor")
    own, end = group.nodes.new("ShaderNodeTexImage"), group.nodes.new("NodeGroupOutput")
    own.image = node(thing).image
    bend = group.nodes.new("NodeReroute")
    group.links.new(own.outputs["Color"], bend.inputs[0])
    group.links.new(bend.outputs[0], end.inputs[0])
    shader = tree.get_output_node("CYCLES").inputs["Surface"].links[0].from_node
    tree.nodes.remove(node(thing))
    added = tree.nodes.new("ShaderNodeGroup")
    added.node_tree = group
    tree.links.new(added.outputs[0], shader.inputs["Base Color"])
    return group


def test_a_texture_in_a_group_of_the_artists_is_previewed_edited_and_mixed_there(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    grouped: bpy.types.ShaderNodeTree,
    live: ModuleType,
) -> None:
    flat_uvs(thing)
    scene.watch_your_steps.texture.snap = "nothing"
    plain, count = baked(scene, thing), len(grouped.nodes)
    OPS.preview_texture()
    connected.session.wait_for_job(scene, SECONDS)
    assert live.is_previewed(thing)
    assert len(grouped.nodes) > count
    assert np.abs(baked(scene, thing) - plain).max() > 0.2
    edit(connected, scene)
    assert len(grouped.nodes) == count
    own = next(one for one in grouped.nodes if one.type == "TEX_IMAGE")
    above, shown = baked(scene, thing), own.image
    shown.watch_your_steps.region.threshold = 0.8
    wanted = np.where((np.float32(0.8) <= GREEN)[..., None], above, plain)
    np.testing.assert_allclose(baked(scene, thing), wanted, atol=1e-2)
    OPS.revert_texture()
    assert (own.image.name, len(grouped.nodes)) == ("paint", count)
    np.testing.assert_allclose(baked(scene, thing), plain, atol=1e-6)


@keeps_no_pointers
def test_an_edit_that_was_deleted_while_it_was_mixed_is_taken_off_by_the_next(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
) -> None:
    count = len(thing.active_material.node_tree.nodes)
    edit(connected, scene)
    shown = node(thing).image
    shown.watch_your_steps.region.threshold = 0.8
    bpy.data.images.remove(shown)
    edit(connected, scene)
    assert node(thing).image.name == "paint (edited)"
    assert len(thing.active_material.node_tree.nodes) == count


def test_a_preview_on_top_of_an_edit_goes_with_it(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    live: ModuleType,
) -> None:
    count = len(thing.active_material.node_tree.nodes)
    scene.watch_your_steps.texture.base = "EDIT"
    edit(connected, scene)
    preview(connected, scene)
    assert live.is_previewed(thing)
    OPS.revert_texture()
    assert not live.is_previewed(thing)
    assert node(thing).image.name == "paint"
    assert len(thing.active_material.node_tree.nodes) == count
    assert not [one for one in bpy.data.images if "relevance" in one.name]
    assert not bpy.data.node_groups


class _Layout(Written):
    """With what switches need of a layout."""

    def context_pointer_set(self, *_: object) -> None:
        """Nothing is asked of it here."""

    def column(self, **_options: object) -> "_Layout":
        part = _Layout()
        part.texts, part.alerts, part.names = self.texts, self.alerts, self.names
        return part

    row = box = column


def test_the_panel_has_what_there_is_to_do(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = importlib.import_module(f"{installed}.ui.panel_texture_region")
    words = importlib.import_module(f"{installed}.ui.words")
    monkeypatch.setattr(words, "paragraph", lambda part, _, text, **_how: part.label(text=text))

    def shows() -> _Layout:
        layout = _Layout()
        panel.draw_settings(layout, bpy.context)
        panel.draw_edit(layout, bpy.context)
        return layout

    assert "use_threshold" in shows().names
    assert "watch_your_steps.show_texture_preview" not in shows().names
    server.whole_things = False
    region = preview(connected, scene)
    layout = shows()
    assert "use_threshold" not in layout.names
    assert {"threshold", "snap", "watch_your_steps.clear_texture_preview"} <= set(layout.names)
    assert "Suggested: 0.400" in layout.texts
    assert "The views show 75% of the texture." in layout.texts
    assert any("Whole things do not explain" in text for text in layout.texts)
    assert any("Renders show it, too" in text for text in layout.texts)
    assert panel.COVERED not in layout.texts
    assert layout.names.count("watch_your_steps.paint_texture_region") == 3
    OPS.paint_texture_region(brush="ADD")
    assert "watch_your_steps.end_texture_painting" in shows().names
    OPS.end_texture_painting()
    scene.watch_your_steps.instruction = "turn the ball red"
    assert any("The instruction has changed" in text for text in shows().texts)
    scene.watch_your_steps.instruction = region.instruction
    edit(connected, scene)
    assert "watch_your_steps.apply_texture_threshold" not in shows().names
    node(thing).image.watch_your_steps.region.threshold = 0.9
    assert "watch_your_steps.apply_texture_threshold" in shows().names
    bpy.context.view_layer.objects.active = None
    assert "watch_your_steps.preview_texture" in shows().names


def test_the_panel_says_what_hides_the_preview(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = importlib.import_module(f"{installed}.ui.panel_texture_region")
    words = importlib.import_module(f"{installed}.ui.words")
    monkeypatch.setattr(words, "paragraph", lambda part, _, text, **_how: part.label(text=text))
    overlays = SimpleNamespace(show_overlays=True)
    view = SimpleNamespace(view_perspective="CAMERA")
    space = SimpleNamespace(overlay=overlays, region_3d=view)
    seen = SimpleNamespace(
        scene=scene, active_object=thing, space_data=space, tool_settings=scene.tool_settings
    )

    def is_hidden() -> bool:
        layout = _Layout()
        panel.draw_settings(layout, seen)
        return panel.COVERED in layout.texts

    preview(connected, scene)
    assert not is_hidden(), "no picture was made yet"
    OPS.preview_relevance()
    connected.session.wait_for_job(scene, SECONDS)
    assert is_hidden()
    for owner, name, value in (
        (scene.watch_your_steps, "show", False),
        (overlays, "show_overlays", False),
        (view, "view_perspective", "PERSP"),
    ):
        before = getattr(owner, name)
        setattr(owner, name, value)
        assert not is_hidden(), name
        setattr(owner, name, before)
    assert is_hidden()
    OPS.show_texture_preview()
    assert not is_hidden(), "it is not shown"
