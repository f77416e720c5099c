"""`python -m backend relevance` and `edit`: where an instruction applies in a picture, and the
picture edited there; here, or on a server.
"""

import abc
import dataclasses
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tyro.conf import Positional

from backend.command_line import otherwise
from backend.commands.options import ModelOptions, Out, settings_of
from backend.counts import check_options
from backend.errors import BadInput, check_instruction, words_of
from backend.output.progress import OnProgress, shown_progress
from backend.output.report import Report
from backend.output.writable import check_writable
from backend.pictures import (
    Picture,
    blend,
    check_box,
    heat_map,
    read_labels,
    read_mask,
    read_picture,
    unchanged,
    write_png,
)
from protocol import files
from protocol.client import Client, JobCancelled
from protocol.codec import BadMessage
from protocol.connection import (
    BadConnectionFile,
    Connection,
    default_connection_file,
    read_connection,
)
from protocol.line import ConnectionFailed, ServerError
from protocol.messages import JobEvent, Progress
from protocol.region import Snapped, snapped
from protocol.requests import (
    EditRequest,
    EditResult,
    ImageRequest,
    ImageResult,
    RelevanceRequest,
    RelevanceResult,
)
from protocol.settings import (
    EditSettings,
    GuidanceSettings,
    PictureEditSettings,
    PictureMapSettings,
    PictureRegionSettings,
    RegionSettings,
    SpeedSettings,
    Threshold,
    taken,
)
from protocol.values import MAX_IMAGE_SIDE, Box, Snap

OVERLAY = 0.6
"""Share of these colours over the picture."""


@dataclass(frozen=True, kw_only=True)
class ImageCommand(ModelOptions, abc.ABC):
    """A command on one picture."""

    image: Positional[Path]
    """the picture"""
    instruction: Positional[str]
    """such as "make the sphere red\""""
    out: Out
    """where the results go"""
    server: Annotated[Path | None, otherwise("none", "FILE")] = None
    """let a running server do it: the one here, or a connection file's"""
    maps: PictureRegionSettings = PictureRegionSettings()
    things: Annotated[Path | None, otherwise("none are known", "LABELS")] = None
    """each pixel's thing, as numbers or colours, or .npy"""

    alone: ClassVar[dict[str, str]] = {"--server": str(default_connection_file())}
    """What an option stands for that has no value."""
    writes: ClassVar[tuple[str, ...]]
    """The pictures that it can write."""

    @abc.abstractmethod
    def request(
        self, image: NDArray[np.uint8], things: NDArray[np.uint16] | None
    ) -> tuple[ImageRequest, tuple[str, ...]]:
        """What the options ask for, and what to say about the files it is made of.

        Raises:
            BadInput: a file cannot be read.
        """

    def run(self, command: list[str]) -> int:
        """Do it; the exit status."""
        try:
            check_options(self)
            picture = read_picture(self.image, MAX_IMAGE_SIDE)
            _check_out(self)
            check_instruction(self.instruction)
            image = picture.seen()
            things = None if self.things is None else read_labels(self.things, image.shape[:2])
            request, notes = self.request(image, things)
            report = Report(command, settings=_settings(request))
            with shown_progress() as show:
                result = _run(request, self, report, show)
            edited = _edited(picture, request, result)
            found = _snapped(request, result, self.maps.snap, things)
            why = (found.why,) if found is not None and found.why else ()
            own = (*why, *picture.notes, *self._unused(), *notes)
            report.notes = [*_notes(edited, request, result), *own]
            written = _write(picture, edited, request, result, found, self.out, report)
        except (BadInput, BadConnectionFile, ConnectionFailed, ServerError, OSError) as error:
            print(f"error: {words_of(error)}", file=sys.stderr)
            return 1
        except BadMessage as error:
            words = f"The backend and this command cannot exchange it: {error}."
            print(f"error: {words}", file=sys.stderr)
            return 1
        except (KeyboardInterrupt, JobCancelled):
            print("cancelled; nothing was written", file=sys.stderr)
            return 130
        _tell(report, result)
        print(f"wrote {', '.join(written)} to {self.out}")
        return 0

    def _unused(self) -> tuple[str, ...]:
        own = [
            f"--{one.name}"
            for one in dataclasses.fields(ModelOptions)
            if getattr(self, one.name) != one.default
        ]
        if self.server is None or not own:
            return ()
        return (f"Not used: {', '.join(own)}. The server has its own model.",)


