"""params.yaml: what is refused, and that all of it is said at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakeface.params import (
    RENAMED,
    Params,
    ParamsError,
    load_params,
    main,
    profile_names,
    validate,
)

ROOT = Path(__file__).parents[1]


def content() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    return loaded


def problems(changed: dict[str, Any]) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        validate(Params, changed, "params.yaml")
    return str(caught.value).splitlines()


def leaves(content: Any, within: str = "") -> dict[str, Any]:
    if not isinstance(content, dict):
        return {within: content}
    return {
        key: value
        for name, part in content.items()
        for key, value in leaves(part, f"{within}.{name}").items()
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the shipped profiles."""
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_params_yaml_is_the_default_profile() -> None:
    shipped = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert shipped == (ROOT / "profiles" / "default.yaml").read_text(encoding="utf-8"), (
        "copy one to the other"
    )


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml")))
def test_every_profile_is_valid_and_holds_only_what_differs(name: str, project: Path) -> None:
    main(["use", name])
    params = load_params("params.yaml")
    assert params.training_gans
    assert not set(params.training_gans) & set(params.held_out)
    if name == "default":
        return
    defaults = leaves(content())
    profile = leaves(yaml.safe_load((ROOT / "profiles" / f"{name}.yaml").read_text()))
    assert {key for key, value in profile.items() if defaults.get(key, ()) == value} == set()
    removed = [key for key, value in profile.items() if value is None and key not in defaults]
    expected = {
        key: value
        for key, value in (defaults | profile).items()
        if not any(key == name or key.startswith(f"{name}.") for name in removed)
    }
    assert leaves(yaml.safe_load(Path("params.yaml").read_text())) == expected


def test_a_profile_keeps_comments_and_takes_changes(project: Path) -> None:
    main(["use", "celeba-10k", "data.root=../photographs.zip", "cffn.crop=null"])
    lines = Path("params.yaml").read_text(encoding="utf-8").splitlines()
    default = Path("profiles/default.yaml").read_text(encoding="utf-8").splitlines()
    changed = [new for new, old in zip(lines, default, strict=True) if new != old]
    assert "  root: ../photographs.zip  # folder: a folder, zip" in "\n".join(changed)
    assert all(("#" in new) == ("#" in old) for new, old in zip(lines, default, strict=True))
    params = load_params()
    assert (params.data.root, params.cffn.crop, params.cffn.steps_per_epoch) == (
        "../photographs.zip",
        None,
        200,
    )
    main(["use", "default"])
    assert Path("params.yaml").read_bytes() == Path("profiles/default.yaml").read_bytes()


def test_external_sets_are_added_one_by_one(project: Path) -> None:
    sets = {"faces": {"path": "a.zip", "kind": "fake"}, "snaps": {"path": "b, c.zip", "kind": "real"}}
    main(["use", "default", *(f"external.{name}={json.dumps(value)}" for name, value in sets.items())])
    found = load_params().external
    assert {name: {"path": one.path, "kind": one.kind} for name, one in found.items()} == sets
    with pytest.raises(ParamsError, match=r"external.dcgan must have a name of its own"):
        main(["use", "default", 'external.dcgan={"path": "a.zip", "kind": "fake"}'])
    with pytest.raises(ParamsError, match=r"external.own.path is data.root, 'a.zip': it trains"):
        main(["use", "celeba-10k", "data.root=a.zip", 'external.own={"path": "a.zip", "kind": "real"}'])


def test_sets_out_of_repositories_are_named_before_they_are_used(project: Path) -> None:
    entry = {"repo": "git@example.org:faces.git", "rev": "v1.0", "path": "faces/real"}
    use = ["use", "celeba-10k", f"repositories.mine={json.dumps(entry)}", "data.root=data/fetched/mine.zip"]
    unknown = ["external.a={path: data/fetched/a.zip, kind: real}", "gans.dcgan.weights=data/fetched/mine"]
    main(["use", "celeba-10k", *use[2:]])
    assert load_params().repositories["mine"].model_dump() == entry
    with pytest.raises(ParamsError) as caught:
        main([*use, *unknown])
    assert str(caught.value).endswith(
        "gans.dcgan.weights must be a set of repositories (data/fetched/mine.zip), got 'data/fetched/mine'; "
        "external.a.path must be a set of repositories (data/fetched/mine.zip), got 'data/fetched/a.zip'"
    )
    with pytest.raises(
        ParamsError, match=r"external.own.path is data.root, 'data/fetched/mine.zip': it trains"
    ):
        main([*use, "external.own={path: data/fetched/mine.zip, kind: real}"])


