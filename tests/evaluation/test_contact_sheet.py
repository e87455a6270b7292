"""The contact sheet: rows in order, equal bytes for equal pictures, no empty row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakeface.evaluation.figures import COLUMNS, write_contact_sheet


def sets() -> dict[str, np.ndarray]:
    red, blue = np.zeros((COLUMNS + 3, 8, 8, 3), np.uint8), np.zeros((3, 8, 8, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    return {"photographs": red, "gan": blue}


def test_the_first_set_is_the_top_row(tmp_path: Path) -> None:
    write_contact_sheet(tmp_path / "a.png", sets())
    write_contact_sheet(tmp_path / "b.png", sets())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    red = np.argwhere((pixels == [255, 0, 0]).all(axis=2))
    blue = np.argwhere((pixels == [0, 0, 255]).all(axis=2))
    assert red[:, 0].max() < blue[:, 0].min()
    assert len(red) == pytest.approx(len(blue) * COLUMNS / 3, rel=0.05)  # 3 of a row's places are taken


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"every row needs an image, got \[\('gan', 0\)\]"):
        write_contact_sheet(tmp_path / "a.png", {"gan": np.zeros((0, 8, 8, 3), np.uint8)})
