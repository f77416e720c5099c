"""Making an edit of a scene, from an instruction to an edited radiance field.

    1. relevance maps of all training views (Eq. 2, 3), not yet normalised
    2. the relevance field on all of them together (section 4.3), and its calibration; what its
       region keeps to (edit_region.py)
    3. the dataset update

Each part is kept as soon as it is there (see edit_records.py), so that the same call goes on where
it was stopped.
"""

import dataclasses
import re
import time
from collections.abc import Mapping, Sequence

import msgspec

from backend.counts import check_counts
from backend.editing import ImageEditor, RelevanceMap
from backend.editing.prompt_check import pooled_evidence
from backend.errors import BadInput, check_instruction, check_settings, check_value
from backend.fields import checkpoint, radiance_training
from backend.fields.config import EDIT_PRESETS, PRESETS, FieldConfig, SceneEditConfig
from backend.fields.facts import RADIANCE, CheckpointError, load_facts
from backend.fields.radiance_field import RadianceField
from backend.fields.radiance_training import Decay, RadianceTraining
from backend.fields.training import CHECKPOINT_SECONDS, Progress, Schedule, fit
from backend.fields.views import Views
from backend.output.progress import OnPreview, time_left
from backend.scenes import given_masks
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_records import (
    CHECK_FILE,
    EDIT_FILE,
    MAPS_FOLDER,
    NAME,
    Asked,
    EditError,
    PromptCheck,
    edit_folder,
    forget_region,
)
from backend.scenes.edit_region import images_of, region_of
from backend.scenes.given_masks import Mask
from backend.scenes.methods.painted_views import PaintedView, fingerprint_of
from backend.scenes.methods.regions import Region
from backend.scenes.methods.scene_method import METHODS
from backend.scenes.scene_fields import SceneFields
from backend.scenes.view_maps import map_file, read_map, write_map
from protocol import files
from protocol.settings import (
    GuidanceSettings,
    MapSettings,
    SceneRegionSettings,
    SceneThreshold,
    SceneUpdateSettings,
    SceneWorkSettings,
    taken,
)

STAGES = {"maps": 0.15, "field": 0.15}
"""Shares of the time that the parts before the update take, roughly."""


def edit_scene(
    scene: SceneFields,
    instruction: str,
    editor: ImageEditor,
    threshold: float | None = None,
    config: SceneEditConfig | str | None = None,
    name: str | None = None,
    base: str | None = None,
    on_progress: OnPreview | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    masks: Mapping[str, Mask] | None = None,
    painted: Sequence[PaintedView] = (),
) -> SceneEdit:
    """Edit a scene where an instruction applies, or go on with an edit. See `Scene.edit`."""
    if config is None:
        config = edit_preset(scene.field.config)
    if isinstance(config, str):
        if config not in EDIT_PRESETS:
            raise BadInput(f"There is no preset {config!r}: use {', '.join(EDIT_PRESETS)}.")
        config = EDIT_PRESETS[config]
    if masks is not None:
        config = given_masks.config_for(config)
    _check(instruction, threshold, config, bool(painted))
    METHODS[config.method].check(editor, config)
    scene.leave_out_damaged()
    name = edit_name(instruction) if name is None else name
    report = on_progress or (lambda words, fraction, picture: None)
    training, first_step = _start(scene, base, config)
    given = None if masks is None else given_masks.of_views(masks, training.views.names)
    told_apart = "" if given is None else checkpoint.fingerprint(*given)
    on_views = fingerprint_of(painted)
    asked = Asked(instruction, base, threshold, editor.card.name, config, told_apart, on_views)
    edit = _begin(scene, name, asked)
    if edit.finished:
        return edit
    if given is not None:
        given_masks.keep(given, edit.folder / MAPS_FOLDER)
    maps: list[RelevanceMap] = []
    if config.finds_maps_before:
        maps = _maps(edit, editor, training.views, report)
        _keep_check(edit, maps, editor.card.views_evidence_limit)
    config = config.for_views(len(training.views.names))
    region = region_of(scene, edit, training, config, maps, editor, _within_field(report), painted)
    _update(edit, editor, training, config, first_step, region, report, checkpoint_seconds)
    return SceneEdit(scene, name)


