"""The fused network is the package's network."""

import pytest
import torch

from fakeface.base.lite0 import build_network, default_weights, fuse


@pytest.mark.parametrize("side", [32, 75, 128])
@torch.no_grad()
def test_fusing_changes_no_feature(side: int) -> None:
    plain = build_network(default_weights()).double()
    fused = fuse(build_network(default_weights()).double())
    x = torch.rand(2, 3, side, side, dtype=torch.float64) * 2 - 1
    torch.testing.assert_close(fused.extract_features(x), plain.extract_features(x), rtol=1e-10, atol=1e-10)
    assert not any(isinstance(module, torch.nn.ZeroPad2d) for module in fused.modules())
    assert any(isinstance(module, torch.nn.ZeroPad2d) for module in plain.modules())