@dataclass(frozen=True, kw_only=True)
class Relevance(ImageCommand):
    """Show where an instruction applies in an image.

    Write DIR/relevance.png (heat map), DIR/relevance.npy (float32 H x W, 0..1), DIR/overlay.png,
    DIR/region.png (what would be edited) and DIR/report.json.
    """

    writes: ClassVar[tuple[str, ...]] = ("relevance.png", "overlay.png", "region.png")

    def request(
        self, image: NDArray[np.uint8], things: NDArray[np.uint16] | None
    ) -> tuple[ImageRequest, tuple[str, ...]]:
        """The map's."""
        maps = taken(PictureMapSettings, self.maps)
        return RelevanceRequest(image=image, instruction=self.instruction, maps=maps), ()


@dataclass(frozen=True, kw_only=True)
class Edit(ImageCommand):
    """Edit an image where an instruction applies, and nowhere else.

    Write DIR/edit.png, DIR/mask.png, DIR/relevance.png and DIR/report.json.
    """

    threshold: Annotated[Threshold | None, otherwise("what the map suggests")] = None
    """relevance to edit from, 0..1"""
    mask: Annotated[Path | None, otherwise("where the map says", "IMAGE")] = None
    """edit where this image is bright"""
    crop: Annotated[
        tuple[int, int, int, int] | None, otherwise("chosen by --detail", "X Y W H")
    ] = None
    """work on this part alone"""
    settings: PictureEditSettings = PictureEditSettings()

    writes: ClassVar[tuple[str, ...]] = ("relevance.png", "mask.png", "edit.png")

    def request(
        self, image: NDArray[np.uint8], things: NDArray[np.uint16] | None
    ) -> tuple[ImageRequest, tuple[str, ...]]:
        """The edit's."""
        mask, threshold = None, self.threshold
        notes: tuple[str, ...] = ()
        if self.mask is not None:
            mask, notes = read_mask(self.mask, image.shape[:2])
            if threshold is not None:
                threshold = None
                notes = (*notes, "The threshold is not used: the mask says where to edit.")
            if things is not None:
                notes = (*notes, "The things are not used: the mask says where to edit.")
        request = EditRequest(
            image=image,
            instruction=self.instruction,
            threshold=threshold,
            maps=taken(PictureMapSettings, self.maps),
            settings=taken(EditSettings, self.settings),
            speed=taken(SpeedSettings, self.settings),
            mask=mask,
            region=taken(RegionSettings, self.maps),
            things=things if mask is None else None,
            crop=None if self.crop is None else _box(*self.crop, image.shape),
        )
        return request, notes


def _box(left: int, top: int, width: int, height: int, picture: tuple[int, ...]) -> Box:
    """What --crop says.

    Raises:
        BadInput: it is not inside the picture.
    """
    box = Box(top, left, height, width)
    check_box(box, picture)
    return box


def _tell(report: Report, result: ImageResult) -> None:
    told = list(report.notes)
    if told and told[0].startswith("Unchanged"):
        print(told.pop(0))
    if result.evidence is not None and result.suggested_threshold is not None:
        seen = "applies" if result.applies else "does not apply"
        print(
            f"prompt check: {seen} (evidence {result.evidence:.2f}); "
            f"suggested threshold {result.suggested_threshold:.2f}"
        )
    if isinstance(result, EditResult) and result.work:
        print(result.work)
    for note in told:
        print(f"note: {note}")


def _check_out(options: ImageCommand) -> None:
    """Find out that the results cannot be written before anything is done for them.

    Raises:
        BadInput: there is no place for them, or the image itself would be lost.
    """
    folder: Path = options.out
    check_writable(folder, "name another with --out")
    for name in options.writes:
        if (folder / name).exists() and (folder / name).samefile(options.image):
            raise BadInput(
                f"{options.image} would be overwritten by the result: name another folder with "
                "--out."
            )


def _settings(request: ImageRequest) -> dict[str, object]:
    settings = settings_of(request)
    for name, value in settings.items():
        if isinstance(value, np.ndarray):
            settings[name] = list(value.shape)
    if isinstance(request, RelevanceRequest):
        settings["seeds"] = settings.pop("relevance_seeds")
    return settings


def _guidance(request: ImageRequest, own: GuidanceSettings) -> dict[str, object]:
    """The guidance of an edit for its report, where the model's own is this."""
    if not isinstance(request, EditRequest):
        return {}
    return asdict(request.settings.resolved(own).guidance)


