"""Values that several messages hold, their ranges, and the checks of arrays."""

import secrets
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

PROTOCOL_VERSION = 12
MAX_FRAME_BYTES = 256 * 1024 * 1024
"""Of one array in a message."""
MAX_WIRE_BYTES = MAX_FRAME_BYTES + 1024
"""Of one frame on the wire, with what CURVE adds to it (33 bytes at present)."""
MAX_IMAGE_SIDE = 8192
MIN_VIEWS, MAX_VIEWS = 3, 2000
"""Of one capture."""
MAX_PICTURES = 4
"""Of one edited scene."""
MAX_PAINTED_VIEWS = 12
"""That an edit of a scene keeps to: each is an array of its message."""
MAX_LEFT_OUT = 100
"""Views that an edit of a scene names which stayed as they were."""
MAX_EDITS = 100
"""That a scene's state lists."""
MAX_LISTED_INSTRUCTION = 200
"""Characters of an instruction in a list of edits."""

JobId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
CaptureId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
EditName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\Z")]
"""Of an edit of a scene: it names a folder."""
ImageSide = Annotated[int, Meta(ge=1, le=MAX_IMAGE_SIDE)]
"""Pixels."""
Unit = Annotated[float, Meta(ge=0.0, le=1.0)]
Preset = Literal["preview", "medium", "full"]
"""How large a radiance field is and how long it trains, or how it is edited: "preview" is for CPUs,
"medium" for many views on one, "full" is the size and the schedule of the paper's."""
EditPreset = Literal["preview", "medium", "full", "paper"]
"""How a radiance field is edited: as its own preset says, or wholly as in the paper."""
SceneMethod = Literal["dataset_update", "consistent_views", "score_distillation"]
"""How a radiance field is made to show an edit: it learns views that are edited one by one while it
is trained, or views that were edited and made to agree before; or it follows the gradient of what a
model makes of its pictures."""
DATASET_UPDATE: SceneMethod = "dataset_update"
"""The paper's, which is taken where nothing is said."""
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Detail = Literal["sharp", "fast", "tiles", "whole"]
"""What of a picture a model is shown for an edit, and at which size: "whole" is all of it at the
size that the model was trained at; "sharp" a part around the region at that size; "fast" that part
as large as it is in the whole picture; "tiles" that part with all its pixels, in overlapping tiles
of that size."""
Normalisation = Literal["paper", "full"]
"""How raw differences become relevance 0..1: "paper" clamps outliers at 1.5 interquartile ranges
first, as the paper does; "full" keeps them, so that small regions stand out."""
Snap = Literal["nothing", "edges", "things"]
"""What the outline of a region keeps to: the map's own cells, the picture's edges, or whole things
(region.py)."""
Solver = Literal["ddim", "dpm++"]
"""How a step of an edit gets to the next noise level."""
MAX_LABEL = 2**16 - 1
"""The highest number of a thing in a label image; the lowest is 0."""


@dataclass(frozen=True)
class Box:
    """A part of a picture, in whole pixels from the picture's first row and column."""

    top: Annotated[int, Meta(ge=0)]
    left: Annotated[int, Meta(ge=0)]
    height: ImageSide
    width: ImageSide

    @property
    def slices(self) -> tuple[slice, slice]:
        """What takes this part out of an array (H, W, ...)."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    def ends(self, height: int, width: int) -> tuple[float, float, float, float]:
        """Top, left, bottom and right, as shares of a picture's sides."""
        bottom, right = self.top + self.height, self.left + self.width
        return self.top / height, self.left / width, bottom / height, right / width

    def __str__(self) -> str:
        return f"{self.width}x{self.height} at column {self.left}, row {self.top}"


def new_job_id() -> str:
    """A random job id: 32 lower-case hexadecimal digits."""
    return secrets.token_hex(16)


def new_capture_id() -> str:
    """A random capture id: 32 lower-case hexadecimal digits."""
    return secrets.token_hex(16)


def check_array(
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


def check_shape(
    array: NDArray[np.generic], name: str, dtypes: tuple[str, ...], shape: tuple[int | None, ...]
) -> None:
    """Raise ValueError unless `array` has one of the dtypes and the shape; None is any length."""
    if array.dtype.name not in dtypes:
        raise ValueError(f"{name} must be {' or '.join(dtypes)}, not {array.dtype}")
    if array.ndim != len(shape) or any(
        wanted not in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    ):
        expected = "x".join("N" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} must have the shape {expected}, not {array.shape}")


def check_texture(array: NDArray[np.uint8], name: str) -> None:
    """Raise ValueError unless `array` is a uint8 image with or without alpha."""
    check_array(array, name, "uint8", (4,) if array.shape[2:] == (4,) else (3,))


def check_mesh(
    corners: NDArray[np.floating], uvs: NDArray[np.floating], occluders: NDArray[np.floating]
) -> None:
    """Raise ValueError unless these are triangles, at least one, and their texture coordinates."""
    real = ("float32", "float64")
    check_shape(corners, "corners", real, (None, 3, 3))
    check_shape(uvs, "uvs", real, (len(corners), 3, 2))
    check_shape(occluders, "occluders", real, (None, 3, 3))
    if len(corners) == 0:
        raise ValueError("a mesh needs at least one face")
