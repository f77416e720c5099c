"""Where a texture is edited: the relevance of all views, gathered per texel and snapped to what is
there, as `protocol.region` does it for a picture.

A thing of a mesh is a piece of it, or a UV island, or what labels of its triangles say. All texels
of a thing have its value, those too that no view shows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from backend.meshes import connectivity
from backend.meshes.nearest import nearest_on_mesh
from backend.meshes.painting import PaintConfig, PreparedView
from backend.meshes.textured_mesh import TexturedMesh, sample
from protocol.region import NO_WHOLE_THINGS, agreement, edge_map, explained, thing_scores
from protocol.values import Snap

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]

LEAST_COVERED = 0.75
"""Share of the things' own texels that the maps cover from which they are meant as a whole, where
nobody has said what a thing is. What maps cover beside them counts less: their cells are coarse."""
LEAST_OF_SURFACES = 0.85
"""Agreement of surfaces with the maps from which they are things: a scan's seams lie anywhere."""
BETTER = 0.02
"""By how much surfaces must agree better than pieces, which they part, to be taken."""


@dataclass(frozen=True, eq=False)
class TextureRegion:
    """Values of texels, to be thresholded.

    Attributes:
        values: float32 (T, S), 0..1: the region is where they reach the threshold.
        known: bool (T, S), where they are known.
        took: what they keep to.
        kind: which things where these are whole things: "pieces", "surfaces", or "things" that were
            given; else "".
        things: int32 (F,), each triangle's thing, where they are whole things; else None.
        why: one sentence where that is not what was asked for, else "".
    """

    values: Floats
    known: NDArray[np.bool_]
    took: Snap
    kind: str
    things: Labels | None
    why: str


def texture_region(
    mesh: TexturedMesh,
    views: Sequence[PreparedView],
    maps: Sequence[Floats],
    threshold: float,
    snap: Snap,
    things: Labels | None,
    config: PaintConfig,
) -> TextureRegion:
    """Make the values of texels of the maps of views.

    Args:
        mesh: whose texels.
        views: of it.
        maps: float32 (H, W), 0..1, for each view, on one scale.
        threshold: 0..1, the maps' own.
        snap: what to keep to. "things" falls back to "edges" where whole things do not explain the
            maps.
        things: int32 (F,), each triangle's thing; None for the mesh's pieces or surfaces, whichever
            agree better with the maps.
        config: how views and texels go together.
    """
    why = ""
    if snap == "things":
        found = _of_things(mesh, gather_entries(mesh, views, maps), threshold, things)
        if found is not None:
            return found
        why = NO_WHOLE_THINGS
    if snap != "nothing":
        maps = [edge_map(one, view.image) for one, view in zip(maps, views, strict=True)]
    values, known = gather_relevance(mesh, views, maps, config)
    took: Snap = "nothing" if snap == "nothing" else "edges"
    return TextureRegion(values, known, took, "", None, why)


def _of_things(
    mesh: TexturedMesh, gathered: "Gathered", threshold: float, given: Labels | None
) -> TextureRegion | None:
    """Whole things, of the kind that agrees best; None where none explains the maps."""
    kinds: Mapping[str, Callable[[], Labels]]
    if given is not None:
        kinds = {"things": lambda: given}
    else:
        kinds = {
            "pieces": partial(connectivity.pieces, mesh),
            "surfaces": partial(connectivity.surfaces, mesh),
        }
    seen = gathered.weights > 0
    values = gathered.values[seen]
    best: tuple[float, str, Labels] | None = None
    for kind, make in kinds.items():
        things = make()
        # Numbers without gaps: a file's own may be any.
        number = np.unique(things, return_inverse=True)[1].ravel()[mesh.surface.face]
        agrees = agreement(values, number[seen], threshold=threshold)
        if (
            explained(values, number[seen], threshold=threshold)
            and (kind != "surfaces" or agrees >= LEAST_OF_SURFACES)
            and (given is not None or _covered(values, number[seen], threshold) >= LEAST_COVERED)
            and (best is None or agrees > best[0] + BETTER)
        ):
            best = agrees, kind, things
    if best is None:
        return None
    _, kind, things = best
    number = np.unique(things, return_inverse=True)[1].ravel()[mesh.surface.face]
    scores = thing_scores(values, number[seen])
    scores = np.append(scores, np.zeros(number.max() + 1 - len(scores), np.float32))
    shown = np.bincount(number[seen], minlength=len(scores)) > 0
    found, known = np.zeros(mesh.size, np.float32), np.zeros(mesh.size, np.bool_)
    # A texel of several things belongs to the most relevant of them.
    np.maximum.at(found.reshape(-1), mesh.surface.texel, scores[number])
    known.reshape(-1)[mesh.surface.texel[shown[number]]] = True
    return TextureRegion(found, known, "things", kind, things, "")


def _covered(values: Floats, number: NDArray[np.int64], threshold: float) -> float:
    """Of the texels of the things that reach a threshold, how many do so themselves; 0..1."""
    chosen = (thing_scores(values, number) >= threshold)[number]
    return float((values >= threshold)[chosen].mean()) if chosen.any() else 0.0


@dataclass(frozen=True, eq=False)
class Gathered:
    """What views say of the entries of a mesh's surface.

    Attributes:
        values: float32 (N,), 0..1; 0 where no view shows the entry.
        weights: float64 (N,), 0 or more: how well the views show it.
    """

    values: Floats
    weights: NDArray[np.float64]


def gather_entries(
    mesh: TexturedMesh, views: Sequence[PreparedView], maps: Sequence[Floats]
) -> Gathered:
    """The mean of the maps, float32 (H, W) in 0..1 for each view, over the views of each entry,
    each weighted by how well it shows it.
    """
    count = len(mesh.surface.texel)
    sums, weights = np.zeros(count), np.zeros(count)
    for view, at_pixels in zip(views, maps, strict=True):
        counting = np.stack([view.confidence * at_pixels, view.confidence], axis=-1)
        value, weight = (sample(counting, view.surface.point) * view.surface.weight[:, None]).T
        sums[view.surface.index] += value
        weights[view.surface.index] += weight
    weights[weights <= 1e-9] = 0.0
    values = np.divide(sums, weights, out=np.zeros(count), where=weights > 0)
    return Gathered(values.clip(0, 1).astype(np.float32), weights)


def gather_relevance(
    mesh: TexturedMesh,
    views: Sequence[PreparedView],
    maps: Sequence[Floats],
    config: PaintConfig,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Relevance per texel from the views' own.

    Args:
        mesh: whose texels.
        views: of it.
        maps: float32 (H, W) in 0..1 for each view, on one scale.
        config: how views and texels go together.

    Returns:
        Relevance, float32 (T, S) in 0..1, and where it is known, bool (T, S): where a view shows
        the texel, or one of its near neighbours on the mesh.
    """
    texels, texel = mesh.size[0] * mesh.size[1], mesh.surface.texel
    gathered = gather_entries(mesh, views, maps)
    weights = np.bincount(texel, gathered.weights, texels)
    sums = np.bincount(texel, gathered.values * gathered.weights, texels)
    seen = weights > 0
    found = np.divide(sums, weights, out=np.zeros(texels), where=seen).astype(np.float32)
    unseen, source = nearest_on_mesh(mesh, seen[texel], ~seen[texel], config.unseen_reach)
    found[texel[unseen]] = found[texel[source]]
    seen[texel[unseen]] = True
    return found.reshape(mesh.size), seen.reshape(mesh.size)
