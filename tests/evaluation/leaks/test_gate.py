"""What counts as a leak: not chance, not what the data cannot tell, and everything else in one line."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fakeface.evaluation.leaks import LeakFoundError, auroc_error, judge, judge_often, passed, refuse_leaks

TOLERANCE = 0.05


def route(
    auroc: float | None, error: float = 0.01, n: int = 500, changed: float | None = 0.0
) -> dict[str, Any]:
    """Figures of a route probe whose laundered AUROC is given; the others are 0.5."""
    fine = {"auroc": 0.5, "standard_error": 0.01, "aurocs": [0.5] * 5}
    given = fine | {"auroc": auroc, "standard_error": error}
    return {
        "n_real": n,
        "n_routed": n,
        "laundered": given,
        "mild": fine,
        "clean": fine,
        "unscaled": {"changed_pixels": changed, "largest_change": 1},
    }


@pytest.mark.parametrize(("n_negative", "n_positive"), [(1, 1), (3, 3), (2, 6), (5, 4)])
def test_the_error_is_that_of_every_labelling(n_negative: int, n_positive: int) -> None:
    """All ways to call some of N different scores positive are equally likely."""
    total = n_negative + n_positive
    aurocs = [
        roc_auc_score(np.isin(np.arange(total), chosen), np.arange(total))
        for chosen in combinations(range(total), n_positive)
    ]
    assert auroc_error(n_negative, n_positive) == pytest.approx(np.std(aurocs))
    assert auroc_error(n_negative, n_positive, repeats=4) == pytest.approx(np.std(aurocs) / 2)


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        (route(0.5), True),
        (route(0.58), True),  # 0.55 is within three errors
        (route(0.59), False),
        (route(0.41), False),
        (route(0.59, error=0.02), True),
        (route(0.59, error=0.0), False),
        (route(0.59, error=0.0, n=50), True),  # 50 photographs cannot agree by more than luck
        (route(None), None),
        (route(None, changed=None), None),
        (route(None, changed=1e-6), False),
        (route(0.5, changed=1e-6), False),
    ],
)
def test_a_route_is_judged_with_its_error(figures: dict[str, Any], verdict: bool | None) -> None:
    findings = judge({"route": figures}, TOLERANCE)
    assert passed(findings) == {"route": verdict}
    if verdict is False:
        with pytest.raises(LeakFoundError, match="route"):
            refuse_leaks(findings, "reports/leaks.json")
    else:
        refuse_leaks(findings, "reports/leaks.json")


def test_chance_is_no_leak() -> None:
    """Features without meaning, few images, few labellings: 20 draws, none beyond the tolerance."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        n = int(rng.integers(20, 60))
        noise = rng.normal(size=(2 * n, 300)).astype(np.float32)
        labellings = [rng.permutation(np.repeat([0, 1], n)) for _ in range(3)]
        block = judge_often(noise, noise, labellings, folds=5, seed=seed) | {"n_real": n, "n_fake": n}
        assert passed(judge({"shuffled_labels": block}, TOLERANCE)) == {"shuffled_labels": True}, seed


def manifests(auroc: float | None, n: int = 500, **columns: list[str]) -> dict[str, Any]:
    block = {"n_real": n, "n_fake": n, "only_real": ["identity"], "only_fake": [], "auroc": auroc}
    return {"train": block | {"columns": {"width": 1.0, "sha256": 0.5, "camera": 0.9}} | columns}


@pytest.mark.parametrize(
    ("figures", "finding"),
    [
        (manifests(0.55), None),
        (manifests(0.3), None),  # a forest without anything to learn is worse than chance
        (manifests(0.9, n=6), None),
        (manifests(0.9), "train: AUROC 0.900 of the manifest, most of it by column camera"),
        (manifests(0.5, only_fake=["latent"]), "train: column latent is only_fake"),
        (manifests(0.5, only_real=["lens", "width"]), "train: column lens is only_real"),
    ],
)
def test_only_columns_that_record_the_origin_may_tell_it(
    figures: dict[str, Any], finding: str | None
) -> None:
    assert judge({"metadata": figures}, TOLERANCE) == {"metadata": [finding] if finding else []}


def test_manifests_that_are_too_short_to_tell() -> None:
    assert judge({"metadata": manifests(None)}, TOLERANCE) == {"metadata": None}
    with_column = manifests(None, only_real=["lens"])
    assert judge({"metadata": with_column}, TOLERANCE) == {"metadata": ["train: column lens is only_real"]}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"train/test": 0, "val/test": 0}, []),
        ({"train/test": None, "val/test": 0}, None),
        ({"train/test": None, "val/test": 2}, ["people in val/test: 2"]),
    ],
)
def test_unknown_people_neither_pass_nor_fail(
    counts: dict[str, int | None], expected: list[str] | None
) -> None:
    assert judge({"identities": {"n_shared": counts}}, TOLERANCE) == {"identities": expected}


def test_all_leaks_are_named_in_one_line() -> None:
    copies = [{"correlation": 0.99, "names": ["a.jpg", "b.jpg"]}]
    figures = {
        "route": route(0.7),
        "identities": {"n_shared": {"train/test": 3}},
        "near_duplicates": {"n_copies": 2, "pairs": [{"correlation": 0.8, "names": ["c", "d"]}, *copies]},
        "equal_pixels": {"n_wrong_sha256": 0, "n_shared": 1, "shared": [{"names": ["e", "f"]}]},
    }
    findings = judge(figures, TOLERANCE)
    with pytest.raises(LeakFoundError) as raised:
        refuse_leaks(findings, "reports/leaks.json")
    assert str(raised.value) == (
        "reports/leaks.json: the probes found leaks: "
        "route (laundered AUROC 0.700 +- 0.010, expected 0.5 +- 0.05), "
        "identities (people in train/test: 3), "
        "near_duplicates (copies of photographs in two splits: 2, first a.jpg and b.jpg "
        "(correlation 0.990)), "
        "equal_pixels (images in two splits: 1, first e and f)"
    )
