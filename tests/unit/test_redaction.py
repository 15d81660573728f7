"""What is replaced before it is stored, what is left alone, and that no text makes it slow."""

from __future__ import annotations

import asyncio
import base64
import random
import string
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import AsyncMemory
from perdure.engine.memory import Engine
from perdure.engine.redaction import Rules, Tally
from perdure.errors import ConfigurationError, InvalidInput
from perdure.ports import Redacted
from perdure.settings import Secret, Settings
from perdure.stores.sqlite import SqliteStore

ALL = get_args(Secret)
rules = Rules(ALL)

# None of these is anybody's: test numbers of the card networks, example accounts of the standard, random letters.
FOUND: dict[str, list[str]] = {
    "card": [
        "4111111111111111",
        "4111 1111 1111 1111",
        "5555-5555-5555-4444",
        "3782 822463 10005",
        "2223 0031 2200 3222",
        "6011\u00a01111\u00a01111\u00a01117",
    ],
    "email": [
        "maya@example.com",
        "m.a+news@mail.example.co.uk",
        "maya@xn--bcher-kva.example",
        "ü@exämple.de",
    ],
    "iban": ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "gb82 west 1234 5698 7654 32"],
    "phone": [
        "+351 912 345 678",
        "+1 (415) 555-0132",
        "+44 (0)20 7946 0958",
        "00351912345678",
        "(415) 555-0132",
        "415-555-0132",
        "06 12 34 56 78",
        "030 1234567",
        "07700900123",
    ],
    "key": [
        "sk-" + "proj-a8Kd93jfLq02mX7vBz51",
        "gh" + "p_16C7e42F292c6912E7710c838347Ae178B4a",
        "AK" + "IAIOSFODNN7EXAMPLE",
        "xox" + "b-1234567890-abcdefghijkl",
        "ey" + "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "k9Xq2mB7vT4zL8pR3wY6",
        "9f86d081884c7d659a2feaa0c55ad015",
        "wJalrXUtnF" + "EMIK7MDENGbPxRfiCYzEX4MPLEKEY91",
        "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIBOgIBAAJBAKj34GkxFhD9\n-----END RSA PRIVATE KEY-----",
    ],
}
LEFT = [
    "The flight is on 2025-03-01 at 14:03, gate 12.",
    "We paid 1,234,567.89 euros on 08/05/2024 and 31.12.2023.",
    "Order 1234567890123 has 3 parts; 1700000000000000 is a time in microseconds.",
    "It grew from 2001 2002 2003 2004 2005 2006 2007 2008 2009 on.",
    "Pi is 3.14159265358979 and e is 2.718281828459045.",
    "My id is 0193b5c2-7d1e-7c3a-9b1f-2c3d4e5f6a7b, the server is 192.168.100.100.",
    "ThisIsAVeryLongClassNameForTesting2024 and state_of_the_art_methods_in_2024.",
    "Write to me @home, or a@b; the secret is patience and the password is long.",
    "See https://example.com/docs/getting-started/with-perdure/2024/overview#first.",
    "Room 101-202-303, version 1.2.3, 100-200-300.",
    "The code is 4711, my shoe size 42.",
]


@pytest.mark.parametrize(("kind", "secret"), [(kind, one) for kind, all_ in FOUND.items() for one in all_])
@pytest.mark.parametrize("around", ["{}", "It is {}.", "mine:{}, yes", "({})", "a\n{}\nb", "x {} and {} too"])
def test_what_is_written_as_usual_is_found_whatever_stands_around_it(
    kind: str, secret: str, around: str
) -> None:
    text, found = rules(around.replace("{}", secret))
    assert text == around.replace("{}", f"[{kind}]")
    assert found == {kind: around.count("{}")}


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_so_is_left(text: str) -> None:
    assert rules(text) == Redacted(text, {})


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password: hunter22!", "password: [key]!"),
        ('{"api_key": "a1b2c3d4"}', '{"api_key": "[key]"}'),
        ("AWS_SECRET_ACCESS_KEY=wJalr4", "AWS_SECRET_ACCESS_KEY=[key]"),
        ("The password is January2024.", "The password is [key]."),
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer [key]"),
        ("pay 12 4111 1111 1111 1111 by 12/26", "pay 12 [card] by 12/26"),
        ("ab12 DE89 3704 0044 0532 0130 00 is mine", "ab12 [iban] is mine"),
    ],
)
def test_of_what_is_around_a_secret_nothing_is_lost(text: str, left: str) -> None:
    assert rules(text).text == left


