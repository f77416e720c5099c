"""Plots of a sweep: heat maps over thresholds and image guidances, and what maps are along the
noise level and the number of noises.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DOTS = 130
PANEL = (4.3, 3.8)
"""Inches of one plot."""
ACROSS = 3
"""Plots in a row."""


@dataclass(frozen=True)
class HeatMap:
    """A figure over two settings.

    Attributes:
        title: of it.
        values: by threshold and image guidance; a pair without one is left empty.
        digits: behind the point.
    """

    title: str
    values: Mapping[tuple[float, float], float]
    digits: int


def heat_maps(
    maps: Sequence[HeatMap], thresholds: Sequence[float], guidances: Sequence[float]
) -> bytes:
    """A PNG: a heat map of each, thresholds up and image guidances along, with its numbers."""
    rows = -(-len(maps) // ACROSS)
    figure = Figure((PANEL[0] * ACROSS, PANEL[1] * rows), DOTS, layout="constrained")
    grid = figure.subplots(rows, ACROSS, squeeze=False)
    for axes, one in zip(grid.flat, maps, strict=False):
        _draw(axes, one, thresholds, guidances)
    for axes in grid.flat[len(maps) :]:
        axes.set_axis_off()
    return _png(figure)


def _draw(
    axes: Axes, one: HeatMap, thresholds: Sequence[float], guidances: Sequence[float]
) -> None:
    values = np.array(
        [[one.values.get((up, along), np.nan) for along in guidances] for up in thresholds]
    )
    axes.imshow(values, origin="lower", aspect="auto", cmap="viridis")
    low, high = np.nanmin(values), np.nanmax(values)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            bright = value - low > 0.6 * (high - low) and high > low
            axes.text(
                column, row, f"{value:.{one.digits}f}",
                color="black" if bright else "white", fontsize=8, ha="center", va="center",
            )  # fmt: skip
    axes.set_xticks(range(len(guidances)), [f"{value:g}" for value in guidances])
    axes.set_yticks(range(len(thresholds)), [f"{value:g}" for value in thresholds])
    axes.set_xlabel("image guidance")
    axes.set_ylabel("threshold")
    axes.set_title(one.title, fontsize=10)


def map_curves(
    by_level: Mapping[float, dict[str, float]],
    by_noises: Mapping[int, dict[str, float]],
    names: Sequence[str],
) -> bytes:
    """A PNG: figures of maps, 0..1, along the noise level of one noise, and along the number of
    noises.
    """
    figure = Figure((PANEL[0] * 2, PANEL[1]), DOTS, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, rows, along in (
        (left, by_level, "noise level, of one noise"),
        (right, by_noises, "noises that a map is the mean of"),
    ):
        for name in names:
            places = sorted((at, row[name]) for at, row in rows.items() if name in row)
            axes.plot([at for at, _ in places], [up for _, up in places], marker=".", label=name)
        axes.set_xlabel(along)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    right.set_xticks(sorted(by_noises))
    left.legend(fontsize=8, frameon=False)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    content = BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
