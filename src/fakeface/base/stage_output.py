"""What stages print when they are done: a line or a small table for people; whole figures are in reports/."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MISSING = "-"
# The protocol of the headline.
LAUNDERED = "laundered"


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Text in columns: the first ``left`` to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def evaluation(report: dict[str, Any]) -> str:
    """GAN by GAN, laundered, from reports/evaluation.json, and what to type next."""
    blocks, held_out = report[LAUNDERED], report["held_out"]
    rows = [
        (gan, "unseen" if gan in held_out else "seen", block)
        for wanted in (False, True)
        for gan, block in blocks["per_gan"].items()
        if (gan in held_out) is wanted
    ]
    rows += [(f"all {part}", part, blocks[part]) for part in ("seen", "unseen") if held_out]
    table = aligned(
        ("GAN, laundered", "training", "AUROC [95 %]", "recall", "false positives"),
        [
            (name, part, _number(block, "auroc"), _number(block, "recall"), _number(block, "fpr"))
            for name, part, block in rows
        ],
        left=2,
    )
    return f"{table}\n{_next('dvc metrics diff', 'dvc repro bundle')}"


def cffn(report: dict[str, Any]) -> str:
    """One line of reports/cffn.json."""
    return (
        f"CFFN: best validation loss {report['best_val_loss']:.4f} in epoch {report['best_epoch']} of "
        f"{report['epochs']}; {report['images_seen']:,} images, {report['images_per_second']:,.0f} a second"
    )


def cn(report: dict[str, Any]) -> str:
    """One line of reports/cn.json."""
    return (
        f"CN: best validation loss {report['best_val_loss']:.4f} in epoch {report['best_epoch']} of "
        f"{report['epochs']}; a picture is called fake above {report['threshold']:.4f}"
    )


def fetched(name: str, facts: dict[str, Any]) -> str:
    """One line of what the stage fetch took out of a repository."""
    return (
        f"{name}: {facts['n_photographs']} photographs, {facts['path']} of {facts['repo']} at commit "
        f"{facts['commit']}"
    )


def data(report: dict[str, Any]) -> str:
    """One line of reports/data.json."""
    splits = ", ".join(f"{report[f'n_{split}']} {split}" for split in ("train", "val", "test"))
    left_out = sum(report[f"n_{kind}"] for kind in ("corrupt", "too_small", "without_face", "duplicates"))
    return f"{report['source']}: {splits}; {left_out} of {report['n_photographs']} photographs left out"


def generated(counts: dict[str, Any]) -> str:
    """One line of what the stage generate made."""
    splits = ", ".join(f"{counts[split]} {split}" for split in ("train", "val", "test"))
    return f"{counts['gan']}: {splits}; {counts['duplicates']} repeat an earlier image"


def quality(report: dict[str, Any]) -> str:
    """One line of reports/quality/<gan>.json."""
    distance = next(name for name in report if name == "fid" or name.startswith("fd_"))
    return (
        f"{report['gan']}: KID {report['kid']:.4f}, {distance} {report[distance]:.2f}, precision "
        f"{report['precision']:.3f}, recall {report['recall']:.3f} ({report['n_fake']} fakes, "
        f"{report['n_real']} photographs)"
    )


def comparison(report: dict[str, Any]) -> str:
    """Our detector and the others on GANs left out, from reports/leave_one_out.json."""
    if not report["folds"]:
        return f"{report['undefined']}, and nothing compared\n{_next('dvc repro report')}"
    methods = {"detector": report} | report["methods"]
    rows = []
    for group in ("gans", "out_of_domain", "upsamplers"):
        for name, figures in methods.items():
            auroc = figures.get(group, {}).get(LAUNDERED, {}).get("auroc")
            if auroc and auroc["mean"] is not None:
                worst = f"{auroc['worst']:.3f} {auroc['worst_fold']}"
                rows.append((group.replace("_", " "), name, f"{auroc['mean']:.3f}", worst))
    table = aligned(("left out, laundered", "method", "mean AUROC", "worst fold"), rows, left=2)
    return f"{table}\n{_next('dvc plots show plots/leave_one_out.json', 'dvc repro report')}"


def nested(report: dict[str, Any]) -> str:
    """One line of reports/nested_validation.json: mean AUROC of GANs left out among the training ones."""
    parts = []
    for kind in ("gans", "upsamplers"):
        for condition in (LAUNDERED, "corrupted"):
            block = report[kind][condition]
            value = f"{block['auroc']['mean']:.4f}" if block and block["auroc"] else MISSING
            parts.append(f"{kind} {condition} {value}")
    return f"mean AUROC on validation images of what was left out: {', '.join(parts)}"


def external(report: dict[str, Any]) -> str:
    """Sets of other people, from reports/external.json, laundered."""
    block = report[LAUNDERED]
    rows = [
        (name, "photographs", str(found["n"]), f"{found['fpr']:.3f} false positives", "")
        for name, found in block["real"].items()
    ]
    for name, found in block["fake"].items():
        against = ", ".join(f"{other} {pair['auroc']:.3f}" for other, pair in found["against"].items())
        rows.append((name, "fakes", str(found["n"]), f"{found['recall']:.3f} found", against))
    text = aligned(("set, laundered", "", "images", "at the threshold", "AUROC against"), rows, left=2)
    decided, right = (report["verdicts"][figure] for figure in ("decided", "right"))
    if decided is None or right is None:
        return text
    return f"{text}\ndecided {decided:.3f}, of these right {right:.3f}, means over sets and classes"


def robustness(report: dict[str, Any], headline: dict[str, Any]) -> str:
    """The worst conditions of reports/robustness.json, by family."""
    clean = next(iter(report["none"].values()))["auroc"]
    known = {family: value for family, value in headline["worst_auroc"].items() if value is not None}
    worst = ", ".join(
        f"{family} {known[family]:.3f}" for family in sorted(known, key=lambda name: known[name])
    )
    return f"AUROC {MISSING if clean is None else f'{clean:.3f}'} as prepared; at the worst strength: {worst}"


def histories(report: dict[str, Any]) -> str:
    """Figures of reports/histories.json by history, laundered."""
    rows = [
        (name, f"{block['fpr']:.3f}", _plain(block["auroc"]), _plain((block["probe"] or {}).get("auroc")))
        for name, block in report["photographs"].items()
    ]
    text = aligned(("photographs, laundered", "false positives", "AUROC", "probe"), rows)
    of_fakes = [
        (name, f"{block['recall']:.3f}", _plain(block["auroc"])) for name, block in report["fakes"].items()
    ]
    return text + "\n" + aligned(("fakes, laundered", "found", "AUROC"), of_fakes)


def leaks(report: dict[str, Any]) -> str:
    """One line of reports/leaks.json."""
    words = {True: "passed", False: "FAILED", None: "cannot be told"}
    return "; ".join(
        f"{word}: {', '.join(names)}"
        for value, word in words.items()
        if (names := [name for name, found in report["passed"].items() if found is value])
    )


def attribution(report: dict[str, Any]) -> str:
    """Shares of rightly named GANs in reports/attribution.json."""
    if not report["gans"]:
        return f"attribution: {report['undefined']}"
    blocks = {name: report[report["features"]][name] for name in (LAUNDERED, "mild", "clean")}
    return f"which of {len(report['gans'])} GANs: " + ", ".join(
        f"{block['accuracy']:.3f} right {name}, unknown GAN {_plain(block['open_set']['mean'])} AUROC"
        for name, block in blocks.items()
    )


def export(report: dict[str, Any], path: str) -> str:
    """One line of reports/export.json."""
    return (
        f"{path}: scores of {report['n_images']:,} images differ from PyTorch's by at most "
        f"{report['max_score_difference']:.1e}"
    )


def bundle(folder: str) -> str:
    """Where the detector is, and what to type next."""
    return f"the detector is {folder}, its card {folder}/README.md\n" + _next(
        "fakeface predict picture.jpg", "dvc repro report"
    )


def _next(*commands: str) -> str:
    return f"next: {'   or   '.join(commands)}"


def _plain(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _number(block: dict[str, Any], name: str) -> str:
    interval = block.get(f"{name}_ci95") if name == "auroc" else None
    return _plain(block[name]) + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
