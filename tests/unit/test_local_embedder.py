"""The local embedder: the same vector for a text whatever surrounds it, and clear words when it cannot run."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.embedders import modelfiles
from perdure.embedders.encoder import GROUP_TOKENS, groups
from perdure.embedders.local import LocalEmbedder
from perdure.errors import Closed, ModelUnavailable

TURNS = [
    "I adopted a puppy named Coco last week!",
    "ok",
    "",
    "We moved to Berlin in 2021 because my wife found work at the university there.",
    "The recipe wants two cups of flour, three eggs, a pinch of salt and far more butter than you would think. "
    * 5,
    "我昨天买了一台新电脑。",
    "def f(x): return x ** 2",
    "🎉🎉🎉",
]
EMBEDDER = LocalEmbedder()
texts = st.lists(st.text(st.characters(), max_size=60), max_size=6)  # surrogates and NUL among them


def embed(embedder, texts):
    return asyncio.run(embedder.embed(texts))


def test_a_question_is_nearest_to_the_turn_that_answers_it():
    question = embed(EMBEDDER, ["What is the name of the dog?"])
    assert np.argmax(embed(EMBEDDER, TURNS) @ question[0]) == 0


def test_a_text_has_the_same_vector_in_any_company():
    alone = np.concatenate([embed(EMBEDDER, [turn]) for turn in TURNS])
    together = embed(EMBEDDER, TURNS * 20)
    assert (together.reshape(20, len(TURNS), -1) * alone).sum(axis=-1).min() > 0.9999


def test_one_text_twice_gives_the_same_bytes():
    assert embed(EMBEDDER, TURNS).tobytes() == embed(EMBEDDER, TURNS).tobytes()


def test_order_is_kept_over_several_turns_of_a_worker():
    small = LocalEmbedder(batch_size=3)
    assert (embed(small, TURNS) * embed(EMBEDDER, TURNS)).sum(axis=1).min() > 0.9999


def test_no_texts_are_no_rows():
    nothing = embed(EMBEDDER, [])
    assert nothing.shape == (0, EMBEDDER.dimensions)
    assert nothing.dtype == np.float32


@settings(deadline=None, max_examples=40)
@given(texts)
def test_any_text_has_a_vector_of_unit_length(texts):
    vectors = embed(EMBEDDER, texts)
    assert vectors.shape == (len(texts), EMBEDDER.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_what_lies_beyond_256_tokens_is_not_seen():
    start = "one two three " * 100
    first, second = embed(EMBEDDER, [start + "dogs", start + "cats " * 10_000])
    assert first @ second > 0.9999


@given(st.lists(st.integers(2, 256)))
def test_groups_hold_each_text_once_and_stay_within_their_size(lengths):
    made = list(groups(lengths))
    assert sorted(index for group in made for index in group) == list(range(len(lengths)))
    assert all(
        len(group) == 1 or max(lengths[index] for index in group) * len(group) <= GROUP_TOKENS
        for group in made
    )


def test_callers_at_once_each_get_their_own_vectors():
    async def scenario():
        return await asyncio.gather(*(EMBEDDER.embed([turn]) for turn in TURNS * 3))

    vectors = np.concatenate(asyncio.run(scenario()))
    assert (vectors.reshape(3, len(TURNS), -1) * embed(EMBEDDER, TURNS)).sum(axis=-1).min() > 0.9999


def test_a_closed_embedder_finishes_what_was_asked_and_takes_no_more():
    embedder = LocalEmbedder(workers=1)

    async def scenario():
        asked = [asyncio.ensure_future(embedder.embed([turn])) for turn in TURNS]
        await asyncio.sleep(0)
        await embedder.aclose()
        await embedder.aclose()
        assert len(await asyncio.gather(*asked)) == len(TURNS)
        with pytest.raises(Closed):
            await embedder.embed(["more"])

    asyncio.run(scenario())


def test_a_missing_model_says_what_to_do(tmp_path):
    with pytest.raises(ModelUnavailable, match="make model"):
        asyncio.run(LocalEmbedder(model_dir=tmp_path).load())


@pytest.fixture
def copy(tmp_path):
    """A model of our own, to be damaged."""
    source = modelfiles.find_model()
    for name in (modelfiles.GRAPH, modelfiles.TOKENIZER, modelfiles.MANIFEST):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", [modelfiles.GRAPH, modelfiles.TOKENIZER])
def test_a_damaged_file_is_found_by_its_hash(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ModelUnavailable, match=f"damaged {name}"):
        embed(LocalEmbedder(model_dir=copy), ["hello"])


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"name": "all-MiniLM-L6-v2-int8", "version": "1"}', "\0", "[" * 100_000],
    ids=range(6),
)
def test_a_damaged_manifest_is_no_model(copy, content):
    (copy / modelfiles.MANIFEST).write_text(content)
    assert modelfiles.fault_of(copy) == f"a damaged {modelfiles.MANIFEST}"


def test_a_model_of_another_version_is_not_used(copy):
    manifest = json.loads((copy / modelfiles.MANIFEST).read_text())
    (copy / modelfiles.MANIFEST).write_text(json.dumps(manifest | {"version": "0"}))
    with pytest.raises(ModelUnavailable, match="another model"):
        modelfiles.find_model(copy)


@pytest.mark.parametrize("name", [modelfiles.GRAPH, modelfiles.TOKENIZER])
def test_files_that_the_libraries_refuse_are_an_unavailable_model(copy, name):
    (copy / name).write_bytes(b"not what it says")
    modelfiles.write_manifest(copy)
    with pytest.raises(ModelUnavailable, match="refused"):
        embed(LocalEmbedder(model_dir=copy), ["hello"])


def test_a_model_that_was_missing_can_be_built_while_the_embedder_lives(tmp_path, copy):
    embedder = LocalEmbedder(model_dir=tmp_path / "later")
    with pytest.raises(ModelUnavailable):
        embed(embedder, ["hello"])
    (tmp_path / "later").symlink_to(copy)
    assert embed(embedder, ["hello"]).shape == (1, 384)


def test_the_model_is_looked_for_where_it_was_said_and_nowhere_else(tmp_path):
    with pytest.raises(ModelUnavailable, match=str(tmp_path)):
        modelfiles.find_model(environ={"PERDURE_MODEL_DIR": str(tmp_path)})


def test_the_package_comes_before_the_cache(copy, monkeypatch, tmp_path):
    cached = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    modelfiles.cache_directory(cached).parent.mkdir(parents=True)
    modelfiles.cache_directory(cached).symlink_to(copy)
    assert modelfiles.find_model(environ=cached) == modelfiles.cache_directory(cached)
    monkeypatch.setattr(modelfiles, "PACKAGED", copy)
    assert modelfiles.find_model(environ=cached) == copy


def test_without_a_cache_variable_the_cache_lies_in_the_home_directory():
    place = Path("~/.cache/perdure/models").expanduser() / f"{modelfiles.NAME}-{modelfiles.VERSION}"
    assert modelfiles.cache_directory({}) == place
    assert modelfiles.cache_directory({"XDG_CACHE_HOME": ""}) == place


def run(program):
    """What a program of its own prints: for what must happen in a fresh process."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_it_loads_no_onnxruntime_and_no_numpy():
    assert run("""
        import sys
        from perdure.embedders.local import LocalEmbedder
        print(LocalEmbedder().model, *({"onnxruntime", "numpy", "tokenizers"} & set(sys.modules)))
    """) == [modelfiles.MODEL]


