"""Charts and Markdown of the report: every number has its place, equal input gives equal text."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakeface.reporting.charts import confusion_chart, left_out_chart, reliability_chart, svg
from fakeface.reporting.report import ReportError, Run, html, write_report

ROWS = [
    {"detector": detector, "held_out": gan, "protocol": protocol, "auroc": value}
    for protocol in ("laundered", "clean")
    for detector, value in (("detector", 0.9), ("dct", 0.7))
    for gan in ("dcgan", "pggan")
]


def test_every_detector_has_a_dot_for_every_gan_in_every_panel() -> None:
    figure = left_out_chart(ROWS, ("laundered", "clean"))
    assert [axis.get_title() for axis in figure.axes] == ["laundered", "clean"]
    for axis in figure.axes:
        offsets = [collection.get_offsets() for collection in axis.collections]
        assert [points[:, 0].tolist() for points in offsets] == [[0.9, 0.9], [0.7, 0.7]]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["dcgan", "pggan"]


def test_shares_of_a_confusion_matrix() -> None:
    actual = ["dcgan"] * 4 + ["wheel"] * 2
    predicted = ["dcgan", "dcgan", "dcgan", "unknown", "unknown", "dcgan"]
    figure = confusion_chart(actual, predicted)
    (image,) = figure.axes[0].images
    assert image.get_array().tolist() == [[0.75, 0.25], [0.5, 0.5]]


def test_only_groups_of_gans_are_drawn_where_there_are_any() -> None:
    rows = [
        {"curve": name, "mean_score": 0.5, "share_fake": 0.5, "n": n}
        for name in ("dcgan", "all (mild)", "all seen", "all unseen")
        for n in (3, 50)
    ]
    labels = [line.get_label() for line in reliability_chart(rows).axes[0].lines]
    assert labels[1:] == ["all seen", "all unseen"]
    assert [len(line.get_xdata()) for line in reliability_chart(rows).axes[0].lines[1:]] == [1, 1]


def test_the_same_figure_is_the_same_text() -> None:
    first, second = (svg(left_out_chart(ROWS, ("laundered", "clean"))) for _ in range(2))
    assert first == second
    assert first.startswith("<svg")


def test_markdown_from_files_cannot_bring_html_along() -> None:
    assert "<script" not in html("| a |\n| --: |\n| <script>alert(1)</script> |")
    assert "<td" in html("| a |\n| --: |\n| 1 |")


def test_a_missing_file_is_named_and_an_older_report_stays(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("older")
    with pytest.raises(Exception, match=r"detector"):
        write_report(tmp_path, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "older"
    with pytest.raises(ReportError, match=r"reports/evaluation.json: no such file; dvc repro makes it"):
        Run(tmp_path).json("reports/evaluation.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ReportError, match=r"bad.json: not readable as JSON"):
        Run(tmp_path).json("bad.json")
