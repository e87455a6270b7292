"""The contrastive loss over pairs of embeddings.

Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006,
in the form of Hsu, Zhuang and Lee 2020, with y = 1 for a pair of one class and E the L2 distance:

    0.5 * (y * E^2 + (1 - y) * max(0, margin - E)^2)

All fakes are one class: two GANs are never pushed apart.
"""

from __future__ import annotations

import torch

# Under the root only: the derivative of the distance is undefined where two embeddings coincide.
_EPSILON = 1e-12


def contrastive_loss(squared_distance: torch.Tensor, same: torch.Tensor, margin: float) -> torch.Tensor:
    """Loss of each pair.

    Args:
        squared_distance: float (P,), squared L2 distances.
        same: bool (P,), True where both images are real or both are fake.
        margin: distance beyond which a pair of different classes costs nothing.

    Returns:
        float (P,), each >= 0.
    """
    distance = (squared_distance + _EPSILON).sqrt()
    apart = (margin - distance).clamp(min=0).square()
    return 0.5 * torch.where(same, squared_distance, apart)


def all_pairs(embeddings: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Every unordered pair in a batch.

    Args:
        embeddings: float (B, D).
        labels: int (B,).

    Returns:
        squared distances float (B(B-1)/2,) and same-class flags bool of that shape.
    """
    rows, columns = torch.triu_indices(len(embeddings), len(embeddings), offset=1, device=embeddings.device)
    # Inner products cost B^2 D but one matrix product; differences would hold B^2 D numbers.
    gram = embeddings @ embeddings.T
    squares = gram.diagonal()
    squared = (squares[:, None] + squares[None, :] - 2 * gram).clamp(min=0)
    return squared[rows, columns], labels[rows] == labels[columns]


def all_pairs_loss(embeddings: torch.Tensor, labels: torch.Tensor, margin: float) -> torch.Tensor:
    """Mean contrastive loss over every pair of a batch, in float32 whatever the autocast."""
    squared, same = all_pairs(embeddings.float(), labels)
    return contrastive_loss(squared, same, margin).mean()


def branch_pairs_loss(
    left: torch.Tensor, right: torch.Tensor, same: torch.Tensor, margin: float
) -> torch.Tensor:
    """Mean contrastive loss over given pairs: embeddings (P, D) of the two branches, ``same`` (P,)."""
    squared = (left.float() - right.float()).square().sum(dim=1)
    return contrastive_loss(squared, same, margin).mean()


def balanced_pairs_loss(embeddings: torch.Tensor, labels: torch.Tensor, margin: float) -> torch.Tensor:
    """All-pairs loss in which real-real, fake-fake and mixed pairs weigh 1/4, 1/4 and 1/2.

    These are the weights of a balanced batch, so a validation set with many more fakes than reals
    is judged by the same measure as training is. Both classes must have two members.
    """
    squared, same = all_pairs(embeddings.float(), labels)
    loss = contrastive_loss(squared, same, margin)
    rows, _ = torch.triu_indices(len(labels), len(labels), offset=1, device=labels.device)
    fake_first = labels[rows] == 1
    real_real, fake_fake = loss[same & ~fake_first], loss[same & fake_first]
    return 0.25 * real_real.mean() + 0.25 * fake_fake.mean() + 0.5 * loss[~same].mean()
