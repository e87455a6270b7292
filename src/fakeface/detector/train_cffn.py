"""Training of the CFFN by pairs: its learning rate, its steps, its validation, resumable at any step."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from tqdm import tqdm

from fakeface.base import processes
from fakeface.base.errors import NonFiniteLossError
from fakeface.base.files import atomic_path
from fakeface.base.hashes import code_hash, random_stream
from fakeface.detector.activations import NetworkInputs
from fakeface.detector.batches import BalancedBatches, DetectorData, Drawn, refuse_held_out
from fakeface.detector.views import Views, every_view, joined, training_kind, validation_kind, view_numbers
from fakeface.models.cffn import FeatureNetwork, NetworkInput, build_cffn
from fakeface.models.losses import branch_pairs_loss, build_objective
from fakeface.params import Params, ParamsError

# Resume state of a training, outside the stage's outs and valid for one exact configuration.
#
# DVC deletes a stage's outs before it runs, and persist: true would switch its run cache off, so the state
# lives in .checkpoints/<fingerprint>/. The fingerprint covers parameters, data and code: whatever could
# change the result makes the state invisible instead of wrong.

CHECKPOINTS = Path(".checkpoints")


def fingerprint(settings: Any, data: Iterable[str], code: str) -> str:
    """SHA-256 over settings (JSON-serialisable), content hashes of the data, and a hash of the code."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for item in data:
        digest.update(item.encode())
    digest.update(code.encode())
    digest.update(torch.__version__.encode())
    return digest.hexdigest()


class Checkpoint:
    """One file of tensors and plain values, written atomically.

    Args:
        name: prefix that tells a person what the folder is.
        key: fingerprint of everything that decides the result.
        root: parent folder.
    """

    def __init__(self, name: str, key: str, root: Path = CHECKPOINTS) -> None:
        self.folder = Path(root) / f"{name}-{key[:16]}"
        self.path = self.folder / "state.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Replace the stored state."""
        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The stored state, or None if there is none."""
        if not self.path.exists():
            return None
        state: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
        return state

    def discard(self) -> None:
        """Remove the state once the outs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)


# Share of the steps in which a cosine schedule rises to its peak.
WARM_UP = 0.1

Schedule = Literal["constant", "cosine"]


def learning_rate(schedule: Schedule, peak: float, step: int, total: int) -> float:
    """Rate of one step.

    ``cosine`` rises linearly for a tenth of the steps, then falls along half a cosine to nearly zero
    (Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts).

    Args:
        schedule: ``constant`` or ``cosine``.
        peak: the highest rate, > 0.
        step: 0 <= step < total.
        total: steps of the training.

    Returns:
        A rate in (0, peak].
    """
    if schedule == "constant":
        return peak
    rise = max(1, round(WARM_UP * total))
    if step < rise:
        return peak * (step + 1) / rise
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


# Pairwise training of the CFFN.

EpochCallback = Callable[[int, dict[str, float]], None]
# Validation images a forward pass.
FORWARD_BATCH = 500


@dataclass
class CffnResult:
    """A trained CFFN (weights of the best validation epoch) and what the training did."""

    cffn: FeatureNetwork
    metrics: dict[str, Any]


class _Branches(nn.Module):
    """Two branches of one network, as in the paper: each sees its own batch, also in its batch norms."""

    def __init__(self, network: FeatureNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: NetworkInput, n_left: int) -> torch.Tensor:
        """Images, of which the first ``n_left`` are the left branch's, to embeddings in this order."""
        branches = (slice(n_left), slice(n_left, None))
        if isinstance(x, torch.Tensor):
            return torch.cat([self.network(x[branch]) for branch in branches])
        return torch.cat([self.network([level[branch] for level in x]) for branch in branches])


