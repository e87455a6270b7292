"""Tables from metrics files, and the README that carries them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fakeface.metrics.scores import score_block
from fakeface.reporting.results_tables import results_tables
from fakeface.reporting.tables import main, update_readme

GANS = {"dcgan": 0.8, "wgan_gp": 0.6, "sngan": 0.5}
README = """# Title

<!-- table: results --reports reports -->
stale
<!-- end table -->

Between.

<!-- table: compare results/initial results/expanded --names initial expanded -->
<!-- end table -->

Write `<!-- table: results -->` to have a table:

    <!-- table: results -->
"""


def evaluation(held_out, seed=0, bootstrap=20):
    """A metrics file with real blocks of scores."""
    rng = np.random.default_rng(seed)
    content = {"seed": seed, "device": "cpu", "threshold": 0.7, "held_out": held_out}
    real = np.clip(rng.normal(0.4, 0.15, 60), 0, 1)

    def block(fakes):
        labels = np.repeat([0, 1], [len(real), len(fakes)])
        return score_block(labels, np.r_[real, fakes], 0.7, bootstrap=bootstrap)

    for protocol in ("laundered", "mild", "clean"):
        fakes = {gan: np.clip(rng.normal(mean, 0.15, 40), 0, 1) for gan, mean in GANS.items()}
        groups = {
            "overall": list(fakes),
            "seen": [gan for gan in fakes if gan not in held_out],
            "unseen": held_out,
        }
        content[protocol] = {
            name: block(np.concatenate([fakes[gan] for gan in gans] or [[]])) for name, gans in groups.items()
        }
        content[protocol]["per_gan"] = {gan: block(scores) for gan, scores in fakes.items()}
    return content


def quality(extractor="efficientnet-lite0", **names):
    names = names or {"fd_efficientnet_lite0": 12.345, "is_efficientnet_lite0": 2.5}
    return {
        "extractor": extractor,
        "n_fake": 40,
        "n_real": 700,
        "kid": 0.0912,
        "precision": 0.7,
        "recall": 0.3,
    } | names


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "reports/evaluation.json", evaluation(["sngan"]))
    for gan in GANS:
        write(tmp_path / f"reports/quality/{gan}.json", quality())
    write(tmp_path / "results/initial/reports/evaluation.json", evaluation(["wgan_gp", "sngan"], seed=1))
    write(tmp_path / "results/expanded/evaluation.json", evaluation(["sngan"], seed=2))
    (tmp_path / "README.md").write_text(README)
    return tmp_path


def cells(table, first):
    """Cells of the row whose first cell is ``first``."""
    for line in table.splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and row[0] == first:
            return row
    raise AssertionError(f"no row {first}")


def assert_rectangular(text):
    """Every table has as many cells in each row as in its header."""
    for table in text.split("\n\n"):
        counts = {line.count("|") for line in table.splitlines() if line.startswith("|")}
        assert len(counts) <= 1


def test_detection_table_shows_the_metrics(project, capsys):
    assert main(["results"]) == 0
    text = capsys.readouterr().out
    content = json.loads((project / "reports/evaluation.json").read_text())
    block = content["mild"]["per_gan"]["wgan_gp"]
    low, high = block["auroc_ci95"]
    row = cells(text, "wgan_gp")
    assert row[1] == "seen"
    assert row[5] == f"{block['auroc']:.3f} [{low:.3f}, {high:.3f}]"
    assert row[6:8] == [f"{block['precision']:.3f}", f"{block['recall']:.3f}"]
    assert cells(text, "sngan")[1] == "**unseen**"
    assert cells(text, "all unseen")[2] == cells(text, "sngan")[2]
    assert "60 test photographs against that row's fakes (120 in all)" in text
    assert_rectangular(text)


def test_summary_shows_auroc_recall_and_false_positives_under_laundering(project, capsys):
    assert main(["results", "--part", "summary"]) == 0
    text = capsys.readouterr().out
    blocks = json.loads((project / "reports/evaluation.json").read_text())["laundered"]
    block = blocks["per_gan"]["wgan_gp"]
    low, high = block["auroc_ci95"]
    auroc, recall = f"{block['auroc']:.3f} [{low:.3f}, {high:.3f}]", f"{block['recall']:.3f}"
    assert cells(text, "wgan_gp") == ["wgan_gp", "seen", auroc, recall]
    assert cells(text, "all unseen")[2:] == cells(text, "sngan")[2:]
    assert f"{blocks['overall']['fpr']:.1%} are above it" in text
    assert_rectangular(text)


def test_quality_table_names_the_extractor(project, capsys):
    assert main(["results", "--part", "quality"]) == 0
    text = capsys.readouterr().out
    assert cells(text, "GAN") == ["GAN", "KID ↓", "FD ↓", "IS ↑", "precision ↑", "recall ↑"]
    assert cells(text, "dcgan") == ["dcgan", "0.0912", "12.35", "2.50", "0.700", "0.300"]
    assert "40 fakes against 700 training photographs, features of efficientnet-lite0." in text


def test_quality_table_of_inception_uses_the_standard_names(project):
    for gan in GANS:
        write(
            project / f"reports/quality/{gan}.json",
            quality("inception-v3-compat", fid=30.0, inception_score=3.0),
        )
    text = results_tables(project / "reports", "quality")
    assert cells(text, "GAN")[2:4] == ["FID ↓", "Inception Score ↑"]


def test_quality_files_of_former_gans_are_ignored(project):
    before = results_tables(project / "reports")
    write(project / "reports/quality/former.json", quality())
    assert results_tables(project / "reports") == before


def test_undefined_values_and_missing_intervals_are_shown(project):
    content = evaluation([], bootstrap=0)
    content["laundered"]["per_gan"]["dcgan"]["precision"] = None
    write(project / "reports/evaluation.json", content)
    text = results_tables(project / "reports", "detection")
    assert cells(text, "dcgan")[3] == "–"
    assert "[" not in cells(text, "dcgan")[2]
    assert "all unseen" not in text


def test_compare_table_sets_two_runs_side_by_side(project, capsys):
    assert main(["compare", "results/initial", "results/expanded", "--names", "initial", "expanded"]) == 0
    text = capsys.readouterr().out
    initial = json.loads((project / "results/initial/reports/evaluation.json").read_text())
    expanded = json.loads((project / "results/expanded/evaluation.json").read_text())
    blocks = [run["laundered"]["per_gan"]["wgan_gp"] for run in (initial, expanded)]
    row = cells(text, "wgan_gp")
    assert row[1:3] == ["no", "yes"]
    for column, metric in ((3, "precision"), (5, "recall"), (7, "auroc")):
        assert row[column : column + 2] == [f"{block[metric]:.3f}" for block in blocks]
    assert cells(text, "GAN")[3:5] == ["precision, initial", "precision, expanded"]
    assert cells(text, "sngan")[1:3] == ["no", "no"]
    assert_rectangular(text)


def test_compare_table_leaves_a_gap_for_a_gan_of_one_run(project, capsys):
    content = evaluation(["sngan"])
    for protocol in ("laundered", "mild", "clean"):
        del content[protocol]["per_gan"]["dcgan"]
    write(project / "results/initial/reports/evaluation.json", content)
    assert main(["compare", "results/initial", "results/expanded"]) == 0
    row = cells(capsys.readouterr().out, "dcgan")
    assert (row[1], row[2], row[3]) == ("–", "yes", "–")


def test_readme_round_trip(project):
    assert main(["readme", "README.md", "--check"]) == 1
    assert (project / "README.md").read_text() == README
    assert main(["readme", "README.md"]) == 0
    text = (project / "README.md").read_text()
    assert results_tables(project / "reports") in text
    assert "stale" not in text
    for kept in (
        "# Title\n",
        "\nBetween.\n",
        "Write `<!-- table: results -->`",
        "\n    <!-- table: results -->\n",
    ):
        assert kept in text
    assert main(["readme", "README.md", "--check"]) == 0
    assert update_readme(text, project) == text


def test_check_notices_new_metrics_and_edited_tables(project, capsys):
    main(["readme", "README.md"])
    text = (project / "README.md").read_text()
    (project / "README.md").write_text(text.replace("0.0912", "0.0012", 1))
    assert main(["readme", "README.md", "--check"]) == 1
    assert "README.md: tables are out of date; run python -m" in capsys.readouterr().err
    (project / "README.md").write_text(text)
    write(project / "reports/evaluation.json", evaluation(["sngan"], seed=7))
    assert main(["readme", "README.md", "--check"]) == 1


def test_marker_paths_are_relative_to_the_readme(project, monkeypatch):
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    assert main(["readme", "../README.md"]) == 0
    assert main(["readme", "../README.md", "--check"]) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing here", "no line starts with '<!-- table:'"),
        ("a\n<!-- table: results -->\n", "line 2: the table is never closed"),
        (
            "<!-- table: results -->\n<!-- table: results -->\n<!-- end table -->",
            "line 1: the table is never",
        ),
        ("<!-- end table -->", "line 1: <!-- end table --> without"),
        ("<!-- table: result -->\n<!-- end table -->", "line 1: argument command: invalid choice: 'result'"),
        (
            "<!-- table: readme README.md -->\n<!-- end table -->",
            "line 1: a marker must make a table, got `readme`",
        ),
        ("<!-- table: results --help -->\n<!-- end table -->", "line 1: a marker must make a table"),
        ("<!-- table: results\n<!-- end table -->", "line 1: a marker must be one line that ends in -->"),
        (
            "<!-- table: results --reports gone -->\n<!-- end table -->",
            "gone/evaluation.json: no such file of figures",
        ),
    ],
)
def test_wrong_markers_are_named_and_change_nothing(project, capsys, text, message):
    (project / "README.md").write_text(text)
    assert main(["readme", "README.md"]) == 2
    assert message in capsys.readouterr().err
    assert (project / "README.md").read_text() == text


def test_missing_readme_is_named(project, capsys):
    assert main(["readme", "gone.md"]) == 2
    assert "tables: gone.md: no such file" in capsys.readouterr().err


def test_missing_files_and_keys_are_named(project, capsys):
    (project / "reports/quality/wgan_gp.json").unlink()
    assert main(["results"]) == 2
    assert "reports/quality/wgan_gp.json: no such file of figures" in capsys.readouterr().err

    write(project / "reports/quality/wgan_gp.json", {"extractor": "efficientnet-lite0"})
    assert main(["results"]) == 2
    assert "wgan_gp.json: key fd_efficientnet_lite0 is missing" in capsys.readouterr().err

    content = evaluation(["sngan"])
    del content["mild"]["per_gan"]["dcgan"]["recall"]
    write(project / "reports/evaluation.json", content)
    assert main(["results"]) == 2
    assert "reports/evaluation.json: key mild.per_gan.dcgan.recall is missing" in capsys.readouterr().err

    (project / "reports/evaluation.json").write_text("{")
    assert main(["results"]) == 2
    assert "reports/evaluation.json: not readable as JSON" in capsys.readouterr().err


def test_command_line(project):
    command = [sys.executable, "-m", "fakeface.reporting.tables"]
    done = subprocess.run([*command, "results"], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == results_tables(project / "reports")
    assert subprocess.run([*command, "nonsense"], capture_output=True).returncode == 2


@pytest.mark.parametrize("name", ["README.md", "docs/generators.md"])
def test_published_tables_are_those_of_the_committed_metrics(name: str, tmp_path: Path) -> None:
    """Not those of the workspace: a run on another machine may change them, and is no failure."""
    archive = subprocess.run(
        ["git", "archive", "--format=zip", "HEAD"],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
    ).stdout
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(tmp_path)
    path = tmp_path / name
    text = path.read_text(encoding="utf-8")
    assert update_readme(text, path.parent) == text


def test_speeds_of_a_part_with_their_ratios_and_their_machine(project, capsys):
    about = {"name": "Some CPU", "cores": 2, "threads": 2, "torch": "2.14.1", "commit": "abc"}
    figures = {"median": 1234.5, "lowest": 0.012345, "highest": 2000.0}
    section = {
        "unit": "images/s",
        "rows": {"ours": figures},
        "ratios": {"times theirs": 83.21},
        "note": "A note.",
    }
    growing = {"unit": "s", "rows": {"all": {"1000": 3.0, "slope": 0.81234}}, "ratios": {}, "note": ""}
    sections = {"Training": section, "By number": growing}
    write(project / "results.json", {"training": {"about": about, "sections": sections}})
    assert main(["speed", "training", "results.json"]) == 0
    printed = capsys.readouterr().out
    assert cells(printed, "ours") == ["ours", "1,234", "0.0123 to 2,000"]
    assert cells(printed, "By number, s") == ["By number, s", "1000", "slope"]
    assert cells(printed, "all") == ["all", "3", "0.812"]
    for part in (
        "- times theirs: **83.2**",
        "A note.",
        "Some CPU, 2 cores, 2 threads, torch 2.14.1, commit abc.",
    ):
        assert part in printed
    assert main(["speed", "scoring", "results.json"]) == 2
    assert "results.json: key scoring is missing" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error(project):
    command = f"{sys.executable} -m fakeface.reporting.tables results | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
