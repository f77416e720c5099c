"""Photos alone to a capture: the cameras by structure from motion (COLMAP through pycolmap).

The photos are only read. What is written is transforms.json, in a frame that COLMAP chose up to the
vertical: z points up, as far as the photos were taken upright, or say how they lie.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.captures.checks import left_out_note
from backend.captures.error import CaptureError
from backend.captures.files import FILE_NAME, FILM_SUFFIXES, SUFFIXES, photo_folder, photos_in
from backend.captures.lens import Intrinsics, Lens
from backend.captures.transforms import write_transforms
from backend.captures.up import orientations, upright
from backend.captures.views import (
    StoredView,
    image_size,
    note_on_turned,
    pinhole,
    read_image,
    turned_images,
)
from backend.endings import handlers_kept
from backend.output.progress import OnProgress
from backend.pictures.reading import opened
from protocol.values import MIN_VIEWS

with handlers_kept():
    import pycolmap

Matching = Literal["auto", "exhaustive", "sequential"]
MAX_EXHAUSTIVE = 200
"""Photos up to which every pair is compared; beyond, neighbours by name, as in a film."""
SEQUENTIAL_OVERLAP = 15
REFINE_PRINCIPAL_POINT = 20
"""Registered photos of one camera from which its principal point is refined too."""
MIN_FOR_OPENCV = 10
"""Photos of one size from which four distortion parameters are estimated instead of one."""
READ_BY_COLMAP: dict[tuple[str | None, str], str] = {
    (kind, mode): suffix
    for kind, suffix in (("JPEG", ".jpg"), ("PNG", ".png"))
    for mode in ("RGB", "L")
}
"""Suffixes by Pillow's format and mode of the photos that COLMAP is given as they are."""
FEATURE_BATCH, MATCH_BATCH = 8, 64
SEED = 0


@dataclass(frozen=True)
class ImportedPhotos:
    """What an import has made.

    Attributes:
        path: of the transforms.json.
        registered: names of the photos whose cameras were found, in order.
        unregistered: names of the others; they are not part of the capture.
        unreadable: a sentence for each photo that could not be read.
        turned: names of the registered photos that are marked to be turned for showing; like
            COLMAP, captures take the pixels as they are stored.
        points: how many 3D points the cameras agree on.
        reprojection_error: mean, in pixels.
    """

    path: Path
    registered: tuple[str, ...]
    unregistered: tuple[str, ...]
    unreadable: tuple[str, ...]
    turned: tuple[str, ...]
    points: int
    reprojection_error: float

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on the photos that are not part of the capture."""
        notes = []
        if self.unregistered:
            count = len(self.registered) + len(self.unregistered)
            notes.append(
                f"{len(self.unregistered)} of {count} photos could not be placed and are left out: "
                f"{', '.join(self.unregistered)}."
            )
        if self.unreadable:
            photos = len(self.registered) + len(self.unregistered) + len(self.unreadable)
            notes.append(left_out_note("photos", photos, self.unreadable))
        return tuple(notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that the person should read."""
        return (*self.losses, *note_on_turned(self.turned))


def import_photos(
    folder: Path,
    out: Path | None = None,
    matching: Matching = "auto",
    threads: int = -1,
    on_progress: OnProgress = lambda stage, fraction: None,
) -> ImportedPhotos:
    """Find the cameras of a folder of photos and write them as a capture.

    Args:
        folder: with the photos in it, or in a folder `images` in it.
        out: the transforms.json to write; None for `folder`'s own.
        matching: which photos are compared: all pairs, neighbours by name, or what suits
            their number.
        threads: CPU threads, -1 for one per core; the same number gives the same cameras up to
            rounding.
        on_progress: told what is being done; what it raises stops the import and nothing is
            written.

    Raises:
        CaptureError: fewer than three photos can be read, they do not fit together, the lens that
            is found makes no sense, or there is a transforms.json already.
        OSError: the file cannot be written.
    """
    path = folder / FILE_NAME if out is None else out
    if path.exists():
        raise CaptureError(
            f"{path} exists already and is not overwritten: give another with --out."
        )
    photos, names = find_photos(folder)
    names, unreadable = _readable(photos, names, on_progress)
    with tempfile.TemporaryDirectory(prefix="watch-your-steps-") as scratch:
        reconstruction = _Reconstruction(Path(scratch), threads, on_progress)
        reconstruction.add_photos([photos / name for name in names])
        reconstruction.match(matching)
        model = reconstruction.place(photos)
        found = dict(_views_and_poses(model, names, photos))
    for view in found:
        try:
            pinhole(view)
        except CaptureError as error:
            raise CaptureError(
                f"The lens that was found for the photos in {photos} cannot be right, as its "
                "distortion cannot be undone: take more of them, each from a step further to the "
                "side, so that neighbours share most of what they show."
            ) from error
    on_progress("Writing the capture", 1.0)
    poses = np.array(list(found.values()))
    write_transforms(path, list(found), upright(poses, orientations(list(found))))
    placed = {view.image.name for view in found}
    return ImportedPhotos(
        path=path,
        registered=tuple(name for name in names if name in placed),
        unregistered=tuple(name for name in names if name not in placed),
        unreadable=tuple(unreadable),
        turned=turned_images([view.image for view in found]),
        points=model.num_points3D(),
        reprojection_error=model.compute_mean_reprojection_error(),
    )


