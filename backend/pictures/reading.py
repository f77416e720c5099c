"""Reading image files that people bring, whatever they are, and writing edits of them back."""

import logging
import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from backend.errors import BadInput
from backend.pictures import heif, profiles
from backend.pictures.fast_png import write_fast_png
from backend.pictures.png_chunks import SIGNATURE, FileFacts, split_png
from backend.pictures.profiles import BadProfile, NoWayBack
from protocol import files
from protocol.values import MAX_IMAGE_SIDE

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA", "JPEG2000", "AVIF", "PSD")
"""Of Pillow's. Others run programs (EPS) or hold pictures of several sizes (ICO)."""
STILL = {"MPO", "PSD", "HEIF"}
"""Formats whose further pictures are previews or layers: nobody takes them for a film."""
GREY = 128
"""What models see behind transparent pixels, of 255."""
TURNS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
"""By EXIF orientation (CIPA DC-008): which way rows and columns run; from 5 on, of the transposed
picture."""
DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,  # is what Pillow calls a broken file
    EOFError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    AttributeError,
    struct.error,
    zlib.error,
    MemoryError,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise about files that are not as they should be."""
BACK = {6: 8, 8: 6}
"""Which orientation undoes which; the others undo themselves."""
PREVIEW = 1
"""Bit of a TIFF's NewSubfileType: these pixels are a small version of others in the file."""
STANDARD_ERROR = 2
_SILENCED = threading.Lock()
Kind = TypeVar("Kind", bound=np.generic)

# What Pillow warns about (large images, odd metadata) is refused here, or does not matter.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)


class PictureError(BadInput):
    """An image file that cannot be used; the text is one sentence that names it."""

    def __init__(self, sentence: str) -> None:
        # What files call each other can hold anything: kept to one line that can be printed.
        super().__init__(" ".join(sentence.encode("utf-8", "replace").decode().split()))


@dataclass(frozen=True, eq=False)
class Picture:
    """An image file's pixels, upright. Row 0 is at the top.

    Attributes:
        own: uint8 (H, W, 3), the file's own colours, straight where there is an alpha.
        alpha: uint8 (H, W), 255 where it is opaque; None where it has no transparency.
        profile: the ICC profile of `own`, which a result carries on; None for none, that is sRGB.
        is_srgb: whether `own` is sRGB.
        notes: what a person should know about how it was read.
    """

    own: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    profile: bytes | None
    is_srgb: bool
    notes: tuple[str, ...]

    def in_srgb(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3): the colours in sRGB, straight."""
        if self.is_srgb or self.profile is None:
            return self.own
        return np.asarray(profiles.to_srgb(Image.fromarray(self.own), self.profile))

    def seen(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3): what a model is to see, sRGB over grey."""
        colours = self.in_srgb()
        if self.alpha is None:
            return colours
        height, width = self.alpha.shape
        behind = Image.new("RGB", (width, height), (GREY, GREY, GREY))
        front, mask = Image.fromarray(colours), Image.fromarray(self.alpha)
        return np.asarray(Image.composite(front, behind, mask))

    def edited(self, seen: NDArray[np.uint8], edit: NDArray[np.uint8]) -> "Picture":
        """The picture with what an edit has changed: with its own bytes where `edit` is as `seen`,
        and its alpha everywhere.

        Args:
            seen: uint8 (H, W, 3), what `seen` returned.
            edit: uint8 (H, W, 3), what was made of it.
        """
        changed = (edit != seen).any(axis=2)
        if self.alpha is not None:
            changed &= self.alpha > 0  # what cannot be seen stays
        colours = edit[changed]
        if self.alpha is not None:  # the straight colour that looks so over grey
            share = self.alpha[changed][:, None].astype(np.float32) / 255
            straight = (colours - (1 - share) * GREY) / share
            colours = np.rint(straight.clip(0, 255)).astype(np.uint8)
        if len(colours) and not self.is_srgb and self.profile is not None:
            colours = profiles.from_srgb(colours[None], self.profile)[0]
        own = self.own.copy()
        own[changed] = colours
        return replace(self, own=own)


