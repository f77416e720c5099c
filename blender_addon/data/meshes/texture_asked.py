"""What an edit of a texture was asked to be made with, so that it can be made again."""

import itertools

import bpy
import msgspec

from ...protocol.settings import GuidanceSettings, MapSettings, RegionSettings, TextureSettings
from ..properties_settings import LARGEST_INT, guidance_words
from . import texture_regions
from .edited_textures import on_top_of


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """As JSON it is kept with the edit, and while its job runs with the texture."""

    settings: TextureSettings
    maps: MapSettings
    region: RegionSettings
    threshold: float | None
    """None where the relevance's own suggestion is taken."""
    lit: bool
    views: int
    hidden_parts: bool
    size: int
    """Pixels a side of the views."""
    previewed: bool
    """Whether the region was known before, so that views of all of it were chosen."""
    surface: str
    """As `texture_regions.surface_of` has it."""

    def words(self, views: int) -> str:
        """What people should know of it; `views` is how many there are."""
        settings = self.settings
        is_own = settings.guidance == GuidanceSettings()
        own = "the model's own guidance" if is_own else guidance_words(settings)
        return ", ".join(
            (
                f"seed {settings.seed}",
                f"{views} views",
                f"{settings.steps} steps",
                f"at most {settings.rounds} rounds",
                own,
            )
        )


def write(asked: Asked) -> str:
    """As JSON."""
    return msgspec.json.encode(asked).decode()


def read(edited: bpy.types.Image) -> Asked | None:
    """Of an edit; None where it was not kept, or by another version of the add-on."""
    try:
        return msgspec.json.decode(edited.watch_your_steps.asked, type=Asked)
    except msgspec.DecodeError:
        return None


def why_unknown(edited: bpy.types.Image) -> str:
    """Why an edit cannot be made again, without a full stop; "" where it can."""
    mine = edited.watch_your_steps
    if mine.original is None:
        return "The texture that this edit was made of was deleted from the file"
    known = mine.region.made_at >= 0 and texture_regions.chosen_map(mine.region) is not None
    if not known or read(edited) is None:
        return "What this edit was made with is not known: press Edit Texture instead"
    return ""


def next_seed(edited: bpy.types.Image, asked: Asked, to_come: set[int]) -> int:
    """The first seed after an edit's own that no edit of the same texture has with its
    instruction, and none of those `to_come`.
    """
    mine = edited.watch_your_steps
    beside = (
        read(one) for one in on_top_of(mine.original) if _instruction(one) == mine.instruction
    )
    used = {one.settings.seed for one in beside if one is not None} | to_come
    first = asked.settings.seed + 1
    return next(seed for one in itertools.count(first) if (seed := one % LARGEST_INT) not in used)


def _instruction(edited: bpy.types.Image) -> str:
    said: str = edited.watch_your_steps.instruction
    return said
