"""Results that have come, with the files that Blender's images will hold. It never touches bpy."""

import traceback
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..protocol.messages import Done, Failed
from ..protocol.requests import EditSceneResult, Result, ScenePicture, SceneRenderResult
from .encode import encode_exr, encode_png


@dataclass(frozen=True)
class Arrived:
    """A job has ended well. Pictures come with their file bytes, made in the worker thread.

    Arrays have row 0 at the top.
    """

    job: str
    result: Result
    files: dict[str, bytes]
    """By the name of the result's field: a PNG of every uint8 picture, an OpenEXR of every float32
    one."""


def arrived(done: Done) -> Arrived | Failed:
    """The result with its files, or in words why it cannot be had."""
    try:
        return prepare(done.job, done.result)
    except Exception as error:  # noqa: BLE001  # a defect ends the job, and not for ever again
        traceback.print_exc()
        text = f"the add-on has a defect ({error!r}); the system console has the details."
        return Failed(job=done.job, code="internal", message=text)


def prepare(job: str, result: Result) -> Arrived:
    """A result with the file bytes that its Image data-blocks will hold."""
    files = {}
    for name in result.__struct_fields__:
        value = getattr(result, name)
        if not isinstance(value, np.ndarray):
            continue
        if value.dtype == np.uint8 and value.ndim == 3:
            files[name] = encode_png(value)
        elif value.dtype == np.float32 and value.ndim == 2:
            files[name] = encode_exr(value)
    if isinstance(result, EditSceneResult) and result.pictures:
        files["pictures"] = encode_png(side_by_side(result.pictures))
    if isinstance(result, SceneRenderResult):
        files |= {f"frame {number}": encode_png(one) for number, one in enumerate(result.frames)}
    return Arrived(job, result, files)


def side_by_side(pictures: tuple[ScenePicture, ...]) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): one row a view, in it before, after, and the relevance in gray."""
    height = max(one.before.shape[0] for one in pictures)
    width = max(one.before.shape[1] for one in pictures)
    sheet = np.zeros((len(pictures), height, 3, width, 3), np.uint8)
    for row, one in zip(sheet, pictures, strict=True):
        rows, columns = one.before.shape[:2]
        row[:rows, 0, :columns] = one.before
        row[:rows, 1, :columns] = one.after
        if one.relevance is not None:
            row[:rows, 2, :columns] = np.rint(one.relevance * 255)[..., None]
    return sheet.reshape(-1, 3 * width, 3)
