"""Requests to the servers of vector stores, which only read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from perdure.errors import ConfigurationError, Unavailable
from perdure.options import ESCAPED, unclear

if TYPE_CHECKING:
    import aiohttp

SECONDS: Final = 60.0
"""For one request."""


class Server:
    """One server while it is being read; nothing of what it says but a status comes into an error."""

    def __init__(self, name: str, url: str, session: aiohttp.ClientSession) -> None:
        self._name = name
        self._url = url
        self._session = session
        self.place = checked(name, url)
        """For errors."""

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON of an answer.

        Raises:
            Unavailable: no connection, a time-out, too many requests, or a fault of the server.
            ConfigurationError: it refuses, or has no such collection.
        """
        import aiohttp

        try:
            async with self._session.request(
                method, f"{self._url}{path}", json=body, allow_redirects=False
            ) as answer:
                if answer.status == 429 or answer.status >= 500:
                    raise Unavailable(
                        f"{self._name} at {self.place} fails ({answer.status}): try again later"
                    )
                if answer.status != 200:
                    raise ConfigurationError(
                        f"{self._name} at {self.place} refuses ({answer.status}): look at collection_name, "
                        "api_key and the address in mem0's configuration"
                    )
                return await answer.json(content_type=None)
        except aiohttp.InvalidURL:  # its words are the address
            raise ConfigurationError(
                f"the address of {self._name} in mem0's configuration cannot be read"
            ) from None
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise Unavailable(
                f"{self._name} at {self.place} does not answer ({type(error).__name__}): "
                "look at the address in mem0's configuration, or try again later"
            ) from error


def checked(name: str, url: str) -> str:
    """The address without who asks.

    Raises:
        ConfigurationError: it is none, or a password in it cannot be told from the rest.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # refuses one that is no number
    except ValueError:  # its words repeat a part of the address
        parts = None
    if parts is None or unclear(url):
        raise ConfigurationError(f"the address of {name} in mem0's configuration cannot be read: {ESCAPED}")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@asynccontextmanager
async def server(name: str, url: str, headers: Mapping[str, str]) -> AsyncGenerator[Server]:
    """A connection to a server.

    Args:
        name: the vendor's, for errors.
        headers: as secret as the key that is among them.
    """
    import aiohttp

    checked(name, url)
    limits = aiohttp.ClientTimeout(total=SECONDS, sock_connect=10.0)
    async with aiohttp.ClientSession(headers=headers, timeout=limits, trust_env=True) as session:
        yield Server(name, url.rstrip("/"), session)
