"""Providers by name, and options that are checked by the provider's own fields."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from perdure import registry
from perdure.embedders.local import LocalEmbedder
from perdure.errors import ConfigurationError, MissingExtra
from perdure.options import nearest
from perdure.registry import EMBEDDERS, RERANKERS, STORES, Registry

PLUGIN = '''
from __future__ import annotations
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal
from pydantic import Field, SecretStr

@dataclass(frozen=True, kw_only=True)
class Provider:
    """Somewhere else."""

    url: str
    api_key: SecretStr | None = None
    size: Annotated[int, Field(ge=1)] = 4
    mode: Literal["fast", "exact"] = "fast"
    model_validate: bool = False
    folder: Path = Path()
    hosts: tuple[str, ...] = ()
    calls: list[str] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.mode == "exact" and self.size > 100:
            raise ValueError("exact mode takes no size over 100")

class NoDataclass:
    pass
'''


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[object]:
    """A registry with one built-in that lacks its package, and what an installed package offers."""
    for name, text in {
        "elsewhere.py": PLUGIN,
        "lacking.py": "import a_package_that_is_not_here.inside",
        "faulty.py": "from faulty import nothing",
        "elsewhere-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n",
        "elsewhere-1.0.dist-info/entry_points.txt": """
            [perdure.things]
            elsewhere = elsewhere:Provider
            plain = elsewhere:NoDataclass
            absent = elsewhere:Absent
            offered_lacking = lacking:Provider
            faulty = faulty:Provider
            gone = a_package_that_is_gone:Provider
            lacking = elsewhere:Provider
            """,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("elsewhere", "lacking", "faulty"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    registry._offered.cache_clear()
    return Registry(
        role="thing",
        group="perdure.things",
        built_in={"lacking": "lacking:Provider", "core": "lacking:Provider"},
        extras={"lacking": "sprocket"},
    )


def refused(things: Registry[object], name: str, /, **options: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        things.create(name, options)
    return str(caught.value)


def test_a_built_in_is_made_with_its_options():
    assert EMBEDDERS.create("local", {"workers": "3"}) == LocalEmbedder(workers=3)


def test_every_built_in_can_be_loaded_and_described():
    for things in (STORES, EMBEDDERS, RERANKERS):
        for name in things.built_in:
            assert things.schema(name)["type"] == "object"


def test_a_package_offers_its_own_by_an_entry_point(plugins):
    assert "elsewhere" in plugins.names()
    thing = plugins.create("elsewhere", {"url": "u"})
    assert (type(thing).__name__, thing.url, thing.size) == ("Provider", "u", 4)


def test_options_are_converted_to_what_the_fields_say(plugins):
    thing = plugins.create(
        "elsewhere", {"url": "u", "size": "9", "model_validate": "yes", "folder": "/x", "hosts": ["a", "b"]}
    )
    assert (thing.size, thing.model_validate, thing.folder, thing.hosts) == (9, True, Path("/x"), ("a", "b"))


def test_an_unknown_provider_is_answered_with_the_nearest(plugins):
    assert refused(plugins, "elsewere") == "there is no thing 'elsewere': did you mean 'elsewhere'?"
    assert "there are absent, core, elsewhere, faulty" in refused(plugins, "zzz")


def test_an_unknown_option_is_answered_with_the_nearest(plugins):
    assert refused(plugins, "elsewhere", url="u", siez=3) == (
        "thing 'elsewhere' has no option 'siez': did you mean 'size'?"
    )
    assert "has no option 'calls': there are url, api_key" in refused(plugins, "elsewhere", url="u", calls=[])


def test_a_missing_option_is_named(plugins):
    assert refused(plugins, "elsewhere") == "thing 'elsewhere' is configured wrongly: url: Field required"


def test_bounds_choices_and_what_the_provider_itself_refuses_are_configuration_errors(plugins):
    assert "size: Input should be greater than or equal to 1" in refused(
        plugins, "elsewhere", url="u", size=0
    )
    assert "mode: Input should be 'fast' or 'exact'" in refused(plugins, "elsewhere", url="u", mode="slow")
    assert refused(plugins, "elsewhere", url="u", mode="exact", size=500) == (
        "thing 'elsewhere' is configured wrongly: exact mode takes no size over 100"
    )


def test_no_error_and_no_repr_shows_a_secret(plugins):
    secret = "sk-very-secret"
    for options in ({"api_key": secret}, {"url": 1, "api_key": [secret]}, {"url": "u", "size": secret}):
        with pytest.raises(ConfigurationError) as caught:
            plugins.create("elsewhere", options)
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None
    assert secret not in repr(plugins.create("elsewhere", {"url": "u", "api_key": secret}))


def test_a_schema_tells_types_defaults_and_what_is_required(plugins):
    schema = plugins.schema("elsewhere")
    assert schema["required"] == ["url"]
    assert schema["properties"]["size"] == {"default": 4, "minimum": 1, "title": "Size", "type": "integer"}
    assert schema["properties"]["mode"]["enum"] == ["fast", "exact"]
    assert schema["properties"]["api_key"]["anyOf"][0]["writeOnly"] is True
    assert schema["description"] == "Somewhere else."
    assert schema["additionalProperties"] is False
    assert "calls" not in schema["properties"]


def test_what_a_built_in_lacks_is_told_with_the_command_that_installs_it(plugins):
    with pytest.raises(MissingExtra) as caught:
        plugins.create("lacking", {})
    assert str(caught.value) == (
        "thing 'lacking' needs a_package_that_is_not_here: pip install 'perdure[sprocket]'"
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_built_in_that_lacks_a_package_of_the_core_is_mended_by_installing_that(plugins):
    with pytest.raises(MissingExtra, match=r"pip install perdure$"):
        plugins.create("core", {})


def test_an_offered_provider_that_lacks_a_package_does_not_claim_an_extra_of_ours(plugins):
    with pytest.raises(MissingExtra, match="install what its package asks for"):
        plugins.create("offered_lacking", {})


def test_a_provider_that_cannot_be_loaded_is_a_configuration_error(plugins):
    assert "cannot be loaded from elsewhere:Absent" in refused(plugins, "absent")
    assert "cannot be loaded from faulty:Provider" in refused(plugins, "faulty")
    assert "cannot be loaded from a_package_that_is_gone:Provider" in refused(plugins, "gone")
    assert "no dataclass" in refused(plugins, "plain")


def test_nothing_is_imported_before_it_is_used():
    script = """
        import sys
        import perdure.registry, perdure.config
        heavy = {"pydantic", "numpy", "onnxruntime", "tokenizers", "sqlite3"} & sys.modules.keys()
        assert not heavy, heavy
        assert not [name for name in sys.modules if name.startswith(("perdure.stores.", "perdure.embedders."))]
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)


@pytest.mark.parametrize(("given", "meant"), [("url", "base_url"), ("dim", "dimensions")])
def test_a_part_of_an_options_name_is_answered_with_the_whole(given, meant):
    assert nearest(given, ["timeout", "base_url", "dimensions"]) == f"did you mean {meant!r}?"
