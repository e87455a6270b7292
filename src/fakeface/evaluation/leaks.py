"""Probes for shortcuts between the classes: what each measures, and which of its figures are a leak."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.fft import dctn
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm import tqdm

from fakeface.base.errors import FakefaceError
from fakeface.data.archives import Archive, open_archive
from fakeface.data.augmentation import launder
from fakeface.data.faces import FRAMINGS, FaceFinder, largest_face, temporary_face_model
from fakeface.data.image_sets import SPLITS, ImageSet, ImageSetError, Split, evenly_spaced
from fakeface.data.preprocess import LUMA, decode, preprocess
from fakeface.data.sources import IMAGES_ARCHIVE
from fakeface.evaluation.duplicates import (
    count_near,
    equal_pixels,
    identities_across_splits,
    is_copy,
    near_duplicates,
)
from fakeface.evaluation.metadata import (
    FOLDS,
    RECORD_COLUMNS,
    cross_validate,
    metadata_probe,
    storage_probe,
    too_few,
    without,
)
from fakeface.gans.generate import sample_split
from fakeface.gans.sampler import SAMPLE_BATCH, Generator
from fakeface.models.cffn import to_input
from fakeface.params import PROTOCOLS, Params, ProtocolParams

# Traces in whole images: can photographs that go the way of the fakes be told from those that do not? And a
# check of the checking: labels that mean nothing must not be predictable.

# Keeps the draws of the probes apart from those of trainings and tests.
PROBE_KEY = 11
_USUAL_SIDE = 178
_CHUNK = 512
# JPEG's luma and chroma (JFIF 1.02, without its offset): coding coarsens the two chromas most.
_YCBCR = np.array([LUMA, [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32)


def image_features(images: np.ndarray) -> np.ndarray:
    """Where tampering with whole images shows, float32 (N, 3 S S + 256).

    The logarithm of the DCT of luma and chroma (after Frank et al., "Leveraging Frequency Analysis for Deep
    Fake Image Recognition", ICML 2020) shows resizing and coding; how often each value of 0..255 occurs shows
    rounding, as values that occur never or twice as often. Images are uint8 (N, S, S, 3).
    """
    n_values = int(np.prod(images.shape[1:]))
    features = np.empty((len(images), n_values + 256), dtype=np.float32)
    for start in range(0, len(images), _CHUNK):
        rows = slice(start, start + _CHUNK)
        spectrum = dctn(images[rows].astype(np.float32) @ _YCBCR.T, axes=(1, 2), norm="ortho")
        # 1 is some three times the error that rounding to 8 bits leaves in a coefficient.
        features[rows, :n_values] = np.log(np.abs(spectrum) + 1).reshape(-1, n_values)
        counts = [np.bincount(image.reshape(-1), minlength=256) for image in images[rows]]
        features[rows, n_values:] = np.sqrt(counts)
    return features


def linear(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Logistic regression with L2 penalty on ``image_features``, standardised: scores of ``test``.

    Each kind of features is scaled to a total variance of 1, so that 256 counts weigh as much as thousands of
    coefficients. In these terms C = 3 is strong: per coefficient at S = 64 it is C = 0.00024.
    """
    n_logs = train.shape[1] - 256
    weights = np.repeat([n_logs, 256], [n_logs, 256]).astype(np.float32) ** -0.5
    scaler = StandardScaler().fit(train)
    model = LogisticRegression(C=3, max_iter=500).fit(scaler.transform(train) * weights, labels)
    return model.decision_function(scaler.transform(test) * weights)


def judge_often(
    of_zero: np.ndarray, of_one: np.ndarray, labellings: Sequence[np.ndarray], folds: int, seed: int
) -> dict[str, Any]:
    """AUROC of ``linear`` for each labelling of N images, which have other features for label 0 and 1.

    Features are float32 (N, D), labellings int (N,) and independent of each other.

    Returns:
        ``{auroc, standard_error, aurocs}``: mean over the labellings, its standard error, and each.

    Raises:
        ValueError: for fewer than 2 labellings.
    """
    if len(labellings) < 2:
        raise ValueError(f"at least 2 labellings are needed for a standard error, got {len(labellings)}")
    if reason := too_few(labellings[0], folds):
        return without(["auroc", "standard_error", "aurocs"], reason)
    aurocs = [
        cross_validate(linear, np.where(labels[:, None] == 1, of_one, of_zero), labels, folds, seed)
        for labels in labellings
    ]
    error = np.std(aurocs, ddof=1) / np.sqrt(len(aurocs))
    return {"auroc": float(np.mean(aurocs)), "standard_error": float(error), "aurocs": aurocs}


class _Replay(nn.Module):
    """A generator without invention: its latent is a row number, its image the photograph of that row."""

    def __init__(self, photographs: np.ndarray) -> None:
        super().__init__()
        # A copy, because torch warns of arrays that are mapped read-only.
        self.images = to_input(np.array(photographs), torch.device("cpu"))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z float32 (B, 1) to float32 (B, 3, S, S) in [-1, 1]."""
        return self.images[z[:, 0].long()]


class _ReplaySource:
    """Photographs as ``generate`` gets its fakes: out of a generator, in its range, through its sampler."""

    name = "replay"

    def __init__(self, photographs: Iterable[np.ndarray]) -> None:
        self._photographs = photographs

    def batches(self, split: Split, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:  # noqa: ARG002
        """The photographs in order, batched as they came."""
        for batch in self._photographs:
            rows = np.arange(len(batch), dtype=np.float32)[:, None]
            yield Generator(self.name, _Replay(batch), z_dim=1).sample(rows)


def native_squares(
    archive: Archive, names: Iterable[str], image_size: int, finder: FaceFinder | None = None
) -> Iterator[np.ndarray]:
    """Central squares of photographs, neither enlarged nor reduced: what a generator could have returned.

    With a ``finder`` they are of faces aligned for images of ``image_size``. Yields uint8 (B, H, H, 3),
    neighbours of one size together, in order.
    """

    def square(name: str) -> np.ndarray:
        picture = decode(archive.read(name))
        if finder is not None:
            picture = largest_face(picture, image_size, finder)
        return preprocess(picture, min(picture.size))

    for side, alike in groupby(map(square, names), key=len):
        # Large photographs in smaller batches, so that a batch takes no more memory.
        while batch := list(
            islice(alike, max(1, SAMPLE_BATCH * _USUAL_SIDE**2 // max(side, _USUAL_SIDE) ** 2))
        ):
            yield np.stack(batch)


@contextmanager
def original_squares(params: Params, raw: Path, names: Collection[str]) -> Iterator[Iterator[np.ndarray]]:
    """:func:`native_squares` of prepared photographs, read from the folder of the download while it is open.

    Raises:
        ArchiveError, CorruptImageError: if they cannot be read.
        ImageSetError: if the download lacks one.
    """
    with open_archive(raw / IMAGES_ARCHIVE) as archive, ExitStack() as stack:
        if unknown := sorted(set(names) - set(archive.names)):
            raise ImageSetError(
                f"{archive.path}: lacks {unknown[0]}, which is among the prepared photographs"
            )
        finder = None
        if params.data.align:
            model = stack.enter_context(temporary_face_model())
            finder = FaceFinder(model, framing=FRAMINGS[params.data.framing])
        yield native_squares(archive, names, params.image_size, finder)


def fakes_route(photographs: Iterable[np.ndarray], count: int, image_size: int) -> np.ndarray:
    """Photographs along a fake's way: tensor in [-1, 1], sampler, preprocessing, image set on disk and back.

    From batches of uint8 (B, H, H, 3), H >= ``image_size``, ``count`` in all, to uint8 (count, image_size,
    image_size, 3); the same pixels, if the way adds nothing and scales nothing.
    """
    fakes = sample_split(_ReplaySource(photographs), "test", count, image_size, 0, SAMPLE_BATCH)
    with tempfile.TemporaryDirectory() as folder:
        fakes.write(Path(folder) / "fakes")
        return np.array(ImageSet.read(Path(folder) / "fakes").images)


def pixel_change(photographs: np.ndarray, routed: np.ndarray) -> dict[str, Any]:
    """``changed_pixels``, the share of values that differ, and ``largest_change``, of 255 at most."""
    change = np.abs(routed.astype(np.int16) - photographs)
    if not change.size:
        return without(["changed_pixels", "largest_change"], "no photographs")
    return {"changed_pixels": float((change > 0).mean()), "largest_change": int(change.max())}


def random_halves(count: int, halvings: int, rng: np.random.Generator) -> list[np.ndarray]:
    """``halvings`` labellings int64 (count,), each 1 for a random half, the smaller one if they differ."""
    half = np.arange(count) < count // 2
    return [rng.permutation(half).astype(np.int64) for _ in range(halvings)]


def route_probe(
    photographs: np.ndarray,
    routed: np.ndarray,
    protocols: Mapping[str, ProtocolParams],
    *,
    halvings: int = 5,
    folds: int = FOLDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Can photographs that went the way of the fakes be told from photographs that did not?

    One random half goes, the other stays; both pass through the same protocol, each image with its own draw.
    Other halves of the same photographs give other AUROCs: with 1,000 of CelebA and no leak at all they
    scatter by 0.02 to 0.03, more than 500 against 500 independent scores would. Hence several halvings.

    Args:
        photographs: uint8 (N, S, S, 3) as ``prepare`` made them; takes 300 kB of memory each at S = 64.
        routed: the same photographs after the way of the fakes.
        protocols: by name.
        halvings: how many random halves, at least 2.
        folds, seed: of the cross-validation; the seed is that of halves and draws, too.

    Returns:
        ``n_real`` and ``n_routed`` of each halving; ``changed_pixels`` and ``largest_change`` as in
        :func:`pixel_change`; for each protocol ``{auroc, standard_error, aurocs}``: the mean over the
        halvings, its standard error, and each.

    Raises:
        ValueError: for fewer than 2 halvings.
    """
    n_routed = len(photographs) // 2
    result: dict[str, Any] = {"n_real": len(photographs) - n_routed, "n_routed": n_routed}
    result |= pixel_change(photographs, routed)
    halves = random_halves(len(photographs), halvings, np.random.default_rng(seed))
    rows = np.arange(len(photographs))
    seeds = np.column_stack([np.tile([seed, PROBE_KEY], (len(rows), 1)), rows])
    for name, protocol in protocols.items():
        stayed, went = (
            image_features(launder(images, [protocol], seeds)) for images in (photographs, routed)
        )
        result[name] = judge_often(stayed, went, halves, folds, seed)
    return result


def shuffled_labels_probe(
    images: np.ndarray, labels: np.ndarray, *, shuffles: int = 5, folds: int = FOLDS, seed: int = 0
) -> dict[str, Any]:
    """The classifier of ``route_probe`` on labels that mean nothing: a check of the checking.

    If shuffled labels can be predicted, training and test share images or the AUROC is computed wrongly, and
    the figure for the true labels is worth nothing either.

    Images are uint8 (N, S, S, 3), labels int (N,), fake = 1, permuted ``shuffles`` times.

    Returns:
        ``n_real``, ``n_fake``; ``{auroc, standard_error, aurocs}``: mean over the shuffles, its standard
        error, and each; ``auroc_true_labels`` for comparison.

    Raises:
        ValueError: for labels of another length or value, or fewer than 2 shuffles.
    """
    labels = np.asarray(labels, dtype=np.int64)
    if labels.shape != (len(images),) or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be ({len(images)},) of 0 and 1, got {labels.shape}")
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(labels) for _ in range(shuffles)]
    counts = {"n_real": int((labels == 0).sum()), "n_fake": int((labels == 1).sum())}
    if reason := too_few(labels, folds):
        return counts | without(["auroc", "standard_error", "aurocs", "auroc_true_labels"], reason)
    features = image_features(images)
    return {
        **counts,
        **judge_often(features, features, shuffled, folds, seed),
        "auroc_true_labels": cross_validate(linear, features, labels, folds, seed),
    }


# All probes on the data of an experiment, and the gate on their figures.

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
    with original_squares(params, data.raw, manifest["name"]) as squares:
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
