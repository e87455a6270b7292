from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from fakeface.data import archives
from fakeface.data.archives import ArchiveError, open_archive, write_zip


def make_tar(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as opened:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return path


def make_zip(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members:
            opened.writestr(name, content)
    return path


def contents(path: Path) -> list[tuple[str, bytes]]:
    with open_archive(path) as archive:
        return list(archive)


MEMBERS = [("b/2.jpg", b"two"), ("a.PNG", b"one"), ("readme.txt", b"text"), ("__MACOSX/._a.jpg", b"junk")]
EXPECTED = [("a.PNG", b"one"), ("b/2.jpg", b"two")]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_gives_images_in_order_of_names(tmp_path: Path, mode: str) -> None:
    assert contents(make_tar(tmp_path / "photos", MEMBERS, mode)) == EXPECTED


def test_zip_gives_images_in_order_of_names(tmp_path: Path) -> None:
    assert contents(make_zip(tmp_path / "photos", MEMBERS)) == EXPECTED


def test_folder_gives_images_in_order_of_names(tmp_path: Path) -> None:
    for name, content in MEMBERS:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert contents(tmp_path / "photos") == EXPECTED


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg", "C:\\e.jpg"]
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_names_that_point_outside_are_refused(tmp_path: Path, make, name: str) -> None:
    path = make(tmp_path / "hostile", [("good.jpg", b"x"), (name, b"x")])
    with pytest.raises(ArchiveError, match="points outside the archive") as caught:
        contents(path)
    assert repr(name) in str(caught.value)
    assert str(path) in str(caught.value)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "hostile.tar"
    with tarfile.open(path, "w") as opened:
        info = tarfile.TarInfo("passwd.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        opened.addfile(info)
    with pytest.raises(ArchiveError, match=r"'passwd.jpg' is a link or a device"):
        contents(path)


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path, "w") as opened:
        info = zipfile.ZipInfo("passwd.jpg")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveError, match=r"'passwd.jpg' is a link"):
        contents(path)


def test_links_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (tmp_path / "elsewhere.jpg").write_bytes(b"x")
    (folder / "a.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    assert contents(folder) == [("a.jpg", b"x")]
    (folder / "loop").symlink_to(folder)
    with pytest.raises(ArchiveError, match="loop links to a folder or to nothing"):
        contents(folder)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("second", ["a.jpg", "./a.jpg"])
def test_a_name_given_twice_is_refused(tmp_path: Path, make, second: str) -> None:
    path = make(tmp_path / "twice", [("a.jpg", b"1"), (second, b"2")])
    with pytest.raises(ArchiveError, match=r"'a.jpg' is there twice"):
        contents(path)


def test_size_and_number_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zip(tmp_path / "big.zip", [("a.jpg", b"x" * 100), ("b.jpg", b"x")])
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 99)
    with pytest.raises(ArchiveError, match=r"'a.jpg' has 100 bytes, expected at most 99"):
        contents(path)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 1)
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 100)
    with pytest.raises(ArchiveError, match="more than 1 members"):
        contents(path)


def test_a_compressed_tar_that_explodes_is_refused(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "bomb.tar.gz", [("zeros.jpg", bytes(20_000_000))], "w:gz")
    with pytest.raises(ArchiveError, match="expands more than 50 times"):
        contents(path)


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_missing_or_empty_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArchiveError, match=f"{name}: (no such file|holds no photographs)"):
        contents(tmp_path / name)


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    whole = make_zip(tmp_path / "whole.zip", [("a.jpg", b"x" * 1000)]).read_bytes()
    compressed = make_tar(tmp_path / "whole.tar.gz", [("a.jpg", bytes(range(256)) * 9)], "w:gz").read_bytes()
    for name, content in {
        "text.zip": b"this is no archive" * 100,
        "cut.zip": whole[:500],
        "flipped.zip": whole.replace(b"x" * 900, b"y" * 900),
        "cut.tar.gz": compressed[:-20],
        "none.tar": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ArchiveError, match=name):
            contents(tmp_path / name)


def test_errors_of_the_caller_pass_through(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "photos.zip", [("a.jpg", b"x")])
    with pytest.raises(EOFError, match="mine"), open_archive(path):
        raise EOFError("mine")


def test_the_zip_written_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    for name in ("1.zip", "2.zip"):
        write_zip(tmp_path / name, iter(EXPECTED))
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert contents(tmp_path / "1.zip") == EXPECTED
