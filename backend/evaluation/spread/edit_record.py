"""What is measured of one edit of a sample, and the means of many."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray

from backend.editing.methods.method import Edited
from backend.evaluation import metrics
from backend.evaluation.edits import OUTSIDE, SAME
from backend.evaluation.similarity import EDIT_PSNR, picture_metrics, whose
from backend.evaluation.spread.work import Tools
from backend.world.pool import Sample

POOLED_EDIT_PSNR = f"{EDIT_PSNR}, pooled"


@dataclass(frozen=True)
class EditRecord:
    """What was measured of one edit.

    Attributes:
        success: strict success, or None where nobody could see whether it is one.
        error_outside: mean squared error against the input over the pixels that the true mask does
            not touch, of 8-bit values; None where there are none.
        error_inside: the same against the true edit, inside the true mask.
        similarities: of `picture_metrics`, by its names.
        edited: share of the picture that was edited; 1 where there is no mask.
        seconds: of the clock.
        processor_seconds: of this process.
    """

    success: bool | None
    error_outside: float | None
    error_inside: float | None
    similarities: dict[str, float]
    edited: float
    seconds: float
    processor_seconds: float


def measured_edit(
    sample: Sample,
    palette: metrics.Palette | None,
    tools: Tools,
    edit: Callable[[], Edited],
) -> tuple[EditRecord, NDArray[np.uint8]]:
    """What was measured of an edit of a sample, which is made now, and the edit, uint8 (H, W, 3).

    Args:
        sample: with the truth.
        palette: its own, of `metrics.palette_of_sample`.
        tools: of similarities, and whose editor it is made with, if with any.
        edit: makes it. Maps that it shares with others count as if it had found them.
    """
    maps = tools.maps
    began, processor, spared = perf_counter(), process_time(), maps.spared
    made = edit()
    seconds, busy = perf_counter() - began, process_time() - processor
    more = maps.spared - spared
    edited, outside, inside = made.image, sample.mask < OUTSIDE, sample.mask > 0.5
    record = EditRecord(
        success=metrics.strict_success(sample, edited, palette),
        error_outside=error(edited, sample.image, outside),
        error_inside=error(edited, sample.edited, inside),
        similarities=picture_metrics(
            sample.image, edited, sample.captions, tools.encoder, lpips=tools.lpips
        ),
        edited=1.0 if made.mask is None else float(made.mask.mean()),
        seconds=seconds + float(more[0]),
        processor_seconds=busy + float(more[1]),
    )
    return record, edited


def error(
    image: NDArray[np.uint8], reference: NDArray[np.uint8], where: metrics.Mask
) -> float | None:
    """Mean squared error over pixels; None where there are none."""
    if not where.any():
        return None
    return float(((image.astype(np.float64) - reference)[where] ** 2).mean())


def figures_of(records: Sequence[EditRecord], encoder: str) -> dict[str, float]:
    """A point's row: how many edits, strict success, PSNR outside in dB as the mean of each
    picture's (one without a difference counts as SAME) and of the error pooled over all, PSNR
    inside against the true edit, the means of similarities, under names that say whose they are,
    and of the share edited, and the medians of seconds. "edit PSNR" is pooled, too: its mean is
    lifted by pictures in which nothing was edited.
    """
    found: dict[str, float] = {"n": len(records)}
    successes = [float(one.success) for one in records if one.success is not None]
    if successes:
        found["success"] = float(np.mean(successes))
    for name, errors in (
        ("outside", _known(one.error_outside for one in records)),
        ("inside", _known(one.error_inside for one in records)),
    ):
        if errors:
            each = [min(metrics.decibels(one), SAME) for one in errors]
            found[f"PSNR {name}"] = float(np.mean(each))
            pooled = min(metrics.decibels(float(np.mean(errors))), SAME)
            found[f"PSNR {name}, pooled"] = pooled
    for name in records[0].similarities:
        values = [one.similarities[name] for one in records]
        found[whose(name, encoder)] = float(np.mean(values))
    changes = [255**2 / 10 ** (one.similarities[EDIT_PSNR] / 10) for one in records]
    found[POOLED_EDIT_PSNR] = min(metrics.decibels(float(np.mean(changes))), SAME)
    found["share edited"] = float(np.mean([one.edited for one in records]))
    found["seconds, median"] = float(np.median([one.seconds for one in records]))
    busy = [one.processor_seconds for one in records]
    found["processor seconds, median"] = float(np.median(busy))
    return {name: round(value, 3) for name, value in found.items()}


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
