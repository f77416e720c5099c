"""The jobs of one capture: training its radiance field, editing that, making a mesh of it,
bringing an edit into the texture of a mesh that is known, and rendering it.
"""

import dataclasses

import numpy as np

from backend.captures.checks import check_pose
from backend.captures.lens import Intrinsics
from backend.captures.store import CaptureStore, UnknownCapture
from backend.editing import ImageEditor
from backend.editing.notes import notes_on
from backend.errors import BadInput
from backend.fields import radiance_training
from backend.fields.config import EDIT_PRESETS, PRESETS, SceneEditConfig
from backend.fields.facts import RADIANCE, CheckpointError, check_same, load_facts
from backend.fields.training import Progress
from backend.jobs.scene_state import without_paths
from backend.meshes.painting import PaintConfig
from backend.output.progress import OnPreview, time_left
from backend.scenes.camera import Camera
from backend.scenes.camera_path import unseen_note
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_run import with_settings
from backend.scenes.mesh import LEFT_OUT, mesh_of_scene, too_plain
from backend.scenes.methods.painted_views import PaintedView
from backend.scenes.outcome import PICTURE_SIDE, compare, outcome_notes
from backend.scenes.scene import Scene
from backend.scenes.texture import field_edit, texture_from_field
from backend.work_lock import alone
from backend.worker.perform_texture import mesh_and_views, texture_result
from backend.worker.words import with_time_left
from protocol import corrections, files
from protocol.requests import (
    EditSceneRequest,
    EditSceneResult,
    SceneMeshRequest,
    SceneMeshResult,
    ScenePicture,
    SceneRenderRequest,
    SceneRenderResult,
    SceneRequest,
    SceneResult,
    SceneTextureRequest,
    SceneTextureResult,
    TrainSceneRequest,
    TrainSceneResult,
)
from protocol.values import MAX_LEFT_OUT


def perform_scene(
    editor: ImageEditor, captures: CaptureStore, request: SceneRequest, on_progress: OnPreview
) -> SceneResult:
    """Do what a request asks for, or go on with it. What `on_progress` raises ends the job after a
    checkpoint.

    Raises:
        BadInput: the capture, what was made of it, or a setting cannot be used; the text says
            why.
        FloatingPointError: the networks or the training overflowed.
        InUse: another process works on the capture.
        OSError: the disk is full or cannot be written.
        torch.OutOfMemoryError: the device's memory does not suffice.
    """
    try:
        folder = captures.folder(request.capture)
    except UnknownCapture:
        raise BadInput("The backend does not have this capture any more: send it anew.") from None
    on_progress("Reading the capture", 0.0, None)
    try:
        with alone(folder):
            scene = Scene.open(folder, device=_device(editor), axes="opengl")
            if isinstance(request, TrainSceneRequest):
                return _train(scene, request, on_progress)
            if isinstance(request, EditSceneRequest):
                return _edit(editor, scene, request, on_progress)
            if isinstance(request, SceneMeshRequest):
                return _mesh(scene, request, on_progress)
            if isinstance(request, SceneTextureRequest):
                return _texture(scene, request, on_progress)
            return _render(scene, request, on_progress)
    except BadInput as error:
        raise BadInput(without_paths(f"{error}", folder)) from error


def _device(editor: ImageEditor) -> str:
    """Where fields are trained: where the networks run. nerfacto does not run on Apple's GPUs."""
    device = editor.card.device
    return "cpu" if device.type == "mps" else str(device)


def _train(scene: Scene, request: TrainSceneRequest, on_progress: OnPreview) -> TrainSceneResult:
    if request.anew and scene.work.exists():
        files.delete_folder(scene.work, f"{scene.work.name}.deleted")
    before = load_facts(scene.work, RADIANCE)
    if before is not None:
        _check_preset(scene, request.settings.preset)

    def tell(progress: Progress) -> None:
        words = f"Training, step {progress.step} of {progress.iterations}"
        if progress.score is not None:
            words += f", {progress.score:.1f} dB"
        if progress.remaining:
            words += f", {time_left(progress.remaining, at_most=True)}"
        on_progress(words, progress.step / progress.iterations, progress.preview)

    asked = request.settings
    course = scene.train(asked.iterations, tell, asked.preset, asked.seed)
    notes = [without_paths(note, scene.capture.folder) for note in scene.capture.notes]
    notes += course.notes
    if before is not None and before["step"] < course.step:
        notes.append(f"The training went on from step {before['step']}.")
    outside = [name for name in scene.capture.names if name not in scene.field.names]
    shown = scene.camera((outside or scene.capture.names)[0])
    return TrainSceneResult(
        steps=course.step,
        held_out_psnr=course.scores[-1][1] if course.scores else None,
        seconds=course.seconds,
        preview=scene.render(shown.at_most(PICTURE_SIDE)).image,
        notes=tuple(notes),
    )


def _check_preset(scene: Scene, preset: str) -> None:
    config = {"config": dataclasses.asdict(PRESETS[preset])}
    name, free = RADIANCE, radiance_training.FREE
    try:
        check_same(scene.work, name, config, free)
    except CheckpointError as error:
        raise BadInput(
            f"The capture has a field of another preset than {preset}: use that one, or train "
            "anew, which deletes the field and its edits."
        ) from error


