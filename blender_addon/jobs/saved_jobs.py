"""How a job that has not ended is saved with its file, and becomes a new job after a restart."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import bpy
import msgspec

from ..data import (
    edit_masks,
    edits,
    painting,
    picture_source,
    pictures,
    remembered_edits,
    taken_pictures,
)
from ..data.blocks import with_uid
from ..data.frozen_region import FoundMap, FrozenRegion
from ..data.migration import new_uid
from ..link.encode import encode_exr
from ..protocol.settings import PictureMapSettings
from . import again_jobs, frame_jobs, full_size_jobs, texture_again_jobs, texture_each_jobs
from .frame_corrections import FilmPainting
from .job import Job, NewJob, SessionError
from .picture_jobs import Editing, edit_job

NO_PICTURE = "The picture that it was to be made of is not in the file any more."
NO_MASK = "Its mask is not in the file any more."


@dataclass
class Written:
    """What jobs that are saved together share: variants have one picture and one region."""

    pictures: dict[tuple[str, str], bpy.types.Image] = field(default_factory=dict)
    """By the pictures' identities, and the edits that they are of, if any."""
    regions: dict[int, tuple[str, bpy.types.Image | None, bpy.types.Image | None]] = field(
        default_factory=dict
    )
    """What each is called, its mask and its map, by the ids of the regions."""
    paintings: dict[str, bpy.types.Image] = field(default_factory=dict)
    """Of films, by what tells them from all else."""


@dataclass
class Read:
    """The same when they are read."""

    regions: dict[str, FrozenRegion] = field(default_factory=dict)
    paintings: dict[str, FilmPainting] = field(default_factory=dict)


@dataclass(frozen=True)
class Way:
    """Of one kind of jobs."""

    write: Callable[[bpy.types.Scene, Job | NewJob, bpy.types.PropertyGroup, Written], None]
    """Write what is not in a WaitingEdit by its name."""
    read: Callable[[bpy.types.Scene, bpy.types.PropertyGroup, Read], NewJob]
    """Raises SessionError or SceneError where what it takes is not in the file any more."""


# ---------------------------------------------------------------- an edit of a picture


class _Map(msgspec.Struct):
    """What a map was found for."""

    instruction: str
    maps: PictureMapSettings
    suggested_threshold: float
    prompt_check: str
    found_in: str


class _Edit(msgspec.Struct):
    """What an edit has to know beside its picture and its settings."""

    threshold: float | None
    region: str
    """The same for edits that share theirs."""
    region_threshold: float | None
    map: _Map | None


def _write_edit(
    scene: bpy.types.Scene, job: Job | NewJob, entry: bpy.types.PropertyGroup, shared: Written
) -> None:
    editing, picture = job.preparation, job.picture
    assert isinstance(editing, Editing)
    assert picture is not None
    source = picture_source.named(picture.source)
    if source is not None and picture.source.uid:  # another one in the next Blender
        known = dataclasses.replace(picture.source, name=source.name_full)
        picture = dataclasses.replace(picture, source=known)
    key = (picture.identity, picture.edit)
    if key not in shared.pictures:
        shared.pictures[key] = taken_pictures.new_render(scene, picture)
    entry.picture = shared.pictures[key]
    where = editing.where
    if id(where) not in shared.regions:
        shared.regions[id(where)] = (new_uid(), _mask(scene, where), _map(scene, where))
    uid, entry.mask, entry.relevance = shared.regions[id(where)]
    of = None
    if where.map is not None:
        of = _Map(
            where.map.instruction,
            where.map.maps,
            where.map.suggested_threshold,
            where.map.prompt_check,
            where.map.found_in,
        )
    entry.more = msgspec.json.encode(_Edit(editing.threshold, uid, where.threshold, of)).decode()


def _mask(scene: bpy.types.Scene, where: FrozenRegion) -> bpy.types.Image | None:
    mask = where.mask
    return None if mask is None else edit_masks.new_image(f"{scene.name} mask", mask)


def _map(scene: bpy.types.Scene, where: FrozenRegion) -> bpy.types.Image | None:
    if where.map is None:
        return None
    values = where.map.values
    return pictures.new_packed_image(f"{scene.name} relevance", encode_exr(values), values)


def _read_edit(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, shared: Read) -> NewJob:
    more = msgspec.json.decode(entry.more, type=_Edit)
    picture = taken_pictures.picture_of(entry.picture, entry.subject) if entry.picture else None
    if picture is None:
        raise SessionError(NO_PICTURE)
    if more.region not in shared.regions:
        shared.regions[more.region] = _region(entry, more)
    where = shared.regions[more.region]
    of = (entry.asked, more.threshold, where, entry.title, entry.group)
    return edit_job(entry.instruction, picture, *of)


