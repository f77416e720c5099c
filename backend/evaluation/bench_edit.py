"""`python -m backend bench edit` and `bench relevance`: an edit against diffusers' own pipeline,
and a map against the order in which the paper's authors compute it; on the same networks, in turns.

Every run embeds its texts and encodes its picture: what is remembered from one run to the next
helps nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.editing import Editor
from backend.editing.models.denoiser import draw_noise
from backend.editing.models.instruct_pix2pix import InstructPix2Pix
from backend.editing.models.registry import load_model, resolve_device, resolve_dtype
from backend.editing.relevance import NOISE_LEVEL
from backend.errors import BadInput
from backend.evaluation import metrics
from backend.evaluation.edits import OUTSIDE, SAME
from backend.evaluation.options import EditBenchOptions, PairedOptions
from backend.evaluation.paired import Action, compared, take_turns
from backend.evaluation.plain_order import pipeline_edit, pipeline_of, three_branch_map
from backend.evaluation.random_model import random_model
from backend.evaluation.samples import SEEDS, draw_present
from backend.output.report import Report
from backend.world.pool import Sample
from protocol.settings import EditSettings
from protocol.values import Detail

SHARE = (0.06, 0.15)
"""Of the picture, that the region of the measured edit fills."""
LEAST_CELLS = 8
"""Latent cells along a side, below which there is no picture to speak of."""
AUTHORS, OURS = "the authors' order", "this program"


@dataclass(frozen=True)
class Bench:
    """What is measured on.

    Attributes:
        model: the networks.
        pipeline: diffusers' own, on these.
        sample: a picture and an instruction for a region of SHARE of it.
    """

    model: InstructPix2Pix
    pipeline: Any
    sample: Sample

    @classmethod
    def of(cls, options: PairedOptions) -> "Bench":
        """Load the model and draw the picture.

        Raises:
            BadInput: the model is none that diffusers' pipeline runs, or no picture fits.
        """
        if options.full_size:
            device = resolve_device(options.device)
            model: Any = random_model(device, resolve_dtype(options.dtype, device))
        else:
            model = load_model(options.model, options.device, options.dtype)
        if type(model) is not InstructPix2Pix:
            raise BadInput(
                f"{model.card.name} is of another kind than diffusers' InstructPix2Pix pipeline, "
                "which it would be compared with: name another with --model."
            )
        size = options.size or model.card.native_size
        multiple = model.card.multiple
        if size % multiple or size < LEAST_CELLS * multiple:
            raise BadInput(
                f"--size must be a multiple of {multiple}, and at least {LEAST_CELLS * multiple}, "
                f"not {size}."
            )
        return cls(model, pipeline_of(model), _drawn(options, size))

    def editor(self) -> Editor:
        """An editor that has seen and read nothing yet."""
        self.model.forget_texts()
        editor = Editor(self.model)
        editor.set_image(self.sample.image, work_size=min(self.sample.image.shape[:2]))
        return editor

    @property
    def instruction(self) -> str:
        """What to change."""
        return self.sample.edit.instruction


def _drawn(options: PairedOptions, size: int) -> Sample:
    low, high = SHARE
    for seed in SEEDS[options.seeds]:
        for sample in draw_present(range(seed, seed + 1), 1, size, kinds=["recolour"]):
            if low <= float((sample.mask > 0.5).mean()) <= high:
                return sample
    raise BadInput(
        f"No region is small enough in pictures of {size}x{size}: choose another --size."
    )


def relevance_ways(bench: Bench) -> dict[str, Action]:
    """The authors' order and this program, each for one map from one noise."""
    image = bench.sample.image
    noise = draw_noise(0, _latents(bench))

    def authors() -> NDArray[np.float32]:
        return three_branch_map(bench.pipeline, image, bench.instruction, NOISE_LEVEL, noise)

    def this() -> NDArray[np.float32]:
        return (
            bench.editor()
            .relevance(bench.instruction, noise=noise[0].cpu().numpy(), normalisation="paper")
            .values
        )

    return {AUTHORS: authors, OURS: this}


