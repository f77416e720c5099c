"""The jobs on a render of the active camera: where the instruction applies, and the edit."""

import dataclasses
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import bpy
import msgspec

from ..data import edits, pictures, region, results, thing_labels
from ..data.frozen_region import FoundMap, FrozenRegion
from ..data.painting import scaled
from ..data.properties_settings import asked
from ..data.results import Picture
from ..link.worker_thread import Arrived
from ..protocol.corrections import Correction
from ..protocol.messages import CaptureState
from ..protocol.requests import EditRequest, EditResult, RelevanceRequest, RelevanceResult, Request
from ..protocol.settings import EditSettings, PictureMapSettings, RegionSettings
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

    return NewJob("relevance", instruction, picture.identity, Sending(request), picture)


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
    parameters = {
        "instruction": instruction,
        "maps": maps,
        "region": asked(RegionSettings, settings),
        "threshold": settings.threshold if meant else None,
    }
    shown = shows_map_of(scene, picture)
    where = FrozenRegion.shown(scene, maps) if shown else FrozenRegion()
    corrected = region.correction(settings)
    made = []
    for number, seed in enumerate(seeds, 1):
        chosen = dataclasses.replace(asked(EditSettings, settings), seed=seed)
        make = partial(_edit_request, {**parameters, "settings": chosen}, where, corrected)
        made.append(
            NewJob(
                "edit",
                instruction,
                picture.identity,
                Sending(make),
                picture,
                edits.asked_for(scene, chosen, where.mask is not None, variants),
                where,
                f"Variant {number} of {len(seeds)}, seed {seed}" if variants else f"seed {seed}",
                variants,
            )
        )
    return made


def _edit_request(
    parameters: dict[str, Any],
    where: FrozenRegion,
    corrected: Correction,
    scene: bpy.types.Scene,
) -> Request:
    image = _sent_image(scene)
    rgb = pictures.read_rgb(image)
    if where.mask is None:  # the backend finds the region
        if corrected.painted is not None:
            painted = scaled(corrected.painted, rgb.shape[:2])
            corrected = msgspec.structs.replace(corrected, painted=painted)
        parameters |= {"things": thing_labels.labels(image), "correction": corrected}
    return EditRequest(image=rgb, mask=where.mask, **parameters)


def _sent_image(scene: bpy.types.Scene) -> bpy.types.Image:
    """The image of the scene's job."""
    return scene.watch_your_steps.pending_image or scene.watch_your_steps.render_image


def shows_map_of(scene: bpy.types.Scene, picture: Picture) -> bool:
    """Whether the map that is shown is the one that is asked for, and fits a picture."""
    render = scene.watch_your_steps.render_image
    fits = render is not None and picture.shows_the_same(render)
    return fits and results.is_current(scene)


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
    job.picture = results.picture_of(image, job.subject) if image is not None else None
    if job.picture is None:
        raise SessionError(
            "The file has lost the render that its running job belongs to: start it again."
        )


RELEVANCE = Kind("Preview", True, _install, _attach, over_camera=True)
EDIT = Kind("Edit", True, _install, _attach, over_camera=True)
