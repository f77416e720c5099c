"""Every message that travels between Blender and the backend, one struct each; what a job is asked
for and what it returns is in requests.py.

A struct checks its own values, so a decoded message is a valid message. Layout and meaning are
described in protocol/README.md. Arrays are numpy arrays here and raw frames on the wire (codec.py).
"""

import math
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from .requests import (
    Request,
    Result,
)
from .settings import GuidanceSettings
from .values import (
    MAX_EDITS,
    MAX_IMAGE_SIDE,
    MAX_LISTED_INSTRUCTION,
    MAX_VIEWS,
    MIN_VIEWS,
    CaptureId,
    EditName,
    JobId,
    Unit,
    check_array,
)

# ---------------------------------------------------------------- client to server


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """A client's first message."""

    client: Annotated[str, Meta(max_length=200)]
    """Name and version, for the server's log."""


class Submit(msgspec.Struct, frozen=True, kw_only=True, tag="submit"):
    """Start a job under an id that the client has chosen; safe to repeat."""

    job: JobId
    request: Request


class Follow(msgspec.Struct, frozen=True, kw_only=True, tag="follow"):
    """Send me this job's latest event now and all later ones."""

    job: JobId


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """Stop this job within one step of denoising or training."""

    job: JobId


class OpenCapture(msgspec.Struct, frozen=True, kw_only=True, tag="open_capture"):
    """Begin to send the views of a scene, or go on with it; safe to repeat."""

    capture: CaptureId
    views: Annotated[int, Meta(ge=MIN_VIEWS, le=MAX_VIEWS)]
    """How many it will have."""


class PutView(msgspec.Struct, frozen=True, kw_only=True, tag="put_view"):
    """One view of a capture; a second one of the same index replaces the first."""

    capture: CaptureId
    index: Annotated[int, Meta(ge=0, lt=MAX_VIEWS)]
    name: Annotated[str, Meta(max_length=200)]
    """What people call it, for sentences about it."""
    image: NDArray[np.uint8]
    """uint8 (H, W, 3), sRGB, row 0 at the top; straight colours where there is an alpha."""
    alpha: NDArray[np.uint8] | None = None
    """uint8 (H, W), 255 where the scene is, or None."""
    depth: NDArray[np.float32] | None = None
    """float32 (H, W), distance along the viewing axis in the scene's units, 0 where there is
    nothing; or None."""
    things: NDArray[np.uint16] | None = None
    """uint16 (H, W), a label for every pixel, in all views the same for the same thing; or None."""
    fx: Annotated[float, Meta(gt=0.0)]
    """Focal lengths in pixels."""
    fy: Annotated[float, Meta(gt=0.0)]
    cx: float
    """Principal point in pixels from the image's top left corner; lens shift moves it."""
    cy: float
    camera_to_world: Annotated[tuple[float, ...], Meta(min_length=16, max_length=16)]
    """Rigid 4x4 matrix, row by row: camera frame (x right, y up, -z forward) to the scene's."""

    def __post_init__(self) -> None:
        check_array(self.image, "image", "uint8", (3,))
        for name, array, dtype in (
            ("alpha", self.alpha, "uint8"),
            ("depth", self.depth, "float32"),
            ("things", self.things, "uint16"),
        ):
            if array is not None:
                check_array(array, name, dtype, ())
                if array.shape != self.image.shape[:2]:
                    raise ValueError(
                        f"{name} is {array.shape} but the image is {self.image.shape[:2]}"
                    )
        if self.depth is not None and not (self.depth >= 0).all():
            raise ValueError("depth must be 0 or more")
        if not all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy, *self.camera_to_world))):
            raise ValueError("a camera must be finite numbers")


class SealCapture(msgspec.Struct, frozen=True, kw_only=True, tag="seal_capture"):
    """Check a capture whose views have all been sent, and make it final; safe to repeat."""

    capture: CaptureId


class DropCapture(msgspec.Struct, frozen=True, kw_only=True, tag="drop_capture"):
    """Delete a capture, sealed or not, and all made of it; refused while a job uses it."""

    capture: CaptureId


class GetScene(msgspec.Struct, frozen=True, kw_only=True, tag="get_scene"):
    """What has become of this capture?"""

    capture: CaptureId


class UndoSceneEdit(msgspec.Struct, frozen=True, kw_only=True, tag="undo_scene_edit"):
    """Delete an edit of a capture. Refused while another edit is based on it or a job uses the
    capture; an edit that is not there is deleted already.
    """

    capture: CaptureId
    edit: EditName


CaptureMessage = OpenCapture | PutView | SealCapture | DropCapture
SceneMessage = GetScene | UndoSceneEdit
ClientMessage = Hello | Submit | Follow | Cancel | CaptureMessage | SceneMessage


# ---------------------------------------------------------------- server to client


