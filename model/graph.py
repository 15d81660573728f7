"""all-MiniLM-L6-v2 as an ONNX graph: tokens in, unit vectors out.

The encoder is BERT's (Devlin et al. 2019, arXiv:1810.04805), the pooling the mean over the tokens
(Reimers and Gurevych 2019, arXiv:1908.10084). Inside, a state is (texts * length, width): a row for each token.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from onnx import TensorProto

from model.arithmetic import Arithmetic, Floats, Integers
from model.checkpoint import Tensors
from model.recorder import Recorder

LAYERS: Final = 6
HEADS: Final = 12
WIDTH: Final = 384
POSITIONS: Final = 256
PADDING: Final = 0
EPSILON: Final = 1e-12


def quantised(tensors: Tensors) -> bytes:
    """The graph in integers, about 23 MB: the one in use."""
    graph = Recorder()
    return _Encoder(graph, Integers(graph), tensors).serialised()


def exact(tensors: Tensors) -> bytes:
    """The same graph in float32, about 90 MB: what the other is measured against."""
    graph = Recorder()
    return _Encoder(graph, Floats(graph), tensors).serialised()


class _Encoder:
    """The model's parts, each of which adds its nodes to the graph and names its result."""

    def __init__(self, graph: Recorder, arithmetic: Arithmetic, tensors: Tensors) -> None:
        self._graph = graph
        self._arithmetic = arithmetic
        self._tensors = tensors

    def serialised(self) -> bytes:
        graph = self._graph
        shape = graph.node("Shape", "tokens")
        seen = graph.node("Not", graph.node("Equal", "tokens", graph.constant(np.int64(PADDING))))
        mask = graph.node("Cast", seen, to=TensorProto.INT32)
        state = self._embeddings()
        for layer in range(LAYERS):
            state = self._attention(f"encoder.layer.{layer}.attention.", state, shape, mask)
            state = self._feed_forward(f"encoder.layer.{layer}.", state)
        return graph.serialised(tokens="tokens", vectors=self._pooled(state, shape, seen), width=WIDTH)

    def _embeddings(self) -> str:
        graph, tensors = self._graph, self._tensors
        words = self._arithmetic.rows(tensors["embeddings.word_embeddings.weight"], "tokens")
        # There is one segment only: its embedding is added to the positions' once and for all.
        places = tensors["embeddings.position_embeddings.weight"][:POSITIONS]
        places = places + tensors["embeddings.token_type_embeddings.weight"][0]
        start = graph.constant(np.array([0]))
        length = graph.node("Shape", "tokens", start=1)
        here = graph.node("Slice", graph.constant(places), start, length, start)
        rows = graph.node("Reshape", graph.node("Add", words, here), graph.constant(np.array([-1, WIDTH])))
        return self._normalised("embeddings.", rows)

    def _attention(self, name: str, state: str, shape: str, mask: str) -> str:
        graph, tensors = self._graph, self._tensors
        parts = [f"{name}self.{part}." for part in ("query", "key", "value")]
        matrix = np.concatenate([tensors[f"{part}weight"] for part in parts]).T
        bias = np.concatenate([tensors[f"{part}bias"] for part in parts])
        rows = self._arithmetic.product(state, matrix)
        three = graph.split("Split", self._by_text(rows, shape, 3 * WIDTH), outputs=3, axis=-1, num_outputs=3)
        context = graph.fused("MultiHeadAttention", *three, graph.constant(bias), mask, num_heads=HEADS)
        rows = graph.node("Reshape", context, graph.constant(np.array([-1, WIDTH])))
        rows = self._arithmetic.product(rows, tensors[f"{name}output.dense.weight"].T)
        return self._added(f"{name}output.", rows, state)

    def _feed_forward(self, name: str, state: str) -> str:
        graph, tensors = self._graph, self._tensors
        rows = self._arithmetic.product(state, tensors[f"{name}intermediate.dense.weight"].T)
        rows = graph.fused("BiasGelu", rows, graph.constant(tensors[f"{name}intermediate.dense.bias"]))
        rows = self._arithmetic.product(rows, tensors[f"{name}output.dense.weight"].T)
        return self._added(f"{name}output.", rows, state)

    def _added(self, name: str, rows: str, state: str) -> str:
        """What a block made, put on top of what it was given.

        onnxruntime has this in one operation, SkipLayerNormalization, which takes eight times as long.
        """
        graph = self._graph
        rows = graph.node("Add", rows, graph.constant(self._tensors[f"{name}dense.bias"]))
        return self._normalised(name, graph.node("Add", rows, state))

    def _normalised(self, name: str, rows: str) -> str:
        gain = self._graph.constant(self._tensors[f"{name}LayerNorm.weight"])
        bias = self._graph.constant(self._tensors[f"{name}LayerNorm.bias"])
        return self._graph.node("LayerNormalization", rows, gain, bias, epsilon=EPSILON)

    def _pooled(self, state: str, shape: str, seen: str) -> str:
        """The mean over the tokens, brought to unit length; so their sum does as well."""
        graph = self._graph
        ones = graph.node("Cast", seen, to=TensorProto.FLOAT)
        ones = graph.node("Unsqueeze", ones, graph.constant(np.array([2])))
        weighed = graph.node("Mul", self._by_text(state, shape, WIDTH), ones)
        total = graph.node("ReduceSum", weighed, graph.constant(np.array([1])), keepdims=0)
        return graph.node("LpNormalization", total, axis=-1, p=2)

    def _by_text(self, rows: str, shape: str, width: int) -> str:
        """(texts * length, width) as (texts, length, width)."""
        full = self._graph.node("Concat", shape, self._graph.constant(np.array([width])), axis=0)
        return self._graph.node("Reshape", rows, full)
