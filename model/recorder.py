"""An ONNX graph written down node by node."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 18
IR_VERSION: Final = 8
"""Both old enough for onnxruntime 1.17."""


class Recorder:
    """Nodes and constants in the order in which they were added, named by counting, so that bytes repeat."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operation with one output; the output's name."""
        return self.split(kind, *inputs, outputs=1, domain=domain, **attributes)[0]

    def split(self, kind: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        """Add an operation with several outputs; their names."""
        name = f"{kind}_{len(self._nodes)}"
        names = [f"{name}:{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, names, name=name, domain=domain, **attributes))
        return names

    def fused(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add one of onnxruntime's own operations."""
        return self.node(kind, *inputs, domain="com.microsoft", **attributes)

    def constant(self, values: NDArray[Any] | np.generic) -> str:
        """Add values that are part of the model; their name."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def serialised(self, *, tokens: str, vectors: str, width: int) -> bytes:
        """The model that makes of `tokens` (int64, texts by length) `vectors` (float32, texts by width)."""
        self._nodes.append(helper.make_node("Identity", [vectors], ["vectors"], name="vectors"))
        given = helper.make_tensor_value_info(tokens, TensorProto.INT64, ["texts", "length"])
        made = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", width])
        graph = helper.make_graph(self._nodes, "perdure", [given], [made], self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="perdure")
        data: bytes = model.SerializeToString(deterministic=True)
        return data
