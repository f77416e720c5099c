"""Edit the texture of a known mesh by an instruction: the dataset update of section 4.3, with the
textured mesh in place of a radiance field.

1. Relevance maps of all views are normalised together and gathered per texel, each view counting
   by how well it sees the texel. Snapped to what is there and thresholded, they are the region.
2. View by view: the current render, noised to a random level, is edited inside the region,
   conditioned on the original view; what the edit changed is blended into the texture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.counts import check_counts
from backend.editing import ImageEditor, Step
from backend.errors import BadInput, check_instruction, check_settings, check_value
from backend.meshes import connectivity
from backend.meshes.painting import (
    PaintConfig,
    Painting,
    PreparedView,
    prepare_views,
    spread_to_margin,
)
from backend.meshes.texture_region import TextureRegion, texture_region
from backend.meshes.texture_relevance import map_views
from backend.meshes.textured_mesh import MeshError, MeshView, TexturedMesh
from backend.output.progress import OnPreview
from backend.pictures.changes import NOWHERE, UNSEEN
from backend.pictures.visible_change import LEAST_SHARE, changed_share
from protocol.settings import (
    EditSettings,
    MapSettings,
    RegionSettings,
    TextureSettings,
    Threshold,
    taken,
)
from protocol.values import Snap

VISIBLE = 0.1
"""Change of a colour's channel, as a share of its range, that is seen at a glance."""


@dataclass(frozen=True)
class MeshEditConfig(PaintConfig, MapSettings, RegionSettings, TextureSettings):
    """All settings of a texture edit."""

    threshold: float | None = None
    """0..1, relevance from which a texel is edited; None parts the texels by Otsu's method."""
    noise_range: tuple[float, float] = (0.02, 0.98)
    """Levels that a render is noised to, drawn evenly. As much of a view's region as no edit has
    reached yet, so much of the range is left out from below: the first edit starts at its end.
    Every round has half the range of the one before, and another order of the views, so that they
    agree in the end."""
    settled: float = 0.01
    """Mean change of the region's texels in a round, 0..1, below which it was the last."""


@dataclass(frozen=True, eq=False)
class EditedView:
    """One edit of one view.

    Attributes:
        view: which view.
        round: in which round, from 0.
        before: uint8 (H, W, 3), the render that the edit started from.
        after: uint8 (H, W, 3), the edited view.
        mask: bool (H, W), the region in this view.
        seed: of its noise.
        noise_level: 0..1, that it started from.
    """

    view: int
    round: int
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    seed: int
    noise_level: float


@dataclass(frozen=True, eq=False)
class MeshEdit:
    """An edited texture.

    Attributes:
        texture: uint8, as the mesh's own; texels outside `region` have its bytes.
        relevance: float32 (T, S), 0..1, snapped, 0 where it is not known.
        region: bool (T, S), the texels that were edited, with their margin.
        threshold: what the relevance was thresholded at.
        applies: whether the prompt check passed in all views together, or None with one seed.
        renders: uint8 (H, W, 3) for each view, how it looks with the new texture.
        masks: bool (H, W) for each view, the region in it.
        edits: every edit of a view, in the order in which they were made.
        took: what the region keeps to.
        things: which kind of things, where it is made of whole ones: see `TextureRegion.kind`.
        why: one sentence where there is a region and it does not keep to what was asked for, else
            "".
    """

    texture: NDArray[np.uint8]
    relevance: NDArray[np.float32]
    region: NDArray[np.bool_]
    threshold: float
    applies: bool | None
    renders: tuple[NDArray[np.uint8], ...]
    masks: tuple[NDArray[np.bool_], ...]
    edits: tuple[EditedView, ...]
    took: Snap = "nothing"
    things: str = ""
    why: str = ""


