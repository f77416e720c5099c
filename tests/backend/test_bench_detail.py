"""`bench detail`: what details and rims are compared by."""

from pathlib import Path

import numpy as np
import pytest

from backend.editing import Editor
from backend.errors import BadInput
from backend.evaluation import bench_detail
from backend.evaluation.options import DetailOptions


def test_details_and_rims_are_measured_on_the_same_pictures(tiny_model: Path) -> None:
    options = DetailOptions(
        out=Path("unused"), samples=1, size=128, share=(0.01, 0.12), steps=1, rims=(4.0,)
    )
    samples = bench_detail.drawn(options)
    assert len(samples) == 1
    assert 0.01 <= (samples[0].mask > 0.5).mean() <= 0.12
    settings = bench_detail.variants(options)
    assert list(settings) == ["whole", "sharp", "fast", "sharp, rim 4"]
    editor = Editor.from_pretrained(str(tiny_model), device="cpu")
    found = bench_detail.measure(editor, samples, settings)
    assert list(found) == list(settings)
    assert found["whole"]["share of the time"] == 1
    assert found["whole"]["gain inside, mean"] == 0
    for name, figures in found.items():
        gain = figures["PSNR inside"] - found["whole"]["PSNR inside"]
        assert figures["gain inside, mean"] == pytest.approx(gain, abs=0.02), name
        assert figures["gain inside, mean"] == figures["least"], "of one sample"
        assert figures["seconds"] > 0
    editor.set_image(samples[0].image)
    mask = samples[0].mask > 0.5
    instruction = samples[0].edit.instruction
    edited = editor.edit(instruction, mask=mask, settings=settings["sharp"]).image
    error = np.square(edited.astype(float) - samples[0].edited)[mask].mean()
    psnr = 10 * np.log10(255**2 / error)
    assert found["sharp"]["PSNR inside"] == pytest.approx(psnr, abs=0.01)


def test_what_cannot_be_measured_is_refused_in_words() -> None:
    none = DetailOptions(out=Path("unused"), samples=1, size=64, share=(0.999, 1.0))
    with pytest.raises(
        BadInput, match=r"No region fills 0\.999 to 1 of its picture: widen --share"
    ):
        bench_detail.drawn(none)
    with pytest.raises(BadInput, match="Name one detail at least with --details"):
        bench_detail.variants(DetailOptions(out=Path("unused"), details=()))
