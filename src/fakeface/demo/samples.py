"""Pictures that the demo offers: images of the test split, as the evaluation sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fakeface.data.imageset import ImageSet
from fakeface.quality.features import evenly_spaced

PHOTOGRAPH = "photograph"


@dataclass(frozen=True)
class Sample:
    """A prepared test image.

    Attributes:
        source: ``photograph`` or the name of a GAN.
        description: the same in words.
        pixels: uint8 (S, S, 3).
    """

    source: str
    description: str
    pixels: np.ndarray


def sample_pictures(root: Path, seen: Sequence[str], image_size: int, each: int = 2) -> list[Sample]:
    """``each`` photographs and fakes a GAN of the test split, evenly spaced; none if ``root`` has no data.

    Args:
        root: folder with ``real/test`` and ``fake/<gan>/test``.
        seen: GANs that the detector was trained on.
        image_size: images of another size are left out, since the detector was not made for them.
        each: of each source.

    Raises:
        ImageSetError: if a set is there and damaged.
    """
    sources = [(PHOTOGRAPH, "a photograph", root / "real" / "test")]
    for folder in sorted((root / "fake").glob("*/test")):
        gan = folder.parent.name
        told = "was trained on" if gan in seen else "never saw in training"
        sources.append((gan, f"a fake of {gan}, a GAN that the detector {told}", folder))
    samples = []
    for source, description, folder in sources:
        if folder.is_dir():
            images = evenly_spaced(ImageSet.read(folder).images, each)
            samples += [Sample(source, description, image) for image in images if len(image) == image_size]
    return samples
