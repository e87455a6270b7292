"""What the zoo trains: typed recipes, and the photographs and weights that a run begins with."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field

from fakeface.base.downloads import sha256_of
from fakeface.base.errors import FakefaceError, MissingFileError
from fakeface.params import (
    DataParams,
    Fraction,
    GanName,
    InputPath,
    Params,
    ParamsError,
    SplitParams,
    read_yaml,
    validate,
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkRecipe(_Strict):
    """An architecture of ``fakeface.gans.architectures`` and its keyword arguments."""

    architecture: Literal["dcgan", "pggan", "resnet", "stylegan2"]
    config: dict[str, Any] = Field(default_factory=dict)


class OptimiserRecipe(_Strict):
    """Adam or RMSprop; ``betas`` apply to Adam only."""

    name: Literal["adam", "rmsprop"] = "adam"
    lr: float = Field(gt=0)
    betas: tuple[float, float] = (0.5, 0.999)


class GrowthRecipe(_Strict):
    """Progressive growing: ``images`` at 4x4, then as many to blend in each scale and as many on it."""

    images: int = Field(ge=1)


class R1Recipe(_Strict):
    """The R1 penalty, computed at every ``interval``-th step and weighted up for the steps between."""

    gamma: float = Field(gt=0)
    interval: int = Field(default=16, ge=1)


class Recipe(_Strict):
    """Everything that decides a generator's weights, apart from the photographs.

    ``images`` counts real photographs shown to the discriminator, the unit of every learning curve.
    ``drift`` weighs the mean square of the logits of photographs, which keeps a Wasserstein critic near zero
    (Karras et al. 2018). ``precision: auto`` is bf16 where the machine computes in it, else fp32.
    """

    upsampler: Literal["transposed", "nearest", "bilinear"]
    generator: NetworkRecipe
    discriminator: NetworkRecipe
    loss: Literal["non_saturating", "least_squares", "wasserstein", "hinge"]
    optimiser_g: OptimiserRecipe
    optimiser_d: OptimiserRecipe
    discriminator_steps: int = Field(default=1, ge=1)
    weight_clip: float | None = Field(default=None, gt=0)
    gradient_penalty: float | None = Field(default=None, gt=0)
    r1: R1Recipe | None = None
    drift: float | None = Field(default=None, gt=0)
    growth: GrowthRecipe | None = None
    augmentations: list[Literal["colour", "translation"]] = Field(default_factory=list)
    batch_size: int = Field(default=64, ge=2)
    images: int = Field(ge=1)
    ema_half_life: int = Field(default=10_000, ge=1)
    snapshot_every: int = Field(default=50_000, ge=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = 0


class ZooData(_Strict):
    """Where the photographs that generators learn from come from; the meaning is params.yaml's."""

    source: Literal["celeba-mini", "celeba", "folder"]
    root: InputPath
    max_corrupt_fraction: Fraction = 0.01


class ZooParams(_Strict):
    """The whole of zoo/params.yaml."""

    data: ZooData
    image_size: Annotated[int, Field(ge=32, multiple_of=32)]
    splits: SplitParams
    gans: Annotated[dict[GanName, Recipe], Field(min_length=1)]

    @property
    def data_params(self) -> DataParams:
        """The data section in the form that the main pipeline's stages read."""
        return DataParams(**self.data.model_dump(), splits=self.splits)


def load_zoo_params(path: str | Path = "zoo/params.yaml") -> ZooParams:
    """Read and validate the zoo's params; ParamsError with one line for each problem."""
    zoo: ZooParams = validate(ZooParams, read_yaml(path), path)
    return zoo


def load_recipe(path: str | Path, gan: str) -> Recipe:
    """The recipe ``gans.<gan>`` of the zoo's params; ParamsError if there is none."""
    gans = load_zoo_params(path).gans
    if gan not in gans:
        raise ParamsError(f"{path}: gans has no entry {gan!r}, expected one of {', '.join(gans)}")
    return gans[gan]


@dataclass(frozen=True)
class _DataOnly:
    """The two keys of params.yaml that ``download`` and ``prepare`` read."""

    data: DataParams
    image_size: int


def prepare_photographs(zoo: ZooParams, out: Path) -> dict[str, Any]:
    """Write ``out``/{train,val,test} by the main pipeline's preprocessing and splits; train is learnt from.

    A photograph's split follows from its file name or the official partition, so one that the main
    pipeline validates or tests with is never in train here, whichever of the two sources holds more.

    Counts and errors are those of ``download`` and ``prepare``.
    """
    # Here, because training machines need none of what preparing does.
    from fakeface.data.prepare import prepare
    from fakeface.data.sources import download

    params = cast(Params, _DataOnly(zoo.data_params, zoo.image_size))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".raw.", dir=out.parent) as folder:
        raw = Path(folder) / "raw"
        download(params, raw)
        return prepare(raw, out, params)


# Going on from published weights: what models/gans/ holds of a run is enough to train it further anywhere.
# A checkpoint has everything and stays on its machine. The published files have less: the averaged generator
# and the discriminator in half precision, no state of the optimisers. A run that begins with them is a run
# of its own, and its card lists the runs before it.


class StartError(FakefaceError, ValueError):
    """A run cannot go on from these files; the message says why."""


class Start(NamedTuple):
    """Published weights of a run, and how far that run had come."""

    generator: Path
    discriminator: Path | None
    weights_sha256: str
    images_shown: int
    seconds: float
    history: list[dict[str, Any]]
    curve: list[list[float]]


def discriminator_file(generator: Path) -> Path:
    """Where the discriminator of ``models/gans/<gan>.safetensors`` lies."""
    return generator.parent / "discriminators" / generator.name


def read_start(card_path: Path, recipe: Recipe) -> Start:
    """What to go on from, by the card ``models/gans/<gan>.json`` beside the weights.

    Raises:
        MissingFileError: if the card or the weights do not exist.
        StartError: if the card is damaged, or belongs to other weights or other networks.
    """
    weights = card_path.with_suffix(".safetensors")
    for path in (card_path, weights):
        if not path.is_file():
            raise MissingFileError(f"{path}: no such file")
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
        trained = {key: card["recipe"][key] for key in ("generator", "discriminator")}
        keys = ("images_shown", "seconds", "hardware", "torch_version", "weights_sha256")
        segment = {key: card[key] for key in keys}
        curve = [list(point) for point in card["curve"]]
        history = [*card.get("history", []), segment]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartError(f"{card_path}: not a card of a trained generator ({error!r})") from error
    wanted = recipe.model_dump(mode="json", include={"generator", "discriminator"})
    if trained != wanted:
        raise StartError(f"{card_path}: the recipe's networks must be {trained}, got {wanted}")
    if (actual := sha256_of(weights)) != segment["weights_sha256"]:
        raise StartError(f"{weights}: sha256 is {actual}, {card_path} says {segment['weights_sha256']}")
    discriminator = discriminator_file(weights)
    found = discriminator if discriminator.is_file() else None
    shown, seconds = int(segment["images_shown"]), float(segment["seconds"])
    return Start(weights, found, actual, shown, seconds, history, curve)
