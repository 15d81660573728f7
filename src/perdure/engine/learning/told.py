"""What a sentence says as far as rules can tell: what two have in common if they say the same."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from perdure.engine.words.language import token
from perdure.engine.words.segment import normalize, segment

_DENIALS: Final = frozenset(
    """not no never nobody nothing neither nor without cannot hardly kein keine keinen keiner keinem keines keinerlei
    nicht nie niemals ohne ne pas jamais sans no nunca sin non mai senza não nunca sem нет не никогда без नहीं لا ليس
    بدون""".split()  # noqa: SIM905  # readable
)
_DENYING: Final = re.compile("n['’]t\\b|ない|ません|なかった|[不没沒無未]|[않없못]|ไม่")
"""The same inside of words, and where there are no spaces between them."""
_TURNING: Final = frozenset(
    """almost ex former formerly was were had used from to before after until since on off out more less war hatte von
    nach vor bis seit ab aus était avait de à avant après jusque depuis era desde hasta antes después""".split()  # noqa: SIM905  # readable
)
"""Words that turn what a sentence says into its past, its other direction, its reverse."""
_NUMBER: Final = re.compile(r"(?:(?<=\s)[-−])?\d+(?:[.,:]\d+)*")
_NUMBER_WORDS: Final = {
    word: str(number)
    for number, word in enumerate("two three four five six seven eight nine ten eleven twelve".split(), 2)  # noqa: SIM905
}


class Told(NamedTuple):
    """A sentence, taken apart."""

    plain: str
    words: tuple[int, ...]
    """The stems of the words that say something, in order."""
    numbers: frozenset[str]
    letters: frozenset[str]
    """All words, whatever they are."""
    names: frozenset[str]
    """Those with a capital, but for the first one, which always has one."""
    denials: tuple[str, ...]
    turning: tuple[str, ...]
    signs: frozenset[str]
    """What is neither a letter nor punctuation: "C++" is not "C#", and a pizza is no sushi."""

    def contradicts(self, other: Told) -> bool:
        """Whether something that they count, name or deny differs: these cannot say the same."""
        return (
            (self.numbers, len(self.denials)) != (other.numbers, len(other.denials))
            or not self.names <= other.letters  # where it stands first, a name is not known for one
            or not other.names <= self.letters
        )

    def agrees_with(self, other: Told) -> bool:
        """Whether nothing at all speaks against it that they say the same."""
        return (
            not self.contradicts(other)
            and (self.denials, self.turning) == (other.denials, other.turning)
            and self.signs == other.signs
        )

    def holds(self, other: Told) -> bool:
        """Whether the words of the other, of which there are some, stand among these in the same order."""
        rest = iter(self.words)
        return bool(other.words) and all(word in rest for word in other.words)

    def overlap(self, other: Told) -> float:
        """The share of all their words that both have, 0 to 1."""
        mine, theirs = set(self.words), set(other.words)
        return len(mine & theirs) / len(mine | theirs) if mine or theirs else 0.0


@lru_cache(maxsize=4096)  # each new fact is compared with many, and each of them with many new facts
def told(text: str) -> Told:
    """Take a sentence apart."""
    plain = normalize(text)
    words = segment(plain)
    letters = [(word, word.casefold()) for word in re.findall(r"[^\W\d_]+", text)]
    denying = ("not" if found.startswith("n") else found for found in _DENYING.findall(plain))
    counted = (_NUMBER_WORDS[word] for word in words if word in _NUMBER_WORDS)
    return Told(
        plain=plain.strip(" .!"),
        words=stems(text),
        numbers=frozenset([*_NUMBER.findall(text), *counted]),
        letters=frozenset(folded for _, folded in letters),
        names=frozenset(folded for word, folded in letters[1:] if word[0].isupper()),
        denials=tuple(sorted([*(word for word in words if word in _DENIALS), *denying])),
        turning=tuple(sorted(word for word in words if word in _TURNING)),
        signs=frozenset(sign for sign in text if sign in "#%&@*/" or unicodedata.category(sign)[0] == "S"),
    )


@lru_cache(maxsize=4096)
def stems(text: str) -> tuple[int, ...]:
    """The stems of the words that say something, in order."""
    found = (token(word, "english") for word in segment(normalize(text)))
    return tuple(key for key in found if key is not None)
