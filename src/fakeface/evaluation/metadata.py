"""Probes of everything but the pixels: how image sets are stored, and what their manifests say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from fakeface.data.image_sets import ImageSet

FOLDS = 5
# Columns that say by design where an image comes from.
ORIGIN_COLUMNS = ("name", "source")
# And those that record what it was before it was prepared: the size and checksum of a file, the person in it.
RECORD_COLUMNS = (*ORIGIN_COLUMNS, "width", "height", "file_sha256", "identity")

# Training features (N, D), training labels (N,) and test features (M, D) to scores (M,).
Classifier = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def cross_validate(
    classify: Classifier, features: np.ndarray, labels: np.ndarray, folds: int, seed: int
) -> float:
    """Mean AUROC of stratified folds, each scored by a classifier that saw the others.

    Features are (N, D), labels int (N,), 0 and 1, at least ``folds`` of each.
    """
    aurocs = []
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for train, test in splitter.split(features, labels):
        scores = classify(features[train], labels[train], features[test])
        aurocs.append(roc_auc_score(labels[test], scores))
    return float(np.mean(aurocs))


def too_few(labels: np.ndarray, folds: int) -> str | None:
    """Why there is no AUROC of these labels, or None if there is one."""
    first, second = np.bincount(labels, minlength=2)
    if min(first, second) >= folds:
        return None
    return f"{folds} folds need {folds} images of each class, got {first} and {second}"


def without(names: Sequence[str], reason: str) -> dict[str, Any]:
    """Figures that have no value."""
    return {**dict.fromkeys(names), "undefined": dict.fromkeys(names, reason)}


def storage_probe(sets: Mapping[str, ImageSet]) -> dict[str, Any]:
    """Are the arrays of image sets stored alike? A detector is given a row of ``images.npy``.

    Returns:
        ``stored_alike``; ``stored``, how the first set is; ``unlike``, how others are that differ from it.
    """

    def header(array: np.ndarray) -> dict[str, Any]:
        order = "C" if array.flags.c_contiguous else "F" if array.flags.f_contiguous else "strided"
        return {"dtype": array.dtype.str, "shape": list(array.shape[1:]), "order": order}

    stored = {name: header(part.images) for name, part in sets.items()}
    first = next(iter(stored.values()))
    unlike = {name: other for name, other in stored.items() if other != first}
    return {"stored_alike": not unlike, "stored": first, "unlike": unlike}


def metadata_probe(
    real: pd.DataFrame,
    fake: pd.DataFrame,
    *,
    aside: Sequence[str] = ORIGIN_COLUMNS,
    folds: int = FOLDS,
    seed: int = 0,
) -> dict[str, Any]:
    """How well two manifests tell photographs from fakes.

    A detector is never given the manifest; the AUROC of a column says what giving it would give away.
    Columns of one class only are no features at all: their presence is the answer. Row numbers are not
    probed: sets are joined photographs first, and a row number only seeds its row's draws. The size of a
    compressed image would be a property of its pixels.

    Returns:
        ``n_real``, ``n_fake``; ``only_real`` and ``only_fake``, the columns of one class; ``columns``, the
        AUROC of each shared column alone; and ``auroc`` of all shared columns together but those set
        ``aside``.
    """
    labels = np.repeat([0, 1], [len(real), len(fake)])
    shared = [column for column in real.columns if column in fake.columns]
    result: dict[str, Any] = {
        "n_real": len(real),
        "n_fake": len(fake),
        "only_real": [column for column in real.columns if column not in shared],
        "only_fake": [column for column in fake.columns if column not in shared],
    }
    if reason := too_few(labels, folds):
        return result | without(["columns", "auroc"], reason)
    features = {
        column: _column_features(pd.concat([real[column], fake[column]], ignore_index=True))
        for column in shared
    }

    def forest(train: np.ndarray, known: np.ndarray, test: np.ndarray) -> np.ndarray:
        # Leaves of single images would learn each checksum and each name by heart.
        trees = RandomForestClassifier(
            n_estimators=50, min_samples_leaf=5, class_weight="balanced", random_state=seed
        )
        return trees.fit(train, known).predict_proba(test)[:, 1]

    def auroc(parts: Sequence[np.ndarray]) -> float:
        return cross_validate(forest, np.column_stack(parts), labels, folds, seed)

    result["columns"] = {column: auroc([features[column]]) for column in shared}
    telling = [features[column] for column in shared if column not in aside]
    if not telling:
        return result | without(["auroc"], f"no shared column but those set aside: {', '.join(shared)}")
    return result | {"auroc": auroc(telling)}


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
