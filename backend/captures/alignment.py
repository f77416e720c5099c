"""Comparing two sets of camera poses that live in different coordinates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInput

COLLINEAR = 1e-6
"""Share of the largest spread below which the second largest counts as none."""


@dataclass(frozen=True, eq=False)
class Similarity:
    """p -> scale * rotation @ p + shift.

    Attributes:
        scale: positive.
        rotation: float64 (3, 3), determinant 1.
        shift: float64 (3,).
    """

    scale: float
    rotation: NDArray[np.float64]
    shift: NDArray[np.float64]

    def apply(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 3) to points (..., 3)."""
        return self.scale * points @ self.rotation.T + self.shift

    def apply_to_poses(self, camera_to_world: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rigid poses (n, 4, 4) to rigid poses: the scale changes positions only."""
        poses = camera_to_world.copy()
        poses[:, :3, :3] = self.rotation @ camera_to_world[:, :3, :3]
        poses[:, :3, 3] = self.apply(camera_to_world[:, :3, 3])
        return poses


def fit_similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> Similarity:
    """The similarity that takes `source` nearest to `target` in the least-squares sense (Umeyama,
    "Least-squares estimation of transformation parameters between two point patterns", 1991).

    Args:
        source: float64 (n, 3), n at least 3.
        target: float64 (n, 3), the same points elsewhere.

    Raises:
        BadInput: the points lie on one line or are fewer than 3, so that a turn about it is free.
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 3:
        raise ValueError(f"points must be two arrays (n, 3), not {source.shape}, {target.shape}")
    if len(source) < 3:
        raise BadInput(f"{len(source)} points do not fix a similarity: at least 3 are needed")
    for points in (source, target):
        spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
        if spread[1] <= COLLINEAR * spread[0]:
            raise BadInput("the points lie on one line, which does not fix a similarity")
    # Only now: it takes half a second to load.
    from skimage.transform import SimilarityTransform

    found = SimilarityTransform.from_estimate(source, target)
    return Similarity(float(found.scale), found.params[:3, :3] / found.scale, found.translation)


@dataclass(frozen=True, eq=False)
class PoseErrors:
    """How far poses are from reference poses once they have been aligned.

    Attributes:
        rotation: float64 (n,), degrees between the two orientations of each camera.
        position: float64 (n,), distance between the two places of each camera, as a share of
            `extent`.
        extent: largest distance between two cameras of the reference, in its units.
        alignment: from the poses' coordinates to the reference's.
    """

    rotation: NDArray[np.float64]
    position: NDArray[np.float64]
    extent: float
    alignment: Similarity


def pose_errors(poses: NDArray[np.float64], reference: NDArray[np.float64]) -> PoseErrors:
    """Align poses to reference poses by the cameras' places, and say what is left.

    Args:
        poses: float64 (n, 4, 4), camera to world.
        reference: float64 (n, 4, 4), the same cameras.

    Raises:
        BadInput: fewer than 3 cameras, or all on one line.
    """
    places = reference[:, :3, 3]
    alignment = fit_similarity(poses[:, :3, 3], places)
    aligned = alignment.apply_to_poses(poses)
    extent = float(np.linalg.norm(places[:, None] - places[None], axis=2).max())
    turn = aligned[:, :3, :3].transpose(0, 2, 1) @ reference[:, :3, :3]
    # By its sine and cosine: exact for small angles too, where the cosine alone is not.
    twist = turn - turn.transpose(0, 2, 1)
    sine = np.linalg.norm(twist, axis=(1, 2)) / np.sqrt(8)
    cosine = (np.trace(turn, axis1=1, axis2=2) - 1) / 2
    return PoseErrors(
        rotation=np.degrees(np.arctan2(sine, cosine)),
        position=np.linalg.norm(aligned[:, :3, 3] - places, axis=1) / extent,
        extent=extent,
        alignment=alignment,
    )
