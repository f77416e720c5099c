"""`python -m backend bench detail`: what an edit's detail and rim give, and what they take, side by
side in one run on the same pictures, each edited inside its true region.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from backend.editing import Editor, crop
from backend.errors import BadInput
from backend.evaluation import metrics
from backend.evaluation.apart import draw_apart
from backend.evaluation.options import DetailOptions
from backend.evaluation.samples import SEEDS, draw_present
from backend.output.report import Report
from backend.pictures import boxes
from backend.world.pool import Sample
from protocol.settings import EditSettings
from protocol.values import Box

EDGE = 4
"""Pixels on each side of the true region's edge that count as its edge."""
DRAWN = 12
"""Samples that are drawn for each one with a region of the size that is asked for, at most."""


@dataclass(frozen=True)
class Variant:
    """A way to edit.

    Attributes:
        settings: of the edit.
        together: whether all that is to change is edited in one part of the picture, also where it
            lies apart.
    """

    settings: EditSettings
    together: bool = False


def variants(options: DetailOptions) -> dict[str, Variant]:
    """What is measured, by name: every detail without a rim, the first one being what the others
    are compared with, where things lie apart also in one part, and the program's own detail with
    every rim.
    """
    steps = options.steps
    if not options.details:
        raise BadInput("Name one detail at least with --details.")
    found: dict[str, Variant] = {}
    for detail in options.details:
        found[detail] = Variant(EditSettings(steps=steps, detail=detail))
        if options.apart and detail != "whole":
            found[f"{detail}, in one part"] = replace(found[detail], together=True)
    own = EditSettings.detail
    for rim in options.rims or ():
        settings = EditSettings(steps=steps, detail=own, rim=rim)
        found[f"{own}, rim {rim:g}"] = Variant(settings)
    return found


def drawn(options: DetailOptions) -> list[Sample]:
    """Recolourings of single things that fill about as much of the picture as is asked for, or of
    two things that lie apart.

    Raises:
        BadInput: there are none.
    """
    if options.apart:
        return draw_apart(SEEDS[options.seeds], options.samples, options.size)
    low, high = options.share
    found = [
        sample
        for sample in draw_present(
            SEEDS[options.seeds], options.samples * DRAWN, options.size, kinds=["recolour"]
        )
        if isinstance(sample.edit.target, int) and low <= float((sample.mask > 0.5).mean()) <= high
    ]
    if not found:
        raise BadInput(f"No region fills {low:g} to {high:g} of its picture: widen --share.")
    return found[: options.samples]


def measure(
    editor: Editor, samples: Sequence[Sample], settings: dict[str, Variant]
) -> dict[str, dict[str, float]]:
    """Figures by name of the settings: seconds and processor seconds of an edit (medians), and of
    all of them as a share of the first one's; PSNR in dB against the true edit inside the region,
    on its edge, and the mean and the least gain inside over the first one.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in settings}
    psnr: dict[str, list[tuple[float, float]]] = {name: [] for name in settings}
    first = next(iter(settings))
    for number, sample in enumerate(samples):
        mask = sample.mask > 0.5
        edge = binary_dilation(mask, iterations=EDGE) & ~binary_erosion(mask, iterations=EDGE)
        turns = list(settings.items())
        if number == 0:
            turns = [turns[0], *turns]  # the first one warms up
        for name, chosen in turns:
            editor.set_image(np.zeros_like(sample.image))  # nothing is known of the picture
            wall, cpu = time.perf_counter(), time.process_time()
            editor.set_image(sample.image)
            edited = editor.edit(
                sample.edit.instruction,
                mask=mask,
                settings=chosen.settings,
                crop=_one_part(editor, mask, chosen) if chosen.together else None,
            ).image
            took = time.perf_counter() - wall, time.process_time() - cpu
            figures = _psnr(edited, sample, mask), _psnr(edited, sample, edge)
            times[name].append(took)
            psnr[name].append(figures)
    times[first], psnr[first] = times[first][1:], psnr[first][1:]
    base = np.array(times[first]).sum(axis=0)
    found = {}
    for name in settings:
        gains = [one[0] - other[0] for one, other in zip(psnr[name], psnr[first], strict=True)]
        wall, cpu = np.array(times[name]).sum(axis=0) / base
        found[name] = {
            "seconds": round(statistics.median(one[0] for one in times[name]), 3),
            "processor seconds": round(statistics.median(one[1] for one in times[name]), 3),
            "share of the time": round(float(wall), 2),
            "share of processor time": round(float(cpu), 2),
            "PSNR inside": round(statistics.fmean(one[0] for one in psnr[name]), 2),
            "PSNR on the edge": round(statistics.fmean(one[1] for one in psnr[name]), 2),
            "gain inside, mean": round(statistics.fmean(gains), 2),
            "least": round(min(gains), 2),
        }
    return found


def _one_part(editor: Editor, mask: NDArray[np.bool_], chosen: Variant) -> Box:
    """The part that an edit of one part would work on."""
    card, detail = editor.card, chosen.settings.detail
    return crop.around(boxes.bounds(mask), mask.shape, card, card.native_size, detail).box


def _psnr(edited: NDArray[np.uint8], sample: Sample, where: NDArray[np.bool_]) -> float:
    return min(99.0, metrics.psnr(edited, sample.edited, where))


def run(options: DetailOptions, command: list[str]) -> int:
    """Measure and write report.json into `options.out`; the exit status."""
    editor = Editor.from_pretrained(options.model, options.device, options.dtype)
    samples = drawn(options)
    report = Report(
        command,
        settings={
            "model": editor.card.name,
            "device": editor.card.device_name,
            "seeds": options.seeds,
            "samples": len(samples),
            "size": options.size,
            "share": None if options.apart else list(options.share),
            "apart": options.apart,
            "steps": options.steps,
        },
    )
    with report.stage("edits"):
        found = measure(editor, samples, variants(options))
    report.figures |= found
    report.figures["mean share of the picture"] = round(
        statistics.fmean(float((sample.mask > 0.5).mean()) for sample in samples), 3
    )
    report.write(options.out)
    names = list(next(iter(found.values())))
    print(f"{len(samples)} edits each | " + " | ".join(names))
    for name, figures in found.items():
        print(f"{name} | " + " | ".join(f"{figures[one]:g}" for one in names))
    return 0
