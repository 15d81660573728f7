"""mem0's configuration of language models, as documented, stands for providers of ours."""

from __future__ import annotations

import pytest

from perdure.assemble import parts
from perdure.compat.mem0_config import translated
from perdure.config import Config
from perdure.errors import ConfigurationError

VARIABLES = (
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENROUTER_API_KEY", "OPENROUTER_API_BASE", "ANTHROPIC_BASE_URL"),
    *(
        "OLLAMA_HOST",
        "VLLM_BASE_URL",
        "VLLM_API_KEY",
        "GROQ_API_KEY",
        "DEEPSEEK_API_KEY",
        "DEEPSEEK_API_BASE",
    ),
    *("XAI_API_KEY", "XAI_API_BASE", "MINIMAX_API_KEY", "MISTRAL_API_KEY", "TOGETHER_API_KEY"),
    *("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION", "LLM_AZURE_OPENAI_API_KEY"),
    *("LLM_AZURE_ENDPOINT", "LLM_AZURE_DEPLOYMENT", "LLM_AZURE_API_VERSION"),
)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def llm(provider, /, **config):
    """The language model of a configuration of mem0's."""
    return parts(Config.from_dict(translated({"llm": {"provider": provider, "config": config}})))["llm"]


def key(model):
    return model.api_key and model.api_key.get_secret_value()


@pytest.mark.parametrize(
    ("provider", "variable", "model", "base_url"),
    [
        ("groq", "GROQ_API_KEY", "llama-3.3-70b-versatile", "https://api.groq.com/openai/v1"),
        ("deepseek", "DEEPSEEK_API_KEY", "deepseek-chat", "https://api.deepseek.com/v1"),
        ("together", "TOGETHER_API_KEY", "MiniMaxAI/MiniMax-M3", "https://api.together.xyz/v1"),
        ("xai", "XAI_API_KEY", "grok-4.3", "https://api.x.ai/v1"),
        ("minimax", "MINIMAX_API_KEY", "MiniMax-M2.7", "https://api.minimax.io/v1"),
    ],
)
def test_the_key_of_a_vendor_is_where_mem0_looks_for_it(monkeypatch, provider, variable, model, base_url):
    with pytest.raises(ConfigurationError, match=rf"llm '{provider}' needs a key: .*{variable}"):
        llm(provider)
    monkeypatch.setenv(variable, "k")
    made = llm(provider, temperature=0.2, max_tokens=2000, top_p=1.0)
    assert (made.model, made.base_url, key(made)) == (model, base_url, "k")
    assert (made.temperature, made.max_tokens) == (0.2, 2000)
    assert key(llm(provider, api_key="mine")) == "mine"


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("openai", "OPENAI_BASE_URL"),
        ("openai_structured", "OPENAI_BASE_URL"),
        ("anthropic", "ANTHROPIC_BASE_URL"),
        ("vllm", "VLLM_BASE_URL"),
        ("deepseek", "DEEPSEEK_API_BASE"),
        ("xai", "XAI_API_BASE"),
    ],
)
def test_a_place_is_where_mem0_looks_for_it(monkeypatch, provider, variable):
    monkeypatch.setenv(variable, "http://here/v1")
    assert llm(provider).base_url == "http://here/v1"
    own = f"{provider.removesuffix('_structured')}_base_url"
    assert llm(provider, **{own: "http://there/v1"}).base_url == "http://there/v1"


