"""What changes all of a scene's mask at once."""

import bpy
import numpy as np
from numpy.typing import NDArray

from ..protocol.corrections import ADDED, TAKEN
from . import painting, region, results, taken_pictures

HOW = (
    ("REPLACE", "Replace", "The mask becomes the imported one, whatever the slider says"),
    ("ADD", "Add", "Add what the imported one marks to the mask"),
    ("TAKE", "Take Away", "Take what the imported one marks away from the mask"),
)
"""What an imported mask does."""


def invert(scene: bpy.types.Scene) -> None:
    """Make the mask the very one that it was not, all that it is made of included: what was clicked
    and painted is then taken away where it was added, and what was grown is shrunk.
    """
    settings = scene.watch_your_steps
    painted, picks = region.painted(settings), region.Picks.read(settings.picks)
    settings.invert = not settings.invert
    if settings.picks:
        settings.picks = region.Picks(picks.removed, picks.added).write()
    if settings.grow:
        settings.grow = -settings.grow
    other = None if painted is None else painting.inverted(painted)
    results.install_painting(scene, other, taken_pictures.place_of(settings.painted_image))


def bring_in(scene: bpy.types.Scene, inside: NDArray[np.bool_], how: str) -> None:
    """Correct the mask by another one, bool (H, W) of the shown map's size, as if that was painted;
    `how` is one of HOW.
    """
    settings = scene.watch_your_steps
    before = region.painted(settings)
    if how == "REPLACE":
        painted = np.where(inside, np.uint8(ADDED), np.uint8(TAKEN))
    else:
        painted = np.zeros(inside.shape, np.uint8) if before is None else before.copy()
        painted[inside] = ADDED if how == "ADD" else TAKEN
    results.install_painting(scene, painted, taken_pictures.place_of(settings.render_image))
