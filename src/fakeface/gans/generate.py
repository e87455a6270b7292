"""Fake image sets from pretrained generators: fixed latents, disjoint by split and by GAN."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from fakeface.atomic import atomic_directory, atomic_path
from fakeface.data.imageset import ImageSet
from fakeface.data.preprocess import ImageTooSmallError, preprocess
from fakeface.data.splits import SPLITS, Split
from fakeface.gans import registry
from fakeface.gans.disturbed import with_disturbed
from fakeface.gans.sampler import Source
from fakeface.params import Params, ParamsError

GALLERY_SIDE = 8

logger = logging.getLogger(__name__)


def sample_split(
    source: Source, split: Split, count: int, image_size: int, seed: int, batch_size: int
) -> ImageSet:
    """``count`` images of one split, or as many as the source has, through the preprocessing of photographs.

    Args:
        batch_size: images held at native size at a time, about; it has no influence on the result.

    Raises:
        ImageTooSmallError: if the source's images are smaller than ``image_size``.
    """
    images = np.empty((count, image_size, image_size, 3), dtype=np.uint8)
    sizes: list[tuple[int, int]] = []
    with tqdm(total=count, desc=f"{source.name} {split}", unit="img", disable=None) as bar:
        for batch in source.batches(split, count, seed, batch_size):
            for image in batch:
                try:
                    images[len(sizes)] = preprocess(Image.fromarray(image), image_size)
                except ImageTooSmallError as error:
                    raise ImageTooSmallError(f"gans.{source.name}: {error}") from error
                sizes.append((image.shape[1], image.shape[0]))
            bar.update(len(batch))
    images = images[: len(sizes)]
    manifest = pd.DataFrame(
        {
            "name": [f"{source.name}/{split}/{row:06d}" for row in range(len(sizes))],
            "source": source.name,
            "sha256": [hashlib.sha256(image.tobytes()).hexdigest() for image in images],
            "split": split,
            "width": [width for width, _ in sizes],
            "height": [height for _, height in sizes],
        }
    )
    return ImageSet(images, manifest)


def write_gallery(path: Path, images: np.ndarray) -> None:
    """The first 64 of ``images`` (uint8 NHWC) as a PNG grid of 8 columns; missing ones stay white."""
    shown = np.asarray(images[: GALLERY_SIDE**2])
    _, height, width, _ = shown.shape
    rows = -(-len(shown) // GALLERY_SIDE)
    grid = np.full((rows * GALLERY_SIDE, height, width, 3), 255, dtype=np.uint8)
    grid[: len(shown)] = shown
    grid = grid.reshape(rows, GALLERY_SIDE, height, width, 3).transpose(0, 2, 1, 3, 4)
    with atomic_path(path) as temporary:
        Image.fromarray(grid.reshape(rows * height, GALLERY_SIDE * width, 3)).save(temporary, format="PNG")


def generate(name: str, params: Params, out: Path, gallery: Path) -> dict[str, Any]:
    """Write ``out``/{train,val,test} and the picture ``gallery`` for the GAN ``gans.<name>``.

    Everything runs on the CPU: one machine gives the same bytes with and without a GPU.

    Returns:
        ``{gan, train, val, test, duplicates}``: images a split, and how many images repeat the pixels of an
        earlier one in any split (a sign of mode collapse; they are kept).

    Raises:
        ParamsError: if params.yaml has no such GAN.
        ImageTooSmallError, LoaderError, WeightsError, WheelError, GeneratorOutputError: see their docstrings.
    """
    if name not in params.gans:
        raise ParamsError(f"gans has no entry {name!r}, expected one of {', '.join(params.gans)}")
    source = with_disturbed(registry.load(name, params.gans[name]), params.generate.disturbed)
    wanted = {
        "train": params.generate.n_train,
        "val": params.generate.n_val,
        "test": params.generate.n_test,
    }
    seen: set[str] = set()
    counts: dict[str, int] = {}
    with atomic_directory(out) as temporary:
        for split in SPLITS:
            fakes = sample_split(
                source, split, wanted[split], params.image_size, params.seed, params.generate.batch_size
            )
            counts[split] = len(fakes)
            fakes.write(temporary / split)
            seen.update(fakes.manifest["sha256"])
    write_gallery(gallery, fakes.images)  # of the last split, test
    duplicates = sum(counts.values()) - len(seen)
    if duplicates:
        logger.warning("%s: %d of %d images repeat an earlier one", name, duplicates, sum(counts.values()))
    return {"gan": name, **counts, "duplicates": duplicates}
