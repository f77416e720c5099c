"""CLIP guidance of a scene, as NeRF-Art stylises one (Wang et al., "NeRF-Art", TVCG 2023).

    direction    1 - cos(e(x) - e(x0), e(after) - e(before))
    contrast     -log(exp(s(after)) / (exp(s(after)) + sum of exp(s(n)))),    s(t) = e(v) e(t) / tau
                 of v = x, the whole picture, and of patches v of it; n: texts that it is not to be
                 like, the caption before among them
    content      how far what CLIP makes of x half of the way is from that of x0

e is CLIP's embedding of length 1, x a picture of the scene, x0 what the scene showed there before
the edit. What is added to the loss of NeRF-Art's paper or left out of it:

- Its content loss is on VGG's features, whose weights come with torchvision. Here it is the mean of
  1 - cos over the tokens in the middle of CLIP's own network.
- It takes 200 texts of styles for negatives, and embeds each text in 79 templates. Here the
  negatives are given (`ClipGuidanceConfig.negatives`), and texts are embedded as they are.
- Its regulariser of the weights along rays is mip-NeRF 360's, which is among nerfacto's own losses.
- It has no region: `SceneEditConfig.everything`. Where there is one, patches lie around its pixels.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backend.counts import check_counts
from backend.editing import ImageEditor
from backend.editing.encoders import ClipEncoder, find_encoder, load_encoder
from backend.errors import BadInput
from backend.fields.config import ClipGuidanceConfig, SceneEditConfig
from backend.fields.radiance_training import RadianceTraining
from backend.scenes.edit_records import Asked
from backend.scenes.methods.dataset_update import OnStage
from backend.scenes.methods.guided_training import GuidedTraining, Shot, check_region
from backend.scenes.methods.regions import Region

LEAST = 1e-2
"""Length below which the way from before to after is taken for that long: as long as nothing can be
seen of the edit, its direction is chance, and dividing by its length would drown all later
gradients in the optimizer's mean."""


class ClipGuidance:
    """The class itself satisfies `SceneMethod`; an instance is the guide of its training."""

    def __init__(self, encoder: ClipEncoder, config: ClipGuidanceConfig, seed: int) -> None:
        """Args:
        encoder: that pictures and captions are compared by.
        config: captions and weights.
        seed: of where the patches are.
        """
        assert config.captions is not None  # as checked
        self._encoder, self._config, self._seed = encoder, config, seed
        texts = torch.from_numpy(encoder.texts([*config.captions, *config.negatives]))
        before, after, *_ = texts
        self._after, self._way = after, after - before
        self._negatives = torch.cat([before[None], texts[2:]])

    @classmethod
    def check(cls, editor: ImageEditor, config: SceneEditConfig) -> None:
        """See `SceneMethod`: there must be two captions and a CLIP."""
        check_region(config)
        asked = config.clip_guidance
        if asked.captions is None or not all(text.strip() for text in asked.captions):
            raise BadInput(
                f"The method {config.method} needs captions of what the scene shows before and "
                "after the edit: give both (--captions BEFORE AFTER)."
            )
        if asked.captions[0].strip() == asked.captions[1].strip():
            raise BadInput("The captions before and after the edit are the same: say what differs.")
        check_counts(side=asked.side, patches=asked.patches)
        if not 0.0 < asked.patch_share <= 1.0 or not asked.temperature > 0.0:
            raise BadInput(
                "A patch must have a share above 0 and at most 1 of the picture, and the "
                "temperature must be above 0."
            )
        find_encoder(asked.clip)

    @classmethod
    def begin(
        cls,
        training: RadianceTraining,
        editor: ImageEditor,
        asked: Asked,
        region: Region,
        folder: Path,
        first_step: int,
        on_stage: OnStage,
    ) -> GuidedTraining:
        """See `SceneMethod`."""
        config = asked.config.for_views(len(training.views.names))
        clip = config.clip_guidance
        guide = cls(load_encoder(clip.clip, str(training.field.device)), clip, config.seed)
        return GuidedTraining(
            training, guide, region, config, clip.side, folder, first_step, on_stage
        )

    def __call__(self, shot: Shot) -> Tensor:
        """The loss of a picture of the scene."""
        config, picture = self._config, shot.picture
        device = picture.device
        with torch.no_grad():
            pixels = torch.tensor(shot.before, device=device).permute(2, 0, 1)[None] / 255
            old, old_tokens = self._encoder.looked_at(pixels)
        new, tokens = self._encoder.looked_at(picture)
        patches = self._encoder.features(self._patches(shot))
        after, way = self._after.to(device), self._way.to(device)
        loss = config.direction * directional(new - old, way)
        loss = loss + config.whole * self._contrast(new, after)
        loss = loss + config.patch * len(patches) * self._contrast(patches, after)
        alike = functional.cosine_similarity(tokens, old_tokens, dim=-1)
        loss = loss + config.content * (1 - alike).mean()
        return config.weight * loss

    def _contrast(self, seen: Tensor, after: Tensor) -> Tensor:
        negatives = self._negatives.to(seen.device)
        return contrastive(seen, after, negatives, self._config.temperature)

    def _patches(self, shot: Shot) -> Tensor:
        """(patches, 3, s, s): squares of the picture, each around a pixel of the region as far as
        the picture's edges let it be.
        """
        picture = shot.picture
        sides = picture.shape[2:]
        side = max(1, round(min(sides) * self._config.patch_share))
        rng = np.random.default_rng([self._seed, shot.step, 1])
        inside = np.argwhere(shot.mask)
        middles = inside[rng.integers(len(inside), size=self._config.patches)] + 0.5
        middles = middles * sides / shot.mask.shape
        corners = np.clip(np.round(middles - side / 2), 0, np.array(sides) - side).astype(int)
        return torch.cat([picture[..., y : y + side, x : x + side] for y, x in corners])


def directional(went: Tensor, way: Tensor) -> Tensor:
    """1 - cos of pictures' ways (B, d) from before to after and that of the texts (d), the mean.

    Gal et al., "StyleGAN-NADA", 2022; ways shorter than LEAST count as that long.
    """
    return 1 - functional.cosine_similarity(went, way[None], dim=-1, eps=LEAST).mean()


def contrastive(seen: Tensor, wanted: Tensor, unwanted: Tensor, temperature: float) -> Tensor:
    """InfoNCE of embedded pictures (B, d) with the text that they are to be like (d), among those
    that they are not to be like (n, d), all of length 1; the mean.
    """
    likeness = seen @ torch.cat([wanted[None], unwanted]).T / temperature
    first = torch.zeros(len(seen), dtype=torch.long, device=seen.device)
    return functional.cross_entropy(likeness, first)
