"""The contrastive loss over pairs of embeddings.

Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006,
in the form of Hsu, Zhuang and Lee 2020, with y = 1 for a pair of one class and E the L2 distance:

    0.5 * (y * E^2 + (1 - y) * max(0, margin - E)^2)

All fakes are one class: two GANs are never pushed apart. Below it, the other objectives of ``cffn.loss``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from fakeface.params import Params

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


# What the CFFN is trained to minimise: the paper's contrastive loss, and what it is compared with.
#
# Each objective takes a batch of embeddings and says how well real and fake are told apart in it. All fakes
# are one class in every one of them: two GANs are never pushed apart.

# Validation images of each class that the losses without class weights are computed on, at most.
VALIDATION_IMAGES = 2000


def balanced_subset(labels: torch.Tensor, limit: int = VALIDATION_IMAGES) -> torch.Tensor:
    """Rows of as many fakes as reals, evenly spaced, at most ``limit`` of each: int64 (2n,)."""
    classes = [torch.nonzero(labels == label).flatten() for label in (0, 1)]
    count = min(limit, *(len(rows) for rows in classes))
    return torch.cat([rows[torch.arange(count, device=rows.device) * len(rows) // count] for rows in classes])


class Objective(nn.Module):
    """A loss over embeddings float32 (B, D) and labels int64 (B,), 1 for fake. Returns a scalar."""

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of a balanced training batch."""
        raise NotImplementedError

    def validate(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of a validation set in which the classes may have different sizes."""
        rows = balanced_subset(labels)
        return self(embeddings[rows], labels[rows])


class Contrastive(Objective):
    """Every pair of the batch, see :mod:`fakeface.models.losses`: the paper's choice."""

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return all_pairs_loss(embeddings, labels, self.margin)

    def validate(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """All pairs, with the weights that they have in a balanced batch."""
        return balanced_pairs_loss(embeddings, labels, self.margin)


class SupervisedContrastive(Objective):
    """Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, equation 2, on unit embeddings.

    For each anchor, the mean over the others of its class of -log softmax, among all others, of their cosine
    divided by ``temperature``.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        unit = F.normalize(embeddings.float(), dim=1)
        itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
        similarity = (unit @ unit.T / self.temperature).masked_fill(itself, -torch.inf)
        log_share = similarity.log_softmax(dim=1)
        positive = (labels[:, None] == labels[None, :]) & ~itself
        count = positive.sum(dim=1)
        # Not a product with the mask: the diagonal is -inf, and 0 * inf is not 0.
        total = log_share.masked_fill(~positive, 0).sum(dim=1)
        return -(total[count > 0] / count[count > 0]).mean()


class BatchHardTriplet(Objective):
    """Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017, eq. 5.

    For each anchor, its farthest image of the same class should be nearer by ``margin`` than its nearest
    image of the other class.
    """

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        x = embeddings.float()
        squares = x.square().sum(dim=1)
        distance = ((squares[:, None] + squares[None, :] - 2 * x @ x.T).clamp(min=0) + 1e-12).sqrt()
        same = labels[:, None] == labels[None, :]
        farthest = distance.masked_fill(~same, -torch.inf).amax(dim=1)
        nearest = distance.masked_fill(same, torch.inf).amin(dim=1)
        return F.relu(farthest - nearest + self.margin).mean()


class CrossEntropy(Objective):
    """No pairs: a linear layer on the embedding says real or fake. What pairwise learning must beat."""

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.head = nn.Linear(feature_dim, 2)

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.head(embeddings.float()), labels)


def build_objective(params: Params, feature_dim: int) -> Objective:
    """The objective that ``cffn.loss`` names."""
    name = params.cffn.loss
    if name == "contrastive":
        return Contrastive(params.margin)
    if name == "supervised_contrastive":
        return SupervisedContrastive(params.cffn.temperature)
    if name == "triplet":
        return BatchHardTriplet(params.margin)
    return CrossEntropy(feature_dim)
