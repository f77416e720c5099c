"""`bench detail`: what details and rims are compared by."""

from pathlib import Path

import numpy as np
import pytest

from backend.editing import Editor
from backend.errors import BadInput
from backend.evaluation import bench_detail
from backend.evaluation.options import DetailOptions
from backend.pictures import boxes


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
    edited = editor.edit(instruction, mask=mask, settings=settings["sharp"].settings).image
    error = np.square(edited.astype(float) - samples[0].edited)[mask].mean()
    psnr = 10 * np.log10(255**2 / error)
    assert found["sharp"]["PSNR inside"] == pytest.approx(psnr, abs=0.01)


def test_two_things_apart_are_measured_in_parts_of_their_own_and_in_one(tiny_model: Path) -> None:
    options = DetailOptions(
        out=Path("unused"), samples=1, size=256, steps=1, apart=True, details=("sharp", "fast")
    )
    (sample,) = bench_detail.drawn(options)
    mask = sample.mask > 0.5
    changed = np.abs(sample.edited.astype(int) - sample.image).max(axis=2) > 0
    one, other = boxes.apart(mask, 1.0, 1)
    for box in (one, other):
        assert (changed & mask)[box.slices].sum() > 0.5 * mask[box.slices].sum()
    editor = Editor.from_pretrained(str(tiny_model), device="cpu")
    variants = bench_detail.variants(options)
    assert list(variants) == ["sharp", "sharp, in one part", "fast", "fast, in one part"]
    found = bench_detail.measure(editor, [sample], variants)
    assert found["sharp"]["PSNR inside"] != found["sharp, in one part"]["PSNR inside"]


def test_what_cannot_be_measured_is_refused_in_words() -> None:
    none = DetailOptions(out=Path("unused"), samples=1, size=64, share=(0.999, 1.0))
    with pytest.raises(
        BadInput, match=r"No region fills 0\.999 to 1 of its picture: widen --share"
    ):
        bench_detail.drawn(none)
    with pytest.raises(BadInput, match="Name one detail at least with --details"):
        bench_detail.variants(DetailOptions(out=Path("unused"), details=()))
