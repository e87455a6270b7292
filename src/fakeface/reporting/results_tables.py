"""Markdown tables of how good detectors are: the main run, folds, histories; and how good the fakes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakeface.base.markdown import MISSING, TableError, get, markdown_table, number, read_json
from fakeface.params import PROTOCOLS


def results_tables(reports: Path, part: str = "both") -> str:
    """Detection and image quality per GAN.

    Args:
        reports: folder that holds ``evaluation.json`` and ``quality/<gan>.json``.
        part: ``detection``, ``quality`` or ``both``; ``summary`` for AUROC and recall, laundered.

    Raises:
        TableError: for a file or a key that is missing.
    """
    evaluation = _evaluation(reports)
    if part == "summary":
        return _summary_table(evaluation, reports)
    tables = []
    if part in ("both", "detection"):
        tables.append(_detection_table(evaluation, reports))
    if part in ("both", "quality"):
        tables.append(_quality_table(evaluation, reports))
    return "\n\n".join(tables)


def compare_table(first: Path, second: Path, names: Sequence[str], protocol: str = "laundered") -> str:
    """Precision, recall and AUROC per GAN of two runs, side by side.

    Args:
        first, second: folders that hold ``evaluation.json``, or hold it in ``reports/``.
        names: what to call the two.
        protocol: one of :data:`PROTOCOLS`.

    Raises:
        TableError: for a file or a key that is missing.
    """
    folders = [folder / "reports" if (folder / "reports").is_dir() else folder for folder in (first, second)]
    runs = [_evaluation(folder) for folder in folders]
    blocks = [
        get(run, folder, protocol, "per_gan") | {"**all**": get(run, folder, protocol, "overall")}
        for run, folder in zip(runs, folders, strict=True)
    ]
    header = ["GAN", *(f"trained on it: {name}" for name in names)]
    header += [f"{metric}, {name}" for metric in ("precision", "recall", "AUROC") for name in names]
    gans = [name for name in dict.fromkeys([*blocks[0], *blocks[1]]) if name != "**all**"]
    rows = []
    for gan in [*gans, "**all**"]:
        row = [gan]
        for run, block in zip(runs, blocks, strict=True):
            trained = "" if gan == "**all**" else "no" if gan in run["held_out"] else "yes"
            row.append(trained if gan in block else MISSING)
        for metric in ("precision", "recall", "auroc"):
            row += [number(block.get(gan, {}).get(metric)) for block in blocks]
        rows.append(row)
    first_block = blocks[0]["**all**"]
    counts = f"{first_block.get('n_real')} photographs and {first_block.get('n_fake')} fakes in the test set"
    return f"{markdown_table(header, rows)}\n\nProtocol `{protocol}`; {counts} of {names[0]}."


def histories_table(reports: Path) -> str:
    """Photographs and fakes by what they went through before they were prepared, laundered.

    Args:
        reports: folder that holds ``histories.json``.

    Raises:
        TableError: for a file or a key that is missing.
    """
    path = reports / "histories.json"
    report = read_json(path)
    fakes = get(report, path, "fakes")
    rows = []
    for name, block in get(report, path, "photographs").items():
        probe, of_fakes = block["probe"] or {}, fakes.get(name, {})
        rows.append(
            [
                name,
                number(probe.get("auroc")),
                number(block["fpr"], block.get("fpr_ci95")),
                number(block["auroc"]),
                number(of_fakes.get("recall")),
                number(of_fakes.get("auroc")),
            ]
        )
    header = ["history", "probe", "photographs called fake [95 %]", "AUROC, photographs with it"]
    return markdown_table([*header, "fakes with it found", "AUROC, fakes with it"], rows)


def verdicts_table(reports: Path) -> str:
    """How often the detector decides about external sets, and how often it is right then.

    Args:
        reports: folder that holds ``external.json``.

    Raises:
        TableError: for a file or a key that is missing.
    """
    path = reports / "external.json"
    report = read_json(path)
    found = get(report, path, "verdicts")
    rows = [
        [name, str(block["n"]), number(block["decided"]), number(block["right"])]
        for name, block in get(found, path, "by_set").items()
    ]
    rows.append(["mean over sets, then classes", "", number(found["decided"]), number(found["right"])])
    return markdown_table(["set, laundered", "number", "decided", "of these right"], rows)


def _rows(evaluation: dict[str, Any], path: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    """Label, role in training and keys of each block: seen GANs, unseen ones, groups."""
    held_out = evaluation["held_out"]
    gans = list(get(evaluation, path, PROTOCOLS[0], "per_gan"))
    rows: list[tuple[str, str, tuple[str, ...]]]
    rows = [(gan, "seen", ("per_gan", gan)) for gan in gans if gan not in held_out]
    rows += [(gan, "**unseen**", ("per_gan", gan)) for gan in gans if gan in held_out]
    rows += [(f"all {group}", group, (group,)) for group in ("seen", "unseen")] if held_out else []
    return [*rows, ("all", "", ("overall",))]


def _summary_table(evaluation: dict[str, Any], reports: Path) -> str:
    path, protocol = reports / "evaluation.json", PROTOCOLS[0]
    lines = []
    for label, role, keys in _rows(evaluation, path):
        block = get(evaluation, path, protocol, *keys)
        auroc, recall = (get(evaluation, path, protocol, *keys, name) for name in ("auroc", "recall"))
        lines.append([label, role, number(auroc, block.get("auroc_ci95")), number(recall)])
    overall = get(evaluation, path, protocol, "overall")
    threshold, above = evaluation["threshold"], overall["fpr"]
    caption = (
        f"{overall['n_real']} test photographs against {overall['n_fake']} fakes, `{protocol}`. Recall is "
        f"the share of fakes above the frozen threshold {threshold:.3f}. Of the photographs, {above:.1%} are "
        "above it."
    )
    header = ["GAN", "in training", "AUROC [95 %]", "recall"]
    return f"{markdown_table(header, lines)}\n\n{caption}"


def _detection_table(evaluation: dict[str, Any], metrics: Path) -> str:
    path = metrics / "evaluation.json"
    header = ["GAN", "in training"]
    header += [
        f"{name}: {column}" for name in PROTOCOLS for column in ("AUROC [95 %]", "precision", "recall")
    ]
    lines = []
    for label, role, keys in _rows(evaluation, path):
        line = [label, role]
        for protocol in PROTOCOLS:
            auroc, precision, recall = (
                get(evaluation, path, protocol, *keys, name) for name in ("auroc", "precision", "recall")
            )
            interval = get(evaluation, path, protocol, *keys).get("auroc_ci95")
            line += [number(auroc, interval), number(precision), number(recall)]
        lines.append(line)
    overall = get(evaluation, path, PROTOCOLS[0], "overall")
    caption = (
        f"Every row: the same {overall['n_real']} test photographs against that row's fakes "
        f"({overall['n_fake']} in all). Precision and recall are those of fakes at the frozen threshold "
        f"{evaluation['threshold']:.3f}; precision depends on how many photographs there are for each fake."
    )
    return f"{markdown_table(header, lines)}\n\n{caption}"


def _quality_table(evaluation: dict[str, Any], reports: Path) -> str:
    lines, captions = [], {}
    for gan in get(evaluation, reports, PROTOCOLS[0], "per_gan"):
        path = reports / "quality" / f"{gan}.json"
        quality = read_json(path)
        extractor = get(quality, path, "extractor")
        short = extractor.replace("-", "_")
        standard = "fid" in quality
        distance = get(quality, path, "fid" if standard else f"fd_{short}")
        score = get(quality, path, "inception_score" if standard else f"is_{short}")
        captions[extractor] = (
            f"{get(quality, path, 'n_fake')} fakes against {get(quality, path, 'n_real')} training "
            f"photographs, features of {extractor}."
        )
        line = [gan, f"{get(quality, path, 'kid'):.4f}", f"{distance:.2f}", f"{score:.2f}"]
        lines.append(line + [number(get(quality, path, name)) for name in ("precision", "recall")])
    names = ("FID", "Inception Score") if set(captions) == {"inception-v3-compat"} else ("FD", "IS")
    header = ["GAN", "KID ↓", f"{names[0]} ↓", f"{names[1]} ↑", "precision ↑", "recall ↑"]
    return f"{markdown_table(header, lines)}\n\n{' '.join(captions.values())}"


def _evaluation(reports: Path) -> dict[str, Any]:
    path = reports / "evaluation.json"
    evaluation = read_json(path)
    for key in ("threshold", "held_out", *PROTOCOLS):
        get(evaluation, path, key)
    return evaluation


TITLES = {
    "paper": "paper's CFFN",
    "cross_entropy": "no pairs",
    "dct": "DCT",
    "spectrum": "spectrum",
    "lite0": "ImageNet probe",
}
# Of the folds; gains are shown of the first that there is.
FOLD_GROUPS = ("gans", "out_of_domain", "upsamplers")


def folds_table(reports: Path, protocols: tuple[str, ...] = PROTOCOLS) -> str:
    """For each protocol a table of AUROCs, a row a left-out GAN or upsampler; then a table of gains.

    A sentence in their place if nothing was left out.

    Args:
        reports: folder with ``leave_one_out.json`` and ``baselines.json``.
        protocols: which of them.

    Raises:
        TableError: for a file or a key that is missing.
    """
    path, baselines_path = reports / "leave_one_out.json", reports / "baselines.json"
    summary, baselines = read_json(path), read_json(baselines_path)
    compared = list(get(summary, path, "methods"))
    folds = get(summary, path, "folds")
    groups = [
        name for name in FOLD_GROUPS if name in summary and not (name == "gans" and "undefined" in summary)
    ]
    if not folds:
        return f"`{get(summary, path, 'undefined')}`."
    parts = []
    for protocol in protocols:
        rows = []
        for name, fold in folds.items():
            block = get(fold, path, protocol)
            others = [get(baselines, baselines_path, method, name, protocol) for method in compared]
            label = name if fold["test_gans"] == [name] else f"all {name}"
            interval = block.get("auroc_ci95")
            rows.append([label, number(block["auroc"], interval), *(number(one["auroc"]) for one in others)])
        for label, group, figure in (
            ("**mean over GANs**", "gans", "mean"),
            ("**worst GAN**", "gans", "worst"),
            ("**mean over upsamplers**", "upsamplers", "mean"),
        ):
            if group not in groups:
                continue
            figures = [_figure(summary, path, (group, protocol), figure)]
            figures += [
                _figure(summary, path, ("methods", method, group, protocol), figure) for method in compared
            ]
            rows.append([label, *(number(value) for value in figures)])
        header = [f"left out, {protocol}", "ours [95 %]", *(TITLES.get(name, name) for name in compared)]
        parts.append(markdown_table(header, rows))
    parts.append(_gains_table(summary, path, compared, protocols, groups[0]))
    seeds = len(get(next(iter(folds.values())), path, "seeds"))
    never = ", ".join(sorted(get(summary, path, "never_train")))
    means = f"The means are over the GANs that may train{f'; {never} never does' if never else ''}"
    if "gans" not in groups:
        alone = "out_of_domain" in groups
        means = "None of the GANs left out may train" if alone else "No GAN was left out alone"
    note = (
        f"AUROC on test images of what was left out, mean over {seeds} trainings of ours. {means}. Ours: "
        f"`cffn.variant: {get(summary, path, 'variant')}`, `cffn.loss: {get(summary, path, 'loss')}`."
    )
    return "\n\n".join([*parts, note])


def _figure(summary: dict[str, Any], path: Path, keys: tuple[str, ...], figure: str) -> float | None:
    auroc = get(summary, path, *keys, "auroc")
    if auroc is None:
        return None
    value: float = get(auroc, path, figure)
    return value


def _gains_table(
    summary: dict[str, Any], path: Path, compared: list[str], protocols: tuple[str, ...], group: str
) -> str:
    rows = []
    for name in compared:
        cells = []
        for protocol in protocols:
            block = get(summary, path, "gains", name, group, protocol)
            cells.append(number(block["difference"], block.get("difference_ci95")))
        rows.append([TITLES.get(name, name), *cells])
    if not rows:
        raise TableError(f"{path}: no detector to compare with")
    header = ["gain of ours in mean AUROC [95 %] over", *protocols]
    return markdown_table(header, rows)
