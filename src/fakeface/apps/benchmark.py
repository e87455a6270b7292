"""How good a detector is on somebody's own pictures: figures, what spoils them, and the worst errors."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from markdown_it import MarkdownIt
from PIL import Image
from tqdm import tqdm

from fakeface.base.errors import FakefaceError
from fakeface.base.markdown import markdown_table, number
from fakeface.bundle.bundle import Bundle
from fakeface.detector.decision import ImageScorer
from fakeface.detector.views import ViewKind, every_view
from fakeface.evaluation.metadata import metadata_probe
from fakeface.evaluation.prepared_sets import PreparedSet, prepare_set
from fakeface.metrics.scores import score_block
from fakeface.metrics.thresholds import choose_threshold
from fakeface.params import PROTOCOLS

Kind = Literal["real", "fake"]
LEAST = 20
BOOTSTRAP = 1000
BATCH = 64
# False-positive rates on the given photographs for which the threshold is said.
LEVELS = (0.01, 0.05)
# Properties of files that a detector does not see. Where they alone tell the classes apart, no figure says
# that the detector looks at what made a picture.
TRIVIAL = ("width", "height", "file_bytes", "jpeg_step")
TELLING = 0.75
SHOWN = 6


class BenchmarkError(FakefaceError, ValueError):
    """There is nothing to measure; the message says what is missing."""


@dataclass(frozen=True)
class Scored:
    """Pictures of one class.

    Attributes:
        kind: of all of them.
        images: uint8 (N, S, S, 3), as prepared.
        files: a row a picture: ``source``, ``name``, and what is known of its file.
        scores: by protocol, P(fake) float64 (N,).
        left_out: a row a picture that could not be used: ``kind``, ``source``, ``name``, ``reason``.
    """

    kind: Kind
    images: np.ndarray
    files: pd.DataFrame
    scores: Mapping[str, np.ndarray]
    left_out: pd.DataFrame


def score_class(
    bundle: Bundle[ImageScorer], kind: Kind, paths: Sequence[str], *, align: bool
) -> Scored | None:
    """Prepare and score folders and archives of one class; None without any.

    Raises:
        ArchiveError, ExternalSetError: if one cannot be read or holds nothing that can be used.
        BenchmarkError: if fewer than :data:`LEAST` pictures remain.
    """
    if not paths:
        return None
    size, framing = bundle.detector.image_size, bundle.framing
    sets = [prepare_set(path, path, size, align=align, framing=framing) for path in dict.fromkeys(paths)]
    files = pd.concat([part.files.assign(source=_sources(part)) for part in sets], ignore_index=True)
    rejected = [(kind, part.name, item.name, item.reason) for part in sets for item in part.rejected]
    if len(files) < LEAST:
        raise BenchmarkError(
            f"--{kind}: {len(files)} usable pictures ({len(rejected)} left out), expected at least {LEAST}"
        )
    scores: dict[str, np.ndarray] = {}
    for protocol in PROTOCOLS:
        view = ViewKind(f"test {protocol}", (getattr(bundle.protocols, protocol),))
        scores[protocol] = np.concatenate([_scores(bundle, part, view) for part in sets])
    return Scored(
        kind,
        np.concatenate([part.images for part in sets]),
        files,
        scores,
        pd.DataFrame(rejected, columns=["kind", "source", "name", "reason"]),
    )


def _sources(part: PreparedSet) -> list[str]:
    """The set's name, and the first folder in it where there are folders."""
    base = Path(part.name).name
    return [f"{base}/{name.split('/')[0]}" if "/" in name else base for name in part.files["name"]]


def _scores(bundle: Bundle[ImageScorer], part: PreparedSet, kind: ViewKind) -> np.ndarray:
    views = every_view(part.as_data(), kind, seed=0)
    starts = tqdm(range(0, len(views), BATCH), desc=f"{part.name}: {kind.name}", unit="batch", disable=None)
    return np.concatenate(
        [bundle.detector.score_and_embed(views[start : start + BATCH].pixels, BATCH)[0] for start in starts]
    )


def measure(bundle: Bundle[ImageScorer], real: Scored | None, fake: Scored | None) -> dict[str, Any]:
    """All figures, by protocol and by source.

    Returns:
        ``threshold`` of the detector; by protocol the block of :func:`fakeface.metrics.scores.score_block`
        with intervals, ``at`` for each of :data:`LEVELS` the threshold that lets so many of the photographs
        through and the recall there, and ``sources``; ``trivial``, AUROC of a classifier that sees only
        properties of the files, see :data:`TRIVIAL`; ``left_out``.

    Raises:
        BenchmarkError: if both classes are absent.
    """
    parts = [part for part in (real, fake) if part is not None]
    if not parts:
        raise BenchmarkError("expected pictures after --real, --fake or both, got none")
    threshold = bundle.detector.rule.threshold
    result: dict[str, Any] = {
        "threshold": threshold,
        "n_real": 0 if real is None else len(real.files),
        "n_fake": 0 if fake is None else len(fake.files),
    }
    for protocol in PROTOCOLS:
        labels = np.concatenate([np.full(len(part.files), int(part.kind == "fake")) for part in parts])
        scores = np.concatenate([part.scores[protocol] for part in parts])
        block = score_block(labels, scores, threshold, bootstrap=BOOTSTRAP)
        if real is not None:
            block["at"] = {
                f"{level:g}": _operating_point(
                    real.scores[protocol], None if fake is None else fake.scores[protocol], level
                )
                for level in LEVELS
            }
        block["sources"] = {
            part.kind: {
                str(source): {
                    "n": len(rows),
                    "called_fake": float((part.scores[protocol][rows] > threshold).mean()),
                }
                for source, rows in part.files.groupby("source").indices.items()
            }
            for part in parts
        }
        result[protocol] = block
    if real is not None and fake is not None:
        columns = list(TRIVIAL)
        result["trivial"] = metadata_probe(real.files[columns], fake.files[columns], aside=())
    result["left_out"] = pd.concat([part.left_out for part in parts]).to_dict("records")
    return result


