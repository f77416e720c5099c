"""Scenes of the demo world as captures: pictures from all around whose surfaces, colours and masks
are known, in the views that a field is trained on and in others.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.captures.lens import Intrinsics
from backend.captures.transforms import NewView, write_capture
from backend.captures.views import Pixels
from backend.errors import BadInput
from backend.evaluation.metrics import SMALLEST_THING
from backend.scenes.camera import Camera
from backend.world import instructions, render, sampling, world
from backend.world.cameras import ball_around, camera_to_world, intrinsics, project, rings
from backend.world.pool import edited_picture

HELD_OUT = 8
"""Views that are in no capture, and see the things as the captured ones do."""
PAN_STEP = math.radians(5)
SMALLEST_CHANGE = 0.004
"""Share of the picture that an edit changes at least in every held-out view."""
TRIES = 12
"""Edits that are drawn at most until one can be seen."""


@dataclass(frozen=True)
class TrueView:
    """A view of the world.

    Attributes:
        camera: in the coordinates of world and capture, which are the same.
        rendering: what it truly shows.
    """

    camera: Camera
    rendering: render.Rendering

    @property
    def image(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3)."""
        image: NDArray[np.uint8] = self.rendering.image
        return image

    def depth(self) -> NDArray[np.float32]:
        """float32 (H, W), along the viewing axis in metres, 0 where there is no surface."""
        shown = self.rendering
        found: NDArray[np.float32] = render.depth(shown.scene, shown.camera, *shown.size)
        return found

    def things(self) -> NDArray[np.uint16]:
        """uint16 (H, W), a label for every thing, the ground and the background."""
        return self.rendering.labels().astype(np.uint16)

    def shows(self, target: int) -> NDArray[np.bool_]:
        """bool (H, W), where a thing covers more than half of the pixel."""
        covered: NDArray[np.bool_] = self.rendering.coverage(target) > 0.5
        return covered


@dataclass(frozen=True)
class WorldScene:
    """A scene of the demo world and an instruction for it.

    Attributes:
        seed: that all of it is a function of.
        scene: the world.
        edit: of one of at least two things; a recolouring, where `with_edit` has not changed it.
        captured: what fields are trained on.
        held_out: other views, that show the target.
        elsewhere: the held-out cameras turned aside just so far that the target is out of sight.
    """

    seed: int
    scene: world.Scene
    edit: world.Edit
    captured: Sequence[TrueView]
    held_out: Sequence[TrueView]
    elsewhere: Sequence[TrueView]

    @property
    def target(self) -> int:
        """Index of the thing that the edit is about."""
        assert isinstance(self.edit.target, int)
        return self.edit.target

    def true_edit(self, view: TrueView) -> NDArray[np.float32]:
        """What a view truly shows after the edit, (H, W, 3) in 0..1."""
        shown, _ = self.true_change(view)
        return shown.astype(np.float32) / np.float32(255)

    def true_change(self, view: TrueView) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """What a view truly shows after the edit, uint8 (H, W, 3), and the share of each pixel that
        shows another surface than before, float32 (H, W). Shadows may change elsewhere, too.
        """
        return edited_picture(self.scene, view.rendering, self.edit)

    def with_edit(self, kind: str) -> "WorldScene | None":
        """The same scene with an edit of another kind, of the same thing where it can be made and
        seen in every held-out view, else of another; None where the scene offers none.
        """
        rng = np.random.default_rng([self.seed, world.KINDS.index(kind)])
        others = [i for i in range(len(self.scene.things)) if i != self.target]
        for target in [self.target, *others]:
            for _ in range(TRIES):
                drawn = instructions.sample_edits(rng, self.scene, 1, {target: 1.0}, (kind,))
                for edit in drawn:
                    if edit.kind != kind or edit.target != target:
                        continue
                    changed = dataclasses.replace(self, edit=edit)
                    shares = [changed.true_change(view)[1].mean() for view in self.held_out]
                    if min(shares) >= SMALLEST_CHANGE:
                        return changed
        return None

    def write(self, folder: Path, depth: bool = False) -> Path:
        """Writes the captured views as a capture with their things; the path of its
        transforms.json.

        Args:
            folder: where to.
            depth: whether the true depth is written, too.

        Raises:
            CaptureError: there is one already.
            OSError: it cannot be written.
        """
        return write_capture(
            folder,
            [
                NewView(
                    f"{number:02d}",
                    Pixels(
                        view.image,
                        depth=view.depth() if depth else None,
                        things=view.things(),
                    ),
                    view.camera.intrinsics,
                    view.camera.pose,
                )
                for number, view in enumerate(self.captured)
            ],
        )


def draw(seed: int, views: int = 24, side: int = 128) -> WorldScene | None:
    """The scene and the instruction of a seed, captured in square pictures of `side` pixels; None
    where it has one thing only, or each is all but hidden in some held-out view.

    Scenes are those that the demo model's test pictures come from, without the grain of a path
    tracer with few samples, which no two views share. The instruction is about the thing that is
    seen best from where it is seen least.
    """
    rng = np.random.default_rng(seed)
    scene, _ = sampling.sample_scene(rng)
    if len(scene.things) < 2:
        return None
    scene = dataclasses.replace(scene, look=dataclasses.replace(scene.look, noise=0.0))
    middle, radius = ball_around(scene.things)
    held_out = [_view(scene, camera, side) for camera in rings(middle, radius, HELD_OUT, turn=0.5)]
    least = [min(view.shows(i).mean() for view in held_out) for i in range(len(scene.things))]
    target = int(np.argmax(least))
    if least[target] < SMALLEST_THING:
        return None
    edit = instructions.sample_recolouring(rng, scene, target)
    captured = [_view(scene, camera, side) for camera in rings(middle, radius, views)]
    elsewhere = [_turned_aside(view.rendering.camera, scene, target, side) for view in held_out]
    return WorldScene(seed, scene, edit, captured, held_out, elsewhere)


def _view(scene: world.Scene, camera: world.Camera, side: int) -> TrueView:
    lens = Intrinsics(*intrinsics(camera, side, side), width=side, height=side)
    return TrueView(Camera(camera_to_world(camera), lens), render.render(scene, camera, side, side))


def _turned_aside(camera: world.Camera, scene: world.Scene, target: int, side: int) -> TrueView:
    """The view of a camera that is turned about the vertical until it does not show the target."""
    position = np.array(camera.position)
    ahead = np.array(camera.target) - position
    thing = scene.things[target]
    for turns in range(1, round(math.pi / PAN_STEP)):
        for angle in (turns * PAN_STEP, -turns * PAN_STEP):
            c, s = math.cos(angle), math.sin(angle)
            across = (c * ahead[0] - s * ahead[1], s * ahead[0] + c * ahead[1], ahead[2])
            x, y, z = position + np.array(across)
            turned = dataclasses.replace(camera, target=(float(x), float(y), float(z)))
            (u, _), depth = project(turned, np.array([thing.position]).T, side, side)
            if depth[0] > 0 and 0 < u[0] < side:
                continue  # its middle is in the picture: no need to look
            view = _view(scene, turned, side)
            if not view.rendering.coverage(target).any():
                return view
    raise BadInput(f"The {thing.shape} is in sight whatever way the camera looks.")
