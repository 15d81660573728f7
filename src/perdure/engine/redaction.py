"""What must not be stored, replaced by its kind: e-mail addresses, keys, bank accounts, cards, telephone numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

from perdure.ports import Job, Key, Redacted, Redactor
from perdure.settings import Secret
from perdure.types import Change, Claim, Memory, Relation, Turn

Span: TypeAlias = tuple[int, int]

LONGEST_WORD: Final = 1_000
"""A longer attachment without a blank is data (a picture as base64), and is left as it is."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Replaces what these rules find by `[card]`, `[email]`, `[iban]`, `[key]` and `[phone]`.

    Time is proportional to the length of the text, whatever it holds. Rules find what is written as it usually is;
    they are no proof that nothing is left.
    """

    kinds: Sequence[Secret]

    def __call__(self, text: str) -> Redacted:
        """The text without them, and how many of each there were."""
        found: Counter[str] = Counter()
        for rule in _RULES:
            if rule.kind in self.kinds:
                text, count = _replaced(text, rule)
                found[rule.kind] += count
        return Redacted(text, +found)


class Tally:
    """Redacts the parts of one call, and counts what was found in them."""

    def __init__(self, redactors: Sequence[Redactor]) -> None:
        self._redactors = redactors
        self.found: Counter[str] = Counter()

    def text(self, text: str) -> str:
        """A text as it may be stored."""
        for redactor in self._redactors:
            text, found = redactor(text)
            self.found.update(found)
        return text

    def name(self, text: str | None) -> str | None:
        """A speaker's name, if there is one."""
        return None if text is None else self.text(text)

    def value(self, value: Any) -> Any:
        """A value of JSON with all texts in it as they may be stored; its keys, and data in it, stay."""
        if not self._redactors:
            return value
        if isinstance(value, str):
            data = value.startswith("data:") or (len(value) > LONGEST_WORD and not re.search(r"\s", value))
            return value if data else self.text(value)
        if isinstance(value, Mapping):
            return {name: self.value(part) for name, part in value.items()}
        return [self.value(part) for part in value] if isinstance(value, (list, tuple)) else value

    def record(self, record: Turn | Memory | Change | Key | Job) -> Turn | Memory | Change | Key | Job:
        """What an import brings, as it may be stored."""
        match record:
            case Turn():
                attachments = tuple(self.value(part) for part in record.attachments)
                named = self.name(record.speaker)
                return replace(record, text=self.text(record.text), speaker=named, attachments=attachments)
            case Memory():
                return replace(
                    record,
                    text=self.text(record.text),
                    speaker=self.name(record.speaker),
                    claim=self._claim(record.claim),
                    relations=tuple(map(self._relation, record.relations)),
                )
            case Change():
                old, new = self.name(record.old_text), self.name(record.new_text)
                return replace(record, old_text=old, new_text=new)
            case Job():
                return replace(record, error=self.name(record.error), answer=self.name(record.answer))
            case Key():
                return record

    def _claim(self, claim: Claim | None) -> Claim | None:
        return claim and replace(
            claim, subject=self.text(claim.subject), attribute=self.text(claim.attribute)
        )

    def _relation(self, edge: Relation) -> Relation:
        return Relation(
            subject=self.text(edge.subject), relation=self.text(edge.relation), object=self.text(edge.object)
        )


class _Rule(NamedTuple):
    kind: Secret
    pattern: re.Pattern[str]
    """Linear: whatever repeats has a bound or cannot begin again inside of what it went over."""
    spans: Callable[[re.Match[str]], Sequence[Span]]
    """The parts of a match that are of the kind; none, when it only looked so."""


def _replaced(text: str, rule: _Rule) -> tuple[str, int]:
    parts: list[str] = []
    end = count = 0
    for start, stop in (span for match in rule.pattern.finditer(text) for span in rule.spans(match)):
        if start >= end:
            parts += [text[end:start], f"[{rule.kind}]"]
            end, count = stop, count + 1
    return ("".join([*parts, text[end:]]), count) if count else (text, 0)


def _whole(match: re.Match[str]) -> Sequence[Span]:
    return [match.span()]


