"""Whether a training has learnt what its photos show: more, at least, than a blur of them does."""

import math

import torch

from backend.errors import BadInput
from backend.fields.radiance_field import RadianceField
from backend.fields.training import Course
from backend.fields.views import Views, psnr_of_views

JUDGED_FROM = 200
"""Steps after which a field must have learnt what a blurred photo shows."""
BLURRED = 4
"""Cells of a side of such a photo."""
FAR_BELOW = 2.0
"""Decibels."""
SHARP = 30.0
"""Decibels from which on a field has learnt its photos, however flat they are."""


class UnlearntError(BadInput):
    """A training that came to its end without learning what the photos show."""


def check_learnt(course: Course, field: RadianceField, views: Views) -> None:
    """Raises UnlearntError where a training has ended and its field shows its own views far worse
    than a blur of them does.
    """
    if course.step < JUDGED_FROM:
        return
    found, blurred = psnr_of_views(field, views), psnr_of_blur(views)
    if _far_below(found, blurred):
        raise UnlearntError(
            f"The field has learnt nothing of the photos: it shows them at {found:.1f} dB, and a "
            f"blur of {BLURRED} x {BLURRED} patches does at {blurred:.1f}. Check poses and alpha, "
            "or train anew with another seed or preset in another work folder; what was trained "
            "is kept."
        )


def _far_below(found: float, blurred: float) -> bool:
    return found < min(blurred - FAR_BELOW, SHARP)


def note_on_new_places(course: Course, measured: Views) -> tuple[str, ...]:
    """What a person should know where a training ended with held-out views far worse than a blur
    of them: its field has learnt its own views by heart, as it does from wrong poses.

    Args:
        course: of the training.
        measured: the held-out views.
    """
    if course.step < JUDGED_FROM or not course.scores:
        return ()
    found, blurred = course.scores[-1][1], psnr_of_blur(measured)
    if not _far_below(found, blurred):
        return ()
    return (
        f"The field shows held-out views at {found:.1f} dB, worse than a blur of {BLURRED} x "
        f"{BLURRED} patches, which does at {blurred:.1f}: it does not know the scene from new "
        "places. Check the poses, or add photos between these.",
    )


def psnr_of_blur(views: Views) -> float:
    """PSNR in decibels of views over black, without the pixels that masks hide, when all that is
    known of each view is the mean colours of BLURRED x BLURRED patches.
    """
    errors, pixels = 0.0, 0
    for view in range(len(views.names)):
        height, width = views.rays.shape(view)
        here = views.rays.of_view(view)
        colours = views.colours(here)
        picture = (colours[:, :3] * colours[:, 3:] if views.alpha else colours).view(
            height, width, 3
        )
        planes = picture.permute(2, 0, 1)[None]
        patches = torch.nn.functional.adaptive_avg_pool2d(planes, BLURRED)
        blurred = torch.nn.functional.interpolate(patches, (height, width), mode="nearest")
        wrong = ((blurred - planes) ** 2).sum(dim=1).flatten()
        if views.seen is not None:
            wrong = wrong[torch.isin(here, views.seen)]
        errors += float(wrong.sum())
        pixels += 3 * len(wrong)
    return -10 * math.log10(max(errors / pixels, 1e-12))
