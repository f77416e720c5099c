"""An edit of a scene whose process is killed again and again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILLS = 20

KILLED = """
import dataclasses, json, os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)  # a fork has no other threads
from backend.editing import Editor
from backend.scenes import Scene
from tests.backend.quick_edit import INSTRUCTION, QUICK
from tests.backend.tiny_field import TINY

folder, model, kills = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
editor = Editor.from_pretrained(model, "cpu", "float32")
scene = Scene.open(folder, device="cpu")
scene.train(config=dataclasses.replace(TINY, hold_out_every=4))
# Every view has a region then, and a kill may leave one of two edits that are made together.
config = dataclasses.replace(QUICK, relevance=False, views_at_once=2)
rng, killed, whole, moments = random.Random(0), 0, 0, []


def edit(name):
    child = os.fork()
    if child == 0:
        mine = Scene.open(folder, device="cpu")
        mine.edit(INSTRUCTION, editor, config=config, name=name, checkpoint_seconds=0.0)
        os._exit(0)
    return child


def outcome(name):
    done = scene.edited(name)
    values = {n: v.double().sum().item() for n, v in done.field.model.state_dict().items()}
    views = [(v.name, v.count, v.step, v.seed, int(v.after.sum())) for v in done.views]
    return values, views, [m.raw.tolist() for m in done.maps()]


began = time.monotonic()
assert os.waitpid(edit("whole"), 0)[1] == 0
seconds = time.monotonic() - began
expected = outcome("whole")
while killed < kills or "killed" in scene.edits():
    child = edit("killed")
    if killed < kills:
        time.sleep(rng.random() * seconds * 0.7)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        killed += 1
        if "killed" in scene.edits():  # all that is there can be read
            left = scene.edited("killed")
            left.maps()
            moments.append(sum(int(v.mask.any()) for v in left.views if v.after.size))
    else:
        assert os.WEXITSTATUS(status) == 0
        assert outcome("killed") == expected
        whole += 1
        scene.undo("killed")
print(json.dumps({"killed": killed, "whole": whole, "edits at kills": moments}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process that has loaded everything")
def test_an_edit_killed_at_random_moments_ends_as_if_it_had_not_been(
    tmp_path: Path, tiny_model: Path
) -> None:
    from .tiny_capture import orbit_capture

    orbit_capture(tmp_path, 8, 24)
    found = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, tiny_model, str(KILLS)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    figures = json.loads(found.stdout.splitlines()[-1])
    assert figures["killed"] == KILLS
    assert figures["whole"] >= 1
    # the moments lie all over the edit, and a kill never takes more than was made since
    assert len(set(figures["edits at kills"])) > 3
