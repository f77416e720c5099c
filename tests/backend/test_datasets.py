"""Data sets of instruction editing, from small folders of the layout that they are published in."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.errors import BadInput
from backend.evaluation.datasets import read_examples

SIZE = (10, 12)


def drawn(seed: int, shape: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def rubbed_out(seed: int, shape: tuple[int, int] = SIZE) -> Image.Image:
    """The picture of a seed, transparent in its left third."""
    alpha = np.full(shape, 255, np.uint8)
    alpha[:, : shape[1] // 3] = 0
    return Image.fromarray(np.dstack([drawn(seed, shape), alpha]))


def test_instruct_pix2pix_is_its_last_twentieth(tmp_path: Path) -> None:
    seeds = [[f"prompt-{number:02}", [7 + number, 3]] for number in range(40)]
    (tmp_path / "seeds.json").write_text(json.dumps(seeds))
    for number in (38, 39):
        folder = tmp_path / f"prompt-{number}"
        folder.mkdir()
        prompt = {"input": "a hill", "edit": f"add {number}", "output": "a hill with a tree"}
        (folder / "prompt.json").write_text(json.dumps(prompt))
        for which in (0, 1):
            grey = np.full((8, 8, 3), 100 * which + number, np.uint8)
            Image.fromarray(grey).save(folder / f"{7 + number}_{which}.jpg", quality=100)
    first, second = read_examples(tmp_path)
    assert (first.name, second.name) == ("prompt-38/45", "prompt-39/46")
    assert second.instruction == "add 39"
    assert second.captions == ("a hill", "a hill with a tree")
    assert second.mask is None
    assert second.target is not None
    assert abs(int(second.picture.mean()) - 39) <= 1
    assert abs(int(second.target.mean()) - 139) <= 1


def test_magic_brush_has_what_people_marked_and_made(tmp_path: Path) -> None:
    test = tmp_path / "test"
    images = test / "images" / "139"
    images.mkdir(parents=True)
    for seed, name in enumerate(("input", "output1", "output2")):
        Image.fromarray(drawn(seed)).save(images / f"139-{name}.png")
    rubbed_out(0).save(images / "139-mask1.png")
    rubbed_out(1, (20, 24)).save(images / "139-mask2.png")
    names = [f"139-{name}.png" for name in ("input", "output1", "output2")]
    turns = [
        {"input": names[0], "mask": "139-mask1.png", "output": names[1], "instruction": "one"},
        {"input": names[1], "mask": "139-mask2.png", "output": names[2], "instruction": "two"},
    ]
    (test / "edit_sessions.json").write_text(json.dumps({"139": turns}))
    captions = {"139": dict(zip(names, ("a dog", "a red dog", "a red cat"), strict=True))}
    (test / "global_descriptions.json").write_text(json.dumps(captions))
    first, second = read_examples(tmp_path)  # the folder above
    assert [one.name for one in read_examples(test)] == ["139-output1", "139-output2"]
    np.testing.assert_array_equal(first.picture, drawn(0))
    np.testing.assert_array_equal(first.target, drawn(1))
    np.testing.assert_array_equal(second.picture, drawn(1))  # as people had it then
    assert second.captions == ("a red dog", "a red cat")
    for one in (first, second):
        assert one.mask is not None
        assert one.mask.shape == SIZE
        assert one.mask[:, :4].all()
        assert not one.mask[:, 4:].any()

    Image.fromarray(drawn(0)).save(images / "139-mask1.png")
    with pytest.raises(BadInput, match=r"139-mask1\.png has no transparency"):
        next(read_examples(tmp_path))
    (images / "139-input.png").unlink()
    with pytest.raises(BadInput, match=r"139-(mask1|input)\.png"):
        next(read_examples(tmp_path))


def stored(image: Image.Image | np.ndarray) -> dict[str, object]:
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def write_parquet(path: Path, rows: list[dict[str, object]]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def test_magic_brush_of_the_hub(tmp_path: Path) -> None:
    row = {
        "img_id": "242679",
        "turn_index": 1,
        "source_img": stored(drawn(0)),
        "mask_img": stored(rubbed_out(0)),
        "instruction": "Put a cat on the seat.",
        "target_img": stored(drawn(1, (20, 24))),
    }
    write_parquet(tmp_path / "data" / "dev-00000-of-00001.parquet", [row])
    (one,) = read_examples(tmp_path, "dev")
    assert (one.name, one.instruction) == ("242679-1", "Put a cat on the seat.")
    assert one.captions is None
    np.testing.assert_array_equal(one.picture, drawn(0))
    assert one.mask is not None
    assert one.mask.sum() == 10 * 4
    assert one.target is not None
    assert one.target.shape == one.picture.shape


def test_emu_edit_of_the_hub(tmp_path: Path) -> None:
    row = {
        "instruction": "Make it night",
        "image": stored(drawn(3)),
        "task": "global",
        "split": "test",
        "idx": 12,
        "hash": "0a",
        "input_caption": "a street by day",
        "output_caption": "a street by night",
    }
    write_parquet(tmp_path / "test-00000-of-00001.parquet", [row, row | {"idx": 13}])
    first, second = read_examples(tmp_path)
    assert (first.name, second.name) == ("12", "13")
    assert first.captions == ("a street by day", "a street by night")
    assert first.mask is None
    assert first.target is None
    np.testing.assert_array_equal(first.picture, drawn(3))
    write_parquet(tmp_path / "test-00000-of-00001.parquet", [{"text": "nothing"}])
    with pytest.raises(BadInput, match="its columns are text"):
        next(read_examples(tmp_path))


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no data set that is known here"):
        read_examples(tmp_path)
    (tmp_path / "seeds.json").write_text("[")
    with pytest.raises(BadInput, match=r"seeds\.json cannot be read"):
        next(read_examples(tmp_path))
