"""Balanced batches as a pure function of the step number.

Nothing is carried from one step to the next, so a run that resumes at step n draws what an
uninterrupted run would have drawn.
"""

from __future__ import annotations

import numpy as np


class BalancedBatches:
    """Half real, half fake, the fakes spread evenly over their GANs.

    Each group (the reals, or one GAN) is walked through in a random order that is drawn anew
    each time it is used up.

    Args:
        groups: int (N,), 0 for real and 1, 2, ... for the GANs; every group must have a member.
        batch_size: even number of images a batch.
        seed: decides the orders.
    """

    def __init__(self, groups: np.ndarray, batch_size: int, seed: int) -> None:
        if batch_size < 2 or batch_size % 2:
            raise ValueError(f"batch_size must be an even number >= 2, got {batch_size}")
        count = int(groups.max()) + 1 if len(groups) else 0
        self._members = [np.flatnonzero(groups == group) for group in range(count)]
        empty = [group for group, members in enumerate(self._members) if not len(members)]
        if count < 2 or empty:
            raise ValueError(f"batches need real and fake images, got groups {count}, empty {empty}")
        self.half = batch_size // 2
        self.seed = seed
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def _draw(self, group: int, position: int) -> int:
        """Member number ``position`` of the endless walk through ``group``."""
        members = self._members[group]
        lap, offset = divmod(position, len(members))
        if group not in self._orders or self._orders[group][0] != lap:
            rng = np.random.default_rng([self.seed, group, lap])
            self._orders[group] = (lap, rng.permutation(members))
        return int(self._orders[group][1][offset])

    def batch(self, step: int) -> np.ndarray:
        """Rows of batch ``step``: int64 (batch_size,), first the reals, then the fakes."""
        gans = len(self._members) - 1
        start = step * self.half
        reals = [self._draw(0, start + i) for i in range(self.half)]
        fakes = [self._draw(1 + (start + i) % gans, (start + i) // gans) for i in range(self.half)]
        return np.array(reals + fakes, dtype=np.int64)

    def pairs(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The paper's random pairs: rows of the two branches, int64 (batch_size,) each.

        Half of the pairs are of one class. The left branch is a balanced batch; its partner is a
        random image of the wanted class, a fake one of a random GAN.
        """
        rng = np.random.default_rng([self.seed, 2**31, step])
        left = self.batch(step)
        left_fake = np.arange(len(left)) >= self.half
        # Alternating keeps both classes and both kinds of pair at exactly one half each.
        same = np.arange(len(left)) % 2 == 0
        right = np.empty_like(left)
        for i, partner_fake in enumerate(left_fake == same):
            group = 1 + rng.integers(len(self._members) - 1) if partner_fake else 0
            members = self._members[group]
            right[i] = members[rng.integers(len(members))]
        return left, right
