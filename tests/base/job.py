"""What the tests let torchrun start: a training and its scores, written by the first process.

torchrun --nproc_per_node=2 tests/processes/job.py TASK ROOT PARAMS OUT

PARAMS is a file of several params; the task is done with each of them.
"""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning_fabric import Fabric

from fakeface.base.errors import FakefaceError, one_line_errors
from fakeface.base.processes import first_alone
from fakeface.base.runtime import make_fabric
from fakeface.data.image_sets import Folders
from fakeface.detector.batches import load_split, load_training
from fakeface.detector.detector import Detector
from fakeface.detector.train_cffn import CffnTrainer
from fakeface.detector.train_cn import train_cn
from fakeface.evaluation.evaluate import predict_protocols
from fakeface.params import Params, validate


def trainer_of(params: Params, root: Path, fabric: Fabric) -> CffnTrainer:
    folders = Folders(root)
    train = load_training(folders, params.training_gans)
    val = load_split(folders.real, folders.fake, params.training_gans, "val")
    return CffnTrainer(params, train, val, fabric)


def one_step(params: Params, root: Path, fabric: Fabric) -> dict[str, np.ndarray]:
    """Loss, gradients and running statistics of the first step."""
    trainer = trainer_of(params, root, fabric)
    trainer.model.train()
    # Without the optimiser's step the gradients stay as they are.
    trainer.optimiser.step = lambda: None
    loss = trainer._step(0, *trainer._load(0))
    learnt = {name: p.grad for name, p in trainer.network.named_parameters() if p.requires_grad}
    learnt |= {f"objective.{name}": p.grad for name, p in trainer.objective.named_parameters()}
    running = {name: b for name, b in trainer.network.named_buffers() if "running" in name}
    tensors = learnt | running
    return {"loss": np.array(loss), **{name: tensor.numpy() for name, tensor in tensors.items()}}


def whole(params: Params, root: Path, fabric: Fabric) -> dict[str, np.ndarray]:
    """Losses of a whole training of both networks, and the scores of the test split."""
    trainer = trainer_of(params, root, fabric)
    cffn = trainer.fit().cffn
    result = train_cn(params, cffn, trainer.train_data, trainer.val_data, fabric)
    detector = Detector(
        cffn, result.cn, result.rule, 64, fabric,
    )  # fmt: skip
    test = load_split(root / "real", root / "fake", list(params.gans), "test")
    predictions = predict_protocols(params, detector, test)
    losses = [row[key] for row in trainer.history for key in ("train_loss", "val_loss")]
    scores = {name: one.scores for name, one in predictions.items()}
    return {"losses": np.array(losses), "threshold": np.array(result.rule.threshold), **scores}


def interrupted(params: Params, root: Path, fabric: Fabric) -> dict[str, np.ndarray]:
    """Nothing: killed after the first epoch."""
    trainer = trainer_of(params, root, fabric)
    trainer.epoch_callback = lambda epoch, _: None if epoch == 1 else os._exit(0)
    trainer.fit()
    raise AssertionError("not reached")


def one_dies(params: Params, root: Path, fabric: Fabric) -> dict[str, np.ndarray]:
    """The last process stops in the middle of a training."""
    trainer = trainer_of(params, root, fabric)
    load = trainer._load

    def dying(step: int) -> tuple[np.ndarray, Any]:
        if step == 1 and fabric.global_rank == fabric.world_size - 1:
            raise FakefaceError("this process has had enough")
        return load(step)

    trainer._load = dying
    trainer.fit()
    return {}


def first_fails(params: Params, root: Path, fabric: Fabric) -> dict[str, np.ndarray]:
    """The first process fails in what it does alone."""

    def fail() -> None:
        raise FakefaceError("the first one failed")

    first_alone(fail, fabric)
    return {}


TASKS = {task.__name__: task for task in (one_step, whole, interrupted, one_dies, first_fails)}

if __name__ == "__main__":
    task, root, params_file, out = sys.argv[1:]
    # Handlers run last in, first out: this one sees what the Fabric's has left behind.
    atexit.register(lambda: print(f"still in a group: {torch.distributed.is_initialized()}", file=sys.stderr))
    with one_line_errors():
        contents = yaml.safe_load(Path(params_file).read_text())
        all_params = [validate(Params, content, params_file) for content in contents]
        fabric = make_fabric(all_params[0], parallel=True)
        result = {"processes": np.array(fabric.world_size)}
        for number, params in enumerate(all_params):
            done = TASKS[task](params, Path(root), fabric)
            result |= {f"{number}/{name}": array for name, array in done.items()}
        if fabric.is_global_zero:
            np.savez(out, **result)
