"""Every request, event and result that travels between Blender and the backend, one struct each.

A struct checks its own values, so a decoded message is a valid message. Layout and meaning are
described in protocol/README.md. Arrays are numpy arrays here and raw frames on the wire (codec.py).
"""

import math
import secrets
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

PROTOCOL_VERSION = 2
MAX_IMAGE_SIDE = 8192
MIN_VIEWS, MAX_VIEWS = 3, 2000
"""Of one capture."""

JobId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
CaptureId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Instruction = Annotated[str, Meta(min_length=1, max_length=1000)]
Unit = Annotated[float, Meta(ge=0.0, le=1.0)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Seeds = Annotated[tuple[Seed, ...], Meta(min_length=1, max_length=64)]
Normalisation = Literal["paper", "full"]
"""How raw differences become relevance 0..1: "paper" clamps outliers at 1.5 interquartile ranges
first, as the paper does; "full" keeps them, so that small regions stand out."""
DEFAULT_NORMALISATION: Normalisation = "full"
DEFAULT_SEEDS: tuple[int, ...] = (0, 1, 2, 3)
"""The program's own settings of a relevance map, everywhere."""


def new_job_id() -> str:
    """A random job id: 32 lower-case hexadecimal digits."""
    return secrets.token_hex(16)


def new_capture_id() -> str:
    """A random capture id: 32 lower-case hexadecimal digits."""
    return secrets.token_hex(16)


def _check_array(
    array: NDArray[np.generic], name: str, dtype: str, trailing: tuple[int, ...]
) -> None:
    """Raise ValueError unless `array` is a `dtype` image of shape (H, W, *trailing)."""
    expected = "x".join(["H", "W", *map(str, trailing)])
    if array.dtype != np.dtype(dtype):
        raise ValueError(f"{name} must be {dtype}, not {array.dtype}")
    if array.ndim != 2 + len(trailing) or array.shape[2:] != trailing:
        raise ValueError(f"{name} must have the shape {expected}, not {array.shape}")
    height, width = array.shape[:2]
    if not (1 <= height <= MAX_IMAGE_SIDE and 1 <= width <= MAX_IMAGE_SIDE):
        raise ValueError(
            f"{name} is {width}x{height}; each side must have 1 to {MAX_IMAGE_SIDE} pixels"
        )


# ---------------------------------------------------------------- what a client asks for


class RelevanceRequest(msgspec.Struct, frozen=True, kw_only=True, tag="relevance_request"):
    """Where does this instruction apply in this image?"""

    image: NDArray[np.uint8]
    """uint8 (H, W, 3), sRGB, row 0 at the top."""
    instruction: Instruction
    noise_level: Unit = 0.8
    """Share of the diffusion's steps up to which the image is noised."""
    seeds: Seeds = DEFAULT_SEEDS
    """Noise seeds; the raw differences are averaged over them."""
    normalisation: Normalisation = DEFAULT_NORMALISATION

    def __post_init__(self) -> None:
        _check_array(self.image, "image", "uint8", (3,))


class EditRequest(msgspec.Struct, frozen=True, kw_only=True, tag="edit_request"):
    """Edit the image where the instruction applies, and leave every other byte as it is."""

    image: NDArray[np.uint8]
    """uint8 (H, W, 3), sRGB, row 0 at the top."""
    instruction: Instruction
    threshold: Unit | None = None
    """Relevance from which a pixel is edited; 0 edits everything, None takes the map's own
    suggestion."""
    text_guidance: Annotated[float, Meta(ge=0.0, le=100.0)] = 7.5
    image_guidance: Annotated[float, Meta(ge=0.0, le=100.0)] = 1.5
    steps: Annotated[int, Meta(ge=1, le=1000)] = 100
    """Denoising steps; always exactly so many."""
    strength: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    """Noise level that the edit starts from: 1 can change everything inside the mask."""
    seed: Seed = 0
    noise_level: Unit = 0.8
    """Noise level of the relevance map, as in RelevanceRequest."""
    relevance_seeds: Seeds = DEFAULT_SEEDS
    """Noise seeds of the relevance map."""
    normalisation: Normalisation = DEFAULT_NORMALISATION
    mask: NDArray[np.bool_] | None = None
    """bool (H, W) to edit inside instead of the thresholded relevance, or None."""

    def __post_init__(self) -> None:
        _check_array(self.image, "image", "uint8", (3,))
        if self.mask is not None:
            _check_array(self.mask, "mask", "bool", ())
            if self.mask.shape != self.image.shape[:2]:
                raise ValueError(
                    f"mask is {self.mask.shape} but the image is {self.image.shape[:2]}"
                )


Request = RelevanceRequest | EditRequest


# ---------------------------------------------------------------- what a job returns


class RelevanceResult(msgspec.Struct, frozen=True, kw_only=True, tag="relevance_result"):
    """The relevance map of one image and instruction."""

    relevance: NDArray[np.float32]
    """float32 (H, W), 0..1, at the size of the image that was sent."""
    spread: Annotated[float, Meta(ge=0.0)]
    """Mean standard deviation of the raw differences over the seeds, relative to their mean;
    0 with one seed."""
    magnitude: Annotated[float, Meta(ge=0.0)]
    """Highest raw difference (noise units, before clamping): how strongly the text matters."""
    suggested_threshold: Unit
    """Where the map falls into two parts by itself: a good start for the slider."""
    evidence: Unit | None
    """The prompt check's number: how much of what the instruction would change is the same for
    every noise. None with one seed."""
    applies: bool | None
    """The prompt check: whether `evidence` reaches the model's limit. Where not, a note says so.
    None with one seed."""
    notes: tuple[str, ...] = ()
    """Sentences that the person should read, such as a shortened instruction."""

    def __post_init__(self) -> None:
        _check_array(self.relevance, "relevance", "float32", ())


class EditResult(msgspec.Struct, frozen=True, kw_only=True, tag="edit_result"):
    """An edited image; every pixel outside `mask` has the bytes of the image that was sent."""

    image: NDArray[np.uint8]
    """uint8 (H, W, 3), sRGB, row 0 at the top."""
    mask: NDArray[np.bool_]
    """bool (H, W): where the image was edited."""
    relevance: NDArray[np.float32] | None
    """float32 (H, W), 0..1, or None where the request brought its own mask."""
    threshold: Unit | None
    """What the map was thresholded at, or None where the request brought its own mask."""
    suggested_threshold: Unit | None
    """As in RelevanceResult, or None where the request brought its own mask."""
    evidence: Unit | None
    """As in RelevanceResult, or None where the request brought its own mask."""
    applies: bool | None
    """As in RelevanceResult, or None where the request brought its own mask."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_array(self.image, "image", "uint8", (3,))
        _check_array(self.mask, "mask", "bool", ())
        if self.relevance is not None:
            _check_array(self.relevance, "relevance", "float32", ())


Result = RelevanceResult | EditResult


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
    """Stop this job within one denoising step."""

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
    fx: Annotated[float, Meta(gt=0.0)]
    """Focal lengths in pixels."""
    fy: Annotated[float, Meta(gt=0.0)]
    cx: float
    """Principal point in pixels from the image's top left corner; lens shift moves it."""
    cy: float
    camera_to_world: Annotated[tuple[float, ...], Meta(min_length=16, max_length=16)]
    """Rigid 4x4 matrix, row by row: camera frame (x right, y up, -z forward) to the scene's."""

    def __post_init__(self) -> None:
        _check_array(self.image, "image", "uint8", (3,))
        for name, array, dtype in (
            ("alpha", self.alpha, "uint8"),
            ("depth", self.depth, "float32"),
        ):
            if array is not None:
                _check_array(array, name, dtype, ())
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
    """Delete a capture, sealed or not."""

    capture: CaptureId


CaptureMessage = OpenCapture | PutView | SealCapture | DropCapture
ClientMessage = Hello | Submit | Follow | Cancel | CaptureMessage


# ---------------------------------------------------------------- server to client


class Limits(msgspec.Struct, frozen=True, kw_only=True, tag="limits"):
    """What the server accepts."""

    max_image_side: int = MAX_IMAGE_SIDE
    max_frame_bytes: int
    max_queued_jobs: int


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """The answer to Hello; sent again whenever the model's state changes."""

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
    capabilities: tuple[str, ...]
    """Request types that the server understands, such as "edit_request", and "captures"."""
    limits: Limits


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
            _check_array(self.preview, "preview", "uint8", (3,))


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


class CaptureState(msgspec.Struct, frozen=True, kw_only=True, tag="capture_state"):
    """How far a capture is: the answer to every message about one."""

    capture: CaptureId
    views: Annotated[int, Meta(ge=0, le=MAX_VIEWS)]
    """How many it will have; 0 once it has been deleted."""
    missing: tuple[int, ...]
    """Indices of the views that have not arrived."""
    sealed: bool
    """Whether it is whole, checked and final."""


class Error(msgspec.Struct, frozen=True, kw_only=True, tag="error"):
    """The answer to a message that could not be served. Its layout never changes."""

    code: str
    message: str
    """One sentence for a person."""
    job: str | None = None
    """Id of the job, or of the capture, that the message was about."""


JobEvent = Queued | Progress | Done | Failed | Cancelled
FinalEvent = Done | Failed | Cancelled
ServerMessage = Welcome | JobEvent | CaptureState | Error
