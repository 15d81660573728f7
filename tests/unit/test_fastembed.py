"""FastEmbed's own code, with small models that are made here: the hub that has the real ones is not asked."""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perdure.embedders.fastembed import FastEmbedEmbedder
from perdure.embedders.modelfiles import find_model
from perdure.errors import Closed, ConfigurationError, MissingExtra, ModelUnavailable
from perdure.registry import EMBEDDERS, RERANKERS
from perdure.rerankers.fastembed import FastEmbedReranker
from perdure.testing.embedders import EmbedderConformance
from perdure.testing.rerankers import RerankerConformance

EMBEDDER, RERANKER = "sentence-transformers/all-MiniLM-L6-v2", "Xenova/ms-marco-MiniLM-L-6-v2"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Both models, as FastEmbed wants their files: our tokenizer, and graphs of a few operators."""
    made = tmp_path_factory.mktemp("models")
    for name, path, model in (
        ("embedder", "model.onnx", vectors()),
        ("reranker", "onnx/model.onnx", shared_words()),
    ):
        home = made / name
        (home / path).parent.mkdir(parents=True)
        onnx.save(model, home / path)
        (home / "tokenizer.json").write_bytes((find_model() / "tokenizer.json").read_bytes())
        (home / "config.json").write_text('{"pad_token_id": 0}')
        (home / "tokenizer_config.json").write_text('{"model_max_length": 256, "pad_token": "[PAD]"}')
        special = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
        (home / "special_tokens_map.json").write_text(json.dumps(special))
    return made


def graph(nodes, constants, output, shape) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens"]) for name in INPUTS]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
    initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "small", inputs, outputs, initial)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def vectors() -> onnx.ModelProto:
    """A direction for each token."""
    table = np.random.default_rng(0).standard_normal((997, 384)).astype(np.float32)
    nodes = [
        helper.make_node("Mod", ["input_ids", "rows"], ["row"]),
        helper.make_node("Gather", ["table", "row"], ["last_hidden_state"]),
    ]
    constants = {"table": table, "rows": np.array(997, np.int64)}
    return graph(nodes, constants, "last_hidden_state", ["n", "tokens", 384])


def shared_words() -> onnx.ModelProto:
    """How many pairs of the same token there are, one in the question and one in the text."""
    nodes = [
        helper.make_node("Unsqueeze", ["input_ids", "last"], ["down"]),
        helper.make_node("Unsqueeze", ["input_ids", "middle"], ["across"]),
        helper.make_node("Equal", ["down", "across"], ["same"]),
        helper.make_node("Cast", ["same"], ["pairs"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["token_type_ids"], ["text"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["mask", "text"], ["question"]),
        helper.make_node("Unsqueeze", ["question", "middle"], ["row"]),
        helper.make_node("Unsqueeze", ["text", "last"], ["column"]),
        helper.make_node("MatMul", ["row", "pairs"], ["found"]),
        helper.make_node("MatMul", ["found", "column"], ["count"]),
        helper.make_node("Squeeze", ["count", "last"], ["flat"]),
        helper.make_node("Sub", ["flat", "usual"], ["logits"]),
    ]
    constants = {
        "last": np.array([2], np.int64),
        "middle": np.array([1], np.int64),
        "usual": np.array(3, np.float32),
    }
    return graph(nodes, constants, "logits", ["n", 1])


def embedder(folder: Path, **options) -> FastEmbedEmbedder:
    return FastEmbedEmbedder(**{"model": EMBEDDER, "model_dir": folder / "embedder", **options})


def reranker(folder: Path, **options) -> FastEmbedReranker:
    return FastEmbedReranker(**{"model": RERANKER, "model_dir": folder / "reranker", **options})


class TestEmbedder(EmbedderConformance):
    @pytest.fixture(autouse=True)
    def _made(self, folder):
        self.make = partial(embedder, folder)


class TestReranker(RerankerConformance):
    @pytest.fixture(autouse=True)
    def _made(self, folder):
        self.make = partial(reranker, folder)


def test_both_are_made_by_name_and_the_dimensions_are_known_before_the_model_is(folder):
    made = EMBEDDERS.create(
        "fastembed", {"model": EMBEDDER, "model_dir": str(folder / "embedder"), "workers": 2}
    )
    assert (made.dimensions, made.at_once) == (384, 2)
    assert RERANKERS.create("fastembed", {"model": RERANKER, "top_n": 5}).top_k == 5


def test_a_model_that_fastembed_does_not_know_is_refused():
    for registry in (EMBEDDERS, RERANKERS):
        with pytest.raises(ConfigurationError, match="model is none of FastEmbed's, 'nonsense'"):
            registry.create("fastembed", {"model": "nonsense"})


def test_files_that_are_no_model_are_told_as_such(tmp_path):
    for made, work in (
        (FastEmbedEmbedder(model=EMBEDDER, model_dir=tmp_path), lambda one: one.embed(["a"])),
        (FastEmbedReranker(model=RERANKER, model_dir=tmp_path), lambda one: one.rerank("a", ["a"])),
    ):
        with pytest.raises(ModelUnavailable, match=r"cannot be loaded .* `model_dir`"):
            asyncio.run(work(made))


def test_vectors_of_another_size_than_fastembed_lists_are_refused(folder):
    made = embedder(folder, model="thenlper/gte-large", model_dir=folder / "embedder")
    with pytest.raises(ModelUnavailable, match="other vectors than FastEmbed lists"):
        asyncio.run(made.embed(["a"]))


def test_after_they_are_closed_they_are_closed(folder):
    async def run() -> None:
        one, other = embedder(folder), reranker(folder)
        await one.aclose()
        await other.aclose()
        with pytest.raises(Closed):
            await one.embed(["a"])
        with pytest.raises(Closed):
            await other.rerank("a", ["a"])

    asyncio.run(run())


@pytest.mark.parametrize("registry", [EMBEDDERS, RERANKERS], ids=["embedder", "reranker"])
def test_without_the_package_the_extra_is_named(registry, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastembed", None)
    for name in [name for name in sys.modules if name.startswith("fastembed.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, registry.built_in["fastembed"].partition(":")[0])
    with pytest.raises(MissingExtra, match=r"needs fastembed: pip install 'perdure\[fastembed\]'"):
        registry.create("fastembed", {"model": EMBEDDER})
