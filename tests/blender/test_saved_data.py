"""What a file keeps opens in the next version without loss: the names, kinds and choices of all
that was ever saved are still there, and a file without a version is brought up to this one.
"""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, as_before_versions, here, preview, reopen

OPS = bpy.ops.watch_your_steps
SAVED = {
    "SceneSettings": """
        noise_level:FLOAT relevance_seeds:INT normalisation:ENUM=full,paper closer:BOOLEAN
        snap:ENUM=things,edges,nothing text_guidance:FLOAT image_guidance:FLOAT
        detail:ENUM=sharp,fast,tiles,whole rim:FLOAT steps:INT strength:FLOAT seed:INT
        instruction:STRING threshold:FLOAT things:ENUM=OBJECTS,MATERIALS,ISLANDS,FACES
        own_guidance:BOOLEAN max_side:INT show:BOOLEAN
        view:ENUM=RENDER,RELEVANCE,MASK,EDIT,COMPARE,IN_3D,VARIANTS,LAYERS opacity:FLOAT split:FLOAT
        render_image:POINTER relevance_image:POINTER mask_image:POINTER edit_image:POINTER
        scene_image:POINTER picture:STRING relevance_of:STRING relevance_by:STRING
        relevance_maps:STRING suggested_threshold:FLOAT threshold_of:STRING picks:STRING
        picks_of:STRING prompt_check:STRING edit_of:STRING edits:COLLECTION edit_index:INT
        owner:STRING pending_image:POINTER job:STRING job_kind:STRING job_subject:STRING
        job_instruction:STRING job_then:STRING job_asked:STRING job_object:POINTER
        job_image:POINTER texture:POINTER in_3d:POINTER painted_image:POINTER grow:INT
        invert:BOOLEAN brush:INT new_seed:BOOLEAN variants:INT sheet_image:POINTER
        frames_painting:ENUM=FOLLOW,STAY,LEAVE_OUT
        edited_frames:STRING queue:STRING queue_words:STRING layers:COLLECTION layer_index:INT
        waiting:COLLECTION""",
    "WaitingEdit": """
        job:STRING kind:STRING instruction:STRING subject:STRING asked:STRING title:STRING
        group:STRING more:STRING picture:POINTER mask:POINTER relevance:POINTER texture:POINTER
        thing:POINTER edit:POINTER""",
    "KeptEdit": """
        noise_level:FLOAT relevance_seeds:INT normalisation:STRING closer:BOOLEAN
        snap:ENUM=things,edges,nothing text_guidance:FLOAT image_guidance:FLOAT
        detail:ENUM=sharp,fast,tiles,whole rim:FLOAT steps:INT strength:FLOAT seed:INT image:POINTER
        render:POINTER relevance:POINTER picture:STRING instruction:STRING threshold:FLOAT
        suggested_threshold:FLOAT picks:STRING prompt_check:STRING notes:STRING model:STRING
        date:STRING known:BOOLEAN own_guidance:BOOLEAN camera:STRING frame:INT
        full:POINTER full_render:POINTER painted:POINTER grow:INT invert:BOOLEAN
        variants:STRING mask:POINTER layers:STRING
        made_of:STRING""",
    "Layer": "edit:STRING visible:BOOLEAN opacity:FLOAT",
    "PictureSource": """
        kind:ENUM=RENDER,RESULT,IMAGE,VIEWPORT image:POINTER taken:POINTER
        engine:ENUM=EEVEE,WORKBENCH limit_samples:BOOLEAN samples:INT""",
    "TextureProperties": """
        image:POINTER views:INT size:INT lit:BOOLEAN steps:INT rounds:INT base:ENUM=ORIGINAL,EDIT
        make_size:ENUM=AUTO,512,1024,2048,4096
        snap:ENUM=things,edges,nothing things:ENUM=AUTO,MATERIALS,ISLANDS,FACES
        detail:ENUM=sharp,fast,tiles,whole rim:FLOAT use_threshold:BOOLEAN threshold:FLOAT""",
    "SceneIn3D": """
        cameras:ENUM=AROUND,CAMERAS,FRAMES views:INT size:INT preset:ENUM=preview,medium,full
        train_iterations:INT as_in_paper:BOOLEAN threshold:FLOAT snap:ENUM=things,edges,nothing
        method:ENUM=dataset_update,consistent_views,score_distillation
        detail:ENUM=sharp,fast,tiles,whole rim:FLOAT steps:INT edit_iterations:INT stack:BOOLEAN
        faces:INT plain:BOOLEAN texture_size:ENUM=256,512,1024,2048,4096,8192 capture:STRING
        plan:STRING views_planned:INT views_sent:INT sealed:BOOLEAN borrowed:BOOLEAN
        inherited:BOOLEAN field:STRING edit:STRING edit_of:STRING film:STRING pictures:POINTER
        borrowed_collection:POINTER use_painting:BOOLEAN painted:COLLECTION""",
    "PaintedIn3D": "painted:STRING frame:INT",
    "MaterialSettings": """
        layer:STRING new_map:BOOLEAN image:POINTER original:POINTER was_of_mesh:BOOLEAN
        was_empty:STRING mark:STRING mark_of:STRING""",
    "ImageSettings": """
        original:POINTER edited:POINTER relevance:POINTER instruction:STRING made_with:STRING
        notes:STRING made_for:STRING date:STRING root:POINTER deleted:BOOLEAN
        asked:STRING asked_now:STRING made_for_marks:STRING""",
    "TextureRegion": """
        relevance:POINTER edges:POINTER things:POINTER paint:POINTER before:STRING group:POINTER
        instruction:STRING maps:STRING surface:STRING kind:STRING of_things:STRING
        seen_share:FLOAT suggested_threshold:FLOAT threshold_of:STRING made_at:FLOAT
        threshold:FLOAT snap:ENUM=things,edges,nothing invert:BOOLEAN grow:INT
        grown:POINTER""",
}
"""All that the version before data had a version saved, as it was read from that add-on; and what
came since.
"""
REWRITTEN = {"edit_index", "owner", "mark_of", "threshold_of", "queue", "queue_words"} | {
    f"job{part}" for part in ("", "_kind", "_subject", "_instruction", "_then", "_asked")
}
"""What the add-on itself rewrites when a file is opened, or when another of them is set."""


