"""Captures that clients send view by view, kept on disk until they are whole.

    ROOT/captures/ID.unfinished/   views as they come: images/, ..., and views/0000.json, ...
    ROOT/captures/ID/              the same once it is sealed: a capture with its transforms.json

What has arrived is what lies there: a view counts once its .json file does, which is written last.
So an upload goes on after the server was killed, and nothing is ever half a capture.
"""

import contextlib
import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from backend.captures.checks import check_pose
from backend.captures.error import CaptureError
from backend.captures.files import FILE_NAME
from backend.captures.lens import Intrinsics, Lens
from backend.captures.transforms import NewView, open_capture, write_transforms, write_view
from backend.captures.views import Pixels, StoredView, check_things, image_size
from backend.records import DamagedRecord, read_record
from backend.work_lock import LOCK_FILE, InUse, alone
from protocol import files
from protocol.messages import CaptureMessage, CaptureState, Error, OpenCapture, PutView, SealCapture
from protocol.values import MAX_VIEWS, MIN_VIEWS

logger = logging.getLogger("backend.captures")

MAX_LABEL = 40
NO_CAPTURE = "The backend does not have this capture: send it anew."
DAMAGED = "The backend's files of this capture are damaged: delete the capture, and send it anew."
UPLOAD_FILE = "upload.json"
ID = re.compile("[0-9a-f]{32}")


class _Upload(msgspec.Struct):
    """What was said when the upload began, and the notes on it when it was sealed."""

    views: Annotated[int, msgspec.Meta(ge=MIN_VIEWS, le=MAX_VIEWS)]
    notes: tuple[str, ...] = ()


_Row = Annotated[list[float], msgspec.Meta(min_length=4, max_length=4)]


class _Record(msgspec.Struct):
    """A view that has come: names of its files, and its camera."""

    image: str
    depth: str | None
    intrinsics: Intrinsics
    camera_to_world: Annotated[list[_Row], msgspec.Meta(min_length=4, max_length=4)]
    things: str | None = None


class UnknownCapture(KeyError):
    """No capture of this id is kept."""


