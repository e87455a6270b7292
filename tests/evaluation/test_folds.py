"""Folds: who trains, who is tested, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakeface.evaluation.folds import Fold, FoldError, fold_params, make_fold, nested_folds
from fakeface.params import Params, ParamsError, load_params, validate

ROOT = Path(__file__).parents[2]


@pytest.fixture
def params() -> Params:
    return load_params(ROOT / "params.yaml")


def with_gans(params: Params, names: list[str]) -> Params:
    settings = params.leave_one_out.model_copy(update={"never_train": []})
    gans = {name: params.gans[name] for name in names}
    return params.model_copy(update={"gans": gans, "leave_one_out": settings, "held_out": []})


def test_every_gan_is_left_out_once(params: Params) -> None:
    for gan in params.gans:
        fold = make_fold(params, gan)
        assert fold.test_gans == (gan,)
        expected = [name for name in params.gans if name not in {gan, "digiface_dcgan"}]
        assert list(fold.train_gans) == expected


def test_every_upsampler_is_left_out_once(params: Params) -> None:
    tested: list[str] = []
    for upsampler in ("transposed", "nearest", "bilinear"):
        fold = make_fold(params, upsampler)
        assert {params.gans[gan].upsampler for gan in fold.test_gans} == {upsampler}
        assert upsampler not in {params.gans[gan].upsampler for gan in fold.train_gans}
        tested += fold.test_gans
    assert sorted(tested) == sorted(set(params.gans) - {"digiface_dcgan"})


def test_only_the_folds_own_gans_train(params: Params) -> None:
    fold = make_fold(params, "transposed")
    inner = fold_params(params, fold)
    assert tuple(inner.training_gans) == fold.train_gans
    assert inner.seed == params.seed
    shortened = inner.cffn.epochs * inner.cffn.steps_per_epoch
    assert params.leave_one_out.cffn_steps <= shortened < params.leave_one_out.cffn_steps + inner.cffn.epochs
    assert inner.cn.views == params.leave_one_out.cn_views
    settings = params.leave_one_out.model_copy(update={"cffn_steps": None})
    whole = fold_params(params.model_copy(update={"leave_one_out": settings}), fold)
    assert whole.cffn == params.cffn


def test_nested_folds_never_see_a_held_out_gan(params: Params) -> None:
    params = params.model_copy(update={"held_out": ["sngan", "stylegan2"]})
    folds = nested_folds(params)["gans"]
    seen = set(params.gans) - {"sngan", "stylegan2", "digiface_dcgan"}
    assert {fold.name for fold in folds} == seen
    for fold in folds:
        assert set(fold.train_gans) | set(fold.test_gans) == seen
    alone = params.model_copy(update={"held_out": [gan for gan in params.gans if gan != "dcgan"]})
    assert nested_folds(alone) == {"gans": [], "upsamplers": []}


def test_nested_upsampler_folds_part_the_seen_gans_by_upsampler(params: Params) -> None:
    params = params.model_copy(update={"held_out": ["sngan", "stylegan2", "digiface_dcgan"]})
    first, second = nested_folds(params)["upsamplers"]
    assert (first.name, second.name) == ("transposed", "nearest")
    assert first.test_gans == second.train_gans == ("dcgan", "lsgan", "wgan")
    assert second.test_gans == first.train_gans == ("wgan_gp", "pggan")


def test_a_gan_on_both_sides_is_refused() -> None:
    with pytest.raises(FoldError, match="dcgan would both train and test"):
        Fold("mixed", ("dcgan", "wgan"), ("dcgan",))


def test_nothing_left_to_train_on(params: Params) -> None:
    with pytest.raises(FoldError, match="fold dcgan: no GAN is left to train on"):
        make_fold(with_gans(params, ["dcgan"]), "dcgan")
    with pytest.raises(FoldError, match="fold transposed: no GAN is left to train on"):
        make_fold(with_gans(params, ["dcgan", "wgan"]), "transposed")


def changed(params: Params, **settings: object) -> dict[str, Any]:
    content = params.model_dump(mode="json")
    content["leave_one_out"] |= settings
    return content


def test_unknown_names(params: Params) -> None:
    with pytest.raises(FoldError, match="no GAN or upsampler 'biggan' to leave out, expected one of dcgan"):
        make_fold(params, "biggan")
    with pytest.raises(ParamsError, match="never_train must name entries of gans"):
        validate(Params, changed(params, never_train=["biggan"]), "params.yaml")


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (
            ["dcgan", "biggan"],
            r"leave_one_out.folds must name GANs \(dcgan, .*\) or upsamplers .* got \['big",
        ),
        (["pixelshuffle"], r"upsamplers of GANs that may train \(bilinear, nearest, transposed\), got"),
        (["dcgan", "nearest", "dcgan"], "leave_one_out.folds must name each GAN and upsampler once, got"),
    ],
)
def test_wrong_folds_are_refused(params: Params, folds: list[str], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        validate(Params, changed(params, folds=folds), "params.yaml")


def test_a_gan_with_the_name_of_an_upsampler_is_refused(params: Params) -> None:
    content = changed(params, folds=["nearest"])
    content["gans"]["nearest"] = content["gans"]["dcgan"]
    with pytest.raises(ParamsError, match="folds: nearest is a GAN and an upsampler, give the GAN another"):
        validate(Params, content, "params.yaml")


def test_the_default_leaves_out_every_gan_and_every_upsampler(params: Params) -> None:
    names = [*params.gans, *dict.fromkeys(gan.upsampler for gan in params.gans.values())]
    assert params.leave_one_out.folds == names
