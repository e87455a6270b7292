"""Does it help to judge squares of a large face at its own size, beside or in place of the reduced face?

    python benchmarks/large_pictures.py --real photographs.zip --fake fakes.zip

Pictures are aligned faces, larger than the detector's size. Each is laundered at its own size, as a site does
it. Then it is judged reduced to the detector's size, and as five squares of that size (corners and centre);
scores are pooled as log-odds. Prints AUROC by way, and seconds a picture.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from fakeface.base.errors import one_line_errors
from fakeface.base.hashes import random_stream
from fakeface.bundle.bundle import load_bundle
from fakeface.data.archives import open_archive
from fakeface.data.augmentation import launder_one
from fakeface.data.image_sets import evenly_spaced
from fakeface.data.preprocess import decode, preprocess
from fakeface.params import ProtocolParams

_NEAREST_TO_CERTAIN = 1e-12


def read(path: Path, size: int, protocol: ProtocolParams, count: int) -> list[np.ndarray]:
    """Squares uint8 (H, H, 3) of pictures that are larger than ``size``, laundered at their own size."""
    found = []
    with open_archive(path) as archive:
        for name in evenly_spaced(np.array(archive.names), count):
            picture = decode(archive.read(str(name)))
            if min(picture.size) > size:
                square = preprocess(picture, min(picture.size))
                found.append(launder_one(square, [protocol], random_stream("large pictures", str(name))))
    return found


def squares(picture: np.ndarray, size: int) -> list[np.ndarray]:
    """Corners and centre of a picture uint8 (H, H, 3): uint8 (size, size, 3) each."""
    last = len(picture) - size
    places = ((0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 2))
    return [picture[top : top + size, left : left + size] for top, left in places]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--fake", type=Path, required=True)
    parser.add_argument("--detector", default="portraits")
    parser.add_argument("--count", type=int, default=400, help="pictures of a class, at most (%(default)s)")
    given = parser.parse_args()
    bundle = load_bundle(given.detector, "cpu")
    detector, size = bundle.detector, bundle.detector.image_size
    parts = [read(path, size, bundle.protocols.laundered, given.count) for path in (given.real, given.fake)]
    labels = np.repeat([0, 1], [len(part) for part in parts])
    pictures = [picture for part in parts for picture in part]

    def odds(images: list[np.ndarray]) -> np.ndarray:
        scores, _ = detector.score_and_embed(np.stack(images), 64)
        return logit(scores.clip(_NEAREST_TO_CERTAIN, 1 - _NEAREST_TO_CERTAIN))

    began = time.perf_counter()
    reduced = odds([preprocess(Image.fromarray(picture), size) for picture in pictures])
    once = (time.perf_counter() - began) / len(pictures)
    cut = odds([square for picture in pictures for square in squares(picture, size)]).reshape(
        len(pictures), -1
    )
    print(f"{(labels == 0).sum()} photographs, {labels.sum()} fakes, {once:.3f} s a pass")
    ways = {
        "reduced": (reduced, 1),
        "squares, mean": (cut.mean(axis=1), 5),
        "squares, maximum": (cut.max(axis=1), 5),
        "reduced and squares, mean": (reduced + cut.mean(axis=1), 6),
        "reduced and squares, maximum": (np.maximum(reduced, cut.max(axis=1)), 6),
    }
    for name, (scores, passes) in ways.items():
        print(f"{name:30} AUROC {roc_auc_score(labels, scores):.3f}  {passes} passes")


if __name__ == "__main__":
    with one_line_errors():
        main()
