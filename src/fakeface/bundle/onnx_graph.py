"""A bundle's networks as one ONNX graph, made of their weights without PyTorch's exporter: in a moment.

It is for this package's own use on a CPU (:mod:`fakeface.bundle.onnx_detector`). Score offset, calibration
and thresholds are not in it. What programs of other people take is made by :mod:`fakeface.bundle.export`.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from onnx import TensorProto, helper

from fakeface.detector.detector import load_cn
from fakeface.detector.frozen_onnx import Graph, frozen_levels
from fakeface.models.cffn import ONNX_PIXELS, LevelHead, PretrainedCFFN, StatisticsCFFN
from fakeface.models.cn import ClassificationNetwork
from fakeface.models.weights import load_cffn

IMAGES = "images"
# Smallest length that an embedding is divided by, as of torch.nn.functional.normalize.
_SHORTEST = 1e-12


def graph_of(cffn_path: Path, cn_path: Path) -> bytes:
    """A model from ``images``, uint8 (N, S, S, 3), to logits, embeddings and level statistics.

    They are float32 (N, 2), (N, feature_dim) and (N, L), see
    :func:`fakeface.detector.detector.attribution_features`. Its metadata say how many images
    should go at once.

    Args:
        cffn_path: weights of a network on frozen layers.
        cn_path: weights of its CN.

    Raises:
        DetectorWeightsError: if a file is absent, damaged or does not fit.
        TypeError: if the CFFN has no frozen layers.
    """
    cffn, image_size = load_cffn(cffn_path)
    cn, _ = load_cn(cn_path)
    if not isinstance(cffn, PretrainedCFFN):
        raise TypeError(f"only networks on frozen layers, got {cffn.variant!r}")
    with torch.no_grad():
        return _graph(cffn, cn, image_size)


def _graph(cffn: PretrainedCFFN, cn: ClassificationNetwork, image_size: int) -> bytes:
    graph = Graph()
    activations = frozen_levels(graph, cffn, _input(graph, cffn))
    shapes = [tuple(level.shape[1:]) for level in cffn.activations(torch.zeros(1, 3, image_size, image_size))]
    sides = [
        level.shape[-1] for level in cffn.blocks_and_maps([torch.zeros(1, *shape) for shape in shapes])[1]
    ]
    maps, embedding, statistics = [], [], []
    for level, x, shape, side in zip(cffn.feature_levels, activations, shapes, sides, strict=True):
        head = cast(LevelHead, cffn.heads[str(level)])
        maps.append(_head(graph, head, x, shape[-1], side))
        embedding.append(graph.add("GlobalAveragePool", [maps[-1]]))
        statistics += [x] if isinstance(cffn, StatisticsCFFN) else _deviations(graph, x, shape[-1] ** 2)
    outputs = [
        _logits(graph, cn, graph.joined(maps)),
        _embedding(graph, embedding, cffn.unit_norm),
        graph.add("Flatten", [graph.joined(statistics)]),
    ]
    images = helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["n", image_size, image_size, 3])
    model = graph.model("detector", images, outputs)
    helper.set_model_props(model, {"images_at_once": str(cffn.chunk_size(image_size, ONNX_PIXELS))})
    return bytes(model.SerializeToString(deterministic=True))


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.float32(value))


def _input(graph: Graph, cffn: PretrainedCFFN) -> str:
    """As :func:`fakeface.models.cffn.to_input` and :meth:`PretrainedCFFN.frozen_input`, step by step."""
    x = graph.add("Cast", [IMAGES], to=TensorProto.FLOAT)
    x = graph.add("Transpose", [x], perm=[0, 3, 1, 2])
    for kind, value in (("Div", 127.5), ("Sub", 1), ("Mul", 127.5), ("Add", 0.5), ("Div", 128)):
        x = graph.add(kind, [x, _number(graph, value)])
    return graph.enlarged(x, cffn.scale)


def _head(graph: Graph, head: LevelHead, x: str, side: int, pooled: int) -> str:
    """A :class:`LevelHead` in evaluation mode: its batch norms become part of the first convolution."""
    first, second = head.standardise, head.norm
    weight = head.hidden.weight[..., 0, 0].double()
    (scale_in, shift_in), (scale_out, shift_out) = _affine(first), _affine(second)
    bias = (weight @ shift_in) * scale_out + shift_out
    weight = scale_out[:, None] * weight * scale_in
    x = graph.add("Relu", [_pointwise(graph, x, weight, bias)])
    if pooled != side:
        # Adaptive averaging, also where the windows overlap: rows, then columns.
        windows = _windows(side, pooled)
        x = graph.add("MatMul", [graph.constant(windows), x])
        x = graph.add("MatMul", [x, graph.constant(windows.T)])
    return _pointwise(graph, x, head.out.weight[..., 0, 0].double(), None)


def _affine(norm: torch.nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Factor and summand, float64 (C,) each, that a batch norm in evaluation mode amounts to."""
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError("only batch norms that keep statistics")
    scale = 1 / torch.sqrt(norm.running_var.double() + norm.eps)
    if norm.affine:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift + norm.bias.double() if norm.affine else shift


def _pointwise(graph: Graph, x: str, weight: torch.Tensor, bias: torch.Tensor | None) -> str:
    """A 1x1 convolution of weights (C_out, C_in)."""
    tensors = [weight[..., None, None]] + ([] if bias is None else [bias])
    return graph.add("Conv", [x, *(graph.constant(tensor.float().numpy()) for tensor in tensors)])


def _windows(side: int, pooled: int) -> np.ndarray:
    """What adaptive averaging multiplies with: float32 (pooled, side)."""
    result = np.zeros((pooled, side), dtype=np.float32)
    for row in range(pooled):
        start, stop = row * side // pooled, -(-(row + 1) * side // pooled)
        result[row, start:stop] = 1 / (stop - start)
    return result


def _deviations(graph: Graph, x: str, places: int) -> list[str]:
    """As :meth:`fakeface.models.cffn.FeatureNetwork.block_statistics`: (N, C, 1, 1) each."""
    mean = graph.add("GlobalAveragePool", [x])
    centred = graph.add("Sub", [x, mean])
    variance = graph.add("GlobalAveragePool", [graph.add("Mul", [centred, centred])])
    unbiased = graph.add("Mul", [variance, _number(graph, places / (places - 1))])
    return [mean, graph.add("Sqrt", [unbiased])]


def _embedding(graph: Graph, parts: list[str], unit_norm: bool) -> str:
    x = graph.add("Flatten", [graph.joined(parts)])
    if not unit_norm:
        return x
    length = graph.add("ReduceL2", [x], axes=[1], keepdims=1)
    return graph.add("Div", [x, graph.add("Max", [length, _number(graph, _SHORTEST)])])


def _logits(graph: Graph, cn: ClassificationNetwork, joint: str) -> str:
    x = graph.add("Flatten", [graph.add("GlobalAveragePool", [graph.convolution(joint, cn.conv)])])
    weight, bias = (graph.constant(tensor.numpy()) for tensor in (cn.fc.weight, cn.fc.bias))
    return graph.add("Gemm", [x, weight, bias], transB=1)
