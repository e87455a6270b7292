"""A small real `dvc repro` in a clone of its own: tens of images, one epoch, every stage."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import declared
import documented
import numpy as np
import pandas as pd
import pytest
import yaml
from browser import browser, open_page
from bundles import celeba_photographs
from PIL import Image

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {
    "device": "cpu",
    "held_out": ["wgan_gp"],
    "generate": {"n_train": 24, "n_val": 8, "n_test": 16, "perturbed": 0.5, "batch_size": 16},
}
SMALL_KEYS = {
    "quality": {"n_images": 16, "kid_subset_size": 8, "kid_subsets": 4, "batch_size": 8},
    "cffn": {"epochs": 1, "batch_size": 8},
    "cn": {"epochs": 1, "batch_size": 8, "views": 1},
    "evaluate": {"bootstrap": 20, "batch_size": 32},
    "leave_one_out": {
        "seeds": 1,
        # A network that is trained and a regression on features; tests/evaluation/baselines has each method.
        "compared": ["paper", "dct"],
        "cffn_steps": 2,
        "cn_views": 1,
        "train_images": 12,
        "test_images": 8,
        "never_train": [],
        "folds": ["dcgan", "nearest"],
    },
    "robustness": {"images": 4},
    "leaks": {"halvings": 2, "tolerance": 0.5},
}


class Project:
    """A clone of this repository's tracked and new files with small params, and how to run commands in it."""

    def __init__(self, folder: Path, photographs: list[bytes]) -> None:
        self.folder = folder
        listing = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listing.split("\0")):
            if (
                (ROOT / name).is_file()
                and not (name.startswith(("metrics/", "reports/")) and name.endswith(".json"))
                and name != "dvc.lock"
            ):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
            elif (ROOT / name).is_symlink():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
        sources = folder / "photographs"
        for number, content in enumerate(photographs, start=1):
            (sources / f"{number:06d}.jpg").write_bytes(content)
        params = yaml.safe_load((folder / "params.yaml").read_text()) | SMALL
        # The whole path, because an experiment of the queue runs in another folder.
        params["data"] |= {"source": "folder", "root": str(sources), "splits": {"val": 0.3, "test": 0.3}}
        params["gans"] = {gan: params["gans"][gan] for gan in ("dcgan", "wgan", "wgan_gp")}
        for section, values in SMALL_KEYS.items():
            params[section] |= values
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "src"),
            "DVC_NO_ANALYTICS": "1",
        }
        self.records = folder.with_name(f"{folder.name}_records")
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "config", "user.email", "test@example.org")
        self.run("git", "config", "user.name", "Test")
        self.commit("start")

    def run(self, *command: str, expect: int = 0) -> str:
        """Output of a command, which must exit with ``expect``."""
        result = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        output = result.stdout + result.stderr
        assert result.returncode == expect, f"{' '.join(command)}: exit {result.returncode}\n{output}"
        return output

    def gate(self, *arguments: str, expect: int) -> str:
        return self.run(sys.executable, "-m", "fakeface.regression", *arguments, expect=expect)

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", message)

    def restore(self) -> None:
        """Back to the last commit; an experiment leaves its dvc.lock in the index, too."""
        self.run("git", "reset", "-q", "--hard")
        self.run("dvc", "checkout")

    def report(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "reports" / name).read_text())
        return content


def stages_run(output: str) -> set[str]:
    """Names of the stages that a `dvc repro` ran, from the lines that it prints."""
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, photographs: list[bytes]) -> Project:
    """The clone after its first `dvc repro`, committed."""
    project = Project(tmp_path_factory.mktemp("clone"), photographs)
    plain = project.environment
    project.environment = declared.recording(plain, project.records)
    output = project.run("dvc", "repro")
    project.environment = plain
    assert {"download", "prepare", "generate@wgan_gp", "quality@dcgan", "collect"} | {
        "quality_chart",
        "contact_sheet",
    } <= stages_run(output)
    project.commit("first run")
    return project


