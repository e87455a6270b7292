"""The gate, run as its users run it: metrics files, a git repository, an exit code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeface.params import RegressionRule
from fakeface.regression import CANNOT_COMPARE, FINE, REGRESSED, compare, flatten, main, rule_for

REPOSITORY = Path(__file__).resolve().parent.parent
RULES = {
    "evaluation.laundered.overall.auroc": {"direction": "higher", "tolerance": 0.03},
    "evaluation.*.auroc": {"direction": "higher", "tolerance": 0.06},
    "quality.*.kid": {"direction": "lower", "tolerance": 0.02},
}
EVALUATION = {
    "laundered": {
        "overall": {"auroc": 0.8, "auroc_ci95": [0.78, 0.82], "precision": 0.9},
        "per_gan": {"dcgan": {"auroc": 0.9}, "sngan": {"auroc": 0.6}},
    },
}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def git(*arguments):
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def set_rules(rules):
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(params | {"regression": rules}, sort_keys=False))


def change(**values):
    """Rewrite numbers of metrics/evaluation.json, keys joined by two underscores; ... removes one."""
    content = json.loads(Path("metrics/evaluation.json").read_text())
    for name, value in values.items():
        *parents, last = name.split("__")
        section = content
        for parent in parents:
            section = section[parent]
        if value is ...:
            del section[last]
        else:
            section[last] = value
    write(Path("metrics/evaluation.json"), content)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A git repository with params, one commit of metrics and the same metrics in the workspace."""
    monkeypatch.chdir(tmp_path)
    set_rules(RULES)
    write(tmp_path / "metrics/evaluation.json", EVALUATION)
    write(tmp_path / "metrics/quality/dcgan.json", {"kid": 0.09, "extractor": "efficientnet-lite0"})
    git("init", "--initial-branch=main", ".")
    git("add", ".")
    git("commit", "--message=metrics")
    return tmp_path


def test_unchanged_metrics_pass(project, capsys):
    assert main([]) == FINE
    out, err = capsys.readouterr()
    assert "4 gated metrics: 4 ok." in out
    assert "1 figures have no rule and are not gated." in out  # precision
    assert err == ""


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (0.90, FINE),
        (0.771, FINE),
        (0.77, FINE),  # just the tolerance, on the wrong side of it in floating point
        (0.769, REGRESSED),
        (0.0, REGRESSED),
    ],
)
def test_tolerance_of_the_first_matching_rule(project, now, code):
    change(laundered__overall__auroc=now)
    assert main([]) == code


def test_lower_is_better_for_kid(project):
    write(project / "metrics/quality/dcgan.json", {"kid": 0.05})
    assert main([]) == FINE
    write(project / "metrics/quality/dcgan.json", {"kid": 0.12})
    assert main([]) == REGRESSED


def test_table_lists_regressions_first_and_is_aligned(project, capsys):
    change(laundered__per_gan__sngan__auroc=0.4, laundered__per_gan__new_gan={"auroc": 0.7})
    assert main([]) == REGRESSED
    lines = capsys.readouterr().out.splitlines()
    header = next(i for i, line in enumerate(lines) if line.startswith("metric"))
    first = lines[header + 1].split()
    assert first == [
        "evaluation.laundered.per_gan.sngan.auroc",
        *["0.6000", "0.4000", "-0.2000", "-0.0600"],
        "REGRESSION",
    ]
    assert lines[header + 2].split()[1:] == ["-", "0.7000", "-", "-0.0600", "new"]
    assert len({len(line) for line in lines[header : header + 6]}) == 1


def test_new_metrics_and_files_pass(project, capsys):
    write(project / "metrics/quality/wgan.json", {"kid": 0.5})
    assert main([]) == FINE
    assert "1 new, 4 ok" in capsys.readouterr().out


def test_ungated_metrics_may_change_but_a_loss_is_told(project, capsys):
    change(laundered__overall__precision=...)
    assert main([]) == FINE
    assert (
        "1 of them are gone, for instance evaluation.laundered.overall.precision." in capsys.readouterr().out
    )


