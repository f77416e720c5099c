"""What the add-on adds to Blender's own menus, keys and presets: it works, and goes with it."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import addon_utils
import bpy
import pytest
from driving import SECONDS, preview

OPS = bpy.ops.watch_your_steps
MENUS = ("TOPBAR_MT_render", "IMAGE_MT_image")
PRESETS = "watch_your_steps/edit"


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


def in_menus(module: str) -> int:
    """How many functions of a module draw in Blender's menus."""
    functions = [one for name in MENUS for one in getattr(bpy.types, name).draw._draw_funcs]
    return sum(one.__module__.startswith(module) for one in functions)


def keys() -> list[bpy.types.KeyMapItem]:
    """The add-on's own."""
    keymaps = bpy.context.window_manager.keyconfigs.addon.keymaps
    items = (item for keymap in keymaps for item in keymap.keymap_items)
    return [item for item in items if item.idname.startswith("watch_your_steps.")]


def counts() -> tuple[int, ...]:
    """All that is registered in Blender, in numbers."""
    menus = [len(getattr(bpy.types, name).draw._draw_funcs) for name in MENUS]
    lists = (getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers))
    handlers = [len(one) for one in lists if isinstance(one, list)]
    own = [name for name in dir(bpy.types) if "WYS_" in name or "WATCH_YOUR_STEPS" in name]
    return len(keys()), *menus, *handlers, len(own)


def test_ten_times_on_and_off_leaves_nothing(addon: SimpleNamespace, installed: str) -> None:
    on = counts()
    assert in_menus(installed) == len(MENUS)
    assert len(keys()) == 2
    offs = set()
    for _ in range(10):
        addon_utils.disable(installed)
        offs.add(counts())
        assert in_menus(installed) == len(keys()) == 0
        assert not any(hasattr(bpy.types, name) for name in ("WYS_PT_edit_presets", "WYS_PT_main"))
        addon_utils.enable(installed)
        assert counts() == on
    assert len(offs) == 1


class Drawn:
    """Stands in for a menu's layout."""

    def __init__(self) -> None:
        self.operators: list[str] = []

    def separator(self) -> None:
        pass

    def operator(self, name: str, **_: object) -> None:
        self.operators.append(name)


@pytest.mark.parametrize("name", MENUS)
def test_the_menus_have_what_edits_a_picture(
    connected: SimpleNamespace, scene: bpy.types.Scene, installed: str, name: str
) -> None:
    functions = getattr(bpy.types, name).draw._draw_funcs
    (own,) = (one for one in functions if one.__module__.startswith(installed))
    layout = Drawn()
    own(SimpleNamespace(layout=layout), bpy.context)
    assert [one.partition(".")[2] for one in layout.operators] == [
        "preview_relevance",
        "edit",
        "variants",
        "use_shown_image" if name == "IMAGE_MT_image" else "edit_frames",
    ]
    for one in layout.operators[:3]:
        assert getattr(OPS, one.partition(".")[2]).poll()


def blenders_keys() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Keymap, key and modifiers of all that Blender's own two keymaps have."""
    folder = Path(bpy.utils.system_resource("SCRIPTS")) / "presets/keyconfig/keymap_data"
    for name in ("blender_default", "industry_compatible_data"):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module: ModuleType = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        given = {} if name == "blender_default" else {"use_mouse_emulate_3_button": False}
        for keymap, _, content in module.generate_keymaps(module.Params(**given)):
            for _, event, _ in content["items"]:
                pressed = {one for one in ("ctrl", "alt", "shift", "oskey") if event.get(one)}
                yield keymap, event["type"], frozenset(pressed)


def test_the_keys_are_free_in_blenders_own_keymaps(addon: SimpleNamespace) -> None:
    taken = {(key, pressed) for _, key, pressed in blenders_keys()}
    assert ("G", frozenset()) in taken, "that moves things: the keymaps were read"
    for item in keys():
        pressed = {one for one in ("ctrl", "alt", "shift", "oskey") if getattr(item, one)}
        assert (item.type, frozenset(pressed)) not in taken
        assert item.active


def test_a_preset_brings_the_edit_settings_back(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    preview(connected, scene)
    here().steps, here().strength, here().rim, here().detail = 33, 0.75, 7.0, "tiles"
    here().own_guidance, here().text_guidance, here().seed = False, 4.5, 5
    OPS.add_edit_preset(name="Slow and Strong")
    path = Path(bpy.utils.preset_find("Slow_and_Strong", PRESETS))
    assert path.is_relative_to(bpy.utils.resource_path("USER"))
    for name in ("steps", "strength", "rim", "detail", "own_guidance", "text_guidance"):
        here().property_unset(name)
    here().seed, here().instruction = 9, "something else"
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.script.execute_preset(filepath=str(path), menu_idname="WYS_PT_edit_presets")
    assert (here().steps, here().strength, here().rim, here().detail) == (33, 0.75, 7.0, "tiles")
    assert (here().own_guidance, here().text_guidance) == (False, 4.5)
    assert (here().seed, here().instruction) == (9, "something else"), "they are no part of it"
    here().instruction = "turn the ball blue"
    OPS.edit()
    connected.session.wait_for_job(scene, SECONDS)
    assert (here().edits[0].steps, here().edits[0].strength) == (33, 0.75)
    OPS.add_edit_preset(remove_name=True, name="Slow_and_Strong")
    assert not path.exists()


def test_a_preset_is_one_undo_step(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    here().steps = 33
    OPS.add_edit_preset(name="quick")
    path = bpy.utils.preset_find("quick", PRESETS)
    here().steps = 50
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.script.execute_preset(filepath=path, menu_idname="WYS_PT_edit_presets")
    assert here().steps == 33
    bpy.ops.ed.undo()
    assert here().steps == 50
    bpy.ops.ed.redo()
    assert here().steps == 33
    OPS.add_edit_preset(remove_name=True, name="quick")


def test_presets_stay_when_the_add_on_is_switched_off(
    addon: SimpleNamespace, scene: bpy.types.Scene, installed: str
) -> None:
    OPS.add_edit_preset(name="stays")
    addon_utils.disable(installed)
    addon_utils.enable(installed)
    path = bpy.utils.preset_find("stays", PRESETS)
    assert path
    OPS.add_edit_preset(remove_name=True, name="stays")
