"""Maps that points of a sample share: as they are found alone, once, and counted for each."""

import dataclasses

import numpy as np
import pytest

from backend.editing import Editor
from backend.editing.methods.method import Models
from backend.evaluation.images.points import points_of
from backend.evaluation.images.work import ImagesWork
from backend.evaluation.samples import SEEDS, draw_present
from backend.evaluation.spread import shared_maps
from backend.evaluation.spread.shared_maps import SharedMaps
from backend.evaluation.spread.work import Names, Task
from backend.evaluation.sweep.work import MapAt, Pair, SweepWork
from protocol.settings import PictureMapSettings

from .tiny_editor import INSTRUCTION, random_image


@pytest.fixture(scope="module")
def names(tiny_model):
    return Names(str(tiny_model), "cpu", "float32", None, "demo", None)


@pytest.fixture(scope="module")
def sample():
    (found,) = draw_present(SEEDS["validation"], 1, 64)
    return found


def counted(unet, action):
    """What an action gives, and the latents that the U-Net was given for it, call by call."""
    seen = []
    handle = unet.register_forward_hook(lambda network, given, made: seen.append(len(made.sample)))
    try:
        return action(), seen
    finally:
        handle.remove()


def test_a_curve_of_thresholds_finds_its_map_once_and_edits_as_each_point_alone(names, sample):
    points = [*points_of("ours")[:4], *points_of("ours-paper")[:2], *points_of("soft-mask")[:2]]
    work, tools = ImagesWork(names, steps=2, seed=0), names.load()
    made, shared = counted(
        tools.maps.model.unet, lambda: list(work.do(tools, Task(0, sample, points)))
    )
    plain = Editor(tools.maps.model)
    alone = dataclasses.replace(tools, models=Models(plain))
    expected, each = counted(
        plain.model.unet, lambda: list(work.do(alone, Task(0, sample, points)))
    )
    # ours and the soft mask share the map of four noises in two branches; the paper's has one
    assert sum(each) - sum(shared) == (6 - 1) * 8 + (2 - 1) * 2
    for one, other in zip(made, expected, strict=True):
        kept = {"seconds": 0.0, "processor_seconds": 0.0}
        assert dataclasses.replace(one.record, **kept) == dataclasses.replace(other.record, **kept)
        if other.picture is not None:
            np.testing.assert_array_equal(one.picture, other.picture)


def test_a_sweeps_edits_take_the_map_of_as_many_noises(names, sample):
    work, tools = SweepWork(names, steps=1, normalisation="full"), names.load()
    points = [MapAt(0.8, 4), Pair(0.2, 1.5, 0), Pair(0.5, 1.5, 0)]
    _, seen = counted(tools.maps.model.unet, lambda: list(work.do(tools, Task(0, sample, points))))
    assert seen == [8, 3, 3]


def test_a_map_is_found_anew_of_another_picture_and_by_other_settings(editor, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(shared_maps, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(shared_maps, "process_time", lambda: 2 * clock[0])
    find = Editor.relevance

    def slow(self, *given, **named):
        clock[0] += 5
        return find(self, *given, **named)

    monkeypatch.setattr(Editor, "relevance", slow)
    maps = SharedMaps(editor.model)
    first, second = random_image(64, 64, 1), random_image(64, 64, 2)
    once = PictureMapSettings(relevance_seeds=(0,), closer=False)
    maps.set_image(first)
    one = maps.relevance(INSTRUCTION)
    assert maps.relevance(INSTRUCTION) is one
    maps.set_image(first.copy())  # the same picture
    assert maps.relevance(INSTRUCTION) is one
    assert maps.spared.tolist() == [10, 20]  # as long as finding it twice would have taken
    assert maps.relevance(INSTRUCTION, settings=once) is not one
    assert maps.relevance("turn the bear blue") is not one
    maps.set_image(second)
    other = maps.relevance(INSTRUCTION)
    assert (other.raw != one.raw).any()
    maps.set_image(first)
    again = maps.relevance(INSTRUCTION)
    np.testing.assert_array_equal(again.values, one.values)
    assert clock == [25.0]
    assert maps.spared.tolist() == [10, 20]
