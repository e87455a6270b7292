"""Training and judging the attribution head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from lightning_fabric import Fabric
from lightning_fabric.strategies import SingleDeviceStrategy
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from fakeface.data.image_sets import Folders, evenly_spaced
from fakeface.detector.activations import NetworkInputs
from fakeface.detector.attribution_head import NO_NAMES, UNKNOWN, AttributionHead, fit_head
from fakeface.detector.batches import DetectorData, load_split, load_training
from fakeface.detector.detector import attribution_features
from fakeface.detector.views import ViewKind, every_view, protocol_kinds, validation_kind, whole_kind
from fakeface.models.cffn import FeatureNetwork
from fakeface.params import PROTOCOLS, Params

# Features of every split for attribution, computed once, and the heads fitted on them.

# Fakes a GAN, at most: more would only cost time.
TRAIN_IMAGES, VAL_IMAGES, TEST_IMAGES = 1500, 300, 500
BATCH = 200


@dataclass(frozen=True)
class Features:
    """Of some fakes.

    Attributes:
        embedding: float32 (N, feature_dim), what pairs learnt.
        levels: float32 (N, L), the backbone's own.
        gans: int64 (N,), indices into the params' GANs.
    """

    embedding: np.ndarray
    levels: np.ndarray
    gans: np.ndarray

    def of(self, kind: str) -> np.ndarray:
        """``embedding``, ``levels``, or ``joint`` for both."""
        if kind == "joint":
            return np.hstack([self.embedding, self.levels])
        return self.embedding if kind == "embedding" else self.levels


@dataclass(frozen=True)
class AttributionData:
    """Features of all splits; ``test`` by protocol."""

    train: Features
    val: Features
    test: dict[str, Features]


def extract(
    cffn: FeatureNetwork, inputs: NetworkInputs, data: DetectorData, kind: ViewKind, seed: int, limit: int
) -> Features:
    """Features of one view of at most ``limit`` fakes a GAN."""
    rows = np.concatenate(
        [evenly_spaced(np.flatnonzero(data.groups == index + 1), limit) for index in range(len(data.gans))]
    )
    parts = []
    views = every_view(data, kind, seed, rows)
    inputs.prepare(views)
    for start in tqdm(range(0, len(rows), BATCH), desc="attribution", disable=None):
        parts.append(attribution_features(cffn, inputs.read(views[start : start + BATCH])))
    embedding, levels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Features(embedding, levels, data.groups[rows] - 1)


def attribution_data(
    params: Params, cffn: FeatureNetwork, folders: Folders, fabric: Fabric
) -> AttributionData:
    """Features of fakes of all GANs, of the training's those that are kept.

    Training and validation draw one of the protocols for each image. Their views, and those of the test, are
    those of the detector's own training and test where the protocols are the same.
    """
    # Whoever is judged by attribution is judged in single precision.
    fabric = Fabric(strategy=SingleDeviceStrategy(fabric.device))
    cffn = cffn.to(fabric.device).eval()
    gans = list(params.gans)
    protocols = [getattr(params.protocols, name) for name in PROTOCOLS]
    inputs = NetworkInputs(params, cffn, fabric)
    splits = {split: load_split(folders.real, folders.fake, gans, split) for split in ("val", "test")}
    splits["train"] = load_training(folders, gans)

    def features(split: str, kind: ViewKind, limit: int) -> Features:
        return extract(cffn, inputs, splits[split], kind, params.seed, limit)

    return AttributionData(
        features("train", whole_kind(params, protocols), TRAIN_IMAGES),
        features("val", validation_kind(protocols), VAL_IMAGES),
        {name: features("test", kind, TEST_IMAGES) for name, kind in protocol_kinds(params).items()},
    )


def head_for(data: AttributionData, kind: str, names: list[str], known: list[str]) -> AttributionHead:
    """A head that knows only some GANs.

    Args:
        data: features.
        kind: see :meth:`Features.of`.
        names: of all GANs, as the features number them.
        known: the ones that the head may learn.
    """
    place = np.full(len(names), -1)
    place[[names.index(gan) for gan in known]] = np.arange(len(known))

    def part(features: Features) -> tuple[np.ndarray, np.ndarray]:
        rows = place[features.gans] >= 0
        return features.of(kind)[rows], place[features.gans[rows]]

    return fit_head(*part(data.train), *part(data.val), tuple(known))


# How often the right GAN is named, and whether images of other GANs come back unknown.

KINDS = ("embedding", "levels", "joint")
SHIPPED = "joint"


def known_gans(params: Params) -> list[str]:
    """All GANs but those that may never train."""
    return [gan for gan in params.gans if gan not in params.leave_one_out.never_train]


def fit_attribution(
    params: Params, cffn: FeatureNetwork, folders: Folders, fabric: Fabric
) -> tuple[AttributionHead, dict[str, Any], pd.DataFrame]:
    """:func:`attribution_metrics` of :func:`attribution_data`.

    With fewer than two known GANs there is nothing to tell apart: a head without names, ``undefined``, which
    says so, in place of the figures' blocks, and an empty table.
    """
    if len(known := known_gans(params)) >= 2:
        return attribution_metrics(params, attribution_data(params, cffn, folders, fabric))
    reason = f"needs two GANs that may train, to tell them apart, and got {', '.join(known) or 'none'}"
    figures = {"gans": [], "features": SHIPPED, "undefined": f"{reason}: none is named"}
    return NO_NAMES, figures, pd.DataFrame({"actual": [], "predicted": []})


def attribution_metrics(
    params: Params, data: AttributionData
) -> tuple[AttributionHead, dict[str, Any], pd.DataFrame]:
    """The head of :data:`SHIPPED`, figures of all kinds of features, and the rows of its confusion matrix.

    Returns:
        The head; by kind of features and protocol: ``accuracy`` over images of known GANs,
        ``accuracy_named`` over those that are not called unknown, ``named`` their share, ``recall`` by GAN,
        and ``open_set``, see :func:`open_set`; a table with ``actual`` and ``predicted``, mild.

    Raises:
        AttributionError: with fewer than two known GANs.
    """
    names = list(params.gans)
    known = known_gans(params)
    figures: dict[str, Any] = {"gans": known, "features": SHIPPED}
    heads = {kind: head_for(data, kind, names, known) for kind in KINDS}
    for kind, head in heads.items():
        figures[kind] = {
            protocol: closed_set(head, kind, data.test[protocol], names)
            | {"open_set": open_set(data, kind, protocol, names, known)}
            for protocol in PROTOCOLS
        }
    test = data.test["mild"]
    table = pd.DataFrame(
        {
            "actual": np.array(names)[test.gans],
            "predicted": heads[SHIPPED].names(test.of(SHIPPED)),
        }
    )
    return heads[SHIPPED], figures, table


def attribution_headline(report: dict[str, Any]) -> dict[str, Any]:
    """Content of metrics/attribution.json: of the shipped head, laundered."""
    if not report["gans"]:
        return {"accuracy": None, "open_set_auroc": None}
    block = report[report["features"]][PROTOCOLS[0]]
    return {"accuracy": block["accuracy"], "open_set_auroc": block["open_set"]["mean"]}


def closed_set(head: AttributionHead, kind: str, test: Features, names: list[str]) -> dict[str, Any]:
    """Accuracy and recall over test images of the GANs that the head knows."""
    rows = np.isin(test.gans, [names.index(gan) for gan in head.gans])
    features = test.of(kind)[rows]
    actual = np.array(names)[test.gans[rows]]
    nearest = np.array(head.gans)[head.nearest(features)]
    right = nearest == actual
    named = np.array(head.names(features)) != UNKNOWN
    return {
        "n": int(rows.sum()),
        "accuracy": float(right.mean()),
        "named": float(named.mean()),
        "accuracy_named": float(right[named].mean()) if named.any() else None,
        "recall": {gan: float(right[actual == gan].mean()) for gan in head.gans},
    }


def open_set(
    data: AttributionData, kind: str, protocol: str, names: list[str], known: list[str]
) -> dict[str, Any]:
    """AUROC of the unknown score: images of one GAN that the head does not know against those it knows.

    Each known GAN is left out of the head once; those that never train are unknown to all heads. Note that a
    CFFN may have learnt from a GAN that the head does not know.

    Returns:
        ``auroc`` by unknown GAN, ``mean``, ``worst``, and ``called_unknown``, the share at the head's limit.
    """
    test = data.test[protocol]
    auroc: dict[str, float] = {}
    share: dict[str, float] = {}
    for unknown in names:
        rest = [gan for gan in known if gan != unknown]
        if len(rest) < 2:
            continue
        head = head_for(data, kind, names, rest)
        scores = head.unknown_scores(test.of(kind))
        is_unknown = test.gans == names.index(unknown)
        is_known = np.isin(test.gans, [names.index(gan) for gan in rest])
        rows = is_unknown | is_known
        auroc[unknown] = float(roc_auc_score(is_unknown[rows], scores[rows]))
        share[unknown] = float((scores[is_unknown] > head.limit).mean())
    values = list(auroc.values())
    return {
        "auroc": auroc,
        "mean": float(np.mean(values)) if values else None,
        "worst": min(values) if values else None,
        "called_unknown": share,
    }
