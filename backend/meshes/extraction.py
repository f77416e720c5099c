"""A triangle mesh of a radiance field.

The surface is where the field's own pictures put it: where half of a ray's light is lost, which is
what `RadianceField.render` calls depth. For each view v and each place x of a grid,

    L_v(x) = 1 - exp(-integral of the density along the ray from v's camera to x)

is the share of light that is lost on the way, and L(x) its mean over the views that can tell: all
but those for which something else stands far before x. Marching cubes (Lewiner et al. 2003) finds
L = 1/2. Against the density itself, which rises by different amounts for different materials and
goes on behind what anybody sees, this needs no level of its own, gives one surface and not the two
sides of a layer of fog, and drops what one view has dreamt up before its camera: the other views'
rays go through it. Where views are too plain to tell, the surface is left out, but for holes in
what others tell of (see plainness.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import fast_simplification
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.spatial import cKDTree
from skimage import measure
from torch import Tensor

from backend.captures.capture import Capture
from backend.captures.lens import Intrinsics
from backend.fields.nerfstudio_compat import RayBundle
from backend.fields.radiance_field import CHUNK, Rendering
from backend.fields.rays import ViewRays
from backend.meshes.plainness import enclosed, measured, telling_photo
from backend.meshes.textured_mesh import MeshError, project
from backend.output.progress import OnProgress

RESOLUTION = 160
"""Grid cells along the longest side of what the views see..."""
COARSEST, FINEST = 8, 1024
"""...and how many there may be."""
MOST_VIEWS = 64
"""Views at most whose rays are followed, spread evenly over the capture's."""
RAYS_SIDE = 128
"""Rays at most along the longer side of a view."""
HALF = 0.5
"""Share of a ray's light that is lost at the surface."""
OUTLIERS = 0.01
"""Share of the rays' ends that may lie beyond each side of the grid."""
CHANGED = 0.1
"""Mean difference of its colours, 0..1, from which on a pixel counts as edited."""
BLUR = 2.0
"""Cells before and behind a place over which L is averaged along each ray, so that it rises evenly
from cell to cell where a surface is sharper than they are."""
REACH = 4.0
"""Cells from the views' surfaces up to which the mesh is looked for."""
HIDDEN = 6.0
"""Cells behind the surface of a view at which it can tell nothing any more."""
FEWEST_VIEWS = 3
"""That must have their surface near by, where the capture has so many."""
AGREE = 0.5
"""Share of the views with their surface near by to which it must not be too plain to tell, unless
the depths of FEWEST_VIEWS tell it."""
SMALLEST = 6.0
"""Cells that a piece must measure along its longest side: a smaller one may as well be noise."""
PLACES_AT_ONCE = 1 << 17
ALL_PLAIN = (
    "All that the views see is too plain to tell where it is: mesh plain surroundings, too "
    "(--plain on the command line), to get it where the field has put it."
)


