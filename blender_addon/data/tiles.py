"""Images with UDIM tiles as one array: an atlas, in which the tiles lie beside each other.

A tile may have any size. What is kept of such an image (its edits, maps and corrections) has the
same tiles; only what is computed on, and sent, is an atlas.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from ..link.encode import encode
from . import alpha_modes
from .changing import changed
from .helper_files import check_room, helper_folder, read_whole
from .scene_error import SceneError

MAX_SIDE = 8192
"""Of an array that is sent, as `protocol.values` has it, which the scripts of the add-on do
without."""
RIM = 8
"""Texels that continue a tile on each of its sides, where there is room: two of them are as far as
an edit goes on beyond UV islands."""
LONGEST = 100
"""Letters of a file's name before a tile's number; names of images may have more than systems let
files have."""
Pixels = NDArray[np.uint8] | NDArray[np.float32]

FIRST, ROW = 1001, 10
"""Number of the tile at 0, 0, and how many lie beside each other."""
SLACK = 1e-3
"""Of a tile's side, by which a face may lie beyond it and still be said to lie inside."""


@dataclass(frozen=True)
class Tile:
    """Where a tile lies in the atlas, in texels: its first row and column, and its size."""

    number: int
    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """What takes it out of an array of the atlas."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class Atlas:
    """All tiles of an image.

    Attributes:
        tiles: by their numbers.
        height, width: of the atlas, in texels.
        rim: texels around each tile that continue it.
    """

    tiles: tuple[Tile, ...]
    height: int
    width: int
    rim: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width


def is_tiled(image: bpy.types.Image) -> bool:
    """Whether an image has UDIM tiles."""
    tiled: bool = image.source == "TILED"
    return tiled


def atlas_of(image: bpy.types.Image) -> Atlas:
    """Of an image with tiles.

    Raises:
        SceneError: a tile has no pixels, or they do not fit into what can be sent.
    """
    sizes: dict[int, tuple[int, int]] = {}
    for tile in sorted(image.tiles, key=lambda one: one.number):
        width, height = tile.size
        if not (width and height):
            raise _no_file(image, tile.number)
        sizes[tile.number] = height, width
    for rim in (RIM, 0):
        fitting = [
            one
            for columns in range(1, len(sizes) + 1)
            if max((one := _arranged(sizes, columns, rim)).shape) <= MAX_SIDE
        ]
        if fitting:
            return min(fitting, key=lambda one: (one.height * one.width, one.height))
    raise SceneError(
        f'The {len(sizes)} tiles of "{image.name}" are more than {MAX_SIDE}x{MAX_SIDE} pixels '
        "together, and cannot be sent: scale a copy down and use that, or press Make Texture."
    )


def _arranged(sizes: Mapping[int, tuple[int, int]], columns: int, rim: int) -> Atlas:
    """Tiles in rows of so many."""
    tiles, top, width, numbers = [], 0, 0, list(sizes)
    for start in range(0, len(numbers), columns):
        row, left = numbers[start : start + columns], 0
        for number in row:
            tiles.append(Tile(number, top + rim, left + rim, *sizes[number]))
            left += sizes[number][1] + 2 * rim
        width = max(width, left)
        top += max(sizes[number][0] for number in row) + 2 * rim
    return Atlas(tuple(tiles), top, width, rim)


def atlas_uvs(
    uvs: NDArray[np.float64], image: bpy.types.Image, atlas: Atlas
) -> NDArray[np.float64]:
    """Where triangles lie in an atlas.

    Args:
        uvs: (F, 3, 2), where tile 1001 is 0..1.
        image: with the tiles.
        atlas: its.

    Returns:
        float64 (F, 3, 2), where the atlas is 0..1.

    Raises:
        SceneError: a triangle lies on no tile, or across the border of two.
    """
    made, found = np.empty_like(uvs), np.zeros(len(uvs), np.bool_)
    for tile in atlas.tiles:
        row, column = divmod(tile.number - FIRST, ROW)
        inside = uvs - (column, row)
        there = ~found & (np.abs(inside - 0.5).max(axis=(1, 2)) <= 0.5 + SLACK)
        left = tile.left + inside[there, :, 0] * tile.width
        top = tile.top + (1 - inside[there, :, 1]) * tile.height
        made[there] = np.stack([left / atlas.width, 1 - top / atlas.height], axis=-1)
        found |= there
    if not found.all():
        raise _beside_tiles(uvs[~found][0], image)
    return made


def _beside_tiles(uvs: NDArray[np.float64], image: bpy.types.Image) -> SceneError:
    """What to say of a triangle (3, 2) that lies in no tile."""
    u, v = np.floor(uvs.mean(axis=0))
    if np.abs(uvs - (u, v) - 0.5).max() > 0.5 + SLACK:
        return SceneError(
            f'Some UVs of "{image.name}" lie across the border of two UDIM tiles: move each island '
            "into one tile, or press Make Texture."
        )
    lacking = int(FIRST + u + ROW * v) if 0 <= u < ROW and v >= 0 else 0
    where = f"tile {lacking}" if lacking else "a place without a tile"
    return SceneError(
        f'Some UVs lie on {where}, which "{image.name}" does not have: move them, or press '
        "Make Texture."
    )


# ---------------------------------------------------------------- pixels


def read(image: bpy.types.Image) -> Pixels:
    """The atlas of an image with tiles, (H, W, 4), row 0 at the top, zero where no tile is: the
    very bytes, uint8, of 8-bit tiles; float32 where a tile has more.

    Raises:
        SceneError: as `atlas_of`, or they cannot be read.
    """
    atlas, found = atlas_of(image), read_tiles(image)
    is_8_bit = all(one.dtype == np.uint8 for one in found.values())
    made = np.zeros((*atlas.shape, 4), np.uint8 if is_8_bit else np.float32)
    for tile in atlas.tiles:
        values = found[tile.number]
        if values.shape[:2] != (tile.height, tile.width):
            raise SceneError(
                f'The file of tile {tile.number} of "{image.name}" has changed: reload the image.'
            )
        if values.dtype == np.uint8 and not is_8_bit:
            values = (values / np.float32(255)).astype(np.float32, copy=False)
        continued = np.pad(values, ((atlas.rim,) * 2, (atlas.rim,) * 2, (0, 0)), mode="edge")
        rows, columns = (slice(one.start - atlas.rim, one.stop + atlas.rim) for one in tile.slices)
        made[rows, columns] = continued
    return made


def read_tiles(
    image: bpy.types.Image,
) -> dict[int, Pixels]:
    """The pixels of each tile by its number, (h, w, 4), row 0 at the top.

    Raises:
        SceneError: a tile cannot be read.
    """
    is_written = image.is_dirty or any(tile.is_generated_tile for tile in image.tiles)
    alpha_mode = alpha_modes.of_pixels(image) if is_written else image.alpha_mode
    return {number: _decoded(file, image, alpha_mode) for number, file in _files(image).items()}


def _files(image: bpy.types.Image) -> dict[int, bytes]:
    """The file of each tile. What Blender knows of pixels leads to the first tile only."""
    numbers = [tile.number for tile in image.tiles]
    if image.is_dirty:
        if any(tile.is_generated_tile for tile in image.tiles):
            raise SceneError(
                f'Tiles of "{image.name}" were painted and are in no file yet: save or pack them '
                "first (Image > Save As, or Image > Pack)."
            )
        return _saved(image, numbers)
    if any(tile.is_generated_tile for tile in image.tiles):
        other = image.copy()  # Blender takes what it saves for no longer generated
        try:
            return _saved(other, numbers)
        finally:
            bpy.data.images.remove(other)
    packed = {one.tile_number: one.packed_file.data for one in image.packed_files}
    return {
        number: packed[number] if number in packed else _on_disk(image, number)
        for number in numbers
    }


def _saved(image: bpy.types.Image, numbers: Iterable[int]) -> dict[int, bytes]:
    with (
        helper_folder() as folder,
        changed(image, file_format="OPEN_EXR" if image.is_float else "PNG"),
    ):
        size = sum(tile.size[0] * tile.size[1] for tile in image.tiles)
        check_room(folder, size * (16 if image.is_float else 4))  # nothing tells of half a file
        image.save(filepath=str(folder / "tile.<UDIM>"), save_copy=True)
        return {number: read_whole(folder / f"tile.{number}") for number in numbers}


def _on_disk(image: bpy.types.Image, number: int) -> bytes:
    row, column = divmod(number - FIRST, ROW)
    path = bpy.path.abspath(image.filepath_raw, library=image.library)
    path = path.replace("<UDIM>", str(number))
    path = path.replace("<UVTILE>", f"u{column + 1}_v{row + 1}")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _no_file(image, number) from error


def _no_file(image: bpy.types.Image, number: int) -> SceneError:
    return SceneError(
        f'Tile {number} of "{image.name}" has no pixels: its file is missing. Find it, or remove '
        "the tile (Image Editor, sidebar, UDIM Tiles)."
    )


def _decoded(file: bytes, like: bpy.types.Image, alpha_mode: str) -> Pixels:
    image = bpy.data.images.new("watch your steps", 1, 1)
    try:
        image.pack(data=file, data_len=len(file))
        image.source = "FILE"  # from now on its pixels are those of the file
        image.colorspace_settings.name = like.colorspace_settings.name
        image.alpha_mode = alpha_mode
        width, height = image.size
        values = np.empty(len(image.pixels), np.float32)
        if not len(values):
            raise SceneError(f'A tile of "{like.name}" cannot be read: its file is damaged.')
        image.pixels.foreach_get(values)
        values = values.reshape(height, width, -1)[::-1]
        if image.is_float:
            return _with_alpha(values, np.float32(1))
        return _with_alpha(np.rint(values * 255).astype(np.uint8), np.uint8(255))
    finally:
        bpy.data.images.remove(image)


def _with_alpha(pixels: Pixels, opaque: np.uint8 | np.float32) -> Pixels:
    """Gray or colours, (h, w, 1 to 4), as (h, w, 4)."""
    colours = pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., [0, 0, 0]]
    alpha = pixels[..., -1:] if pixels.shape[2] in (2, 4) else np.full_like(pixels[..., :1], opaque)
    return np.concatenate([colours, alpha], axis=2)


def new_image(name: str, like: bpy.types.Image, values: Pixels) -> bpy.types.Image:
    """A new image with the tiles of another one, packed.

    Args:
        name: its name.
        like: with tiles.
        values: of the atlas of `like`: colours, uint8 (H, W, 1, 3 or 4), or data, float32 (H, W).

    Raises:
        SceneError: `like` has other tiles by now, or the disk is full.
    """
    atlas = atlas_of(like)
    if values.shape[:2] != atlas.shape:
        raise SceneError(f'The tiles of "{like.name}" have changed meanwhile: start it again.')
    is_data = values.dtype == np.float32
    ending, space = ("exr", "Non-Color") if is_data else ("png", "sRGB")
    with helper_folder() as folder:
        for tile in atlas.tiles:
            file = encode(values[tile.slices])
            (folder / f"tile.{tile.number}.{ending}").write_bytes(file)
        image = bpy.data.images.new(name, 1, 1)
        image.filepath_raw = str(folder / f"tile.<UDIM>.{ending}")
        image.source = "TILED"  # from now on it has the tiles that are there
        image.colorspace_settings.name = space
        image.pack()
    call_files(image)
    return image


def call_files(image: bpy.types.Image) -> None:
    """Let the files that an image with packed tiles is unpacked into be its own: Blender writes
    those of another image over them where they are called the same.
    """
    base = bpy.path.clean_name(image.name)[:LONGEST]
    ending = Path(image.filepath_raw).suffix
    taken = {one.filepath_raw for one in bpy.data.images if one != image}
    paths = (f"//{base}{more}.<UDIM>{ending}" for more in _endings())
    path = next(one for one in paths if one not in taken)
    image.filepath_raw = path
    for one in image.packed_files:
        one.filepath = path.replace("<UDIM>", str(one.tile_number))


def _endings() -> Iterator[str]:
    yield ""
    yield from (f"_{number}" for number in itertools.count(2))


def pack(image: bpy.types.Image) -> None:
    """Put what was painted on an image into the file. Of tiles, Blender only packs those that it
    has read, and loses the others; Blender 5.0 also loses an image that it has packed already.
    """
    if image.packed_files and not image.is_dirty:
        return
    if is_tiled(image):
        for tile in image.tiles:
            tile.size[:]  # reads it
    image.pack()
