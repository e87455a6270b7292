"""Margins, losses, networks and curated fakes compared as DVC experiments.

    python -m fakeface.reporting.studies queue losses      # takes -S KEY=VALUE; then dvc queue start
    python -m fakeface.reporting.studies collect losses    # writes results/study_losses.json
    python -m fakeface.reporting.studies table losses      # prints it as Markdown

and the same with `curation`. Every experiment runs the stage `nested_validation` with
some params changed: no held-out GAN and no test image plays a part, so the best setting
may be chosen by these tables.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fakeface.base.errors import FakefaceError, one_line_errors
from fakeface.base.files import write_json
from fakeface.base.markdown import TableError, markdown_table, read_json
from fakeface.params import CORRUPTED, PROTOCOLS, load_params

# What all experiments have in common. Three GANs of different architecture are left to learn from, so a fold
# has two or, without an upsampler, one: with all five, good settings are perfect and cannot be told apart.
HELD_OUT = ("lsgan", "wgan", "sngan", "stylegan2", "digiface_dcgan")
SETTING = (f"held_out=[{','.join(HELD_OUT)}]",)


@dataclass(frozen=True)
class Study:
    """Experiments that belong together.

    Attributes:
        name: of the study; also that of its file in results/ and the beginning of its experiments' names.
        experiments: changes to params.yaml by the name of the experiment, beside those of ``SETTING``.
    """

    name: str
    experiments: Mapping[str, tuple[str, ...]]

    @property
    def prefix(self) -> str:
        """What the names of its experiments begin with in DVC."""
        return f"study-{self.name}-"

    @property
    def results(self) -> Path:
        """The file that its figures are collected in."""
        return Path("results") / f"study_{self.name}.json"


# Its network and its training; the margin is the experiment's.
_PAPER = (
    "cffn.variant=paper",
    "cffn.crop=null",
    "cffn.pseudo_fakes=0",
    "cffn.corrupted=0",
    "cn.score_offset=none",
)
_UNIT = ("cffn.unit_norm=true",)
LOSSES = Study(
    "losses",
    {
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
        **{f"corrupted-{share}": (f"cffn.corrupted={share}",) for share in (0.0, 0.5)},
        "whole-images": ("cffn.crop=null",),
        "unperturbed": ("generate.perturbed=0",),
        "laundered-only": ("cffn.augmentation=laundered",),
        "constant-rate": ("cffn.schedule=constant",),
        "no-mirror": ("cffn.mirror=false",),
    },
)

# All fakes that are kept are learnt from, and none comes from a perturbed generator: those would be the first
# that a choice by quality leaves out.
_CURATED = ("leave_one_out.train_images=null", "generate.perturbed=0", "quality.kid_subsets=20")
CURATION_METHODS = ("none", "random", "realism", "hardest", "duplicates")
CURATION_SEEDS = (0, 1, 2)
CURATION = Study(
    "curation",
    {
        f"{method}-seed-{seed}": (*_CURATED, f"curation.method={method}", f"seed={seed}")
        for seed in CURATION_SEEDS
        for method in CURATION_METHODS
    },
)

STUDIES = {study.name: study for study in (LOSSES, CURATION)}


# Queue the experiments of a study, and collect the figures of those that are finished.

STAGE = "nested_validation"
CONDITIONS = (*PROTOCOLS, CORRUPTED)
# What is left out, by the key that it has in the results.
FOLDS = ("gan", "upsampler")


class StudyError(FakefaceError, RuntimeError):
    """A study cannot be queued or collected; the message says why."""


def queue(study: Study, names: Sequence[str] = (), everywhere: Sequence[str] = ()) -> None:
    """Queue an experiment for each name, `dvc exp run --queue`.

    Args:
        study: whose experiments.
        names: some of them; none: all.
        everywhere: changes to params.yaml that all get.

    Raises:
        StudyError: for an unknown name, if params.yaml has changes or other GANs, or if DVC refuses one.
    """
    _refuse_changed_params()
    _refuse_other_gans()
    names = names or list(study.experiments)
    unknown = [name for name in names if name not in study.experiments]
    if unknown:
        raise StudyError(
            f"no experiment {', '.join(unknown)} in the study {study.name}, expected some of "
            f"{', '.join(study.experiments)}"
        )
    for name in names:
        settings = (*SETTING, *everywhere, *study.experiments[name])
        changes = [word for change in settings for word in ("-S", change)]
        command = ["dvc", "exp", "run", "--queue", "--name", study.prefix + name, *changes, STAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StudyError(f"{' '.join(command)}: {done.stderr.strip()}")
        print(f"queued {study.prefix}{name}")


def _refuse_changed_params() -> None:
    """Experiments begin from the params of the workspace, so another experiment's would be in all of them."""
    command = ["git", "diff", "--quiet", "HEAD", "--", "params.yaml"]
    if subprocess.run(command, check=False).returncode:
        raise StudyError(
            "params.yaml is not that of the last commit, and every experiment would begin from it; commit "
            "it, or go back: git restore params.yaml dvc.lock metrics reports plots && dvc checkout"
        )


def _refuse_other_gans() -> None:
    """The studies are about the GANs of the default: with others, each of the experiments would fail."""
    gans = load_params().gans
    if absent := [name for name in HELD_OUT if name not in gans]:
        raise StudyError(
            f"params.yaml has no GAN {', '.join(absent)}, which every experiment holds out: the studies are "
            "about the GANs of the default and of the CelebA profiles"
        )


def finished(study: Study) -> dict[str, str]:
    """Git refs of the study's finished experiments by name, whatever commit they began from.

    DVC has a ref for each experiment that has ended well. Its own table of them reads every commit of the
    history, which takes many minutes. Of two experiments of one name the younger counts.
    """
    pattern = f"refs/exps/*/*/{study.prefix}*"
    refs = _git("for-each-ref", "--sort=committerdate", "--format=%(refname)", pattern).split()
    names = {ref.rsplit("/", 1)[1].removeprefix(study.prefix): ref for ref in refs}
    return {name: names[name] for name in study.experiments if name in names}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StudyError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def row_of(changes: Sequence[str], ref: str) -> dict[str, Any]:
    """The figures of one experiment.

    Args:
        changes: to params.yaml.
        ref: Git ref of the experiment.

    Returns:
        ``changes``; ``precision``; for ``gan`` and ``upsampler`` left out and each condition, ``mean`` and
        ``worst`` AUROC with the name of the worst fold; and ``curation``, the numbers of
        reports/curation.json of the GANs that are learnt from, by their keys.

    Raises:
        StudyError: if the experiment is of an older version, which judged fewer conditions.
    """
    nested = json.loads(_git("show", f"{ref}:reports/{STAGE}.json"))
    if missing := [condition for condition in CONDITIONS if condition not in nested["gans"]]:
        raise StudyError(
            f"{ref}: was not judged {', '.join(missing)}; remove it (dvc exp remove {ref.rsplit('/', 1)[1]}) "
            "and queue it again"
        )
    return {
        "changes": list(changes),
        "precision": yaml.safe_load(_git("show", f"{ref}:params.yaml"))["precision"],
        **{
            left_out: {
                condition: {kind: block[condition]["auroc"][kind] for kind in ("mean", "worst", "worst_fold")}
                for condition in CONDITIONS
            }
            for left_out, block in (("gan", nested["gans"]), ("upsampler", nested["upsamplers"]))
        },
        "curation": _curation(json.loads(_git("show", f"{ref}:reports/curation.json"))["gans"]),
    }


def _curation(gans: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    found = {}
    for gan in gans:
        if gan not in HELD_OUT:
            for key in ("n_before", "n_after"):
                found[f"{gan}.{key}"] = gans[gan][key]
            for when in ("before", "after"):
                for key in ("kid", "precision", "recall"):
                    if key in (block := gans[gan].get(when) or {}):
                        found[f"{gan}.{when}.{key}"] = block[key]
    return found


def collect(study: Study) -> dict[str, dict[str, Any]]:
    """Write the figures of all finished experiments of a study.

    Raises:
        StudyError: if none is finished.
    """
    rows = {name: row_of(study.experiments[name], ref) for name, ref in finished(study).items()}
    if not rows:
        raise StudyError(
            f"no finished experiment is called {study.prefix}...; queue them, then dvc queue start"
        )
    write_json(study.results, rows)
    return rows


def criterion(row: Mapping[str, Any]) -> float:
    """Mean AUROC over both kinds of fold and the row's conditions: what the default is chosen by."""
    means = [figures["mean"] for left_out in FOLDS for figures in row[left_out].values()]
    return float(sum(means) / len(means))


def losses_table(path: Path) -> str:
    """Margins, losses and networks, the best mean over everything first: what settings are chosen by.

    Raises:
        TableError: if there is no such file.
    """
    rows = read_json(path)
    conditions = list(next(iter(rows.values()))[FOLDS[0]])
    lines = []
    for name, row in sorted(rows.items(), key=lambda item: -criterion(item[1])):
        means = [row[left_out][condition]["mean"] for left_out in FOLDS for condition in conditions]
        worst = min(row[left_out][conditions[0]]["worst"] for left_out in FOLDS)
        changed = ", ".join(f"`{change}`" for change in row["changes"]) or "–"
        lines.append([name, changed, *(f"{value:.4f}" for value in (criterion(row), *means, worst))])
    header = ["experiment", "changed", "mean of all"]
    header += [f"{left_out} left out: {condition}" for left_out in FOLDS for condition in conditions]
    return markdown_table([*header, f"worst, {conditions[0]}"], lines)


def left_out_gans(path: Path) -> set[str]:
    """Names of GANs that the experiments of a study left out, some of them: which GANs it is about."""
    return {figures["worst_fold"] for row in read_json(path).values() for figures in row[FOLDS[0]].values()}


def paired_interval(differences: np.ndarray) -> tuple[float, float]:
    """Mean of differences, one a seed, and half the width of its 95 % interval (Student's t); NaN for one."""
    from scipy.stats import t

    count = len(differences)
    if count < 2:
        return float(differences.mean()), math.nan
    error = differences.std(ddof=1) / math.sqrt(count)
    return float(differences.mean()), float(t.ppf(0.975, count - 1) * error)


def curation_table(path: Path) -> str:
    """What learning from curated fakes gains on GANs left out, over all fakes and over as many at random.

    Differences are taken seed by seed, so that what a seed does to both drops out.

    Raises:
        TableError: if there is no such file, or the experiments without curation are not in it.
    """
    rows = read_json(path)
    scores = {method: _by_seed(rows, method) for method in CURATION_METHODS}
    if not scores["none"]:
        raise TableError(f"{path}: holds no experiment none-seed-...")
    lines = []
    for method, values in scores.items():
        if not values:
            continue
        same = [row for name, row in rows.items() if name.startswith(f"{method}-seed-")]
        cells = [method, _kept(same), *(_quality(same, name) for name in ("kid", "precision", "recall"))]
        cells.append(f"{np.mean(list(values.values())):.4f}")
        lines.append([*cells, _gain(values, scores["none"]), _gain(values, scores["random"])])
    header = ["method", "fakes kept", "KID before → after", "precision", "recall", "mean AUROC"]
    return markdown_table([*header, "gain over none [95 %]", "gain over random [95 %]"], lines)


def _by_seed(rows: Mapping[str, Any], method: str) -> dict[str, float]:
    prefix = f"{method}-seed-"
    return {
        name.removeprefix(prefix): criterion(row) for name, row in rows.items() if name.startswith(prefix)
    }


def _gain(values: Mapping[str, float], other: Mapping[str, float]) -> str:
    seeds = [seed for seed in values if seed in other]
    if not seeds or values == other:
        return "–"
    mean, half = paired_interval(np.array([values[seed] - other[seed] for seed in seeds]))
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"


def _gans(row: Mapping[str, Any]) -> list[str]:
    return [key.removesuffix(".n_before") for key in row["curation"] if key.endswith(".n_before")]


def _kept(rows: Sequence[Mapping[str, Any]]) -> str:
    """Share of all fakes of all experiments."""
    before, after = (
        sum(row["curation"][f"{gan}.{key}"] for row in rows for gan in _gans(row))
        for key in ("n_before", "n_after")
    )
    return f"{after / before:.0%}" if before else "–"


def _quality(rows: Sequence[Mapping[str, Any]], measure: str) -> str:
    """Mean over experiments and GANs, before and after."""
    pairs = [
        [row["curation"][key] for key in (f"{gan}.before.{measure}", f"{gan}.after.{measure}")]
        for row in rows
        for gan in _gans(row)
        if f"{gan}.after.{measure}" in row["curation"]
    ]
    if not pairs:
        return "–"
    before, after = np.mean(pairs, axis=0)
    return f"{before:.3f} → {after:.3f}"


TABLES = {"losses": losses_table, "curation": curation_table}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line, see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m fakeface.reporting.studies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, told in (
        ("queue", "queue the experiments"),
        ("collect", "write results/study_<name>.json"),
        ("table", "print the results as Markdown"),
    ):
        command = commands.add_parser(name, help=told)
        command.add_argument("study", choices=list(STUDIES))
        if name == "queue":
            command.add_argument("names", nargs="*", help="some of its experiments; default: all")
            command.add_argument("-S", "--set-param", action="append", default=[], help="change for all")
    options = parser.parse_args(arguments)
    study = STUDIES[options.study]
    if options.command == "queue":
        queue(study, options.names, options.set_param)
    elif options.command == "collect":
        print(f"{len(collect(study))} experiments in {study.results}")
    else:
        try:
            print(TABLES[study.name](study.results))
        except TableError as error:
            parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    with one_line_errors():
        main()