class MarchedField(Protocol):
    """What is asked of a field: a `RadianceField` has it. All in box coordinates."""

    @property
    def device(self) -> torch.device:
        """Where rays must be."""

    def weigh(self, bundle: RayBundle) -> tuple[Tensor, Tensor]:
        """Positions (m, s, 3) along rays, near to far, and their weights (m, s, 1)."""

    def corrected(self, pose: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """The pose (4, 4) of a view as training has corrected it."""

    def render(self, pose: NDArray[np.float64], camera: Intrinsics) -> Rendering:
        """What a camera sees; only asked of edits."""


@dataclass(frozen=True, eq=False)
class TriangleMesh:
    """Triangles.

    Attributes:
        vertices: float64 (V, 3), in capture coordinates.
        faces: int64 (F, 3), counterclockwise as seen from outside.
        left_out: of what views see, the share that has no surface here as they are too plain there
            to tell where it is, 0..1.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    left_out: float = 0.0


@dataclass(frozen=True, eq=False)
class SeenRays:
    """How light is lost along the rays of one view.

    Attributes:
        pose: float64 (4, 4), camera to box coordinates.
        camera: with as many pixels as there are rays.
        distance: float32 (H W, S), of the middles of samples along each ray, in box units.
        lost: float32 (H W, S), 0..1, the share of light that is lost up to there.
        integral: float64 (H W, S), of `lost` over the distance up to there.
        end: float32 (H W), distance at which half of it is lost, infinite where less is.
        slope: float32 (H W, 2), how much farther rays end from pixel to pixel, to the right and
            downwards; the smaller of the two sides' differences, 0 at an edge.
        telling: bool (H W), whether what the ray shows tells where it ends; before that, all of
            them tell that nothing is there.
        measured: bool (H W), whether the photo's depth tells it.
    """

    pose: NDArray[np.float64]
    camera: Intrinsics
    distance: NDArray[np.float32]
    lost: NDArray[np.float32]
    integral: NDArray[np.float64]
    end: NDArray[np.float32]
    slope: NDArray[np.float32]
    telling: NDArray[np.bool_]
    measured: NDArray[np.bool_]

    def there(self) -> NDArray[np.bool_]:
        """bool (H W): which rays end anywhere."""
        return np.isfinite(self.end)

    def ends(self, which: NDArray[np.bool_]) -> NDArray[np.float64]:
        """float64 (n, 3): where n of the rays end, bool (H W), in box coordinates."""
        rows, columns = np.mgrid[: self.camera.height, : self.camera.width] + 0.5
        directions = self.camera.directions(np.stack([columns, rows], axis=-1)).reshape(-1, 3)
        directions = directions @ self.pose[:3, :3].T
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        ends: NDArray[np.float64] = self.pose[:3, 3] + directions[which] * self.end[
            which, None
        ].astype(np.float64)
        return ends

    def locate(
        self, places: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Which of the places (n, 3) in box coordinates lie in the picture (k,), the rays (k,) that
        pass nearest, and the distances (k,) on these rays that are as far from the surface as the
        places are: on a slanted surface neighbouring rays end at different distances.
        """
        at = project(places, self.camera, self.pose)
        ahead = np.flatnonzero(at[:, 2] > 0)
        point = at[ahead, :2] / at[ahead, 2:]
        inside = ((point >= 0) & (point < (self.camera.width, self.camera.height))).all(axis=1)
        chosen, point = ahead[inside].astype(np.int64), point[inside]
        pixel = np.floor(point).astype(np.int64)
        ray = pixel[:, 1] * self.camera.width + pixel[:, 0]
        distance = np.linalg.norm(places[chosen] - self.pose[:3, 3], axis=1)
        aside = ((point - pixel - 0.5) * self.slope[ray]).sum(axis=1)
        return chosen, ray, distance - aside

    def mean_lost(
        self, ray: NDArray[np.int64], distance: NDArray[np.float64], reach: float
    ) -> NDArray[np.float64]:
        """float64 (k,), 0..1: the share of light lost along rays (k,), as its mean from `reach`
        before distances (k,) to `reach` behind them.
        """
        both = self._integral(ray, distance + reach) - self._integral(ray, distance - reach)
        mean: NDArray[np.float64] = both / (2 * reach)
        return mean

    def _integral(
        self, ray: NDArray[np.int64], distance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Of the share lost along rays (k,), from their beginning to distances (k,)."""
        after = (self.distance[ray] < distance[:, None]).sum(axis=1)
        last = self.distance.shape[1] - 1
        near, far = (after - 1).clip(0, last), after.clip(0, last)
        start, end = (self.distance[ray, k].astype(np.float64) for k in (near, far))
        lost_start, lost_end = (self.lost[ray, k].astype(np.float64) for k in (near, far))
        beyond = (distance - start).clip(0, None)
        share = (beyond / (end - start).clip(1e-9, None)).clip(0, 1)
        lost = lost_start + share * (lost_end - lost_start)
        found = self.integral[ray, near] + beyond * (lost_start + lost) / 2
        return np.where(after == 0, 0.0, found)


def extract_mesh(
    field: MarchedField,
    capture: Capture,
    resolution: int = RESOLUTION,
    faces: int | None = None,
    on_progress: OnProgress | None = None,
    plain: bool = False,
    before: MarchedField | None = None,
) -> TriangleMesh:
    """The surface that the views of a capture see of a field.

    Args:
        field: trained on the capture, or an edit of one that was.
        capture: whose views' surroundings are meshed.
        resolution: grid cells along the longest side of what the views see.
        faces: how many at most, as far as its pieces can be simplified; None to leave all.
        on_progress: told what is being done; what it raises ends the work.
        plain: whether to mesh what opaque photos are too plain to tell of, too.
        before: of an edit, the field before it: what has changed is meshed in any case.

    Raises:
        MeshError: no surface is seen, all is too plain, or a setting is out of range.
    """
    if not COARSEST <= resolution <= FINEST or (faces is not None and faces < 4):
        raise MeshError(
            f"A mesh needs a resolution of {COARSEST} at least, and 4 faces; a resolution beyond "
            f"{FINEST} fits no memory."
        )
    report = on_progress or (lambda words, share: None)
    seen = []
    for number, (index, count) in enumerate(_chosen(len(capture))):
        report(f"Following the rays of view {number + 1} of {count}", 0.6 * number / count)
        pose = field.corrected(capture.camera_to_box[index], capture.names[index])
        view = follow_rays(field, pose, capture.intrinsics[index])
        if not plain:
            photo = capture.read(index)
            tells = telling_photo(photo, view.camera.width, view.camera.height)
            if before is not None and not tells.all():
                tells |= _edited(before, field, pose, view.camera)
            sure = measured(photo, view.camera.width, view.camera.height)
            view = replace(view, telling=tells.ravel(), measured=sure.ravel())
        seen.append(view)
    report("Finding the surface", 0.6)
    mesh, cell = _surface(seen, resolution)
    report("Removing floaters", 0.9)
    mesh = _without_floaters(mesh, seen, cell)
    left_out = 0.0 if plain else _left_out(seen, mesh, REACH * cell)
    if faces is not None and len(mesh.faces) > faces:
        report("Decimating", 0.95)
        mesh = decimated(mesh, faces)
    moved = (mesh.vertices - capture.to_box[:3, 3]) / capture.box_scale
    return TriangleMesh(moved, mesh.faces, left_out)


def _chosen(views: int) -> Iterator[tuple[int, int]]:
    """Indices of the views that are followed, each with how many there are."""
    chosen = np.unique(np.linspace(0, views - 1, min(views, MOST_VIEWS)).round().astype(int))
    return ((int(index), len(chosen)) for index in chosen)


def _left_out(seen: Sequence[SeenRays], mesh: TriangleMesh, near: float) -> float:
    """The share of the rays that end, 0..1, which tell nothing of it and have no surface `near`
    their ends, in box units, though they end where surfaces are looked for.
    """
    low, high = bounds(np.concatenate([view.ends(view.there()) for view in seen]))
    ends = np.concatenate([view.ends(view.there() & ~view.telling) for view in seen])
    ends = ends[((ends >= low) & (ends <= high)).all(axis=1)]
    distance, _ = cKDTree(mesh.vertices).query(ends, distance_upper_bound=near)
    return float(np.isinf(distance).sum() / sum(view.there().sum() for view in seen))


def _edited(
    before: MarchedField, after: MarchedField, pose: NDArray[np.float64], camera: Intrinsics
) -> NDArray[np.bool_]:
    """bool (H, W): which of a camera's pixels an edit has changed, by pictures of half the size."""
    half = camera.resized(max(1, camera.width // 2), max(1, camera.height // 2))
    pictures = [field.render(pose, half).rgb for field in (before, after)]
    change = np.abs(pictures[1] - pictures[0]).mean(axis=-1)
    rows = np.arange(camera.height) * half.height // camera.height
    columns = np.arange(camera.width) * half.width // camera.width
    changed: NDArray[np.bool_] = change[rows[:, None], columns] > CHANGED
    return changed


def follow_rays(field: MarchedField, pose: NDArray[np.float64], camera: Intrinsics) -> SeenRays:
    """Follows rays through a view, up to RAYS_SIDE along its longer side.

    Args:
        field: through which.
        pose: float64 (4, 4), camera to box coordinates.
        camera: the view's own.

    Returns:
        all of which tell where they end.
    """
    shrink = min(1.0, RAYS_SIDE / max(camera.width, camera.height))
    small = camera.resized(
        max(1, round(camera.width * shrink)), max(1, round(camera.height * shrink))
    )
    rays = ViewRays(pose[None], [small], field.device)
    parts = []
    for pixels in rays.of_view(0).split(CHUNK):
        bundle = rays.bundle(pixels)
        positions, weights = field.weigh(bundle)
        distance = ((positions - bundle.origins[:, None]) * bundle.directions[:, None]).sum(-1)
        after = weights[..., 0].cumsum(-1).clamp(0, 1)
        before = torch.nn.functional.pad(after, (1, 0))[:, :-1]
        # Within a sample the density is even: up to its middle, the root of what passes is left.
        lost = 1 - ((1 - before) * (1 - after)).sqrt()
        parts.append((distance, lost, _end(distance, lost, after)))
    passed, share, ends = (torch.cat(p).cpu().numpy() for p in zip(*parts, strict=True))
    pieces = np.diff(passed, axis=1) * (share[:, 1:] + share[:, :-1]) / 2
    integral = np.pad(np.cumsum(pieces, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    picture = ends.reshape(small.height, small.width)
    slope = np.stack([_slope(picture, axis).ravel() for axis in (1, 0)], axis=-1)
    tells, measures = np.ones(len(ends), np.bool_), np.zeros(len(ends), np.bool_)
    return SeenRays(pose, small, passed, share, integral, ends, slope, tells, measures)


def _slope(end: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """float32 (H, W): the smaller of the differences to the two neighbours along an axis, 0 where
    they are of different signs or one of them is not finite.
    """
    along = np.moveaxis(end, axis, 0)
    with np.errstate(invalid="ignore"):
        step = np.diff(along, axis=0)
        before, after = np.pad(step, ((1, 0), (0, 0))), np.pad(step, ((0, 1), (0, 0)))
        smooth = np.isfinite(before) & np.isfinite(after) & (before * after > 0)
    smaller = np.where(np.abs(before) < np.abs(after), before, after)
    return np.moveaxis(np.where(smooth, smaller, 0).astype(np.float32), 0, axis)


def _end(distance: Tensor, lost: Tensor, after: Tensor) -> Tensor:
    """float32 (m,): where `lost` (m, s) reaches HALF, infinite for rays that never lose so much."""
    far = (lost < HALF).sum(-1, keepdim=True).clamp(max=lost.shape[1] - 1)
    near = (far - 1).clamp(min=0)
    low, high = lost.gather(1, near), lost.gather(1, far)
    share = ((HALF - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
    start = distance.gather(1, near)
    end = start + share * (distance.gather(1, far) - start)
    return torch.where(after[:, -1] >= HALF, end[:, 0], torch.inf)


def _surface(seen: Sequence[SeenRays], resolution: int) -> tuple[TriangleMesh, float]:
    """The mesh in box coordinates, and the size of a cell.

    Raises:
        MeshError: there is none.
    """
    told_of = np.concatenate([view.ends(view.there() & view.telling) for view in seen])
    if not len(told_of) and any(view.there().any() for view in seen):
        raise MeshError(ALL_PLAIN)
    low, high = bounds(told_of)
    cell = float((high - low).max()) / resolution
    low, high = low - (REACH + 1) * cell, high + (REACH + 1) * cell
    shape = np.ceil((high - low) / cell).astype(int) + 1
    occupied = np.zeros(shape, np.bool_)
    for view in seen:
        index = np.rint((view.ends(view.there()) - low) / cell).astype(int)
        index = index[((index >= 0) & (index < shape)).all(axis=1)]
        occupied[tuple(index.T)] = True
    near = np.flatnonzero(ndimage.distance_transform_edt(~occupied) <= REACH + 1)
    lost = np.zeros(occupied.size, np.float32)
    known, told = np.zeros((2, occupied.size), np.bool_)
    for some in np.split(near, range(PLACES_AT_ONCE, len(near), PLACES_AT_ONCE)):
        places = low + np.stack(np.unravel_index(some, occupied.shape), axis=-1) * cell
        lost[some], known[some], told[some] = _mean_lost(seen, places, cell)
    # A cell is looked into where all its corners are known: no wall stands where knowledge ends.
    # scikit-image asks the mask at the cell's far corner, and so does this filter.
    cells = ndimage.minimum_filter(known.reshape(occupied.shape), size=2, mode="constant")
    try:
        vertices, faces, _, _ = measure.marching_cubes(
            lost.reshape(occupied.shape),
            HALF,
            mask=cells,
            allow_degenerate=False,
            gradient_direction="ascent",  # as scikit-image counts axes, z first
        )
    except (ValueError, RuntimeError) as error:  # no such level, no such surface
        raise MeshError(
            "The field shows no surface that several views agree on: train it longer."
        ) from error
    nearest = np.ravel_multi_index(np.rint(vertices).astype(int).T, occupied.shape)
    kept = enclosed(faces, told[nearest])
    if not kept.any():
        raise MeshError(ALL_PLAIN)
    return _compact(low + vertices.astype(np.float64) * cell, faces[kept]), cell


def bounds(ends: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The box (3,), (3,) around what the views see, in box coordinates: around the ends (n, 3) of
    their rays, with OUTLIERS left out.

    What lies beyond the cameras, outside [-1, 1]^3, is background: contraction squeezes all of
    space there into the field's outermost cells. It counts only where most rays end in it, as those
    of views that look outwards do.

    Raises:
        MeshError: no ray ends anywhere.
    """
    if len(ends) == 0:
        raise MeshError("The field shows nothing to the views of this capture: train it longer.")
    size = np.abs(ends).max(axis=1)
    ends = ends[size <= max(1.0, float(np.median(size)))]
    low, high = np.quantile(ends, (OUTLIERS, 1 - OUTLIERS), axis=0)
    if not (high - low).max() > 0:
        raise MeshError("The field shows a single point to the views of this capture.")
    return low, high


def _mean_lost(
    seen: Sequence[SeenRays], places: NDArray[np.float64], cell: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """L at places (n, 3), which of them have the surfaces of enough views near by, and which those
    of enough views that tell where their surfaces are: there, the others are not asked.
    """
    total, counts = np.zeros((2, len(places))), np.zeros((2, len(places)))
    near = np.zeros((3, len(places)), int)
    for view in seen:
        chosen, ray, distance = view.locate(places)
        behind = (distance - view.end[ray]) / cell  # in cells, below 0 before the surface
        weight = ((HIDDEN - behind) / (HIDDEN - REACH)).clip(0, 1)
        lost = weight * view.mean_lost(ray, distance, BLUR * cell)
        ending = np.abs(behind) < REACH
        tells = view.telling[ray]
        for which, asked, ends in (
            (0, np.ones(len(ray)), ending),
            (1, tells | (behind < -REACH), ending & tells),
        ):
            total[which, chosen] += asked * lost
            counts[which, chosen] += asked * weight
            near[which, chosen] += ends
        near[2, chosen] += ending & view.measured[ray]
    enough = near >= min(FEWEST_VIEWS, len(seen))
    enough[:2] &= counts > 0
    told = enough[1] & (enough[2] | (near[1] >= AGREE * near[0]))
    mean = total / counts.clip(1e-9, None)
    return np.where(told, mean[1], mean[0]), enough[0], told


def _without_floaters(mesh: TriangleMesh, seen: Sequence[SeenRays], cell: float) -> TriangleMesh:
    """The mesh without pieces that are smaller than SMALLEST cells, or that more views look through
    than see.

    Raises:
        MeshError: nothing is left.
    """
    vertices, faces = mesh.vertices, mesh.faces
    agreeing = np.zeros(len(vertices))
    for view in seen:
        chosen, ray, distance = view.locate(vertices)
        behind = (distance - view.end[ray]) / cell
        agreeing[chosen] += (np.abs(behind) < REACH).astype(float) - (behind <= -REACH)
    edges = sparse.coo_matrix(
        (np.ones(2 * len(faces)), (faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel())),
        shape=(len(vertices), len(vertices)),
    )
    count, piece = sparse.csgraph.connected_components(edges, directed=False)
    numbers = np.arange(count)
    size = np.max(
        [
            ndimage.maximum(axis, piece, numbers) - ndimage.minimum(axis, piece, numbers)
            for axis in vertices.T
        ],
        axis=0,
    )
    keep = (size >= SMALLEST * cell) & (np.bincount(piece, agreeing, count) > 0)
    left = faces[keep[piece[faces[:, 0]]]]
    if not len(left):
        raise MeshError("The field shows only specks that no views agree on: train it longer.")
    return _compact(vertices, left)


def _compact(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> TriangleMesh:
    """The mesh of some faces with only the vertices that they use."""
    used, numbers = np.unique(faces, return_inverse=True)
    return TriangleMesh(vertices[used], numbers.reshape(-1, 3).astype(np.int64))


def decimated(mesh: TriangleMesh, faces: int) -> TriangleMesh:
    """The mesh with so many faces at most, as far as its pieces can be simplified, by collapsing
    the edges that change its shape least (Garland and Heckbert 1997, through fast-simplification).
    """
    while len(mesh.faces) > faces:
        vertices, left = fast_simplification.simplify(mesh.vertices, mesh.faces, target_count=faces)
        there = left[
            (left[:, 0] != left[:, 1]) & (left[:, 1] != left[:, 2]) & (left[:, 2] != left[:, 0])
        ]
        if not 0 < len(there) < len(mesh.faces):  # it gives up after some passes
            break
        mesh = _compact(np.asarray(vertices, np.float64), np.asarray(there, np.int64))
    return mesh
