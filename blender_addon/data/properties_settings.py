"""Blender's properties of the settings that protocol/settings.py has, and the settings that they
say.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty

from ..protocol.known_settings import Setting, all_settings
from ..protocol.settings import (
    GUIDANCE,
    EditSettings,
    FieldSettings,
    GuidanceSettings,
    MapSettings,
    PictureMapSettings,
    RegionSettings,
    SceneRegionSettings,
    SceneUpdateSettings,
    TextureSettings,
)
from .translations import CONTEXT

LARGEST_INT = 2**31 - 1
"""That Blender's properties hold."""
LEAST_ABOVE = 0.01
"""The smallest value of a slider that must be above 0."""

Group = TypeVar("Group", bound=bpy.types.PropertyGroup)
Settings = TypeVar(
    "Settings",
    MapSettings,
    PictureMapSettings,
    RegionSettings,
    EditSettings,
    TextureSettings,
    FieldSettings,
    GuidanceSettings,
    SceneRegionSettings,
    SceneUpdateSettings,
)


def prop(settings: type, name: str, **other: Any) -> Any:
    """The property of one setting.

    Args:
        settings: a class of settings, by which each property explains itself.
        name: of the setting.
        **other: what is otherwise than there, and what only Blender knows, such as `update`.
    """
    return _property(next(one for one in all_settings(settings) if one.name == name), other)


def described(hint: Any, name: str, **other: Any) -> Any:
    """The property of a setting that is in no class of settings, from its type."""
    return _property(Setting.of(name, hint), other)


def with_settings(*kinds: type, **other: dict[str, Any]) -> Callable[[type[Group]], type[Group]]:
    """Give a group of properties those of all settings of some kinds, but for those that it has.

    Args:
        *kinds: classes of settings.
        **other: as in `prop`, by the settings' names.
    """

    def decorate(group: type[Group]) -> type[Group]:
        found = {
            one.name: _property(one, other.get(one.name, {}))
            for kind in kinds
            for one in all_settings(kind)
        }
        group.__annotations__ = found | group.__annotations__
        return group

    return decorate


def _property(one: Setting, other: dict[str, Any]) -> Any:
    known: dict[str, Any] = {"name": one.title, "description": one.description}
    known["translation_context"] = CONTEXT
    if one.kind is bool:
        return BoolProperty(**known | {"default": one.default} | other)
    if one.kind is str:
        words, names = one.extra["words"], one.extra.get("names", {})
        items = [(one, names.get(one, one.capitalize()), text) for one, text in words.items()]
        return EnumProperty(**known | {"items": items, "default": one.default} | other)
    known |= {name: one.extra[name] for name in ("soft_max", "step") if name in one.extra}
    if one.kind is float:
        known["default"] = one.extra["suggested"] if one.default is None else one.default
        known |= {"min": one.least + LEAST_ABOVE * one.above, "max": one.most}
        if one.most == 1.0:
            known["subtype"] = "FACTOR"
        return FloatProperty(**known | other)
    known |= {"min": int(one.least), "max": int(min(one.most, LARGEST_INT))}
    if one.kind is tuple:
        known["default"] = len(one.default)
    elif one.optional:
        known |= {"min": 0, "default": one.extra.get("suggested", 0)}
        known["description"] += f"; 0: {one.extra['none']}"
    else:
        known["default"] = one.default
    return IntProperty(**known | other)


def asked(kind: type[Settings], *groups: bpy.types.PropertyGroup) -> Settings:
    """The settings of a kind that groups of properties say, each as the first of them that has it;
    its default where none has.
    """
    values = {}
    for one in all_settings(kind):
        group = next((group for group in groups if hasattr(group, one.name)), None)
        if group is None:
            continue
        value = getattr(group, one.name)
        if one.name in GUIDANCE and group.own_guidance:
            value = None
        elif one.kind is tuple:
            value = tuple(range(value))
        elif one.kind is float:
            value = float(str(np.float32(value)))  # as it was typed: Blender's own has 24 bits
        elif one.optional and one.kind is int:
            value = value or None
        values[one.name] = value
    return kind(**values)


def put(group: bpy.types.PropertyGroup, settings: Any) -> None:
    """Write settings into the properties of a group, but for what is decided later."""
    for one in all_settings(type(settings)):
        value = getattr(settings, one.name)
        if value is not None:
            setattr(group, one.name, len(value) if one.kind is tuple else value)


def copy(source: bpy.types.PropertyGroup, target: bpy.types.PropertyGroup) -> None:
    """Write how an edit is made, as one group says it, into another. The two guidances are left as
    they are where they are the model's own.
    """
    target.own_guidance = source.own_guidance
    for kind in (PictureMapSettings, RegionSettings, EditSettings):
        for one in all_settings(kind):
            if not (one.name in GUIDANCE and source.own_guidance):
                setattr(target, one.name, getattr(source, one.name))


def guidance_words(group: bpy.types.PropertyGroup | GuidanceSettings) -> str:
    """Both guidances, in words."""
    return f"guidance {group.text_guidance:g} and {group.image_guidance:g}"
