"""The command ``fakeface export``."""

from __future__ import annotations

import argparse
from pathlib import Path

from fakeface.apps.predict import DEFAULT_DETECTOR


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``fakeface``'s."""
    parser = commands.add_parser(
        "export",
        help="write the detector as ONNX",
        description="Write the detector as one ONNX file, and compare its scores with PyTorch's.",
        epilog="exit codes: 0 written, 2 not written",
    )
    parser.add_argument("--detector", default=DEFAULT_DETECTOR, help="folder of a detector (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("detector.onnx"), help="file to write (%(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write and check the file; the exit code."""
    import numpy as np

    from fakeface.detector.bundle import load_bundle
    from fakeface.detector.export import check_export, write_onnx

    detector = load_bundle(options.detector, "cpu").detector
    write_onnx(detector, options.out)
    size = detector.image_size
    # No pictures are at hand; on noise, too, equal arithmetic gives equal scores.
    noise = np.random.default_rng(0).integers(0, 256, (32, size, size, 3), dtype=np.uint8)
    worst = check_export(detector, options.out, [noise])
    print(
        f"{options.out}: written; scores of 32 images of noise differ from PyTorch's by at most {worst:.1g}"
    )
    return 0
