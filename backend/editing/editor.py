"""Set an image once, then ask where instructions apply and edit there, as often as wanted; or ask
and edit several images together.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.counts import check_counts
from backend.errors import BadInput, check_instruction, check_settings, check_value
from backend.pictures import unchanged
from protocol.settings import EditSettings, MapSettings, Threshold
from protocol.values import Normalisation

from .encoded_image import EncodedImage, padded, work_image, work_shape
from .guided_edit import Step, guided_edit
from .image_editor import Edit
from .models.denoiser import Conditions, Denoiser, ModelCard, draw_noise
from .models.registry import load_model
from .relevance import (
    RelevanceMap,
    images_at_once,
    relevance_maps,
)

Settings = TypeVar("Settings", EditSettings, MapSettings)


class Editor:
    """Local edits of images by text instructions ("Watch Your Steps", section 4). Satisfies
    `ImageEditor`.

    Attributes:
        model: what predicts the noise.
    """

    def __init__(self, model: Denoiser) -> None:
        self.model = model
        self._encoded: EncodedImage | None = None

    @classmethod
    def from_pretrained(
        cls, model: str = "auto", device: str = "auto", dtype: str = "auto"
    ) -> Self:
        """Load a model: a hub id, a folder, "demo" or "auto"; see `load_model`.

        Raises:
            ModelNotFound: there is no such model, or it is not of this format.
            ValueError: no such device or dtype.
        """
        return cls(load_model(model, device, dtype))

    @property
    def card(self) -> ModelCard:
        """What is to be known about the model."""
        return self.model.card

    def set_image(self, image: NDArray[np.uint8], work_size: int | None = None) -> None:
        """Encode an image; `relevance` and `edit` work on it until another is set.

        An image whose short side is longer than `work_size` is worked on scaled down to it
        (maps, masks and edits come back at the image's own size); smaller ones are never scaled.
        Setting the same image again costs nothing.

        Args:
            image: uint8 (H, W, 3), sRGB, any size.
            work_size: pixels of the short side that the networks see at most; by default the size
                that the model was trained at.

        Raises:
            ValueError: the array is not such an image, or the work size is below 1.
        """
        if work_size is not None:
            check_counts(work_size=work_size)
        shape, known = work_shape(self.card, image, work_size), self._encoded
        if known is None or known.work_shape != shape or not np.array_equal(known.image, image):
            self._encoded = self._encode(image, shape)

    def relevance(
        self,
        instruction: str,
        noise_level: float = MapSettings.noise_level,
        seeds: Sequence[int] = MapSettings.relevance_seeds,
        noise: NDArray[np.float32] | None = None,
        normalisation: Normalisation = MapSettings.normalisation,
        on_draw: Callable[[int, int], None] | None = None,
        settings: MapSettings | None = None,
    ) -> RelevanceMap:
        """Where the instruction applies in the image that was set (Eq. 2 and 3).

        Args:
            instruction: such as "turn the bear into a panda".
            noise_level: 0..1, share of the diffusion's steps up to which the image is noised.
            seeds: noise seeds, at least one; the raw differences are averaged over them.
            noise: float32 (c, h, w) at the size of the latents, in place of the seeds' own draws.
            normalisation: "paper" (Eq. 3) or "full" (its clamp left out).
            on_draw: called as noises are done, with the number of the last one from 0 and how
                many there are; what it raises ends the work.
            settings: all of noise level, seeds and normalisation, in their place.

        Raises:
            RuntimeError: no image was set.
            ValueError: a value is out of range or given twice, or the noise has another shape.
            FloatingPointError: the networks overflowed.
        """
        check_instruction(instruction)
        single = MapSettings(
            noise_level=noise_level,
            # a noise that is handed in has no seed
            relevance_seeds=tuple(seeds) if noise is None else MapSettings.relevance_seeds,
            normalisation=normalisation,
        )
        settings = _given_once(settings, single)
        check_settings(settings)
        encoded = self._image()
        noises = (
            self._noises(settings.relevance_seeds, encoded)
            if noise is None
            else self._given(noise, encoded)
        )
        (found,) = relevance_maps(
            self.model,
            encoded.encoding.latents,
            self._conditions([encoded], instruction),
            noises,
            settings.noise_level,
            settings.normalisation,
            encoded.extent,
            on_draw,
        )
        return found

    def relevance_of_images(
        self,
        instruction: str,
        images: Sequence[NDArray[np.uint8]],
        settings: MapSettings = MapSettings(),
        wanted: Sequence[int] | None = None,
        on_draw: Callable[[int, int], None] | None = None,
    ) -> Iterator[tuple[int, RelevanceMap]]:
        """The maps that `relevance` finds in several images, neighbours of one size in one batch.

        Args:
            instruction, settings: as in `relevance`.
            images: uint8 (H, W, 3) each; the image that was set stays.
            wanted: numbers of the images whose maps are needed, all by default. What is computed in
                one batch depends on `images` alone, so that a map is the same bit for bit whichever
                others are wanted with it.
            on_draw: called as noised images are done, with the number of the last one from 0 and
                how many there are, those of maps that are not wanted among them; what it raises
                ends the work.

        Yields:
            The number of a wanted image and its map, in the images' order, batch by batch.

        Raises:
            ValueError: a value is out of range, or an array is no such image.
        """
        check_instruction(instruction)
        check_settings(settings)
        seeds = settings.relevance_seeds
        total = len(images) * len(seeds)
        for batch in self._batches(images, len(seeds)):
            needed = [number for number in batch if wanted is None or number in wanted]
            if not needed:
                continue
            encoded = [self._encode(image) for image in images[batch.start : batch.stop]]
            before = batch.start * len(seeds)

            def after_batch(draw: int, _: int, before: int = before) -> None:
                if on_draw is not None:
                    on_draw(before + draw, total)

            maps = relevance_maps(
                self.model,
                torch.cat([one.encoding.latents for one in encoded]),
                self._conditions(encoded, instruction),
                self._noises(seeds, encoded[0]),
                settings.noise_level,
                settings.normalisation,
                encoded[0].extent,
                after_batch,
            )
            for number in needed:
                yield number, maps[number - batch.start]

    def edit(
        self,
        instruction: str,
        threshold: float | None = None,
        text_guidance: float | None = None,
        image_guidance: float | None = None,
        steps: int = EditSettings.steps,
        strength: float = EditSettings.strength,
        seed: int = EditSettings.seed,
        noise: NDArray[np.float32] | None = None,
        relevance: RelevanceMap | None = None,
        mask: NDArray[np.bool_] | None = None,
        start: NDArray[np.uint8] | None = None,
        on_step: Callable[[Step], None] | None = None,
        settings: EditSettings | None = None,
    ) -> Edit:
        """Edit the image that was set where the instruction applies (Eq. 1, 4 and 5).

        Args:
            instruction: what to change.
            threshold: 0..1, relevance from which a pixel is edited; 0 edits all; None takes the
                map's own suggestion.
            text_guidance, image_guidance: s_T and s_I of Eq. 1, at least 0; None for what the
                model is best used with.
            steps: denoising steps, at least 1; always exactly so many.
            strength: 0 < strength <= 1, the noise level that the edit starts from.
            seed: fixes the noise and so the result on a given device.
            noise: float32 (c, h, w) at the size of the latents, in place of the seed's own draw.
            relevance: a map from `relevance`, in place of the one with its defaults.
            mask: bool (H, W) to edit inside, in place of the thresholded map, which is
                `relevance.at(H, W) >= threshold`: one and the same mask, from wherever it comes,
                gives one and the same edit.
            start: uint8 (H, W, 3), what is noised to `strength` in place of the image that was
                set, which stays the condition and what is outside the mask (dataset update).
            on_step: called after every step; what it raises ends the edit and nothing is changed.
            settings: all of both guidances, steps, strength and seed, in their place.

        Raises:
            RuntimeError: no image was set.
            ValueError: a value is out of range or given twice, or noise, map, mask or start have
                another shape.
            FloatingPointError: the networks overflowed.
        """
        check_instruction(instruction)
        single = EditSettings(
            text_guidance=text_guidance,
            image_guidance=image_guidance,
            steps=steps,
            strength=strength,
            seed=seed,
        )
        settings = _given_once(settings, single)
        check_settings(settings)
        check_value(Threshold | None, threshold)
        encoded = self._image()
        start_latents = None if start is None else self._encode_start(start, encoded)
        if mask is not None:
            relevance = threshold = None
        else:
            relevance = self.relevance(instruction) if relevance is None else relevance
            threshold = relevance.suggested_threshold if threshold is None else threshold
            mask = _thresholded(relevance, threshold, encoded)
        (edited,) = self._edit_inside(
            instruction,
            [encoded],
            [mask],
            self._noises((settings.seed,), encoded)
            if noise is None
            else self._given(noise, encoded),
            start_latents,
            (settings.strength,),
            settings,
            on_step,
        )
        values = None if relevance is None else relevance.values
        sentence = unchanged(encoded.image, edited, mask, threshold, values)
        return Edit(edited, mask, relevance, threshold, sentence)

    def edit_images(
        self,
        instruction: str,
        images: Sequence[NDArray[np.uint8]],
        masks: Sequence[NDArray[np.bool_]],
        starts: Sequence[NDArray[np.uint8]],
        strengths: Sequence[float],
        seeds: Sequence[int],
        settings: EditSettings = EditSettings(),
        on_step: Callable[[Step], None] | None = None,
    ) -> list[NDArray[np.uint8]]:
        """What `edit` makes of each of B images of one size, all in one batch.

        Args:
            instruction: as in `edit`, the same for all.
            images: uint8 (H, W, 3) each; the image that was set stays.
            masks, starts, strengths, seeds: as in `edit`, one for each image.
            settings: as in `edit`, but for strength and seed, the same for all.
            on_step: called after every step of the batch; what it raises ends the edits.

        Returns:
            uint8 (H, W, 3) for each image, the edited one; outside its mask it has the image's
            bytes.

        Raises:
            ValueError: a value is out of range or missing, an array has another shape, or the
                images are not of one size.
        """
        check_instruction(instruction)
        for strength in strengths:
            check_settings(replace(settings, strength=strength))
        if any(len(given) != len(images) for given in (masks, starts, strengths, seeds)):
            raise ValueError("Every image needs a mask, a start, a strength and a seed of its own.")
        if not images:
            return []
        if len({image.shape for image in images}) > 1:
            raise ValueError("Images that are edited together must have the same size.")
        encoded = [self._encode(image) for image in images]
        return self._edit_inside(
            instruction,
            encoded,
            masks,
            self._noises(seeds, encoded[0]),
            torch.cat([self._encode_start(s, one) for s, one in zip(starts, encoded, strict=True)]),
            strengths,
            settings,
            on_step,
        )

    def _edit_inside(
        self,
        instruction: str,
        encoded: Sequence[EncodedImage],
        masks: Sequence[NDArray[np.bool_]],
        noises: Tensor,
        start: Tensor | None,
        strengths: Sequence[float],
        settings: EditSettings,
        on_step: Callable[[Step], None] | None,
    ) -> list[NDArray[np.uint8]]:
        """B edited images, uint8 (H, W, 3): denoised in the latents' cells with any pixel of their
        masks, bool (H, W), and put in at these pixels. The rest is as in `guided_edit`.
        """
        cells = [one.cells(mask) for mask, one in zip(masks, encoded, strict=True)]
        if not any(mask.any() for mask in masks):
            return [one.image.copy() for one in encoded]
        latents = guided_edit(
            self.model,
            torch.cat([one.encoding.latents for one in encoded]),
            self._conditions(encoded, instruction),
            torch.from_numpy(np.stack(cells)).to(noises.device)[:, None],
            noises,
            guidance=self.card.guidance.resolved(settings),
            steps=settings.steps,
            strengths=strengths,
            start=start,
            on_step=on_step,
        )
        return [
            np.where(mask[..., None], self._decode(edited, one), one.image)
            for edited, mask, one in zip(latents.split(1), masks, encoded, strict=True)
        ]

    def round_trip(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3): the image that was set, only encoded and decoded."""
        encoded = self._image()
        return self._decode(encoded.encoding.latents, encoded)

    def preview(self, step: Step) -> NDArray[np.uint8]:
        """A small uint8 (h, w, 3) look at what a step predicts, without decoding it.

        Latents are turned into colours by the linear map that fits the input image best.
        """
        return self._image().preview(step.prediction[0])

    @torch.inference_mode()
    def _encode(
        self, image: NDArray[np.uint8], shape: tuple[int, int] | None = None
    ) -> EncodedImage:
        """An image as the networks see it, by default worked on at its own `work_shape`."""
        return EncodedImage.of(self.model, image, shape or work_shape(self.card, image))

    @torch.inference_mode()
    def _encode_start(self, start: NDArray[np.uint8], encoded: EncodedImage) -> Tensor:
        """(1, c, h, w) latents of what an image's edit starts from."""
        if start.dtype != np.uint8 or start.shape != encoded.image.shape:
            raise BadInput(
                f"The start must be uint8 of shape {encoded.image.shape}, not {start.dtype} "
                f"{start.shape}."
            )
        work = work_image(self.card, start, encoded.work_shape)
        latents = self.model.encode(work).latents
        self.card.check_numbers(latents)
        return latents

    @torch.inference_mode()
    def _decode(self, latents: Tensor, encoded: EncodedImage) -> NDArray[np.uint8]:
        """Latents (1, c, h, w) to an image of the size of the one that was encoded."""
        return encoded.decoded(self.model, latents)

    @torch.inference_mode()
    def _conditions(self, encoded: Sequence[EncodedImage], instruction: str) -> list[Conditions]:
        return [one.conditions(self.model, instruction) for one in encoded]

    def _batches(self, images: Sequence[NDArray[np.uint8]], seeds: int) -> Iterator[range]:
        """Numbers of neighbouring images of one size, as many as are noised in one batch."""
        first, card = 0, self.card
        while first < len(images):
            sides = padded(card, work_shape(card, images[first]))
            cells = math.prod(side // card.cell for side in sides)
            last, end = min(first + images_at_once(cells, seeds), len(images)), first + 1
            while end < last and images[end].shape == images[first].shape:
                end += 1
            yield range(first, end)
            first = end

    def _image(self) -> EncodedImage:
        if self._encoded is None:
            raise RuntimeError("Set an image first: editor.set_image(image).")
        return self._encoded

    def _noises(self, seeds: Sequence[int], encoded: EncodedImage) -> Tensor:
        """(S, c, h, w) standard normal, each seed's own draw at the size of an image's latents."""
        return torch.cat([draw_noise(seed, encoded.encoding.latents) for seed in seeds])

    def _given(self, noise: NDArray[np.float32], encoded: EncodedImage) -> Tensor:
        """(1, c, h, w) of a noise that was handed in for an image."""
        latents = encoded.encoding.latents
        shape = tuple(latents.shape[1:])
        if noise.shape != shape:
            raise BadInput(f"The noise must have the shape {shape}, not {noise.shape}.")
        if not np.isfinite(noise).all():
            raise BadInput("The noise holds values that are no numbers.")
        return torch.from_numpy(noise.astype(np.float32))[None].to(latents.device)


def _thresholded(
    relevance: RelevanceMap, threshold: float, encoded: EncodedImage
) -> NDArray[np.bool_]:
    """The mask of an image, bool (H, W), from its map."""
    if relevance.extent != encoded.extent:
        raise BadInput("The relevance map belongs to an image of another size.")
    height, width = encoded.image.shape[:2]
    return relevance.at(height, width) >= threshold


def _given_once(settings: Settings | None, single: Settings) -> Settings:
    """The settings of a call that takes them as an object or one by one.

    Raises:
        BadInput: they are given both ways.
    """
    if settings is None:
        return single
    if single != type(single)():
        raise BadInput("Give settings as one object or one by one, not both.")
    return settings