@pytest.fixture
def restored(project: Project) -> Iterator[None]:
    """Back to the committed first run after a test that changes the clone."""
    yield
    project.restore()


def test_every_report_is_there_and_says_what_made_it(project: Project) -> None:
    names = [
        "evaluation.json",
        "cffn.json",
        "cn.json",
        "curation.json",
        "data.json",
        "explain.json",
        "leaks.json",
        "leave_one_out.json",
        "baselines.json",
        "nested_validation.json",
        "robustness.json",
        *(f"quality/{g}.json" for g in ("dcgan", "wgan_gp")),
    ]
    for name in names:
        assert {"fakeface_version", "torch_version", "seed", "device"} <= set(project.report(name)), name
    written = {
        path.relative_to(project.folder / "metrics") for path in (project.folder / "metrics").rglob("*.*")
    }
    reports = {
        path.relative_to(project.folder / "reports") for path in (project.folder / "reports").rglob("*.*")
    }
    assert (
        {Path("evaluation.json"), Path("leave_one_out.json"), Path("quality/dcgan.json")} <= written < reports
    )
    assert list(project.report("leave_one_out.json")["folds"]) == ["dcgan", "nearest"]
    evaluation = project.report("evaluation.json")
    for protocol in ("laundered", "mild", "clean"):
        assert list(evaluation[protocol]["per_gan"]) == ["dcgan", "wgan", "wgan_gp"]
    assert evaluation["held_out"] == ["wgan_gp"]
    assert project.report("cffn.json")["training_gans"] == ["dcgan", "wgan"]


def test_a_second_run_does_nothing(project: Project) -> None:
    assert stages_run(project.run("dvc", "repro")) == set()
    assert project.run("git", "status", "--porcelain") == ""
    assert stages_run(project.run("dvc", "repro", "--dry", "--allow-missing")) == set()


def test_plots_and_metrics_are_readable(project: Project) -> None:
    project.run("dvc", "plots", "show", "--out", "rendered")
    page = (project.folder / "rendered" / "index.html").read_text()
    shutil.rmtree(project.folder / "rendered")
    for title in (
        "ROC",
        "Precision and recall",
        "Confusion",
        "KID by GAN",
        "CFFN loss",
        "Robustness",
        "Left-out GANs",
        "Accuracy by coverage",
    ):
        assert title in page
    assert "laundered" in project.run("dvc", "metrics", "show", "metrics/evaluation.json")


def test_a_rerun_of_the_evaluation_gives_the_same_bytes(project: Project) -> None:
    project.run("dvc", "repro", "--force", "--single-item", "evaluate")
    assert project.run("git", "status", "--porcelain") == ""


@pytest.mark.usefixtures("restored")
def test_the_gate_has_three_answers(project: Project) -> None:
    project.gate("--base", "HEAD", expect=0)
    project.gate("--base", "no-such-revision", expect=2)
    path = project.folder / "metrics" / "evaluation.json"
    worse = json.loads(path.read_text())
    worse["laundered"]["unseen"]["auroc"] -= 0.2
    path.write_text(json.dumps(worse, indent=2))
    report = project.gate("--base", "HEAD", expect=1)
    assert "evaluation.laundered.unseen.auroc" in report
    path.unlink()
    project.gate("--base", "HEAD", expect=2)


@pytest.mark.usefixtures("restored")
def test_another_margin_reruns_only_what_depends_on_it(project: Project) -> None:
    # Wide enough that it changes the weights: in this short training hardly a pair is closer than 0.7.
    assert stages_run(project.run("dvc", "exp", "run", "-S", "margin=50", "train_cffn")) == {"train_cffn"}
    # What follows the CFFN, or trains one of its own; export and report follow the bundle.
    folds = {f"{stage}@{fold}" for stage in ("leave_one_out", "baselines") for fold in ("dcgan", "nearest")}
    assert set(json.loads(project.run("dvc", "status", "--json"))) == folds | {
        "bundle",
        "evaluate",
        "explain",
        "nested_folds",
        "histories",
        "robustness",
        "train_attribution",
        "train_cn",
    }
    assert project.report("cffn.json")["margin"] == 50
    assert "best_val_loss" in project.run("dvc", "metrics", "diff")
    assert "margin" in project.run("dvc", "params", "diff")
    assert "main" in project.run("dvc", "exp", "show", "--md", "--only-changed")