def edit_mesh(
    mesh: TexturedMesh,
    views: Sequence[MeshView],
    instruction: str,
    editor: ImageEditor,
    config: MeshEditConfig | None = None,
    on_progress: OnPreview | None = None,
    things: NDArray[np.int32] | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> MeshEdit:
    """Edit a mesh's texture where an instruction applies.

    Args:
        mesh: the mesh and its texture; not changed.
        views: renders of it, of one size.
        instruction: such as "turn the bear into a panda".
        editor: the model; its image is another one afterwards.
        config: by default `MeshEditConfig()`.
        on_progress: told what is being done; what it raises ends the edit.
        things: int32 (F,), a label of each triangle, where the region is made of whole things; None
            for the mesh's own pieces and UV islands.
        mask: bool (T, S), the texels to edit in place of those that a relevance reaches, which is
            not looked for then: the edit's `relevance` is 1 there, its `threshold` 1.

    Raises:
        MeshError: no view shows the mesh, the views are not of one size, there are not as many
            labels as triangles, or the mask holds no texel of the mesh.
        BadInput: a setting is out of range.
    """
    config = config or MeshEditConfig()
    report = on_progress or (lambda words, fraction, preview: None)
    check_instruction(instruction)
    _check(mesh, views, things, config)
    draws = 0 if mask is not None else len(views) * len(config.relevance_seeds)
    total = draws + config.rounds * len(views) * (config.steps + 1) + 1

    def tell(words: str, done: int, preview: NDArray[np.uint8] | None = None) -> None:
        report(words, done / total, preview)

    tell("Finding what each view shows", 0)
    prepared = prepare_views(mesh, views, config)
    if mask is not None:
        where = _inside(mesh, mask, things)
    else:
        where = _find(mesh, prepared, instruction, editor, config, things, tell)
    found = where.region
    inside = found.known & (found.values >= where.threshold)
    painting = Painting(mesh, prepared, inside, config, config.rim, found.things)
    edits = _edit_views(painting, prepared, instruction, editor, config, tell, draws)
    tell("Writing the texture", total - 1)
    painting.fill()
    texture, region = painting.texture()
    return MeshEdit(
        texture=texture,
        relevance=spread_to_margin(found.values, painting.source),
        region=region,
        threshold=where.threshold,
        applies=where.applies,
        renders=tuple(painting.render(index) for index in range(len(views))),
        masks=painting.masks,
        edits=tuple(edits),
        took=found.took,
        things=found.kind,
        why=found.why if inside.any() else "",
    )


class _Tell(Protocol):
    """Is told what is being done, how many draws and denoising steps are done, and a render."""

    def __call__(
        self, words: str, done: int, preview: NDArray[np.uint8] | None = None, /
    ) -> None: ...


@dataclass(frozen=True, eq=False)
class _Where:
    """Where an instruction applies.

    Attributes:
        region: the relevance of the texels.
        threshold: 0..1, from which the region begins.
        applies: what the prompt check says of all views together, or None with one seed.
    """

    region: TextureRegion
    threshold: float
    applies: bool | None


def _find(
    mesh: TexturedMesh,
    views: Sequence[PreparedView],
    instruction: str,
    editor: ImageEditor,
    config: MeshEditConfig,
    things: NDArray[np.int32] | None,
    tell: _Tell,
) -> _Where:
    """The relevance of all views, gathered per texel."""

    def on_view(done: int, view: int) -> None:
        tell(f"Relevance of view {view + 1} of {len(views)}", done, views[view].image)

    maps = map_views(views, instruction, editor, taken(MapSettings, config), on_view)
    suggested = maps.suggested_threshold
    region = texture_region(mesh, views, maps.at_pixels, suggested, config.snap, things, config)
    threshold = suggested if config.threshold is None else config.threshold
    return _Where(region, threshold, maps.applies)


def _inside(
    mesh: TexturedMesh, mask: NDArray[np.bool_], things: NDArray[np.int32] | None
) -> _Where:
    """The texels that lie on the mesh of those that were given, bool (T, S). What no edit reaches
    follows the mesh's own pieces where nobody has said what a thing is.

    Raises:
        MeshError: there are none, or the mask is of another size.
    """
    if mask.shape != mesh.size:
        raise MeshError(f"The mask is {mask.shape} but the texture is {mesh.size}.")
    covered = np.zeros(mesh.size, np.bool_)
    covered.reshape(-1)[mesh.surface.texel] = True
    inside = mask & covered
    if not inside.any():
        raise MeshError("The mask holds no texel of the mesh: nothing would change.")
    things = connectivity.pieces(mesh) if things is None else things
    region = TextureRegion(inside.astype(np.float32), covered, "nothing", "", things, "")
    return _Where(region, 1.0, None)


def _edit_views(
    painting: Painting,
    views: Sequence[PreparedView],
    instruction: str,
    editor: ImageEditor,
    config: MeshEditConfig,
    tell: _Tell,
    done: int,
) -> list[EditedView]:
    """Edits the views in rounds, each edit being painted before the next. `done` counts the draws
    before.
    """
    edits: list[EditedView] = []
    random = np.random.default_rng(config.seed)
    for number in range(config.rounds if painting.region.any() else 0):
        before = painting.changes.copy()
        low, high = config.noise_range
        high = low + (high - low) / 2**number
        for count, index in enumerate(random.permutation(len(views))):
            level = high - (high - low) * painting.painted(index) * random.random()
            seed = int(random.integers(2**31))
            mask = painting.masks[index]
            if not mask.any():
                continue
            start = painting.render(index)
            words = f"Round {number + 1} of {config.rounds}, view {count + 1} of {len(views)}"
            begun = done + count * (config.steps + 1)
            tell(words, begun, start)
            editor.set_image(views[index].image)
            edit = editor.edit(
                instruction,
                # the texture has its rim once, at the end
                settings=replace(taken(EditSettings, config), strength=level, seed=seed, rim=0.0),
                mask=mask,
                start=start,
                on_step=_teller(tell, words, begun),
            )
            painting.write(index, edit.image)
            edits.append(EditedView(int(index), number, start, edit.image, mask, seed, level))
        done += len(views) * (config.steps + 1)
        if number > 0 and np.abs(painting.changes - before).mean() < config.settled:
            break
    return edits


def edited_share(mesh: TexturedMesh, region: NDArray[np.bool_]) -> float:
    """Of the texels that lie on the mesh, how much is in the region (bool (T, S)); 0..1."""
    return float(region.reshape(-1)[np.unique(mesh.surface.texel)].mean())


def colour_change(mesh: TexturedMesh, edit: MeshEdit) -> tuple[float, float] | None:
    """How much an edit has changed: a texture that stays as it was re-renders well, too.

    Returns:
        Over the region's texels that lie on the mesh: the mean absolute difference from the
        original over texels and channels, as a share of the range of colours, and the share of
        texels of which a channel has changed by more than VISIBLE. None without a region.
    """
    on_mesh = np.zeros(edit.region.size, np.bool_)
    on_mesh[mesh.surface.texel] = True
    chosen = edit.region & on_mesh.reshape(edit.region.shape)
    if not chosen.any():
        return None
    apart = np.abs(edit.texture[..., :3].astype(np.float64) - mesh.texture[..., :3])[chosen] / 255
    return float(apart.mean()), float((apart.max(axis=1) > VISIBLE).mean())


def outcome_note(mesh: TexturedMesh, edit: MeshEdit) -> str | None:
    """A sentence that begins with the word "Unchanged" where an edit has changed nothing of a
    mesh's texture, or nothing that can be seen.
    """
    if not edit.region.any():
        if not edit.relevance.any():
            return NOWHERE
        return f"Unchanged: no texel reaches the threshold of {edit.threshold:.2f}. Lower it."
    share = changed_share(mesh.texture[..., :3], edit.texture[..., :3], edit.region, UNSEEN)
    if share >= LEAST_SHARE:
        return None
    return (
        f"Unchanged: the texture shows no difference of more than {UNSEEN} of 255 in what the "
        "instruction is about. Say it in other words, raise the text guidance, or take more rounds."
    )


def rerender_difference(edit: MeshEdit) -> tuple[float, float] | None:
    """How far the renders with the new texture are from the latest edit of each view.

    Returns:
        The mean absolute difference over the region's pixels and channels, as a share of the range
        of colours: of all edited views, and of the worst one. None where none was edited.
    """
    latest = {one.view: one for one in edit.edits}
    if not latest:
        return None
    shares = []
    for view, one in latest.items():
        apart = np.abs(edit.renders[view].astype(np.float64) - one.after)[one.mask]
        shares.append(float(apart.mean()) / 255)
    pixels = [int(one.mask.sum()) for one in latest.values()]
    return float(np.average(shares, weights=pixels)), max(shares)


def _teller(tell: _Tell, words: str, begun: int) -> Callable[[Step], None]:
    """Tells of every denoising step, so that an edit can be ended within one."""
    return lambda step: tell(words, begun + step.index + 1)


def check_things(mesh: TexturedMesh, things: NDArray[np.int32] | None) -> None:
    """Raise MeshError unless labels of things are as many as a mesh has triangles."""
    if things is not None and things.shape != (len(mesh.corners),):
        raise MeshError(
            f"There are {things.size} labels of things, and {len(mesh.corners)} triangles: give "
            "one for each."
        )


def _check(
    mesh: TexturedMesh,
    views: Sequence[MeshView],
    things: NDArray[np.int32] | None,
    config: MeshEditConfig,
) -> None:
    if not views:
        raise MeshError("A texture edit needs at least one view of the mesh.")
    if len({view.image.shape for view in views}) > 1:
        raise MeshError("All views of a mesh must have the same size.")
    check_things(mesh, things)
    check_value(Threshold | None, config.threshold)
    low, high = config.noise_range
    if not 0 < low <= high <= 1:
        raise BadInput(f"The noise range must rise within 0..1, unlike {config.noise_range}.")
    check_counts(
        steps=config.steps,
        rounds=config.rounds,
        samples=config.samples,
        relevance_seeds=len(config.relevance_seeds),
    )
    check_settings(config)
