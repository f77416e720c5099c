"""A cube whose texture has three UDIM tiles of different sizes."""

from pathlib import Path

import bpy
import numpy as np
from image_files import png
from test_mesh_views import noise

TILES = {1001: (24, 32), 1002: (16, 16), 1012: (40, 24)}
"""Rows and columns by number: two beside each other, and one above the second."""
CORNERS = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def pixels_of(sizes: dict[int, tuple[int, int]] = TILES) -> dict[int, np.ndarray]:
    """Noise, (h, w, 4), for each tile."""
    return {number: noise(*size, seed=number) for number, size in sizes.items()}


def image(
    folder: Path, pixels: dict[int, np.ndarray], name: str = "paint", packed: bool = True
) -> bpy.types.Image:
    """An image with these tiles, of files in a folder."""
    for number, values in pixels.items():
        (folder / f"{name}.{number}.png").write_bytes(png(values))
    made = bpy.data.images.new(name, 1, 1)
    made.filepath_raw = str(folder / f"{name}.<UDIM>.png")
    made.source = "TILED"
    made.alpha_mode = "CHANNEL_PACKED"
    if packed:
        made.pack()
    return made


def lay_out(thing: bpy.types.Object, numbers: tuple[int, ...] = tuple(TILES)) -> None:
    """Let the faces lie on these tiles in turn: the left half of each, then the right one."""
    layer = thing.data.uv_layers.active or thing.data.uv_layers.new(name="UVMap")
    for face in thing.data.polygons:
        number = numbers[face.index % len(numbers)] - 1001
        half = face.index // len(numbers) % 2
        for corner, loop in zip(CORNERS, face.loop_indices, strict=True):
            u, v = (0.02 + 0.96 * np.array(corner)) * (0.5, 1) + (half / 2, 0)
            layer.uv[loop].vector = (u + number % 10, v + number // 10)


def tiles_of(image: bpy.types.Image, folder: Path) -> dict[int, np.ndarray]:
    """What an image's tiles hold, uint8 (h, w, 4), as Blender itself saves and loads them."""
    image.save(filepath=str(folder / "read.<UDIM>.png"), save_copy=True)
    found = {}
    for tile in image.tiles:
        one = bpy.data.images.load(str(folder / f"read.{tile.number}.png"))
        one.alpha_mode = "CHANNEL_PACKED"
        width, height = one.size
        values = np.empty(width * height * 4, np.float32)
        one.pixels.foreach_get(values)
        values = values.reshape(height, width, 4)[::-1]
        found[tile.number] = np.rint(values * 255).astype(np.uint8)
        bpy.data.images.remove(one)
    return found