def test_the_command_scores_the_test_split_as_the_pipeline_does(project: Project, tmp_path: Path) -> None:
    expected = pd.read_csv(project.folder / "data" / "predictions.csv", keep_default_na=False)
    images = []
    for gan in ("", "dcgan", "wgan", "wgan_gp"):
        folder = project.folder / "data" / (f"fake/{gan}" if gan else "real") / "test"
        images += list(np.load(folder / "images.npy"))
    assert len(images) == len(expected)
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number:04d}.png")
    options = ("--detector", "models/detector", "--no-align", "--csv")
    command = (sys.executable, "-m", "fakeface.apps.cli", "predict", *options, str(tmp_path))
    judged = pd.read_csv(io.StringIO(project.run(*command)), keep_default_na=False)
    # The evaluation reads activations in half precision.
    np.testing.assert_allclose(judged["score"], expected["score_clean"], atol=1e-3)
    threshold = project.report("evaluation.json")["threshold"]
    assert ((judged["verdict"] == "fake") == (judged["score"] > threshold)).all()


def test_the_report_is_one_page_that_needs_nothing_else(project: Project) -> None:
    page = (project.folder / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'<img src="([^"]*)"', page)
    assert len(sources) >= 9
    for source in sources:
        kind, content = source.split(",", 1)
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).width > 100
    assert "<script" not in page
    assert not re.search(r'(src|href)="(https?:)?//', page)
    anchors = re.findall(r'<a href="#([^"]*)"', page)
    assert anchors == re.findall(r'<section id="([^"]*)"', page)
    assert {"left-out", "main-run", "robustness", "naming", "leaks", "reproduce"} <= set(anchors)
    unseen = project.report("evaluation.json")["laundered"]["unseen"]["auroc"]
    assert f"<b>{unseen:.3f}</b>" in page


@pytest.mark.skipif(browser() is None, reason="no Chromium or Chrome on this machine to open the report in")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_all_of_the_report(project: Project, tmp_path: Path, width: int) -> None:
    page = project.folder / "report.html"
    seen, console = open_page(page, tmp_path, width)
    assert console == []
    assert len(seen["drawn"]) >= 13
    assert all(one["shown"] and one["width"] > 0 for one in seen["drawn"])
    assert seen["wide"] <= 0


@pytest.mark.usefixtures("restored")
def test_an_unknown_key_stops_before_any_work(project: Project) -> None:
    output = project.run("dvc", "exp", "run", "-S", "+margn=0.7", "-f", expect=255)
    assert "unknown key margn" in output


@pytest.mark.usefixtures("restored")
def test_a_new_unseen_gan_retrains_nothing(project: Project) -> None:
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    original = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["gans"]["lsgan"] = original["gans"]["lsgan"]
    params["held_out"].append("lsgan")
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    output = project.run("dvc", "repro", "evaluate", "-v")
    ran = stages_run(output)
    assert "generate@lsgan" in ran
    assert "evaluate" in ran
    assert not {"train_cffn", "train_cn", "prepare", "generate@dcgan"} & ran, output
    assert "lsgan" in project.report("evaluation.json")["laundered"]["per_gan"]


def shell(project: Project, script: str, expect: int = 0) -> str:
    return project.run("bash", "-ec", script, expect=expect)


