"""Train one generator of the zoo, or go on with it: the program behind pipeline/train_gan.py.

Importable with torch, numpy, pillow, pyyaml, pydantic, requests, safetensors and tqdm alone, so that it runs
on a bare GPU machine; only the card, which ``--weights-only`` leaves out, needs torch-fidelity.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from fakeface.base.errors import FakefaceError, MissingFileError
from fakeface.data.image_sets import SPLITS, are_images
from fakeface.zoo.card import CardError, finish, write_card, write_run_facts
from fakeface.zoo.recipes import load_recipe, read_start
from fakeface.zoo.trainer import GANTrainer, run_fingerprint


class ImagesError(FakefaceError, ValueError):
    """An array does not hold photographs; the message says what it holds."""


def read_images(path: Path) -> np.ndarray:
    """Photographs, uint8 (N, H, W, 3), from a ``.npy`` file, an image set, or a folder of image sets.

    Raises:
        MissingFileError, ImagesError: if there is nothing of the kind, or an array is of another.
    """
    candidates = [path, path / "images.npy", *(path / split / "images.npy" for split in SPLITS)]
    files = [file for file in candidates if file.is_file()]
    if not files:
        raise MissingFileError(f"{path}: expected a .npy file, an image set or a folder of image sets")
    arrays = [np.load(file, allow_pickle=False) for file in files]
    for file, array in zip(files, arrays, strict=True):
        if not are_images(array):
            raise ImagesError(f"{file}: images must be uint8 (N, H, W, 3), got {array.dtype} {array.shape}")
    return np.concatenate(arrays)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train_gan.py", description=__doc__)
    parser.add_argument("--gan", required=True, help="an entry of gans in the params file")
    parser.add_argument("--params", type=Path, default=Path("zoo/params.yaml"))
    parser.add_argument("--images", type=Path, required=True, help="training photographs: image set or .npy")
    parser.add_argument("--reference", type=Path, help="photographs to measure quality against")
    parser.add_argument("--out", type=Path, default=Path("models/gans"), help="folder of weights and card")
    parser.add_argument(
        "--work-dir", type=Path, help="checkpoint, log, samples; default: .checkpoints/gans/…"
    )
    parser.add_argument(
        "--start-from", type=Path, help="card of published weights to go on from, models/gans/<gan>.json"
    )
    parser.add_argument("--minutes", type=float, help="stop after so long; the next call goes on from there")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument(
        "--finish", action="store_true", help="no training: weights and card of the checkpoint"
    )
    parser.add_argument("--weights-only", action="store_true", help="no card; torch-fidelity is not needed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train until the recipe is complete or the minutes are up; once complete, write weights and card.

    Raises:
        ParamsError: if the params are wrong or have no such GAN.
        MissingFileError, StartError: if the run cannot go on from ``--start-from``.
        CardError: if a card is wanted and torch-fidelity or a checkpoint is missing.
        TrainingDiverged: if a loss is no longer finite.
    """
    options = _parse(arguments)
    recipe = load_recipe(options.params, options.gan)
    if not options.weights_only and importlib.util.find_spec("torch_fidelity") is None:
        raise CardError("torch-fidelity is not installed; install it or give --weights-only")
    images = read_images(options.images)
    # Named by what decides the weights: another recipe or other photographs never mix with this run.
    start = read_start(options.start_from, recipe) if options.start_from else None
    identity = run_fingerprint(recipe, images, start)[:12]
    default_dir = Path(".checkpoints/gans") / f"{options.gan}-{identity}"
    work_dir = options.work_dir or default_dir
    if not options.finish:
        use_gpu = options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available())
        device = torch.device("cuda" if use_gpu else "cpu")
        trainer = GANTrainer(recipe, images, work_dir, device, start)
        trainer.resume()
        write_run_facts(work_dir, device)
        if not trainer.train(options.minutes * 60 if options.minutes else None):
            print(
                f"{options.gan}: {trainer.images_shown} of {recipe.images} images shown; run again to go on"
            )
            return
    weights, card = options.out / f"{options.gan}.safetensors", options.out / f"{options.gan}.json"
    if options.weights_only:
        finish(work_dir, recipe, images, weights, start)
    else:
        reference = read_images(options.reference) if options.reference else images
        write_card(work_dir, recipe, images, weights, card, reference, start=start)
