"""Public generators: our networks compute what their publishers' own code computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from fakeface.gans import loaders
from fakeface.gans.loaders import published
from fakeface.gans.weights import WeightsError
from fakeface.params import GanParams, Params, read_yaml, validate, with_values
from gans.public_checkpoints import (
    Reference,
    reference,
    write_bomb,
    write_gan_zoo,
    write_mimicry,
    write_mmgeneration,
)

ROOT = Path(__file__).parents[2]
_VALUES = with_values(
    (ROOT / "profiles" / "default.yaml").read_text(), read_yaml(ROOT / "profiles" / "celeba.yaml")
)
PROFILE: Params = validate(Params, yaml.safe_load(_VALUES), "profiles/celeba.yaml")
# Our name in profiles/celeba.yaml: the reference that describes it, and how such a file is laid out.
Writer = Callable[[Path, Reference], None]


def _mmgen(path: Path, ref: Reference) -> None:
    write_mmgeneration(path, ref.weights(), averaged=False)


def _mmgen_pggan(path: Path, ref: Reference) -> None:
    progress = {"_curr_transition_weight": torch.tensor(1.0), "_curr_scale_int": torch.tensor(128)}
    write_mmgeneration(path, ref.weights(), averaged=True, **progress)


def _mimicry(path: Path, ref: Reference) -> None:
    write_mimicry(path, ref.weights())


def _gan_zoo(path: Path, ref: Reference) -> None:
    depths = [512, 512, 512, 256, 128] + ([64] if "256" in ref.name else [])
    write_gan_zoo(path, ref.weights(), depths)


PUBLIC: dict[str, tuple[str, Writer]] = {
    "mmgen_dcgan64": ("dcgan64", _mmgen),
    "mmgen_lsgan64": ("dcgan64", _mmgen),
    "mmgen_wgangp128": ("wgangp128", _mmgen),
    "mmgen_pggan128": ("pggan128", _mmgen_pggan),
    "mimicry_sngan64": ("mimicry64", _mimicry),
    "mimicry_ssgan64": ("mimicry64", _mimicry),
    "mimicry_infomaxgan64": ("mimicry64", _mimicry),
    "ganzoo_pgan_celeba128": ("pgan_celeba128", _gan_zoo),
    "ganzoo_pgan_celebahq256": ("pgan_celebahq256", _gan_zoo),
}
READERS: dict[str, Callable[[Path], torch.nn.Module]] = {
    "mmgeneration": published.read_mmgeneration,
    "mimicry": published.read_mimicry,
    "pytorch_gan_zoo": published.read_pytorch_gan_zoo,
}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A file in the public layout, written once for all the names that share a function."""
    folder = tmp_path_factory.mktemp("checkpoints")

    @cache
    def write(ref_name: str, writer: Writer) -> Path:
        path = folder / f"{ref_name}.pth"
        writer(path, reference(ref_name))
        return path

    return lambda name: write(*PUBLIC[name])


def entry(name: str, **changes: Any) -> GanParams:
    return PROFILE.gans[name].model_copy(update=changes)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_generator_computes_what_its_publisher_computes(
    name: str, checkpoint: Callable[[str], Path]
) -> None:
    """The network in double precision; and through the registry and the sampler, as the pipeline does."""
    path, ref = checkpoint(name), reference(PUBLIC[name][0])
    network, step = READERS[entry(name).loader](path), ref.stride
    # One image: in double precision it costs as much as six in single.
    with torch.inference_mode():
        double = network(torch.from_numpy(ref.z[:1]).double())[:, :, ::step, ::step].numpy()
    assert np.abs(double - ref.output_float64[:1]).max() <= 1e-6
    generator = loaders.load(name, entry(name, weights=str(path)))
    # Not padded to the pipeline's batch: most of the work would be images that nobody looks at.
    shown = generator.to(torch.device("cpu"), len(ref.z)).sample(ref.z)
    pixels = shown[:, :: ref.display_stride, :: ref.display_stride]
    expected = 255 * ref.display_rgb01.transpose(0, 2, 3, 1)
    assert np.abs(pixels - expected).max() <= 0.51


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_generator_has_a_card_and_an_entry(name: str) -> None:
    card = json.loads((ROOT / entry(name).weights).read_text())
    assert card["name"] == name
    prefix = card["sha256_prefix"]
    if prefix is None:
        assert "drive" in card["url"]
    else:
        assert f"-{prefix}." in card["file"]
        assert card["url"].endswith(card["file"])


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    write_bomb(tmp_path / "bomb.pth", tmp_path / "exploded")
    for reader in READERS.values():
        with pytest.raises(WeightsError, match=r"bomb\.pth: not a checkpoint that can be opened safely"):
            reader(tmp_path / "bomb.pth")
    assert not (tmp_path / "exploded").exists()


