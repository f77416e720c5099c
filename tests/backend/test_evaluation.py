"""The figures' own correctness: against brute force, and on maps whose figures are known."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.__main__ import main
from backend.editing import Editor
from backend.editing.models.registry import DEMO_WEIGHTS
from backend.editing.prompt_check import (
    CALIBRATION_FILE,
    DEFAULT_EVIDENCE_LIMIT,
    read_evidence_limits,
)
from backend.evaluation import maps, metrics, relevance
from backend.evaluation.edits import GUIDED, PASTED, PLAIN, ROUND_TRIP, STEPS, edit_samples
from backend.evaluation.samples import SEEDS, Probe, absent_twins, draw_present, encode
from backend.world import world
from backend.world.pool import draw_samples
from backend.world.render import render
from protocol.settings import GuidanceSettings, RegionSettings

cells = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40).filter(
    lambda drawn: len({inside for _, inside in drawn}) == 2
)


def arrays(drawn):
    values = np.array([[value / 5 for value, _ in drawn]], np.float32)
    truth = np.array([[inside for _, inside in drawn]])
    return values, truth


@given(cells)
def test_auroc_equals_counting_pairs(drawn):
    values, truth = arrays(drawn)
    inside, outside = values[truth], values[~truth]
    wins = sum((a > b) + 0.5 * (a == b) for a in inside for b in outside)
    assert metrics.auroc(values, truth) == pytest.approx(wins / (len(inside) * len(outside)))


@given(cells)
def test_iou_and_best_iou_equal_counting_cells(drawn):
    values, truth = arrays(drawn)
    ious = []
    for threshold in metrics.BEST_OF:
        mask = [value >= threshold for value in values[0]]
        both = sum(m and t for m, t in zip(mask, truth[0], strict=True))
        either = sum(m or t for m, t in zip(mask, truth[0], strict=True))
        ious.append(both / either)
        assert metrics.intersection_over_union(values >= threshold, truth) == ious[-1]
    assert metrics.best_iou(values, truth) == max(ious)


def test_figures_of_perfect_and_useless_maps():
    truth = np.zeros((8, 8), bool)
    truth[2:5, 3:7] = True
    perfect = truth.astype(np.float32)
    assert metrics.auroc(perfect, truth) == 1
    assert metrics.average_precision(perfect, truth) == 1
    assert metrics.auroc(np.ones((8, 8), np.float32), truth) == 0.5
    assert metrics.average_precision(np.ones((8, 8), np.float32), truth) == truth.mean()
    assert metrics.intersection_over_union(~truth, truth) == 0
    assert metrics.intersection_over_union(truth & False, truth & False) == 1


def test_psnr_of_a_known_difference():
    image = np.full((4, 4, 3), 100, np.uint8)
    other = image.copy()
    other[0] += 10
    where = np.zeros((4, 4), bool)
    where[0] = True
    assert metrics.psnr(other, image, where) == pytest.approx(20 * np.log10(255 / 10))
    assert metrics.psnr(other, image, ~where) == np.inf


# ------------------------------------------------------------------ selection and success


@pytest.fixture(scope="module")
def samples():
    """A few samples of test scenes, of all kinds, small."""
    return draw_present(world.TEST_SEEDS, 40, 64)


def sample_of(kind):
    """The first sample of this kind about one of several things that are large enough to count."""
    for seed in world.TEST_SEEDS:
        for sample in draw_samples(seed, 64, 64, 3, kinds=[kind]):
            large = [i for i, thing in enumerate(sample.things) if thing.mean() > 0.02]
            if sample.edit.target in large and len(large) > 1:
                return sample
    raise AssertionError(f"no sample of {kind}")


def test_selection_asks_for_the_highest_mean_on_the_named_thing():
    sample = sample_of("recolour")
    things, target = sample.things, sample.edit.target
    for highest in range(len(things)):
        if things[highest].mean() > 0.02:
            assert metrics.selects(things[highest], things, target) is (highest == target)
    assert metrics.selects(things[target], things[[target]], 0) is None
    hidden = things.copy()
    hidden[target] = 0
    assert metrics.selects(things[target], hidden, target) is None
    groups = maps.groups_of(sample)
    assert "recolour: one object among others" in groups
    assert f"recolour: object by {sample.edit.wording}" in groups


@pytest.mark.parametrize("kind", world.KINDS)
def test_the_true_edit_succeeds_and_doing_nothing_or_too_much_fails(kind):
    sample = sample_of(kind)
    assert metrics.strict_success(sample, sample.edited)
    assert metrics.strict_success(sample, sample.image) is False
    other = max(
        (i for i in range(len(sample.things)) if i != sample.edit.target),
        key=lambda i: sample.things[i].mean(),
    )
    spoiled = sample.edited.copy()
    spoiled[(sample.things[other] > 0.5) & (sample.mask < 0.02)] ^= 128
    assert metrics.strict_success(sample, spoiled) is False


def test_another_colour_is_no_success():
    sample = sample_of("recolour")
    for colour in set(world.COLOURS) - {sample.edit.colour}:
        asked = dataclasses.replace(sample.edit, colour=colour)
        judged = metrics.strict_success(dataclasses.replace(sample, edit=asked), sample.edited)
        assert judged is False


def test_a_checked_thing_may_keep_or_lose_the_cells_of_its_pattern():
    (sample,) = [
        sample
        for seed in world.TEST_SEEDS[:60]
        for sample in draw_samples(seed, 64, 64, 1, kinds=["recolour"])
        if isinstance(sample.edit.target, int)
        and (pattern := sample.scene.things[sample.edit.target].surface.pattern) is not None
        and pattern.kind == "checks"
        and sample.mask.mean() > 0.02
    ][:1]
    target, colour = sample.edit.target, sample.edit.colour
    painted = world.painted(world.surface_of(sample.scene, target), colour)
    rendered = render(sample.scene, sample.camera, *sample.mask.shape)
    plain = rendered.recoloured(target, dataclasses.replace(painted, pattern=None))
    assert (plain != sample.edited).any()
    assert metrics.strict_success(sample, sample.edited)
    assert metrics.strict_success(sample, plain)
    cells = metrics.palette_of_sample(sample).weights == 0
    assert cells[sample.mask > 0.5].any()
    only_cells = np.where(cells[..., None], plain, sample.image)
    assert metrics.strict_success(sample, only_cells) is False


def test_a_recolouring_in_the_dark_is_not_judged():
    sample = sample_of("recolour")
    dark = dataclasses.replace(sample.scene, lights=(), ambient=(0.0, 0.0, 0.0))
    seen = render(dark, sample.camera, *sample.mask.shape).image
    in_the_dark = dataclasses.replace(sample, scene=dark, image=seen, edited=seen)
    assert metrics.strict_success(in_the_dark, seen) is None
    assert metrics.palette_of_sample(in_the_dark).nearest(seen) is None


def test_every_shade_of_a_name_is_judged_to_be_it_up_to_half_a_stop():
    """Things of five scenes in a shade of each colour from within what its name means, as their own
    light shows it. With a stop more of light the judgement with exposure is right more often.
    """
    rng = np.random.default_rng(0)
    right = {"plain": 0, "exposed": 0}
    for sample in [sample_of("recolour"), *_lone_recolourings(4)]:
        target = sample.edit.target
        picture = render(sample.scene, sample.camera, *sample.mask.shape)
        surface = world.surface_of(sample.scene, target)
        inside = picture.coverage(target) > 0.5
        plain = metrics.palette_of(picture, target, inside)
        exposed = metrics.exposed_palettes(picture, target, inside)
        assert metrics.nearest_colour(sample.edited, [plain]) == plain.nearest(sample.edited)
        for colour, (low, high) in world.COLOUR_SPREAD.items():
            shade = dataclasses.replace(
                world.painted(surface, colour), albedo=tuple(rng.uniform(low, high))
            )
            shown = picture.recoloured(target, shade)
            assert plain.nearest(shown) == colour
            assert metrics.nearest_colour(shown, exposed) == colour
        look = sample.scene.look
        brighter = dataclasses.replace(look, exposure=look.exposure * 2)
        scene = dataclasses.replace(sample.scene, look=brighter)
        for colour in world.COLOURS:
            shown = dataclasses.replace(picture, scene=scene).recoloured(
                target, world.painted(surface, colour)
            )
            right["plain"] += plain.nearest(shown) == colour
            right["exposed"] += metrics.nearest_colour(shown, exposed) == colour
    assert right["exposed"] > right["plain"]


def _lone_recolourings(count):
    """The first samples that recolour a thing large enough to judge."""
    samples = (
        sample
        for seed in world.TEST_SEEDS
        for sample in draw_samples(seed, 64, 64, 1, kinds=["recolour"])
        if isinstance(sample.edit.target, int)
        and sample.mask.mean() > 0.05
        and sample.scene.look.noise == 0
    )
    return [next(samples) for _ in range(count)]


# ------------------------------------------------------------------ samples and maps


def test_samples_come_from_their_own_seeds_and_ask_for_what_is_there():
    present = draw_present(SEEDS["test"], 6, 64, ["recolour"])
    assert len(present) == 6
    assert all(sample.edit.target is not None for sample in present)
    assert {sample.edit.kind for sample in present} == {"recolour"}
    first = draw_samples(world.TEST_SEEDS[0], 64, 64, 3)
    assert (present[0].image == first[0].image).all()
    assert max(len([s for s in present if s.scene == scene.scene]) for scene in present) <= 3
    assert not set(world.TEST_SEEDS) & set(world.TRAIN_SEEDS)
    assert not set(world.TEST_SEEDS) & set(world.VALIDATION_SEEDS)
    assert not set(world.VALIDATION_SEEDS) & set(world.TRAIN_SEEDS)


def test_absent_twins_name_what_is_not_there(samples):
    twins = absent_twins(samples)
    assert [twin.edit.kind for twin in twins] == [sample.edit.kind for sample in samples]
    assert all(twin.edit.target is None and not twin.mask.any() for twin in twins)
    assert all((twin.image == s.image).all() for twin, s in zip(twins, samples, strict=True))
    again = absent_twins(samples)
    assert [t.edit.instruction for t in twins] == [t.edit.instruction for t in again]


@pytest.mark.parametrize("size", [64, 128])  # the model's own size is 64
def test_default_maps_are_those_of_the_editor(tiny_model, size):
    editor = Editor.from_pretrained(str(tiny_model), device="cpu")
    probe = encode(editor.model, draw_present(world.TEST_SEEDS, 4, size))
    raws, evidence = maps.default_maps(editor.model, probe)
    raw = maps.raw_maps(editor.model, probe, lambda words: None)
    np.testing.assert_allclose(raw.default(), raws, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(raw.evidence, evidence, rtol=1e-4)
    for i, sample in enumerate(probe.samples):
        editor.set_image(sample.image)
        ours = editor.relevance(sample.edit.instruction)
        np.testing.assert_allclose(raws[i], ours.raw, rtol=1e-4, atol=1e-6)
        assert evidence[i] == pytest.approx(ours.evidence, abs=1e-4)
        half = editor.relevance(sample.edit.instruction, noise_level=0.5, seeds=(0,))
        np.testing.assert_allclose(raw.by_level[0.5][i], half.raw, rtol=1e-4, atol=1e-6)
    single = editor.relevance(probe.samples[-1].edit.instruction, seeds=(0,)).raw
    assert (raw.euclidean[-1] <= single * 1.0001).all()  # L2 is at most L1 and at least half of it
    assert (raw.euclidean[-1] >= single * 0.4999).all()


def probe_of(samples):
    """A probe whose cells are the pixels, and no latents."""
    truths = np.stack([sample.mask > 0.5 for sample in samples])
    return Probe(samples, None, truths, [sample.things for sample in samples])


def test_tables_of_perfect_maps_are_perfect(samples):
    probe = probe_of(samples)
    truths = probe.truths.astype(np.float32)
    table = maps.by_group(probe, truths)
    assert table["all"]["n"] == len(samples)
    for group, row in table.items():
        perfect = [value for name, value in row.items() if not name.startswith("n")]
        if group.startswith("recolour"):
            assert perfect == [1.0] * len(perfect)
        assert row["AUROC"] == row["AP"] == row["IoU suggested"] == row["best IoU"] == 1.0
    controls = maps.controls(probe, truths)
    own, other = (
        controls["own instruction, where there is another"],
        controls["another instruction for the same picture"],
    )
    assert own["n"] == other["n"] > 5
    assert own["AUROC"] == 1.0 > other["AUROC"] + 0.2
    ones = controls["all ones, one object"]
    assert ones["AUROC"] == 0.5
    assert ones["IoU 0.3"] == ones["IoU 0.6"] == ones["best IoU"] == ones["AP"]
    blind = controls["mask of all objects, one among others"]
    assert ones["IoU 0.5"] < blind["IoU 0.5"] < 1.0


def test_prompt_check_figures():
    present, absent = np.array([0.9, 0.8, 0.7, 0.4]), np.array([0.1, 0.2, 0.5, 0.3])
    figures = maps.prompt_check(present, absent, 0.45)
    assert figures["AUROC"] == pytest.approx(15 / 16, abs=1e-3)
    assert figures["present that apply"] == 0.75
    assert figures["absent that do not"] == 0.75
    assert figures["best limit"] == pytest.approx(0.35) or figures["best limit"] == pytest.approx(
        0.6
    )


def test_embedded_model_is_calibrated():
    """An export of new weights takes the calibration away: `evaluate relevance --calibrate`."""
    assert (DEMO_WEIGHTS / CALIBRATION_FILE).is_file()
    assert DEFAULT_EVIDENCE_LIMIT < read_evidence_limits(DEMO_WEIGHTS)[0] < 1


def test_tables_have_all_columns():
    text = relevance.markdown("Title", {"a": {"n": 1, "IoU": 0.5}, "b": {"n": 2}})
    assert text.splitlines()[2:] == [
        "| | n | IoU |",
        "|---|---|---|",
        "| a | 1 | 0.5 |",
        "| b | 2 |  |",
    ]


# ------------------------------------------------------------------ the command


def test_command_writes_figures_report_and_sheet(
    tiny_model, samples, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(relevance, "read_renders", lambda folder: {"CYCLES": samples[:6]})
    model, out = tmp_path / "model", tmp_path / "out"
    shutil.copytree(tiny_model, model)
    arguments = ["--model", str(model), "--samples", "9", "--edits", "2", "--device", "cpu"]
    arguments += ["--out", str(out), "--renders", str(tmp_path), "--calibrate"]
    command = ["evaluate", "relevance", *arguments]
    assert main(command) == 1
    assert "--seeds validation" in capsys.readouterr().err
    assert main([*command, "--seeds", "validation"]) == 0
    figures = json.loads((out / "report.json").read_text())["figures"]
    default = figures["Maps at the default settings"]["all"]
    same = figures["One setting at a time"]['normalisation "full", 4 seeds']
    assert {name: default[name] for name in same} == same
    paper = figures['Maps with normalisation "paper" and one seed']["all"]
    level = figures["One setting at a time"]['normalisation "paper", 1 seed, noise level 0.8']
    assert {name: paper[name] for name in level} == level
    assert figures["Edits"]["guided edit inside the true mask"]["PSNR outside"] == 99
    assert figures["Prompt check"]["all"]["n"] == default["n"] <= 9
    assert 1 < figures["Blender's renders"]["CYCLES: all"]["n"] <= 6
    assert read_evidence_limits(model)[0] == figures["Prompt check"]["all"]["best limit"]
    assert (out / "contact_sheet.png").stat().st_size > 1000
    assert "| all |" in (out / "figures.md").read_text()
    assert "wrote figures.md" in capsys.readouterr().out


def test_only_the_ways_of_editing_that_are_asked_for_are_measured(tiny_model):
    editor = Editor.from_pretrained(str(tiny_model), device="cpu")
    sample = sample_of("recolour")
    guidance = GuidanceSettings(text_guidance=2.0, image_guidance=1.0)
    few = edit_samples(editor, [sample], guidance, print, ["plain"])
    assert set(few[0].pictures) == {PLAIN, PASTED, GUIDED, ROUND_TRIP}
    done = editor.edit(
        sample.edit.instruction,
        text_guidance=2.0,
        image_guidance=1.0,
        steps=STEPS,
        region=RegionSettings(snap="nothing"),
    )
    assert (few[0].pictures[GUIDED] == done.image).all()
    assert (few[0].mask == done.mask).all()
    pasted = np.where(done.mask[..., None], few[0].pictures[PLAIN], sample.image)
    assert (few[0].pictures[PASTED] == pasted).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kinds", "explode"], "no kind of edit 'explode'"),
        (["--model", "./nowhere"], "There is no folder ./nowhere"),
        (["--renders", "nowhere"], "nowhere has no index.json"),
    ],
)
def test_bad_input_is_one_sentence(tiny_model, tmp_path, capsys, arguments, words):
    start = ["--model", str(tiny_model), "--samples", "2", "--edits", "0", "--device", "cpu"]
    command = ["evaluate", "relevance", *start, "--out", str(tmp_path / "out"), *arguments]
    assert main(command) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
