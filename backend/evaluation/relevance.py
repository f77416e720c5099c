"""`python -m backend evaluate relevance`: figures of a model's maps and edits on the demo world.

Scenes of test seeds, which nothing was trained on; the truth is the world's own masks. Writes
report.json, figures.md and contact_sheet.png.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.contact_sheet import Tile, contact_sheet
from backend.demo import world
from backend.demo.evaluate import strict_success
from backend.demo.pool import Sample, draw_samples
from backend.editing import Editor
from backend.editing.relevance import NOISE_LEVEL, normalise
from backend.evaluation import metrics
from backend.report import Report

PICTURE_SIZE = 128
EDITS_OF_ONE_PICTURE = 3
THRESHOLDS = (0.3, 0.4, 0.5, 0.6)
NOISE_LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
SEED_COUNTS = (1, 2, 4, 8)
EDIT_STEPS = 20
SMALLEST_THING = 0.012
"""Share of the picture below which a thing is not counted: some are all but hidden by others."""
SHEET_ROWS = 16

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Measured:
    """One sample with the raw maps of a model.

    Attributes:
        sample: picture, instruction and truth.
        truth: bool (h, w) at latent resolution.
        things: float32 (n, h, w), every thing's own mask at latent resolution.
        differences: float32 (8, c, h, w), per noise seed, at noise level 0.8.
        by_level: float32 (c, h, w) at each of the other noise levels, with seed 0.
    """

    sample: Sample
    truth: NDArray[np.bool_]
    things: Values
    differences: Values
    by_level: dict[float, Values]

    @property
    def raw(self) -> Values:
        """float32 (h, w), Eq. 2 with one seed: what the program's default settings use."""
        return l1(self.differences[:1])


def l1(differences: Values) -> Values:
    """Eq. 2: absolute differences (seeds, c, h, w) summed over channels, averaged over seeds."""
    summed: Values = differences.sum(axis=1).mean(axis=0)
    return summed


def l2(differences: Values) -> Values:
    """As `l1`, with the Euclidean norm over channels."""
    norm: Values = np.sqrt((differences**2).sum(axis=1)).mean(axis=0)
    return norm


def stretch(raw: Values) -> Values:
    """Min-max to 0..1 without the paper's clamp of outliers."""
    low, high = raw.min(), raw.max()
    return (raw - low) / max(high - low, np.float32(1e-12))


def draw_test_samples(count: int) -> tuple[list[Sample], list[Sample]]:
    """The first `count` samples of test seeds that ask for what is there, and those beside them
    that ask for what is not.
    """
    present: list[Sample] = []
    absent: list[Sample] = []
    for seed in world.TEST_SEEDS:
        for sample in draw_samples(seed, PICTURE_SIZE, PICTURE_SIZE, EDITS_OF_ONE_PICTURE):
            (absent if sample.edit.target is None else present).append(sample)
        if len(present) >= count:
            break
    return present[:count], absent


def measure(editor: Editor, sample: Sample) -> Measured:
    """Run the model on one sample."""
    editor.set_image(sample.image)
    instruction = sample.edit.instruction
    seeds = range(max(SEED_COUNTS))
    differences = np.stack([editor.difference(instruction, NOISE_LEVEL, seed) for seed in seeds])
    levels = [level for level in NOISE_LEVELS if level != NOISE_LEVEL]
    shape = differences.shape[2:]
    return Measured(
        sample,
        _shrink(sample.mask, shape) > 0.5,
        np.stack([_shrink(thing, shape) for thing in sample.things]),
        differences,
        {level: editor.difference(instruction, level) for level in levels},
    )


def _shrink(mask: Values, shape: tuple[int, ...]) -> Values:
    """A mask (H, W) at latent resolution (h, w), by area."""
    factor = mask.shape[0] // shape[0]
    cells = mask.reshape(shape[0], factor, shape[1], factor)
    return cells.mean(axis=(1, 3), dtype=np.float32)


def selects(measured: Measured) -> bool | None:
    """Whether the named thing has the highest mean relevance; None where there is no choice."""
    target = measured.sample.edit.target
    counted = [i for i, thing in enumerate(measured.things) if thing.mean() > SMALLEST_THING]
    if not isinstance(target, int) or target not in counted or len(counted) < 2:
        return None
    means = {
        i: float((measured.raw * measured.things[i]).sum() / measured.things[i].sum())
        for i in counted
    }
    return max(means, key=lambda i: means[i]) == target


def groups_of(sample: Sample) -> list[str]:
    """The rows of the table that a sample counts in."""
    target = sample.edit.target
    if not isinstance(target, int):
        return ["all", str(target)]
    company = "one object" if len(sample.scene.things) == 1 else "one of several objects"
    return ["all", "all objects", company, f"object named by {sample.edit.wording}"]