@given(st.text() | st.text("0123456789 -+().@aA:=_/", max_size=200))
def test_nothing_is_found_twice_and_nothing_is_counted_that_is_not_shown(text: str) -> None:
    left, found = rules(text)
    assert sum(found.values()) == sum(left.count(f"[{kind}]") - text.count(f"[{kind}]") for kind in ALL)
    if not found:
        assert left == text


@given(st.integers(0, 10**15 - 1), st.sampled_from(["", " ", "-"]), st.integers(1, 9))
def test_the_check_digit_decides(body: int, joint: str, off: int) -> None:
    digits = f"4{body:015d}"[:15]
    total = sum(
        number - 9 * (number > 9)
        for number in (int(d) * (2 - place % 2) for place, d in enumerate(reversed(digits)))
    )
    check = -total % 10
    for last, expected in ((check, "[card]"), ((check + off) % 10, None)):
        number = joint.join(f"{digits}{last}"[start : start + 4] for start in range(0, 16, 4))
        assert Rules(("card",))(number).text == (expected or number)


@given(st.text(string.ascii_letters + string.digits, min_size=32, max_size=64))
def test_kinds_that_are_not_asked_for_are_left(text: str) -> None:
    assert Rules(("email", "iban", "card", "phone"))(text).text in (text, "[phone]", "[card]", "[iban]")


def test_keys_that_are_truly_random_are_found() -> None:
    drawn = random.Random(7)
    letters = string.ascii_letters + string.digits
    keys = ["".join(drawn.choices(letters, k=32)) for _ in range(300)]
    assert sum(Rules(("key",))(key).text == "[key]" for key in keys) >= 285


