"""One HTML page with everything that was measured: what each section shows, and from which file."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt

from fakeface.base.errors import FakefaceError
from fakeface.base.files import write_text
from fakeface.base.markdown import markdown_table, number
from fakeface.bundle.bundle import Manifest, read_manifest
from fakeface.bundle.write import external_tables
from fakeface.params import PROTOCOLS
from fakeface.reporting.charts import (
    confusion_chart,
    coverage_chart,
    left_out_chart,
    reliability_chart,
    svg,
)
from fakeface.reporting.results_tables import folds_table, results_tables
from fakeface.reporting.studies import CURATION, LOSSES, Study, curation_table, left_out_gans, losses_table

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


class ReportError(FakefaceError, ValueError):
    """A file that the report needs is missing or damaged; the message names it."""


@dataclass(frozen=True)
class Picture:
    """A figure of the page: what it is, what to see in it, and a PNG as data URI or else an SVG element."""

    alt: str
    caption: str
    source: str = ""
    drawing: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page; text and tables are HTML, pictures stand beside each other if ``paired``.

    ``folded`` pictures are shown on demand.
    """

    anchor: str
    title: str
    text: str = ""
    tables: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    folded: list[Picture] = field(default_factory=list)
    paired: bool = False


@dataclass(frozen=True)
class Run:
    """A run's files, below the root of its project."""

    root: Path

    def read(self, name: str) -> bytes:
        """Content of a file; ReportError if it is absent."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            raise ReportError(f"{self.root / name}: no such file; dvc repro makes it") from None

    def json(self, name: str) -> Any:
        """Content of a JSON file; ReportError if it is absent or damaged."""
        try:
            return json.loads(self.read(name))
        except ValueError as error:
            raise ReportError(f"{self.root / name}: not readable as JSON: {error}") from None

    def picture(self, name: str, alt: str, caption: str) -> Picture:
        """A PNG inside the page."""
        content = base64.b64encode(self.read(name)).decode("ascii")
        return Picture(alt, caption, source=f"data:image/png;base64,{content}")

    def rows(self, name: str) -> list[dict[str, str]]:
        """Rows of a CSV file."""
        return list(csv.DictReader(self.read(name).decode("utf-8").splitlines()))


def html(markdown: str) -> str:
    """Markdown as HTML; HTML in it is shown, not obeyed."""
    return str(_MARKDOWN.render(markdown))


def sections(run: Run) -> Iterator[Section]:
    """All of them, in order.

    Raises:
        ReportError, TableError, BundleError: if a file is missing or damaged.
    """
    manifest = read_manifest(run.root / "models" / "detector")
    yield _left_out(run)
    yield _main_run(run)
    external = run.json("reports/external.json")
    if external["verdicts"]["by_set"]:
        yield _external(external)
    yield _fakes(run, manifest)
    if (run.root / LOSSES.results).is_file():
        yield _losses(run, manifest)
    if (run.root / CURATION.results).is_file():
        yield _curation(run, manifest)
    yield _robustness(run)
    yield _probabilities(run)
    yield _features(run)
    yield _errors(run)
    yield _naming(run)
    yield _leaks(run)
    yield _data(manifest)
    yield _reproduce(run, manifest)


def headline(run: Run) -> list[tuple[str, str, str]]:
    """The figures at the top: value, what it is, its interval or range."""
    evaluation, folds = run.json("reports/evaluation.json"), run.json("reports/leave_one_out.json")
    blocks = evaluation["laundered"]

    def interval(block: dict[str, Any], name: str) -> str:
        low, high = block.get(f"{name}_ci95") or (None, None)
        return "no interval" if low is None else f"95 %: {low:.3f} to {high:.3f}"

    group, which = "unseen", "held out of the main run"
    if not evaluation["held_out"]:
        group, which = "seen", "that trained: none is held out"
    judged = blocks[group]
    cards = [
        (number(judged["auroc"]), f"AUROC on GANs {which}", interval(judged, "auroc")),
        (
            number(judged["recall"]),
            "of their fakes found at the frozen threshold",
            interval(judged, "recall"),
        ),
        (number(judged["fpr"]), "of photographs called fake there", interval(judged, "fpr")),
    ]
    if mean := _mean_left_out(folds):
        worst = f"worst: {mean['worst']:.3f}, {mean['worst_fold']}"
        cards.insert(1, (number(mean["mean"]), "AUROC on a GAN left out, mean over GANs", worst))
    if pairs := _external_pairs(run.json("reports/external.json")):
        auroc, fake, real = min(pairs)
        cards.append((number(auroc), "AUROC on image sets of others, the worst", f"{fake} against {real}"))
    return cards


def _mean_left_out(folds: dict[str, Any]) -> dict[str, Any] | None:
    """Mean and worst laundered AUROC of GANs left out, of those that may train or else of the others."""
    for group in ("gans", "out_of_domain"):
        auroc = folds.get(group, {}).get(PROTOCOLS[0], {}).get("auroc")
        if auroc and auroc["mean"] is not None:
            return dict(auroc)
    return None


def _external_pairs(external: dict[str, Any]) -> list[tuple[float, str, str]]:
    """Laundered AUROC of each set of fakes against each set of photographs, with their names."""
    return [
        (pair["auroc"], fake, real)
        for fake, block in external[PROTOCOLS[0]]["fake"].items()
        for real, pair in block["against"].items()
    ]


def _left_out(run: Run) -> Section:
    folds = run.json("reports/leave_one_out.json")
    if not folds["folds"]:
        text = f"Nothing to see: `{folds['undefined']}`. With two GANs or more, name some there."
        return Section("left-out", "Every GAN left out once", html(text))
    rows = run.json("plots/leave_one_out.json")
    chart = Picture(
        "Dots of AUROC for each GAN left out, by detector and protocol",
        "Each row: trained on all other GANs, tested on this one. Black diamonds are ours. A dot at 0.5 is a "
        "guess. Left: after rescaling and compression; right: as prepared.",
        drawing=svg(left_out_chart(rows, PROTOCOLS)),
    )
    text = (
        "The question is what happens with a GAN that nobody trained on. Every GAN, and every kind of "
        "upsampler, is left out once; all detectors see the same images. The last table says how much ours "
        "gains over each other detector, and how sure that is."
    )
    return Section(
        "left-out",
        "Every GAN left out once",
        html(text),
        [html(folds_table(run.root / "reports"))],
        [chart] if rows else [],
    )


def _main_run(run: Run) -> Section:
    text = (
        "One detector, one frozen threshold. *Unseen* GANs had no part in training, validation or threshold. "
        "The same photographs stand against each row's fakes."
    )
    scores = run.picture(
        "plots/evaluation/scores.png",
        "Histograms of scores by source",
        "Scores of photographs and of each GAN. What overlaps with the photographs cannot be told apart.",
    )
    tables = [html(results_tables(run.root / "reports", "detection"))]
    return Section("main-run", "The main run, GAN by GAN", html(text), tables, [scores])


def _external(external: dict[str, Any]) -> Section:
    """Sets of ``external``: how well fakes are told from photographs, and how often it says nothing."""
    parts = []
    for protocol in (PROTOCOLS[0], PROTOCOLS[-1]):
        parts.append(html(f"*{protocol.capitalize()}*:\n\n{external_tables(external[protocol])}"))
    verdicts = external["verdicts"]
    rows = []
    for name, found in verdicts["by_set"].items():
        right = found["decided"] * (found["right"] or 0.0)
        kind = "photographs" if name in external[PROTOCOLS[0]]["real"] else "fakes"
        shares = (right, 1 - found["decided"], found["decided"] - right)
        rows.append([name, kind, str(found["n"]), *(number(share) for share in shares)])
    header = ["verdicts, laundered", "what they are", "number", "right", "unsure", "wrong"]
    parts.append(html(markdown_table(header, rows)))
    text = (
        "Image sets of other people, on which nothing trained: at the frozen threshold, each set of fakes "
        "against each set of photographs, so that no set's own file type or framing decides alone. `test` "
        "are the photographs of the test split. Intervals are over images. The last table has the verdicts "
        "of `fakeface predict`, which are unsure between two thresholds, or if a copy is judged the opposite."
    )
    if verdicts["decided"] is not None and verdicts["right"] is not None:
        text += (
            f" In the mean over sets and classes, {verdicts['decided']:.1%} are decided, and "
            f"{verdicts['right']:.1%} of these rightly."
        )
    return Section("external", "Image sets of others", html(text), parts)


def _fakes(run: Run, manifest: Manifest) -> Section:
    gans = [*manifest.training.n_fakes, *manifest.training.held_out]
    galleries = [
        run.picture(f"plots/gallery/{gan}.png", f"64 faces made by {gan}", f"64 fakes of {gan}, not chosen.")
        for gan in gans
    ]
    text = (
        "How near each fake set is to photographs: the lower KID and Fréchet distance, the better a "
        "generator. Weak generators are easy to catch, so read the detection tables with this one."
    )
    tables = [html(results_tables(run.root / "reports", "quality"))]
    return Section("fakes", "The fakes", html(text), tables, folded=galleries)


def _of_other_gans(run: Run, manifest: Manifest, study: Study) -> str:
    """Why a study says nothing of this run; empty if it is about GANs of this run."""
    known = {*manifest.training.n_fakes, *manifest.training.held_out}
    others = sorted(left_out_gans(run.root / study.results) - known)
    if not others:
        return ""
    return (
        f"`{study.results}` is about GANs that this run does not have, {', '.join(others)}: not shown here."
    )


def _losses(run: Run, manifest: Manifest) -> Section:
    if reason := _of_other_gans(run, manifest, LOSSES):
        return Section("losses", "Margins, losses and networks", html(reason))
    text = (
        "Each row is one experiment: a change of the settings, judged by GANs of the validation split that "
        "were left out. Differences within those of the rows `seed-…` mean nothing."
    )
    table = html(losses_table(run.root / LOSSES.results))
    return Section("losses", "Margins, losses and networks", html(text), [table])


def _curation(run: Run, manifest: Manifest) -> Section:
    if reason := _of_other_gans(run, manifest, CURATION):
        return Section("curation", "Curated fakes", html(reason))
    text = (
        "Does it help to learn from fewer but better fakes? `random` keeps as many as `realism` and "
        "`hardest` do; a gain over it is what the choice itself is worth. An interval that holds 0 shows no "
        "gain. Quality is that of the training fakes, mean over the GANs learnt from."
    )
    table = html(curation_table(run.root / CURATION.results))
    return Section("curation", "Curated fakes", html(text), [table])


def _robustness(run: Run) -> Section:
    picture = run.picture(
        "plots/robustness.png",
        "AUROC against the strength of each corruption",
        "Each panel corrupts photographs and fakes alike, more from left to right. The steeper the fall, the "
        "more the detector depended on what the corruption takes away.",
    )
    return Section("robustness", "Compressed, blurred, rescaled", pictures=[picture])


def _probabilities(run: Run) -> Section:
    reliability = Picture(
        "Reliability diagram",
        "On the diagonal, a score is a probability. Curves of unseen GANs above it: their fakes get scores "
        "that are too low.",
        drawing=svg(reliability_chart(run.json("plots/evaluation/calibration.json"))),
    )
    coverage = Picture(
        "Accuracy against coverage",
        "If only the surest images are decided, how many of those verdicts are right. Both classes weigh the "
        "same.",
        drawing=svg(coverage_chart(run.json("plots/evaluation/coverage.json"))),
    )
    return Section(
        "probabilities", "Are scores probabilities?", pictures=[reliability, coverage], paired=True
    )


def _features(run: Run) -> Section:
    return Section(
        "features",
        "What the features learnt",
        pictures=[
            run.picture(
                "plots/evaluation/embedding.png",
                "Embeddings of photographs and fakes in two dimensions",
                "Test images in the two directions of largest variance. Crosses are unseen GANs: those among "
                "the photographs are missed.",
            ),
            run.picture(
                "plots/explain/residual_spectra.png",
                "Spectra of mean residuals, one a GAN",
                "Bright dots off the centre are periodic traces that a generator leaves in all its images.",
            ),
        ],
        folded=[
            run.picture(
                "plots/explain/embedding_splits.png",
                "Embeddings by split",
                "Training, validation and test images. Training images apart from the others: overfitting.",
            )
        ],
    )


def _errors(run: Run) -> Section:
    rows = run.rows("plots/explain/worst_errors.csv")
    table = markdown_table(
        ["error", "picture", "made by", "score"],
        [[row["error"], row["name"], row["source"], row["score"]] for row in rows],
    )
    return Section(
        "errors",
        "The worst errors",
        tables=[html(table)],
        pictures=[
            run.picture(
                "plots/explain/worst_errors.png",
                "The photographs and fakes with the worst scores",
                "Photographs with the highest scores and fakes with the lowest.",
            ),
            run.picture(
                "plots/explain/saliency.png",
                "Heatmaps of evidence for hits and misses",
                "Where the evidence for the verdict lies (Grad-CAM), for the surest hits and misses.",
            ),
        ],
    )


def _naming(run: Run) -> Section:
    metrics = run.json("reports/attribution.json")
    if not metrics["gans"]:
        return Section("naming", "Which GAN made it", html(f"Not to be told: it {metrics['undefined']}."))
    header = [
        "features",
        *(f"{name}: right" for name in PROTOCOLS),
        *(f"{name}: unknown" for name in PROTOCOLS),
    ]
    rows = []
    for kind in ("embedding", "levels", "joint"):
        blocks = [metrics[kind][name] for name in PROTOCOLS]
        cells = [number(block["accuracy"]) for block in blocks]
        rows.append([kind, *cells, *(number(block["open_set"]["mean"]) for block in blocks)])
    text = (
        f"Which of {len(metrics['gans'])} GANs made a fake. *right*: share of right names. *unknown*: AUROC "
        "of images of a GAN that the head does not know against those that it knows, mean over GANs left "
        "out. *embedding* is what pairs learnt, *levels* the backbone alone, *joint* both."
    )
    confusion = run.rows("plots/attribution/confusion.csv")
    chart = Picture(
        "Confusion matrix of GANs",
        "Rows: who made the image; columns: the name given, under mild compression. A row without a column "
        "of its own is a GAN that the head does not know: it should be named unknown.",
        drawing=svg(
            confusion_chart([row["actual"] for row in confusion], [row["predicted"] for row in confusion])
        ),
    )
    return Section("naming", "Which GAN made it", html(text), [html(markdown_table(header, rows))], [chart])


def _leaks(run: Run) -> Section:
    leaks = run.json("reports/leaks.json")
    words = {True: "passed", False: "**failed**", None: "cannot be told from these data"}
    rows = [[name.replace("_", " "), words[passed]] for name, passed in leaks["passed"].items()]
    route = leaks["route"]["laundered"]["auroc"]
    text = (
        "A detector may cheat: by file type, by the way that images were prepared, by the same face in two "
        f"splits. Each probe looks for one such shortcut. Photographs that went the way of the fakes are "
        f"told from the others with an AUROC of {route:.3f}; 0.5 is a guess."
    )
    return Section(
        "leaks", "Could it have cheated?", html(text), [html(markdown_table(["probe", "result"], rows))]
    )


def _data(manifest: Manifest) -> Section:
    training = manifest.training
    fakes = ", ".join(f"{gan} {count}" for gan, count in training.n_fakes.items())
    text = (
        f"{training.n_photographs} photographs of `{training.source}` train, with fakes of {fakes}. Held "
        f"out: {', '.join(training.held_out) or 'none'}.\n\n{manifest.licence}"
    )
    return Section("data", "Data and terms", html(text))


def _reproduce(run: Run, manifest: Manifest) -> Section:
    rows = [[f"`{name}`", f"`{digest}`"] for name, digest in manifest.files.items()]
    rows.append(["list of training images", f"`{manifest.training.fingerprint}`"])
    evaluation = run.json("reports/evaluation.json")
    text = (
        "```sh\npip install -c requirements.lock -e .\ndvc repro\n```\n\n"
        f"fakeface {evaluation['fakeface_version']}, torch {evaluation['torch_version']}, seed "
        f"{evaluation['seed']}, on {evaluation['device']}. The same commit, params and number of threads "
        "on the same kind of processor give these bytes, by their sha256:"
    )
    return Section("reproduce", "Make it again", html(text), [html(markdown_table(["file", "sha256"], rows))])


def render(root: Path) -> str:
    """The page of the run below ``root``.

    Raises:
        ReportError, TableError, BundleError: if a file that it needs is missing or damaged.
    """
    run = Run(root)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    parts = list(sections(run))
    return template.render(headline=headline(run), sections=parts)


def write_report(root: Path, out: Path) -> None:
    """Write the page, whole or not at all; errors are those of :func:`render`."""
    write_text(out, render(root))