@pytest.mark.usefixtures("restored")
def test_every_command_of_the_documentation_runs(project: Project) -> None:
    """In the order of a reader who tries them all; see tests/documented.py."""
    made = ("/*.jpg", "/folder_of_pictures", "/heatmaps", "/detector.onnx", "/scores.parquet", "/dvc_plots")
    (project.folder / ".git" / "info" / "exclude").write_text("\n".join(made))
    for name, number in (("picture.jpg", 1), ("folder_of_pictures/one.jpg", 2)):
        (project.folder / name).parent.mkdir(exist_ok=True)
        # As large as people's pictures are: the portraits detector wants faces of 160 pixels.
        picture = Image.open(io.BytesIO(celeba_photographs([number])[0]))
        picture.resize((2 * picture.width, 2 * picture.height)).save(project.folder / name)
    for command in documented.IN_A_SMALL_CLONE:
        output = shell(project, command)
        if command == "dvc exp run -S margin=0.7 evaluate":
            # The cache has no copies of what was made since the command before.
            assert (project.folder / "models" / "cffn.safetensors").stat().st_nlink == 2
        if "--queue" in command:
            # Three of the four would only take time. The last has the first run's margin: outs are cached.
            names = re.findall(r"Queued experiment '([\w-]+)'", output)
            assert len(names) == 4, output
            project.run("dvc", "queue", "remove", *names[:3])
        if command == "dvc queue start":
            # Its worker keeps the output open, so it has ended.
            assert "Success" in project.run("dvc", "queue", "status")
    (snippet,) = documented.blocks(ROOT / "docs" / "faq.md", "python")
    assert re.match(r"(real|unsure|fake) [\d.]+", project.run(sys.executable, "-c", snippet))
    assert "study-losses" not in project.run("dvc", "queue", "status")
    project.restore()
    for command, addition in documented.SHORTENED.items():
        studies = "studies" in command
        if studies:
            # They hold out GANs that the small clone does not have, and begin from a commit.
            path = project.folder / "params.yaml"
            every = yaml.safe_load((ROOT / "params.yaml").read_text())["gans"]
            params = yaml.safe_load(path.read_text()) | {"gans": every}
            path.write_text(yaml.safe_dump(params, sort_keys=False))
            project.commit("the GANs of the default")
        shell(project, f"{command} {addition}")
        if studies:
            project.run("git", "reset", "-q", "--hard", "HEAD~1")
        project.restore()
    for command, target in documented.UP_TO.items():
        shell(project, command.removesuffix("evaluate") + target)
        project.restore()
    assert "study-losses-margin-1.0" in project.run("dvc", "queue", "status")
    for command, message in documented.NOTHING_YET.items():
        assert message in shell(project, command, expect=1)


@pytest.mark.usefixtures("restored")
def test_folds_run_side_by_side_through_the_queue(project: Project) -> None:
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["leave_one_out"]["cffn_steps"] = 3
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    queue, first, second = documented.FOLDS
    queued = shell(project, queue.replace("(leave_one|baselines)", "leave_one_out@(dcgan|nearest)$"))
    names = re.findall(r"Queued experiment '([\w-]+)'", queued)
    assert len(names) == 2
    # A worker keeps an output open that is not its own.
    shell(project, f"({first}; {second}) > /dev/null 2>&1")
    # Seconds on an idle machine. A finished experiment has a reference: cheaper to look for than its status.
    deadline = time.monotonic() + 1200
    while (
        not set(names) <= experiments(project) or project.run("dvc", "queue", "status").count("Success") < 2
    ):
        assert time.monotonic() < deadline, project.run("dvc", "queue", "status")
        time.sleep(1)
    output = project.run("dvc", "repro", "leave_one_out@dcgan", "leave_one_out@nearest")
    assert stages_run(output) == set()
    assert output.count("is cached - skipping run") == 2
    runs = json.loads((project.folder / "data/leave_one_out/dcgan/runs.json").read_text())
    assert [run["seed"] for run in runs] == [0]


