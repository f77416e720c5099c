"""A field with a known surface, that stands in for a trained one: the spheres and the floor of
`tiny_capture`, in box coordinates.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from backend.captures.capture import Capture
from backend.captures.lens import Intrinsics
from backend.fields.calibration import Calibration
from backend.fields.nerfstudio_compat import RayBundle
from backend.fields.radiance_field import Rendering
from backend.fields.rays import ViewRays
from backend.fields.relevance_field import Relevance
from backend.meshes.baking import Composite

from .tiny_capture import SPHERES

FLOOR_RADIUS = 3.0
DENSITY = 1000.0
COARSE, FINE, FINE_REACH = 32, 32, 0.012
"""Samples along a whole ray, and in the box units around where it meets a surface."""
TRACING_STEPS = 32
STEEP = 0.001
"""Box units over which the density rises."""

Colours = Callable[[np.ndarray], np.ndarray]


def distances(points: np.ndarray) -> np.ndarray:
    """Signed distances (n,) of points (n, 3) in capture coordinates to the nearest surface. The
    floor is a disc as thick as a cell or two: nobody looks at it from below.
    """
    reach = np.hypot(points[:, 0], points[:, 1]) - FLOOR_RADIUS
    below = np.maximum(points[:, 2], -0.2 - points[:, 2])
    found = np.hypot(np.maximum(reach, 0), np.maximum(below, 0)) + np.minimum(
        np.maximum(reach, below), 0
    )
    for centre, radius, _ in SPHERES:
        found = np.minimum(found, np.linalg.norm(points - centre, axis=1) - radius)
    return found


def first_sphere(points: np.ndarray) -> np.ndarray:
    """bool (n,): which points (n, 3) in capture coordinates lie on or in the first sphere."""
    centre, radius, _ = SPHERES[0]
    return np.linalg.norm(points - centre, axis=1) < 1.05 * radius


class SolidField:
    """Satisfies `mesh_extraction.MarchedField` and `mesh_texture.ShadedField`."""

    def __init__(
        self,
        capture: Capture,
        colours: Colours | None = None,
        distance: Callable[[np.ndarray], np.ndarray] = distances,
        density: float = DENSITY,
    ) -> None:
        """`colours` gives float (n, 3), 0..1, at points (n, 3) in capture coordinates; `density` is
        that of all that is solid.
        """
        self.capture, self.colours, self.distance = capture, colours, distance
        self.density, self.alpha = density, True
        self.device = torch.device("cpu")

    def corrected(self, pose: np.ndarray, name: str) -> np.ndarray:
        return pose

    def in_capture(self, positions: Tensor) -> np.ndarray:
        box = positions.reshape(-1, 3).double().numpy()
        return (box - self.capture.to_box[:3, 3]) / self.capture.box_scale

    def weigh(self, bundle: RayBundle) -> tuple[Tensor, Tensor]:
        near = torch.full((len(bundle), 1), 0.05) if bundle.nears is None else bundle.nears
        far = torch.full((len(bundle), 1), 2.5) if bundle.fars is None else bundle.fars
        hit = near
        for _ in range(TRACING_STEPS):
            hit = (hit + self.off(bundle.origins + hit * bundle.directions)[:, None]).minimum(far)
        coarse = near + (far - near) * torch.linspace(0, 1, COARSE)
        fine = (hit + torch.linspace(-FINE_REACH, FINE_REACH, FINE)).clamp(near, far)
        edges = torch.cat([coarse, fine], 1).sort(dim=1).values
        middle = (edges[:, 1:] + edges[:, :-1]) / 2
        positions = bundle.origins[:, None] + middle[..., None] * bundle.directions[:, None]
        density = self.density * torch.sigmoid(-self.off(positions) / STEEP)
        lost = (density.view(middle.shape) * edges.diff(dim=1)).cumsum(1)
        after = 1 - torch.exp(-lost)
        return positions, torch.diff(after, dim=1, prepend=torch.zeros(len(bundle), 1))[..., None]

    def off(self, positions: Tensor) -> Tensor:
        """Signed distances (n,), in box units."""
        found = self.distance(self.in_capture(positions)) * self.capture.box_scale
        return torch.from_numpy(found).float()

    def shade(self, bundle: RayBundle, relevance: Composite | None = None) -> Tensor:
        assert self.colours is not None
        positions, weights = self.weigh(bundle)
        colours = torch.from_numpy(self.colours(self.in_capture(positions))).float()
        along = (positions - bundle.origins[:, None]).norm(dim=-1, keepdim=True)
        channels = [
            (weights * colours.view(positions.shape)).sum(1),
            (weights * along).sum(1) / weights.sum(1).clamp(min=1e-6),
            weights.sum(1),
        ]
        if relevance is not None:
            channels.append(relevance(positions, weights))
        return torch.cat(channels, -1)

    def render(
        self, pose: np.ndarray, camera: Intrinsics, relevance: Composite | None = None
    ) -> Rendering:
        rays = ViewRays(pose[None], [camera])
        shaded = self.shade(rays.bundle(rays.of_view(0)), relevance).numpy()
        shaded = shaded.reshape(camera.height, camera.width, -1)
        return Rendering(shaded[..., :3], shaded[..., 3], shaded[..., 4], shaded[..., -1])


class SolidRelevance:
    """Stands in for a trained relevance field: how far inside the first sphere a place is, 0.2 to
    0.8, as rendered values of trained fields are.
    """

    def __init__(self, capture: Capture) -> None:
        self.solid = SolidField(capture)

    def __call__(self, positions: Tensor) -> Tensor:
        """r (..., 1)."""
        on_it = first_sphere(self.solid.in_capture(positions))
        values = torch.from_numpy(np.where(on_it, 0.8, 0.2)).float()
        return values.view(*positions.shape[:-1], 1)

    def composite(self, positions: Tensor, weights: Tensor) -> Tensor:
        return (weights * self(positions)).sum(-2)


def solid_relevance(capture: Capture) -> Relevance:
    """With the calibration of such a field: 0.5 on the person's scale lies between the two."""
    return Relevance(SolidRelevance(capture), Calibration(0.2, 0.5, 0.8))  # type: ignore[arg-type]
