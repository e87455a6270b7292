"""Unconditional pipelines of Hugging Face diffusers, saved to a folder or named by a card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fakeface.base.errors import FakefaceError, MissingFileError, first_line
from fakeface.data.image_sets import Split
from fakeface.gans.loaders.checkpoints import read_card
from fakeface.gans.sampler import GeneratorOutputError, draw_seeds
from fakeface.gans.weights import WeightsError
from fakeface.params import GanParams

# Images a call of the pipeline: fixed, because convolutions may round differently for another batch.
PIPELINE_BATCH = 10
CARD_KEYS = ("repository", "revision")


class MissingExtraError(FakefaceError, ImportError):
    """A loader needs a package that is not installed; the message says how to install it."""


class PipelineSource:
    """A loaded unconditional diffusion pipeline whose noise is seeded image by image."""

    def __init__(self, name: str, pipeline: Any, steps: int) -> None:
        self.name, self.pipeline, self.steps = name, pipeline, steps
        pipeline.set_progress_bar_config(disable=True)

    def batches(self, split: Split, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:  # noqa: ARG002
        """``count`` images of ``split``, ``PIPELINE_BATCH`` at a time whatever ``batch_size`` is.

        Raises:
            GeneratorOutputError: if the pipeline returns something that is no batch of RGB images.
        """
        seeds = draw_seeds(self.name, split, count, seed).tolist()
        for start in range(0, count, PIPELINE_BATCH):
            chunk = seeds[start : start + PIPELINE_BATCH]
            yield self._sample(chunk + [0] * (PIPELINE_BATCH - len(chunk)))[: len(chunk)]

    @torch.inference_mode()
    def _sample(self, seeds: list[int]) -> np.ndarray:
        images = self.pipeline(
            batch_size=len(seeds),
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            num_inference_steps=self.steps,
            output_type="np",
        ).images
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[3] != 3:
            raise GeneratorOutputError(f"{self.name}: output must be (B, H, W, 3), got {images.shape}")
        if not np.isfinite(images).all():
            raise GeneratorOutputError(f"{self.name}: output has NaN or infinite pixels, expected [0, 1]")
        return (images * 255).round().clip(0, 255).astype(np.uint8)


def _address(name: str, weights: str) -> tuple[str, str | None]:
    """Folder of a saved pipeline, or repository and revision of a card."""
    path = Path(weights)
    if path.is_dir():
        if not (path / "model_index.json").is_file():
            raise MissingFileError(
                f"gans.{name}.weights: {path}: no model_index.json, expected a saved pipeline"
            )
        return str(path), None
    if not path.is_file():
        raise MissingFileError(f"gans.{name}.weights: {path}: no such file or folder")
    card = read_card(path, *CARD_KEYS)
    return card["repository"], card["revision"]


def load(name: str, gan: GanParams) -> PipelineSource:
    """The pipeline of ``gans.<name>``; only weights in safetensors are read, and no code of the repository's.

    Raises:
        MissingExtraError: if diffusers is not installed.
        MissingFileError, WeightsError: if there is no such pipeline or it cannot be read.
    """
    if gan.steps is None:
        raise ValueError("the params model requires steps of this loader")
    address, revision = _address(name, gan.weights)
    try:
        from diffusers import DiffusionPipeline
    except ImportError as error:
        raise MissingExtraError(
            f"gans.{name}.loader: diffusers is not installed, install it with pip install -e '.[diffusers]'"
        ) from error
    try:
        pipeline = DiffusionPipeline.from_pretrained(address, revision=revision, use_safetensors=True)
    except (OSError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise WeightsError(
            f"gans.{name}.weights: {address}: not a pipeline that can be read ({first_line(error)})"
        ) from error
    return PipelineSource(name, pipeline, gan.steps)
