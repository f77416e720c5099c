"""The job that makes an edit of a texture again, with another seed. It may wait for its turn: mesh
and texture are read when that has come.
"""

import dataclasses
from dataclasses import dataclass

import bpy
import msgspec

from ..data.blocks import in_scene, with_uid
from ..data.meshes import texture_bases, texture_regions
from ..data.meshes.edited_textures import check_lasts
from ..data.meshes.mesh_reading import MeshTexture, read_mesh_texture
from ..data.meshes.texture_asked import next_seed, read, why_unknown
from ..link.worker_thread import Link
from ..protocol.requests import Request
from . import waiting
from .job import Job, NewJob, SessionError
from .running import job_of, write_job
from .texture_jobs import asked_job
from .texture_subjects import subject_of
from .texture_views import why_it_waits

KIND = "texture_again"
NO_EDIT = "The edit of the texture that was to be made again is not there any more."
NO_MESH = "The mesh whose texture was to be edited is not in the scene any more."


def texture_again_job(
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    edited: bpy.types.Image,
    seed: int | None = None,
) -> NewJob:
    """Make an edit of an object's texture again: of the same texture, in the same region, from the
    same sides and with all other settings as they were.

    Args:
        scene: the object's.
        thing: a mesh object.
        edited: `texture_asked.why_unknown` says nothing of it.
        seed: None for the next one that it was not made with, and that none will be made with.

    Raises:
        SessionError: the mesh is another one by now.
        SceneError: the texture cannot be edited any more.
    """
    chosen, original = read(edited), edited.watch_your_steps.original
    assert chosen is not None  # it is known
    with texture_bases.shown_for_now(thing, original, scene.render.engine):
        _read_mesh(scene, thing, edited)
    if seed is None:
        to_come = {one.seed for one in _to_come(scene) if one.is_alike(edited)}
        seed = next_seed(edited, chosen, to_come)
    again = Again(thing.session_uid, edited.session_uid, seed)
    subject = subject_of(thing.name_full, original.name_full)
    instruction = edited.watch_your_steps.instruction
    return NewJob(KIND, instruction, subject, again, title=f"seed {seed}")


@dataclass
class Again:
    """The preparation: from the job's turn on, that of the edit. Blocks are known by session uids,
    as they may be renamed while it waits, and an undo may come between.
    """

    thing: int
    edited: int
    seed: int
    _edit: NewJob | None = None

    def step(self, scene: bpy.types.Scene, job: Job, link: Link) -> Request | None:
        """Read mesh and texture as soon as the artist lets it; then one step of the edit."""
        if self._edit is None and not self._begin(scene, job):
            return None
        assert self._edit is not None  # it has begun
        return self._edit.preparation.step(scene, job, link)

    def found(self) -> tuple[bpy.types.Object | None, bpy.types.Image | None]:
        """Object and edit; None for what was deleted."""
        thing: bpy.types.Object | None = with_uid(bpy.data.objects, self.thing)
        edited: bpy.types.Image | None = with_uid(bpy.data.images, self.edited)
        return thing, edited

    def is_alike(self, edited: bpy.types.Image) -> bool:
        """Whether it will be an edit of the same texture with the same instruction."""
        own = with_uid(bpy.data.images, self.edited)
        one, other = (image and image.watch_your_steps for image in (own, edited))
        return bool(one and (one.original, one.instruction) == (other.original, other.instruction))

    def _begin(self, scene: bpy.types.Scene, job: Job) -> bool:
        thing, edited = _checked(scene, *self.found())
        if why := why_it_waits(thing):
            job.stage = why
            return False
        mine, chosen = edited.watch_your_steps, read(edited)
        assert chosen is not None  # it is known
        settings = dataclasses.replace(chosen.settings, seed=self.seed)
        chosen = msgspec.structs.replace(chosen, settings=settings)
        mask = texture_regions.mask(mine.region, mine.region.made_at)
        original, engine = mine.original, scene.render.engine
        with texture_bases.shown_itself(thing, original, engine) as before:
            mesh = _read_mesh(scene, thing, edited)
            self._edit = asked_job(scene, mine.instruction, thing, mesh, chosen, mask)
        job.put_back = before.put_back
        job.subject, job.asked = self._edit.subject, self._edit.asked
        write_job(scene, job)
        sent = original.watch_your_steps.sent
        texture_regions.copy(mine.region, sent)
        sent.threshold = mine.region.made_at
        return True


def again_as_saved(
    scene: bpy.types.Scene,
    thing: bpy.types.Object | None,
    edited: bpy.types.Image | None,
    seed: int,
) -> NewJob:
    """The job that was saved with the file. Raises as `texture_again_job`, and SessionError where
    object or edit were deleted.
    """
    return texture_again_job(scene, *_checked(scene, thing, edited), seed)


def _checked(
    scene: bpy.types.Scene, thing: bpy.types.Object | None, edited: bpy.types.Image | None
) -> tuple[bpy.types.Object, bpy.types.Image]:
    if thing is None or thing.name not in scene.objects:
        raise SessionError(NO_MESH)
    if edited is None or why_unknown(edited):
        raise SessionError(NO_EDIT)
    return thing, edited


def _read_mesh(
    scene: bpy.types.Scene, thing: bpy.types.Object, edited: bpy.types.Image
) -> MeshTexture:
    """The mesh of an edit, which shows what that was made of."""
    chosen, original = read(edited), edited.watch_your_steps.original
    assert chosen is not None  # it is known
    with in_scene(scene, thing):
        mesh = read_mesh_texture(bpy.context, thing, original)
        check_lasts(thing, original, scene.render.engine)
    if chosen.surface != texture_regions.surface_of(mesh):
        raise SessionError(
            f'The UVs of "{thing.name}" or the size of its texture have changed since this edit: '
            "press Edit Texture instead."
        )
    return mesh


def _to_come(scene: bpy.types.Scene) -> list[Again]:
    running = job_of(scene)
    jobs: list[Job | NewJob] = [*waiting.waiting(scene), *([running] if running else [])]
    return [job.preparation for job in jobs if isinstance(job.preparation, Again)]