def test_null_on_both_sides_is_shown_as_undefined(project, capsys):
    change(laundered__overall__auroc=None)
    git("commit", "--all", "--message=null")
    assert main([]) == FINE
    assert "1 undefined, 3 ok" in capsys.readouterr().out


def test_a_value_where_the_base_had_null_is_new(project):
    change(laundered__overall__auroc=None)
    git("commit", "--all", "--message=null")
    change(laundered__overall__auroc=0.1)
    assert main([]) == FINE


def failure(capsys, *arguments):
    assert main(list(arguments)) == CANNOT_COMPARE
    return capsys.readouterr().err


def test_gone_metric_cannot_be_compared(project, capsys):
    change(laundered__per_gan__sngan=...)
    assert "evaluation.laundered.per_gan.sngan.auroc is gone from the workspace" in failure(capsys)


def test_gone_file_cannot_be_compared(project, capsys):
    (project / "metrics/quality/dcgan.json").unlink()
    assert "quality.dcgan.kid is gone from the workspace" in failure(capsys)


def test_number_that_became_null_cannot_be_compared(project, capsys):
    change(laundered__overall__auroc=None)
    assert "evaluation.laundered.overall.auroc was 0.8 and is null now" in failure(capsys)


def test_number_that_became_text_cannot_be_compared(project, capsys):
    change(laundered__overall__auroc="0.8")
    assert "evaluation.laundered.overall.auroc is gone" in failure(capsys)


def test_a_regression_outranks_what_cannot_be_compared(project, capsys):
    change(laundered__overall__auroc=0.1, laundered__per_gan__sngan=...)
    assert main([]) == REGRESSED
    assert "sngan.auroc is gone" in capsys.readouterr().err


def test_rule_without_a_metric_cannot_be_compared(project, capsys):
    set_rules(RULES | {"evaluation.laundred.*.auroc": {"direction": "higher", "tolerance": 0.1}})
    assert "regression rule 'evaluation.laundred.*.auroc' matches no metric" in failure(capsys)


def test_no_rules_cannot_be_compared(project, capsys):
    set_rules({})
    assert "regression must hold at least one rule" in failure(capsys)


@pytest.mark.parametrize("revision", ["no-such-branch", "--help-me", "0" * 40])
def test_missing_revision_cannot_be_compared(project, capsys, revision):
    assert "base revision" in failure(capsys, f"--base={revision}")


def test_revision_without_metrics_cannot_be_compared(project, capsys):
    git("rm", "-r", "--cached", "metrics")
    git("commit", "--message=no metrics")
    assert "base revision 'HEAD' holds no metrics files in ." in failure(capsys)
    assert main(["--base", "HEAD~1"]) == FINE


def test_outside_a_repository_cannot_be_compared(project, capsys, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(project / "nowhere"))
    assert "base revision 'HEAD' cannot be read" in failure(capsys)


def test_empty_workspace_cannot_be_compared(project, capsys):
    assert "nothing: no metrics files" in failure(capsys, "--workspace", "nothing")


@pytest.mark.parametrize("text", ["{", '{"auroc": NaN}', "[1, 2]", "\xff"])
def test_unreadable_file_is_named(project, capsys, text):
    (project / "metrics/evaluation.json").write_bytes(text.encode("latin-1"))
    assert "metrics/evaluation.json: " in failure(capsys)


def test_unreadable_base_file_is_named(project, capsys):
    original = (project / "metrics/evaluation.json").read_text()
    (project / "metrics/evaluation.json").write_text("{")
    git("commit", "--all", "--message=broken")
    (project / "metrics/evaluation.json").write_text(original)
    assert "HEAD:metrics/evaluation.json: not readable as JSON" in failure(capsys)


def test_bad_params_cannot_be_compared(project, capsys):
    set_rules({"x": {"direction": "up", "tolerance": 0.1}})
    assert "regression.x.direction must be 'higher' or 'lower', got 'up'" in failure(capsys)


def test_base_is_any_revision(project):
    change(laundered__overall__auroc=0.7)
    git("commit", "--all", "--message=worse")
    assert main([]) == FINE
    assert main(["--base", "HEAD~1"]) == REGRESSED