def find_photos(folder: Path) -> tuple[Path, list[str]]:
    """The folder that holds the photos, and their names in order.

    Raises:
        CaptureError: there are fewer than three.
    """
    if not folder.is_dir():
        raise CaptureError(
            f"{folder} is a file, not a folder: name the folder that holds the photos."
            if folder.exists()
            else f"There is no folder {folder}."
        )
    photos = folder / "images" if (folder / "images").is_dir() else folder
    names = sorted(photos_in(photos), key=counted)
    if len(names) < 3:
        films = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in FILM_SUFFIXES]
        further = f"; to take those of {films[0].name}, name that file" if films else ""
        inner = [one for one in sorted(photos.iterdir()) if one.is_dir() and photo_folder(one)]
        if inner:
            further = f"; its folder {inner[0].name} holds some: name that"
        if len(inner) > 1:
            further = f"; its folders {inner[0].name} and {inner[1].name} hold some: name one, or "
            further += "put all photos into one folder"
        raise CaptureError(
            f"{photos} holds {len(names)} photos ({', '.join(s[1:] for s in SUFFIXES)}): at least "
            f"3 are needed, and 20 or more are better{further}."
        )
    return photos, names


def counted(name: str) -> tuple[list[tuple[str, int]], str]:
    """What sorts names as people count: photo2 before photo10."""
    parts = re.findall(r"([^0-9]*)([0-9]*)", name)
    return [(words.casefold(), int(number or -1)) for words, number in parts], name


def _readable(
    photos: Path, names: Sequence[str], on_progress: OnProgress
) -> tuple[list[str], list[str]]:
    """The names of the photos that can be read, and a sentence for each of the others.

    Raises:
        CaptureError: fewer than three can be.
    """
    good, unreadable = [], []
    for index, name in enumerate(names):
        on_progress(f"Reading photo {index + 1} of {len(names)}", 0.0)
        try:
            read_image(photos / name)
        except CaptureError as error:
            unreadable.append(str(error))
        else:
            good.append(name)
    if len(good) < MIN_VIEWS:
        raise CaptureError(
            f"{photos} has {len(good)} photos that can be read, and at least {MIN_VIEWS} are "
            f"needed: {unreadable[0]}"
        )
    return good, unreadable


class _Reconstruction:
    """COLMAP's steps over one scratch folder: features, matches, cameras.

    Features and matches go in small batches, so that there is progress to tell and an import can
    be stopped in between. COLMAP sees the photos as 0000.jpg, 0001.jpg, ...: its lists of pairs
    know no spaces in names.
    """

    def __init__(self, scratch: Path, threads: int, on_progress: OnProgress) -> None:
        # It writes what it logs into files that nobody deletes.
        pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
        self._scratch = scratch
        self._database = scratch / "database.db"
        self._threads = threads
        self._on_progress = on_progress
        self._images = scratch / "images"
        self._images.mkdir()
        self._names: list[str] = []

    def add_photos(self, photos: Sequence[Path]) -> None:
        """Find the features of all photos. Photos of one size share one camera."""
        sizes: dict[tuple[int, int], list[str]] = {}
        for index, photo in enumerate(photos):
            lent = _lend(photo, self._images / f"{index:04}")
            self._names.append(lent.name)
            sizes.setdefault(image_size(lent), []).append(lent.name)
        options = pycolmap.FeatureExtractionOptions()
        options.num_threads = self._threads
        done = 0
        for same_size in sizes.values():
            model = "OPENCV" if len(same_size) >= MIN_FOR_OPENCV else "SIMPLE_RADIAL"
            reader = pycolmap.ImageReaderOptions(camera_model=model)
            camera = pycolmap.infer_camera_from_image(self._images / same_size[0], reader)
            with pycolmap.Database.open(self._database) as database:
                reader.existing_camera_id = database.write_camera(camera)
            # In order: features come as threads end, and what follows asks the photos' numbers.
            pycolmap.import_images(
                self._database, self._images, image_names=same_size, options=reader
            )
            for batch in _batches(same_size, FEATURE_BATCH):
                self._on_progress(
                    f"Finding features, photo {done + 1} of {len(photos)}", 0.2 * done / len(photos)
                )
                pycolmap.extract_features(
                    self._database,
                    self._images,
                    image_names=batch,
                    reader_options=reader,
                    extraction_options=options,
                    device=pycolmap.Device.cpu,
                )
                done += len(batch)

    def match(self, matching: Matching) -> None:
        """Find what pairs of photos have in common."""
        options = pycolmap.FeatureMatchingOptions()
        options.num_threads = self._threads
        verification = pycolmap.TwoViewGeometryOptions()
        verification.ransac.random_seed = SEED
        listed = self._scratch / "pairs.txt"
        pairing = pycolmap.ImportedPairingOptions()
        pairing.match_list_path = listed
        pairs = pairs_to_match(len(self._names), matching)
        done = 0
        for batch in _batches(pairs, MATCH_BATCH):
            self._on_progress(
                f"Comparing photos, pair {done + 1} of {len(pairs)}", 0.2 + 0.5 * done / len(pairs)
            )
            listed.write_text("".join(f"{self._names[a]} {self._names[b]}\n" for a, b in batch))
            pycolmap.match_image_pairs(
                self._database,
                options,
                pairing,
                verification,
                pycolmap.Device.cpu,
            )
            done += len(batch)

    def place(self, photos: Path) -> pycolmap.Reconstruction:
        """Place one camera after the other, then adjust all together once more.

        Raises:
            CaptureError: they do not fit together.
        """
        options = pycolmap.IncrementalPipelineOptions()
        options.num_threads = self._threads
        options.random_seed = SEED
        options.extract_colors = False
        options.min_model_size = MIN_VIEWS
        placed = 0

        def on_placed() -> None:
            nonlocal placed
            placed += 1
            words = f"Placing the cameras, {placed} of {len(self._names)}"
            self._on_progress(words, 0.7 + 0.25 * min(1.0, placed / len(self._names)))

        models = pycolmap.incremental_mapping(
            self._database, self._images, self._scratch, options, next_image_callback=on_placed
        )
        best = max(models.values(), key=lambda model: model.num_reg_images(), default=None)
        if best is None or best.num_reg_images() < MIN_VIEWS:
            raise CaptureError(
                f"The photos in {photos} do not fit together: take more of them, each from a step "
                "further to the side, so that neighbours share most of what they show."
            )
        if best.num_reg_images() >= REFINE_PRINCIPAL_POINT and len(best.cameras) == 1:
            self._on_progress("Adjusting all cameras", 0.95)
            _adjust(best, self._threads)
        return best


