"""`fakeface benchmark`: figures of one's own pictures, what spoils them, and what cannot be measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bundles import make_bundle
from conftest import encode, random_picture
from sklearn.metrics import roc_auc_score

from fakeface.apps.cli import main


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("benchmark"))


def pictures(folder: Path, seeds: range, quality: int = 90, side: int = 96) -> Path:
    folder.mkdir(parents=True)
    for seed in seeds:
        picture = random_picture(seed).resize((side, side))
        (folder / f"{seed}.jpg").write_bytes(encode(picture, quality=quality))
    return folder


def run(detector: Path, *arguments: object) -> int:
    return main(["benchmark", "--detector", str(detector), "--no-align", *map(str, arguments)])


def test_figures_of_both_classes(detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = pictures(tmp_path / "real" / "camera", range(24)).parent
    fake = pictures(tmp_path / "fake", range(100, 125))
    (fake / "torn.jpg").write_bytes(b"no picture")
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    assert run(detector, "--real", real, "--fake", fake, "--json", out, "--html", page) == 1
    printed = capsys.readouterr()
    assert "torn.jpg: left out" in printed.err + printed.out or "1 pictures were left out" in printed.out
    report = json.loads(out.read_text())
    assert (report["n_real"], report["n_fake"]) == (24, 25)
    assert [item["name"] for item in report["left_out"]] == ["torn.jpg"]
    for protocol in ("clean", "mild", "laundered"):
        block = report[protocol]
        assert set(block["sources"]["real"]) == {"real/camera"}
        assert block["sources"]["fake"]["fake"]["n"] == 25
        for level, point in block["at"].items():
            assert point["fpr"] <= float(level)
        assert f"| {protocol} | {block['auroc']:.3f} [" in printed.out
    assert page.read_text().count("data:image/png;base64,") == 12


def test_clean_figures_are_those_of_the_scores_that_predict_writes(
    detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, fake = pictures(tmp_path / "real", range(20)), pictures(tmp_path / "fake", range(200, 220))
    out = tmp_path / "out.json"
    assert run(detector, "--real", real, "--fake", fake, "--json", out) == 0
    capsys.readouterr()
    main(["predict", "--detector", str(detector), "--no-align", "--json", str(real), str(fake)])
    scores = [json.loads(line)["faces"][0]["score"] for line in capsys.readouterr().out.splitlines()]
    expected = roc_auc_score(np.repeat([0, 1], 20), scores)
    assert json.loads(out.read_text())["clean"]["auroc"] == pytest.approx(expected)


def test_classes_that_size_tells_apart_are_warned_of(
    detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = pictures(tmp_path / "real", range(20), side=128)
    fake = pictures(tmp_path / "fake", range(200, 220), side=96)
    assert run(detector, "--real", real, "--fake", fake) == 0
    assert (
        "**Warning:** size and compression of the files alone tell the classes apart"
        in capsys.readouterr().out
    )


def test_names_of_folders_are_no_html(detector: Path, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    real = pictures(tmp_path / "real" / "<img src=x onerror=alert(1)>|", range(20)).parent
    assert run(detector, "--real", real, "--html", page) == 0
    text = page.read_text()
    assert "<img src=x" not in text
    assert "real/&lt;img src=x onerror=alert(1)&gt;|</td>" in text


def test_one_class_alone(detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert run(detector, "--real", pictures(tmp_path / "real", range(20)), "--json", out) == 0
    block = json.loads(out.read_text())["laundered"]
    assert block["auroc"] is None
    assert block["recall"] is None
    assert 0 <= block["fpr"] <= 1
    assert "Of one class alone there is no AUROC." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected pictures after --real, --fake or both, got none"),
        (["--fake", "few"], "--fake: 3 usable pictures (0 left out), expected at least 20"),
        (["--real", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_line(
    arguments: list[str],
    message: str,
    detector: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pictures(tmp_path / "few", range(3))
    monkeypatch.chdir(tmp_path)
    assert run(detector, *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]
