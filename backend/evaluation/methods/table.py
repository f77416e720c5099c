"""Tables of methods: means over an edit's repeats, and how far these lie apart."""

from collections.abc import Mapping, Sequence

import numpy as np

from backend.evaluation.scenes.scene_figures import Figures


def spread(rows: Sequence[Figures]) -> dict[str, dict[str, float]]:
    """Mean and sample standard deviation of every figure, over the rows that have it; no deviation
    of a single one.
    """
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row]
        found[name] = {"mean": round(float(np.mean(values)), 4)}
        if len(values) > 1:
            found[name]["deviation"] = round(float(np.std(values, ddof=1)), 4)
    return found


def title_of(instruction: str, repeats: int) -> str:
    """What a table is of."""
    if repeats == 1:
        return f'"{instruction}", one edit each'
    return f'"{instruction}", {repeats} edits each, mean ± standard deviation'


def label_of(label: str, rows: Sequence[Figures], repeats: int) -> str:
    """A method, and where there are fewer edits by it than were asked for, how many."""
    return label if len(rows) == repeats else f"{label} ({len(rows)} of {repeats} edits)"


def markdown(
    title: str, methods: Mapping[str, Mapping[str, Mapping[str, float]]], columns: Sequence[str]
) -> str:
    """A table with a row a method, each figure as mean ± standard deviation.

    Args:
        title: of it.
        methods: by label, what `spread` gives.
        columns: the figures that are shown, where any method has them.
    """
    names = [name for name in columns if any(name in row for row in methods.values())]
    lines = [f"### {title}", "", f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for label, row in methods.items():
        cells = [_cell(row[name]) if name in row else "" for name in names]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(figure: Mapping[str, float]) -> str:
    mean = f"{figure['mean']:.4g}"
    return f"{mean} ± {figure['deviation']:.2g}" if figure.get("deviation") else mean
