"""Which models there are, and loading one by its name.

A model's folder says of which class it is: `_class_name` in its model_index.json, diffusers' name
for a pipeline. `MODELS` has a function for each class that reads such a folder or hub id.
"""

import errno
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import diffusers.utils.logging
import torch
import transformers.utils.logging

from backend.editing.devices import named_device
from backend.errors import BadInput

from .demo_text_to_image import read_demo_text_to_image
from .denoiser import Denoiser
from .guidance import read_guidance
from .instruct_pix2pix import InstructPix2Pix
from .source import Source
from .stable_diffusion import StableDiffusion
from .stable_diffusion_xl_instruct_pix2pix import StableDiffusionXLInstructPix2Pix

logger = logging.getLogger(__name__)

MODELS: dict[str, Callable[[Source], Denoiser]] = {
    "StableDiffusionInstructPix2PixPipeline": InstructPix2Pix.load,
    "StableDiffusionXLInstructPix2PixPipeline": StableDiffusionXLInstructPix2Pix.load,
}
"""By the `_class_name` of a model_index.json. An OSError or ValueError of theirs means files that
cannot be read."""
TEXT_TO_IMAGE_MODELS: dict[str, Callable[[Source], Denoiser]] = {
    "StableDiffusionPipeline": StableDiffusion.load,
}
"""The same of models that read captions, not instructions: for methods that ask for one."""

DEFAULT_MODEL = "timbrooks/instruct-pix2pix"
DEFAULT_TEXT_TO_IMAGE_MODEL = "stable-diffusion-v1-5/stable-diffusion-v1-5"
DEMO_MODEL = "demo"
DEMO_WEIGHTS = Path(__file__).parents[2] / "demo" / "weights"
DEMO_TEXT_TO_IMAGE = DEMO_WEIGHTS.parent / "text_to_image"
INDEX_FILE = "model_index.json"


class ModelNotFound(BadInput):
    """A model that is neither a folder nor to be had from the hub; the text says what to do."""


def load_model(model: str = "auto", device: str = "auto", dtype: str = "auto") -> Denoiser:
    """Load a model in diffusers' format; safetensors only.

    Args:
        model: a hub id, a folder, "demo" for the embedded model, or "auto" for
            `timbrooks/instruct-pix2pix` where it can be had and the embedded one where not.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto" (float16 on CUDA, float32 elsewhere), "float32", "float16", "bfloat16".

    Raises:
        ModelNotFound: there is no such model, or it is of no class in `MODELS`.
        BadInput: no such device or dtype, or a file beside the model cannot be read.
    """
    name = resolve_model(model)
    place = str(DEMO_WEIGHTS) if name == DEMO_MODEL else name
    source = _source(name, place, device, dtype)
    return _loaded(source, MODELS[_class_of(place, MODELS)])


def load_text_to_image(model: str = "auto", device: str = "auto", dtype: str = "auto") -> Denoiser:
    """Load a text-to-image model, whose conditions are captions in place of instructions.

    Args:
        model: a hub id or folder of a class in `TEXT_TO_IMAGE_MODELS`, "demo" for the embedded
            model's companion, or "auto" for `stable-diffusion-v1-5/stable-diffusion-v1-5` where it
            can be had and the companion where not.
        device, dtype: as of `load_model`.

    Raises:
        ModelNotFound, BadInput: as `load_model`.
    """
    name = resolve_model(model, DEFAULT_TEXT_TO_IMAGE_MODEL)
    if name == DEMO_MODEL:
        source = _source(name, str(DEMO_TEXT_TO_IMAGE), device, dtype)
        return _loaded(source, _load_demo_text_to_image)
    load = TEXT_TO_IMAGE_MODELS[_class_of(name, TEXT_TO_IMAGE_MODELS)]
    return _loaded(_source(name, name, device, dtype), load)


def _load_demo_text_to_image(source: Source) -> Denoiser:
    folder = Path(source.place)
    if not folder.is_dir():
        raise ModelNotFound(
            f"The embedded demo model has no text-to-image companion in {folder}: train one with "
            "`python -m backend.demo.train --stages captions export-captions`."
        )
    parts = read_demo_text_to_image(folder, DEMO_WEIGHTS, source.device, source.dtype)
    guidance = read_guidance(folder, StableDiffusion.default_guidance)
    return StableDiffusion(parts, source.name, source.device, source.dtype, guidance)


def _source(name: str, place: str, device: str, dtype: str) -> Source:
    torch_device = resolve_device(device)
    return Source(name, place, torch_device, resolve_dtype(dtype, torch_device))


