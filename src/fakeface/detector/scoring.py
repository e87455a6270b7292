"""A trained detector: images in, probabilities of being fake out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from fakeface.detector.cn import ClassificationNetwork
from fakeface.detector.dataset import to_input
from fakeface.detector.features import FeatureNetwork
from fakeface.detector.weights import load_cffn, load_cn


class Detector:
    """CFFN, CN and the frozen threshold.

    Args:
        cffn, cn: trained networks.
        threshold: an image is called fake when its score is above this.
        image_size: side of the images that the networks were trained on.
        fabric: device and precision.
    """

    def __init__(
        self,
        cffn: FeatureNetwork,
        cn: ClassificationNetwork,
        threshold: float,
        image_size: int,
        fabric: Fabric,
    ) -> None:
        self.cffn = cffn.to(fabric.device).eval()
        self.cn = cn.to(fabric.device).eval()
        self.threshold = threshold
        self.image_size = image_size
        self.fabric = fabric

    @classmethod
    def load(cls, cffn_path: str | Path, cn_path: str | Path, fabric: Fabric) -> Detector:
        """Read both weight files.

        Raises:
            DetectorWeightsError: if one is absent, damaged or does not fit.
        """
        cffn, image_size = load_cffn(cffn_path)
        cn, threshold = load_cn(cn_path)
        return cls(cffn, cn, threshold, image_size, fabric)

    @torch.no_grad()
    def score_and_embed(self, images: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores and embeddings.

        Args:
            images: uint8 (N, image_size, image_size, 3), already preprocessed and laundered.
            batch_size: images a forward pass.

        Returns:
            P(fake) float64 (N,) in [0, 1] and embeddings float32 (N, feature_dim).
        """
        scores, embeddings = [], []
        for start in range(0, len(images), batch_size):
            x = to_input(np.ascontiguousarray(images[start : start + batch_size]), self.fabric.device)
            with self.fabric.autocast():
                maps = self.cffn.level_maps(x)
                logits = self.cn(FeatureNetwork.joint_map(maps))
            scores.append(logits.float().softmax(dim=1)[:, 1].double().cpu().numpy())
            embeddings.append(self.cffn.embed_maps(maps).float().cpu().numpy())
        if not scores:
            return np.empty(0), np.empty((0, self.cffn.feature_dim), dtype=np.float32)
        return np.concatenate(scores), np.concatenate(embeddings)
