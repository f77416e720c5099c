"""Painting on a mesh through its views: what an edited view changes goes into the texture, and the
texture's changes come back in every other view.

Only changes are carried over, never colours, so that texels keep the detail that is finer than a
view's pixels. In a lit view a pixel is the light's `shade` times the texture's colour, in linear
light: a change is divided by it on its way to the texture and multiplied by it on the way back, so
that a texture never takes up light and shadow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from backend.meshes.connectivity import (
    SeamPoints,
    inside_at_seams,
    islands,
    seam_points,
    seams_of,
)
from backend.meshes.nearest import nearest_on_mesh
from backend.meshes.seam_levelling import levelled
from backend.meshes.textured_mesh import (
    MeshError,
    MeshView,
    SeenSurface,
    SeenTexture,
    TexturedMesh,
    margin_source,
    sample,
    see_surface,
    see_texture,
)

Floats = NDArray[np.float32]

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # Rec. 709, linear light
SHADES = (1 / 32, 32.0)
BURNT_OUT = 0.98
LEAST_CONFIDENCE = 0.05
"""What a pixel counts at least that is badly lit."""


@dataclass(frozen=True)
class PaintConfig:
    """How views and texture go together."""

    lit: bool = True
    """Whether the views show the mesh in light, display-referred as Blender's "Standard" view
    transform does it, or its unlit texture."""
    least_cosine: float = 0.2
    """Cosine between a texel's normal and a view's direction from which the view counts for it."""
    angle_power: float = 2.0
    """A view counts by that cosine to this power."""
    border: float = 2.0
    """Pixels from the mesh's visible borders at which a pixel counts in full."""
    samples: int = 3
    """Points a pixel, along each side, at which the texture is read for a render."""
    shade_blur: float = 0.02
    """Share of a view's height over which light is taken to be even (standard deviation)."""
    unseen_reach: float = 0.05
    """Share of the mesh's extent up to which texels that no view shows follow their neighbours."""
    margin: int = 16
    """Texels around the UV islands that follow the island's border."""


@dataclass(frozen=True, eq=False)
class PreparedView:
    """A view and all that does not change while the texture does.

    Attributes:
        image: uint8 (H, W, 3), the original.
        original: float32 (H, W, 3), the same in 0..1.
        seen: the mesh in its pixels.
        surface: the texels that it shows.
        shade: float32 (H, W, 1), how much brighter than the texture it shows the mesh; 1 if unlit.
        plain: float32 (H, W, 3), the original texture in this view, unlit, linear.
        confidence: float32 (H, W), what a pixel counts.
    """

    image: NDArray[np.uint8]
    original: Floats
    seen: SeenTexture
    surface: SeenSurface
    shade: Floats
    plain: Floats
    confidence: Floats


def prepare_views(
    mesh: TexturedMesh, views: Sequence[MeshView], config: PaintConfig
) -> list[PreparedView]:
    """Find which texels each view shows in which pixels, and how they are lit.

    Raises:
        MeshError: no view shows the mesh.
    """
    texture = to_linear(_floats(mesh.texture[..., :3]))
    prepared = []
    for view in views:
        seen = see_texture(mesh, view, config.samples, config.border)
        surface = see_surface(mesh, view, seen.depth, config.least_cosine, config.angle_power)
        original = _floats(view.image)
        plain = seen.render(texture) / seen.coverage.clip(1e-6, None)[..., None]
        shade = np.ones_like(plain[..., :1])
        confidence = seen.confidence
        if config.lit:
            shade = evened_shade(original, plain, seen.coverage, config.shade_blur)
            # Little light leaves little colour, and burnt-out pixels none.
            usual = np.median(shade[seen.coverage > 0]) if len(seen.pixel) else 1.0
            bright = shade[..., 0] / usual
            burnt = original.max(axis=2) > BURNT_OUT
            confidence = (
                confidence * bright.clip(LEAST_CONFIDENCE, 1) * np.where(burnt, LEAST_CONFIDENCE, 1)
            )
        prepared.append(
            PreparedView(
                view.image, original, seen, surface, shade, plain, confidence.astype(np.float32)
            )
        )
    if not any(len(view.seen.pixel) for view in prepared):
        raise MeshError("None of the views shows the mesh: check the cameras.")
    return prepared


