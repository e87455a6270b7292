"""params.yaml as typed, validated values; every problem of a file is reported at once.

python -m fakeface.params use celeba-10k data.root=celeba_10k.zip
python -m fakeface.params use default
"""

from __future__ import annotations

import argparse
import re
import types
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fakeface.base.errors import FakefaceError, one_line_errors

Fraction = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(gt=0, lt=1)]
PositiveInt = Annotated[int, Field(ge=1)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
GanName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
JpegQuality = Annotated[int, Field(ge=1, le=100)]
Upsampler = Literal["transposed", "nearest", "bilinear", "pixelshuffle", "none"]


# Old names of keys, and what they are called now.
RENAMED = {
    "cffn.harmed": "cffn.corrupted",
    "generate.disturbed": "generate.perturbed",
    "cn.reference": "cn.score_offset",
    "cn.target_fnr": "cn.unsure_fpr",
    "leave_one_out.upsamplers": "leave_one_out.folds",
}


def _as_dvc_finds_it(path: str) -> str:
    if path.startswith("~"):
        raise ValueError(f"must be a whole path, because DVC does not know what ~ is, got {path!r}")
    return path


# A file or folder from outside: a dependency of the stages that read it, so that DVC sees when it changes.
InputPath = Annotated[str, Field(min_length=1), AfterValidator(_as_dvc_finds_it)]


# Image sets out of Git repositories: stage `fetch` makes them.
FETCHED = "data/fetched"


def _without_password(repo: str) -> str:
    if re.match(r"(?i)https?://[^/]*@", repo) or re.match(r"\w[\w+.-]*://[^/@]*:[^/@]*@", repo):
        raise ValueError("must hold no user name or password: Git's credential helpers keep these")
    if repo.startswith("-"):
        raise ValueError(f"must be an address or a folder, got {repo!r}")
    return repo


def _revision(rev: str) -> str:
    if not re.fullmatch(r"[\w.][\w./+-]*", rev):
        raise ValueError(f"must be a commit's full hash or the name of a tag, got {rev!r}")
    return rev


def _within_repository(path: str) -> str:
    if path.startswith("/") or "\\" in path or "\0" in path or ".." in path.split("/"):
        raise ValueError(f"must be a path below the repository's root, got {path!r}")
    return path


class ParamsError(FakefaceError, ValueError):
    """A params file cannot be used; the message has one line a problem."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitParams(_Section):
    """Expected shares of validation and test photographs; the rest trains."""

    val: Probability
    test: Probability

    @model_validator(mode="after")
    def _leave_some_for_training(self) -> SplitParams:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test must be below 1, got {self.val} + {self.test}")
        return self


class DataParams(_Section):
    """Where the photographs come from and how they are split.

    Attributes:
        root: for ``folder``: the photographs, a folder, zip or tar. For ``celeba``: a folder that may hold
            the official files. ``celeba-mini`` does not read it.
        align: find the largest face of each photograph and lay it over the template of ``framing`` first;
            for a folder of photographs that nobody aligned.
        framing: how a face lies in a prepared picture, and what the detector aligns pictures to:
            ``celeba``, the face from near, or ``ffhq``, the whole head.
    """

    source: Literal["celeba-mini", "celeba", "folder"]
    root: InputPath = "photographs"
    align: bool = False
    framing: Literal["celeba", "ffhq"] = "celeba"
    splits: SplitParams
    max_corrupt_fraction: Fraction = 0.01

    @model_validator(mode="after")
    def _celeba_is_aligned(self) -> DataParams:
        if self.align and self.source != "folder":
            raise ValueError(f"align is for source 'folder', {self.source} is aligned already, got true")
        return self


class LatentParams(_Section):
    """What a generator of unknown make is fed: ``(B, *shape)``, standard normal or uniform in [-1, 1)."""

    distribution: Literal["normal", "uniform"] = "normal"
    shape: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class OutputParams(_Section):
    """What it returns: (B, 3, S, S) with black and white at the ends of ``range``."""

    range: tuple[FiniteFloat, FiniteFloat]
    channels: Literal["rgb", "bgr"] = "rgb"
    clip: bool = False

    @model_validator(mode="after")
    def _black_is_below_white(self) -> OutputParams:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range must be [black, white] with black < white, got {list(self.range)}")
        return self


# Keys that only some loaders know, and which of them cannot do without.
_LOADERS_WITH = {
    "latent": ("torchscript", "onnx"),
    "output": ("torchscript", "onnx"),
    "steps": ("diffusers",),
}


class GanParams(_Section):
    """One generator: how to load it, and two facts that the evaluation relies on.

    Attributes:
        test_only: of loader ``folder``: all pictures are test images, and none may train.
    """

    loader: Literal[
        "zoo",
        "gan_face_generate",
        "mmgeneration",
        "mimicry",
        "pytorch_gan_zoo",
        "torchscript",
        "onnx",
        "folder",
        "diffusers",
    ]
    weights: InputPath
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    architecture: str
    upsampler: Upsampler
    latent: LatentParams | None = None
    output: OutputParams | None = None
    steps: PositiveInt | None = None
    test_only: bool = False

    @model_validator(mode="after")
    def _only_folders_are_test_only(self) -> GanParams:
        if self.test_only and self.loader != "folder":
            raise ValueError(f"test_only is for loader folder, got loader {self.loader!r}; use held_out")
        return self

    @model_validator(mode="after")
    def _only_keys_that_the_loader_knows(self) -> GanParams:
        problems = []
        for key, loaders in _LOADERS_WITH.items():
            given, known = getattr(self, key) is not None, self.loader in loaders
            if known and not given:
                problems.append(f"{key} is missing, loader {self.loader} needs it")
            elif given and not known:
                problems.append(f"{key} is for loader {' or '.join(loaders)}, got loader {self.loader!r}")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class GenerateParams(_Section):
    """How many images each generator makes for each split.

    Attributes:
        perturbed: share of the training images that come from copies with other weights, see
            :mod:`fakeface.gans.generate`.
        batch_size: images at native size in memory at a time, about; on a GPU also images a pass.
        device: ``cpu``: a machine with a GPU and one without make the same fakes. ``auto`` (a GPU where there
            is one) and ``cuda`` are faster and round otherwise.
    """

    n_train: PositiveInt
    n_val: PositiveInt
    n_test: PositiveInt
    perturbed: Fraction
    batch_size: PositiveInt
    device: Literal["auto", "cpu", "cuda"] = "cpu"


class CurationParams(_Section):
    """Which of a GAN's training fakes the detector learns from; validation and test are never touched.

    Attributes:
        method: ``none``; ``random`` (as many as the next two keep, the control); ``realism`` (the most
            realistic); ``hardest`` (those that a probe which has not seen them finds least fake);
            ``duplicates`` (no two that are nearer to each other than photographs are). See
            :mod:`fakeface.metrics.curation`.
        keep: share of the fakes that ``random``, ``realism`` and ``hardest`` keep.
    """

    method: Literal["none", "random", "realism", "hardest", "duplicates"] = "none"
    keep: Annotated[float, Field(gt=0, le=1)] = 0.5


class ProtocolParams(_Section):
    """One protocol of laundering: an optional rescaling round trip, then an optional JPEG."""

    rescale_probability: Fraction = 0.0
    rescale_min: Annotated[float, Field(gt=0, le=1)] = 1.0
    jpeg_quality: tuple[JpegQuality, JpegQuality] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> ProtocolParams:
        if self.jpeg_quality and self.jpeg_quality[0] > self.jpeg_quality[1]:
            raise ValueError(f"jpeg_quality must be [low, high], got {list(self.jpeg_quality)}")
        return self


class ProtocolsParams(_Section):
    """The three conditions that every detector is tested under."""

    laundered: ProtocolParams
    mild: ProtocolParams
    clean: ProtocolParams


ProtocolName = Literal["laundered", "mild", "clean"]
PROTOCOLS: tuple[str, ...] = get_args(ProtocolName)
# A condition beside the protocols: every image blurred, made noisy, rescaled or such, and laundered.
CORRUPTED = "corrupted"


class QualityParams(_Section):
    """Image-set quality with torch-fidelity.

    Attributes:
        weights: file with the extractor's weights, or a folder that may hold torch-fidelity's own file.
    """

    extractor: Literal["efficientnet-lite0", "inception-v3-compat"]
    weights: InputPath = "models/extractors"
    n_images: Annotated[int, Field(ge=2)]
    kid_subset_size: Annotated[int, Field(ge=2)]
    kid_subsets: PositiveInt
    neighbourhood: PositiveInt
    batch_size: PositiveInt

    @model_validator(mode="after")
    def _subset_fits(self) -> QualityParams:
        if self.kid_subset_size > self.n_images:
            raise ValueError(
                f"kid_subset_size must be at most n_images ({self.n_images}), got {self.kid_subset_size}"
            )
        return self


class ViewsParams(_Section):
    """How many views a training image of each class has, which come again and again."""

    real: PositiveInt
    fake: PositiveInt


class AutoencoderParams(_Section):
    """An autoencoder that diffusers saved to a folder.

    Attributes:
        folder: with ``config.json`` and ``diffusion_pytorch_model.safetensors``.
        sha256: of the latter file, at least its first 8 digits: what trains is tracked by it.
    """

    folder: InputPath
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]


class CffnParams(_Section):
    """The common fake feature network and its pairwise training.

    Attributes:
        autoencoder: that pseudo-fakes come out of; None for upsamplers drawn at random.
        views: of a network with frozen levels; None, and for other networks always: a new view each time.
        dropout: of the heads on frozen levels.
    """

    variant: Literal["paper", "residual", "pretrained", "statistics", "expanded_statistics"]
    feature_levels: tuple[Literal[1, 2, 3, 4], ...]
    unit_norm: bool
    loss: Literal["contrastive", "supervised_contrastive", "triplet", "cross_entropy"]
    temperature: PositiveFloat
    pairing: Literal["batch", "sampled"]
    epochs: PositiveInt
    steps_per_epoch: PositiveInt | None = None
    batch_size: Annotated[int, Field(ge=4, multiple_of=2)]
    lr: PositiveFloat
    schedule: Literal["constant", "cosine"]
    mirror: bool
    pseudo_fakes: Fraction
    autoencoder: AutoencoderParams | None = None
    corrupted: Fraction
    reuploaded: Fraction = 0.0
    crop: Annotated[int, Field(ge=32, multiple_of=32)] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    views: ViewsParams | None = None
    augmentation: ProtocolName | Literal["all"]

    @model_validator(mode="after")
    def _levels(self) -> CffnParams:
        levels = self.feature_levels
        if not levels or list(levels) != sorted(set(levels)):
            raise ValueError(f"feature_levels must be ascending and distinct, got {list(levels)}")
        return self

    @model_validator(mode="after")
    def _sampled_pairs_are_the_papers(self) -> CffnParams:
        if self.pairing == "sampled" and self.loss != "contrastive":
            raise ValueError(f"pairing 'sampled' goes with loss 'contrastive', got loss {self.loss!r}")
        return self


class CnParams(_Section):
    """The classification network on frozen CFFN features, its calibration and thresholds.

    Attributes:
        score_offset: what a picture's margin is compared with: ``detail``, the mean of validation
            photographs that miss as much fine detail (:mod:`fakeface.detector.calibration`), or ``none``.
        calibration: what is fitted on validation logits, so that scores are probabilities.
        target_fpr: share of validation photographs above the threshold, under each of the training's
            protocols; those images are called fake.
        unsure_fpr: share of the same photographs above the lower threshold; images below it are called real,
            and those between the two thresholds unsure.
    """

    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    lr: PositiveFloat
    views: PositiveInt
    score_offset: Literal["none", "detail"] = "detail"
    calibration: Literal["none", "temperature", "platt"]
    target_fpr: Probability
    unsure_fpr: Probability

    @model_validator(mode="after")
    def _thresholds_are_in_order(self) -> CnParams:
        if self.unsure_fpr < self.target_fpr:
            raise ValueError(
                f"unsure_fpr must be at least target_fpr ({self.target_fpr}), got {self.unsure_fpr}"
            )
        return self


class ActivationsParams(_Section):
    """What frozen layers put out, kept in .cache/activations; results do not depend on it.

    Attributes:
        max_gigabytes: on disk, of all that is kept; beyond, they are computed again. 0: keep nothing.
    """

    max_gigabytes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class EvaluateParams(_Section):
    """Bootstrap and pictures."""

    bootstrap: Annotated[int, Field(ge=0)]
    batch_size: PositiveInt
    embedding_points: PositiveInt


Compared = Literal[
    "paper",
    "cross_entropy",
    "supervised_contrastive",
    "random_pairs",
    "own_pairs",
    "dct",
    "spectrum",
    "lite0",
]


def _distinct(names: list[Compared]) -> list[Compared]:
    if len(set(names)) != len(names):
        raise ValueError(f"must name each method once, got {names}")
    return names


class LeaveOneOutParams(_Section):
    """Folds in which one GAN, or all GANs of one upsampler, are never trained on.

    Attributes:
        compared: methods that ours is compared with, see :data:`fakeface.evaluation.baselines.COMPARED`.
        seeds: trainings of our detector a fold, with the seeds ``seed``, ``seed + 1``, ...
        baseline_seeds: trainings of each method that it is compared with, at most ``seeds``.
        cffn_steps: of each training; null for as many as the main training has.
        cn_views: laundered views of each training image.
        train_images: photographs, and fakes a GAN, that a fold trains on, at most; null for all.
        test_images: the same of the test.
        never_train: GANs that train in no fold, because they are of another domain.
        folds: what is left out in turn: a GAN, or an upsampler with all the GANs that declare it.
    """

    seeds: PositiveInt
    baseline_seeds: PositiveInt
    compared: Annotated[list[Compared], Field(min_length=1), AfterValidator(_distinct)]
    cffn_steps: PositiveInt | None
    cn_views: PositiveInt
    train_images: PositiveInt | None
    test_images: PositiveInt | None
    never_train: list[str]
    folds: list[str]

    @model_validator(mode="after")
    def _no_more_for_baselines(self) -> LeaveOneOutParams:
        if self.baseline_seeds > self.seeds:
            raise ValueError(
                f"baseline_seeds must be at most seeds ({self.seeds}), got {self.baseline_seeds}"
            )
        return self


class ExternalParams(_Section):
    """One image set on which nothing may train.

    Attributes:
        path: a folder, zip or tar of pictures.
        kind: photographs, or fakes.
        align: find the largest face of each picture and align it first.
    """

    path: InputPath
    kind: Literal["real", "fake"]
    align: bool = False


class RepositoryParams(_Section):
    """One image set at a pinned revision of a Git repository.

    Attributes:
        repo: address of the repository, or a folder on this disk.
        rev: the full hash of a commit, or a tag.
        path: of a folder, zip or tar of pictures in it, which Git itself, Git LFS or DVC holds.
    """

    repo: Annotated[
        str, Field(min_length=1), AfterValidator(_as_dvc_finds_it), AfterValidator(_without_password)
    ]
    rev: Annotated[str, AfterValidator(_revision)]
    path: Annotated[str, Field(min_length=1), AfterValidator(_within_repository)]


class RobustnessParams(_Section):
    """Scores of the test images after corruptions of known strength.

    Attributes:
        images: photographs, and fakes a GAN, at most.
        protocol: what every image goes through after its corruption, and where there is none.
    """

    images: PositiveInt
    protocol: ProtocolName = "clean"


class LeaksParams(_Section):
    """Probes for shortcuts between the classes, and the gate on them.

    Attributes:
        tolerance: how far from 0.5 the AUROC of a probe may lie.
        halvings: random halves of the photographs that the route probe averages over.
    """

    tolerance: Fraction
    halvings: Annotated[int, Field(ge=2)]


class RegressionRule(_Section):
    """What counts as a regression of one metric; ``[direction, tolerance]`` in params.yaml."""

    direction: Literal["higher", "lower"]
    tolerance: Annotated[float, Field(ge=0)]

    @model_validator(mode="before")
    @classmethod
    def _from_a_pair(cls, value: Any) -> Any:
        # One value a rule: `dvc exp show` has a column for every value of params.yaml.
        if isinstance(value, list) and len(value) == 2:
            return {"direction": value[0], "tolerance": value[1]}
        return value


class Params(_Section):
    """The whole of params.yaml. See the comments there for the meaning of each key."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    margin: PositiveFloat
    image_size: Annotated[int, Field(ge=32, multiple_of=32)]
    device: Literal["auto", "cpu", "cuda"]
    devices: Literal["auto"] | PositiveInt = 1
    precision: Literal["fp32", "bf16", "fp16"]
    deterministic: bool = False
    compile: bool = False
    repositories: dict[GanName, RepositoryParams] = {}
    data: DataParams
    gans: Annotated[dict[GanName, GanParams], Field(min_length=1)]
    held_out: list[str]
    generate: GenerateParams
    curation: CurationParams
    protocols: ProtocolsParams
    quality: QualityParams
    cffn: CffnParams
    cn: CnParams
    activations: ActivationsParams = ActivationsParams()
    evaluate: EvaluateParams
    leave_one_out: LeaveOneOutParams
    external: dict[GanName, ExternalParams] = {}
    robustness: RobustnessParams
    leaks: LeaksParams
    regression: dict[str, RegressionRule]

    @model_validator(mode="after")
    def _a_crop_lies_within_an_image(self) -> Params:
        if self.cffn.crop is not None and self.cffn.crop > self.image_size:
            raise ValueError(
                f"cffn.crop must be at most image_size ({self.image_size}), got {self.cffn.crop}"
            )
        return self

    @model_validator(mode="after")
    def _held_out_exist_and_leave_some(self) -> Params:
        unknown = [name for name in self.held_out if name not in self.gans]
        if unknown:
            raise ValueError(f"held_out must name entries of gans ({', '.join(self.gans)}), got {unknown}")
        if len(set(self.held_out)) != len(self.held_out):
            raise ValueError(f"held_out must name each GAN once, got {self.held_out}")
        if not self.training_gans:
            raise ValueError("held_out must leave at least one GAN to train on, got all of them")
        return self

    @model_validator(mode="after")
    def _fetched_sets_are_known(self) -> Params:
        paths = {"data.root": self.data.root} if self.data.source == "folder" else {}
        paths |= {f"gans.{name}.weights": gan.weights for name, gan in self.gans.items()}
        paths |= {f"external.{name}.path": settings.path for name, settings in self.external.items()}
        known = [f"{FETCHED}/{name}.zip" for name in self.repositories]
        problems = [
            f"{key} must be a set of repositories ({', '.join(known) or 'none yet'}), got {path!r}"
            for key, path in paths.items()
            if PurePosixPath(path).is_relative_to(FETCHED) and path not in known
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _external_sets_are_nothing_else(self) -> Params:
        for name, settings in self.external.items():
            if name in self.gans or name == "test":
                raise ValueError(f"external.{name} must have a name of its own, got that of another set")
            paths = {gan.weights: f"gans.{key}.weights" for key, gan in self.gans.items()}
            if self.data.source == "folder":
                paths[self.data.root] = "data.root"
            if settings.path in paths:
                raise ValueError(
                    f"external.{name}.path is {paths[settings.path]}, {settings.path!r}: it trains"
                )
        return self

    @model_validator(mode="after")
    def _never_train_exist(self) -> Params:
        unknown = [name for name in self.leave_one_out.never_train if name not in self.gans]
        if unknown:
            known = ", ".join(self.gans)
            raise ValueError(f"leave_one_out.never_train must name entries of gans ({known}), got {unknown}")
        return self

    @model_validator(mode="after")
    def _folds_name_gans_or_upsamplers(self) -> Params:
        folds, settings = self.leave_one_out.folds, "leave_one_out.folds"
        upsamplers = {
            gan.upsampler for name, gan in self.gans.items() if name not in self.leave_one_out.never_train
        }
        both = [name for name in folds if name in self.gans and name in get_args(Upsampler)]
        if both:
            raise ValueError(f"{settings}: {both[0]} is a GAN and an upsampler, give the GAN another name")
        unknown = [name for name in folds if name not in self.gans and name not in upsamplers]
        if unknown:
            raise ValueError(
                f"{settings} must name GANs ({', '.join(self.gans)}) or upsamplers of GANs that may train "
                f"({', '.join(sorted(upsamplers))}), got {unknown}"
            )
        if len(set(folds)) != len(folds):
            raise ValueError(f"{settings} must name each GAN and upsampler once, got {folds}")
        return self

    @model_validator(mode="after")
    def _test_only_sets_never_train(self) -> Params:
        for name, gan in self.gans.items():
            for key, listed in (
                ("held_out", self.held_out),
                ("leave_one_out.never_train", self.leave_one_out.never_train),
            ):
                if gan.test_only and name not in listed:
                    raise ValueError(f"{key} must name {name}, because gans.{name}.test_only is true")
        return self

    @property
    def training_gans(self) -> list[str]:
        """Names of the GANs that training, validation and the threshold may see, in file order."""
        return [name for name in self.gans if name not in self.held_out]

    @property
    def training_protocols(self) -> list[ProtocolParams]:
        """The protocols of which each training image draws one."""
        named = self.cffn.augmentation
        names = PROTOCOLS if named == "all" else (named,)
        return [getattr(self.protocols, name) for name in names]


# Keys of older versions, and what they are called now.


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice instead of keeping the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise ParamsError(f"key {key!r} is given twice, again on line {line}")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _known_keys(model: Any, location: tuple[int | str, ...]) -> list[str]:
    """Field names of the section that holds the last element of ``location``."""
    for part in location[:-1]:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            model = model.model_fields[str(part)].annotation
        elif get_origin(model) is dict:
            model = get_args(model)[1]
        if get_origin(model) is types.UnionType:
            model = get_args(model)[0]
    if isinstance(model, type) and issubclass(model, BaseModel):
        return list(model.model_fields)
    return []


def _describe(error: Any, root: type[BaseModel]) -> str:
    location = tuple(part for part in error["loc"] if part != "[key]")
    key = ".".join(str(part) for part in location) or "the file"
    kind, value = error["type"], error["input"]
    if key in RENAMED:
        return f"{key} is called {RENAMED[key]} now"
    if kind == "extra_forbidden":
        return f"unknown key {key}, expected one of {', '.join(_known_keys(root, location))}"
    if kind == "missing":
        return f"{key} is missing"
    if kind == "value_error":
        prefix = "" if not location else f"{key}: "
        return prefix + str(error["ctx"]["error"])
    return f"{key} {error['msg'].replace('Input should be', 'must be', 1)}, got {value!r}"


def read_yaml(path: str | Path) -> Any:
    """Safely parsed YAML; duplicate keys are an error.

    Raises:
        ParamsError: naming the file, if it is absent or no YAML.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file") from None
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader subclass
    except (yaml.YAMLError, ParamsError) as error:
        raise ParamsError(f"{path}: {error}") from error


def validate(model: type[BaseModel], content: Any, path: str | Path) -> Any:
    """``content`` as an instance of ``model``, or one ParamsError with a line for every problem."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
        keys = {".".join(map(str, problem["loc"])) for problem in problems}
        renamed = {new for old, new in RENAMED.items() if old in keys}
        lines = [
            f"{path}: {_describe(problem, model)}"
            for problem in problems
            if ".".join(map(str, problem["loc"])) not in renamed
        ]
        raise ParamsError("\n".join(lines)) from None


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and validate a params file.

    Raises:
        ParamsError: with one line ``<file>: <key> must be ..., got ...`` for each problem.
    """
    params: Params = validate(Params, read_yaml(path), path)
    return params


# Profiles: values that differ from the defaults in profiles/default.yaml, which is params.yaml as published.

PROFILES = Path("profiles")
DEFAULT = "default"
# Sections whose keys are names that the user gives.
TAKE_NEW_KEYS = (("repositories",), ("gans",), ("external",), ("regression",))


def _entry(text: str, keys: tuple[str, ...]) -> tuple[yaml.Node, yaml.Node] | None:
    """Nodes of the key and the value that ``keys`` lead to, with their positions in ``text``."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    found = None
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next((pair for pair in pairs if pair[0].value == key), None)
        if found is None:
            return None
        node = found[1]
    return found


def with_values(text: str, values: dict[str, Any], within: tuple[str, ...] = ()) -> str:
    """YAML ``text`` with some values changed in place, so that comments stay.

    Args:
        text: of a file in the form of params.yaml.
        values: mappings are followed, anything else replaces what is there; null removes a whole mapping.
        within: keys that lead to ``values``.

    Raises:
        ParamsError: naming a key that the text does not have; only ``TAKE_NEW_KEYS`` take new ones.
    """
    # What is removed goes last: a new entry is put below one that is there.
    for key, value in sorted(values.items(), key=lambda item: item[1] is None):
        keys = (*within, str(key))
        found = _entry(text, keys)
        if found is None:
            section = _entry(text, within) if within in TAKE_NEW_KEYS else None
            if section is None:
                name = ".".join(keys)
                raise ParamsError(
                    f"{name} is called {RENAMED[name]} now" if name in RENAMED else f"unknown key {name}"
                )
            if getattr(section[1], "flow_style", False):
                start, end = section[1].start_mark.index, section[1].end_mark.index
                inner = text[start + 1 : end - 1].strip()
                entry = f"{_flow(key)}: {_flow(value)}"
                text = f"{text[:start]}{{{f'{inner}, ' if inner else ''}{entry}}}{text[end:]}"
                continue
            last = section[1].value[-1]
            end = text.index("\n", last[1].end_mark.index) + 1
            line = f"{' ' * last[0].start_mark.column}{_flow(key)}: {_flow(value)}\n"
            text = text[:end] + line + text[end:]
            continue
        start, end = found[1].start_mark.index, found[1].end_mark.index
        if isinstance(value, dict) and isinstance(found[1], yaml.MappingNode):
            text = with_values(text, value, keys)
        elif value is None and isinstance(found[1], yaml.MappingNode):
            line_start = text.rindex("\n", 0, found[0].start_mark.index) + 1
            text = text[:line_start] + text[text.index("\n", end) + 1 :]
        else:
            new, old = _flow(value), text[start:end]
            # A comment on the same line stays in its column where there is room.
            room = len(text[end:]) - len(text[end:].lstrip(" "))
            spaces = max(room + len(old) - len(new), 1) if room else 0
            text = text[:start] + new + " " * spaces + text[end + room :]
    return text


def _flow(value: Any) -> str:
    """A value on one line, as it stands in a YAML file."""
    dumped = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return str(dumped).removesuffix("\n").removesuffix("\n...")


def profile_names() -> list[str]:
    """Names that ``use`` takes, the defaults first."""
    names = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    return [DEFAULT, *(name for name in names if name != DEFAULT)]


def resolve_profile(name: str, changes: dict[str, Any] | None = None) -> str:
    """The text of params.yaml that profile ``name`` stands for: the defaults, its values, then ``changes``.

    Raises:
        ParamsError: if there is no such profile, or it names a key that does not exist, or a wrong value.
    """
    if name not in profile_names():
        raise ParamsError(f"profile must be one of {', '.join(profile_names())}, got {name!r}")
    path = PROFILES / f"{name}.yaml"
    text = (PROFILES / f"{DEFAULT}.yaml").read_text(encoding="utf-8")
    try:
        text = with_values(text, {} if name == DEFAULT else read_yaml(path))
        text = with_values(text, changes or {})
    except ParamsError as error:
        raise ParamsError(f"{path}: {error}") from error
    validate(Params, yaml.load(text, Loader=_UniqueKeyLoader), path)  # noqa: S506 - a SafeLoader subclass
    return text


def main(arguments: list[str] | None = None) -> None:
    """``use PROFILE [KEY=VALUE ...]``: write params.yaml."""
    from fakeface.base.files import write_text  # imports PyTorch, which nobody needs who only reads params

    parser = argparse.ArgumentParser(prog="python -m fakeface.params")
    use = parser.add_subparsers(dest="command", required=True).add_parser("use", help="write params.yaml")
    use.add_argument("profile", help=", ".join(profile_names()))
    use.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="such as data.root=../celeba.zip")
    given = parser.parse_args(arguments)
    changes: dict[str, Any] = {}
    for change in given.changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise ParamsError(f"expected KEY=VALUE, got {change!r}")
        *sections, last = key.split(".")
        target = changes
        for section in sections:
            target = target.setdefault(section, {})
        target[last] = yaml.safe_load(value)
    write_text("params.yaml", resolve_profile(given.profile, changes))
    print(f"params.yaml holds profile {given.profile} now; dvc repro runs it")


if __name__ == "__main__":
    with one_line_errors():
        main()
