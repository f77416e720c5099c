"""The job of one texture: its edit in the UVs of a mesh that the client knows."""

import numpy as np

from backend.editing import Editor
from backend.jobs.words import OnProgress, notes_on, with_time_left
from backend.scenes.lens import Intrinsics
from backend.scenes.mesh_edit import MeshEditConfig, edit_mesh, edited_share, rerender_difference
from backend.scenes.textured_mesh import MeshView, TexturedMesh
from protocol.requests import TextureRequest, TextureResult


def perform_texture(
    editor: Editor, request: TextureRequest, on_progress: OnProgress
) -> TextureResult:
    """Do what a request asks for.

    Raises:
        ValueError: the mesh, its views or the texture cannot be worked on; the text says why.
        FloatingPointError: the networks overflowed.
        torch.OutOfMemoryError: the device's memory does not suffice.
    """
    mesh = TexturedMesh(
        request.corners.astype(np.float64),
        request.uvs.astype(np.float64),
        request.texture,
        request.occluders.astype(np.float64),
    )
    height, width = request.views.shape[1:3]
    camera = Intrinsics(*request.intrinsics, width, height)
    poses = request.camera_to_world.astype(np.float64)
    edit = edit_mesh(
        mesh,
        [MeshView(view, camera, pose) for view, pose in zip(request.views, poses, strict=True)],
        request.instruction,
        editor,
        MeshEditConfig(
            lit=request.lit,
            threshold=request.threshold,
            noise_level=request.noise_level,
            relevance_seeds=request.relevance_seeds,
            normalisation=request.normalisation,
            text_guidance=request.text_guidance,
            image_guidance=request.image_guidance,
            steps=request.steps,
            rounds=request.rounds,
            seed=request.seed,
        ),
        with_time_left(on_progress),
    )
    notes = notes_on(editor, request.instruction, edit.applies)
    if not edit.region.any():
        notes = (*notes, "Nothing was edited: no texel is that relevant. Lower the threshold.")
    apart = rerender_difference(edit)
    return TextureResult(
        texture=edit.texture,
        relevance=edit.relevance,
        region=edit.region,
        threshold=edit.threshold,
        applies=edit.applies,
        edited_share=edited_share(mesh, edit.region),
        rerender_difference=None if apart is None else apart[0],
        notes=notes,
    )