# ---- keys

_BEGUN: Final = re.compile(
    r"(?<![\w-])(?:"
    r"-----BEGIN (?:[A-Z]{1,12} ){0,3}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{4,}(?:\.[\w-]*)?"
    r"|(?:sk|pk|rk)[-_][\w-]{16,}"
    r"|gh[opusr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abeoprs]-[\w-]{10,}|xapp-[\w-]{10,}"
    r"|(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}"
    r"|AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}|pypi-[\w-]{20,}"
    r"|(?:hf|npm|gsk|dop_v1|shpat|shpss|r8|whsec)_[A-Za-z0-9]{20,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}"
    r")"
)
"""Private keys, and tokens that tell by how they begin what they are."""
_BEARER: Final = re.compile(r"\b[Bb]earer[ \t]{1,4}(?=([\w.~+/=-]{12,2000}))")
_ASSIGNED: Final = re.compile(
    r"(?<![A-Za-z])(?:api[ _-]?key|access[ _-]?(?:key|token)|auth[ _-]?token|secret[ _-]?(?:access[ _-]?)?key|token"
    r"|secret|passwor[dt]|passwd|pwd)(?:[ \t]{1,3}is[ \t]|[\"']?[ \t]{0,3}[:=])[ \t]{0,3}[\"']?"
    r"(?=([^\s\"',;\[\]]{6,200}))",
    re.IGNORECASE,
)
_RANDOM: Final = re.compile(r"(?<![A-Za-z0-9_+=-])[A-Za-z0-9_+=-]{20,}")
_RANDOM_40: Final = re.compile(r"(?<![A-Za-z0-9/+=.:_-])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX: Final = re.compile(r"[0-9a-fA-F]{32,}")
_SWITCHES: Final = 0.4
"""So often lower case, upper case and digits change between neighbours, at least; in random letters it is 0.6."""
_SWITCHES_OF_NAMES: Final = 0.55
"""The same, where digits stand in one place only, as in `NamesWrittenTogether2024` (0.3, with short words 0.5)."""


def _with_digit(match: re.Match[str]) -> Sequence[Span]:
    return _whole(match) if match[0].startswith("-----") or re.search(r"\d", match[0]) else []


def _value(match: re.Match[str]) -> Sequence[Span]:
    """What follows, when it is no word: it has a digit, and something else."""
    value = match[1].rstrip(".!?)")
    start = match.start(1)
    is_word = not re.search(r"\d", value) or value.isdecimal()
    return [] if is_word or len(value) < _LEAST_VALUE else [(start, start + len(value))]


_LEAST_VALUE: Final = 6


def _if_random(match: re.Match[str]) -> Sequence[Span]:
    return _whole(match) if _is_random(match[0]) else []


def _is_random(text: str) -> bool:
    """Whether letters and digits stand as nobody writes them; ids of the usual form (UUID) aside."""
    letters = re.sub(r"[^A-Za-z0-9]", "", text)
    digits = sum(map(str.isdecimal, letters))
    if min(digits, len(letters) - digits) < 2 or _UUID.fullmatch(text):  # two
        return False
    if _HEX.fullmatch(letters):
        return min(digits, len(letters) - digits) >= len(letters) / 8
    switches = sum(_case(one) != _case(other) for one, other in pairwise(letters))
    bound = _SWITCHES if len(re.findall(r"[0-9]+", letters)) > 1 else _SWITCHES_OF_NAMES
    return switches >= bound * (len(letters) - 1)


def _case(letter: str) -> int:
    return 0 if letter.isdecimal() else 1 if letter.islower() else 2


# ---- addresses and numbers

_SPACE: Final = "[ \u00a0\u2009\u202f]"
_JOINT: Final = "[ \u00a0\u2009\u202f\u2010-\u2013-]"
"""What people write between groups of digits."""

_EMAIL: Final = re.compile(
    r"[\w.+%~-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:xn--[A-Za-z0-9-]{2,59}|[^\W\d_]{2,24})(?![^\W_])"
)
_IBAN: Final = re.compile(rf"(?<![A-Za-z0-9])(?=([A-Za-z]{{2}}[0-9]{{2}}(?:{_SPACE}?[A-Za-z0-9]){{11,30}}))")
_IBAN_LENGTHS: Final[Mapping[str, int]] = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FO FI FK GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU XK MN",
        21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC",
        32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
"""Letters and digits of an account number (ISO 13616), by country."""
_CARD: Final = re.compile(rf"(?<![0-9])(?<![0-9][.,])[0-9](?:{_JOINT}?[0-9]){{12,}}")
_ISSUERS: Final = re.compile(r"2[2-7]|3[0-9]|4|5[0-8]|6")
_CARD_DIGITS: Final = range(13, 20)
_PHONE: Final = re.compile(
    r"(?<![\w+.-])(?:"
    r"(?:\+|00(?=[1-9]))[0-9](?:[ ().\u00a0\u2009\u202f\u2010-\u2013/-]{0,2}[0-9]){7,14}(?![0-9])"
    r"|(?:1[ .-])?(?:\([0-9]{3}\) ?|[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}(?![\w-])"
    r"|0[1-9](?:[ .-][0-9]{2}){4}(?![\w-])"
    r"|0[1-9][0-9]{8,9}(?![\w-])"
    r"|(?:\(0[0-9]{2,4}\)|0[0-9]{2,4})[ /-]{1,2}[0-9]{3,8}(?:[ -][0-9]{2,5}){0,3}(?![\w-])"
    r")"
)


def _account(match: re.Match[str]) -> Sequence[Span]:
    """The account number at the beginning of the match, if its length and its check digits are right."""
    text, start = match[1], match.start(1)
    length = _IBAN_LENGTHS.get(text[:2].upper(), 0)
    places = [place for place, letter in enumerate(text) if letter.isalnum()]
    if not length or len(places) < length:
        return []
    end = places[length - 1] + 1
    following = match.string[start + end : start + end + 1]
    if following.isalnum():
        return []
    letters = re.sub(_SPACE, "", text[:end])
    number = int("".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4]))
    return [(start, start + end)] if number % 97 == 1 else []  # ISO 7064, MOD 97-10


