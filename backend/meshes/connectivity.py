"""What hangs together on a mesh: its pieces, its UV islands, and the seams between these.

Labels of triangles are whole numbers from 0 on without gaps.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from backend.meshes.textured_mesh import TexturedMesh, sample, uv_to_image

Labels = NDArray[np.int32]

SAME = 1e-6
"""Share of the mesh's extent, or of the texture's side, within which two corners are one."""
SAME_COLOUR = 0.05
"""Mean difference of colours, 0..1, beyond both sides of a seam, up to which one surface goes on
there."""
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
    edge, colours = seam_colours(mesh, seams, mesh.texture, BESIDE)
    apart = np.abs(colours[:, 0] - colours[:, 1]).mean(axis=1)
    pair = np.sort(island[seams.faces], axis=1)[edge]
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
        length: float64 (S,), in world units.
        ends: float64 (S, 2, 2, 2), texture coordinates on each side of each end of the edge.
        inside: float64 (S, 2, 2), of the middle of each triangle.
    """

    faces: NDArray[np.int64]
    length: NDArray[np.float64]
    ends: NDArray[np.float64]
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
    first = sides[:, 0]
    along = mesh.corners[face, start][first] - mesh.corners[face, end][first]
    return Seams(faces, np.linalg.norm(along, axis=1), ends, mesh.uvs[faces].mean(axis=2))


def seam_colours(
    mesh: TexturedMesh, seams: Seams, texture: NDArray[np.uint8], beside: float = 0.0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """A texture's colours along both sides of seams, about one place a texel, as a renderer reads
    them.

    Args:
        mesh: whose seams.
        seams: S of them.
        texture: uint8 (T, S, 3 or 4).
        beside: texels from the seam, into the triangles; 0 at the seam itself.

    Returns:
        Which seam each place is on, int64 (P,), and the colours there, float32 (P, 2, 3), 0..1.
    """
    rows, columns = texture.shape[:2]
    size = np.array([columns, rows], np.float64)
    counts = np.ceil(seams.length / mesh.texel).astype(np.int64).clip(1, None)
    edge = np.repeat(np.arange(len(counts)), counts)
    along = (np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + 0.5) / counts[
        edge
    ]
    ends = seams.ends[edge]
    at = ends[:, :, 0] + (ends[:, :, 1] - ends[:, :, 0]) * along[:, None, None]
    inwards = seams.inside[edge] - at
    reach = np.linalg.norm(inwards * size, axis=2, keepdims=True).clip(1e-9, None)
    at = at + inwards * np.minimum(beside / reach, 1)
    colours = texture[..., :3].astype(np.float32) * np.float32(1 / 255)
    points = uv_to_image(at.reshape(-1, 2).astype(np.float32), rows, columns)
    return edge, sample(colours, points, wrap=True).reshape(-1, 2, 3)


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
        both sides lie in the region; "edge_before" and "edge_after": across those at which the
        region ends. None where there are no such seams.
    """
    seams = seams_of(mesh)
    mask = np.repeat(region[..., None], 3, axis=2).astype(np.uint8) * 255
    found: dict[str, float | None] = dict.fromkeys(
        ("before", "after", "edge_before", "edge_after"), None
    )
    if not len(seams.faces):
        return found
    _, sides = seam_colours(mesh, seams, mask, BESIDE)
    inside = sides[..., 0] >= 0.5
    for when, texture in (("before", mesh.texture), ("after", edited)):
        _, colours = seam_colours(mesh, seams, texture)
        apart = np.abs(colours[:, 0] - colours[:, 1]).mean(axis=1)
        for name, chosen in (
            (when, inside.all(axis=1)),
            (f"edge_{when}", inside[:, 0] != inside[:, 1]),
        ):
            if chosen.any():
                found[name] = float(apart[chosen].mean())
    return found


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
