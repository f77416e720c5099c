"""`python -m backend evaluate captions`: how well a text-to-image model knows the demo world.

On held-out scenes it is asked three questions, two of which have true answers:

- Of two captions, does the right one make it denoise a picture better? (By chance: half.)
- Noised and denoised with the caption after an edit (SDEdit, Meng et al. 2022), is that edit there,
  and what else has changed? Strict success and PSNR are those of `evaluate relevance`.
- What does it draw from nothing but noise? A sheet to look at.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from backend.editing.guided_edit import guided_edit
from backend.editing.models.denoiser import Denoiser, draw_noise
from backend.editing.models.guidance import UNGUIDED, Guidance
from backend.editing.models.registry import load_text_to_image
from backend.evaluation import metrics
from backend.evaluation.edits import OUTSIDE, SAME
from backend.evaluation.maps import Table
from backend.evaluation.options import CaptionOptions
from backend.evaluation.relevance import markdown
from backend.evaluation.retrieval import draw_pairs
from backend.evaluation.samples import SEEDS
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.report import Report
from backend.world.pool import Sample

CHOICE_LEVELS = (0.5, 0.7, 0.9)
CHOICE_SEEDS = (0, 1)
SDEDIT_LEVEL = 0.8
STEPS = 30
DRAWN = 24
COLUMNS = 6

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Question:
    """One picture and two captions.

    Attributes:
        picture: uint8 (H, W, 3).
        right, wrong: what it shows, and what it does not.
    """

    picture: Picture
    right: str
    wrong: str


def edit_questions(edits: Sequence[Sample]) -> list[Question]:
    """Of every edit, the pictures before and after, which caption is whose: two each."""
    return [
        question
        for one in edits
        for question in (
            Question(one.image, one.captions[0], one.captions[1]),
            Question(one.edited, one.captions[1], one.captions[0]),
        )
    ]


def scene_questions(edits: Sequence[Sample]) -> list[Question]:
    """Every picture before its edit, with its own caption and the next one's."""
    others = [*edits[1:], *edits[:1]]
    return [
        Question(one.image, one.captions[0], other.captions[0])
        for one, other in zip(edits, others, strict=True)
        if one.captions[0] != other.captions[0]
    ]


@torch.inference_mode()
def right_answers(model: Denoiser, questions: Sequence[Question]) -> float:
    """The share of questions, 0..1, whose right caption gives the lower mean squared error of the
    predicted noise, over CHOICE_LEVELS and CHOICE_SEEDS.
    """
    return float(np.mean([_answers(model, question) for question in questions]))


def _answers(model: Denoiser, question: Question) -> bool:
    encoding = model.encode(question.picture)
    clean = encoding.latents
    noise = torch.cat([draw_noise(seed, clean) for seed in CHOICE_SEEDS])
    count = len(noise) * len(CHOICE_LEVELS)
    noise = noise.repeat(len(CHOICE_LEVELS), 1, 1, 1)
    levels = torch.tensor(CHOICE_LEVELS, dtype=torch.float64).repeat_interleave(len(CHOICE_SEEDS))
    noisy = model.noised(clean.expand(count, -1, -1, -1), noise, levels)
    errors = []
    for caption in (question.right, question.wrong):
        told = [model.conditions(encoding, caption)] * count
        off = model.predict(noisy, levels, told, UNGUIDED).noise - noise
        errors.append(float(off.square().mean()))
    return errors[0] < errors[1]


@torch.inference_mode()
def drawn(
    model: Denoiser,
    clean: Tensor,
    conditions: Any,
    guidance: Guidance,
    strength: float,
    seed: int,
    steps: int = STEPS,
) -> Picture:
    """What a model makes of a picture's latents (1, c, h, w), noised to a level and denoised
    everywhere; at strength 1 but a trace of the picture is left in them.
    """
    everywhere = torch.ones_like(clean[:, :1], dtype=torch.bool)
    latents = guided_edit(
        model,
        clean,
        [conditions],
        everywhere,
        draw_noise(seed, clean),
        guidance=guidance,
        steps=steps,
        strengths=[strength],
    )
    return model.decode(latents)


