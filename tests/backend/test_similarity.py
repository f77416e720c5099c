"""What encoders, the similarities on them and NIQE compute, against transformers' and torch's own,
formulas written plainly, and another implementation's values.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio
from torch.nn import functional
from transformers import CLIPModel, CLIPProcessor

from backend.editing.encoders import ClipEncoder, load_encoder
from backend.errors import BadInput
from backend.evaluation import similarity
from backend.evaluation.edits import SAME
from backend.evaluation.niqe import niqe
from backend.evaluation.published import published_metrics, wrapped_psnr
from tests.backend.tiny_clip import save_tiny_clip

CAPTIONS = ("a red cube on a grey ground", "a blue cube on a grey ground")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> ClipEncoder:
    return load_encoder(str(folder))


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 5, 7, 3), np.uint8)
    return [np.asarray(Image.fromarray(one).resize((56, 40))) for one in small]


def test_an_encoder_gives_the_cosines_that_transformers_gives(
    folder: Path, encoder: ClipEncoder, pictures: list[np.ndarray]
) -> None:
    model, processor = CLIPModel.from_pretrained(folder), CLIPProcessor.from_pretrained(folder)
    texts = [*CAPTIONS, "a wood monkey"]
    inputs = processor(text=texts, images=pictures, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = model(**inputs).logits_per_image / model.logit_scale.exp()
    found = encoder.images(pictures) @ encoder.texts(texts).T
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_figures_of_a_picture_are_those_of_brooks_et_al(
    folder: Path, encoder: ClipEncoder, pictures: list[np.ndarray]
) -> None:
    before, after = pictures[:2]
    outside = np.zeros(before.shape[:2], bool)
    outside[:, :20] = True
    found = similarity.picture_metrics(before, after, CAPTIONS, encoder, outside)

    model, processor = CLIPModel.from_pretrained(folder), CLIPProcessor.from_pretrained(folder)
    inputs = processor(text=list(CAPTIONS), images=[before, after], return_tensors="pt")
    with torch.no_grad():
        seen = model(**inputs)
    (old, new), (old_text, new_text) = seen.image_embeds, seen.text_embeds
    cosine = functional.cosine_similarity
    assert found == {
        "image similarity": pytest.approx(cosine(old, new, 0).item(), abs=1e-5),
        "direction similarity": pytest.approx(
            cosine(new - old, new_text - old_text, 0).item(), abs=1e-4
        ),
        "text-image similarity": pytest.approx(cosine(new, new_text, 0).item(), abs=1e-5),
        "edit PSNR": pytest.approx(peak_signal_noise_ratio(before, after)),
        "PSNR outside": pytest.approx(peak_signal_noise_ratio(before[:, :20], after[:, :20])),
    }


def test_an_edit_that_changes_nothing_has_no_direction(
    encoder: ClipEncoder, pictures: list[np.ndarray]
) -> None:
    found = similarity.picture_metrics(pictures[0], pictures[0], CAPTIONS, encoder)
    assert found["image similarity"] == pytest.approx(1)
    assert found["direction similarity"] == 0
    assert found["edit PSNR"] == SAME


def test_frames_are_compared_with_their_neighbours() -> None:
    turns = np.array([0.0, 0.3, 0.9])
    after = np.stack([np.cos(turns), np.sin(turns)], 1)
    assert similarity.frame_similarity(after) == pytest.approx((math.cos(0.3) + math.cos(0.6)) / 2)
    before = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    one, two, three = (a - b for a, b in zip(after, before, strict=True))
    expected = [
        one @ two / np.linalg.norm(one) / np.linalg.norm(two),
        two @ three / np.linalg.norm(two) / np.linalg.norm(three),
    ]
    assert similarity.edit_similarity(before, after) == pytest.approx(np.mean(expected))
    with pytest.raises(ValueError, match="two frames"):
        similarity.frame_similarity(after[:1])


def test_a_paths_figures_are_means_over_its_frames(
    encoder: ClipEncoder, pictures: list[np.ndarray]
) -> None:
    before, after = pictures[:3], pictures[3:]
    found = similarity.path_metrics(before, after, CAPTIONS, encoder)
    single = [
        similarity.picture_metrics(a, b, CAPTIONS, encoder)
        for a, b in zip(before, after, strict=True)
    ]
    for name in single[0]:
        assert found[name] == pytest.approx(np.mean([one[name] for one in single]), abs=1e-6)
    without = similarity.path_metrics(before, after, None, encoder)
    names = {f"{name} similarity" for name in ("image", "frame", "edit")}
    assert without.keys() == names | {"edit PSNR"}


@pytest.mark.parametrize(
    ("off", "square"), [(15, 225), (17, 289 - 256), (100, 10000 % 256), (-1, 1)]
)
def test_published_psnr_wraps_around(off: int, square: int) -> None:
    before = np.full((4, 6, 3), 120, np.uint8)
    after = (before.astype(int) + off).astype(np.uint8)
    expected = 10 * math.log10(255**2 / square)
    assert wrapped_psnr(before, after) == pytest.approx(expected)
    assert wrapped_psnr(after, before) == pytest.approx(expected)  # -off is 256 - off: same square


def test_published_psnr_takes_a_difference_of_sixteen_for_none() -> None:
    before = np.full((4, 6, 3), 40, np.uint8)
    assert wrapped_psnr(before, before + 16) == 100
    assert wrapped_psnr(before, before) == 100


def test_published_figures_are_of_blue_green_red_and_of_differences_as_they_are(
    folder: Path, encoder: ClipEncoder, pictures: list[np.ndarray]
) -> None:
    before, after = pictures[:3], pictures[3:]
    found = published_metrics(before, after, CAPTIONS[1], encoder)
    model, processor = CLIPModel.from_pretrained(folder), CLIPProcessor.from_pretrained(folder)

    def features(pictures: list[np.ndarray]) -> torch.Tensor:
        swapped = [np.stack([one[..., 2], one[..., 1], one[..., 0]], -1) for one in pictures]
        inputs = processor(images=swapped, return_tensors="pt")
        with torch.no_grad():
            return model.get_image_features(**inputs).pooler_output

    old, new = features(before), features(after)
    with torch.no_grad():
        text = model.get_text_features(**processor(text=[CAPTIONS[1]], return_tensors="pt"))
    cosine = functional.cosine_similarity
    changes = new - old
    expected = {
        "text-image similarity": cosine(new, text.pooler_output),
        "image similarity": cosine(new, old),
        "frame similarity": cosine(new[:-1], new[1:]),
        "edit similarity": cosine(changes[:-1], changes[1:]),
    }
    for name, values in expected.items():
        assert found[name] == pytest.approx(values.mean().item(), abs=1e-5)
    bytes_off = [
        ((a.astype(int) - b) ** 2 % 256).mean() for a, b in zip(before, after, strict=True)
    ]
    psnr = np.mean([10 * math.log10(255**2 / error) for error in bytes_off])
    assert found["edit PSNR"] == pytest.approx(psnr)


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(BadInput, match="cannot be loaded as a CLIP"):
        load_encoder(str(tmp_path))
    with pytest.raises(BadInput, match="is no CLIP that can be had here: give a folder"):
        load_encoder(str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("camera", 3.0964), ("astronaut", 3.0681), ("coffee", 4.0661), ("chelsea", 2.5721)],
)
def test_niqe_is_that_of_another_implementation(name: str, expected: float) -> None:
    """BasicSR 1.4.2's `niqe` on the grey values of scikit-image's photographs, which its authors
    checked against the publication's own program.
    """
    photo = getattr(data, name)()
    if photo.ndim == 2:
        photo = np.stack([photo] * 3, axis=-1)
    assert niqe(photo) == pytest.approx(expected, abs=1e-3)


def test_niqe_says_what_it_cannot_judge() -> None:
    with pytest.raises(BadInput, match="100x150 has 0"):
        niqe(np.zeros((150, 100, 3), np.uint8))
