"""Image sets of other people, on which nothing may train: scored at the frozen threshold, and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from fakeface.data.faces import FRAMINGS
from fakeface.data.image_sets import Folders, ImageSet, LeakError
from fakeface.detector.activations import NetworkInputs
from fakeface.detector.batches import load_split, load_training
from fakeface.detector.decision import UNSURE, VERDICTS, judge_with_copies
from fakeface.detector.detector import Detector
from fakeface.detector.views import GivenPixels, Views, views_of_test
from fakeface.evaluation.duplicates import is_copy, near_duplicates
from fakeface.evaluation.evaluate import predict_protocols
from fakeface.evaluation.prepared_sets import LISTED, PreparedSet, prepare_set
from fakeface.metrics.scores import score_block
from fakeface.params import PROTOCOLS, Params

# Photographs of the test split among the sets that fakes are measured against.
TEST = "test"


def refuse_training_images(prepared: PreparedSet, training: Sequence[ImageSet]) -> None:
    """Refuse a set that shares a picture with training or validation.

    Args:
        prepared: the set.
        training: image sets of photographs and fakes that the detector learnt from or was chosen by.

    Raises:
        LeakError: naming the set and the first pictures: the same file, or one that looks the same.
    """
    known = {
        digest: str(name)
        for part in training
        if "file_sha256" in part.manifest
        for digest, name in zip(part.manifest["file_sha256"], part.manifest["name"], strict=True)
    }
    names = prepared.files["name"].tolist()
    # The first reason of each picture.
    found = {
        name: f"{name} is {known[digest]}"
        for name, digest in zip(names, prepared.files["file_sha256"], strict=True)
        if digest in known
    }
    for part in training:
        near = near_duplicates({"set": prepared.images, "training": np.asarray(part.images)})
        for pair in filter(is_copy, near["pairs"]):
            name, other = names[pair["rows"][0]], part.manifest["name"].iloc[pair["rows"][1]]
            found.setdefault(name, f"{name} looks like {other}")
    if found:
        raise LeakError(
            f"external.{prepared.name}: {len(found)} pictures are in training, expected none: "
            f"{'; '.join(list(found.values())[:LISTED])}"
        )


def score_external(
    params: Params, name: str, detector: Detector, folders: Folders
) -> tuple[pd.DataFrame, PreparedSet]:
    """Scores of ``external.<name>`` under the three protocols.

    Returns:
        A row a picture: ``name``, ``score_<protocol>`` rounded to six decimals, and ``verdict``, laundered,
        with copies compared (:func:`fakeface.detector.decision.judge_with_copies`); and the set.

    Raises:
        LeakError: if it shares a picture with training, see :func:`refuse_training_images`.
        ArchiveError, ExternalSetError: as :func:`prepare_set`.
    """
    settings, framing = params.external[name], FRAMINGS[params.data.framing]
    prepared = prepare_set(name, settings.path, params.image_size, align=settings.align, framing=framing)
    training = load_training(folders, params.training_gans)
    validation = load_split(folders.real, folders.fake, params.training_gans, "val")
    for data in (training, validation):
        refuse_training_images(prepared, data.sets)
    data = prepared.as_data()
    predictions = predict_protocols(params, detector, data)
    scores = {f"score_{key}": predicted.scores.round(6) for key, predicted in predictions.items()}
    verdicts = _verdicts(params, detector, views_of_test(params, data)[PROTOCOLS[0]])
    return pd.DataFrame({"name": prepared.files["name"], **scores, "verdict": verdicts}), prepared


class _ByActivations:
    """A detector whose frozen layers are computed as those of an evaluation are."""

    def __init__(self, params: Params, detector: Detector) -> None:
        self.rule, self.image_size = detector.rule, detector.image_size
        self._detector, self._inputs = detector, NetworkInputs(params, detector.cffn, detector.fabric)

    def score_and_embed(self, images: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG002
        return self._detector.judge(*self._inputs.read_with_detail(GivenPixels(images, "copies")))

    def attribution_features(self, images: np.ndarray) -> np.ndarray:
        return self._detector.attribution_features(images)


def _verdicts(params: Params, detector: Detector, views: Views) -> list[str]:
    """What ``predict`` would say of these views."""
    scorer, step = _ByActivations(params, detector), params.evaluate.batch_size
    result: list[str] = []
    for start in tqdm(range(0, len(views), step), desc="verdicts", unit="batch", disable=None):
        _, verdicts = judge_with_copies(scorer, views[start : start + step].pixels, step)
        result += [VERDICTS[verdict] for verdict in verdicts]
    return result


def external_report(
    params: Params, threshold: float, tables: Mapping[str, pd.DataFrame], predictions: pd.DataFrame
) -> dict[str, Any]:
    """:func:`set_report` of the sets in ``external``, with the photographs of the test split among them.

    Args:
        params: which sets are photographs; bootstrap and seed.
        threshold: of the detector.
        tables: of each set, as :func:`score_external` returns them.
        predictions: data/predictions.csv.
    """
    by_kind: dict[str, dict[str, Scores]] = {
        "real": {TEST: _scores(predictions[predictions["gan"] == ""])},
        "fake": {},
    }
    for name, settings in params.external.items():
        by_kind[settings.kind][name] = _scores(tables[name])
    report = set_report(
        by_kind["real"],
        by_kind["fake"],
        threshold,
        bootstrap=params.evaluate.bootstrap,
        seed=params.seed,
    )
    kinds = {name: settings.kind for name, settings in params.external.items()}
    return report | {"verdicts": verdicts_report(kinds, tables)}


def verdicts_report(
    kinds: Mapping[str, Literal["real", "fake"]], tables: Mapping[str, pd.DataFrame]
) -> dict[str, Any]:
    """How often the detector decides about sets on which nothing trained, and how often it is right then.

    Args:
        kinds: whether each set is of photographs or fakes.
        tables: of each set, with ``verdict``.

    Returns:
        ``by_set.<set>``: ``n``, ``decided``, the share that is not unsure, and ``right``, the share of these
        with the right verdict, None if none is decided. ``decided`` and ``right``: means over the sets of a
        class, then over the classes; None without sets of both.
    """
    by_set: dict[str, dict[str, Any]] = {}
    for name, kind in kinds.items():
        verdicts = tables[name]["verdict"].to_numpy()
        decided = verdicts != VERDICTS[UNSURE]
        right = float((verdicts[decided] == kind).mean()) if decided.any() else None
        by_set[name] = {"n": len(verdicts), "decided": float(decided.mean()), "right": right}
    means: dict[str, float | None] = {}
    for figure in ("decided", "right"):
        values = [
            [
                by_set[name][figure]
                for name in kinds
                if kinds[name] == kind and by_set[name][figure] is not None
            ]
            for kind in ("real", "fake")
        ]
        means[figure] = float(np.mean([np.mean(part) for part in values])) if all(values) else None
    return {"by_set": by_set, **means}


# Scores by protocol, float64 (N,) each, of one set.
Scores = Mapping[str, np.ndarray]


def _scores(table: pd.DataFrame) -> Scores:
    return {name: table[f"score_{name}"].to_numpy() for name in PROTOCOLS}


def set_report(
    reals: Mapping[str, Scores],
    fakes: Mapping[str, Scores],
    threshold: float,
    *,
    bootstrap: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Every set of photographs alone, and every set of fakes against every set of photographs.

    Args:
        reals: sets of photographs, by name.
        fakes: sets of fakes, by name.
        threshold: a picture is called fake if its score is above.
        bootstrap, seed: of the intervals, see :func:`fakeface.metrics.scores.score_block`.

    Returns:
        ``threshold``; by protocol ``real.<set>``: ``n``, ``fpr``; ``fake.<set>``: ``n``, ``recall`` and
        ``against.<set of photographs>``: ``auroc``, ``average_precision``, ``ece``; each with
        ``<name>_ci95`` where there is a bootstrap.
    """

    def few(block: dict[str, Any], *names: str) -> dict[str, Any]:
        return {key: value for key, value in block.items() if key.removesuffix("_ci95") in names}

    def block(real: np.ndarray, fake: np.ndarray) -> dict[str, Any]:
        labels = np.repeat([0, 1], [len(real), len(fake)])
        return score_block(labels, np.concatenate([real, fake]), threshold, bootstrap=bootstrap, seed=seed)

    nothing = np.empty(0)
    result: dict[str, Any] = {"threshold": threshold}
    for protocol in PROTOCOLS:
        by_real = {name: scores[protocol] for name, scores in reals.items()}
        by_fake = {name: scores[protocol] for name, scores in fakes.items()}
        result[protocol] = {
            "real": {
                name: {"n": len(scores), **few(block(scores, nothing), "fpr")}
                for name, scores in by_real.items()
            },
            "fake": {
                name: {
                    "n": len(scores),
                    **few(block(nothing, scores), "recall"),
                    "against": {
                        other: few(block(photographs, scores), "auroc", "average_precision", "ece")
                        for other, photographs in by_real.items()
                    },
                }
                for name, scores in by_fake.items()
            },
        }
    return result


def external_headline(report: dict[str, Any]) -> dict[str, Any]:
    """Content of metrics/external.json, laundered: FPR of photographs, recall and AUROC of fakes, by set.

    And ``decided`` and ``right`` of :func:`verdicts_report`.
    """
    block = report[PROTOCOLS[0]]
    return {
        **{name: {"fpr": figures["fpr"]} for name, figures in block["real"].items()},
        **{
            name: {
                "recall": figures["recall"],
                "auroc": {other: pair["auroc"] for other, pair in figures["against"].items()},
            }
            for name, figures in block["fake"].items()
        },
        **{figure: report["verdicts"][figure] for figure in ("decided", "right")},
    }
