"""The demo's pictures side by side, drawn by the backend's Python, which has Pillow."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WORDS_IN_3D = {
    "before": "the scene from three sides",
    "mesh": "the mesh that came back,\nwith its original texture",
    "after": "with its edited texture",
}
REGIONS = {
    "things": "The region, of whole things",
    "edges": "The region, along edges",
    "nothing": "The region",
}
"""By what a region has snapped to."""
Row = list[dict[str, str]]


def poster(python: Path, out: Path, found: dict[str, Any]) -> None:
    """What the edit of the demo's scene was made of, and the scene from its sides.

    Args:
        python: the backend's.
        out: the picture's file.
        found: what the demo has measured of this scene.
    """
    files, percent = found["pictures"], 100 * found["region_share"]
    rows: list[Row] = [
        [
            {"picture": files["render"], "words": f'The render, and\n"{found["instruction"]}"'},
            {
                "relevance": files["relevance"],
                "of": files["render"],
                "words": "The map:\nwhere the sentence applies",
            },
            {
                "region": files["mask"],
                "of": files["render"],
                "words": f"{REGIONS[found['snap']['took']]}:\n{percent:.0f} % of the picture, IoU "
                f"{found['iou']:.2f}",
            },
            {
                "picture": files["edit"],
                "words": "The edit: outside the region\nevery byte is the render's",
            },
        ]
    ]
    if "texture" in found:
        sides = found["texture"]["pictures"]
        words = ["The same sentence for the texture: the edited scene from three sides"]
        words += [""] * (len(sides) - 1)
        rows.append(
            [{"picture": side, "words": text} for side, text in zip(sides, words, strict=True)]
        )
    _draw(python, "poster", out, rows)


def scenes_sheet(python: Path, out: Path, measured: Sequence[dict[str, Any]]) -> None:
    """A row for each measured scene. The arguments are as `poster`'s."""
    sheet = []
    for row in measured:
        words = {
            "render": f'seed {row["seed"]}: render\n"{row["instruction"]}"',
            "relevance": "relevance of the instruction",
            "mask": f"region at {row['threshold']:.2f}, the suggestion\nIoU {row['iou']:.2f}",
            "truth": "true region\n(Blender's object index)",
            "things": "what things the camera sees",
        }
        sheet.append(
            [{"picture": file, "words": words[kind]} for kind, file in row["pictures"].items()]
        )
    _draw(python, "contact_sheet", out, sheet)


def in_3d_sheet(python: Path, out: Path, sides: Sequence[dict[str, str]]) -> None:
    """The scene, the mesh that came back, and its edited texture, from the same sides: `sides` has
    their files by kind.
    """
    rows = [
        [{"picture": side[kind], "words": words} for side in sides]
        for kind, words in WORDS_IN_3D.items()
    ]
    _draw(python, "contact_sheet", out, rows)


def _draw(python: Path, kind: str, out: Path, rows: list[Row]) -> None:
    description = out.with_suffix(".json")
    description.write_text(json.dumps(rows), "utf-8")
    command = [str(python.absolute()), "-m", f"backend.output.{kind}"]
    subprocess.run([*command, str(out), str(description)], cwd=ROOT, check=True)
    description.unlink()
