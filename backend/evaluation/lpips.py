"""LPIPS: how unlike two pictures look (Zhang, Isola, Efros, Shechtman and Wang 2018, "The
Unreasonable Effectiveness of Deep Features as a Perceptual Metric"). 0 is alike; lower is nearer.

Of an edit and its input it says how much of the picture is another now. The channels of five layers
of a network that tells photos' objects apart are weighed by the authors' own weights (version 0.1).
These are read from their package (lpips, BSD-2-Clause), which requirements.txt installs for them
alone; the network's come from torchvision, in a file that has to be there already.
"""

import importlib.util
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.editing.encoders import Picture
from backend.editing.models.registry import resolve_device
from backend.errors import BadInput

LPIPS = "LPIPS"
"""How the names of figures begin."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""By which pixels of -1..1 are brought to what the networks were trained on."""
TINY = 1e-10
AT_ONCE = 16
"""Pairs of pictures in a batch."""


def _alexnet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


def _vgg16() -> nn.Sequential:
    layers: list[nn.Module] = []
    taken = 3
    for widths in ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3):
        for width in widths:
            layers += [nn.Conv2d(taken, width, 3, padding=1), nn.ReLU()]
            taken = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:-1])


@dataclass(frozen=True)
class Network:
    """A network whose layers are compared.

    Attributes:
        name: for people.
        features: makes its layers as torchvision does, up to the last one that is compared.
        file: of torchvision's weights, as its downloads are called.
        own: of the authors' weights.
        ends: of the five parts of its layers, whose ends are compared.
        smallest: pixels along a side, below which nothing of a picture comes to the last part.
    """

    name: str
    features: Callable[[], nn.Sequential]
    file: str
    own: str
    ends: tuple[int, ...]
    smallest: int


NETWORKS = {
    "alex": Network(
        "AlexNet", _alexnet, "alexnet-owt-7be5be79.pth", "alex.pth", (2, 5, 8, 10, 12), 31
    ),
    "vgg": Network("VGG16", _vgg16, "vgg16-397923af.pth", "vgg.pth", (4, 9, 16, 23, 30), 16),
}
"""By the authors' names."""


class Lpips:
    """The distance by one network, in float32 on one device.

    Attributes:
        name: of its figures.
    """

    def __init__(
        self, network: Network, features: nn.Sequential, weights: Sequence[Tensor]
    ) -> None:
        """Args:
        network: which one.
        features: its own, with weights.
        weights: float32 (channels,) of each part.
        """
        self.name, self._network = f"{LPIPS}, {network.name}", network
        starts = (0, *network.ends[:-1])
        self._parts = [features[start:end] for start, end in zip(starts, network.ends, strict=True)]
        self._weights = [one.view(1, -1, 1, 1) for one in weights]
        self._device = self._weights[0].device

    @torch.inference_mode()
    def distances(self, before: Sequence[Picture], after: Sequence[Picture]) -> NDArray[np.float64]:
        """float64 (N,), at least 0, of N pairs of pictures uint8 (H, W, 3), RGB, all of one size.

        Raises:
            BadInput: they are smaller than the network takes.
        """
        sides, smallest = before[0].shape[:2], self._network.smallest
        if min(sides) < smallest:
            raise BadInput(
                f"{self.name} needs pictures of {smallest}x{smallest} pixels at least, not "
                f"{sides[1]}x{sides[0]}."
            )
        found: list[float] = []
        for start in range(0, len(before), AT_ONCE):
            pair = [self._shown(some[start : start + AT_ONCE]) for some in (before, after)]
            total = torch.zeros(len(pair[0]), device=self._device)
            for part, weight in zip(self._parts, self._weights, strict=True):
                pair = [part(one) for one in pair]
                first, second = (_of_length_1(one) for one in pair)
                total += (weight * (first - second) ** 2).sum(dim=1).mean(dim=(1, 2))
            found += total.tolist()
        return np.array(found)

    def _shown(self, pictures: Sequence[Picture]) -> Tensor:
        """float32 (N, 3, H, W), as the networks were trained on."""
        pixels = torch.from_numpy(np.stack(pictures)).to(self._device).permute(0, 3, 1, 2).float()
        shift, scale = (
            torch.tensor(one, device=self._device).view(1, 3, 1, 1) for one in (SHIFT, SCALE)
        )
        return (pixels / 127.5 - 1 - shift) / scale


def _of_length_1(features: Tensor) -> Tensor:
    """(N, c, h, w), whose channels have the length 1 in every place."""
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + TINY)


def load_lpips(weights: str, device: str = "auto") -> Lpips:
    """LPIPS by a network's weights.

    Args:
        weights: "alex" or "vgg", for the file in the folder that torchvision downloads to; or that
            file, or a folder with it.
        device: where it is computed.

    Raises:
        BadInput: there are no such weights, or the authors' are not installed.
    """
    network, path = _found(weights)
    try:
        known = torch.load(path, map_location="cpu", weights_only=True)
        features = network.features()
        features.load_state_dict(
            {name: known[f"features.{name}"] for name in features.state_dict()}
        )
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path} does not hold torchvision's weights of {network.name}: take another copy, "
            f"{_address(network)}."
        ) from error
    where = resolve_device(device)
    own = torch.load(_package() / network.own, map_location=where, weights_only=True)
    each = [own[f"lin{number}.model.1.weight"].flatten() for number in range(len(network.ends))]
    return Lpips(network, features.to(where).eval().requires_grad_(False), each)


def _found(weights: str) -> tuple[Network, Path]:
    """The network, and the file of its weights.

    Raises:
        BadInput: there is none.
    """
    place = Path(weights).expanduser()
    if weights in NETWORKS:
        asked, folder = [NETWORKS[weights]], Path(torch.hub.get_dir()) / "checkpoints"
    elif place.is_dir():
        asked, folder = list(NETWORKS.values()), place
    else:
        asked, folder = [one for one in NETWORKS.values() if one.file == place.name], place.parent
    for network in asked:
        if (path := folder / network.file).is_file():
            return network, path
    wanted = asked or list(NETWORKS.values())
    files = " or ".join(_address(one) for one in wanted)
    raise BadInput(
        f"LPIPS lacks the weights of {' or '.join(one.name for one in wanted)}: download {files} "
        f"into {folder if asked else 'a folder'}, or name with --lpips the folder that has them."
    )


def _address(network: Network) -> str:
    return f"https://download.pytorch.org/models/{network.file}"


def _package() -> Path:
    """The folder of the authors' weights.

    Raises:
        BadInput: their package is not installed.
    """
    package = importlib.util.find_spec("lpips")  # importing it would ask for torchvision
    if package is None or package.origin is None:
        raise BadInput("LPIPS's own weights are not here: `pip install --no-deps lpips==0.1.4`.")
    return Path(package.origin).parent / "weights" / "v0.1"
