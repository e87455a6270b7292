"""All folds and detectors together: metrics and tables, from scores on disk as the stages leave them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from evaluation.test_comparison import PROTOCOLS, fold
from fakeface import regression
from fakeface.base.files import write_json
from fakeface.base.markdown import TableError
from fakeface.base.stage_output import comparison
from fakeface.evaluation.compare import (
    Folds,
    baselines_report,
    chart_rows,
    comparison_headline,
    comparison_report,
    fold_metrics,
    read_folds,
)
from fakeface.evaluation.folds import DETECTOR, FoldScores, FoldScoresError, make_fold
from fakeface.params import Params, load_params, read_yaml
from fakeface.reporting.results_tables import folds_table

ROOT = Path(__file__).parents[2]
GANS = ("dcgan", "wgan_gp", "digiface_dcgan")
NAMES = (*GANS, "transposed", "nearest")


@pytest.fixture
def params() -> Params:
    params = load_params(ROOT / "params.yaml")
    settings = params.leave_one_out.model_copy(update={"folds": list(NAMES)})
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
    for upsampler, gan in (("transposed", "dcgan"), ("nearest", "wgan_gp")):
        scores = fold(gan, {DETECTOR: 1.0, "paper": 0.5, "dct": 0.2}, 9)
        split_runs(scores, True).write(tmp_path / "leave_one_out" / upsampler)
        split_runs(scores, False).write(tmp_path / "baselines" / upsampler)
    return tmp_path


@pytest.fixture
def folds(data: Path) -> Folds:
    return read_folds(NAMES, data / "leave_one_out", data / "baselines")


def test_means_leave_out_of_domain_gans_aside(params: Params, folds: Folds) -> None:
    result = comparison_report(params, folds)
    for protocol in PROTOCOLS:
        aurocs = {gan: result["folds"][gan][protocol]["auroc"] for gan in GANS}
        mean = (aurocs["dcgan"] + aurocs["wgan_gp"]) / 2
        assert result["gans"][protocol]["auroc"]["mean"] == pytest.approx(mean)
        outside = result["out_of_domain"][protocol]["auroc"]
        assert outside["mean"] == pytest.approx(aurocs["digiface_dcgan"])
        ours, theirs = (
            values["gans"][protocol]["auroc"]["mean"] for values in (result, result["methods"]["paper"])
        )
        gain = result["gains"]["paper"]["gans"][protocol]
        assert gain["difference"] == pytest.approx(ours - theirs)
        assert "upsamplers" in result["gains"]["dct"]
    assert list(result["methods"]) == ["paper", "dct"]
    json.dumps(result, allow_nan=False)


def test_the_headline_is_mean_worst_and_gains(params: Params, folds: Folds) -> None:
    report = comparison_report(params, folds)
    headline = comparison_headline(report)
    assert list(headline) == [*PROTOCOLS, "gain"]
    assert headline["mild"] == {
        "mean": report["gans"]["mild"]["auroc"]["mean"],
        "worst": report["gans"]["mild"]["auroc"]["worst"],
    }
    assert headline["gain"]["dct"] == report["gains"]["dct"]["gans"]["laundered"]["difference"]
    text = comparison(report)
    assert f"{report['upsamplers']['laundered']['auroc']['mean']:.3f}" in text


def test_another_bootstrap_moves_intervals_alone(params: Params, folds: Folds) -> None:
    other = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"bootstrap": 60})})
    assert comparison_headline(comparison_report(params, folds)) == comparison_headline(
        comparison_report(other, folds)
    )


def test_only_upsamplers_left_out(params: Params, folds: Folds) -> None:
    report = comparison_report(params, {name: folds[name] for name in ("transposed", "nearest")})
    nothing = {"mean": None, "worst": None}
    assert comparison_headline(report) == {**dict.fromkeys(PROTOCOLS, nothing), "gain": {}}
    assert "upsamplers" in comparison(report)
    assert report["undefined"] == "leave_one_out.folds names no GAN that may train"


def written(params: Params, folds: Folds, root: Path) -> Path:
    """The files of the stage compare, and figures of the other stages for the gate's other rules."""
    report = comparison_report(params, folds)
    for name, figures in {"leave_one_out": report, "baselines": baselines_report(params, folds)}.items():
        write_json(root / "reports" / f"{name}.json", figures)
    write_json(root / "metrics" / "leave_one_out.json", comparison_headline(report))
    return root


