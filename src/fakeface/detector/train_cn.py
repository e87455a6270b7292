"""Training of the CN on the features of a frozen CFFN; its calibration and its decision thresholds.

The CFFN no longer changes, so its features are computed once: several laundered views of each
training image, kept in a memory-mapped file. The epochs then cost next to nothing.
"""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import nn
from tqdm import tqdm

from fakeface.base import processes
from fakeface.base.errors import NonFiniteLossError
from fakeface.base.files import reserve
from fakeface.detector.activations import NetworkInputs
from fakeface.detector.batches import BalancedBatches, DetectorData, refuse_held_out
from fakeface.detector.calibration import (
    NO_SCORE_OFFSET,
    UNCALIBRATED,
    Calibration,
    ScoreOffset,
    fit_calibration,
    fit_score_offset,
)
from fakeface.detector.decision import DecisionRule
from fakeface.detector.views import (
    Views,
    every_view,
    score_offset_kind,
    threshold_kinds,
    validation_kind,
    whole_kind,
)
from fakeface.metrics.thresholds import calibration_error, choose_threshold
from fakeface.models.cffn import FeatureNetwork
from fakeface.models.cn import ClassificationNetwork, margins_of
from fakeface.params import Params

EpochCallback = Callable[[int, dict[str, float]], None]
# Of each validation photograph, for the score_offset.
CORRUPTED_VIEWS = 6
FORWARD_BATCH = 500
# Scores of photographs that a decision rule keeps, so that a score can be ranked among them.
RANKS = 201


@dataclass
class CnResult:
    """A trained CN (weights of the best validation epoch) and what goes with it.

    Attributes:
        cn: in evaluation mode.
        rule: fitted on validation images.
        metrics: what the training did, as in reports/cn.json.
    """

    cn: ClassificationNetwork
    rule: DecisionRule
    metrics: dict[str, Any]


class Features(NamedTuple):
    """Of N views: joint maps float32 (N, feature_dim, s, s), the detail that they miss float64 (N,)."""

    maps: np.ndarray
    missing: np.ndarray


@dataclass(frozen=True)
class CnData:
    """Features of all that the CN learns from and is judged by.

    Attributes:
        train: ``cn.views`` views of each training image, one view of all after the other.
        val: a view of each validation image.
        thresholds: validation photographs, once for each protocol of the training.
        score_offset: validation photographs, corrupted; None without ``cn.score_offset``.
    """

    train: Features
    val: Features
    thresholds: list[Features]
    score_offset: Features | None


@torch.no_grad()
def joint_maps(
    cffn: FeatureNetwork, inputs: NetworkInputs, views: Views, fabric: Fabric, folder: Path
) -> Features:
    """Frozen features of views, as a memory map in ``folder``.

    All processes compute, the first one keeps; in the others the maps are empty.
    """
    inputs.prepare(views)
    missing = np.empty(len(views))
    features: np.ndarray | None = None
    bar = tqdm(total=len(views), unit="img", desc="features", disable=processes.quiet(fabric))
    step = FORWARD_BATCH * fabric.world_size
    for start in range(0, len(views), step):
        part = views[start : start + step]
        x, detail = inputs.read_with_detail(part[processes.share(len(part), fabric, padded=True)])
        with fabric.autocast():
            maps = FeatureNetwork.joint_map(cffn.level_maps(x))
        gathered = processes.gather(maps.float(), len(part), fabric).cpu().numpy()
        missing[start : start + len(part)] = processes.gather_array(detail, len(part), fabric)
        if features is None:
            path = folder / f"{views.kind.name}.npy"
            shape = (len(views) if fabric.is_global_zero else 0, *gathered.shape[1:])
            features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            reserve(path)
        if fabric.is_global_zero:
            features[start : start + len(part)] = gathered
        bar.update(len(part))
    bar.close()
    if features is None:
        raise ValueError("there are no images to compute features of")
    return Features(features, missing)


