"""Language models over HTTP: three vendors asked and read, and what their servers do not know left out."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from dataclasses import replace

import pytest

from perdure.errors import ConfigurationError, ContentRefused, ModelUnavailable, Unavailable
from perdure.llms.anthropic import AnthropicModel
from perdure.llms.gemini import GeminiModel
from perdure.llms.openai import OpenAIModel, is_strict
from perdure.ports import LLM, Completion, Prompt
from perdure.registry import LLMS
from perdure.testing.models import Fault, ModelServer

KEY = "sk-a-very-secret-key-0123456789"
SCHEMA = {
    "type": "object",
    "properties": {"facts": {"type": "array", "items": {"type": "string"}}},
    "required": ["facts"],
    "additionalProperties": False,
}
OTHER = {**SCHEMA, "title": "another"}
FREE = Prompt(instructions="You extract facts.", content="Ann: I live in 北京 🏠")
ASKED = replace(FREE, schema=SCHEMA)
FACTS = {"facts": ["Ann lives in 北京 🏠"]}
PIXEL = "iVBORw0KGgo="
IMAGES = (
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
)
VENDORS = {"openai": OpenAIModel, "anthropic": AnthropicModel, "gemini": GeminiModel}
NAMES = list(VENDORS)


@pytest.fixture(autouse=True)
def no_keys_of_ours(monkeypatch):
    for vendor in VENDORS.values():
        for name in vendor.KEYS:
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with ModelServer("hello") as running:
        yield running


def model(server: ModelServer, vendor: str = "openai", **options) -> LLM:
    given = {"model": "m-1", "base_url": getattr(server, vendor), "backoff": 0.0, "rest": 0.0, **options}
    return VENDORS[vendor](**given)


def ask(llm: LLM, prompt: Prompt = FREE) -> Completion:
    async def run() -> Completion:
        try:
            return await llm.complete(prompt)
        finally:
            await llm.aclose()

    return asyncio.run(run())


def asked(llm: LLM, *prompts: Prompt) -> list[Completion]:
    async def run() -> list[Completion]:
        return [await llm.complete(prompt) for prompt in prompts]

    return asyncio.run(run())


def refusing(*names: str, answer=FACTS):
    """A server that does not know the parameters whose names are given, however deep they lie."""

    def answered(seen):
        body = json.dumps(seen.body)
        for name in names:
            if f'"{name}"' in body:
                return Fault(status=400, message=f"Unsupported parameter: '{name}' is not supported.")
        return answer

    return answered


# Every vendor


@pytest.mark.parametrize("vendor", NAMES)
def test_a_prompt_arrives_and_its_answer_comes_back(server, vendor):
    server.answers("Grüße 🎉")
    assert ask(model(server, vendor)).text == "Grüße 🎉"
    [seen] = server.seen
    assert (seen.dialect, seen.model) == (vendor, "m-1")
    assert (seen.instructions, seen.content, seen.schema) == (FREE.instructions, FREE.content, None)


@pytest.mark.parametrize("vendor", NAMES)
def test_a_schema_is_told_and_the_answer_is_json_for_it(server, vendor):
    server.answers(FACTS)
    assert json.loads(ask(model(server, vendor), ASKED).text) == FACTS
    [seen] = server.seen
    assert seen.schema == SCHEMA
    assert (seen.instructions, seen.content) == (ASKED.instructions, ASKED.content)


@pytest.mark.parametrize("vendor", NAMES)
def test_tokens_are_counted_and_instructions_come_from_the_cache_the_second_time(server, vendor):
    server.answers("one two three")
    first, second = asked(model(server, vendor), FREE, replace(FREE, content="Bob: hi"))
    assert first == Completion(text="one two three", input_tokens=9, cached_tokens=0, output_tokens=3)
    assert second == Completion(text="one two three", input_tokens=5, cached_tokens=3, output_tokens=3)


@pytest.mark.parametrize("vendor", NAMES)
@pytest.mark.parametrize("prompt", [FREE, ASKED])
def test_an_answer_that_was_too_long_is_marked(server, vendor, prompt):
    server.answers(Fault("length", text='{"facts": ["Ann'))
    done = ask(model(server, vendor), prompt)
    assert (done.text, done.cut) == ('{"facts": ["Ann', True)


@pytest.mark.parametrize("vendor", NAMES)
def test_a_model_that_declines_is_no_empty_answer(server, vendor):
    server.answers(Fault("refusal", text="I will not speak of Ann"))
    with pytest.raises(
        ContentRefused, match=r"declines .* configuration is fine: try another model"
    ) as caught:
        ask(model(server, vendor))
    assert "Ann" not in str(caught.value)


@pytest.mark.parametrize(
    ("vendor", "fault"),
    [
        ("openai", Fault(status=400, code="content_filter", message="The response was filtered")),
        ("openai", Fault(status=400, code="content_policy_violation")),
        ("openai", Fault(status=400, message="The prompt triggered our content management policy")),
        ("openai", Fault(status=400, message="Content Exists Risk")),
        ("anthropic", Fault(status=400, message="Output blocked by content filtering policy")),
    ],
)
def test_a_content_filter_is_no_matter_of_configuration(server, vendor, fault):
    server.answers(fault)
    with pytest.raises(ContentRefused, match=r"answered 400 .* its content filter declines this; .* is fine"):
        ask(model(server, vendor), ASKED)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("vendor", "fault", "advice"),
    [
        ("openai", Fault(status=401, code="invalid_api_key"), "look at `api_key`"),
        ("openai", Fault(status=404, code="model_not_found"), "look at `model`"),
        ("openai", Fault(status=400, code="model_not_found"), "look at `model`"),
        ("anthropic", Fault(status=401, code="authentication_error"), "look at `api_key`"),
        ("anthropic", Fault(status=404, code="not_found_error"), "look at `model`"),
        ("gemini", Fault(status=400, code="API_KEY_INVALID"), "look at `api_key`"),
        ("gemini", Fault(status=404, code="NOT_FOUND"), "look at `model`"),
    ],
)
def test_a_wrong_key_and_an_unknown_model_are_told_by_what_to_look_at(server, vendor, fault, advice):
    server.answers(fault)
    with pytest.raises(ModelUnavailable, match=advice) as caught:
        ask(model(server, vendor))
    assert not isinstance(caught.value, ContentRefused)


@pytest.mark.parametrize("vendor", NAMES)
def test_an_answer_without_content_is_unavailable(server, vendor):
    server.answers(Fault("empty"))
    with pytest.raises(Unavailable, match="without content"):
        ask(model(server, vendor))


@pytest.mark.parametrize("vendor", NAMES)
@pytest.mark.parametrize("kind", ["status", "drop", "cut", "garbage"])
def test_a_passing_failure_is_tried_again(server, vendor, kind):
    server.answers([Fault(kind, status=529), "well"])
    assert ask(model(server, vendor)).text == "well"
    server.answers(Fault(kind, status=529))
    with pytest.raises(Unavailable):
        ask(model(server, vendor, retries=1))
    assert len(server.seen) == 4


@pytest.mark.parametrize("vendor", NAMES)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_a_matter_of_configuration(server, vendor, status):
    server.answers(Fault(status=status, message="no such thing"))
    with pytest.raises(ModelUnavailable, match=rf"answered {status} \(no such thing\)"):
        ask(model(server, vendor), ASKED)
    assert len(server.seen) == 1


@pytest.mark.parametrize("vendor", NAMES)
def test_the_limit_is_the_smaller_of_the_prompts_and_the_models(server, vendor):
    for own, prompts, sent in ((None, 9, 9), (5, 9, 5), (99, 9, 9)):
        ask(model(server, vendor, max_tokens=own), replace(FREE, max_tokens=prompts))
        body = {**server.seen[-1].body, **server.seen[-1].body.get("generationConfig", {})}
        assert (body.get("max_tokens") or body.get("maxOutputTokens")) == sent


@pytest.mark.parametrize("vendor", NAMES)
def test_the_temperature_is_sent_when_there_is_one(server, vendor):
    ask(model(server, vendor))
    ask(model(server, vendor, temperature=0.0))
    without, with_one = (json.dumps(seen.body) for seen in server.seen)
    assert "temperature" not in without
    assert '"temperature": 0.0' in with_one


@pytest.mark.parametrize("vendor", NAMES)
def test_no_instructions_are_no_empty_message(server, vendor):
    ask(model(server, vendor), replace(FREE, instructions=""))
    assert "system" not in json.dumps(server.seen[0].body)


@pytest.mark.parametrize("vendor", NAMES)
def test_a_model_is_made_by_name_and_its_key_is_never_shown(server, vendor):
    options = {"model": "m-1", "api_key": KEY, "base_url": getattr(server, vendor), "timeout": "7"}
    llm = LLMS.create(vendor, options)
    assert (llm.model, llm.timeout) == ("m-1", 7.0)
    assert KEY not in repr(llm)
    assert KEY not in repr(VENDORS[vendor](**options | {"timeout": 7.0}))
    ask(llm)
    assert any(KEY in value for value in server.seen[0].headers.values())
    server.answers(lambda seen: Fault(status=401, message=f"the key {KEY} is wrong for {seen.content}"))
    with pytest.raises(ModelUnavailable, match=r"the key … is wrong for …\): look at `api_key`"):
        ask(LLMS.create(vendor, options), replace(FREE, content="I am allergic to penicillin"))
    schema = LLMS.schema(vendor)
    assert "model" in schema["required"]
    assert "writeOnly" in json.dumps(schema["properties"]["api_key"])


@pytest.mark.parametrize("vendor", NAMES)
def test_wrong_options_are_refused_by_name(vendor):
    for wrong in (
        {},
        {"model": " "},
        {"model": "m", "base_url": "localhost"},
        {"model": "m", "max_tokens": 0},
    ):
        with pytest.raises(ConfigurationError, match=vendor):
            LLMS.create(vendor, wrong)
    with pytest.raises(ConfigurationError, match="did you mean 'timeout'"):
        LLMS.create(vendor, {"model": "m", "timeuot": 3})


@pytest.mark.parametrize("vendor", NAMES)
def test_without_a_key_the_vendor_itself_is_not_asked(vendor):
    with pytest.raises(ModelUnavailable, match=VENDORS[vendor].KEYS[0]):
        ask(VENDORS[vendor](model="m-1"))


@pytest.mark.parametrize("vendor", NAMES)
def test_a_key_of_the_environment_goes_to_the_vendor_alone(server, vendor, monkeypatch):
    monkeypatch.setenv(VENDORS[vendor].KEYS[0], KEY)
    home = VENDORS[vendor](model="m-1")
    assert home._key() == KEY
    assert replace(home, base_url=f"{home.HOME}/other")._key() == KEY
    for elsewhere in (home.HOME.replace("https", "http"), home.HOME.replace(".com", ".com.example.org")):
        assert replace(home, base_url=elsewhere)._key() is None
    ask(model(server, vendor))
    assert KEY not in str(server.seen[0].headers)


@pytest.mark.parametrize("vendor", NAMES)
def test_a_key_with_a_line_feed_from_a_file_is_a_key(server, vendor):
    ask(model(server, vendor, api_key=f"{KEY}\n"))
    assert any(value.endswith(KEY) for value in server.seen[0].headers.values())


@pytest.mark.parametrize("vendor", NAMES)
def test_more_of_a_body_and_more_headers_go_over_what_is_sent_otherwise(server, vendor):
    extra = {"generationConfig": {"maxOutputTokens": 3}, "max_tokens": 3}
    ask(model(server, vendor, extra=extra, headers={"X-Gateway": KEY}, temperature=0.5))
    [seen] = server.seen
    assert seen.body["max_tokens"] == seen.body["generationConfig"]["maxOutputTokens"] == 3
    assert "0.5" in json.dumps(seen.body)  # what stands beside stays
    assert seen.headers["x-gateway"] == KEY
    assert KEY not in repr(model(server, vendor, headers={"X-Gateway": KEY}))


def test_a_user_in_the_url_beside_a_key_is_a_matter_of_configuration(server):
    url = server.openai.replace("//", "//ann:hidden@")
    assert ask(OpenAIModel(model="m", base_url=url)).text == "hello"
    assert server.seen[0].headers["authorization"].startswith("Basic ")
    with pytest.raises(ModelUnavailable, match="base_url") as caught:
        ask(OpenAIModel(model="m", base_url=url, api_key=KEY))
    assert "hidden" not in str(caught.value)


# OpenAI and those who speak like it


def test_openai_images_are_parts_of_the_content(server):
    ask(model(server), replace(FREE, images=IMAGES))
    assert server.seen[0].images == IMAGES
    assert server.seen[0].content == FREE.content


def test_azure_has_its_version_in_the_url_and_its_key_in_a_header_of_its_own(server):
    url = f"{server.url}/openai/deployments/small"
    ask(OpenAIModel(model="small", base_url=url, api_key=KEY, azure_api_version="2024-10-21"))
    [seen] = server.seen
    assert seen.path == "/openai/deployments/small/chat/completions?api-version=2024-10-21"
    assert seen.headers["api-key"] == KEY
    assert "authorization" not in seen.headers
    assert "max_completion_tokens" in seen.body


@pytest.mark.parametrize(
    ("refused", "kept"),
    [(("max_tokens",), "max_completion_tokens"), (("max_tokens", "max_completion_tokens"), None)],
)
def test_the_limit_goes_by_the_name_that_the_server_knows(server, refused, kept):
    server.answers(refusing(*refused))
    asked(model(server), FREE, FREE)
    assert len(server.seen) == len(refused) + 2  # what was refused is not sent again
    assert {"max_tokens", "max_completion_tokens"} & set(server.seen[-1].body) == ({kept} if kept else set())


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_a_temperature_that_the_model_does_not_take_is_left_out_from_then_on(server, vendor):
    server.answers(
        lambda seen: (
            Fault(status=400, message="`temperature` is deprecated for this model.")
            if "temperature" in seen.body
            else "hi"
        )
    )
    asked(model(server, vendor, temperature=0.2), FREE, FREE)
    assert ["temperature" in seen.body for seen in server.seen] == [True, False, False]


def test_a_value_that_is_wrong_is_not_left_out(server):
    server.answers(
        Fault(status=400, message="max_tokens is too large: 4096. This model supports at most 100.")
    )
    with pytest.raises(ModelUnavailable, match="too large"):
        ask(model(server))
    assert len(server.seen) == 1


def formats(server: ModelServer) -> list[str | None]:
    return [seen.body.get("response_format", {}).get("type") for seen in server.seen]


@pytest.mark.parametrize(
    "message",
    [
        "This response_format type is unavailable now",
        "'response_format.type' must be 'json_object' or 'text'",
        "Invalid schema for response_format 'answer'",
    ],
)
def test_a_server_without_schemas_is_asked_for_json_and_that_is_remembered(server, message):
    server.answers(
        lambda seen: Fault(status=400, message=message) if "json_schema" in json.dumps(seen.body) else FACTS
    )
    llm = model(server)
    for done in asked(llm, ASKED, ASKED):
        assert json.loads(done.text) == FACTS
    assert formats(server) == ["json_schema", "json_object", "json_object"]
    assert server.seen[-1].content.startswith(f"{ASKED.content}\n")
    assert json.dumps(SCHEMA) in server.seen[-1].content
    assert server.seen[-1].instructions == ASKED.instructions
    asked(llm, replace(ASKED, schema=OTHER), FREE)  # another schema may do, and free text needs none
    assert formats(server)[3:] == ["json_schema", "json_object", None]


def test_a_server_without_any_format_is_told_in_words(server):
    server.answers(refusing("response_format"))
    assert json.loads(asked(model(server), ASKED, ASKED)[0].text) == FACTS
    assert formats(server) == ["json_schema", "json_object", None, None]
    assert json.dumps(SCHEMA) in server.seen[-1].content


@pytest.mark.parametrize(
    ("form", "sent"), [("schema", "json_schema"), ("object", "json_object"), ("text", None)]
)
def test_a_form_that_was_asked_for_is_not_changed(server, form, sent):
    server.answers(refusing("response_format"))
    if sent is None:
        ask(model(server, json=form), ASKED)
    else:
        with pytest.raises(ModelUnavailable, match="response_format"):
            ask(model(server, json=form), ASKED)
    assert formats(server) == [sent]


def test_everything_unknown_at_once_is_left_out_one_by_one(server):
    server.answers(refusing("temperature", "max_tokens", "max_completion_tokens", "response_format"))
    llm = model(server, temperature=0.0)
    assert json.loads(asked(llm, ASKED)[0].text) == FACTS
    assert set(server.seen[-1].body) == {"model", "messages"}
    assert len(server.seen) == 6


def test_calls_that_learn_at_the_same_time_do_not_stumble_over_each_other(server):
    async def run() -> list[Completion]:
        llm = model(server, temperature=0.0)
        done = await asyncio.gather(*(llm.complete(ASKED) for _ in range(8)))
        await llm.aclose()
        return done

    server.latency = 0.02
    server.answers(refusing("temperature", "max_tokens", "response_format"))
    assert all(json.loads(done.text) == FACTS for done in asyncio.run(run()))


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (SCHEMA, True),
        ({**SCHEMA, "required": []}, False),
        ({"type": "object", "properties": {}}, False),
        ({**SCHEMA, "properties": {"facts": {"type": "array", "items": {"type": "object"}}}}, False),
        ({**SCHEMA, "properties": {"facts": {"anyOf": [SCHEMA, {"type": "null"}]}}}, True),
        ({"type": "string"}, True),
    ],
)
def test_a_model_is_held_strictly_to_a_schema_that_allows_it(server, schema, strict):
    assert is_strict(schema) is strict
    ask(model(server), replace(ASKED, schema=schema))
    assert server.seen[0].body["response_format"]["json_schema"]["strict"] is strict


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "plain"}, "plain"),
        ({"content": [{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]}, "in parts"),
        ({"content": None}, ""),
        ({}, ""),
    ],
)
def test_openai_answers_are_read_in_all_their_shapes(message, text):
    read = OpenAIModel(model="m")._completion
    assert read({"choices": [{"message": message, "finish_reason": None}]}) == Completion(text=text)
    with pytest.raises(ModelUnavailable, match="content_filter"):
        read({"choices": [{"message": message, "finish_reason": "content_filter"}]})


def test_the_cache_of_deepseek_is_counted():
    body = {"choices": [{"message": {"content": ""}}], "usage": {"prompt_cache_hit_tokens": 7}}
    assert OpenAIModel(model="m")._completion(body).cached_tokens == 7


# Anthropic


def test_anthropic_instructions_are_cached_and_a_schema_is_a_tool(server):
    server.answers(FACTS)
    ask(model(server, "anthropic", api_key=KEY), ASKED)
    [seen] = server.seen
    assert seen.headers["x-api-key"] == KEY
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert seen.body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert seen.body["tool_choice"] == {"type": "tool", "name": "answer"}


def test_a_claude_that_cannot_be_made_to_use_a_tool_gives_structured_output_or_is_told_in_words(server):
    refusal = "tool_choice forces tool use is not compatible with this model"

    def answered(seen):
        if "tool_choice" in seen.body:
            return Fault(status=400, message=refusal)
        if "output_config" in seen.body and seen.schema == OTHER:
            return Fault(status=400, message="output_config: Extra inputs are not permitted")
        return FACTS

    server.answers(answered)
    llm = model(server, "anthropic")
    assert json.loads(asked(llm, ASKED, ASKED)[1].text) == FACTS
    assert ["output_config" in seen.body for seen in server.seen] == [False, True, True]
    assert json.loads(asked(llm, replace(ASKED, schema=OTHER))[0].text) == FACTS
    assert json.dumps(OTHER) in server.seen[-1].content


def test_the_version_of_anthropics_interface_may_stand_in_the_base_url_or_not(server):
    for url in (server.url, f"{server.url}/", server.anthropic, f"{server.url}/proxy"):
        ask(AnthropicModel(model="m", base_url=url))
    paths = [seen.path for seen in server.seen]
    assert paths == ["/v1/messages", "/v1/messages", "/v1/messages", "/proxy/v1/messages"]


def test_anthropic_images_are_data_or_places(server):
    ask(model(server, "anthropic"), replace(FREE, images=IMAGES))
    assert [image["source"] for image in server.seen[0].images] == [
        {"type": "base64", "media_type": "image/png", "data": PIXEL},
        {"type": "url", "url": "https://example.org/cat.png"},
    ]


def test_thinking_is_no_answer_and_tokens_are_all_of_the_input():
    body = {
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 10},
    }
    done = AnthropicModel(model="m")._completion(body)
    assert (done.text, done.input_tokens, done.cached_tokens) == ("yes", 105, 90)


# Gemini


def test_gemini_has_its_key_in_a_header_and_its_model_in_the_path(server):
    server.answers(FACTS)
    ask(model(server, "gemini", api_key=KEY, model="models/gemini-9"), ASKED)
    [seen] = server.seen
    assert seen.path == "/v1beta/models/gemini-9:generateContent"
    assert seen.headers["x-goog-api-key"] == KEY
    assert seen.body["generationConfig"]["responseMimeType"] == "application/json"


def test_a_gemini_without_schemas_is_asked_for_json_then_told_in_words(server):
    server.answers(refusing("responseJsonSchema", "responseMimeType"))
    assert json.loads(asked(model(server, "gemini"), ASKED, ASKED)[1].text) == FACTS
    sent = [set(seen.body["generationConfig"]) - {"maxOutputTokens"} for seen in server.seen]
    assert sent == [{"responseMimeType", "responseJsonSchema"}, {"responseMimeType"}, set(), set()]
    assert json.dumps(SCHEMA) in server.seen[-1].content


def test_gemini_images_are_data_or_files(server):
    ask(model(server, "gemini"), replace(FREE, images=IMAGES))
    assert list(server.seen[0].images) == [
        {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://example.org/cat.png"}},
    ]


def test_gemini_thoughts_cost_and_are_no_answer():
    parts = [{"text": "hm", "thought": True}, {"text": "yes"}]
    body = {
        "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": {"candidatesTokenCount": 1, "thoughtsTokenCount": 9},
    }
    done = GeminiModel(model="m")._completion(body)
    assert (done.text, done.output_tokens) == ("yes", 10)


def test_a_blocked_prompt_is_declined_and_a_fault_is_none_of_the_callers():
    read = GeminiModel(model="m")._completion
    with pytest.raises(ModelUnavailable, match="PROHIBITED_CONTENT"):
        read({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
    with pytest.raises(Unavailable):
        read({"candidates": [{"finishReason": "OTHER"}]})


@pytest.mark.parametrize("vendor", NAMES)
def test_an_image_in_a_form_of_ones_own_is_sent_as_it_is(server, vendor):
    own = {"type": "input_audio", "data": "…"}
    ask(model(server, vendor), replace(FREE, images=(own,)))
    assert server.seen[0].images == (own,)


# The server itself


def test_the_server_answers_by_a_function_a_list_or_always_alike(server):
    llm = model(server)
    server.answers(["one", "two"])
    assert [done.text for done in asked(llm, FREE, FREE, FREE)] == ["one", "two", "two"]
    server.answers(lambda seen: seen.content.upper())
    assert asked(llm, FREE)[0].text == FREE.content.upper()
    server.answers({"a": "ü"})
    assert asked(llm, FREE)[0].text == '{"a": "ü"}'


def test_the_server_knows_no_other_place(server):
    llm = OpenAIModel(model="m", base_url=f"{server.url}/v1/more/chat/completions/x", retries=0)
    with pytest.raises(ModelUnavailable, match="404"):
        ask(replace(llm, base_url=f"{server.url}/v1?x="))


def test_a_server_that_stopped_lets_nobody_hang():
    with ModelServer(Fault("hang")) as running:
        llm = model(running, retries=0)

        async def run() -> None:
            under_way = asyncio.create_task(llm.complete(FREE))
            await asyncio.to_thread(running.wait_for, 1)
            await asyncio.to_thread(running.stop)
            with pytest.raises(Unavailable):
                await under_way
            await llm.aclose()

        asyncio.run(run())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1beta/models/m:generateContent"])
@pytest.mark.parametrize(
    "body", [b'{"messages": 5, "contents": 5}', b"[]", b"{", b'{"messages": "hi", "contents": "hi"}']
)
def test_a_server_for_tests_refuses_what_it_cannot_understand(path, body):
    with ModelServer("x") as server:
        request = urllib.request.Request(server.url + path, data=body)  # loopback
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        with refused.value as answer:
            assert answer.code == 400
            assert "cannot be understood" in json.load(answer)["error"]["message"]
        assert server.seen == []
