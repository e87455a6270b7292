"""What made a figure: the keys that every metrics file carries. Quick everywhere: it imports no torch."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fakeface import __version__
from fakeface.params import Params


def provenance(params: Params, device: str = "cpu") -> dict[str, Any]:
    """Versions, seed and device; no time and no host name, so that a rerun gives the same bytes."""
    return {
        "fakeface_version": __version__,
        "torch_version": version("torch").split("+")[0],
        "seed": params.seed,
        "device": device,
    }
