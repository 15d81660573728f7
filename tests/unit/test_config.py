"""What is configured: in a dictionary, in a file, in the environment, and which of them wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.assemble import parts
from perdure.config import Config, Role
from perdure.errors import ConfigurationError
from perdure.settings import Settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variables of the developer's own."""
    import os

    for name in [name for name in os.environ if name.startswith("PERDURE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def file(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "perdure.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(source: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Config.of(source)
    return str(caught.value)


def test_nothing_has_to_be_configured(tmp_path):
    assert Config.of() == Config() == Config.from_dict({})
    assert Config().store == Role(provider="sqlite", options={"path": str(tmp_path / ".perdure/memory.db")})
    assert (Config().embedder, Config().reranker) == (Role(provider="local"), None)
    assert Config().settings == Settings()


def test_options_stand_under_config_or_beside_the_provider():
    nested = {"store": {"provider": "sqlite", "config": {"path": "x.db", "readers": 3}}}
    flat = {"store": {"provider": "sqlite", "path": "x.db", "readers": 3}}
    mixed = {"store": {"provider": "sqlite", "path": "x.db", "config": {"readers": 3}}}
    assert Config.from_dict(nested) == Config.from_dict(flat) == Config.from_dict(mixed)
    assert Config.from_dict(flat).store.options == {"path": "x.db", "readers": 3}


def test_a_provider_may_be_named_alone():
    assert Config.from_dict({"embedder": "hash"}).embedder == Role(provider="hash")


def test_a_path_alone_is_a_sqlite_store():
    assert Config.from_dict({"path": "x.db"}).store == Role(provider="sqlite", options={"path": "x.db"})


@pytest.mark.parametrize("nothing", [None, "none", "None", "off", {"provider": "none"}])
def test_a_role_can_be_switched_off(nothing):
    assert Config.from_dict({"embedder": nothing}).embedder is None


@pytest.mark.parametrize("nothing", [None, "none"])
def test_the_store_cannot(nothing):
    assert "memories have to be kept somewhere" in refused({"store": nothing})


def test_a_path_may_begin_at_home(tmp_path):
    for path in ("~/x.db", Path("~/x.db")):
        assert Config.from_dict({"path": path}).store.options["path"] == str(tmp_path / "x.db")


def test_a_file_is_read(file):
    path = file('[store]\nprovider = "sqlite"\npath = "x.db"\n[settings]\ntop_k = 3\n')
    config = Config.from_file(path)
    assert config.store.options["path"] == "x.db"
    assert config.settings == Settings(top_k=3)
    assert Config.of(path) == Config.of(str(path)) == config


def test_a_file_that_cannot_be_read_or_is_no_toml_is_named(file, tmp_path):
    assert "cannot be read: No such file" in refused(tmp_path / "absent.toml")
    assert "is no TOML" in refused(file("store = = 1"))
    for path in ("\0", "\ud800", "x" * 300):
        told = refused(path)
        assert "cannot be read" in told
        assert len(told) < 1_000


def test_the_environment_is_read(monkeypatch):
    monkeypatch.setenv("PERDURE_PATH", "e.db")
    monkeypatch.setenv("PERDURE_STORE__READERS", "3")
    monkeypatch.setenv("PERDURE_EMBEDDER", "none")
    monkeypatch.setenv("PERDURE_SETTINGS__THRESHOLD", "0.2")
    config = Config.of()
    assert config.store == Role(provider="sqlite", options={"path": "e.db", "readers": "3"})
    assert config.embedder is None
    assert config.settings == Settings(threshold=0.2)


def test_the_environment_can_say_lists_and_dictionaries(monkeypatch):
    monkeypatch.setenv("PERDURE_STORE", "elsewhere")
    monkeypatch.setenv("PERDURE_STORE__HOSTS", '["a", "b"]')
    monkeypatch.setenv("PERDURE_STORE__POOL__SIZE", "4")
    monkeypatch.setenv("PERDURE_STORE__NAME", "[not json")
    assert Config.of().store == Role(
        provider="elsewhere", options={"hosts": ["a", "b"], "pool": {"size": "4"}, "name": "[not json"}
    )


def test_a_blank_variable_says_nothing(monkeypatch):
    monkeypatch.setenv("PERDURE_EMBEDDER", "")
    monkeypatch.setenv("PERDURE_PATH", " ")
    assert Config.of() == Config()


def test_the_call_wins_over_the_environment_over_the_file_over_the_defaults(file, monkeypatch):
    monkeypatch.setenv(
        "PERDURE_CONFIG", str(file('[settings]\ntop_k = 1\nworkers = 1\n[store]\npath = "f.db"'))
    )
    monkeypatch.setenv("PERDURE_SETTINGS__TOP_K", "2")
    monkeypatch.setenv("PERDURE_SETTINGS__TENANT", "env")
    config = Config.of({"settings": {"tenant": "call"}})
    assert config.settings == Settings(top_k=2, workers=1, tenant="call")
    assert config.store.options == {"path": "f.db"}
    monkeypatch.setenv("PERDURE_PATH", "e.db")
    assert Config.of().store.options == {"path": "e.db"}
    assert Config.of({"store": {"path": "c.db"}}).store.options == {"path": "c.db"}
    assert Config.of({"path": "c.db"}).store.options == {"path": "c.db"}


def test_from_dict_and_from_file_look_at_nothing_else(file, monkeypatch):
    monkeypatch.setenv("PERDURE_PATH", "e.db")
    assert Config.from_dict({}) == Config()
    assert Config.from_file(file("")) == Config()


def test_a_config_is_taken_as_it_is(monkeypatch):
    monkeypatch.setenv("PERDURE_PATH", "e.db")
    given = Config(embedder=None)
    assert Config.of(given) is given


def test_another_provider_takes_no_options_over(monkeypatch):
    monkeypatch.setenv("PERDURE_PATH", "e.db")
    assert Config.of({"store": {"provider": "memory"}}).store == Role(provider="memory")
    assert Config.of({"store": "memory"}).store == Role(provider="memory")


def test_a_provider_alone_keeps_the_options_of_the_same_one_below(monkeypatch):
    monkeypatch.setenv("PERDURE_PATH", "e.db")
    assert Config.of({"store": "sqlite"}).store.options == {"path": "e.db"}
    assert Config.of({"store": {"provider": "sqlite", "readers": 1}}).store.options == {
        "path": "e.db",
        "readers": 1,
    }


def test_a_path_in_the_environment_wins_over_another_store_in_the_file(file, monkeypatch):
    monkeypatch.setenv("PERDURE_CONFIG", str(file('store = "memory"')))
    monkeypatch.setenv("PERDURE_PATH", "e.db")
    assert Config.of().store == Role(provider="sqlite", options={"path": "e.db"})


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"stor": {}}, "the configuration has no 'stor': did you mean 'store'?"),
        ({"vectors": {"prefix": "x"}}, "vectors has options, but names no provider"),
        (
            {"path": "x.db", "store": "postgres"},
            "path is short for a SQLite store, and store is 'postgres': leave one out",
        ),
        ({"settings": {"topk": 3}}, "settings has no option 'topk': did you mean 'top_k'?"),
        (
            {"settings": {"top_k": "many"}},
            "settings is configured wrongly: top_k: Input should be a valid integer",
        ),
        ({"settings": 3}, "settings is of the type int: give a dictionary"),
        ({"embedder": 3}, "embedder is of the type int: give a dictionary"),
        ({"embedder": {"provider": 3}}, "embedder names no provider"),
        ({"embedder": ""}, "embedder names no provider"),
        ({"embedder": {"config": 3}}, "embedder.config is of the type int"),
        ({"reranker": {"size": 3}}, "reranker has options, but names no provider"),
        (["store"], "the configuration is of the type list: give a dictionary"),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(source, told):
    assert told in refused(source)


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("PERDURE_STROE__PATH", "did you mean 'PERDURE_STORE'?"),
        ("PERDURE_EMBEDER", "did you mean 'PERDURE_EMBEDDER'?"),
        ("PERDURE_PATH__X", "configures nothing"),
        ("PERDURE_SETTINGS__TOPK", "did you mean 'top_k'?"),
        ("PERDURE_GRAPHS__PROVIDER", "did you mean 'PERDURE_GRAPH'?"),
    ],
)
def test_a_misspelt_variable_is_told(monkeypatch, variable, told):
    monkeypatch.setenv(variable, "3")
    assert told in refused(None)


