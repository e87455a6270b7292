"""How many fakes are found when the frame cuts a part of the face off?

    python benchmarks/cut_off.py --fake fakes.zip

A share of each picture's width is cut off at the left, and the rest is judged as `fakeface predict` does it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fakeface.apps.judge import faces_of, score_faces
from fakeface.base.errors import one_line_errors
from fakeface.bundle.bundle import load_bundle
from fakeface.data.archives import open_archive
from fakeface.data.image_sets import evenly_spaced
from fakeface.data.preprocess import decode


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fake", type=Path, required=True, help="folder, zip or tar of pictures of one face")
    parser.add_argument("--detector", default="portraits")
    parser.add_argument("--count", type=int, default=80, help="pictures, at most (%(default)s)")
    given = parser.parse_args()
    bundle = load_bundle(given.detector, "cpu")
    finder = bundle.finder()
    with open_archive(given.fake) as archive:
        names = evenly_spaced(np.array(archive.names), given.count)
        pictures = [decode(archive.read(str(name))) for name in names]
    for share in (0.0, 0.1, 0.2, 0.33):
        parts = [image.crop((round(share * image.width), 0, *image.size)) for image in pictures]
        found = [face for part in parts for face in faces_of(part, bundle.detector.image_size, finder)]
        words = [face.verdict for face in score_faces(found, bundle.detector)]
        shares = ", ".join(
            f"{word} {words.count(word) / len(words):.3f}" for word in ("fake", "unsure", "real")
        )
        print(f"{share:.0%} cut off: {len(words)} faces, {shares}", flush=True)


if __name__ == "__main__":
    with one_line_errors():
        main()
