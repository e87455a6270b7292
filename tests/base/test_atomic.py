"""Outputs are whole or absent."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fakeface.base.files import OutputError, atomic_directory, atomic_path, reserve, write_json, write_text


def test_an_error_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "metrics.json"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_directory_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_directory(target) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(RuntimeError), atomic_directory(target) as temporary:
        (temporary / "b").write_text("2")
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["a"]
    with atomic_directory(target) as temporary:
        (temporary / "c").write_text("3")
    assert [path.name for path in target.iterdir()] == ["c"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_kill_in_the_middle_leaves_no_out(tmp_path: Path) -> None:
    script = f"""
        import os, signal
        from fakeface.base.files import atomic_directory
        with atomic_directory({str(tmp_path / "out")!r}) as temporary:
            (temporary / "half").write_text("x")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert result.returncode != 0
    assert not (tmp_path / "out").exists()


def test_outputs_follow_the_umask(tmp_path: Path) -> None:
    """Temporary files are private; a result that only its author can read is of no use on a shared disk."""
    old = os.umask(0o022)
    try:
        write_text(tmp_path / "file", "x")
        with atomic_directory(tmp_path / "folder"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o755


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": 0.1}})
    assert json.loads((tmp_path / "m.json").read_text()) == {"a": None, "b": [None, 1.5], "c": {"d": 0.1}}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
@pytest.mark.parametrize("writing", [atomic_path, atomic_directory])
def test_a_full_disk_is_named_with_what_was_to_be_written(writing, tmp_path: Path) -> None:
    target = tmp_path / "out"
    with (
        pytest.raises(OutputError, match=rf"cannot write {target}: No space left on device"),
        writing(target),
    ):
        Path("/dev/full").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writing", [atomic_path, atomic_directory])
def test_a_place_that_cannot_be_written_is_named(writing, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    target = tmp_path / "file" / "out"
    with pytest.raises(OutputError, match=rf"cannot write {target}: .*(directory|exists)"), writing(target):
        pass


def test_an_input_that_cannot_be_read_is_not_called_an_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error, atomic_path(tmp_path / "out"):
        (tmp_path / "input").read_bytes()
    assert not isinstance(error.value, OutputError)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space can be reserved on POSIX systems only")
def test_space_is_reserved_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "features.npy"
    with path.open("wb") as file:
        file.truncate(2**20)
    reserve(path)
    assert path.stat().st_blocks * 512 >= 2**20

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match=rf"cannot write {path}: No space left on device"):
        reserve(path)
