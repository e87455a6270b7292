"""What frozen layers make of views, computed once and kept in ``.cache/activations``.

Most of a training's time goes into layers that never change. Their activations are kept in half precision,
as records of one size under the keys of the views (:mod:`fakeface.detector.views`), in a folder whose name
is a hash of everything else that decides them: weights, layers, device, precision, versions and source
code. So a record that is found is right by construction. What is not found is computed, and rounded like
what is stored: results do not depend on what is stored, and deleting the folder costs nothing but time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from tqdm import tqdm

from fakeface.base import processes
from fakeface.base.files import OutputError, atomic_path
from fakeface.base.hashes import code_hash
from fakeface.base.onnx_session import open_session
from fakeface.base.runtime import device_name
from fakeface.detector.calibration import missing_detail
from fakeface.detector.frozen_onnx import INPUT, to_onnx
from fakeface.detector.views import GivenPixels, Views
from fakeface.models.cffn import (
    CPU_PIXELS,
    GPU_PIXELS,
    ONNX_PIXELS,
    FeatureNetwork,
    NetworkInput,
    PretrainedCFFN,
    to_input,
)
from fakeface.models.weights import frozen_sha256
from fakeface.params import ActivationsParams, Params

# Unless FAKEFACE_CACHE names a folder, which copies of the workspace then share.
ROOT = Path(".cache/activations")
KEY_BYTES = 16
_warned: set[Path] = set()
# Of one file: as much as an interruption loses.
FILE_BYTES = 2**26
# Views whose pixels are made ahead while the network works.
_AHEAD = 256


def default_root() -> Path:
    """Where activations are kept: below ``$FAKEFACE_CACHE``, else in the workspace."""
    named = os.environ.get("FAKEFACE_CACHE")
    return Path(named).expanduser() / "activations" if named else ROOT


class FrozenLayers(Protocol):
    """Layers whose weights never change."""

    identity: dict[str, Any]
    """What decides their records besides versions and code."""

    module: str
    """Whose code, with all that it imports, decides them."""

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (B, S, S, 3) to records uint8 (B, R); a record depends on its own image alone."""


