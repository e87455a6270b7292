"""Two processes compute what one does; what goes wrong in one ends all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from detector.conftest import image_sets, tiny_params  # noqa: F401
from lightning_fabric import Fabric
from torch import nn

from base.job import TASKS, trainer_of
from fakeface.base.processes import JointBatchNorm2d, gather, share
from fakeface.base.runtime import make_fabric
from fakeface.params import Params, ParamsError, validate

JOB = Path(__file__).with_name("job.py")


class Jobs:
    """Does a task of tests/base/job.py here, or starts it in several processes."""

    def __init__(self, root: Path, params: Params, folder: Path) -> None:
        self.root, self.params, self.folder = root, params, folder

    def _changed(self, changes: dict[str, Any], devices: int) -> dict[str, Any]:
        """Params with other values, whose sections are joined by dots."""
        content = self.params.model_dump(mode="json") | {"devices": devices}
        for key, value in changes.items():
            *sections, last = key.split(".")
            target = content
            for section in sections:
                target = target[section]
            target[last] = value
        return content

    def start(
        self, task: str, processes: int, *changes: dict[str, Any], launcher: str = "torchrun"
    ) -> subprocess.CompletedProcess[str]:
        """Do a task, with each of ``changes`` to the params one after the other."""
        devices = processes if launcher == "devices" else 1
        file = self.folder / "params.yaml"
        file.write_text(
            yaml.safe_dump([self._changed(one, devices) for one in changes or ({},)], sort_keys=False)
        )
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        command = [sys.executable, *(torchrun if launcher == "torchrun" else []), str(JOB)]
        command += [task, str(self.root), str(file), str(self.folder / f"{task}.npz")]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            # A hang would last until the collectives' limit of half an hour.
            timeout=1200,
            check=False,
        )

    def run(
        self, task: str, processes: int, *changes: dict[str, Any], launcher: str = "torchrun"
    ) -> list[dict[str, np.ndarray]]:
        """What the task returned in the first process for each of ``changes``."""
        if processes == 1:
            contents = [self._changed(one, 1) for one in changes or ({},)]
            each = [validate(Params, content, "params.yaml") for content in contents]
            return [TASKS[task](params, self.root, make_fabric(params)) for params in each]
        (self.folder / f"{task}.npz").unlink(missing_ok=True)
        done = self.start(task, processes, *changes, launcher=launcher)
        assert done.returncode == 0, done.stderr
        # A process that ends with gloo's threads running is killed by them now and then.
        assert done.stderr.count("still in a group: False") == processes
        results: list[dict[str, np.ndarray]] = [{} for _ in changes or ({},)]
        with np.load(self.folder / f"{task}.npz") as file:
            assert file["processes"] == processes
            for key in file.files:
                number, _, name = key.partition("/")
                if name:
                    results[int(number)][name] = file[key]
        return results


@pytest.fixture
def jobs(image_sets: tuple[Path, Path], tiny_params: Params, tmp_path: Path) -> Jobs:  # noqa: F811
    return Jobs(image_sets[0].parent, tiny_params, tmp_path)


PAPER = {"cffn.variant": "paper", "cffn.crop": None}


def test_the_loss_and_the_gradients_are_those_of_the_joined_batch(jobs: Jobs) -> None:
    changes: list[dict[str, Any]] = [
        {"cffn.pseudo_fakes": 0.5, "cffn.corrupted": 0.5},
        {"cffn.variant": "residual"},
        PAPER,
        PAPER | {"cffn.pairing": "sampled", "cffn.batch_size": 10},
        {"cffn.loss": "supervised_contrastive"},
        {"cffn.loss": "triplet"},
        {"cffn.loss": "cross_entropy"},
    ]
    for change, one, two in zip(
        changes, *(jobs.run("one_step", processes, *changes) for processes in (1, 2)), strict=True
    ):
        assert one.keys() == two.keys()
        assert any("running" in name for name in one)
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5), change
        for name, expected in one.items():
            # Deep networks in single precision: another order of sums rounds otherwise.
            scale = max(float(np.abs(expected).max()), 1e-3)
            np.testing.assert_allclose(
                two[name], expected, rtol=0, atol=1e-4 * scale, err_msg=f"{change}: {name}"
            )


def test_a_training_of_two_processes_is_that_of_one(jobs: Jobs) -> None:
    # Test batches of an odd number: the processes have different shares.
    (one,) = jobs.run("whole", 1)
    # Fabric starts them; in the test of the loss, torchrun does.
    (two,) = jobs.run("whole", 2, launcher="devices")
    for name, expected in one.items():
        np.testing.assert_allclose(two[name], expected, rtol=0, atol=2e-3, err_msg=name)
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-3)
    # What one number of processes began, another one ends.
    assert jobs.start("interrupted", 2, launcher="devices").returncode == 0
    assert list(jobs.folder.glob(".checkpoints/cffn-*/state.pt"))
    (resumed,) = jobs.run("whole", 1)
    np.testing.assert_allclose(resumed["losses"], one["losses"], rtol=1e-3)


@pytest.mark.parametrize(
    ("task", "launcher", "message"),
    [
        ("one_dies", "torchrun", "this process has had enough"),
        ("first_fails", "devices", "the first one failed"),
    ],
)
def test_an_error_of_one_process_ends_all(jobs: Jobs, task: str, launcher: str, message: str) -> None:
    done = jobs.start(task, 2, launcher=launcher)
    assert done.returncode != 0
    assert f"error: {message}" in done.stderr
    assert not (jobs.folder / f"{task}.npz").exists()


def test_more_processes_than_images_are_refused(
    image_sets: tuple[Path, Path],  # noqa: F811
    tiny_params: Params,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fabric = make_fabric(tiny_params)
    monkeypatch.setattr(Fabric, "world_size", 13)
    message = r"cffn.batch_size must be at least the number of processes \(13\), got 12"
    with pytest.raises(ParamsError, match=message):
        trainer_of(tiny_params, image_sets[0].parent, fabric)


def test_shares_make_up_the_batch() -> None:
    class Of:
        def __init__(self, rank: int) -> None:
            self.global_rank, self.world_size = rank, 3

    for count in (1, 2, 3, 7):
        shares = [share(count, Of(rank)) for rank in range(3)]  # type: ignore[arg-type]
        assert sorted(np.concatenate(shares)) == list(range(count))
        padded = [share(count, Of(rank), padded=True) for rank in range(3)]  # type: ignore[arg-type]
        assert len({len(one) for one in padded}) == 1
        assert set(np.concatenate(padded)) == set(range(count))


def test_one_process_gathers_its_own(tiny_params: Params) -> None:  # noqa: F811
    part = torch.arange(6.0).reshape(3, 2)
    assert gather(part, 3, make_fabric(tiny_params)) is part


def test_a_joint_batch_norm_of_one_process_is_pytorchs(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        torch.manual_seed(0)
        ours, theirs = JointBatchNorm2d(5).double(), nn.BatchNorm2d(5).double()
        x = 3 + 2 * torch.randn(7, 5, 3, 4, dtype=torch.float64)
        inputs = [x.clone().requires_grad_() for _ in range(2)]
        outputs = [layer(one) for layer, one in zip((ours, theirs), inputs, strict=True)]
        weight = torch.randn_like(x)
        for output in outputs:
            (output * weight).sum().backward()
        torch.testing.assert_close(outputs[0], outputs[1])
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
        for name, value in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], value)
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    finally:
        torch.distributed.destroy_process_group()


def test_what_this_machine_cannot_do_is_refused(tiny_params: Params, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    with pytest.raises(ParamsError, match="precision must be 'fp32' or 'bf16' on a CPU, got 'fp16'"):
        make_fabric(tiny_params.model_copy(update={"precision": "fp16"}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ParamsError, match="4 processes need a GPU each, this machine has 2"):
        make_fabric(tiny_params.model_copy(update={"device": "cuda", "devices": 4}), parallel=True)
