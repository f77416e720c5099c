"""nerfstudio's nerfacto with the slow parts of its torch implementation exchanged: same parameters,
same values, same gradients.
"""

from typing import Any

import torch
from torch import Tensor, nn

from backend.fields.hash_encoding import encode
from backend.fields.nerfstudio_compat import (
    HashEncoding,
    NerfactoField,
    RaySamples,
    SceneContraction,
    trunc_exp,
)


class FastHashEncoding(HashEncoding):  # type: ignore[misc]
    """nerfstudio's HashEncoding with `encode` in place of its torch implementation."""

    def pytorch_fwd(self, in_tensor: Tensor) -> Tensor:
        """Features (..., levels * features) of positions (..., 3) in 0..1."""
        scalings = self.scalings.to(in_tensor.device)
        flat = in_tensor.reshape(-1, 3)
        encoded = encode(flat, self.hash_table, scalings, self.log2_hashmap_size)
        return encoded.view(*in_tensor.shape[:-1], -1)


class FastContraction(SceneContraction):  # type: ignore[misc]
    """nerfstudio's SceneContraction with the maximum norm, without the slow `linalg.norm`."""

    def forward(self, positions: Any) -> Any:
        """Positions (..., 3) of all space in [-2, 2]^3, those in [-1, 1]^3 where they are."""
        if not isinstance(positions, Tensor):  # Gaussians, which nerfacto does not use
            return super().forward(positions)
        size = positions.abs().amax(-1, keepdim=True)
        return torch.where(size < 1, positions, (2 - 1 / size) * (positions / size))


class LeanField(NerfactoField):  # type: ignore[misc]
    """nerfstudio's NerfactoField without the gradient by the samples' positions, which it always
    asks for and only predicted normals would use.
    """

    def get_density(self, ray_samples: RaySamples) -> tuple[Tensor, Tensor]:
        """Densities (..., 1) and features (..., geo_feat_dim) of samples (...)."""
        positions = (self.spatial_distortion(ray_samples.frustums.get_positions()) + 2) / 4
        inside = ((positions > 0) & (positions < 1)).all(dim=-1, keepdim=True)
        features = self.mlp_base((positions * inside).view(-1, 3))
        features = features.view(*ray_samples.frustums.shape, -1)
        raw, geometry = torch.split(features, [1, self.geo_feat_dim], dim=-1)
        return self.average_init_density * trunc_exp(raw.to(positions)) * inside, geometry


def accelerate(model: nn.Module) -> None:
    """Exchanges the slow parts of a nerfacto model; its parameters, their names and its state dict
    stay what they are. What runs in tiny-cuda-nn stays there.
    """
    module: Any
    for module in model.modules():
        # nerfstudio builds these deep inside its constructors: only their methods are exchanged
        if type(module) is HashEncoding and module.tcnn_encoding is None:
            module.__class__ = FastHashEncoding
        elif type(module) is SceneContraction and module.order == float("inf"):
            module.__class__ = FastContraction
        elif (
            type(module) is NerfactoField
            and not module.use_pred_normals
            and module.spatial_distortion is not None
        ):
            module.__class__ = LeanField
