"""Score distillation of a scene: SDS with InstructPix2Pix, which Haque et al.
("Instruct-NeRF2NeRF", 2023) compare the dataset update with.

    gradient by the field = (w(t) (eps_hat(z_t, I, text) - eps))^T  dz/dx  dx/d(field),  z = E(x)

x is a picture of the scene, I the view's ORIGINAL photo, and E the model's own encoder, which the
gradient goes through; t and eps are drawn anew in each step. See backend/editing/distillation.py.

Theirs has no region: `SceneEditConfig.everything`. With one, only what lies inside it is pulled at.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backend.counts import check_counts
from backend.editing import ImageEditor
from backend.editing.distillation import direction
from backend.editing.encoded_image import EncodedImage, work_pixels
from backend.editing.models.denoiser import Denoiser
from backend.editing.work import Parts
from backend.errors import BadInput
from backend.fields.config import SceneEditConfig
from backend.fields.radiance_training import RadianceTraining
from backend.scenes.edit_records import Asked
from backend.scenes.methods.dataset_update import OnStage
from backend.scenes.methods.guided_training import GuidedTraining, Shot, check_region
from backend.scenes.methods.regions import Region


class ScoreDistillation:
    """The class itself satisfies `SceneMethod`; an instance is the guide of its training."""

    def __init__(self, model: Denoiser, instruction: str, config: SceneEditConfig) -> None:
        """Args:
        model: whose gradient is followed.
        instruction: such as "turn the bear into a panda".
        config: levels, guidance, weight and seed.
        """
        self._model, self._instruction, self._config = model, instruction, config
        self._guidance = model.card.guidance.resolved(config)
        self._encoded: dict[int, EncodedImage] = {}

    @classmethod
    def check(cls, editor: ImageEditor, config: SceneEditConfig) -> None:
        """See `SceneMethod`: the editor must have a model."""
        if editor.model is None:
            raise BadInput(
                f"The editor {editor.card.name} has no model whose gradient could be followed: "
                f"take one that has, or another method than {config.method}."
            )
        check_region(config)
        check_counts(side=config.distillation.side)

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
        assert editor.model is not None  # as checked
        guide = cls(editor.model, asked.instruction, config)
        side = config.distillation.side
        return GuidedTraining(training, guide, region, config, side, folder, first_step, on_stage)

    def __call__(self, shot: Shot) -> Tensor:
        """A loss whose gradient by the picture is that above, of the mean over all latents."""
        model, encoded = self._model, self._view(shot)
        pixels = work_pixels(model.card, shot.picture, encoded.work_shape)
        latents = model.latents(pixels)
        rng = np.random.default_rng([self._config.seed, shot.step, 1])
        level = float(rng.uniform(*self._config.noise_range))
        noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32)).to(latents.device)
        told = encoded.conditions(model, self._instruction)
        moved = direction(model, latents.detach(), noise, level, [told], self._guidance)
        cells = torch.from_numpy(encoded.cells(shot.mask)).to(latents.device)
        aim = (latents - cells * moved).detach()
        return self._config.distillation.weight * 0.5 * functional.mse_loss(latents, aim)

    def _view(self, shot: Shot) -> EncodedImage:
        """A view's photo as the model sees it, encoded once."""
        if shot.view not in self._encoded:
            parts = Parts(shot.photo, self._model.card.native_size, self._model)
            self._encoded[shot.view] = parts.encoded()
        return self._encoded[shot.view]
