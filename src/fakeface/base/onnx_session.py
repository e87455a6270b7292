"""ONNX Runtime sessions that leave the processor to others while they wait."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def open_session(model: str | Path | bytes, threads: int | None = None) -> Any:
    """A session of ONNX Runtime on the CPU.

    Args:
        model: path of a file, or its content.
        threads: of the network; None: ONNX Runtime's choice.

    Raises:
        ImportError: if ONNX Runtime is not installed.
        Exception: of ONNX Runtime, whose own classes share no other base, if it cannot load the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    # Its threads are not OpenMP's and do not read this variable, which the package sets for PyTorch's.
    spins = os.environ.get("OMP_WAIT_POLICY", "").upper() == "ACTIVE"
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spins else "0")
    model = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
