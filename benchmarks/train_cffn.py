"""CFFN training speed: python benchmarks/train_cffn.py [--seconds 15]

Three loops on the same random images and the same network, one after the other: this project's step with
laundering and every pair of a batch; the bare network without any input side; and two branches over sampled
pairs, laundered alike, which is how the paper and public re-implementations train.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fakeface.data.imageset import ImageSet
from fakeface.detector.dataset import DetectorData, to_input
from fakeface.detector.losses import all_pairs_loss
from fakeface.detector.train_cffn import CffnTrainer
from fakeface.params import Params, load_params
from fakeface.runtime import device_name, make_fabric


def random_data(gans: list[str], count: int, size: int) -> DetectorData:
    """Smooth random pictures: JPEG's cost depends on the content, and white noise would overstate it."""
    rng = np.random.default_rng(0)
    cells = torch.from_numpy(rng.integers(0, 256, (count * (len(gans) + 1), 3, 8, 8)).astype(np.float32))
    images = torch.nn.functional.interpolate(cells, size=size, mode="bicubic").clamp(0, 255)
    images = images.permute(0, 2, 3, 1).byte().numpy()
    groups = np.repeat(np.arange(len(gans) + 1), count)
    names = [f"{group}/{i}" for i, group in enumerate(groups)]
    manifest = pd.DataFrame({"name": names, "source": groups, "sha256": names, "split": "train"})
    parts = tuple(
        ImageSet(images[groups == g], manifest[groups == g].reset_index(drop=True)) for g in np.unique(groups)
    )
    return DetectorData(parts, groups, manifest, tuple(gans))


def rate(step: Callable[[int], int], seconds: float) -> float:
    """Images a second of ``step(number) -> images``, after five steps to warm up."""
    for number in range(5):
        step(number)
    images, number, started = 0, 5, time.perf_counter()
    while time.perf_counter() - started < seconds:
        images += step(number)
        number += 1
    return images / (time.perf_counter() - started)


def whole_epochs(params: Params, data: DetectorData, seconds: float) -> tuple[float, float]:
    """Images/s and pairs/s of the real training loop, prefetching included."""
    steps = max(20, int(seconds * 600 / params.cffn.batch_size))
    cffn = params.cffn.model_copy(update={"epochs": 1, "steps_per_epoch": steps})
    params = params.model_copy(update={"cffn": cffn})
    metrics = CffnTrainer(params, data, data, make_fabric(params)).fit().metrics
    return metrics["images_per_second"], metrics["pairs_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--params", default="params.yaml")
    arguments = parser.parse_args()
    params = load_params(Path(arguments.params).resolve())
    gans = params.training_gans
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # checkpoints of a benchmark are nobody's
        data = random_data(gans, 300, params.image_size)
        sampled = params.model_copy(update={"cffn": params.cffn.model_copy(update={"pairing": "sampled"})})
        ours, our_pairs = whole_epochs(params, data, arguments.seconds)
        _, branch_pairs = whole_epochs(sampled, data, arguments.seconds)

        fabric = make_fabric(params)
        trainer = CffnTrainer(params, data, data, fabric)
        rows = trainer.batches.batch(0)
        x = to_input(data.images(rows), fabric.device)
        labels = torch.from_numpy(data.labels[rows]).to(fabric.device)

        def bare(_: int) -> int:
            loss = all_pairs_loss(trainer.model(x), labels, params.margin)
            trainer.optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            trainer.optimiser.step()
            return len(rows)

        trainer.model.train()
        bare_rate = rate(bare, arguments.seconds)
    print(f"device {device_name(fabric.device)}, {torch.get_num_threads()} threads, {params.precision}")
    print(f"this project: {ours:8.0f} images/s  {our_pairs:10.0f} pairs/s")
    print(f"bare network: {bare_rate:8.0f} images/s  (this project reaches {ours / bare_rate:.0%})")
    times = our_pairs / branch_pairs
    print(f"two branches: {'':8} {branch_pairs:18.0f} pairs/s  (this project: {times:.0f} times)")


if __name__ == "__main__":
    main()
