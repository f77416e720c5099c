"""The job that makes an edit of a texture again, with another seed."""

import dataclasses

import bpy
import msgspec

from ..data.meshes import texture_regions
from ..data.meshes.edited_textures import check_lasts
from ..data.meshes.mesh_reading import read_mesh_texture
from ..data.meshes.texture_asked import next_seed, read
from .job import NewJob, SessionError
from .texture_jobs import asked_job


def texture_again_job(context: bpy.types.Context, edited: bpy.types.Image) -> NewJob:
    """Make an edit of the active object's texture again with the next seed: of the same texture,
    in the same region, from the same sides and with all other settings as they were.

    Args:
        context: its active object shows what the edit was made of.
        edited: `texture_asked.why_unknown` says nothing of it.

    Raises:
        SessionError: the mesh is another one by now, or the views are too large to be sent.
        SceneError: the texture cannot be edited any more.
    """
    scene, thing = context.scene, context.active_object
    mine, chosen = edited.watch_your_steps, read(edited)
    assert chosen is not None  # it is known
    mesh = read_mesh_texture(context, thing, mine.original)
    check_lasts(thing, mine.original, scene.render.engine)
    if chosen.surface != texture_regions.surface_of(mesh):
        raise SessionError(
            f'The UVs of "{thing.name}" or the size of its texture have changed since this edit: '
            "press Edit Texture instead."
        )
    mask = texture_regions.mask(mine.region, mine.region.made_at)
    settings = dataclasses.replace(chosen.settings, seed=next_seed(edited, chosen))
    chosen = msgspec.structs.replace(chosen, settings=settings)
    new = asked_job(scene, mine.instruction, thing, mesh, chosen, mask)
    sent = mine.original.watch_your_steps.sent
    texture_regions.copy(mine.region, sent)
    sent.threshold = mine.region.made_at
    return new
