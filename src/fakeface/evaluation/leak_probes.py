"""Probes for shortcuts: could a classifier tell the classes by anything but how the images were made?

Each probe returns a plain dict for a metrics file, with the number of images behind every figure; what is
undefined is None, with the reason in ``undefined``. An AUROC near 0.5 is the absence of a leak.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.fft import dctn
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from torch import nn

from fakeface.data.imageset import ImageSet
from fakeface.data.laundering import launder
from fakeface.data.splits import Split
from fakeface.detector.dataset import to_input
from fakeface.gans.generate import sample_split
from fakeface.gans.sampler import Generator
from fakeface.params import ProtocolParams

FOLDS = 5
# In bits. Hashes of different photographs differ by more in all but 1 of 23.8 million pairs (CelebA 1 to
# 10,000 at 64 pixels, between splits); noise of sigma 10, JPEG at quality 30, a brightness of 0.6 and half
# the resolution stay within it for 99 of 100 photographs.
NEAR = 3
# Most findings that a metrics file lists; their number is always that of all.
LISTED = 50
# Columns that say by design where an image comes from.
ORIGIN_COLUMNS = ("name", "source")

# Keeps the draws of the probes apart from those of trainings and tests.
_PROBE_KEY = 11
_CHUNK = 512
_GREY_SIDE, _HASH_SIDE = 32, 8
# JPEG's luma and chroma (JFIF 1.02, without its offset): coding coarsens the two chromas most.
_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32)

# Training features (N, D), training labels (N,) and test features (M, D) to scores (M,).
_Classifier = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _cross_validate(
    classify: _Classifier, features: np.ndarray, labels: np.ndarray, folds: int, seed: int
) -> float:
    """Mean AUROC of stratified folds, each scored by a classifier that saw the others."""
    aurocs = []
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for train, test in splitter.split(features, labels):
        scores = classify(features[train], labels[train], features[test])
        aurocs.append(roc_auc_score(labels[test], scores))
    return float(np.mean(aurocs))


def _too_few(labels: np.ndarray, folds: int) -> str | None:
    """Why there is no AUROC of these labels, or None if there is one."""
    first, second = np.bincount(labels, minlength=2)
    if min(first, second) >= folds:
        return None
    return f"{folds} folds need {folds} images of each class, got {first} and {second}"


def _without(names: Sequence[str], reason: str) -> dict[str, Any]:
    """Figures that have no value."""
    return {**dict.fromkeys(names), "undefined": dict.fromkeys(names, reason)}


def metadata_probe(real: ImageSet, fake: ImageSet, *, folds: int = FOLDS, seed: int = 0) -> dict[str, Any]:
    """How well everything but the pixels of two image sets tells photographs from fakes.

    What a detector is given is a row of ``images.npy``, so the two arrays must be stored alike. It is never
    given the manifest; the AUROC of a column says what giving it would give away. Columns of one class only
    are no features at all: their presence is the answer. Row numbers are not probed: sets are joined
    photographs first, and a row number only seeds its row's draws. The size of a compressed image would be a
    property of its pixels.

    Args:
        real: photographs.
        fake: fakes of the same split.
        folds: of the cross-validation.
        seed: of the folds and the random forest.

    Returns:
        ``n_real``, ``n_fake``; ``stored_alike`` and what is ``stored``; ``only_real`` and ``only_fake``, the
        columns of one class; ``columns``, the AUROC of each shared column alone; and ``auroc`` of all shared
        columns together but those of ``ORIGIN_COLUMNS``, which name the class by design.
    """
    labels = np.repeat([0, 1], [len(real), len(fake)])
    stored = {"real": _storage(real), "fake": _storage(fake)}
    shared = [column for column in real.manifest.columns if column in fake.manifest.columns]
    result: dict[str, Any] = {
        "n_real": len(real),
        "n_fake": len(fake),
        "stored_alike": stored["real"] == stored["fake"],
        "stored": stored,
        "only_real": [column for column in real.manifest.columns if column not in shared],
        "only_fake": [column for column in fake.manifest.columns if column not in shared],
    }
    if reason := _too_few(labels, folds):
        return result | _without(["columns", "auroc"], reason)
    features = {
        column: _column_features(pd.concat([real.manifest[column], fake.manifest[column]], ignore_index=True))
        for column in shared
    }

    def auroc(parts: Sequence[np.ndarray]) -> float:
        return _cross_validate(_forest(seed), np.column_stack(parts), labels, folds, seed)

    result["columns"] = {column: auroc([features[column]]) for column in shared}
    telling = [features[column] for column in shared if column not in ORIGIN_COLUMNS]
    if not telling:
        return result | _without(["auroc"], f"no shared column but those of the origin: {', '.join(shared)}")
    return result | {"auroc": auroc(telling)}


def _storage(images: ImageSet) -> dict[str, Any]:
    """What the header of an array file says but for the number of images."""
    array = images.images
    return {
        "dtype": array.dtype.str,
        "shape": list(array.shape[1:]),
        "order": "C" if array.flags.c_contiguous else "F" if array.flags.f_contiguous else "strided",
    }


def _column_features(column: pd.Series) -> np.ndarray:
    """A manifest column as numbers, float64 (N, K).

    Numbers stay what they are. Texts become their rank in the alphabet, length, and counts of digits and of
    letters: a prefix, a numbering or an encoding of one class alone can be found. Empty cells are NaN.
    """
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None]
    empty = column.isna().to_numpy()
    texts = column.astype(str).to_numpy(dtype=str)
    _, ranks = np.unique(texts, return_inverse=True)
    counts = [(len(t), sum(map(str.isdigit, t)), sum(map(str.isalpha, t))) for t in texts]
    features = np.column_stack([ranks, counts]).astype(np.float64)
    features[empty] = np.nan
    return features


def _forest(seed: int) -> _Classifier:
    def classify(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
        # Leaves of single images would learn each checksum and each name by heart.
        forest = RandomForestClassifier(
            n_estimators=50, min_samples_leaf=5, class_weight="balanced", random_state=seed
        )
        return forest.fit(train, labels).predict_proba(test)[:, 1]

    return classify


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

    def __init__(self, photographs: np.ndarray) -> None:
        self._generator = Generator(self.name, _Replay(photographs), z_dim=1)

    def batches(self, split: Split, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:  # noqa: ARG002
        """The first ``count`` photographs in order."""
        rows = np.arange(count, dtype=np.float32)[:, None]
        for start in range(0, count, batch_size):
            yield self._generator.sample(rows[start : start + batch_size])


def fakes_route(photographs: np.ndarray) -> np.ndarray:
    """Photographs along a fake's way: tensor in [-1, 1], sampler, preprocessing, image set on disk and back.

    A generator of larger images than ``image_size`` is scaled down as well; photographs that are already
    small cannot show what that does.

    Args:
        photographs: uint8 (N, S, S, 3), N < 2**24.

    Returns:
        uint8 (N, S, S, 3); the same pixels, if the way adds nothing.
    """
    fakes = sample_split(
        _ReplaySource(photographs), "test", len(photographs), photographs.shape[1], seed=0, batch_size=250
    )
    with tempfile.TemporaryDirectory() as folder:
        fakes.write(Path(folder) / "fakes")
        return np.array(ImageSet.read(Path(folder) / "fakes").images)


def route_probe(
    photographs: np.ndarray,
    protocols: Mapping[str, ProtocolParams],
    *,
    route: Callable[[np.ndarray], np.ndarray] = fakes_route,
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
        protocols: by name, for instance laundered and clean.
        route: uint8 (N, S, S, 3) to the same.
        halvings: how many random halves, at least 2.
        folds: of the cross-validation.
        seed: of the halves, the draws and the folds.

    Returns:
        ``n_real`` and ``n_routed`` of each halving; ``changed_pixels``, the share of values that the route
        alters, and ``largest_change`` on the scale of 0 to 255; for each protocol ``{auroc, standard_error,
        aurocs}``: the mean over the halvings, its standard error, and each.

    Raises:
        ValueError: for fewer than 2 halvings.
    """
    n_routed = len(photographs) // 2
    result: dict[str, Any] = {"n_real": len(photographs) - n_routed, "n_routed": n_routed}
    routed = route(photographs)
    change = np.abs(routed.astype(np.int16) - photographs)
    if change.size:
        result |= {"changed_pixels": float((change > 0).mean()), "largest_change": int(change.max())}
    else:
        result |= _without(["changed_pixels", "largest_change"], "no photographs")
    rng = np.random.default_rng(seed)
    goes = np.arange(len(photographs)) < n_routed
    halves = [rng.permutation(goes).astype(np.int64) for _ in range(halvings)]
    seeds = np.column_stack([np.tile([seed, _PROBE_KEY], (len(goes), 1)), np.arange(len(goes))])
    for name, protocol in protocols.items():
        stayed, went = (
            _image_features(launder(images, [protocol], seeds)) for images in (photographs, routed)
        )
        result[name] = _judge_often(stayed, went, halves, folds, seed)
    return result


