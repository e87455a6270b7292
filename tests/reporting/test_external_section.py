"""Image sets of others in the report: every figure is one of the stage's, and none is there without sets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import make_params

from fakeface.evaluation.external import external_report
from fakeface.params import ExternalParams
from fakeface.reporting.report import _external, _external_pairs

SETS = {"snapshots": ("real", 0.2), "faces": ("fake", 0.8), "others": ("fake", 0.6)}


def scores(mean: float, count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {
        f"score_{name}": rng.normal(mean, 0.2, count).clip(0, 1) for name in ("laundered", "mild", "clean")
    }
    verdicts = np.where(columns["score_laundered"] > 0.6, "fake", "real")
    verdicts[: count // 4] = "unsure"
    return pd.DataFrame({"gan": "", "verdict": verdicts, **columns})


@pytest.fixture
def report() -> dict:
    params = make_params(**{"evaluate.bootstrap": 20}).model_copy(
        update={
            "external": {name: ExternalParams(path="x.zip", kind=kind) for name, (kind, _) in SETS.items()}
        }
    )
    tables = {name: scores(mean, 40, seed) for seed, (name, (_, mean)) in enumerate(SETS.items())}
    return external_report(params, 0.6, tables, scores(0.25, 30, 9))


def test_every_set_stands_against_every_set_of_photographs(report: dict) -> None:
    page = "".join([_external(report).text, *_external(report).tables])
    for protocol in ("laundered", "clean"):
        for name in ("test", "snapshots"):
            assert f"{report[protocol]['real'][name]['fpr']:.3f} [" in page
        for fakes in report[protocol]["fake"].values():
            assert f"{fakes['recall']:.3f} [" in page
            assert all(f"{pair['auroc']:.3f} [" in page for pair in fakes["against"].values())
    assert len(_external_pairs(report)) == 4
    assert '<td style="text-align:right">0.250</td>' in page  # a quarter of each set is unsure
    verdicts = report["verdicts"]
    assert f"{verdicts['decided']:.1%} are decided, and {verdicts['right']:.1%} of these rightly" in page


def test_photographs_alone_have_no_table_of_fakes(report: dict) -> None:
    for protocol in ("laundered", "mild", "clean"):
        report[protocol]["fake"] = {}
    report["verdicts"] = {
        "by_set": {"snapshots": report["verdicts"]["by_set"]["snapshots"]},
        "decided": None,
        "right": None,
    }
    section = _external(report)
    page = "".join([section.text, *section.tables])
    assert "found" not in "".join(section.tables)
    assert "In the mean" not in page
    assert "photographs" in page
