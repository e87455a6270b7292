"""Margins, losses and networks compared as DVC experiments, by unseen GANs of the validation split.

    python -m fakeface.loss_study queue        # then dvc queue start; takes -S KEY=VALUE, for all
    python -m fakeface.loss_study collect      # writes results/loss_study.json
    python -m fakeface.loss_study table        # prints it as Markdown

Every experiment runs the stage `nested_validation` with some params changed: no held-out GAN and no test
image plays a part, so the best setting may be chosen by this table. Three GANs of different architecture are
left to learn from, so a fold has two or, without an upsampler, one: with all five, good settings are perfect.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fakeface.atomic import write_json
from fakeface.errors import FakefaceError, one_line_errors
from fakeface.evaluation.markdown import markdown_table, read_json

STAGE = "nested_validation"
RESULTS = Path("results/loss_study.json")
PREFIX = "loss-study-"
PROTOCOLS = ("laundered", "mild", "clean")
# What is left out, by the key that it has in the results, with where DVC shows its figures.
FOLDS = {"gan": "", "upsampler": "upsamplers."}

# What all experiments have in common, see above.
SETTING = ("held_out=[lsgan,wgan,sngan,stylegan2,digiface_dcgan]",)
# Its network and its training; the margin is the experiment's.
_PAPER = ("cffn.variant=paper", "cffn.crop=null", "cffn.pseudo_fakes=0", "cffn.harmed=0", "cn.reference=none")
_UNIT = ("cffn.unit_norm=true",)
# Changes to params.yaml by the name of the experiment.
STUDY: dict[str, tuple[str, ...]] = {
    "as-configured": (),
    **{f"seed-{seed}": (f"seed={seed}",) for seed in (1, 2, 3)},  # differences below theirs mean nothing
    **{f"margin-{margin}": (f"margin={margin}",) for margin in (0.25, 0.5, 1.0, 4.0)},
    "cross-entropy": ("cffn.loss=cross_entropy",),
    **{f"unit-margin-{margin}": (*_UNIT, f"margin={margin}") for margin in (0.25, 0.5, 1.0)},
    **{
        f"supcon-{temperature}": ("cffn.loss=supervised_contrastive", f"cffn.temperature={temperature}")
        for temperature in (0.07, 0.1, 0.3)
    },
    **{f"triplet-{margin}": ("cffn.loss=triplet", f"margin={margin}") for margin in (0.2, 0.5, 1.0)},
    "levels-2": ("cffn.feature_levels=[2]",),
    "levels-3-4": ("cffn.feature_levels=[3,4]",),
    "levels-1-2-3-4": ("cffn.feature_levels=[1,2,3,4]",),
    "residual": ("cffn.variant=residual",),
    "residual-whole-images": ("cffn.variant=residual", "cffn.crop=null"),
    **{f"paper-margin-{margin}": (*_PAPER, f"margin={margin}") for margin in (0.25, 0.5, 1.0, 2.0)},
    **{f"pseudo-fakes-{share}": (f"cffn.pseudo_fakes={share}",) for share in (0.1, 0.3)},
    **{f"harmed-{share}": (f"cffn.harmed={share}",) for share in (0.0, 0.5)},
    "whole-images": ("cffn.crop=null",),
    "undisturbed": ("generate.disturbed=0",),
    "laundered-only": ("cffn.augmentation=laundered",),
    "constant-rate": ("cffn.schedule=constant",),
    "no-mirror": ("cffn.mirror=false",),
}


class LossStudyError(FakefaceError, RuntimeError):
    """The study cannot be queued or collected; the message says why."""


def queue(names: Sequence[str], everywhere: Sequence[str] = ()) -> None:
    """Queue an experiment for each name, `dvc exp run --queue`, with the changes ``everywhere`` added to all.

    Raises:
        LossStudyError: for an unknown name, or if DVC refuses one.
    """
    unknown = [name for name in names if name not in STUDY]
    if unknown:
        raise LossStudyError(f"no experiment {', '.join(unknown)}, expected some of {', '.join(STUDY)}")
    for name in names:
        changes = [word for change in (*SETTING, *everywhere, *STUDY[name]) for word in ("-S", change)]
        command = ["dvc", "exp", "run", "--queue", "--name", PREFIX + name, *changes, STAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LossStudyError(f"{' '.join(command)}: {done.stderr.strip()}")
        print(f"queued {PREFIX}{name}")


def rows_of(experiments: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The study's figures from the rows of ``dvc.api.exp_show``.

    Returns:
        By the name of the experiment: ``changes``, ``precision`` and, for ``gan`` and ``upsampler`` left out
        and each protocol, ``mean`` and ``worst`` AUROC with the name of the worst fold.
    """
    result: dict[str, dict[str, Any]] = {}
    for row in experiments:
        name = str(row.get("Experiment") or "").removeprefix(PREFIX)
        if not str(row.get("Experiment") or "").startswith(PREFIX) or name not in STUDY:
            continue
        figures = {
            left_out: {
                protocol: {
                    kind: _metric(row, f"{key}{protocol}.auroc.{kind}")
                    for kind in ("mean", "worst", "worst_fold")
                }
                for protocol in PROTOCOLS
            }
            for left_out, key in FOLDS.items()
        }
        # DVC writes "!" for an experiment that is still running.
        if isinstance(figures["upsampler"][PROTOCOLS[-1]]["mean"], float):
            precision = row.get("params.yaml:precision", row.get("precision"))
            result[name] = {"changes": list(STUDY[name]), "precision": precision, **figures}
    return {name: result[name] for name in STUDY if name in result}