def saved(group: str) -> list[tuple[str, str, list[str]]]:
    """Name, kind and choices of the properties that a group had."""
    found = []
    for word in SAVED[group].split():
        name, _, kind = word.partition(":")
        kind, _, choices = kind.partition("=")
        found.append((name, kind, choices.split(",") if choices else []))
    return found


def groups(entry: bpy.types.PropertyGroup) -> dict[str, bpy.types.PropertyGroup]:
    settings = here()
    return {
        "Layer": settings.layers[0],  # first: whatever is set of it shows the layers
        "SceneSettings": settings,
        "WaitingEdit": settings.waiting[0],
        "KeptEdit": entry,
        "PictureSource": settings.source,
        "TextureProperties": settings.texture,
        "SceneIn3D": settings.in_3d,
        "PaintedIn3D": settings.in_3d.painted[0],
        "ImageSettings": bpy.data.images["kept"].watch_your_steps,
        "TextureRegion": bpy.data.images["kept"].watch_your_steps.preview,
        "MaterialSettings": bpy.data.materials["kept"].watch_your_steps,
    }


def other(group: bpy.types.PropertyGroup, name: str, kind: str, choices: list[str]) -> object:
    """A value that is not the property's default."""
    known = group.bl_rna.properties[name]
    if kind == "BOOLEAN":
        return not known.default
    if kind == "ENUM":
        return choices[-1] if known.default != choices[-1] else choices[0]
    if kind == "STRING":
        return f"some {name}"
    low, high = max(known.hard_min, -4), min(known.hard_max, 900)
    value = low + (high - low) / 4
    return int(value) if kind == "INT" else float(np.float32(value))