def test_a_forked_child_embeds_with_a_model_of_its_own():
    assert run("""
        import asyncio, os
        from perdure.embedders.local import LocalEmbedder
        embedder = LocalEmbedder()
        before = asyncio.run(embedder.embed(["hello"]))
        child = os.fork()
        after = asyncio.run(embedder.embed(["hello"]))
        print(float((before * after).sum()) > 0.9999, flush=True)
        if child:
            assert os.waitpid(child, 0)[1] == 0
    """) == ["True", "True"]


def test_onnxruntime_is_told_to_report_to_nobody_before_it_is_loaded():
    assert run("""
        import os, sys
        class Watch:
            def find_spec(self, name, path, target=None):
                if name == "onnxruntime":
                    print(os.environ["ORT_DISABLE_TELEMETRY"])
        sys.meta_path.insert(0, Watch())
        import perdure.embedders.encoder
    """) == ["1"]


def test_without_onnxruntime_the_error_names_the_command_that_mends_it():
    assert "`pip" in run("""
        import asyncio, sys
        from perdure.embedders.local import LocalEmbedder
        from perdure.errors import ModelUnavailable
        sys.modules["onnxruntime"] = None
        try:
            asyncio.run(LocalEmbedder().load())
        except ModelUnavailable as error:
            print(error)
    """)
