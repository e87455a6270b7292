"""Which experiments a study has: changes to params.yaml by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# What all experiments have in common. Three GANs of different architecture are left to learn from, so a fold
# has two or, without an upsampler, one: with all five, good settings are perfect and cannot be told apart.
HELD_OUT = ("lsgan", "wgan", "sngan", "stylegan2", "digiface_dcgan")
SETTING = (f"held_out=[{','.join(HELD_OUT)}]",)


@dataclass(frozen=True)
class Study:
    """Experiments that belong together.

    Attributes:
        name: of the study; also that of its file in results/ and the beginning of its experiments' names.
        experiments: changes to params.yaml by the name of the experiment, beside those of ``SETTING``.
    """

    name: str
    experiments: Mapping[str, tuple[str, ...]]

    @property
    def prefix(self) -> str:
        """What the names of its experiments begin with in DVC."""
        return f"study-{self.name}-"

    @property
    def results(self) -> Path:
        """The file that its figures are collected in."""
        return Path("results") / f"study_{self.name}.json"


# Its network and its training; the margin is the experiment's.
_PAPER = ("cffn.variant=paper", "cffn.crop=null", "cffn.pseudo_fakes=0", "cffn.harmed=0", "cn.reference=none")
_UNIT = ("cffn.unit_norm=true",)
LOSSES = Study(
    "losses",
    {
        "as-configured": (),
        **{f"seed-{seed}": (f"seed={seed}",) for seed in (1, 2, 3)},  # differences below theirs mean nothing
        **{f"margin-{margin}": (f"margin={margin}",) for margin in (0.25, 0.5, 1.0, 4.0)},
        "cross-entropy": ("cffn.loss=cross_entropy",),
        **{f"unit-margin-{margin}": (*_UNIT, f"margin={margin}") for margin in (0.25, 0.5, 1.0)},
        **{
            f"supcon-{temperature}": ("cffn.loss=supervised_contrastive", f"cffn.temperature={temperature}")
            for temperature in (0.07, 0.1, 0.3)
        },
        **{f"triplet-{margin}": ("cffn.loss=triplet", f"margin={margin}") for margin in (0.2, 0.5, 1.0)},
        "levels-2": ("cffn.feature_levels=[2]",),
        "levels-3-4": ("cffn.feature_levels=[3,4]",),
        "levels-1-2-3-4": ("cffn.feature_levels=[1,2,3,4]",),
        "residual": ("cffn.variant=residual",),
        "residual-whole-images": ("cffn.variant=residual", "cffn.crop=null"),
        **{f"paper-margin-{margin}": (*_PAPER, f"margin={margin}") for margin in (0.25, 0.5, 1.0, 2.0)},
        **{f"pseudo-fakes-{share}": (f"cffn.pseudo_fakes={share}",) for share in (0.1, 0.3)},
        **{f"harmed-{share}": (f"cffn.harmed={share}",) for share in (0.0, 0.5)},
        "whole-images": ("cffn.crop=null",),
        "undisturbed": ("generate.disturbed=0",),
        "laundered-only": ("cffn.augmentation=laundered",),
        "constant-rate": ("cffn.schedule=constant",),
        "no-mirror": ("cffn.mirror=false",),
    },
)

# All fakes that are kept are learnt from, and none comes from a disturbed generator: those would be the first
# that a choice by quality leaves out.
_CURATED = ("leave_one_out.train_images=null", "generate.disturbed=0", "quality.kid_subsets=20")
CURATION_METHODS = ("none", "random", "realism", "hardest", "duplicates")
CURATION_SEEDS = (0, 1, 2)
CURATION = Study(
    "curation",
    {
        f"{method}-seed-{seed}": (*_CURATED, f"curation.method={method}", f"seed={seed}")
        for seed in CURATION_SEEDS
        for method in CURATION_METHODS
    },
)

STUDIES = {study.name: study for study in (LOSSES, CURATION)}
