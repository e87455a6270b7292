"""Fake image sets from pretrained generators: fixed latents, disjoint by split and by GAN."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from fakeface.base.files import atomic_directory
from fakeface.data.image_sets import SPLITS, ImageSet, ImageSetWriter, Split, pixels_sha256, write_grid
from fakeface.data.preprocess import ImageTooSmallError, preprocess
from fakeface.gans import loaders
from fakeface.gans.sampler import SAMPLE_BATCH, Generator, Source, draw_seeds, latent_batches
from fakeface.params import Params, ParamsError

GALLERY_SIDE = 8
COLUMNS = ("name", "source", "sha256", "split", "width", "height")
# Standard deviation of the factors, drawn anew for every copy. At 0.2 the faces begin to fall apart.
SPREAD = (0.05, 0.2)
# Part of the seeds: another word would make other fakes than the published ones.
_STREAM = "disturbed"

logger = logging.getLogger(__name__)


def sampled(
    source: Source, split: Split, count: int, image_size: int, seed: int, batch_size: int
) -> Iterator[tuple[np.ndarray, tuple[object, ...]]]:
    """``count`` images of one split, or as many as the source has, through the preprocessing of photographs.

    About ``batch_size`` images are held at native size at a time; it has no influence on the result.

    Yields:
        uint8 (image_size, image_size, 3) and its row of the manifest, see ``COLUMNS``.

    Raises:
        ImageTooSmallError: if the source's images are smaller than ``image_size``.
    """
    row = 0
    with tqdm(total=count, desc=f"{source.name} {split}", unit="img", disable=None) as bar:
        for batch in source.batches(split, count, seed, batch_size):
            for image in batch:
                try:
                    pixels = preprocess(Image.fromarray(image), image_size)
                except ImageTooSmallError as error:
                    raise ImageTooSmallError(f"gans.{source.name}: {error}") from error
                sha256 = pixels_sha256(pixels)
                height, width, _ = image.shape
                yield pixels, (f"{source.name}/{split}/{row:06d}", source.name, sha256, split, width, height)
                row += 1
            bar.update(len(batch))


def sample_split(
    source: Source, split: Split, count: int, image_size: int, seed: int, batch_size: int
) -> ImageSet:
    """All of :func:`sampled` in memory, for small numbers."""
    pairs = list(sampled(source, split, count, image_size, seed, batch_size))
    images = [pixels for pixels, _ in pairs]
    shape = (len(images), image_size, image_size, 3)
    manifest = pd.DataFrame([row for _, row in pairs], columns=list(COLUMNS))
    return ImageSet(np.array(images, dtype=np.uint8).reshape(shape), manifest)


def generate(name: str, params: Params, out: Path, gallery: Path) -> dict[str, Any]:
    """Write ``out``/{train,val,test} and the picture ``gallery`` for the GAN ``gans.<name>``.

    Memory does not grow with the number of images. With ``generate.device: cpu`` one machine gives the same
    bytes with and without a GPU.

    Returns:
        ``{gan, train, val, test, duplicates}``: images a split, and how many images repeat the pixels of an
        earlier one in any split (a sign of mode collapse; they are kept).

    Raises:
        ParamsError: if params.yaml has no such GAN, or there is no GPU where one is asked for.
        ImageTooSmallError, LoaderError, WeightsError, WheelError, GeneratorOutputError: see their docstrings.
    """
    if name not in params.gans:
        raise ParamsError(f"gans has no entry {name!r}, expected one of {', '.join(params.gans)}")
    settings = params.generate
    source = loaders.load(name, params.gans[name])
    device = _device(settings.device)
    if device.type != "cpu" and isinstance(source, Generator):
        source.to(device, settings.batch_size)
    source = with_perturbed(source, settings.perturbed)
    wanted = {"train": settings.n_train, "val": settings.n_val, "test": settings.n_test}
    seen: set[bytes] = set()
    counts: dict[str, int] = {}
    with atomic_directory(out) as temporary:
        for split in SPLITS:
            with ImageSetWriter(temporary / split, params.image_size, COLUMNS) as writer:
                for pixels, row in sampled(
                    source, split, wanted[split], params.image_size, params.seed, settings.batch_size
                ):
                    writer.append(pixels, row)
                    seen.add(bytes.fromhex(str(row[COLUMNS.index("sha256")])))
            counts[split] = len(writer)
    write_grid(gallery, ImageSet.read(out / "test").images[: GALLERY_SIDE**2], GALLERY_SIDE)
    duplicates = sum(counts.values()) - len(seen)
    if duplicates:
        logger.warning("%s: %d of %d images repeat an earlier one", name, duplicates, sum(counts.values()))
    return {"gan": name, **counts, "duplicates": duplicates}


def _device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ParamsError(
            "generate.device must be 'cpu' or 'auto' on a machine without a CUDA GPU, got 'cuda'"
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


# More varied training fakes from one generator: copies with each convolution weight off by some per cent.
# A detector that is trained on one set of weights learns what that set leaves behind. Copies with perturbed
# weights show much the same faces with other traces. They cost no training, and only the training split has
# them: validation and test images are those of the generator as it is.


class PerturbedGenerator:
    """A source whose last training images, a ``share`` in [0, 1] of them, come from perturbed copies."""

    def __init__(self, generator: Generator, share: float) -> None:
        self.generator = generator
        self.share = share

    @property
    def name(self) -> str:
        return self.generator.name

    def batches(self, split: Split, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:
        """``count`` images of ``split``; a copy makes ``SAMPLE_BATCH`` of them: uint8 (B, S, S, 3)."""
        plain = count - round(self.share * count) if split == "train" else count
        if plain:
            yield from self.generator.batches(split, plain, seed, batch_size)
        source = self.generator
        parts = latent_batches(
            self.name, split, count, source.z_dim, seed, source.distribution, size=SAMPLE_BATCH, skip=plain
        )
        copies = draw_seeds(f"{self.name} {_STREAM}", split, -(-(count - plain) // SAMPLE_BATCH), seed)
        for part, copy_seed in zip(parts, copies, strict=True):
            with _Perturbation(source.network, int(copy_seed)):
                yield source.sample(part, clip=True)


class _Perturbation:
    """Multiplies each weight of the convolutions by 1 + spread * normal, and puts the weights back."""

    def __init__(self, network: nn.Module, seed: int) -> None:
        self.weights = [weight for weight in network.parameters() if weight.ndim == 4]
        self.seed = seed

    @torch.no_grad()
    def __enter__(self) -> None:
        stream = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(self.seed)))
        spread = stream.uniform(*SPREAD)
        self.before = [weight.clone() for weight in self.weights]
        for weight in self.weights:
            factors = 1 + spread * torch.from_numpy(stream.standard_normal(tuple(weight.shape)))
            weight.mul_(factors.to(weight))

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        for weight, before in zip(self.weights, self.before, strict=True):
            weight.copy_(before)


def with_perturbed(source: Source, share: float) -> Source:
    """``source`` with that share of its training images perturbed, where its weights can be reached at all.

    Folders, ONNX files and diffusion pipelines stay as they are.
    """
    return PerturbedGenerator(source, share) if share and isinstance(source, Generator) else source
