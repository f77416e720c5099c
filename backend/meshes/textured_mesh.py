"""A mesh with a texture, and cameras that look at it: which texel is seen in which pixel.

Everything is in world coordinates, but for the places of texels: these are relative to the middle
of the mesh, as float32 would not hold them far from the origin. Cameras follow OpenGL: x right, y
up, looking along -z. Image coordinates count pixels from the top left corner, so that the centre of
the first pixel is (0.5, 0.5). Textures have row 0 at the top, which is v = 1; they repeat outside
0..1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.captures.lens import Intrinsics
from backend.errors import BadInput
from backend.meshes.rasterise import fragments, nearest

MAX_TILES = 16
"""How many times a texture may be repeated along a triangle."""
FARTHEST_UV = 1e6
"""How many times the texture's side its coordinates may lie away."""
OCCLUDING_EDGE = 0.05
"""Share of the mesh's extent that depth must jump by between two pixels to be an edge."""
DEPTH_BIAS = 2e-3
"""Share of the mesh's extent that a texel may lie behind what its pixel shows."""


class MeshError(BadInput):
    """A mesh, a texture or a view that cannot be used; the text is one sentence."""


@dataclass(frozen=True, eq=False)
class TexturedMesh:
    """Triangles and the texture on them.

    Attributes:
        corners: float64 (F, 3, 3), the triangles' corners in world coordinates.
        uvs: float64 (F, 3, 2), their texture coordinates.
        texture: uint8 (T, S, 3 or 4), sRGB, with or without alpha.
        occluders: float64 (G, 3, 3), triangles that hide this mesh but are not painted.
    """

    corners: NDArray[np.float64]
    uvs: NDArray[np.float64]
    texture: NDArray[np.uint8]
    occluders: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the arrays.

        Raises:
            MeshError: they do not fit together, or hold what is no number.
        """
        faces = len(self.corners)
        if faces == 0:
            raise MeshError("The mesh has no faces with this texture.")
        if self.corners.shape != (faces, 3, 3) or self.uvs.shape != (faces, 3, 2):
            raise MeshError(
                "A mesh needs corners (F, 3, 3) and uvs (F, 3, 2), not "
                f"{self.corners.shape} and {self.uvs.shape}."
            )
        if self.occluders.shape != (len(self.occluders), 3, 3):
            raise MeshError(f"Occluders must be (G, 3, 3), not {self.occluders.shape}.")
        for name, values in (("corners", self.corners), ("uvs", self.uvs)):
            if not np.isfinite(values).all():
                raise MeshError(f"The mesh's {name} hold values that are not numbers.")
        texture = self.texture
        if texture.dtype != np.uint8 or texture.ndim != 3 or texture.shape[2] not in (3, 4):
            raise MeshError(
                f"A texture must be uint8 (T, S, 3 or 4), not {texture.dtype} {texture.shape}."
            )
        if np.abs(self.uvs).max() > FARTHEST_UV:
            raise MeshError(
                f"The mesh's UVs lie more than {FARTHEST_UV:.0f} textures away from 0 to 1, "
                "too far to tell one texel from the next: unwrap the mesh first."
            )
        if np.ptp(self.uvs, axis=1).max() > MAX_TILES:
            raise MeshError(
                f"The texture is repeated more than {MAX_TILES} times over one triangle, so that "
                "no place on the mesh has texels of its own: unwrap the mesh first."
            )

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the texture."""
        return self.texture.shape[0], self.texture.shape[1]

    @cached_property
    def extent(self) -> float:
        """The longest side of the box around the mesh, in world units."""
        points = self.corners.reshape(-1, 3)
        return float(np.ptp(points, axis=0).max())

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """The middle of the box around the mesh, (3,), in world coordinates."""
        points = self.corners.reshape(-1, 3)
        middle: NDArray[np.float64] = (points.min(axis=0) + points.max(axis=0)) / 2
        return middle

    @cached_property
    def texel(self) -> float:
        """A side of the average texel on the mesh, in world units."""
        edges = self.corners[:, 1:] - self.corners[:, :1]
        area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum() / 2
        return float(np.sqrt(area / len(self.surface.texel)))

    @cached_property
    def surface(self) -> "Surface":
        """The place of every texel."""
        return bake_surface(self)


