from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fakeface.data.image_sets import ImageSet, ImageSetError, ImageSetWriter, evenly_spaced, write_grid

COLUMNS = ("name", "source", "sha256", "split")


def rows(count: int) -> list[tuple[str, str, str, str]]:
    return [(f'{number}, "odd".jpg', "test", f"{number:064x}", "train") for number in range(count)]


@pytest.mark.parametrize("count", [1, 12])
def test_row_by_row_gives_the_same_bytes_as_at_once(tmp_path: Path, count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    with ImageSetWriter(tmp_path / "rows", 32, COLUMNS) as writer:
        for image, row in zip(images, rows(count), strict=True):
            writer.append(image, row)
        assert len(writer) == count
    ImageSet(images, pd.DataFrame(rows(count), columns=list(COLUMNS))).write(tmp_path / "once")
    for name in ("images.npy", "manifest.csv"):
        assert (tmp_path / "rows" / name).read_bytes() == (tmp_path / "once" / name).read_bytes()
    read = ImageSet.read(tmp_path / "rows")
    np.testing.assert_array_equal(read.images, images)
    assert list(read.manifest["name"]) == [row[0] for row in rows(count)]


def test_the_writer_refuses_other_shapes(tmp_path: Path) -> None:
    with (
        ImageSetWriter(tmp_path / "rows", 32, COLUMNS) as writer,
        pytest.raises(ImageSetError, match=r"image 0 must be uint8 \(32, 32, 3\), got uint8 \(64, 64, 3\)"),
    ):
        writer.append(np.zeros((64, 64, 3), dtype=np.uint8), rows(1)[0])


def test_incomplete_and_contradicting_sets_are_named(tmp_path: Path) -> None:
    images = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    ImageSet(images, pd.DataFrame(rows(2), columns=list(COLUMNS))).write(tmp_path / "set")
    manifest = tmp_path / "set" / "manifest.csv"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ImageSetError, match="set: 2 images but 1 manifest rows"):
        ImageSet.read(tmp_path / "set")
    manifest.unlink()
    with pytest.raises(ImageSetError, match=r"set: manifest.csv is missing"):
        ImageSet.read(tmp_path / "set")
    np.save(tmp_path / "set" / "images.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ImageSetError, match=r"set: .*Python objects"):
        ImageSet.read(tmp_path / "set")


@given(st.integers(0, 60), st.integers(1, 60))
def test_rows_are_evenly_spaced(n: int, count: int) -> None:
    rows = np.arange(100, 100 + n)
    chosen = evenly_spaced(rows, count)
    assert len(chosen) == min(n, count)
    assert set(chosen) <= set(rows)
    gaps = np.diff(chosen)
    assert not len(gaps) or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)
    assert evenly_spaced(np.arange(10), 4).tolist() == [0, 2, 5, 7]


def test_a_grid_is_read_row_by_row_and_its_gaps_are_white(tmp_path: Path) -> None:
    images = np.arange(5, dtype=np.uint8).repeat(4 * 4 * 3).reshape(5, 4, 4, 3)
    write_grid(tmp_path / "grid.png", images, columns=3)
    with Image.open(tmp_path / "grid.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (8, 12, 3)
    assert pixels[::4, ::4, 0].tolist() == [[0, 1, 2], [3, 4, 255]]
