"""One job over several processes: who does which rows, and how the parts come together again.

A training with several processes computes what one process computes on the same batch. Each takes every
``world_size``-th row of it, the embeddings of all are gathered, and the loss is taken over all pairs of the
whole batch, not only over those within a process.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import SingleDeviceStrategy
from torch import nn

from fakeface.base.errors import FakefaceError

T = TypeVar("T")


class ElsewhereError(FakefaceError, RuntimeError):
    """The first process failed with an error of the package; this one ends with the same message."""


def quiet(fabric: Fabric) -> bool | None:
    """Whether a progress bar is to be off: in all processes but the first, and where there is no terminal."""
    return None if fabric.is_global_zero else True


def share(count: int, fabric: Fabric, *, padded: bool = False) -> np.ndarray:
    """Places in a batch of ``count`` >= 1 rows that this process works on: int64, every ``world_size``-th.

    ``padded``: as many for every process; the last place is done again where there are none left, so that
    none has nothing to do. For what is computed row by row; :func:`gather` drops the rest.
    """
    if padded:
        longest = math.ceil(count / fabric.world_size)
        places = np.arange(longest) * fabric.world_size + fabric.global_rank
        return np.minimum(places, count - 1)
    return np.arange(fabric.global_rank, count, fabric.world_size)


def gather(part: torch.Tensor, count: int, fabric: Fabric, *, differentiable: bool = False) -> torch.Tensor:
    """Rows of all processes in the order of the batch.

    Args:
        part: rows of this process's :func:`share`, padded or not.
        count: of the whole batch, the same in every process.
        fabric: of the job.
        differentiable: let gradients flow back, each to the process whose row it is. They are then
            ``world_size`` times too large, which the averaging of DistributedDataParallel takes off again.

    Returns:
        (count, ...), the same in every process.
    """
    if fabric.world_size == 1:
        return part
    longest = math.ceil(count / fabric.world_size)
    padding = part.new_zeros(longest - len(part), *part.shape[1:])
    parts = fabric.all_gather(torch.cat([part, padding]), sync_grads=differentiable)
    return cast(torch.Tensor, parts).transpose(0, 1).flatten(0, 1)[:count]


def gather_array(part: np.ndarray, count: int, fabric: Fabric) -> np.ndarray:
    """:func:`gather` for arrays."""
    if fabric.world_size == 1:
        return part
    return gather(torch.from_numpy(part).to(fabric.device), count, fabric).cpu().numpy()


def first_alone(work: Callable[[], T], fabric: Fabric) -> T:
    """Let the first process work and give its result, which must be picklable, to all.

    Raises:
        ElsewhereError: in the others, if the first one fails with a FakefaceError; it raises its own.
    """
    if fabric.world_size == 1:
        return work()
    result: T | None = None
    failure: FakefaceError | None = None
    if fabric.is_global_zero:
        try:
            result = work()
        except FakefaceError as error:
            failure = error
    message, result = fabric.broadcast((None if failure is None else str(failure), result), src=0)
    if failure is not None:
        raise failure
    if message is not None:
        raise ElsewhereError(message)
    return cast(T, result)


def alone(fabric: Fabric) -> Fabric:
    """A Fabric for this process only, on its device and in its precision."""
    if fabric.world_size == 1:
        return fabric
    strategy = SingleDeviceStrategy(fabric.device, precision=fabric.strategy.precision)
    return Fabric(strategy=strategy)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; all of them feel a change, hence the sum on the way back."""

    @staticmethod
    def forward(_: Any, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *grads: torch.Tensor) -> torch.Tensor:
        total = grads[0].clone()
        torch.distributed.all_reduce(total)
        return total


class JointBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose mean and variance are those of the batches of all processes together.

    What ``torch.nn.SyncBatchNorm`` is on GPUs, on any device: that one refuses a CPU. Processes may have
    different numbers of rows.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same shape."""
        if not self.training:
            return super().forward(input)
        x = input if input.dtype == torch.float64 else input.float()
        count = x.new_full((1,), x.numel() / x.shape[1])
        # The variance in two passes: a difference of large sums would lose digits.
        total = _Sum.apply(torch.cat([x.sum(dim=(0, 2, 3)), count]))
        number = total[-1].detach()
        mean = total[:-1] / number
        centred = x - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum(dim=(0, 2, 3))) / number
        if self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                cast(torch.Tensor, self.num_batches_tracked).add_(1)
                momentum = cast(float, self.momentum)
                unbiased = variance * number / (number - 1)
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)
        y = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.affine:
            y = y * self.weight[:, None, None] + self.bias[:, None, None]
        return y.to(input.dtype)


def join_batch_norms(network: nn.Module, fabric: Fabric) -> None:
    """Let the batch norms of ``network`` see the joined batch; with one process nothing changes.

    Layers are replaced; names, weights and running statistics stay.
    """
    if fabric.world_size == 1:
        return
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.BatchNorm2d:
                joint = JointBatchNorm2d(layer.num_features, layer.eps, layer.momentum, layer.affine)
                joint.load_state_dict(layer.state_dict())
                joint.requires_grad_(next(layer.parameters()).requires_grad if layer.affine else False)
                parent.add_module(name, joint.to(fabric.device).train(layer.training))
