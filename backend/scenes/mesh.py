"""A textured mesh of a scene, unedited or with an edit."""

from backend.meshes.baking import EditToBake, TexturedScene, texture_mesh
from backend.meshes.extraction import RESOLUTION, extract_mesh
from backend.output.progress import OnProgress
from backend.scenes.edit import SceneEdit
from backend.scenes.scene_fields import SceneFields

EXTRACTION = 0.4
"""Share of the time that the mesh takes, without its textures."""
LEFT_OUT = 0.02
"""Share of what views see that is worth a word where the mesh lacks it."""


def too_plain(share: float) -> str:
    """That a mesh lacks a share of what its views see, as `TexturedScene.left_out` gives it."""
    return (
        f"The mesh lacks {share:.0%} of what the views see: skies, bare grounds or walls up to the "
        "pictures' edges, too plain to tell where they are."
    )


def mesh_of_scene(
    scene: SceneFields,
    edit: SceneEdit | None = None,
    faces: int | None = None,
    texture_size: int = 1024,
    resolution: int = RESOLUTION,
    on_progress: OnProgress | None = None,
    plain: bool = False,
) -> TexturedScene:
    """Extract the surface and bake its textures.

    Args:
        scene: with a trained field.
        edit: whose surface it is where it is given, as an edit may change shapes too; its texture
            comes beside that of the field before it.
        faces: how many at most, as far as its pieces can be simplified; None to leave all.
        texture_size: pixels of a side of the textures.
        resolution: grid cells along the longest side of what the views see.
        on_progress: told what is being done; what it raises ends the work.
        plain: whether to mesh what opaque views are too plain to tell of, too.

    Raises:
        MeshError: no surface is seen, or a setting is out of range.
        CheckpointError: a field is missing, unfinished or damaged.
    """
    report = on_progress or (lambda words, share: None)
    before = scene.field if edit is None else edit.original_field
    baked = None if edit is None else EditToBake(edit.field, edit.relevance, edit.threshold)
    mesh = extract_mesh(
        before if edit is None else edit.field,
        scene.capture,
        resolution,
        faces,
        lambda words, share: report(words, EXTRACTION * share),
        plain,
        None if edit is None else before,
    )
    return texture_mesh(
        mesh,
        before,
        scene.capture,
        texture_size,
        baked,
        lambda words, share: report(words, EXTRACTION + (1 - EXTRACTION) * share),
    )
