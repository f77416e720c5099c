"""What the figures of a capture mean in words: what is good, what is not, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from backend.evaluation.scenes.scene_figures import Figures


@dataclass(frozen=True)
class _Limit:
    """What is said of one figure.

    Attributes:
        figure: its name.
        good, usable: from which value on it is so.
        what: it is about.
        form: of its number.
        unit: of it.
        advice: what to do where it is not good.
    """

    figure: str
    good: float
    usable: float
    what: str
    advice: str
    form: str = ".2f"
    unit: str = ""


FIELD = (
    _Limit(
        "accumulation",
        0.95,
        0.85,
        "Surfaces are solid",
        "what is see-through can hardly be edited. Take more photos of bare walls, skies and the "
        "rim of the scene from places apart, or train longer (a larger --preset)",
    ),
    _Limit(
        "PSNR",
        25.0,
        20.0,
        "The field shows places between the photos",
        "check the poses, leave out blurred photos and things that move, keep exposure and white "
        "balance fixed, add photos where cameras are far apart, or train longer (a larger "
        "--preset)",
        ".1f",
        " dB",
    ),
)
REGION = (
    _Limit(
        "IoU",
        0.88,
        0.7,
        "Exact maps of it come together in space",
        "look at the masks of the worst view in contact_sheet.png: where they disagree from view "
        "to view they cannot. If they agree, the poses or the surfaces there are wrong: see above",
    ),
    _Limit(
        "IoU, noise and holes",
        0.8,
        0.6,
        "Maps as bad as a model's, with noise and holes, still do",
        "too few views see it to make up for single maps: add photos that do, from close by",
    ),
    _Limit(
        "IoU, everything else",
        0.88,
        0.7,
        "So do maps of everything else",
        "the rest of the scene is partly see-through or beyond what the cameras agree on: "
        "photograph it from places farther apart",
    ),
    _Limit(
        "colour reached",
        0.9,
        0.75,
        "An exact edit is seen from new places",
        "its region is missed (see above), or the field has not followed: take a longer edit "
        "(a larger --preset)",
    ),
    _Limit(
        "PSNR outside",
        31.0,
        27.0,
        "All else stays as it was",
        "the edit spills: its outline is not where the surfaces are, so that better poses and more "
        "photos around the outline help",
        ".1f",
        " dB",
    ),
    _Limit(
        "agreement between views",
        24.0,
        20.0,
        "The views' edits agree in one scene",
        "views show different surfaces in one place: check poses, and things that move or shine",
        ".1f",
        " dB",
    ),
    _Limit(
        "put on top",
        0.9,
        0.75,
        "What is put on top of it appears there",
        "too few views from different sides show the place, or what is behind it is not solid (see "
        "above): photograph it from places farther apart, with room above it",
    ),
    _Limit(
        "put on top, PSNR outside",
        31.0,
        27.0,
        "All else stays as it was then",
        "it was painted on what is behind it: add photos that show the place from other sides",
        ".1f",
        " dB",
    ),
)
OVERALL = (
    "Good: edits of this capture stand on firm ground; what an edit loses is the model's.",
    "Usable: edits will work, with the faults named above.",
    "Not good enough for edits yet: begin with the first point above that says so.",
)
WITHOUT_REGIONS = "This is the field alone: give --masks to measure how regions and edits come out."


def verdict(field: Figures, regions: Mapping[str, Figures]) -> list[str]:
    """Sentences about a capture's figures, the overall one last.

    Args:
        field: of its radiance field.
        regions: by the names of the masks.
    """
    lines, worst = [], 0
    for title, figures, limits in [
        ("The field", field, FIELD),
        *((f"The region {name}", figures, REGION) for name, figures in regions.items()),
    ]:
        lines.append(f"{title}:")
        for limit in limits:
            if limit.figure not in figures:
                continue
            value = figures[limit.figure]
            grade = 0 if value >= limit.good else 1 if value >= limit.usable else 2
            worst = max(worst, grade)
            word = ("good", "fair", "NOT GOOD")[grade]
            line = f"  {word}: {limit.what} ({limit.figure} {value:{limit.form}}{limit.unit})"
            aim = f"; {limit.good:{limit.form}}{limit.unit} would be good: {limit.advice}."
            lines.append(line + ("." if grade == 0 else aim))
    if regions or worst == len(OVERALL) - 1:  # a field alone may only be too bad
        lines.append(OVERALL[worst])
    return lines if regions else [*lines, WITHOUT_REGIONS]
