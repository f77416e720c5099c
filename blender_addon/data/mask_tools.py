"""What changes all of a scene's mask at once."""

import bpy

from . import painting, region, results


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
    results.install_painting(scene, None if painted is None else painting.inverted(painted))