def _operating_point(
    photographs: np.ndarray, fakes: np.ndarray | None, level: float
) -> dict[str, float | None]:
    """Where ``level`` of the photographs are called fake, from scores float64 (N,)."""
    threshold = choose_threshold(photographs, level)
    return {
        "threshold": threshold,
        "fpr": float((photographs > threshold).mean()),
        "recall": None if fakes is None else float((fakes > threshold).mean()),
    }


def warnings(report: dict[str, Any]) -> list[str]:
    """What spoils the figures."""
    found = []
    trivial = report.get("trivial", {})
    if trivial.get("auroc") is not None and trivial["auroc"] >= TELLING:
        worst = max(trivial["columns"], key=lambda name: trivial["columns"][name])
        found.append(
            f"size and compression of the files alone tell the classes apart (AUROC {trivial['auroc']:.3f}, "
            f"{worst} {trivial['columns'][worst]:.3f}): what follows may measure that. Take photographs and "
            "fakes of the same sizes and formats."
        )
    if report["left_out"]:
        found.append(f"{len(report['left_out'])} pictures were left out")
    return found


def as_markdown(report: dict[str, Any], detector: str) -> str:
    """The report for people."""
    both = report["n_real"] and report["n_fake"]
    lines = [
        f"# Detector {detector} on {report['n_real']} photographs and {report['n_fake']} fakes",
        *(f"**Warning:** {warning}" for warning in warnings(report)),
    ]
    names = ("auroc", "average_precision", "fpr", "recall")
    rows = []
    for protocol in reversed(PROTOCOLS):
        block = report[protocol]
        rows.append([protocol, *(number(block[name], block[f"{name}_ci95"]) for name in names)])
    header = ["", "AUROC", "average precision", "photographs called fake", "fakes found"]
    lines.append(markdown_table(header, rows))
    lines.append(
        f"At the detector's own threshold, {report['threshold']:.4f}; in brackets 95 % intervals over "
        "pictures. *clean*: as given, *mild*: compressed, *laundered*: rescaled and compressed, the same on "
        "both classes."
    )
    if report["n_real"]:
        rows = [
            [
                f"{float(level):.0%} of your photographs, {protocol}",
                f"{point['threshold']:.4f}",
                number(point["recall"]),
            ]
            for protocol in reversed(PROTOCOLS)
            for level, point in report[protocol]["at"].items()
        ]
        lines.append(markdown_table(["to call fake", "threshold", "fakes found"], rows))
    rows = [
        [source.replace("|", r"\|").replace("\n", " "), kind, str(found["n"])]
        + [
            number(report[protocol]["sources"][kind][source]["called_fake"])
            for protocol in reversed(PROTOCOLS)
        ]
        for kind, sources in report[PROTOCOLS[0]]["sources"].items()
        for source, found in sources.items()
    ]
    lines.append(markdown_table(["called fake, by source", "", "pictures", *reversed(PROTOCOLS)], rows))
    if not both:
        lines.append("Of one class alone there is no AUROC.")
    return "\n\n".join(lines)


_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.3em .7em}"
    "figure{display:inline-block;margin:.5em}figcaption{font-size:12px}"
)


def as_html(report: dict[str, Any], detector: str, parts: Sequence[Scored]) -> str:
    """One self-contained page: the report, and the pictures that the detector got most wrong, as prepared."""
    # Names of folders are other people's: no HTML of theirs goes into the page.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    body = markdown.render(as_markdown(report, detector))
    for part in parts:
        scores = part.scores["clean"]
        order = np.argsort(scores if part.kind == "fake" else -scores, kind="stable")[:SHOWN]
        title = (
            "Fakes with the lowest scores" if part.kind == "fake" else "Photographs with the highest scores"
        )
        body += f"<h2>{title}</h2>"
        for row in order:
            buffer = io.BytesIO()
            Image.fromarray(part.images[row]).save(buffer, format="PNG")
            picture = base64.b64encode(buffer.getvalue()).decode("ascii")
            caption = html.escape(f"{scores[row]:.4f} {part.files['name'].iloc[row]}")
            image = f'<img alt="" src="data:image/png;base64,{picture}">'
            body += f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
    title = html.escape(f"fakeface benchmark: {detector}")
    return f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>{body}\n'
