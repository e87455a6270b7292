"""What the loaders of generators share: to get a file, open it safely, rename its tensors, check and show it.

And the loader of this project's own zoo.

Nothing is unpickled but tensors, plain containers and the stand-ins that a loader names.
"""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from fakeface.base.downloads import default_cache_dir, fetch, sha256_of
from fakeface.base.errors import MissingFileError, first_line
from fakeface.base.files import explain_mismatch
from fakeface.gans.architectures import GENERATORS
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import WeightsError, load_generator
from fakeface.params import GanParams

# A tensor's name in our network and how to get it from the file's tensor.
Rule = tuple[str, Callable[[torch.Tensor], torch.Tensor]]

logger = logging.getLogger(__name__)


def facts(network: nn.Module) -> tuple[str, str]:
    """Architecture and upsampler of a network of ours."""
    architecture = next(name for name, kind in GENERATORS.items() if type(network) is kind)
    return architecture, str(getattr(network, "upsample", "transposed"))


def check_facts(name: str, gan: GanParams, path: str | Path, network: nn.Module) -> None:
    """Hold what params.yaml declares of a GAN against its network: evaluation groups GANs by both.

    Raises:
        WeightsError: naming the key, the value and the right one.
    """
    for key, actual, declared in zip(
        ("architecture", "upsampler"), facts(network), (gan.architecture, gan.upsampler), strict=True
    ):
        if actual != declared:
            raise WeightsError(f"gans.{name}.{key} must be {actual!r}, as in {path}, got {declared!r}")


class Shown(nn.Module):
    """A network whose images (B, 3, S, S) are shown as its publisher shows them.

    Args:
        network: maps z to images.
        bgr: the network's first channel is blue.
        clip: values beyond it are cut off, for networks without a last activation; None: nothing is.
    """

    def __init__(
        self, network: nn.Module, *, bgr: bool = False, clip: tuple[float, float] | None = (-1.0, 1.0)
    ) -> None:
        super().__init__()
        self.network, self.bgr, self.clip = network, bgr, clip

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z (B, z_dim) to (B, 3, S, S) RGB."""
        x = self.network(z)
        x = x.flip(1) if self.bgr else x
        return x if self.clip is None else x.clamp(*self.clip)


def same(tensor: torch.Tensor) -> torch.Tensor:
    """The rule that changes nothing."""
    return tensor


def read_card(path: str | Path, *keys: str) -> dict[str, Any]:
    """The JSON object in a file, in which ``keys`` are texts.

    Raises:
        MissingFileError: if there is no such file.
        WeightsError: if it is no such object.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"{path}: no such file")
    try:
        card = json.loads(Path(path).read_text(encoding="utf-8"))
        values = [card[key] for key in keys]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path}: expected a JSON object with {', '.join(keys)} ({error!r})") from error
    if not all(isinstance(value, str) for value in values):
        raise WeightsError(f"{path}: {', '.join(keys)} must be texts, got {', '.join(map(repr, values))}")
    return cast(dict[str, Any], card)


def check_sha256(path: str | Path, prefix: str | None) -> None:
    """Hold a file against the beginning of its checksum, if there is one; WeightsError if they differ."""
    if prefix is not None and not (actual := sha256_of(path)).startswith(prefix.lower()):
        raise WeightsError(f"{path}: sha256 is {actual}, expected one that begins with {prefix}")


def checked_file(name: str, gan: GanParams) -> Path:
    """The file ``gans.<name>.weights``.

    Raises:
        MissingFileError: if there is none.
        WeightsError: if ``sha256`` is given and differs.
    """
    path = Path(gan.weights)
    if not path.is_file():
        raise MissingFileError(f"gans.{name}.weights: {path}: no such file")
    check_sha256(path, gan.sha256)
    return path


