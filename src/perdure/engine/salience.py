"""Does a turn say something worth listing, or is it only what holds a conversation together?"""

from __future__ import annotations

import re
from typing import Final

from perdure.types import LISTED_SALIENCE


def salience(text: str, role: str, *, language: str | None = "en") -> float:
    """How much a turn says, in 0..1; `get_all` lists it from `LISTED_SALIENCE` on.

    The evidence is counted sentence by sentence, in points, and the best sentence decides:

    - a word of content: one half, three at most count; phatic words ("ok", "thanks", "haha") are none;
    - a number, or a name (a capital letter inside the sentence): one half;
    - a statement of the speaker about himself ("I am", "my", "we went"): three quarters;
    - an instruction that may hold for longer ("always", "never", "call me"): one half;
    - a question gets half of its points, and an assistant's question, offer or courtesy a quarter.

    One point is worth listing: two words of content, or one that is said of oneself. In languages other than English
    only letters and digits are counted.

    Args:
        role: "assistant" is held to be polite; every other role is taken at its word.
        language: "en", another language, or None where it is not known.
    """
    english = language is not None and language[:2] == "en"
    points = max(
        (_points(sentence, role, english=english) for sentence in _SENTENCE.findall(text[:_ENOUGH])),
        default=0.0,
    )
    return points / (points + (1 / LISTED_SALIENCE - 1))


AS_IT_IS: Final = 1.0
"""Salience of words that somebody wants listed as they are; rules find less in any."""
ECHOED: Final = 0.25
"""Salience of an assistant's turn that repeats the user: it is kept as context."""


def echoes(text: str, before: str) -> bool:
    """Whether nearly all that a text says, by its words of content and its numbers, was said in the one before it.

    A text that denies is no echo of one that does not. A text without any content is none either.
    """
    said, known = _content(text), _content(before)
    if not said or len(said - known) > len(said) / 10:
        return False
    return bool(_DENIAL.search(text)) == bool(_DENIAL.search(before))


def _content(text: str) -> frozenset[str]:
    words = (word.lower().replace("’", "'").removesuffix("'s") for word in _WORD.findall(text[:_ENOUGH]))
    return frozenset(word for word in words if word not in _EMPTY).union(_NUMBERS.findall(text[:_ENOUGH]))


_ENOUGH: Final = 4_000
"""What the first so many characters do not say, the rest of a text does not change."""


def _points(sentence: str, role: str, *, english: bool) -> float:
    points = _english_points(sentence) if english else _neutral_points(sentence)
    question = sentence.rstrip().endswith(("?", "？", "؟"))
    if role == "assistant" and english and (question or _COURTESY.search(sentence.lower())):
        return points / 4
    return points / 2 if question else points


def _english_points(sentence: str) -> float:
    words = _WORD.findall(sentence)
    content = {
        low for word in words if (low := word.lower().replace("’", "'")) not in _EMPTY and len(low) > 1
    }
    named = any(word[0].isupper() and word.lower() in content for word in words[1:])
    exact = named or bool(_DIGIT.search(sentence))
    if not content and not exact:
        return 0.0
    low = sentence.lower()
    said_of_oneself, instruction = bool(_PERSONAL.search(low)), bool(_STANDING.search(low))
    return min(len(content), 3) / 2 + 0.5 * exact + 0.75 * said_of_oneself + 0.5 * instruction


def _neutral_points(sentence: str) -> float:
    """A letter of Chinese, Japanese or Korean says about as much as three of an alphabet."""
    dense = len(_DENSE.findall(sentence))
    letters = sum(map(str.isalpha, sentence)) - dense
    return (letters + 3 * dense) / 20 + (0.5 if letters + dense and _DIGIT.search(sentence) else 0.0)


_SENTENCE: Final = re.compile(r"[^.!?。！？؟\n]+(?:(?<=[0-9])\.(?=[0-9])[^.!?。！？؟\n]*)*[.!?。！？؟]*")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_NUMBERS: Final = re.compile(r"\d+(?:[.,:]\d+)*")
_DENIAL: Final = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|without|cannot)\b|n['’]t\b", re.IGNORECASE
)
_DIGIT: Final = re.compile(r"\d")
_DENSE: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

_PERSONAL: Final = re.compile(
    r"\b(?:i|we)(?:['’](?:m|ve|d|ll|re))?\b(?!\s+(?:see|know|agree|understand|hope|guess|think so|mean)\b)"
    r"|\b(?:my|mine|our|ours)\b"
)
_STANDING: Final = re.compile(
    r"\b(?:always|never|don['’]t|do not|prefer|remember that|call me|please use|make sure|from now on)\b"
)
_COURTESY: Final = re.compile(
    r"\b(?:let me know|feel free|happy to (?:help|assist)|glad (?:to|i could|you)|here to help|hope (?:this|that|it) helps"
    r"|(?:can|may|could) i (?:help|assist)|you['’]?re (?:very |most )?welcome|is there anything|anything else"
    r"|sounds (?:like )?(?:good|great|fun|amazing|wonderful)|that['’]?s (?:a )?(?:great|awesome|wonderful|amazing|good)"
    r"|as an ai|i (?:understand|apologize|appreciate)|i['’]m sorry|have a (?:great|good|nice|wonderful))\b"
)

_EMPTY: Final = frozenset(
    re.findall(
        r"\S+",
        """
    a an the this that these those there here it its it's that's there's what's let's he she they them their his her him
    you your yours you're you've you'll you'd i i'm i've i'd i'll me my mine myself we we're we've we'll us our ours
    who whom whose what which when where why how if then than so as and or but nor not no yes of to in on at by for
    from with about into over up down out off again too also very really just only even still yet more most much many
    some any all both each few other such same own be is isn't are aren't was wasn't were weren't am been being do don't
    does doesn't did didn't done have haven't has hasn't had hadn't having can can't cannot could couldn't will won't
    would wouldn't should shouldn't may might must shall let get got go going gonna come

    ok okay k kk yeah yep yup ya yea nah nope sure right alright true indeed exactly absolutely definitely totally
    certainly course agreed correct fine cool nice great good awesome amazing wonderful fantastic perfect lovely
    excellent brilliant super sweet neat excited exciting interesting funny fun glad happy pleasure well better best bad sad
    thanks thank thx ty cheers please pls welcome appreciate appreciated sorry apologies pardon excuse worries problem
    hi hey hello hiya yo howdy greetings morning afternoon evening night goodnight bye goodbye see ya later soon
    tomorrow today now everyone guys man dude bro buddy mate friend folks
    haha hahaha hahahaha lol lmao rofl hehe hah ha heh wow whoa oh ooh ah aha aww aw hmm hm mm mhm uh um huh ugh oops
    omg wtf yay hooray damn god gosh congrats congratulations
    know think guess hope mean see look looks sounds sound say said tell feel like want need idea point sense thing
    things stuff something anything nothing everything kind sort bit lot way time back doing new else help
    maybe perhaps probably actually basically honestly literally always never ever
    believe bet care mind matter understand understood hear heard forward talk chat luck day care take much keep
    love loved made make makes work works done
    """,
    )
)
"""Words that carry no content of their own: grammar, courtesies, applause, laughter, fillers."""