def shuffled_labels_probe(
    images: np.ndarray, labels: np.ndarray, *, shuffles: int = 5, folds: int = FOLDS, seed: int = 0
) -> dict[str, Any]:
    """The classifier of ``route_probe`` on labels that mean nothing: a check of the checking.

    If shuffled labels can be predicted, training and test share images or the AUROC is computed wrongly, and
    the figure for the true labels is worth nothing either.

    Args:
        images: uint8 (N, S, S, 3), laundered or not.
        labels: int (N,), fake = 1.
        shuffles: how often labels are permuted, at least 2.
        folds: of the cross-validation.
        seed: of the permutations and the folds.

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
    if reason := _too_few(labels, folds):
        return counts | _without(["auroc", "standard_error", "aurocs", "auroc_true_labels"], reason)
    features = _image_features(images)
    return {
        **counts,
        **_judge_often(features, features, shuffled, folds, seed),
        "auroc_true_labels": _cross_validate(_linear, features, labels, folds, seed),
    }


def _judge_often(
    of_zero: np.ndarray, of_one: np.ndarray, labellings: Sequence[np.ndarray], folds: int, seed: int
) -> dict[str, Any]:
    """AUROC of ``_linear`` for each labelling of N images, which have other features for label 0 and 1.

    Args:
        of_zero: float32 (N, D), features of the images that a labelling calls 0.
        of_one: float32 (N, D), features of those that it calls 1.
        labellings: at least two of int (N,), independent of each other.
        folds, seed: of the cross-validation.
    """
    if len(labellings) < 2:
        raise ValueError(f"at least 2 labellings are needed for a standard error, got {len(labellings)}")
    if reason := _too_few(labellings[0], folds):
        return _without(["auroc", "standard_error", "aurocs"], reason)
    aurocs = [
        _cross_validate(_linear, np.where(labels[:, None] == 1, of_one, of_zero), labels, folds, seed)
        for labels in labellings
    ]
    error = np.std(aurocs, ddof=1) / np.sqrt(len(aurocs))
    return {"auroc": float(np.mean(aurocs)), "standard_error": float(error), "aurocs": aurocs}


def _image_features(images: np.ndarray) -> np.ndarray:
    """Where tampering with whole images shows, float32 (N, 3 S S + 256).

    The logarithm of the DCT of luma and chroma (after Frank et al., "Leveraging Frequency Analysis for Deep
    Fake Image Recognition", ICML 2020) shows resizing and coding; how often each value of 0..255 occurs shows
    rounding, as values that occur never or twice as often.
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


def _linear(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Logistic regression with L2 penalty on ``_image_features``, standardised.

    Each kind of features is scaled to a total variance of 1, so that 256 counts weigh as much as thousands of
    coefficients. In these terms C = 3 is strong: per coefficient at S = 64 it is C = 0.00024.
    """
    n_logs = train.shape[1] - 256
    weights = np.repeat([n_logs, 256], [n_logs, 256]).astype(np.float32) ** -0.5
    scaler = StandardScaler().fit(train)
    model = LogisticRegression(C=3, max_iter=500).fit(scaler.transform(train) * weights, labels)
    return model.decision_function(scaler.transform(test) * weights)


def perceptual_hashes(images: np.ndarray) -> np.ndarray:
    """Hashes that survive noise, coding and rescaling, but not a shift: uint64 (N,).

    A bit each for the signs of the 8 x 8 lowest frequencies of the 32 x 32 grey picture around mid-grey, an
    image hash as in Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010,
    with zero as the threshold.

    Args:
        images: uint8 (N, H, W, 3).
    """
    hashes = np.empty(len(images), dtype=np.uint64)
    for start in range(0, len(images), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        grey = np.stack([_small_grey(image) for image in images[chunk]])
        spectrum = dctn(grey - 127.5, axes=(1, 2), norm="ortho")
        bits = spectrum[:, :_HASH_SIDE, :_HASH_SIDE].reshape(len(grey), -1) > 0
        hashes[chunk] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return hashes


def _small_grey(image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image).convert("L")
    return np.asarray(picture.resize((_GREY_SIDE, _GREY_SIDE), Image.Resampling.BOX), dtype=np.float64)


def _close_pairs(a: np.ndarray, b: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
    """How many pairs of hashes differ in at most ``limit`` bits, and the closest ``LISTED`` of them.

    Of vectors of 64 signs, the dot product is 64 - 2 x the number that differ: exact in float32, and a matrix
    product is ten times as fast as a table of bit counts (NumPy counts bits from version 2 on only).

    Returns:
        The number, and int64 (K, 3): row in ``a``, row in ``b``, distance.
    """
    a_signs, b_signs = (
        np.unpackbits(hashes.view(np.uint8)).reshape(-1, 64).astype(np.float32) * 2 - 1 for hashes in (a, b)
    )
    count, closest = 0, np.empty((0, 3), dtype=np.int64)
    for start in range(0, len(a), _CHUNK):
        distances = ((64 - a_signs[start : start + _CHUNK] @ b_signs.T) / 2).astype(np.int8)
        rows, columns = np.nonzero(distances <= limit)
        found = np.column_stack([rows + start, columns, distances[rows, columns]])
        count += len(found)
        closest = np.concatenate([closest, found])
        closest = closest[np.argsort(closest[:, 2], kind="stable")[:LISTED]]
    return count, closest


def near_duplicates(images_by_split: Mapping[str, np.ndarray], *, max_distance: int = NEAR) -> dict[str, Any]:
    """Pairs of images in different splits that look the same.

    Images without features, such as plain areas, are all alike to the hash. The mean difference of a listed
    pair's pixels tells copies (a few steps) from resemblances (tens).

    Args:
        images_by_split: uint8 (N, S, S, 3) by the name of the split.
        max_distance: in how many of 64 bits the hashes may differ.

    Returns:
        ``n`` images by split, ``n_compared`` pairs, ``max_distance``, ``n_pairs`` found, and ``pairs``: the
        closest ``LISTED`` of them as ``{splits, rows, distance, mean_difference}``.
    """
    hashes = {split: perceptual_hashes(images) for split, images in images_by_split.items()}
    pairs: list[dict[str, Any]] = []
    n_pairs = n_compared = 0
    for first, second in combinations(hashes, 2):
        count, closest = _close_pairs(hashes[first], hashes[second], max_distance)
        n_pairs += count
        n_compared += len(hashes[first]) * len(hashes[second])
        for row, other, distance in closest.tolist():
            difference = images_by_split[first][row].astype(np.int16) - images_by_split[second][other]
            pairs.append(
                {
                    "splits": [first, second],
                    "rows": [row, other],
                    "distance": distance,
                    "mean_difference": float(np.abs(difference).mean()),
                }
            )
    return {
        "n": {split: len(part) for split, part in hashes.items()},
        "n_compared": n_compared,
        "max_distance": max_distance,
        "n_pairs": n_pairs,
        "pairs": sorted(pairs, key=lambda pair: pair["distance"])[:LISTED],
    }


def identities_across_splits(manifests: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """People who are in more than one split.

    Args:
        manifests: by the name of the split; the column ``identity`` may be absent or empty.

    Returns:
        ``n`` images and ``n_identified`` of them by split; ``n_shared``: for each pair of splits, such as
        ``train/test``, the number of identities in both, None with the reason in ``undefined`` if one of
        them knows none; ``shared``: the first ``LISTED`` as ``{identity, splits}``.
    """
    known = {split: _identities(manifest) for split, manifest in manifests.items()}
    counts: dict[str, int | None] = {}
    undefined: dict[str, str] = {}
    for first, second in combinations(known, 2):
        unknown = [split for split in (first, second) if known[split].empty]
        pair = f"{first}/{second}"
        counts[pair] = None if unknown else len(set(known[first]) & set(known[second]))
        if unknown:
            undefined[pair] = f"no identity is known in {' and '.join(unknown)}"
    splits_of: dict[Hashable, list[str]] = {}
    for split, identities in known.items():
        for identity in identities.unique():
            splits_of.setdefault(identity, []).append(split)
    shared = [{"identity": name, "splits": names} for name, names in splits_of.items() if len(names) > 1]
    result: dict[str, Any] = {
        "n": {split: len(manifest) for split, manifest in manifests.items()},
        "n_identified": {split: len(identities) for split, identities in known.items()},
        "n_shared": counts,
        "shared": shared[:LISTED],
    }
    return result | ({"undefined": undefined} if undefined else {})


def _identities(manifest: pd.DataFrame) -> pd.Series:
    """The identities that are given, as text; 2880, "2880" and 2880.0 (beside a gap) are one person."""
    if "identity" not in manifest.columns:
        return pd.Series([], dtype="string")
    texts = manifest["identity"].convert_dtypes().astype("string").str.strip()
    return texts[texts.notna() & (texts != "")]
