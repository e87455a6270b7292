"""People in two splits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.leaks.conftest import as_json
from fakeface.evaluation.duplicates import identities_across_splits


def people(*identities: object) -> pd.DataFrame:
    return pd.DataFrame({"name": [f"{i}.jpg" for i in range(len(identities))], "identity": list(identities)})


def test_people_in_two_splits() -> None:
    apart = {"train": people("1", "1", "2"), "val": people("3", None), "test": people("4", "")}
    result = as_json(identities_across_splits(apart))
    assert result["n"] == {"train": 3, "val": 2, "test": 2}
    assert result["n_identified"] == {"train": 3, "val": 1, "test": 1}
    assert result["n_shared"] == {"train/val": 0, "train/test": 0, "val/test": 0}
    assert result["shared"] == []
    assert "undefined" not in result

    leaky = apart | {"test": people("2", "4", "2", "3")}
    result = as_json(identities_across_splits(leaky))
    assert result["n_shared"] == {"train/val": 0, "train/test": 1, "val/test": 1}
    assert result["shared"] == [
        {"identity": "2", "splits": ["train", "test"]},
        {"identity": "3", "splits": ["val", "test"]},
    ]


@pytest.mark.parametrize(
    "train", [people(2880, 7), people(2880.0, None), people("2880", "7"), people(" 2880", pd.NA)]
)
def test_an_identity_is_the_same_however_it_was_read(train: pd.DataFrame) -> None:
    shared = identities_across_splits({"train": train, "test": people("2880", "9")})["shared"]
    assert shared == [{"identity": "2880", "splits": ["train", "test"]}]


def test_unknown_people_are_not_absent_people() -> None:
    """Empty identities do not match each other, and where none is known there is no answer."""
    nobody = people(None, "", np.nan)
    no_column = people("1").drop(columns="identity")
    result = as_json(identities_across_splits({"train": nobody, "val": people("1"), "test": no_column}))
    assert result["n_shared"] == {"train/val": None, "train/test": None, "val/test": None}
    assert result["undefined"] == {
        "train/val": "no identity is known in train",
        "train/test": "no identity is known in train and test",
        "val/test": "no identity is known in test",
    }
    assert result["n_identified"] == {"train": 0, "val": 1, "test": 0}
