"""Markdown tables of the leave-one-out folds: AUROC on unseen GANs, detector by detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fakeface.base.markdown import TableError, get, markdown_table, number, read_json
from fakeface.params import PROTOCOLS

TITLES = {
    "paper": "paper's CFFN",
    "cross_entropy": "no pairs",
    "dct": "DCT",
    "spectrum": "spectrum",
    "lite0": "ImageNet probe",
}


def folds_table(reports: Path, protocols: tuple[str, ...] = PROTOCOLS) -> str:
    """For each protocol a table of AUROCs, a row a left-out GAN or upsampler; then a table of gains.

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
            if group not in summary:
                continue
            figures = [_figure(summary, path, (group, protocol), figure)]
            figures += [
                _figure(summary, path, ("methods", method, group, protocol), figure) for method in compared
            ]
            rows.append([label, *(number(value) for value in figures)])
        header = [f"left out, {protocol}", "ours [95 %]", *(TITLES.get(name, name) for name in compared)]
        parts.append(markdown_table(header, rows))
    parts.append(_gains_table(summary, path, compared, protocols))
    seeds = len(get(next(iter(folds.values())), path, "seeds"))
    never = ", ".join(sorted(get(summary, path, "never_train")))
    note = (
        f"AUROC on test images of what was left out, mean over {seeds} trainings of ours. The means are over "
        f"the GANs that may train{f'; {never} never does' if never else ''}. Ours: "
        f"`cffn.variant: {get(summary, path, 'variant')}`, `cffn.loss: {get(summary, path, 'loss')}`."
    )
    return "\n\n".join([*parts, note])


def _figure(summary: dict[str, Any], path: Path, keys: tuple[str, ...], figure: str) -> float | None:
    auroc = get(summary, path, *keys, "auroc")
    if auroc is None:
        return None
    value: float = get(auroc, path, figure)
    return value


def _gains_table(summary: dict[str, Any], path: Path, compared: list[str], protocols: tuple[str, ...]) -> str:
    rows = []
    for name in compared:
        cells = []
        for protocol in protocols:
            block = get(summary, path, "gains", name, "gans", protocol)
            cells.append(number(block["difference"], block.get("difference_ci95")))
        rows.append([TITLES.get(name, name), *cells])
    if not rows:
        raise TableError(f"{path}: no detector to compare with")
    header = ["gain of ours in mean AUROC [95 %] over", *protocols]
    return markdown_table(header, rows)