def _region(entry: bpy.types.PropertyGroup, more: _Edit) -> FrozenRegion:
    if more.map is None:
        return FrozenRegion()
    if entry.mask is None or entry.relevance is None:
        raise SessionError(NO_MASK)
    of = more.map
    found = FoundMap(
        pictures.read_gray(entry.relevance),
        of.instruction,
        of.maps,
        of.suggested_threshold,
        of.prompt_check,
        of.found_in,
    )
    mask = pictures.read_gray(entry.mask) > 0.5
    return FrozenRegion(mask, more.region_threshold, found)


# ---------------------------------------------------------------- edits that are made again


def _write_again(
    scene: bpy.types.Scene, job: Job | NewJob, entry: bpy.types.PropertyGroup, _: Written
) -> None:
    again = job.preparation
    assert isinstance(again, again_jobs.MakingAgain)
    if edits.named(scene.watch_your_steps, job.subject) is None:  # undo has taken it away
        remembered_edits.write(again.edit, entry.edit)


def _of(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup) -> bpy.types.PropertyGroup:
    """The edit that is to be made again."""
    edit = again_jobs.edit_of(scene, entry)
    if lost := again_jobs.why_not(edit):
        raise SessionError(f"{lost}.")
    return edit


def _read_again(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, _: Read) -> NewJob:
    chosen = msgspec.json.decode(entry.asked, type=edits.Asked)
    return again_jobs.job_with(_of(scene, entry), chosen)


def _read_full_size(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, _: Read) -> NewJob:
    edit = _of(scene, entry)
    if edit.full_render is None:
        raise SessionError(full_size_jobs.NO_RENDER)
    sizes = pictures.size_of(edit.render), pictures.size_of(edit.full_render)
    return full_size_jobs.full_size_job(scene, edit, *sizes)


# ---------------------------------------------------------------- frames


def _write_frame(
    scene: bpy.types.Scene, job: Job | NewJob, entry: bpy.types.PropertyGroup, shared: Written
) -> None:
    frame = job.preparation
    assert isinstance(frame, frame_jobs.FilmFrame)
    entry.more = frame_jobs.written(frame)
    if frame.painting is not None:
        key = frame_jobs.painting_of(entry.more)
        if key not in shared.paintings:
            shared.paintings[key] = painting.new_image(
                f"{scene.name} painting", frame.painting.painted
            )
        entry.mask = shared.paintings[key]


def _read_frame(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, shared: Read) -> NewJob:
    key, found = frame_jobs.painting_of(entry.more), None
    if key:
        if key not in shared.paintings:
            painted = painting.read(entry.mask) if entry.mask is not None else None
            if painted is None:
                raise SessionError(NO_MASK)
            shared.paintings[key] = FilmPainting(painted)
        found = shared.paintings[key]
    return frame_jobs.job_as_written(entry.more, entry.subject, entry.title, entry.group, found)


# ---------------------------------------------------------------- edits of textures


def _write_texture(
    scene: bpy.types.Scene, job: Job | NewJob, entry: bpy.types.PropertyGroup, _: Written
) -> None:
    again = job.preparation
    assert isinstance(again, texture_again_jobs.Again)
    entry.thing, entry.texture = again.found()
    entry.more = msgspec.json.encode(again.seed).decode()


def _read_texture(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, _: Read) -> NewJob:
    seed = msgspec.json.decode(entry.more, type=int)
    return texture_again_jobs.again_as_saved(scene, entry.thing, entry.texture, seed)


def _write_turn(
    scene: bpy.types.Scene, job: Job | NewJob, entry: bpy.types.PropertyGroup, _: Written
) -> None:
    turn = job.preparation
    assert isinstance(turn, texture_each_jobs.InTurn)
    entry.thing = with_uid(bpy.data.objects, turn.thing)
    entry.texture = with_uid(bpy.data.images, turn.texture)
    entry.more = texture_each_jobs.written(turn)


def _read_turn(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, _: Read) -> NewJob:
    return texture_each_jobs.job_as_written(scene, entry.thing, entry.texture, entry.more)


WAYS: dict[str, Way] = {
    "edit": Way(_write_edit, _read_edit),
    again_jobs.KIND: Way(_write_again, _read_again),
    again_jobs.FULL_SIZE: Way(_write_again, _read_full_size),
    frame_jobs.KIND: Way(_write_frame, _read_frame),
    texture_again_jobs.KIND: Way(_write_texture, _read_texture),
    texture_each_jobs.KIND: Way(_write_turn, _read_turn),
}
"""By the kinds of jobs that may wait; the names are saved in files."""
