"""`python -m backend bench speed`: what each option that makes edits faster gives, and what it
takes, side by side in one run on the same pictures and regions.
"""

import statistics
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.editing import Editor
from backend.editing.models.compiled import compiled
from backend.evaluation import metrics
from backend.evaluation.edits import OUTSIDE, SAME
from backend.evaluation.options import SpeedOptions, SpeedWay
from backend.evaluation.paired import finish
from backend.evaluation.samples import SEEDS, draw_present
from backend.output.report import Report
from backend.world.pool import Sample
from protocol.settings import EditSettings, SpeedSettings

USUAL = "as it is"


@dataclass(frozen=True)
class Way:
    """A way to edit.

    Attributes:
        settings, speed: of the edit.
        seeds: how many edits are made in one batch; one of them is looked at.
        compiled: whether the network is.
    """

    settings: EditSettings
    speed: SpeedSettings = SpeedSettings()
    seeds: int = 1
    compiled: bool = False


def ways(options: SpeedOptions) -> dict[str, Way]:
    """What is measured, by the options that ask for it; the others are compared with the first."""
    steps, half = options.steps, max(1, options.steps // 2)
    usual, short = EditSettings(steps=steps), EditSettings(steps=half)
    found: dict[SpeedWay, dict[str, Way]] = {
        "steps": {f"--steps {half}": Way(short)},
        "solver": {
            "--solver dpm++": Way(usual, SpeedSettings(solver="dpm++")),
            f"--solver dpm++ --steps {half}": Way(short, SpeedSettings(solver="dpm++")),
        },
        "interval": {
            f"--guidance-low {low:g} --guidance-high {high:g}": Way(
                usual, SpeedSettings(guidance_low=low, guidance_high=high)
            )
            for low, high in ((0.1, 0.8), (0.3, 0.8))
        },
        "deep": {
            f"--deep-every {every}": Way(usual, SpeedSettings(deep_every=every)) for every in (2, 3)
        },
        "together": {
            f"--solver dpm++ --steps {half} --deep-every 2": Way(
                short, SpeedSettings(solver="dpm++", deep_every=2)
            )
        },
        "seeds": {"4 seeds in one batch, each": Way(usual, seeds=4)},
        "compile": {"--compile": Way(usual, compiled=True)},
    }
    chosen = {name: way for each in options.ways for name, way in found[each].items()}
    return {USUAL: Way(usual)} | chosen


def measure(
    editor: Editor, samples: Sequence[Sample], asked: dict[str, Way]
) -> dict[str, dict[str, float]]:
    """Figures by name of the way: the median seconds and processor seconds of an edit, and of all
    of them as a share of the first way's, where something is compiled also the seconds of the first
    edit, which counts nowhere else; strict success; PSNR in dB outside the true region,
    against the true edit inside it, and against what the first way makes, each the mean.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in asked}
    first = next(iter(asked))
    compiling: dict[str, float] = {}
    for number, sample in enumerate(samples):
        editor.set_image(sample.image)
        mask = editor.edit(sample.edit.instruction, settings=EditSettings(steps=1)).mask
        if number == 0:
            _edited(editor, sample, mask, asked[first])  # warms up
            for name, way in asked.items():
                if way.compiled:
                    compiling[name] = _edited(editor, sample, mask, way)[1][0]
        made: dict[str, NDArray[np.uint8]] = {}
        for name, way in asked.items():
            made[name], took = _edited(editor, sample, mask, way)
            times[name].append(took)
            rows[name].append(_quality(sample, made[name], made[first]))
    base = np.array(times[first]).sum(axis=0)
    found = {}
    for name in asked:
        wall, processor = np.array(times[name]).sum(axis=0) / base
        found[name] = {
            "seconds": round(statistics.median(one[0] for one in times[name]), 3),
            "processor seconds": round(statistics.median(one[1] for one in times[name]), 3),
            "share of the time": round(float(wall), 2),
            "share of processor time": round(float(processor), 2),
            **metrics.mean_figures(rows[name]),
        }
        if name in compiling:
            found[name]["seconds, first"] = round(compiling[name], 1)
    return found


def _edited(
    editor: Editor, sample: Sample, mask: NDArray[np.bool_], way: Way
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """A picture, and seconds and processor seconds of an edit, its encoding among them."""
    editor.set_image(np.zeros_like(sample.image))  # nothing is known of the picture
    finish(editor.card.device)
    wall, processor = time.perf_counter(), time.process_time()
    editor.set_image(sample.image)
    with compiled(editor.model) if way.compiled else nullcontext():
        edits = editor.edit_seeds(
            sample.edit.instruction,
            range(way.seeds),
            mask=mask,
            settings=way.settings,
            speed=way.speed,
        )
    finish(editor.card.device)
    took = time.perf_counter() - wall, time.process_time() - processor
    return edits[0].image, (took[0] / way.seeds, took[1] / way.seeds)


def _quality(
    sample: Sample, picture: NDArray[np.uint8], usual: NDArray[np.uint8]
) -> dict[str, float]:
    inside, outside = sample.mask > 0.5, sample.mask < OUTSIDE
    figures = {"PSNR, as it is": metrics.psnr(picture, usual, np.ones_like(inside))}
    if inside.any():
        figures["PSNR inside"] = metrics.psnr(picture, sample.edited, inside)
    if outside.any():
        figures["PSNR outside"] = metrics.psnr(picture, sample.image, outside)
    figures = {name: min(value, SAME) for name, value in figures.items()}
    success = metrics.strict_success(sample, picture, metrics.palette_of_sample(sample))
    return figures if success is None else figures | {"success": float(success)}


def run(options: SpeedOptions, command: list[str]) -> int:
    """Measure and write report.json into `options.out`; the exit status."""
    editor = Editor.from_pretrained(options.model, options.device, options.dtype)
    samples = draw_present(SEEDS[options.seeds], options.samples, editor.card.native_size)
    report = Report(
        command,
        settings={
            "model": editor.card.name,
            "device": editor.card.device_name,
            "dtype": str(editor.card.dtype).removeprefix("torch."),
            "seeds": options.seeds,
            "samples": len(samples),
            "steps": options.steps,
        },
    )
    with report.stage("edits"):
        found = measure(editor, samples, ways(options))
    report.figures |= found
    report.write(options.out)
    for name, figures in found.items():
        print(f"{name}: " + ", ".join(f"{key} {value:g}" for key, value in figures.items()))
    print(f"wrote report.json to {options.out}")
    return 0
