"""What is drawn of edits' figures: how much is kept against how much is done, in terms of the demo
world and in those of an encoder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.evaluation.images.plot import Curve, Panel, Place
from backend.evaluation.spread.edit_record import EDIT_PSNR

UP = "PSNR outside, pooled"
"""What curves are drawn of: the mean of all pictures' PSNR is lifted by those without any error."""
TOP = 60.0
"""PSNR in dB that higher ones are drawn at: nobody sees the difference."""

Row = dict[str, float]


@dataclass(frozen=True)
class Line:
    """The rows of `figures_of` along one curve.

    Attributes:
        label: of the curve.
        rows: at least one, in the order in which they are joined.
        default: that of what the program does by itself, or None.
    """

    label: str
    rows: Sequence[Row]
    default: Row | None = None


def panels(lines: Sequence[Line], round_trip: float, encoder: str) -> tuple[Panel, list[Panel]]:
    """The paper's Figure 4 in terms of the demo world, and in those of Brooks et al. (2023) and of
    the paper, by an encoder; `round_trip` is the PSNR outside of the VAE alone. Where nobody could
    tell success, or nothing is outside of the true masks, there is no point.
    """

    def world(row: Row) -> Place | None:
        return (row["success"], min(row[UP], TOP)) if "success" in row and UP in row else None

    direction = f"direction similarity, {encoder}"

    def named(up: str) -> Panel:
        curves = _curves(lines, lambda row: (row[direction], row[up]))
        return Panel(direction, up if up != EDIT_PSNR else f"{up} in dB", curves)

    first = Panel(
        "strict success",
        f"PSNR outside the true mask in dB, at most {TOP:g}",
        _curves(lines, world),
        (round_trip, "VAE round trip"),
    )
    return first, [named(f"image similarity, {encoder}"), named(EDIT_PSNR)]


def _curves(lines: Sequence[Line], place: Callable[[Row], Place | None]) -> list[Curve]:
    return [
        Curve(
            line.label,
            [at for row in line.rows if (at := place(row)) is not None],
            None if line.default is None else place(line.default),
        )
        for line in lines
    ]
