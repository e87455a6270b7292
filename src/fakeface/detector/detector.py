"""A trained detector in PyTorch: images in, probabilities of being fake out; and the file of its CN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from fakeface.base import processes
from fakeface.base.tensors import DetectorWeightsError, load_tensors
from fakeface.detector.calibration import missing_detail
from fakeface.detector.decision import RULE_KEYS, DecisionRule, rule_of
from fakeface.detector.views import Views
from fakeface.models.cffn import FeatureNetwork, NetworkInput, to_input
from fakeface.models.cn import ClassificationNetwork, margins_of
from fakeface.models.weights import fill_module, load_cffn, save_module
from fakeface.params import Params

if TYPE_CHECKING:
    # Takes seconds to import, and whoever judges a picture does without.
    from lightning_fabric import Fabric


def save_cn(path: str | Path, cn: ClassificationNetwork, rule: DecisionRule) -> None:
    """Write a CN, and its decision rule into the header of the file."""
    save_module(path, cn, {"network": "cn", **rule.numbers()})


def load_cn(path: str | Path) -> tuple[ClassificationNetwork, DecisionRule]:
    """The CN of a file, in evaluation mode, and its decision rule.

    Raises:
        DetectorWeightsError: if the file is absent, damaged or of another network, or its header holds no
            decision rule.
    """
    path = Path(path)
    tensors, header = load_tensors(path, "cn", RULE_KEYS)
    rule = rule_of(path, header)
    if "conv.weight" not in tensors or tensors["conv.weight"].ndim != 4:
        raise DetectorWeightsError(f"{path}: conv.weight is missing or has no four dimensions")
    cn = ClassificationNetwork(tensors["conv.weight"].shape[1])
    fill_module(path, cn, tensors)
    return cn.eval(), rule


@torch.no_grad()
def attribution_features(cffn: FeatureNetwork, x: NetworkInput) -> tuple[np.ndarray, np.ndarray]:
    """Both kinds of features of a batch, in one pass.

    Pairs pull the fakes of all GANs together, so what tells them apart is partly gone from the embedding. The
    levels still have it: mean and standard deviation, over the picture, of each of their channels.

    Args:
        cffn: trained, in evaluation mode.
        x: images or activations, in single precision, on its device.

    Returns:
        embeddings float32 (B, feature_dim) and level statistics float32 (B, 2 x channels of all levels).
    """
    blocks, maps = cffn.blocks_and_maps(x)
    statistics = [part for block in blocks for part in cffn.block_statistics(block)]
    return cffn.embed_maps(maps).float().cpu().numpy(), torch.cat(statistics, dim=1).float().cpu().numpy()


class Detector:
    """CFFN, CN and their frozen decision rule.

    Args:
        cffn, cn: trained networks.
        rule: from the CN's margins to scores and verdicts.
        image_size: side of the images that the networks were trained on.
        fabric: device and precision.
    """

    def __init__(
        self,
        cffn: FeatureNetwork,
        cn: ClassificationNetwork,
        rule: DecisionRule,
        image_size: int,
        fabric: Fabric,
    ) -> None:
        self.cffn = cffn.to(fabric.device).eval()
        self.cn = cn.to(fabric.device).eval()
        self.rule = rule
        self.image_size = image_size
        self.fabric = fabric

    @classmethod
    def load(cls, cffn_path: str | Path, cn_path: str | Path, fabric: Fabric) -> Detector:
        """Read both weight files.

        Raises:
            DetectorWeightsError: if one is absent, damaged or does not fit.
        """
        cffn, image_size = load_cffn(cffn_path)
        cn, rule = load_cn(cn_path)
        return cls(cffn, cn, rule, image_size, fabric)

    def score_and_embed(self, images: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores and embeddings, as of :class:`fakeface.detector.decision.ImageScorer`.

        Args:
            images: uint8 (N, image_size, image_size, 3), already preprocessed and laundered.
            batch_size: images a forward pass.

        Returns:
            calibrated P(fake) float64 (N,) in [0, 1] and embeddings float32 (N, feature_dim).
        """
        scores = [np.empty(0)]
        embeddings = [np.empty((0, self.cffn.feature_dim), dtype=np.float32)]
        for start in range(0, len(images), batch_size):
            part = np.ascontiguousarray(images[start : start + batch_size])
            judged = self.judge(to_input(part, self.fabric.device), missing_detail(part))
            scores.append(judged[0])
            embeddings.append(judged[1])
        return np.concatenate(scores), np.concatenate(embeddings)

    def attribution_features(self, images: np.ndarray) -> np.ndarray:
        """As :meth:`fakeface.detector.decision.ImageScorer.attribution_features`, in one pass."""
        x = to_input(np.ascontiguousarray(images), self.fabric.device)
        return np.hstack(attribution_features(self.cffn, x))

    @torch.no_grad()
    def judge(self, x: NetworkInput, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores and embeddings, as of :meth:`score_and_embed`, of one batch.

        Args:
            x: what the CFFN is given, on its device.
            missing: float64 (B,), see :func:`~fakeface.detector.calibration.missing_detail`.
        """
        with self.fabric.autocast():
            maps = self.cffn.level_maps(x)
            logits = self.cn(FeatureNetwork.joint_map(maps))
        return self.rule.scores(margins_of(logits), missing), self.cffn.embed_maps(maps).float().cpu().numpy()


def in_turns(params: Params, conditions: dict[str, Views], fabric: Fabric) -> Iterator[tuple[str, Views]]:
    """Batches of ``evaluate.batch_size`` a process, with the names of their conditions."""
    step = params.evaluate.batch_size * fabric.world_size
    total = sum(len(views) for views in conditions.values())
    with tqdm(total=total, unit="img", desc="evaluate", disable=processes.quiet(fabric)) as bar:
        for name, views in conditions.items():
            for start in range(0, len(views), step):
                part = views[start : start + step]
                yield name, part
                bar.update(len(part))
