"""Edits at the render's size against the real server: what it makes of a full-size render, and what
is written of it.
"""

from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
from driving import preview
from test_edit_pixels import loaded
from test_real_server import (  # noqa: F401  # fixtures
    JOB_SECONDS,
    backend_python,
    edit,
    model,
    ready,
    real,
)
from test_result_size import at_size, far_from, own_render

OPS = bpy.ops.watch_your_steps


def test_the_render_s_own_pixels_stay_around_an_edit_of_any_size(
    ready: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    tmp_path: Path,
) -> None:
    settings = scene.watch_your_steps
    scene.render.resolution_x, scene.render.resolution_y = 256, 192
    settings.max_side = 64
    preview(ready, scene)
    relevance = ready.pictures.read_gray(settings.relevance_image)
    settings.threshold = float(np.quantile(relevance, 0.8))
    edit(ready, scene)
    own = own_render(ready, scene)
    away = far_from(at_size(ready.results.mask(scene)), 4)
    assert away.sum() > 1000
    for name in ("enlarged", "at_full_size"):
        OPS.save_result(filepath=str(tmp_path / f"{name}.png"))
        made = loaded(tmp_path / f"{name}.png")[..., :3]
        assert made.shape == own.shape
        assert np.array_equal(made[away], own[away])
        assert (made != own).any()
        if name == "enlarged":
            OPS.edit_full_size()
            ready.session.wait_for_job(scene, JOB_SECONDS)
    new = settings.edits[0]
    assert new.detail == "sharp"
    assert tuple(new.image.size) == (256, 192)
