"""The jobs on a render of the active camera: where the instruction applies, and the edit."""

import time
from functools import partial
from typing import Any

import bpy

from ..data import edits, pictures, region, results, thing_labels
from ..data.properties_settings import asked
from ..data.results import Picture
from ..link.worker_thread import Arrived
from ..protocol.messages import CaptureState
from ..protocol.requests import EditRequest, EditResult, RelevanceRequest, RelevanceResult, Request
from ..protocol.settings import EditSettings, PictureMapSettings, RegionSettings
from .job import Job, Kind, NewJob, Sending, SessionError

UNCHANGED = "Unchanged"
"""A note that begins so says that an edit changed nothing that can be seen."""
REQUESTS: dict[str, type[RelevanceRequest | EditRequest]] = {
    "relevance": RelevanceRequest,
    "edit": EditRequest,
}


def picture_job(scene: bpy.types.Scene, picture: Picture, kind: str) -> NewJob:
    """A job of `kind` "relevance" or "edit" on `picture` with the scene's settings as they are now.
    The picture is decoded when the job is sent: now it would add to the time of the render.
    """
    make = partial(_request, kind, _parameters(scene, kind, picture))
    instruction = scene.watch_your_steps.instruction
    noted = edits.asked_for(scene) if kind == "edit" else ""
    return NewJob(kind, instruction, picture.identity, Sending(make), picture, noted)


def _request(kind: str, parameters: dict[str, Any], scene: bpy.types.Scene) -> Request:
    image = scene.watch_your_steps.pending_image or scene.watch_your_steps.render_image
    if kind == "edit" and parameters["mask"] is None:
        parameters = {**parameters, "things": thing_labels.labels(image)}
    return REQUESTS[kind](image=pictures.read_rgb(image), **parameters)


def _parameters(scene: bpy.types.Scene, kind: str, picture: Picture) -> dict[str, Any]:
    """The fields of a request, all but the image and its things. An edit whose map is shown gets
    the region that is shown: no map has to be found again. So does one on top of an edit of the
    render that the map is of.
    """
    settings = scene.watch_your_steps
    common = {"instruction": settings.instruction, "maps": asked(PictureMapSettings, settings)}
    if kind == "relevance":
        return common
    # a threshold of another map would be a number without a meaning: then the new map's own
    meant = results.is_current(scene) or settings.threshold_of == settings.instruction
    threshold = settings.threshold if meant else None
    return {
        **common,
        "settings": asked(EditSettings, settings),
        "region": asked(RegionSettings, settings),
        "threshold": threshold,
        "mask": results.mask(scene) if shows_map_of(scene, picture) else None,
    }


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
        png = arrived.files["image"]
        edits.keep(scene, job.instruction, result, png, job.asked, job.server)


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
