"""Going on from published weights: what models/gans/ holds of a run is enough to train it further anywhere.

A checkpoint has everything and stays on its machine. The published files have less: the averaged generator
and the discriminator in half precision, no state of the optimisers. A run that begins with them is a run
of its own, and its card lists the runs before it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from fakeface.base.downloads import sha256_of
from fakeface.base.errors import FakefaceError, MissingFileError
from fakeface.zoo.recipes import Recipe

# Photographs that a random discriminator is shown before its generator goes on learning.
WARM_UP_IMAGES = 20_000


class StartError(FakefaceError, ValueError):
    """A run cannot go on from these files; the message says why."""


class Start(NamedTuple):
    """Published weights of a run, and how far that run had come."""

    generator: Path
    discriminator: Path | None
    weights_sha256: str
    images_shown: int
    seconds: float
    history: list[dict[str, Any]]
    curve: list[list[float]]


def discriminator_file(generator: Path) -> Path:
    """Where the discriminator of ``models/gans/<gan>.safetensors`` lies."""
    return generator.parent / "discriminators" / generator.name


def read_start(card_path: Path, recipe: Recipe) -> Start:
    """What to go on from, by the card ``models/gans/<gan>.json`` beside the weights.

    Raises:
        MissingFileError: if the card or the weights do not exist.
        StartError: if the card is damaged, or belongs to other weights or other networks.
    """
    weights = card_path.with_suffix(".safetensors")
    for path in (card_path, weights):
        if not path.is_file():
            raise MissingFileError(f"{path}: no such file")
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
        trained = {key: card["recipe"][key] for key in ("generator", "discriminator")}
        keys = ("images_shown", "seconds", "hardware", "torch_version", "weights_sha256")
        segment = {key: card[key] for key in keys}
        curve = [list(point) for point in card["curve"]]
        history = [*card.get("history", []), segment]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartError(f"{card_path}: not a card of a trained generator ({error!r})") from error
    wanted = recipe.model_dump(mode="json", include={"generator", "discriminator"})
    if trained != wanted:
        raise StartError(f"{card_path}: the recipe's networks must be {trained}, got {wanted}")
    if (actual := sha256_of(weights)) != segment["weights_sha256"]:
        raise StartError(f"{weights}: sha256 is {actual}, {card_path} says {segment['weights_sha256']}")
    discriminator = discriminator_file(weights)
    found = discriminator if discriminator.is_file() else None
    shown, seconds = int(segment["images_shown"]), float(segment["seconds"])
    return Start(weights, found, actual, shown, seconds, history, curve)