def edit_preset(field: FieldConfig) -> str:
    """The name of the edit's preset that is meant for a field of this config: that of the field's
    own preset, and of a field of none, as of earlier versions, the one that most of its numbers are
    of.
    """
    names = {one.name for one in dataclasses.fields(field)} - {*radiance_training.FREE}

    def different(preset: str) -> int:
        return sum(getattr(field, name) != getattr(PRESETS[preset], name) for name in names)

    return min(PRESETS, key=different)


def with_settings(
    config: SceneEditConfig,
    settings: SceneUpdateSettings,
    iterations: int | None = None,
    region: SceneRegionSettings = SceneRegionSettings(),
) -> SceneEditConfig:
    """The config with other numbers in place of its own: what was asked for is not grown with the
    number of views.

    Args:
        config: of a preset.
        settings: how its views are edited; what they leave at its default is the config's own.
        iterations: training steps; None for the config's own.
        region: what the region keeps to, likewise.
    """
    config = with_numbers(config, settings, region)
    return (
        config
        if iterations is None
        else dataclasses.replace(config, iterations=iterations, views=0)
    )


def with_numbers(
    config: SceneEditConfig, *settings: SceneWorkSettings | SceneRegionSettings | GuidanceSettings
) -> SceneEditConfig:
    """The config with the numbers of settings that are not at their defaults."""
    numbers = {
        field.name: value
        for one in settings
        for field in dataclasses.fields(one)
        if (value := getattr(one, field.name)) != field.default
    }
    return dataclasses.replace(config, **numbers)


def rays_of(scene: SceneFields, field: RadianceField, config: SceneEditConfig) -> int:
    """Rays of a step of an edit of a field: as many as its training has come to, which grow with
    the pixels, or as many as so many views take, if these are more.
    """
    own = config.rays_for(field.config.rays, len(field.names))
    return max(scene.trained_with(field=field).rays, own)


def edit_name(instruction: str) -> str:
    """A name for an edit, made from what it asks for."""
    words = re.sub(r"[^a-z0-9]+", "-", instruction.lower()).strip("-")
    return words[:64].strip("-") or "edit"


def _check(
    instruction: str, threshold: float | None, config: SceneEditConfig, painted: bool
) -> None:
    check_instruction(instruction)
    check_value(SceneThreshold | None, threshold)
    if config.method not in METHODS:
        raise BadInput(f"There is no method {config.method!r}: use {', '.join(METHODS)}.")
    if threshold is not None and config.everything:
        raise BadInput("Where everything is edited, a threshold has no meaning: leave it out.")
    if not config.relevance and config.everything:
        raise BadInput("Everything is edited, or what each view's own map says: ask for one alone.")
    low, high = config.noise_range
    if not 0.0 < low <= high <= 1.0:
        raise BadInput(f"The noise range must be part of 0..1 without 0, not {low} to {high}.")
    if config.first_level is not None and not 0.0 < config.first_level <= 1.0:
        raise BadInput(f"The first noise level must be between 0 and 1, not {config.first_level}.")
    check_counts(
        iterations=config.iterations,
        edit_every=config.edit_every,
        views_at_once=config.views_at_once,
        steps=config.steps,
        relevance_seeds=len(config.relevance_seeds),
    )
    if min(config.rounds, config.views, config.refit_every) < 0:
        raise BadInput("rounds, views and refit_every must be 0 or more.")
    check_settings(config)
    if config.fits_while_edited and config.snap != "nothing":
        raise BadInput(
            "Where the relevance field is fitted while the scene is edited, as in the preset "
            "paper, the region is what is rendered of it: snap it to nothing, or take another "
            "preset."
        )
    if config.fits_while_edited and painted:
        raise BadInput(
            "Where the relevance field is fitted while the scene is edited, as in the preset "
            "paper, the region is what is rendered of it: leave out what was painted, or take "
            "another preset."
        )
    if config.fits_while_edited and config.refit_every < 1:
        raise BadInput(
            "A relevance field that is fitted while the scene is edited needs steps: set "
            "refit_every to 1 or more."
        )
    if not 0.0 <= config.inside_rays < 1.0:
        raise BadInput(f"inside_rays must be from 0 to below 1, not {config.inside_rays}.")
    if not 0.0 <= config.air_samples < 1.0:
        raise BadInput(f"air_samples must be from 0 to below 1, not {config.air_samples}.")
    if not 0.0 <= config.settling < 1.0:
        raise BadInput(f"The share of settling must be between 0 and 1, not {config.settling}.")


