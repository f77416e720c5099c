"""Where on a mesh an instruction applies: the relevance maps of all views, normalised together and
gathered per texel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.editing import ImageEditor
from backend.editing.prompt_check import pooled_evidence
from backend.editing.relevance import normalise_together
from backend.editing.threshold import suggest_threshold
from backend.errors import check_instruction
from backend.meshes.painting import PaintConfig, PreparedView, prepare_views, spread_to_margin
from backend.meshes.texture_region import TextureRegion, texture_region
from backend.meshes.textured_mesh import MeshView, TexturedMesh, margin_source
from backend.output.progress import OnPreview
from protocol.settings import MapSettings
from protocol.values import Snap

Floats = NDArray[np.float32]
OnView = Callable[[int, int], None]
"""Told how many draws are done, and which view is next."""


@dataclass(frozen=True, eq=False)
class ViewMaps:
    """What a model finds in the views of a mesh.

    Attributes:
        at_pixels: float32 (H, W), 0..1, for each view, on one scale.
        suggested_threshold: 0..1, where all of them together fall into two parts.
        applies: what the prompt check says of all views together, or None with one seed.
    """

    at_pixels: tuple[Floats, ...]
    suggested_threshold: float
    applies: bool | None


@dataclass(frozen=True, eq=False)
class TextureRelevance:
    """The relevance of a mesh's texels, once for each thing that a region can keep to.

    Attributes:
        relevance, edges: float32 (T, S), 0..1, 0 where it is not known, with the margin around the
            UV islands.
        things: the same, or None where whole things do not explain the maps.
        of_things: which kind of things: see `TextureRegion.kind`.
        suggested_threshold, applies: as in ViewMaps.
        seen_share: 0..1, of the texels that lie on the mesh, how many some view shows.
    """

    relevance: Floats
    edges: Floats
    things: Floats | None
    of_things: str
    suggested_threshold: float
    applies: bool | None
    seen_share: float


def map_views(
    views: Sequence[PreparedView],
    instruction: str,
    editor: ImageEditor,
    settings: MapSettings,
    on_view: OnView,
) -> ViewMaps:
    """The relevance of each view's pixels."""
    on_view(0, 0)

    def on_draw(draw: int, draws: int) -> None:
        on_view(draw + 1, draw * len(views) // draws)

    found = editor.relevance_of_images(
        instruction, [view.image for view in views], settings=settings, on_draw=on_draw
    )
    maps = [one for _, one in found]
    together = normalise_together([one.raw for one in maps], settings.normalisation)
    at_pixels = tuple(
        replace(one, values=values).at(*view.confidence.shape)
        for one, values, view in zip(maps, together, views, strict=True)
    )
    evidence = pooled_evidence([one.agreement for one in maps])
    applies = None if evidence is None else evidence >= editor.card.views_evidence_limit
    # Over the views, not over the texels: the instruction may mean the whole mesh.
    return ViewMaps(at_pixels, suggest_threshold(np.stack(together)), applies)


def find_relevance(
    mesh: TexturedMesh,
    views: Sequence[MeshView],
    instruction: str,
    editor: ImageEditor,
    config: PaintConfig | None = None,
    settings: MapSettings | None = None,
    on_progress: OnPreview | None = None,
    things: NDArray[np.int32] | None = None,
) -> TextureRelevance:
    """Find where an instruction applies, without an edit.

    Args:
        mesh: the mesh and its texture.
        views: renders of it, of one size.
        instruction: such as "turn the bear into a panda".
        editor: the model.
        config: how views and texels go together; by default `PaintConfig()`.
        settings: of the maps; by default `MapSettings()`.
        on_progress: told what is being done; what it raises ends the work.
        things: int32 (F,), a label of each triangle's thing, or None for the mesh's own.

    Raises:
        MeshError: no view shows the mesh.
        BadInput: the instruction is none.
    """
    config, settings = config or PaintConfig(), settings or MapSettings()
    report = on_progress or (lambda words, share, preview: None)
    check_instruction(instruction)
    total = len(views) * len(settings.relevance_seeds) + 2
    report("Finding what each view shows", 0.0, None)
    prepared = prepare_views(mesh, views, config)

    def tell(done: int, view: int) -> None:
        words = f"Relevance of view {view + 1} of {len(views)}"
        report(words, (1 + done) / total, prepared[view].image)

    maps = map_views(prepared, instruction, editor, settings, tell)
    report("Gathering the relevance", (total - 1) / total, None)
    covered = np.zeros(mesh.texture.shape[:2], np.bool_)
    covered.reshape(-1)[mesh.surface.texel] = True
    source = margin_source(covered, config.margin)

    def region(snap: Snap) -> TextureRegion:
        return texture_region(
            mesh, prepared, maps.at_pixels, maps.suggested_threshold, snap, things, config
        )

    plain, whole = region("nothing"), region("things")
    edges = whole if whole.took == "edges" else region("edges")
    of_things = spread_to_margin(whole.values, source) if whole.took == "things" else None
    return TextureRelevance(
        spread_to_margin(plain.values, source),
        spread_to_margin(edges.values, source),
        of_things,
        whole.kind,
        maps.suggested_threshold,
        maps.applies,
        seen_share(mesh, prepared),
    )


def seen_share(mesh: TexturedMesh, views: Sequence[PreparedView]) -> float:
    """Of the texels that lie on a mesh, how many some view shows; 0..1."""
    seen = np.zeros(mesh.texture.shape[0] * mesh.texture.shape[1], np.bool_)
    for view in views:
        seen[mesh.surface.texel[view.surface.index]] = True
    return float(seen[np.unique(mesh.surface.texel)].mean())
