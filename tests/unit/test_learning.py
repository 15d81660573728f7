"""What a model is asked, how its answer is read, and the order in which work is finished."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from perdure.embedders.modelfiles import TOKENIZER, find_model
from perdure.engine.learning.lines import Lines
from perdure.engine.learning.prompt import ask, instructions, schema
from perdure.engine.learning.repair import found_in
from perdure.settings import CATEGORIES
from perdure.types import Scope, Turn

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ALICE = Scope(user_id="alice")


def turn(text: str) -> Turn:
    return Turn(id="t", scope=ALICE, role="user", text=text, said_at=NOW, recorded_at=NOW)


def test_the_fixed_part_of_the_prompt_has_at_most_1200_tokens():
    tokenizer = Tokenizer.from_file(str(find_model() / TOKENIZER))
    tokenizer.no_truncation()
    fixed = (instructions(CATEGORIES), json.dumps(schema(), separators=(",", ":")))
    # WordPiece makes a token of every bracket and quote: more than the tokenizers of language models do.
    assert sum(len(tokenizer.encode(part).ids) for part in fixed) <= 1200


def test_what_is_the_same_in_every_call_comes_first_and_is_the_same():
    one, other = ask([turn("I like Darjeeling")]), ask([turn("I like coffee")])
    assert one.instructions == other.instructions
    assert one.schema == other.schema
    assert "Darjeeling" not in one.instructions


@given(st.text(max_size=60))
def test_no_text_can_pose_as_another_line_of_the_prompt(text: str):
    lines = ask([turn(text), turn("next")]).content.split("\n")
    assert [json.loads(line)["line"] for line in lines] == ["T1", "T2"]
    assert json.loads(lines[0])["text"] == text


GOOD = {"facts": [{"text": 'It\'s "so": {a} [b], // c', "turns": [1, 2]}, {"text": "two", "turns": []}]}


def first_in(text: str) -> Any:
    return next((found.value for found in found_in(text)), None)


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(GOOD),
        f"Here you are:\n```json\n{json.dumps(GOOD, indent=2)}\n```\nAnything else?",
        f"<think>A {{ or not? </think>{json.dumps(GOOD)}",
        "\ufeff" + json.dumps(GOOD) + "}}",
        json.dumps(GOOD)[:-1].replace("]}", "],}") + ",}",
        json.dumps(GOOD)[:-2],
        json.dumps(GOOD).replace('{"facts"', '{ /* all */ "facts"'),
    ],
)
def test_what_models_write_around_and_into_json_is_read(written: str):
    assert first_in(written) == GOOD


def test_python_words_single_quotes_and_missing_numbers_are_understood():
    assert first_in("{'a': True, 'b': None, 'c': NaN, 'd': [Infinity, False]}") == {
        "a": True,
        "b": None,
        "c": None,
        "d": [None, False],
    }


@given(st.integers(1, len(json.dumps(GOOD))))
def test_what_was_whole_before_the_cut_is_kept(cut: int):
    written = json.dumps(GOOD)[:cut]
    whole = [fact for fact in GOOD["facts"] if json.dumps(fact) in written]
    found = first_in(written)
    assert (found["facts"] if found else [])[: len(whole)] == whole
    assert [each.cut for each in found_in(written)][:1] == ([cut < len(json.dumps(GOOD))] if found else [])


@given(st.text())
def test_whatever_is_found_is_an_object_or_a_list(text: str):
    assert all(isinstance(found.value, (dict, list)) for found in found_in(text))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_is_taken_as_it_is(value: object):
    if isinstance(value, (dict, list)):
        assert first_in(json.dumps(value)) == value


def test_work_in_a_line_overlaps_and_is_finished_in_the_order_in_which_it_came():
    async def scenario():
        lines, begun, done = Lines(), [], []

        async def work(number: int, seconds: float, key: str = "k"):
            with lines.stand(key) as place:
                begun.append(number)
                await asyncio.sleep(seconds)
                await place.first()
                done.append(number)

        await asyncio.gather(work(0, 0.03), work(1, 0.0), work(2, 0.01), work(3, 0.0, key="other"))
        assert begun == [0, 1, 2, 3]
        assert done == [3, 0, 1, 2]
        assert not lines._last

    asyncio.run(scenario())


def test_who_gives_up_lets_nobody_pass_those_before():
    async def scenario():
        lines, done = Lines(), []

        async def work(number: int, seconds: float):
            with lines.stand("k") as place:
                await asyncio.sleep(seconds)
                await place.first()
                done.append(number)

        tasks = [asyncio.create_task(work(n, seconds)) for n, seconds in enumerate((0.03, 0.02, 0.0))]
        await asyncio.sleep(0.005)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        assert done == [0, 2]

    asyncio.run(scenario())
