"""What an evaluation has made so far, on disk: a record for every sample at every point, so that
nothing is made twice.
"""

from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.records import read_record
from protocol import files

Record = TypeVar("Record")


class Point(Protocol):
    """Settings at which samples are measured; hashable."""

    @property
    def name(self) -> str:
        """Of its folder."""


@dataclass(frozen=True)
class Made:
    """What was measured of one sample at one point.

    Attributes:
        number: of the sample.
        point: at which.
        record: a dataclass.
        picture: uint8 (H, W) or (H, W, 3), where one is to be kept.
    """

    number: int
    point: Point
    record: Any
    picture: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Records:
    """A folder of them."""

    folder: Path

    def record(self, number: int, point: Point, kind: type[Record]) -> Record | None:
        """What is known of a sample at a point; None where that is to be made.

        Raises:
            DamagedRecord: its file cannot be understood.
        """
        try:
            return read_record(self._path(number, point, "json"), kind)
        except FileNotFoundError:
            return None

    def all(self, count: int, point: Point, kind: type[Record]) -> list[Record]:
        """Those of the first so many samples at a point.

        Raises:
            DamagedRecord: a file cannot be understood.
        """
        found = [self.record(number, point, kind) for number in range(count)]
        return [one for one in found if one is not None]

    def has(self, number: int, point: Point) -> bool:
        """Whether there is one."""
        return self._path(number, point, "json").exists()

    def picture(self, number: int, point: Point) -> NDArray[np.uint8]:
        """One of those that are kept."""
        with Image.open(self._path(number, point, "png")) as image:
            return np.asarray(image)

    def keep(self, made: Made) -> None:
        """Write a record, and before it its picture."""
        files.make_folder(self.folder / made.point.name)
        if made.picture is not None:
            content = BytesIO()
            Image.fromarray(made.picture).save(content, "PNG")
            files.write_bytes(self._path(made.number, made.point, "png"), content.getvalue())
        files.write_json(self._path(made.number, made.point, "json"), asdict(made.record))

    def _path(self, number: int, point: Point, ending: str) -> Path:
        return self.folder / point.name / f"{number:05d}.{ending}"
