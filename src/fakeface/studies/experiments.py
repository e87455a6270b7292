"""Queue the experiments of a study, and collect the figures of those that are finished."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from fakeface.atomic import write_json
from fakeface.errors import FakefaceError
from fakeface.studies.definitions import HELD_OUT, SETTING, Study

STAGE = "nested_validation"
PROTOCOLS = ("laundered", "mild", "clean")
# What is left out, by the key that it has in the results, with where DVC shows its figures.
FOLDS = {"gan": "", "upsampler": "upsamplers."}
_CURATION_FILE = "metrics/curation.json:gans."


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
            "it, or go back: git restore params.yaml dvc.lock metrics plots && dvc checkout"
        )


def rows_of(study: Study, experiments: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The study's figures from the rows of ``dvc.api.exp_show``.

    Returns:
        By the name of the experiment: ``changes``; ``precision``; for ``gan`` and ``upsampler`` left out
        and each protocol, ``mean`` and ``worst`` AUROC with the name of the worst fold; and ``curation``,
        the numbers of metrics/curation.json of the GANs that are learnt from, by their keys.
    """
    result: dict[str, dict[str, Any]] = {}
    for row in experiments:
        full = str(row.get("Experiment") or "")
        name = full.removeprefix(study.prefix)
        if not full.startswith(study.prefix) or name not in study.experiments:
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
            result[name] = {
                "changes": list(study.experiments[name]),
                "precision": row.get("params.yaml:precision", row.get("precision")),
                **figures,
                "curation": _curation(row),
            }
    return {name: result[name] for name in study.experiments if name in result}


def _metric(row: Mapping[str, Any], key: str) -> Any:
    """A metric of the stage; DVC puts the file's name before a key that several files have."""
    value = row.get(f"metrics/{STAGE}.json:{key}", row.get(key))
    return None if value in ("", None) else value


def _curation(row: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for key, value in row.items():
        name = key.removeprefix(_CURATION_FILE).removeprefix("gans.")
        wanted = name != key and name.endswith(("n_before", "n_after", ".kid", ".precision", ".recall"))
        if wanted and name.split(".")[0] not in HELD_OUT:
            found[name] = value
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def collect(study: Study) -> dict[str, dict[str, Any]]:
    """Write the figures of all finished experiments of a study, whatever commit they began from.

    Raises:
        StudyError: if none is finished.
    """
    import dvc.api  # takes a second, and the table does without

    rows = rows_of(study, dvc.api.exp_show(num=-1))
    if not rows:
        raise StudyError(
            f"no finished experiment is called {study.prefix}...; queue them, then dvc queue start"
        )
    write_json(study.results, rows)
    return rows


def criterion(row: Mapping[str, Any]) -> float:
    """Mean AUROC over both kinds of fold and the protocols: what the default is chosen by."""
    means = [row[left_out][protocol]["mean"] for left_out in FOLDS for protocol in PROTOCOLS]
    return float(sum(means) / len(means))
