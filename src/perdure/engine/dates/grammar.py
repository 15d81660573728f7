"""How languages build times out of words: patterns of kinds of words, and the English for each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from perdure.engine.dates.translation import Piece


class Token(NamedTuple):
    """A word or number of a text, or what separates two of them."""

    tag: str
    """What it is: a letter of `vocabulary.TAGS`, or the mark of punctuation, or | for anything that separates."""
    english: str
    start: int
    end: int


def pieces_of(tokens: Sequence[Token], text: str) -> list[Piece]:
    """The times, and the words before them that tell how they are meant, in English."""
    letters = "".join(token.tag for token in tokens)
    pieces: list[Piece] = []
    done = 0
    for match in _TIMES.finditer(letters):
        said = tokens[match.start() : match.end()]
        leads = _LEADS.search(letters, max(done, match.start() - _LEAD_WORDS), match.start())
        english = _english(_TEMPLATES[int((match.lastgroup or "r0")[1:])], said, text)
        if not english or not _is_time(said, leads, text):
            continue
        if leads:
            pieces += _leads(tokens, leads.start(), match.start())
        done = match.end()
        if clock := _HOUR.match(letters, done):
            done = clock.end()
            english = _at(english, tokens[clock.start("hour")].english, tokens[done - 1].english)
        pieces.append(Piece(said[0].start, tokens[done - 1].end, english))
    return pieces


def _is_time(said: Sequence[Token], leads: re.Match[str] | None, text: str) -> bool:
    """False for what has the form of a time only."""
    last = said[-1]
    if last.tag == "H":
        # Inside of a clause, "two weeks later" may be later than anything.
        start = said[0].start
        return not text[max(0, start - 8) : start].rstrip()[-1:].isalnum()
    if _THAT.match(text, last.end):
        return False
    if len(said) == 1 and last.tag == "Y":
        return leads is not None and not (leads[0][-1] in "ij" and _is_counted(text, last.end))
    return True


def _is_counted(text: str, end: int) -> bool:
    """Whether the number that ends there counts something: "en 2000 palabras", "in 2000 Metern"."""
    match = _COUNTED.match(text, end)
    if not match or not (word := match["word"]):
        return match is not None
    return word[0].isupper() or word.endswith("s") or text[end - 3 : end] == "000"


def _english(template: str, said: Sequence[Token], text: str) -> str:
    """A template with the words that were said."""
    fields = dict.fromkeys(_FIELDS.values(), "")
    for token in said:
        if token.tag in "CX":
            fields["which"], fields["unit"] = token.english.split()
        elif name := _FIELDS.get(token.tag):
            fields[name] = fields[name] or token.english
    # "Ein Mai" is no day: one is an article in most languages.
    days = [
        t.english
        for t in said
        if t.tag == "#" and (text[t.start].isdecimal() or t.english not in ("1", "a few"))
    ]
    of_year = f"{fields['which']} year" if fields["unit"] == "year" else ""
    whole = {"days": "-".join(days), "of_year": of_year, **_wholes(fields, days, of_year)}
    return " ".join(template.format(**whole, **fields).split())


def _wholes(fields: Mapping[str, str], days: Sequence[str], of_year: str) -> dict[str, str]:
    """What is a time with certain units only; with others nothing of it is."""
    month = fields["month"] or fields["time"]
    in_month = len(days) == 1 and fields["unit"] == "month"
    return {
        "in_year": f"{'-'.join(days)} {month} {of_year}" if of_year else "",
        "in_month": f"the {days[0]}th of {fields['which']} month" if in_month else "",
        "in_days": f"in {fields['number']} days" if fields["unit"] == "day" else "",
        "away": fields["time"] or f"{fields['number']} {fields['unit']}s ago",
    }


def _leads(tokens: Sequence[Token], first: int, time: int) -> Iterator[Piece]:
    """The words before a time, each with the article behind it."""
    places = [place for place in range(first, time) if tokens[place].tag in _LEAD]
    for place, following in zip(places, (*places[1:], time), strict=True):
        yield Piece(tokens[place].start, tokens[following].start, f"{_LEAD[tokens[place].tag]} ")


def _at(english: str, clock: str, behind: str) -> str:
    """A day with a clock; "8" in the evening is 20:00, and the evening is said by it."""
    part = next((word for word in (*english.split(), behind) if word in _PARTS), "")
    hour, _, minute = clock.partition(":")
    late = int(hour) < 12 and (part in ("afternoon", "evening") or (part == "night" and int(hour) > 5))
    return f"{english.removesuffix(part).strip()} at {int(hour) + 12 * late}:{minute or '00'}"


_UNIT = "[UVpwA]"
_COUNT = "(?<!#)(?<!#&)#"
_PERIOD = "(?:C|[LQ][UVA]|[UV][lQ])"
_WEEK = "(?:X|[LQ]V|V[lQ])"
_AWAY = f"(?:[gvwhj]#{_UNIT}|hA|#{_UNIT}[GH]|AG)"

_RULES: Final = (
    # Where two could begin, the one that is written first is tried first; what is in English "" is no time.
    (r"e[ct]*W(?![lQ])", ""),  # every Monday
    (r"N\.?c?#\.?c?M(?:[,c]*Y)?|#\.?c?MN", ""),  # a street
    (rf"O(?:[WMSEPA]|{_UNIT})", ""),  # the Tuesday after next
    (rf"[gvwhjsr]*(?:#{_UNIT}|A)(?:&?F|&#{_UNIT})[GH]?", ""),  # a year and a half ago
    (r"D&?F", ""),
    (rf"T(?:[hj]t?|t)#{_UNIT}", "{in_days}"),  # eight days from today
    (rf"[DTW](?:{_AWAY}|i#(?![.u]*[UVpwAMu]))|{_AWAY}[io]*[TW]", ""),  # today a year ago, Monday week
    (rf"{_PERIOD}[,cijkot]*(?:(?:e?#(?:\.?n|-))?e?#\.?c?)?MI?(?![,c]*Y)", "{in_year}"),
    (rf"{_PERIOD},?d", "{in_year}"),
    (rf"(?:y|[gvw]#{_UNIT}|{_COUNT}{_UNIT}G)[,cijkot]*(?:e?#\.?c?)?MI?(?![,c]*Y)", "{away}"),
    (rf"#(?:\.|c)[ct]*{_PERIOD}|{_PERIOD},?[eo]#(?!\.?[UVpwAMnu-]|#)", "{in_month}"),
    (r"R[,ctio]*WP?|W[,ct]*R", "{weekday} {time} {part}"),
    (rf"(?:W[,.]?[cet]*)?(?:#(?:\.?n|-))?#\.?c?M(?:[,c]*Y|[ct]*{_PERIOD})?", "{days} {month} {year} {of_year}"),
    (r"#\.?m\.?Y", "{days} {month} {year}"),
    (r"M[,c]*Y?Z", "since {month} {year}"),
    (r"YZ", "since {year}"),
    (r"M[c]*Y?I", "in {month} {year}"),
    (r"Y[Up]?I", "in {year}"),
    (r"M[,c]*Y", "{month} {year}"),
    (rf"M[ct]*{_PERIOD}", "{month} {of_year}"),
    (r"[LQ]M|M[lQ]", "{which} {month}"),
    (rf"{_WEEK}[,ctio]*WP?|W[,ct]*{_WEEK}P?", "{weekday} {which} week {part}"),
    (r"[LQ]c?WP?|W[lQ]P?", "{which} {weekday} {part}"),
    (r"S[ct]*Y", "{season} {year}"),
    (rf"S[ct]*{_PERIOD}", "{season} {of_year}"),
    (r"[LQ]S|S[lQ]", "{which} {season}"),
    (r"[LQ]E|E[lQ]", "{which} weekend"),
    (r"[ijo]t?E(?![lQ])", "on the weekend"),
    (rf"(?:s[gj]?|r)#{_UNIT}", "since {number} {unit}s ago"),
    (rf"[LQz]#{_UNIT}|#z{_UNIT}", "{which} {number} {unit}s"),
    (rf"[gvw]#{_UNIT}|{_COUNT}{_UNIT}G", "{number} {unit}s ago"),
    (r"(?<!#)AG", "1 {unit} ago"),
    (rf"[hj]#{_UNIT}|{_COUNT}{_UNIT}H", "in {number} {unit}s"),
    (r"hA", "in 1 {unit}"),
    (r"[LQ][UVA]|[UV][lQ]", "{which} {unit}"),
    (r"[LQ]P", "{which} {part}"),
    (r"[DTW],?[cet]*P", "{time} {weekday} {part}"),
    (r"[DTRyd]", "{time}"),
    (r"[CX]", "{which} {unit}"),
    (r"W", "{weekday}"),
    (r"M", "{month}"),
    (r"[UpA]c?Y", "year {year}"),
    (r"Y", "{year}"),
)  # fmt: skip
_TEMPLATES: Final = tuple(template for _, template in _RULES)
_TIMES: Final = re.compile(
    "|".join(f"(?P<r{number}>{pattern})" for number, (pattern, _) in enumerate(_RULES))
)
_FIELDS: Final = {
    **dict.fromkeys("LlQz", "which"), **dict.fromkeys("UVpwA", "unit"), **dict.fromkeys("Mm", "month"),
    "W": "weekday", "Y": "year", "#": "number", "S": "season", "P": "part",
    **dict.fromkeys("DTRyd", "time"),
}  # fmt: skip
_LEAD: Final = {
    "s": "since", "w": "since", "i": "in", "j": "in", "o": "on", "n": "until", "b": "before", "v": "before", "a": "after",
    "B": "between", "h": "between", "r": "of", "f": "from", "q": "early", "&": "and",
}  # fmt: skip
_LEADS: Final = re.compile(rf"(?:[{''.join(_LEAD)}][te-]*)+$")
_LEAD_WORDS: Final = 6
_HOUR: Final = re.compile(r",?[kijo]?t?(?P<hour>K|#(?=u))u?P?")
_PARTS: Final = frozenset({"morning", "afternoon", "evening", "night"})
_THAT: Final = re.compile(r"-l[aà]\b", re.IGNORECASE)
"""French for another than the present one: "cette semaine-là"."""
_COUNTED: Final = re.compile(r"\s{0,2}(?:[%€$£¥₽₩₹°]|(?P<word>[^\W\d_]+))")
