"""What a removed GAN left behind is set aside, never deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakeface.data.image_sets import set_aside


def test_folders_of_former_gans_are_moved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake = tmp_path / "data" / "fake"
    for name in ("dcgan", "former"):
        (fake / name).mkdir(parents=True)
        (fake / name / "images.npy").write_text(name)
    (fake / ".gitignore").write_text("/dcgan")
    set_aside(fake, ["dcgan", "wgan"])
    assert sorted(entry.name for entry in fake.iterdir()) == [".gitignore", "dcgan"]
    moved = tmp_path / "data" / "former" / "fake" / "former"
    assert (moved / "images.npy").read_text() == "former"
    assert f"not in params.yaml any more, moved to {moved}" in capsys.readouterr().err
    set_aside(fake, ["dcgan"])
    assert capsys.readouterr().err == ""
    (fake / "former").mkdir()
    set_aside(fake, ["dcgan"])
    assert list(moved.iterdir()) == []


def test_no_folder_is_no_error(tmp_path: Path) -> None:
    set_aside(tmp_path / "data" / "fake", ["dcgan"])