HOSTILE = [
    "a", "1", "@", "-", "1 ", "1-", "a@", "a.", "a@a.", "+1", "0", "00", "(0", "4111 ", "AA11", "AA11 ", "eyJ", "eyJa-",
    "eyJaaaaaaaa.", "sk-", "sk_", "token:", "token is ", "password ", "Bearer ", "bearer\t", "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN RSA ", "SG.", "aA1", "aA1_", "0-", "00 ", "1.1.", "api key", 'secret="', "xn--", "a@a-", "a@xn--a.",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_takes_a_pattern_more_than_once_through_it(piece: str) -> None:
    """A pattern that begins again and again would take hours for this."""
    text = piece * (262_144 // len(piece)) + "!"
    left, found = rules(text)
    assert (left == text) == (not found)


def test_attachments_lose_their_secrets_and_keep_their_data() -> None:
    picture = "data:image/png;base64," + base64.b64encode(bytes(range(256))).decode()
    blob = base64.b64encode(random.Random(1).randbytes(3_000)).decode()
    tally = Tally((rules,))
    value = {"maya@example.com": [picture, blob, "call +351 912 345 678", 4111111111111111, None]}
    assert tally.value(value) == {"maya@example.com": [picture, blob, "call [phone]", 4111111111111111, None]}
    assert tally.found == {"phone": 1}


# --- in the engine -------------------------------------------------------------------------------------------


def run(scenario: Callable[[Engine], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        options.setdefault("settings", Settings(redact=ALL, threshold=0.0))
        with TemporaryDirectory() as place:
            async with Engine(store=SqliteStore(path=Path(place) / "memory.db"), **options) as memory:
                await scenario(memory)

    asyncio.run(main())


SECRETS = "Write to maya@example.com or +351 912 345 678, card 4111 1111 1111 1111."
HIDDEN = "Write to [email] or [phone], card [card]."


async def exported(memory: Engine) -> list[dict[str, Any]]:
    return [record async for record in memory.export_records()]


def test_nothing_is_replaced_unless_it_is_asked_for() -> None:
    async def scenario(memory: Engine) -> None:
        added = await memory.add(SECRETS, user_id="maya")
        assert added["results"][0]["memory"] == SECRETS
        assert "redacted" not in added["receipt"]

    run(scenario, settings=Settings())


def test_no_secret_is_kept_anywhere_and_the_receipt_counts_them() -> None:
    async def scenario(memory: Engine) -> None:
        message = {
            "role": "user",
            "name": "+351 912 345 678",
            "content": [
                {"type": "text", "text": SECRETS},
                {"type": "file", "title": "mail of ines@example.com"},
            ],
        }
        added = await memory.add([message, "Nothing here."], user_id="maya")
        assert added["results"][0]["memory"] == HIDDEN
        assert added["receipt"]["redacted"] == {"email": 2, "phone": 2, "card": 1}
        [first, _] = [result["id"] for result in added["results"]]
        await memory.update(str(first), "Or to rui@example.com.")
        assert (await memory.get(str(first)))["memory"] == "Or to [email]."
        kept = str(await exported(memory)) + str(await memory.history(str(first)))
        assert not [secret for secret in ("example.com", "4111", "912") if secret in kept]

    run(scenario)


def test_what_a_program_says_itself_is_kept_as_it_is() -> None:
    async def scenario(memory: Engine) -> None:
        metadata = {"mail": "maya@example.com"}
        await memory.add("The gate is blue.", user_id="maya@example.com", metadata=metadata)
        [result] = (await memory.get_all(user_id="maya@example.com", filters=metadata))["results"]
        assert result["metadata"] == metadata

    run(scenario)


def test_imports_are_redacted_with_their_history(tmp_path: Path) -> None:
    async def scenario(memory: Engine) -> None:
        added = await memory.add(SECRETS, user_id="maya")
        await memory.update(str(added["results"][0]["id"]), f"{SECRETS} Soon.")
        records = await exported(memory)
        assert "4111" in str(records)
        owed = {"turns": [added["results"][0]["id"]], "kind": "facts", "made_at": "2025-01-01"}
        owed |= {"answer": SECRETS, "error": SECRETS}
        records.append({"perdure": 1, "type": "job", "id": "j", "owner": "user:maya", **owed})
        store = SqliteStore(path=tmp_path / "other.db")
        async with Engine(store=store, settings=Settings(redact=ALL)) as other:
            done = await other.import_records(records)
            assert done["redacted"].keys() == {"email", "phone", "card"}
            kept = str(await exported(other))
            assert "4111" not in kept
            assert f"{HIDDEN} Soon." in kept
            assert [(job["answer"], job["error"]) for job in await other.pending()] == [(HIDDEN, HIDDEN)]

    run(scenario, settings=Settings())


def test_a_function_of_ones_own_is_asked_first_and_what_it_leaves_empty_is_skipped() -> None:
    def no_names(text: str) -> Redacted:
        return Redacted(
            text.replace("Maya", "[name]"), {"name": text.count("Maya")} if "Maya" in text else {}
        )

    def nothing(text: str) -> Redacted:
        return Redacted("", {"all": 1})

    async def scenario(memory: Engine) -> None:
        added = await memory.add("Maya is at maya@example.com.", user_id="maya")
        assert added["results"][0]["memory"] == "[name] is at [email]."
        assert added["receipt"]["redacted"] == {"name": 1, "email": 1}

    async def emptied(memory: Engine) -> None:
        with pytest.raises(InvalidInput, match="nothing to remember"):
            await memory.add("Maya", user_id="maya")

    run(scenario, redactor=no_names)
    run(emptied, redactor=nothing)


def test_a_redactor_that_fails_keeps_everything_out() -> None:
    def broken(text: str) -> Redacted:
        raise RuntimeError("no idea")

    async def scenario(memory: Engine) -> None:
        with pytest.raises(RuntimeError):
            await memory.add(SECRETS, user_id="maya")
        assert await exported(memory) == []

    run(scenario, redactor=broken)


def test_it_is_configured_by_name_and_a_name_that_there_is_not_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PERDURE_SETTINGS__REDACT", '["card", "email"]')
    assert AsyncMemory().config.settings.redact == ("card", "email")
    with pytest.raises(ConfigurationError, match="redact"):
        AsyncMemory({"settings": {"redact": ["names"]}})
    with pytest.raises(ValueError, match="give any of card, email, iban, key, phone"):
        replace(Settings(), redact=("names",))
