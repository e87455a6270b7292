"""Photographs to prepared pixels, chunk by chunk, in worker processes.

Processes rather than threads: Pillow decodes outside the interpreter's lock, but at 64x64 so much of the
time goes between decodings that two threads were measured slower than none, two processes twice as fast.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from fakeface.data.faces import CELEBA, FaceFinder, FaceTooSmallError, Framing, NoFaceError, largest_face
from fakeface.data.image_sets import pixels_sha256
from fakeface.data.preprocess import FORMATS, CorruptImageError, ImageTooSmallError, decode, preprocess

_CHUNK = 128
# Below this many photographs, starting processes takes longer than they save. Finding faces takes longer.
_MIN_FOR_PROCESSES, _MIN_WITH_FACES = 4096, 128


@dataclass(frozen=True)
class Prepared:
    """One photograph after preprocessing."""

    name: str
    pixels: np.ndarray  # uint8 (image_size, image_size, 3)
    sha256: str  # of the pixels' bytes
    file_sha256: str  # of the file as it was
    width: int  # of the upright photograph before preprocessing, in pixels
    height: int
    file_bytes: int
    jpeg_step: float | None  # mean of the first quantisation table; None for a file that is no JPEG


@dataclass(frozen=True)
class Rejected:
    """A photograph that cannot be used, and why."""

    name: str
    reason: str
    kind: Literal["corrupt", "too_small", "without_face"]


def prepare_one(
    name: str, content: bytes, image_size: int, finder: FaceFinder | None = None
) -> Prepared | Rejected:
    """Decode and preprocess one file; with a finder, its largest face, aligned."""
    try:
        image = decode(content)
        face = image if finder is None else largest_face(image, image_size, finder)
        pixels = preprocess(face, image_size)
    except CorruptImageError as error:
        return Rejected(name, str(error), "corrupt")
    except NoFaceError as error:
        return Rejected(name, str(error), "without_face")
    except (ImageTooSmallError, FaceTooSmallError) as error:
        return Rejected(name, str(error), "too_small")
    file_sha256 = hashlib.sha256(content).hexdigest()
    return Prepared(
        name, pixels, pixels_sha256(pixels), file_sha256, *image.size, len(content), _jpeg_step(content)
    )


def _jpeg_step(content: bytes) -> float | None:
    """How coarsely a JPEG was quantised, of a file that could be decoded."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        tables = getattr(image, "quantization", None)
        return float(np.mean(tables[min(tables)])) if tables else None


def _prepare_chunk(chunk: list[tuple[str, bytes]], image_size: int) -> list[Prepared | Rejected]:
    return [prepare_one(name, content, image_size, _finder) for name, content in chunk]


# Of a worker process: opened once, not once a chunk.
_finder: FaceFinder | None = None


def _start_worker(face_model: Path | None, framing: Framing) -> None:
    global _finder
    die_with_parent()
    # The processes already use every core.
    _finder = None if face_model is None else FaceFinder(face_model, threads=1, framing=framing)


def die_with_parent() -> None:
    """Pool workers wait for work for ever if the parent is killed; end them with it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("only for the workers of a pool")
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def default_workers(n_photographs: int, faces: bool = False) -> int:
    """1 (this process) for a small set, else the number of cores that this process may use, 16 at most."""
    if n_photographs < (_MIN_WITH_FACES if faces else _MIN_FOR_PROCESSES):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 16)


def prepare_all(
    photographs: Iterable[tuple[str, bytes]],
    image_size: int,
    workers: int,
    face_model: Path | None = None,
    framing: Framing = CELEBA,
) -> Generator[Prepared | Rejected, None, None]:
    """Prepare photographs in parallel; results come in the order of the input.

    A few chunks per worker are under way at a time, so memory does not grow with the number of photographs.

    Args:
        photographs: (name, content of the file) pairs.
        image_size: side of the prepared pictures.
        workers: number of processes; 1 works in this one.
        face_model: ONNX file of the face detector; None: photographs are aligned already.
        framing: what faces are laid over.
    """
    if workers == 1:
        finder = None if face_model is None else FaceFinder(face_model, framing=framing)
        for name, content in photographs:
            yield prepare_one(name, content, image_size, finder)
        return
    source = iter(photographs)
    # spawn: a forked child of a process with threads may inherit a lock that nobody will release.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (face_model, framing)) as pool:
        pending: deque[Future[list[Prepared | Rejected]]] = deque()
        try:
            while True:
                while len(pending) < 3 * workers and (chunk := list(islice(source, _CHUNK))):
                    pending.append(pool.submit(_prepare_chunk, chunk, image_size))
                if not pending:
                    return
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
