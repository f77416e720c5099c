"""docs/captures.md says what captures may be: every example opens, and nothing that is read is left
unnamed.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.captures.conventions.axes import AXES
from backend.captures.formats.camera_fields import FISHEYE, PERSPECTIVE
from backend.captures.transforms import open_capture

from .tiny_capture import orbit_pose

PAGE = (Path(__file__).parents[2] / "docs" / "captures.md").read_text("utf-8")
EXAMPLES = {
    re.findall(r"^### (.+)$", PAGE[: found.start()], re.MULTILINE)[-1]: json.loads(found[1])
    for found in re.finditer(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
}
VIEWS = 8


def test_there_is_an_example_of_each_dialect() -> None:
    assert set(EXAMPLES) == {
        "nerfstudio",
        "instant-ngp",
        "NeRF's synthetic scenes, BlenderNeRF",
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_opens(name: str, tmp_path: Path) -> None:
    """With more frames like its one, and pictures and depths where they say."""
    example = EXAMPLES[name]
    (frame,) = example["frames"]
    width, height = example.get("w", 64), example.get("h", 48)
    frames = []
    for number in range(VIEWS):
        pose = orbit_pose(2 * np.pi * number / VIEWS, 0.5)
        one = {"transform_matrix": pose.tolist()}
        for field in frame.keys() - one.keys():
            one[field] = re.sub(r"\d+", str(number), frame[field])
            file = tmp_path / one[field]
            file.parent.mkdir(exist_ok=True)
            if field == "depth_file_path":
                np.save(file, np.full((height, width), 4.0, np.float32))
            else:
                file = file if file.suffix else file.with_suffix(".png")
                Image.new("RGB", (width, height)).save(file)
        frames.append(one)
    section = PAGE[PAGE.index(f"### {name}") :].partition("\n### ")[0]
    named = re.search(r"`(transforms\w*\.json)`", section)
    file = "transforms.json" if named is None else named[1]
    (tmp_path / file).write_text(json.dumps(example | {"frames": frames}))
    capture = open_capture(tmp_path)
    assert len(capture) == VIEWS
    assert all((view.depth is not None) == ("depth_file_path" in frame) for view in capture.views)


def test_all_camera_models_and_axes_are_named() -> None:
    for word in (*PERSPECTIVE, *FISHEYE, *AXES):
        assert f"`{word}`" in PAGE, word