def edit_ways(bench: Bench, steps: int) -> tuple[dict[str, Action], dict[str, str]]:
    """The whole picture at image guidance 1.5 and 1 by diffusers' pipeline and by this program, and
    the region alone; and what each is compared with.
    """
    clean = _latents(bench)
    noise = draw_noise(0, clean)
    start = bench.model.noised(clean, noise, 1.0)
    mask = bench.sample.mask > 0.5
    ways: dict[str, Action] = {}
    against: dict[str, str] = {}

    text = bench.model.card.guidance.text

    def theirs(image_guidance: float) -> Action:
        guidance = text, image_guidance
        return lambda: pipeline_edit(
            bench.pipeline, bench.sample.image, bench.instruction, start, steps, guidance
        )

    def ours(detail: Detail, image_guidance: float, where: NDArray[np.bool_]) -> Action:
        settings = EditSettings(
            steps=steps, text_guidance=text, image_guidance=image_guidance, detail=detail
        )
        return lambda: bench.editor().edit(bench.instruction, mask=where, settings=settings).image

    for guidance in (1.5, 1.0):
        name = f"diffusers' pipeline, image guidance {guidance:g}"
        ways[name] = theirs(guidance)
        whole = f"{OURS}, all of the picture, image guidance {guidance:g}"
        ways[whole] = ours("whole", guidance, np.ones_like(mask))
        against[whole] = name
    details: tuple[Detail, ...] = ("sharp", "fast")
    for detail in details:
        part = f"{OURS}, the region alone, detail {detail}, image guidance 1"
        ways[part] = ours(detail, 1.0, mask)
        against[part] = name
    return ways, against


@torch.inference_mode()
def _latents(bench: Bench) -> torch.Tensor:
    return bench.model.encode(bench.sample.image).latents


def run_relevance(options: PairedOptions, command: list[str]) -> int:
    """Measure maps and write report.json into `options.out`; the exit status."""
    bench = Bench.of(options)
    report = _report(bench, options, command)
    ways = relevance_ways(bench)
    with report.stage("agreement"):
        theirs, ours = (np.asarray(way()) for way in ways.values())
        report.figures["largest difference of the maps"] = round(
            float(np.abs(theirs - ours).max()), 6
        )
    _time(bench, ways, {OURS: AUTHORS}, options, report)
    return 0


def run_edit(options: EditBenchOptions, command: list[str]) -> int:
    """Measure edits and write report.json into `options.out`; the exit status."""
    bench = Bench.of(options)
    report = _report(bench, options, command)
    report.settings["steps"] = options.steps
    ways, against = edit_ways(bench, options.steps)
    sample, mask = bench.sample, bench.sample.mask > 0.5
    with report.stage("agreement"):
        pictures = {name: np.asarray(way()) for name, way in ways.items()}
        for name, picture in pictures.items():
            figures = {"PSNR inside, true edit": metrics.psnr(picture, sample.edited, mask)}
            figures["PSNR outside"] = metrics.psnr(picture, sample.image, sample.mask < OUTSIDE)
            if name in against:
                other = pictures[against[name]]
                everywhere = np.ones_like(mask)
                figures[f"PSNR, {against[name]}"] = metrics.psnr(picture, other, everywhere)
            report.figures[f"pictures: {name}"] = {
                key: round(min(value, SAME), 2) for key, value in figures.items()
            }
    _time(bench, ways, against, options, report)
    return 0


def _report(bench: Bench, options: PairedOptions, command: list[str]) -> Report:
    height, width = bench.sample.mask.shape
    return Report(
        command,
        settings={
            "model": bench.model.card.name,
            "device": bench.model.card.device_name,
            "dtype": str(bench.model.card.dtype).removeprefix("torch."),
            "seeds": options.seeds,
            "size": [height, width],
            "rounds": options.rounds,
            "share of the picture": round(float((bench.sample.mask > 0.5).mean()), 3),
        },
    )


def _time(
    bench: Bench,
    ways: Mapping[str, Action],
    against: Mapping[str, str],
    options: PairedOptions,
    report: Report,
) -> None:
    with report.stage("turns"):
        turns = take_turns(ways, options.rounds, bench.model.unet, bench.model.card.device)
    report.figures |= compared(turns, against)
    report.write(options.out)
    for name, figures in report.figures.items():
        if isinstance(figures, dict):
            print(f"{name}: " + ", ".join(f"{key} {value:g}" for key, value in figures.items()))
        else:
            print(f"{name}: {figures:g}")
    print(f"wrote report.json to {options.out}")