class CaptureStore:
    """The captures under one folder. Ids are 32 lower-case hexadecimal digits.

    Every method may raise OSError where the disk is full or cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root / "captures"

    def open(self, capture: str, views: int) -> CaptureState:
        """Begin an upload of so many views, or go on with one.

        Raises:
            CaptureError: the number is not allowed, or not that of the upload of this id.
        """
        self._check_id(capture)
        if not MIN_VIEWS <= views <= MAX_VIEWS:
            raise CaptureError(
                f"A capture of {views} views cannot be kept: it needs {MIN_VIEWS} to {MAX_VIEWS}."
            )
        try:
            state = self.state(capture)
        except UnknownCapture:
            folder = self._unfinished(capture)
            self._make_root()
            files.make_folder(folder / "views")
            files.write_bytes(folder / UPLOAD_FILE, msgspec.json.encode(_Upload(views)))
            return self.state(capture)
        if state.views != views:
            raise CaptureError(f"Capture {capture} has {state.views} views already, not {views}.")
        return state

    def put(self, capture: str, index: int, label: str, view: NewView) -> CaptureState:
        """Keep one view; a second one of the same index replaces the first.

        Args:
            index: 0 to the number of views less 1.
            label: what people call the view; it goes into the name of its files.
            view: its name is not used.

        Raises:
            UnknownCapture: the upload was not begun.
            CaptureError: it is sealed, the index is not allowed, or the camera makes no sense.
        """
        state = self.state(capture)
        if state.sealed:
            raise CaptureError(f"Capture {capture} is sealed: its views cannot be changed.")
        if not 0 <= index < state.views:
            raise CaptureError(
                f"The view {label} has the index {index} in a capture of {state.views} views."
            )
        if wrong := check_pose(view.camera_to_world):
            raise CaptureError(f"The camera pose of the view {label} {wrong}.")
        folder = self._unfinished(capture)
        written = folder / "views" / f"{index:04}.json"
        _remove(written)  # from here on the view is missing until it is whole
        for kind in ("images", "depth", "things"):
            for older in (folder / kind).glob(f"{index:04}_*"):
                _remove(older)
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", label)[:MAX_LABEL]
        stored = write_view(
            folder,
            NewView(f"{index:04}_{safe}", view.pixels, view.intrinsics, view.camera_to_world),
        )
        record = _Record(
            stored.image.name,
            None if stored.depth is None else stored.depth.name,
            view.intrinsics,
            view.camera_to_world.tolist(),
            None if stored.things is None else stored.things.name,
        )
        files.write_bytes(written, msgspec.json.encode(record))
        return self.state(capture)

    def seal(self, capture: str) -> CaptureState:
        """Check the whole and make it final. Sealing again changes nothing.

        Raises:
            UnknownCapture: the upload was not begun.
            CaptureError: views are missing, or it cannot be used; it stays open.
        """
        state = self.state(capture)
        if state.sealed:
            return state
        if state.missing:
            some = ", ".join(map(str, state.missing[:10]))
            raise CaptureError(
                f"Capture {capture} lacks {len(state.missing)} of its {state.views} views, such as "
                f"those of index {some}: send them before it is sealed."
            )
        folder = self._unfinished(capture)
        found = [_stored(folder, index) for index in range(state.views)]
        damaged = [index for index, view in enumerate(found) if view is None]
        if damaged:
            for index in damaged:
                _remove(folder / "views" / f"{index:04}.json")  # from here on they are missing
            some = ", ".join(map(str, damaged[:10]))
            raise CaptureError(
                f"{len(damaged)} of the capture's views lie damaged on the backend's disk, such as "
                f"those of index {some}: send them again."
            )
        views = [view for view, _ in filter(None, found)]
        poses = [pose for _, pose in filter(None, found)]
        path = write_transforms(folder / FILE_NAME, views, np.array(poses, dtype=np.float64))
        try:
            notes = open_capture(folder, axes="opengl").notes
        except CaptureError as error:
            path.unlink()
            raise CaptureError(_without_folder(f"{error}", folder)) from error
        told = _Upload(state.views, tuple(_without_folder(note, folder) for note in notes))
        files.write_bytes(folder / UPLOAD_FILE, msgspec.json.encode(told))
        files.move_folder(folder, self.place(capture))
        return self.state(capture)

    def state(self, capture: str) -> CaptureState:
        """How far an upload is.

        Raises:
            UnknownCapture: it was not begun.
            CaptureError: what says so is damaged.
        """
        self._check_id(capture)
        for folder, sealed in ((self.place(capture), True), (self._unfinished(capture), False)):
            try:
                upload = read_record(folder / UPLOAD_FILE, _Upload)
            except FileNotFoundError:
                if sealed and folder.is_dir():
                    raise CaptureError(DAMAGED) from None
                continue
            except DamagedRecord as error:
                raise CaptureError(DAMAGED) from error
            arrived = {file.stem for file in (folder / "views").glob("*.json")}
            missing = tuple(index for index in range(upload.views) if f"{index:04}" not in arrived)
            return CaptureState(
                capture=capture,
                views=upload.views,
                missing=missing,
                sealed=sealed,
                notes=upload.notes if sealed else (),
            )
        raise UnknownCapture(capture)

    def folder(self, capture: str) -> Path:
        """Where a sealed capture lies, for `open_capture`.

        Raises:
            UnknownCapture: there is none, or it is not sealed.
        """
        if not self.state(capture).sealed:
            raise UnknownCapture(capture)
        return self.place(capture)

    def place(self, capture: str) -> Path:
        """Where a sealed capture lies, if there is one of this id."""
        return self.root / capture

    def drop(self, capture: str) -> None:
        """Delete a capture, sealed or not, damaged or not; one that is not there is deleted
        already.

        Raises:
            UnknownCapture: that is no id.
            InUse: another process works on it.
        """
        self._check_id(capture)
        for folder in (self.place(capture), self._unfinished(capture)):
            if not folder.is_dir():
                _remove(folder)
                continue
            with contextlib.ExitStack() as lock:
                # A lock that nobody has made nobody holds, and a full disk has no room for it.
                if (folder / LOCK_FILE).exists():
                    lock.enter_context(alone(folder))
                if sys.platform == "win32":
                    lock.close()  # it renames no folder with an open file, and refuses by that
                files.delete_folder(folder, f"{capture}.deleted")

    def make_private(self) -> None:
        """Shut other people of this machine out of the folder, if it is there, as far as it holds
        nothing but captures.
        """
        above = self.root.parent
        own = above.is_dir() and all(place == self.root for place in above.iterdir())
        for folder in (above, self.root) if own else (self.root,):
            if not folder.is_dir() or not folder.stat().st_mode & 0o077:
                continue
            try:
                folder.chmod(0o700)
            except PermissionError:
                logger.warning("other people of this machine may read %s: it is not ours", folder)

    def _make_root(self) -> None:
        files.make_folder(self.root.parent.parent)
        for folder in (self.root.parent, self.root):
            folder.mkdir(0o700, exist_ok=True)
        self.make_private()

    def _check_id(self, capture: str) -> None:
        if not ID.fullmatch(capture):
            raise UnknownCapture(capture)

    def _unfinished(self, capture: str) -> Path:
        return self.root / f"{capture}.unfinished"


def _without_folder(text: str, folder: Path) -> str:
    """A sentence about a capture, for people who do not see the server's disk."""
    return text.replace(f"{folder}{os.sep}", "").replace(f"{folder}", "The capture")


