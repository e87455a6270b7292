"""Do photographs that go the way of the fakes come out like photographs that do not?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fakeface.data.archives import Archive
from fakeface.data.decode import decode
from fakeface.data.imageset import ImageSet
from fakeface.data.laundering import launder
from fakeface.data.preprocess import preprocess
from fakeface.data.splits import Split
from fakeface.detector.dataset import to_input
from fakeface.evaluation.leaks.cross_validation import FOLDS, without
from fakeface.evaluation.leaks.traces import image_features, judge_often
from fakeface.faces.finder import FaceFinder
from fakeface.faces.largest import largest_face
from fakeface.gans.generate import sample_split
from fakeface.gans.sampler import SAMPLE_BATCH, Generator
from fakeface.params import ProtocolParams

# Keeps the draws of the probes apart from those of trainings and tests.
PROBE_KEY = 11
_USUAL_SIDE = 178


class _Replay(nn.Module):
    """A generator without invention: its latent is a row number, its image the photograph of that row."""

    def __init__(self, photographs: np.ndarray) -> None:
        super().__init__()
        # A copy, because torch warns of arrays that are mapped read-only.
        self.images = to_input(np.array(photographs), torch.device("cpu"))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z float32 (B, 1) to float32 (B, 3, S, S) in [-1, 1]."""
        return self.images[z[:, 0].long()]


class _ReplaySource:
    """Photographs as ``generate`` gets its fakes: out of a generator, in its range, through its sampler."""

    name = "replay"

    def __init__(self, photographs: Iterable[np.ndarray]) -> None:
        self._photographs = photographs

    def batches(self, split: Split, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:  # noqa: ARG002
        """The photographs in order, batched as they came."""
        for batch in self._photographs:
            rows = np.arange(len(batch), dtype=np.float32)[:, None]
            yield Generator(self.name, _Replay(batch), z_dim=1).sample(rows)


def native_squares(
    archive: Archive, names: Iterable[str], image_size: int, finder: FaceFinder | None = None
) -> Iterator[np.ndarray]:
    """Central squares of photographs, neither enlarged nor reduced: what a generator could have returned.

    Args:
        archive: of the photographs.
        names: of some in it.
        image_size: side of the prepared images.
        finder: if photographs are aligned before they are prepared: the squares are of aligned faces.

    Yields:
        uint8 (B, H, H, 3), neighbours of one size together, in order.
    """

    def square(name: str) -> np.ndarray:
        picture = decode(archive.read(name))
        if finder is not None:
            picture = largest_face(picture, image_size, finder)
        return preprocess(picture, min(picture.size))

    for side, alike in groupby(map(square, names), key=len):
        # Large photographs in smaller batches, so that a batch takes no more memory.
        while batch := list(
            islice(alike, max(1, SAMPLE_BATCH * _USUAL_SIDE**2 // max(side, _USUAL_SIDE) ** 2))
        ):
            yield np.stack(batch)


def fakes_route(photographs: Iterable[np.ndarray], count: int, image_size: int) -> np.ndarray:
    """Photographs along a fake's way: tensor in [-1, 1], sampler, preprocessing, image set on disk and back.

    Args:
        photographs: batches of uint8 (B, H, H, 3), H >= ``image_size``.
        count: how many photographs they hold in all.
        image_size: side of the prepared images.

    Returns:
        uint8 (count, image_size, image_size, 3); the same pixels, if the way adds nothing and scales nothing.
    """
    fakes = sample_split(_ReplaySource(photographs), "test", count, image_size, 0, SAMPLE_BATCH)
    with tempfile.TemporaryDirectory() as folder:
        fakes.write(Path(folder) / "fakes")
        return np.array(ImageSet.read(Path(folder) / "fakes").images)


def pixel_change(photographs: np.ndarray, routed: np.ndarray) -> dict[str, Any]:
    """``changed_pixels``, the share of values that differ, and ``largest_change``, of 255 at most."""
    change = np.abs(routed.astype(np.int16) - photographs)
    if not change.size:
        return without(["changed_pixels", "largest_change"], "no photographs")
    return {"changed_pixels": float((change > 0).mean()), "largest_change": int(change.max())}


def route_probe(
    photographs: np.ndarray,
    routed: np.ndarray,
    protocols: Mapping[str, ProtocolParams],
    *,
    halvings: int = 5,
    folds: int = FOLDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Can photographs that went the way of the fakes be told from photographs that did not?

    One random half goes, the other stays; both pass through the same protocol, each image with its own draw.
    Other halves of the same photographs give other AUROCs: with 1,000 of CelebA and no leak at all they
    scatter by 0.02 to 0.03, more than 500 against 500 independent scores would. Hence several halvings.

    Args:
        photographs: uint8 (N, S, S, 3) as ``prepare`` made them; takes 300 kB of memory each at S = 64.
        routed: the same photographs after the way of the fakes.
        protocols: by name, for instance laundered and clean.
        halvings: how many random halves, at least 2.
        folds: of the cross-validation.
        seed: of the halves, the draws and the folds.

    Returns:
        ``n_real`` and ``n_routed`` of each halving; ``changed_pixels`` and ``largest_change`` as in
        :func:`pixel_change`; for each protocol ``{auroc, standard_error, aurocs}``: the mean over the
        halvings, its standard error, and each.

    Raises:
        ValueError: for fewer than 2 halvings.
    """
    n_routed = len(photographs) // 2
    result: dict[str, Any] = {"n_real": len(photographs) - n_routed, "n_routed": n_routed}
    result |= pixel_change(photographs, routed)
    rng = np.random.default_rng(seed)
    goes = np.arange(len(photographs)) < n_routed
    halves = [rng.permutation(goes).astype(np.int64) for _ in range(halvings)]
    seeds = np.column_stack([np.tile([seed, PROBE_KEY], (len(goes), 1)), np.arange(len(goes))])
    for name, protocol in protocols.items():
        stayed, went = (
            image_features(launder(images, [protocol], seeds)) for images in (photographs, routed)
        )
        result[name] = judge_often(stayed, went, halves, folds, seed)
    return result
