"""One trainer for every generator of the zoo: stop it anywhere, start it again, same weights.

Every random number of a step comes from a generator seeded with the step, so a checkpoint needs
weights and optimiser states only, and an interrupted run cannot drift from an uninterrupted one.
"""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from fakeface.base.errors import FakefaceError
from fakeface.base.files import atomic_path
from fakeface.data.image_sets import pixels_sha256, write_grid
from fakeface.gans.architectures import build_discriminator, build_generator
from fakeface.gans.weights import load_discriminator, load_generator, save_network
from fakeface.zoo.recipes import OptimiserRecipe, Recipe, Start

# Losses, and augmentation for training on few photographs: Zhao et al., "Differentiable Augmentation for
# Data-Efficient GAN Training", NeurIPS 2020. The same random family of transforms is applied to reals and
# fakes, in front of the discriminator only, and gradients pass through it to the generator.

Logits = torch.Tensor
Critic = Callable[[torch.Tensor], Logits]  # (B, C, H, W) to (B,)


class AdversarialLoss(NamedTuple):
    """``discriminator(real_logits, fake_logits)`` and ``generator(fake_logits)``, both minimised."""

    discriminator: Callable[[Logits, Logits], torch.Tensor]
    generator: Callable[[Logits], torch.Tensor]


# Goodfellow et al. 2014, non-saturating form.
NON_SATURATING = AdversarialLoss(
    lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
    lambda fake: F.softplus(-fake).mean(),
)
# Mao et al. 2017 with targets b = c = 1 for real and a = 0 for fake.
LEAST_SQUARES = AdversarialLoss(
    lambda real, fake: 0.5 * ((real - 1).square().mean() + fake.square().mean()),
    lambda fake: 0.5 * (fake - 1).square().mean(),
)
# Arjovsky et al. 2017; the Lipschitz constraint (clipping or penalty) is the trainer's.
WASSERSTEIN = AdversarialLoss(lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean())
# Lim and Ye 2017; Miyato et al. 2018.
HINGE = AdversarialLoss(
    lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(), lambda fake: -fake.mean()
)

LOSSES: dict[str, AdversarialLoss] = {
    "non_saturating": NON_SATURATING,
    "least_squares": LEAST_SQUARES,
    "wasserstein": WASSERSTEIN,
    "hinge": HINGE,
}


def gradient_penalty(
    critic: Critic, real: torch.Tensor, fake: torch.Tensor, mix: torch.Tensor
) -> torch.Tensor:
    """Two-sided penalty ``mean((||grad|| - 1)^2)`` of Gulrajani et al. 2017 on detached (B, C, H, W).

    ``mix`` (B,) in [0, 1] is the position of each probe between its real and its fake.
    """
    weight = mix.view(-1, 1, 1, 1)
    probe = (weight * real + (1 - weight) * fake).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(probe).sum(), probe, create_graph=True)
    norm = gradient.float().flatten(1).norm(dim=1)
    return (norm - 1).square().mean()


def r1_penalty(critic: Critic, real: torch.Tensor) -> torch.Tensor:
    """``0.5 * mean(||grad||^2)`` at real (B, C, H, W): Mescheder et al. 2018, equation 9 over gamma."""
    probe = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(probe).sum(), probe, create_graph=True)
    return 0.5 * gradient.float().square().sum(dim=(1, 2, 3)).mean()


