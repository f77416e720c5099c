"""The views of a mesh that go with a job about its texture, and whose texture that is."""

from dataclasses import dataclass, field
from functools import partial

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data.blocks import in_scene
from ..data.meshes import live_textures
from ..data.meshes.made_textures import modelling_mode
from ..data.meshes.material_images import colour_nodes
from ..data.meshes.mesh_reading import MeshTexture, read_mesh_texture, with_full_name
from ..data.meshes.texture_pixels import load
from ..link.worker_thread import Link
from ..protocol.messages import Cancelled
from ..protocol.requests import SceneTextureRequest, TextureRelevanceRequest, TextureRequest
from ..render import render_job
from ..render.camera_render import Rendering
from ..render.object_views import intrinsics_of, rendering_from
from ..render.rendered_files import Stopped
from .job import WAITS, Job, SessionError, artist_is_busy
from .one_render import OneRender
from .texture_subjects import names_of

AboutTexture = TextureRequest | TextureRelevanceRequest | SceneTextureRequest


@dataclass
class Views:
    """The preparation: one view of the object a step."""

    read: MeshTexture
    poses: NDArray[np.float64]
    """(V, 4, 4), camera to world."""
    field_of_view: float
    """Of the square views, in radians."""
    size: int
    lit: bool
    make: (
        "partial[TextureRequest] | partial[TextureRelevanceRequest] | partial[SceneTextureRequest]"
    )
    """The request, of a mesh and its views."""
    as_captured: bool = False
    """As for `render_around`."""
    _taken: list[NDArray[np.uint8]] = field(default_factory=list)
    """(N, N, 3), sRGB, of the first poses."""
    _render: OneRender[NDArray[np.uint8]] | None = None
    """Of the next one."""

    def step(self, scene: bpy.types.Scene, job: Job, link: Link) -> AboutTexture | None:
        """Render the next view; the request, once all of them are there."""
        if len(self._taken) < len(self.poses):
            self._take_next(scene, job)
            return None
        if load(found(scene, job)[0]):
            return None
        self._check_unchanged(scene, job)
        return self.make(
            corners=self.read.corners,
            uvs=self.read.uvs,
            occluders=self.read.occluders,
            texture=self.read.texture,
            views=np.stack(self._taken),
            intrinsics=tuple(intrinsics_of(self.size, self.field_of_view).tolist()),
            camera_to_world=self.poses,
        )

    def _take_next(self, scene: bpy.types.Scene, job: Job) -> None:
        if self._render is None:
            if render_job.is_running():  # another scene's view
                return
            if artist_is_busy():
                job.stage = WAITS
                return
            number, count = len(self._taken), len(self.poses)
            job.stage = f"rendering view {number + 1} of {count}"
            job.fraction = number / count
            self._render = OneRender(self._rendering(scene, job, self.poses[number]))
        try:
            taken = self._render.result()
        except Stopped:
            job.outcome = Cancelled(job=job.id)
            return
        if taken is not None:
            job.preview = taken
            self._taken.append(taken)
            self._render = None

    def _rendering(
        self, scene: bpy.types.Scene, job: Job, pose: NDArray[np.float64]
    ) -> Rendering[NDArray[np.uint8]]:
        image, thing = found(scene, job)
        if thing is None:
            raise SessionError(f'"{names_of(job.subject)[0]}" is not there any more.')
        engine = scene.render.engine
        if live_textures.mixed(thing) or all(
            one.image != image
            for slot in thing.material_slots
            for one in colour_nodes(slot.material, engine)
        ):
            raise _has_changed(thing)
        with live_textures.without_preview(thing, engine):  # an undo brings it back
            return (
                yield from rendering_from(
                    scene,
                    thing,
                    image,
                    pose,
                    self.size,
                    self.field_of_view,
                    self.lit,
                    self.as_captured,
                )
            )

    def _check_unchanged(self, scene: bpy.types.Scene, job: Job) -> None:
        """Refuse views that show another mesh or texture than the one that goes with them: Blender
        can be used while they are rendered.
        """
        image, thing = found(scene, job)
        if thing is None:
            raise SessionError(f'"{names_of(job.subject)[0]}" is not there any more.')
        with in_scene(scene, thing):  # another one may be open by now
            now = read_mesh_texture(bpy.context, thing, image)
        for name in ("corners", "uvs", "occluders", "texture"):
            if not np.array_equal(getattr(now, name), getattr(self.read, name)):
                raise _has_changed(thing)


def why_it_waits(thing: bpy.types.Object) -> str:
    """Why a mesh cannot be read nor its views be rendered just now; "" where they can."""
    if mode := modelling_mode(thing):
        return f'waiting until you leave {mode} of "{thing.name}"'
    return WAITS if artist_is_busy() else ""


def _has_changed(thing: bpy.types.Object) -> SessionError:
    return SessionError(
        f'"{thing.name}" or its texture has changed while its views were rendered, which do not '
        "fit together now: start it again."
    )


def found(scene: bpy.types.Scene, job: Job) -> tuple[bpy.types.Image, bpy.types.Object | None]:
    """The texture that was sent and its object, also where they were renamed meanwhile."""
    settings = scene.watch_your_steps
    object_name, image_name = names_of(job.subject)
    mine = settings.job == job.id
    thing = settings.job_object if mine else None
    image = settings.job_image if mine else None
    image = image or with_full_name(bpy.data.images, image_name)
    if image is None:
        raise SessionError(f'The texture "{image_name}" is not in the file any more.')
    return image, thing or with_full_name(scene.objects, object_name)
