"""Does a generator copy its training photographs? Nearest neighbours in feature space.

A generator that memorises makes samples closer to a training photograph than another photograph of the same
kind would be. So distances of samples are read beside those of held-out photographs, which are no copies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from fakeface.base.lite0 import LITE0
from fakeface.data.image_sets import evenly_spaced, write_grid
from fakeface.metrics.extractors import extract, extract_once, open_extractor

N_SAMPLES = 64
_BATCH = 50


class Neighbours(NamedTuple):
    """``distance`` (N,) of each query to its nearest reference, and that reference's ``row`` (N,)."""

    distance: np.ndarray
    row: np.ndarray


def nearest(queries: torch.Tensor, references: torch.Tensor) -> Neighbours:
    """Euclidean nearest neighbours of (N, D) among (M, D), in float64."""
    distances = torch.cdist(
        queries.double(), references.double(), compute_mode="donot_use_mm_for_euclid_dist"
    )
    distance, row = distances.min(dim=1)
    return Neighbours(distance.numpy(), row.numpy())


def _summary(distance: np.ndarray) -> dict[str, float]:
    quantiles = {"min": 0.0, "p05": 0.05, "median": 0.5, "p95": 0.95}
    return {name: float(np.quantile(distance, q)) for name, q in quantiles.items()}


def closer_share(samples: np.ndarray, held_out: np.ndarray) -> float:
    """Share of (sample, held-out photograph) pairs with the sample at the smaller distance; ties count half.

    About 0.5 if samples are as far from the training photographs as other photographs are; near 1 for copies.
    """
    less = (samples[:, None] < held_out[None]).mean()
    equal = (samples[:, None] == held_out[None]).mean()
    return float(less + equal / 2)


def measure_memorisation(
    gan: str,
    samples: np.ndarray,
    training: np.ndarray,
    held_out: np.ndarray,
    picture: Path,
    cache_dir: Path | None = None,
) -> dict[str, Any]:
    """Distances of samples and of held-out photographs to the training photographs.

    Args:
        gan: name, for the result.
        samples: uint8 (N, S, S, 3) fakes; the first ``N_SAMPLES`` count.
        training, held_out: photographs of one kind, uint8 (M, S, S, 3), that the generator learned from and
            that it did not; ``N_SAMPLES`` of the latter count.
        picture: PNG of all samples, each above its nearest training photograph: keep it out of git.
        cache_dir: where features of the photographs are remembered.

    Returns:
        ``{gan, extractor, n_samples, n_training, samples, held_out, share_of_pairs_sample_closer}``.
    """
    extractor = open_extractor(LITE0, None, torch.device("cpu"))
    layer = extractor.layers["kid"]
    samples, others = samples[:N_SAMPLES], evenly_spaced(held_out, N_SAMPLES)
    references = extract_once(extractor, training, _BATCH, cache_dir)[layer]
    of_samples = nearest(extract(extractor, samples, _BATCH)[layer], references)
    of_photographs = nearest(extract_once(extractor, others, _BATCH, cache_dir)[layer], references)
    _write_pairs(picture, samples, training[of_samples.row])
    return {
        "gan": gan,
        "extractor": LITE0,
        "n_samples": len(samples),
        "n_training": len(training),
        "samples": _summary(of_samples.distance),
        "held_out": _summary(of_photographs.distance),
        "share_of_pairs_sample_closer": closer_share(of_samples.distance, of_photographs.distance),
    }


def _write_pairs(path: Path, samples: np.ndarray, neighbours: np.ndarray, columns: int = 16) -> None:
    """Rows of samples, each followed by the row of their neighbours."""
    parts = []
    for start in range(0, len(samples), columns):
        for row in (samples[start : start + columns], neighbours[start : start + columns]):
            parts += [row, np.full((columns - len(row), *row.shape[1:]), 255, dtype=np.uint8)]
    write_grid(path, np.concatenate(parts), columns)
