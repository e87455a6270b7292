"""The digests that stages depend on, and what GANs leave behind that params.yaml lists no more."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fakeface.data.collect import remove_others, set_digests
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


def test_only_what_params_names_is_kept(tmp_path: Path) -> None:
    for gan in ("dcgan", "old"):
        (tmp_path / gan / "train").mkdir(parents=True)
    for name in ("dcgan.json", "older.json", ".gitignore"):
        (tmp_path / name).write_text("{}")
    assert remove_others(tmp_path, ["dcgan", "absent"]) == ["old", "older.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "dcgan", "dcgan.json"]
    assert remove_others(tmp_path / "nowhere", ["dcgan"]) == []
