"""Which language the times of a text are in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from perdure.engine.dates.rules import TRIGGERS
from perdure.engine.words.lists import STOPS


def spoken(low: str, words: Sequence[str], language: str | None) -> str | None:
    """The language to read times in, by what the text was taken for and by the words that tell one from another.

    Args:
        low: the text in lower case.
        words: its words in plain Latin letters.
        language: what it was taken for (an ISO code). None, "en" and other languages in Latin letters are guesses: of
            a short text little is known, and the words for its times may tell more.

    Returns:
        One of `LANGUAGES`, or None: English, or nobody knows.
    """
    code = language[:2] if language else None
    if code not in _GUESSES:
        return code if code in LANGUAGES else None
    if not low.isascii():
        if code is None and (
            script := next((told for letters, told in _SCRIPTS if letters.search(low)), None)
        ):
            return script
        words = _WORDS.findall(low)
    if not _ALL_TELLING.isdisjoint(words):
        code = _told_by(set(words), code)
    return code if code in LANGUAGES else None


def _told_by(words: set[str], code: str | None) -> str | None:
    """The language that most words speak for, if they are more than those for what the text was taken for."""
    best = max(TELLING, key=lambda told: (_votes(told, words), told == code))
    needed = max(1, _votes(code, words)) if code else 1
    if code == "en" and not TRIGGERS.isdisjoint(words):
        needed += 1  # there is a time in English
    return best if _votes(best, words) > needed else code


def _votes(code: str, words: set[str]) -> int:
    """How much the words speak for a language."""
    usual, telling = _SPEAKING[code]
    return len(words & usual) + 2 * len(words & telling)


TELLING: Final = {
    "de": """
        gestern vorgestern heute übermorgen montag dienstag mittwoch donnerstag freitag samstag
        sonntag märz oktober""",
    "fr": """
        aujourd demain lundi mardi mercredi jeudi vendredi samedi dimanche février juillet août
        depuis""",
    "es": """
        ayer anteayer hoy mañana anoche lunes martes miércoles jueves viernes enero febrero julio
        hace año años""",
    "it": """
        ieri oggi domani dopodomani stasera lunedì martedì mercoledì giovedì venerdì gennaio maggio
        luglio scorso scorsa""",
    "pt": "ontem anteontem amanhã hoje feira janeiro fevereiro março maio junho julho há atrás mês",
    "nl": """
        gisteren eergisteren vandaag overmorgen gisteravond maandag dinsdag woensdag donderdag
        vrijdag zaterdag zondag maart""",
    "pl": """
        wczoraj przedwczoraj dzisiaj dziś jutro pojutrze poniedziałek wtorek środę czwartek piątek
        sobotę niedzielę lutego marca czerwca lipca sierpnia września października marcu czerwcu
        lipcu zeszłym zeszły zeszłego przyszłym""",
    "tr": """
        dün bugün yarın pazartesi salı çarşamba perşembe cumartesi şubat mayıs ağustos yılında geçen
        gelecek önce beri""",
}
"""Words that tell a short text of a language in Latin letters from those of the others and from English."""

_HINTING: Final = {
    "de": """
        januar februar juni juli dezember woche wochen monat monaten jahr jahren tagen letzten
        nächste nächsten seit""",
    "fr": """
        janvier avril juin septembre octobre novembre décembre semaine semaines mois année ans jours
        dernier dernière prochain prochaine dans deux trois il y matin soir été hiver nous elle""",
    "es": """
        sábado domingo marzo abril mayo junio agosto septiembre octubre noviembre diciembre semana
        semanas meses pasado pasada próximo próxima días desde dos tres dentro verano invierno este
        esta en""",
    "it": """
        sabato domenica febbraio marzo aprile giugno agosto settembre ottobre novembre dicembre
        settimana settimane mese mesi anno anni giorni prossimo prossima fa due tre tra fine estate
        negli ho""",
    "pt": """
        sábado domingo abril agosto setembro outubro novembro dezembro semana semanas meses ano anos
        dias passado passada próximo próxima desde daqui duas três nos em último últimos verão este
        esta""",
    "nl": """
        januari februari juni juli oktober week weken maand maanden jaar dagen geleden vorige vorig
        volgende volgend afgelopen sinds twee ik""",
    "pl": """
        stycznia kwietnia maja listopada grudnia styczniu lutym kwietniu maju sierpniu wrześniu
        październiku listopadzie grudniu tydzień tygodni tygodnie tygodniu miesiąc miesiące miesięcy
        roku lat lata dni zeszłą przyszły przyszłą ostatnie temu za od na się""",
    "tr": """
        cuma ocak mart nisan haziran temmuz eylül ekim kasım aralık hafta yıl gün önümüzdeki sonra
        akşam sabah yaz iki üç""",
}
"""Words that say less of this, each for itself: other languages have them too, or they are short."""

LANGUAGES: Final = frozenset({*TELLING, "ru", "zh", "ja", "ko", "ar", "hi"})
"""The languages that times are read in, besides English: the tables of `phrases.toml`."""

_GUESSES: Final = {None, "en", *TELLING}
_SCRIPTS: Final = (
    (re.compile("[\u3041-\u30ff]"), "ja"),
    (re.compile("[\uac00-\ud7a3]"), "ko"),
    (re.compile("[\u4e00-\u9fff]"), "zh"),
)
_WORDS: Final = re.compile(r"[^\W\d_]+")
_NAMES: Final = {
    "en": "english", "de": "german", "fr": "french", "es": "spanish", "it": "italian", "pt": "portuguese", "nl": "dutch",
    "pl": "polish", "tr": "turkish",
}  # fmt: skip
_SPEAKING: Final = {
    code: (
        STOPS.get(name, frozenset()).union(_HINTING.get(code, "").split()),
        frozenset(TELLING.get(code, "").split()),
    )
    for code, name in _NAMES.items()
}
_ALL_TELLING: Final = frozenset(
    word for words in (*TELLING.values(), *_HINTING.values()) for word in words.split()
)
