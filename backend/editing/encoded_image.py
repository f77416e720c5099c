"""Pictures of any size beside the latents of a model that wants whole cells."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from backend.errors import BadInput, check_array

from .models.denoiser import Conditions, Denoiser, Encoding, ModelCard

MAX_CACHED_CONDITIONS = 64


@dataclass(frozen=True)
class EncodedImage:
    """An image as the networks see it.

    Attributes:
        image: uint8 (H, W, 3), as it was given; not a copy.
        work_shape: rows and columns that it was scaled to (its own, where it was small enough).
        encoding: of the scaled image padded to whole cells.
        extent: cells (rows, columns) that the scaled image covers.
        to_rgb: (c + 1, 3) least-squares map from latents and 1 to colours, for previews.
    """

    image: NDArray[np.uint8]
    work_shape: tuple[int, int]
    encoding: Encoding
    extent: tuple[float, float]
    to_rgb: NDArray[np.float32]
    _conditions: dict[str, Conditions] = field(default_factory=dict)

    @classmethod
    def of(
        cls, model: Denoiser, image: NDArray[np.uint8], work_shape: tuple[int, int]
    ) -> "EncodedImage":
        """Encode an image, worked on at `work_shape`.

        Raises:
            FloatingPointError: as `ModelCard.check_numbers`.
        """
        work = work_image(model.card, image, work_shape)
        encoding = model.encode(work)
        model.card.check_numbers(encoding.latents)
        return cls(
            image=image,
            work_shape=work_shape,
            encoding=encoding,
            extent=extent(model.card, work_shape),
            to_rgb=_fit_preview(encoding.latents[0], work),
        )

    def conditions(self, model: Denoiser, instruction: str) -> Conditions:
        """What the model is told of the image and an instruction, made once."""
        known = self._conditions
        if instruction not in known:
            if len(known) >= MAX_CACHED_CONDITIONS:
                known.pop(next(iter(known)))
            known[instruction] = model.conditions(self.encoding, instruction)
        return known[instruction]

    def decoded(self, model: Denoiser, latents: Tensor) -> NDArray[np.uint8]:
        """Latents (1, c, h, w) as an image of the size of this one."""
        decoded = model.decode(latents)[: self.work_shape[0], : self.work_shape[1]]
        return resize(decoded, *self.image.shape[:2])

    def preview(self, latents: Tensor) -> NDArray[np.uint8]:
        """A small uint8 (h, w, 3) look at latents (c, h, w): the linear map that fits the image
        best turns them into colours.
        """
        rows, columns = (int(np.ceil(cells)) for cells in self.extent)
        cells = latents[:, :rows, :columns].permute(1, 2, 0).cpu().numpy()
        colours = cells @ self.to_rgb[:-1] + self.to_rgb[-1]
        preview: NDArray[np.uint8] = (colours.clip(0, 1) * 255).round().astype(np.uint8)
        return preview

    def cells(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """bool (h, w): the latent cells with any pixel of a mask, bool (H, W). The pixels decide
        when all is put together.
        """
        check_mask(mask, self.image)
        height, width = mask.shape
        cells = np.zeros(self.encoding.latents.shape[2:], np.bool_)
        rows, first_rows = _cells_of_pixels(height, self.extent[0])
        columns, first_columns = _cells_of_pixels(width, self.extent[1])
        by_rows = np.logical_or.reduceat(mask, first_rows, axis=0)
        cells[np.ix_(rows, columns)] = np.logical_or.reduceat(by_rows, first_columns, axis=1)
        return cells


def check_image(image: NDArray[np.uint8]) -> None:
    """Raise BadInput where an array is no image."""
    check_array("An image", image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise BadInput(
            f"An image must be uint8 of shape (H, W, 3), not {image.dtype} {image.shape}."
        )


def check_mask(mask: NDArray[np.bool_], image: NDArray[np.uint8]) -> None:
    """Raise BadInput where an array is no mask of an image."""
    check_array("The mask", mask)
    shape = image.shape[:2]
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise BadInput(f"The mask must be bool of shape {shape}, not {mask.dtype} {mask.shape}.")


def extent(card: ModelCard, shape: tuple[int, int]) -> tuple[float, float]:
    """Cells (rows, columns) that an image of this work shape covers."""
    return shape[0] / card.cell, shape[1] / card.cell


def padded(card: ModelCard, shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of an image's work shape with its padding, as the model wants them."""
    height, width = (-(-side // card.multiple) * card.multiple for side in shape)
    return height, width


def work_image(
    card: ModelCard, image: NDArray[np.uint8], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """The image scaled to its work shape and padded."""
    pad = [(0, whole - side) for whole, side in zip(padded(card, shape), shape, strict=True)]
    return np.pad(resize(image, *shape), (*pad, (0, 0)), mode="edge")


def work_pixels(card: ModelCard, pixels: Tensor, shape: tuple[int, int]) -> Tensor:
    """As `work_image`, of pixels float32 (B, 3, H, W) whose gradient it carries on, and also where
    these are scaled up.
    """
    if pixels.shape[2:] != shape:
        pixels = functional.interpolate(pixels, shape, mode="bilinear", antialias=True)
    below, right = (whole - side for whole, side in zip(padded(card, shape), shape, strict=True))
    return functional.pad(pixels, (0, right, 0, below), mode="replicate")


def resize(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The image at (height, width), anti-aliased; the same array where it has that size."""
    if image.shape[:2] == (height, width):
        return image
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized)


def _cells_of_pixels(pixels: int, extent: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cells that a side of so many pixels has pixels in, and the first pixel in each."""
    cells = ((np.arange(pixels) + 0.5) / pixels * extent).astype(int)
    found, first = np.unique(cells, return_index=True)
    return found, first


def _fit_preview(latents: Tensor, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(c + 1, 3) weights and bias that turn latents (c, h, w) into this image's colours."""
    channels, rows, columns = latents.shape
    small = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX))
    cells = latents.permute(1, 2, 0).reshape(-1, channels).cpu().numpy()
    design = np.concatenate([cells, np.ones((len(cells), 1), np.float32)], axis=1)
    solution: NDArray[np.float32] = np.linalg.lstsq(
        design, small.reshape(-1, 3).astype(np.float32) / 255, rcond=None
    )[0]
    return solution
