"""What the next edit of a texture is made of: the original, or what the mesh shows, on top of its
edits; and what becomes of those that others are on top of.
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
from test_texture_preview import (  # noqa: F401
    GREEN,
    _Layout,
    baked,
    flat_uvs,
    keeps_no_pointers,
    live,
    preview,
    refusal_of,
)

OPS = bpy.ops.watch_your_steps


class _Rows(_Layout):
    def separator(self, **_options: object) -> None:
        """Nothing is to be seen of it."""

    def column(self, **_options: object) -> "_Rows":
        part = _Rows()
        part.texts, part.alerts, part.names = self.texts, self.alerts, self.names
        return part

    row = box = column


def asked(scene: bpy.types.Scene, instruction: str, base: str) -> None:
    scene.watch_your_steps.instruction = instruction
    scene.watch_your_steps.texture.base = base


@pytest.fixture
def chain(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
) -> list[bpy.types.Image]:
    """The original, an edit of it, and one on top of that."""
    scene.watch_your_steps.texture.use_threshold = True
    flat_uvs(thing)
    found = [node(thing).image]
    for threshold, instruction in ((0.3, "turn the ball blue"), (0.6, "add stripes")):
        scene.watch_your_steps.texture.threshold = threshold
        asked(scene, instruction, "EDIT")
        edit(connected, scene)
        found.append(node(thing).image)
    return found


def test_an_edit_of_the_original_is_beside_the_one_that_is_shown(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    texture_edit: ModuleType,  # noqa: F811
) -> None:
    original = node(thing).image
    edit(connected, scene)
    first = node(thing).image
    first.watch_your_steps.region.threshold = 0.8
    asked(scene, "turn the ball red", "ORIGINAL")
    edit(connected, scene)
    assert np.array_equal(submits(server)[-1].request.texture, noise(24, 32))
    views = [message.request.views for message in submits(server)]
    assert np.array_equal(*views), "they show the original"
    second = node(thing).image
    assert second.watch_your_steps.original == original
    assert texture_edit.edits_of(original) == [second, first]
    assert first.watch_your_steps.region.threshold == np.float32(0.8), "it stays as it was"
    for one in (first, second):
        OPS.show_texture(what="EDITED", edit=one.name_full)
        assert texture_edit.texture_of(thing) == one, "the panel is about the one that is shown"


def test_an_edit_on_top_keeps_all_else_of_the_one_below(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    chain: list[bpy.types.Image],
    server: FakeServer,
    texture_edit: ModuleType,  # noqa: F811
) -> None:
    original, first, second = chain
    below, above = (pixels(connected.mesh_reading, one) for one in (first, second))
    assert np.array_equal(submits(server)[-1].request.texture, below)
    inside = relevance_of(below) >= np.float32(0.6)
    assert 0 < inside.sum() < inside.size
    assert np.array_equal(above[~inside], below[~inside]), "bit for bit"
    wanted = below.copy()
    wanted[..., :3] = edited(below[..., :3], inside)
    assert np.array_equal(above, wanted)
    OPS.show_texture(what="ORIGINAL")
    assert node(thing).image == original, "the true one"
    assert [texture_edit.depth(one) for one in chain] == [0, 0, 1]


def test_what_a_moved_threshold_shows_is_edited_on_top(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    texture_edit: ModuleType,  # noqa: F811
) -> None:
    original = node(thing).image
    edit(connected, scene)
    first = node(thing).image
    before = pixels(connected.mesh_reading, first)
    first.watch_your_steps.region.threshold = 0.8
    mix = np.where((np.float32(0.8) <= GREEN)[..., None], before, noise(24, 32))
    asked(scene, "add stripes", "EDIT")
    edit(connected, scene)
    assert np.array_equal(submits(server)[-1].request.texture, mix)
    second = node(thing).image
    made_of = second.watch_your_steps.original
    assert made_of not in (original, first)
    assert np.array_equal(pixels(connected.mesh_reading, made_of), mix)
    assert np.array_equal(pixels(connected.mesh_reading, first), before)
    assert texture_edit.edits_of(original) == [second, made_of, first]
    OPS.revert_texture()
    assert node(thing).image == made_of


@pytest.mark.parametrize("base", ["ORIGINAL", "EDIT"])
@pytest.mark.parametrize("threshold", [0.8, None])
@pytest.mark.parametrize("operator", ["edit_texture", "preview_texture"])
def test_what_is_refused_leaves_the_mesh_as_it_was(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    base: str,
    threshold: float | None,
    operator: str,
) -> None:
    flat_uvs(thing)
    edit(connected, scene)
    if threshold:
        node(thing).image.watch_your_steps.region.threshold = threshold
    seen, images = baked(scene, thing), {one.name for one in bpy.data.images}
    asked(scene, "", base)
    assert "nstruction" in refusal(operator)
    assert np.array_equal(baked(scene, thing), seen)
    assert {one.name for one in bpy.data.images} == images
    asked(scene, "turn it red", base)
    scene.watch_your_steps.texture.size = 8192
    scene.watch_your_steps.texture.views = 256
    assert "cannot be sent" in refusal(operator)
    assert np.array_equal(baked(scene, thing), seen)
    assert {one.name for one in bpy.data.images} == images


def test_the_originals_preview_is_shown_painted_and_edited_while_an_edit_is_there(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    live: ModuleType,  # noqa: F811
) -> None:
    original = node(thing).image
    flat_uvs(thing)
    edit(connected, scene)
    shown = node(thing).image
    scene.watch_your_steps.texture.base = "ORIGINAL"
    OPS.preview_texture()
    connected.session.wait_for_job(scene, SECONDS)
    region = original.watch_your_steps.preview
    assert node(thing).image == original
    assert live.is_previewed(thing)
    for put in (OPS.show_texture_preview, lambda: OPS.paint_texture_region(brush="ADD")):
        OPS.show_texture(what="EDITED")
        assert node(thing).image == shown
        assert put() == {"FINISHED"}
        assert node(thing).image == original
        assert live.is_previewed(thing)
    OPS.end_texture_painting()
    OPS.show_texture(what="EDITED")
    region.snap, region.threshold = "nothing", 0.62
    edit(connected, scene)
    request = submits(server)[-1].request
    assert np.array_equal(request.mask, np.float32(0.62) <= GREEN)
    assert np.array_equal(request.texture, noise(24, 32))
    scene.watch_your_steps.texture.base = "EDIT"
    assert "no preview yet" in refusal_of(OPS.show_texture_preview)


def test_one_in_the_middle_is_deleted_and_the_one_above_is_as_it_was(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    chain: list[bpy.types.Image],
    texture_edit: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    original, first, second = chain
    above = pixels(connected.mesh_reading, second)
    second.watch_your_steps.region.threshold = 0.75
    seen = baked(scene, thing)
    assert OPS.delete_texture_edit(edit=first.name_full) == {"FINISHED"}
    assert texture_edit.edits_of(original) == [second]
    assert texture_edit.depth(second) == 0
    assert np.array_equal(baked(scene, thing), seen), "also what lies below its threshold"
    with pytest.raises(RuntimeError, match="no such edit"):
        OPS.delete_texture_edit(edit=first.name_full)
    names = [one.name for one in chain]
    reopen(connected, tmp_path / "a.blend")
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    original, first, second = (bpy.data.images[name] for name in names)
    box = bpy.data.objects["box"]
    bpy.context.view_layer.objects.active = box
    assert texture_edit.edits_of(original) == [second]
    assert np.array_equal(baked(bpy.context.scene, box), seen)
    assert np.array_equal(pixels(connected.mesh_reading, second), above)
    OPS.show_texture(what="ORIGINAL")
    assert node(box).image == original
    OPS.show_texture(what="EDITED")
    assert OPS.revert_texture() == {"FINISHED"}
    assert node(box).image == original, "not the one that was deleted"
    assert {one.name for one in bpy.data.images if one.users and one.type == "IMAGE"} == {"paint"}
    assert not bpy.data.node_groups


def test_the_shown_one_in_the_middle_is_deleted(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    chain: list[bpy.types.Image],
    texture_edit: ModuleType,  # noqa: F811
) -> None:
    original, first, second = chain
    OPS.show_texture(what="EDITED", edit=first.name_full)
    bpy.ops.ed.undo_push(message="before")
    assert OPS.revert_texture() == {"FINISHED"}
    assert node(thing).image == original
    assert texture_edit.edits_of(original) == [second]
    assert second.watch_your_steps.original == first, "it is what the other is made of"
    bpy.ops.ed.undo_push(message="reverted")
    bpy.ops.ed.undo()
    box = bpy.data.objects["box"]
    assert node(box).image.watch_your_steps.instruction == "turn the ball blue"
    assert len(texture_edit.edits_of(node(box).image)) == 2


@keeps_no_pointers
def test_an_edit_whose_base_was_removed_from_the_file_goes_back_to_the_original(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    chain: list[bpy.types.Image],
    installed: str,
    texture_edit: ModuleType,  # noqa: F811
) -> None:
    original, first, second = chain
    moved = importlib.import_module(f"{installed}.data.meshes.moved_threshold")
    assert moved.can_move(second)
    bpy.data.images.remove(first)
    assert texture_edit.edits_of(original) == [second]
    assert not moved.can_move(second), "what would be shown below is gone"
    second.watch_your_steps.region.threshold = 0.9
    assert node(thing).image == second
    OPS.show_texture(what="ORIGINAL")
    assert node(thing).image == original
    OPS.show_texture(what="EDITED")
    OPS.revert_texture()
    assert node(thing).image == original
    assert not OPS.revert_texture.poll()


@keeps_no_pointers
def test_what_was_kept_for_an_edit_that_was_removed_from_the_file_can_be_reverted(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    chain: list[bpy.types.Image],
    texture_edit: ModuleType,  # noqa: F811
) -> None:
    """Nothing that a mesh shows is without a way back."""
    original, first, second = chain
    second.watch_your_steps.region.threshold = 0.75
    OPS.delete_texture_edit(edit=first.name_full)
    bpy.data.images.remove(second)
    assert texture_edit.edits_of(original) == [first]
    assert OPS.revert_texture() == {"FINISHED"}
    assert node(thing).image == original
    assert not texture_edit.edits_of(original)


def test_what_a_duplicate_shows_is_not_deleted(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    chain: list[bpy.types.Image],
    texture_edit: ModuleType,  # noqa: F811
) -> None:
    original, first, second = chain
    other = duplicate(thing)
    press("show_texture", other, what="EDITED", edit=first.name_full)
    press("delete_texture_edit", thing, edit=first.name_full)
    assert texture_edit.edits_of(original) == [second, first]
    assert (node(thing).image, node(other).image) == (second, first)
    press("delete_texture_edit", other, edit=first.name_full)
    assert (node(thing).image, node(other).image) == (second, original)
    assert texture_edit.edits_of(original) == [second]
    press("delete_texture_edit", other, edit=second.name_full)
    assert node(thing).image == second


def test_nothing_is_deleted_while_a_job_of_it_runs(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    chain: list[bpy.types.Image],
) -> None:
    scene.watch_your_steps.texture.threshold = 0.1
    OPS.edit_texture()
    assert "A job of this scene runs" in refusal_of(
        lambda: OPS.delete_texture_edit(edit=chain[1].name_full)
    )
    connected.session.wait_for_job(scene, SECONDS)
    assert node(thing).image.watch_your_steps.original == chain[2]
    bpy.context.view_layer.objects.active = None
    assert "no active object" in refusal_of(OPS.delete_texture_edit)


def test_the_panel_says_what_each_is_on_top_of(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    chain: list[bpy.types.Image],
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = importlib.import_module(f"{installed}.ui.panel_texture_edits")
    words = importlib.import_module(f"{installed}.ui.words")
    monkeypatch.setattr(words, "paragraph", lambda part, _, text, **_how: part.label(text=text))

    def shows() -> _Rows:
        layout = _Rows()
        panel.draw_base(layout, bpy.context)
        panel.draw(layout, bpy.context)
        return layout

    layout = shows()
    assert "base" in layout.names
    assert 'On top of "add stripes".' in layout.texts, "the next one"
    assert 'On top of "turn the ball blue".' in layout.texts, "the shown one"
    assert layout.names.count("watch_your_steps.delete_texture_edit") == 2
    chain[2].watch_your_steps.region.threshold = 0.9
    assert any("kept as an edit of its own" in text for text in shows().texts)
    OPS.delete_texture_edit(edit=chain[1].name_full)
    assert "On top of an edit that was deleted." in shows().texts
    OPS.show_texture(what="ORIGINAL")
    assert "The mesh shows the original, so that is edited." in shows().texts
    OPS.revert_texture()
    assert "base" not in shows().names
