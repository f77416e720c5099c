"""A model of one's own in some thirty lines: it knows what "turn green into red" means.

    python -m examples.new_model photo.jpg "turn green into red" edited.png

It has no network, but all that maps and edits ask of a model (`Denoiser`): its latents are the
pixels, its noise is that of a flow, and its conditions are the picture as it is and as it should
be. A real model's conditions are embeddings, and its `difference` and `predict` ask a network.
"""

import re
import sys
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from backend.editing import Editor
from backend.editing.models.denoiser import Encoding, Level, ModelCard, Prediction
from backend.editing.models.guidance import Guidance

Pair = tuple[Tensor, Tensor]
CPU, COLOURS = torch.device("cpu"), ("red", "green", "blue")


class ColourSwap:
    """Satisfies `Denoiser`."""

    card = ModelCard(
        name="swap",
        device=CPU,
        dtype=torch.float32,
        native_size=512,
        multiple=1,
        cell=1,
        guidance=Guidance(1, 1),
    )

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """Pixels in -1..1, (1, 3, H, W)."""
        return Encoding(torch.tensor(image).permute(2, 0, 1)[None] / 127.5 - 1)

    def latents(self, pixels: Tensor) -> Tensor:
        """The same of pixels (B, 3, H, W) in 0..1."""
        return pixels * 2 - 1

    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """Back to uint8 (H, W, 3)."""
        return ((latents[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()

    def conditions(self, encoding: Encoding, instruction: str) -> Pair:
        """The picture as it is, and with the two colours swapped that the instruction names."""
        order = [0, 1, 2]
        for names in re.findall(r"(red|green|blue) into (red|green|blue)", instruction):
            one, other = (COLOURS.index(name) for name in names)
            order[one], order[other] = order[other], order[one]
        return encoding.latents, encoding.latents[:, order]

    def levels(self, steps: int, strength: float) -> list[float]:
        """Evenly down from the strength."""
        return [strength * left / steps for left in range(steps, 0, -1)]

    def noised(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """On the straight line from the picture to the noise."""
        share = torch.as_tensor(level, dtype=torch.float32).view(-1, 1, 1, 1)
        return (1 - share) * clean + share * noise

    def difference(self, noisy: Tensor, level: float, conditions: Sequence[Pair]) -> Tensor:
        """What the instruction changes in the noise that is predicted (Eq. 2)."""
        before, after = (torch.cat(pictures) for pictures in zip(*conditions, strict=True))
        return (1 - level) / level * (before - after)

    def predict(
        self, noisy: Tensor, level: Level, conditions: Sequence[Pair], guidance: Guidance
    ) -> Prediction:
        """The picture that it expects, and the noise that is left without it."""
        before, after = (torch.cat(pictures) for pictures in zip(*conditions, strict=True))
        clean = before + guidance.text * (after - before)
        share = torch.as_tensor(level, dtype=torch.float32).view(-1, 1, 1, 1)
        return Prediction(clean, (noisy - (1 - share) * clean) / share)


def main(source: str, instruction: str, target: str) -> None:
    """Edit a picture with this model, as with any other."""
    editor = Editor(ColourSwap())
    editor.set_image(np.asarray(Image.open(source).convert("RGB")))
    edit = editor.edit(instruction, steps=10)
    print(edit.unchanged or f"{edit.mask.mean():.0%} of the picture was edited")
    Image.fromarray(edit.image).save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
