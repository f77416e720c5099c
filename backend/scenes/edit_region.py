"""Where an edit of a scene edits its views: the relevance field, and what its region keeps to.

Whole things are lifted to a field of their own, so that meshes, textures and other cameras are
edited where the views are.
"""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from backend.editing import ImageEditor, RelevanceMap
from backend.fields.calibration import AS_RENDERED
from backend.fields.config import SceneEditConfig
from backend.fields.radiance_field import Rendering
from backend.fields.radiance_training import RadianceTraining
from backend.fields.rays import ViewRays
from backend.fields.relevance_field import Relevance, RelevanceTraining
from backend.fields.training import Progress
from backend.fields.views import Views
from backend.output.progress import OnPreview
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_records import (
    HULL_FILE,
    IN_AIR_FILE,
    MAPS_FOLDER,
    MASKS_FILE,
    SNAP_FILE,
    EditError,
    SnapRecord,
)
from backend.scenes.methods.dataset_update import split
from backend.scenes.methods.drawn_maps import DrawnMaps
from backend.scenes.methods.growth import growth_of
from backend.scenes.methods.hull import BEFORE, Hull
from backend.scenes.methods.painted_views import PaintedPlaces, PaintedView
from backend.scenes.methods.regions import (
    Mask,
    Region,
    everything,
    inside_field,
    inside_maps,
    snapped_maps,
)
from backend.scenes.scene_fields import SceneFields
from backend.scenes.things import Labels, choose_snap, fingerprint_of, values_of_things
from backend.scenes.view_masks import read_masks, write_masks
from protocol import files
from protocol.corrections import ADDED, TAKEN
from protocol.region import Snapped
from protocol.settings import MapSettings, taken
from protocol.values import Snap

CHOICE, REGION = 0.6, 0.75
"""Shares of the time at which the choice of things and the field of the region begin."""


def images_of(views: Views) -> list[NDArray[np.uint8]]:
    """uint8 (H, W, 3) of each view as it is now, over black."""
    shapes = [views.rays.shape(index) for index in range(len(views.names))]
    return [over_black(image) for image in split(views.pixels, shapes)]


