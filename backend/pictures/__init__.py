"""Image files that people bring: read in one way everywhere, and written back as they were."""

from backend.pictures.boxes import check_box
from backend.pictures.changes import unchanged
from backend.pictures.heat import heat_map
from backend.pictures.labels import read_labels
from backend.pictures.masks import read_mask
from backend.pictures.reading import (
    Picture,
    PictureError,
    asks_for_turning,
    lies_on_its_side,
    read_picture,
    size_of,
    write_png,
)

__all__ = [
    "Picture",
    "PictureError",
    "asks_for_turning",
    "check_box",
    "heat_map",
    "lies_on_its_side",
    "read_labels",
    "read_mask",
    "read_picture",
    "size_of",
    "unchanged",
    "write_png",
]
