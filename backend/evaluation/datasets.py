"""The data sets that instruction editing is measured on, from folders as they are published.

- InstructPix2Pix's (Brooks et al. 2023): `seeds.json`, and for each prompt a folder with
  `prompt.json`, `SEED_0.jpg` and `SEED_1.jpg`. Its test set is the last twentieth of the seeds.
- MagicBrush's test set (Zhang et al. 2023; real photos, masks and targets made by people), as its
  archive unpacks: `edit_sessions.json`, `global_descriptions.json`, `images/ID/`.
- MagicBrush's train and dev sets on the hub (osunlp/MagicBrush): `data/dev-*.parquet`.
- Emu Edit's test set on the hub (Sheynin et al. 2024; facebook/emu_edit_test_set):
  `data/test-*.parquet`.

Parquet needs pyarrow, which is not in the default environment: `pip install pyarrow`.
"""

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.editing.encoders import Picture
from backend.errors import BadInput
from backend.pictures.reading import read_picture

TEST_SHARE = 0.05
"""Of InstructPix2Pix's prompts, at their end."""
SEEDS, SESSIONS, CAPTIONS = "seeds.json", "edit_sessions.json", "global_descriptions.json"


@dataclass(frozen=True)
class Example:
    """One edit that a data set asks for.

    Attributes:
        name: unique in its set.
        picture: uint8 (H, W, 3), RGB.
        captions: what it shows and what it is to show, where the set says so.
        mask: bool (H, W), where people edited it, where the set says so.
        target: uint8 (H, W, 3), what they or a model made of it, at the picture's size.
    """

    name: str
    picture: Picture
    instruction: str
    captions: tuple[str, str] | None = None
    mask: NDArray[np.bool_] | None = None
    target: Picture | None = None


def read_examples(folder: Path, split: str = "test") -> Iterator[Example]:
    """The examples of a data set, one after the other, whichever it is.

    Args:
        folder: see above; also the one above MagicBrush's `test`.
        split: of parquet files, as their names begin.

    Raises:
        BadInput: it is none of these, a file of it is missing or damaged, or pyarrow is needed and
            not installed.
    """
    if (folder / SEEDS).is_file():
        return instruct_pix2pix(folder)
    for place in (folder, folder / "test"):
        if (place / SESSIONS).is_file():
            return magic_brush(place)
    files = sorted(folder.glob(f"{split}-*.parquet"))
    files = files or sorted((folder / "data").glob(f"{split}-*.parquet"))
    if not files:
        raise BadInput(
            f"{folder} is no data set that is known here: it has no {SEEDS}, no {SESSIONS} and no "
            f"{split}-*.parquet."
        )
    return parquet(files)


def instruct_pix2pix(folder: Path) -> Iterator[Example]:
    """The test set of InstructPix2Pix's own data: of each prompt its first pair.

    Raises:
        BadInput: as `read_examples`.
    """
    seeds = _json(folder / SEEDS)
    for name, numbers in seeds[math.floor((1 - TEST_SHARE) * len(seeds)) :]:
        prompt = _json(folder / name / "prompt.json")
        number = numbers[0]
        before = _picture(folder / name / f"{number}_0.jpg")
        target = _picture(folder / name / f"{number}_1.jpg")
        captions = None
        if "input" in prompt and "output" in prompt:
            captions = (prompt["input"], prompt["output"])
        yield _example(f"{name}/{number}", before, prompt["edit"], captions, target=target)


def magic_brush(folder: Path) -> Iterator[Example]:
    """MagicBrush's test set: each turn of each session from the picture that people had then.

    Raises:
        BadInput: as `read_examples`.
    """
    described = _json(folder / CAPTIONS) if (folder / CAPTIONS).is_file() else {}
    for session, turns in _json(folder / SESSIONS).items():
        texts = described.get(session, {})
        for turn in turns:
            place = folder / "images" / session
            captions = None
            if turn["input"] in texts and turn["output"] in texts:
                captions = (texts[turn["input"]], texts[turn["output"]])
            painted = read_picture(place / turn["mask"])
            yield _example(
                turn["output"].rpartition(".")[0],
                _picture(place / turn["input"]),
                turn["instruction"],
                captions,
                _transparent(painted.alpha, place / turn["mask"]),
                _picture(place / turn["output"]),
            )


def parquet(files: list[Path]) -> Iterator[Example]:
    """MagicBrush or Emu Edit from the hub's files, told apart by their columns.

    Raises:
        BadInput: as `read_examples`.
    """
    try:
        import pyarrow.parquet as reader
    except ImportError as error:
        raise BadInput(f"{files[0]} needs pyarrow to be read: `pip install pyarrow`.") from error
    for path in files:
        try:
            file = reader.ParquetFile(path)
            names = set(file.schema_arrow.names)
            rows = (row for batch in file.iter_batches(batch_size=8) for row in batch.to_pylist())
            if {"source_img", "mask_img", "target_img", "instruction"} <= names:
                yield from map(_magic_brush_row, rows)
            elif {"image", "instruction", "input_caption", "output_caption"} <= names:
                yield from map(_emu_edit_row, rows)
            else:
                raise BadInput(
                    f"{path} holds neither MagicBrush nor Emu Edit: its columns are "
                    f"{', '.join(sorted(names))}."
                )
        except (OSError, ValueError) as error:
            raise BadInput(f"{path} cannot be read: {error}") from error


def _magic_brush_row(row: dict[str, Any]) -> Example:
    name = f"{row['img_id']}-{row['turn_index']}"
    mask = _opened(row["mask_img"])
    alpha = np.asarray(mask)[..., 3] if mask.mode == "RGBA" else None
    return _example(
        name,
        _colours(row["source_img"]),
        row["instruction"],
        None,
        _transparent(alpha, name),
        _colours(row["target_img"]),
    )


def _emu_edit_row(row: dict[str, Any]) -> Example:
    captions = (row["input_caption"], row["output_caption"])
    return _example(f"{row['idx']}", _colours(row["image"]), row["instruction"], captions)


def _example(
    name: str,
    picture: Picture,
    instruction: str,
    captions: tuple[str, str] | None,
    mask: NDArray[np.bool_] | None = None,
    target: Picture | None = None,
) -> Example:
    """An example whose mask and target have the picture's size."""
    size = (picture.shape[1], picture.shape[0])
    if mask is not None and mask.shape != picture.shape[:2]:
        mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    if target is not None and target.shape != picture.shape:
        target = np.asarray(Image.fromarray(target).resize(size, Image.Resampling.BICUBIC))
    return Example(name, picture, instruction, captions, mask, target)


def _transparent(alpha: NDArray[np.uint8] | None, named: str | Path) -> NDArray[np.bool_]:
    """Where MagicBrush's mask was rubbed out for the edit."""
    if alpha is None:
        raise BadInput(f"The mask of {named} has no transparency, which marks what was edited.")
    return alpha < 128


def _picture(path: Path) -> Picture:
    return read_picture(path).in_srgb()


def _opened(stored: dict[str, Any]) -> Image.Image:
    """An image as the hub's parquet files hold it: its file's bytes."""
    return Image.open(io.BytesIO(stored["bytes"]))


def _colours(stored: dict[str, Any]) -> Picture:
    return np.asarray(_opened(stored).convert("RGB"))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
