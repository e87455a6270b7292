"""Which GANs train and which are tested in each fold of the leave-one-out evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fakeface.base.errors import FakefaceError
from fakeface.params import Params

# Of an epoch of a shortened training: a validation costs about as much as ten.
LEAST_STEPS = 25


class FoldError(FakefaceError, ValueError):
    """A fold cannot be made of these GANs; the message names them."""


@dataclass(frozen=True)
class Fold:
    """One split of the GANs.

    Attributes:
        name: the GAN or the upsampler that is left out.
        train_gans: names of those that pairs, validation, checkpoint and threshold may see.
        test_gans: names of those that the fold is judged by; none of them trains.
    """

    name: str
    train_gans: tuple[str, ...]
    test_gans: tuple[str, ...]

    def __post_init__(self) -> None:
        both = set(self.train_gans) & set(self.test_gans)
        if both:
            raise FoldError(f"fold {self.name}: {', '.join(sorted(both))} would both train and test")
        if not self.train_gans:
            raise FoldError(f"fold {self.name}: no GAN is left to train on; add one to gans")


def make_fold(params: Params, name: str) -> Fold:
    """The fold that leaves out a GAN, or all GANs of an upsampler.

    GANs of ``leave_one_out.never_train`` are of another domain: they train in no fold, and are tested only
    in the fold of their own name.

    Args:
        params: of the experiment.
        name: a GAN of ``gans``, or an upsampler that GANs which may train declare.

    Raises:
        FoldError: if there is no such GAN or upsampler, or none is left to train on.
    """
    trainable = {gan: params.gans[gan].upsampler for gan in params.gans if _may_train(params, gan)}
    if name in params.gans:
        return Fold(name, tuple(gan for gan in trainable if gan != name), (name,))
    if name not in trainable.values():
        known = ", ".join([*params.gans, *dict.fromkeys(trainable.values())])
        raise FoldError(f"there is no GAN or upsampler {name!r} to leave out, expected one of {known}")
    return _without_upsampler(trainable, name)


def nested_folds(params: Params) -> dict[str, list[Fold]]:
    """Folds among the GANs that training may see; held-out GANs never occur.

    Returns:
        ``gans``: each is left out once. ``upsamplers``: all GANs of one are left out, which is harder, and
        nearer to GANs of other people. A list is empty where nothing would be left to train on.
    """
    seen = {gan: params.gans[gan].upsampler for gan in params.training_gans if _may_train(params, gan)}
    upsamplers = list(dict.fromkeys(seen.values()))
    folds: dict[str, list[Fold]] = {"gans": [], "upsamplers": []}
    if len(seen) > 1:
        folds["gans"] = [Fold(gan, tuple(other for other in seen if other != gan), (gan,)) for gan in seen]
    if len(upsamplers) > 1:
        folds["upsamplers"] = [_without_upsampler(seen, name) for name in upsamplers]
    return folds


def fold_params(params: Params, fold: Fold) -> Params:
    """Params of the trainings of a fold: all GANs but the fold's own are held out.

    Args:
        params: of the experiment.
        fold: which GANs train.
    """
    settings = params.leave_one_out
    cffn = params.cffn
    if settings.cffn_steps is not None:
        # Short epochs, so that there is still a choice of checkpoints.
        epochs = max(1, min(cffn.epochs, settings.cffn_steps // LEAST_STEPS))
        steps = math.ceil(settings.cffn_steps / epochs)
        cffn = cffn.model_copy(update={"epochs": epochs, "steps_per_epoch": steps})
    cn = params.cn.model_copy(update={"views": settings.cn_views})
    held_out = [gan for gan in params.gans if gan not in fold.train_gans]
    return params.model_copy(update={"held_out": held_out, "cffn": cffn, "cn": cn})


def _may_train(params: Params, gan: str) -> bool:
    return gan not in params.leave_one_out.never_train


def _without_upsampler(upsampler_of: Mapping[str, str], name: str) -> Fold:
    """GANs that declare ``name`` are tested, the others train."""
    return Fold(
        name,
        tuple(gan for gan, upsampler in upsampler_of.items() if upsampler != name),
        tuple(gan for gan, upsampler in upsampler_of.items() if upsampler == name),
    )
