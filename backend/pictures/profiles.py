"""Colour profiles (ICC): from an image's own colours to sRGB, which the models and the fields know,
and back.
"""

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}
"""What ICC calls the colours of Pillow's modes."""
STEP = 1
"""Of 255, by which a profile for screens may differ from sRGB and still count as it."""


class BadProfile(Exception):
    """A colour profile that cannot be used."""


class NoWayBack(BadProfile):
    """A profile that tells only what colours it has, as some of scanners, not how to say others."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image of mode L, RGB, CMYK or LAB in sRGB (RGB).

    Args:
        profile: the image's own; None for the usual meaning of its mode.

    Raises:
        BadProfile: it is damaged, or made for other colours.
    """
    if profile is None and image.mode != "LAB":
        return image.convert("RGB")
    known = _lab() if profile is None else _opened(profile)
    space = _space(known)
    if image.mode == "L" and space == "RGB":
        image = image.convert("RGB")
    if space != SPACES[image.mode]:
        raise BadProfile(f"it is for {space}")
    try:
        transform = ImageCms.buildTransform(known, _srgb(), image.mode, "RGB")
        converted = Image.new("RGB", image.size)
        transform.apply(image, converted)
        return converted
    except (ImageCms.PyCMSError, ValueError, OSError) as error:
        raise BadProfile(str(error)) from error


def from_srgb(colours: NDArray[np.uint8], profile: bytes) -> NDArray[np.uint8]:
    """Colours (H, W, 3) in sRGB as a profile for RGB says them.

    Raises:
        BadProfile: as `to_srgb`.
        NoWayBack: it cannot.
    """
    known = _opened(profile)
    try:
        transform = ImageCms.buildTransform(_srgb(), known, "RGB", "RGB")
        return np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    except (ImageCms.PyCMSError, ValueError, OSError) as error:
        raise NoWayBack(str(error)) from error


def is_srgb(profile: bytes) -> bool:
    """Whether a profile for RGB means sRGB, whatever it is called.

    Raises:
        BadProfile: as `to_srgb` and `from_srgb`.
    """
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    there = np.asarray(to_srgb(Image.fromarray(probe), profile)).astype(int)
    back = from_srgb(probe, profile).astype(int)
    return bool(np.abs(there - probe).max() <= STEP and np.abs(back - probe).max() <= STEP)


def is_for_rgb(profile: bytes) -> bool:
    """Whether it is for RGB, so that a PNG with colours can carry it.

    Raises:
        BadProfile: it is damaged.
    """
    return _space(_opened(profile)) == "RGB"


@cache
def srgb_profile() -> bytes:
    """An ICC profile of sRGB, for images whose own profile cannot be written back."""
    return _srgb().tobytes()


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _lab() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))


def _space(profile: ImageCms.ImageCmsProfile) -> str:
    """What kind of colours a profile is for, in ICC's words."""
    try:
        return str(profile.profile.xcolor_space).strip()
    except UnicodeDecodeError as error:
        raise BadProfile(str(error)) from error


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (ImageCms.PyCMSError, ValueError, OSError, TypeError) as error:
        raise BadProfile(str(error)) from error
