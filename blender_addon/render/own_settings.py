"""What a new render has of its own: an engine for the viewport's picture, and a limit for samples.
They are set on a stand-in, so that nothing of the scene changes.
"""

from dataclasses import dataclass
from typing import Any

import bpy

from ..data import picture_source
from ..data.picture_source import Source

VIEWPORT_SAMPLES = 16
"""Of EEVEE where the scene's viewport has no limit."""


@dataclass(frozen=True)
class OwnSettings:
    """What is otherwise than in the scene."""

    engine: str = ""
    """Blender's name of it; "": the scene's."""
    samples: int = 0
    """At most so many; 0: as many as the scene has."""
    draft: bool = False
    """Whether EEVEE takes as many samples as in the viewport."""

    def apply(self, scene: bpy.types.Scene) -> None:
        """Set it on a stand-in."""
        if self.engine:
            scene.render.engine = self.engine
        if self.draft:
            scene.eevee.taa_render_samples = scene.eevee.taa_samples or VIEWPORT_SAMPLES
        for group, name in _samples(scene):
            setattr(group, name, self._limited(getattr(group, name)))

    def changes(self, scene: bpy.types.Scene) -> list[Any]:
        """What of it makes another picture than the scene's own settings would."""
        limited = [
            self.samples
            for group, name in _samples(scene)
            if self._limited(getattr(group, name)) != getattr(group, name)
        ]
        return [*([self.engine] if self.engine else []), *limited]

    def _limited(self, samples: int) -> int:
        return min(samples, self.samples) if self.samples and samples else samples


AS_THE_SCENE = OwnSettings()


def own_settings(settings: bpy.types.PropertyGroup, source: Source) -> OwnSettings:
    """Of a new render from a source, as the panel says them."""
    if source.kind == picture_source.VIEWPORT:
        return OwnSettings(engine_called(source.name), draft=True)
    if source.kind == picture_source.RENDER and settings.source.limit_samples:
        return OwnSettings(samples=settings.source.samples)
    return AS_THE_SCENE


def engine_called(name: str) -> str:
    """Blender's name of one of `picture_source.ENGINES`."""
    if name == "WORKBENCH":
        return "BLENDER_WORKBENCH"
    return "BLENDER_EEVEE" if bpy.app.version >= (5, 0) else "BLENDER_EEVEE_NEXT"


def _samples(scene: bpy.types.Scene) -> list[tuple[Any, str]]:
    """The settings of how many samples the scene's engine takes; 0 in a layer: the scene's."""
    if scene.render.engine == "CYCLES":
        return [(scene.cycles, "samples"), *((layer, "samples") for layer in scene.view_layers)]
    if scene.render.engine.startswith("BLENDER_EEVEE"):
        return [(scene.eevee, "taa_render_samples")]
    return []