@dataclass(frozen=True, eq=False)
class Surface:
    """Where the texels lie; a texel that several faces share comes several times.

    Attributes:
        texel: int64 (N,), row * columns + column of the texture.
        position: float32 (N, 3), the texel's centre, relative to the mesh's `centre`.
        normal: float32 (N, 3), the triangle's, of length 1; which of its two sides is open.
        face: int64 (N,), the triangle.
    """

    texel: NDArray[np.int64]
    position: NDArray[np.float32]
    normal: NDArray[np.float32]
    face: NDArray[np.int64]


def bake_surface(mesh: TexturedMesh) -> Surface:
    """Rasterise the triangles in UV space: exact at every texel's centre."""
    rows, columns = mesh.size
    tile = np.floor(mesh.uvs.min(axis=1))
    uvs = mesh.uvs - tile[:, None]
    tiles = np.ceil(uvs.max(axis=1)).clip(1, None).astype(int)
    with np.errstate(invalid="ignore", divide="ignore"):
        normals = np.cross(
            mesh.corners[:, 1] - mesh.corners[:, 0], mesh.corners[:, 2] - mesh.corners[:, 0]
        )
        normals = np.nan_to_num(normals / np.linalg.norm(normals, axis=1, keepdims=True))
    texel, position, normal, faces = [], [], [], []
    corners = mesh.corners - mesh.centre
    for across, down in np.ndindex(*tiles.max(axis=0)):
        chosen = np.flatnonzero((tiles > (across, down)).all(axis=1))
        x = (uvs[chosen, :, 0] - across) * columns
        y = (1 - (uvs[chosen, :, 1] - down)) * rows
        for some in fragments(np.stack([x, y, np.ones_like(x)], axis=-1), rows, columns):
            face = chosen[some.face]
            texel.append(some.pixel)
            position.append(np.einsum("nk,nkd->nd", some.weights, corners[face]).astype(np.float32))
            normal.append(normals[face].astype(np.float32))
            faces.append(face)
    if not texel or not sum(map(len, texel)):
        raise MeshError(
            "The mesh's UV map covers no texel of the texture: unwrap the mesh, or choose the UV "
            "map that belongs to the texture."
        )
    return Surface(
        np.concatenate(texel),
        np.concatenate(position),
        np.concatenate(normal),
        np.concatenate(faces),
    )


@dataclass(frozen=True, eq=False)
class MeshView:
    """A render of the mesh and the camera that it was taken from.

    Attributes:
        image: uint8 (H, W, 3), sRGB.
        intrinsics: the pinhole camera, in pixels of `image`.
        camera_to_world: float64 (4, 4), rigid, OpenGL.
    """

    image: NDArray[np.uint8]
    intrinsics: Intrinsics
    camera_to_world: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the arrays.

        Raises:
            MeshError: image and camera do not fit together, or the pose is not rigid.
        """
        image, camera = self.image, self.intrinsics
        if image.dtype != np.uint8 or image.shape != (camera.height, camera.width, 3):
            raise MeshError(
                f"A view must be uint8 {(camera.height, camera.width, 3)} as its camera says, not "
                f"{image.dtype} {image.shape}."
            )
        pose = self.camera_to_world
        turn = pose[:3, :3]
        if (
            pose.shape != (4, 4)
            or not np.isfinite(pose).all()
            or not np.allclose(turn @ turn.T, np.eye(3), atol=1e-4)
            or np.linalg.det(turn) < 0
        ):
            raise MeshError("A view's camera_to_world must be a rigid 4x4 matrix.")


def project(
    points: NDArray[np.floating], intrinsics: Intrinsics, camera_to_world: NDArray[np.float64]
) -> NDArray[np.float64]:
    """World points (..., 3) to homogeneous image coordinates (..., 3): (x w, y w, w), where w is
    the distance along the viewing axis in world units.
    """
    turn, place = camera_to_world[:3, :3], camera_to_world[:3, 3]
    to_pixels = np.array(
        [
            [intrinsics.fx, 0.0, -intrinsics.cx],
            [0.0, -intrinsics.fy, -intrinsics.cy],
            [0.0, 0.0, -1.0],
        ]
    )
    # several times faster than `@`, which hands rows of three to BLAS one by one
    projected: NDArray[np.float64] = np.einsum(
        "...i,ij->...j", points - place, np.ascontiguousarray((to_pixels @ turn.T).T)
    )
    return projected


@dataclass(frozen=True, eq=False)
class SeenTexture:
    """What a view shows of the mesh. A pixel is the mean of samples x samples points in it.

    Attributes:
        pixel: int64 (M,), row * W + column of each point that shows the mesh.
        uv: float32 (M, 2), what it shows.
        samples: points a pixel, along each side.
        coverage: float32 (H, W), share of the pixel that shows the mesh.
        depth: float32 (H samples, W samples), distance along the viewing axis of whatever is
            there, infinite where nothing is.
        confidence: float32 (H, W), 0..1, rises from 0 at the mesh's visible borders.
    """

    pixel: NDArray[np.int64]
    uv: NDArray[np.float32]
    samples: int
    coverage: NDArray[np.float32]
    depth: NDArray[np.float32]
    confidence: NDArray[np.float32]

    def render(self, texture: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean of a texture, float32 (T, S, C), over each pixel's points; points that do not
        show the mesh count as 0. Returns float32 (H, W, C). The texture is read linearly.
        """
        height, width = self.coverage.shape
        values = sample(texture, uv_to_image(self.uv, *texture.shape[:2]), wrap=True)
        means = [
            np.bincount(self.pixel, values[:, c], height * width) / self.samples**2
            for c in range(texture.shape[2])
        ]
        return np.stack(means, axis=-1).reshape(height, width, -1).astype(np.float32)


