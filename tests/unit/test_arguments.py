"""A verb answers a wrong argument with the right one."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from perdure.arguments import FOREIGN, verb
from perdure.errors import InvalidInput, UnknownArgument


class Shelf:
    @verb
    async def search(
        self, query: str, *, user_id: str | None = None, run_id: str | None = None, top_k: int = 5
    ) -> str:
        """Find."""
        if query == "broken":
            raise TypeError("of the body's own")
        return f"{query} {user_id} {run_id} {top_k}"

    @verb
    async def reset(self) -> None:
        """Forget."""

    @verb
    def count(self, *, user_id: str) -> int:
        """Count."""
        return len(user_id) + 0

    @verb(foreign={"colour": ("color",)})
    async def paint(self, color: str, **rest: Any) -> str:
        return color

    @verb(foreign={"tint": ("hue", "color")})
    async def tint(self, *layers: str, color: str = "red") -> str:
        return color + "".join(layers)


def told(call) -> str:
    """What is said about a wrong call."""
    with pytest.raises(UnknownArgument) as caught:
        asyncio.run(call())
    return str(caught.value)


def test_a_right_call_passes():
    assert asyncio.run(Shelf().search("q", user_id="u", top_k=3)) == "q u None 3"
    assert asyncio.run(Shelf().search(query="q")) == "q None None 5"
    assert Shelf().count(user_id="abc") == 3


def test_a_misspelt_argument_is_answered_with_the_nearest():
    assert told(lambda: Shelf().search("q", usr_id="u")) == (
        "search() has no argument 'usr_id'; did you mean 'user_id'?"
    )


@pytest.mark.parametrize(
    ("foreign", "ours"), [("session_id", "run_id"), ("thread_id", "run_id"), ("k", "top_k")]
)
def test_a_name_from_elsewhere_is_answered_with_ours(foreign, ours):
    assert told(lambda: Shelf().search("q", **{foreign: 1})).endswith(f"did you mean {ours!r}?")


def test_a_name_from_elsewhere_that_the_verb_has_not_is_not_proposed():
    assert (
        told(lambda: Shelf().reset(session_id="s"))
        == "reset() has no argument 'session_id'; it takes no arguments"
    )


def test_a_verb_may_bring_names_of_its_own():
    assert told(lambda: Shelf().tint(tint="blue")).endswith("did you mean 'color'?")


def test_an_argument_like_no_other_is_answered_with_all():
    assert told(lambda: Shelf().search("q", zzz=1)) == (
        "search() has no argument 'zzz'; it takes query, user_id, run_id, top_k"
    )


def test_too_many_without_a_name_are_told_which_need_one():
    assert told(lambda: Shelf().search("q", "alice")) == (
        "search() was given 2 arguments and takes 1 without a name (query); name the others: user_id=, run_id=, top_k="
    )
    assert told(lambda: Shelf().reset("now")) == (
        "reset() was given 1 argument and takes none without a name"
    )


def test_values_are_not_repeated_in_the_message():
    assert "secret words" not in told(lambda: Shelf().search("q", "secret words"))
    assert "secret words" not in told(lambda: Shelf().search("q", usr_id="secret words"))


def test_an_error_is_a_type_error_and_an_input_error():
    assert issubclass(UnknownArgument, TypeError)
    assert issubclass(UnknownArgument, InvalidInput)


def test_a_missing_argument_stays_pythons_own_error():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'query'") as caught:
        asyncio.run(Shelf().search())
    assert not isinstance(caught.value, UnknownArgument)


def test_a_type_error_of_the_body_is_left_alone():
    with pytest.raises(TypeError, match="of the body's own"):
        asyncio.run(Shelf().search("broken", user_id="u"))
    with pytest.raises(TypeError, match="has no len"):
        Shelf().count(user_id=1)


def test_arguments_that_a_verb_collects_are_not_unknown():
    assert asyncio.run(Shelf().paint("red", colour="blue")) == "red"
    assert asyncio.run(Shelf().tint("a", "b")) == "redab"


def test_a_synchronous_verb_is_guarded_too():
    with pytest.raises(UnknownArgument, match="did you mean 'user_id'"):
        Shelf().count(userid="x")


def test_a_verb_still_looks_like_itself():
    assert Shelf.search.__doc__ == "Find."
    assert list(inspect.signature(Shelf.search).parameters) == ["self", "query", "user_id", "run_id", "top_k"]
    assert inspect.iscoroutinefunction(Shelf.search)
    assert not inspect.iscoroutinefunction(Shelf.count)


def test_no_foreign_name_proposes_itself():
    assert all(foreign not in ours for foreign, ours in FOREIGN.items())
