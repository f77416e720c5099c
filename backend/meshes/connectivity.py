"""What hangs together on a mesh: its pieces, its UV islands, and the seams between these.

Labels of triangles are whole numbers from 0 on without gaps.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from backend.meshes.textured_mesh import TexturedMesh, in_tile, sample, uv_to_image

Labels = NDArray[np.int32]

SAME = 1e-6
"""Share of the mesh's extent, or of the texture's side, within which two corners are one."""
SAME_COLOUR = 0.05
"""Mean difference of colours, 0..1, beyond both sides of a seam, up to which one surface goes on
there."""
LEAST_STEP = 0.5 / 255
"""Difference of colours, 0..1, up to which all count alike: rounding to 8 bits leaves as much."""
BESIDE = 1.5
"""Texels from a seam at which these are read: at the seam itself, what lies around an island is
mixed in."""


def pieces(mesh: TexturedMesh) -> Labels:
    """int32 (F,): triangles that hang together by common corners. Files split vertices at seams, so
    that only places tell.
    """
    return _connected(_places(mesh))


def islands(mesh: TexturedMesh) -> Labels:
    """int32 (F,): UV islands, triangles that hang together on the mesh and in the texture."""
    return _connected(_numbers(np.stack([_places(mesh), _welded(mesh.uvs, SAME)], axis=-1)))


def surfaces(mesh: TexturedMesh) -> Labels:
    """int32 (F,): UV islands, joined where the texture goes on across the seam between them. Cuts
    that a painter made are between colours, those of an unwrapping anywhere.
    """
    island, seams = islands(mesh), seams_of(mesh)
    count = int(island.max()) + 1
    if not len(seams.faces):
        return island
    points = seam_points(mesh, seams, BESIDE)
    colours = at_seams(points, _floats(mesh.texture))
    apart = np.abs(colours[:, 0] - colours[:, 1]).mean(axis=1)
    pair = np.sort(island[seams.faces], axis=1)[points.seam]
    pairs, number = np.unique(pair, axis=0, return_inverse=True)
    number = number.ravel()
    joined = np.bincount(number, apart) / np.bincount(number) <= SAME_COLOUR
    first, second = pairs[joined].T
    graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(count, count))
    groups: Labels = connected_components(graph, directed=False)[1].astype(np.int32)
    return groups[island]


@dataclass(frozen=True, eq=False)
class Seams:
    """Edges of a mesh at which the texture's coordinates jump.

    Attributes:
        faces: int64 (S, 2), the triangles on both sides.
        places: float64 (S, 2, 3), the edge's ends, relative to the mesh's `centre`.
        ends: float64 (S, 2, 2, 2), texture coordinates on each side of each end of the edge.
        middles: float64 (S, 2, 3), of the triangles, relative to the mesh's `centre`.
        inside: float64 (S, 2, 2), their texture coordinates.
    """

    faces: NDArray[np.int64]
    places: NDArray[np.float64]
    ends: NDArray[np.float64]
    middles: NDArray[np.float64]
    inside: NDArray[np.float64]


def seams_of(mesh: TexturedMesh) -> Seams:
    """Find the seams. Where more than two triangles share an edge, each follows the one before."""
    place, uv = _places(mesh), _welded(mesh.uvs, SAME)
    face = np.repeat(np.arange(len(place)), 3)
    start, end = np.tile([0, 1, 2], len(place)), np.tile([1, 2, 0], len(place))
    turned = place[face, start] > place[face, end]
    start, end = np.where(turned, end, start), np.where(turned, start, end)
    key = np.stack([place[face, start], place[face, end]], axis=1)
    order = np.lexsort(key.T)
    same = (key[order[1:]] == key[order[:-1]]).all(axis=1) & (
        key[order[1:], 0] != key[order[1:], 1]
    )
    sides = np.stack([order[:-1][same], order[1:][same]], axis=1)
    jumps = (uv[face, start][sides][:, 0] != uv[face, start][sides][:, 1]) | (
        uv[face, end][sides][:, 0] != uv[face, end][sides][:, 1]
    )
    sides = sides[jumps]
    faces = face[sides]
    ends = np.stack([mesh.uvs[faces, start[sides]], mesh.uvs[faces, end[sides]]], axis=2)
    first, corners = sides[:, 0], mesh.corners - mesh.centre
    places = np.stack([corners[face, start][first], corners[face, end][first]], axis=1)
    middles = corners[faces].mean(axis=2)
    return Seams(faces, places, ends, middles, mesh.uvs[faces].mean(axis=2))


@dataclass(frozen=True, eq=False)
class SeamPoints:
    """Points along both sides of seams, about one a texel.

    Attributes:
        seam: int64 (P,), which seam each is on.
        uvs: float64 (P, 2, 2), texture coordinates on each side.
        places: float64 (P, 2, 3), relative to the mesh's `centre`.
    """

    seam: NDArray[np.int64]
    uvs: NDArray[np.float64]
    places: NDArray[np.float64]


def seam_points(mesh: TexturedMesh, seams: Seams, beside: float = 0.0) -> SeamPoints:
    """Points along seams, or `beside` texels from them, into the triangles."""
    length = np.linalg.norm(seams.places[:, 1] - seams.places[:, 0], axis=1)
    counts = np.ceil(length / mesh.texel).astype(np.int64).clip(1, None)
    seam = np.repeat(np.arange(len(counts)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    along = ((np.arange(len(seam)) - first + 0.5) / counts[seam])[:, None]
    ends, edge = seams.ends[seam], seams.places[seam]
    uvs = ends[:, :, 0] + (ends[:, :, 1] - ends[:, :, 0]) * along[..., None]
    places = (edge[:, 0] + (edge[:, 1] - edge[:, 0]) * along)[:, None]
    inwards = seams.middles[seam] - places
    reach = np.linalg.norm(inwards, axis=2, keepdims=True).clip(1e-300, None)
    share = np.minimum(beside * mesh.texel / reach, 1)
    return SeamPoints(
        seam,
        uvs + (seams.inside[seam] - uvs) * share,
        np.broadcast_to(places, inwards.shape) + inwards * share,
    )


def at_seams(points: SeamPoints, texture: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a renderer reads of a texture, float32 (T, S, C), on both sides of seams: float32
    (P, 2, C).
    """
    rows, columns, channels = texture.shape
    places = uv_to_image(in_tile(points.uvs.reshape(-1, 2)).astype(np.float32), rows, columns)
    return sample(texture, places, wrap=True).reshape(-1, 2, channels)