def see_texture(mesh: TexturedMesh, view: MeshView, samples: int, border: float) -> SeenTexture:
    """Rasterise the mesh from a view.

    Args:
        mesh: what is seen.
        view: from where; its image is not looked at.
        samples: points a pixel, along each side.
        border: pixels from the mesh's visible borders at which confidence reaches 1.
    """
    height, width = view.intrinsics.height, view.intrinsics.width
    camera = view.intrinsics.resized(width * samples, height * samples)
    triangles = np.concatenate([mesh.corners, mesh.occluders])
    corners = project(triangles, camera, view.camera_to_world)
    seen = nearest(corners, camera.height, camera.width, near=1e-4 * mesh.extent)
    row, column = np.nonzero((seen.face >= 0) & (seen.face < len(mesh.corners)))
    face = seen.face[row, column]
    uv = np.einsum("nk,nkd->nd", seen.weights[row, column], mesh.uvs[face])
    pixel = row // samples * width + column // samples
    coverage = np.bincount(pixel, minlength=height * width) / samples**2
    shown = coverage.reshape(height, width).astype(np.float32)
    inner = shown == 1
    for axis in (0, 1):
        with np.errstate(invalid="ignore"):
            jump = np.abs(np.diff(seen.depth, axis=axis)) > OCCLUDING_EDGE * mesh.extent
        at = list(np.nonzero(jump))
        inner[at[0] // samples, at[1] // samples] = False
        at[axis] = at[axis] + 1
        inner[at[0] // samples, at[1] // samples] = False
    distance = ndimage.distance_transform_edt(np.pad(inner, 1))[1:-1, 1:-1]
    confidence = ((distance - 0.5) / max(border, 0.5)).clip(0, 1) * inner
    return SeenTexture(
        pixel,
        in_tile(uv).astype(np.float32),
        samples,
        shown,
        seen.depth,
        confidence.astype(np.float32),
    )


@dataclass(frozen=True, eq=False)
class SeenSurface:
    """The texels that a view shows, and where.

    Attributes:
        index: int64 (K,), into the arrays of `Surface`.
        point: float32 (K, 2), image coordinates.
        weight: float32 (K,), above 0: how well it is seen, by its angle to the view.
    """

    index: NDArray[np.int64]
    point: NDArray[np.float32]
    weight: NDArray[np.float32]


def see_surface(
    mesh: TexturedMesh,
    view: MeshView,
    depth: NDArray[np.float32],
    least_cosine: float,
    angle_power: float,
) -> SeenSurface:
    """Find the texels that a view shows.

    Args:
        mesh: what is seen.
        view: from where.
        depth: `SeenTexture.depth` of the same view.
        least_cosine: 0..1, cosine between normal and viewing direction from which a texel counts.
        angle_power: its weight is the cosine to this power.
    """
    surface, camera = mesh.surface, view.intrinsics
    pose = view.camera_to_world.copy()
    pose[:3, 3] -= mesh.centre
    to_camera = pose[:3, 3].astype(np.float32) - surface.position
    distance = np.linalg.norm(to_camera, axis=1).clip(1e-12, None)
    cosine = np.einsum("nd,nd->n", surface.normal, to_camera) / distance
    # Normals of scans may point either way: what is turned away is hidden by its own mesh.
    cosine = np.abs(cosine)
    index = np.flatnonzero(cosine > least_cosine)
    cosine = cosine[index]
    projected = project(surface.position[index], camera, pose)
    w = projected[:, 2]
    ahead = w > 1e-4 * mesh.extent
    point = projected[:, :2] / np.where(ahead, w, 1.0)[:, None]
    inside = ahead & (point >= 0).all(axis=1) & (point < (camera.width, camera.height)).all(axis=1)
    index, cosine, w, point = index[inside], cosine[inside], w[inside], point[inside]
    finer = depth.shape[0] / camera.height
    column, row = (point * finer).astype(np.int64).T
    # Across one point of the depth map, a slanted surface's depth changes by its tangent.
    slope = np.sqrt(1 - np.minimum(cosine, 1) ** 2) / cosine
    bias = DEPTH_BIAS * mesh.extent + w / (finer * min(camera.fx, camera.fy)) * slope
    near = w <= depth[row.clip(0, depth.shape[0] - 1), column.clip(0, depth.shape[1] - 1)] + bias
    weight = cosine[near] ** angle_power
    return SeenSurface(index[near], point[near].astype(np.float32), weight.astype(np.float32))


def in_tile(uv: NDArray[np.floating]) -> NDArray[np.floating]:
    """Texture coordinates (..., 2) of what repeats, 0..1: float32 would not hold those far away."""
    within: NDArray[np.floating] = uv - np.floor(uv)
    return within


def uv_to_image(uv: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Texture coordinates (..., 2) to image coordinates (..., 2) of a texture."""
    return np.stack([uv[..., 0] * columns, (1 - uv[..., 1]) * rows], axis=-1)


def sample(
    image: NDArray[np.float32], points: NDArray[np.float32], wrap: bool = False
) -> NDArray[np.float32]:
    """Read an image (H, W, C) linearly at image coordinates (N, 2); returns float32 (N, C). Beyond
    the borders it repeats where `wrap` is set, and else goes on as at the border.
    """
    height, width, channels = image.shape
    result = np.zeros((len(points), channels), np.float32)
    flat = image.reshape(-1, channels)
    for texel, share in linear_weights(points, height, width, wrap):
        result += share[:, None] * flat[texel]
    return result


def linear_weights(
    points: NDArray[np.float32], height: int, width: int, wrap: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """The four texels that `sample` reads at each point, (N,), row * width + column, and what each
    of them counts, float32 (N,).
    """
    x, y = (points - np.float32(0.5)).T
    left, top = np.floor(x), np.floor(y)
    across, down = x - left, y - top
    for dx, dy in np.ndindex(2, 2):
        column, row = left.astype(np.int64) + dx, top.astype(np.int64) + dy
        if wrap:
            column, row = column % width, row % height
        else:
            column, row = column.clip(0, width - 1), row.clip(0, height - 1)
        yield (
            row * width + column,
            (across if dx else 1 - across) * (down if dy else 1 - down),
        )


def margin_source(covered: NDArray[np.bool_], margin: int) -> NDArray[np.int64]:
    """For the texels around UV islands, which texel of an island they continue.

    A renderer that reads textures linearly, or scaled down, reads some way beyond the islands.

    Args:
        covered: bool (T, S), the texels that a face covers.
        margin: texels around the islands that are filled.

    Returns:
        int64 (T S,): the nearest covered texel (itself where it is covered), -1 beyond the margin.
    """
    if covered.all():
        return np.arange(covered.size)
    distance, (row, column) = ndimage.distance_transform_edt(~covered, return_indices=True)
    source = np.where(distance <= margin, row * covered.shape[1] + column, -1)
    flat: NDArray[np.int64] = source.reshape(-1).astype(np.int64)
    return flat
