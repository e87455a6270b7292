"""Fake image sets from pretrained generators: fixed latents, disjoint by split and by GAN."""

from __future__ import annotations

import hashlib
import logging
import zlib
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
from fakeface.gans.sampler import SAMPLE_BATCH, Generator
from fakeface.params import Params, ParamsError

GALLERY_SIDE = 8

logger = logging.getLogger(__name__)


def draw_latents(gan: str, split: Split, count: int, z_dim: int, seed: int) -> np.ndarray:
    """Standard normal latents of one split of one GAN.

    The stream is seeded with ``SeedSequence([seed, crc32(gan), index of split])``, so no two splits and no
    two GANs share one, adding a GAN moves no other, and asking for more images keeps the first ones.

    Returns:
        float32 (count, z_dim).
    """
    sequence = np.random.SeedSequence([seed, zlib.crc32(gan.encode("utf-8")), SPLITS.index(split)])
    # RandomState, because NEP 19 freezes its streams for all versions of numpy and Generator's not.
    stream = np.random.RandomState(np.random.MT19937(sequence))
    return stream.standard_normal((count, z_dim)).astype(np.float32)


def sample_split(
    generator: Generator, split: Split, count: int, image_size: int, seed: int, batch_size: int
) -> ImageSet:
    """``count`` images of one split, through the preprocessing that photographs get.

    Args:
        batch_size: images held at native size at a time; rounded up to a multiple of the sampler's own
            batch, it has no influence on the result.

    Raises:
        ImageTooSmallError: if the generator's images are smaller than ``image_size``.
    """
    z = draw_latents(generator.name, split, count, generator.z_dim, seed)
    step = -(-batch_size // SAMPLE_BATCH) * SAMPLE_BATCH
    images = np.empty((count, image_size, image_size, 3), dtype=np.uint8)
    native = 0
    with tqdm(total=count, desc=f"{generator.name} {split}", unit="img", disable=None) as bar:
        for start in range(0, count, step):
            batch = generator.sample(z[start : start + step])
            native = batch.shape[1]
            for offset, image in enumerate(batch):
                try:
                    images[start + offset] = preprocess(Image.fromarray(image), image_size)
                except ImageTooSmallError as error:
                    raise ImageTooSmallError(f"gans.{generator.name}: {error}") from error
            bar.update(len(batch))
    manifest = pd.DataFrame(
        {
            "name": [f"{generator.name}/{split}/{row:06d}" for row in range(count)],
            "source": generator.name,
            "sha256": [hashlib.sha256(image.tobytes()).hexdigest() for image in images],
            "split": split,
            "width": native,
            "height": native,
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
    generator = registry.load(name, params.gans[name])
    counts = {
        "train": params.generate.n_train,
        "val": params.generate.n_val,
        "test": params.generate.n_test,
    }
    seen: set[str] = set()
    with atomic_directory(out) as temporary:
        for split in SPLITS:
            fakes = sample_split(
                generator, split, counts[split], params.image_size, params.seed, params.generate.batch_size
            )
            fakes.write(temporary / split)
            seen.update(fakes.manifest["sha256"])
    write_gallery(gallery, fakes.images)  # of the last split, test
    duplicates = sum(counts.values()) - len(seen)
    if duplicates:
        logger.warning("%s: %d of %d images repeat an earlier one", name, duplicates, sum(counts.values()))
    return {"gan": name, **counts, "duplicates": duplicates}
