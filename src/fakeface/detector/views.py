"""Views: images as training and tests see them, after everything that happens to a picture on its way.

A view depends on the experiment's seed, the image's pixels, the kind of view and its number, and on nothing
else: not on the other images of its batch, its row in a table, the fold or the seed of a training. So
trainings and tests share views, and what frozen layers make of them is computed once
(:mod:`fakeface.detector.activations`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fakeface.base.hashes import random_stream
from fakeface.data.augmentation import launder_one, random_corruption, reuploaded
from fakeface.detector.batches import DetectorData
from fakeface.params import CORRUPTED, PROTOCOLS, AutoencoderParams, Params, ProtocolParams

_POOL = ThreadPoolExecutor(max_workers=2, thread_name_prefix="views")
_CHUNK = 16
# Trainings with another seed begin elsewhere among an image's views: a prime, so that this holds for any
# number of views, and large, so that fresh ones are others.
_SEED_STEP = 1_000_003


@dataclass(frozen=True)
class ViewKind:
    """What may happen to an image.

    Attributes:
        name: of the random stream; kinds with one name draw the same numbers.
        protocols: of laundering; each view draws one.
        mirror: turn every second view left to right.
        corrupted: share of the views that are corrupted before laundering
            (:mod:`fakeface.data.augmentation`).
        crop: side of the square that is cut out at a random place, in pixels; None for the whole image.
        reuploaded: share of the views that are compressed and rescaled before everything else
            (:func:`fakeface.data.augmentation.reuploaded`).
        autoencoder: that pseudo-fakes come out of; None for upsamplers drawn at random.
    """

    name: str
    protocols: tuple[ProtocolParams, ...]
    mirror: bool = False
    corrupted: float = 0.0
    crop: int | None = None
    reuploaded: float = 0.0
    autoencoder: AutoencoderParams | None = None

    def of(self, image: np.ndarray, rng: np.random.Generator, pseudo: bool = False) -> np.ndarray:
        """One view: uint8 (S, S, 3) to the same, or to (crop, crop, 3).

        Args:
            image: as prepared.
            rng: source of all draws.
            pseudo: put the traces of an upsampler or of the autoencoder into it first, see
                :mod:`fakeface.detector.pseudo_fakes`.
        """
        if pseudo:
            # Needs PyTorch, and only training has pseudo-fakes.
            from fakeface.detector.pseudo_fakes import pseudo_fake, reconstructed

            image = reconstructed(image, self.autoencoder) if self.autoencoder else pseudo_fake(image, rng)
        if self.mirror and rng.random() < 0.5:
            image = image[:, ::-1]
        if self.reuploaded and rng.random() < self.reuploaded:
            image = reuploaded(image, rng)
        if self.corrupted and rng.random() < self.corrupted:
            image = random_corruption(np.ascontiguousarray(image), rng)
        image = launder_one(image, self.protocols, rng)
        if self.crop is not None:
            top, left = (int(rng.integers(side - self.crop + 1)) for side in image.shape[:2])
            image = image[top : top + self.crop, left : left + self.crop]
        return image


def training_kind(params: Params) -> ViewKind:
    """What the CFFN is trained on."""
    cffn = params.cffn
    protocols = tuple(params.training_protocols)
    autoencoder = cffn.autoencoder if cffn.pseudo_fakes else None
    chances = (cffn.mirror, cffn.corrupted, cffn.crop, cffn.reuploaded)
    return ViewKind("training", protocols, *chances, autoencoder)


def whole_kind(params: Params, protocols: Sequence[ProtocolParams]) -> ViewKind:
    """Training images that are neither cut nor turned: what the CN and attribution are trained on."""
    cffn = params.cffn
    return ViewKind("whole", tuple(protocols), corrupted=cffn.corrupted, reuploaded=cffn.reuploaded)


def validation_kind(protocols: Sequence[ProtocolParams]) -> ViewKind:
    """What checkpoints are chosen and scores are calibrated by."""
    return ViewKind("validation", tuple(protocols))


def threshold_kinds(params: Params) -> list[ViewKind]:
    """Validation photographs under each chain of the training: the threshold holds under every one."""
    protocols = params.training_protocols
    kinds = [ViewKind(f"threshold {i}", (protocol,)) for i, protocol in enumerate(protocols)]
    if params.cffn.reuploaded:
        kinds.append(ViewKind("threshold reuploaded", tuple(protocols), reuploaded=1.0))
    return kinds


def score_offset_kind() -> ViewKind:
    """Validation photographs, each corrupted, for the reference of scores."""
    return ViewKind("reference", (ProtocolParams(),), corrupted=1.0)


def protocol_kinds(params: Params) -> dict[str, ViewKind]:
    """Test images by protocol."""
    return {name: ViewKind(f"test {name}", (getattr(params.protocols, name),)) for name in PROTOCOLS}


def corrupted_test_kind(params: Params) -> ViewKind:
    """Test images, each corrupted, then through the first protocol."""
    return ViewKind("test corrupted", (getattr(params.protocols, PROTOCOLS[0]),), corrupted=1.0)


def view_numbers(laps: np.ndarray, seed: int, views: np.ndarray | None) -> np.ndarray:
    """Which of its views an image shows when it is drawn for the ``laps``-th time (from 0): int64 (N,).

    Args:
        laps: int (N,).
        seed: of the training.
        views: int (N,), how many views each image has, shown again and again; None for new ones each time.
    """
    numbers = laps + seed * _SEED_STEP
    return numbers if views is None else numbers % views


@dataclass(frozen=True, eq=False)
class Views:
    """Some views of some images; nothing is computed before it is asked for.

    Attributes:
        data: the images.
        rows: int64 (N,), which image each view is of.
        numbers: int64 (N,), which of the image's views of this kind.
        kind: what may happen to them.
        seed: of the experiment.
        pseudo: bool (N,), which of them are pseudo-fakes of their images; None for none.
    """

    data: DetectorData
    rows: np.ndarray
    numbers: np.ndarray
    kind: ViewKind
    seed: int
    pseudo: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: np.ndarray | slice) -> Views:
        pseudo = None if self.pseudo is None else self.pseudo[places]
        return Views(self.data, self.rows[places], self.numbers[places], self.kind, self.seed, pseudo)

    @property
    def name(self) -> str:
        """What to call them."""
        return self.kind.name

    def _draws(self, place: int) -> tuple[bytes, int, bool]:
        pseudo = self.pseudo is not None and bool(self.pseudo[place])
        return self.data.content(int(self.rows[place])), int(self.numbers[place]), pseudo

    @cached_property
    def keys(self) -> list[bytes]:
        """16 bytes a view: equal for equal views of equal pixels, and else different."""
        protocols = [protocol.model_dump() for protocol in self.kind.protocols]
        kind = [
            self.kind.name,
            protocols,
            self.kind.mirror,
            self.kind.corrupted,
            self.kind.crop,
            self.kind.reuploaded,
            self.seed,
        ]
        if self.kind.autoencoder is not None:
            kind.append(self.kind.autoencoder.sha256)
        prefix = hashlib.sha256(json.dumps(kind).encode())
        keys = []
        for place in range(len(self)):
            digest = prefix.copy()
            digest.update(repr(self._draws(place)).encode())
            keys.append(digest.digest()[:16])
        return keys

    @cached_property
    def pixels(self) -> np.ndarray:
        """uint8 (N, side, side, 3), computed by two threads."""
        side = self.kind.crop or self.data.sets[0].images.shape[1]
        result = np.empty((len(self), side, side, 3), dtype=np.uint8)

        def chunk(start: int) -> None:
            stop = min(start + _CHUNK, len(self))
            for place, image in zip(range(start, stop), self.data.images(self.rows[start:stop]), strict=True):
                content, number, pseudo = self._draws(place)
                rng = random_stream("view", self.kind.name, self.seed, content, number, pseudo)
                result[place] = self.kind.of(image, rng, pseudo)

        list(_POOL.map(chunk, range(0, len(self), _CHUNK)))
        return result


@dataclass(frozen=True, eq=False)
class GivenPixels:
    """Images that are there already, in the place of views; their keys are hashes of their pixels.

    Attributes:
        pixels: uint8 (N, S, S, 3).
        name: what to call them.
    """

    pixels: np.ndarray
    name: str

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, places: np.ndarray | slice) -> GivenPixels:
        return GivenPixels(self.pixels[places], self.name)

    @cached_property
    def keys(self) -> list[bytes]:
        """16 bytes an image."""
        return [hashlib.sha256(image.tobytes()).digest()[:16] for image in self.pixels]


def every_view(
    data: DetectorData, kind: ViewKind, seed: int, rows: np.ndarray | None = None, count: int = 1
) -> Views:
    """The first ``count`` views of each of ``rows`` (None: all): view 0 of every row, then view 1, ..."""
    rows = np.arange(len(data)) if rows is None else rows
    return Views(data, np.tile(rows, count), np.repeat(np.arange(count), len(rows)), kind, seed)


def joined(parts: Sequence[Views]) -> Views:
    """Views of one kind of the same data, one after the other."""
    first = parts[0]
    rows, numbers = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "numbers"))
    pseudo = None
    if first.pseudo is not None:
        pseudo = np.concatenate([part.pseudo for part in parts if part.pseudo is not None])
    return Views(first.data, rows, numbers, first.kind, first.seed, pseudo)


def views_of_test(params: Params, test: DetectorData, *, corrupted: bool = False) -> dict[str, Views]:
    """The test split once a protocol, both classes through the same protocol.

    Args:
        params: validated params.
        test: images.
        corrupted: once more with every image corrupted (:mod:`fakeface.data.augmentation`), then
            through the first protocol.

    Returns:
        Views by the protocol's name or ``corrupted``, in the order of the images.
    """
    kinds = protocol_kinds(params) | ({CORRUPTED: corrupted_test_kind(params)} if corrupted else {})
    return {name: every_view(test, kind, params.seed) for name, kind in kinds.items()}