def over_black(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) of an image (H, W, 3 or 4) with straight alpha."""
    if image.shape[2] == 3:
        return image
    blended = image[..., :3].astype(np.uint16) * image[..., 3:] // 255
    return blended.astype(np.uint8)


def region_of(
    scene: SceneFields,
    edit: SceneEdit,
    training: RadianceTraining,
    config: SceneEditConfig,
    maps: Sequence[RelevanceMap],
    editor: ImageEditor,
    report: OnPreview,
    painted: Sequence[PaintedView] = (),
) -> Region:
    """Where views are edited; fields are trained to their end, or gone on with, unless that is done
    while the scene is edited. Where the scene may grow, its own field is trained there from now on.

    Args:
        scene, edit: which.
        training: of the field as it is before the edit, on the views as they are.
        config: for as many views.
        maps: the views' own, where they were found before.
        editor: finds them where they were not.
        report: told what is done, as a share 0..1 of this.
        painted: what was painted on views, in the capture's coordinates: it wins over all else.

    Raises:
        EditError: the capture's things are others than when the edit was begun.
        CaptureError: a label image cannot be used.
        CheckpointError, FloatingPointError, OSError: as `training.fit`.
    """
    views, places = training.views, None
    if painted:
        places = PaintedPlaces([scene.in_box(view) for view in painted], training.field)
    if config.region == "everything":
        return _painted_on(scene, edit, training, config, everything(), places, report)
    images = images_of(views)
    if config.region == "maps":
        things = _labels(scene, views, config)
        single = snapped_maps(maps, config.snap, images, things)
        _keep(edit, _of_all(single))
        region = inside_maps(single, edit.asked.threshold)
        return _painted_on(scene, edit, training, config, region, places, report)
    threshold = edit.threshold
    assert threshold is not None  # as there is a relevance field
    if config.fits_while_edited:
        fitting = scene.fitting(config.relevance_field, training.field, config.seed)
        return _as_rendered(edit, editor, config, images, threshold, fitting)
    relevance = scene.train_relevance(
        edit.name,
        maps,
        views.names,
        config.normalisation,
        config.relevance_field,
        on_step=_told("Relevance field", report, 0.0, CHOICE),
        seed=config.seed,
        field=training.field,
    )
    if edit.snap is None and config.grow:
        things = _labels(scene, views, config)
        _choose_growth(edit, training, config, relevance, maps, threshold, things, places, report)
    record, labels = _choice(scene, edit, training, config, relevance, threshold, report)
    if record.took == "things" and places is None:
        scene.train_region(
            edit.name,
            {
                name: values_of_things(one, record.scores) >= np.float32(threshold)
                for name, one in zip(views.names, labels, strict=True)
                if one is not None
            },
            threshold,
            config.relevance_field,
            on_step=_told("Field of the region", report, REGION, 1.0),
            seed=config.seed,
            field=training.field,
        )
    refitting = None
    if config.refit_every and places is None and record.took != "things":
        refitting = scene.refitting(relevance, maps, config.normalisation, training.field)
    in_air = None
    if record.grows:
        hull = Hull.load(edit.folder / HULL_FILE, training.field.device)
        relevance = relevance.grown(hull.at, record.middle)
        in_air = _through(edit, hull, training, report)
        training.field.look_into(hull.share_of, config.air_samples)
    if places is None:
        return inside_field(relevance, threshold, record, images, labels, refitting, in_air=in_air)
    found = inside_field(relevance, threshold, record, images, labels)
    return _painted_on(scene, edit, training, config, found, places, report, in_air)


def _painted_on(
    scene: SceneFields,
    edit: SceneEdit,
    training: RadianceTraining,
    config: SceneEditConfig,
    found: Region,
    places: PaintedPlaces | None,
    report: OnPreview,
    in_air: Mask | None = None,
) -> Region:
    """A region with what was painted on the scene as it was before the edit: the same pixels of the
    views throughout, lifted to a field of their own; and what views see through places in the air.
    """
    if places is None:
        return found
    views, field, path = training.views, training.field, edit.folder / MASKS_FILE
    if not path.exists():
        made = []
        for view, name in enumerate(views.names):
            words = f"Taking over what was painted, view {view + 1} of {len(views.names)}"
            report(words, CHOICE + (REGION - CHOICE) * view / len(views.names), None)
            pose, camera = field.corrected(views.poses[view], name), views.intrinsics[view]
            seen = field.render(pose, camera, found.composite)
            known = None
            if views.distances is not None:
                known = views.distances[views.rays.of_view(view)].cpu().numpy()
                known = known.reshape(seen.depth.shape)
            painted = places.on(pose, camera, seen, known)
            made.append((found.mask(view, seen) | (painted == ADDED)) & (painted != TAKEN))
        write_masks(path, made)
    masks = read_masks(path)
    threshold = edit.threshold
    if config.region == "field":
        assert threshold is not None  # as there is a relevance field
        scene.train_region(
            edit.name,
            dict(zip(views.names, masks, strict=True)),
            threshold,
            config.relevance_field,
            on_step=_told("Field of the region", report, REGION, 1.0),
            seed=config.seed,
            field=field,
        )

    def mask(view: int, seen: Rendering) -> NDArray[np.bool_]:
        return masks[view] if in_air is None else masks[view] | in_air(view, seen)

    return Region(mask, found.composite)


def _as_rendered(
    edit: SceneEdit,
    editor: ImageEditor,
    config: SceneEditConfig,
    images: Sequence[NDArray[np.uint8]],
    threshold: float,
    fitting: RelevanceTraining,
) -> Region:
    """Where a relevance field is rendered above the threshold that is fitted beside the scene."""
    record = SnapRecord(took="nothing")
    _keep(edit, record)
    folder, settings = edit.folder / MAPS_FOLDER, taken(MapSettings, config)
    drawn = DrawnMaps(editor, edit.instruction, images, settings, folder, fitting)
    found, things = Relevance(fitting.field, AS_RENDERED), [None] * len(images)
    return inside_field(found, threshold, record, images, things, fitting, drawn)


def _choose_growth(
    edit: SceneEdit,
    training: RadianceTraining,
    config: SceneEditConfig,
    relevance: Relevance,
    maps: Sequence[RelevanceMap],
    threshold: float,
    things: Sequence[Labels | None],
    places: PaintedPlaces | None,
    report: OnPreview,
) -> None:
    """Keeps the places in the air where something is to appear, if the maps are of such, but for
    what a person has taken away; what is not there yet is no whole thing.
    """

    def tell(view: int, count: int) -> None:
        words = f"Looking where nothing is yet, view {view + 1} of {count}"
        report(words, CHOICE, None)

    field, views = training.field, training.views
    normalisation = config.normalisation
    found = growth_of(relevance, threshold, maps, normalisation, field, views, things, tell)
    if found is None:
        return
    hull = found.hull if places is None else places.without_taken(found.hull)
    if not hull.inside.any():
        return
    hull.save(edit.folder / HULL_FILE)
    took: Snap = "nothing" if config.snap == "nothing" else "edges"
    _keep(edit, SnapRecord(took=took, why=found.why, grows=True, middle=found.middle))


def _through(edit: SceneEdit, hull: Hull, training: RadianceTraining, report: OnPreview) -> Mask:
    """Where a view looks into a hull, before what it shows before the edit: what it shows later may
    lie within the hull, or be a speck before it, and would tear holes into the region.
    """
    field, views, path = training.field, training.views, edit.folder / IN_AIR_FILE
    if not path.exists():
        made = []
        for view, name in enumerate(views.names):
            words = f"Looking where the scene may grow, view {view + 1} of {len(views.names)}"
            report(words, REGION, None)
            pose, camera = field.corrected(views.poses[view], name), views.intrinsics[view]
            entered = hull.entered_from(pose, camera)
            into = np.isfinite(entered)
            if into.any():
                rays = ViewRays(pose[None], [camera], field.device)
                pixels = rays.of_view(0)[torch.from_numpy(into.ravel()).to(field.device)]
                distances = field.shade(rays.bundle(pixels))[:, 3].cpu().numpy()
                into[into] = entered[into] < distances * BEFORE
            made.append(into)
        write_masks(path, made)
    looked = read_masks(path)
    return lambda view, seen: looked[view]


def _choice(
    scene: SceneFields,
    edit: SceneEdit,
    training: RadianceTraining,
    config: SceneEditConfig,
    relevance: Relevance,
    threshold: float,
    report: OnPreview,
) -> tuple[SnapRecord, Sequence[Labels | None]]:
    """What the region keeps to, decided or as it was, and the views' labels where these say so."""
    views = training.views
    record, things = edit.snap, _labels(scene, views, config)
    if record is not None and record.took != "things":
        return record, things
    if record is not None:
        if fingerprint_of(things) != record.things:
            raise EditError(
                f"The things of the capture have changed since the edit {edit.name} was begun: put "
                "the label images back, or give the edit another name."
            )
        return record, things

    def tell(view: int, count: int) -> None:
        share = CHOICE + (REGION - CHOICE) * view / count
        report(f"Finding whole things, view {view + 1} of {count}", share, None)

    below = None if edit.base is None else scene.field
    record = choose_snap(
        config.snap, relevance, threshold, training.field, views, things, below, tell
    )
    _keep(edit, record)
    return record, things


