"""Where a public checkpoint comes from: a card with an address, or a local file."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from loopback import BODY

from fakeface.base.downloads import FetchError
from fakeface.base.errors import MissingFileError
from fakeface.gans.loaders.checkpoints import checkpoint_file
from fakeface.gans.weights import WeightsError
from fakeface.params import GanParams

SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKEFACE_CACHE", str(tmp_path / "cache"))


def entry(weights: Path, sha256: str | None = None) -> GanParams:
    return GanParams(
        loader="mimicry", weights=str(weights), sha256=sha256, architecture="resnet", upsampler="bilinear"
    )


def write_card(folder: Path, url: str, prefix: str | None = SHA256[:8], file: str = "netG.pth") -> Path:
    path = folder / "public.json"
    path.write_text(json.dumps({"name": "public", "file": file, "url": url, "sha256_prefix": prefix}))
    return path


def test_a_card_is_fetched_once_and_survives_a_bad_connection(serve: Any, tmp_path: Path) -> None:
    server = serve([("cut", 400_000), ("cut", 100_000)])
    card = write_card(tmp_path, server.url)
    path = checkpoint_file("public", entry(card))
    assert path == tmp_path / "cache" / "checkpoints" / "public" / "netG.pth"
    assert path.read_bytes() == BODY
    fetched = len(server.requested)
    assert checkpoint_file("public", entry(card)) == path
    assert len(server.requested) == fetched


def test_a_cached_file_that_has_gone_bad_is_fetched_again(serve: Any, tmp_path: Path) -> None:
    card = write_card(tmp_path, serve([]).url)
    path = checkpoint_file("public", entry(card))
    path.write_bytes(b"damaged")
    assert checkpoint_file("public", entry(card)).read_bytes() == BODY


@pytest.mark.parametrize(("step", "message"), [("html", "sent a web page"), (404, "HTTP status 404")])
def test_a_quota_page_and_a_missing_file_are_said_to_be_so(
    serve: Any, tmp_path: Path, step: Any, message: str
) -> None:
    card = write_card(tmp_path, serve([step]).url, prefix=None)
    with pytest.raises(FetchError, match=message):
        checkpoint_file("public", entry(card))
    assert not list((tmp_path / "cache").rglob("netG*"))


def test_a_wrong_checksum_is_refused(serve: Any, tmp_path: Path) -> None:
    card = write_card(tmp_path, serve([]).url, prefix="00000000")
    with pytest.raises(FetchError, match="expected one that begins with 00000000"):
        checkpoint_file("public", entry(card))


def test_where_no_checksum_is_known_the_log_offers_one_to_pin(
    serve: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = write_card(tmp_path, serve([]).url, prefix=None)
    with caplog.at_level(logging.WARNING):
        checkpoint_file("public", entry(card))
    assert f"sha256 is {SHA256}, which gans.public.sha256 can pin" in caplog.text
    assert checkpoint_file("public", entry(card, SHA256)).read_bytes() == BODY


def test_a_local_file_in_place_of_the_address(tmp_path: Path) -> None:
    local = tmp_path / "mine.pth"
    local.write_bytes(BODY)
    assert checkpoint_file("x", entry(local)) == local
    assert checkpoint_file("x", entry(write_card(tmp_path, str(local)))) == local
    with pytest.raises(WeightsError, match=r"mine\.pth: sha256 is .* expected one that begins with 00000000"):
        checkpoint_file("x", entry(local, "0" * 8))
    with pytest.raises(MissingFileError, match=r"gans\.x\.weights: .*none\.pth: no such file"):
        checkpoint_file("x", entry(tmp_path / "none.pth"))
    with pytest.raises(MissingFileError, match=r"public\.json: url: .*gone\.pth: no such file"):
        checkpoint_file("x", entry(write_card(tmp_path, str(tmp_path / "gone.pth"))))
    with pytest.raises(
        WeightsError, match=r"public\.json: url is a local file .* name it in gans\.x\.weights"
    ):
        checkpoint_file("x", entry(write_card(tmp_path, str(local), prefix=None)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected a JSON object with file, url"),
        ("[]", "expected a JSON object with file, url"),
        ('{"file": "../x", "url": "u", "sha256_prefix": null}', "file must be a bare file name, got '../x'"),
        ('{"file": "x", "url": 3, "sha256_prefix": null}', "file, url must be texts, got 'x', 3"),
        ('{"file": "x", "url": "u"}', "sha256_prefix must be given"),
        ('{"file": "x", "url": "u", "sha256_prefix": 3}', "sha256_prefix must be given, as a text or null"),
    ],
)
def test_damaged_cards(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(WeightsError, match=message):
        checkpoint_file("x", entry(tmp_path / "card.json"))