def _adjust(model: pycolmap.Reconstruction, threads: int) -> None:
    """Bundle adjustment of everything, the principal point included."""
    options = pycolmap.BundleAdjustmentOptions(refine_principal_point=True, print_summary=False)
    options.ceres.solver_options.num_threads = threads
    config = pycolmap.BundleAdjustmentConfig()
    for index in model.reg_image_ids():
        config.add_image(index)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, config, model).solve()


def pairs_to_match(count: int, matching: Matching) -> list[tuple[int, int]]:
    """Which of `count` photos, in the order of their names, are compared: all, or each with its
    SEQUENTIAL_OVERLAP next ones and those 2, 4, 8, ... times as far, which closes loops.
    """
    if matching == "exhaustive" or (matching == "auto" and count <= MAX_EXHAUSTIVE):
        steps = list(range(1, count))
    else:
        steps = list(range(1, min(SEQUENTIAL_OVERLAP + 1, count)))
        step = 2 * SEQUENTIAL_OVERLAP
        while step < count:
            steps.append(step)
            step *= 2
    return [(a, a + step) for a in range(count) for step in steps if a + step < count]


Item = TypeVar("Item")


def _batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _lend(photo: Path, place: Path) -> Path:
    """Show a photo to COLMAP under another name: itself (a copy where the system allows no link),
    or as a PNG where it is not of a kind that COLMAP surely reads, whatever its suffix says.

    Args:
        place: where to, without suffix.

    Returns:
        `place` with its suffix.
    """
    with opened(photo) as (file, _):
        kind, mode = file.format, file.mode
    suffix = READ_BY_COLMAP.get((kind, mode))
    if suffix is None:
        place = place.with_suffix(".png")
        Image.fromarray(read_image(photo)[..., :3]).save(place, compress_level=1)
        return place
    place = place.with_suffix(suffix)
    try:
        place.symlink_to(photo.resolve())
    except OSError:
        shutil.copyfile(photo, place)
    return place


def _views_and_poses(
    model: pycolmap.Reconstruction, names: Sequence[str], photos: Path
) -> Iterator[tuple[StoredView, NDArray[np.float64]]]:
    """Files, camera and pose (4, 4) of the registered photos, in the order of their names."""
    for image in sorted(model.images.values(), key=lambda image: image.name):
        if not image.has_pose:
            continue
        camera = model.cameras[image.camera_id]
        file = photos / names[int(Path(image.name).stem)]
        intrinsics = Intrinsics(
            float(camera.focal_length_x),
            float(camera.focal_length_y),
            float(camera.principal_point_x),
            float(camera.principal_point_y),
            camera.width,
            camera.height,
        )
        if camera.model == pycolmap.CameraModelId.OPENCV:
            k1, k2, p1, p2 = map(float, camera.params[4:])
            lens = Lens(k1=k1, k2=k2, p1=p1, p2=p2)
        else:
            lens = Lens(k1=float(camera.params[3]))
        pose = np.eye(4)
        pose[:3] = image.cam_from_world().inverse().matrix()
        # COLMAP's cameras look along +z with y down; OpenGL's along -z with y up.
        pose = pose @ np.diag([1.0, -1.0, -1.0, 1.0])
        yield StoredView(file.name, file, None, intrinsics, lens), pose
