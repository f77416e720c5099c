"""LPIPS against its authors' own code on the same random weights, and what is said where weights
are missing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from backend.editing.encoders import load_encoder
from backend.errors import BadInput
from backend.evaluation import lpips, similarity
from backend.evaluation.lpips import NETWORKS, load_lpips
from tests.backend.random_lpips import save_weights
from tests.backend.tiny_clip import save_tiny_clip

CAPTIONS = ("a red cube on a grey ground", "a blue cube on a grey ground")


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 8, 9, 3), np.uint8)
    return [np.asarray(Image.fromarray(one).resize((72, 64))) for one in small]


@pytest.fixture
def authors(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Their package, on a torchvision that gives the layers that it is told of."""
    given = SimpleNamespace()
    vision, models = ModuleType("torchvision"), ModuleType("torchvision.models")

    def layers(pretrained: bool) -> SimpleNamespace:
        return SimpleNamespace(features=given.layers)

    models.alexnet = models.vgg16 = layers  # type: ignore[attr-defined]
    vision.models = models  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", vision)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    import lpips as package

    given.LPIPS = package.LPIPS
    yield given
    for name in [name for name in sys.modules if name.partition(".")[0] == "lpips"]:
        del sys.modules[name]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETWORKS)
def test_distances_are_those_of_the_authors_code(
    name: str, tmp_path: Path, pictures: list[np.ndarray], authors: SimpleNamespace
) -> None:
    authors.layers = save_weights(tmp_path, name)
    theirs = authors.LPIPS(net=name, verbose=False)
    before, after = pictures[:3], pictures[3:]
    tensors = [
        torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2) / 255 for some in (before, after)
    ]
    with torch.no_grad():
        expected = theirs(*tensors, normalize=True).flatten().numpy()
    found = load_lpips(str(tmp_path), "cpu").distances(before, after)
    assert expected.min() > 0.01
    assert np.ptp(expected) > 0.001
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_picture_is_no_different_from_itself_and_more_noise_is_more(
    tmp_path: Path, pictures: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_weights(tmp_path, "alex")
    measure = load_lpips(str(tmp_path / NETWORKS["alex"].file), "cpu")
    noise = np.random.default_rng(1).normal(size=pictures[0].shape)
    noisy = [
        (pictures[0] + 20 * strength * noise).clip(0, 255).astype(np.uint8) for strength in range(4)
    ]
    found = measure.distances([pictures[0]] * 4, noisy)
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    monkeypatch.setattr(lpips, "AT_ONCE", 3)
    np.testing.assert_allclose(measure.distances([pictures[0]] * 4, noisy), found, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_pictures_are_refused_below_the_smallest_that_the_network_takes(
    name: str, tmp_path: Path
) -> None:
    save_weights(tmp_path, name)
    measure, side = load_lpips(str(tmp_path), "cpu"), NETWORKS[name].smallest

    def pair(side: int) -> list[list[np.ndarray]]:
        shape = (1, side, side + 9, 3)
        return [list(np.random.default_rng(k).integers(0, 256, shape, np.uint8)) for k in (0, 1)]

    assert measure.distances(*pair(side))[0] > 0
    with pytest.raises(BadInput, match=f"{side}x{side} pixels at least, not {side + 8}x{side - 1}"):
        measure.distances(*pair(side - 1))


def test_it_stands_beside_the_similarities_under_its_own_name(
    tmp_path: Path, pictures: list[np.ndarray]
) -> None:
    save_weights(tmp_path, "vgg")
    measure = load_lpips(str(tmp_path), "cpu")
    encoder = load_encoder(str(save_tiny_clip(tmp_path / "clip")), "cpu")
    before, after = pictures[:3], pictures[3:]
    expected = measure.distances(before, after)
    plain = similarity.picture_metrics(before[0], after[0], CAPTIONS, encoder)
    found = similarity.picture_metrics(before[0], after[0], CAPTIONS, encoder, lpips=measure)
    assert found == plain | {"LPIPS, VGG16": pytest.approx(expected[0], rel=1e-5)}
    along = similarity.path_metrics(before, after, None, encoder, measure)
    assert along["LPIPS, VGG16"] == pytest.approx(expected.mean(), rel=1e-5)
    assert similarity.whose("LPIPS, VGG16", "CLIP") == "LPIPS, VGG16"
    assert similarity.whose("image similarity", "CLIP") == "image similarity, CLIP"


def test_weights_that_are_missing_or_others_are_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(BadInput, match="lacks the weights of AlexNet: download https://download"):
        load_lpips("alex", "cpu")
    with pytest.raises(BadInput, match="lacks the weights of AlexNet or VGG16: download"):
        load_lpips(str(tmp_path / "nothing"), "cpu")
    save_weights(tmp_path / "checkpoints", "vgg")
    assert load_lpips("vgg", "cpu").name == "LPIPS, VGG16"
    with pytest.raises(BadInput, match="lacks the weights of AlexNet"):
        load_lpips("alex", "cpu")
    wrong = tmp_path / "checkpoints" / NETWORKS["alex"].file
    for content in (b"", b"nothing like it", (wrong.parent / NETWORKS["vgg"].file).read_bytes()):
        wrong.write_bytes(content)
        with pytest.raises(BadInput, match="does not hold torchvision's weights of AlexNet"):
            load_lpips("alex", "cpu")
    monkeypatch.setattr(lpips.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install --no-deps lpips"):
        load_lpips("vgg", "cpu")