@pytest.mark.parametrize("names", [(), ("digiface_dcgan",), ("nearest",)])
def test_without_a_gan_that_may_train_all_files_hold_and_say_so(
    params: Params, folds: Folds, names: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = {name: folds[name] for name in names}
    root = written(params, here, tmp_path / "run")
    assert chart_rows(params, here) == [row for row in chart_rows(params, folds) if row["held_out"] in names]
    report = comparison_report(params, here)
    line = comparison(report)
    table = folds_table(root / "reports")
    if names:
        assert names[0] in table
        assert table.split("gain of ours")[1].count("| DCT |") == 1
        assert "**mean over GANs**" not in table
    else:
        reason = "leave_one_out.folds is empty: nothing was left out"
        assert line.startswith(f"{reason}, and nothing compared\n")
        assert table == f"`{reason}`."
    # The gate finds every figure of its rules, undefined on both sides.
    rules = {glob: rule for glob, rule in params.regression.items() if "leave_one_out" in glob}
    assert len(rules) == 3
    path = tmp_path / "params.yaml"
    content = read_yaml(ROOT / "params.yaml")
    content["regression"] = {glob: content["regression"][glob] for glob in rules}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    arguments = ["--workspace", str(root), "--base-dir", str(root), "--params", str(path)]
    assert regression.main(arguments) == regression.FINE
    assert "9 gated metrics: 9 undefined" in capsys.readouterr().out


def test_every_baseline_has_a_block_a_fold_and_protocol(params: Params, folds: Folds) -> None:
    result = baselines_report(params, folds)
    assert list(result) == ["paper", "dct"]
    for method, blocks in result.items():
        assert list(blocks) == list(NAMES)
        for name in NAMES:
            assert blocks[name] == fold_metrics(params, make_fold(params, name), folds[name], method)


def test_a_fold_that_was_not_run_is_named(data: Path) -> None:
    with pytest.raises(FoldScoresError, match="leave_one_out/sngan: not the scores of a fold"):
        read_folds(["sngan"], data / "leave_one_out", data / "baselines")


def test_chart_has_every_detector_on_every_gan(params: Params, folds: Folds) -> None:
    rows = chart_rows(params, folds)
    assert len(rows) == len(GANS) * 3 * len(PROTOCOLS)
    assert {row["detector"] for row in rows} == {DETECTOR, "paper", "dct"}
    assert all(0 <= row["auroc"] <= 1 for row in rows)


def test_the_table_quotes_the_files(params: Params, folds: Folds, tmp_path: Path) -> None:
    write_json(tmp_path / "reports/leave_one_out.json", summary := comparison_report(params, folds))
    write_json(tmp_path / "reports/baselines.json", baselines_report(params, folds))
    table = folds_table(tmp_path / "reports")
    assert table.count("| dcgan |") == len(PROTOCOLS)
    mean = summary["gans"]["laundered"]["auroc"]["mean"]
    theirs = [summary["methods"][name]["gans"]["laundered"]["auroc"]["mean"] for name in ("paper", "dct")]
    assert f"| **mean over GANs** | {mean:.3f} | {theirs[0]:.3f} | {theirs[1]:.3f} |" in table
    gain = summary["gains"]["paper"]["gans"]["mild"]
    low, high = gain["difference_ci95"]
    assert f"{gain['difference']:.3f} [{low:.3f}, {high:.3f}]" in table
    assert np.sign(gain["difference"]) == 1
    assert "| all nearest |" in table
    (tmp_path / "reports/baselines.json").unlink()
    with pytest.raises(TableError, match="baselines.json: no such file of figures"):
        folds_table(tmp_path / "reports")
