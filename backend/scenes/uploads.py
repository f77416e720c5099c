"""Captures that clients send view by view, kept on disk until they are whole.

    ROOT/captures/ID.unfinished/   views as they come: images/, depth/, and views/0000.json, ...
    ROOT/captures/ID/              the same once it is sealed: a capture with its transforms.json

What has arrived is what lies there: a view counts once its .json file does, which is written last.
So an upload goes on after the server was killed, and nothing is ever half a capture.
"""

import json
import logging
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np

from backend.scenes.capture_checks import check_pose
from backend.scenes.lens import Intrinsics, Lens
from backend.scenes.transforms_json import (
    FILE_NAME,
    NewView,
    open_capture,
    write_transforms,
    write_view,
)
from backend.scenes.views import CaptureError, Pixels, StoredView
from protocol import files
from protocol.messages import CaptureMessage, CaptureState, Error, OpenCapture, PutView, SealCapture
from protocol.values import MAX_VIEWS, MIN_VIEWS

logger = logging.getLogger("backend.captures")

MAX_LABEL = 40
NO_CAPTURE = "The backend does not have this capture: send it anew."
ID = re.compile("[0-9a-f]{32}")


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
            files.make_folder(folder / "views")
            files.write_text(folder / "upload.json", json.dumps({"views": views}))
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
        written.unlink(missing_ok=True)  # from here on the view is missing until it is whole
        for kind in ("images", "depth"):
            for older in (folder / kind).glob(f"{index:04}_*"):
                older.unlink()
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", label)[:MAX_LABEL]
        stored = write_view(
            folder,
            NewView(f"{index:04}_{safe}", view.pixels, view.intrinsics, view.camera_to_world),
        )
        record = {
            "image": stored.image.name,
            "depth": None if stored.depth is None else stored.depth.name,
            "intrinsics": asdict(view.intrinsics),
            "camera_to_world": view.camera_to_world.tolist(),
        }
        files.write_text(written, json.dumps(record))
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
        views, poses = [], []
        for index in range(state.views):
            record = json.loads((folder / "views" / f"{index:04}.json").read_text("utf-8"))
            image = folder / "images" / record["image"]
            depth = None if record["depth"] is None else folder / "depth" / record["depth"]
            intrinsics = Intrinsics(**record["intrinsics"])
            views.append(StoredView(f"images/{image.name}", image, depth, intrinsics, Lens()))
            poses.append(record["camera_to_world"])
        path = write_transforms(folder / FILE_NAME, views, np.array(poses, dtype=np.float64))
        try:
            open_capture(folder)
        except CaptureError as error:
            path.unlink()
            raise CaptureError(str(error).replace(f"{folder}", "The capture")) from error
        files.move_folder(folder, self._sealed(capture))
        return self.state(capture)

    def state(self, capture: str) -> CaptureState:
        """How far an upload is.

        Raises:
            UnknownCapture: it was not begun.
        """
        self._check_id(capture)
        for folder, sealed in ((self._sealed(capture), True), (self._unfinished(capture), False)):
            try:
                views = int(json.loads((folder / "upload.json").read_text("utf-8"))["views"])
            except FileNotFoundError:
                continue
            arrived = {file.stem for file in (folder / "views").glob("*.json")}
            missing = tuple(index for index in range(views) if f"{index:04}" not in arrived)
            return CaptureState(capture=capture, views=views, missing=missing, sealed=sealed)
        raise UnknownCapture(capture)

    def folder(self, capture: str) -> Path:
        """Where a sealed capture lies, for `open_capture`.

        Raises:
            UnknownCapture: there is none, or it is not sealed.
        """
        if not self.state(capture).sealed:
            raise UnknownCapture(capture)
        return self._sealed(capture)

    def drop(self, capture: str) -> None:
        """Delete a capture, sealed or not; one that is not there is deleted already."""
        self._check_id(capture)
        for folder in (self._sealed(capture), self._unfinished(capture)):
            if folder.exists():
                files.delete_folder(folder, f"{capture}.deleted")

    def _check_id(self, capture: str) -> None:
        if not ID.fullmatch(capture):
            raise UnknownCapture(capture)

    def _sealed(self, capture: str) -> Path:
        return self.root / capture

    def _unfinished(self, capture: str) -> Path:
        return self.root / f"{capture}.unfinished"


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
        pixels=Pixels(message.image, message.alpha, message.depth),
        intrinsics=Intrinsics(message.fx, message.fy, message.cx, message.cy, width, height),
        camera_to_world=np.array(message.camera_to_world, dtype=np.float64).reshape(4, 4),
    )
