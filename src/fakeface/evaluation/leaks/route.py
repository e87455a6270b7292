"""Traces in whole images: can photographs that go the way of the fakes be told from those that do not?

And a check of the checking: labels that mean nothing must not be predictable.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.fft import dctn
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from fakeface.data.archives import Archive
from fakeface.data.augmentation import launder
from fakeface.data.faces import FaceFinder, largest_face
from fakeface.data.image_sets import ImageSet, Split
from fakeface.data.preprocess import LUMA, decode, preprocess
from fakeface.evaluation.leaks.metadata import FOLDS, cross_validate, too_few, without
from fakeface.gans.generate import sample_split
from fakeface.gans.sampler import SAMPLE_BATCH, Generator
from fakeface.models.cffn import to_input
from fakeface.params import ProtocolParams

# Keeps the draws of the probes apart from those of trainings and tests.
PROBE_KEY = 11
_USUAL_SIDE = 178
_CHUNK = 512
# JPEG's luma and chroma (JFIF 1.02, without its offset): coding coarsens the two chromas most.
_YCBCR = np.array([LUMA, [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32)


def image_features(images: np.ndarray) -> np.ndarray:
    """Where tampering with whole images shows, float32 (N, 3 S S + 256).

    The logarithm of the DCT of luma and chroma (after Frank et al., "Leveraging Frequency Analysis for Deep
    Fake Image Recognition", ICML 2020) shows resizing and coding; how often each value of 0..255 occurs shows
    rounding, as values that occur never or twice as often. Images are uint8 (N, S, S, 3).
    """
    n_values = int(np.prod(images.shape[1:]))
    features = np.empty((len(images), n_values + 256), dtype=np.float32)
    for start in range(0, len(images), _CHUNK):
        rows = slice(start, start + _CHUNK)
        spectrum = dctn(images[rows].astype(np.float32) @ _YCBCR.T, axes=(1, 2), norm="ortho")
        # 1 is some three times the error that rounding to 8 bits leaves in a coefficient.
        features[rows, :n_values] = np.log(np.abs(spectrum) + 1).reshape(-1, n_values)
        counts = [np.bincount(image.reshape(-1), minlength=256) for image in images[rows]]
        features[rows, n_values:] = np.sqrt(counts)
    return features


def linear(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Logistic regression with L2 penalty on ``image_features``, standardised: scores of ``test``.

    Each kind of features is scaled to a total variance of 1, so that 256 counts weigh as much as thousands of
    coefficients. In these terms C = 3 is strong: per coefficient at S = 64 it is C = 0.00024.
    """
    n_logs = train.shape[1] - 256
    weights = np.repeat([n_logs, 256], [n_logs, 256]).astype(np.float32) ** -0.5
    scaler = StandardScaler().fit(train)
    model = LogisticRegression(C=3, max_iter=500).fit(scaler.transform(train) * weights, labels)
    return model.decision_function(scaler.transform(test) * weights)


def judge_often(
    of_zero: np.ndarray, of_one: np.ndarray, labellings: Sequence[np.ndarray], folds: int, seed: int
) -> dict[str, Any]:
    """AUROC of ``linear`` for each labelling of N images, which have other features for label 0 and 1.

    Features are float32 (N, D), labellings int (N,) and independent of each other.

    Returns:
        ``{auroc, standard_error, aurocs}``: mean over the labellings, its standard error, and each.

    Raises:
        ValueError: for fewer than 2 labellings.
    """
    if len(labellings) < 2:
        raise ValueError(f"at least 2 labellings are needed for a standard error, got {len(labellings)}")
    if reason := too_few(labellings[0], folds):
        return without(["auroc", "standard_error", "aurocs"], reason)
    aurocs = [
        cross_validate(linear, np.where(labels[:, None] == 1, of_one, of_zero), labels, folds, seed)
        for labels in labellings
    ]
    error = np.std(aurocs, ddof=1) / np.sqrt(len(aurocs))
    return {"auroc": float(np.mean(aurocs)), "standard_error": float(error), "aurocs": aurocs}


class _Replay(nn.Module):
    """A generator without invention: its latent is a row number, its image the photograph of that row."""

    def __init__(self, photographs: np.ndarray) -> None:
        super().__init__()
        # A copy, because torch warns of arrays that are mapped read-only.
        self.images = to_input(np.array(photographs), torch.device("cpu"))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z float32 (B, 1) to float32 (B, 3, S, S) in [-1, 1]."""
        return self.images[z[:, 0].long()]


class _ReplaySource:
    """Photographs as ``generate`` gets its fakes: out of a generator, in its range, through its sampler."""

    name = "replay"

    def __init__(self, photographs: Iterable[np.ndarray]) -> None:
        self._photographs = photographs

    def batches(self, split: Split, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:  # noqa: ARG002
        """The photographs in order, batched as they came."""
        for batch in self._photographs:
            rows = np.arange(len(batch), dtype=np.float32)[:, None]
            yield Generator(self.name, _Replay(batch), z_dim=1).sample(rows)


def native_squares(
    archive: Archive, names: Iterable[str], image_size: int, finder: FaceFinder | None = None
) -> Iterator[np.ndarray]:
    """Central squares of photographs, neither enlarged nor reduced: what a generator could have returned.

    With a ``finder`` they are of faces aligned for images of ``image_size``. Yields uint8 (B, H, H, 3),
    neighbours of one size together, in order.
    """

    def square(name: str) -> np.ndarray:
        picture = decode(archive.read(name))
        if finder is not None:
            picture = largest_face(picture, image_size, finder)
        return preprocess(picture, min(picture.size))

    for side, alike in groupby(map(square, names), key=len):
        # Large photographs in smaller batches, so that a batch takes no more memory.
        while batch := list(
            islice(alike, max(1, SAMPLE_BATCH * _USUAL_SIDE**2 // max(side, _USUAL_SIDE) ** 2))
        ):
            yield np.stack(batch)


def fakes_route(photographs: Iterable[np.ndarray], count: int, image_size: int) -> np.ndarray:
    """Photographs along a fake's way: tensor in [-1, 1], sampler, preprocessing, image set on disk and back.

    From batches of uint8 (B, H, H, 3), H >= ``image_size``, ``count`` in all, to uint8 (count, image_size,
    image_size, 3); the same pixels, if the way adds nothing and scales nothing.
    """
    fakes = sample_split(_ReplaySource(photographs), "test", count, image_size, 0, SAMPLE_BATCH)
    with tempfile.TemporaryDirectory() as folder:
        fakes.write(Path(folder) / "fakes")
        return np.array(ImageSet.read(Path(folder) / "fakes").images)


def pixel_change(photographs: np.ndarray, routed: np.ndarray) -> dict[str, Any]:
    """``changed_pixels``, the share of values that differ, and ``largest_change``, of 255 at most."""
    change = np.abs(routed.astype(np.int16) - photographs)
    if not change.size:
        return without(["changed_pixels", "largest_change"], "no photographs")
    return {"changed_pixels": float((change > 0).mean()), "largest_change": int(change.max())}


def random_halves(count: int, halvings: int, rng: np.random.Generator) -> list[np.ndarray]:
    """``halvings`` labellings int64 (count,), each 1 for a random half, the smaller one if they differ."""
    half = np.arange(count) < count // 2
    return [rng.permutation(half).astype(np.int64) for _ in range(halvings)]


def route_probe(
    photographs: np.ndarray,
    routed: np.ndarray,
    protocols: Mapping[str, ProtocolParams],
    *,
    halvings: int = 5,
    folds: int = FOLDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Can photographs that went the way of the fakes be told from photographs that did not?

    One random half goes, the other stays; both pass through the same protocol, each image with its own draw.
    Other halves of the same photographs give other AUROCs: with 1,000 of CelebA and no leak at all they
    scatter by 0.02 to 0.03, more than 500 against 500 independent scores would. Hence several halvings.

    Args:
        photographs: uint8 (N, S, S, 3) as ``prepare`` made them; takes 300 kB of memory each at S = 64.
        routed: the same photographs after the way of the fakes.
        protocols: by name.
        halvings: how many random halves, at least 2.
        folds, seed: of the cross-validation; the seed is that of halves and draws, too.

    Returns:
        ``n_real`` and ``n_routed`` of each halving; ``changed_pixels`` and ``largest_change`` as in
        :func:`pixel_change`; for each protocol ``{auroc, standard_error, aurocs}``: the mean over the
        halvings, its standard error, and each.

    Raises:
        ValueError: for fewer than 2 halvings.
    """
    n_routed = len(photographs) // 2
    result: dict[str, Any] = {"n_real": len(photographs) - n_routed, "n_routed": n_routed}
    result |= pixel_change(photographs, routed)
    halves = random_halves(len(photographs), halvings, np.random.default_rng(seed))
    rows = np.arange(len(photographs))
    seeds = np.column_stack([np.tile([seed, PROBE_KEY], (len(rows), 1)), rows])
    for name, protocol in protocols.items():
        stayed, went = (
            image_features(launder(images, [protocol], seeds)) for images in (photographs, routed)
        )
        result[name] = judge_often(stayed, went, halves, folds, seed)
    return result


def shuffled_labels_probe(
    images: np.ndarray, labels: np.ndarray, *, shuffles: int = 5, folds: int = FOLDS, seed: int = 0
) -> dict[str, Any]:
    """The classifier of ``route_probe`` on labels that mean nothing: a check of the checking.

    If shuffled labels can be predicted, training and test share images or the AUROC is computed wrongly, and
    the figure for the true labels is worth nothing either.

    Images are uint8 (N, S, S, 3), labels int (N,), fake = 1, permuted ``shuffles`` times.

    Returns:
        ``n_real``, ``n_fake``; ``{auroc, standard_error, aurocs}``: mean over the shuffles, its standard
        error, and each; ``auroc_true_labels`` for comparison.

    Raises:
        ValueError: for labels of another length or value, or fewer than 2 shuffles.
    """
    labels = np.asarray(labels, dtype=np.int64)
    if labels.shape != (len(images),) or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be ({len(images)},) of 0 and 1, got {labels.shape}")
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(labels) for _ in range(shuffles)]
    counts = {"n_real": int((labels == 0).sum()), "n_fake": int((labels == 1).sum())}
    if reason := too_few(labels, folds):
        return counts | without(["auroc", "standard_error", "aurocs", "auroc_true_labels"], reason)
    features = image_features(images)
    return {
        **counts,
        **judge_often(features, features, shuffled, folds, seed),
        "auroc_true_labels": cross_validate(linear, features, labels, folds, seed),
    }