class CffnTrainer:
    """Trains one CFFN, resumably, in one process or in several that share each batch.

    Args:
        params: validated params.
        train, val: images of the training GANs only; held-out GANs are refused.
        fabric: devices and precision.
        epoch_callback: called after each epoch with its number (from 1) and its losses.
        seed: of the first weights, of the order of the images and of which views come when; None for that of
            ``params``, which decides what the views are.
    """

    def __init__(
        self,
        params: Params,
        train: DetectorData,
        val: DetectorData,
        fabric: Fabric,
        epoch_callback: EpochCallback | None = None,
        seed: int | None = None,
    ) -> None:
        for data in (train, val):
            refuse_held_out(data, params)
        self.params, self.train_data, self.val_data, self.fabric = params, train, val, fabric
        self.seed = params.seed if seed is None else seed
        self.epoch_callback = epoch_callback
        if fabric.world_size > params.cffn.batch_size:
            raise ParamsError(
                f"cffn.batch_size must be at least the number of processes ({fabric.world_size}), "
                f"got {params.cffn.batch_size}"
            )
        self.batches = BalancedBatches(train.groups, params.cffn.batch_size, self.seed)
        self.steps_per_epoch = params.cffn.steps_per_epoch or self._steps_to_show_everything()
        torch.manual_seed(self.seed)
        settings = params.cffn
        network = build_cffn(settings.variant, settings.feature_levels, settings.unit_norm, settings.dropout)
        self.objective = build_objective(params, network.feature_dim).to(fabric.device)
        learnt = [p for p in (*network.parameters(), *self.objective.parameters()) if p.requires_grad]
        optimiser = torch.optim.Adam(learnt, lr=params.cffn.lr)
        # Images arrive with channels last; weights laid out alike save a conversion in every layer.
        self.network = network.to(memory_format=torch.channels_last).to(fabric.device)
        self.inputs = NetworkInputs(params, self.network, fabric)
        views = params.cffn.views if self.inputs.frozen else None
        # Of each training image; None where every view is a new one.
        self.n_views = None if views is None else np.where(train.groups == 0, views.real, views.fake)
        self.val_views = every_view(val, validation_kind(params.training_protocols), params.seed)
        processes.join_batch_norms(self.network, fabric)
        model: nn.Module = _Branches(network) if params.cffn.pairing == "sampled" else network
        if params.compile:
            model = torch.compile(model)  # type: ignore[assignment]
        self.model, self.optimiser = fabric.setup(model, optimiser)
        self.checkpoint = Checkpoint("cffn", self._fingerprint())
        self.epoch, self.seconds = 0, 0.0
        self.history: list[dict[str, float]] = []
        self.best_state: dict[str, torch.Tensor] = {}

    def _steps_to_show_everything(self) -> int:
        """Steps that show as many pixels as the training images have."""
        settings, side = self.params.cffn, self.params.image_size
        share = 1.0 if settings.crop is None else (settings.crop / side) ** 2
        return math.ceil(len(self.train_data) / (share * settings.batch_size))

    def _fingerprint(self) -> str:
        p = self.params
        settings = {
            "cffn": p.cffn.model_dump(),
            "augmentation": [protocol.model_dump() for protocol in p.training_protocols],
            "margin": p.margin,
            "seeds": [p.seed, self.seed],
            "precision": p.precision,
            "compile": p.compile,
            "device": self.fabric.device.type,
            "gans": self.train_data.gans,
        }
        hashes = [*self.train_data.manifest["sha256"], *self.val_data.manifest["sha256"]]
        return fingerprint(settings, hashes, code_hash(__name__))

    # --- batches -----------------------------------------------------------------------------

    def _drawn(self, step: int) -> Drawn:
        """Images of a step: (B,) for all pairs; (2B,) left then right branch for sampled pairs."""
        if self.params.cffn.pairing == "batch":
            return self.batches.batch(step)
        return Drawn(*(np.concatenate(parts) for parts in zip(*self.batches.pairs(step), strict=True)))

    def _views(self, step: int) -> Views:
        """Views of the images of a step; pseudo-fakes of its photographs may take the place of fakes."""
        rows, laps = self._drawn(step)
        pseudo = None
        if share := self.params.cffn.pseudo_fakes:
            rng = random_stream("pseudo-fakes", self.seed, step)
            photographs, fakes = (
                rng.permutation(np.flatnonzero(self.train_data.labels[rows] == label)) for label in (0, 1)
            )
            count = min(round(share * len(fakes)), len(photographs))
            pseudo = np.zeros(len(rows), dtype=bool)
            pseudo[fakes[:count]] = True
            rows[pseudo], laps[pseudo] = (values[np.sort(photographs[:count])] for values in (rows, laps))
        numbers = view_numbers(laps, self.seed, None if self.n_views is None else self.n_views[rows])
        return Views(self.train_data, rows, numbers, training_kind(self.params), self.params.seed, pseudo)

    def _prepare(self) -> None:
        """Compute what frozen layers make of all views to come, where these come again."""
        self.inputs.prepare(self.val_views)
        steps = range(self.epoch * self.steps_per_epoch, self.params.cffn.epochs * self.steps_per_epoch)
        if self.n_views is not None and len(steps):
            self.inputs.prepare(joined([self._views(step) for step in steps]))

    def _load(self, step: int) -> tuple[np.ndarray, NetworkInput]:
        """Rows of a step, and what the network is given for those that are this process's."""
        views = self._views(step)
        return self._drawn(step).rows, self.inputs.read(views[processes.share(len(views), self.fabric)])

    def _loss(self, x: NetworkInput, labels: torch.Tensor) -> torch.Tensor:
        """The loss of the whole batch, whose other embeddings other processes compute."""
        count = len(labels)
        if self.params.cffn.pairing == "batch":
            embeddings = processes.gather(self.model(x), count, self.fabric, differentiable=True)
            return self.objective(embeddings, labels)
        half = count // 2
        n_left = int((processes.share(count, self.fabric) < half).sum())
        embeddings = processes.gather(self.model(x, n_left), count, self.fabric, differentiable=True)
        same = labels[:half] == labels[half:]
        return branch_pairs_loss(embeddings[:half], embeddings[half:], same, self.params.margin)

    def _step(self, step: int, rows: np.ndarray, x: NetworkInput) -> float:
        # What dropout leaves out is drawn anew in every step, and is the same after an interruption.
        torch.manual_seed(int(random_stream("step", self.seed, step).integers(2**63)))
        labels = torch.from_numpy(self.train_data.labels[rows]).to(self.fabric.device)
        loss = self._loss(x, labels)
        value = float(loss.detach())
        if not math.isfinite(value):
            names = ", ".join(self.train_data.manifest["name"].iloc[rows].astype(str))
            raise NonFiniteLossError(f"loss is {value} at step {step}; batch: {names}")
        settings = self.params.cffn
        total = settings.epochs * self.steps_per_epoch
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(settings.schedule, settings.lr, step, total)
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self.optimiser.step()
        return value

    # --- epochs ------------------------------------------------------------------------------

    def _train_epoch(self, bar: tqdm) -> float:
        self.model.train()
        first = self.epoch * self.steps_per_epoch
        total = 0.0
        with ThreadPoolExecutor(1, thread_name_prefix="next-batch") as ahead:
            pending: Future[tuple[np.ndarray, NetworkInput]] = ahead.submit(self._load, first)
            for step in range(first, first + self.steps_per_epoch):
                rows, x = pending.result()
                if step + 1 < first + self.steps_per_epoch:
                    pending = ahead.submit(self._load, step + 1)
                total += self._step(step, rows, x)
                bar.update(len(rows))
        return total / self.steps_per_epoch

    @torch.no_grad()
    def validation_loss(self) -> float:
        """The objective on the validation split, both classes weighing the same."""
        self.network.eval()
        count = len(self.val_data)
        rows = processes.share(count, self.fabric)
        embeddings = [torch.empty(0, self.network.feature_dim, device=self.fabric.device)]
        for start in range(0, len(rows), FORWARD_BATCH):
            x = self.inputs.read(self.val_views[rows[start : start + FORWARD_BATCH]])
            with self.fabric.autocast():
                embeddings.append(self.network(x).float())
        labels = torch.from_numpy(self.val_data.labels).to(self.fabric.device)
        return float(
            self.objective.validate(processes.gather(torch.cat(embeddings), count, self.fabric), labels)
        )

    def _save(self) -> None:
        if not self.fabric.is_global_zero:
            return
        self.checkpoint.save(
            {
                "epoch": self.epoch,
                "seconds": self.seconds,
                "history": self.history,
                "network": self.network.state_dict(),
                "objective": self.objective.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "best_state": self.best_state,
            }
        )

    def _resume(self) -> None:
        # Of the first process, because the others may run on a machine that does not have the file.
        state = processes.first_alone(lambda: self.checkpoint.load(torch.device("cpu")), self.fabric)
        if state is None:
            return
        self.epoch, self.seconds, self.history = state["epoch"], state["seconds"], state["history"]
        self.network.load_state_dict(state["network"])
        self.objective.load_state_dict(state["objective"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best_state = state["best_state"]

    def fit(self) -> CffnResult:
        """Train all epochs, resuming where an interrupted run of the same configuration stopped.

        Raises:
            NonFiniteLossError: with the step and the names of the batch's images.
        """
        epochs = self.params.cffn.epochs
        self._resume()
        started = time.perf_counter()
        self._prepare()
        self.seconds += time.perf_counter() - started
        if self.epoch_callback:
            for number, losses_of_epoch in enumerate(self.history, start=1):
                self.epoch_callback(number, losses_of_epoch)
        per_epoch = self.steps_per_epoch * len(self._drawn(0).rows)
        bar = tqdm(
            total=epochs * per_epoch,
            initial=self.epoch * per_epoch,
            unit="img",
            desc="CFFN",
            disable=processes.quiet(self.fabric),
        )
        while self.epoch < epochs:
            started = time.perf_counter()
            train_loss = self._train_epoch(bar)
            self.seconds += time.perf_counter() - started
            val_loss = self.validation_loss()
            if not self.best_state or val_loss < min(row["val_loss"] for row in self.history):
                self.best_state = copy.deepcopy(self.network.state_dict())
            self.history.append({"train_loss": train_loss, "val_loss": val_loss})
            self.epoch += 1
            bar.set_postfix(train=f"{train_loss:.4f}", val=f"{val_loss:.4f}")
            if self.epoch_callback:
                self.epoch_callback(self.epoch, self.history[-1])
            self._save()
        bar.close()
        self.network.load_state_dict(self.best_state)
        return CffnResult(self.network.eval(), self._metrics())

    def _metrics(self) -> dict[str, Any]:
        val = [row["val_loss"] for row in self.history]
        per_step = len(self._drawn(0).rows)
        batch = self.params.cffn.batch_size
        pairs = batch * (batch - 1) // 2 if self.params.cffn.pairing == "batch" else batch
        steps = self.steps_per_epoch * self.epoch
        return {
            "epochs": self.epoch,
            "steps": steps,
            "processes": self.fabric.world_size,
            "best_epoch": 1 + int(np.argmin(val)),
            "final_train_loss": self.history[-1]["train_loss"],
            "final_val_loss": val[-1],
            "best_val_loss": min(val),
            "images_seen": steps * per_step,
            "pairs_seen": steps * pairs,
            "images_per_second": round(steps * per_step / self.seconds, 1),
            "pairs_per_second": round(steps * pairs / self.seconds, 1),
            "margin": self.params.margin,
            "training_gans": list(self.train_data.gans),
            "n_train_real": int((self.train_data.groups == 0).sum()),
            "n_train_fake": int((self.train_data.groups > 0).sum()),
        }
