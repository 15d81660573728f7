"""What an answer over HTTP means: a reply, a passing failure, or a refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from perdure.errors import ContentRefused, ModelUnavailable, Unavailable

LONGEST_MESSAGE = 200
"""Characters of a provider's message that an error shows."""
ECHO = 16
"""So many characters of a caller's text in a row are recognised in a provider's message."""
WORTH_HIDING = 8
"""Shorter texts are words that every message may hold."""
PASSING = {408, 409, 425, 429}
"""Refusals that are about the moment, and so is every 5xx: 529 is one provider's word for too many requests."""
ADVICE = {
    401: "look at `api_key`",
    403: "look at `api_key`",
    404: "look at `model` and `base_url`",
    429: "ask less at a time with `concurrency`, or try again later",
}
ADVICE_BY_CODE = {
    "invalid_api_key": ADVICE[401],
    "api_key_invalid": ADVICE[401],
    "model_not_found": "look at `model`",
}
"""For what some providers tell with another status."""
FILTERS = frozenset(
    ("content_filter", "content_policy_violation", "responsibleaipolicyviolation", "invalid_prompt")
)
"""Codes of a content filter, as OpenAI, Azure and gateways give them."""
FILTERED = re.compile(
    r"content filtering policy|content management policy|content exists risk", re.IGNORECASE
)
"""The same in words, where there is no code: Anthropic, Azure, DeepSeek."""
TOO_LARGE = re.compile(
    r"too (?:many|large|long|big)|context length|batch size|at most \d|less than \d+ tokens"
    r"|max(?:imum)? (?:allowed )?(?:batch|input|length|number|tokens|\d)|exceed(?:s|ed|ing)? the (?:max|limit|context)",
    re.IGNORECASE,
)
"""How services say that a request holds too much, where they do not say it by a 413."""
DECLINED = "the configuration is fine: try another model, or a milder filter"
"""What to do about words that a model does not take."""


ITEMS = "items"
"""Under this name an answer is given that is an array and no object."""


class Reply(NamedTuple):
    """An answer that is one."""

    status: int
    body: Mapping[str, Any]
    """Of an array of objects: these, under `ITEMS`."""
    headers: Mapping[str, str]
    """Names in lower case."""


class Refused(ModelUnavailable):
    """The provider understood and will not: what it says tells a caller whether to ask in another way."""

    def __init__(self, message: str, *, status: int, told: str) -> None:
        super().__init__(message)
        self.status = status
        self.told = told
        """All of the provider's message, which may hold a caller's words: to look at, never to show."""


class Filtered(Refused, ContentRefused):
    """The provider's content filter will not take these words, and may take others."""


class TooLarge(Refused):
    """The provider will not take so much at once, and may take a part of it."""


class Passing(Unavailable):
    """It failed, and may work in a moment."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.asked: float | None = None
        """Seconds that the provider asks to wait."""


def read(subject: str, status: int, headers: Mapping[str, str], content: bytes, hide: Iterable[str]) -> Reply:
    """The reply that an answer is.

    Args:
        subject: whose answer it is, for messages.
        hide: texts that are not to be shown where the provider repeats them.

    Raises:
        Passing: an answer that may be a better one the next time.
        Refused: an answer that will stay the same; `Filtered` when it is one to these words alone, `TooLarge` when it
            is one to how much it was.
    """
    body = _parsed(content)
    if 200 <= status < 300:
        if isinstance(body, list) and body and all(isinstance(item, dict) for item in body):
            return Reply(status, {ITEMS: body}, headers)
        if not isinstance(body, dict):
            kind = headers.get("content-type", "no type")
            raise Passing(
                f"{subject} answered {status} with {kind} that is no JSON object: look at `base_url`"
            )
        if not body.get("error"):
            return Reply(status, body, headers)
        status = _status_within(body)  # gateways wrap the failure of the provider behind them into a success
    told, codes = _told(body), tuple(_codes(body))
    said = _sentence(subject, status, shown(told, hide))
    if status in PASSING or status >= 500:
        raise Passing(f"{said}: {_advice(status, codes)}", status=status)
    if FILTERS.intersection(codes) or FILTERED.search(told):
        raise Filtered(f"{said}: its content filter declines this; {DECLINED}", status=status, told=told)
    if status == 413 or (status in (400, 422) and TOO_LARGE.search(told)):
        raise TooLarge(f"{said}: it will not take so much at once", status=status, told=told)
    raise Refused(f"{said}: {_advice(status, codes)}", status=status, told=told)


def shown(told: str, hide: Iterable[str]) -> str:
    """A provider's message, in one line, cut, and without what it repeats of the texts to hide."""
    line = " ".join(told[: 5 * LONGEST_MESSAGE].split())
    hidden = [False] * len(line)
    for text in hide:
        run = min(ECHO, len(text))
        if run < WORTH_HIDING:
            continue
        for start in range(len(line) - run + 1):
            if line[start : start + run] in text:
                hidden[start : start + run] = [True] * run
    kept = "".join(
        ("…" if not at or not hidden[at - 1] else "") if is_hidden else character
        for at, (character, is_hidden) in enumerate(zip(line, hidden, strict=True))
    )
    return kept if len(kept) <= LONGEST_MESSAGE else f"{kept[: LONGEST_MESSAGE - 1]}…"


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or brackets without end
        return None


def _status_within(body: Mapping[str, Any]) -> int:
    error = body["error"]
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 502


def _told(body: Any) -> str:
    """The message in one of the shapes that providers give it."""
    # {"error": {"message": ...}} · {"error": "..."} · {"message": ...} · {"detail": ...} · [one of these]
    if isinstance(body, list):
        return _told(body[0]) if body else ""
    if not isinstance(body, dict):
        return ""
    for key in ("error", "message", "detail", "msg"):
        value = body.get(key)
        if isinstance(value, str):
            return value
        if value and (inner := _told(value)):
            return inner
    return ""


def _codes(body: Any) -> Iterator[str]:
    """The codes of an error, in lower case, in the places where providers put them."""
    # {"error": {"code": ..., "innererror": {"code": ...}, "details": [{"reason": ...}]}} · {"code": ...} · [one of these]
    body = body[0] if isinstance(body, list) and body else body
    error = _within(body, "error")
    details = _within(error, "details")
    parts = [body, error, _within(error, "innererror"), *(details if isinstance(details, list) else ())]
    for part in parts:
        for key in ("code", "type", "status", "reason"):
            if isinstance(code := _within(part, key), str):
                yield code.lower()


def _within(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _sentence(subject: str, status: int, message: str) -> str:
    if 300 <= status < 400:
        return f"{subject} answered {status}, that it is somewhere else"
    return f"{subject} answered {status}{f' ({message})' if message else ''}"


def _advice(status: int, codes: Iterable[str]) -> str:
    if 300 <= status < 400:
        return "mend `base_url`"
    for code in codes:
        if code in ADVICE_BY_CODE:
            return ADVICE_BY_CODE[code]
    return ADVICE.get(status, "try again later" if status >= 500 else "it will not take this request")
