"""Training of the CFFN: this project's loop, the network alone, and two branches as others train them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from PIL import Image
from timing import Section, in_turns, rate
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from fakeface.base.runtime import make_fabric
from fakeface.data.image_sets import ImageSet
from fakeface.detector.batches import DetectorData
from fakeface.detector.train_cffn import CffnTrainer
from fakeface.models.cffn import to_input
from fakeface.models.losses import all_pairs_loss, branch_pairs_loss
from fakeface.params import Params

OF_A_GROUP = 300
# Its network and what goes with it.
PAPER = {"variant": "paper", "crop": None, "corrupted": 0.0}
ROWS = (
    "this project, all pairs of a batch, laundering",
    "the network alone, one batch again and again",
    "this project, sampled pairs in two branches",
    "two branches from an image folder by DataLoader, nothing laundered",
)


def smooth_pictures(params: Params) -> DetectorData:
    """Random pictures: JPEG's cost depends on the content, and white noise would overstate it."""
    gans, size = params.training_gans, params.image_size
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(len(gans) + 1), OF_A_GROUP)
    cells = torch.from_numpy(rng.integers(0, 256, (len(groups), 3, 8, 8)).astype(np.float32))
    images = torch.nn.functional.interpolate(cells, size=size, mode="bicubic").clamp(0, 255)
    images = images.permute(0, 2, 3, 1).byte().numpy()
    names = [f"{group}/{i}" for i, group in enumerate(groups)]
    sources = np.array(["", *gans], dtype=object)[groups]
    manifest = pd.DataFrame({"name": names, "source": sources, "sha256": names, "split": "train"})
    parts = tuple(
        ImageSet(images[groups == g], manifest[groups == g].reset_index(drop=True)) for g in np.unique(groups)
    )
    return DetectorData(parts, groups, manifest, tuple(gans))


def project_loop(params: Params, data: DetectorData, seconds: float) -> Callable[[], float]:
    """Images a second of a whole training, prefetching included, without its validation."""

    def measure() -> float:
        speed = 500.0
        for length in (min(2.0, seconds), seconds):  # the first one is for the second one's number of steps
            steps = max(5, int(length * speed / params.cffn.batch_size))
            cffn = params.cffn.model_copy(update={"epochs": 1, "steps_per_epoch": steps})
            trial = params.model_copy(update={"cffn": cffn})
            with tempfile.TemporaryDirectory() as folder, chdir(folder):  # its checkpoint is nobody's
                trainer = CffnTrainer(trial, data, data.thinned(4, 4), make_fabric(trial))
                speed = trainer.fit().metrics["images_per_second"]
        return speed

    return measure


def bare_loop(params: Params, data: DetectorData, seconds: float) -> Callable[[], float]:
    """Images a second of the network's steps on a batch that is there already."""
    fabric = make_fabric(params)
    trainer = CffnTrainer(params, data, data, fabric)
    rows = trainer.batches.batch(0).rows
    side = params.cffn.crop or params.image_size
    x = to_input(np.ascontiguousarray(data.images(rows)[:, :side, :side]), fabric.device)
    labels = torch.from_numpy(data.labels[rows]).to(fabric.device)

    def step() -> int:
        _update(trainer, fabric, all_pairs_loss(trainer.model(x), labels, params.margin))
        return len(rows)

    trainer.model.train()
    return lambda: rate(step, seconds)


def folder_loop(params: Params, data: DetectorData, folder: Path, seconds: float) -> Callable[[], float]:
    """Images a second of two branches whose pairs a DataLoader reads from image files."""
    fabric = make_fabric(params)
    sampled = params.model_copy(update={"cffn": params.cffn.model_copy(update={"pairing": "sampled"})})
    trainer = CffnTrainer(sampled, data, data, fabric)
    loader = DataLoader(
        Pairs(folder, params.cffn.crop),
        batch_size=params.cffn.batch_size,
        shuffle=True,
        num_workers=min(os.cpu_count() or 1, 8),
        drop_last=True,
        persistent_workers=True,
    )
    batches = _endless(loader)

    def step() -> int:
        left, right, same = (part.to(fabric.device, non_blocking=True) for part in next(batches))
        embeddings = trainer.model(torch.cat([left, right]), len(left))
        _update(
            trainer,
            fabric,
            branch_pairs_loss(embeddings[: len(left)], embeddings[len(left) :], same, params.margin),
        )
        return 2 * len(left)

    trainer.model.train()
    return lambda: rate(step, seconds)


class Pairs(Dataset):
    """A picture of an image folder and another one at random, and whether both are of one class."""

    def __init__(self, folder: Path, crop: int | None) -> None:
        cut = [] if crop is None else [v2.RandomCrop(crop)]
        to_tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)]
        self.images = ImageFolder(str(folder), v2.Compose([*cut, *to_tensor]))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, bool]:
        left, left_class = self.images[index]
        right, right_class = self.images[int(torch.randint(len(self.images), ()))]
        return left, right, left_class == right_class


def _endless(loader: DataLoader) -> Iterator[list[torch.Tensor]]:
    while True:
        yield from loader


def _update(trainer: CffnTrainer, fabric: Fabric, loss: torch.Tensor) -> None:
    trainer.optimiser.zero_grad(set_to_none=True)
    fabric.backward(loss)
    trainer.optimiser.step()


def write_folder(data: DetectorData, folder: Path) -> None:
    """The pictures as PNG files, a folder a class."""
    for number, (image, label) in enumerate(zip(data.images(np.arange(len(data))), data.labels, strict=True)):
        path = folder / ("fake" if label else "real") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def measure(params: Params, seconds: float, repeats: int) -> dict[str, Section]:
    """Images a second, for the network of ``params`` and for the paper's."""
    data = smooth_pictures(params)
    paper = params.model_copy(update={"cffn": params.cffn.model_copy(update=PAPER)})
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        write_folder(data, Path(folder))
        for name, trial in ((params.cffn.variant, params), ("paper", paper)):
            sampled = trial.model_copy(update={"cffn": trial.cffn.model_copy(update={"pairing": "sampled"})})
            loops = (
                project_loop(trial, data, seconds),
                bare_loop(trial, data, seconds),
                project_loop(sampled, data, seconds),
                folder_loop(trial, data, Path(folder), seconds),
            )
            rows = in_turns(dict(zip(ROWS, loops, strict=True)), repeats)
            ours, bare, _, folder_branches = (rows[row]["median"] for row in ROWS)
            batch = trial.cffn.batch_size
            # A batch has B(B - 1)/2 pairs on B images; two branches have B pairs on 2B images.
            ratios = {
                "this project's images/s as a share of the network's alone": ours / bare,
                "this project's pairs/s, times those of two branches from an image folder": ours
                * (batch - 1)
                / folder_branches,
            }
            note = f"`cffn.variant: {name}`, batches of {batch}, {trial.precision}."
            result[f"Training, {name}"] = Section("images/s", rows, ratios, note)
    return result
