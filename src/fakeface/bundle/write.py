"""Make a bundle of what the pipeline trained and measured."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from fakeface import __version__
from fakeface.atomic import atomic_directory, write_json, write_text
from fakeface.attribution.head_file import load_head
from fakeface.bundle.card import model_card
from fakeface.bundle.manifest import (
    ATTRIBUTION_FILE,
    CARD_FILE,
    CFFN_FILE,
    CN_FILE,
    FACES_FILE,
    MANIFEST_FILE,
    Attribution,
    BundleError,
    Decision,
    Manifest,
    Preprocessing,
    Training,
)
from fakeface.detector.cn_weights import load_cn
from fakeface.detector.weights import load_cffn
from fakeface.faces.alignment import HEIGHT, TEMPLATE, WIDTH
from fakeface.faces.model import LICENCE as FACES_LICENCE
from fakeface.params import PROTOCOLS, Params
from fakeface.wheels import sha256_of

LICENCE = (
    "CelebA is for non-commercial research only, and so are networks that learnt from it. Frozen layers: "
    f"EfficientNet-Lite0, Apache-2.0. Face detector: {FACES_LICENCE}."
)
# Of each block of metrics/evaluation.json.
FIGURES = ("n_real", "n_fake", "auroc", "auroc_ci95", "precision", "recall", "fpr", "ece")


def write_bundle(
    params: Params,
    cffn: Path,
    cn: Path,
    attribution: Path,
    faces: Path,
    training_table: Path,
    evaluation: Path,
    attribution_metrics: Path,
    out: Path,
) -> Manifest:
    """Put everything that judging a picture takes into the folder ``out``, whole or not at all.

    Args:
        params: that the networks were trained with.
        cffn, cn, attribution: weight files.
        faces: ONNX file of the face detector.
        training_table: data/training.csv.
        evaluation: metrics/evaluation.json.
        attribution_metrics: metrics/attribution.json.
        out: the bundle's folder.

    Returns:
        What its detector.json says.

    Raises:
        DetectorWeightsError: if a weights file is absent or damaged.
        BundleError: if the figures were measured at another threshold than the CN's.
    """
    _, image_size = load_cffn(cffn)
    stored = load_cn(cn)
    figures = json.loads(evaluation.read_text(encoding="utf-8"))
    if figures["threshold"] != stored.threshold:
        raise BundleError(
            f"{evaluation}: measured at threshold {figures['threshold']}, but {cn} has {stored.threshold}; "
            "dvc repro evaluate"
        )
    with atomic_directory(out) as folder:
        files = {CFFN_FILE: cffn, CN_FILE: cn, ATTRIBUTION_FILE: attribution, FACES_FILE: faces}
        for name, source in files.items():
            shutil.copyfile(source, folder / name)
        manifest = Manifest(
            fakeface_version=__version__,
            torch_version=version("torch").split("+")[0],
            precision=params.precision,
            files={name: sha256_of(folder / name) for name in files},
            preprocessing=Preprocessing(
                image_size=image_size,
                alignment_size=(WIDTH, HEIGHT),
                alignment_landmarks=tuple((float(x), float(y)) for x, y in TEMPLATE),
            ),
            decision=Decision(
                threshold=stored.threshold,
                lower_threshold=stored.lower_threshold,
                reference=stored.reference.numbers(),
                calibration=stored.calibration.numbers(),
            ),
            training=_training(params, training_table),
            attribution=_attribution(attribution, attribution_metrics),
            metrics={protocol: _summary(figures[protocol]) for protocol in PROTOCOLS},
            licence=LICENCE,
        )
        write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
        write_text(folder / CARD_FILE, model_card(manifest))
    return manifest


def _training(params: Params, table: Path) -> Training:
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    train = rows[rows["split"] == "train"]
    gans = train.loc[train["gan"] != "", "gan"].value_counts(sort=False)
    return Training(
        source=params.data.source,
        n_photographs=int((train["gan"] == "").sum()),
        n_fakes={str(gan): int(count) for gan, count in gans.items()},
        held_out=tuple(params.held_out),
        fingerprint=sha256_of(table),
        params={
            "seed": params.seed,
            "margin": params.margin,
            "cffn": params.cffn.model_dump(mode="json"),
            "cn": params.cn.model_dump(mode="json"),
        },
    )


def _attribution(weights: Path, metrics: Path) -> Attribution:
    figures = json.loads(metrics.read_text(encoding="utf-8"))
    blocks = {protocol: figures[figures["features"]][protocol] for protocol in PROTOCOLS}
    return Attribution(
        gans=load_head(weights).gans,
        accuracy={protocol: block["accuracy"] for protocol, block in blocks.items()},
        open_set={protocol: block["open_set"]["mean"] for protocol, block in blocks.items()},
    )


def _summary(blocks: dict[str, Any]) -> dict[str, Any]:
    def few(block: dict[str, Any]) -> dict[str, Any]:
        return {name: block[name] for name in FIGURES if name in block}

    named = {name: few(blocks[name]) for name in ("seen", "unseen")}
    return {**named, "per_gan": {gan: few(block) for gan, block in blocks["per_gan"].items()}}
