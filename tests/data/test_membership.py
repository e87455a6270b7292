"""Images that are where they do not belong are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fakeface.data.image_sets import ImageSet, LeakError, Split, check_source, check_split

FOLDER = Path("data/fake/dcgan/train")


def image_set(sources: list[str], splits: list[str]) -> ImageSet:
    names = [
        f"{source}/{split}/{row}" for row, (source, split) in enumerate(zip(sources, splits, strict=True))
    ]
    return ImageSet(
        np.zeros((len(names), 2, 2, 3), np.uint8),
        pd.DataFrame({"name": names, "source": sources, "sha256": "", "split": splits}),
    )


def test_an_image_of_another_split() -> None:
    part = image_set(["dcgan"] * 3, ["train", "test", "val"])
    with pytest.raises(
        LeakError, match="^data/fake/dcgan/train: dcgan/test/1 belongs to split 'test', expected 'train'$"
    ):
        check_split(part, "dcgan", "train", FOLDER)


def test_an_image_of_another_gan() -> None:
    part = image_set(["dcgan", "dcgan", "sngan"], ["train"] * 3)
    with pytest.raises(
        LeakError, match="^data/fake/dcgan/train: sngan/train/2 was made by 'sngan', expected 'dcgan'$"
    ):
        check_split(part, "dcgan", "train", FOLDER)


def test_a_fake_among_photographs() -> None:
    """Photographs may have any source but a GAN."""
    part = image_set(["folder", "sngan"], ["val"] * 2)
    check_split(part, None, "val", FOLDER, gans=["dcgan"])
    with pytest.raises(
        LeakError, match="^photographs: sngan/val/1 was made by 'sngan', expected a photograph$"
    ):
        check_source(part, None, "photographs", gans=["dcgan", "sngan"])


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_what_belongs_there_is_welcome(split: Split) -> None:
    check_split(image_set(["dcgan"] * 2, [split] * 2), "dcgan", split, FOLDER, gans=["dcgan", "sngan"])
    check_split(image_set(["celeba"] * 2, [split] * 2), None, split, FOLDER, gans=["dcgan", "sngan"])
    check_split(image_set([], []), "dcgan", split, FOLDER)