class Painting:
    """The texture's changes while views are edited one after the other.

    Every view keeps what its latest edit changed; a texel's change is the mean of these, weighted
    by how well each view sees it.

    Attributes:
        region: bool (T, S), the texels to edit, without margin. With a rim, its outer half lies
            beyond them.
        masks: bool (H, W) for each view: where it shows the region.
        changes: float32 (R, 3), what is added to the texels that may change, in sRGB from -1 to 1.
        source: int64 (T S,), see `margin_source`.
    """

    def __init__(
        self,
        mesh: TexturedMesh,
        views: Sequence[PreparedView],
        region: NDArray[np.bool_],
        config: PaintConfig,
        rim: float = 0.0,
        things: NDArray[np.int32] | None = None,
    ) -> None:
        """Begin with the mesh's own texture.

        Args:
            mesh: to be painted.
            views: of it.
            region: bool (T, S), the texels to edit.
            config: how views and texture go together.
            rim: texels over which the region's edge is soft, half of them on each side.
            things: int32 (F,), each triangle's thing: what no edit reaches follows its own. None
                where whatever is nearest may be followed.
        """
        self.mesh, self.views, self.region, self.config = mesh, views, region, config
        self._things = things
        covered = np.zeros(region.size, np.bool_)
        covered[mesh.surface.texel] = True
        self.source = margin_source(covered.reshape(region.shape), config.margin)
        share = edited_share_of_texels(mesh, region, rim)
        self._texels = np.flatnonzero(share)
        self._share = share.reshape(-1)[self._texels, None]
        self._number = np.full(region.size, -1, np.int64)
        self._number[self._texels] = np.arange(len(self._texels))
        self._seen = [self._in_region(view.surface) for view in views]
        self._sums = np.zeros((len(self._texels), 4))
        self._latest: dict[int, NDArray[np.float64]] = {}
        self.changes = np.zeros((len(self._texels), 3), np.float32)
        # The texture as it is now, linear, and its texels that follow the region's.
        self._original = _floats(mesh.texture[..., :3])
        self._texture = to_linear(self._original)
        follows = self._number[self.source.clip(0)]
        self._painted = np.flatnonzero((self.source >= 0) & (follows >= 0))
        self._follows = follows[self._painted]
        self._levelled = np.zeros((len(self._painted), 3), np.float32)
        shown = spread_to_margin(region.astype(np.float32), self.source)[..., None]
        self.masks = tuple(view.seen.render(shown)[..., 0] >= 0.5 for view in views)

    def painted(self, index: int) -> float:
        """Share of the region in a view, 0..1, that some edit has reached."""
        number = self._seen[index][1]
        return float((self._sums[number, 3] > 0).mean()) if len(number) else 0.0

    def render(self, index: int) -> NDArray[np.uint8]:
        """uint8 (H, W, 3): a view with the texture as it is now; without changes the original."""
        view = self.views[index]
        now = view.seen.render(self._texture) / view.seen.coverage.clip(1e-6, None)[..., None]
        change = to_srgb(now * view.shade) - to_srgb(view.plain * view.shade)
        image = view.original + change * view.seen.coverage[..., None]
        changed = self.masks[index] | (np.abs(change).max(axis=2) > 1 / 512)
        return np.where(changed[..., None], _bytes(image), view.image)

    def write(self, index: int, edited: NDArray[np.uint8]) -> None:
        """Take a view's edit, uint8 (H, W, 3), into the texture in place of its earlier one."""
        view, (seen, number) = self.views[index], self._seen[index]
        lit = to_srgb(view.plain * view.shade)
        edited_lit = (lit + _floats(edited) - view.original).clip(0, 1)
        change = to_srgb(to_linear(edited_lit) / view.shade) - to_srgb(to_linear(lit) / view.shade)
        counts = (view.confidence * self.masks[index])[..., None]
        taken = sample(np.concatenate([change * counts, counts], axis=-1), view.surface.point[seen])
        taken *= view.surface.weight[seen, None]
        sums = np.zeros((len(self._texels), 4))
        for channel in range(4):
            sums[:, channel] = np.bincount(number, taken[:, channel], len(self._texels))
        self._sums += sums - self._latest.get(index, 0.0)
        self._latest[index] = sums
        weight = self._sums[:, 3:]
        known = weight[:, 0] > 1e-9
        changes = np.where(known[:, None], self._sums[:, :3] / weight.clip(1e-9, None), 0.0)
        self._set(changes.astype(np.float32))

    def fill(self) -> None:
        """Let texels that may change and that no edit has reached follow their neighbours: those of
        their own thing first.
        """
        number = self._number[self.mesh.surface.texel]
        reached = np.append(self._sums[:, 3] > 0, False)
        changes = self.changes.copy()
        for things in (None,) if self._things is None else (self._things, None):
            empty, source = nearest_on_mesh(
                self.mesh, reached[number], (number >= 0) & ~reached[number], np.inf, things
            )
            changes[number[empty]] = changes[number[source]]
            reached[number[empty]] = True
        self._set(changes)
        self._level()
        self._set(changes)

    def _level(self) -> None:
        """Add what it takes for the seams within the region to show no more than they did."""
        free, after = np.zeros(self.region.shape, np.bool_), self._original.copy()
        free.reshape(-1)[self._painted] = True
        seams = seams_of(self.mesh)
        inside = inside_at_seams(self.mesh, seams, free).all(axis=1)
        points = seam_points(self.mesh, seams)
        points = SeamPoints(points.seam[inside], points.uvs[inside], points.places[inside])
        self._levelled[:] = 0
        after.reshape(-1, 3)[self._painted] = self._colours().clip(0, 1)
        island = np.zeros(self.region.size, np.int32)
        island[self.mesh.surface.texel] = islands(self.mesh)[self.mesh.surface.face]
        island = island[self.source.clip(0)].reshape(self.region.shape)
        texels, added = levelled(self._original, after, free, island, points)
        self._levelled[np.searchsorted(self._painted, texels)] = added

    def texture(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The texture as it is now, uint8 as the mesh's own, and where it may differ from it, bool
        (T, S): the region and its margin. Elsewhere its bytes are the mesh's.
        """
        texture = self.mesh.texture.copy()
        region = np.zeros(self.region.size, np.bool_)
        region[self._painted] = True
        texture.reshape(-1, texture.shape[2])[self._painted, :3] = _bytes(self._colours())
        return texture, region.reshape(self.region.shape)

    def _set(self, changes: Floats) -> None:
        self.changes = changes
        self._texture.reshape(-1, 3)[self._painted] = to_linear(self._colours().clip(0, 1))

    def _colours(self) -> Floats:
        """(P, 3): what the region's texels and those that follow them are now, sRGB."""
        before = self._original.reshape(-1, 3)[self._texels]
        after = before + self.changes
        soft = np.flatnonzero(self._share[:, 0] < 1)
        share = self._share[soft]
        mixed = (1 - share) * to_linear(before[soft]) + share * to_linear(after[soft].clip(0, 1))
        after[soft] = to_srgb(mixed)
        colours: Floats = after[self._follows] + self._levelled
        return colours

    def _in_region(self, surface: SeenSurface) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which entries of a view's surface lie in the region, and which of the texels that may
        change they are.
        """
        texel = self.mesh.surface.texel[surface.index]
        inside = np.flatnonzero(self.region.reshape(-1)[texel]).astype(np.int64)
        return inside, self._number[texel[inside]]


def spread_to_margin(values: Floats, source: NDArray[np.int64]) -> Floats:
    """A texture (T, S) in which the texels around UV islands continue them; see `margin_source`."""
    spread = values.reshape(-1)[source.clip(0)]
    return np.where(source >= 0, spread, values.reshape(-1)).reshape(values.shape)


def edited_share_of_texels(mesh: TexturedMesh, region: NDArray[np.bool_], rim: float) -> Floats:
    """How much of an edit each texel takes, float32 (T, S), 0..1: all of it in the region, bool
    (T, S), and none outside, but for a rim of so many texels, half of them on each side of its
    edge. Distances are along straight lines on the mesh, so that a rim goes on across seams.
    """
    share = region.astype(np.float32)
    if rim <= 0:
        return share
    surface = mesh.surface
    inside = region.reshape(-1)[surface.texel]
    for own in (True, False):
        mine = np.flatnonzero(inside == own)
        others = np.flatnonzero(inside != own)
        if not len(mine) or not len(others):
            continue
        distance, _ = cKDTree(surface.position[others]).query(
            surface.position[mine], distance_upper_bound=(rim + 1) * mesh.texel
        )
        # the edge runs halfway between a texel inside and one outside
        beyond = ((distance / mesh.texel - 0.5) / rim).clip(0, 0.5)
        values = 0.5 + beyond if own else 0.5 - beyond
        # a texel of several places takes the most of them
        best = np.zeros(share.size, np.float32)
        np.maximum.at(best, surface.texel[mine], values.astype(np.float32))
        chosen = surface.texel[mine]
        share.reshape(-1)[chosen] = best[chosen]
    return share


def evened_shade(
    original: Floats,
    plain: Floats,
    coverage: Floats,
    blur: float,
) -> Floats:
    """float32 (H, W, 1): luminance of a lit view over that of its unlit texture, both evened out
    over `blur` times the view's height, which outlasts dark texels and small shifts.
    """
    inner = (coverage == 1).astype(np.float32)
    width = blur * coverage.shape[0]
    lit, unlit = (
        ndimage.gaussian_filter(inner * (colours @ LUMINANCE), width)
        for colours in (to_linear(original), plain)
    )
    shade = np.where(unlit > 1e-6, lit / unlit.clip(1e-6, None), 1.0)
    return shade.clip(*SHADES)[..., None].astype(np.float32)


def _floats(image: NDArray[np.uint8]) -> Floats:
    """uint8 to 0..1."""
    return image.astype(np.float32) * np.float32(1 / 255)


def to_linear(srgb: Floats) -> Floats:
    """sRGB 0..1 to linear light (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(
        np.float32
    )


def to_srgb(linear: Floats) -> Floats:
    """Linear light to sRGB 0..1; what is brighter than white is white."""
    linear = linear.clip(0, 1)
    return np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055
    ).astype(np.float32)


def _bytes(image: Floats) -> NDArray[np.uint8]:
    """0..1 to uint8."""
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8)
