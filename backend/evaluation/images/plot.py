"""The paper's Figure 4 in terms of the demo world: how much of the input a method keeps against how
often it does what was asked, a curve for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure

SIZE, WHERE = (11.0, 6.5), (0.07, 0.09, 0.64, 0.84)
DOTS = 130
COLOURS, LINES = 10, ("-", "--", "-.", ":")
TOP = 60.0
"""PSNR in dB that higher ones are drawn at: nobody sees the difference."""
GAP = 0.04
"""Between labels, in heights of the plot."""


@dataclass(frozen=True)
class Curve:
    """A method's.

    Attributes:
        label: of the method.
        points: success 0..1 and PSNR outside in dB, in the order of the knob.
        default: the same where the knob stands by itself.
    """

    label: str
    points: Sequence[tuple[float, float]]
    default: tuple[float, float]


def plotted(curves: Sequence[Curve], round_trip: float | None, title: str, success: str) -> bytes:
    """A PNG: every curve with its name at its side; a disc where a knob stands by itself.

    Args:
        curves: at least one.
        round_trip: PSNR in dB of pictures that only passed the VAE, or None.
        title: what is drawn.
        success: name of the axis along which success runs.
    """
    figure = Figure(SIZE, DOTS)
    axes = figure.add_axes(WHERE)
    names = []
    for number, curve in enumerate(curves):
        colour, line = f"C{number % COLOURS}", LINES[number // COLOURS % len(LINES)]
        along = [success for success, _ in curve.points]
        up = [min(kept, TOP) for _, kept in curve.points]
        axes.plot(along, up, line, color=colour, linewidth=1.6, marker=".")
        axes.plot(curve.default[0], min(curve.default[1], TOP), "o", color=colour, markersize=9)
        names.append(Name(curve.label, max(zip(along, up, strict=True)), colour))
    if round_trip is not None:
        axes.axhline(round_trip, color="0.5", linewidth=0.8, linestyle=":")
        axes.annotate(
            "VAE round trip", (0.01, round_trip), xycoords=("axes fraction", "data"),
            xytext=(0, 3), textcoords="offset points", color="0.4", fontsize=8,
        )  # fmt: skip
    axes.set_xlabel(success)
    axes.set_ylabel(f"PSNR outside the true mask in dB, at most {TOP:g} \N{RIGHTWARDS ARROW}")
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    _write(axes, names)
    content = BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


@dataclass(frozen=True)
class Name:
    """A curve's name, where its end is, and its colour."""

    text: str
    end: tuple[float, float]
    colour: str


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
            arrowprops={"arrowstyle": "-", "color": one.colour, "linewidth": 0.6, "alpha": 0.5},
        )  # fmt: skip