def checkpoint_file(name: str, gan: GanParams) -> Path:
    """The local file with the weights of ``gans.<name>``, verified.

    ``weights`` is the file itself or a card (``.json``) with ``file``, ``url`` and ``sha256_prefix`` (null
    where the publisher names none). A card's file is downloaded once, to ``<cache>/checkpoints/<card>/``;
    its ``url`` may also be a local path. ``gans.<name>.sha256``, if given, is checked in place of the
    card's prefix.

    Raises:
        MissingFileError: if a named file does not exist.
        FetchError: if the download fails.
        WeightsError: if the card is damaged or the checksum differs.
    """
    if Path(gan.weights).suffix != ".json":
        return checked_file(name, gan)
    path = checked_file(name, gan.model_copy(update={"sha256": None}))
    card = read_card(path, "file", "url")
    url, file_name, prefix = card["url"], card["file"], gan.sha256 or card.get("sha256_prefix")
    if Path(file_name).name != file_name:
        raise WeightsError(f"{path}: file must be a bare file name, got {file_name!r}")
    if not (prefix is None or isinstance(prefix, str)) or "sha256_prefix" not in card:
        raise WeightsError(f"{path}: sha256_prefix must be given, as a text or null")
    if "://" not in url:
        if prefix is None:
            raise WeightsError(
                f"{path}: url is a local file that nobody would see change; name it in gans.{name}.weights"
            )
        local = Path(url)
        if not local.is_file():
            raise MissingFileError(f"{path}: url: {local}: no such file")
        check_sha256(local, prefix)
        return local
    file = fetch(url, default_cache_dir() / "checkpoints" / path.stem / file_name, sha256=prefix)
    if prefix is None:
        logger.warning(
            "%s: the publisher names no checksum; this file's sha256 is %s, which gans.%s.sha256 can pin",
            file, sha256_of(file), name,
        )  # fmt: skip
    return file


def read_checkpoint(path: Path, stand_ins: Sequence[tuple[type, str]] = ()) -> dict[str, Any]:
    """The dictionary in a file of ``torch.save``.

    Args:
        path: the file.
        stand_ins: classes that may be made in place of pickled ones, each with the pickled one's full name.

    Raises:
        WeightsError: if it is anything else or asks for another class.
    """
    try:
        with torch.serialization.safe_globals(list(stand_ins)):
            content = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = first_line(error)
        raise WeightsError(f"{path}: not a checkpoint that can be opened safely ({reason})") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: expected a dictionary, got {type(content).__name__}")
    return content


def tensors_at(path: Path, content: Mapping[str, Any], key: str, prefix: str = "") -> dict[str, torch.Tensor]:
    """The tensors of ``content[key]`` whose names begin with ``prefix``, which is taken off.

    Raises:
        WeightsError: if there are none.
    """
    state = content.get(key)
    if not isinstance(state, Mapping):
        found = ", ".join(map(str, list(content)[:10]))
        raise WeightsError(f"{path}: expected a dictionary under the key {key!r}, found the keys {found}")
    tensors = {
        str(name).removeprefix(prefix): value
        for name, value in state.items()
        if str(name).startswith(prefix) and isinstance(value, torch.Tensor)
    }
    if not tensors:
        raise WeightsError(f"{path}: no tensor of {key!r} has a name that begins with {prefix!r}")
    return tensors


def translate(
    path: Path, tensors: Mapping[str, torch.Tensor], rules: Mapping[str, Rule]
) -> dict[str, torch.Tensor]:
    """Rename and convert tensors, in float64 so that conversion costs no precision.

    ``num_batches_tracked`` counters are left out.

    Raises:
        WeightsError: naming, in the file's own words, what is missing and what is unexpected.
    """
    names = {name for name in tensors if not name.endswith("num_batches_tracked")}
    missing, unexpected = sorted(set(rules) - names), sorted(names - set(rules))
    if missing or unexpected:
        raise WeightsError(explain_mismatch(path, missing, unexpected))
    return {ours: convert(tensors[name].double()) for name, (ours, convert) in rules.items()}


def load_public(
    name: str, gan: GanParams, read_network: Callable[[Path], nn.Module], *, bgr: bool
) -> Generator:
    """Fetch what ``gan.weights`` names, a card or a checkpoint file, and read the generator in it.

    Raises:
        MissingFileError, FetchError, WeightsError: as :func:`checkpoint_file` and ``read_network`` say, and
            if the network is not of the declared architecture and upsampler.
    """
    path = checkpoint_file(name, gan)
    network = read_network(path)
    check_facts(name, gan, path, network)
    return Generator(name, Shown(network.float(), bgr=bgr), cast(int, network.z_dim))


def as_source(name: str, network: nn.Module) -> Generator:
    """A generator of ours, its images cut off at black and white where its last layer is linear."""
    linear = bool(getattr(network, "linear_output", False))
    return Generator(name, Shown(network) if linear else network, cast(int, network.z_dim))


def load_zoo(name: str, gan: GanParams) -> Generator:
    """Read ``gan.weights``, trained by zoo/dvc.yaml; what params.yaml declares must be the facts of the file.

    Raises:
        MissingFileError: if there is no such file.
        WeightsError: if its checksum, or the file's own header, or what params.yaml declares does not fit.
    """
    network = load_generator(gan.weights)
    check_sha256(gan.weights, gan.sha256)
    check_facts(name, gan, gan.weights, network)
    return as_source(name, network)
