"""Which GANs train and which are tested in each fold of the leave-one-out evaluation."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
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


def _trainable(params: Params) -> list[str]:
    return [gan for gan in params.gans if gan not in params.leave_one_out.never_train]


def gan_fold(params: Params, gan: str) -> Fold:
    """All GANs but ``gan`` train, without those of another domain.

    Raises:
        FoldError: if there is no such GAN or none is left to train on.
    """
    if gan not in params.gans:
        raise FoldError(f"there is no GAN {gan!r} in gans, expected one of {', '.join(params.gans)}")
    return Fold(gan, tuple(other for other in _trainable(params) if other != gan), (gan,))


def upsamplers(params: Params) -> list[str]:
    """Upsamplers of the GANs that train, each once, in the order of ``gans``."""
    return list(dict.fromkeys(params.gans[gan].upsampler for gan in _trainable(params)))


def upsampler_fold(params: Params, upsampler: str) -> Fold:
    """All GANs with ``upsampler`` are tested, GANs with others train; those of another domain do neither.

    Raises:
        FoldError: if no GAN has this upsampler, or none has another.
    """
    trainable = _trainable(params)
    tested = tuple(gan for gan in trainable if params.gans[gan].upsampler == upsampler)
    if not tested:
        known = ", ".join(upsamplers(params))
        raise FoldError(f"no GAN that may train has upsampler {upsampler!r}, expected one of {known}")
    fold = Fold(upsampler, tuple(gan for gan in trainable if gan not in tested), tested)
    require_other_upsamplers(params, fold)
    return fold


def require_other_upsamplers(params: Params, fold: Fold) -> None:
    """Refuse a fold in which a training GAN shares its declared upsampler with a tested one.

    Raises:
        FoldError: naming both.
    """
    for tested in fold.test_gans:
        for trained in fold.train_gans:
            if params.gans[tested].upsampler == params.gans[trained].upsampler:
                raise FoldError(
                    f"fold {fold.name}: {trained} trains and {tested} is tested, "
                    f"and both declare upsampler {params.gans[tested].upsampler!r}"
                )


def _seen(params: Params) -> list[str]:
    return [gan for gan in params.training_gans if gan in _trainable(params)]


def nested_folds(params: Params) -> list[Fold]:
    """Folds among the GANs that training may see: each is left out once, held-out GANs never occur.

    None where only one GAN may be seen: nothing would be left to train on.
    """
    seen = _seen(params)
    if len(seen) < 2:
        return []
    return [Fold(gan, tuple(other for other in seen if other != gan), (gan,)) for gan in seen]


def nested_upsampler_folds(params: Params) -> list[Fold]:
    """The same with all GANs of one upsampler left out: harder, and nearer to GANs of other people.

    None where the GANs that may be seen share one upsampler.
    """
    seen = _seen(params)
    declared = {gan: params.gans[gan].upsampler for gan in seen}
    names = list(dict.fromkeys(declared.values()))
    if len(names) < 2:
        return []
    return [
        Fold(
            name,
            tuple(gan for gan in seen if declared[gan] != name),
            tuple(gan for gan in seen if declared[gan] == name),
        )
        for name in names
    ]


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


# -------------------------------------------------------------------------------------------------
# Which fold a script is asked for: a GAN, or ``--upsampler`` and its name.


def read_fold(params: Params, arguments: Sequence[str] | None = None) -> tuple[Fold, bool]:
    """The fold, and whether an upsampler is left out rather than a GAN.

    Args:
        params: of the experiment.
        arguments: of the command line; None for the process's own.

    Raises:
        FoldError: if there is no such GAN or upsampler, or nothing is left to train on.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("name", help="a GAN of params.yaml, or an upsampler")
    parser.add_argument("--upsampler", action="store_true", help="leave out all GANs of this upsampler")
    options = parser.parse_args(arguments)
    make = upsampler_fold if options.upsampler else gan_fold
    return make(params, options.name), options.upsampler