def _metric(row: Mapping[str, Any], key: str) -> Any:
    """A metric of the stage; DVC puts the file's name before a key that several files have."""
    value = row.get(f"metrics/{STAGE}.json:{key}", row.get(key))
    return None if value in ("", None) else value


def collect(path: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Write the figures of all finished experiments of the study, whatever commit they began from.

    Raises:
        LossStudyError: if none is finished.
    """
    import dvc.api  # takes a second, and the table does without

    rows = rows_of(dvc.api.exp_show(num=-1))
    if not rows:
        raise LossStudyError(
            f"no finished experiment is called {PREFIX}...; queue them, then dvc queue start"
        )
    write_json(path, rows)
    return rows


def study_table(path: Path = RESULTS) -> str:
    """The figures as Markdown, the best mean over everything first: that is what settings are chosen by."""
    lines = []
    for name, row in sorted(read_json(path).items(), key=lambda item: -criterion(item[1])):
        means = [row[left_out][protocol]["mean"] for left_out in FOLDS for protocol in PROTOCOLS]
        worst = min(row[left_out][PROTOCOLS[0]]["worst"] for left_out in FOLDS)
        changed = ", ".join(f"`{change}`" for change in row["changes"]) or "–"
        lines.append([name, changed, *(f"{value:.4f}" for value in (criterion(row), *means, worst))])
    header = ["experiment", "changed", "mean of all"]
    header += [f"{left_out} left out: {protocol}" for left_out in FOLDS for protocol in PROTOCOLS]
    return markdown_table([*header, f"worst, {PROTOCOLS[0]}"], lines)


def criterion(row: Mapping[str, Any]) -> float:
    """Mean AUROC over both kinds of fold and the protocols: what the default is chosen by."""
    means = [row[left_out][protocol]["mean"] for left_out in FOLDS for protocol in PROTOCOLS]
    return float(sum(means) / len(means))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line, see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m fakeface.loss_study", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    queueing = commands.add_parser("queue", help="queue the experiments")
    queueing.add_argument("names", nargs="*", help="some of them; default: all")
    queueing.add_argument("-S", "--set-param", action="append", default=[], help="change of a param in all")
    commands.add_parser("collect", help=f"write {RESULTS}")
    commands.add_parser("table", help="print the results as Markdown")
    options = parser.parse_args(arguments)
    if options.command == "queue":
        queue(options.names or list(STUDY), options.set_param)
    elif options.command == "collect":
        print(f"{len(collect())} experiments in {RESULTS}")
    else:
        print(study_table())


if __name__ == "__main__":
    with one_line_errors():
        main()
