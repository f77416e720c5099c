"""Tables of where maps look: by kind and wording, against controls, and one setting at a time."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from backend.editing.models.denoiser import Denoiser
from backend.editing.prompt_check import agreement
from backend.editing.relevance import (
    NOISE_LEVEL,
    normalise,
)
from backend.editing.threshold import suggest_threshold
from backend.evaluation import metrics
from backend.evaluation.metrics import Map
from backend.evaluation.samples import Probe, conditions, differences
from backend.world.pool import Sample
from protocol.settings import MapSettings
from protocol.values import Normalisation

THRESHOLDS = (0.3, 0.4, 0.5, 0.6)
NOISE_LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
SEED_COUNTS = (1, 2, 4, 8)

OWN = "own instruction, where there is another"
OTHER = "another instruction for the same picture"

Table = dict[str, dict[str, float]]


@dataclass(frozen=True)
class RawMaps:
    """A model's raw maps of a probe's N samples.

    Attributes:
        by_seed: float32 (8, N, h, w), Eq. 2 at the default noise level, per noise seed.
        by_level: float32 (N, h, w) at each other noise level, with seed 0.
        euclidean: float32 (N, h, w), as Eq. 2 with the Euclidean norm over channels, with seed 0.
        evidence: float64 (N,), the prompt check's number at the program's default seeds.
    """

    by_seed: Map
    by_level: dict[float, Map]
    euclidean: Map
    evidence: NDArray[np.float64]

    def default(self) -> Map:
        """float32 (N, h, w), averaged over the program's default seeds."""
        return self.averaged(len(MapSettings.relevance_seeds))

    def averaged(self, seeds: int) -> Map:
        """float32 (N, h, w), averaged over the first `seeds` seeds."""
        return self.by_seed[:seeds].mean(axis=0)


def raw_maps(model: Denoiser, probe: Probe, show: Callable[[str], None]) -> RawMaps:
    """Every map that the tables need; `show` is told what is being made."""
    told = conditions(model, probe)
    by_seed, signed = [], []
    for seed in range(max(SEED_COUNTS)):
        show(f"maps with seed {seed}")
        found = differences(model, probe, told, seed)
        by_seed.append(np.abs(found).sum(axis=1))
        if seed in MapSettings.relevance_seeds:
            signed.append(found)
    by_level = {}
    for level in NOISE_LEVELS:
        if level != NOISE_LEVEL:
            show(f"maps at noise level {level}")
            found = differences(model, probe, told, 0, level)
            by_level[level] = np.abs(found).sum(axis=1)
    return RawMaps(
        np.stack(by_seed),
        by_level,
        euclidean=np.sqrt((signed[0] ** 2).sum(axis=1)),
        evidence=evidence_of(np.stack(signed)),
    )


def default_maps(
    model: Denoiser, probe: Probe, seeds: Sequence[int] = MapSettings.relevance_seeds
) -> tuple[Map, NDArray[np.float64]]:
    """Raw maps float32 (N, h, w) and evidence float64 (N,), at the program's default settings."""
    told = conditions(model, probe)
    found = np.stack([differences(model, probe, told, seed) for seed in seeds])
    averaged: Map = np.abs(found).sum(axis=2).mean(axis=0)
    return averaged, evidence_of(found)


def evidence_of(found: NDArray[np.float32]) -> NDArray[np.float64]:
    """The evidence (N,) of differences (seeds, N, c, h, w); NaN with one seed."""
    seen = [agreement(found[:, i]) for i in range(found.shape[1])]
    return np.array([np.nan if one is None else one.evidence for one in seen])


def checkpoint_figures(model: Denoiser, probe: Probe) -> dict[str, float]:
    """Quick figures while a model is trained: one seed, every row and column of `by_group` as
    "row: column".
    """
    raws, _ = default_maps(model, probe, seeds=(0,))
    table = by_group(probe, raws)
    return {
        f"{row}: {name}": value for row, columns in table.items() for name, value in columns.items()
    }


def map_figures(values: Map, truth: NDArray[np.bool_]) -> dict[str, float]:
    """Figures of one map 0..1 (h, w) against its truth."""
    suggested = suggest_threshold(values)
    at = {f"IoU {t}": metrics.intersection_over_union(values >= t, truth) for t in THRESHOLDS}
    return {
        "AUROC": metrics.auroc(values, truth),
        "AP": metrics.average_precision(values, truth),
        **at,
        "IoU suggested": metrics.intersection_over_union(values >= suggested, truth),
        "best IoU": metrics.best_iou(values, truth),
    }


def groups_of(sample: Sample) -> list[str]:
    """The rows that a sample counts in, by kind of edit, of target and of wording."""
    edit = sample.edit
    if edit.kind != "recolour":
        return ["all", edit.kind]
    if not isinstance(edit.target, int):
        return ["all", "recolour", f"recolour: {edit.target}"]
    company = "one object alone" if len(sample.scene.things) == 1 else "one object among others"
    return [
        "all",
        "recolour",
        "recolour: one object",
        f"recolour: {company}",
        f"recolour: object by {edit.wording}",
    ]