def test_every_problem_of_a_repository_is_said_and_no_password() -> None:
    changed = content()
    good = {"repo": "https://example.org/a.git", "rev": "v1", "path": "faces"}
    changed["repositories"] = {
        "a": good | {"repo": "https://me:secret@example.org/a.git", "rev": "--upload-pack=x", "path": "../b"},
        "b": good | {"repo": "https://secret@example.org/a.git", "rev": 1, "path": "/etc"},
        "c": good | {"repo": "-x", "rev": "v1~1", "branch": "main"},
        "d": {"repo": "~/faces", "path": ""},
        "e": good | {"repo": "ssh://git@example.org/a.git"},
        "f": good | {"repo": "ssh://git:secret@example.org/a.git"},
    }
    lines = problems(changed)
    assert "secret" not in "\n".join(lines)
    assert [line.removeprefix("params.yaml: repositories.") for line in lines] == [
        "a.repo: must hold no user name or password: Git's credential helpers keep these",
        "a.rev: must be a commit's full hash or the name of a tag, got '--upload-pack=x'",
        "a.path: must be a path below the repository's root, got '../b'",
        "b.repo: must hold no user name or password: Git's credential helpers keep these",
        "b.rev must be a valid string, got 1",
        "b.path: must be a path below the repository's root, got '/etc'",
        "c.repo: must be an address or a folder, got '-x'",
        "c.rev: must be a commit's full hash or the name of a tag, got 'v1~1'",
        "params.yaml: unknown key repositories.c.branch, expected one of repo, rev, path",
        "d.repo: must be a whole path, because DVC does not know what ~ is, got '~/faces'",
        "d.rev is missing",
        "d.path String should have at least 1 character, got ''",
        "f.repo: must hold no user name or password: Git's credential helpers keep these",
    ]


def test_a_profile_adds_and_removes_gans(project: Path) -> None:
    entry = "{loader: zoo, weights: mine.safetensors, architecture: dcgan, upsampler: nearest}"
    Path("profiles/mine.yaml").write_text(
        f"gans: {{mine: {entry}, dcgan: null, sngan: null}}\nheld_out: [mine]\n"
        "leave_one_out: {never_train: [], folds: [mine]}\n"
    )
    main(["use", "mine"])
    expected = [gan for gan in content()["gans"] if gan not in ("dcgan", "sngan")]
    assert list(load_params().gans) == [*expected, "mine"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "profile must be one of default, celeba, celeba-10k, portraits, got 'nowhere'"),
        (["celeba", "cffn.mrgin=2"], r"profiles/celeba.yaml: unknown key cffn.mrgin"),
        (["celeba", "margin=-2"], "margin must be greater than 0, got -2"),
        (["celeba", "margin"], "expected KEY=VALUE, got 'margin'"),
        (["celeba", "cffn.harmed=0"], "cffn.harmed is called cffn.corrupted now"),
    ],
)
def test_profiles_that_cannot_be_used(project: Path, arguments: list[str], message: str) -> None:
    assert profile_names() == ["default", "celeba", "celeba-10k", "portraits"]
    with pytest.raises(ParamsError, match=message):
        main(["use", *arguments])
    assert not Path("params.yaml").exists()


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_refused_with_the_new_one(old: str, new: str) -> None:
    changed = content()
    section, key = old.split(".")
    del changed[section][new.split(".")[1]]
    changed[section][key] = 0
    assert problems(changed) == [f"params.yaml: {old} is called {new} now"]


@pytest.mark.parametrize("key", ["data.root", "quality.weights", "gans.dcgan.weights"])
def test_inputs_are_paths_that_dvc_finds(key: str) -> None:
    changed = content()
    target = changed
    for section in key.split(".")[:-1]:
        target = target[section]
    for value, message in (
        ("~/mine", "whole path, because DVC does not know what ~ is, got '~/mine'"),
        (None, "got None"),
    ):
        target[key.split(".")[-1]] = value
        (line,) = problems(changed)
        assert line.startswith(f"params.yaml: {key}")
        assert message in line


