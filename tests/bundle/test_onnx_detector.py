"""ONNX Runtime says what PyTorch says, and the graph that it runs is made once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import celeba_photographs, make_bundle
from lightning_fabric import Fabric

from fakeface.base.downloads import sha256_of
from fakeface.bundle.bundle import MANIFEST_FILE, RELEASED, load_bundle, load_networks, prepare
from fakeface.bundle.onnx_detector import OnnxDetector, network_graph
from fakeface.data.preprocess import decode, preprocess
from fakeface.detector.calibration import Calibration, ScoreOffset
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import Detector, save_cn
from fakeface.models.cffn import build_cffn
from fakeface.models.cn import ClassificationNetwork
from fakeface.models.weights import save_cffn


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where graphs are kept; each test has its own."""
    monkeypatch.setenv("FAKEFACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def faces() -> list[bytes]:
    return celeba_photographs(range(1, 8))


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(made, tmp_path / "detector"))


def noise(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_detector_says_what_it_says_in_pytorch(name: str, faces: list[bytes]) -> None:
    fast, exact = load_bundle(name, "cpu"), load_networks(name, "cpu")
    assert isinstance(fast.detector, OnnxDetector)
    size = exact.detector.image_size
    images = np.stack([*(preprocess(decode(content), size) for content in faces), *noise(7, size)])
    scores, embeddings = fast.detector.score_and_embed(images, 64)
    expected, vectors = exact.detector.score_and_embed(images, 64)
    # Both round: each is about as far from double precision as from the other.
    np.testing.assert_allclose(scores, expected, atol=5e-6)
    np.testing.assert_allclose(embeddings, vectors, atol=1e-5)
    features, others = (part.detector.attribution_features(images) for part in (fast, exact))
    np.testing.assert_allclose(features, others, atol=2e-4)
    if exact.attribution is not None:
        assert fast.attribution is not None
        assert fast.attribution.names(features) == exact.attribution.names(others)
    # Neither the size of a batch nor the images beside it count.
    alone = [fast.detector.score_and_embed(image[None], 1)[0][0] for image in images]
    np.testing.assert_allclose(alone, scores, atol=1e-7)


@pytest.mark.parametrize(
    ("variant", "levels", "size", "unit_norm"),
    [
        ("pretrained", (1, 3), 72, True),  # windows of the averaging overlap
        ("pretrained", (2, 3, 4), 64, False),
        ("statistics", (1, 2, 4), 64, True),
        ("expanded_statistics", (2, 3), 64, False),
    ],
)
def test_any_network_on_frozen_layers_has_a_graph(
    variant: str, levels: tuple[int, ...], size: int, unit_norm: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    cffn = build_cffn(variant, levels, unit_norm)
    for name, module in cffn.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d) and name.startswith("heads"):
            torch.nn.init.uniform_(module.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            if module.affine:
                torch.nn.init.uniform_(module.weight, 0.5, 2)
                torch.nn.init.uniform_(module.bias, -0.3, 0.3)
    rule = DecisionRule(0.4, 0.2, Calibration("platt", 2.0, 0.25), ScoreOffset((0.3, -0.5, 0.1), -4.0, -0.5))
    files = tmp_path / "cffn.safetensors", tmp_path / "cn.safetensors"
    save_cffn(files[0], cffn, size)
    save_cn(files[1], ClassificationNetwork(128 * len(levels)), rule)
    fast = OnnxDetector(network_graph(*files), rule, size, threads=1)
    exact = Detector.load(*files, Fabric(accelerator="cpu", devices=1))
    images = noise(11, size)
    for ours, theirs in zip(fast.score_and_embed(images, 4), exact.score_and_embed(images, 4), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    features = exact.attribution_features(images)
    # A variance as mean of squares less square of the mean loses digits where the mean is large.
    np.testing.assert_allclose(fast.attribution_features(images), features, atol=1e-3)
    assert [part.shape for part in fast.score_and_embed(images[:0], 4)] == [(0,), (0, 128 * len(levels))]


def test_a_graph_is_made_once_and_anew_where_it_is_damaged(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = noise(3, 64)
    prepare(bundle, "cpu")
    (graph,) = cache.iterdir()
    content = graph.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("fakeface.bundle.onnx_graph.graph_of", lambda *_: pytest.fail("made again"))
        expected, _ = load_bundle(bundle, "cpu").detector.score_and_embed(images, 3)
    for damaged in (content[:-1], content[:-1] + bytes([content[-1] ^ 1]), b""):
        graph.write_bytes(damaged)
        scores, _ = load_bundle(bundle, "cpu").detector.score_and_embed(images, 3)
        np.testing.assert_array_equal(scores, expected)
        assert graph.read_bytes() == content
    assert list(cache.iterdir()) == [graph]


def test_without_a_cache_it_works_too(bundle: Path, cache: Path) -> None:
    cache.parent.write_text("no folder")
    detector = load_bundle(bundle, "cpu").detector
    assert isinstance(detector, OnnxDetector)
    assert detector.score_and_embed(noise(2, 64), 2)[0].shape == (2,)


def test_other_weights_and_other_code_have_another_graph(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_bundle(bundle, "cpu").detector.score_and_embed(noise(2, 64), 2)[1]
    torch.manual_seed(1)
    change_file(bundle, lambda path: save_cffn(path, build_cffn("pretrained", (2, 3, 4), False), 64))
    after = load_bundle(bundle, "cpu").detector.score_and_embed(noise(2, 64), 2)[1]
    assert len(list(cache.iterdir())) == 2
    assert np.abs(before - after).max() > 1e-3
    monkeypatch.setattr("fakeface.bundle.onnx_detector.code_hash", lambda _: "edited")
    prepare(bundle, "cpu")
    assert len(list(cache.iterdir())) == 3


def test_few_graphs_are_kept(bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakeface.bundle.onnx_graph.graph_of", lambda *_: b"")
    for edit in range(12):
        monkeypatch.setattr("fakeface.bundle.onnx_detector.code_hash", lambda _, edit=edit: str(edit))
        prepare(bundle, "cpu")
    assert len(list(cache.iterdir())) == 8


@pytest.mark.parametrize("variant", ["paper", "residual"])
def test_networks_without_frozen_layers_run_in_pytorch(variant: str, bundle: Path, cache: Path) -> None:
    change_file(bundle, lambda path: save_cffn(path, build_cffn(variant, (2, 3, 4), False), 64))
    prepare(bundle, "cpu")
    assert isinstance(load_bundle(bundle, "cpu").detector, Detector)
    assert not cache.exists()


@pytest.mark.parametrize(("precision", "runs_in"), [("bf16", Detector), ("fp16", OnnxDetector)])
def test_a_cpu_has_bf16_in_pytorch_and_no_fp16(precision: str, runs_in: type, bundle: Path) -> None:
    path = bundle / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"precision": precision}))
    assert isinstance(load_bundle(bundle, "cpu").detector, runs_in)


def test_a_driver_without_a_gpu_for_pytorch_is_none(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakeface.bundle.bundle._driver_devices", lambda: 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert isinstance(load_bundle(bundle, "auto").detector, OnnxDetector)


def change_file(bundle: Path, write: object) -> None:
    """Other weights of the CFFN, and their checksum in the manifest."""
    assert callable(write)
    write(bundle / "cffn.safetensors")
    path = bundle / MANIFEST_FILE
    content = json.loads(path.read_text())
    content["files"]["cffn.safetensors"] = sha256_of(bundle / "cffn.safetensors")
    path.write_text(json.dumps(content))
