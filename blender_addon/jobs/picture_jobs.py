"""The jobs on a render of the active camera: where the instruction applies, and the edit."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import msgspec
import numpy as np

from ..data import (
    contact_sheet,
    edits,
    painting,
    pictures,
    region,
    results,
    snapping,
    taken_pictures,
    thing_labels,
)
from ..data.frozen_region import FoundMap, FrozenRegion
from ..data.properties_settings import asked
from ..data.snapping import Snapping
from ..data.taken_pictures import Picture
from ..link.arrived import Arrived
from ..link.aside import aside
from ..link.worker_thread import Link
from ..protocol.corrections import Correction
from ..protocol.messages import CaptureState
from ..protocol.region import Snapped
from ..protocol.requests import EditRequest, EditResult, RelevanceRequest, RelevanceResult, Request
from ..protocol.settings import EditSettings, PictureMapSettings
from . import waiting
from .ahead import Ahead, Parts
from .job import Job, Kind, NewJob, Sending, SessionError

UNCHANGED = "Unchanged"
"""A note that begins so says that an edit changed nothing that can be seen."""


def preview_job(scene: bpy.types.Scene, picture: Picture) -> NewJob:
    """A job that finds where the scene's instruction applies in `picture`."""
    settings = scene.watch_your_steps
    instruction, maps = settings.instruction, asked(PictureMapSettings, settings)

    def request(scene: bpy.types.Scene) -> Request:
        image = pictures.read_rgb(_sent_image(scene))
        return RelevanceRequest(image=image, instruction=instruction, maps=maps)

    sending = Sending(request, _sent_image)
    return NewJob("relevance", instruction, picture.identity, sending, picture)


def edit_jobs(
    scene: bpy.types.Scene, picture: Picture, seeds: Sequence[int], variants: str = ""
) -> list[NewJob]:
    """Edits of `picture` with the scene's settings as they are now, one for each seed; `variants`
    is their group, where they are one. The picture is decoded when a job is sent: now it would add
    to the time of the render.

    Edits whose map is shown get the region that is shown: no map has to be found again. So do those
    on top of an edit of the render that the map is of.
    """
    settings = scene.watch_your_steps
    instruction, maps = settings.instruction, asked(PictureMapSettings, settings)
    # a threshold of another map would be a number without a meaning: then the new map's own
    meant = results.is_current(scene) or settings.threshold_of == instruction
    threshold = settings.threshold if meant else None
    shown = shows_map_of(scene, picture)
    where = FrozenRegion.shown(scene, maps) if shown else FrozenRegion()
    made = []
    for number, seed in enumerate(seeds, 1):
        chosen = dataclasses.replace(asked(EditSettings, settings), seed=seed)
        noted = edits.asked_for(scene, chosen, where.mask is not None, variants)
        title = f"Variant {number} of {len(seeds)}, seed {seed}" if variants else f"seed {seed}"
        made.append(edit_job(instruction, picture, noted, threshold, where, title, variants))
    return made


def edit_job(
    instruction: str,
    picture: Picture,
    noted: str,
    threshold: float | None,
    where: FrozenRegion,
    title: str,
    group: str,
) -> NewJob:
    """One edit of `picture`, inside `where`; `noted` is the JSON of its `edits.Asked`, and the
    others are those of NewJob. The threshold is None where it is the map's own.
    """
    editing = Editing(instruction, msgspec.json.decode(noted, type=edits.Asked), threshold, where)
    return NewJob(
        "edit", instruction, picture.identity, editing, picture, noted, where, title, group
    )


@dataclass
class Editing:
    """The preparation: the request to edit the picture of the scene's job."""

    instruction: str
    asked: edits.Asked
    threshold: float | None
    where: FrozenRegion
    _loading: Ahead | None = None
    """Of the image."""

    def step(self, scene: bpy.types.Scene, job: Job, link: Link) -> EditRequest | None:
        """The request, once the image is decoded."""
        image = _sent_image(scene)
        if self._loading is None:
            self._loading = Ahead(pictures.loading(image))
        if not self._loading.is_done():
            return None
        rgb, asked = pictures.read_rgb(image), self.asked
        things, corrected = None, Correction()
        if self.where.mask is None:  # the backend finds the region
            painted = painting.parse(asked.painted)
            if painted is not None:
                painted = painting.scaled(painted, rgb.shape[:2])
            things = thing_labels.labels(image)
            corrected = Correction(invert=asked.invert, grow=asked.grow, painted=painted)
        return EditRequest(
            image=rgb,
            instruction=self.instruction,
            threshold=self.threshold,
            maps=asked.maps,
            settings=asked.settings,
            region=asked.region,
            mask=self.where.mask,
            things=things,
            correction=corrected,
        )


def _sent_image(scene: bpy.types.Scene) -> bpy.types.Image:
    """The image of the scene's job."""
    return scene.watch_your_steps.pending_image or scene.watch_your_steps.render_image


