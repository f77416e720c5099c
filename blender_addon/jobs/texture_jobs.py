"""The jobs that edit a mesh's texture in its own UVs, directly or by an edit of the captured scene:
views of it, rendered one by one, and then one request with the mesh, its texture and the views.
"""

import math
from dataclasses import dataclass
from functools import partial

import bpy
import msgspec
import numpy as np
from numpy.typing import NDArray

from ..data import pictures
from ..data.meshes import live_textures, texture_regions
from ..data.meshes.edited_textures import (
    check_lasts,
    install_edited,
    show,
    shows_relevance,
    to_paint,
)
from ..data.meshes.mesh_reading import MeshTexture, read_mesh_texture, things_of, with_full_name
from ..data.meshes.texture_asked import Asked, write
from ..data.properties_settings import asked
from ..link.arrived import Arrived
from ..protocol.messages import CaptureState
from ..protocol.requests import (
    SceneTextureRequest,
    SceneTextureResult,
    TextureRequest,
    TextureResult,
)
from ..protocol.settings import MapSettings, RegionSettings, TextureSettings
from ..protocol.values import MAX_FRAME_BYTES
from ..render.capture_views import Plan, places_of
from ..render.covering_views import covering_poses
from ..render.object_views import poses_towards
from .job import Job, Kind, NewJob, SessionError, check_instruction
from .texture_subjects import is_subject, names_of, subject_of
from .texture_views import Views, found

FIELD_OF_VIEW = math.radians(40)


def texture_job(context: bpy.types.Context, native_size: int) -> NewJob:
    """Edit the texture of the active object with the settings as they are now.

    Args:
        context: with the object and its scene.
        native_size: pixels a side that the model was trained at: the views' size unless another
            one is set.

    Raises:
        SessionError: there is no instruction or no object, or the views are too large.
        SceneError: the object has no texture that can be edited.
    """
    wanted = wanted_now(context.scene, native_size)
    thing, read = read_active(context)
    return wanted_job(context.scene, thing, read, wanted)


@dataclass(frozen=True)
class Wanted:
    """What an edit of a texture is to be made with, whose ever that is."""

    instruction: str
    chosen: Asked
    """Whether there is a preview, and of which surface, is not known yet."""
    things: str
    """One of `mesh_reading.THINGS`."""


def wanted_now(scene: bpy.types.Scene, native_size: int) -> Wanted:
    """What a scene's settings ask for; arguments and errors as in `texture_job`."""
    settings, texture = scene.watch_your_steps, scene.watch_your_steps.texture
    chosen = Asked(
        settings=asked(TextureSettings, texture, settings),
        maps=asked(MapSettings, settings),
        region=asked(RegionSettings, texture),
        threshold=texture.threshold if texture.use_threshold else None,
        lit=texture.lit,
        views=texture.views,
        hidden_parts=texture.hidden_parts,
        size=texture.size or native_size,
        previewed=False,
        surface="",
    )
    return Wanted(check_instruction(settings.instruction), chosen, texture.things)


def wanted_job(
    scene: bpy.types.Scene, thing: bpy.types.Object, read: MeshTexture, wanted: Wanted
) -> NewJob:
    """The edit of a texture in the region of its preview, where there is one of what is wanted.

    Args:
        scene: the object's.
        thing: whose texture.
        read: the mesh and its texture.
        wanted: what is asked for.

    Raises:
        SessionError: the views are too large to be sent, or the preview does not fit any more.
        SceneError: the preview is not in the file any more.
    """
    image = with_full_name(bpy.data.images, read.image)
    assert image is not None  # it has just been read
    mask, surface = _previewed(image, wanted, read), texture_regions.surface_of(read)
    chosen = msgspec.structs.replace(wanted.chosen, previewed=mask is not None, surface=surface)
    things = things_of(read, wanted.things) if chosen.region.snap == "things" else None
    new = asked_job(scene, wanted.instruction, thing, read, chosen, mask, things)
    if mask is not None:
        texture_regions.copy(image.watch_your_steps.preview, image.watch_your_steps.sent)
    return new


def asked_job(
    scene: bpy.types.Scene,
    instruction: str,
    thing: bpy.types.Object,
    read: MeshTexture,
    chosen: Asked,
    mask: NDArray[np.bool_] | None,
    things: NDArray[np.int32] | None = None,
) -> NewJob:
    """The edit of a texture with settings.

    Args:
        scene: the object's.
        instruction: what is asked for.
        thing: whose texture.
        read: the mesh and its texture.
        chosen: the settings.
        mask: bool (T, S), the region; None where the backend is to find it.
        things: as in TextureRequest.

    Raises:
        SessionError: the views are too large to be sent.
    """
    image = with_full_name(bpy.data.images, read.image)
    assert image is not None  # it has just been read
    _check_alone(scene, image)
    poses = poses_of(read, chosen, mask if chosen.previewed else None)
    make = partial(
        TextureRequest,
        lit=chosen.lit,
        instruction=instruction,
        threshold=chosen.threshold,
        maps=chosen.maps,
        settings=chosen.settings,
        region=chosen.region,
        things=things,
        mask=mask,
    )
    views = Views(read, poses, FIELD_OF_VIEW, chosen.size, chosen.lit, make)
    new = views_job(scene, "texture", instruction, thing, views, chosen.words(len(poses)))
    texture_regions.clear(image.watch_your_steps.sent)
    image.watch_your_steps.asked_now = write(chosen)
    return new