def test_the_key_goes_where_the_configuration_says_that_openai_is(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    made = llm("openai", model="gpt-4o", openai_base_url="http://here/v1")
    assert (made.base_url, key(made)) == ("http://here/v1", "k")


@pytest.mark.parametrize(
    ("config", "variable", "base_url"),
    [
        ({}, "", "http://localhost:11434/v1"),
        ({"ollama_base_url": "http://there:11434"}, "", "http://there:11434/v1"),
        ({"ollama_base_url": "https://models.example.org/"}, "", "https://models.example.org/v1"),
        ({"ollama_base_url": "http://there:11434/v1"}, "", "http://there:11434/v1"),
        ({}, "there", "http://there:11434/v1"),
        ({}, "there:1", "http://there:1/v1"),
    ],
)
def test_ollama_is_named_by_its_host(monkeypatch, config, variable, base_url):
    monkeypatch.setenv("OLLAMA_HOST", variable)
    assert llm("ollama", model="llama3.1", **config).base_url == base_url


def test_openrouter_is_asked_where_its_key_is_and_nothing_else_is_named(monkeypatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "r")
    config = {"models": ["a/b"], "route": "fallback", "site_url": "https://me", "app_name": "Me"}
    made = llm("openai", model="meta-llama/llama-3.1-70b-instruct", **config)
    assert (made.base_url, key(made)) == ("https://openrouter.ai/api/v1", "r")
    assert made.extra == {"models": ["a/b"], "route": "fallback"}
    assert made.headers == {"HTTP-Referer": "https://me", "X-Title": "Me"}
    assert llm("openai", api_key="k", **config).base_url == "https://api.openai.com/v1"


@pytest.mark.parametrize("provider", ["azure_openai", "azure_openai_structured"])
def test_azure_by_its_options_or_by_variables(monkeypatch, provider):
    kwargs = {
        "azure_deployment": "chat",
        "api_version": "2024-10-21",
        "azure_endpoint": "https://mine.openai.azure.com/",
        "api_key": "k",
        "default_headers": {"CustomHeader": "x"},
    }
    made = llm(provider, model="gpt-4o", temperature=0.1, max_tokens=2000, azure_kwargs=kwargs)
    assert made.base_url == "https://mine.openai.azure.com/openai/deployments/chat"
    assert (made.azure_api_version, key(made), made.headers) == ("2024-10-21", "k", {"CustomHeader": "x"})
    with pytest.raises(
        ConfigurationError, match=r"llm 'azure_openai' needs azure_kwargs.*api_key is missing"
    ):
        llm(provider, azure_kwargs={**kwargs, "api_key": "your-api-key"})
    for name, value in (("OPENAI_API_KEY", "e"), ("ENDPOINT", "https://there"), ("API_VERSION", "v")):
        monkeypatch.setenv(f"LLM_AZURE_{name}", value)
    made = llm(provider, model="gpt-4o", azure_kwargs=dict.fromkeys(kwargs, ""))
    assert (made.base_url, key(made)) == ("https://there/openai/deployments/gpt-4o", "e")


@pytest.mark.parametrize(
    ("model", "kind", "called", "base_url"),
    [
        ("gpt-5-mini", "OpenAIModel", "gpt-5-mini", "https://api.openai.com/v1"),
        ("openai/gpt-4o", "OpenAIModel", "gpt-4o", "https://api.openai.com/v1"),
        (
            "gemini/gemini-pro",
            "GeminiModel",
            "gemini-pro",
            "https://generativelanguage.googleapis.com/v1beta",
        ),
        ("anthropic/claude-x", "AnthropicModel", "claude-x", "https://api.anthropic.com/v1"),
        ("claude-x", "AnthropicModel", "claude-x", "https://api.anthropic.com/v1"),
        ("open-mixtral-8x7b", "OpenAIModel", "open-mixtral-8x7b", "https://api.mistral.ai/v1"),
        ("groq/llama-3.1-8b", "OpenAIModel", "llama-3.1-8b", "https://api.groq.com/openai/v1"),
        ("openrouter/a/b", "OpenAIModel", "a/b", "https://openrouter.ai/api/v1"),
        ("ollama_chat/llama3", "OpenAIModel", "llama3", "http://localhost:11434/v1"),
    ],
)
def test_a_model_is_its_vendors_as_litellm_names_it(monkeypatch, model, kind, called, base_url):
    for name in ("MISTRAL_API_KEY", "GROQ_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.setenv(name, "k")
    made = llm("litellm", model=model, temperature=0.2, max_tokens=2000)
    assert (type(made).__name__, made.model, made.base_url) == (kind, called, base_url)


def test_lm_studio_and_vllm_need_nothing():
    assert llm("lmstudio").base_url == "http://localhost:1234/v1"
    form = {"type": "json_schema", "json_schema": {"type": "object", "schema": {}}}
    assert llm("lmstudio", model="m", lmstudio_response_format=form).model == "m"
    assert llm("vllm").model == "Qwen/Qwen2.5-32B-Instruct"


def test_what_sarvam_is_told_with_its_model_is_sent():
    model = {"name": "sarvam-m", "reasoning_effort": "high", "seed": 42}
    made = llm("sarvam", model=model, temperature=0.3, api_key="k")
    assert (made.model, made.extra) == ("sarvam-m", {"reasoning_effort": "high", "seed": 42})


def test_headers_are_sent():
    assert llm("openai", extra_headers={"Helicone-Auth": "Bearer x"}).headers == {"Helicone-Auth": "Bearer x"}


@pytest.mark.parametrize(
    ("provider", "config", "said"),
    [
        (
            "aws_bedrock",
            {"model": "anthropic.claude"},
            "llm 'aws_bedrock' is not known here: .*openai_base_url",
        ),
        ("langchain", {"model": object()}, "llm 'langchain' is not known here"),
        (
            "litellm",
            {"model": "bedrock/x"},
            "llm 'litellm' with the model 'bedrock/x' is not known here: name",
        ),
        ("gemini", {"vertexai": True}, "'vertexai', which is not available here: leave it out"),
        ("openai", {"response_callback": print}, "'response_callback', which has no counterpart"),
        ("openai", {"http_client_proxies": {"http": "x"}}, "set the variables HTTPS_PROXY"),
    ],
)
def test_what_has_no_counterpart_says_what_to_do(provider, config, said):
    with pytest.raises(ConfigurationError, match=said):
        llm(provider, **config)
