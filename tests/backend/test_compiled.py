"""A compiled U-Net: the same edits, while it is asked for, and words where nothing can compile."""

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image

from backend.__main__ import main
from backend.editing import Editor
from backend.editing.models import compiled
from backend.errors import BadInput
from protocol.settings import EditSettings, SpeedSettings

from .tiny_editor import INSTRUCTION, random_image

MASK = np.ones((64, 64), bool)
SETTINGS = EditSettings(steps=2, image_guidance=1.5)


def as_traced(monkeypatch, backend):
    """Traces a network as ever, and has it run by something else than torch's compiler, which takes
    minutes.
    """
    torch._dynamo.reset()
    traced = torch.compile(UNet2DConditionModel.forward, backend=backend)
    monkeypatch.setattr(compiled, "_forward", lambda: traced)


def edited(editor, settings=SETTINGS, **given):
    editor.set_image(random_image(64, 64))
    return editor.edit(INSTRUCTION, mask=MASK, settings=settings, **given).image


def test_a_compiled_network_edits_as_ever_and_only_while_it_is_asked_for(
    tiny_model, monkeypatch, tmp_path
):
    graphs, runs = [], []

    def counts(graph, inputs):
        graphs.append(graph)

        def run(*given):
            runs.append(len(given))
            return graph(*given)

        return run

    as_traced(monkeypatch, counts)
    editor = Editor.from_pretrained(str(tiny_model), "cpu", "float32")
    plain = edited(editor)
    assert not graphs
    with compiled.compiled(editor.model):
        assert compiled.is_compiled(editor.model.unet)
        np.testing.assert_array_equal(edited(editor), plain)
        with pytest.raises(BadInput, match="leave --compile or --deep-every out"):
            edited(editor, speed=SpeedSettings(deep_every=2))
    assert graphs
    assert len(runs) >= SETTINGS.steps
    assert not compiled.is_compiled(editor.model.unet)
    ran = len(runs)
    np.testing.assert_array_equal(edited(editor), plain)
    assert len(runs) == ran

    # the command's option, and a batch of another size
    Image.fromarray(random_image(64, 64)).save(tmp_path / "picture.png")
    ask = ["edit", str(tmp_path / "picture.png"), INSTRUCTION, "--model", str(tiny_model)]
    ask += ["--device", "cpu", "--steps", "2", "--image-guidance", "1", "--threshold", "0"]
    assert main([*ask, "--out", str(tmp_path / "plain")]) == 0
    assert len(runs) == ran
    assert main([*ask, "--compile", "--out", str(tmp_path / "compiled")]) == 0
    assert len(runs) > ran
    pictures = [(tmp_path / out / "edit.png").read_bytes() for out in ("plain", "compiled")]
    assert pictures[0] == pictures[1]


def test_where_nothing_can_compile_the_edit_says_so(tiny_model, monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("No compiler is here.")

    as_traced(monkeypatch, broken)
    editor = Editor.from_pretrained(str(tiny_model), "cpu", "float32", compiled=True)
    with pytest.raises(BadInput, match=r"leave --compile out, or install .*No compiler is here"):
        edited(editor)


def test_a_model_without_a_unet_of_diffusers_is_refused():
    with pytest.raises(BadInput, match="no U-Net that can be compiled: leave --compile out"):
        compiled.compile_network(object())


@pytest.mark.slow
def test_torchs_compiler_gives_the_same_numbers_for_every_size(tmp_path, monkeypatch):
    """A network without attention, which compiles in a minute, or several on a busy machine."""
    # not what another process that was killed has left half written
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=8, out_channels=4, block_out_channels=(8,), layers_per_block=1,
        down_block_types=("DownBlock2D",), mid_block_type=None,
        up_block_types=("UpBlock2D",), cross_attention_dim=8,
        norm_num_groups=4,
    ).eval()  # fmt: skip

    class Model:
        pass

    model = Model()
    model.unet = unet
    for count, side in ((3, 8), (2, 12)):
        given = torch.randn(count, 8, side, side), torch.tensor(500.0), torch.randn(count, 5, 8)
        with torch.inference_mode():
            expected = unet(*given).sample
            with compiled.compiled(model):
                found = unet(*given).sample
        assert expected.std() > 0.01
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
