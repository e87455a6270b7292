"""Where the evidence for a verdict lies: Grad-CAM on the levels of the CFFN.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV
2017, equations 1 and 2: with A_k the maps that a block puts out and y the score of a class,

    alpha_k = mean over positions of dy / dA_k        L = ReLU(sum over k of alpha_k A_k)

The class is the one that the detector decided for, and y is how far its logit is above the other's: all that
a softmax over two classes reads.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from fakeface.detector.detector import Detector
from fakeface.evaluation.explain.judged import HEADLINE, REAL, Judged
from fakeface.evaluation.figures import bare, new_figure, write_png
from fakeface.models.cffn import FeatureNetwork, to_input
from fakeface.models.cn import ClassificationNetwork

# Aligned faces fill the middle: a square of 60 % of the side, 36 % of the area.
CENTRAL_SIDE = 0.6
EXAMPLES = 2
# Evidence for "fake" is drawn in reds, evidence for "photograph" in blues.
COLOUR_MAPS = {True: "Reds", False: "Blues"}
TITLES = {"photographs": "Photographs", "seen": "Fakes of seen GANs", "unseen": "Fakes of unseen GANs"}


def level_cams(
    cffn: FeatureNetwork, cn: ClassificationNetwork, x: torch.Tensor, called_fake: torch.Tensor
) -> list[torch.Tensor]:
    """Grad-CAM of every feature level.

    The networks are in evaluation mode, so that images of a batch do not touch each other; ``x`` is
    (B, 3, S, S) in [-1, 1]; ``called_fake``, bool (B,), the class whose evidence is asked for: fake, or else
    real. Gives (B, s, s) a level, finest first, at its own side, >= 0, in units of the logit.
    """
    with torch.enable_grad():
        # Frozen weights record no graph unless the input asks for one.
        blocks, maps = cffn.blocks_and_maps(x.detach().requires_grad_())
        logits = cn(FeatureNetwork.joint_map(maps))
        towards = torch.where(called_fake, 1.0, -1.0).to(logits)
        score = (logits[:, 1] - logits[:, 0]) * towards
        gradients = torch.autograd.grad(score.sum(), blocks)
    return [
        F.relu((gradient.mean(dim=(2, 3), keepdim=True) * block).sum(dim=1)).detach()
        for block, gradient in zip(blocks, gradients, strict=True)
    ]


def grad_cam(detector: Detector, images: np.ndarray, called_fake: np.ndarray, batch_size: int) -> np.ndarray:
    """One heatmap an image: the Grad-CAMs of the feature levels, enlarged and added up.

    A cell of a coarse level stands for many pixels; its evidence is spread over them, so that levels keep the
    weights that they have in the logit. Computed in float32, whatever the precision of the scores.

    Images are uint8 (N, S, S, 3), preprocessed and laundered, with the verdicts to explain, bool (N,).
    Gives float32 (N, S, S), >= 0; all 0 where no position speaks for the verdict.
    """
    heatmaps = [np.empty((0, *images.shape[1:3]), dtype=np.float32)]
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        x = to_input(np.ascontiguousarray(images[part]), detector.fabric.device)
        verdicts = torch.from_numpy(np.ascontiguousarray(called_fake[part])).to(x.device)
        total = torch.zeros_like(x[:, 0])
        for cam in level_cams(detector.cffn, detector.cn, x, verdicts):
            enlarged = F.interpolate(cam[:, None], x.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
            total += enlarged * (cam[0].numel() / x[0, 0].numel())
        heatmaps.append(total.cpu().numpy())
    return np.concatenate(heatmaps)


def central_share(heatmaps: np.ndarray) -> np.ndarray:
    """Share of each heatmap's mass inside the central square of :data:`CENTRAL_SIDE` of the side.

    float (N, S, S), >= 0, to float64 (N,) in [0, 1], NaN for a heatmap that is 0 everywhere. An even heatmap
    has 0.36.
    """
    side = heatmaps.shape[-1]
    low, high = side * (1 - CENTRAL_SIDE) / 2, side * (1 + CENTRAL_SIDE) / 2
    edges = np.arange(side)
    # How much of each row of pixels lies in the square; its edges cut through pixels.
    inside = np.clip(np.minimum(edges + 1, high) - np.maximum(edges, low), 0, 1)
    maps = heatmaps.astype(np.float64)
    total = maps.sum(axis=(1, 2))
    return np.divide(inside @ maps @ inside, total, out=np.full(len(maps), np.nan), where=total > 0)


def kinds(judged: Judged, held_out: Sequence[str]) -> dict[str, np.ndarray]:
    """Members, bool (N,), of ``photographs``, ``seen`` and ``unseen``, the fakes of seen and unseen GANs."""
    real, unseen = judged.sources == REAL, np.isin(judged.sources, list(held_out))
    return {"photographs": real, "seen": ~real & ~unseen, "unseen": unseen}


def examples(judged: Judged, members: np.ndarray, right: bool) -> np.ndarray:
    """Rows of the hits or misses that the detector was surest of, of different GANs where they are fakes."""
    candidates = members & (judged.right == right)
    several = len(np.unique(judged.sources[members])) >= EXAMPLES
    # A sure hit on a fake has a high score, and so has a sure miss on a photograph.
    fake = not (judged.sources[members] == REAL).any()
    return judged.extreme(candidates, EXAMPLES, highest=fake == right, each=1 if several else None)


def saliency_metrics(judged: Judged, heatmaps: np.ndarray, held_out: Sequence[str]) -> dict[str, Any]:
    """Mean share of the evidence inside the central square, for hits and misses of each kind.

    Returns:
        For each kind ``hits``, ``misses``, ``n_hits`` and ``n_misses``. A share without an image that has
        evidence is None, with the reason under ``undefined``. ``even`` is the share of an even heatmap.
    """
    shares = central_share(heatmaps)
    result: dict[str, Any] = {"even": round(CENTRAL_SIDE**2, 6)}
    for kind, members in kinds(judged, held_out).items():
        block: dict[str, Any] = {}
        undefined = {}
        for name, right in (("hits", True), ("misses", False)):
            rows = members & (judged.right == right)
            defined = shares[rows & ~np.isnan(shares)]
            block[name] = round(float(defined.mean()), 6) if len(defined) else None
            block[f"n_{name}"] = int(rows.sum())
            if not len(defined):
                undefined[name] = f"no {name}" if not rows.any() else "no evidence on any image"
        result[kind] = block | ({"undefined": undefined} if undefined else {})
    return result


def _mean_heatmap(heatmaps: np.ndarray) -> np.ndarray:
    """Mean over images, each weighing the same; 1 everywhere where the evidence is spread evenly."""
    means = heatmaps.mean(axis=(1, 2), dtype=np.float64)
    kept = means > 0
    if not kept.any():
        return np.zeros(heatmaps.shape[1:])
    return (heatmaps[kept] / means[kept, None, None]).mean(axis=0)


def _draw_heatmap(panel: Any, heatmap: np.ndarray, fake: bool, top: float) -> None:
    side = len(heatmap)
    panel.imshow(heatmap, cmap=COLOUR_MAPS[fake], vmin=0, vmax=top or 1.0)
    low, high = side * (1 - CENTRAL_SIDE) / 2 - 0.5, side * (1 + CENTRAL_SIDE) / 2 - 0.5
    panel.plot([low, high, high, low, low], [low, low, high, high, low], "k:", linewidth=0.7)


def _panels(n_groups: int) -> tuple[Figure, np.ndarray]:
    """A figure and bare panels (2, n_groups, 2 * EXAMPLES + 1): pairs of image and heatmap, then a mean."""
    # Inches: no layout engine keeps image and heatmap side by side whatever the width of the titles.
    tile, small, wide, left, line = 1.1, 0.06, 0.22, 0.95, 1.78
    group = (2 * EXAMPLES + 1) * tile + EXAMPLES * (small + wide)
    width, height = left + n_groups * (group + 2 * wide), 2 * line + 1.5
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    panels = np.empty((2, n_groups, 2 * EXAMPLES + 1), dtype=object)
    for row, index, place in np.ndindex(panels.shape):
        x = left + index * (group + 2 * wide) + place * tile + (place // 2) * wide + (place + 1) // 2 * small
        y = height - 1.1 - row * line - tile
        panels[row, index, place] = figure.add_axes((x / width, y / height, tile / width, tile / height))
        bare(panels[row, index, place])
    return figure, panels


def write_saliency(
    path: str | PathLike[str], judged: Judged, heatmaps: np.ndarray, held_out: Sequence[str]
) -> None:
    """A PNG with rows of hits and misses: images that the detector was surest of, each beside its heatmap.

    Photographs, fakes of seen and fakes of unseen GANs stand side by side, each with the mean heatmap of all.
    Heatmaps are float (N, S, S).
    """
    groups = {kind: members for kind, members in kinds(judged, held_out).items() if members.any()}
    figure, panels = _panels(len(groups))
    shares = central_share(heatmaps)
    rows_of = {
        (kind, right): members & (judged.right == right)
        for kind, members in groups.items()
        for right in (True, False)
    }
    means = {cell: _mean_heatmap(heatmaps[rows]) for cell, rows in rows_of.items() if rows.any()}
    top = max((float(mean.max()) for mean in means.values()), default=1.0)
    for index, (kind, members) in enumerate(groups.items()):
        panels[0, index, EXAMPLES].annotate(
            TITLES[kind], (0.5, 1), (0, 36), "axes fraction", "offset points", ha="center", fontsize=13
        )
        for line, right in zip(panels[:, index], (True, False), strict=True):
            fake = (kind != "photographs") == right
            for place, row in enumerate(examples(judged, members, right)):
                line[2 * place].imshow(judged.images[row], interpolation="nearest")
                source = "photograph" if kind == "photographs" else judged.sources[row]
                line[2 * place].set_title(f"{source}\nscore {judged.scores[row]:.3f}", fontsize=9.5)
                _draw_heatmap(line[2 * place + 1], heatmaps[row], fake, float(heatmaps[row].max()))
            if (kind, right) not in means:
                line[0].text(0.5, 0.5, "none", ha="center", va="center", transform=line[0].transAxes)
                continue
            rows = rows_of[kind, right]
            _draw_heatmap(line[-1], means[kind, right], fake, top)
            line[-1].set_title(f"mean of\nall {rows.sum()}", fontsize=9.5)
            if not np.isnan(shares[rows]).all():
                line[-1].set_xlabel(f"{np.nanmean(shares[rows]):.0%} in square", fontsize=9.5)
    for line, text in zip(panels[:, 0], ("HITS\n(right)", "MISSES\n(wrong)"), strict=True):
        line[0].set_ylabel(text, fontsize=12, rotation=0, ha="right", va="center")
    figure.suptitle("Where the evidence for a verdict lies (Grad-CAM)", fontsize=14)
    caption = (
        "Right of each image its heatmap. Red: places that spoke for “fake”; blue: places that spoke for "
        "“photograph”; white: none. Shown are the verdicts that the detector was surest of; score: P(fake), "
        f"above {judged.threshold:.3f} the verdict is “fake”. The dotted square is the middle "
        f"{CENTRAL_SIDE**2:.0%} of the area: evidence that is spread evenly has that share in it. All "
        f"means are on one colour scale. Images of the test split, protocol {HEADLINE}."
    )
    # About 12 characters an inch.
    figure.supxlabel(textwrap.fill(caption, int(11.5 * figure.get_figwidth())), fontsize=10)
    write_png(path, figure)
