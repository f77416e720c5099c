"""Random weights of the networks that LPIPS compares layers of, in torchvision's format."""

from pathlib import Path

import torch

from backend.evaluation.lpips import NETWORKS


def save_weights(folder: Path, name: str, seed: int = 0) -> torch.nn.Sequential:
    """Random weights in torchvision's file; the layers that have them. Those of the classifier,
    which torchvision's file has, too, say nothing to LPIPS.
    """
    torch.manual_seed(seed)
    layers = NETWORKS[name].features()
    for layer in layers:
        if isinstance(layer, torch.nn.Conv2d):  # so that deep layers still tell pictures apart
            torch.nn.init.kaiming_normal_(layer.weight)
    known = {f"features.{key}": value for key, value in layers.state_dict().items()}
    known["classifier.1.weight"] = torch.zeros(3, 4)
    folder.mkdir(exist_ok=True)
    torch.save(known, folder / NETWORKS[name].file)
    return layers
