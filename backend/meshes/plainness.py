"""What photos show too plainly to tell where it is.

A sky, or a bare ground that goes on to the edge of the picture, looks the same wherever it is put.
A field of opaque photos must put it somewhere, and does so where it disturbs nothing: as a shell
among or behind the cameras. Of a thing that ends in the picture, its outline tells, however plain
it is; and a plain patch of a surface all around which views tell where it is cannot be elsewhere: a
pullover that the lower edge of every photo cuts off.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, sparse

from backend.captures.views import Pixels
from backend.fields.radiance_field import OPAQUE

PLAIN = 6
"""Largest difference between any two of the 3 x 3 pixels around one, in any channel of 0..255, from
which on it is not plain: a photo's noise is less where it was made smaller."""
NEAR = 0.03
"""How far from what is not plain a pixel still tells something, in longer sides of the picture:
what lies around a thing and its shadow is seen together with them."""

ENCLOSED = 0.5
"""Share of the outline of a plain patch from which on what lies around it holds it in place: those
of the chest of a person in a plain pullover have 0.8 and are less than a tenth off, as is a ground
whose end is seen all around; walls that a field has bent into shells, and skies, have 0.4 at most.
"""


def telling_photo(photo: Pixels, width: int, height: int) -> NDArray[np.bool_]:
    """Where a photo tells how far away it is what it shows, bool (height, width): `telling`, where
    its depth is known, and everywhere where it has an alpha that is not opaque all over: that says
    where nothing is.
    """
    if photo.alpha is not None and photo.alpha.min() < OPAQUE:
        return np.ones((height, width), np.bool_)
    size = (width, height)
    small = Image.fromarray(photo.image).resize(size, Image.Resampling.BOX)
    return telling(np.asarray(small)) | measured(photo, width, height)


def measured(photo: Pixels, width: int, height: int) -> NDArray[np.bool_]:
    """Where a photo's depth is known, bool (height, width)."""
    if photo.depth is None:
        return np.zeros((height, width), np.bool_)
    depth = Image.fromarray(photo.depth).resize((width, height), Image.Resampling.NEAREST)
    known: NDArray[np.bool_] = np.asarray(depth) > 0
    return known


def telling(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a picture tells how far away it is what it shows, bool (H, W): everywhere but where it
    is plain up to the picture's edge, and not near anything else.

    Args:
        picture: uint8 (H, W, 3), sRGB.
    """
    highest = ndimage.maximum_filter(picture, size=(3, 3, 1))
    lowest = ndimage.minimum_filter(picture, size=(3, 3, 1))
    plain: NDArray[np.bool_] = (highest - lowest).max(axis=-1) < PLAIN
    if plain.all():
        return ~plain
    pieces, _ = ndimage.label(np.pad(plain, 1, constant_values=True))
    to_the_edge = (pieces == pieces[0, 0])[1:-1, 1:-1]
    away: NDArray[np.float64] = ndimage.distance_transform_edt(plain)
    found: NDArray[np.bool_] = ~(to_the_edge & (away > NEAR * max(plain.shape)))
    return found


def enclosed(faces: NDArray[np.int64], told: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which faces of a surface to keep, bool (F,): those of which views tell, and the patches of
    others that these hold in place from around, by ENCLOSED of the patch's outline.

    Args:
        faces: int64 (F, 3).
        told: bool (V,), whether views tell where a vertex is.
    """
    known: NDArray[np.bool_] = np.asarray(told[faces].all(axis=1))
    if known.all() or not known.any():
        return known
    sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, edge, count = np.unique(sides, axis=0, return_inverse=True, return_counts=True)
    edge = edge.ravel()
    order = np.argsort(edge, kind="stable")
    owner = order // 3
    faces_at = count[edge[order]]
    pairs = owner[faces_at == 2].reshape(-1, 2)
    within = pairs[~known[pairs].any(axis=1)]
    graph = sparse.coo_matrix((np.ones(len(within)), within.T), shape=(len(faces), len(faces)))
    patches, patch = sparse.csgraph.connected_components(graph, directed=False)
    held = pairs[known[pairs].sum(axis=1) == 1]
    held_faces = held[~known[held]]
    holding = np.bincount(patch[held_faces], minlength=patches)
    open_sides = np.bincount(patch[owner[faces_at == 1]], minlength=patches)
    share = holding / np.maximum(1, holding + open_sides)
    kept: NDArray[np.bool_] = known | (share >= ENCLOSED)[patch]
    return kept
