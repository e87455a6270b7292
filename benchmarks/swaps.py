"""What does a detector of generated faces say of a swapped one? No generator is needed to ask.

    python benchmarks/swaps.py --images data/real/test

Every picture of a prepared set of portraits (framed like FFHQ) receives the inner face of another one, as the
simplest swapping tools do it: eyes, nose and mouth of both lie in the same places, colours are matched, and
the edge is blended. Swapped and untouched pictures then go through the same laundering. This is no face swap
by a network, whose decoder would leave traces of its own; it shows what blending alone gives away.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from fakeface.base.errors import one_line_errors
from fakeface.base.hashes import random_stream
from fakeface.bundle.bundle import load_bundle
from fakeface.data.augmentation import launder_one
from fakeface.data.faces import FFHQ_SIDE, FFHQ_TEMPLATE
from fakeface.data.image_sets import ImageSet
from fakeface.params import PROTOCOLS

# Half axes of the ellipse that is swapped, from above the brows to below the mouth, and the blended edge.
HALF_AXES, EDGE = np.array([60.0, 62.0]) / FFHQ_SIDE, 0.02


def inner_face(side: int) -> np.ndarray:
    """Share of the other face in each pixel, float64 (side, side, 1)."""
    centre = FFHQ_TEMPLATE.mean(axis=0) / FFHQ_SIDE
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    inside = ((x - centre[0]) / HALF_AXES[0]) ** 2 + ((y - centre[1]) / HALF_AXES[1]) ** 2 < 1
    return gaussian_filter(inside.astype(float), EDGE * side)[..., None]


def swapped(image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """``image`` with the inner face of ``other``, uint8 (S, S, 3) both and the result."""
    share = inner_face(len(image))
    pixels, theirs = image.astype(float), other.astype(float)
    matched = theirs + (share * (pixels - theirs)).sum(axis=(0, 1)) / share.sum()
    return np.clip(np.rint(pixels + share * (matched - pixels)), 0, 255).astype(np.uint8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of a prepared set of photographs")
    parser.add_argument("--detector", default="portraits")
    given = parser.parse_args()
    bundle = load_bundle(given.detector, "cpu")
    images = np.asarray(ImageSet.read(given.images).images)
    # Each gives its face to the next.
    changed = np.stack([swapped(*pair) for pair in zip(images, np.roll(images, 1, axis=0), strict=True)])
    print(f"{len(images)} photographs, and as many with the next one's inner face")
    for protocol in PROTOCOLS:
        chain = [getattr(bundle.protocols, protocol)]
        scores = [
            bundle.detector.score_and_embed(
                np.stack([launder_one(x, chain, random_stream("swaps", i)) for i, x in enumerate(part)]), 64
            )[0]
            for part in (images, changed)
        ]
        above = [float((part > bundle.detector.rule.threshold).mean()) for part in scores]
        auroc = roc_auc_score(np.repeat([0, 1], len(images)), np.concatenate(scores))
        print(
            f"{protocol:10} AUROC {auroc:.3f}, called fake: untouched {above[0]:.3f}, swapped {above[1]:.3f}"
        )


if __name__ == "__main__":
    with one_line_errors():
        main()
