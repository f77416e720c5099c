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
from backend.fields.views import Views, psnr_of_each, psnr_of_views

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


def judge(course: Course, field: RadianceField, views: Views, measured: Views | None) -> None:
    """Notes in the course of a training that has ended how its field shows single views, and what a
    person should know of that.

    Args:
        course: of the training.
        field: as it is by now.
        views: that it was trained on.
        measured: held-out views, None where there are none.

    Raises:
        UnlearntError: it shows its own views far worse than a blur of them does.
    """
    found = course.trained_psnr = psnr_of_views(field, views)
    if course.step < JUDGED_FROM:
        return
    blurred = psnr_of_blur(views)
    if _far_below(found, blurred):
        raise UnlearntError(
            f"The field has learnt nothing of the photos: it shows them at {found:.1f} dB, and a "
            f"blur of {BLURRED} x {BLURRED} patches does at {blurred:.1f}. Check poses and alpha, "
            "or train anew with another seed or preset in another work folder; what was trained "
            "is kept."
        )
    course.unfit, course.notes = (), ()
    if measured is not None:
        course.notes += note_on_new_places(course.scores[-1][1], measured)
    for scores in [psnr_of_each(field, one) for one in (views, measured) if one is not None]:
        course.unfit += unfit(scores)
        course.notes += note_on_unfit(scores)


def _far_below(found: float, blurred: float) -> bool:
    return found < min(blurred - FAR_BELOW, SHARP)


def note_on_new_places(found: float, measured: Views) -> tuple[str, ...]:
    """What a person should know where a field shows held-out views far worse than a blur of them:
    it has learnt its own views by heart, as it does from wrong poses.

    Args:
        found: PSNR in decibels of the held-out views in the field.
        measured: these views.
    """
    blurred = psnr_of_blur(measured)
    if not _far_below(found, blurred):
        return ()
    return (
        f"The field shows held-out views at {found:.1f} dB, worse than a blur of {BLURRED} x "
        f"{BLURRED} patches, which does at {blurred:.1f}: it does not know the scene from new "
        "places. Check the poses, or add photos between these.",
    )


def unfit(scores: Mapping[str, float]) -> tuple[str, ...]:
    """The names of views that a field shows far worse than the others, the worst one first, as one
    whose camera did not stand where the capture says, and those beside it.

    Args:
        scores: PSNR in decibels of views in the field, of each by itself (`psnr_of_each`).
    """
    if len(scores) < FEWEST_COMPARED:
        return ()
    limit = statistics.median(scores.values()) - OUT_OF_LINE
    return tuple(name for name in sorted(scores, key=scores.__getitem__) if scores[name] < limit)


def note_on_unfit(scores: Mapping[str, float]) -> tuple[str, ...]:
    """What a person should know of the views that are `unfit`. Args as there."""
    worst = unfit(scores)
    if not worst:
        return ()
    middle = statistics.median(scores.values())
    many, first, last = len(worst), scores[worst[0]], scores[worst[-1]]
    fit = "1 view does not fit" if many == 1 else f"{many} views do not fit"
    at = f"{first:.1f}" if many == 1 else f"{first:.1f} to {last:.1f}"
    return (
        f"{fit} the others: the field shows {some_of(worst)} at {at} dB, and the middle one of "
        f"{len(scores)} at {middle:.1f}. A camera may not have stood where the capture says, "
        "something may have moved, or the exposure is another: look at the photo beside the field, "
        "take what is wrong out of the capture, and train anew.",
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
