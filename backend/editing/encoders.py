"""What puts pictures and texts into one space: a CLIP of transformers, from the hub or a folder, or
the small one of the demo world.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import CLIPModel, CLIPProcessor

from backend.editing.models.registry import hub_has, resolve_device
from backend.errors import BadInput

WORLD_CLIP = Path(__file__).parents[1] / "demo" / "clip"
DEMO = "demo"
PAPERS_CLIP = "openai/clip-vit-large-patch14"
"""That of Brooks et al. and of most comparisons since."""
CONFIG = "config.json"
AT_ONCE = 16

Picture = NDArray[np.uint8]
Embeddings = NDArray[np.float32]


class Encoder(Protocol):
    """Pictures and texts as directions in one space."""

    name: str
    """as tables and reports name it"""

    def images(self, pictures: Sequence[Picture]) -> Embeddings:
        """Embeddings float32 (N, d) of length 1 of pictures uint8 (H, W, 3), RGB."""
        ...

    def texts(self, texts: Sequence[str]) -> Embeddings:
        """Embeddings float32 (N, d) of length 1."""
        ...


class ClipEncoder:
    """A CLIPModel with its own preprocessing, on one device. Texts are cut at the model's length.

    `images_as_they_are` and `texts_as_they_are` give what the networks give, before it is brought
    to length 1.
    """

    def __init__(self, name: str, model: CLIPModel, tokenizer: Any, image_processor: Any) -> None:
        self.name = name
        self._model, self._tokenizer, self._processor = model, tokenizer, image_processor

    def images(self, pictures: Sequence[Picture]) -> Embeddings:
        """See `Encoder`."""
        return normalised(self.images_as_they_are(pictures))

    def texts(self, texts: Sequence[str]) -> Embeddings:
        """See `Encoder`."""
        return normalised(self.texts_as_they_are(texts))

    @torch.inference_mode()
    def images_as_they_are(self, pictures: Sequence[Picture]) -> Embeddings:
        """Projected image features, float32 (N, d)."""
        found = []
        for start in range(0, len(pictures), AT_ONCE):
            inputs = self._processor(list(pictures[start : start + AT_ONCE]), return_tensors="pt")
            pixels = inputs["pixel_values"].to(self._model.device, self._model.dtype)
            seen = self._model.vision_model(pixel_values=pixels).pooler_output
            found.append(self._model.visual_projection(seen).float().cpu().numpy())
        return np.concatenate(found)

    def features(self, pixels: Tensor) -> Tensor:
        """As `images`, float32 (B, d) of float32 (B, 3, H, W) in 0..1, with a gradient to these.
        They are squeezed to the square that the network takes, and not cropped to it.
        """
        return self.looked_at(pixels)[0]

    def looked_at(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the tokens (B, t, width) that the network has half of the way."""
        side = self._model.config.vision_config.image_size
        square = functional.interpolate(pixels, (side, side), mode="bicubic", antialias=True)
        mean, deviation = (
            torch.tensor(channels, device=pixels.device).view(1, 3, 1, 1)
            for channels in (self._processor.image_mean, self._processor.image_std)
        )
        seen = self._model.vision_model(
            pixel_values=(square.clamp(0, 1) - mean) / deviation, output_hidden_states=True
        )
        embedded = self._model.visual_projection(seen.pooler_output)
        layers = seen.hidden_states
        return functional.normalize(embedded, dim=-1), layers[len(layers) // 2]

    @torch.inference_mode()
    def texts_as_they_are(self, texts: Sequence[str]) -> Embeddings:
        """Projected text features, float32 (N, d)."""
        found = []
        for start in range(0, len(texts), AT_ONCE):
            inputs = self._tokenizer(
                list(texts[start : start + AT_ONCE]),
                padding=True,
                truncation=True,
                return_tensors="pt",
            ).to(self._model.device)
            read = self._model.text_model(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
            ).pooler_output
            found.append(self._model.text_projection(read).float().cpu().numpy())
        return np.concatenate(found)


def normalised(embeddings: Embeddings) -> Embeddings:
    """Rows of length 1."""
    return embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)


def find_encoder(clip: str) -> tuple[str, str]:
    """The name of a CLIP for people, and where it is read from; args and errors as of
    `load_encoder`.
    """
    name, place = ("world CLIP", WORLD_CLIP) if clip == DEMO else (clip, Path(clip).expanduser())
    if not (place / CONFIG).is_file():
        is_hub_id = clip.count("/") == 1 and not clip.startswith((".", "~", "/"))
        if place.is_dir() or not is_hub_id or not hub_has(clip, CONFIG):
            raise BadInput(
                f"{clip} is no CLIP that can be had here: give a folder with one in transformers' "
                f"format, a hub id such as {PAPERS_CLIP} and the network that it takes, or {DEMO}."
            )
    return name, str(place) if (place / CONFIG).is_file() else clip


def load_encoder(clip: str, device: str = "auto") -> ClipEncoder:
    """A CLIP by hub id or folder, or "demo" for that of the demo world, in float32.

    Raises:
        BadInput: there is no CLIP of transformers there, or it cannot be had.
    """
    name, source = find_encoder(clip)
    transformers.utils.logging.disable_progress_bar()
    try:
        model = CLIPModel.from_pretrained(source, dtype=torch.float32)
        processor = CLIPProcessor.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise BadInput(f"{source} cannot be loaded as a CLIP: {error}") from error
    model = model.to(resolve_device(device)).eval().requires_grad_(False)
    return ClipEncoder(name, model, processor.tokenizer, processor.image_processor)