def _run(
    request: ImageRequest, options: ImageCommand, report: Report, show: OnProgress
) -> ImageResult:
    """Do the job here, or on a server where --server asks for one."""
    server = options.server
    if server is not None:

        def on_event(event: JobEvent) -> None:
            if isinstance(event, Progress):
                show(event.stage, event.fraction)

        def find() -> Connection:
            return read_connection(server)

        def say(words: str) -> None:
            print(words, file=sys.stderr, flush=True)

        name = "watch-your-steps command line"
        with Client(find(), name, find, say) as client:
            client.connect()
            with report.stage("job on the server"):
                result = client.run(request, on_event)
            welcome = client.welcome  # at first a server may not have loaded its model yet
        assert welcome is not None
        report.settings |= {"model": welcome.model, "device": welcome.device}
        report.settings |= _guidance(request, welcome.guidance)
        assert isinstance(result, ImageResult)  # as every request of an image
        return result
    # Only now: they take seconds to import, which --server and mistyped options need not pay.
    from backend.editing import Editor
    from backend.worker.perform_image import perform_image

    try:
        with report.stage("loading the model"):
            editor = Editor.from_pretrained(
                options.model, options.device, options.dtype, options.compile
            )
        report.settings |= {
            "model": editor.card.name,
            "device": editor.card.device_name,
            "dtype": str(editor.card.dtype),
        }
        report.settings |= _guidance(request, editor.card.guidance.settings)
        words = f"model {editor.card.name} on {editor.card.device_name}"
        print(words, file=sys.stderr)
        with report.stage("job"):
            return perform_image(editor, request, lambda stage, fraction, _: show(stage, fraction))
    except FloatingPointError as error:
        raise BadInput(str(error)) from error


def _edited(picture: Picture, request: ImageRequest, result: ImageResult) -> Picture | None:
    """The picture with the edit in it, or None where a map was asked for."""
    if not isinstance(result, EditResult):
        return None
    return picture.edited(request.image, result.image)


def _snapped(
    request: ImageRequest,
    result: ImageResult,
    snap: Snap,
    things: NDArray[np.uint16] | None,
) -> Snapped | None:
    """The region that a map gives, where only a map was asked for."""
    if not isinstance(result, RelevanceResult):
        return None
    suggested = result.suggested_threshold
    return snapped(result.relevance, request.image, snap, things, suggested)


def _notes(edited: Picture | None, request: ImageRequest, result: ImageResult) -> tuple[str, ...]:
    """The result's, and a first one where the edit changed only what is transparent."""
    if not isinstance(result, EditResult) or edited is None or edited.alpha is None:
        return result.notes
    if result.notes and result.notes[0].startswith("Unchanged"):
        return result.notes
    found = unchanged(request.image, edited.seen(), result.mask, result.threshold, result.relevance)
    return result.notes if found is None else (found, *result.notes)


def _write(
    picture: Picture,
    edited: Picture | None,
    request: ImageRequest,
    result: ImageResult,
    found: Snapped | None,
    folder: Path,
    report: Report,
) -> list[str]:
    """Write pictures and report into `folder`; returns the names of the files."""
    files.make_folder(folder)
    pictures: dict[str, NDArray[np.uint8] | NDArray[np.bool_]] = {}
    written = []
    if result.relevance is not None:
        pictures["relevance.png"] = heat_map(result.relevance)
        for name in ("suggested_threshold", "evidence", "applies"):
            report.figures[name] = getattr(result, name)
    if isinstance(result, EditResult) and edited is not None:
        pictures["mask.png"] = result.mask
        write_png(folder / "edit.png", edited)
        written.append("edit.png")
        kept = (edited.own == picture.own).all(axis=2) | _reached(result.mask, request)
        report.figures["threshold"] = result.threshold
        report.figures["took"] = result.took
        report.figures["edited_share"] = float(result.mask.mean())
        report.figures["crops"] = [asdict(crop) for crop in result.crops]
        report.figures["worked_at"] = result.worked_at
        report.figures["work"] = result.work
        report.figures["outside_is_input"] = bool(kept.all())
    if isinstance(result, RelevanceResult) and found is not None:
        pictures["region.png"] = found.values >= found.suggested_threshold
        report.figures |= {"took": found.took, "region_threshold": found.suggested_threshold}
        image, heat = Image.fromarray(request.image), Image.fromarray(pictures["relevance.png"])
        pictures["overlay.png"] = np.asarray(Image.blend(image, heat, OVERLAY))
        np.save(folder / "relevance.npy", result.relevance)
        written.append("relevance.npy")
        report.figures |= {"spread": result.spread, "magnitude": result.magnitude}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / name)
    report.write(folder)
    return [*pictures, *written, "report.json"]


def _reached(mask: NDArray[np.bool_], request: ImageRequest) -> NDArray[np.bool_]:
    """bool (H, W): where an edit inside a mask may have changed the picture, its rim included."""
    assert isinstance(request, EditRequest)  # as its result is
    rim = request.settings.rim
    return mask if rim == 0 else blend.weights(mask, rim) > 0
