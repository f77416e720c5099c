"""The job that makes an edit again of the full-size render."""

import bpy
import msgspec

from ..data import copies, edit_masks, full_results, full_size_edits, pictures
from ..data.full_results import Size
from ..data.properties_settings import asked
from ..data.render_size import enlarged_mask
from ..data.scene_error import SceneError
from ..link.arrived import Arrived
from ..protocol.messages import CaptureState
from ..protocol.requests import EditRequest, EditResult
from ..protocol.settings import PictureMapSettings
from .again_jobs import FULL_SIZE, MakingAgain, edit_of, with_edit
from .job import Job, Kind, NewJob, SessionError

NO_RENDER = "The full-size render of this edit is not in the file any more."


def full_size_job(
    scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, was: Size, size: Size
) -> NewJob:
    """The job that makes an edit again of the full-size render that is kept with it: with the same
    seed, inside the same mask.

    Args:
        scene: in whose list the edit is.
        entry: the edit.
        was: height and width of the picture that it was made of.
        size: those of the full-size render.

    Raises:
        SceneError: a picture that it is made of is not in the file any more.
    """
    copies.settle(scene)
    chosen = full_size_edits.asked_at(entry, size[0] / was[0])
    base = full_results.base_of(entry)
    request = EditRequest(
        image=pictures.read_rgb(base),
        instruction=entry.instruction,
        maps=asked(PictureMapSettings, entry),
        settings=chosen.settings,
        region=chosen.region,
        threshold=chosen.threshold,
        mask=enlarged_mask(edit_masks.of(entry), size),
    )
    if base.users == 0:  # of an edit on top of others; it is made anew with the result
        bpy.data.images.remove(base)
    noted = msgspec.json.encode(chosen).decode()
    sending, title = MakingAgain(entry, request), "at full size"
    return NewJob(FULL_SIZE, entry.instruction, entry.uid, sending, asked=noted, title=title)


def _install(scene: bpy.types.Scene, job: Job, arrived: Arrived | CaptureState) -> None:
    assert isinstance(arrived, Arrived)
    assert isinstance(arrived.result, EditResult)
    png, about = arrived.files["image"], (job.subject, job.instruction)
    try:
        with with_edit(scene, job):
            _check(scene, job)
            full_size_edits.keep(scene, *about, arrived.result, png, job.asked, job.server)
    except SceneError as error:
        raise SessionError(str(error)) from error


def _check(scene: bpy.types.Scene, job: Job) -> None:
    """Raises SessionError where the edit is not there, or lost its full-size render."""
    if edit_of(scene, job).full_render is None:
        raise SessionError(NO_RENDER)


EDIT_FULL_SIZE = Kind("Edit", True, _install, _check, over_camera=True)
