"""Whether a training has learnt what its photos show: more, at least, than a blur of them does, and
of each about as much as of the others.
"""

import math
import statistics
from collections.abc import Mapping

import torch

from backend.captures.checks import some_of
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

OUT_OF_LINE = 6.0
"""Decibels below the middle one of all views from which on one does not fit the others. Turned by 3
to 20 degrees, or with another's pose, one came out 8 to 15 below; of captures without such a view
the last came out 2 to 5 below (docs/captures.md)."""
FEWEST_COMPARED = 6
"""Views of which a middle one says something."""


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


def note_on_single_views(course: Course, scores: Mapping[str, float]) -> tuple[str, ...]:
    """What a person should know where a training ended with a few views far worse than the others,
    as one is whose camera did not stand where the capture says, and those beside it.

    Args:
        course: of the training.
        scores: PSNR in decibels of views in its field, of each by itself (`psnr_of_each`).
    """
    if course.step < JUDGED_FROM or len(scores) < FEWEST_COMPARED:
        return ()
    middle = statistics.median(scores.values())
    worst = sorted(scores, key=scores.__getitem__)
    worst = [name for name in worst if scores[name] < middle - OUT_OF_LINE]
    if not worst:
        return ()
    many, first, last = len(worst), scores[worst[0]], scores[worst[-1]]
    fit = "1 view does not fit" if many == 1 else f"{many} views do not fit"
    at = f"{first:.1f}" if many == 1 else f"{first:.1f} to {last:.1f}"
    return (
        f"{fit} the others: the field shows {some_of(worst)} at {at} dB, and the middle one of "
        f"{len(scores)} at {middle:.1f}. A camera may not have stood where the capture says, or "
        "something moved: look at the photo beside the field, take what is wrong out of the "
        "capture, and train anew.",
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
        wrong = wrong[views.seen_of(view) - here[0]]
        errors += float(wrong.sum())
        pixels += 3 * len(wrong)
    return -10 * math.log10(max(errors / pixels, 1e-12))