class Limits(msgspec.Struct, frozen=True, kw_only=True, tag="limits"):
    """What the server accepts."""

    max_image_side: int = MAX_IMAGE_SIDE
    max_frame_bytes: int
    max_queued_jobs: int


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What the models and their work take: of the device's memory, or of the computer's where the
    device is its processor.
    """

    peak_bytes: Annotated[int, Meta(ge=0)]
    """The most that was taken since they were loaded, or since the worker was started."""
    total_bytes: Annotated[int, Meta(gt=0)]
    """All that there is."""


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """The answer to Hello; sent again whenever the model's state changes or more memory is taken
    than ever before.
    """

    server: str
    """Version of the backend."""
    model: str
    """Hub id or folder of the model, or "demo"."""
    device: str
    """Such as "cuda (NVIDIA RTX 4090)" or "cpu"."""
    model_state: str
    """"loading" or "ready"."""
    native_size: int
    """Pixels a side that the model was trained at; 0 while it is loading."""
    guidance: GuidanceSettings
    """What the model is best used with, and what None in a request stands for; None while it is
    loading."""
    capabilities: tuple[str, ...]
    """Request types that the server understands, such as "edit_request", and "captures" and
    "scenes" for the messages about these."""
    limits: Limits
    notice: str = ""
    """One sentence for a person where something is amiss, such as that the worker process is being
    started anew, else ""."""
    memory: Memory | None = None
    """None while the model is loading, and where it is not known."""


class Queued(msgspec.Struct, frozen=True, kw_only=True, tag="queued"):
    """The job waits."""

    job: JobId
    position: Annotated[int, Meta(ge=0)]
    """How many jobs run or wait before it."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag="progress"):
    """The job runs."""

    job: JobId
    stage: str
    """What it does just now, in words."""
    fraction: Unit
    """How much of the whole job is done."""
    preview: NDArray[np.uint8] | None = None
    """Small uint8 (h, w, 3) look at the result so far, or None."""

    def __post_init__(self) -> None:
        if self.preview is not None:
            check_array(self.preview, "preview", "uint8", (3,))


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """The job has ended well."""

    job: JobId
    result: Result


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The job has ended without a result."""

    job: JobId
    code: str
    message: str
    """One sentence for a person."""


class Cancelled(msgspec.Struct, frozen=True, kw_only=True, tag="cancelled"):
    """The job was cancelled and has stopped."""

    job: JobId
    message: str = ""
    """One sentence for a person where something of it is kept and can be gone on with, else ""."""


class CaptureState(msgspec.Struct, frozen=True, kw_only=True, tag="capture_state"):
    """How far a capture is: the answer to every message about one."""

    capture: CaptureId
    views: Annotated[int, Meta(ge=0, le=MAX_VIEWS)]
    """How many it will have; 0 once it has been deleted."""
    missing: tuple[int, ...]
    """Indices of the views that have not arrived."""
    sealed: bool
    """Whether it is whole, checked and final."""
    notes: tuple[str, ...] = ()
    """Of a sealed one: what a person should know of it, such as which views will not be used."""


class FieldState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a radiance field is."""

    steps: Annotated[int, Meta(ge=0)]
    """That it has had."""
    iterations: Annotated[int, Meta(ge=0)]
    """That it was to have at most."""
    finished: bool
    """It has had them, or stopped early because nothing improved any more."""
    held_out_psnr: float | None
    """Decibels, as in TrainSceneResult; None where it was not measured yet."""


class EditState(msgspec.Struct, frozen=True, kw_only=True):
    """An edit of a scene."""

    name: EditName
    instruction: Annotated[str, Meta(max_length=MAX_LISTED_INSTRUCTION)]
    """Its beginning, where it is longer."""
    base: EditName | None
    """The edit that it is stacked on."""
    finished: bool
    threshold: Unit | None
    """That was asked for; None for the default."""


class SceneState(msgspec.Struct, frozen=True, kw_only=True, tag="scene_state"):
    """What has become of a capture: the answer to every message about a scene."""

    capture: CaptureId
    views: Annotated[int, Meta(ge=0, le=MAX_VIEWS)]
    sealed: bool
    """Whether jobs can use it."""
    field: FieldState | None
    """Its radiance field; None where training has not left anything yet."""
    edits: Annotated[tuple[EditState, ...], Meta(max_length=MAX_EDITS)]
    """Oldest first; of more than 100 the newest."""
    jobs: tuple[JobId, ...]
    """Jobs that use it and have not ended, in the order in which they are done."""


class Error(msgspec.Struct, frozen=True, kw_only=True, tag="error"):
    """The answer to a message that could not be served. Its layout never changes."""

    code: str
    message: str
    """One sentence for a person."""
    job: str | None = None
    """Id of the job, or of the capture, that the message was about."""


JobEvent = Queued | Progress | Done | Failed | Cancelled
FinalEvent = Done | Failed | Cancelled
ServerMessage = Welcome | JobEvent | CaptureState | SceneState | Error
