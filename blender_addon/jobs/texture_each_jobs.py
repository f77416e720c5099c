"""The jobs that edit the textures of several meshes, one after the other, with one instruction and
the settings of the moment in which they were asked for. Each mesh is read when its turn has come.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import bpy
import msgspec

from ..data.blocks import in_scene, with_uid
from ..data.meshes import texture_bases
from ..data.meshes.edited_textures import original_of, to_paint
from ..link.worker_thread import Link
from ..protocol.requests import Request
from .job import Job, NewJob, SessionError
from .running import write_job
from .texture_jobs import TEXTURE, Wanted, read_thing, wanted_job, wanted_now
from .texture_subjects import names_of, subject_of
from .texture_views import why_it_waits

KIND = "texture_in_turn"
NO_MESH = "The mesh whose texture was to be edited is not in the scene any more."
NO_TEXTURE = "Its texture is not in the file any more."


def each_job(
    scene: bpy.types.Scene, things: Iterable[bpy.types.Object], native_size: int
) -> list[NewJob]:
    """Edit the textures of some objects of a scene, with its settings as they are now. What is no
    mesh with a texture is left out, and so is a mesh with the texture of one before it.

    Args:
        scene: the objects'.
        things: in their order.
        native_size: as for `texture_job`.

    Raises:
        SessionError: there is no instruction, or no texture.
    """
    wanted, texture = wanted_now(scene, native_size), scene.watch_your_steps.texture
    jobs: dict[bpy.types.Image, NewJob] = {}
    for thing in things:
        image = _texture(scene, thing, texture.image)
        if image is not None and original_of(image) not in jobs:
            jobs[original_of(image)] = _job(thing, image, wanted, texture.base)
    if not jobs:
        raise SessionError(
            "None of the selected objects has an image texture: press Make Texture, which bakes "
            "their colors into one each."
        )
    return list(jobs.values())


def _texture(
    scene: bpy.types.Scene, thing: bpy.types.Object, chosen: bpy.types.Image | None
) -> bpy.types.Image | None:
    return to_paint(thing, chosen, scene.render.engine)[1] if thing.type == "MESH" else None


def _job(thing: bpy.types.Object, image: bpy.types.Image, wanted: Wanted, base: str) -> NewJob:
    return NewJob(
        KIND,
        wanted.instruction,
        subject_of(thing.name_full, image.name_full),
        InTurn(thing.session_uid, original_of(image).session_uid, wanted, base),
        title=thing.name,
    )


@dataclass(frozen=True)
class _Saved:
    """What is saved of one that waits."""

    wanted: Wanted
    base: str


def written(turn: "InTurn") -> str:
    """As JSON."""
    return msgspec.json.encode(_Saved(turn.wanted, turn.base)).decode()


def job_as_written(
    scene: bpy.types.Scene,
    thing: bpy.types.Object | None,
    texture: bpy.types.Image | None,
    json: str,
) -> NewJob:
    """The job that was saved with the file.

    Raises:
        SessionError: the object or its texture is not there any more.
        MsgspecError: another version of the add-on has saved it.
    """
    saved = msgspec.json.decode(json, type=_Saved)
    if thing is None or thing.name not in scene.objects:
        raise SessionError(NO_MESH)
    image = _texture(scene, thing, texture)
    if texture is None or image is None:
        raise SessionError(NO_TEXTURE)
    return _job(thing, image, saved.wanted, saved.base)


@dataclass
class InTurn:
    """The preparation: from the job's turn on, that of the edit. Blocks are known by session uids,
    as they may be renamed while it waits, and an undo may come between.
    """

    thing: int
    texture: int
    """The original."""
    wanted: Wanted
    base: str
    """ORIGINAL or EDIT."""
    _edit: NewJob | None = None

    def step(self, scene: bpy.types.Scene, job: Job, link: Link) -> Request | None:
        """Read the mesh as soon as the artist lets it; then one step of the edit."""
        thing = with_uid(bpy.data.objects, self.thing)
        if thing is None or thing.name not in scene.objects:
            raise SessionError("the mesh is not in the scene any more.")
        if self._edit is None:
            if why := why_it_waits(thing):
                job.stage = why
                return None
            self._edit = self._begun(scene, thing, job)
        return self._edit.preparation.step(scene, job, link)

    def _begun(self, scene: bpy.types.Scene, thing: bpy.types.Object, job: Job) -> NewJob:
        chosen, engine = with_uid(bpy.data.images, self.texture), scene.render.engine
        if chosen is None:
            raise SessionError(NO_TEXTURE)
        with (
            texture_bases.base_shown_of(thing, chosen, self.base, engine) as before,
            in_scene(scene, thing),
        ):
            read = read_thing(bpy.context, thing, chosen)
            edit = wanted_job(scene, thing, read, self.wanted)
        job.put_back = before.put_back
        job.subject, job.asked = edit.subject, edit.asked
        write_job(scene, job)
        return edit


def _title_of(job: Job) -> str:
    return f'Texture edit of "{names_of(job.subject)[0]}"'


TEXTURE_IN_TURN = replace(TEXTURE, title_of=_title_of)
