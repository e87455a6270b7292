"""Final weights of a training run, and the card that says where they come from and how good they are."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from fakeface import __version__
from fakeface.base.downloads import sha256_of
from fakeface.base.errors import FakefaceError
from fakeface.base.files import write_json
from fakeface.data.image_sets import pixels_sha256
from fakeface.gans.loaders.checkpoints import as_source
from fakeface.gans.weights import load_generator
from fakeface.zoo.recipes import Recipe, Start, discriminator_file
from fakeface.zoo.trainer import GANTrainer

RUN_FILE = "run.json"
# Yardstick of the zoo: EfficientNet-Lite0, 1,000 fakes, KID over subsets of 500.
N_FAKES = 1000
KID_SUBSET_SIZE = 500

logger = logging.getLogger(__name__)


class CardError(FakefaceError, RuntimeError):
    """A run cannot be described; the message says what is missing."""


def describe_hardware(device: torch.device) -> dict[str, str | int]:
    """``{device, name, cores}`` of the GPU or the processor that ``device`` names."""
    if device.type == "cuda":
        return {"device": "cuda", "name": torch.cuda.get_device_name(device), "cores": os.cpu_count() or 1}
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    name = model.group(1).strip() if model else platform.processor() or platform.machine()
    return {"device": device.type, "name": name, "cores": os.cpu_count() or 1}


def _facts_of(device: torch.device) -> dict[str, Any]:
    return {"hardware": describe_hardware(device), "torch_version": torch.__version__.split("+")[0]}


def write_run_facts(work_dir: Path, device: torch.device) -> None:
    """Note on which machine and with which torch a run is trained; the card quotes it."""
    write_json(work_dir / RUN_FILE, _facts_of(device))


def _run_facts(work_dir: Path) -> dict[str, Any]:
    path = work_dir / RUN_FILE
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    logger.warning("%s: no such file, the card describes this machine", path)
    return _facts_of(torch.device("cpu"))


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


def _quality_against(
    reference: np.ndarray, name: str, n_fakes: int, kid_subset_size: int
) -> Callable[[Path], dict[str, Any]]:
    """A function from a weights file to the quality of ``n_fakes`` of its fakes."""
    # Here, because training machines may lack torch-fidelity.
    from fakeface.metrics.extractors import LITE0, extract, extract_once, open_extractor
    from fakeface.metrics.quality import compare

    extractor = open_extractor(LITE0, None, torch.device("cpu"))
    real = extract_once(extractor, reference, batch_size=50)

    def quality_of(weights: Path) -> dict[str, Any]:
        source = as_source(name, load_generator(weights))
        fakes = np.concatenate(list(source.batches("test", n_fakes, seed=0, batch_size=n_fakes)))
        return compare(extractor, extract(extractor, fakes, 50), real, kid_subset_size=kid_subset_size)

    return quality_of


def write_card(
    work_dir: Path,
    recipe: Recipe,
    images: np.ndarray,
    weights_out: Path,
    card_out: Path,
    reference: np.ndarray,
    *,
    n_fakes: int = N_FAKES,
    kid_subset_size: int = KID_SUBSET_SIZE,
    curve_points: int = 10,
    start: Start | None = None,
) -> dict[str, Any]:
    """Write the final weights of a run and their card.

    Args:
        work_dir: the run's folder: checkpoint.pt, snapshots/ and, from newer runs, run.json.
        recipe, images: the run's recipe, and the photographs it was trained on, uint8 (N, H, W, 3).
        weights_out: ``models/gans/<gan>.safetensors``. With the default seed of params.yaml, the measured
            fakes are the first of the pipeline's own test set of this name.
        card_out: ``models/gans/<gan>.json``.
        reference: uint8 (M, H, W, 3), photographs that quality is measured against.
        n_fakes, kid_subset_size: sample sizes of the quality figures.
        curve_points: at most so many snapshots, evenly spaced, go into the learning curve.
        start: the published weights that the run began with, if any; their curve goes before this one's.

    Returns:
        The card. Its ``history`` lists the runs before this one, of which only weights were kept; its
        ``curve`` is a list of ``[images shown, KID]`` that ends with the final weights.

    Raises:
        CardError: see :func:`finish`.
    """
    name = weights_out.stem
    run = finish(work_dir, recipe, images, weights_out, start)
    quality_of = _quality_against(reference, name, n_fakes, kid_subset_size)
    quality = quality_of(weights_out)
    snapshots = sorted((work_dir / "snapshots").glob("*.safetensors"))
    chosen = sorted({round(i) for i in np.linspace(0, len(snapshots) - 1, min(curve_points, len(snapshots)))})
    curve = [
        [int(snapshots[i].stem), quality_of(snapshots[i])["kid"]]
        for i in tqdm(chosen, desc=f"{name}: KID of snapshots", disable=None)
        if int(snapshots[i].stem) < run.images_shown
    ]
    history, earlier = ([], []) if start is None else (start.history, start.curve)
    card = {
        "gan": name,
        "recipe": recipe.model_dump(mode="json"),
        "parameters": sum(parameter.numel() for parameter in run.generator.parameters()),
        "data": {
            "photographs": len(images),
            "image_size": int(images.shape[1]),
            "sha256": pixels_sha256(images),
        },
        "images_shown": run.images_shown,
        "complete": run.images_shown >= recipe.images,
        "seconds": round(run.seconds),
        "seed": recipe.seed,
        **_run_facts(work_dir),
        "fakeface_version": __version__,
        "weights_sha256": sha256_of(weights_out),
        "reference": {"photographs": len(reference), "sha256": pixels_sha256(reference)},
        "quality": quality,
        "history": history,
        "curve": [*earlier, *curve, [run.images_shown, quality["kid"]]],
    }
    write_json(card_out, card)
    return card