def _labels(scene: SceneFields, views: Views, config: SceneEditConfig) -> list[Labels | None]:
    """The labels of views, None of a view without them, and of all where nobody asks."""
    capture = scene.capture
    if config.snap != "things":
        return [None] * len(views.names)
    return [capture.things(capture.names.index(name)) for name in views.names]


def _keep(edit: SceneEdit, record: SnapRecord) -> None:
    files.write_json(edit.folder / SNAP_FILE, msgspec.to_builtins(record, str_keys=True))


def _of_all(maps: Sequence[Snapped]) -> SnapRecord:
    """What the views' own maps keep to: what most of them do, and why others do not."""
    took = [one.took for one in maps]
    most = max(took, key=took.count)
    reasons = [one.why for one in maps if one.why]
    if not reasons:
        return SnapRecord(took=most)
    return SnapRecord(took=most, why=f"In {len(reasons)} of {len(maps)} views: {reasons[0]}")


def _told(what: str, report: OnPreview, start: float, end: float) -> Callable[[Progress], None]:
    """Reports of a training as a part of what `report` is told."""

    def tell(progress: Progress) -> None:
        share = progress.step / progress.iterations
        words = f"{what}, step {progress.step} of {progress.iterations}"
        report(words, start + (end - start) * share, progress.preview)

    return tell
