"""How a kept edit was made, in words."""

import bpy

from . import picture_source
from .properties_settings import guidance_words


def describe(entry: bpy.types.PropertyGroup) -> str:
    """How an edit was made, in words with commas between them."""
    parts = [entry.date] if entry.date else []
    if entry.model:
        parts.append(entry.model.replace("\\", "/").rstrip("/").rpartition("/")[2])
    if entry.known:
        guidance = guidance_words(entry)
        if entry.own_guidance:
            guidance = (
                f"{guidance} (the model's own)" if entry.model else "the model's own guidance"
            )
        parts += [
            f"seed {entry.seed}",
            f"threshold {entry.threshold:.3f}",
            *([f"snapped to {entry.snap}"] if entry.snap != "nothing" else []),
            *(["things picked by hand"] if entry.picks else []),
            *(["painted by hand"] if entry.painted else []),
            *([f"mask grown by {entry.grow}"] if entry.grow > 0 else []),
            *([f"mask shrunk by {-entry.grow}"] if entry.grow < 0 else []),
            *(["mask inverted"] if entry.invert else []),
            f"{entry.steps} steps",
            f"strength {entry.strength:g}",
            guidance,
        ]
    elif not entry.layers:
        parts.append("its settings are not known")
    taken = entry.root or entry.render
    if taken is not None and (source := _source(entry, taken).words):
        parts.append(f"of the {source}")
    if entry.camera:
        parts.append(f'camera "{entry.camera}", frame {entry.frame}')
    return ", ".join(parts)


def _source(entry: bpy.types.PropertyGroup, taken: bpy.types.Image) -> picture_source.Source:
    """Where the picture below an edit comes from, by the name that its image has now."""
    image = entry.source_image
    if image is None:
        return picture_source.of(taken)
    return picture_source.Source(picture_source.IMAGE, image.name_full)