def map_figures(maps: Iterable[tuple[Values, NDArray[np.bool_]]]) -> dict[str, float]:
    """Mean figures of maps 0..1 against their truths."""
    columns: dict[str, list[float]] = defaultdict(list)
    for values, truth in maps:
        columns["AUROC"].append(metrics.auroc(values, truth))
        columns["AP"].append(metrics.average_precision(values, truth))
        for threshold in THRESHOLDS:
            iou = metrics.intersection_over_union(values >= threshold, truth)
            columns[f"IoU {threshold}"].append(iou)
        columns["best IoU"].append(metrics.best_iou(values, truth))
    means = {name: round(float(np.mean(values)), 3) for name, values in columns.items()}
    return {"n": len(columns["AUROC"])} | means


def by_group(measured: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """The table of kinds and wordings, at the program's default settings."""
    members: dict[str, list[Measured]] = defaultdict(list)
    for each in measured:
        for group in groups_of(each.sample):
            members[group].append(each)
    table = {}
    for group, some in members.items():
        table[group] = map_figures((normalise(m.raw), m.truth) for m in some)
        chosen = [choice for m in some if (choice := selects(m)) is not None]
        if chosen:
            table[group] |= {
                "selection": round(float(np.mean(chosen)), 3),
                "n selection": len(chosen),
            }
    return table


def controls(measured: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """Maps that do not read the instruction, and one that reads another, for objects as targets."""
    objects = [m for m in measured if isinstance(m.sample.edit.target, int)]
    several = [m for m in objects if len(m.sample.scene.things) > 1]
    others = _other_instructions(measured)

    def blind(m: Measured) -> Values:
        return (m.things.max(axis=0) > 0.5).astype(np.float32)

    return {
        "own instruction, objects": map_figures((normalise(m.raw), m.truth) for m in objects),
        "all ones, objects": map_figures((np.ones_like(m.raw), m.truth) for m in objects),
        "mask of all objects, objects": map_figures((blind(m), m.truth) for m in objects),
        "own instruction, several objects": map_figures(
            (normalise(m.raw), m.truth) for m in several
        ),
        "mask of all objects, several objects": map_figures((blind(m), m.truth) for m in several),
        "own instruction, where there is another": map_figures(
            (normalise(own.raw), own.truth) for own, _ in others
        ),
        "another instruction for the same picture": map_figures(
            (normalise(other.raw), own.truth) for own, other in others
        ),
    }


def _other_instructions(measured: Sequence[Measured]) -> list[tuple[Measured, Measured]]:
    """Pairs of samples of one picture that have different targets."""
    return [
        (own, other)
        for own, other in zip(measured, [*measured[1:], *measured[:1]], strict=True)
        if own.sample.scene is other.sample.scene
        and own.sample.edit.target != other.sample.edit.target
    ]


def settings_table(measured: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """The effect of noise level, seeds, clamp and norm, one at a time."""

    def figures(raws: list[Values], scale: Callable[[Values], Values]) -> dict[str, float]:
        return map_figures((scale(raw), m.truth) for raw, m in zip(raws, measured, strict=True))

    default = [m.raw for m in measured]
    eight = [l1(m.differences) for m in measured]
    euclidean = [l2(m.differences[:1]) for m in measured]
    table = {}
    for level in NOISE_LEVELS:
        at_level = [l1(m.by_level[level][None]) for m in measured if level in m.by_level]
        table[f"noise level {level}"] = figures(at_level or default, normalise)
    for count in SEED_COUNTS:
        averaged = [l1(m.differences[:count]) for m in measured]
        table[f"{count} seeds"] = figures(averaged, normalise)
    table["no clamp"] = figures(default, stretch)
    table["8 seeds, no clamp"] = figures(eight, stretch)
    table["L2"] = figures(euclidean, normalise)
    table["L2, no clamp"] = figures(euclidean, stretch)
    return table


def prompt_check(
    editor: Editor, measured: Sequence[Measured], absent: Sequence[Sample]
) -> dict[str, float]:
    """How well a number tells instructions that apply from those that name what is not there.

    AUROC of each number over both kinds: highest raw difference, and mean raw difference of the
    highest twentieth of the map, both relative to its median; spread over eight seeds relative to
    the mean.
    """
    wrong = [measure(editor, sample) for sample in absent]
    applies = np.array([True] * len(measured) + [False] * len(wrong))
    scores: dict[str, list[float]] = defaultdict(list)
    for each in [*measured, *wrong]:
        draws = each.differences.sum(axis=1)
        mean = draws.mean(axis=0)
        top = mean >= np.quantile(mean, 0.95)
        scores["highest difference"].append(float(mean.max()))
        scores["mean of the highest twentieth"].append(float(mean[top].mean()))
        scores["the same, relative to the median"].append(float(mean[top].mean() / np.median(mean)))
        scores["agreement of seeds"].append(-float(draws.std(axis=0).mean() / mean.mean()))
    figures = {
        name: round(metrics.auroc(np.array(values, np.float32), applies), 3)
        for name, values in scores.items()
    }
    return {"n": len(measured), "n absent": len(wrong)} | figures


def edits_table(
    editor: Editor, samples: Sequence[Sample], text_guidance: float
) -> dict[str, dict[str, float]]:
    """What edits do: strict success, and PSNR outside the true mask."""
    columns: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def enter(row: str, sample: Sample, image: NDArray[np.uint8]) -> None:
        outside = sample.mask < 0.02
        if outside.any():
            value = min(metrics.psnr(image, sample.image, outside), 99.0)
            columns[row]["PSNR outside"].append(value)
        columns[row]["success"].append(float(strict_success(sample, image)))

    for sample in samples:
        editor.set_image(sample.image)
        instruction = sample.edit.instruction
        relevance = editor.relevance(instruction)
        everywhere = np.ones(sample.mask.shape, np.bool_)
        edited = partial(editor.edit, instruction, steps=EDIT_STEPS, text_guidance=text_guidance)
        plain = edited(mask=everywhere)
        guided = edited(relevance=relevance)
        true = edited(mask=sample.mask > 0.5)
        pasted = np.where(guided.mask[..., None], plain.image, sample.image)
        enter("plain IP2P (threshold 0)", sample, plain.image)
        enter("guided edit (threshold 0.5)", sample, guided.image)
        enter("guided edit inside the true mask", sample, true.image)
        enter("plain IP2P, pixels pasted inside the mask", sample, pasted)
        enter("VAE round trip", sample, editor.round_trip())
    return {
        row: {"n": len(figures["success"])}
        | {name: round(float(np.mean(values)), 3) for name, values in figures.items()}
        for row, figures in columns.items()
    }


def markdown(title: str, table: dict[str, dict[str, float]]) -> str:
    """A table with a row for each key."""
    names = list(dict.fromkeys(name for row in table.values() for name in row))
    lines = [f"### {title}", "", f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for key, row in table.items():
        cells = [f"{row[name]:g}" if name in row else "" for name in names]
        lines.append(f"| {key} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def sheet(editor: Editor, measured: Sequence[Measured], text_guidance: float) -> Image.Image:
    """Picture, map, mask, edit and truth of the first samples, two in a row."""
    tiles: list[list[Tile]] = []
    for each in measured[:SHEET_ROWS]:
        sample = each.sample
        editor.set_image(sample.image)
        edit = editor.edit(sample.edit.instruction, steps=EDIT_STEPS, text_guidance=text_guidance)
        values = normalise(each.raw)
        iou = metrics.intersection_over_union(values >= 0.5, each.truth)
        heat = np.round(values * 255).astype(np.uint8)
        row = [
            (Image.fromarray(sample.image), _wrapped(sample.edit.instruction)),
            (Image.fromarray(heat), "relevance"),
            (Image.fromarray(values >= 0.5), f"mask at 0.5, IoU {iou:.2f}"),
            (Image.fromarray(edit.image), "guided edit"),
            (Image.fromarray(sample.edited), "true edit"),
        ]
        if tiles and len(tiles[-1]) == len(row):
            tiles[-1] += row
        else:
            tiles.append(row)
    return contact_sheet(tiles, tile=128)


def _wrapped(words: str, width: int = 20) -> str:
    """Two lines at most."""
    first, rest = "", words.split()
    while rest and len(first) + len(rest[0]) < width:
        first += f"{rest.pop(0)} "
    return f"{first.strip()}\n{' '.join(rest)}"


def run(options: argparse.Namespace, command: list[str]) -> int:
    """Measure and write; the exit status."""
    report = Report(
        command,
        settings={
            "samples": options.samples,
            "edits": options.edits,
            "text_guidance": options.text_guidance,
        },
    )
    with report.stage("loading the model"):
        editor = Editor.from_pretrained(options.model, options.device, options.dtype)
    report.settings |= {"model": editor.backbone.name, "device": editor.backbone.device_name}
    with report.stage("drawing test scenes"):
        present, absent = draw_test_samples(options.samples)
    with report.stage("maps"):
        measured = []
        for number, sample in enumerate(present, 1):
            measured.append(measure(editor, sample))
            if number % 20 == 0:
                print(f"{number} of {len(present)} maps", flush=True)
        measured = [m for m in measured if 0 < m.truth.sum() < m.truth.size]
    tables = {
        "Maps at the default settings": by_group(measured),
        "Controls": controls(measured),
        "One setting at a time": settings_table(measured),
    }
    if absent:
        with report.stage("prompt check"):
            report.figures["Prompt check"] = prompt_check(editor, measured, absent)
    with report.stage("edits"):
        tables["Edits"] = edits_table(
            editor, [m.sample for m in measured[: options.edits]], options.text_guidance
        )
        picture = sheet(editor, measured, options.text_guidance)
    report.figures |= tables
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(markdown(title, table) for title, table in tables.items())
    if absent:
        text += "\n" + markdown("Prompt check", {"AUROC": report.figures["Prompt check"]})
    (options.out / "figures.md").write_text(text, "utf-8")
    picture.save(options.out / "contact_sheet.png")
    report.write(options.out)
    print(text)
    print(f"wrote figures.md, contact_sheet.png and report.json to {options.out}")
    return 0
