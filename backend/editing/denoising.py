"""Edits of several places in one batch: encoded, denoised, decoded and put in."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from protocol.settings import EditSettings, SpeedSettings

from .deep_features import DeepFeatures
from .encoded_image import EncodedImage, work_image
from .guided_edit import Step, counted_on, guided_edit
from .models.denoiser import Conditions, Denoiser
from .noises import drawn_noises
from .work import Work, batches


@torch.inference_mode()
def conditions(
    model: Denoiser, encoded: Sequence[EncodedImage], instruction: str
) -> list[Conditions]:
    """What a model is told of each of several pictures and an instruction."""
    return [one.conditions(model, instruction) for one in encoded]


def edit_all(
    model: Denoiser,
    instruction: str,
    works: Sequence[Work],
    pictures: int,
    settings: EditSettings,
    speed: SpeedSettings,
    on_batch: Callable[[Sequence[Work]], None],
    on_step: Callable[[Step], None] | None = None,
    noise: Tensor | None = None,
) -> None:
    """Do works on so many pictures of one size, batch by batch. `on_batch` is told of each before
    it begins; the steps of all of them are counted on. The rest is as in `edit_together`.
    """
    together = batches(works, model.card, pictures)
    for index, batch in enumerate(together):
        on_batch(batch)
        told = None if on_step is None else counted_on(on_step, index, len(together))
        edit_together(model, instruction, batch, settings, speed, told, noise)


@torch.inference_mode()
def edit_together(
    model: Denoiser,
    instruction: str,
    works: Sequence[Work],
    settings: EditSettings,
    speed: SpeedSettings,
    on_step: Callable[[Step], None] | None = None,
    noise: Tensor | None = None,
) -> None:
    """Do B works whose windows have latents of one size: denoised in the cells with any pixel that
    gets some of the edit, and put in at these pixels.

    Args:
        model: that sees each picture at once; works in tiles are given to it tile by tile.
        instruction: what to change.
        works: of these settings, and their own seed and strength.
        speed: as in `Editor.edit`.
        on_step: as in `guided_edit`.
        noise: (B, c, h, w) in place of the seeds' own.

    Raises:
        BadInput: the model has no deep features to reuse, or as `guided_edit`.
        FloatingPointError: as `ModelCard.check_numbers`.
    """
    encoded = [work.encoded for work in works]
    if noise is None:
        noise = torch.cat([drawn_noises((work.seed,), work.encoded) for work in works])
    starts = [_start(model, work) for work in works if work.start is not None]
    cells = [one.encoded.cells(one.place.touched()) for one in works]
    seen_by = works[0].place.window.seen_by(model, np.any(cells, axis=0))
    deep = DeepFeatures(model, speed.deep_every)
    with deep.reused():
        latents = guided_edit(
            seen_by,
            torch.cat([one.encoding.latents for one in encoded]),
            conditions(seen_by, encoded, instruction),
            torch.from_numpy(np.stack(cells)).to(noise.device)[:, None],
            noise,
            guidance=model.card.guidance.resolved(settings),
            steps=settings.steps,
            strengths=[work.strength for work in works],
            start=torch.cat(starts) if starts else None,
            on_step=on_step,
            speed=speed,
            deep=deep,
        )
    for part, work, one in zip(latents.split(1), works, encoded, strict=True):
        work.place.put_in(work.edited, one.decoded(seen_by, part))


def _start(model: Denoiser, work: Work) -> Tensor:
    """(1, c, h, w) latents of what an edit starts from."""
    seen = work_image(model.card, work.start_part(), work.place.window.shape)
    latents = work.place.window.seen_by(model).encode(seen).latents
    model.card.check_numbers(latents)
    return latents