def test_selected_files_only(project, capsys):
    change(laundered__overall__auroc=0.1)
    assert main(["--metrics", "metrics/quality"]) == FINE
    assert main(["--metrics", "metrics/evaluation.json"]) == REGRESSED
    assert "1 REGRESSION, 2 ok" in capsys.readouterr().out
    assert main(["--metrics", "metrics"]) == REGRESSED


def test_selected_file_must_be_on_both_sides(project, capsys):
    assert "metrics/typo.json: no such metrics file" in failure(capsys, "--metrics", "metrics/typo.json")
    write(project / "metrics/cn.json", {"loss": 1})
    assert "no such metrics file or folder in the base" in failure(capsys, "--metrics", "metrics/cn.json")


def test_selection_without_a_gated_metric_is_no_pass(project, capsys):
    write(project / "metrics/cn.json", {"loss": 1})
    git("add", ".")
    git("commit", "--message=cn")
    assert "no metric of the chosen files has a rule" in failure(capsys, "--metrics", "metrics/cn.json")


def test_two_folders(project):
    write(project / "results/initial/metrics/evaluation.json", EVALUATION)
    write(project / "results/initial/metrics/quality/dcgan.json", {"kid": 0.09})
    assert main(["--base-dir", "results/initial"]) == FINE
    change(laundered__overall__auroc=0.2)
    assert main(["--base-dir", "results/initial"]) == REGRESSED
    assert main(["--base-dir", ".", "--workspace", "results/initial"]) == FINE


def test_run_from_a_subfolder(project, monkeypatch):
    (project / "notes").mkdir()
    monkeypatch.chdir(project / "notes")
    assert main(["--workspace", "..", "--params", "../params.yaml"]) == FINE


def test_command_line_documents_exit_codes_and_does_not_load_torch(project):
    shown = subprocess.run(
        [sys.executable, "-m", "fakeface.regression", "--help"], capture_output=True, text=True
    )
    assert "exit codes:" in shown.stdout
    code = "import sys, fakeface.regression; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    change(laundered__overall__auroc=0.1)
    assert (
        subprocess.run([sys.executable, "-m", "fakeface.regression"], capture_output=True).returncode
        == REGRESSED
    )


def test_flatten_keeps_numbers_and_nulls_only():
    content = {"a": 1, "b": {"c": 0.5, "d": None}, "e": "text", "f": [1, 2], "g": True}
    assert flatten(content, "file") == {"file.a": 1, "file.b.c": 0.5, "file.b.d": None}


def test_first_match_wins_and_a_star_crosses_dots():
    rules = {glob: RegressionRule(**rule) for glob, rule in RULES.items()}
    assert rule_for("evaluation.laundered.overall.auroc", rules).tolerance == 0.03
    assert rule_for("evaluation.clean.per_gan.dcgan.auroc", rules).tolerance == 0.06
    assert rule_for("evaluation.clean.per_gan.dcgan.auroc_other", rules) is None


value = st.one_of(st.none(), st.floats(-1, 1))
metrics = st.dictionaries(st.sampled_from(["a.x", "a.y", "b.x", "c"]), value)


@given(metrics, metrics, st.sampled_from(["higher", "lower"]), st.floats(0, 0.5))
@settings(deadline=None)
def test_every_gated_metric_has_a_row_and_the_verdict_follows_the_rule(base, now, direction, tolerance):
    rules = {"*.x": RegressionRule(direction=direction, tolerance=tolerance)}
    rows = compare(base, now, rules)
    assert sorted(row.name for row in rows) == sorted(name for name in base | now if name.endswith(".x"))
    for row in rows:
        if base.get(row.name) is not None and now.get(row.name) is not None:
            worse = row.base - row.now if direction == "higher" else row.now - row.base
            assert row.verdict == ("REGRESSION" if worse > tolerance + 1e-9 else "ok")
        else:
            assert row.verdict not in ("REGRESSION", "ok")
    verdicts = [row.verdict for row in rows]
    assert verdicts == sorted(verdicts, key=["REGRESSION", "GONE", "NULL", "undefined", "new", "ok"].index)


