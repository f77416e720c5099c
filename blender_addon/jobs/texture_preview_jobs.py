"""The job that previews a texture edit: where its instruction applies in the texture's own UVs."""

import dataclasses
import json
from functools import partial

import bpy

from ..data import pictures
from ..data.meshes import live_textures, texture_bases, texture_regions
from ..data.meshes.mesh_reading import things_of, with_full_name
from ..data.properties_settings import asked
from ..link.arrived import Arrived
from ..protocol.messages import CaptureState
from ..protocol.requests import TextureRelevanceRequest, TextureRelevanceResult
from ..protocol.settings import MapSettings
from ..render import grown_map
from .job import Job, Kind, NewJob, SessionError, check_instruction
from .texture_jobs import FIELD_OF_VIEW, attach, poses_of, read_active, views_job
from .texture_subjects import names_of
from .texture_views import Views, found


def texture_preview_job(context: bpy.types.Context, native_size: int) -> NewJob:
    """Find where the instruction applies on the active object, with the settings as they are now.

    Args:
        context: with the object and its scene.
        native_size: as for `texture_job`.

    Raises:
        SessionError: there is no instruction or no object, or the views are too large.
        SceneError: the object has no texture that can be edited.
    """
    settings = context.scene.watch_your_steps
    instruction = check_instruction(settings.instruction)
    thing, read = read_active(context)
    read = dataclasses.replace(read, image=_made_local(read.image))
    texture = settings.texture
    make = partial(
        TextureRelevanceRequest,
        lit=texture.lit,
        instruction=instruction,
        maps=asked(MapSettings, settings),
        things=things_of(read, texture.things),
    )
    poses = poses_of(read, texture)
    size = texture.size or native_size
    views = Views(read, poses, FIELD_OF_VIEW, size, texture.lit, make)
    made = {
        "maps": texture_regions.written(settings),
        "surface": texture_regions.surface_of(read),
        "kind": texture.things,
    }
    words = json.dumps(made)
    return views_job(context.scene, "texture_relevance", instruction, thing, views, words)


def _made_local(name: str) -> str:
    """The full name of a texture, which is of this file from now on: a preview, and what is painted
    on it, could not be saved with one that is linked.
    """
    image = with_full_name(bpy.data.images, name)
    assert image is not None  # it has just been read
    local = image if image.library is None else image.make_local()
    full_name: str = local.name_full
    return full_name


def _install(scene: bpy.types.Scene, job: Job, end: Arrived | CaptureState) -> None:
    assert isinstance(end, Arrived)
    result = end.result
    assert isinstance(result, TextureRelevanceResult)
    image, thing = found(scene, job)
    region, texture = image.watch_your_steps.preview, scene.watch_your_steps.texture
    old = [getattr(region, name) for name in texture_regions.MAPS]
    is_first = texture_regions.chosen_map(region) is None
    for name in texture_regions.MAPS:
        values, title = getattr(result, name), f"{image.name} relevance"
        if values is not None and name != "relevance":
            title += f" by {name}"
        new = None if values is None else pictures.new_like(image, title, values, end.files[name])
        setattr(region, name, new)
    for name, value in json.loads(job.asked).items():
        setattr(region, name, value)
    region.instruction, region.of_things = job.instruction, result.of_things
    region.seen_share = result.seen_share
    region.suggested_threshold = result.suggested_threshold
    if is_first:  # what was chosen since then stays
        region.snap = texture.snap
    if texture.use_threshold and not region.threshold_of:
        region.threshold = texture.threshold
    elif region.threshold_of != job.instruction:
        texture_regions.follow_suggestion(region)
    grown_map.refresh(region, scene, thing, anew=True)
    live_textures.rebuild(region)
    for one in old:
        if one is not None and one.users == 0:
            bpy.data.images.remove(one)
    if thing is None or not texture_bases.put_preview(thing, image, scene.render.engine):
        raise SessionError(
            f'No material of "{names_of(job.subject)[0]}" shows "{image.name}" any more: '
            "its relevance is kept with that image."
        )


TEXTURE_RELEVANCE = Kind("Preview on the mesh", True, _install, attach)
