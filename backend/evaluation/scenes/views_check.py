"""`python -m backend evaluate check`: how well the prompt check tells instructions that apply from
those that do not, in one picture and in all views of a scene together.

Scenes of the demo world, captured from all around as for a field. Writes report.json and
figures.md.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.editing import Editor
from backend.editing.models.registry import DEMO_MODEL, DEMO_WEIGHTS
from backend.editing.prompt_check import (
    VIEWS_LIMIT,
    Agreement,
    pooled_evidence,
    write_evidence_limit,
)
from backend.errors import BadInput, words_of
from backend.evaluation.maps import Table, prompt_check
from backend.evaluation.metrics import SMALLEST_THING
from backend.evaluation.options import CheckOptions
from backend.evaluation.relevance import markdown
from backend.evaluation.samples import SEEDS, absent_edit
from backend.output.report import Report
from backend.world import instructions, sampling, world
from backend.world.cameras import ball_around, rings
from backend.world.pool import visible_shares
from backend.world.render import render
from protocol.settings import MapSettings

SINGLE, ANY, POOLED = "one view", "any view", "all views, pooled"


@dataclass(frozen=True)
class Pair:
    """An instruction for a scene, and a twin that asks for what is not there.

    Attributes:
        present, absent: the two edits, of one kind.
        shown: bool (V,), in which views the first one's target is seen.
    """

    present: world.Edit
    absent: world.Edit
    shown: NDArray[np.bool_]


@dataclass(frozen=True)
class Checked:
    """What the model repeats of an instruction, by view.

    Attributes:
        seed: of the scene.
        edit: the instruction; without a target it asks for what is not there.
        views: one each.
        shown: bool (V,), the views that count as single pictures.
    """

    seed: int
    edit: world.Edit
    views: Sequence[Agreement]
    shown: NDArray[np.bool_]


def run(options: CheckOptions, command: list[str]) -> int:
    """Measure and write; the exit status."""
    try:
        return _run(options, command)
    except (BadInput, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 1


def _run(options: CheckOptions, command: list[str]) -> int:
    if options.calibrate and options.seeds != "validation":
        raise BadInput("A limit must not be chosen on test scenes: add --seeds validation.")
    if min(options.scenes, options.views, options.edits) < 1:
        raise BadInput("--scenes, --views and --edits must be 1 or more.")
    report = Report(
        command,
        settings={
            "scenes": options.scenes,
            "views": options.views,
            "edits": options.edits,
            "seeds": options.seeds,
            "side": options.side,
            "relevance_seeds": list(MapSettings.relevance_seeds),
        },
    )
    editor = Editor.from_pretrained(options.model, options.device, options.dtype)
    card = editor.card
    report.settings |= {"model": card.name, "device": card.device_name}
    folder = Path(DEMO_WEIGHTS if card.name == DEMO_MODEL else card.name)
    if options.calibrate and not folder.is_dir():
        raise BadInput(f"{card.name} is not a folder into which a limit can be written.")
    checked: list[Checked] = []
    for seed in SEEDS[options.seeds][: options.scenes]:
        with report.stage("drawing scenes"):
            images, pairs = draw(seed, options.views, options.side, options.edits)
        with report.stage("maps"):
            checked += check(editor, seed, images, pairs)
        print(f"scene {seed}: {len(pairs)} instructions and their twins", flush=True)
    tables = tables_of(checked, card.evidence_limit, card.views_evidence_limit)
    report.figures |= tables
    report.figures["instructions"] = [_plain(one) for one in checked]
    if options.calibrate:
        limit = tables["Prompt check"][POOLED]["best limit"]
        print(f"wrote {write_evidence_limit(folder, limit, VIEWS_LIMIT)}")
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(markdown(title, table) for title, table in tables.items() if table)
    (options.out / "figures.md").write_text(text, "utf-8")
    report.write(options.out)
    print(text)
    print(f"wrote figures.md and report.json to {options.out}")
    return 0


def draw(
    seed: int, views: int, side: int, edits: int
) -> tuple[list[NDArray[np.uint8]], list[Pair]]:
    """The scene of a seed from all around, in square pictures of `side` pixels, and at most `edits`
    pairs of instructions of all kinds, about what the views show in the mean.
    """
    rng = np.random.default_rng(seed)
    scene, _ = sampling.sample_scene(rng)
    scene = dataclasses.replace(scene, look=dataclasses.replace(scene.look, noise=0.0))
    pictures = [
        render(scene, camera, side, side) for camera in rings(*ball_around(scene.things), views)
    ]
    shares = [visible_shares(scene, picture) for picture in pictures]
    mean = {target: float(np.mean([one[target] for one in shares])) for target in shares[0]}
    pairs = []
    for edit in instructions.sample_edits(rng, scene, edits, mean, world.KINDS):
        if edit.target is not None:
            shown = np.array([one[edit.target] >= SMALLEST_THING for one in shares])
            pairs.append(Pair(edit, absent_edit(rng, scene, edit.kind), shown))
    return [picture.image for picture in pictures], pairs


def check(
    editor: Editor, seed: int, images: Sequence[NDArray[np.uint8]], pairs: Sequence[Pair]
) -> list[Checked]:
    """Both instructions of every pair, at the program's default settings."""
    found = []
    for pair in pairs:
        for edit in (pair.present, pair.absent):
            maps = editor.relevance_of_images(edit.instruction, images)
            views = [one.agreement for _, one in maps if one.agreement is not None]
            found.append(Checked(seed, edit, views, pair.shown))
    return found


def tables_of(checked: Sequence[Checked], limit: float, views_limit: float) -> dict[str, Table]:
    """The check by single views, by any of the views, and pooled over them; then by kind.

    Args:
        checked: instructions that apply and their twins.
        limit: the model's for one picture.
        views_limit: the model's for all views together.
    """

    def singles(one: Checked) -> list[float]:
        return [v.evidence for v, shown in zip(one.views, one.shown, strict=True) if shown]

    def highest(one: Checked) -> list[float]:
        return [max(view.evidence for view in one.views)]

    ways: dict[str, tuple[Callable[[Checked], list[float]], float]] = {
        SINGLE: (singles, limit),
        ANY: (highest, limit),
        POOLED: (_pooled, views_limit),
    }
    kinds = list(dict.fromkeys(one.edit.kind for one in checked))
    table: Table = {}
    by_kind: Table = {}
    for way, (numbers, at) in ways.items():
        for kind in (None, *kinds):
            present, absent = (
                np.array(
                    [
                        number
                        for one in checked
                        if (one.edit.target is not None) == there and kind in (None, one.edit.kind)
                        for number in numbers(one)
                    ]
                )
                for there in (True, False)
            )
            if len(present) and len(absent):
                figures = prompt_check(present, absent, at)
                if kind is None:
                    table[way] = figures
                else:
                    by_kind[f"{kind}: {way}"] = figures
    return {"Prompt check": table, "Prompt check by kind": by_kind}


def _pooled(one: Checked) -> list[float]:
    together = pooled_evidence(one.views)
    return [] if together is None else [together]


def _plain(one: Checked) -> dict[str, object]:
    """What report.json keeps of an instruction."""
    return {
        "seed": one.seed,
        "instruction": one.edit.instruction,
        "kind": one.edit.kind,
        "applies": one.edit.target is not None,
        "pooled evidence": [round(number, 4) for number in _pooled(one)],
        "shared": [round(view.shared, 7) for view in one.views],
        "own": [round(view.own, 7) for view in one.views],
        "shown": one.shown.tolist(),
    }
