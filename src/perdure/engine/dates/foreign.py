"""Times in other languages than English, put into English, so that the same rules resolve them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple

from perdure.engine.dates.languages import spoken
from perdure.engine.dates.vocabulary import Vocabulary, Word, fold, vocabulary


class Piece(NamedTuple):
    """A part of a text and its English."""

    start: int
    end: int
    english: str


class Placed(NamedTuple):
    """Where a piece is in the translation, and the original."""

    place: int
    length: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Translation:
    """A text in which only the times are English, and nothing else can be read as English."""

    text: str
    original: str
    pieces: Sequence[Placed]

    def words(self, start: int, end: int) -> str:
        """What stood in the original for a part of `text`."""
        return self.original[self._origin(start) : self._origin(end, end=True)].rstrip(". ")

    def _origin(self, place: int, *, end: bool = False) -> int:
        number = bisect_right(self.pieces, place - end, key=attrgetter("place")) - 1
        if number < 0:
            return place
        piece = self.pieces[number]
        behind = place - piece.place - piece.length
        if behind < 0 or (end and behind == 0):
            return piece.end if end else piece.start
        return piece.end + behind


def translate(text: str, low: str, words: Sequence[str], language: str | None) -> Translation | None:
    """The text with its times in English; None where it speaks of none in a language that is read.

    Args:
        low: the text in lower case, character for character.
        words: its words in Latin letters.
        language: what the text is taken for (an ISO code); None and "en" are guesses that its words may correct.
    """
    code = spoken(low, words, language)
    if code is None:
        return None
    known, folded = vocabulary(code), fold(low)
    if known.spaced and not _YEAR.search(folded) and known.triggers.isdisjoint(known.pattern.findall(folded)):
        return None
    pieces = list(_pieces(_tagged(folded, text, known), folded, text))
    return _assembled(text, pieces, spaced=known.spaced) if pieces else None


class _Token(NamedTuple):
    tag: str
    english: str
    start: int
    end: int


def _tagged(folded: str, text: str, known: Vocabulary) -> list[_Token]:
    """The words that are known, and what separates them."""
    found = list(known.pattern.finditer(folded))
    tokens = [_Token("|", "", 0, 0)]
    place = 0
    while place < len(found):
        start, before = found[place].start(), tokens[-1].end
        if not known.between.fullmatch(folded, before, start):
            tokens.append(_Token(_gap(folded[before : min(start, before + 4)]), "", before, start))
        word, count = _look_up(found, place, folded, known)
        end = found[place + count - 1].end()
        if folded[start:end] in known.names and _is_name(text, start, end):
            word = _OTHER
        tokens.append(_Token(word.tag, word.english, start, end))
        place += count
    return tokens


def _gap(between: str) -> str:
    """A point, a comma or a hyphen, or anything that separates."""
    mark = between.rstrip()
    return mark if mark in (".", ",", "-") and len(between) <= 3 else "|"


def _look_up(found: Sequence[re.Match[str]], place: int, folded: str, known: Vocabulary) -> tuple[Word, int]:
    """What stands at a place, and of how many words it is."""
    text = found[place][0]
    if text[0].isdecimal():
        return _number(text), 1
    for rest, word in known.words.get("".join(text.split()), ()):
        ends = [match.end() for match in found[place : place + len(rest)]]
        more = found[place + 1 : place + 1 + len(rest)]
        if [match[0] for match in more] == list(rest) and all(
            _JOINED.fullmatch(folded, end, match.start()) for end, match in zip(ends, more, strict=True)
        ):
            return word, 1 + len(rest)
    return _OTHER, 1


def _number(text: str) -> Word:
    """A number that may count or be a day, a year, or a clock; others are no part of a time."""
    if text.isdecimal():
        if len(text) <= 3:
            return Word("#", str(int(text)))
        return Word("Y", str(int(text))) if len(text) == 4 and 1900 <= int(text) < 2100 else _OTHER
    if match := _CLOCK.fullmatch(text):
        return Word("K", f"{int(match[1])}:{match[2] or '00'}")
    return Word("#", str(int(match[1]))) if (match := _ORDINAL.fullmatch(text)) else _OTHER


def _is_name(text: str, start: int, end: int) -> bool:
    """Whether a capital letter is not only that of a sentence, nor the word a greeting."""
    before = text[max(0, start - 4) : start].rstrip(" \n\"'„“»(")[-1:]
    return text[start].isupper() and (before not in ("", *".!?:;") or text[end : end + 1] in ("", *",.!"))


def _pieces(tokens: Sequence[_Token], folded: str, text: str) -> Iterator[Piece]:
    """The times, and the words before them that say which, in English."""
    letters = "".join(token.tag for token in tokens)
    done = 0
    for match in _TIMES.finditer(letters):
        said = tokens[match.start() : match.end()]
        english = _english(_TEMPLATES[int((match.lastgroup or "r0")[1:])], said, folded)
        leads = _LEADS.search(letters, max(done, match.start() - 6), match.start())
        if not english or _THAT.match(folded, said[-1].end) or (match[0] == "Y" and not (leads and _is_year(leads[0], text, said[0].end))):
            continue
        if leads:
            yield from _leads(tokens, leads.start(), match.start())
        done, end = match.end(), said[-1].end
        if clock := _HOUR.match(letters, done):
            done, end = clock.end(), tokens[clock.end() - 1].end
            part = next((word for word in (*english.split(), tokens[done - 1].english) if word in _PARTS), "")
            english = f"{english.removesuffix(part).strip()} at {_hour(tokens[clock.start('hour')].english, part)}"
        yield Piece(said[0].start, end, english)


def _hour(clock: str, part: str) -> str:
    """A clock of 24 hours: "8" in the evening is 20:00."""
    hour, _, minute = clock.partition(":")
    late = int(hour) < 12 and (part in ("afternoon", "evening") or (part == "night" and int(hour) > 5))
    return f"{int(hour) + 12 * late}:{minute or '00'}"


def _english(template: str, said: Sequence[_Token], folded: str) -> str:
    """A template with the words that were said; days are numbers up to 31 ("ein Mai" is none)."""
    fields = dict.fromkeys(("which", "weekday", "month", "year", "number", "unit", "season", "part", "time"), "")
    for token in said:
        if token.tag in "CX":
            fields["which"], fields["unit"] = token.english.split()
        elif name := _FIELDS.get(token.tag):
            fields[name] = fields[name] or token.english
    days = [t.english for t in said if t.tag == "#" and (folded[t.start].isdecimal() or t.english.isdecimal() and t.english != "1")]
    of_year = f"{fields['which']} year" if fields["unit"] == "year" else ""
    return " ".join(template.format(days="-".join(days), of_year=of_year, **fields).split())


def _leads(tokens: Sequence[_Token], first: int, core: int) -> Iterator[Piece]:
    """The words before a time, each with the article behind it."""
    places = [place for place in range(first, core) if tokens[place].tag in _LEAD]
    for place, following in zip(places, (*places[1:], core), strict=True):
        yield Piece(tokens[place].start, tokens[following].start, f"{_LEAD[tokens[place].tag]} ")


def _is_year(lead: str, text: str, end: int) -> bool:
    """Whether a number behind a word that leads to it is a year, and counts nothing: "en 2000 palabras"."""
    counted = _COUNTED.match(text, end)
    if not counted:
        return True
    word = counted["word"] or ""
    counts = not word or word[0].isupper() or word.endswith("s") or text[end - 3 : end] == "000"
    return bool(word) and not (counts and lead[-1] in "ij")


def _assembled(text: str, pieces: Sequence[Piece], *, spaced: bool) -> Translation:
    """The English of the pieces where they stood, and between them nothing that could be English."""
    placed, parts, length, place = [], [], 0, 0
    for piece, following in zip(pieces, (*pieces[1:], None), strict=True):
        english = piece.english if spaced else f" {piece.english.strip()} "
        if _DIGIT_BEFORE.search(text, max(place, piece.start - 4), piece.start):
            english = f";{english}"
        if _DIGIT_BEHIND.match(text, piece.end) and not (following and following.start == piece.end):
            english = f"{english};"
        between = _masked(text[place : piece.start])
        placed.append(Placed(length + len(between), len(english), piece.start, piece.end))
        parts += between, english
        length, place = length + len(between) + len(english), piece.end
    return Translation("".join((*parts, _masked(text[place:]))), text, placed)


def _masked(text: str) -> str:
    """Latin letters hidden, and "version", which tells that what follows is no date."""
    parts = _VERSION.split(text)
    return "".join(part if number % 2 else part.translate(_MASK) for number, part in enumerate(parts))


_UNIT = "[UVpwA]"
_N = "(?<!#)(?<!#&)#"
_PERIOD = "(?:C|[LQ][UVA]|[UV][lQ])"
_WEEK = "(?:X|[LQ]V|V[lQ])"

_RULES: Final = (
    # each letter is a word, see `vocabulary.TAGS`; where two could begin, the one that is written first is tried first
    (r"e[ct]*W(?![lQ])", ""),  # every Monday
    (rf"(?:W[,.]?[cet]*)?(?:#(?:\.?n|-))?#\.?c?M(?:[,c]*Y|[ct]*{_PERIOD})?", "{days} {month} {year} {of_year}"),
    (r"#\.?m\.?Y", "{days} {month} {year}"),
    (r"M[,c]*Y?Z", "since {month} {year}"),
    (r"YZ", "since {year}"),
    (r"M[c]*Y?I", "in {month} {year}"),
    (r"Y[Up]?I", "in {year}"),
    (r"M[,c]*Y", "{month} {year}"),
    (rf"M[ct]*{_PERIOD}", "{month} {of_year}"),
    (r"[LQ]M|M[lQ]", "{which} {month}"),
    (rf"{_WEEK}[,ct]*WP?|W[,ct]*{_WEEK}P?", "{weekday} {which} week {part}"),
    (r"[LQ]c?WP?|W[lQ]P?", "{which} {weekday} {part}"),
    (r"S[ct]*Y", "{season} {year}"),
    (rf"S[ct]*{_PERIOD}", "{season} {of_year}"),
    (r"[LQ]S|S[lQ]", "{which} {season}"),
    (r"[LQ]E|E[lQ]", "{which} weekend"),
    (r"[ijo]t?E", "on the weekend"),
    (rf"(?:s[gj]?|r)#{_UNIT}", "since {number} {unit}s ago"),
    (rf"[LQz]#{_UNIT}|#z{_UNIT}", "{which} {number} {unit}s"),
    (rf"[gvw]#{_UNIT}|{_N}{_UNIT}G", "{number} {unit}s ago"),
    (r"(?<!#)AG", "1 {unit} ago"),
    (rf"[hj]#{_UNIT}|{_N}{_UNIT}H", "in {number} {unit}s"),
    (r"hA", "in 1 {unit}"),
    (r"[LQ][UVA]|[UV][lQ]", "{which} {unit}"),
    (r"[LQ]P", "{which} {part}"),
    (r"[DW],?[cet]*P", "{time} {weekday} {part}"),
    (r"D", "{time}"),
    (r"[CX]", "{which} {unit}"),
    (r"W", "{weekday}"),
    (r"M", "{month}"),
    (r"[UpA]c?Y", "year {year}"),
    (r"Y", "{year}"),
)
_TEMPLATES: Final = tuple(template for _, template in _RULES)
_TIMES: Final = re.compile("|".join(f"(?P<r{number}>{pattern})" for number, (pattern, _) in enumerate(_RULES)))
_FIELDS: Final = {
    **dict.fromkeys("LlQz", "which"), **dict.fromkeys("UVpwA", "unit"), **dict.fromkeys("Mm", "month"),
    "W": "weekday", "Y": "year", "#": "number", "S": "season", "P": "part", "D": "time",
}  # fmt: skip
_LEAD: Final = {
    "s": "since", "w": "since", "i": "in", "j": "in", "o": "on", "n": "until", "b": "before", "v": "before", "a": "after",
    "B": "between", "h": "between", "r": "of", "f": "from", "q": "early", "&": "and",
}  # fmt: skip
_LEADS: Final = re.compile(rf"(?:[{''.join(_LEAD)}][te-]*)+$")
_HOUR: Final = re.compile(r",?[kijo]?t?(?P<hour>K|#(?=u))u?P?")
_PARTS: Final = frozenset({"morning", "afternoon", "evening", "night"})
_THAT: Final = re.compile(r"-la\b")
"""French for another than the present one: "cette semaine-là"."""

_OTHER: Final = Word("x", "")
_JOINED: Final = re.compile(r"[\s'-]{1,3}|")
_CLOCK: Final = re.compile(r"([01]?\d|2[0-3])[:h]([0-5]\d)?")
_ORDINAL: Final = re.compile(r"(\d{1,2})\D{1,4}")
_YEAR: Final = re.compile(r"(?:19|20)\d\d")
_COUNTED: Final = re.compile(r"\s{0,2}(?:[%€$£¥₽₩₹°]|(?P<word>[^\W\d_]+))")
_DIGIT_BEFORE: Final = re.compile(r"[0-9]\W{0,3}$")
_DIGIT_BEHIND: Final = re.compile(r"\W{0,3}[0-9]")
"""A number beside a time that is no part of it must not become one: "en mars 15 personnes"."""
_VERSION: Final = re.compile(r"(version)", re.IGNORECASE)
_MASK: Final = {ord(letter): "_" for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"}
