"""An untrained text-to-image model, and diffusers' own DiffEdit of the same networks."""

from pathlib import Path

from diffusers import DDIMInverseScheduler, DDIMScheduler
from diffusers.pipelines.deprecated.stable_diffusion_diffedit import (
    StableDiffusionDiffEditPipeline,
)

from backend.editing.models.registry import load_text_to_image
from backend.editing.models.stable_diffusion import StableDiffusion
from tests.backend.tiny_model import save_tiny_text_to_image_model

SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def tiny_text_to_image(folder: Path) -> StableDiffusion:
    """Write one into a folder, and load it."""
    found = load_text_to_image(str(save_tiny_text_to_image_model(folder, scheduler())), "cpu")
    assert isinstance(found, StableDiffusion)
    return found


def scheduler() -> DDIMScheduler:
    """The one that its noise follows."""
    return DDIMScheduler(**SCHEDULE)


def diffedit_pipeline(model: StableDiffusion) -> StableDiffusionDiffEditPipeline:
    """diffusers' own DiffEdit."""
    pipeline = StableDiffusionDiffEditPipeline(
        vae=model.vae,
        text_encoder=model.text_encoder,
        tokenizer=model.tokenizer,
        unet=model.unet,
        scheduler=scheduler(),
        inverse_scheduler=DDIMInverseScheduler(**SCHEDULE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
