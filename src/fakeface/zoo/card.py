"""Final weights of a training run, and the card that says where they come from and how good they are."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from fakeface import __version__
from fakeface.base.downloads import sha256_of
from fakeface.base.errors import FakefaceError
from fakeface.base.files import write_json
from fakeface.gans.loaders.zoo import as_source
from fakeface.gans.weights import load_generator
from fakeface.zoo.recipes import Recipe
from fakeface.zoo.start import Start, describe_hardware, discriminator_file
from fakeface.zoo.trainer import GANTrainer

RUN_FILE = "run.json"
# Yardstick of the zoo: EfficientNet-Lite0, 1,000 fakes, KID over subsets of 500.
N_FAKES = 1000
KID_SUBSET_SIZE = 500

logger = logging.getLogger(__name__)


class CardError(FakefaceError, RuntimeError):
    """A run cannot be described; the message says what is missing."""


def write_run_facts(work_dir: Path, device: torch.device) -> None:
    """Note on which machine and with which torch a run is trained; the card quotes it."""
    write_json(
        work_dir / RUN_FILE,
        {"hardware": describe_hardware(device), "torch_version": torch.__version__.split("+")[0]},
    )


def _run_facts(work_dir: Path) -> dict[str, Any]:
    path = work_dir / RUN_FILE
    if path.is_file():
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return facts
    logger.warning("%s: no such file, the card describes this machine", path)
    return {
        "hardware": describe_hardware(torch.device("cpu")),
        "torch_version": torch.__version__.split("+")[0],
    }


def _pixels_sha256(images: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def finish(
    work_dir: Path, recipe: Recipe, images: np.ndarray, weights_out: Path, start: Start | None = None
) -> GANTrainer:
    """Write the averaged generator of the run's checkpoint, whether or not the recipe is complete.

    Its discriminator goes to ``discriminators/`` beside it: with both, training can go on on any machine.

    The last weights are taken, not the best snapshot's: choosing by KID would fit the generator to the
    photographs it is judged by.

    Returns:
        The run, as resumed from its checkpoint, on the CPU.

    Raises:
        CardError: if ``work_dir`` has no checkpoint of this recipe and these photographs.
    """
    if not (work_dir / "checkpoint.pt").is_file():
        raise CardError(f"{work_dir}: no checkpoint.pt, train first")
    run = GANTrainer(recipe, images, work_dir, torch.device("cpu"), start)
    if not run.resume():
        raise CardError(f"{work_dir}/checkpoint.pt: made with another recipe or other photographs")
    run.snapshot(weights_out)
    run.save_discriminator(discriminator_file(weights_out))
    return run


def write_card(
    work_dir: Path,
    recipe: Recipe,
    images: np.ndarray,
    weights_out: Path,
    card_out: Path,
    reference: np.ndarray,
    *,
    name: str | None = None,
    n_fakes: int = N_FAKES,
    kid_subset_size: int = KID_SUBSET_SIZE,
    curve_points: int = 10,
    start: Start | None = None,
) -> dict[str, Any]:
    """Write the final weights of a run and their card.

    Args:
        work_dir: the run's folder: checkpoint.pt, snapshots/ and, from newer runs, run.json.
        recipe: the run's recipe.
        images: uint8 (N, H, W, 3), the photographs it was trained on.
        weights_out: ``models/gans/<gan>.safetensors``.
        card_out: ``models/gans/<gan>.json``.
        reference: uint8 (M, H, W, 3), photographs that quality is measured against.
        name: the GAN's name; default: the stem of ``weights_out``. With the default seed of params.yaml,
            the measured fakes are the first of the pipeline's own test set.
        n_fakes, kid_subset_size: sample sizes of the quality figures.
        curve_points: at most so many snapshots, evenly spaced, go into the learning curve.
        start: the published weights that the run began with, if any; their curve goes before this one's.

    Returns:
        The card: gan, recipe, data, images_shown, seconds, seed, hardware, versions, weights_sha256, quality,
        history (the runs before this one, of which only weights were kept) and curve, a list of
        ``[images shown, KID]`` that ends with the final weights.

    Raises:
        CardError: see :func:`finish`.
    """
    # Here, because training machines may lack torch-fidelity.
    from fakeface.metrics.extractors import LITE0, extract, extract_once, open_extractor
    from fakeface.metrics.quality import compare

    name = name or weights_out.stem
    earlier = [] if start is None else start.curve
    run = finish(work_dir, recipe, images, weights_out, start)
    extractor = open_extractor(LITE0, None, torch.device("cpu"))
    real = extract_once(extractor, reference, batch_size=50)

    def quality_of(weights: Path) -> dict[str, Any]:
        fakes = _sample(name, weights, n_fakes)
        return compare(extractor, extract(extractor, fakes, 50), real, kid_subset_size=kid_subset_size)

    quality = quality_of(weights_out)
    snapshots = sorted((work_dir / "snapshots").glob("*.safetensors"))
    chosen = sorted({round(i) for i in np.linspace(0, len(snapshots) - 1, min(curve_points, len(snapshots)))})
    curve = [
        [int(snapshots[i].stem), quality_of(snapshots[i])["kid"]]
        for i in tqdm(chosen, desc=f"{name}: KID of snapshots", disable=None)
        if int(snapshots[i].stem) < run.images_shown
    ]
    card = {
        "gan": name,
        "recipe": recipe.model_dump(mode="json"),
        "parameters": sum(parameter.numel() for parameter in run.generator.parameters()),
        "data": {
            "photographs": len(images),
            "image_size": int(images.shape[1]),
            "sha256": _pixels_sha256(images),
        },
        "images_shown": run.images_shown,
        "complete": run.images_shown >= recipe.images,
        "seconds": round(run.seconds),
        "seed": recipe.seed,
        **_run_facts(work_dir),
        "fakeface_version": __version__,
        "weights_sha256": sha256_of(weights_out),
        "reference": {"photographs": len(reference), "sha256": _pixels_sha256(reference)},
        "quality": quality,
        "history": [] if start is None else start.history,
        "curve": [*earlier, *curve, [run.images_shown, quality["kid"]]],
    }
    write_json(card_out, card)
    return card


def _sample(name: str, weights: Path, count: int) -> np.ndarray:
    source = as_source(name, load_generator(weights))
    return np.concatenate(list(source.batches("test", count, seed=0, batch_size=count)))
