from __future__ import annotations

from pathlib import Path

import pytest
from conftest import CelebaRoot
from hypothesis import given
from hypothesis import strategies as st

from fakeface.data.image_sets import hash_split
from fakeface.data.sources import PartitionError, assign_splits, read_identities, read_partition
from fakeface.params import SplitParams

FRACTIONS = SplitParams(val=0.15, test=0.15)


def names(count: int = 60) -> list[str]:
    return [f"img_align_celeba/{number:06d}.jpg" for number in range(1, count + 1)]


def test_official_partition_wins(celeba_root: CelebaRoot) -> None:
    splits = assign_splits(names(), celeba_root.root, FRACTIONS)
    assert [splits[name] for name in names()] == ["train"] * 40 + ["val"] * 10 + ["test"] * 10


def test_without_partition_the_file_name_decides(tmp_path: Path) -> None:
    splits = assign_splits(["a/000001.jpg", "b/000001.jpg"], tmp_path, FRACTIONS)
    assert set(splits.values()) == {hash_split("000001.jpg", 0.15, 0.15)}


@given(st.sets(st.text("abcdef0123456789", min_size=1), min_size=1), st.text("abcdef0123456789", min_size=1))
def test_adding_a_photograph_moves_no_other(tmp_path_factory, before: set[str], added: str) -> None:
    raw = tmp_path_factory.getbasetemp()
    old = assign_splits(before, raw, FRACTIONS)
    new = assign_splits(before | {added}, raw, FRACTIONS)
    assert {name: new[name] for name in before} == old


def test_a_photograph_that_the_partition_lacks(celeba_root: CelebaRoot) -> None:
    with pytest.raises(PartitionError, match=r"lacks 2 of 62 photographs, first 000061.jpg"):
        assign_splits(names(62), celeba_root.root, FRACTIONS)


def test_a_person_in_two_splits_is_refused(celeba_root: CelebaRoot) -> None:
    path = celeba_root.root / "identity_CelebA.txt"
    path.write_text(path.read_text().replace("000060.jpg 2891", "000060.jpg 2880"))
    with pytest.raises(
        PartitionError, match=r"identity 2880 is in two splits: .*001.jpg .train. and .*060.jpg"
    ):
        assign_splits(names(), celeba_root.root, FRACTIONS)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("000001.jpg 3", "000001.jpg must be in partition 0, 1 or 2, got '3'"),
        ("000001.jpg", "line 1 must be '<file name> <number>', got '000001.jpg'"),
        ("000001.jpg 0\n000001.jpg 1", "line 2 names 000001.jpg again"),
    ],
)
def test_malformed_tables_are_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "list_eval_partition.txt"
    path.write_text(line + "\n")
    with pytest.raises(PartitionError) as caught:
        read_partition(path)
    assert str(caught.value) == f"{path}: {problem}"


def test_no_identities_are_no_error(tmp_path: Path) -> None:
    assert read_identities(tmp_path / "identity_CelebA.txt") == {}
