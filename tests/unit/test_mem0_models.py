"""mem0's configuration of embedders and rerankers, as documented, stands for providers of ours."""

from __future__ import annotations

import pytest

from perdure.assemble import parts
from perdure.compat.mem0_config import MemoryConfig, translated
from perdure.config import Config
from perdure.embedders.gemini import GeminiEmbedder
from perdure.embedders.ollama import OllamaEmbedder
from perdure.embedders.openai import OpenAIEmbedder
from perdure.errors import ConfigurationError
from perdure.rerankers.cohere import CohereReranker
from perdure.rerankers.llm import LLMReranker

VARIABLES = (
    *("OPENAI_API_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL", "OLLAMA_HOST", "TOGETHER_API_KEY"),
    *("HUGGINGFACE_API_KEY", "HUGGINGFACE_BASE_URL", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"),
    *("OPENAI_API_VERSION", "EMBEDDING_AZURE_OPENAI_API_KEY", "EMBEDDING_AZURE_ENDPOINT"),
    *("EMBEDDING_AZURE_DEPLOYMENT", "EMBEDDING_AZURE_API_VERSION"),
)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def made(**given):
    """The parts of an engine for a configuration of mem0's."""
    return parts(Config.from_dict(translated(given) or {}))


def embedder(provider, /, **config):
    return made(embedder={"provider": provider, "config": config})["embedder"]


def reranker(provider, /, **config):
    return made(reranker={"provider": provider, "config": config})["reranker"]


def test_an_openai_embedder_as_mem0_has_it():
    made = embedder("openai", model="text-embedding-3-large", api_key="k")
    assert isinstance(made, OpenAIEmbedder)
    assert (made.model, made.dimensions, made.api_key.get_secret_value()) == (
        "text-embedding-3-large",
        3072,
        "k",
    )


def test_openai_by_its_own_options():
    made = embedder("openai", embedding_dims=256, openai_base_url="http://here/v1", http_client_proxies=None)
    assert (made.model, made.dimensions, made.base_url) == ("text-embedding-3-small", 256, "http://here/v1")


def test_azure_is_openai_at_a_deployment():
    azure = {
        "azure_endpoint": "https://mine.openai.azure.com/",
        "azure_deployment": "embed",
        "api_version": "2024-10-21",
        "api_key": "k",
        "default_headers": {"x": "y"},
    }
    made = embedder("azure_openai", model="text-embedding-3-small", azure_kwargs=azure)
    assert made.base_url == "https://mine.openai.azure.com/openai/deployments/embed"
    assert (made.azure_api_version, dict(made.headers)) == ("2024-10-21", {"x": "y"})
    with pytest.raises(ConfigurationError, match="azure_kwargs with azure_endpoint"):
        embedder("azure_openai", azure_kwargs={"azure_deployment": "embed"})


def test_azure_by_variables(monkeypatch):
    names = {"OPENAI_API_KEY": "k", "ENDPOINT": "https://there", "DEPLOYMENT": "d", "API_VERSION": "v"}
    for name, value in names.items():
        monkeypatch.setenv(f"EMBEDDING_AZURE_{name}", value)
    empty = dict.fromkeys(("api_version", "azure_deployment", "azure_endpoint", "api_key"), "")
    made = embedder("azure_openai", model="text-embedding-3-large", azure_kwargs=empty)
    assert (made.base_url, made.azure_api_version) == ("https://there/openai/deployments/d", "v")
    assert (made.dimensions, made.api_key.get_secret_value()) == (3072, "k")


@pytest.mark.parametrize("variable", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_openai_is_where_the_environment_says(monkeypatch, variable):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv(variable, "http://here/v1")
    made = embedder("openai")
    assert (made.base_url, made.api_key.get_secret_value()) == ("http://here/v1", "k")
    assert embedder("openai", openai_base_url="http://there/v1").base_url == "http://there/v1"


def test_together_has_its_key_from_the_environment(monkeypatch):
    with pytest.raises(ConfigurationError, match=r"embedder 'together' needs a key: .*TOGETHER_API_KEY"):
        embedder("together")
    monkeypatch.setenv("TOGETHER_API_KEY", "k")
    made = embedder("together", model="togethercomputer/m2-bert-80M-8k-retrieval")
    assert (made.dimensions, made.api_key.get_secret_value()) == (768, "k")


def test_models_of_the_documentation_have_their_dimensions():
    assert embedder("lmstudio", model="nomic-ai/nomic-embed-text-v1.5-GGUF").dimensions == 768
    assert embedder("gemini", model="models/text-embedding-004").dimensions == 768


def test_of_another_model_the_vector_store_knows_the_dimensions():
    config = {"embedding_model_dims": 384}
    store = {"provider": "qdrant", "config": config}

    def dimensions(provider, **given):
        return made(embedder={"provider": provider, "config": given}, vector_store=store)[
            "embedder"
        ].dimensions

    assert dimensions("huggingface", huggingface_base_url="http://localhost:3000/v1") == 384
    assert dimensions("ollama", model="snowflake-arctic-embed:22m") == 384
    assert dimensions("ollama", model="nomic-embed-text:latest") == 768
    assert dimensions("openai", model="text-embedding-3-small") == 1536
    with pytest.raises(ConfigurationError, match="dimensions has to be given"):
        embedder("huggingface", huggingface_base_url="http://localhost:3000/v1")


def test_ollama_is_where_its_own_variable_says(monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "there")
    assert embedder("ollama").base_url == "http://there:11434"


def test_a_server_of_hugging_faces_is_told_what_goes_with_the_model():
    config = {"huggingface_base_url": "http://tei/v1", "embedding_dims": 8, "api_key": "k"}
    made = embedder("huggingface", model_kwargs={"truncate": True}, **config)
    assert (made.model, made.extra, made.api_key.get_secret_value()) == ("tei", {"truncate": True}, "k")
    judge = reranker("huggingface", huggingface_base_url="http://tei/v1", top_k=3, normalize=True)
    assert (type(judge).__name__, judge.base_url, judge.top_k) == ("TeiReranker", "http://tei", 3)


@pytest.mark.parametrize("model", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_model_that_is_here_already_is_not_fetched(model):
    assert type(embedder("huggingface", model=model, embedding_dims=384)).__name__ == "LocalEmbedder"


def test_ollama_and_gemini_by_their_own_options():
    ollama = embedder("ollama", model="mxbai-embed-large", ollama_base_url="http://there:11434")
    assert isinstance(ollama, OllamaEmbedder)
    assert (ollama.model, ollama.dimensions, ollama.base_url) == (
        "mxbai-embed-large",
        1024,
        "http://there:11434",
    )
    assert embedder("ollama").model == "nomic-embed-text"
    gemini = embedder("gemini", model="models/gemini-embedding-001", api_key="k")
    assert isinstance(gemini, GeminiEmbedder)
    assert gemini.dimensions == 768
    assert embedder("gemini", output_dimensionality="1536").dimensions == 1536


@pytest.mark.parametrize(
    ("provider", "config", "base_url"),
    [
        ("lmstudio", {}, "http://localhost:1234/v1"),
        ("lmstudio", {"lmstudio_base_url": "http://there/v1"}, "http://there/v1"),
        ("together", {"api_key": "k"}, "https://api.together.xyz/v1"),
        ("huggingface", {"huggingface_base_url": "http://tei/v1", "embedding_dims": 8}, "http://tei/v1"),
    ],
)
def test_who_speaks_as_openai_does_is_openai_elsewhere(provider, config, base_url):
    made = embedder(provider, **config)
    assert isinstance(made, OpenAIEmbedder)
    assert made.base_url == base_url


def test_fastembed_is_fastembed():
    made = embedder("fastembed", model="BAAI/bge-small-en-v1.5", embedding_dims=384)
    assert (type(made).__name__, made.model, made.dimensions) == (
        "FastEmbedEmbedder",
        "BAAI/bge-small-en-v1.5",
        384,
    )
    assert embedder("fastembed").model == "thenlper/gte-large"


@pytest.mark.parametrize("provider", ["vertexai", "langchain", "aws_bedrock", "huggingface"])
def test_an_embedder_that_is_left_out_names_the_way_that_is_open(provider):
    with pytest.raises(ConfigurationError, match=rf"embedder '{provider}' is not available.*openai_base_url"):
        embedder(provider)


def test_what_only_perdure_has_stays_as_it_is():
    assert embedder("voyage", model="voyage-3.5").batch_chars == 100_000
    assert embedder("hash", dimensions=8).dimensions == 8
    assert type(reranker("words")).__name__ == "WordReranker"
    with pytest.raises(ConfigurationError, match="there is no embedder 'nonsense'"):
        embedder("nonsense")
    with pytest.raises(ConfigurationError, match="has no option 'tempo'"):
        embedder("openai", tempo=3)


def test_a_reranker_as_mem0_has_it():
    config = MemoryConfig(
        reranker={"provider": "cohere", "config": {"model": "rerank-english-v3.0", "top_n": 5}}
    )
    made = parts(Config.from_dict(translated(config)))["reranker"]
    assert isinstance(made, CohereReranker)
    assert (made.model, made.top_k) == ("rerank-english-v3.0", 5)


def test_a_cohere_reranker_by_its_own_options():
    made = reranker("cohere", api_key="k", top_k=3, return_documents=False, max_chunks_per_doc=None)
    assert (made.model, made.top_k, made.api_key.get_secret_value()) == ("rerank-v3.5", 3, "k")


@pytest.mark.parametrize(
    ("provider", "config", "model"),
    [
        ("sentence_transformer", {}, "Xenova/ms-marco-MiniLM-L-6-v2"),
        (
            "sentence_transformer",
            {"model": "cross-encoder/ms-marco-MiniLM-L-12-v2"},
            "Xenova/ms-marco-MiniLM-L-12-v2",
        ),
        ("huggingface", {"device": "cpu", "normalize": True, "batch_size": 32}, "BAAI/bge-reranker-base"),
    ],
)
def test_cross_encoders_are_those_of_fastembed(provider, config, model):
    made = reranker(provider, **config)
    assert (type(made).__name__, made.model) == ("FastEmbedReranker", model)


@pytest.mark.parametrize(
    "config",
    [
        {
            "provider": "openai",
            "model": "gpt-4o-mini",
            "api_key": "k",
            "temperature": 0.0,
            "max_tokens": 100,
            "top_k": 4,
        },
        {"llm": {"provider": "openai", "config": {"model": "gpt-4o-mini", "api_key": "k"}}, "top_k": 4},
    ],
)
def test_a_language_model_judges(config):
    made = reranker("llm_reranker", **config)
    assert isinstance(made, LLMReranker)
    assert (made.model, made.top_k, made.llm.api_key.get_secret_value()) == ("gpt-4o-mini", 4, "k")


def test_a_judge_has_the_options_of_a_language_model():
    judge = reranker("llm_reranker", provider="ollama", model="llama2", ollama_base_url="http://there:11434")
    assert (judge.model, judge.llm.base_url) == ("llama2", "http://there:11434/v1")
    azure = {"azure_endpoint": "https://mine", "azure_deployment": "d", "api_version": "v", "api_key": "k"}
    judge = reranker("llm_reranker", provider="azure_openai", model="gpt-4o-mini", **azure)
    assert judge.llm.base_url == "https://mine/openai/deployments/d"
    assert reranker("llm_reranker", api_key="k").model == "gpt-5-mini"


def test_a_reranker_that_is_left_out_names_the_way_that_is_open():
    with pytest.raises(ConfigurationError, match=r"'zero_entropy' is not available here: name 'jina'"):
        reranker("zero_entropy")
    with pytest.raises(ConfigurationError, match="scoring_prompt"):
        reranker("llm_reranker", scoring_prompt="Judge!")
