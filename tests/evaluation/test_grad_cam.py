"""Grad-CAM against finite differences, by hand, and on a planted patch; shares of the central square."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import make_params
from torch import nn

from fakeface.base.runtime import make_fabric
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import Detector
from fakeface.evaluation.grad_cam import central_share, grad_cam, level_cams
from fakeface.models import cffn as pretrained_cffn
from fakeface.models.cffn import SCALES, VARIANTS, FeatureNetwork, build_cffn, channel_statistics, to_input
from fakeface.models.cn import ClassificationNetwork

every_variant = pytest.mark.parametrize("variant", list(VARIANTS))


def margin(cffn: FeatureNetwork, cn: ClassificationNetwork, x: torch.Tensor) -> torch.Tensor:
    logits = cn(FeatureNetwork.joint_map(cffn.level_maps(x)))
    return logits[:, 1] - logits[:, 0]


def detector_of(cffn: FeatureNetwork, cn: ClassificationNetwork, side: int) -> Detector:
    return Detector(cffn, cn, DecisionRule.at(0.5), side, make_fabric(make_params(device="cpu")))


@contextmanager
def replaced(cffn: Any, block: nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Let ``change`` make something else of what ``block`` puts out."""
    if "statistics" not in cffn.variant:
        handle = block.register_forward_hook(lambda *given: change(given[2]))
        yield
        handle.remove()
        return
    run_block = cffn.run_block

    def run_changed(layer: nn.Module, x: torch.Tensor, scale: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        y, numbers = run_block(layer, x, scale)
        if layer is not block:
            return y, numbers
        y = change(y)
        return y, [channel_statistics(y), *numbers[1:]]

    cffn.run_block = run_changed
    yield
    cffn.run_block = run_block


@torch.no_grad()
def cams_by_finite_differences(
    cffn: Any, cn: ClassificationNetwork, x: torch.Tensor, level: int, call: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Evidence for real and for fake: each map of a block is pushed up, and the score moves.

    A network of several scales calls its blocks once a scale; ``call`` says at which they are pushed.
    """
    block = cffn.blocks[level - 1] if cffn.variant == "paper" else cffn.levels[level - 1]
    if "statistics" in cffn.variant:
        block = block[-1]
    kept: list[torch.Tensor] = []
    with replaced(cffn, block, lambda y: (kept.append(y.clone()), y)[1]):
        before = margin(cffn, cn, x)
    maps = kept[call][0]
    step = 1e-6 * torch.eye(len(maps), dtype=x.dtype)[:, :, None, None]
    copies = x.expand(len(maps), -1, -1, -1)
    calls = iter(range(len(kept)))
    with replaced(cffn, block, lambda y: y + step if next(calls) == call else y):
        alpha = (margin(cffn, cn, copies) - before) / 1e-6 / maps[0].numel()
    evidence = np.einsum("k,kij->ij", alpha.numpy(), maps.numpy())
    return np.maximum(-evidence, 0), np.maximum(evidence, 0)


@pytest.fixture
def undivided(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch goes through the frozen levels in one piece, so that a hook on a block sees all of it."""
    monkeypatch.setattr(pretrained_cffn, "CPU_PIXELS", 10**9)


@pytest.mark.usefixtures("undivided")
@every_variant
def test_every_level_against_finite_differences(variant: str) -> None:
    torch.manual_seed(0)
    cffn = build_cffn(variant, (2, 3, 4), unit_norm=False).double().eval()
    cn = ClassificationNetwork().double().eval()
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    for_real, for_fake = (level_cams(cffn, cn, x, torch.tensor([fake])) for fake in (False, True))
    levels = cffn.feature_levels
    assert len(for_real) == len(for_fake) == len(levels) * (len(SCALES) if "statistics" in variant else 1)
    for index, cams in enumerate(zip(for_real, for_fake, strict=True)):
        call, place = divmod(index, len(levels))
        both = cams_by_finite_differences(cffn, cn, x, levels[place], call)
        for cam, expected in zip(cams, both, strict=True):
            np.testing.assert_allclose(
                cam[0].numpy(), expected, rtol=5e-3, atol=1e-6 * expected.max() + 1e-12
            )
    assert any(float(cam.sum()) > 0 for cam in for_real)
    assert any(float(cam.sum()) > 0 for cam in for_fake)


class Pixels(FeatureNetwork):
    """A network whose one block is the picture itself."""

    variant = "pixels"

    def blocks_and_maps(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        return [x], [x]


def test_a_linear_network_by_hand() -> None:
    """The score is the mean of w . pixel, so alpha is w over the number of pixels."""
    torch.manual_seed(0)
    cn = ClassificationNetwork(3).eval()
    with torch.no_grad():
        cn.conv.weight[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0  # the middle alone
    x = torch.randn(2, 3, 4, 4)
    w = (cn.fc.weight[1] - cn.fc.weight[0]) @ cn.conv.weight[:, :, 1, 1]
    evidence = torch.einsum("c,bcij->bij", w, x).detach() / 16
    (for_fake,) = level_cams(Pixels((4,)).eval(), cn, x, torch.tensor([True, True]))
    (for_real,) = level_cams(Pixels((4,)).eval(), cn, x, torch.tensor([False, False]))
    torch.testing.assert_close(for_fake, evidence.clamp(min=0))
    torch.testing.assert_close(for_real, (-evidence).clamp(min=0))


def smooth(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    cells = torch.from_numpy(rng.uniform(60, 190, (count, 3, 5, 5)))
    pictures = F.interpolate(cells, (side, side), mode="bilinear", align_corners=True)
    return pictures.permute(0, 2, 3, 1).numpy() + rng.normal(0, 2, (count, side, side, 3))


def with_patches(rng: np.random.Generator, count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (count, side, side, 3) with a checked square of a quarter of the side, and where: (count, 2)."""
    patch = side // 4
    checks = 40.0 * (-1) ** np.add.outer(np.arange(patch), np.arange(patch))
    corners = rng.integers(0, side - patch + 1, (count, 2))
    pictures = smooth(rng, count, side)
    for picture, (top, left) in zip(pictures, corners, strict=True):
        picture[top : top + patch, left : left + patch] += checks[:, :, None]
    return pictures.clip(0, 255).astype(np.uint8), corners


@every_variant
def test_the_heatmap_finds_a_planted_patch(variant: str) -> None:
    side = 32 if variant == "residual" else 64
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    cffn = build_cffn(variant, (2, 3), unit_norm=False).train()
    cn = ClassificationNetwork(256).train()
    optimiser = torch.optim.Adam([*cffn.parameters(), *cn.parameters()], lr=3e-3)
    labels = torch.arange(32) // 16
    for _ in range(20):
        pictures = np.concatenate([smooth(rng, 16, side).clip(0, 255), with_patches(rng, 16, side)[0]])
        x = to_input(pictures.astype(np.uint8), torch.device("cpu"))
        loss = F.cross_entropy(cn(FeatureNetwork.joint_map(cffn.level_maps(x))), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    detector = detector_of(cffn, cn, side)
    fakes, corners = with_patches(rng, 20, side)
    assert detector.score_and_embed(fakes, 20)[0].min() > 0.5
    heatmaps = grad_cam(detector, fakes, np.ones(20, dtype=bool), 7)
    assert heatmaps.shape == (20, side, side)
    # A cell of the paper's finest level around the patch, two of the other's: neurons see beyond their cell.
    reach = side // 8
    shares, areas, peaks = [], [], []
    for heatmap, (top, left) in zip(heatmaps, corners, strict=True):
        window = np.zeros((side, side), dtype=bool)
        window[
            max(top - reach, 0) : top + side // 4 + reach, max(left - reach, 0) : left + side // 4 + reach
        ] = True
        shares.append(heatmap[window].sum() / heatmap.sum())
        areas.append(window.mean())
        peaks.append(window.ravel()[heatmap.argmax()])
    assert np.mean(shares) > 0.5 > 2 * np.mean(areas)
    # Statistics know no places but those of the blocks, which are coarser.
    assert np.mean(peaks) > (0.75 if variant == "statistics" else 0.9)


@every_variant
def test_frozen_networks_are_explained_and_no_weight_is_touched(variant: str) -> None:
    torch.manual_seed(0)
    cffn, cn = build_cffn(variant, (2, 3, 4), unit_norm=False), ClassificationNetwork()
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    verdicts = np.array([True, False, True])
    detector = detector_of(cffn, cn, 64)
    learnable = grad_cam(detector, images, verdicts, 3)
    assert all(parameter.grad is None for parameter in [*cffn.parameters(), *cn.parameters()])
    cffn.requires_grad_(False)
    cn.requires_grad_(False)
    np.testing.assert_array_equal(grad_cam(detector, images, verdicts, 3), learnable)
    np.testing.assert_allclose(grad_cam(detector, images, verdicts, 2), learnable, rtol=1e-4, atol=1e-7)
    assert learnable.min() >= 0
    assert grad_cam(detector, images[:0], verdicts[:0], 3).shape == (0, 64, 64)


def test_enlarging_keeps_the_mass_of_a_level() -> None:
    """A cell of a coarse level stands for many pixels: its evidence is spread over them, not multiplied."""
    torch.manual_seed(0)
    cffn, cn = build_cffn("paper", (3,), unit_norm=False), ClassificationNetwork(128)
    detector = detector_of(cffn, cn, 64)
    images = np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    x, verdicts = to_input(images, torch.device("cpu")), np.ones(4, dtype=bool)
    (cam,) = level_cams(cffn, cn, x, torch.from_numpy(verdicts))
    total = grad_cam(detector, images, verdicts, 4).sum(axis=(1, 2))
    np.testing.assert_allclose(total, cam.sum(dim=(1, 2)).numpy(), rtol=1e-4)


@pytest.mark.parametrize("side", [32, 50, 64, 96])
def test_central_share(side: int) -> None:
    maps = np.zeros((4, side, side))
    maps[0] = 3.0
    maps[1, side // 2, side // 2] = 0.1
    maps[2, 0, side - 1] = 7.0
    even, middle, corner, empty = central_share(maps)
    assert even == pytest.approx(0.36, abs=1e-12)
    assert (middle, corner) == (1, 0)
    assert np.isnan(empty)


def test_central_share_against_a_fine_grid() -> None:
    maps = np.random.default_rng(0).random((3, 64, 64))
    fine = maps.repeat(10, axis=1).repeat(10, axis=2)[:, 128:512, 128:512]
    np.testing.assert_allclose(central_share(maps), fine.sum(axis=(1, 2)) / 100 / maps.sum(axis=(1, 2)))
