"""The jobs of one texture: where an instruction applies in the UVs of a mesh that the client knows,
and its edit there.
"""

from dataclasses import asdict
from typing import TypeVar

import numpy as np
from msgspec import structs

from backend.captures.lens import Intrinsics
from backend.editing import ImageEditor
from backend.editing.notes import notes_on
from backend.meshes.painting import PaintConfig
from backend.meshes.texture_edit import (
    MeshEdit,
    MeshEditConfig,
    edit_mesh,
    edited_share,
    outcome_note,
    rerender_difference,
)
from backend.meshes.texture_relevance import find_relevance
from backend.meshes.textured_mesh import MeshView, TexturedMesh
from backend.output.progress import OnPreview
from backend.worker.words import with_time_left
from protocol.requests import (
    MeshViews,
    TextureJobRequest,
    TextureRelevanceRequest,
    TextureRelevanceResult,
    TextureResult,
)

Answer = TypeVar("Answer", bound=TextureResult)


def perform_texture(
    editor: ImageEditor, request: TextureJobRequest, on_progress: OnPreview
) -> TextureResult | TextureRelevanceResult:
    """Do what a request asks for.

    Raises:
        BadInput: the mesh, its views or the texture cannot be worked on; the text says why.
        FloatingPointError: the networks overflowed.
        torch.OutOfMemoryError: the device's memory does not suffice.
    """
    if isinstance(request, TextureRelevanceRequest):
        return _relevance(editor, request, on_progress)
    mesh, views = mesh_and_views(request)
    edit = edit_mesh(
        mesh,
        views,
        request.instruction,
        editor,
        MeshEditConfig(
            lit=request.lit,
            threshold=request.threshold,
            **asdict(request.maps),
            **asdict(request.region),
            **asdict(request.settings),
        ),
        with_time_left(on_progress),
        request.things,
        request.mask,
    )
    notes = notes_on(editor.card, request.instruction, edit.applies)
    result = texture_result(TextureResult, mesh, edit, notes)
    if request.mask is None:
        return result
    return structs.replace(result, relevance=None, threshold=None)


def _relevance(
    editor: ImageEditor, request: TextureRelevanceRequest, on_progress: OnPreview
) -> TextureRelevanceResult:
    mesh, views = mesh_and_views(request)
    found = find_relevance(
        mesh,
        views,
        request.instruction,
        editor,
        PaintConfig(lit=request.lit),
        request.maps,
        with_time_left(on_progress),
        request.things,
    )
    return TextureRelevanceResult(
        relevance=found.relevance,
        edges=found.edges,
        things=found.things,
        of_things=found.of_things,
        suggested_threshold=found.suggested_threshold,
        applies=found.applies,
        seen_share=found.seen_share,
        notes=notes_on(editor.card, request.instruction, found.applies),
    )


def mesh_and_views(request: MeshViews) -> tuple[TexturedMesh, list[MeshView]]:
    """What a request about a texture brings.

    Raises:
        BadInput: the mesh, a camera or the texture cannot be worked on; the text says why.
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
    views = [MeshView(view, camera, pose) for view, pose in zip(request.views, poses, strict=True)]
    return mesh, views


def texture_result(
    kind: type[Answer], mesh: TexturedMesh, edit: MeshEdit, notes: tuple[str, ...]
) -> Answer:
    """What is sent back of an edited texture; where nothing has changed, its first note says so."""
    unchanged = outcome_note(mesh, edit)
    if unchanged is not None:
        notes = (unchanged, *notes)
    notes = (*notes, edit.why) if edit.why else notes
    apart = rerender_difference(edit)
    return kind(
        texture=edit.texture,
        relevance=edit.relevance,
        region=edit.region,
        threshold=edit.threshold,
        applies=edit.applies,
        edited_share=edited_share(mesh, edit.region),
        rerender_difference=None if apart is None else apart[0],
        took=edit.took,
        of_things=edit.things,
        notes=notes,
    )
