"""Images a second of every generator in params.yaml, from latents to 8-bit pixels, on the CPU:

python benchmarks/sampling.py [--seconds 5]
"""

import fakeface  # noqa: F401  isort: skip - before PyTorch, whose threads it tells to wait

import argparse
import json
import time

import torch

from fakeface.gans import loaders
from fakeface.gans.sampler import SAMPLE_BATCH
from fakeface.params import load_params
from fakeface.zoo.card import describe_hardware


def images_per_second(name: str, seconds: float) -> float:
    """Speed of ``gans.<name>`` after one batch to warm up."""
    source = loaders.load(name, load_params().gans[name])
    list(source.batches("train", SAMPLE_BATCH, 0, SAMPLE_BATCH))
    made, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        made += sum(len(batch) for batch in source.batches("train", SAMPLE_BATCH, 0, SAMPLE_BATCH))
    return made / elapsed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    speeds = {name: round(images_per_second(name, options.seconds)) for name in load_params().gans}
    print(json.dumps(describe_hardware(torch.device("cpu")) | {"images_per_second": speeds}, indent=2))