def test_all_problems_are_reported_at_once_with_key_value_and_expectation() -> None:
    changed = content()
    changed["margn"] = 1
    changed["cffn"]["lr"] = "abc"
    changed["margin"] = -0.5
    changed["gans"]["dcgan"]["foo"] = 1
    del changed["seed"]
    lines = problems(changed)
    assert len(lines) == 5
    assert all(line.startswith("params.yaml: ") for line in lines)
    text = "\n".join(lines)
    assert "margin must be greater than 0, got -0.5" in text
    assert "unknown key margn, expected one of seed, margin," in text
    assert "unknown key gans.dcgan.foo, expected one of loader, weights" in text
    assert "cffn.lr must be a valid number" in text
    assert "got 'abc'" in text
    assert "seed is missing" in text


@pytest.mark.parametrize("margin", [0, -1, ".nan", ".inf", "wide"])
def test_margins_that_make_no_sense(margin: Any) -> None:
    changed = content()
    changed["margin"] = yaml.safe_load(str(margin))
    assert any("margin must be" in line for line in problems(changed))


def test_a_number_written_by_dvc_in_scientific_notation_is_a_number() -> None:
    """YAML 1.1 reads 1e-05, which is what `-S cffn.lr=0.00001` writes, as a string."""
    changed = content()
    changed["cffn"]["lr"] = yaml.safe_load("1e-05")
    assert isinstance(changed["cffn"]["lr"], str)
    assert validate(Params, changed, "params.yaml").cffn.lr == 1e-05


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (["stylegan9"], "held_out must name entries of gans (dcgan, lsgan"),
        (["wgan_gp", "wgan_gp"], "held_out must name each GAN once"),
        (list(content()["gans"]), "held_out must leave at least one GAN to train on"),
    ],
)
def test_held_out_gans(held_out: list[str], message: str) -> None:
    changed = content()
    changed["held_out"] = held_out
    assert any(message in line for line in problems(changed))


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("data", "splits", {"val": 0.6, "test": 0.5}, "val + test must be below 1"),
        ("cffn", "feature_levels", [4, 2], "feature_levels must be ascending and distinct"),
        ("cffn", "crop", 96, "cffn.crop must be at most image_size (64), got 96"),
        ("cffn", "crop", 48, "cffn.crop must be a multiple of 32, got 48"),
        ("cffn", "batch_size", 7, "cffn.batch_size must be a multiple of 2, got 7"),
        ("quality", "kid_subset_size", 10**6, "kid_subset_size must be at most n_images"),
        ("protocols", "mild", {"jpeg_quality": [90, 50]}, "jpeg_quality must be [low, high]"),
    ],
)
def test_values_that_contradict_each_other(section: str, key: str, value: Any, message: str) -> None:
    changed = content()
    changed[section][key] = value
    assert any(message in line for line in problems(changed))


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text() + "\nmargin: 0.9\n")
    with pytest.raises(ParamsError, match=r"params.yaml: key 'margin' is given twice, again on line \d+"):
        load_params(path)


def test_files_that_are_absent_or_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="nowhere.yaml: no such file"):
        load_params(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1,")
    with pytest.raises(ParamsError, match="bad.yaml"):
        load_params(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ParamsError, match="list.yaml"):
        load_params(tmp_path / "list.yaml")


TEST_ONLY = "gans.mine={loader: folder, weights: f.zip, architecture: x, upsampler: none, test_only: true}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([TEST_ONLY], "held_out must name mine, because gans.mine.test_only is true"),
        ([TEST_ONLY, "held_out=[mine]"], "leave_one_out.never_train must name mine, because"),
        (
            [TEST_ONLY.replace("folder", "zoo")],
            "test_only is for loader folder, got loader 'zoo'; use held_out",
        ),
        (["leave_one_out.compared=[dct, dct]"], "must name each method once"),
        (["leave_one_out.compared=[]"], "leave_one_out.compared"),
        (["leave_one_out.compared=[clip]"], "leave_one_out.compared"),
        (["cffn.autoencoder={folder: taesd}"], "cffn.autoencoder.sha256 is missing"),
    ],
)
def test_sets_that_only_test_and_methods_compared(project: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        main(["use", "default", *arguments])


def test_a_set_that_only_tests(project: Path) -> None:
    main(["use", "default", TEST_ONLY, "held_out=[mine]", "leave_one_out.never_train=[mine]"])
    assert "mine" not in load_params().training_gans
