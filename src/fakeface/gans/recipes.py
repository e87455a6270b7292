"""How each generator of the zoo is trained: one typed recipe a family, read from zoo/params.yaml."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkRecipe(_Strict):
    """An architecture of ``fakeface.gans.architectures`` and its keyword arguments."""

    architecture: Literal["dcgan", "resnet"]
    config: dict[str, Any] = Field(default_factory=dict)


class OptimiserRecipe(_Strict):
    """Adam or RMSprop; ``betas`` apply to Adam only."""

    name: Literal["adam", "rmsprop"] = "adam"
    lr: float = Field(gt=0)
    betas: tuple[float, float] = (0.5, 0.999)


class Recipe(_Strict):
    """Everything that decides a generator's weights, apart from the photographs.

    ``images`` counts real photographs shown to the discriminator, the unit of every learning curve.
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
    augmentations: list[Literal["colour", "translation"]] = Field(default_factory=list)
    batch_size: int = Field(default=64, ge=2)
    images: int = Field(ge=1)
    ema_half_life: int = Field(default=10_000, ge=1)
    snapshot_every: int = Field(default=50_000, ge=1)
    precision: Literal["fp32", "bf16"] = "bf16"
    seed: int = 0
