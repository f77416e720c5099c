"""Train a scene's radiance field, edit the scene, and render views before beside after.

python -m examples.edit_scene photos "turn the bear into a panda" before_and_after

`photos` is a folder with images and a transforms.json; what is trained is kept in photos/.wys, and
the same command goes on with it.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from backend.editing import Editor
from backend.scenes import Scene


def main(folder: str, instruction: str, target: str, model: str = "auto") -> None:
    """Write a picture for some of the capture's views into the target folder."""
    scene = Scene.open(folder)
    for note in scene.capture.notes:  # what was left out
        print(note)
    scene.train()  # goes on where an earlier run has stopped

    editor = Editor.from_pretrained(model)
    edit = scene.edit(instruction, editor)
    print(f"edited {len(edit.views)} views; applies: {edit.applies}")

    Path(target).mkdir(exist_ok=True)
    names = scene.capture.names
    for name in names[:: max(1, len(names) // 4)]:
        camera = scene.camera(name)
        before, after = scene.render(camera), edit.render(camera)
        pair = np.hstack([before.image, after.image])  # uint8 (H, 2 W, 3)
        Image.fromarray(pair).save(Path(target) / f"{Path(name).stem}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
