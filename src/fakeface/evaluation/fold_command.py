"""Which fold a script is asked for: a GAN, or ``--upsampler`` and its name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from fakeface.evaluation.folds import Fold, gan_fold, upsampler_fold
from fakeface.params import Params


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
