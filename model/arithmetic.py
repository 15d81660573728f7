"""How the graph keeps its large constants and multiplies by them: as floats, or as integers."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from onnx import TensorProto

from model.checkpoint import Array
from model.recorder import Recorder

WEIGHT_LIMIT: Final = 63
"""Weights keep to 7 bits: AVX2 without VNNI adds two products in 16 bits, and 2 * 255 * 63 still fits."""
TABLE_LIMIT: Final = 127
STATE_LIMIT: Final = 127
STATE_ZERO: Final = np.uint8(128)
TINY: Final = 1e-12


class Arithmetic(Protocol):
    """What the encoder does with its large constants. A state is (tokens, k), a row for each token."""

    def rows(self, table: Array, indexes: str) -> str:
        """Rows of a table (n, k)."""
        ...

    def product(self, state: str, matrix: Array) -> str:
        """State (tokens, k) by matrix (k, n)."""
        ...


class Floats(Arithmetic):
    """As the weights were published."""

    def __init__(self, graph: Recorder) -> None:
        self._graph = graph

    def rows(self, table: Array, indexes: str) -> str:
        """As they are."""
        return self._graph.node("Gather", self._graph.constant(table), indexes)

    def product(self, state: str, matrix: Array) -> str:
        """A plain product."""
        return self._graph.node("MatMul", state, self._graph.constant(matrix))


class Integers(Arithmetic):
    """Matrices in 7 bits with a scale for each column, tables in 8 with one for each row.

    States are quantised as they come, with a scale for each token. One for the whole tensor, as onnxruntime's
    DynamicQuantizeMatMul has it, is coarser, and makes a text's vector depend on what it is batched with.
    """

    def __init__(self, graph: Recorder) -> None:
        self._graph = graph
        self._zeros: str | None = None

    def rows(self, table: Array, indexes: str) -> str:
        """A row of integers by its scale."""
        graph = self._graph
        largest = np.abs(table).max(axis=1, keepdims=True)
        scales = np.maximum(largest / np.float32(TABLE_LIMIT), np.float32(TINY))
        integers = graph.node("Gather", graph.constant(np.rint(table / scales).astype(np.int8)), indexes)
        floats = graph.node("Cast", integers, to=TensorProto.FLOAT)
        return graph.node("Mul", floats, graph.node("Gather", graph.constant(scales), indexes))

    def product(self, state: str, matrix: Array) -> str:
        """A product of integers, by the scales of its row and of its column."""
        graph = self._graph
        scale = self._scale(state)
        steps = graph.node("QuantizeLinear", state, scale, self._zero_points(scale), axis=0)
        scales = np.abs(matrix).max(axis=0) / np.float32(WEIGHT_LIMIT)
        product = graph.fused(
            "MatMulIntegerToFloat",
            steps,
            graph.constant(np.rint(matrix / scales).astype(np.int8)),
            graph.constant(np.float32(1)),
            graph.constant(scales),
            graph.constant(STATE_ZERO),
            graph.constant(np.int8(0)),
        )
        return graph.node("Mul", product, graph.node("Unsqueeze", scale, graph.constant(np.array([1]))))

    def _scale(self, state: str) -> str:
        """(tokens,): the size of a step, so that the largest value of a row is `STATE_LIMIT` of them."""
        graph = self._graph
        largest = graph.node("ReduceMax", graph.node("Abs", state), graph.constant(np.array([1])), keepdims=0)
        step = graph.node("Mul", largest, graph.constant(np.float32(1 / STATE_LIMIT)))
        return graph.node("Max", step, graph.constant(np.float32(TINY)))

    def _zero_points(self, scale: str) -> str:
        """(tokens,): the same zero point for each; made once, for all states have as many rows."""
        graph = self._graph
        if self._zeros is None:
            self._zeros = graph.node("Expand", graph.constant(STATE_ZERO), graph.node("Shape", scale))
        return self._zeros
