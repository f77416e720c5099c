"""What the cameras of a capture must be like, each refused in one sentence that names the file, and
the notes on what is left out of one.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.captures.box import GAP, Standing, few_together, focus_point
from backend.captures.error import CaptureError
from backend.captures.lens import Intrinsics
from protocol.values import MIN_VIEWS

RIGID_TOLERANCE = 1e-3
"""How far R^T R may be from 1: what rounding to four digits in a text file leaves."""
MAX_COORDINATE = 1e9
LAST_ROW = (0, 0, 0, 1)
FAR = 1000.0
"""How far views are taken to reach, in multiples of the distance over which the cameras spread."""
NEAREST = 32
FEW = 0.2
"""From so large a share of the views on, poses by which they see nothing that others see speak
against all poses."""
SAME_CAMERA = 1e-5
"""Apart by less than this share of the distance over which cameras spread, and turned by less than
about so many radians, cameras are the same."""
NAMED = 5
"""So many of what is wrong are named in a note."""


def check_poses(
    file: Path, names: Sequence[str], camera_to_world: NDArray[np.float64]
) -> tuple[NDArray[np.intp], list[str]]:
    """Poses must be rigid and finite, of three views at least.

    Args:
        file: whose poses they are, for the sentence.
        names: of the n images.
        camera_to_world: float64 (n, 4, 4), or world to camera.

    Returns:
        The indices of the views whose poses are, and a note on those that are left out: any that
        are not known, as they are not finite, and a few others.

    Raises:
        CaptureError: more are not.
    """
    if len(names) < MIN_VIEWS:
        raise CaptureError(
            f"{file} has {len(names)} view{'s' * (len(names) != 1)}: a scene needs at least "
            f"{MIN_VIEWS}."
        )
    found = [check_pose(pose) for pose in camera_to_world]
    wrong = {index: words for index, words in enumerate(found) if words is not None}
    odd = [index for index in wrong if np.isfinite(camera_to_world[index]).all()]
    kept = np.array([index for index in range(len(names)) if index not in wrong], dtype=np.intp)
    if not wrong:
        return kept, []
    if len(kept) < MIN_VIEWS or len(odd) >= FEW * len(names):
        first = (odd or list(wrong))[0]
        raise CaptureError(f"{file}: the camera pose of {names[first]} {wrong[first]}.")
    reasons = [f"The camera pose of {names[index]} {words}." for index, words in wrong.items()]
    return kept, [left_out_note("views", len(names), reasons)]


def check_places(file: Path, camera_to_world: NDArray[np.float64]) -> None:
    """Cameras must not be all in one place.

    Args:
        camera_to_world: float64 (n, 4, 4).

    Raises:
        CaptureError: they are.
    """
    positions = camera_to_world[:, :3, 3]
    if _spread(positions) <= 1e-6 * max(1.0, float(np.abs(positions).max())):
        raise CaptureError(
            f"{file} has all cameras in one place: a scene needs views from different places."
        )


def check_pose(pose: NDArray[np.float64]) -> str | None:
    """What is wrong with one pose (4, 4), to follow "the camera pose of X", or None."""
    if np.isnan(pose).all():
        return "is not known"
    if not np.isfinite(pose).all():
        return "holds values that are not finite numbers"
    if np.abs(pose).max() > MAX_COORDINATE:
        return f"holds values beyond {MAX_COORDINATE:g}"
    if not np.allclose(pose[3], LAST_ROW, rtol=0, atol=1e-6):
        if np.allclose(pose[:, 3], LAST_ROW, rtol=0, atol=1e-6):
            return "is transposed: it has its shift in the last row, not in the last column"
        return "does not have 0 0 0 1 as its last row"
    rotation = pose[:3, :3]
    lengths = np.linalg.norm(rotation, axis=0)
    if np.abs(lengths - 1).max() > RIGID_TOLERANCE:
        return f"has a scale (its axes are {', '.join(f'{n:.4g}' for n in lengths)} long)"
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > RIGID_TOLERANCE:
        return "is not a rotation (its axes are not at right angles)"
    if np.linalg.det(rotation) < 0:
        return "is mirrored (its axes form a left hand)"
    return None


def _spread(positions: NDArray[np.float64]) -> float:
    return float(np.ptp(positions, axis=0).max())


def check_overlap(
    file: Path,
    names: Sequence[str],
    intrinsics: Sequence[Intrinsics],
    camera_to_world: NDArray[np.float64],
) -> tuple[NDArray[np.intp], list[str]]:
    """Every view must be able to see something that another one sees too: their view pyramids
    must meet.

    Returns:
        The indices of the views that do, and a note on a few that do not.

    Raises:
        CaptureError: more than a few do not.
    """
    pyramids = _pyramids(intrinsics, camera_to_world)
    positions = camera_to_world[:, :3, 3]
    alone = []
    for index in range(len(names)):
        order = np.argsort(np.linalg.norm(positions - positions[index], axis=1), kind="stable")
        others = order[order != index]
        # Mostly a neighbour overlaps; only a view that stands alone is compared with all.
        if not any(
            pyramids_meet(pyramids[index], pyramids[part]).any()
            for part in (others[:NEAREST], others[NEAREST:])
        ):
            alone.append(index)
    kept = np.setdiff1d(np.arange(len(names)), alone)
    if not alone:
        return kept, []
    if len(kept) < MIN_VIEWS or len(alone) >= FEW * len(names):
        raise CaptureError(
            f"{file}: nothing that {names[alone[0]]} can see is in any other view: correct its "
            "pose, or take it out of the file."
        )
    reasons = [f"Nothing that {names[index]} can see is in any other view." for index in alone]
    return kept, [left_out_note("views", len(names), reasons)]


def _pyramids(
    intrinsics: Sequence[Intrinsics], camera_to_world: NDArray[np.float64]
) -> NDArray[np.float64]:
    """float64 (n, 5, 3): camera and far corners (in turn) of each view."""
    far = FAR * _spread(camera_to_world[:, :3, 3])
    corners = []
    for camera in intrinsics:
        w, h = camera.width, camera.height
        pixels = np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=np.float64)
        corners.append(np.vstack([np.zeros(3), far * camera.directions(pixels)]))
    return (
        np.einsum("nij,nkj->nki", camera_to_world[:, :3, :3], np.array(corners))
        + (camera_to_world[:, None, :3, 3])
    )


def pyramids_meet(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which pyramids share more than a border with the first, by the separating axis theorem.

    Args:
        one: float64 (5, 3), apex and the four corners of the base in turn.
        others: float64 (m, 5, 3).

    Returns:
        bool (m,).
    """
    edges, other_edges = _edges(one[None]), _edges(others)  # (1, 6, 3), (m, 6, 3)
    across = np.cross(edges[:, :, None], other_edges[:, None, :])  # (m, 6, 6, 3)
    normals = np.broadcast_to(_normals(edges), (len(others), 5, 3))
    axes = np.concatenate(
        [across.reshape(len(others), 36, 3), normals, _normals(other_edges)], axis=1
    )
    lengths = np.linalg.norm(axes, axis=2, keepdims=True)
    parallel = lengths[..., 0] < 1e-9  # edges have length 1: no axis from parallel ones
    axes = axes / np.where(lengths < 1e-9, 1, lengths)
    shadow = axes @ (one - one[0]).T  # (m, 46, 5); from the apex, to keep digits
    other_shadow = axes @ (others - one[0]).transpose(0, 2, 1)
    depth = np.minimum(shadow.max(2) - other_shadow.min(2), other_shadow.max(2) - shadow.min(2))
    slack = 1e-9 * np.abs(one[1:] - one[0]).max()
    return ((depth > slack) | parallel).all(axis=1)