def experiments(project: Project) -> set[str]:
    return set(project.run("git", "for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps").split())


@pytest.mark.usefixtures("restored")
def test_profiles_name_stages_that_exist(project: Project) -> None:
    for command, then in documented.PROFILES.items():
        script = f"{command} && {then}".replace("dvc repro", "dvc repro --dry evaluate")
        for name in ("celeba_10k.zip", "photographs.zip", "stylegan.zip", "unseen.zip"):
            script = script.replace(name, "photographs")  # which is there
        script = script.replace("snapshots.zip", "docs")  # another one
        assert "train_cffn" in shell(project, script)


def test_a_generator_is_trained_as_the_documentation_says(project: Project) -> None:
    copy, prepare, train = documented.ZOO
    own = "sed -i 's|root: .*|root: ../photographs|; s|splits: .*|splits: {val: 0.3, test: 0.3}|' params.yaml"
    shell(project, f"{copy}\n{own}\n{prepare}\n{train} --minutes 0.05")
    assert list((project.folder / ".checkpoints" / "gans").glob("dcgan*"))
    shutil.rmtree(project.folder / "myzoo")


def test_every_stage_declares_what_it_reads(project: Project) -> None:
    assert declared.problems(project.folder, project.records) == []


def test_a_withdrawn_photograph_makes_the_download_stale(project: Project) -> None:
    assert project.run("dvc", "status", "--json", "download").strip() == "{}"
    photograph = project.folder / "photographs" / "000007.jpg"
    content = photograph.read_bytes()
    photograph.unlink()
    status = json.loads(project.run("dvc", "status", "--json", "download"))
    photograph.write_bytes(content)
    ((changed,),) = ([entry["changed deps"] for entry in status["download"]],)
    assert list(changed.values()) == ["modified"]


@pytest.mark.usefixtures("restored")
def test_a_gan_that_is_gone_leaves_nothing_in_the_lock_file(project: Project) -> None:
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    lock = project.folder / "dvc.lock"
    (fakes,) = (
        dep
        for dep in yaml.safe_load(lock.read_text())["stages"]["collect"]["deps"]
        if dep["path"] == "data/fake"
    )
    del params["gans"]["wgan"]
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    ran = stages_run(project.run("dvc", "repro", "collect"))
    assert ran == {"curate", "collect"}
    assert not (project.folder / "data" / "fake" / "wgan").exists()
    (fewer,) = (
        dep
        for dep in yaml.safe_load(lock.read_text())["stages"]["collect"]["deps"]
        if dep["path"] == "data/fake"
    )
    assert fewer["nfiles"] == fakes["nfiles"] * 2 // 3
    assert set(pd.read_csv(project.folder / "data" / "sets.csv")["gan"].dropna()) == {"dcgan", "wgan_gp"}


@pytest.mark.usefixtures("restored")
def test_a_fresh_clone_pulls_what_a_training_reads(project: Project, tmp_path: Path) -> None:
    project.run("dvc", "remote", "add", "--default", "shared", str(tmp_path / "remote"))
    project.run("dvc", "push", "train_cffn", "--with-deps")
    project.run("git", "commit", "-qam", "remote")
    project.run("git", "clone", "-q", str(project.folder), str(tmp_path / "clone"))
    shutil.copytree(project.folder / "photographs", tmp_path / "clone" / "photographs", dirs_exist_ok=True)
    # Another margin, so that the training has to run.
    command = "sed -i 's/^margin: .*/margin: 50/' params.yaml && dvc repro --pull train_cffn"
    output = shell(project, f"cd {tmp_path / 'clone'} && PYTHONPATH=$PWD/src && {command}")
    project.run("git", "reset", "-q", "--hard", "HEAD^")
    # The clone has the photographs at another place, so their download runs; its output is the same.
    assert stages_run(output) - {"download"} == {"train_cffn"}
    assert (tmp_path / "clone" / "models" / "cffn.safetensors").is_file()
