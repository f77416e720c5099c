"""The jobs of a scene in 3D: capture, train, edit, mesh; each goes on from what the backend has."""

import dataclasses
import hashlib
import re

import bpy
import msgspec
import numpy as np

from ..data import copies, pictures
from ..data.meshes.brought_mesh import install_mesh
from ..data.properties_settings import asked
from ..link.arrived import Arrived
from ..protocol.messages import CaptureState, Error, SceneState
from ..protocol.requests import (
    EditSceneRequest,
    EditSceneResult,
    SceneMeshRequest,
    SceneMeshResult,
    TrainSceneRequest,
    TrainSceneResult,
)
from ..protocol.settings import (
    FieldSettings,
    MeshSettings,
    SceneRegionSettings,
    SceneUpdateSettings,
)
from ..protocol.values import DATASET_UPDATE, new_capture_id
from ..render import painted_views
from ..render.capture_views import Plan, plan_around, plan_cameras, plan_frames
from .job import Job, Kind, NewJob, Sending, SessionError, check_instruction
from .upload import Upload

SLUG_LENGTH = 40
NOT_CAPTURED = "The scene is not captured yet: press Capture first"
BORROWED = "The capture belongs to the scene that this one was copied from"
LACKING = "This backend does not have the scene's capture"
NOT_HERE = f"{LACKING}: connect to the one that has it, or press Capture Anew"
"""Its id stays in the scene: another backend may have it, with hours of work."""


# ---------------------------------------------------------------- capture


def new_capture(context: bpy.types.Context, native_size: int) -> NewJob:
    """The capture of the context's scene as its settings ask for, from the beginning.

    Args:
        context: whose view layer's selection counts.
        native_size: pixels a side that the model was trained at: the views' size unless another
            one is set.

    Raises:
        SceneError: it cannot be captured so; the text says why.
    """
    scene = context.scene
    in_3d = scene.watch_your_steps.in_3d
    size = in_3d.size or native_size
    if in_3d.cameras == "AROUND":
        plan = plan_around(scene, context.view_layer, in_3d.views, size)
    elif in_3d.cameras == "CAMERAS":
        plan = plan_cameras(scene, size)
    else:
        plan = plan_frames(scene, size)
    _begin(scene, new_capture_id(), plan)
    return interrupted_capture(scene)


def _begin(scene: bpy.types.Scene, capture: str, plan: Plan) -> None:
    in_3d = scene.watch_your_steps.in_3d
    in_3d.forget_capture()
    in_3d.capture, in_3d.plan = capture, plan.to_json()
    in_3d.views_planned = len(plan.shots)


def put_back(scene: bpy.types.Scene, upload: Upload) -> None:
    """Undo has brought back what was before a capture that runs: it can still be stopped, and go
    on.
    """
    if scene.watch_your_steps.in_3d.capture != upload.capture:
        _begin(scene, upload.capture, upload.plan)


def interrupted_capture(scene: bpy.types.Scene) -> NewJob:
    """The capture that the scene has begun, from where it stopped.

    Raises:
        SceneError: the scene has lost its cameras.
    """
    in_3d = scene.watch_your_steps.in_3d
    upload = Upload(in_3d.capture, Plan.from_json(in_3d.plan))
    return NewJob("capture", "", in_3d.capture, upload, id=in_3d.capture)


def is_interrupted(scene: bpy.types.Scene) -> bool:
    """Whether the scene has a capture that was begun and is not complete."""
    in_3d = scene.watch_your_steps.in_3d
    return bool(in_3d.capture) and not in_3d.sealed


def _install_capture(scene: bpy.types.Scene, job: Job, end: Arrived | CaptureState) -> None:
    assert isinstance(end, CaptureState)
    in_3d = scene.watch_your_steps.in_3d
    in_3d.capture, in_3d.sealed, in_3d.views_planned = job.subject, True, end.views
    in_3d.views_sent = end.views


def _attach_capture(scene: bpy.types.Scene, job: Job) -> None:
    raise SessionError(
        "A capture was interrupted when this file was closed: press Go On with Capture."
    )


# ---------------------------------------------------------------- the jobs on a capture


def _sealed_capture(scene: bpy.types.Scene) -> str:
    in_3d = scene.watch_your_steps.in_3d
    if not in_3d.capture or not in_3d.sealed:
        raise SessionError(f"{NOT_CAPTURED}.")
    capture: str = in_3d.capture
    return capture


def train(scene: bpy.types.Scene, anew: bool = False) -> NewJob:
    """Train the radiance field of the scene's capture, or go on with it; or, where it is asked
    for, delete it and its edits first.

    Raises:
        SessionError: there is no complete capture, or what is to be deleted is another scene's.
    """
    in_3d = scene.watch_your_steps.in_3d
    if anew and copies.is_borrowed(scene):
        raise SessionError(f"{BORROWED}: train it anew there, or press Capture Anew here.")
    request = TrainSceneRequest(
        capture=_sealed_capture(scene),
        settings=FieldSettings(preset=in_3d.preset, iterations=in_3d.train_iterations or None),
        anew=anew,
    )
    return NewJob("train", "", request.capture, Sending(lambda _: request))


def _install_field(scene: bpy.types.Scene, job: Job, end: Arrived | CaptureState) -> None:
    assert isinstance(end, Arrived)
    assert isinstance(end.result, TrainSceneResult)
    psnr = end.result.held_out_psnr
    steps = f"trained for {end.result.steps} steps"
    if psnr is not None:
        steps = ", ".join((f"{psnr:.1f} dB on views that it was not trained on", steps))
    scene.watch_your_steps.in_3d.field = f"{steps[0].upper()}{steps[1:]}."