def _cards(match: re.Match[str]) -> Sequence[Span]:
    """The card numbers among groups of digits: whole groups, as they are printed, with the right check digit."""
    groups = [(found.start(), found.end()) for found in re.finditer(r"[0-9]+", match[0])]
    offset, found, last = match.start(), [], -1
    for first, (start, _) in enumerate(groups):
        if first > last and (after := _card_from(match[0], groups, first)):
            last = after - 1
            found.append((offset + start, offset + groups[last][1]))
    return found


def _card_from(text: str, groups: Sequence[Span], first: int) -> int | None:
    """The place after the last group of the card number that begins with this one."""
    digits = ""
    for place in range(first, len(groups)):
        start, end = groups[place]
        if end - start > max(_CARD_DIGITS) or len(digits) + end - start > max(_CARD_DIGITS):
            return None
        digits += text[start:end]
        if len(digits) in _CARD_DIGITS and _ISSUERS.match(digits) and _luhn(digits):
            return place + 1
        if len(digits) < 4 or end - start < 3:  # groups have three digits at least, the first has four
            return None
    return None


def _luhn(digits: str) -> bool:
    """Whether the last digit is the check of the others (ISO/IEC 7812-1)."""
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(number - 9 * (number > 9) for number in doubled) % 10 == 0


def _phone(match: re.Match[str]) -> Sequence[Span]:
    digits = sum(map(str.isdecimal, match[0]))
    least = 8 if match[0].startswith("+") else 9
    return _whole(match) if digits >= least else []


_RULES: Final[Sequence[_Rule]] = (
    _Rule("email", _EMAIL, _whole),
    _Rule("key", _BEGUN, _with_digit),
    _Rule("key", _BEARER, _value),
    _Rule("key", _ASSIGNED, _value),
    _Rule("key", _RANDOM_40, _if_random),
    _Rule("key", _RANDOM, _if_random),
    _Rule("iban", _IBAN, _account),
    _Rule("card", _CARD, _cards),
    _Rule("phone", _PHONE, _phone),
)
