"""The studies' experiments are possible params, and their tables quote what is in DVC's refs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import make_params
from scipy.stats import ttest_rel

from fakeface.base.markdown import TableError
from fakeface.reporting.studies import (
    CONDITIONS,
    CURATION,
    CURATION_METHODS,
    HELD_OUT,
    LOSSES,
    SETTING,
    STAGE,
    STUDIES,
    StudyError,
    collect,
    curation_table,
    left_out_gans,
    losses_table,
    main,
    paired_interval,
    queue,
)

ROOT = Path(__file__).parents[2]
EXPERIMENTS = [(study, name) for study in STUDIES.values() for name in study.experiments]


@pytest.mark.parametrize(("study", "name"), EXPERIMENTS, ids=lambda value: getattr(value, "name", value))
def test_every_experiment_is_a_valid_change_of_the_params(study: Any, name: str) -> None:
    changes = dict(change.split("=", 1) for change in (*SETTING, *study.experiments[name]))
    make_params(**{key: yaml.safe_load(value) for key, value in changes.items()})


def test_the_stage_or_those_before_it_read_what_the_studies_change() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    before = (stages["generate"]["do"], stages["curate"], stages["nested_folds"])
    read = [*stages[STAGE]["params"], *(param for stage in before for param in stage["params"])]
    for study in STUDIES.values():
        for changes in (SETTING, *study.experiments.values()):
            for change in changes:
                key = change.split("=")[0]
                assert any(f"{key}.".startswith(f"{param}.") for param in read), key


def experiment(ref: str, mean: float, conditions: Sequence[str] = CONDITIONS) -> None:
    """A finished experiment in the repository of the working folder, as DVC leaves one."""
    auroc = {"auroc": {"mean": mean, "worst": 0.5, "worst_fold": "wgan", "std_folds": 0.1}}
    protocols = dict.fromkeys(conditions, auroc)
    dcgan = {"n_before": 10, "n_after": 9, "before": {"kid": 0.7}, "after": {"kid": 0.5, "kid_std": 0.1}}
    curation = {"gans": {"dcgan": dcgan, "pggan": {"n_before": 4, "n_after": 4}, "lsgan": dcgan}}
    Path("reports").mkdir(exist_ok=True)
    Path("reports/nested_validation.json").write_text(
        json.dumps({"gans": protocols, "upsamplers": protocols})
    )
    Path("reports/curation.json").write_text(json.dumps(curation))
    Path("params.yaml").write_text("precision: bf16\n")
    time = str(1_700_000_000 + int(1000 * mean))
    environment = os.environ | {"GIT_COMMITTER_DATE": f"{time} +0000"}
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["add", "-A"], [*who, "commit", "-qm", ref], ["update-ref", f"refs/exps/{ref}", "HEAD"]):
        subprocess.run(["git", *command], check=True, env=environment)


def test_rows_come_from_finished_experiments_of_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    # An experiment on an older commit is not the one that counts, whatever the order of their hashes.
    experiment("ff/1/study-losses-margin-1.0", 0.1)
    experiment("aa/2/study-losses-margin-1.0", 0.8)
    experiment("aa/2/study-losses-as-configured", 0.7)
    experiment("aa/2/study-losses-margin-9", 0.9)
    experiment("aa/2/study-curation-none-seed-0", 0.95)
    experiment("aa/2/somebody-elses", 0.99)
    rows = collect(LOSSES)
    assert list(rows) == ["as-configured", "margin-1.0"]
    assert rows["margin-1.0"]["upsampler"] == rows["margin-1.0"]["gan"]
    assert rows["margin-1.0"]["gan"]["laundered"] == {"mean": 0.8, "worst": 0.5, "worst_fold": "wgan"}
    assert list(rows["margin-1.0"]["gan"]) == ["laundered", "mild", "clean", "corrupted"]
    assert rows["margin-1.0"]["changes"] == ["margin=1.0"]
    assert rows["margin-1.0"]["precision"] == "bf16"
    assert rows["margin-1.0"]["curation"] == {
        "dcgan.n_before": 10,
        "dcgan.n_after": 9,
        "dcgan.before.kid": 0.7,
        "dcgan.after.kid": 0.5,
        "pggan.n_before": 4,
        "pggan.n_after": 4,
    }
    assert json.loads((tmp_path / "results/study_losses.json").read_text()) == rows


def test_an_experiment_of_an_older_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    experiment("aa/2/study-losses-margin-1.0", 0.8, ("laundered", "mild", "clean"))
    with pytest.raises(
        StudyError, match=r"margin-1.0: was not judged corrupted; remove it \(dvc exp remove s"
    ):
        collect(LOSSES)
    assert not Path("results").exists()


def figures(mean: float, **curation: float) -> dict[str, object]:
    block = {"mean": mean, "worst": mean - 0.1, "worst_fold": "wgan"}
    conditions = {"laundered": block, "mild": block, "clean": block, "corrupted": block}
    return {"changes": ["margin=1.0"], "gan": conditions, "upsampler": conditions, "curation": curation}


def test_the_table_has_the_best_first(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    path.write_text(json.dumps({"weak": figures(0.7), "good": figures(0.9)}))
    lines = losses_table(path).splitlines()
    assert lines[2].startswith("| good | `margin=1.0` | 0.9000 | 0.9000 |")
    assert lines[2].endswith("| 0.8000 |")
    assert lines[3].startswith("| weak |")


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=7), rng.normal(size=7)
    mean, half = paired_interval(one - other)
    expected = ttest_rel(one, other).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx(tuple(expected))


def test_curation_is_compared_seed_by_seed(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    quality = {"dcgan.before.kid": 0.2, "dcgan.after.kid": 0.1, "wgan.before.kid": 0.4, "wgan.after.kid": 0.1}
    counts = {"dcgan.n_before": 10, "dcgan.n_after": 5, "wgan.n_before": 10, "wgan.n_after": 5}
    means = {"none": (0.5, 0.7), "random": (0.4, 0.6), "realism": (0.7, 0.8)}
    rows = {
        f"{method}-seed-{seed}": figures(value, **counts, **(quality if method == "realism" else {}))
        for method, values in means.items()
        for seed, value in enumerate(values)
    }
    path.write_text(json.dumps(rows))
    lines = curation_table(path).splitlines()
    half = paired_interval(np.array([0.2, 0.1]))[1]
    interval = f"+0.1500 [{0.15 - half:+.4f}, {0.15 + half:+.4f}]"
    assert lines[4].startswith("| realism | 50% | 0.300 → 0.100 | – | – | 0.7500 | " + interval)
    assert lines[2].endswith("| – | +0.1000 [+0.1000, +0.1000] |")
    assert lines[3].endswith("| -0.1000 [-0.1000, -0.1000] | – |")
    del rows["none-seed-0"], rows["none-seed-1"]
    path.write_text(json.dumps(rows))
    with pytest.raises(TableError, match="no experiment none-seed"):
        curation_table(path)


def test_every_method_of_the_params_is_studied() -> None:
    for method in CURATION_METHODS:
        make_params(**{"curation.method": method})
    assert len(CURATION.experiments) == len(CURATION_METHODS) * 3


def test_an_unknown_experiment_is_named() -> None:
    with pytest.raises(StudyError, match="no experiment margin-9 in the study losses, expected some of as-"):
        queue(LOSSES, ["margin-9"])


def test_a_table_of_nothing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["table", "curation"])
    assert "error: results/study_curation.json: no such file of figures" in capsys.readouterr().err


def test_a_study_begins_from_the_committed_params_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("git init -q", "git config user.email a@b.c", "git config user.name a"):
        subprocess.run(command.split(), check=True)
    Path("params.yaml").write_text("margin: 1.0")
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", "commit", "-qm", "x"], check=True)
    Path("params.yaml").write_text("margin: 0.7")
    with pytest.raises(StudyError, match="params.yaml is not that of the last commit"):
        queue(LOSSES, ["margin-1.0"])


def test_a_study_needs_the_gans_that_it_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["gans"] = {"stylegan": params["gans"]["stylegan2"]}
    params |= {"held_out": [], "leave_one_out": params["leave_one_out"] | {"never_train": [], "folds": []}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    for command in ("git init -q", "git add .", "git -c user.name=a -c user.email=a@b.c commit -qm x"):
        subprocess.run(command.split(), check=True)
    with pytest.raises(
        StudyError, match="params.yaml has no GAN lsgan, wgan, sngan, stylegan2, digiface_dcgan"
    ):
        queue(LOSSES)
    assert left_out_gans(ROOT / LOSSES.results) <= set(make_params().gans) - set(HELD_OUT)


def test_only_gans_that_are_learnt_from_count() -> None:
    assert set(make_params().gans) - set(HELD_OUT) == {"dcgan", "wgan_gp", "pggan"}