def by_group(
    probe: Probe, raws: Map, normalisation: Normalisation = MapSettings.normalisation
) -> dict[str, dict[str, float]]:
    """Figures of raw maps (N, h, w), one row a kind and wording.

    "selection" is the share of samples whose named thing has the highest mean relevance, among
    the "n selection" that have a choice.
    """
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for sample, raw, truth, things in zip(
        probe.samples, raws, probe.truths, probe.things, strict=True
    ):
        figures = map_figures(normalise(raw, normalisation), truth)
        if isinstance(sample.edit.target, int) and sample.edit.kind != "put on top":
            chosen = metrics.selects(raw, things, sample.edit.target)
            if chosen is not None:
                figures["selection"] = float(chosen)
        for group in groups_of(sample):
            rows[group].append(figures)
    table = {}
    for group in sorted(rows, key=_order):
        some = rows[group]
        table[group] = metrics.mean_figures(some)
        if "selection" in table[group]:
            table[group]["n selection"] = sum("selection" in row for row in some)
    return table


def _order(group: str) -> tuple[int, str]:
    return (("all", "recolour").index(group) if group in ("all", "recolour") else 2, group)


def controls(probe: Probe, raws: Map) -> Table:
    """Maps that do not read the instruction, and one that reads another, for recolourings of
    objects; the model's own map at the program's default settings beside each.
    """
    own = [normalise(raw, MapSettings.normalisation) for raw in raws]
    objects = [
        i
        for i, s in enumerate(probe.samples)
        if isinstance(s.edit.target, int) and s.edit.kind == "recolour"
    ]
    several = [i for i in objects if len(probe.samples[i].scene.things) > 1]
    pairs = list(_other_instructions(probe.samples))
    blind = {i: (probe.things[i].max(axis=0) > 0.5).astype(np.float32) for i in objects}

    def figures(maps: Iterable[tuple[Map, int]]) -> dict[str, float]:
        return metrics.mean_figures([map_figures(m, probe.truths[i]) for m, i in maps])

    return {
        "own instruction, one object": figures((own[i], i) for i in objects),
        "all ones, one object": figures((np.ones_like(own[i]), i) for i in objects),
        "mask of all objects, one object": figures((blind[i], i) for i in objects),
        "own instruction, one among others": figures((own[i], i) for i in several),
        "mask of all objects, one among others": figures((blind[i], i) for i in several),
        OWN: figures((own[i], i) for i, _ in pairs),
        OTHER: figures((own[j], i) for i, j in pairs),
    }


def _other_instructions(samples: Sequence[Sample]) -> Iterable[tuple[int, int]]:
    """Pairs of neighbours of one picture that have different targets."""
    for i, sample in enumerate(samples):
        j = (i + 1) % len(samples)
        other = samples[j]
        if other.scene is sample.scene and other.edit.target != sample.edit.target:
            yield i, j


def one_at_a_time(probe: Probe, maps: RawMaps) -> Table:
    """The effect of normalisation, noise level, seeds and norm, over all samples."""

    def figures(raws: Map, normalisation: Normalisation) -> dict[str, float]:
        rows = zip(raws, probe.truths, strict=True)
        return metrics.mean_figures([map_figures(normalise(r, normalisation), t) for r, t in rows])

    table = {}
    for normalisation in get_args(Normalisation):
        name = f'normalisation "{normalisation}"'
        for count in SEED_COUNTS:
            row = f"{name}, {count} seed{'s' if count > 1 else ''}"
            table[row] = figures(maps.averaged(count), normalisation)
        table[f"{name}, 1 seed, L2 in place of L1"] = figures(maps.euclidean, normalisation)
        for level in NOISE_LEVELS:
            raws = maps.by_level.get(level, maps.by_seed[0])
            table[f"{name}, 1 seed, noise level {level}"] = figures(raws, normalisation)
    return table


def prompt_checks(
    probe: Probe,
    present: NDArray[np.float64],
    twins: Probe,
    absent: NDArray[np.float64],
    limit: float,
) -> Table:
    """`prompt_check` of all samples and of each kind against the twins of that kind."""

    def of_kind(some: Probe, kind: str) -> NDArray[np.bool_]:
        return np.array([kind in ("all", s.edit.kind) for s in some.samples])

    kinds = ["all", *dict.fromkeys(sample.edit.kind for sample in probe.samples)]
    parts = {k: (present[of_kind(probe, k)], absent[of_kind(twins, k)]) for k in kinds}
    return {k: prompt_check(*each, limit) for k, each in parts.items() if all(map(len, each))}


def prompt_check(
    present: NDArray[np.float64], absent: NDArray[np.float64], limit: float
) -> dict[str, float]:
    """How well the evidence tells instructions that apply from those that do not.

    Args:
        present, absent: (n,) evidence at the program's default settings.
        limit: the model's evidence limit.

    Returns:
        AUROC; the share of each kind that is on its side of the limit; and the limit that would be
        right most often, both kinds weighing the same.
    """
    both = np.concatenate([present, absent]).astype(np.float32)
    applies = np.arange(len(both)) < len(present)
    return {
        "n": len(present),
        "n absent": len(absent),
        "AUROC": round(metrics.auroc(both, applies), 3),
        "limit": round(limit, 3),
        "present that apply": round(float((present >= limit).mean()), 3),
        "absent that do not": round(float((absent < limit).mean()), 3),
        "best limit": round(best_limit(present, absent), 3),
    }


def best_limit(present: NDArray[np.float64], absent: NDArray[np.float64]) -> float:
    """The limit with the most right answers, `present >= limit > absent`, both kinds weighing the
    same.
    """
    ordered = np.unique(np.concatenate([present, absent]))
    between = (ordered[1:] + ordered[:-1]) / 2 if len(ordered) > 1 else ordered
    right = [(present >= limit).mean() + (absent < limit).mean() for limit in between]
    return float(between[int(np.argmax(right))])
