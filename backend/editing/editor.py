"""Set an image once, then ask where instructions apply and edit there, as often as wanted; or ask
and edit several images together.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.counts import check_counts
from backend.errors import BadInput, check_instruction, check_settings, check_value, given_once
from backend.pictures import boxes
from protocol.corrections import Correction
from protocol.settings import (
    EditSettings,
    MapSettings,
    PictureMapSettings,
    RegionSettings,
    SpeedSettings,
    Threshold,
    taken,
)
from protocol.values import Box, Detail, Normalisation

from .crop import around
from .denoising import conditions, edit_all
from .encoded_image import EncodedImage, check_image, check_mask, extent
from .guided_edit import Step
from .image_editor import Edit
from .models.compiled import compile_network
from .models.denoiser import Denoiser, ModelCard
from .models.registry import load_model
from .noises import drawn_noises, given_noise
from .relevance import CloserLook, RelevanceMap, relevance_maps
from .snapping import Where, snapped_at
from .work import Parts, Shown, Work, image_batches, places


class Editor:
    """Local edits of images by text instructions ("Watch Your Steps", section 4). Satisfies
    `ImageEditor`.

    Attributes:
        model: what predicts the noise.
    """

    def __init__(self, model: Denoiser) -> None:
        self.model = model
        self._parts: Parts | None = None
        self._shown: Shown | None = None
        """What `preview` shows."""

    @classmethod
    def from_pretrained(
        cls, model: str = "auto", device: str = "auto", dtype: str = "auto", compiled: bool = False
    ) -> Self:
        """Load a model: a hub id, a folder, "demo" or "auto"; see `load_model`.

        Args:
            model, device, dtype: which, where, and in which precision.
            compiled: whether its U-Net is, when it is first run (see `compile_network`).

        Raises:
            ModelNotFound: there is no such model, or it is not of this format.
            ValueError: no such device or dtype, or nothing that can be compiled.
        """
        loaded = load_model(model, device, dtype)
        if compiled:
            compile_network(loaded)
        return cls(loaded)

    @property
    def card(self) -> ModelCard:
        """What is to be known about the model."""
        return self.model.card

    def set_image(self, image: NDArray[np.uint8], work_size: int | None = None) -> None:
        """The image that `relevance` and `edit` work on until another is set. What they need of it
        is encoded once.

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
        check_image(image)
        size, known = work_size or self.card.native_size, self._parts
        if known is None or known.size != size or not np.array_equal(known.image, image):
            self._parts, self._shown = Parts(image.copy(), size, self.model), None

    def relevance(
        self,
        instruction: str,
        noise_level: float = MapSettings.noise_level,
        seeds: Sequence[int] = MapSettings.relevance_seeds,
        noise: NDArray[np.float32] | None = None,
        normalisation: Normalisation = MapSettings.normalisation,
        closer: bool = PictureMapSettings.closer,
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
            closer: whether a part around the region at the suggested threshold is looked at a
                second time, where the networks see it larger there than in the whole image; not
                with a noise that is handed in.
            on_draw: called as noises are done, with the number of the last one from 0 and how
                many there are at most; what it raises ends the work.
            settings: all of noise level, seeds, normalisation and closer, in their place.

        Raises:
            RuntimeError: no image was set.
            ValueError: a value is out of range or given twice, or the noise has another shape.
            FloatingPointError: the networks overflowed.
        """
        check_instruction(instruction)
        single = PictureMapSettings(
            noise_level=noise_level,
            # a noise that is handed in has no seed
            relevance_seeds=tuple(seeds) if noise is None else MapSettings.relevance_seeds,
            normalisation=normalisation,
            closer=closer,
        )
        asked = taken(PictureMapSettings, given_once(settings, single))
        check_settings(asked)
        parts, draws = self._set(), len(asked.relevance_seeds)
        scaled_down = parts.whole.shape != parts.image.shape[:2]
        looks = 2 if asked.closer and scaled_down and noise is None else 1
        if noise is not None:
            noises, draws = given_noise(noise, parts.encoded()), 1
        else:
            noises = drawn_noises(asked.relevance_seeds, parts.encoded())

        def tell(draw: int, _: int) -> None:
            if on_draw is not None:
                on_draw(draw, looks * draws)

        found = self._look(instruction, parts.encoded(), noises, asked, tell)
        height, width = parts.image.shape[:2]
        region = found.at(height, width) >= found.suggested_threshold
        if looks == 1 or not region.any():
            return found
        window = around(boxes.bounds(region), region.shape, self.card, parts.size, "sharp")
        if window == parts.whole:
            return found
        again = self._look(
            instruction,
            parts.encoded(window),
            drawn_noises(asked.relevance_seeds, parts.encoded(window)),
            asked,
            lambda draw, count: tell(draws + draw, count),
        )
        return replace(found, closer=CloserLook(*window.box.ends(height, width), again))

    def _look(
        self,
        instruction: str,
        encoded: EncodedImage,
        noises: Tensor,
        settings: MapSettings,
        on_draw: Callable[[int, int], None],
    ) -> RelevanceMap:
        """The map of one image as the networks see it, with noises (S, c, h, w)."""
        (found,) = relevance_maps(
            self.model,
            encoded.encoding.latents,
            conditions(self.model, [encoded], instruction),
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
        for batch in image_batches(images, self.card, len(seeds)):
            needed = [number for number in batch if wanted is None or number in wanted]
            if not needed:
                continue
            encoded = [self._whole(image) for image in images[batch.start : batch.stop]]
            before = batch.start * len(seeds)

            def after_batch(draw: int, _: int, before: int = before) -> None:
                if on_draw is not None:
                    on_draw(before + draw, total)

            maps = relevance_maps(
                self.model,
                torch.cat([one.encoding.latents for one in encoded]),
                conditions(self.model, encoded, instruction),
                drawn_noises(seeds, encoded[0]),
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
        detail: Detail = EditSettings.detail,
        rim: float = EditSettings.rim,
        noise: NDArray[np.float32] | None = None,
        relevance: RelevanceMap | None = None,
        mask: NDArray[np.bool_] | None = None,
        start: NDArray[np.uint8] | None = None,
        crop: Box | None = None,
        on_step: Callable[[Step], None] | None = None,
        settings: EditSettings | None = None,
        things: NDArray[np.integer] | None = None,
        region: RegionSettings = RegionSettings(),
        speed: SpeedSettings = SpeedSettings(),
        correction: Correction = Correction(),
    ) -> Edit:
        """Edit the image that was set where the instruction applies (Eq. 1, 4 and 5).

        Args:
            instruction: what to change.
            threshold: 0..1, relevance from which a pixel is edited; 0 edits all; None takes the
                suggestion of the snapped map.
            text_guidance, image_guidance: s_T and s_I of Eq. 1, at least 0; None for what the
                model is best used with.
            steps: denoising steps, at least 1; always exactly so many.
            strength: 0 < strength <= 1, the noise level that the edit starts from.
            seed: fixes the noise and so the result on a given device.
            detail: which part of the image is worked on, and at which size: "sharp", "fast",
                "tiles" or "whole", as protocol/values.py says.
            rim: pixels over which the region's edge is soft, half of them on each side.
            noise: float32 (c, h, w) at the size of the latents that are denoised, in place of the
                seed's own draw; that of the whole image's with detail="whole".
            relevance: a map from `relevance`, in place of the one with its defaults.
            mask: bool (H, W) to edit inside, in place of the thresholded map, which is
                `snapped.values >= threshold`: one and the same mask, from wherever it comes, gives
                one and the same edit.
            start: uint8 (H, W, 3), what is noised to `strength` in place of the image that was
                set, which stays the condition and what is outside the mask (dataset update).
            crop: the part to work on, in place of one that `detail` says; nothing outside it is
                edited.
            on_step: called after every step; what it raises ends the edit and nothing is changed.
            settings: all of both guidances, steps, strength, seed, detail and rim, in their place.
            things: whole numbers (H, W), 0..65535, each pixel's thing, for a region of whole
                things; None where none are known.
            region: how the map becomes the mask.
            speed: what makes it faster at some cost; by default nothing does.
            correction: what a person has corrected of the mask that the map gives.

        Raises:
            RuntimeError: no image was set.
            ValueError: a value is out of range or given twice, noise, map, mask, start or things
                have another shape, or the crop is not inside the image or holds nothing of the
                mask.
            FloatingPointError: the networks overflowed.
        """
        check_instruction(instruction)
        single = EditSettings(
            text_guidance=text_guidance,
            image_guidance=image_guidance,
            steps=steps,
            strength=strength,
            seed=seed,
            detail=detail,
            rim=rim,
        )
        settings = given_once(settings, single)
        check_settings(settings)
        check_settings(speed)
        where = self._where(instruction, threshold, relevance, mask, region, things, correction)
        seeds = (settings.seed,)
        (edit,) = self._edited(
            instruction, where, seeds, settings, speed, noise, start, crop, on_step
        )
        return edit

    def edit_seeds(
        self,
        instruction: str,
        seeds: Sequence[int],
        threshold: float | None = None,
        *,
        settings: EditSettings = EditSettings(),
        relevance: RelevanceMap | None = None,
        mask: NDArray[np.bool_] | None = None,
        crop: Box | None = None,
        on_step: Callable[[Step], None] | None = None,
        things: NDArray[np.integer] | None = None,
        region: RegionSettings = RegionSettings(),
        speed: SpeedSettings = SpeedSettings(),
    ) -> list[Edit]:
        """What `edit` makes of the image that was set with each of several seeds, in one batch: the
        image is encoded and its region found once. Memory grows with the number of seeds.

        Args:
            seeds: of the edits, at least one; that of the settings is not used.
            instruction, threshold, settings, relevance, mask, crop, on_step, things, region, speed:
                as in `edit`.

        Returns:
            An edit for each seed.

        Raises:
            RuntimeError, ValueError, FloatingPointError: as `edit`, or there is no seed.
        """
        check_instruction(instruction)
        if not seeds:
            raise BadInput("Give one seed at least.")
        for seed in seeds:
            check_settings(replace(settings, seed=seed))
        check_settings(speed)
        where = self._where(instruction, threshold, relevance, mask, region, things)
        return self._edited(instruction, where, seeds, settings, speed, None, None, crop, on_step)

    def _where(
        self,
        instruction: str,
        threshold: float | None,
        relevance: RelevanceMap | None,
        mask: NDArray[np.bool_] | None,
        region: RegionSettings,
        things: NDArray[np.integer] | None,
        correction: Correction = Correction(),
    ) -> Where:
        """Where the image that was set is edited, as `edit` is asked for it."""
        check_value(Threshold | None, threshold)
        parts = self._set()
        if mask is not None:
            where = Where(mask)
        else:
            relevance = self.relevance(instruction) if relevance is None else relevance
            covered = extent(self.card, parts.whole.shape)
            where = snapped_at(
                threshold, relevance, covered, parts.image, region, things, correction
            )
        check_mask(where.mask, parts.image)
        return where

    def _edited(
        self,
        instruction: str,
        where: Where,
        seeds: Sequence[int],
        settings: EditSettings,
        speed: SpeedSettings,
        noise: NDArray[np.float32] | None,
        start: NDArray[np.uint8] | None,
        crop: Box | None,
        on_step: Callable[[Step], None] | None,
    ) -> list[Edit]:
        """The image that was set, edited inside a mask with each seed; the rest is as in `edit`."""
        parts = self._set()
        edited = [parts.image.copy() for _ in seeds]
        if not where.mask.any():
            return [where.outcome(parts.image, own, where.mask, ()) for own in edited]
        together = noise is not None
        found = places(where.mask, self.card, parts.size, settings, crop, together)
        works = [
            Work(parts, place, own, seed, settings.strength, start)
            for seed, own in zip(seeds, edited, strict=True)
            for place in found
        ]
        given = None if noise is None else given_noise(noise, works[0].encoded)
        edit_all(
            self.model, instruction, works, len(seeds), settings, speed, self._show, on_step, given
        )
        mask = np.logical_or.reduce([place.mask for place in found])
        windows = tuple(place.window for place in found)
        return [where.outcome(parts.image, own, mask, windows) for own in edited]

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
        speed: SpeedSettings = SpeedSettings(),
    ) -> list[NDArray[np.uint8]]:
        """What `edit` makes of each of B images of one size, all in one batch.

        Args:
            instruction: as in `edit`, the same for all.
            images: uint8 (H, W, 3) each; the image that was set stays.
            masks, starts, strengths, seeds: as in `edit`, one for each image.
            settings: as in `edit`, but for strength and seed, the same for all.
            on_step: called after every step of each batch; what it raises ends the edits. Images
                whose crops are worked on at one size are one batch; their steps are counted on
                from those of the batches before.
            speed: as in `edit`.

        Returns:
            uint8 (H, W, 3) for each image, the edited one; outside its mask, and the rim around
            it, it has the image's bytes.

        Raises:
            ValueError: a value is out of range or missing, an array has another shape, or the
                images are not of one size.
        """
        check_instruction(instruction)
        for strength in strengths:
            check_settings(replace(settings, strength=strength))
        check_settings(speed)
        if any(len(given) != len(images) for given in (masks, starts, strengths, seeds)):
            raise ValueError("Every image needs a mask, a start, a strength and a seed of its own.")
        if not images:
            return []
        if len({image.shape for image in images}) > 1:
            raise ValueError("Images that are edited together must have the same size.")
        size, works = self.card.native_size, []
        edited = [image.copy() for image in images]
        for image, own, mask, seed, strength, start in zip(
            images, edited, masks, seeds, strengths, starts, strict=True
        ):
            check_image(image)
            check_mask(mask, image)
            if mask.any():
                parts = Parts(image, size, self.model)
                works += [
                    Work(parts, place, own, seed, strength, start)
                    for place in places(mask, self.card, size, settings)
                ]
        count = len(images)
        edit_all(self.model, instruction, works, count, settings, speed, self._show, on_step)
        return edited

    def _show(self, works: Sequence[Work]) -> None:
        self._shown = Shown(works)

    def round_trip(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3): the image that was set, only encoded and decoded."""
        encoded = self._set().encoded()
        with torch.inference_mode():
            return encoded.decoded(self.model, encoded.encoding.latents)

    def preview(self, step: Step) -> NDArray[np.uint8]:
        """A small uint8 (h, w, 3) look at what a step of the last edit predicts, without decoding
        it, in its place in the whole image.

        Latents are turned into colours by the linear map that fits the input image best.
        """
        if self._shown is None:
            raise RuntimeError("There is no edit to preview: its steps are shown as they are done.")
        return self._shown.preview(step.prediction)

    def _whole(self, image: NDArray[np.uint8]) -> EncodedImage:
        """All of an image as the networks see it."""
        check_image(image)
        return Parts(image, self.card.native_size, self.model).encoded()

    def _set(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("Set an image first: editor.set_image(image).")
        return self._parts
