"""All leak probes on the data of an experiment: what each measures, which of its figures are a leak."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from fakeface.base.errors import FakefaceError
from fakeface.data.archives import open_archive
from fakeface.data.augmentation import launder
from fakeface.data.faces import FRAMINGS, FaceFinder, temporary_face_model
from fakeface.data.image_sets import SPLITS, ImageSet, ImageSetError, Split, evenly_spaced
from fakeface.data.sources import IMAGES_ARCHIVE
from fakeface.evaluation.leaks.duplicates import (
    count_near,
    equal_pixels,
    identities_across_splits,
    is_copy,
    near_duplicates,
)
from fakeface.evaluation.leaks.metadata import RECORD_COLUMNS, metadata_probe, storage_probe
from fakeface.evaluation.leaks.route import (
    PROBE_KEY,
    fakes_route,
    native_squares,
    pixel_change,
    route_probe,
    shuffled_labels_probe,
)
from fakeface.params import PROTOCOLS, Params

# At most so many images of a class, evenly spaced. More would sharpen the figures and cost minutes:
# with 1,000 photographs the standard error of the route probe is 0.01, a fifth of the usual tolerance.
ROUTED = 1000
SHUFFLED = 500
MANIFEST_ROWS = 500
# Forests take long to grow, and a column that tells the class needs no more.
MANIFEST_FOLDS = 2
# How many standard errors are put down to chance.
CHANCE = 3
# AUROCs of forests that learn from manifests without meaning scatter by so much more than those of fixed
# scores: 1.2 to 1.6 times, measured with 12 to 500 images a class and two folds.
FOREST_SCATTER = 1.5

Figures = Mapping[str, Any]
# What is wrong with the figures of a probe; empty if nothing is, None if they do not say.
Findings = list[str] | None


class LeakFoundError(FakefaceError, ValueError):
    """The classes can be told by a shortcut, or splits share images; the message names the probes."""


@dataclass(frozen=True)
class ProbedData:
    """Every image set of an experiment by split; ``raw`` is the folder of the downloaded photographs."""

    raw: Path
    real: dict[Split, ImageSet]
    fake: dict[str, dict[Split, ImageSet]]

    @classmethod
    def read(cls, raw: Path, real_dir: Path, fake_dir: Path, gans: Sequence[str]) -> ProbedData:
        """Open the sets; pixels are mapped, not loaded.

        Raises:
            ImageSetError: if a set is missing or damaged.
        """

        def splits(folder: Path) -> dict[Split, ImageSet]:
            return {split: ImageSet.read(folder / split) for split in SPLITS}

        return cls(raw, splits(real_dir), {gan: splits(fake_dir / gan) for gan in gans})

    @property
    def sets(self) -> dict[str, dict[Split, ImageSet]]:
        """By source and split; the source of photographs is ``real``."""
        return {"real": self.real} | self.fake

    def photographs(self, count: int) -> tuple[np.ndarray, pd.DataFrame]:
        """At most ``count`` of all splits, evenly spaced: uint8 (N, S, S, 3) and their manifest."""
        views = [image for part in self.real.values() for image in part.images]
        manifest = pd.concat([part.manifest for part in self.real.values()], ignore_index=True)
        rows = evenly_spaced(np.arange(len(views)), count)
        return np.stack([views[row] for row in rows]), manifest.iloc[rows]


def auroc_error(n_negative: int, n_positive: int, repeats: int = 1) -> float:
    """Standard error of a mean of AUROCs of scores that say nothing.

    That of the Mann-Whitney statistic: Mason and Graham, "Areas beneath the relative operating
    characteristics (ROC) and relative operating levels (ROL) curves", QJRMS 128, 2002, equation 8.
    """
    return float(np.sqrt((n_negative + n_positive + 1) / (12 * n_negative * n_positive * repeats)))


def _beyond(auroc: float, error: float, tolerance: float) -> bool:
    """Does the whole interval of ``CHANCE`` standard errors lie outside of 0.5 +- tolerance?"""
    return abs(auroc - 0.5) - CHANCE * error > tolerance


def _judge_mean(name: str, figures: Figures, counts: tuple[int, int], tolerance: float) -> Findings:
    """Judge a mean AUROC over labellings; few of them may agree by luck, so the error has a floor."""
    if figures["auroc"] is None:
        return None
    error = max(figures["standard_error"], auroc_error(*counts, repeats=len(figures["aurocs"])))
    if not _beyond(figures["auroc"], error, tolerance):
        return []
    return [f"{name} AUROC {figures['auroc']:.3f} +- {error:.3f}, expected 0.5 +- {tolerance:g}"]


def _measure_storage(_params: Params, data: ProbedData) -> Figures:
    return storage_probe(
        {f"{source}/{split}": part for source, sets in data.sets.items() for split, part in sets.items()}
    )


def _judge_storage(figures: Figures, _tolerance: float) -> Findings:
    return [
        f"{name} is stored as {how}, others as {figures['stored']}" for name, how in figures["unlike"].items()
    ]


def _measure_metadata(params: Params, data: ProbedData) -> Figures:
    """Each split on its own, because the shares of the splits differ between the classes by design.

    Images that a generator repeats count once: their common checksum would tell that they are fakes.
    """

    def rows(parts: Sequence[ImageSet]) -> pd.DataFrame:
        manifest = pd.concat([part.manifest for part in parts], ignore_index=True).drop_duplicates("sha256")
        return manifest.iloc[evenly_spaced(np.arange(len(manifest)), MANIFEST_ROWS)]

    return {
        split: metadata_probe(
            rows([data.real[split]]),
            rows([by_split[split] for by_split in data.fake.values()]),
            aside=RECORD_COLUMNS,
            folds=MANIFEST_FOLDS,
            seed=params.seed,
        )
        for split in SPLITS
    }


def _judge_metadata(figures: Figures, tolerance: float) -> Findings:
    """Below 0.5 nothing was learned: a forest that has nothing to learn scores as low as 0.43."""
    found: list[str] = []
    for split, block in figures.items():
        for key in ("only_real", "only_fake"):
            found += [f"{split}: column {c} is {key}" for c in block[key] if c not in RECORD_COLUMNS]
        auroc = block["auroc"]
        if auroc is None or auroc <= 0.5:
            continue
        if _beyond(auroc, FOREST_SCATTER * auroc_error(block["n_real"], block["n_fake"]), tolerance):
            telling = {c: a for c, a in block["columns"].items() if c not in RECORD_COLUMNS}
            worst = max(telling, key=lambda column: telling[column])
            found.append(f"{split}: AUROC {auroc:.3f} of the manifest, most of it by column {worst}")
    undefined = any(block["auroc"] is None for block in figures.values())
    return found or (None if undefined else [])


def _measure_route(params: Params, data: ProbedData) -> Figures:
    """From the downloaded photographs, so that what was done to the prepared ones alone shows, too.

    ``unscaled`` is what the way of the fakes does to photographs that are already small: nothing at all.
    """
    photographs, manifest = data.photographs(ROUTED)
    size = params.image_size
    with open_archive(data.raw / IMAGES_ARCHIVE) as archive, ExitStack() as stack:
        if unknown := sorted(set(manifest["name"]) - set(archive.names)):
            raise ImageSetError(
                f"{archive.path}: lacks {unknown[0]}, which is among the prepared photographs"
            )
        aligned = params.data.align
        finder = None
        if aligned:
            model = stack.enter_context(temporary_face_model())
            finder = FaceFinder(model, framing=FRAMINGS[params.data.framing])
        squares = native_squares(archive, manifest["name"], size, finder)
        routed = fakes_route(squares, len(manifest), size)
    protocols = {name: getattr(params.protocols, name) for name in PROTOCOLS}
    return {
        **route_probe(photographs, routed, protocols, halvings=params.leaks.halvings, seed=params.seed),
        "unscaled": pixel_change(photographs, fakes_route([photographs], len(photographs), size)),
    }


def _judge_route(figures: Figures, tolerance: float) -> Findings:
    share, most = figures["unscaled"]["changed_pixels"], figures["unscaled"]["largest_change"]
    if share is None:
        return None
    changed = [f"the way of the fakes changes {share:.2%} of unscaled pixels, by up to {most}"]
    counts = (figures["n_real"], figures["n_routed"])
    judged = [_judge_mean(name, figures[name], counts, tolerance) for name in PROTOCOLS]
    found = (changed if share else []) + [finding for findings in judged for finding in findings or ()]
    return found or (None if None in judged else [])


def _measure_shuffled_labels(params: Params, data: ProbedData) -> Figures:
    """Photographs and test fakes, evenly spread over the GANs, laundered."""
    real, _ = data.photographs(SHUFFLED)
    tests = [by_split["test"].images for by_split in data.fake.values()]
    fakes = [evenly_spaced(test, SHUFFLED // len(tests)) for test in tests]
    images = np.concatenate([real, *fakes])
    seeds = np.array([[params.seed, PROBE_KEY, 1, row] for row in range(len(images))])
    return shuffled_labels_probe(
        launder(images, [params.protocols.laundered], seeds),
        np.repeat([0, 1], [len(real), len(images) - len(real)]),
        seed=params.seed,
    )


def _judge_shuffled_labels(figures: Figures, tolerance: float) -> Findings:
    return _judge_mean("shuffled", figures, (figures["n_real"], figures["n_fake"]), tolerance)


def _measure_equal_pixels(_params: Params, data: ProbedData) -> Figures:
    return equal_pixels(
        {split: {source: sets[split] for source, sets in data.sets.items()} for split in SPLITS}
    )


def _judge_equal_pixels(figures: Figures, _tolerance: float) -> Findings:
    found: list[str] = []
    if figures["n_wrong_sha256"]:
        found.append(f"checksums in manifests that are not those of the pixels: {figures['n_wrong_sha256']}")
    if figures["n_shared"]:
        names = " and ".join(figures["shared"][0]["names"])
        found.append(f"images in two splits: {figures['n_shared']}, first {names}")
    return found


def _measure_near_duplicates(_params: Params, data: ProbedData) -> Figures:
    """Of photographs, each pair with the ``names``; of the ``fakes`` of each GAN the number of pairs alone.

    A GAN of little variety makes near duplicates out of any latents; that is its quality, not a leak.
    """
    result = near_duplicates({split: part.images for split, part in data.real.items()})
    for pair in result["pairs"]:
        places = zip(pair["splits"], pair["rows"], strict=True)
        pair["names"] = [str(data.real[split].manifest["name"].iloc[row]) for split, row in places]
    fakes = {gan: count_near([part.images for part in sets.values()]) for gan, sets in data.fake.items()}
    return result | {"fakes": fakes}


def _judge_near_duplicates(figures: Figures, _tolerance: float) -> Findings:
    if not figures["n_copies"]:
        return []
    first = next(filter(is_copy, figures["pairs"]))
    names = " and ".join(first["names"])
    return [
        f"copies of photographs in two splits: {figures['n_copies']}, "
        f"first {names} (correlation {first['correlation']:.3f})"
    ]


def _measure_identities(_params: Params, data: ProbedData) -> Figures:
    return identities_across_splits({split: part.manifest for split, part in data.real.items()})


def _judge_identities(figures: Figures, _tolerance: float) -> Findings:
    counts = figures["n_shared"]
    found = [f"people in {pair}: {count}" for pair, count in counts.items() if count]
    return found or (None if None in counts.values() else [])


@dataclass(frozen=True)
class Probe:
    """What a probe measures, and what it finds in its figures."""

    measure: Callable[[Params, ProbedData], Figures]
    judge: Callable[[Figures, float], Findings]


PROBES = {
    "storage": Probe(_measure_storage, _judge_storage),
    "metadata": Probe(_measure_metadata, _judge_metadata),
    "route": Probe(_measure_route, _judge_route),
    "shuffled_labels": Probe(_measure_shuffled_labels, _judge_shuffled_labels),
    "equal_pixels": Probe(_measure_equal_pixels, _judge_equal_pixels),
    "near_duplicates": Probe(_measure_near_duplicates, _judge_near_duplicates),
    "identities": Probe(_measure_identities, _judge_identities),
}


def run_probes(params: Params, data: ProbedData) -> dict[str, Figures]:
    """The figures of every probe by its name.

    Raises:
        ArchiveError, CorruptImageError: if the downloaded photographs cannot be read.
        ImageSetError: if they are not those that were prepared.
    """
    return {
        name: PROBES[name].measure(params, data) for name in tqdm(PROBES, desc="leak probes", disable=None)
    }


def judge(figures: Mapping[str, Figures], tolerance: float) -> dict[str, Findings]:
    """What each probe found in its figures; ``tolerance`` is how far from 0.5 an AUROC may lie."""
    return {name: PROBES[name].judge(block, tolerance) for name, block in figures.items()}


def passed(findings: Mapping[str, Findings]) -> dict[str, bool | None]:
    """By probe: True, False, or None if the data could not tell."""
    return {name: None if found is None else not found for name, found in findings.items()}


def leaks_headline(report: Mapping[str, Any]) -> dict[str, Any]:
    """Content of metrics/leaks.json.

    Args:
        report: ``passed`` of :func:`passed` and the figures of the probes.

    Returns:
        ``passed``, whether no probe found something, and ``route_auroc``, laundered: 0.5 if photographs that
        went the way of the fakes cannot be told from others.
    """
    return {
        "passed": all(found is not False for found in report["passed"].values()),
        "route_auroc": report["route"]["laundered"]["auroc"],
    }


def refuse_leaks(findings: Mapping[str, Findings], file: str) -> None:
    """Raise if a probe found something; ``file`` is where the figures are, for the message.

    Raises:
        LeakFoundError: naming each such probe, with its figures.
    """
    leaks = [f"{name} ({'; '.join(found)})" for name, found in findings.items() if found]
    if leaks:
        raise LeakFoundError(f"{file}: the probes found leaks: {', '.join(leaks)}")