def _edit(
    editor: ImageEditor, scene: Scene, request: EditSceneRequest, on_progress: OnPreview
) -> EditSceneResult:
    edit = scene.edit(
        request.instruction,
        editor,
        request.threshold,
        _edit_config(request),
        request.name,
        request.base,
        on_progress,
        painted=[_painted_view(one, number) for number, one in enumerate(request.painted, 1)],
    )
    compared = compare(scene, edit, lambda: on_progress("Rendering before and after", 1.0, None))
    pictures = tuple(
        ScenePicture(view=one.view, before=one.before, after=one.after, relevance=one.relevance)
        for one in compared
    )
    share, inside, outside = _changes(pictures, edit.threshold)
    return EditSceneResult(
        name=edit.name,
        threshold=edit.threshold,
        applies=edit.applies,
        edited_views=len(edit.views),
        pictures=pictures,
        left_out_count=len(edit.unedited),
        left_out=edit.unedited[:MAX_LEFT_OUT],
        edited_share=share,
        change_inside=inside,
        change_outside=outside,
        notes=(
            *outcome_notes(edit, compared),
            *notes_on(editor.card, request.instruction, edit.applies),
        ),
    )


def _edit_config(request: EditSceneRequest) -> SceneEditConfig:
    config = with_settings(
        EDIT_PRESETS[request.preset], request.settings, request.iterations, request.region
    )
    return dataclasses.replace(config, method=request.method)


def _painted_view(sent: corrections.PaintedView, number: int) -> PaintedView:
    pose = np.array(sent.camera_to_world).reshape(4, 4)
    if wrong := check_pose(pose):
        raise BadInput(f"The camera pose of painted view {number} {wrong}.")
    height, width = sent.painted.shape
    lens = Intrinsics(sent.fx, sent.fy, sent.cx, sent.cy, width, height)
    return PaintedView(sent.painted, Camera(pose, lens))


def _changes(
    pictures: tuple[ScenePicture, ...], threshold: float | None
) -> tuple[float | None, float | None, float | None]:
    """Over all pixels: the share of the region, and the mean absolute difference inside and outside
    of it as a share of the range of colours; None where there are no such pixels.
    """
    regions, changes = [], []
    for one in pictures:
        if one.relevance is not None and threshold is not None:
            regions.append((one.relevance >= np.float32(threshold)).reshape(-1))
            apart = np.abs(one.after.astype(np.float64) - one.before) / 255
            changes.append(apart.mean(axis=2).reshape(-1))
    if not regions:
        return None, None, None
    region, change = np.concatenate(regions), np.concatenate(changes)
    inside, outside = (float(change[at].mean()) if at.any() else None for at in (region, ~region))
    return float(region.mean()), inside, outside


def _finished(scene: Scene, name: str | None) -> SceneEdit | None:
    """The edit of a name, where there is a name. Raises BadInput where it is not finished."""
    edit = None if name is None else scene.edited(name)
    if edit is not None and not edit.finished:
        raise BadInput(f"The edit {edit.name} is not finished: let it finish first.")
    return edit


def _mesh(scene: Scene, request: SceneMeshRequest, on_progress: OnPreview) -> SceneMeshResult:
    edit = _finished(scene, request.edit)
    report = with_time_left(on_progress)
    faces = request.settings.faces
    made = mesh_of_scene(
        scene,
        edit,
        faces,
        request.settings.texture_size,
        on_progress=lambda words, share: report(words, share, None),
        plain=request.settings.plain,
    )
    notes = [without_paths(note, scene.capture.folder) for note in scene.capture.notes]
    if made.left_out >= LEFT_OUT:
        notes.append(f"{too_plain(made.left_out)} Plain Surroundings meshes them, too.")
    if faces is not None and len(made.faces) > faces:
        notes.append(
            f"The mesh has {len(made.faces)} triangles instead of {faces}: its pieces "
            "cannot be simplified further."
        )
    return SceneMeshResult(
        vertices=made.vertices,
        faces=made.faces.astype(np.int32),
        uvs=made.uvs,
        texture=made.texture,
        edited_texture=made.edited_texture,
        relevance_texture=made.relevance_texture,
        threshold=None if edit is None else edit.threshold,
        notes=tuple(notes),
    )


def _texture(
    scene: Scene, request: SceneTextureRequest, on_progress: OnPreview
) -> SceneTextureResult:
    mesh, views = mesh_and_views(request)
    made = texture_from_field(
        mesh,
        views,
        field_edit(scene, request.edit, request.threshold),
        PaintConfig(lit=request.lit),
        with_time_left(on_progress),
        request.region.snap,
        request.things,
    )
    return texture_result(SceneTextureResult, mesh, made, ())


def _render(scene: Scene, request: SceneRenderRequest, on_progress: OnPreview) -> SceneRenderResult:
    for number, pose in enumerate(request.camera_to_world):
        if wrong := check_pose(pose):
            raise BadInput(f"The camera pose of frame {number + 1} {wrong}.")
    edit = _finished(scene, request.edit)
    field = scene.field if edit is None else edit.field
    report = with_time_left(on_progress)
    width, height = request.width, request.height
    count = len(request.camera_to_world)
    frames = np.empty((count, height, width, 3), np.uint8)
    cameras = [
        Camera(pose, Intrinsics(fx, fy, cx, cy, width, height))
        for pose, (fx, fy, cx, cy) in zip(
            request.camera_to_world, request.intrinsics.tolist(), strict=True
        )
    ]
    for number, camera in enumerate(cameras):
        shown = frames[number - 1] if number else None
        report(f"Rendering frame {number + 1} of {count}", number / count, shown)
        frames[number] = scene.render(camera, field=field).image
    return SceneRenderResult(frames=frames, notes=tuple(unseen_note(scene.capture, cameras)))
