"""A radiance field that is trained in a second, and what tells two of them apart."""

import dataclasses

import torch

from backend.fields.config import PRESETS, ProposalConfig
from backend.fields.radiance_field import RadianceField

TINY = dataclasses.replace(
    PRESETS["preview"],
    average_initial_density=0.01,
    starts=1,
    iterations=6,
    rays=64,
    samples=6,
    proposals=(ProposalConfig(8, levels=2, log2_table_size=8),),
    levels=3,
    log2_table_size=9,
    highest_resolution=64,
    evaluate_every=4,
)


def parameters(field: RadianceField) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in field.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
