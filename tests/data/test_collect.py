"""The digests that stages depend on."""

from __future__ import annotations

import pandas as pd

from fakeface.data.collect import set_digests
from fakeface.params import GanParams

TABLE = pd.DataFrame(
    {
        "name": ["1.jpg", "2.jpg", "a0", "a1", "b0"],
        "source": ["mini", "mini", "a", "a", "b"],
        "sha256": ["00", "11", "22", "33", "44"],
        "split": ["train", "test", "train", "train", "train"],
        "gan": ["", "", "a", "a", "b"],
    }
)


FACTS = {"loader": "zoo", "weights": "w", "architecture": "dcgan"}
GANS = {gan: GanParams(upsampler=how, **FACTS) for gan, how in (("a", "nearest"), ("b", "bilinear"))}


def test_a_set_changes_its_own_digest_and_no_other() -> None:
    before = set_digests(TABLE, GANS).set_index(["gan", "split"])
    assert before["images"].to_dict() == {
        ("", "train"): 1,
        ("", "test"): 1,
        ("a", "train"): 2,
        ("b", "train"): 1,
    }
    assert before["upsampler"].dropna().to_dict() == {("a", "train"): "nearest", ("b", "train"): "bilinear"}
    changed = TABLE.copy()
    changed.loc[3, "sha256"] = "ff"
    after = set_digests(changed, GANS).set_index(["gan", "split"])
    assert before.index[before["sha256"] != after["sha256"]].tolist() == [("a", "train")]
    fewer = set_digests(TABLE.drop(index=3), GANS).set_index(["gan", "split"])
    assert fewer.loc[("a", "train"), "images"] == 1
    assert fewer.loc[("a", "train"), "sha256"] != before.loc[("a", "train"), "sha256"]
