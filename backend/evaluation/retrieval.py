"""`python -m backend evaluate clip`: how well an encoder tells the demo world's pictures apart by
their captions, on held-out scenes: what its name on a column of a table is worth.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.editing.encoders import Encoder, Picture, load_encoder
from backend.errors import BadInput
from backend.evaluation.maps import Table
from backend.evaluation.options import ClipOptions
from backend.evaluation.relevance import markdown
from backend.evaluation.samples import SEEDS
from backend.evaluation.similarity import direction_similarity
from backend.output.report import Report
from backend.world.pool import Sample, draw_samples

LEAST_SIDE, LEAST_EDITS = 16, 2


@dataclass(frozen=True)
class Pairs:
    """What is told apart.

    Attributes:
        pictures, captions: pictures of different scenes, no two of one caption.
        edits: edits whose captions before and after differ.
    """

    pictures: Sequence[Picture]
    captions: Sequence[str]
    edits: Sequence[Sample]


def draw_pairs(seeds: range, count: int, side: int) -> Pairs:
    """The first `count` scenes of these seeds that no other has the caption of, as square pictures
    of `side` pixels, and the first edit of each, of any kind, that changes its caption.

    Raises:
        BadInput: the pictures are too small to show anything, or too few to tell edits apart.
    """
    if side < LEAST_SIDE:
        raise BadInput(f"--side must be {LEAST_SIDE} or more, not {side}.")
    pictures: dict[str, Picture] = {}
    edits: list[Sample] = []
    for seed in seeds:
        samples = draw_samples(seed, side, side, kinds=None)
        if not samples or samples[0].captions[0] in pictures:
            continue
        pictures[samples[0].captions[0]] = samples[0].image
        edits += [one for one in samples if one.captions[0] != one.captions[1]][:1]
        if len(pictures) == count:
            break
    if len(edits) < LEAST_EDITS:
        raise BadInput(
            f"{len(pictures)} pictures are too few to tell their edits apart: ask for more with "
            "--pictures."
        )
    return Pairs(list(pictures.values()), list(pictures), edits)


def retrieval(encoder: Encoder, pairs: Pairs) -> dict[str, float]:
    """Shares that an encoder gets right, 0..1, and the range of its direction similarity.

    "text to image" is how often, of all pictures, the one that is nearest to a caption is its own,
    "image to text" how often the nearest caption is; by chance 1 / n. "after by caption" is how
    often the picture after an edit is nearer to the caption after it than the picture before is,
    and "caption after" how often it is nearer to that caption than to the one before it; by chance
    0.5. "direction" is the mean text-image direction similarity of true edits, which a perfect
    method would have, and "direction, another edit's" that with the captions of the next edit of
    the list, which an edit that has nothing to do with its instruction would have.
    """
    similarity = encoder.images(pairs.pictures) @ encoder.texts(pairs.captions).T
    own = np.arange(len(pairs.pictures))
    before = encoder.images([edit.image for edit in pairs.edits])
    after = encoder.images([edit.edited for edit in pairs.edits])
    text_before = encoder.texts([edit.captions[0] for edit in pairs.edits])
    text_after = encoder.texts([edit.captions[1] for edit in pairs.edits])
    fits = (after * text_after).sum(-1)
    own_way = direction_similarity(before, after, text_before, text_after)
    others = (np.roll(texts, 1, axis=0) for texts in (text_before, text_after))
    other_way = direction_similarity(before, after, *others)
    return {
        "text to image": float((similarity.argmax(0) == own).mean()),
        "image to text": float((similarity.argmax(1) == own).mean()),
        "after by caption": float((fits > (before * text_after).sum(-1)).mean()),
        "caption after": float((fits > (after * text_before).sum(-1)).mean()),
        "direction": float(own_way.mean()),
        "direction, another edit's": float(other_way.mean()),
    }


def run(options: ClipOptions, command: list[str]) -> int:
    """Measure and write; the exit status."""
    try:
        encoder = load_encoder(options.clip, options.device)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report = Report(
        command,
        settings={
            "clip": encoder.name,
            "pictures": options.pictures,
            "side": options.side,
            "seeds": options.seeds,
        },
    )
    try:
        with report.stage("drawing scenes"):
            pairs = draw_pairs(SEEDS[options.seeds], options.pictures, options.side)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with report.stage("measuring"):
        found = retrieval(encoder, pairs)
    counts = {"pictures": float(len(pairs.pictures)), "edits": float(len(pairs.edits))}
    table: Table = {encoder.name: counts | {name: round(v, 3) for name, v in found.items()}}
    report.figures["Retrieval"] = table
    options.out.mkdir(parents=True, exist_ok=True)
    text = markdown("Retrieval", table)
    (options.out / "figures.md").write_text(text, "utf-8")
    report.write(options.out)
    print(text)
    print(f"wrote figures.md and report.json to {options.out}")
    return 0
