"""The paper's Figure 4: how much of the input a method keeps against how much it does, a curve for
each; in terms of the demo world, whose truth is known, and in the paper's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH, ROW = 11.0, 6.5
"""Inches of the figure, and of each row of panels."""
LEFT, BOTTOM, ACROSS, UP = 0.07, 0.09, 0.64, 0.84
"""Of the first panel, in shares of its row; the others are squares of half the figure."""
DOTS = 130
COLOURS, LINES = 10, ("-", "--", "-.", ":")
GAP = 0.04
"""Between labels, in heights of the plot."""

Place = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """A method's.

    Attributes:
        label: of the method.
        points: along and up, in the order of the knob; none where nothing is known.
        default: the same where the knob stands by itself, or None.
    """

    label: str
    points: Sequence[Place]
    default: Place | None


@dataclass(frozen=True)
class Panel:
    """A plot of all methods.

    Attributes:
        along, up: names of its axes.
        curves: at least one, in every panel of the same methods.
        line: where a line is drawn across, and what it says, or None.
    """

    along: str
    up: str
    curves: Sequence[Curve]
    line: tuple[float, str] | None = None


def plotted(title: str, first: Panel, others: Sequence[Panel] = ()) -> bytes:
    """A PNG: every curve with its name at its side, a disc where a knob stands by itself, and below
    two others in the same colours.

    Args:
        title: what is drawn.
        first: what is drawn large, with names.
        others: what is drawn below, none or two.
    """
    rows = 2 if others else 1
    figure = Figure((WIDTH, ROW * rows), DOTS)
    axes = figure.add_axes((LEFT, (rows - 1 + BOTTOM) / rows, ACROSS, UP / rows))
    names = _draw(axes, first)
    axes.set_title(title, loc="left", fontsize=11)
    _write(axes, names)
    for number, panel in enumerate(others):
        _draw(figure.add_axes((LEFT + number / 2, BOTTOM / 2, 0.41, 0.4)), panel)
    content = BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


@dataclass(frozen=True)
class Name:
    """A curve's name, where its end is, and its colour."""

    text: str
    end: Place
    colour: str


def _draw(axes: Axes, panel: Panel) -> list[Name]:
    """Draw a panel; the names of its curves."""
    names = []
    for number, curve in enumerate(panel.curves):
        colour, line = f"C{number % COLOURS}", LINES[number // COLOURS % len(LINES)]
        if not curve.points:
            continue
        along, up = zip(*curve.points, strict=True)
        axes.plot(along, up, line, color=colour, linewidth=1.6, marker=".")
        if curve.default is not None:
            axes.plot(*curve.default, "o", color=colour, markersize=9)
        names.append(Name(curve.label, max(curve.points), colour))
    if panel.line is not None:
        height, words = panel.line
        axes.axhline(height, color="0.5", linewidth=0.8, linestyle=":")
        axes.annotate(
            words, (0.01, height), xycoords=("axes fraction", "data"),
            xytext=(0, 3), textcoords="offset points", color="0.4", fontsize=8,
        )  # fmt: skip
    axes.set_xlabel(f"{panel.along} \N{RIGHTWARDS ARROW}")
    axes.set_ylabel(f"{panel.up} \N{RIGHTWARDS ARROW}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return names


def _write(axes: Axes, names: Sequence[Name]) -> None:
    """Write the names beside the plot, in the order of their curves' ends from above, as near to
    these as the others leave room, with thin lines to them.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = {one: float(to_axes.transform(one.end)[1]) for one in names}
    free = 1.0
    for left, one in reversed(list(enumerate(sorted(names, key=lambda name: heights[name])))):
        height = max(min(heights[one], free), left * GAP)
        free = height - GAP
        axes.annotate(
            one.text, one.end, xytext=(1.03, height), textcoords="axes fraction",
            color=one.colour, fontsize=9, verticalalignment="center",
            arrowprops={
                "arrowstyle": "-", "color": one.colour, "linewidth": 0.6, "alpha": 0.5,
                "relpos": (0, 0.5),  # of the name, where the line ends
            },
        )  # fmt: skip
