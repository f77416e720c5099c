"""What edits do: strict success, and how well they keep what is outside the true mask."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.editing import Editor
from backend.evaluation import metrics
from backend.world.pool import Sample
from protocol.settings import EditSettings, GuidanceSettings, RegionSettings, taken

STEPS = 20
OUTSIDE = 0.02
"""Share of a pixel that may be inside the true mask where it still counts as outside."""
SAME = 99.0
"""PSNR in dB that is entered for pictures without any difference."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Edited:
    """One sample, edited in every way.

    Attributes:
        pictures: uint8 (H, W, 3) by row of the table.
        mask: bool (H, W), where the guided edit changed it.
    """

    sample: Sample
    pictures: dict[str, Picture]
    mask: NDArray[np.bool_]


PLAIN = "plain IP2P (threshold 0)"
GUIDED = "guided edit"
PAPER = 'guided edit, normalisation "paper", threshold 0.5'
TRUE = "guided edit inside the true mask"
PASTED = "plain IP2P, its pixels pasted inside the mask"
ROUND_TRIP = "VAE round trip"

WAYS = ("plain", "guided", "paper", "true")
"""What can be asked for: PLAIN, GUIDED, PAPER and TRUE. The other rows cost next to nothing."""


def edit_samples(
    editor: Editor,
    samples: Sequence[Sample],
    guidance: GuidanceSettings,
    show: Callable[[str], None],
    ways: Collection[str] = WAYS,
) -> list[Edited]:
    """Edit every sample in every one of the ways, with STEPS steps and seed 0; GUIDED is always
    among them. `show` is told how far it is.
    """
    edited = []
    for number, sample in enumerate(samples, 1):
        editor.set_image(sample.image)
        instruction = sample.edit.instruction

        def edit(
            instruction: str = instruction,
            mask: NDArray[np.bool_] | None = None,
            paper: bool = False,
        ) -> tuple[Picture, NDArray[np.bool_]]:
            done = editor.edit(
                instruction,
                threshold=0.5 if paper else None,
                relevance=editor.relevance(instruction, normalisation="paper") if paper else None,
                mask=mask,
                settings=replace(taken(EditSettings, guidance), steps=STEPS),
                region=RegionSettings(snap="nothing"),
            )
            return done.image, done.mask

        guided, mask = edit()
        pictures = {}
        if "plain" in ways:
            plain, _ = edit(mask=np.ones(sample.mask.shape, np.bool_))
            pictures[PLAIN] = plain
            pictures[PASTED] = np.where(mask[..., None], plain, sample.image)
        pictures[GUIDED] = guided
        if "paper" in ways:
            pictures[PAPER], _ = edit(paper=True)
        if "true" in ways:
            pictures[TRUE], _ = edit(mask=sample.mask > 0.5)
        pictures[ROUND_TRIP] = editor.round_trip()
        edited.append(Edited(sample, pictures, mask))
        if number % 10 == 0:
            show(f"{number} of {len(samples)} edits")
    return edited


def edits_table(edited: Sequence[Edited]) -> dict[str, dict[str, float]]:
    """How well each way of editing keeps what is outside the true mask, and strict success by kind.

    "PSNR outside" is the mean over samples in dB, where one without any difference counts as SAME;
    "pooled" is that of the squared error averaged over all samples, which no such sample can lift.
    """
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    errors: dict[str, list[float]] = defaultdict(list)
    for each in edited:
        sample = each.sample
        outside = sample.mask < OUTSIDE
        palette = metrics.palette_of_sample(sample)
        for way, picture in each.pictures.items():
            figures = {}
            if outside.any():
                difference = (picture.astype(np.float64) - sample.image)[outside]
                errors[way].append(float((difference**2).mean()))
                value = metrics.psnr(picture, sample.image, outside)
                figures["PSNR outside"] = min(value, SAME)
            if way != ROUND_TRIP:
                success = metrics.strict_success(sample, picture, palette)
                if success is not None:
                    figures["success"] = float(success)
                    figures[f"success: {sample.edit.kind}"] = float(success)
            rows[way].append(figures)
    table = {}
    for way, some in rows.items():
        pooled = metrics.decibels(float(np.mean(errors[way])))
        means = metrics.mean_figures(some)
        table[way] = {"n": means.pop("n"), "PSNR outside, pooled": round(min(pooled, SAME), 3)}
        table[way] |= means
    return table