def sdedit_figures(model: Denoiser, sample: Sample, guidance: Guidance) -> dict[str, float]:
    """Of one edit by its caption after it: strict success where it has one, PSNR outside the true
    mask against the input, and whole against the true edit.
    """
    with torch.inference_mode():
        encoding = model.encode(sample.image)
        told = model.conditions(encoding, sample.captions[1])
        picture = drawn(model, encoding.latents, told, guidance, SDEDIT_LEVEL, 0)
    figures = {
        "PSNR to the true edit": min(
            metrics.psnr(picture, sample.edited, np.ones(sample.mask.shape, np.bool_)), SAME
        )
    }
    outside = sample.mask < OUTSIDE
    if outside.any():
        figures["PSNR outside"] = min(metrics.psnr(picture, sample.image, outside), SAME)
    success = metrics.strict_success(sample, picture, metrics.palette_of_sample(sample))
    if success is not None:
        figures["success"] = float(success)
        figures[f"success: {sample.edit.kind}"] = float(success)
    return figures


def sheet(model: Denoiser, captions: Sequence[str], guidance: Guidance) -> Image.Image:
    """A picture drawn from noise for every caption, with it."""
    size = model.card.native_size
    tiles: list[Tile] = []
    for seed, caption in enumerate(captions):
        with torch.inference_mode():
            # a grey picture, of which at level 1 nothing is seen
            encoding = model.encode(np.full((size, size, 3), 127, np.uint8))
            clean = torch.zeros_like(encoding.latents)
            told = model.conditions(encoding, caption)
            picture = drawn(model, clean, told, guidance, 1.0, seed)
        tiles.append((Image.fromarray(picture), textwrap.fill(caption, 27)))
    rows = [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]
    return contact_sheet(rows, tile=192)


def run(options: CaptionOptions, command: list[str]) -> int:
    """Measure and write; the exit status.

    Raises:
        BadInput: there is no such model, or the pictures are too few.
    """
    model = load_text_to_image(options.model, options.device, options.dtype)
    text = model.card.guidance.text if options.text_guidance is None else options.text_guidance
    guidance = Guidance(text=text, image=1.0)
    report = Report(
        command,
        settings={
            "model": model.card.name,
            "device": model.card.device_name,
            "pictures": options.pictures,
            "edits": options.edits,
            "seeds": options.seeds,
            "text_guidance": text,
            "steps": STEPS,
        },
    )
    with report.stage("drawing scenes"):
        pairs = draw_pairs(SEEDS[options.seeds], options.pictures, model.card.native_size)
    tables: dict[str, Table] = {}
    with report.stage("choosing captions"):
        rows = {
            "before or after an edit": edit_questions(pairs.edits),
            "another scene's": scene_questions(pairs.edits),
        }
        tables["Of two captions, the right one denoises better"] = {
            name: {"n": len(questions), "share": round(right_answers(model, questions), 3)}
            for name, questions in rows.items()
        }
    if options.edits:
        with report.stage("SDEdit"):
            figures = [
                sdedit_figures(model, sample, guidance) for sample in pairs.edits[: options.edits]
            ]
        tables["SDEdit with the caption after the edit"] = {
            f"noise level {SDEDIT_LEVEL}": metrics.mean_figures(figures)
        }
    report.figures |= tables
    options.out.mkdir(parents=True, exist_ok=True)
    with report.stage("from noise"):
        captions = list(pairs.captions)[:DRAWN]
        sheet(model, captions, guidance).save(options.out / "contact_sheet.png")
    text_of_tables = "\n".join(markdown(title, table) for title, table in tables.items())
    (options.out / "figures.md").write_text(text_of_tables, "utf-8")
    report.write(options.out)
    print(text_of_tables)
    print(f"wrote figures.md, contact_sheet.png and report.json to {options.out}")
    return 0