def _start(
    scene: SceneFields, base: str | None, config: SceneEditConfig
) -> tuple[RadianceTraining, int]:
    """The training of the field that is to be edited as it was left, with its optimizer's state,
    on views as they are now; and how many steps it has had.
    """
    if base is None:
        found = checkpoint.load(scene.work, RADIANCE)
        if found is None:
            raise CheckpointError(f"{scene.work} holds no trained field: train one first.")
        facts, state = found
        first_step, seen = int(facts["step"]), None
    else:
        below = SceneEdit(scene, base)
        if not below.finished:
            raise EditError(f"The edit {base} is not finished: let it finish first.")
        facts, seen = below.checkpoint()
        state = seen["training"]
        first_step = int(facts["first_step"]) + int(facts["step"])
    capture = scene.capture
    missing = [view for view in facts["names"] if view not in capture.names]
    if missing:
        raise EditError(
            f"The field was trained on a view {missing[0]} that {capture.folder} does not have any "
            "more: put it back, or train the field anew."
        )
    field = radiance_training.from_checkpoint(facts, state, scene.device)
    views = Views(
        capture.subset([capture.names.index(view) for view in facts["names"]]), scene.device
    )
    if views.fingerprint() != facts["capture"]:
        raise EditError(
            "The capture has changed since its field was trained, or is read at another size: open "
            "it as it was, or train the field anew."
        )
    grown = scene.trained_with(field=field)
    decay = Decay(grown.learning_rate, grown.final_learning_rate, grown.decay_iterations)
    if config.learning_rate is not None:
        steps = config.for_views(len(views.names)).iterations
        decay = Decay(config.learning_rate, config.final_learning_rate, steps, first_step)
    rays = rays_of(scene, field, config)
    training = RadianceTraining(
        field, views, None, decay, rays, config.colour_loss, config.move_cameras
    )
    training.load_state(state)
    if seen is not None:
        views.pixels.copy_(seen["pixels"])
        if views.distances is not None:
            views.distances.copy_(seen["distances"])
    return training, first_step


def _begin(scene: SceneFields, name: str, asked: Asked) -> SceneEdit:
    """Notes what is asked for, or finds the same noted already."""
    folder = edit_folder(scene.work, name)
    path = folder / EDIT_FILE
    if path.exists():
        edit = SceneEdit(scene, name)
        begun = load_facts(edit.folder, NAME) is not None
        old = edit.asked if begun else dataclasses.replace(edit.asked, threshold=asked.threshold)
        if old != asked:
            raise EditError(
                f"There is an edit {name} already, of another instruction, model or setting, or "
                "with other painting or other masks: give this one another name, or undo that one."
            )
        if edit.asked.threshold != asked.threshold:
            forget_region(scene.work, name)
    files.make_folder(folder)
    files.write_json(path, msgspec.to_builtins(asked))
    return SceneEdit(scene, name)


