"""Random harm to training images, so that the detector does not rest on traces that any editing removes.

Photographs and fakes are harmed alike, by the families of :mod:`fakeface.data.perturbations` whose traces
laundering does not bring: blur, noise, rescaling, brightness, contrast. The robustness stage tests with these
families, too, at fixed strengths; JPEG is left to laundering, and WebP and crops are never trained on.
"""

from __future__ import annotations

import numpy as np

from fakeface.data.perturbations import perturb

# Weakest and strongest of each family; a strength is drawn evenly between them.
RANGES: dict[str, tuple[float, float]] = {
    "blur": (0.3, 1.5),
    "noise": (1, 10),
    "rescale": (0.9, 0.5),
    "darken": (0.95, 0.5),
    "brighten": (1.05, 1.5),
    "contrast_down": (0.95, 0.5),
    "contrast_up": (1.05, 1.5),
}
# Brightness and contrast count once each, as they go two ways.
_TURNS = (("blur",), ("noise",), ("rescale",), ("darken", "brighten"), ("contrast_down", "contrast_up"))


def harm(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One image harmed by a random family to a random strength.

    Args:
        image: uint8 (H, W, 3).
        rng: source of all draws.

    Returns:
        uint8 (H, W, 3), a new array.
    """
    ways = _TURNS[int(rng.integers(len(_TURNS)))]
    family = ways[int(rng.integers(len(ways)))]
    weakest, strongest = RANGES[family]
    strength = weakest + float(rng.random()) * (strongest - weakest)
    return perturb(image[None], family, strength, rng.integers(2**31, size=(1, 1)))[0]
