"""Training of the CN on the features of a frozen CFFN; its calibration and its decision thresholds.

The CFFN no longer changes, so its features are computed once: several laundered views of each
training image, kept in a memory-mapped file. The epochs then cost next to nothing.
"""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from tqdm import tqdm

from fakeface.base import processes
from fakeface.base.errors import NonFiniteLossError
from fakeface.base.files import reserve
from fakeface.detector.batches import BalancedBatches, DetectorData, refuse_held_out, to_input
from fakeface.detector.calibration import UNCALIBRATED, Calibration, fit_calibration, margins_of
from fakeface.detector.score_offset import NO_SCORE_OFFSET, ScoreOffset, fit_score_offset, missing_detail
from fakeface.metrics.thresholds import calibration_error, choose_lower_threshold, choose_threshold
from fakeface.models.cffn import FeatureNetwork
from fakeface.models.cn import ClassificationNetwork
from fakeface.params import Params, ProtocolParams

EpochCallback = Callable[[int, dict[str, float]], None]
# Keys that keep the random draws of different uses apart, and from those of the CFFN's training.
TRAIN_KEY, VAL_KEY, THRESHOLD_KEY, CORRUPTED_KEY = 3, 4, 7, 10
# Of each validation photograph, for the score_offset.
CORRUPTED_VIEWS = 6
FORWARD_BATCH = 500


@dataclass
class CnResult:
    """A trained CN (weights of the best validation epoch) and what goes with it.

    Attributes:
        cn: in evaluation mode.
        threshold: images whose calibrated score is above are called fake.
        score_offset: margins of photographs, which are taken off before calibration.
        metrics: what the training did, as in reports/cn.json.
        calibration: fitted on validation images.
        lower_threshold: images whose calibrated score is below are called real.
    """

    cn: ClassificationNetwork
    threshold: float
    metrics: dict[str, Any]
    calibration: Calibration
    lower_threshold: float
    score_offset: ScoreOffset = NO_SCORE_OFFSET


class View(NamedTuple):
    """Laundered images: joint maps float32 (N, feature_dim, s, s), the detail that they miss float64 (N,)."""

    maps: np.ndarray
    missing: np.ndarray


@torch.no_grad()
def joint_maps(
    cffn: FeatureNetwork,
    data: DetectorData,
    chains: Sequence[ProtocolParams],
    fabric: Fabric,
    key: list[int],
    views: int,
    folder: Path,
    corrupted: float = 0.0,
) -> View:
    """Frozen features of laundered views, as a memory map in ``folder``; see ``DetectorData.laundered``.

    All processes compute, the first one keeps; in the others the maps are empty.

    Returns:
        Row ``v * N + i`` is view ``v`` of image ``i``.
    """
    count = len(data)
    missing = np.empty(views * count)
    features: np.ndarray | None = None
    bar = tqdm(total=views * count, unit="img", desc="features", disable=processes.quiet(fabric))
    step = FORWARD_BATCH * fabric.world_size
    for view in range(views):
        for start in range(0, count, step):
            rows = np.arange(start, min(start + step, count))
            places = processes.share(len(rows), fabric, padded=True)
            images = data.laundered(rows, chains, [*key, view], corrupted=corrupted, places=places)
            with fabric.autocast():
                maps = FeatureNetwork.joint_map(cffn.level_maps(to_input(images, fabric.device)))
            part = processes.gather(maps.float(), len(rows), fabric).cpu().numpy()
            detail = processes.gather_array(missing_detail(images), len(rows), fabric)
            if features is None:
                path = folder / f"features-{'-'.join(map(str, key))}.npy"
                shape = (views * count if fabric.is_global_zero else 0, *part.shape[1:])
                features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
                reserve(path)
            first = view * count + start
            missing[first : first + len(rows)] = detail
            if fabric.is_global_zero:
                features[first : first + len(rows)] = part
            bar.update(len(rows))
    bar.close()
    if features is None:
        raise ValueError("there are no images to compute features of")
    return View(features, missing)


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
) -> CnResult:
    """Train the CN, then calibrate it and freeze its thresholds on validation images.

    Several processes share the computing of the features; the CN itself is the first one's work.

    Args:
        params: validated params.
        cffn: trained network; it is not changed.
        train, val: images of the training GANs only; held-out GANs are refused.
        fabric: devices and precision.
        epoch_callback: called after each epoch with its number (from 1) and its losses.
    """
    for data in (train, val):
        refuse_held_out(data, params)
    cffn = cffn.to(fabric.device).eval().requires_grad_(False)
    with tempfile.TemporaryDirectory(prefix="fakeface-features-") as folder:
        views, corrupted = params.cn.views, params.cffn.corrupted
        chains, seed = params.augmentation, params.seed
        seen = joint_maps(cffn, train, chains, fabric, [seed, TRAIN_KEY], views, Path(folder), corrupted)
        val_view = joint_maps(cffn, val, chains, fabric, [seed, VAL_KEY], 1, Path(folder))
        photographs = val.thinned(None, 0)
        photograph_views = [
            joint_maps(cffn, photographs, [chain], fabric, [seed, THRESHOLD_KEY, number], 1, Path(folder))
            for number, chain in enumerate(chains)
        ]
        corrupted_view = None
        if params.cn.score_offset == "detail":
            key = [seed, CORRUPTED_KEY]
            corrupted_view = joint_maps(
                cffn, photographs, [ProtocolParams()], fabric, key, CORRUPTED_VIEWS, Path(folder), 1.0
            )

        def fit() -> CnResult:
            result = _fit(
                params,
                train,
                val,
                seen.maps,
                val_view,
                photograph_views,
                corrupted_view,
                processes.alone(fabric),
                epoch_callback,
            )
            # Another process has another device.
            result.cn.cpu()
            return result

        # It takes seconds: not worth dividing.
        return processes.first_alone(fit, fabric)