def test_reports_are_gated_under_their_own_names(project, capsys):
    set_rules(RULES | {"reports.evaluation.*.ece": {"direction": "lower", "tolerance": 0.02}})
    report = {"fakeface_version": "0.2.0", "laundered": {"seen": {"ece": 0.02, "auroc": 0.1}}}
    write(project / "reports/evaluation.json", report)
    git("add", ".")
    git("commit", "--message=report")
    assert main([]) == FINE
    assert "5 gated metrics: 5 ok." in capsys.readouterr().out
    write(project / "reports/evaluation.json", {"laundered": {"seen": {"ece": 0.2, "auroc": 0.1}}})
    assert main([]) == REGRESSED
    assert main(["--metrics", "metrics"]) == FINE
    assert main(["--metrics", "reports/evaluation.json"]) == REGRESSED


@pytest.mark.parametrize("side", ["base", "workspace"])
def test_figures_of_an_old_format_cannot_be_compared(project, capsys, side):
    path = project / "metrics/evaluation.json"
    new = path.read_text()
    write(path, {"fakeface_version": "0.1.0", "threshold": 0.1} | EVALUATION)
    if side == "base":
        git("commit", "--all", "--message=old")
        path.write_text(new)
    message = failure(capsys)
    assert "metrics/evaluation.json: an old format (fakeface 0.1.0); since 0.2.0 metrics/ holds" in message


def test_markdown_has_what_got_worse_in_the_open(project, capsys):
    change(laundered__per_gan__sngan__auroc=0.4)
    assert main(["--markdown"]) == REGRESSED
    out = capsys.readouterr().out
    assert out.startswith("### Regression gate\n\nbase: HEAD")
    shown, folded = out.split("<details>")
    assert "| evaluation.laundered.per_gan.sngan.auroc | 0.6000 | 0.4000 | -0.2000 | -0.0600 | REGR" in shown
    assert "dcgan" not in shown
    assert "<summary>3 within tolerance</summary>\n\n| metric | base |" in folded
    assert "4 gated metrics: 1 REGRESSION, 3 ok." in folded
    change(laundered__per_gan__sngan__auroc=0.6)
    assert main(["--markdown"]) == FINE
    assert "No gated metric got worse than allowed." in capsys.readouterr().out


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The repository's own params and committed figures."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "metrics", "reports"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, tmp_path / name)
    return tmp_path


def edit(path, keys, value):
    content = json.loads(path.read_text())
    section = content
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value(section[keys[-1]])
    write(path, content)


@pytest.mark.parametrize(
    ("file", "keys", "value"),
    [
        # From 9 % of the photographs called fake to 60 %, while every AUROC stays.
        ("metrics/evaluation.json", ("laundered", "unseen", "fpr"), lambda _: 0.6),
        ("metrics/evaluation.json", ("laundered", "seen", "fpr"), lambda _: 0.6),
        ("metrics/evaluation.json", ("mild", "seen", "recall"), lambda old: old - 0.1),
        ("metrics/evaluation.json", ("laundered", "unseen", "recall"), lambda old: old - 0.3),
        ("reports/evaluation.json", ("laundered", "seen", "ece"), lambda old: old + 0.1),
        ("metrics/leave_one_out.json", ("laundered", "mean"), lambda old: old - 0.03),
        ("metrics/leave_one_out.json", ("clean", "worst"), lambda old: old - 0.1),
        ("reports/leave_one_out.json", ("gans", "laundered", "fpr", "mean"), lambda old: old + 0.1),
    ],
)
def test_the_operating_point_is_gated(published, capsys, file, keys, value):
    options = ["--base-dir", str(REPOSITORY)]
    assert main(options) == FINE
    capsys.readouterr()
    edit(published / file, keys, value)
    assert main(options) == REGRESSED
    first = capsys.readouterr().out.splitlines()[3].split()
    assert first[0].endswith(".".join(keys))
    assert first[-1] == "REGRESSION"
