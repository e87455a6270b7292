"""Downloads from a server on this machine that refuses, breaks off, and then serves."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import Any

import pytest
from loopback import BODY, Server

from fakeface.base.downloads import FetchError, fetch

SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()


def get(server: Server, path: Path, **options: Any) -> Path:
    options = {"sha256": SHA256, "backoff": 0.001, "timeout": 5, **options}
    return fetch(server.url, path, **options)


def test_refused_then_cut_then_served_with_ranges(serve: Any, tmp_path: Path) -> None:
    server = serve([503, ("cut", 300_000), 429, ("cut", 200_000)])
    path = get(server, tmp_path / "new" / "photos.zip")
    assert path.read_bytes() == BODY
    assert [file.name for file in path.parent.iterdir()] == ["photos.zip"]
    assert server.requested[:2] == [None, None]
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for wanted in server.requested[2:]]
    assert 0 < starts[0] == starts[1] < starts[2] < len(BODY)


def test_a_server_without_ranges_starts_again(serve: Any, tmp_path: Path) -> None:
    server = serve([("cut", 300_000), ("cut", 600_000)], ranges=False)
    assert get(server, tmp_path / "photos.zip").read_bytes() == BODY
    assert len(server.requested) == 3


def test_a_later_run_resumes(serve: Any, tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    server = serve([("cut", 500_000)])
    with pytest.raises(FetchError, match="gave up after 1 attempts"):
        get(server, path, retries=0)
    assert not path.exists()
    get(server, path, sha256=None, md5=MD5)
    assert path.read_bytes() == BODY
    assert server.requested[1] is not None
    get(server, path)
    assert len(server.requested) == 2, "a file that is there and right is not fetched again"


def test_a_part_that_is_already_whole_is_kept(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "photos.zip.part").write_bytes(BODY)
    server = serve([])
    assert get(server, tmp_path / "photos.zip").read_bytes() == BODY
    assert server.requested == [f"bytes={len(BODY)}-"]


@pytest.mark.parametrize("stale", [b"another file", b"x" * 2_000_000])
def test_a_part_of_another_file_is_discarded(serve: Any, tmp_path: Path, stale: bytes) -> None:
    (tmp_path / "photos.zip.part").write_bytes(stale)
    assert get(serve([]), tmp_path / "photos.zip").read_bytes() == BODY


def test_a_wrong_checksum_shows_both_and_leaves_nothing(serve: Any, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=f"sha256 is {SHA256}, expected {'0' * 64}"):
        get(serve([]), tmp_path / "photos.zip", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_quota_page_is_refused_at_once(serve: Any, tmp_path: Path) -> None:
    server = serve(["html"])
    with pytest.raises(FetchError, match="sent a web page"):
        get(server, tmp_path / "photos.zip")
    assert len(server.requested) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_not_tried_again(serve: Any, tmp_path: Path) -> None:
    server = serve([404])
    with pytest.raises(FetchError, match="HTTP status 404"):
        get(server, tmp_path / "photos.zip")
    assert len(server.requested) == 1


def test_too_long_a_file_is_refused(serve: Any, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="1000000 bytes, expected at most 999999"):
        get(serve([]), tmp_path / "photos.zip", max_bytes=999_999)


def test_nobody_listening(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/photos.zip"
    with pytest.raises(FetchError, match="gave up after 3 attempts"):
        fetch(url, tmp_path / "photos.zip", sha256=SHA256, retries=2, backoff=0.001)
    assert not (tmp_path / "photos.zip").exists()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/photos.zip", "photos.zip"])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match=r"photos\.zip"):
        fetch(url, tmp_path / "photos.zip", sha256=SHA256)


def test_the_first_digits_of_a_checksum_will_do(serve: Any, tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    server = serve([("cut", 300_000)])
    assert get(server, path, sha256=SHA256[:8].upper()).read_bytes() == BODY
    get(server, path, sha256=SHA256[:8])
    assert len(server.requested) == 2
    with pytest.raises(FetchError, match=f"sha256 is {SHA256}, expected one that begins with 00000000"):
        get(server, tmp_path / "other.zip", sha256="00000000")
    assert not (tmp_path / "other.zip").exists()


def test_without_a_checksum_no_half_file_is_continued(serve: Any, tmp_path: Path) -> None:
    """Nothing could tell whether the halves belong together."""
    (tmp_path / "photos.zip.part").write_bytes(b"x" * 500_000)
    server = serve([])
    path = get(server, tmp_path / "photos.zip", sha256=None)
    assert path.read_bytes() == BODY
    assert server.requested == [None]
    get(server, path, sha256=None)
    assert len(server.requested) == 1


def test_two_checksums_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at most one"):
        fetch("http://127.0.0.1:1/photos.zip", tmp_path / "photos.zip", sha256=SHA256, md5=MD5)