def _fit(
    params: Params,
    train: DetectorData,
    val: DetectorData,
    features: np.ndarray,
    val_view: View,
    photograph_views: Sequence[View],
    corrupted_view: View | None,
    fabric: Fabric,
    epoch_callback: EpochCallback | None,
) -> CnResult:
    device = fabric.device
    groups, labels = np.tile(train.groups, params.cn.views), np.tile(train.labels, params.cn.views)
    batches = BalancedBatches(groups, params.cn.batch_size, params.seed)
    torch.manual_seed(params.seed)
    network = ClassificationNetwork(features.shape[1])
    optimiser = torch.optim.Adam(network.parameters(), lr=params.cn.lr)
    network.to(device)
    model, optimiser = fabric.setup(network, optimiser)
    val_labels = torch.from_numpy(val.labels).to(device)
    steps = math.ceil(len(groups) / params.cn.batch_size)
    history: list[dict[str, float]] = []
    best: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def logits(maps: np.ndarray) -> torch.Tensor:
        model.eval()
        parts = [
            model(torch.from_numpy(maps[start : start + FORWARD_BATCH]).to(device)).float()
            for start in range(0, len(maps), FORWARD_BATCH)
        ]
        return torch.cat(parts)

    for epoch in tqdm(range(params.cn.epochs), unit="epoch", desc="CN", disable=None):
        model.train()
        total = 0.0
        for step in range(epoch * steps, (epoch + 1) * steps):
            rows = batches.batch(step)
            target = torch.from_numpy(labels[rows]).to(device)
            loss = F.cross_entropy(model(torch.from_numpy(features[rows]).to(device)).float(), target)
            optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            optimiser.step()
            total += float(loss.detach())
        if not math.isfinite(total):
            raise NonFiniteLossError(f"CN loss is {total} in epoch {epoch + 1}")
        val_loss = float(_balanced_cross_entropy(logits(val_view.maps), val_labels))
        if not best or val_loss < min(row["val_loss"] for row in history):
            best = copy.deepcopy(network.state_dict())
        history.append({"train_loss": total / steps, "val_loss": val_loss})
        if epoch_callback:
            epoch_callback(epoch + 1, history[-1])
    network.load_state_dict(best)
    photograph_margins = [margins_of(logits(view.maps)) for view in photograph_views]
    photograph_missing = [view.missing for view in photograph_views]
    score_offset = NO_SCORE_OFFSET
    if corrupted_view is not None:
        score_offset = fit_score_offset(
            np.concatenate([*photograph_margins, margins_of(logits(corrupted_view.maps))]),
            np.concatenate([*photograph_missing, corrupted_view.missing]),
        )
    calibration, decision = _decide(
        params,
        val,
        margins_of(logits(val_view.maps)) - score_offset.margins(val_view.missing),
        [
            margins - score_offset.margins(missing)
            for margins, missing in zip(photograph_margins, photograph_missing, strict=True)
        ],
    )
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
    threshold, lower_threshold = decision["threshold"], decision["lower_threshold"]
    return CnResult(network.eval(), threshold, metrics, calibration, lower_threshold, score_offset)


def _decide(
    params: Params, val: DetectorData, margins: np.ndarray, photograph_margins: Sequence[np.ndarray]
) -> tuple[Calibration, dict[str, Any]]:
    """Calibrate, then choose both thresholds on calibrated scores; all of it on validation images alone.

    Args:
        params: validated params.
        val: validation images.
        margins: float64 (N,) of ``val``, each image through one of the training's chains, less the offset.
        photograph_margins: of its photographs, once for each chain: the threshold holds under every one.

    Returns:
        The calibration, and what reports/cn.json says of it and of the thresholds.
    """
    calibration = fit_calibration(params.cn.calibration, margins, val.labels)
    scores, real = calibration.scores(margins), val.groups == 0
    threshold = max(
        choose_threshold(calibration.scores(photographs), params.cn.target_fpr)
        for photographs in photograph_margins
    )
    gans = val.groups[~real]
    lower_threshold = choose_lower_threshold(scores[~real], params.cn.target_fnr, groups=gans)
    logits = np.column_stack([np.zeros_like(margins), calibration.logits(margins)])
    return calibration, {
        "threshold": threshold,
        "lower_threshold": lower_threshold,
        "target_fpr": params.cn.target_fpr,
        "target_fnr": params.cn.target_fnr,
        "n_val_real": int(real.sum()),
        "n_val_fake": len(gans),
        "calibration": calibration.numbers(),
        "val_ece_uncalibrated": calibration_error(~real, UNCALIBRATED.scores(margins)),
        "val_ece": calibration_error(~real, scores),
        "calibrated_val_loss": float(
            _balanced_cross_entropy(torch.from_numpy(logits), torch.from_numpy(val.labels))
        ),
    }