def _loaded(source: Source, load: Callable[[Source], Denoiser]) -> Denoiser:
    import httpx2  # what huggingface_hub asks with; it lets errors of the network through

    # Bars for the half second that reading takes; what tells of downloads stays.
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    try:
        return load(source)
    except BadInput:
        raise
    except httpx2.HTTPError as error:
        raise ModelNotFound(
            f"The download of {source.place} was broken off: check the network, and start again, "
            f"which goes on from there. ({error})"
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ModelNotFound(
                f"The disk is full: free some space for {source.place}, and start again."
            ) from error
        raise ModelNotFound(
            f"{source.place} cannot be loaded as a model in diffusers' format with safetensors "
            f"weights: {error}"
        ) from error


def _class_of(place: str, known: Mapping[str, object]) -> str:
    """One of the names that are known: of what class the model of a folder or hub id is."""
    path = Path(place) / INDEX_FILE if Path(place).is_dir() else _index_from_hub(place)
    try:
        name = str(json.loads(path.read_text("utf-8"))["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelNotFound(
            f"{place} is not a model in diffusers' format: its {INDEX_FILE} names no class."
        ) from error
    if name in known:
        return name
    if name in TEXT_TO_IMAGE_MODELS:
        raise ModelNotFound(
            f"{place} is a text-to-image model ({name}): it reads captions, not instructions. Take "
            f"one of {' or '.join(known)}."
        )
    if name in MODELS:
        raise ModelNotFound(
            f"{place} is a model that reads instructions ({name}), not captions: take one of "
            f"{' or '.join(known)}."
        )
    raise ModelNotFound(
        f"{place} is a model of the class {name}, which edits no pictures here: take one of "
        f"{' or '.join(known)}."
    )


def _index_from_hub(model: str) -> Path:
    """The model_index.json of a hub id, from this machine's cache or from the hub."""
    import httpx2  # what huggingface_hub asks with; it lets errors of the network through
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(huggingface_hub.hf_hub_download(model, INDEX_FILE))
    except (OSError, HfHubHTTPError, httpx2.HTTPError) as error:
        raise ModelNotFound(
            f"{model} cannot be read from the hub: check the network. ({error})"
        ) from error


def resolve_model(model: str, default: str = DEFAULT_MODEL) -> str:
    """Which model `model` means: a hub id, a folder or "demo"; for "auto" the default where it can
    be had. See `load_model`.

    Raises:
        ModelNotFound: it looks like a folder and is none, or is neither folder nor hub id.
    """
    if model == DEMO_MODEL:
        return model
    if model == "auto":
        if hub_has(default):
            return default
        logger.warning("%s cannot be had here: using the embedded demo model.", default)
        return DEMO_MODEL
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / INDEX_FILE).is_file():
            raise ModelNotFound(
                f"{folder} is not a model in diffusers' format: it has no model_index.json."
            )
        return str(folder)
    # A wrong folder must not send diffusers to the network for half a minute.
    if model.count("/") != 1 or model.startswith((".", "~", "/")):
        raise ModelNotFound(
            f"There is no folder {model}: give a folder with a model in diffusers' format, a hub "
            f'id such as {default}, or "{DEMO_MODEL}".'
        )
    if not hub_has(model):
        raise ModelNotFound(
            f"{model} is neither a folder here nor to be had from the hub: check its name and the "
            f'network, or use "{DEMO_MODEL}".'
        )
    return model


def hub_has(model: str, file: str = INDEX_FILE) -> bool:
    """Whether the hub's cache on this machine or, within seconds, the hub itself has a model, which
    is known by one of its files.
    """
    import httpx2  # what huggingface_hub asks with; it lets errors of the network through
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(huggingface_hub.try_to_load_from_cache(model, file), str):
        return True
    try:
        return bool(huggingface_hub.file_exists(model, file))
    except (OSError, HfHubHTTPError, httpx2.HTTPError) as error:
        logger.info("the hub cannot be asked for %s: %s", model, error)
        return False


def resolve_device(device: str) -> torch.device:
    """Where "auto" runs, or the device of that name.

    Raises:
        BadInput: there is no such device.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    return named_device(device)


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The precision of that name; "auto" is float16 on CUDA, and float32 elsewhere.

    Raises:
        BadInput: there is none of that name.
    """
    if dtype == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    choices = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if dtype not in choices:
        raise BadInput(f"dtype {dtype!r} is not one of auto, {', '.join(choices)}.")
    return choices[dtype]
