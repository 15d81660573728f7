"""all-MiniLM-L6-v2 as an ONNX graph: tokens in, unit vectors out, weights as floats or as integers.

The encoder is BERT's (Devlin et al. 2019, arXiv:1810.04805), the pooling the mean over the tokens
(Reimers and Gurevych 2019, arXiv:1908.10084).
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from checkpoint import Array, Tensors
from onnx import TensorProto
from recorder import Recorder

LAYERS: Final = 6
HEADS: Final = 12
WIDTH: Final = 384
POSITIONS: Final = 256
PADDING: Final = 0
EPSILON: Final = 1e-12

WEIGHT_LIMIT: Final = 63
"""Weights keep to 7 bits: AVX2 without VNNI adds two 8-bit products in 16 bits, which saturate at 127."""
TABLE_LIMIT: Final = 127
ACTIVATION_LIMIT: Final = 127
ACTIVATION_ZERO: Final = 128


def quantised(tensors: Tensors) -> bytes:
    """The graph in integers, about 23 MB: the one in use."""
    return _model(tensors, Integers())


def exact(tensors: Tensors) -> bytes:
    """The same graph in float32, about 90 MB: what the other is measured against."""
    return _model(tensors, Floats())


class Numbers(Protocol):
    """How large constants are kept, and computed with."""

    def rows(self, graph: Recorder, table: Array, indexes: str) -> str:
        """Rows of a table."""
        ...

    def product(self, graph: Recorder, state: str, matrix: Array) -> str:
        """State (texts, length, k) by matrix (k, n)."""
        ...


class Floats:
    """As they were published."""

    def rows(self, graph: Recorder, table: Array, indexes: str) -> str:
        return graph.node("Gather", graph.constant(table), indexes)

    def product(self, graph: Recorder, state: str, matrix: Array) -> str:
        return graph.node("MatMul", state, graph.constant(matrix))


class Integers:
    """Matrices in 7 bits with a scale for each column, tables in 8 with one for each row.

    States are quantised as they come, with a scale for each token: one for the whole tensor would be coarser
    (mean cosine to float32 0.991 instead of 0.995), and a text's vector would depend on its batch.
    """

    def rows(self, graph: Recorder, table: Array, indexes: str) -> str:
        scales = np.maximum(np.abs(table).max(axis=1, keepdims=True) / np.float32(TABLE_LIMIT), np.float32(EPSILON))
        integers = graph.node("Gather", graph.constant(np.rint(table / scales).astype(np.int8)), indexes)
        floats = graph.node("Cast", integers, to=TensorProto.FLOAT)
        return graph.node("Mul", floats, graph.node("Gather", graph.constant(scales), indexes))

    def product(self, graph: Recorder, state: str, matrix: Array) -> str:
        largest = graph.node(
            "ReduceMax", graph.node("Abs", state), graph.constant(np.array([-1], np.int64)), keepdims=1
        )
        scale = graph.node("Mul", largest, graph.constant(np.float32(1 / ACTIVATION_LIMIT)))
        shifted = graph.node(
            "Add",
            graph.node("Round", graph.node("Div", state, scale)),
            graph.constant(np.float32(ACTIVATION_ZERO)),
        )
        scales = np.abs(matrix).max(axis=0) / np.float32(WEIGHT_LIMIT)
        product = graph.fused(
            "MatMulIntegerToFloat",
            graph.node("Cast", shifted, to=TensorProto.UINT8),
            graph.constant(np.rint(matrix / scales).astype(np.int8)),
            graph.constant(np.float32(1)),
            graph.constant(scales),
            graph.constant(np.uint8(ACTIVATION_ZERO)),
            graph.constant(np.int8(0)),
        )
        return graph.node("Mul", product, scale)


def _model(tensors: Tensors, numbers: Numbers) -> bytes:
    graph = Recorder()
    seen = graph.node("Not", graph.node("Equal", "tokens", graph.constant(np.int64(PADDING))))
    mask = graph.node("Cast", seen, to=TensorProto.INT32)
    state = _embeddings(graph, tensors, numbers)
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        state = _attention(graph, own, numbers, state, mask)
        state = _feed_forward(graph, own, numbers, state)
    return graph.serialised(tokens="tokens", vectors=_pooled(graph, state, seen), width=WIDTH)


def _embeddings(graph: Recorder, tensors: Tensors, numbers: Numbers) -> str:
    words = numbers.rows(graph, tensors["embeddings.word_embeddings.weight"], "tokens")
    # There is one segment only: its embedding is added to the positions' once and for all.
    places = tensors["embeddings.position_embeddings.weight"][:POSITIONS]
    places = places + tensors["embeddings.token_type_embeddings.weight"][0]
    length = graph.node("Shape", "tokens", start=1)
    zero = graph.constant(np.array([0], np.int64))
    here = graph.node("Slice", graph.constant(places), zero, length, zero)
    return graph.node(
        "LayerNormalization",
        graph.node("Add", words, here),
        graph.constant(tensors["embeddings.LayerNorm.weight"]),
        graph.constant(tensors["embeddings.LayerNorm.bias"]),
        epsilon=EPSILON,
    )


def _attention(graph: Recorder, own: Tensors, numbers: Numbers, state: str, mask: str) -> str:
    parts = [f"attention.self.{part}." for part in ("query", "key", "value")]
    matrix = np.concatenate([own[part + "weight"] for part in parts]).T
    bias = np.concatenate([own[part + "bias"] for part in parts])
    both = graph.split("Split", numbers.product(graph, state, matrix), outputs=3, axis=-1, num_outputs=3)
    context = graph.fused("MultiHeadAttention", *both, graph.constant(bias), mask, num_heads=HEADS)
    return _add_and_normalise(graph, own, numbers, context, state, "attention.output.")


def _feed_forward(graph: Recorder, own: Tensors, numbers: Numbers, state: str) -> str:
    wide = numbers.product(graph, state, own["intermediate.dense.weight"].T)
    wide = graph.fused("BiasGelu", wide, graph.constant(own["intermediate.dense.bias"]))
    return _add_and_normalise(graph, own, numbers, wide, state, "output.")


def _add_and_normalise(
    graph: Recorder, own: Tensors, numbers: Numbers, state: str, residual: str, name: str
) -> str:
    return graph.fused(
        "SkipLayerNormalization",
        numbers.product(graph, state, own[name + "dense.weight"].T),
        residual,
        graph.constant(own[name + "LayerNorm.weight"]),
        graph.constant(own[name + "LayerNorm.bias"]),
        graph.constant(own[name + "dense.bias"]),
        epsilon=EPSILON,
    )


def _pooled(graph: Recorder, state: str, seen: str) -> str:
    """The mean over the tokens, then unit length: so the sum over them will do."""
    weights = graph.node("Unsqueeze", graph.node("Cast", seen, to=TensorProto.FLOAT), graph.constant(np.array([-1])))
    total = graph.node("ReduceSum", graph.node("Mul", state, weights), graph.constant(np.array([1])), keepdims=0)
    return graph.node("LpNormalization", total, axis=-1, p=2)
