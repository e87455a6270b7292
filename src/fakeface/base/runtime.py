"""Where and how the networks run, what a result was made with, and live curves of a training."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakeface import __version__
from fakeface.base.files import write_json
from fakeface.params import Params, ParamsError

# PyTorch, Lightning and DVCLive are imported where they are used: together they take more than three seconds
# of processor time, and a stage that only writes figures needs none of them.
if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def make_fabric(params: Params, *, parallel: bool = False) -> Fabric:
    """Lightning Fabric on the device and in the precision that the params ask for.

    Args:
        params: ``device``, ``devices``, ``precision`` and ``deterministic`` count.
        parallel: use all ``devices``, one process each, or the processes that torchrun started; else one.

    Raises:
        ParamsError: if a GPU is asked for and there is none, or more than there are; for fp16 on a CPU; or
            if torchrun started several processes of something that works in one.
    """
    import torch
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    cuda = torch.cuda.is_available() and params.device != "cpu"
    if params.device == "cuda" and not cuda:
        raise ParamsError("device must be 'auto' or 'cpu' on a machine without a CUDA GPU, got 'cuda'")
    if params.precision == "fp16" and not cuda:
        raise ParamsError("precision must be 'fp32' or 'bf16' on a CPU, got 'fp16'")
    here, machines = _processes(params, cuda, parallel)
    if cuda and here > torch.cuda.device_count():
        raise ParamsError(
            f"{here} processes need a GPU each, this machine has {torch.cuda.device_count()}; lower devices "
            "in params.yaml, or --nproc_per_node of torchrun"
        )
    if params.deterministic:
        _be_deterministic()
    several = here * machines > 1
    # Batch norms are joined (fakeface.base.processes), so their statistics are equal and need no broadcast.
    ddp: dict[str, Any] = {"strategy": DDPStrategy(broadcast_buffers=False)} if several else {}
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu" if several else params.device,
        devices=here,
        num_nodes=machines,
        precision=FABRIC_PRECISION[params.precision],
        **ddp,
    )
    fabric.launch()
    if several:
        atexit.register(_leave_the_group)
    return fabric


def _leave_the_group() -> None:
    """Stop the threads of gloo while Python still runs.

    One that lets go of a tensor during Python's shutdown ends the process with SIGABRT, after all its work is
    done (github.com/pytorch/pytorch/issues/190489). For NCCL Fabric registers the same.
    """
    import torch

    if torch.distributed.is_initialized() and torch.distributed.get_backend() == "gloo":
        torch.distributed.destroy_process_group()


def _processes(params: Params, cuda: bool, parallel: bool) -> tuple[int, int]:
    """Processes on this machine, and machines."""
    import torch

    if torch.distributed.is_torchelastic_launched():
        here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        if everywhere > 1 and not parallel:
            raise ParamsError(f"this works in one process, torchrun started {everywhere}; run it with python")
        return here, everywhere // here
    if not parallel:
        return 1, 1
    if params.devices == "auto":
        return (torch.cuda.device_count() if cuda else 1), 1
    return params.devices, 1


def _be_deterministic() -> None:
    """The same bytes in every run, also on a GPU; an operation that cannot is an error of PyTorch."""
    import torch

    # Read by cuBLAS when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def device_name(device: torch.device) -> str:
    """``cpu``, or the GPU's model name: figures made on two kinds of device are not compared blindly."""
    if device.type != "cuda":
        return device.type
    import torch

    return torch.cuda.get_device_name(device)


def provenance(params: Params, device: str = "cpu") -> dict[str, Any]:
    """What made a figure: versions, seed and device; no time and no host name."""
    return {
        "fakeface_version": __version__,
        "torch_version": version("torch").split("+")[0],
        "seed": params.seed,
        "device": device,
    }


def headline_number(value: Any) -> Any:
    """A figure as metrics/ holds it: four decimals, or two digits of what is smaller; dicts recursively.

    What differs by less is noise of the machine, and would fill `dvc metrics diff`.
    """
    if isinstance(value, dict):
        return {key: headline_number(item) for key, item in value.items()}
    if not isinstance(value, float):
        return value
    return round(value, 4) if abs(value) >= 0.001 else float(f"{value:.2g}")


def write_figures(
    name: str,
    params: Params,
    report: dict[str, Any],
    headline: dict[str, Any] | None = None,
    *,
    device: str = "cpu",
    root: Path = Path(),
) -> None:
    """Write ``reports/<name>.json`` and, with a headline, ``metrics/<name>.json``, rounded.

    Args:
        name: of the file, without its ending; it may have a folder.
        params: of the experiment.
        report: whole blocks of figures.
        headline: the few of them that ``dvc metrics diff`` and ``dvc exp show`` are for: numbers that a rerun
            on the same machine repeats, no versions, seeds, devices or times.
        device: that the figures were computed on, see :func:`fakeface.base.runtime.device_name`.
        root: folder of the pipeline.
    """
    write_json(root / "reports" / f"{name}.json", provenance(params, device) | report)
    if headline is not None:
        write_json(root / "metrics" / f"{name}.json", headline_number(headline))


# Learning curves through DVCLive.

Log = Callable[[int, dict[str, float]], None]


@contextmanager
def live_curves(folder: str | Path, fabric: Fabric) -> Iterator[Log | None]:
    """Yield a callback ``(epoch, losses)`` that adds a point to ``<folder>/plots/metrics/*.tsv``.

    DVCLive would otherwise rewrite dvc.yaml and save an experiment of its own. Only the first process
    writes; the others get None.
    """
    if not fabric.is_global_zero:
        yield None
        return
    from dvclive import Live

    with Live(str(folder), dvcyaml=None, save_dvc_exp=False, report=None) as live:

        def log(epoch: int, losses: dict[str, float]) -> None:
            live.step = epoch
            for name, value in losses.items():
                live.log_metric(name, value)
            live.make_summary()

        yield log
