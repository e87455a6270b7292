"""The ONNX file says what PyTorch says, for every variant and any number of images."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from bundles import make_bundle
from conftest import random_picture
from lightning_fabric import Fabric

from fakeface.apps.cli import main
from fakeface.bundle.export import ExportError, MissingDetail, check_export, write_onnx
from fakeface.detector.calibration import Calibration, ScoreOffset, missing_detail
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import Detector
from fakeface.models.cffn import build_cffn
from fakeface.models.cn import ClassificationNetwork


def random_detector(variant: str, unit_norm: bool = False, slope: float = 3.0) -> Detector:
    torch.manual_seed(0)
    return Detector(
        build_cffn(variant, (2, 3, 4), unit_norm),
        ClassificationNetwork(),
        DecisionRule(0.4, 0.2, Calibration("platt", slope, 0.25), ScoreOffset((0.3, -0.5, 0.1), -4.0, -0.5)),
        64,
        Fabric(accelerator="cpu", devices=1),
    )


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of a bundle with the weights and rules of ``random_detector("pretrained")``."""
    root = tmp_path_factory.mktemp("export")
    out = root / "made" / "it.onnx"
    with redirect_stdout(io.StringIO()) as said:
        assert main(["export", "--detector", str(make_bundle(root)), "--out", str(out)]) == 0
    assert "differ from PyTorch's by at most" in said.getvalue()
    return out


def test_traces_in_the_graph_are_those_of_the_detector() -> None:
    images = np.concatenate([noise(2), np.full((1, 64, 64, 3), 128, dtype=np.uint8), smooth(3)])
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    np.testing.assert_allclose(MissingDetail()(tensor).numpy(), missing_detail(images), atol=2e-3)


def smooth(count: int) -> np.ndarray:
    return np.stack([np.asarray(random_picture(seed, 64, 64)) for seed in range(count)])


def same_as_pytorch(path: Path, detector: Detector) -> None:
    onnx.checker.check_model(onnx.load(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 5, 33):  # 33: PyTorch divides it into chunks
        images = smooth(count)
        scores, embeddings = session.run(["score", "embedding"], {"images": images})
        expected, expected_embeddings = detector.score_and_embed(images, count)
        np.testing.assert_allclose(scores, expected, atol=1e-5)
        np.testing.assert_allclose(embeddings, expected_embeddings, atol=1e-4, rtol=1e-3)


def test_scores_and_embeddings_are_those_of_pytorch(exported: Path) -> None:
    detector = random_detector("pretrained")
    same_as_pytorch(exported, detector)
    assert check_export(detector, exported, [noise(3), noise(20)]) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "unit_norm"), [("paper", True), ("residual", False)])
def test_other_variants_too(tmp_path: Path, variant: str, unit_norm: bool) -> None:
    detector = random_detector(variant, unit_norm)
    write_onnx(detector, tmp_path / "detector.onnx")
    same_as_pytorch(tmp_path / "detector.onnx", detector)


def test_the_file_says_how_to_use_it_and_nothing_of_who_made_it(exported: Path) -> None:
    facts = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    assert json.loads(facts["threshold"]) == 0.4
    assert json.loads(facts["lower_threshold"]) == 0.2
    assert "(N, 64, 64, 3), RGB" in facts["preprocessing"]
    content = exported.read_bytes()
    assert b"stack_trace" not in content
    assert str(Path(__file__).parents[2]).encode() not in content


def test_a_file_that_differs_is_refused(exported: Path) -> None:
    with pytest.raises(ExportError, match=r"scores differ from PyTorch's by .*, expected at most 0.0001"):
        check_export(random_detector("pretrained", slope=2.0), exported, [noise(2)])


def test_no_detector_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--detector", str(tmp_path / "absent"), "--out", str(tmp_path / "it.onnx")]) == 2
    assert "no detector here" in capsys.readouterr().err
