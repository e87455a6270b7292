"""fetch_wheel against a local folder of wheels: no test needs the network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from fakeface.base.downloads import WheelError, default_cache_dir, fetch_wheel, sha256_of

NAME = "fakeface_test_payload-1.0-py3-none-any.whl"
REQUIREMENT = "fakeface-test-payload==1.0"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds one small wheel and is all that pip may look at."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "fakeface_test_payload-1.0.dist-info"
    with zipfile.ZipFile(folder / NAME, "w") as wheel:
        wheel.writestr("payload/data.bin", b"12345")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: fakeface-test-payload\nVersion: 1.0\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_downloads_once_and_then_needs_nothing(index: Path, tmp_path: Path) -> None:
    sha256 = sha256_of(index / NAME)
    path = fetch_wheel(REQUIREMENT, sha256, tmp_path / "cache")
    assert path == tmp_path / "cache" / "wheels" / sha256 / NAME
    (index / NAME).unlink()
    assert fetch_wheel(REQUIREMENT, sha256, tmp_path / "cache") == path
    assert zipfile.ZipFile(path).read("payload/data.bin") == b"12345"


def test_a_damaged_copy_is_downloaded_again(
    index: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sha256 = sha256_of(index / NAME)
    path = fetch_wheel(REQUIREMENT, sha256, tmp_path)
    path.write_bytes(path.read_bytes()[:-7])
    assert fetch_wheel(REQUIREMENT, sha256, tmp_path) == path
    assert sha256_of(path) == sha256
    assert "damaged" in caplog.text


def test_another_checksum_is_refused_and_nothing_is_kept(index: Path, tmp_path: Path) -> None:
    actual = sha256_of(index / NAME)
    with pytest.raises(WheelError) as error:
        fetch_wheel(REQUIREMENT, "0" * 64, tmp_path)
    assert actual in str(error.value)
    assert "0" * 64 in str(error.value)
    assert list((tmp_path / "wheels").iterdir()) == []


def test_no_wheel_is_one_clear_line(index: Path, tmp_path: Path) -> None:
    with pytest.raises(
        WheelError, match=r"fakeface-test-absent==2: pip could not download .*offline"
    ) as error:
        fetch_wheel("fakeface-test-absent==2", "0" * 64, tmp_path)
    assert "\n" not in str(error.value)


def test_cache_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FAKEFACE_CACHE", str(tmp_path / "here"))
    assert default_cache_dir() == tmp_path / "here"
    monkeypatch.delenv("FAKEFACE_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "fakeface"