def seams_changed(
    mesh: TexturedMesh, edited: NDArray[np.uint8], region: NDArray[np.bool_]
) -> dict[str, float | None]:
    """How an edit of a mesh's texture has left its seams: where it agrees on both sides, colours
    differ across a seam no more than they did.

    Args:
        mesh: with its texture before.
        edited: the same after.
        region: bool (T, S), where it was edited.

    Returns:
        "before" and "after": the mean difference of the colours, 0..1, across the seams of which
        both sides lie in the region; "ratio": after over before, differences below LEAST_STEP being
        taken for that; "edge_before" and "edge_after": across those at which the region ends, whose
        sides are meant to differ. None where there are no such seams.
    """
    seams = seams_of(mesh)
    found: dict[str, float | None] = dict.fromkeys(
        ("before", "after", "ratio", "edge_before", "edge_after"), None
    )
    if not len(seams.faces):
        return found
    inside = inside_at_seams(mesh, seams, region)
    within, edge = inside.all(axis=1), inside[:, 0] != inside[:, 1]
    points = seam_points(mesh, seams)
    floored = []
    for when, texture in (("before", mesh.texture), ("after", edited)):
        colours = at_seams(points, _floats(texture))
        apart = np.abs(colours[:, 0] - colours[:, 1]).mean(axis=1)
        for name, chosen in ((when, within), (f"edge_{when}", edge)):
            if chosen.any():
                found[name] = float(apart[chosen].mean())
        floored.append(apart[within].clip(LEAST_STEP, None))
    if within.any():
        found["ratio"] = float(floored[1].mean() / floored[0].mean())
    return found


def inside_at_seams(
    mesh: TexturedMesh, seams: Seams, region: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which sides of the points along seams lie in a region, bool (T, S): bool (P, 2)."""
    beside = seam_points(mesh, seams, BESIDE)
    found: NDArray[np.bool_] = at_seams(beside, region.astype(np.float32)[..., None])[..., 0] >= 0.5
    return found


def _floats(texture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The colours of a texture, 0..1."""
    return texture[..., :3].astype(np.float32) * np.float32(1 / 255)


def _places(mesh: TexturedMesh) -> NDArray[np.int64]:
    """(F, 3): which place each corner lies at."""
    return _welded((mesh.corners - mesh.centre) / max(mesh.extent, 1e-300), SAME)


def _welded(corners: NDArray[np.float64], reach: float) -> NDArray[np.int64]:
    """Numbers (F, 3) of the points (F, 3, D), equal for those within reach of each other."""
    points, number = np.unique(corners.reshape(-1, corners.shape[2]), axis=0, return_inverse=True)
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(points), len(points)))
    group = connected_components(graph, directed=False)[1]
    welded: NDArray[np.int64] = group[number.ravel()].reshape(-1, 3).astype(np.int64)
    return welded


def _numbers(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers (F, 3) from 0 on of the keys (F, 3, D)."""
    number = np.unique(keys.reshape(-1, keys.shape[2]), axis=0, return_inverse=True)[1]
    return number.reshape(-1, 3)


def _connected(corner: NDArray[np.int64]) -> Labels:
    """Labels (F,) of triangles that share a corner with these numbers (F, 3)."""
    faces, count = len(corner), int(corner.max()) + 1
    rows = np.repeat(np.arange(faces), 3)
    shape = (faces + count, faces + count)
    graph = coo_matrix((np.ones(3 * faces), (rows, faces + corner.ravel())), shape=shape)
    group = connected_components(graph, directed=False)[1][:faces]
    labels: Labels = np.unique(group, return_inverse=True)[1].ravel().astype(np.int32)
    return labels
