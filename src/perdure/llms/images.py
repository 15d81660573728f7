"""Images as callers give them, read into what each vendor wants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

DATA = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,(?P<data>.*)", re.DOTALL)


class Image(NamedTuple):
    """An image in a message, or one on the web."""

    url: str
    media_type: str | None = None
    """With `data`: the image itself, in base64."""
    data: str | None = None


def image_of(part: Mapping[str, Any]) -> Image | None:
    """The image of a part like `{"type": "image_url", "image_url": {"url": ...}}`; None: a part of another kind."""
    given = part.get("image_url")
    url = given.get("url") if isinstance(given, Mapping) else given
    if not isinstance(url, str):
        return None
    if found := DATA.fullmatch(url):
        return Image(url, found["type"], found["data"])
    return Image(url)
