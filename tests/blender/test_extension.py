"""The built zip in the bpy module: its wheels are the ones in use, and it leaves nothing behind."""

import importlib
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import addon_utils
import bpy

CLASSES = ("WYS_PT_main", "WYS_PT_view", "WATCH_YOUR_STEPS_OT_edit", "WATCH_YOUR_STEPS_OT_connect")
HANDLERS = (
    *("load_post", "save_pre", "save_post", "undo_post", "redo_post"),
    *("render_init", "render_pre", "render_complete", "render_cancel"),
)


def own_handlers(module: str) -> list[object]:
    return [
        handler
        for name in HANDLERS
        for handler in getattr(bpy.app.handlers, name)
        if handler.__module__.startswith(module)
    ]


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "Watch Your Steps"]


def test_the_wheels_of_the_zip_are_in_use(installed: str) -> None:
    resources = Path(bpy.utils.resource_path("USER")).resolve()
    for name in ("zmq", "msgspec", installed):
        module = importlib.import_module(name)
        assert Path(module.__file__).resolve().is_relative_to(resources), name


def test_no_torch_in_blender(installed: str) -> None:
    assert "torch" not in sys.modules


def test_registers_and_leaves_nothing_behind(addon: SimpleNamespace, installed: str) -> None:
    handlers = importlib.import_module(f"{installed}.ui.handlers")
    for _ in range(2):
        assert all(hasattr(bpy.types, name) for name in CLASSES)
        assert len(own_handlers(installed)) == len(HANDLERS)
        assert bpy.app.timers.is_registered(handlers._tick)
        tick = handlers._tick
        bpy.ops.watch_your_steps.connect()
        assert len(own_threads()) == 1

        addon_utils.disable(installed)
        assert not any(hasattr(bpy.types, name) for name in CLASSES)
        assert not hasattr(bpy.types.Scene, "watch_your_steps")
        assert own_handlers(installed) == []
        assert not bpy.app.timers.is_registered(tick)
        assert own_threads() == []

        addon_utils.enable(installed)
        handlers = sys.modules[f"{installed}.ui.handlers"]


def test_reload_keeps_the_settings_of_the_scene(addon: SimpleNamespace, installed: str) -> None:
    bpy.context.scene.watch_your_steps.instruction = "make it snow"
    addon_utils.disable(installed)
    addon_utils.enable(installed)
    assert bpy.context.scene.watch_your_steps.instruction == "make it snow"


def test_every_setting_explains_itself(addon: SimpleNamespace) -> None:
    settings = bpy.context.scene.watch_your_steps
    shown = (
        "instruction threshold steps own_guidance text_guidance image_guidance strength seed "
        "noise_level relevance_seeds max_side show view opacity split"
    )
    for name in shown.split():
        description = settings.bl_rna.properties[name].description
        assert len(description) > 15, name
        assert not description.endswith("."), f"{name}: Blender adds the full stop itself"
    for name in ("connect", "disconnect", "preview_relevance", "edit", "cancel"):
        operator = getattr(bpy.ops.watch_your_steps, name)
        assert len(operator.get_rna_type().description) > 15, name
