"""How often the right GAN is named, and whether images of other GANs come back unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from fakeface.attribution.head import UNKNOWN, AttributionHead
from fakeface.attribution.train import AttributionData, Features, head_for
from fakeface.params import PROTOCOLS, Params

KINDS = ("embedding", "levels", "joint")
SHIPPED = "joint"


def known_gans(params: Params) -> list[str]:
    """All GANs but those that may never train."""
    return [gan for gan in params.gans if gan not in params.leave_one_out.never_train]


def attribution_metrics(
    params: Params, data: AttributionData
) -> tuple[AttributionHead, dict[str, Any], pd.DataFrame]:
    """The head of :data:`SHIPPED`, figures of all kinds of features, and the rows of its confusion matrix.

    Returns:
        The head; by kind of features and protocol: ``accuracy`` over images of known GANs,
        ``accuracy_named`` over those that are not called unknown, ``named`` their share, ``recall`` by GAN,
        and ``open_set``, see :func:`open_set`; a table with ``actual`` and ``predicted``, mild.
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
