"""What stages print: short, and every figure is that of the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fakeface.base import stage_output
from fakeface.evaluation.robustness import robustness_headline

REPORTS = Path(__file__).parents[1] / "reports"


def report(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((REPORTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def test_evaluate_ends_with_a_row_a_gan_and_what_to_type_next() -> None:
    content = report("evaluation")
    *rows, last = stage_output.evaluation(content).splitlines()
    gans = content["laundered"]["per_gan"]
    assert len(rows) == 1 + len(gans) + 2
    assert [row.split()[0] for row in rows[-2:]] == ["all", "all"]
    by_gan = {row.split()[0]: row for row in rows[1:-2]}
    assert list(by_gan)[-len(content["held_out"]) :] == content["held_out"]
    for gan, block in gans.items():
        low, high = block["auroc_ci95"]
        assert by_gan[gan].split()[1] == ("unseen" if gan in content["held_out"] else "seen")
        assert f"{block['auroc']:.3f} [{low:.3f}, {high:.3f}]" in by_gan[gan]
        assert by_gan[gan].split()[-2:] == [f"{block['recall']:.3f}", f"{block['fpr']:.3f}"]
    assert last == "next: dvc metrics diff   or   dvc repro bundle"
    assert max(map(len, rows)) <= 100


def test_undefined_figures_are_dashes() -> None:
    content = report("evaluation")
    gan = next(iter(content["laundered"]["per_gan"].values()))
    gan |= {"auroc": None, "auroc_ci95": None, "recall": None}
    row = stage_output.evaluation(content).splitlines()[1]
    assert row.split()[-3:-1] == ["-", "-"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cffn", ("best_val_loss", "best_epoch")),
        ("cn", ("threshold", "best_val_loss")),
        ("data", ("n_train", "n_test")),
        ("leaks", ()),
        ("attribution", ()),
        ("quality/dcgan", ("kid", "recall")),
        ("nested_validation", ()),
    ],
)
def test_a_line_of_each_stage(name: str, parts: tuple[str, ...]) -> None:
    content = report(name)
    functions = {"quality/dcgan": stage_output.quality, "nested_validation": stage_output.nested}
    text = functions.get(name, getattr(stage_output, name, None))(content)
    assert len(text.splitlines()) == 1
    assert "{" not in text
    for part in parts:
        value = content[part]
        assert any(shown in text for shown in (str(value), f"{value:.4f}", f"{value:.3f}")), part


def test_robustness_names_the_worst_family_first() -> None:
    content = report("robustness")
    worst = robustness_headline(content)["worst_auroc"]
    text = stage_output.robustness(content, robustness_headline(content))
    assert f"at the worst strength: {min(worst, key=worst.__getitem__)} {min(worst.values()):.3f}" in text
    assert worst["blur"] == min(block["auroc"] for block in content["blur"].values())


def test_compare_shows_every_method() -> None:
    content = report("leave_one_out")
    lines = stage_output.comparison(content).splitlines()
    assert len(lines) == 2 + 3 * (1 + len(content["methods"]))
    auroc = content["gans"]["laundered"]["auroc"]
    assert lines[1].split() == [
        "gans",
        "detector",
        f"{auroc['mean']:.3f}",
        f"{auroc['worst']:.3f}",
        auroc["worst_fold"],
    ]


def test_export_and_generate() -> None:
    figures = {"n_images": 8150, "max_score_difference": 4.3e-06}
    assert stage_output.export(figures, "models/detector.onnx") == (
        "models/detector.onnx: scores of 8,150 images differ from PyTorch's by at most 4.3e-06"
    )
    counts = {"gan": "dcgan", "train": 3, "val": 2, "test": 1, "duplicates": 0}
    assert stage_output.generated(counts) == "dcgan: 3 train, 2 val, 1 test; 0 repeat an earlier image"