def edit_scene(scene: bpy.types.Scene) -> NewJob:
    """Edit the radiance field of the scene's capture by the instruction, or go on with that edit:
    its name follows from all that it is made with.

    Raises:
        SessionError: there is no complete capture or no instruction.
    """
    in_3d = scene.watch_your_steps.in_3d
    capture = _sealed_capture(scene)
    instruction = check_instruction(scene.watch_your_steps.instruction)
    unnamed = EditSceneRequest(
        capture=capture,
        name="unnamed",
        instruction=instruction,
        preset="paper" if in_3d.as_in_paper else in_3d.preset,
        threshold=in_3d.threshold,
        settings=_update_settings(scene),
        region=SceneRegionSettings() if in_3d.as_in_paper else asked(SceneRegionSettings, in_3d),
        iterations=in_3d.edit_iterations or None,
        method=DATASET_UPDATE if in_3d.as_in_paper else in_3d.method,
        base=in_3d.edit if in_3d.stack and in_3d.edit else None,
        painted=painted_views.all_of(scene) if in_3d.use_painting and not in_3d.as_in_paper else (),
    )
    request = msgspec.structs.replace(unnamed, name=edit_name(unnamed))
    return NewJob("edit_scene", instruction, request.name, Sending(lambda _: request))


def _update_settings(scene: bpy.types.Scene) -> SceneUpdateSettings:
    settings, in_3d = scene.watch_your_steps, scene.watch_your_steps.in_3d
    found = asked(SceneUpdateSettings, in_3d, settings)
    # what the panel does not show then is the paper's own
    return dataclasses.replace(found, detail=None) if in_3d.as_in_paper else found


def edit_name(request: EditSceneRequest) -> str:
    """A name that people can read, other for every other field of the request."""
    slug = re.sub("[^a-z0-9]+", "-", request.instruction.lower())[:SLUG_LENGTH].strip("-")
    plain = msgspec.structs.replace(request, name="unnamed")
    digest = hashlib.sha256(msgspec.json.encode(plain, enc_hook=_told_apart))
    return f"{slug or 'edit'}-{digest.hexdigest()[:6]}"


def _told_apart(painted: np.ndarray) -> list[object]:
    return [*painted.shape, hashlib.sha256(painted.tobytes()).hexdigest()]


def _install_edit(scene: bpy.types.Scene, job: Job, end: Arrived | CaptureState) -> None:
    assert isinstance(end, Arrived)
    assert isinstance(end.result, EditSceneResult)
    in_3d = scene.watch_your_steps.in_3d
    in_3d.edit, in_3d.edit_of = end.result.name, job.instruction
    in_3d.pictures = None  # where no view has a region there are none
    if "pictures" in end.files:
        name = f"{scene.name} 3D edit"
        in_3d.pictures = pictures.new_packed_image(name, end.files["pictures"])


def choose_edit(scene: bpy.types.Scene, known: SceneState | None, name: str) -> None:
    """Let the scene's settings point to an edit that the backend has; to none, where it has not."""
    in_3d = scene.watch_your_steps.in_3d
    edits = [edit for edit in known.edits if edit.finished] if known is not None else []
    chosen = next((edit for edit in edits if edit.name == name), None)
    in_3d.edit = chosen.name if chosen is not None else ""
    in_3d.edit_of = chosen.instruction if chosen is not None else ""


def take_answer(scene: bpy.types.Scene, answer: SceneState | CaptureState | Error) -> None:
    """Take over what the backend says of the scene's capture. An edit that it does not have any
    more gives way to the latest one that it has; a capture stays, as another may have it.
    """
    in_3d = scene.watch_your_steps.in_3d
    if isinstance(answer, SceneState):
        finished = [edit.name for edit in answer.edits if edit.finished]
        if in_3d.edit and in_3d.edit not in finished:
            choose_edit(scene, answer, finished[-1] if finished else "")
    elif isinstance(answer, CaptureState) and answer.views == 0:  # deleted
        in_3d.forget_capture()


def bring_mesh(scene: bpy.types.Scene) -> NewJob:
    """Make a mesh of the scene's last edit, or of its field where there is none.

    Raises:
        SessionError: there is no complete capture.
    """
    in_3d = scene.watch_your_steps.in_3d
    request = SceneMeshRequest(
        capture=_sealed_capture(scene),
        edit=in_3d.edit or None,
        settings=MeshSettings(
            faces=in_3d.faces or None,
            texture_size=int(in_3d.texture_size),
            plain=in_3d.plain,
        ),
    )
    instruction = in_3d.edit_of if in_3d.edit else ""
    return NewJob("mesh", instruction, in_3d.edit, Sending(lambda _: request))


def _install_mesh(scene: bpy.types.Scene, job: Job, end: Arrived | CaptureState) -> None:
    assert isinstance(end, Arrived)
    assert isinstance(end.result, SceneMeshResult)
    install_mesh(scene, end.result, end.files, job.instruction)


def _attach(scene: bpy.types.Scene, job: Job) -> None:
    """Nothing but what every job has is needed."""


CAPTURE = Kind("Capture", True, _install_capture, _attach_capture)
TRAIN = Kind("Training", True, _install_field, _attach, follow=train)
EDIT_SCENE = Kind("3D edit", True, _install_edit, _attach, follow=edit_scene)
MESH = Kind("Mesh", True, _install_mesh, _attach, follow=bring_mesh)
ALL_STEPS = ("train", "edit_scene", "mesh")
"""What follows a capture when everything is asked for at once."""