def _uniform(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(x.shape[0], 1, 1, 1, generator=generator, device=generator.device).to(x)


def colour(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness by up to +-0.5, saturation by 0-2, contrast by 0.5-1.5, one draw an image."""
    x = x + (_uniform(x, generator) - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * (_uniform(x, generator) * 2) + grey
    level = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - level) * (_uniform(x, generator) + 0.5) + level


def translation(x: torch.Tensor, generator: torch.Generator, ratio: float = 0.125) -> torch.Tensor:
    """Shift each image by up to ``ratio`` of its side on both axes, zeros coming in."""
    batch, _, height, width = x.shape
    reach_y, reach_x = int(height * ratio + 0.5), int(width * ratio + 0.5)
    device = generator.device
    dy = torch.randint(0, 2 * reach_y + 1, (batch,), generator=generator, device=device).tolist()
    dx = torch.randint(0, 2 * reach_x + 1, (batch,), generator=generator, device=device).tolist()
    padded = F.pad(x, (reach_x, reach_x, reach_y, reach_y))
    shifted = [image[:, y : y + height, z : z + width] for image, y, z in zip(padded, dy, dx, strict=True)]
    return torch.stack(shifted)


AUGMENTATIONS: dict[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    "colour": colour,
    "translation": translation,
}


def augment(x: torch.Tensor, policy: Sequence[str], generator: torch.Generator) -> torch.Tensor:
    """Apply the named augmentations in order to (B, 3, H, W) in [-1, 1]; same shape and dtype."""
    for name in policy:
        x = AUGMENTATIONS[name](x, generator)
    return x


# The training.

CHECKPOINT_SECONDS = 60
# Photographs that a random discriminator is shown before its generator goes on learning.
WARM_UP_IMAGES = 20_000
_STATEFUL = ("generator", "discriminator", "ema", "optimiser_g", "optimiser_d")


class TrainingDiverged(FakefaceError, RuntimeError):
    """A loss is no longer finite; the message names the step."""


class Growth(NamedTuple):
    """How large a progressively growing GAN is at a time: Karras et al. 2018, section 2 and appendix A.

    ``level``: 0 is 4x4, each further one doubles the side; ``alpha``: how far the last is blended in.
    """

    level: int
    alpha: float

    @property
    def side(self) -> int:
        """Of the images at this point."""
        return 4 * 2**self.level


def growth_at(images_shown: int, phase_images: int, last_level: int) -> Growth:
    """One phase at 4x4, then for each level one that blends it in and one on it; the last level stays."""
    phase, offset = divmod(images_shown, phase_images)
    level = (phase + 1) // 2
    if level > last_level:
        return Growth(last_level, 1.0)
    return Growth(level, offset / phase_images if phase % 2 == 1 else 1.0)


def set_growth(network: nn.Module, growth: Growth) -> None:
    """Set how much of ``network`` is used; ValueError if the architecture cannot grow."""
    if not hasattr(network, "level"):
        raise ValueError(f"{type(network).__name__} cannot grow, recipes with growth need pggan networks")
    network.__dict__.update(growth._asdict())


def shrink(real: torch.Tensor, growth: Growth) -> torch.Tensor:
    """Photographs (B, 3, H, W) at the side of ``growth``, mixed with coarser ones while it fades in."""
    x = F.avg_pool2d(real, real.shape[-1] // growth.side)
    if growth.alpha == 1:
        return x
    coarse = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="nearest")
    return coarse.lerp(x, growth.alpha)


def computes_in_bf16(device: torch.device) -> bool:
    """Whether ``device`` multiplies bfloat16 in hardware; where it does not, fp32 is many times faster."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Absent before torch 2.10.
    features: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(features.get("amx_bf16") or features.get("avx512_bf16"))


def run_fingerprint(recipe: Recipe, images: np.ndarray, start: Start | None = None) -> str:
    """Hexadecimal identity of a run: its recipe, its photographs and the weights that it began with, if any.

    Training longer, looking more often, or computing in another precision continues the same run: none of
    them is part of its identity. Defaults are not written out, so that a new key changes no older run's.
    """
    excluded = {"images", "snapshot_every", "precision"}
    identity = json.dumps(recipe.model_dump(exclude=excluded, exclude_defaults=True), sort_keys=True).encode()
    if start is not None:
        identity += start.weights_sha256.encode()
    return hashlib.sha256(identity + bytes.fromhex(pixels_sha256(images))).hexdigest()


def _optimiser(recipe: OptimiserRecipe, module: nn.Module) -> torch.optim.Optimizer:
    if recipe.name == "rmsprop":
        return torch.optim.RMSprop(module.parameters(), lr=recipe.lr)
    return torch.optim.Adam(module.parameters(), lr=recipe.lr, betas=recipe.betas)


@torch.no_grad()
def _update_ema(ema: nn.Module, model: nn.Module, decay: float) -> None:
    for old, new in zip(ema.parameters(), model.parameters(), strict=True):
        old.lerp_(new, 1 - decay)


@torch.no_grad()
def recalibrate_batch_norm(generator: nn.Module, z_dim: int, seed: int, batches: int = 32) -> None:
    """Estimate the running statistics anew for averaged weights, which never saw a batch of their own."""
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    device = next(generator.parameters()).device
    rng = torch.Generator().manual_seed(seed)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average over the batches below
    generator.train()
    for _ in range(batches):
        generator(torch.randn(128, z_dim, generator=rng).to(device))
    for norm in norms:
        norm.momentum = 0.1
    generator.eval()


class GANTrainer:
    """Trains one recipe on packed photographs, resumably.

    Args:
        recipe: what to train.
        images: uint8 array (N, H, W, 3), kept in memory (12 KB a 64x64 photograph).
        work_dir: checkpoint, log.csv, samples.png and snapshots/ go here.
        device: torch device.
        start: published weights to begin with, in place of random ones.
    """

    def __init__(
        self,
        recipe: Recipe,
        images: np.ndarray,
        work_dir: Path,
        device: torch.device,
        start: Start | None = None,
    ) -> None:
        self.recipe = recipe
        self.device = device
        self.work_dir = Path(work_dir)
        (self.work_dir / "snapshots").mkdir(parents=True, exist_ok=True)
        self.images = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2)
        torch.manual_seed(recipe.seed)
        g, d = recipe.generator, recipe.discriminator
        self.generator = build_generator(g.architecture, g.config).to(device)
        self.discriminator = build_discriminator(d.architecture, d.config).to(device)
        self.images_shown, self.frozen_until = 0, 0
        if start is not None:
            self._begin_with(start)
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)
        self.z_dim = int(self.generator.z_dim)  # type: ignore[arg-type]
        self.ema = copy.deepcopy(self.generator).eval()
        self.optimiser_g = _optimiser(recipe.optimiser_g, self.generator)
        self.optimiser_d = _optimiser(recipe.optimiser_d, self.discriminator)
        self.loss = LOSSES[recipe.loss]
        self.seconds = 0.0 if start is None else start.seconds
        fixed = torch.Generator().manual_seed(recipe.seed + 1)
        self.fixed_z = torch.randn(64, self.z_dim, generator=fixed).to(device)
        self.fingerprint = run_fingerprint(recipe, images, start)
        self._epoch = -1

    def _begin_with(self, start: Start) -> None:
        self.generator.load_state_dict(load_generator(start.generator).state_dict())
        self.images_shown = start.images_shown
        if start.discriminator is not None:
            self.discriminator.load_state_dict(load_discriminator(start.discriminator).state_dict())
        else:  # a random discriminator has nothing to teach yet
            self.frozen_until = self.images_shown + WARM_UP_IMAGES

    def _state(self) -> dict[str, object]:
        return {
            "fingerprint": self.fingerprint,
            "images_shown": self.images_shown,
            "frozen_until": self.frozen_until,
            "seconds": self.seconds,
            **{name: getattr(self, name).state_dict() for name in _STATEFUL},
        }

    def save_checkpoint(self) -> None:
        """Write everything that a later process needs to go on from here."""
        with atomic_path(self.work_dir / "checkpoint.pt") as temporary:
            torch.save(self._state(), temporary)

    def resume(self) -> bool:
        """Load the checkpoint if there is one and it belongs to this recipe and these photographs."""
        path = self.work_dir / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["fingerprint"] != self.fingerprint:
            return False
        for name in _STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.images_shown, self.frozen_until = int(state["images_shown"]), int(state["frozen_until"])
        self.seconds = float(state["seconds"])
        return True

    def _real_batch(self, rng: torch.Generator) -> torch.Tensor:
        """Next photographs of a per-epoch permutation, half of them mirrored, in [-1, 1]."""
        batch, count = self.recipe.batch_size, len(self.images)
        rows = []
        for position in range(self.images_shown, self.images_shown + batch):
            epoch, offset = divmod(position, count)
            if epoch != self._epoch:
                order = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + epoch)
                self._order, self._epoch = torch.randperm(count, generator=order), epoch
            rows.append(int(self._order[offset]))
        x = self.images[torch.tensor(rows, device=self.device)].float().div_(127.5).sub_(1)
        mirrored = torch.rand(batch, 1, 1, 1, generator=rng).to(self.device) < 0.5
        x = torch.where(mirrored, x.flip(3), x)
        return x.contiguous(memory_format=torch.channels_last)

    def _autocast(self) -> torch.autocast:
        precision = self.recipe.precision
        enabled = precision == "bf16" or (precision == "auto" and computes_in_bf16(self.device))
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def _growth(self) -> Growth:
        last_level = (self.images.shape[-1] // 4).bit_length() - 1
        if self.recipe.growth is None:
            return Growth(last_level, 1.0)
        return growth_at(self.images_shown, self.recipe.growth.images, last_level)

    def step(self) -> dict[str, float]:
        """A discriminator step, and every ``discriminator_steps``-th time a generator step; their losses."""
        recipe = self.recipe
        number = self.images_shown // recipe.batch_size
        rng = torch.Generator().manual_seed((recipe.seed + 1) * 1_000_003 + number)
        torch.manual_seed(rng.initial_seed() + 2**40)  # the noise inside a generator
        real = self._real_batch(rng)
        if recipe.growth is not None:
            growth = self._growth()
            for network in (self.generator, self.discriminator, self.ema):
                set_growth(network, growth)
            real = shrink(real, growth)
        due = (number + 1) % recipe.discriminator_steps == 0
        update_generator = due and self.images_shown >= self.frozen_until
        z = torch.randn(recipe.batch_size, self.z_dim, generator=rng).to(self.device)
        with self._autocast():
            if update_generator:
                fake = self.generator(z)
            else:
                with torch.no_grad():
                    fake = self.generator(z)
            shown_real = augment(real, recipe.augmentations, rng)
            shown_fake = augment(fake.detach(), recipe.augmentations, rng)
            d_real, d_fake = self.discriminator(shown_real), self.discriminator(shown_fake)
            loss_d = self.loss.discriminator(d_real.float(), d_fake.float())
            if recipe.gradient_penalty is not None:
                mix = torch.rand(recipe.batch_size, generator=rng).to(self.device)
                penalty = gradient_penalty(self.discriminator, shown_real, shown_fake.float(), mix)
                loss_d = loss_d + recipe.gradient_penalty * penalty
            if recipe.drift is not None:
                loss_d = loss_d + recipe.drift * d_real.float().square().mean()
            if recipe.r1 is not None and number % recipe.r1.interval == 0:
                penalty = r1_penalty(self.discriminator, shown_real)
                loss_d = loss_d + recipe.r1.gamma * recipe.r1.interval * penalty
        self.optimiser_d.zero_grad(set_to_none=True)
        loss_d.backward()
        self.optimiser_d.step()
        if recipe.weight_clip is not None:
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-recipe.weight_clip, recipe.weight_clip)
        losses = {"loss_d": float(loss_d.detach())}
        if update_generator:
            self.discriminator.requires_grad_(False)
            with self._autocast():
                logits = self.discriminator(augment(fake, recipe.augmentations, rng))
                loss_g = self.loss.generator(logits.float())
            self.optimiser_g.zero_grad(set_to_none=True)
            loss_g.backward()
            self.optimiser_g.step()
            self.discriminator.requires_grad_(True)
            losses["loss_g"] = float(loss_g.detach())
            # The average starts short, so that early snapshots are not made of the initial noise.
            half_life = min(recipe.ema_half_life, max(1.0, 0.05 * self.images_shown))
            shown = recipe.batch_size * recipe.discriminator_steps
            _update_ema(self.ema, self.generator, 0.5 ** (shown / half_life))
        self.images_shown += recipe.batch_size
        for name, value in losses.items():
            if not math.isfinite(value):
                raise TrainingDiverged(f"{name} is {value} at step {number} of this recipe")
        return losses

    def snapshot(self, path: Path) -> None:
        """Write the averaged generator, batch statistics recalibrated, as half-precision safetensors."""
        averaged = copy.deepcopy(self.ema)
        recalibrate_batch_norm(averaged, self.z_dim, self.recipe.seed)
        network = self.recipe.generator
        save_network(path, averaged, network.architecture, network.config)

    def save_discriminator(self, path: Path) -> None:
        """Write the discriminator, with which a later run can go on from the published weights."""
        network = self.recipe.discriminator
        save_network(path, self.discriminator, network.architecture, network.config)

    @torch.no_grad()
    def write_samples(self) -> None:
        """An 8x8 grid from fixed latents of the averaged generator, to watch a run by."""
        averaged = copy.deepcopy(self.ema)
        recalibrate_batch_norm(averaged, self.z_dim, self.recipe.seed, batches=4)
        x = averaged(self.fixed_z).add(1).mul(127.5).round().clamp(0, 255).byte().cpu().numpy()
        write_grid(self.work_dir / "samples.png", x.transpose(0, 2, 3, 1), columns=8)

    def _log(self, losses: dict[str, float]) -> None:
        path = self.work_dir / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["images_shown", "seconds", "loss_d", "loss_g"])
            writer.writerow(
                [self.images_shown, round(self.seconds, 1)]
                + [round(losses.get(name, math.nan), 5) for name in ("loss_d", "loss_g")]
            )

    def train(self, max_seconds: float | None = None) -> bool:
        """Train until the recipe's images are shown (True) or time is up (False); checkpoint as it goes."""
        recipe, started = self.recipe, time.monotonic()
        losses: dict[str, float] = {}
        last_save = last_tick = started
        out_of_time = False
        bar = tqdm(total=recipe.images, initial=self.images_shown, unit="img", disable=None)
        while self.images_shown < recipe.images and not out_of_time:
            before = self.images_shown
            losses |= self.step()
            bar.update(recipe.batch_size)
            now = time.monotonic()
            self.seconds, last_tick = self.seconds + now - last_tick, now
            looks = before // recipe.snapshot_every != self.images_shown // recipe.snapshot_every
            if looks and self._growth().side == self.images.shape[-1]:  # smaller ones cannot be measured
                milestone = self.images_shown // recipe.snapshot_every * recipe.snapshot_every
                self.snapshot(self.work_dir / "snapshots" / f"{milestone:09d}.safetensors")
            out_of_time = max_seconds is not None and now - started >= max_seconds
            if now - last_save >= CHECKPOINT_SECONDS and not out_of_time:
                self._save(losses)
                last_save = last_tick = time.monotonic()
        bar.close()
        self._save(losses)
        return self.images_shown >= recipe.images and not out_of_time

    def _save(self, losses: dict[str, float]) -> None:
        self.save_checkpoint()
        if losses:
            self._log(losses)
        self.write_samples()
