"""How far a mesh is from the true surfaces of a scene of the demo world."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.extraction import TriangleMesh, extract_mesh
from backend.scenes.scene import Scene
from backend.world import world
from backend.world.cameras import ball_around
from backend.world.shapes import distance_function

SAMPLES = 50_000
AT_ONCE = 1 << 16
NEAR = 1.2
"""How far from the middle of the things a place may be that is near them, in radii of the ball
around them: a sky may be nearer to a thing than to the ground wherever it is."""


@dataclass(frozen=True)
class SurfaceDistance:
    """Of places spread evenly over a mesh, in metres.

    Attributes:
        size: of the scene: the diameter of the ball around its things.
        median, ninth_decile: of all places, to whatever surface is nearest.
        things_median, things_ninth_decile: of those near the things (`NEAR`) whose nearest surface
            is a thing's, not the ground's; None where there are none.
        things_share: how many these are, 0..1.
    """

    size: float
    median: float
    ninth_decile: float
    things_median: float | None
    things_ninth_decile: float | None
    things_share: float

    @property
    def median_share(self) -> float:
        """The median as a share of the scene's size."""
        return self.median / self.size


def surface_distance(
    mesh: TriangleMesh, scene: world.Scene, samples: int = SAMPLES, seed: int = 0
) -> SurfaceDistance:
    """Measure a mesh in the world's coordinates.

    Args:
        mesh: of a capture whose coordinates are the world's.
        scene: with one thing at least.
        samples: places at random, as many on a face as its area asks for.
        seed: of these.
    """
    places = on_surface(mesh, samples, seed)
    things, ground = true_distances(scene, places)
    nearest = np.minimum(things, ground)
    middle, radius = ball_around(scene.things)
    near = np.linalg.norm(places - middle, axis=1) < NEAR * radius
    of_things = nearest[near & (things < ground)]
    median, decile = np.quantile(nearest, (0.5, 0.9))
    some = [float(q) for q in np.quantile(of_things, (0.5, 0.9))] if len(of_things) else None
    return SurfaceDistance(
        size=2 * radius,
        median=float(median),
        ninth_decile=float(decile),
        things_median=some[0] if some else None,
        things_ninth_decile=some[1] if some else None,
        things_share=len(of_things) / len(nearest),
    )


def of_scene(scene: Scene, truth: world.Scene) -> dict[str, float]:
    """Figures of the mesh of a scene's field: distances to the true surfaces, in percent of the
    scene's size.

    Args:
        scene: with a trained field; its capture is of the world.
        truth: the world.

    Raises:
        MeshError: the field shows no surface.
    """
    found = surface_distance(extract_mesh(scene.field, scene.capture), truth)
    figures = {
        "mesh, median %": 100 * found.median_share,
        "mesh, 9th decile %": 100 * found.ninth_decile / found.size,
    }
    if found.things_median is not None:
        figures["mesh near things, median %"] = 100 * found.things_median / found.size
    return figures


def on_surface(mesh: TriangleMesh, samples: int, seed: int) -> NDArray[np.float64]:
    """float64 (samples, 3): places spread evenly over a mesh."""
    rng = np.random.default_rng(seed)
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = rng.choice(len(area), samples, p=area / area.sum())
    u, v = rng.random((2, samples, 1))
    folded = u + v > 1
    u, v = np.where(folded, 1 - u, u), np.where(folded, 1 - v, v)
    places: NDArray[np.float64] = a[face] + u * (b - a)[face] + v * (c - a)[face]
    return places


def true_distances(
    scene: world.Scene, places: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of places (n, 3) to the nearest thing's surface, and to the ground, which is
    infinitely far where there is none; float64 (n,) each, both from inside and from outside. Those
    to monkey heads are approximate away from the surface, as their function is.
    """
    things = np.full(len(places), np.inf)
    for thing in scene.things:
        function, _ = distance_function(thing)
        turn = np.array(thing.rotation)
        local = (places - thing.position) @ turn / thing.size
        for start in range(0, len(local), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            off = np.abs(function(local[part].T.astype(np.float32))) * thing.size
            things[part] = np.minimum(things[part], off)
    ground = np.full(len(places), np.inf)
    if scene.ground is not None:
        beyond = np.zeros((len(places), 2))
        if scene.ground.extent is not None:
            c, s = np.cos(scene.ground.yaw), np.sin(scene.ground.yaw)
            x, y = places[:, 0], places[:, 1]
            along = np.stack([c * x + s * y, c * y - s * x], axis=1)
            beyond = np.maximum(np.abs(along) - scene.ground.extent, 0)
        ground = np.sqrt(places[:, 2] ** 2 + (beyond**2).sum(axis=1))
    return things, ground
