"""Measures of a fake set: this project against torch-fidelity with the settings that it comes with."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import numpy as np
import torch
import torch_fidelity
from PIL import Image
from timing import Section, duration, in_turns
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from fakeface.metrics.extractors import extract, extract_once, open_extractor
from fakeface.metrics.quality import compare
from fakeface.params import Params

LITE0, INCEPTION = "efficientnet-lite0", "inception-v3-compat"
STOCK = "torch-fidelity from folders of PNG files, Inception-v3"


class Untrained(FeatureExtractorInceptionV3):
    """torch-fidelity's Inception with random weights, which cost as much as trained ones."""

    def load_state_dict(self, *_: object, **__: object) -> None:  # type: ignore[override]
        return None


def random_weights(folder: Path) -> Path:
    """A weights file of Inception that needs no download."""
    torch.save({}, folder / "empty.pth")
    torch.manual_seed(0)
    network = Untrained(INCEPTION, ["2048"], str(folder / "empty.pth"))
    path = folder / "inception.pth"
    torch.save(network.state_dict(), path)
    return path


def ours(
    name: str,
    weights: Path | None,
    images: tuple[np.ndarray, np.ndarray],
    cache: Path,
    params: Params,
    device: torch.device,
) -> Callable[[], object]:
    """The stage ``quality`` from packed arrays; features of photographs come from its cache."""
    extractor = open_extractor(name, weights, device)
    fakes, photographs = images
    batch = params.quality.batch_size
    return lambda: compare(
        extractor,
        extract(extractor, fakes, batch),
        extract_once(extractor, photographs, batch, cache),
        kid_subset_size=params.quality.kid_subset_size,
        kid_subsets=params.quality.kid_subsets,
        neighbourhood=params.quality.neighbourhood,
        seed=params.seed,
    )


def stock(folder: Path, weights: Path, cache: Path, device: torch.device) -> Callable[[], object]:
    """The same measures by one call on folders of PNG files; it caches photographs' features, too."""

    def work() -> None:
        with redirect_stderr(StringIO()):
            torch_fidelity.calculate_metrics(
                input1=str(folder / "fakes"),
                input2=str(folder / "photographs"),
                cuda=device.type == "cuda",
                isc=True,
                fid=True,
                kid=True,
                prc=True,
                feature_extractor=INCEPTION,  # or precision and recall would take VGG-16
                feature_extractor_weights_path=str(weights),
                input2_cache_name="photographs",
                cache_root=str(cache),
                verbose=False,
            )

    return work


def measure(params: Params, device: torch.device, repeats: int, count: int = 1000) -> dict[str, Section]:
    """Seconds for ``count`` fakes against as many photographs whose features are known."""
    rng = np.random.default_rng(0)
    images = tuple(rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8) for _ in range(2))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, pictures in zip(("fakes", "photographs"), images, strict=True):
            (folder / name).mkdir()
            for number, picture in enumerate(pictures):
                Image.fromarray(picture).save(folder / name / f"{number}.png")
        weights = random_weights(folder)
        works = {
            f"this project, {LITE0}": ours(LITE0, None, images, folder / "cache", params, device),
            f"this project, {INCEPTION}": ours(INCEPTION, weights, images, folder / "cache", params, device),
            STOCK: stock(folder, weights, folder / "stock", device),
        }
        for work in works.values():
            work()  # so that photographs' features are known
        rows = in_turns({name: lambda work=work: duration(work) for name, work in works.items()}, repeats)
    ratios = {
        f"torch-fidelity's seconds, times those of {name}": rows[STOCK]["median"]
        / rows[f"this project, {name}"]["median"]
        for name in (LITE0, INCEPTION)
    }
    note = "FID or FD, Inception Score, KID, precision and recall; Inception with random weights."
    return {f"Quality of {count} fakes": Section("s", rows, ratios, note)}
