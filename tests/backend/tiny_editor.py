"""What tests of the editor share: pictures, diffusers' own pipeline, and a spy."""

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionInstructPix2PixPipeline
from PIL import Image

INSTRUCTION = "make the sphere red"


def reference_pipeline(model):
    """diffusers' own pipeline of a model's folder, with the scheduler that edits equal."""
    loaded = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        model, safety_checker=None, torch_dtype=torch.float32
    )
    loaded.scheduler = DDIMScheduler.from_config(
        loaded.scheduler.config,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
    )
    loaded.set_progress_bar_config(disable=True)
    return loaded


def random_image(height, width, seed=0):
    """Smooth colours with some noise, so that neither is all there is."""
    rng = np.random.default_rng(seed)
    smooth = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    noise = rng.integers(-20, 20, (height, width, 3))
    return (np.asarray(smooth.resize((width, height))) + noise).clip(0, 255).astype(np.uint8)


class Spy:
    """Calls through and keeps what was given and returned."""

    def __init__(self, function):
        self.function = function
        self.calls = []
        self.results = []

    def __call__(self, *args, **kwargs):
        result = self.function(*args, **kwargs)
        self.calls.append(args)
        self.results.append(result)
        return result
