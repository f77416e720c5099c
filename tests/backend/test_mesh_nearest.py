"""Nearest places on a mesh's surface: the neighbours that unseen texels follow."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from backend.meshes.nearest import FAR_FROM, NEAR, nearest_on_mesh

RNG = np.random.default_rng(0)


def surface(places: np.ndarray, faces: np.ndarray | None = None) -> SimpleNamespace:
    face = np.zeros(len(places), np.int64) if faces is None else faces
    extent = float(np.linalg.norm(np.ptp(places, axis=0)))
    return SimpleNamespace(surface=SimpleNamespace(position=places, face=face), extent=extent)


def on_a_sphere(count: int) -> np.ndarray:
    found = RNG.normal(size=(count, 3))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_near_places_have_their_nearest_and_far_ones_one_that_is_hardly_farther() -> None:
    places = on_a_sphere(20_000)
    known = places[:, 2] > 0
    mesh = surface(places)
    targets, sources = nearest_on_mesh(mesh, known, ~known, np.inf)
    assert sorted(targets) == np.flatnonzero(~known).tolist()
    assert known[sources].all()
    every = np.flatnonzero(known)
    for target, source in zip(targets[::50], sources[::50], strict=True):
        apart = np.linalg.norm(places[every] - places[target], axis=1)
        mine = np.linalg.norm(places[source] - places[target])
        if apart.min() < NEAR * mesh.extent:
            assert mine == pytest.approx(apart.min())
        else:
            assert mine < apart.min() + 0.1


def test_places_farther_than_the_reach_have_none() -> None:
    places = np.array([[0.0, 0, 0], [0.3, 0, 0], [0.6, 0, 0], [1.0, 0, 0]])
    known = np.array([True, False, False, False])
    targets, sources = nearest_on_mesh(surface(places), known, ~known, 0.5)
    assert (targets.tolist(), sources.tolist()) == ([1], [0])


def test_each_thing_keeps_its_own_neighbours_however_few_it_has() -> None:
    many, few = on_a_sphere(5 * FAR_FROM), on_a_sphere(50)
    places = np.concatenate([many, few])
    thing = np.repeat([0, 1], [len(many), len(few)])
    known = places[:, 2] > 0.95
    known[len(many) :] = False
    known[len(many) + np.argmax(few[:, 2])] = True  # one place of the second
    targets, sources = nearest_on_mesh(
        surface(places, thing), known, ~known, np.inf, np.array([0, 1], np.int32)
    )
    assert len(targets) == (~known).sum()
    assert (thing[targets] == thing[sources]).all()
    lonely, _ = nearest_on_mesh(
        surface(places, thing), known & (thing == 0), ~known, np.inf, np.array([0, 1], np.int32)
    )
    assert (thing[lonely] == 0).all()


def test_places_as_far_from_all_others_are_no_slower_than_comparing_each_with_each() -> None:
    known_places, middle = on_a_sphere(40_000), 1e-3 * RNG.normal(size=(500, 3))
    places = np.concatenate([known_places, middle])
    known = np.arange(len(places)) < len(known_places)
    begun = time.perf_counter()
    targets, _ = nearest_on_mesh(surface(places), known, ~known, np.inf)
    took = time.perf_counter() - begun
    begun = time.perf_counter()
    for one in middle:
        ((known_places - one) ** 2).sum(axis=1).argmin()
    assert len(targets) == len(middle)
    assert took < time.perf_counter() - begun


@pytest.mark.parametrize("known", [np.zeros(4, bool), np.ones(4, bool)])
def test_nothing_known_and_nothing_wanted_are_no_places(known: np.ndarray) -> None:
    targets, sources = nearest_on_mesh(surface(np.eye(4)[:, :3]), known, ~known, np.inf)
    assert len(targets) == len(sources) == 0
