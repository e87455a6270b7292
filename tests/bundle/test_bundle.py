"""A bundle comes back as it was made, and a damaged, altered, contradictory or newer one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from bundles import make_bundle

from fakeface.bundle.bundle import MANIFEST_FILE, BundleError, load_bundle, load_networks, read_manifest
from fakeface.bundle.write import write_bundle
from fakeface.models.weights import load_cffn


def change(folder: Path, **changes: Any) -> None:
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path)


def test_networks_and_decision_come_back(bundle: Path) -> None:
    loaded = load_networks(bundle, "cpu")
    made, size = load_cffn(bundle.parent / "cffn.safetensors")
    assert loaded.detector.image_size == size == 64
    for name, tensor in made.state_dict().items():
        assert torch.equal(loaded.detector.cffn.state_dict()[name], tensor)
    assert loaded.detector.rule.threshold == loaded.manifest.decision.threshold == 0.4
    assert loaded.detector.rule.lower_threshold == 0.2
    assert loaded.faces.is_file()


def test_the_same_inputs_give_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "again")
    for path in bundle.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_it_says_what_it_was_trained_on_and_how_well_it_does(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert manifest.training.n_photographs == 2
    assert manifest.training.n_fakes == {"dcgan": 3}
    assert manifest.training.held_out == ("sngan", "stylegan2", "digiface_dcgan")
    card = (bundle / "README.md").read_text()
    assert "| dcgan | seen | 0.910 [0.900, 0.920] | 0.800 |" in card
    assert "| sngan | unseen | 0.710 [0.700, 0.720] | 0.300 |" in card
    assert "- mild: of `sngan` it finds 0.300, the least of all." in card
    assert "*Fake* is a score above 0.4000, *real* one below 0.2000, *unsure* what lies between." in card
    assert manifest.training.fingerprint in card
    assert "resemble those of dcgan, sngan." in card
    assert "named rightly: 0.930 laundered" in card
    assert "0.810 mild" in card
    assert "non-commercial" in card


@pytest.mark.parametrize(
    "name", ["cffn.safetensors", "cn.safetensors", "attribution.safetensors", "faces.onnx"]
)
def test_a_missing_or_altered_file_is_named(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[-1] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} was altered: its sha256 is .*, expected"):
        load_bundle(bundle)
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        load_bundle(bundle)


def test_all_bad_files_are_named_at_once(bundle: Path) -> None:
    (bundle / "cn.safetensors").unlink()
    (bundle / "faces.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="cn.safetensors is missing; faces.onnx was altered"):
        load_bundle(bundle)


def test_a_file_elsewhere_is_not_reached_through_the_manifest(bundle: Path) -> None:
    files = read_manifest(bundle).files
    change(bundle, files=files | {"../cn.safetensors": files["cn.safetensors"]})
    with pytest.raises(BundleError, match="'../cn.safetensors' is no plain file name"):
        load_bundle(bundle)


def test_a_newer_format_is_refused_before_its_keys_are_judged(bundle: Path) -> None:
    change(bundle, format_version=3, fakeface_version="9.0", something="new")
    with pytest.raises(BundleError, match="made by fakeface 9.0 in format 3, this version reads up to 2"):
        load_bundle(bundle)


def test_unknown_and_wrong_keys_are_named(bundle: Path) -> None:
    change(bundle, something="new", precision="fp8")
    with pytest.raises(BundleError, match="(?s)precision: .*something: "):
        load_bundle(bundle)


def test_other_names_than_those_of_the_weights_are_refused(bundle: Path) -> None:
    attribution = read_manifest(bundle).attribution.model_dump(mode="json")
    change(bundle, attribution=attribution | {"gans": ["dcgan", "stylegan2"]})
    with pytest.raises(BundleError, match="dcgan, stylegan2 in detector.json, dcgan, sngan in the weights"):
        load_bundle(bundle)


def test_a_decision_that_differs_from_the_weights_is_refused(bundle: Path) -> None:
    decision = read_manifest(bundle).decision.model_dump(mode="json")
    change(bundle, decision=decision | {"threshold": 0.9})
    with pytest.raises(BundleError, match=r"0\.9, .* in detector.json, .*0\.4, .* in the weights"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no detector here, detector.json is missing"),
        ("<html>", "not readable as JSON"),
        ("[1]", "not the description of a fakeface detector"),
        ('{"format": "another"}', "not the description of a fakeface detector"),
    ],
)
def test_a_folder_that_is_no_bundle(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / MANIFEST_FILE).write_text(content)
    with pytest.raises(BundleError, match=message):
        load_bundle(tmp_path)


def test_figures_of_another_threshold_are_refused_and_nothing_is_lost(bundle: Path, tmp_path: Path) -> None:
    evaluation = tmp_path / "evaluation.json"
    evaluation.write_text(json.dumps(json.loads(evaluation.read_text()) | {"threshold": 0.5}))
    before = (bundle / MANIFEST_FILE).read_bytes()
    with pytest.raises(BundleError, match="measured at threshold 0.5, but .* has 0.4"):
        make_bundle(tmp_path, write_bundle, keep=True)
    assert (bundle / MANIFEST_FILE).read_bytes() == before


def test_a_gpu_that_is_not_there(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BundleError, match="without a CUDA GPU, got 'cuda'"):
        load_bundle(bundle, "cuda")
