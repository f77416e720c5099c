"""Find where a sentence applies in a picture, and edit only there.

python -m examples.edit_picture photo.jpg "turn the bear into a panda" edited.png
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from backend.editing import Editor


def main(source: str, instruction: str, target: str, model: str = "auto") -> None:
    """Write the edited picture, and what led to it beside it."""
    image = np.asarray(Image.open(source).convert("RGB"))
    editor = Editor.from_pretrained(model)
    editor.set_image(image)  # encoded once, for any number of instructions

    relevance = editor.relevance(instruction)
    height, width = image.shape[:2]
    map_of_pixels = relevance.at(height, width)  # float32 (H, W), 0..1
    print(f"suggested threshold {relevance.suggested_threshold:.2f}, applies: {relevance.applies}")

    edit = editor.edit(instruction, relevance=relevance, steps=50)
    assert (edit.image[~edit.mask] == image[~edit.mask]).all()  # outside, not a byte has changed
    print(edit.unchanged or f"{edit.mask.mean():.0%} of the picture was edited")

    Image.fromarray(edit.image).save(target)
    sheet = np.hstack([map_of_pixels * 255, edit.mask * 255]).astype(np.uint8)
    Image.fromarray(sheet).save(Path(target).with_suffix(".maps.png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
