"""Folders of models whose parts are missing, damaged, of another kind or do not fit together: each
is refused in words before anything is computed with it, as what is missing would be random numbers.
"""

import json
import shutil

import pytest
from diffusers import DDIMScheduler
from safetensors.torch import load_file, save_file

from backend.editing import Editor
from backend.editing.models.registry import MODELS
from backend.errors import BadInput
from tests.backend.tiny_editor import INSTRUCTION, random_image
from tests.backend.tiny_model import save_tiny_model, save_tiny_xl_model


@pytest.fixture(scope="module", params=["InstructPix2Pix", "SDXL"])
def sound(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    if request.param == "SDXL":
        return save_tiny_xl_model(folder, DDIMScheduler())
    return save_tiny_model(folder)


def without_weight(part):
    def change(folder):
        (path,) = (folder / part).glob("*.safetensors")
        weights = load_file(path)
        del weights[
            next(name for name in weights if name.endswith(("q_proj.weight", "to_q.weight")))
        ]
        save_file(weights, path, {"format": "pt"})

    return change


def config(path, **values):
    def change(folder):
        stored = json.loads((folder / path).read_text())
        (folder / path).write_text(json.dumps(stored | values))

    return change


def without(path):
    return lambda folder: (folder / path).unlink()


WRONG = {
    "a weight of the U-Net is missing": (without_weight("unet"), "unet are not those .* missing"),
    "a weight of the VAE is missing": (without_weight("vae"), "vae are not those .* missing"),
    "a weight of the text is missing": (without_weight("text_encoder"), "text_encoder are not"),
    "weights of another width": (
        config("unet/config.json", block_out_channels=[8, 16, 32]),
        "unet are not those that its config.json describes",
    ),
    "texts of another length": (
        config("text_encoder/config.json", vocab_size=50),
        "text_encoder are not those that its config.json describes",
    ),
    "no words": (without("tokenizer/tokenizer.json"), "no tokenizer that fits"),
    "no length": (without("tokenizer/tokenizer_config.json"), "no tokenizer that fits"),
    "no tokenizer": (config("model_index.json", tokenizer=[None, None]), "tokenizer"),
    "no text encoder": (config("model_index.json", text_encoder=[None, None]), "text"),
    "another network": (
        config("model_index.json", unet=["diffusers", "FluxTransformer2DModel"]),
        "unet of .* is a FluxTransformer2DModel, not a UNet2DConditionModel",
    ),
    "no size": (config("unet/config.json", sample_size=None), "at what size it was trained"),
    "a flow": (
        config("model_index.json", scheduler=["diffusers", "FlowMatchEulerDiscreteScheduler"]),
        "Eq. 2 needs a model that",
    ),
    "no U-Net's weights": (
        without("unet/diffusion_pytorch_model.safetensors"),
        r"no file named diffusion_pytorch_model\.safetensors found in directory .*unet",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_model_whose_parts_are_not_whole_is_refused(sound, tmp_path, kind):
    change, words = WRONG[kind]
    folder = shutil.copytree(sound, tmp_path / "model")
    change(folder)
    with pytest.raises(BadInput, match=words):
        Editor.from_pretrained(str(folder), "cpu")


def test_a_model_under_the_name_of_another_class_is_refused(sound, tmp_path):
    folder = shutil.copytree(sound, tmp_path / "model")
    own = json.loads((folder / "model_index.json").read_text())["_class_name"]
    (other,) = MODELS.keys() - {own}
    config("model_index.json", _class_name=other)(folder)
    with pytest.raises(BadInput):
        Editor.from_pretrained(str(folder), "cpu")


def test_an_edm_scheduler_is_refused_where_the_model_counts_steps(tmp_path):
    folder = save_tiny_model(tmp_path)
    config("model_index.json", scheduler=["diffusers", "EDMEulerScheduler"])(folder)
    with pytest.raises(BadInput, match="does not predict noise"):
        Editor.from_pretrained(str(folder), "cpu")


def test_a_model_that_was_trained_at_two_sides_is_known_by_its_shorter_one(sound, tmp_path):
    folder = shutil.copytree(sound, tmp_path / "model")
    config("unet/config.json", sample_size=[8, 16])(folder)
    assert Editor.from_pretrained(str(folder), "cpu").card.native_size == 64


def test_a_model_from_the_hubs_cache_is_read_without_the_network(sound, tmp_path, monkeypatch):
    cache = tmp_path / "hub"
    snapshot = cache / "models--somebody--model" / "snapshots" / ("0" * 40)
    shutil.copytree(sound, snapshot)
    (snapshot / "guidance.json").write_text('{"text": 3.0, "image": 1.25}')
    (cache / "models--somebody--model" / "refs").mkdir()
    (cache / "models--somebody--model" / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    editor = Editor.from_pretrained("somebody/model", "cpu")
    assert (editor.card.name, editor.card.guidance.text) == ("somebody/model", 3.0)
    editor.set_image(random_image(64, 64))
    editor.relevance(INSTRUCTION)