def read_picture(path: Path, longest: int | None = None, upright: bool = True) -> Picture:
    """Read an image file whole.

    16-bit channels are scaled to 8; of an animation the first frame is taken; CMYK and grey
    with a profile become sRGB, because no PNG with colours can hold them.

    Args:
        path: of a PNG, JPEG, WebP, TIFF, BMP, GIF, PPM, TGA, JPEG 2000, AVIF, HEIC or
            PSD.
        longest: pixels that a side may have; None for any.
        upright: turn it as its EXIF data ask, as people see it; or leave the pixels as they are
            stored, as COLMAP takes them.

    Raises:
        PictureError: it is missing, no such image, damaged, too large, or has 32-bit or
            floating-point values.
    """
    with opened(path, longest, whole=True) as (file, facts):
        notes = []
        if facts.animated:
            notes.append(f"{path} has several frames or pages: the first one is taken.")
        if has_16_bits(file, facts.depth):
            notes.append(f"{path} has 16 bits a channel: 8 of them are used.")
        image, alpha = _parts(file, facts.depth)
        picture = _in_profile(path, image, _profile(file, facts.profile))
        picture = replace(picture, alpha=alpha, notes=(*notes, *picture.notes))
        if upright:
            return _turned(picture, orientation_of(file))
        return _turned(picture, BACK.get(facts.turned, facts.turned))


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of the pixels as they are stored, from the file's header.

    Raises:
        PictureError: as `read_picture`, but for damage of the pixels.
    """
    with opened(path) as (file, facts):
        width, height = file.size
        return (height, width) if facts.turned >= 5 else (width, height)


def lies_on_its_side(path: Path) -> bool:
    """Whether an image's EXIF data ask for it to be shown turned by 90 degrees.

    Raises:
        PictureError: as `size_of`.
    """
    return orientation_in(path) >= 5


def asks_for_turning(path: Path) -> bool:
    """Whether an image's EXIF data ask for it to be shown turned or mirrored.

    Raises:
        PictureError: as `size_of`.
    """
    return orientation_in(path) != 1


def orientation_in(path: Path) -> int:
    """1 to 8: how an image's EXIF data ask for it to be shown; 1 for as it is stored.

    Raises:
        PictureError: as `size_of`.
    """
    with opened(path) as (file, facts):
        if file.format == "PNG" and not facts.exif:
            return 1  # Pillow would decode all pixels to look for it behind them
        return orientation_of(file)


def write_png(path: Path, picture: Picture) -> None:
    """Write a picture's own colours, its alpha and its profile.

    Raises:
        OSError: it cannot be written.
    """
    own, alpha = picture.own, picture.alpha
    pixels = own if alpha is None else np.dstack([own, alpha])
    with files.replacing(path) as file:
        write_fast_png(file, pixels, picture.profile)


@contextmanager
def opened(
    path: Path,
    longest: int | None = None,
    whole: bool = False,
    numbers: bool = False,
) -> Iterator[tuple[ImageFile.ImageFile, FileFacts]]:
    """The file as Pillow opens it, checked by its header, and, if `whole`, decoded; what it says of
    its own beside that. If `numbers`, pixels may be whole numbers of 32 bits.
    """
    usable = "a grey PNG of up to 16 bits" if numbers else "an 8-bit PNG or JPEG"
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise PictureError(f"There is no image {path}: the file does not exist.") from None
    except (OSError, ValueError) as error:
        raise PictureError(f"{path} cannot be read: {_reason(error)}.") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no file"
        raise PictureError(f"{path} is {kind}, not an image: give an image file.")
    if status.st_size == 0:
        raise PictureError(f"{path} is not an image but an empty file: give another.")
    too_large = f"scale it to at most {longest or MAX_IMAGE_SIDE} pixels a side"
    with ExitStack() as closed_at_end:
        try:
            stream: BinaryIO = closed_at_end.enter_context(path.open("rb"))
            facts = FileFacts(8, False, None)
            formats: tuple[str, ...] = FORMATS
            if heif.is_heif(stream):
                formats = ("HEIF",)
                with _named(path):
                    heif.register()
            if stream.read(len(SIGNATURE)) == SIGNATURE:
                facts, stream = split_png(stream)
            file = closed_at_end.enter_context(Image.open(stream, formats=formats))
            if file.format == "TIFF":
                facts = replace(facts, turned=orientation_of(file))
            if longest is not None and max(file.size) > longest:
                raise PictureError(f"{path} is {file.width}x{file.height}: {too_large}.")
            deep = file.mode == "I" and file.format != "PPM" and not numbers
            if file.mode == "F" or deep:
                raise PictureError(
                    f"{path} does not have 8 bits a channel but 32-bit or floating-point values "
                    f"(it is of the kind {file.mode}): save it as {usable}."
                )
            if getattr(file, "tag_v2", {}).get(ExifTags.Base.NewSubfileType, 0) & PREVIEW:
                raise PictureError(
                    f"{path} is a camera's raw file, of which only a small preview can be read: "
                    "develop it and save it as a PNG or JPEG."
                )
            if whole:
                if file.format not in STILL and getattr(file, "is_animated", False):
                    facts = replace(facts, animated=True)
                with _libtiff_silenced() if file.format == "TIFF" else nullcontext():
                    file.load()
        except PictureError:
            raise
        except PermissionError as error:
            raise PictureError(f"{path} may not be read: change its permissions.") from error
        except UnidentifiedImageError:
            raise PictureError(
                f"{path} is not an image that can be read: save it as {usable}."
            ) from None
        except Image.DecompressionBombError as error:
            raise PictureError(f"{path} is too large: {too_large}.") from error
        except DAMAGED as error:
            raise PictureError(
                f"{path} is damaged and cannot be read as an image ({_reason(error)}): save it "
                "again."
            ) from error
        yield file, facts


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except BadInput as error:
        raise PictureError(f"{path} cannot be read: {error}.") from error


@contextmanager
def _libtiff_silenced() -> Iterator[None]:
    """Without the lines that libtiff writes about damage to the process's own error stream; the
    damage is raised as well.
    """
    with _SILENCED:
        try:
            kept = os.dup(STANDARD_ERROR)
        except OSError:  # there is no such stream
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STANDARD_ERROR)
        os.close(nowhere)
        try:
            yield
        finally:
            os.dup2(kept, STANDARD_ERROR)
            os.close(kept)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)[:200].rstrip(".") or type(error).__name__


# ---------------------------------------------------------------- what a file says


def has_16_bits(file: ImageFile.ImageFile, depth: int) -> bool:
    """Whether a file has more than 8 bits a channel; `depth` is what a PNG says of that."""
    bits = getattr(file, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (depth,))
    return file.mode.startswith("I") or 16 in (bits if isinstance(bits, tuple) else (bits,))


def _profile(file: ImageFile.ImageFile, found: bytes | None) -> bytes | None:
    """The ICC profile in a file, b"" where there is one that cannot be put together."""
    if found is not None:
        return found
    pieces = [data for kind, data in getattr(file, "applist", ()) if kind == "APP2"]
    broken = b"" if any(piece.startswith(b"ICC_PROFILE") for piece in pieces) else None
    profile: bytes | None = file.info.get("icc_profile")
    return profile or broken


def orientation_of(file: ImageFile.ImageFile) -> int:
    """How the EXIF data ask for an image to be shown, 1 (as it is) to 8."""
    try:
        asked = file.getexif().get(ExifTags.Base.Orientation, 1)
    except DAMAGED:  # as viewers do: the pixels are good, and say nothing of a turn
        return 1
    return asked if asked in range(1, 9) else 1


# ---------------------------------------------------------------- pixels


def _parts(file: ImageFile.ImageFile, depth: int) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """A loaded file's colours as an image of mode L, RGB, CMYK or LAB, and its alpha."""
    mode: str = file.mode
    key = file.info.get("transparency")
    if mode.startswith("I"):  # 16 bits, as `opened` has made sure
        values = np.asarray(file)
        alpha = None if key is None else _keyed(values[..., None], (key,))
        return Image.fromarray(_as_8_bits(values, file)), alpha
    if mode in ("LA", "La"):
        grey, alpha_band = file.convert("LA").split()
        return grey, np.asarray(alpha_band)
    if mode in ("RGBA", "RGBa", "PA") or (mode == "P" and file.has_transparency_data):
        whole = np.asarray(file.convert("RGBA"))
        colours, alpha = whole[..., :3], np.ascontiguousarray(whole[..., 3])
        return Image.fromarray(np.ascontiguousarray(colours)), alpha
    if mode == "1":
        image = file.convert("L")
    elif mode in ("L", "CMYK", "LAB"):
        image = file.copy()
    else:
        image = file.convert("RGB")
    if key is None or mode not in ("1", "L", "RGB"):
        return image, None
    # One colour of a PNG is transparent, said with the file's own number of bits.
    keys = (key,) if isinstance(key, int) else key
    if depth == 16:
        keys = tuple(value >> 8 for value in keys)
    elif mode == "L":
        keys = tuple(value * 255 // (2**depth - 1) for value in keys)
    return image, _keyed(np.asarray(image).reshape(image.height, image.width, -1), keys)


def _keyed(values: NDArray[np.generic], key: tuple[int, ...]) -> NDArray[np.uint8]:
    """uint8 (H, W): 0 where the channels of `values` (H, W, c) are the key, 255 elsewhere."""
    return np.where((values == np.array(key)).all(axis=2), 0, 255).astype(np.uint8)


def _as_8_bits(values: NDArray[np.uint16], file: ImageFile.ImageFile) -> NDArray[np.uint8]:
    """Grey of 16 bits (or of a TIFF's 12) scaled as viewers show it: 65535 becomes 255."""
    tags = getattr(file, "tag_v2", {})
    bits = np.ravel(tags.get(ExifTags.Base.BitsPerSample, 16))[0]
    largest = 2 ** int(bits) - 1
    scaled = ((values.astype(np.uint32) * 255 + largest // 2) // largest).clip(0, 255)
    levels: NDArray[np.uint8] = scaled.astype(np.uint8)
    white_is_zero = tags.get(ExifTags.Base.PhotometricInterpretation) == 0
    return 255 - levels if white_is_zero else levels


def _in_profile(path: Path, image: Image.Image, profile: bytes | None) -> Picture:
    """The colours with a profile that a PNG can carry, and a word where it is not the file's."""
    notes: tuple[str, ...] = ()
    try:
        if profile == b"":
            raise BadProfile("it is damaged")
        if profile is not None and image.mode in ("L", "RGB") and profiles.is_for_rgb(profile):
            own = np.asarray(image.convert("RGB"))
            try:
                return Picture(own, None, profile, profiles.is_srgb(profile), notes)
            except NoWayBack:
                pass
        converted = profiles.to_srgb(image, profile)
        if profile is not None or image.mode in ("CMYK", "LAB"):
            what = {"L": "grey with a colour profile", "RGB": "in a profile that only reads"}
            notes = (
                f"{path} is {what.get(image.mode, image.mode)}, which no PNG in colour can hold: "
                "the result is in sRGB.",
            )
    except BadProfile:
        notes = (f"The colour profile of {path} cannot be used: its colours are taken as sRGB.",)
        converted, profile = profiles.to_srgb(image, None), None
    written = None if profile is None else profiles.srgb_profile()
    return Picture(np.asarray(converted), None, written, True, notes)


def _turned(picture: Picture, orientation: int) -> Picture:
    """The picture shown as the EXIF orientation asks."""
    if orientation == 1:
        return picture
    alpha = None if picture.alpha is None else turned_pixels(picture.alpha, orientation)
    return replace(picture, own=turned_pixels(picture.own, orientation), alpha=alpha)


def turned_pixels(pixels: NDArray[Kind], orientation: int) -> NDArray[Kind]:
    """Pixels (H, W, ...) turned for an EXIF orientation of 2 to 8."""
    rows, columns = TURNS[orientation]
    upright = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    return np.ascontiguousarray(upright[::rows, ::columns])
