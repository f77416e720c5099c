"""Figures of edits of scenes by networks that look at pictures, beside those on pixels: an encoder
of pictures and texts, and LPIPS.
"""

from collections.abc import Sequence

import numpy as np

from backend.captures.capture import Capture
from backend.editing.encoders import ClipEncoder, Encoder, Picture
from backend.evaluation.lpips import Lpips
from backend.evaluation.published import published_metrics
from backend.evaluation.scenes.scene_figures import Figures, flight
from backend.evaluation.scenes.scene_world import TrueView, WorldScene
from backend.evaluation.scenes.shown import Shown
from backend.evaluation.similarity import (
    direction_similarity,
    image_similarity,
    path_metrics,
    text_image_similarity,
    whose,
)
from backend.scenes.camera import Camera
from backend.scenes.camera_path import orbit
from backend.world.naming import captions
from backend.world.pool import SMALLEST_SHOWN

CORRECT, AUTHORS = "correct", "authors'"
NAMES = (
    "direction similarity",
    "text-image similarity",
    "image similarity",
    "frame similarity",
    "edit similarity",
)
ORBIT_FRAMES = 24
ORBIT_SIDE = 256
"""Pixels of the longer side of an orbit's frames: CLIPs look at 224."""


def edited(
    scene: Shown, world: WorldScene, edit: Shown, encoder: Encoder, lpips: Lpips | None = None
) -> Figures:
    """What an encoder says of an edit of a scene of the demo world, and LPIPS where it is given.

    Image, text-image and text-image direction similarity and LPIPS are means over the held-out
    views, each with the captions of what it shows; frame and edit similarity are along the flight
    that `scene_figures.consistency` takes.
    """
    shown, changed = _frames(scene, edit, [view.camera for view in world.held_out])
    before, after = encoder.images(shown), encoder.images(changed)
    texts = [captions_of(world, view) for view in world.held_out]
    text_before = encoder.texts([old for old, _ in texts])
    text_after = encoder.texts([new for _, new in texts])
    directions = direction_similarity(before, after, text_before, text_after)
    along = path_metrics(*_frames(scene, edit, flight(world)), None, encoder)
    figures = {
        "direction similarity": float(directions.mean()),
        "text-image similarity": float(text_image_similarity(after, text_after).mean()),
        "image similarity": float(image_similarity(before, after).mean()),
        "frame similarity": along["frame similarity"],
        "edit similarity": along["edit similarity"],
    }
    if lpips is not None:
        figures[lpips.name] = float(lpips.distances(shown, changed).mean())
    return named(figures, encoder)


def captions_of(world: WorldScene, view: TrueView) -> tuple[str, str]:
    """What a view shows before and after the world's edit."""
    shares = [view.rendering.coverage(i).mean() for i in range(len(world.scene.things))]
    shown = [int(i) for i in np.flatnonzero(np.array(shares) >= SMALLEST_SHOWN)]
    return captions(world.scene, world.edit, shown)


def edited_capture(
    capture: Capture,
    scene: Shown,
    edit: Shown,
    texts: tuple[str, str] | None,
    encoder: ClipEncoder,
    lpips: Lpips | None = None,
) -> dict[str, Figures]:
    """What an encoder says of an edit of a capture, along an orbit around it: CORRECT, by
    `path_metrics` with LPIPS where it is given, and, where there are texts, also AUTHORS, by
    `published_metrics`.

    Raises:
        CaptureError: the cameras do not look at one place.
    """
    cameras = [camera.at_most(ORBIT_SIDE) for camera in orbit(capture, ORBIT_FRAMES)]
    before, after = _frames(scene, edit, cameras)
    modes = {CORRECT: path_metrics(before, after, texts, encoder, lpips)}
    if texts is not None:
        modes[AUTHORS] = published_metrics(before, after, texts[1], encoder)
    return modes


def _frames(
    scene: Shown, edit: Shown, cameras: Sequence[Camera]
) -> tuple[list[Picture], list[Picture]]:
    """What cameras see before and after the edit."""
    before = [scene.render(camera).image for camera in cameras]
    return before, [edit.render(camera).image for camera in cameras]


def names(encoder: Encoder, lpips: Lpips | None = None) -> list[str]:
    """What the figures of an encoder are called, and that of LPIPS where it is given."""
    own = [] if lpips is None else [lpips.name]
    return [*(whose(name, encoder.name) for name in NAMES), *own]


def named(figures: Figures, encoder: Encoder) -> Figures:
    """The figures under names that say whose they are."""
    return {whose(name, encoder.name): value for name, value in figures.items()}