def _edges(pyramids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit directions (n, 6, 3): from the apex to the corners, and the base's two sides."""
    apex, corners = pyramids[:, :1], pyramids[:, 1:]
    sides = np.stack([corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]], axis=1)
    edges = np.concatenate([corners - apex, sides], axis=1)
    return edges / np.linalg.norm(edges, axis=2, keepdims=True)


def _normals(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normals (n, 5, 3) of the four sides and the base."""
    rays, base = edges[:, :4], np.cross(edges[:, 4], edges[:, 5])
    return np.concatenate([np.cross(rays, np.roll(rays, -1, axis=1)), base[:, None]], axis=1)


# ---------------------------------------------------------------- notes


def some_of(names: Sequence[str]) -> str:
    """Some names for a sentence, NAMED at most, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def left_out_note(kind: str, total: int, reasons: Sequence[str]) -> str:
    """That some files of a capture are left out.

    Args:
        kind: what they are, in the plural.
        total: how many there are.
        reasons: a sentence for each that is left out.
    """
    more = f" And {len(reasons) - NAMED} more." if len(reasons) > NAMED else ""
    count = "is" if len(reasons) == 1 else "are"
    return f"{len(reasons)} of {total} {kind} {count} left out: {' '.join(reasons[:NAMED])}{more}"


def standing_notes(names: Sequence[str], where: Standing, kept: NDArray[np.intp]) -> Iterator[str]:
    """Which cameras stand far out, and what is done about it.

    Args:
        names: of the n images.
        where: they stand.
        kept: indices of those that stay in the capture.
    """
    stay = np.isin(np.arange(len(names)), kept)
    for chosen, one, several in (
        (
            ~stay,
            "is left out, as its pose can hardly be right",
            "are left out, as their poses can hardly be right",
        ),
        (
            stay & where.outside,
            "does not count for the size of the box that the scene is trained in",
            "do not count for the size of the box that the scene is trained in",
        ),
    ):
        some = np.flatnonzero(chosen)
        if len(some) == 0:
            continue
        least, most = (_times(out) for out in (where.out[some].min(), where.out[some].max()))
        times = least if least == most else f"{least} to {most}"
        named = some_of([names[index] for index in some.tolist()])
        if len(some) == 1:
            yield f"The camera of {named} stands {times} times as far out as most, and {one}."
        else:
            yield (
                f"{len(some)} of {len(names)} cameras stand {times} times as far out as most, and "
                f"{several}: {named}."
            )


def few_together_note(names: Sequence[str], camera_to_world: NDArray[np.float64]) -> Iterator[str]:
    """That most cameras stand far from a group that looks at one thing.

    Args:
        names: of the n images.
        camera_to_world: float64 (n, 4, 4).
    """
    near = few_together(camera_to_world)
    if near.any():
        some = some_of([name for name, so in zip(names, near, strict=True) if so])
        yield (
            f"{int((~near).sum())} of {len(names)} cameras stand more than {GAP:.0f} times as far "
            f"out as the other {int(near.sum())}, which look at one thing ({some}): the scene is "
            "as large as the many; if the few are right, take the others out of the file."
        )


def turned_round_note(names: Sequence[str], turned: NDArray[np.bool_]) -> list[str]:
    """Which cameras look the other way than the rest, if any.

    Args:
        names: of the n images.
        turned: bool (n,).
    """
    some = [name for name, so in zip(names, turned, strict=True) if so]
    if not some:
        return []
    if len(some) == 1:
        return [
            f"The camera of {some[0]} looks away from what the others look at: if it was not "
            "taken that way, correct its pose, or take it out of the file."
        ]
    return [
        f"{len(some)} of {len(names)} cameras look away from what the others look at: "
        f"{some_of(some)}; if they were not taken that way, correct their poses, or take "
        "them out of the file."
    ]


def same_cameras_note(names: Sequence[str], camera_to_world: NDArray[np.float64]) -> list[str]:
    """Which cameras stand where others do and look the same way, if any, as in bursts and in films
    of a camera that was held still.

    Args:
        names: of the n images.
        camera_to_world: float64 (n, 4, 4).
    """
    rounded = camera_to_world[:, :3].copy()
    rounded[:, :, 3] /= max(_spread(camera_to_world[:, :3, 3]), 1e-9)
    first: dict[bytes, str] = {}
    some = []
    for name, pose in zip(names, (rounded / SAME_CAMERA).round().astype(np.int64), strict=True):
        if first.setdefault(pose.tobytes(), name) != name:
            some.append((name, first[pose.tobytes()]))
    if not some:
        return []
    which = f"The camera of {some[0][0]} is that of {some[0][1]}: it shows nothing new"
    if len(some) > 1:
        which = (
            f"{len(some)} of {len(names)} cameras are those of others, such as that of "
            f"{some[0][0]} that of {some[0][1]}: they show nothing new"
        )
    return [f"{which}, and a held-out one does not tell how new places look."]


def placeless_note(names: Sequence[str], camera_to_world: NDArray[np.float64]) -> list[str]:
    """Which cameras seem to have a place that nobody gave them: several at the world's origin and
    not turned at all. A single one may be that from which the world is measured.

    Args:
        names: of the n images.
        camera_to_world: float64 (n, 4, 4), or world to camera.
    """
    unmoved = (camera_to_world == np.eye(4)).all(axis=(1, 2))
    some = [name for name, so in zip(names, unmoved, strict=True) if so]
    if len(some) < 2:
        return []
    return [
        f"{len(some)} of {len(names)} cameras stand at the world's origin and are not turned, as "
        f"those do whose place is not known: {some_of(some)}; if so, take them out of the file."
    ]


def box_note(
    file: Path, middle: NDArray[np.float64], half: float, camera_to_world: NDArray[np.float64]
) -> list[str]:
    """That what the cameras look at lies outside the box that the file describes, if so: the box
    is the one around the cameras in any case.

    Args:
        middle: float64 (3,) of the box, in capture coordinates.
        half: of the box's side.
        camera_to_world: float64 (n, 4, 4).
    """
    focus = focus_point(camera_to_world)
    if focus is None or np.abs(focus - middle).max() <= half:
        return []
    place = ", ".join(f"{number:.4g}" for number in focus)
    return [
        f"The cameras look at ({place}), outside the box of {file.name} (aabb_scale, half side "
        f"{half:.4g}): its place and size are taken from the cameras instead."
    ]


def _times(number: float) -> str:
    return f"{number:.1f}" if number < 10 else f"{min(number, MAX_COORDINATE):.0f}"
