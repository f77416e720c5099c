"""The look that a scene gives its files where they do not follow its own: Blender overwrites it
with the scene's as soon as it is chosen again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

FIRST = ("display_device", "view_transform", "use_curve_mapping")
"""In this order: each changes what others may be."""
KINDS = {"ENUM", "INT", "BOOLEAN", "FLOAT"}


@contextmanager
def kept_look(file: bpy.types.ImageFormatSettings) -> Iterator[None]:
    """Let a scene's files have the look that they have now after the block, too."""
    if file.color_management != "OVERRIDE":
        yield
        return
    owners = (file.display_settings, file.view_settings)
    before = [_values(one) for one in owners]
    curves = _values_of_curves(file.view_settings)
    try:
        yield
    finally:
        for owner, values in zip(owners, before, strict=True):
            _set(owner, values)
        _set_curves(file.view_settings, curves)


def _values(owner: Any) -> dict[str, Any]:
    return {
        name: getattr(owner, name)
        for name, described in owner.bl_rna.properties.items()
        if described.type in KINDS
        and not described.is_readonly
        and not getattr(described, "is_array", False)  # made of others: the white point
    }


def _set(owner: Any, values: dict[str, Any]) -> None:
    for name in (*FIRST, *(name for name in values if name not in FIRST)):
        if name in values:
            setattr(owner, name, values[name])


def _values_of_curves(
    view: bpy.types.ColorManagedViewSettings,
) -> tuple[dict[str, Any], list[Any], list[list[tuple[tuple[float, ...], str]]]]:
    """Of the RGB curves; nothing where they are not used."""
    if not view.use_curve_mapping:
        return {}, [], []
    curves = view.curve_mapping
    levels = [tuple(curves.black_level), tuple(curves.white_level)]
    points = [
        [(tuple(point.location), point.handle_type) for point in curve.points]
        for curve in curves.curves
    ]
    return _values(curves), levels, points


def _set_curves(
    view: bpy.types.ColorManagedViewSettings,
    before: tuple[dict[str, Any], list[Any], list[list[tuple[tuple[float, ...], str]]]],
) -> None:
    values, levels, curves = before
    if not values:
        return
    mapping = view.curve_mapping
    _set(mapping, values)
    mapping.black_level, mapping.white_level = levels
    for curve, points in zip(mapping.curves, curves, strict=True):
        while len(curve.points) > len(points):
            curve.points.remove(curve.points[1])
        while len(curve.points) < len(points):
            curve.points.new(0.5, 0.5)
        for point, (location, handle) in zip(curve.points, points, strict=True):
            point.location, point.handle_type = location, handle
    mapping.update()
