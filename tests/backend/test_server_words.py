"""What jobs say to people."""

from pathlib import Path

import numpy as np
import pytest

from backend.jobs.scene_state import without_paths
from backend.output.progress import time_left
from backend.worker import words
from backend.worker.process import smaller
from backend.worker.words import with_time_left


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "1 s"), (12.4, "12 s"), (99.0, "99 s"), (125.0, "2 min"), (3600.0, "60 min")],
)
def test_remaining_times_are_in_words(seconds, said):
    assert time_left(seconds) == f"about {said} left"
    assert time_left(seconds, at_most=True) == f"{said} left at most"


def test_the_remaining_time_is_reckoned_from_what_is_done(monkeypatch):
    now = 100.0
    monkeypatch.setattr(words.time, "monotonic", lambda: now)
    said = []
    report = with_time_left(lambda stage, fraction, preview: said.append(stage))
    report("A", 0.5, None)  # no time has passed: nothing can be said yet
    now = 130.0
    report("B", 0.0, None)
    report("C", 0.25, None)
    report("D", 1.0, None)
    assert said == ["A", "B", "C, about 90 s left", "D"]


def test_previews_are_small_and_small_ones_are_left_alone():
    large = np.zeros((600, 1024, 3), np.uint8)
    large[:, 512:] = 200
    small = smaller(large)
    assert small.shape == (150, 256, 3)
    assert (small[:, :127] == 0).all()
    assert (small[:, 129:] == 200).all()
    assert smaller(small) is small
    assert smaller(np.zeros((1, 2000, 3), np.uint8)).shape == (1, 256, 3)


def test_sentences_do_not_name_the_servers_folders(tmp_path: Path):
    work = tmp_path / ".wys"
    assert without_paths(f"{work} holds no field.", tmp_path) == "The capture holds no field."
    assert without_paths(f"{tmp_path} has 2 views.", tmp_path) == "The capture has 2 views."
    damaged = f"{work / 'edits' / 'red' / 'edit.json'} is damaged."
    assert without_paths(damaged, tmp_path) == f"{Path('edits/red/edit.json')} is damaged."
