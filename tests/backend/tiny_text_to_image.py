"""An untrained text-to-image model of Stable Diffusion's parts, and a plain `Denoiser` of it."""

from dataclasses import replace

import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler, UNet2DConditionModel
from diffusers.pipelines.deprecated.stable_diffusion_diffedit import (
    StableDiffusionDiffEditPipeline,
)

from backend.editing.models.ddpm import Ddpm
from backend.editing.models.instruct_pix2pix import InstructPix2Pix
from tests.backend.tiny_model import WIDTH


class TinyTextToImage:
    """Predicts eps("") + s_T (eps(text) - eps("")); VAE and texts are a tiny InstructPix2Pix's."""

    def __init__(self, base: InstructPix2Pix) -> None:
        torch.manual_seed(1)
        self.base, self.card = base, replace(base.card, name="tiny text-to-image")
        self.unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            layers_per_block=1,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=4,
            norm_num_groups=4,
            cross_attention_dim=WIDTH,
        ).eval()
        options = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
        options |= {"timestep_spacing": "trailing", "clip_sample": False, "set_alpha_to_one": False}
        self.scheduler = DDIMScheduler(**options, steps_offset=1)
        self.inverse = DDIMInverseScheduler(**options, steps_offset=1)
        self.schedule = Ddpm(self.scheduler, torch.device("cpu"))
        self.encode, self.decode = base.encode, base.decode
        self.noised, self.levels = self.schedule.noised, self.schedule.levels

    def conditions(self, encoding, instruction):
        return self.base.embed_text(instruction).tokens, self.base.embed_text("").tokens

    def network(self, noisy, level, texts):
        time = self.schedule.timestep(level)
        return self.unet(noisy, time, encoder_hidden_states=torch.cat(texts)).sample

    def difference(self, noisy, level, conditions):
        with_text, without = (
            self.network(noisy, level, [one[which] for one in conditions]) for which in (0, 1)
        )
        return with_text - without

    def predict(self, noisy, level, conditions, guidance):
        without = self.network(noisy, level, [one[1] for one in conditions])
        output = without + guidance.text * self.difference(noisy, level, conditions)
        return self.schedule.prediction(noisy, level, output)

    def diffedit_pipeline(self) -> StableDiffusionDiffEditPipeline:
        """diffusers' own DiffEdit, of the same networks."""
        pipeline = StableDiffusionDiffEditPipeline(
            vae=self.base.vae,
            text_encoder=self.base.text_encoder,
            tokenizer=self.base.tokenizer,
            unet=self.unet,
            scheduler=self.scheduler,
            inverse_scheduler=self.inverse,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline
