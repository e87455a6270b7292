"""Which experiments a study has: changes to params.yaml by name."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fakeface.base.errors import FakefaceError
from fakeface.base.files import write_json
from fakeface.evaluation.folds import CORRUPTED
from fakeface.params import PROTOCOLS

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
        StudyError: for an unknown name, if params.yaml has changes, or if DVC refuses one.
    """
    _refuse_changed_params()
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
