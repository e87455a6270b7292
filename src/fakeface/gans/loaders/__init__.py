"""Loaders of pretrained generators by the name that params.yaml gives them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fakeface.base.errors import FakefaceError
from fakeface.gans.loaders import diffusers, exported, folder, published
from fakeface.gans.loaders.checkpoints import load_public, load_zoo
from fakeface.gans.sampler import Source
from fakeface.params import GanParams

Loader = Callable[[str, GanParams], Source]

LOADERS: dict[str, Loader] = {
    "zoo": load_zoo,
    "gan_face_generate": published.load_gan_face_generate,
    "mmgeneration": partial(load_public, read_network=published.read_mmgeneration, bgr=True),
    "mimicry": partial(load_public, read_network=published.read_mimicry, bgr=False),
    "pytorch_gan_zoo": partial(load_public, read_network=published.read_pytorch_gan_zoo, bgr=False),
    "torchscript": exported.load_torchscript,
    "onnx": exported.load_onnx,
    "folder": folder.load,
    "diffusers": diffusers.load,
}


class LoaderError(FakefaceError, ValueError):
    """A loader's name is unknown or already taken."""


def register_loader(name: str, loader: Loader) -> None:
    """Make ``loader(gan_name, gan_params)`` available as ``loader: name`` in params.yaml.

    Raises:
        LoaderError: if the name is taken; a silent replacement would change published fakes.
    """
    if name in LOADERS:
        raise LoaderError(f"loader {name!r} is already registered")
    LOADERS[name] = loader


def load(name: str, gan: GanParams) -> Source:
    """What ``gans.<name>`` of params.yaml describes, on the CPU.

    Raises:
        LoaderError: if its loader is not available; the message lists those that are.
        FileNotFoundError, WeightsError: if the weights are absent or do not fit.
    """
    if gan.loader not in LOADERS:
        known = ", ".join(sorted(LOADERS))
        raise LoaderError(f"gans.{name}.loader must be one of {known}, got {gan.loader!r}")
    return LOADERS[gan.loader](name, gan)