@pytest.fixture
def migration(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.migration")


def test_all_that_was_saved_before_is_still_read(
    addon: SimpleNamespace, scene: bpy.types.Scene, migration: ModuleType, tmp_path: Path
) -> None:
    kept = bpy.data.images.new("kept", 4, 4)
    kept.use_fake_user = True
    bpy.data.materials.new("kept").use_fake_user = True
    kept.pack()
    entry = here().edits.add()
    here().layers.add()
    here().in_3d.painted.add()
    here().waiting.add()
    written = {}
    for title, group in groups(entry).items():
        for name, kind, choices in saved(title):
            known = group.bl_rna.properties[name]
            assert known.type == kind, (title, name)
            items = {item.identifier: item.value for item in getattr(known, "enum_items", ())}
            numbers = [items[choice] for choice in choices]
            assert numbers == list(range(len(choices))), f"files of before have others: {name}"
            if name in REWRITTEN or kind in ("POINTER", "COLLECTION"):
                continue
            written[title, name] = other(group, name, kind, choices)
            setattr(group, name, written[title, name])
    entry.image = entry.render = kept
    here().threshold_of = written["SceneSettings", "threshold_of"] = "set by hand"
    with as_before_versions():
        reopen(addon, tmp_path / "old.blend")
    assert here().version == migration.VERSION
    now = groups(here().edits[0])
    read = {(title, name): getattr(now[title], name) for title, name in written}
    assert read == written
    assert here().edits[0].image == here().edits[0].render == bpy.data.images["kept"]
    assert here().edits[0].title == written["KeptEdit", "instruction"]


def test_edits_of_an_older_file_can_be_found_renamed_and_gone_back_to(
    connected: SimpleNamespace, scene: bpy.types.Scene, migration: ModuleType, tmp_path: Path
) -> None:
    preview(connected, scene)
    here().seed = 5
    OPS.edit()
    connected.session.wait_for_job(scene, SECONDS)
    picture = connected.pictures.read_rgb(here().edit_image).copy()
    with as_before_versions():
        reopen(connected, tmp_path / "old.blend")
    (entry,) = here().edits
    assert (here().version, entry.title) == (migration.VERSION, "turn the ball blue")
    entry.title = "the blue one"
    here().seed = 1
    assert OPS.restore_edit() == {"FINISHED"}
    assert here().seed == 5
    assert np.array_equal(connected.pictures.read_rgb(here().edit_image), picture)
    for _ in range(2):  # what was migrated is not migrated again
        reopen(connected, tmp_path / "new.blend")
        assert here().edits[0].title == "the blue one"


def test_a_file_of_a_newer_version_keeps_it_and_says_so(
    addon: SimpleNamespace, scene: bpy.types.Scene, migration: ModuleType, tmp_path: Path
) -> None:
    here().version = migration.VERSION + 3
    for number in range(2):
        reopen(addon, tmp_path / f"{number}.blend")
        assert here().version == migration.VERSION + 3
        assert "newer version" in addon.session.message_of(bpy.context.scene)


def test_a_scene_that_is_appended_from_an_older_file_is_migrated(
    addon: SimpleNamespace, scene: bpy.types.Scene, migration: ModuleType, tmp_path: Path
) -> None:
    scene.name = "older"
    entry = here().edits.add()
    entry.instruction = entry.name = "turn the ball blue"
    with as_before_versions():
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "old.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "old.blend")) as (_, wanted):
        wanted.scenes = ["older"]
    addon.session.drain()
    settings = wanted.scenes[0].watch_your_steps
    assert settings.edits[0].title == "turn the ball blue"
    assert settings.version == migration.VERSION
