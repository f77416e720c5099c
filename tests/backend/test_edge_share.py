"""The add-on knows how the backend softens the edge of an edit, so that layers fit it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from backend.pictures import blend

FILE = Path(__file__).parents[2] / "blender_addon/data/edge_share.py"


@pytest.mark.parametrize("rim", [0.0, 0.5, 1.0, 2.0, 7.3, 32.0, 300.0])
def test_the_add_ons_shares_are_the_backends(rim: float) -> None:
    spec = importlib.util.spec_from_file_location("edge_share", FILE)
    assert spec is not None
    assert spec.loader is not None
    edge_share = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(edge_share)
    rng = np.random.default_rng(0)
    blobs = np.kron(rng.random((6, 9)) > 0.6, np.ones((11, 7), np.bool_)).astype(np.bool_)
    for mask in (blobs, ~blobs, rng.random((40, 30)) > 0.9, np.eye(3, 50, dtype=np.bool_)):
        expected = blend.weights(mask, rim).astype(np.float32)
        assert np.abs(edge_share.share(mask, rim) - expected).max() < 1e-5
    for value in (True, False):
        assert (edge_share.share(np.full((4, 5), value), rim) == value).all()