def _maps(
    edit: SceneEdit, editor: ImageEditor, views: Views, report: OnPreview
) -> list[RelevanceMap]:
    """The maps of all views, each kept as soon as its batch is done."""
    config = edit.asked.config
    images = images_of(views)
    folder = edit.folder / MAPS_FOLDER
    files.make_folder(folder)
    paths = [map_file(folder, index) for index in range(len(images))]
    missing = [index for index, path in enumerate(paths) if not path.exists()]

    def tell(draw: int, draws: int) -> None:
        view = draw * len(images) // draws + 1
        words = f"Relevance of view {view} of {len(images)}"
        report(words, STAGES["maps"] * (draw + 1) / draws, None)

    if missing:
        words = f"Relevance of view {missing[0] + 1} of {len(images)}"
        report(words, STAGES["maps"] * missing[0] / len(images), None)
    for index, found in editor.relevance_of_images(
        edit.instruction,
        images,
        taken(MapSettings, config),
        missing,
        tell,
    ):
        write_map(paths[index], found)
    return [read_map(path) for path in paths]


def _within_field(report: OnPreview) -> OnPreview:
    """Reports of the region as a part 0..1 of its own stage."""
    start, share = STAGES["maps"], STAGES["field"]
    return lambda words, part, picture: report(words, start + share * part, picture)


def _keep_check(edit: SceneEdit, maps: Sequence[RelevanceMap], limit: float) -> None:
    """Keeps the prompt check of all views together."""
    check = PromptCheck(pooled_evidence([one.agreement for one in maps]), limit)
    files.write_json(edit.folder / CHECK_FILE, msgspec.to_builtins(check))


def _update(
    edit: SceneEdit,
    editor: ImageEditor,
    training: RadianceTraining,
    config: SceneEditConfig,
    first_step: int,
    region: Region,
    report: OnPreview,
    checkpoint_seconds: float,
) -> None:
    """The method's own part, from where it was stopped."""
    begun = STAGES["maps"] + STAGES["field"] if config.finds_maps_before else 0.0
    clock = _UpdateClock(config.iterations, begun)

    def editing(words: str, part: float) -> None:
        report(f"{words}, {part:.0%}{clock.left()}", clock.share, None)

    trainee = METHODS[config.method].begin(
        training, editor, edit.asked, region, edit.folder, first_step, editing
    )

    def tell(progress: Progress) -> None:
        clock.note(progress)
        words = f"Training, step {progress.step} of {progress.iterations}{clock.left()}"
        report(words, clock.share, progress.preview)
        # here and not within the step, so that what stops an edit comes after a checkpoint; and not
        # after an early stop, as nothing would be trained on it
        if not progress.finished:
            trainee.between_steps(progress.step)

    schedule = Schedule(
        config.iterations,
        trainee.round_steps,
        config,
        config.seed,
        checkpoint_seconds,
    )
    fit(trainee, schedule, edit.folder, NAME, tell, trainee.aside)


class _UpdateClock:
    """How far an update is.

    Attributes:
        share: 0..1 of the whole edit that is done; of the update, by its time where that is known,
            as the edits of views, which take most of it, do not come evenly over its steps.
    """

    def __init__(self, iterations: int, begun: float) -> None:
        """Args:
        iterations: steps of the update.
        begun: share 0..1 of the whole edit that is done before it.
        """
        self.share = self._begun = begun
        self._last, self._noted = Progress(0, iterations, 0.0, None, 0.0, None), time.monotonic()

    def note(self, progress: Progress) -> None:
        """Takes over what the training says of itself."""
        self._last, self._noted = progress, time.monotonic()
        done = 1.0 if progress.finished else progress.step / progress.iterations
        if progress.remaining:
            done = progress.seconds / (progress.seconds + progress.remaining)
        self.share = max(self.share, self._begun + (1 - self._begun) * done)

    def left(self) -> str:
        """The time that is left, as the end of a sentence; nothing as long as that is unknown."""
        if not self._last.remaining:
            return ""
        passed = time.monotonic() - self._noted
        return f", {time_left(self._last.remaining - passed, at_most=True)}"