def test_variables_of_other_parts_are_left_alone(monkeypatch):
    for name in ("PERDURE_MODEL_DIR", "PERDURE_DEBUG", "PERDURE_SOAK", "PERDURE_API_KEY"):
        monkeypatch.setenv(name, "1")
    assert Config.of() == Config()


def test_a_value_and_parts_of_it_contradict_each_other(monkeypatch):
    monkeypatch.setenv("PERDURE_STORE__POOL", "4")
    monkeypatch.setenv("PERDURE_STORE__POOL__SIZE", "4")
    assert "PERDURE_STORE__POOL" in refused(None)


def test_a_config_does_not_show_its_options():
    assert "sk-secret" not in repr(Config.from_dict({"embedder": {"provider": "x", "api_key": "sk-secret"}}))


NAMES = st.sampled_from(["a", "b", "c"])
PARTS = st.dictionaries(NAMES, st.integers(), max_size=3)
LAYERS = st.lists(st.tuples(st.sampled_from([None, "p", "q"]), PARTS), max_size=5)


@given(LAYERS)
def test_layers_are_merged_key_by_key_until_another_provider_begins(layers):
    provider, options = "p", {}
    for named, some in layers:
        if named not in (None, provider):
            provider, options = named, {}
        options = {**options, **some}
    said = [
        {"store": {**({"provider": named} if named else {}), **some}} for named, some in [("p", {}), *layers]
    ]
    assert Config._of(said).store == Role(provider=provider, options=options)