def test_keys_that_do_not_fit_are_named(tmp_path: Path) -> None:
    weights = reference("mimicry64").weights()
    for i in range(12):
        weights[f"extra{i:02d}"] = torch.zeros(1)
    del weights["l1.bias"]
    write_mimicry(tmp_path / "netG.pth", weights)
    with pytest.raises(WeightsError) as caught:
        published.read_mimicry(tmp_path / "netG.pth")
    message = str(caught.value)
    assert "missing keys: l1.bias;" in message
    assert "extra00, extra01" in message
    assert "extra09 and 2 more" in message
    assert "extra10" not in message


def test_a_shape_that_does_not_fit_is_named(tmp_path: Path) -> None:
    weights = reference("mimicry64").weights()
    weights["l1.weight"] = weights["l1.weight"][:, :100]
    write_mimicry(tmp_path / "netG.pth", weights)
    with pytest.raises(WeightsError, match=r"linear.weight is \(16384, 100\), expected \(16384, 128\)"):
        published.read_mimicry(tmp_path / "netG.pth")


def test_files_of_other_projects_are_refused_by_name(
    tmp_path: Path, checkpoint: Callable[[str], Path]
) -> None:
    with pytest.raises(WeightsError, match="'state_dict', found the keys model_state_dict"):
        published.read_mmgeneration(checkpoint("mimicry_sngan64"))
    with pytest.raises(WeightsError, match="'avgG', found the keys meta, state_dict"):
        published.read_pytorch_gan_zoo(checkpoint("mmgen_dcgan64"))
    write_mmgeneration(tmp_path / "other.pth", {"mapping.0.weight": torch.zeros(2)}, averaged=False)
    with pytest.raises(
        WeightsError, match=r"no generator of MMGeneration's .* begin with mapping\.0\.weight"
    ):
        published.read_mmgeneration(tmp_path / "other.pth")


def test_a_pggan_from_the_middle_of_a_transition_is_refused(tmp_path: Path) -> None:
    weights = reference("pggan128").weights()
    progress = {"_curr_transition_weight": torch.tensor(0.5), "_curr_scale_int": torch.tensor(128)}
    write_mmgeneration(tmp_path / "pggan.pth", weights, averaged=True, **progress)
    with pytest.raises(WeightsError, match=r"_curr_transition_weight is 0\.5, expected 1"):
        published.read_mmgeneration(tmp_path / "pggan.pth")
    write_gan_zoo(tmp_path / "zoo.pth", reference("pgan_celeba128").weights(), [512, 512, 512, 256, 128], 0.3)
    with pytest.raises(WeightsError, match=r"config\.alpha is 0\.3, expected 0"):
        published.read_pytorch_gan_zoo(tmp_path / "zoo.pth")


def test_older_names_of_the_gan_zoo_are_understood(tmp_path: Path) -> None:
    ref = reference("pgan_celeba128")
    older = {name.replace(".module.", "."): tensor for name, tensor in ref.weights().items()}
    write_gan_zoo(tmp_path / "old.pth", older, [512, 512, 512, 256, 128])
    network = published.read_pytorch_gan_zoo(tmp_path / "old.pth").float()
    with torch.inference_mode():
        output = network(torch.from_numpy(ref.z))[:, :, :: ref.stride, :: ref.stride].numpy()
    assert np.abs(output - ref.output).max() <= 1e-4


def test_a_declaration_that_the_file_belies_is_refused(checkpoint: Callable[[str], Path]) -> None:
    path = checkpoint("mimicry_sngan64")
    with pytest.raises(WeightsError, match=r"gans\.x\.upsampler must be 'bilinear'.*got 'nearest'"):
        loaders.load("x", entry("mimicry_sngan64", weights=str(path), upsampler="nearest"))