class FrozenLevels:
    """The frozen levels of a :class:`PretrainedCFFN`, and the detail that a picture misses.

    On a CPU in single precision ONNX Runtime computes them.

    A record holds a float64, see :func:`~fakeface.detector.calibration.missing_detail`, then each feature
    level's activations as float16, place by place.
    """

    module = __name__

    def __init__(self, network: PretrainedCFFN, fabric: Fabric) -> None:
        self.network, self.fabric = network, fabric
        precision = str(fabric.strategy.precision.precision)
        self.by_onnx = fabric.device.type == "cpu" and precision == "32-true"
        self.identity = {
            "weights": frozen_sha256(network),
            "variant": network.variant,
            "levels": list(network.feature_levels),
            "device": device_name(fabric.device),
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "precision": precision,
            "runtime": version("onnxruntime") if self.by_onnx else "torch",
        }

    @cached_property
    def session(self) -> Any:
        """Of ONNX Runtime, opened when something is not there that must be computed."""
        return open_session(to_onnx(self.network), torch.get_num_threads())

    @torch.no_grad()
    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (B, S, S, 3) to records uint8 (B, 8 + 2 x numbers)."""
        side, device = pixels.shape[1], self.fabric.device
        pixels_at_once = CPU_PIXELS if device.type == "cpu" else GPU_PIXELS
        chunk = self.network.chunk_size(side, ONNX_PIXELS if self.by_onnx else pixels_at_once)
        # Always as many at once: another number of images may round otherwise.
        padded = np.concatenate([pixels, np.repeat(pixels[-1:], -len(pixels) % chunk, axis=0)])
        parts = []
        for start in range(0, len(padded), chunk):
            x = to_input(padded[start : start + chunk], device)
            flat = [level.permute(0, 2, 3, 1).flatten(1).half() for level in self._activations(x)]
            parts.append(torch.cat(flat, dim=1).cpu().numpy())
        numbers = np.concatenate(parts)[: len(pixels)]
        detail = missing_detail(pixels)
        return np.concatenate([detail[:, None].view(np.uint8), numbers.view(np.uint8)], axis=1)

    def _activations(self, x: torch.Tensor) -> list[torch.Tensor]:
        if self.by_onnx:
            outputs = self.session.run(None, {INPUT: self.network.frozen_input(x).contiguous().numpy()})
            return [torch.from_numpy(output) for output in outputs]
        with self.fabric.autocast():
            return self.network.activations(x)

    @staticmethod
    def detail(records: np.ndarray) -> np.ndarray:
        """float64 (B,) of records."""
        return np.ascontiguousarray(records[:, :8]).view(np.float64)[:, 0]

    def levels(self, records: np.ndarray) -> list[torch.Tensor]:
        """float32 (B, C, s, s) a feature level, on the device."""
        numbers = torch.from_numpy(records[:, 8:].view(np.float16)).to(self.fabric.device).float()
        shapes = self.network.level_shapes(numbers.shape[1])
        parts = numbers.split([side * side * channels for side, channels in shapes], dim=1)
        return [
            part.unflatten(1, (side, side, channels)).permute(0, 3, 1, 2)
            for part, (side, channels) in zip(parts, shapes, strict=True)
        ]


class RecordStore:
    """Records of one size by keys of 16 bytes, in files that appear whole and never change.

    An interrupted run loses the file that it had not finished; two processes at once may compute the same
    twice. The files of all stores below ``root`` together stay below ``max_bytes``: those that were not
    used for longest go first.

    Args:
        key: of all that decides the records but their own keys.
        max_bytes: of all files below ``root``.
        root: parent of the store's folder.
    """

    def __init__(self, key: str, max_bytes: int, root: Path | None = None) -> None:
        self.root = default_root() if root is None else root
        self.folder, self.max_bytes = self.root / key[:16], max_bytes
        self._places: dict[bytes, tuple[Path, int]] = {}
        self._files: dict[Path, np.ndarray] = {}
        self._used: set[Path] = set()
        self.refresh()

    def refresh(self) -> None:
        """Look for files that are new."""
        for path in sorted(self.folder.glob("*.records")):
            if path not in self._files:
                try:
                    keys, records = _open(path)
                except (OSError, ValueError):
                    # Damaged, or gone since: as if it had never been there.
                    continue
                self._files[path] = records
                self._places |= {key: (path, row) for row, key in enumerate(keys)}

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def read(self, keys: Sequence[bytes], compute: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Records uint8 (N, R) in the order of N >= 1 keys.

        Args:
            keys: of the records.
            compute: gives the records of those places, int64 (M,), whose keys are not there.
        """
        missing, by_file = [], dict[Path, tuple[list[int], list[int]]]()
        for place, key in enumerate(keys):
            if key in self._places:
                path, row = self._places[key]
                places, rows = by_file.setdefault(path, ([], []))
                places.append(place)
                rows.append(row)
            else:
                missing.append(place)
        parts = [(places, self._files[path][rows]) for path, (places, rows) in by_file.items()]
        if missing:
            parts.append((missing, compute(np.array(missing, dtype=np.int64))))
        result = np.empty((len(keys), parts[0][1].shape[1]), dtype=np.uint8)
        for places, records in parts:
            result[places] = records
        for path in by_file:
            self._use(path)
        return result

    def _use(self, path: Path) -> None:
        if path not in self._used:
            self._used.add(path)
            # Of no account where others own the folder: the file may only go a little early.
            if path.exists() and os.access(path, os.W_OK):
                os.utime(path)

    def make_room(self, size: int) -> None:
        """Delete files that this process did not use, the longest unused first, until ``size`` bytes fit.

        Raises:
            OutputError: if they never fit, the disk is full or the folder is not writable.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise OutputError(f"cannot write {self.folder}: {error.strerror}") from error
        if free < size:
            raise OutputError(f"cannot write {self.folder}: disk full")
        if not os.access(self.folder, os.W_OK):
            raise OutputError(f"cannot write {self.folder}: not permitted")
        files = self._all_files()
        total = size + sum(stat.st_size for stat in files.values())
        if size + sum(stat.st_size for path, stat in files.items() if path in self._used) > self.max_bytes:
            raise OutputError(f"{self.root} may hold {self.max_bytes / 1e9:g} GB (activations.max_gigabytes)")
        for path in sorted(files.keys() - self._used, key=lambda path: files[path].st_mtime):
            if total <= self.max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= files[path].st_size

    def _all_files(self) -> dict[Path, os.stat_result]:
        """Of all stores below ``root``, with what interrupted runs left unfinished."""
        files = {}
        for path in self.root.glob("*/*"):
            # Another process may have made room.
            with suppress(FileNotFoundError):
                files[path] = path.stat()
        return files

    def total_bytes(self) -> int:
        """Of all files below ``root``."""
        return sum(stat.st_size for stat in self._all_files().values())

    def write(self, keys: Sequence[bytes], records: np.ndarray) -> None:
        """Keep records uint8 (N, R).

        Raises:
            OutputError: if they cannot be written.
        """
        path = self.folder / f"{uuid.uuid4().hex}.records"
        with atomic_path(path) as temporary, temporary.open("wb") as opened:
            opened.write(np.array(records.shape, dtype="<u8").tobytes())
            opened.write(b"".join(keys))
            # Not ndarray.tofile, whose errors do not say that the disk is full.
            opened.write(np.ascontiguousarray(records).data)
        self._used.add(path)
        self.refresh()


def _open(path: Path) -> tuple[list[bytes], np.ndarray]:
    """Keys and mapped records of a file.

    Raises:
        OSError, ValueError: if it is gone or damaged.
    """
    with path.open("rb") as opened:
        count, size = (int(number) for number in np.frombuffer(opened.read(16), dtype="<u8", count=2))
        block = opened.read(count * KEY_BYTES)
    start = 16 + count * KEY_BYTES
    if path.stat().st_size != start + count * size:
        raise ValueError(f"{path} is damaged")
    records = np.memmap(path, np.uint8, "r", start, (count, size))
    return [block[i : i + KEY_BYTES] for i in range(0, len(block), KEY_BYTES)], np.asarray(records)


class Activations:
    """Records of frozen layers for views, from the store or computed.

    Args:
        layers: what computes them.
        settings: how much may be kept.
        root: where.
        quiet: say nothing of what is kept.
    """

    def __init__(
        self, layers: FrozenLayers, settings: ActivationsParams, root: Path | None = None, quiet: bool = False
    ) -> None:
        self.layers, self.quiet = layers, quiet
        self.store: RecordStore | None = None
        if settings.max_gigabytes:
            identity = layers.identity | {
                "code": code_hash(layers.module),
                "versions": [version(name) for name in ("torch", "numpy", "pillow", "scipy")],
            }
            key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
            self.store = RecordStore(key, int(settings.max_gigabytes * 1e9), root)

    def prepare(self, views: Views | GivenPixels, fabric: Fabric) -> None:
        """Compute what is not there of ``views`` in bulk and keep it; several processes share the work.

        What cannot be kept, because there is no room or the disk refuses, is computed when it is asked for.
        """
        if self.store is None:
            return
        store, keys = self.store, views.keys
        store.refresh()
        first = {key: place for place, key in reversed(list(enumerate(keys)))}
        unique = np.array(sorted(first.values()), dtype=np.int64)[fabric.global_rank :: fabric.world_size]
        missing = np.array([place for place in unique if keys[place] not in store], dtype=np.int64)
        if len(missing):
            self._keep(store, views[missing], fabric)
        if fabric.world_size > 1:
            fabric.barrier()
            store.refresh()

    def _keep(self, store: RecordStore, views: Views | GivenPixels, fabric: Fabric) -> None:
        began, kept = time.perf_counter(), 0
        size = KEY_BYTES + self.layers(views[:1].pixels).shape[1]
        count = max(1, FILE_BYTES // size)
        name = f"activations of {views.name}"
        with tqdm(
            total=len(views), unit="img", desc=name, disable=self.quiet or processes.quiet(fabric)
        ) as bar:
            for start in range(0, len(views), count):
                part = views[start : start + count]
                try:
                    store.make_room(size * len(part))
                    store.write(part.keys, self._compute(part, bar))
                except OutputError as error:
                    _warn_once(store.root, f"{error}; what is not kept is computed whenever it is needed")
                    break
                kept += len(part)
        if kept and fabric.is_global_zero and not self.quiet:
            seconds, total = time.perf_counter() - began, store.total_bytes() / 1e9
            _say(
                f"{kept} views of kind {views.name!r} computed in {seconds:.0f} s and kept; "
                f"{store.root} holds {total:.2f} GB of at most {store.max_bytes / 1e9:g}"
            )

    def _compute(self, views: Views | GivenPixels, bar: tqdm[Any] | None = None) -> np.ndarray:
        """Records of views; the pixels of some are made while the layers work on those before."""
        parts = []
        for pixels in _pixels_ahead(views):
            parts.append(self.layers(pixels))
            if bar is not None:
                bar.update(len(pixels))
        return np.concatenate(parts)

    def records(self, views: Views | GivenPixels) -> np.ndarray:
        """uint8 (N, R) of N >= 1 views; what is not kept is computed."""
        if self.store is None:
            return self._compute(views)
        return self.store.read(views.keys, lambda places: self._compute(views[places]))


def _pixels_ahead(views: Views | GivenPixels) -> Iterator[np.ndarray]:
    parts = [views[start : start + _AHEAD] for start in range(0, len(views), _AHEAD)]
    with ThreadPoolExecutor(1, thread_name_prefix="next-views") as ahead:
        pending: Future[np.ndarray] = ahead.submit(lambda: parts[0].pixels)
        for following in [*parts[1:], None]:
            pixels = pending.result()
            if following is not None:
                pending = ahead.submit(lambda part=following: part.pixels)  # type: ignore[misc]
            yield pixels


def _say(message: str) -> None:
    print(f"activations: {message}", file=sys.stderr)


def _warn_once(root: Path, message: str) -> None:
    """Once a process and folder: every kind of view would meet the same."""
    if root not in _warned:
        _warned.add(root)
        _say(message)


class NetworkInputs:
    """Views as a network takes them: pixels, or activations where its first layers are frozen.

    Args:
        params: validated params.
        network: on the device of ``fabric``.
        fabric: devices and precision.
        root: of what is kept.
    """

    def __init__(
        self, params: Params, network: FeatureNetwork, fabric: Fabric, root: Path | None = None
    ) -> None:
        self.fabric = fabric
        self.frozen: FrozenLevels | None = None
        if isinstance(network, PretrainedCFFN):
            self.frozen = FrozenLevels(network, fabric)
            self.activations = Activations(self.frozen, params.activations, root)

    def prepare(self, views: Views) -> None:
        """Compute at once, and keep, what :meth:`read` will be asked for. Every process must call it."""
        if self.frozen is not None:
            self.activations.prepare(views, self.fabric)

    def read(self, views: Views) -> NetworkInput:
        """What the network is given for these views, on the device."""
        if self.frozen is None:
            return to_input(views.pixels, self.fabric.device)
        return self.frozen.levels(self.activations.records(views))

    def read_with_detail(self, views: Views | GivenPixels) -> tuple[NetworkInput, np.ndarray]:
        """The same, and :func:`~fakeface.detector.calibration.missing_detail` of the views, float64 (N,)."""
        if self.frozen is None:
            return to_input(views.pixels, self.fabric.device), missing_detail(views.pixels)
        records = self.activations.records(views)
        return self.frozen.levels(records), self.frozen.detail(records)
