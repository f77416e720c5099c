"""What is drawn of edits' figures: how much is kept against how much is done, in terms of the demo
world and in those of an encoder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.evaluation.edits import SAME
from backend.evaluation.images.plot import Curve, Panel, Place
from backend.evaluation.spread.edit_record import POOLED_EDIT_PSNR

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
    tell success, or nothing is outside of the true masks, there is no point; nor in the encoder's
    terms where nothing was edited in any picture, as what is like the input is no edit yet.
    """

    def world(row: Row) -> Place | None:
        return (row["success"], min(row[UP], TOP)) if "success" in row and UP in row else None

    direction = f"direction similarity, {encoder}"

    def named(up: str, title: str) -> Panel:
        def place(row: Row) -> Place | None:
            return (row[direction], row[up]) if row[POOLED_EDIT_PSNR] < SAME else None

        return Panel(direction, title, _curves(lines, place))

    first = Panel(
        "strict success",
        f"PSNR outside the true mask in dB, at most {TOP:g}",
        _curves(lines, world),
        (round_trip, "VAE round trip"),
    )
    similarity = f"image similarity, {encoder}"
    return first, [
        named(similarity, similarity),
        named(POOLED_EDIT_PSNR, f"{POOLED_EDIT_PSNR}, in dB"),
    ]


def _curves(lines: Sequence[Line], place: Callable[[Row], Place | None]) -> list[Curve]:
    return [
        Curve(
            line.label,
            [at for row in line.rows if (at := place(row)) is not None],
            None if line.default is None else place(line.default),
        )
        for line in lines
    ]
