"""What a person has painted on some views of a scene, carried to every other view.

What was painted belongs to the surface that is seen there: a pixel of another view takes it over
where both see the same place of the field, which is turned to both. Where the field may grow, what
was taken away is taken out of the air before that surface, too.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from backend.captures.lens import Intrinsics
from backend.fields.checkpoint import fingerprint
from backend.fields.radiance_field import RadianceField, Rendering
from backend.fields.rays import ViewRays
from backend.scenes.camera import Camera
from backend.scenes.methods.hull import Hull, MarkedView
from protocol.corrections import NOTHING, TAKEN, Painted

Kind = TypeVar("Kind", bound=np.generic)

SIDE = 256
"""Pixels that are enough along the longer side to know how far away is what was painted."""
NEAR = 0.03
"""Share of a distance by which two views of the same place may differ in it: as far as a trained
field's depth may be off. Things of the demo world are hardly thicker, so that alone it would let
through what is painted on their front."""
STEP, TURNED = 0.01, -0.3
"""Box units over which the density is compared to tell how a surface is turned, and the cosine of
its direction with that to a camera, from which on it may be seen: by a coarse field, roughly."""
SAME_PLACE = 1e-3
"""Share of a distance by which two cameras may lie apart that see the same along every ray."""
SAME_SIDE = 0.8
"""Cosine of the directions from a place to two cameras, from which on both see the same side."""
OPAQUE = 0.5
"""Of a ray's light, from which on it shows a surface."""


@dataclass(frozen=True, eq=False)
class PaintedView:
    """A view that was painted on.

    Attributes:
        painted: uint8 (H, W), what belongs to the region (ADDED), and what does not (TAKEN).
        camera: with as many pixels.
    """

    painted: Painted
    camera: Camera


def fingerprint_of(views: Sequence[PaintedView]) -> str:
    """A text that tells painted views apart; "" for none."""
    if not views:
        return ""
    lenses = [list(astuple(view.camera.intrinsics)) for view in views]
    poses = np.array([view.camera.pose for view in views])
    return fingerprint(*(view.painted for view in views), np.array(lenses), poses)


@dataclass(frozen=True, eq=False)
class _Seen:
    """A painted view and where its surfaces are.

    Attributes:
        painted: as in `PaintedView`.
        pose: (4, 4), camera (OpenGL) to box coordinates.
        camera: the pinhole camera.
        distances: float32 (h, w), along the rays to the surfaces, in box units; inf where there is
            none.
    """

    painted: Painted
    pose: NDArray[np.float64]
    camera: Intrinsics
    distances: NDArray[np.float32]


class PaintedPlaces:
    """The places of a field that were painted in some views. Later views win over earlier ones."""

    def __init__(self, views: Sequence[PaintedView], field: RadianceField) -> None:
        """Args:
        views: their cameras in box coordinates.
        field: as it is before the edit.
        """
        self._field = field
        self._views = [_looked_at(view, field) for view in views]

    def on(
        self,
        pose: NDArray[np.float64],
        camera: Intrinsics,
        seen: Rendering,
        known: NDArray[np.float32] | None = None,
    ) -> Painted:
        """What was painted on what a view shows, uint8 (H, W).

        Args:
            pose: (4, 4), camera (OpenGL) to box coordinates.
            camera: the pinhole camera.
            seen: what it shows of the field.
            known: float32 (H, W), the distances along the rays that it was captured with, in box
                units, 0 where they are not known.
        """
        rays = ViewRays(pose[None], [camera], self._field.device)
        bundle = rays.bundle(rays.of_view(0))
        distances = seen.depth if known is None else np.where(known > 0, known, seen.depth)
        depth = torch.from_numpy(distances.reshape(-1, 1)).to(bundle.origins)
        places = (bundle.origins + depth * bundle.directions).double().cpu().numpy()
        found = np.full(len(places), NOTHING, np.uint8)
        for view in self._views:
            painted = _painted_at(view, places, pose[:3, 3])
            there = np.flatnonzero(painted)
            there = there[self._sees(view.pose[:3, 3], pose[:3, 3], places[there])]
            found[there] = painted[there]
        found[~_shown(seen, self._field).reshape(-1)] = NOTHING
        return found.reshape(seen.depth.shape)

    def _sees(
        self,
        painter: NDArray[np.float64],
        other: NDArray[np.float64],
        places: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """bool (n), whether the sides of places (n, 3) that a camera at a place (3) sees are turned
        to a painted view's.
        """
        to_painter, to_other = (_units(place - places) for place in (painter, other))
        same = (to_painter * to_other).sum(axis=1) >= SAME_SIDE
        if same.all():
            return same
        at = torch.from_numpy(places.astype(np.float32)).to(self._field.device)
        outwards = np.empty_like(places)
        for axis, step in enumerate(STEP * torch.eye(3, device=at.device)):
            rise = self._field.density(at + step) - self._field.density(at - step)
            outwards[:, axis] = -rise.cpu().numpy()
        return same | ((_units(outwards) * to_painter).sum(axis=1) >= TURNED)

    def without_taken(self, hull: Hull) -> Hull:
        """The places in the air that were not taken away."""
        told = []
        for view in self._views:
            height, width = view.distances.shape
            down, across = (np.indices((height, width)) + 0.5) / [[[height]], [[width]]]
            taken = _at(view.painted, across, down) == TAKEN
            camera = view.camera.resized(width, height)
            told.append(MarkedView(view.pose, camera, taken, view.distances))
        return hull.without(told)


def _looked_at(view: PaintedView, field: RadianceField) -> _Seen:
    small = view.camera.at_most(SIDE)
    seen = field.render(small.pose, small.intrinsics)
    distances = np.where(_shown(seen, field), seen.depth, np.float32(np.inf))
    return _Seen(view.painted, view.camera.pose, view.camera.intrinsics, distances)


def _units(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors (n, 3) of length 1; of length 0 they stay so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _shown(seen: Rendering, field: RadianceField) -> NDArray[np.bool_]:
    """bool (H, W), where a view shows a surface: everywhere, but for what is see-through."""
    return (seen.accumulation >= OPAQUE) | (not field.alpha)


def _painted_at(view: _Seen, places: NDArray[np.float64], other: NDArray[np.float64]) -> Painted:
    """What was painted at places (n, 3) that a camera at a place (3) sees, uint8 (n); NOTHING on
    those that the view does not see.
    """
    offset = places - view.pose[:3, 3]
    x, y, z = (offset @ view.pose[:3, :3]).T
    ahead = z < 0
    depth = np.where(ahead, -z, 1)
    across = (view.camera.fx * x / depth + view.camera.cx) / view.camera.width
    down = (view.camera.cy - view.camera.fy * y / depth) / view.camera.height
    inside = ahead & (across >= 0) & (across < 1) & (down >= 0) & (down < 1)
    found = np.full(len(places), NOTHING, np.uint8)
    across, down = across[inside], down[inside]
    away = np.linalg.norm(offset[inside], axis=1)
    met = np.abs(away / _at(view.distances, across, down) - 1) <= NEAR
    met |= np.linalg.norm(other - view.pose[:3, 3]) <= SAME_PLACE * away
    found[inside] = np.where(met, _at(view.painted, across, down), NOTHING)
    return found


def _at(
    picture: NDArray[Kind], across: NDArray[np.float64], down: NDArray[np.float64]
) -> NDArray[Kind]:
    """Values of a picture (H, W) at places in it, shares 0..1 of its width and height."""
    height, width = picture.shape
    return picture[(down * height).astype(int), (across * width).astype(int)]