def _remove(path: Path) -> None:
    """Remove what is at this place, if anything is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _stored(folder: Path, index: int) -> tuple[StoredView, list[list[float]]] | None:
    """A view of an upload and its pose as they lie on the disk; None where they are damaged."""
    try:
        record = read_record(folder / "views" / f"{index:04}.json", _Record)
        image = folder / "images" / Path(record.image).name
        image_size(image)
    except (DamagedRecord, CaptureError):
        return None
    depth = None if record.depth is None else folder / "depth" / Path(record.depth).name
    if depth is not None and not (depth.is_file() and depth.stat().st_size):
        return None
    things = None if record.things is None else folder / "things" / Path(record.things).name
    if things is not None:
        try:
            check_things(things, (record.intrinsics.width, record.intrinsics.height))
        except CaptureError:
            return None
    view = StoredView(
        f"images/{image.name}", image, depth, record.intrinsics, Lens(), things=things
    )
    return view, record.camera_to_world


def answer(store: CaptureStore, message: CaptureMessage) -> CaptureState | Error:
    """Do what a client's message about a capture asks for; what goes wrong becomes words."""
    try:
        if isinstance(message, OpenCapture):
            return store.open(message.capture, message.views)
        if isinstance(message, PutView):
            return store.put(message.capture, message.index, message.name, _new_view(message))
        if isinstance(message, SealCapture):
            return store.seal(message.capture)
        store.drop(message.capture)
        return CaptureState(capture=message.capture, views=0, missing=(), sealed=False)
    except UnknownCapture:
        code, words = "unknown_capture", NO_CAPTURE
    except CaptureError as error:
        code, words = "bad_capture", str(error)
    except InUse as error:
        code, words = "in_use", str(error)
    except OSError as error:
        logger.exception("capture %s", message.capture)
        code, words = "storage", out_of_room(error)
    return Error(code=code, message=words, job=message.capture)


def out_of_room(error: OSError) -> str:
    """What to do where the disk is full or cannot be written."""
    return (
        f"The backend cannot keep this capture ({error.strerror or error}): make room on its disk, "
        "or start it with another --data-root."
    )


def _new_view(message: PutView) -> NewView:
    height, width = message.image.shape[:2]
    return NewView(
        name=message.name,
        pixels=Pixels(message.image, message.alpha, message.depth, message.things),
        intrinsics=Intrinsics(message.fx, message.fy, message.cx, message.cy, width, height),
        camera_to_world=np.array(message.camera_to_world, dtype=np.float64).reshape(4, 4),
    )