def _balanced_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with both classes weighing one half, whatever their numbers."""
    loss = F.cross_entropy(logits.float(), labels, reduction="none")
    return 0.5 * (loss[labels == 0].mean() + loss[labels == 1].mean())


def train_cn(
    params: Params,
    cffn: FeatureNetwork,
    train: DetectorData,
    val: DetectorData,
    fabric: Fabric,
    epoch_callback: EpochCallback | None = None,
    seed: int | None = None,
) -> CnResult:
    """Train the CN, then calibrate it and freeze its thresholds on validation images.

    Several processes share the computing of the features; the CN itself is the first one's work.

    Args:
        params: validated params.
        cffn: trained network; it is not changed.
        train, val: images of the training GANs only; held-out GANs are refused.
        fabric: devices and precision.
        epoch_callback: called after each epoch with its number (from 1) and its losses.
        seed: of the first weights and of the order of the images; None for that of ``params``.
    """
    for data in (train, val):
        refuse_held_out(data, params)
    seed = params.seed if seed is None else seed
    cffn = cffn.to(fabric.device).eval().requires_grad_(False)
    inputs = NetworkInputs(params, cffn, fabric)
    protocols, photographs = params.training_protocols, np.flatnonzero(val.groups == 0)
    with tempfile.TemporaryDirectory(prefix="fakeface-features-") as folder:

        def features(views: Views) -> Features:
            return joint_maps(cffn, inputs, views, fabric, Path(folder))

        corrupted = None
        if params.cn.score_offset == "detail":
            views = every_view(val, score_offset_kind(), params.seed, photographs, CORRUPTED_VIEWS)
            corrupted = features(views)
        learnt = CnData(
            features(every_view(train, whole_kind(params, protocols), params.seed, count=params.cn.views)),
            features(every_view(val, validation_kind(protocols), params.seed)),
            [features(every_view(val, kind, params.seed, photographs)) for kind in threshold_kinds(params)],
            corrupted,
        )

        def fit() -> CnResult:
            result = _fit(params, train, val, learnt, processes.alone(fabric), epoch_callback, seed)
            # Another process has another device.
            result.cn.cpu()
            return result

        # It takes seconds: not worth dividing.
        return processes.first_alone(fit, fabric)


def _fit(
    params: Params,
    train: DetectorData,
    val: DetectorData,
    data: CnData,
    fabric: Fabric,
    epoch_callback: EpochCallback | None,
    seed: int,
) -> CnResult:
    torch.manual_seed(seed)
    network = ClassificationNetwork(data.train.maps.shape[1])
    optimiser = torch.optim.Adam(network.parameters(), lr=params.cn.lr)
    model, optimiser = fabric.setup(network.to(fabric.device), optimiser)
    groups = np.tile(train.groups, params.cn.views)
    batches = BalancedBatches(groups, params.cn.batch_size, seed)
    steps = math.ceil(len(groups) / params.cn.batch_size)
    val_labels = torch.from_numpy(val.labels).to(fabric.device)
    history: list[dict[str, float]] = []
    best: dict[str, torch.Tensor] = {}
    for epoch in tqdm(range(params.cn.epochs), unit="epoch", desc="CN", disable=None):
        model.train()
        total = 0.0
        for step in range(epoch * steps, (epoch + 1) * steps):
            rows = batches.batch(step).rows
            target = torch.from_numpy((groups[rows] > 0).astype(np.int64)).to(fabric.device)
            maps = torch.from_numpy(data.train.maps[rows]).to(fabric.device)
            loss = F.cross_entropy(model(maps).float(), target)
            optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            optimiser.step()
            total += float(loss.detach())
        if not math.isfinite(total):
            raise NonFiniteLossError(f"CN loss is {total} in epoch {epoch + 1}")
        val_loss = float(_balanced_cross_entropy(_logits(model, data.val, fabric.device), val_labels))
        if not best or val_loss < min(row["val_loss"] for row in history):
            best = copy.deepcopy(network.state_dict())
        history.append({"train_loss": total / steps, "val_loss": val_loss})
        if epoch_callback:
            epoch_callback(epoch + 1, history[-1])
    network.load_state_dict(best)
    score_offset, calibration, decision = _decide(params, val, data, model, fabric.device)
    losses = [row["val_loss"] for row in history]
    metrics = {
        "epochs": params.cn.epochs,
        "best_epoch": 1 + int(np.argmin(losses)),
        "final_train_loss": history[-1]["train_loss"],
        "final_val_loss": losses[-1],
        "best_val_loss": min(losses),
        "views": params.cn.views,
        "score_offset": score_offset.numbers(),
        **decision,
    }
    thresholds = decision["threshold"], decision["lower_threshold"]
    rule = DecisionRule(*thresholds, calibration, score_offset, tuple(decision["photographs"]))
    return CnResult(network.eval(), rule, metrics)


@torch.no_grad()
def _logits(model: nn.Module, features: Features, device: torch.device) -> torch.Tensor:
    """float32 (N, 2) of a CN in evaluation mode."""
    model.eval()
    parts = [
        model(torch.from_numpy(features.maps[start : start + FORWARD_BATCH]).to(device)).float()
        for start in range(0, len(features.maps), FORWARD_BATCH)
    ]
    return torch.cat(parts)


def _quantiles(scores: np.ndarray) -> list[float]:
    """:data:`RANKS` of the scores, from the lowest to the highest at equal distances by rank."""
    return [float(score) for score in np.quantile(scores, np.linspace(0, 1, RANKS), method="inverted_cdf")]


def _decide(
    params: Params, val: DetectorData, data: CnData, model: nn.Module, device: torch.device
) -> tuple[ScoreOffset, Calibration, dict[str, Any]]:
    """What turns a trained CN's logits into scores and verdicts; all of it from validation images alone.

    Returns:
        The score offset, the calibration, and what reports/cn.json says of it and of the thresholds.
    """

    def margins(features: Features) -> np.ndarray:
        return margins_of(_logits(model, features, device))

    photographs = [(margins(features), features.missing) for features in data.thresholds]
    score_offset = NO_SCORE_OFFSET
    if data.score_offset is not None:
        all_margins, missing = zip(
            *photographs, (margins(data.score_offset), data.score_offset.missing), strict=True
        )
        score_offset = fit_score_offset(np.concatenate(all_margins), np.concatenate(missing))
    val_margins = margins(data.val) - score_offset.margins(data.val.missing)
    calibration = fit_calibration(params.cn.calibration, val_margins, val.labels)
    of_photographs = [
        calibration.scores(values - score_offset.margins(missing)) for values, missing in photographs
    ]
    # Under each chain of the training at most so many photographs are above.
    threshold, lower_threshold = (
        max(choose_threshold(scores, level) for scores in of_photographs)
        for level in (params.cn.target_fpr, params.cn.unsure_fpr)
    )
    scores, real = calibration.scores(val_margins), val.groups == 0
    logits = np.column_stack([np.zeros_like(val_margins), calibration.logits(val_margins)])
    return (
        score_offset,
        calibration,
        {
            "threshold": threshold,
            "lower_threshold": lower_threshold,
            "target_fpr": params.cn.target_fpr,
            "unsure_fpr": params.cn.unsure_fpr,
            "photographs": _quantiles(np.concatenate(of_photographs)),
            "n_val_real": int(real.sum()),
            "n_val_fake": int((~real).sum()),
            "calibration": calibration.numbers(),
            "val_ece_uncalibrated": calibration_error(~real, UNCALIBRATED.scores(val_margins)),
            "val_ece": calibration_error(~real, scores),
            "calibrated_val_loss": float(
                _balanced_cross_entropy(torch.from_numpy(logits), torch.from_numpy(val.labels))
            ),
        },
    )
