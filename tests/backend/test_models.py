"""Which model is taken, by its name or its class, and what is said where there is none."""

import errno
import shutil

import httpx2
import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from backend.editing import Editor, ModelNotFound
from backend.editing.models.denoiser import Encoding, ModelCard, Prediction
from backend.editing.models.instruct_pix2pix import InstructPix2Pix
from backend.editing.models.registry import MODELS, resolve_model
from tests.backend.tiny_editor import INSTRUCTION


@pytest.fixture(scope="module")
def editor(tiny_model):
    return Editor.from_pretrained(str(tiny_model), device="cpu")


def test_missing_models_are_named_without_asking_the_network(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("backend.editing.models.registry.hub_has", no_network)
    for name in ("./nowhere", str(tmp_path / "nowhere"), "~/nowhere", "a/b/c", "nowhere"):
        with pytest.raises(ModelNotFound, match="no folder"):
            resolve_model(name)
    with pytest.raises(ModelNotFound, match=r"model_index\.json"):
        resolve_model(str(tmp_path))


def test_auto_takes_the_embedded_model_where_the_real_one_cannot_be_had(monkeypatch, caplog):
    monkeypatch.setattr("backend.editing.models.registry.hub_has", lambda model: False)
    assert resolve_model("auto") == "demo"
    assert "embedded demo model" in caplog.text
    monkeypatch.setattr("backend.editing.models.registry.hub_has", lambda model: True)
    assert resolve_model("auto") == "timbrooks/instruct-pix2pix"


@pytest.mark.parametrize("model", ["auto", "somebody/some-model"])
def test_without_a_network_no_error_of_it_gets_through(monkeypatch, model):
    """The real hub's client, asking where nobody answers."""
    import huggingface_hub

    nobody = huggingface_hub.HfApi(endpoint="http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub, "file_exists", nobody.file_exists)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    if model == "auto":
        assert resolve_model(model) == "demo"
    else:
        with pytest.raises(ModelNotFound, match="check its name and the network"):
            resolve_model(model)


def test_model_of_another_kind_is_refused(tmp_path, tiny_model):
    import json

    folder = tmp_path / "broken"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "scheduler/scheduler_config.json").read_text())
    config["prediction_type"] = "v_prediction"
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="predict noise"):
        Editor.from_pretrained(str(folder), device="cpu")
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match="safetensors"):
        Editor.from_pretrained(str(folder), device="cpu")


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (
            '{"_class_name": "StableDiffusionPipeline"}',
            r"is a text-to-image model \(StableDiffusionPipeline\): it reads captions",
        ),
        ('{"_class_name": "FluxPipeline"}', "is a model of the class FluxPipeline"),
        ('{"_class_name": ["a"]}', "StableDiffusionXLInstructPix2PixPipeline"),
        ('{"unet": 1}', "names no class"),
        ("[]", "names no class"),
        ("{", "names no class"),
        (b"\xff\xfe{", "names no class"),
    ],
)
def test_a_model_is_chosen_by_the_class_that_its_index_names(tmp_path, index, said):
    (tmp_path / "model_index.json").write_bytes(
        index if isinstance(index, bytes) else index.encode()
    )
    with pytest.raises(ModelNotFound, match=said):
        Editor.from_pretrained(str(tmp_path), device="cpu")


@pytest.mark.parametrize(
    "error", [httpx2.ConnectError("no route"), LocalEntryNotFoundError("not in the cache")]
)
def test_a_hub_that_is_lost_after_it_was_found_is_named(monkeypatch, error):
    def lost(*arguments):
        raise error

    monkeypatch.setattr("backend.editing.models.registry.hub_has", lambda model: True)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lost)
    with pytest.raises(ModelNotFound, match="somebody/model cannot be read from the hub"):
        Editor.from_pretrained("somebody/model", device="cpu")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx2.ReadTimeout("no answer"), "download of somebody/model was broken off: check"),
        (OSError(errno.ENOSPC, "No space left"), "disk is full: free some space for somebody"),
        (OSError("no file of that name"), "cannot be loaded as a model"),
    ],
)
def test_a_download_that_breaks_off_says_what_to_do(monkeypatch, error, said):
    def broken(*arguments, **options):
        raise error

    known = "StableDiffusionInstructPix2PixPipeline"
    monkeypatch.setattr("backend.editing.models.registry.hub_has", lambda model: True)
    monkeypatch.setattr("backend.editing.models.registry._class_of", lambda *arguments: known)
    monkeypatch.setattr(InstructPix2Pix.pipeline, "download", broken)
    with pytest.raises(ModelNotFound, match=said):
        Editor.from_pretrained("somebody/model", device="cpu")


def test_a_new_model_needs_a_place_in_the_registry_alone(tmp_path, monkeypatch):
    """A model without networks, which finds things where it is bright and makes them red."""

    class Bright:
        def __init__(self, source):
            self.card = ModelCard(
                name=source.name,
                device=source.device,
                dtype=torch.float32,
                native_size=64,
                multiple=4,
                cell=4,
            )

        def encode(self, image):
            cells = torch.tensor(image[::4, ::4]).permute(2, 0, 1)[None].float()
            return Encoding(cells / 255)

        def decode(self, latents):
            image = (latents[0].clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
            return image.repeat(4, axis=0).repeat(4, axis=1)

        def conditions(self, encoding, instruction):
            return encoding.latents

        def levels(self, steps, strength):
            return np.linspace(strength, 0, steps, endpoint=False).tolist()

        def noised(self, clean, noise, level):
            level = torch.as_tensor(level, dtype=torch.float32).view(-1, 1, 1, 1)
            return (1 - level) * clean + level * noise

        def difference(self, noisy, level, conditions):
            return torch.cat(conditions)

        def predict(self, noisy, level, conditions, guidance):
            red = torch.tensor([1.0, 0, 0]).view(-1, 1, 1).expand_as(noisy)
            left = torch.as_tensor(level, dtype=torch.float32).view(-1, 1, 1, 1)
            return Prediction(red, (noisy - (1 - left) * red) / left)

    monkeypatch.setitem(MODELS, "Bright", Bright)
    (tmp_path / "model_index.json").write_text('{"_class_name": "Bright"}')
    editor = Editor.from_pretrained(str(tmp_path), device="cpu")
    image = np.zeros((62, 66, 3), np.uint8)
    image[8:24, 12:40] = 200
    editor.set_image(image)
    edit = editor.edit(INSTRUCTION, steps=4)
    assert edit.mask[12:20, 16:36].all()
    assert (edit.image[edit.mask] == (255, 0, 0)).all()
    assert (edit.image[~edit.mask] == image[~edit.mask]).all()
    assert edit.mask.mean() < 0.2
    ((_, found),) = editor.relevance_of_images(INSTRUCTION, [image])
    assert (found.values == edit.relevance.values).all()