def shows_map_of(scene: bpy.types.Scene, picture: Picture) -> bool:
    """Whether the map that is shown is the one that is asked for, and fits a picture."""
    render = scene.watch_your_steps.render_image
    fits = render is not None and picture.shows_the_same(render)
    return fits and results.is_current(scene)


def _ahead(scene: bpy.types.Scene, job: Job, arrived: Arrived) -> Parts:
    """A map is snapped, and a contact sheet is put together where this is the last of variants."""
    result, image = arrived.result, _sent_image(scene)
    assert isinstance(result, RelevanceResult | EditResult)
    if result.relevance is not None and image is not None:
        yield from _snap_ahead(scene.watch_your_steps, image, result)
    if isinstance(result, EditResult) and waiting.is_last_of(scene, job):
        asked = msgspec.json.decode(job.asked, type=edits.Asked)
        group, seed = job.group, asked.settings.seed
        yield from contact_sheet.composing(scene, group, result.image, seed)


def _snap_ahead(
    settings: bpy.types.PropertyGroup,
    image: bpy.types.Image,
    result: RelevanceResult | EditResult,
) -> Parts:
    relevance, suggested = result.relevance, result.suggested_threshold
    assert relevance is not None
    assert suggested is not None  # comes with every map
    if pictures.why_lost(image) or pictures.size_of(image) != relevance.shape:
        return
    uid, rgb, unpack = image.session_uid, pictures.read_rgb(image), thing_labels.unpacking(image)
    snap, suggested = settings.snap, float(np.float32(suggested))  # as settings keep it

    def find() -> tuple[Snapping, Snapped]:
        asked = Snapping(relevance, rgb, snap, unpack(), suggested)
        return asked, asked.find()

    asked, found = yield from aside(find)
    thing_labels.keep(uid, asked.things)
    snapping.keep(asked, found)


def _install(scene: bpy.types.Scene, job: Job, arrived: Arrived | CaptureState) -> None:
    assert isinstance(arrived, Arrived)
    result = arrived.result
    assert job.picture is not None
    assert isinstance(result, RelevanceResult | EditResult)
    edits.adopt(scene)
    results.install_picture(scene, job.picture)
    settings = scene.watch_your_steps
    if result.relevance is not None:
        assert result.suggested_threshold is not None  # comes with every map
        sent = job.request
        results.install_relevance(
            scene,
            result.relevance,
            arrived.files["relevance"],
            job.instruction,
            sent.maps
            if isinstance(sent, RelevanceRequest | EditRequest)
            else asked(PictureMapSettings, settings),
            result.suggested_threshold,
            job.picture.edit,
        )
        unseen = result.applies is False
        found = region.snapped_map(settings)
        said = found.why if found is not None else ""  # by the panel, beside the choice
        about_prompt = [
            note for note in result.notes if not note.startswith(UNCHANGED) and note != said
        ]
        settings.prompt_check = " ".join(about_prompt) if unseen else ""
        settings.view = "RELEVANCE"
    if isinstance(result, EditResult):
        if job.region is not None:
            result = _with_region(scene, job, result)
        png = arrived.files["image"]
        edits.keep(scene, job.instruction, result, png, job.asked, job.server)


def _with_region(scene: bpy.types.Scene, job: Job, result: EditResult) -> EditResult:
    """An edit's result with the threshold of its region, where that was found before: then the
    scene shows its map again. Where the edit has found it, those that come after it get it.
    """
    where = job.region
    assert where is not None
    if result.relevance is None:
        where.show(scene)
        return msgspec.structs.replace(result, threshold=where.threshold)
    sent, settings = job.request, scene.watch_your_steps
    assert isinstance(sent, EditRequest)
    assert result.suggested_threshold is not None  # comes with every map
    found = FoundMap(
        result.relevance,
        job.instruction,
        sent.maps,
        result.suggested_threshold,
        settings.prompt_check,
        job.picture.edit if job.picture is not None else "",
    )
    where.take(result, found)
    return result


def what_it_cost(job: Job) -> str:
    """What an edit that has just ended took, in words; "" for other jobs."""
    if not isinstance(job.request, EditRequest):
        return ""
    seconds = time.monotonic() - job.started
    height, width = job.request.image.shape[:2]
    steps = job.request.settings.steps
    text = f"The last edit took {seconds:.0f} s: {steps} steps, {width} x {height}"
    made = job.outcome.result if isinstance(job.outcome, Arrived) else None
    return f"{text}. {made.work}" if isinstance(made, EditResult) and made.work else text


def _attach(scene: bpy.types.Scene, job: Job) -> None:
    settings = scene.watch_your_steps
    image = settings.pending_image or settings.render_image
    job.picture = taken_pictures.picture_of(image, job.subject) if image is not None else None
    if job.picture is None:
        raise SessionError(
            "The file has lost the render that its running job belongs to: start it again."
        )


RELEVANCE = Kind("Preview", True, _install, _attach, over_camera=True, ahead=_ahead)
EDIT = Kind("Edit", True, _install, _attach, over_camera=True, ahead=_ahead)