def poses_of(
    read: MeshTexture,
    texture: bpy.types.PropertyGroup | Asked,
    region: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Where a mesh is seen from by the settings of textures, (V, 4, 4), camera to world.

    Args:
        read: the mesh.
        texture: the settings.
        region: bool (T, S), the texels that have to be seen; None for all.
    """
    more = max(2, texture.views // 2) if texture.hidden_parts else 0
    return covering_poses(read, texture.views, more, FIELD_OF_VIEW, region)


def _previewed(
    image: bpy.types.Image, wanted: Wanted, read: MeshTexture
) -> NDArray[np.bool_] | None:
    """The region that was previewed, bool (T, S); None where there is no preview of what is
    wanted.

    Raises:
        SessionError: it does not fit any more, or is empty.
        SceneError: it is not in the file any more.
    """
    region = image.watch_your_steps.preview
    other = texture_regions.changed(region, wanted.instruction, wanted.chosen.maps, wanted.things)
    if texture_regions.chosen_map(region) is None or other:
        if region.paint is None:
            return None
        raise SessionError(
            "What was painted corrects a preview, and there is none of what is asked for now: "
            "press Preview on Mesh first, or clear the correction."
        )
    if region.surface != texture_regions.surface_of(read):
        raise SessionError(
            f'The UVs or the size of "{image.name}" have changed since its preview: press Preview '
            "on Mesh again."
        )
    if why := texture_regions.why_not_grown(region):
        raise SessionError(why)
    mask = texture_regions.mask(region)
    if not mask.any():
        way = "raise the threshold" if region.invert else "lower the threshold"
        raise SessionError(
            f"The region is empty at this threshold, so nothing would change: {way}."
        )
    return mask


def _check_alone(scene: bpy.types.Scene, image: bpy.types.Image) -> None:
    """Refuse a texture that is edited in another scene: an image knows one region that was sent."""
    for other in bpy.data.scenes:
        settings = other.watch_your_steps
        is_edit = settings.job_kind in ("texture", "texture_again", "texture_in_turn")
        if other != scene and settings.job_image == image and is_edit:
            raise SessionError(
                f'"{image.name}" is being edited in the scene "{other.name}": wait for that, or '
                "cancel it there."
            )


def scene_texture_job(context: bpy.types.Context, native_size: int) -> NewJob:
    """Bring the scene's chosen 3D edit into the texture of the active object, seen from where the
    capture's cameras stand.

    Args:
        context: with the object and its scene.
        native_size: as for `texture_job`.

    Raises:
        SessionError: there is no edit or no object, no camera sees it, or the views are too large.
        SceneError: the object has no texture that can be edited, or a camera is gone.
    """
    scene = context.scene
    texture, in_3d = scene.watch_your_steps.texture, scene.watch_your_steps.in_3d
    if not in_3d.edit:
        raise SessionError("There is no 3D edit yet: press Edit in 3D first.")
    thing, read = read_active(context)
    image = with_full_name(bpy.data.images, read.image)
    assert image is not None  # it has just been read
    _check_alone(scene, image)
    places = places_of(scene, Plan.from_json(in_3d.plan), texture.views)
    poses, field_of_view = poses_towards(places, read.corners.reshape(-1, 3))
    if not len(poses):
        raise SessionError(f'None of the capture\'s cameras sees "{thing.name}" as a whole.')
    # the capture shows the scene's light, by the scene's view transform: so must the views
    make = partial(
        SceneTextureRequest,
        lit=True,
        capture=in_3d.capture,
        edit=in_3d.edit,
        region=asked(RegionSettings, texture),
        things=things_of(read, texture.things) if texture.snap == "things" else None,
    )
    size = texture.size or native_size
    views = Views(read, poses, field_of_view, size, True, make, as_captured=True)
    words = f"of the 3D edit {in_3d.edit}"
    new = views_job(scene, "scene_texture", in_3d.edit_of, thing, views, words)
    texture_regions.clear(image.watch_your_steps.sent)  # of an edit that was cancelled
    return new


def read_active(context: bpy.types.Context) -> tuple[bpy.types.Object, MeshTexture]:
    """The active object, and its texture as the backend wants it."""
    thing = context.active_object
    if thing is None:
        raise SessionError(
            "There is no active object: click on the mesh whose texture you want to edit."
        )
    return thing, read_thing(context, thing, context.scene.watch_your_steps.texture.image)


def read_thing(
    context: bpy.types.Context, thing: bpy.types.Object, chosen: bpy.types.Image | None
) -> MeshTexture:
    """A texture of an object in the open scene, as the backend wants it: the version that is shown
    of the chosen one, where it has several.
    """
    scene = context.scene
    engine, image = scene.render.engine, None
    if thing.type == "MESH":
        if live_textures.mixed(thing):
            raise SessionError(
                f'The threshold of the edit that "{thing.name}" shows was moved: press Apply, and '
                "edit what it makes."
            )
        if shows_relevance(thing, engine):
            raise SessionError(
                f'"{thing.name}" shows its relevance: press Original or Edited, and edit that.'
            )
        _, image = to_paint(thing, chosen, engine)
    read = read_mesh_texture(context, thing, image)
    check_lasts(thing, with_full_name(bpy.data.images, read.image), engine)
    return read


def views_job(
    scene: bpy.types.Scene,
    kind: str,
    instruction: str,
    thing: bpy.types.Object,
    views: Views,
    words: str,
) -> NewJob:
    """A job about a texture, and the note in the scene of whose it is.

    Args:
        scene: the object's.
        kind: a key of `kinds.KINDS`.
        instruction: what is asked for.
        thing: whose texture.
        views: the preparation.
        words: what it is asked with.

    Raises:
        SessionError: the views are too large to be sent.
    """
    settings, image = scene.watch_your_steps, views.read.image
    if len(views.poses) * views.size**2 * 3 > MAX_FRAME_BYTES:
        raise SessionError(
            f"{len(views.poses)} views of {views.size} pixels a side have more than "
            f"{MAX_FRAME_BYTES >> 20} MiB together, and cannot be sent: lower their number or "
            "size."
        )
    settings.job_object = thing
    settings.job_image = with_full_name(bpy.data.images, image)
    return NewJob(kind, instruction, subject_of(thing.name_full, image), views, asked=words)


def _install(scene: bpy.types.Scene, job: Job, end: Arrived | CaptureState) -> None:
    assert isinstance(end, Arrived)
    result = end.result
    assert isinstance(result, TextureResult)
    original, thing = found(scene, job)
    if not result.region.any():
        if not result.notes:
            raise SessionError("Nothing was edited: no texel reaches the threshold.")
        forget_sent(scene, job)
        if job.put_back is not None:
            job.put_back()
        return  # the notes say why
    model = [] if job.server is None else [job.server.model]
    made_with = [*model, *([job.asked] if job.asked else [])]
    sent, threshold, relevance = original.watch_your_steps.sent, result.threshold, result.relevance
    took = "" if result.took == "nothing" else result.of_things or result.took
    if relevance is None and (chosen := texture_regions.chosen_map(sent)) is not None:
        relevance, threshold = pictures.read_gray(chosen), sent.threshold
        took = texture_regions.took(sent)
    if threshold is not None:
        made_with.append(f"threshold {threshold:.3f}")
    if took:
        made_with.append(f"snapped to {took}")
    if sent.grow > 0:
        made_with.append(f"grown by {sent.grow} px")
    if sent.grow < 0:
        made_with.append(f"shrunk by {-sent.grow} px")
    if sent.invert:
        made_with.append("inverted")
    if sent.paint is not None:
        made_with.append("corrected by hand")
    edited = install_edited(
        original,
        result.texture,
        relevance,
        job.instruction,
        ", ".join(made_with),
        thing,
        end.files,
    )
    edited.watch_your_steps.notes = " ".join(result.notes)
    if not isinstance(result, SceneTextureResult):
        edited.watch_your_steps.asked = original.watch_your_steps.asked_now
    texture_regions.keep_of_edit(edited, threshold, sent.paint, sent.invert, sent.grow)
    sent.paint = None  # it is the edit's now
    texture_regions.clear(sent)
    if result.threshold is not None and not isinstance(result, SceneTextureResult):
        scene.watch_your_steps.texture.threshold = result.threshold  # the other is on its own scale
    if thing is None or not show(thing, edited, "EDITED", scene.render.engine):
        raise SessionError(
            f'No material of "{names_of(job.subject)[0]}" shows "{original.name}" any '
            f'more: the edited texture is the image "{edited.name}".'
        )


def attach(scene: bpy.types.Scene, job: Job) -> None:
    """Check that a saved job says whose texture it is.

    Raises:
        SessionError: it does not.
    """
    if not is_subject(job.subject):
        raise SessionError("The file has lost what its texture job belongs to: start it again.")


def forget_sent(scene: bpy.types.Scene, job: Job) -> None:
    """Forget the region that a texture was sent with."""
    try:
        image, _ = found(scene, job)
    except SessionError:  # it went with its texture
        return
    texture_regions.clear(image.watch_your_steps.sent)


TEXTURE = Kind("Texture edit", True, _install, attach, forget=forget_sent)
SCENE_TEXTURE = Kind("Texture of the 3D edit", True, _install, attach, forget=forget_sent)
