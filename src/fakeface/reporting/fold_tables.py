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


def folds_table(metrics: Path, protocols: tuple[str, ...] = PROTOCOLS) -> str:
    """For each protocol a table of AUROCs, a row a held-out GAN or upsampler; then a table of gains.

    Args:
        metrics: folder with ``leave_one_out.json``, ``baselines.json`` and ``leave_one_out/<gan>.json``.
        protocols: which of them.

    Raises:
        TableError: for a file or a key that is missing.
    """
    summary, path = read_json(metrics / "leave_one_out.json"), metrics / "leave_one_out.json"
    baselines = read_json(metrics / "baselines.json")
    compared = list(get(summary, path, "methods"))
    gans = [name for name in get(baselines, metrics / "baselines.json", compared[0]) if name != "upsamplers"]
    ours = {gan: read_json(metrics / "leave_one_out" / f"{gan}.json") for gan in gans}
    upsamplers = list(get(baselines, metrics / "baselines.json", compared[0], "upsamplers"))
    parts = []
    for protocol in protocols:
        rows = []
        for gan in gans:
            block = get(ours[gan], metrics / "leave_one_out" / f"{gan}.json", protocol)
            others = [get(baselines, metrics / "baselines.json", name, gan, protocol) for name in compared]
            rows.append([gan, _auroc(block), *(number(other["auroc"]) for other in others)])
        for upsampler in upsamplers:
            file = metrics / "leave_one_upsampler_out" / f"{upsampler}.json"
            block = get(read_json(file), file, protocol)
            others = [
                get(baselines, metrics / "baselines.json", name, "upsamplers", upsampler, protocol)
                for name in compared
            ]
            rows.append([f"all {upsampler}", _auroc(block), *(number(other["auroc"]) for other in others)])
        for label, keys, figure in (
            ("**mean over GANs**", (), "mean"),
            ("**worst GAN**", (), "worst"),
            ("**mean over upsamplers**", ("upsamplers",), "mean"),
        ):
            if keys and keys[0] not in summary:
                continue
            figures = [_figure(summary, path, (*keys, protocol), figure)]
            figures += [
                _figure(summary, path, ("methods", name, *keys, protocol), figure) for name in compared
            ]
            rows.append([label, *(number(value) for value in figures)])
        header = [f"left out, {protocol}", "ours [95 %]", *(TITLES.get(name, name) for name in compared)]
        parts.append(markdown_table(header, rows))
    parts.append(_gains_table(summary, path, compared, protocols))
    seeds = len(get(ours[gans[0]], metrics / "leave_one_out" / f"{gans[0]}.json", "seeds"))
    never = ", ".join(sorted(get(summary, path, "never_train")))
    note = (
        f"AUROC on test images of what was left out, mean over {seeds} trainings of ours. The means are over "
        f"the GANs that may train{f'; {never} never does' if never else ''}. Ours: "
        f"`cffn.variant: {get(summary, path, 'variant')}`, `cffn.loss: {get(summary, path, 'loss')}`."
    )
    return "\n\n".join([*parts, note])


def _auroc(block: dict[str, Any]) -> str:
    return number(block["auroc"], block.get("auroc_ci95"))


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
            block = get(summary, path, "gains", name, protocol)
            cells.append(number(block["difference"], block.get("difference_ci95")))
        rows.append([TITLES.get(name, name), *cells])
    if not rows:
        raise TableError(f"{path}: no detector to compare with")
    header = ["gain of ours in mean AUROC [95 %] over", *protocols]
    return markdown_table(header, rows)
