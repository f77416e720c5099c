"""The figures as the published evaluation of the paper's authors computes them (eval.py in
SamsungLabs/WatchYourSteps), to compare with the tables in the paper, and for nothing else.

It differs from `similarity.py` and `metrics.psnr` in four ways, each of which changes figures:

- The PSNR subtracts and squares bytes, which wrap around at 256: a pixel that is off by 16 counts
  as equal (16 * 16 = 256 = 0), one that is off by 15 as 225, by 17 as 33. Of any two pictures that
  have nothing in common it makes about 28 dB. Equal ones have 100.
- Frames go to CLIP as OpenCV reads them: blue, green, red where CLIP was trained on red, green,
  blue. A red ball is a blue one to it.
- The edit similarity takes differences of embeddings that were not brought to length 1.
- CLIP is ViT-B/32 (`MODEL`), where the comparisons of other papers take ViT-L/14.

NIQE is that of pyiqa there, whose licence is not a free one: it is left out.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.editing.encoders import ClipEncoder, Picture
from backend.evaluation.similarity import Figures, cosine

MODEL = "openai/clip-vit-base-patch32"
EQUAL_DB = 100.0


def wrapped_psnr(before: Picture, after: Picture) -> float:
    """PSNR in dB of bytes whose differences and squares wrap around at 256; EQUAL_DB where every
    square is 0 then.
    """
    error = float(((before - after) ** 2).mean())  # uint8, as it is meant here
    return EQUAL_DB if error == 0 else 20 * math.log10(255 / math.sqrt(error))


def published_metrics(
    before: Sequence[Picture], after: Sequence[Picture], caption: str, encoder: ClipEncoder
) -> Figures:
    """Means over frames uint8 (H, W, 3), RGB, of a scene before and after an edit, or, where there
    is but one frame, of a picture, without the two similarities of neighbours.

    Args:
        caption: what the edited scene shows.
        encoder: to compare with the paper, that of MODEL.
    """
    old = encoder.images_as_they_are([_as_opencv_reads(one) for one in before])
    new = encoder.images_as_they_are([_as_opencv_reads(one) for one in after])
    text = encoder.texts_as_they_are([caption])
    figures = {
        "text-image similarity": _mean(cosine(new, text)),
        "image similarity": _mean(cosine(new, old)),
        "edit PSNR": _mean([wrapped_psnr(a, b) for a, b in zip(before, after, strict=True)]),
    }
    if len(new) > 1:
        figures["frame similarity"] = _mean(cosine(new[:-1], new[1:]))
        figures["edit similarity"] = _mean(cosine((new - old)[:-1], (new - old)[1:]))
    return figures


def _as_opencv_reads(picture: Picture) -> Picture:
    """The picture with its channels in the order blue, green, red."""
    return np.ascontiguousarray(picture[..., ::-1])


def _mean(values: NDArray[np.float64] | Sequence[float]) -> float:
    return float(np.mean(values))