# ---- caches


def caches(**values):
    return parts(Config.from_dict({"path": "x.db", **values}))["caches"]


def test_caches_of_this_process_are_there_unless_switched_off():
    held = caches()
    assert held.answers.max_bytes + held.vectors.max_bytes == Settings().cache_bytes
    assert held.shared is None
    off = caches(settings={"cache_bytes": 0})
    assert (off.answers, off.vectors, off.shared) == (None, None, None)


def test_a_redis_is_configured_by_its_url_and_shows_no_secret(monkeypatch):
    shared = caches(
        cache={"provider": "redis", "url": "redis://:hidden@h/1", "password": "hidden", "rest": "2"}
    ).shared
    assert (shared.url, shared.password.get_secret_value(), shared.rest) == (
        "redis://:hidden@h/1",
        "hidden",
        2.0,
    )
    assert "hidden" not in repr(shared)
    monkeypatch.setenv("PERDURE_CACHE", "redis")
    monkeypatch.setenv("PERDURE_CACHE__PREFIX", "ours")
    config = Config.of({"path": "x.db"})
    assert parts(config)["caches"].shared.prefix == "ours"
    assert Config.of({"cache": None}).cache is None


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"cache": {"provider": "redis", "url": "http://h"}}, "redis://, rediss:// or unix://"),
        ({"cache": {"provider": "redis", "timeout": 0}}, "timeout has to be 0.001 or more"),
        ({"cache": "reddis"}, "did you mean 'redis'"),
        ({"settings": {"cache_ttl": {"preferences": 5}}}, "give seconds for any of user, agent, run, app"),
        ({"settings": {"cache_ttl": {"user": -1}}}, "cache_ttl has 'user'"),
        ({"settings": {"cache_bytes": -1}}, "cache_bytes is a number from 0 on"),
        ({"settings": {"stale_while": -0.5}}, "stale_while is a number of seconds from 0 on"),
        ({"settings": {"batch_texts": 0}}, "batch_texts is a number from 1 on"),
    ],
)
def test_caches_that_cannot_be_meant_are_refused(values, told):
    with pytest.raises(ConfigurationError, match=told):
        caches(**values)
