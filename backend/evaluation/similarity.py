"""What an encoder of pictures and texts says of an edit: the similarities that editing papers
report, on any `Encoder`.

Every embedding is brought to length 1 before differences are taken, as in Brooks et al. 2023
(InstructPix2Pix, section 4.1) and Gal et al. 2022 (StyleGAN-NADA, Eq. 2). `published.py` has the
paper's own published evaluation, which does not.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.editing.encoders import Embeddings, Encoder, Picture
from backend.evaluation.edits import SAME
from backend.evaluation.lpips import LPIPS, Lpips
from backend.evaluation.metrics import psnr

Figures = dict[str, float]
Cosines = NDArray[np.float64]
EDIT_PSNR = "edit PSNR"


def whose(name: str, encoder: str) -> str:
    """What a figure is called beside those of other encoders; those that no encoder has a part in
    keep their names.
    """
    return name if name == EDIT_PSNR or name.startswith(LPIPS) else f"{name}, {encoder}"


def cosine(one: NDArray[np.floating], other: NDArray[np.floating]) -> Cosines:
    """Cosines (N,) of rows (N, d), -1..1; 0 where one of the two is all zeros, as the direction of
    an edit that changes nothing is.
    """
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    products = (one.astype(np.float64) * other).sum(axis=-1)
    found: Cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return found


def image_similarity(before: Embeddings, after: Embeddings) -> Cosines:
    """CLIP image similarity (N,): how much of each picture is still there after its edit."""
    return cosine(before, after)


def text_image_similarity(after: Embeddings, text: Embeddings) -> Cosines:
    """CLIP text-image similarity (N,): how well each edited picture fits its caption."""
    return cosine(after, text)


def direction_similarity(
    before: Embeddings, after: Embeddings, text_before: Embeddings, text_after: Embeddings
) -> Cosines:
    """Text-image direction similarity (N,): whether the picture has changed as its caption has."""
    return cosine(after - before, text_after - text_before)


def frame_similarity(after: Embeddings) -> float:
    """Mean cosine of neighbouring frames of an edited scene, embeddings (frames, d) along a path.

    Raises:
        ValueError: there are fewer than two.
    """
    return float(_neighbours(after).mean())


def edit_similarity(before: Embeddings, after: Embeddings) -> float:
    """Instruct-NeRF2NeRF's direction consistency (Haque et al. 2023): the mean cosine of what the
    edit changes in one frame and in the next, embeddings (frames, d) along one path.

    Raises:
        ValueError: there are fewer than two.
    """
    return float(_neighbours(after - before).mean())


def _neighbours(rows: NDArray[np.floating]) -> Cosines:
    if len(rows) < 2:
        raise ValueError("A path has two frames at least.")
    return cosine(rows[:-1], rows[1:])


def picture_metrics(
    before: Picture,
    after: Picture,
    captions: tuple[str, str],
    encoder: Encoder,
    outside: NDArray[np.bool_] | None = None,
    lpips: Lpips | None = None,
) -> Figures:
    """Figures of the edit of one picture that need no truth.

    "edit PSNR" compares the whole edited picture with the input, "PSNR outside" the pixels that
    the edit is not about (both in dB, SAME at most).

    Args:
        before, after: uint8 (H, W, 3), RGB.
        captions: what the picture shows, and what it is to show.
        outside: bool (H, W), where nothing is to change, where that is known.
        lpips: says how unlike the two look, under its own name, where it is given.
    """
    image_before, image_after = encoder.images([before, after])[:, None]
    text_before, text_after = encoder.texts(captions)[:, None]
    direction = direction_similarity(image_before, image_after, text_before, text_after)
    figures = {
        "image similarity": float(image_similarity(image_before, image_after)[0]),
        "direction similarity": float(direction[0]),
        "text-image similarity": float(text_image_similarity(image_after, text_after)[0]),
        EDIT_PSNR: min(SAME, psnr(after, before, np.ones(before.shape[:2], bool))),
    }
    if lpips is not None:
        figures[lpips.name] = float(lpips.distances([before], [after])[0])
    if outside is not None and outside.any():
        figures["PSNR outside"] = min(SAME, psnr(after, before, outside))
    return figures


def path_metrics(
    before: Sequence[Picture],
    after: Sequence[Picture],
    captions: tuple[str, str] | None,
    encoder: Encoder,
    lpips: Lpips | None = None,
) -> Figures:
    """Figures of an edited scene along a path of cameras, frames uint8 (H, W, 3) of the scene
    before and after; with captions also those that compare with texts, and those of LPIPS where it
    is given, means over the frames.
    """
    images_before, images_after = encoder.images(before), encoder.images(after)
    whole = np.ones(before[0].shape[:2], bool)
    changes = [min(SAME, psnr(b, a, whole)) for a, b in zip(before, after, strict=True)]
    figures = {
        EDIT_PSNR: float(np.mean(changes)),
        "image similarity": float(image_similarity(images_before, images_after).mean()),
        "frame similarity": frame_similarity(images_after),
        "edit similarity": edit_similarity(images_before, images_after),
    }
    if lpips is not None:
        figures[lpips.name] = float(lpips.distances(before, after).mean())
    if captions is not None:
        text_before, text_after = encoder.texts(captions)[:, None]
        directions = direction_similarity(images_before, images_after, text_before, text_after)
        figures["direction similarity"] = float(directions.mean())
        fits = text_image_similarity(images_after, text_after)
        figures["text-image similarity"] = float(fits.mean())
    return figures
