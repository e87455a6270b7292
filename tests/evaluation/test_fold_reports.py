"""All folds and detectors together: metrics and tables, from scores on disk as the stages leave them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evaluation.test_comparison import PROTOCOLS, fold
from fakeface.base.files import write_json
from fakeface.base.markdown import TableError
from fakeface.evaluation.compare import (
    DETECTOR,
    Folds,
    baseline_metrics,
    chart_rows,
    comparison_metrics,
    fold_metrics,
    read_folds,
)
from fakeface.evaluation.fold_scores import FoldScores, FoldScoresError
from fakeface.evaluation.folds import gan_fold, upsampler_fold
from fakeface.params import Params, load_params
from fakeface.reporting.fold_tables import folds_table

ROOT = Path(__file__).parents[2]
GANS = ("dcgan", "wgan_gp", "digiface_dcgan")
UPSAMPLERS = ("transposed", "nearest")


@pytest.fixture
def params() -> Params:
    params = load_params(ROOT / "params.yaml")
    settings = params.leave_one_out.model_copy(update={"upsamplers": list(UPSAMPLERS)})
    return params.model_copy(
        update={
            "gans": {gan: params.gans[gan] for gan in GANS},
            "held_out": [],
            "leave_one_out": settings,
            "evaluate": params.evaluate.model_copy(update={"bootstrap": 30}),
        }
    )


def split_runs(scores: FoldScores, ours: bool) -> FoldScores:
    runs = tuple(run for run in scores.runs if (run.method == DETECTOR) == ours)
    return FoldScores(scores.names, scores.gans, runs)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Folders of scores, ours and others apart, plus that of a GAN that is no longer in params."""
    for number, (gan, ours, others) in enumerate(
        [("dcgan", 2.0, 1.0), ("wgan_gp", 1.2, 1.0), ("digiface_dcgan", 0.5, 0.8), ("gone", 1.0, 1.0)]
    ):
        scores = fold(gan, {DETECTOR: ours, "paper": others, "dct": 0.3}, number)
        split_runs(scores, True).write(tmp_path / "leave_one_out" / gan)
        split_runs(scores, False).write(tmp_path / "baselines" / gan)
    for upsampler, gan in zip(UPSAMPLERS, GANS, strict=False):
        scores = fold(gan, {DETECTOR: 1.0, "paper": 0.5, "dct": 0.2}, 9)
        split_runs(scores, True).write(tmp_path / "leave_one_upsampler_out" / upsampler)
        split_runs(scores, False).write(tmp_path / "baselines_upsampler" / upsampler)
    return tmp_path


def read(data: Path) -> tuple[Folds, Folds]:
    return (
        read_folds(GANS, data / "leave_one_out", data / "baselines"),
        read_folds(UPSAMPLERS, data / "leave_one_upsampler_out", data / "baselines_upsampler"),
    )


def test_means_leave_out_of_domain_gans_aside(params: Params, data: Path) -> None:
    by_gan, by_upsampler = read(data)
    result = comparison_metrics(params, by_gan, by_upsampler)
    for protocol in PROTOCOLS:
        aurocs = {
            gan: fold_metrics(params, gan_fold(params, gan), by_gan[gan], DETECTOR)[protocol]["auroc"]
            for gan in GANS
        }
        assert result[protocol]["auroc"]["mean"] == pytest.approx((aurocs["dcgan"] + aurocs["wgan_gp"]) / 2)
        outside = result["out_of_domain"][protocol]["auroc"]
        assert outside["mean"] == pytest.approx(aurocs["digiface_dcgan"])
        ours, theirs = (values[protocol]["auroc"]["mean"] for values in (result, result["methods"]["paper"]))
        assert result["gains"]["paper"][protocol]["difference"] == pytest.approx(ours - theirs)
        assert "upsamplers" in result["gains"]["dct"]
    assert list(result["methods"]) == ["paper", "dct"]
    json.dumps(result, allow_nan=False)


def test_every_baseline_has_a_block_a_fold_and_protocol(params: Params, data: Path) -> None:
    by_gan, by_upsampler = read(data)
    result = baseline_metrics(params, by_gan, by_upsampler)
    for method in ("paper", "dct"):
        assert list(result[method]) == [*GANS, "upsamplers"]
        for gan in GANS:
            expected = fold_metrics(params, gan_fold(params, gan), by_gan[gan], method)
            assert result[method][gan] == expected
        nearest = fold_metrics(params, upsampler_fold(params, "nearest"), by_upsampler["nearest"], method)
        assert result[method]["upsamplers"]["nearest"] == nearest


def test_a_fold_that_was_not_run_is_named(data: Path) -> None:
    with pytest.raises(FoldScoresError, match="leave_one_out/sngan: not the scores of a fold"):
        read_folds(["sngan"], data / "leave_one_out", data / "baselines")


def test_chart_has_every_detector_in_every_fold(data: Path) -> None:
    by_gan, _ = read(data)
    rows = chart_rows(by_gan)
    assert len(rows) == len(GANS) * 3 * len(PROTOCOLS)
    assert {row["detector"] for row in rows} == {DETECTOR, "paper", "dct"}
    assert all(0 <= row["auroc"] <= 1 for row in rows)


def test_the_table_quotes_the_files(params: Params, data: Path, tmp_path: Path) -> None:
    by_gan, by_upsampler = read(data)
    metrics = tmp_path / "metrics"
    for gan in GANS:
        content = fold_metrics(params, gan_fold(params, gan), by_gan[gan], DETECTOR)
        write_json(metrics / "leave_one_out" / f"{gan}.json", content)
    for name in UPSAMPLERS:
        content = fold_metrics(params, upsampler_fold(params, name), by_upsampler[name], DETECTOR)
        write_json(metrics / "leave_one_upsampler_out" / f"{name}.json", content)
    write_json(metrics / "leave_one_out.json", summary := comparison_metrics(params, by_gan, by_upsampler))
    write_json(metrics / "baselines.json", baseline_metrics(params, by_gan, by_upsampler))
    table = folds_table(metrics)
    assert table.count("| dcgan |") == len(PROTOCOLS)
    mean = summary["laundered"]["auroc"]["mean"]
    theirs = [summary["methods"][name]["laundered"]["auroc"]["mean"] for name in ("paper", "dct")]
    assert f"| **mean over GANs** | {mean:.3f} | {theirs[0]:.3f} | {theirs[1]:.3f} |" in table
    gain = summary["gains"]["paper"]["mild"]
    low, high = gain["difference_ci95"]
    assert f"{gain['difference']:.3f} [{low:.3f}, {high:.3f}]" in table
    assert np.sign(gain["difference"]) == 1
    assert "| all nearest |" in table
    (metrics / "leave_one_out" / "dcgan.json").unlink()
    with pytest.raises(TableError, match="dcgan.json: no such metrics file"):
        folds_table(metrics)
