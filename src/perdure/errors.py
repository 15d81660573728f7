"""Every error that Perdure raises, arranged by what the caller can do about it.

PerdureError
├── InvalidInput            mend the call; nothing was changed               (also a ValueError)
│   ├── UnknownArgument     a misspelt or unsupported keyword                (also a TypeError)
│   ├── InvalidFilter       an unknown field, operator or value in `filters`
│   ├── MissingScope        say whose memory: user_id, agent_id, run_id or app_id
│   └── TooLarge            a text or metadata over the configured bound
├── NotFound                nothing has that id                              (also a LookupError)
├── ConfigurationError      mend the configuration or the installation
│   ├── MissingExtra        `pip install 'perdure[...]'` with the extra it names
│   └── ModelUnavailable    a model is missing or damaged, or its provider refuses the key or the request
│       └── ContentRefused  a model or its content filter declines these words; nothing else is wrong
├── Unavailable             try again later; nothing was lost
│   ├── StoreBusy           another process held the lock for too long       (also a TimeoutError)
│   ├── Overloaded          too many calls are in flight; `retry_after` has the seconds to wait
│   └── Closed              this memory was closed; open another
├── Conflict                somebody else changed the same memory first; read again, then retry
└── StoreError              look after the store
    ├── StoreUnwritable     no permission, a read-only medium, a missing directory
    ├── StoreFull           the disk is full; nothing of this call was kept
    ├── NotAStore           the file is something else
    ├── NewerSchema         written by a newer Perdure; upgrade this one
    ├── StoreDamaged        the file is corrupt; restore a backup
    └── ModelMismatch       the stored vectors come from another embedding model
"""

from __future__ import annotations

from typing import NamedTuple


class PerdureError(Exception):
    """The root of everything that Perdure raises on purpose."""


class InvalidInput(PerdureError, ValueError):
    """The call is wrong; nothing was changed."""


class UnknownArgument(InvalidInput, TypeError):
    """A keyword that no verb knows."""


class InvalidFilter(InvalidInput):
    """A filter that cannot be read."""


class MissingScope(InvalidInput):
    """Nobody is named whose memory this is."""


class TooLarge(InvalidInput):
    """A text or its metadata exceeds the configured bound."""


class WouldDeadlock(InvalidInput):
    """A blocking call on the very event loop that would have to answer it."""


class NotFound(PerdureError, LookupError):
    """Nothing has that id."""


class ConfigurationError(PerdureError):
    """The configuration or the installation has to be mended."""


class MissingExtra(ConfigurationError):
    """An optional dependency is not installed."""


class ModelUnavailable(ConfigurationError):
    """A model is missing or damaged, or its provider refuses the key or the request."""


class ContentRefused(ModelUnavailable):
    """A model or its provider's content filter declines these words; the configuration is fine for others."""


class Unavailable(PerdureError):
    """Not now: try again later."""


class StoreBusy(Unavailable, TimeoutError):
    """Another process held the store's lock for longer than the time-out."""


class Overloaded(Unavailable):
    """Too many calls are in flight: nothing of this one was done."""

    def __init__(self, message: str = "", *, retry_after: float = 1.0) -> None:
        """Take what to say, and the seconds after which there should be room again."""
        super().__init__(message)
        self.retry_after = retry_after


class Closed(Unavailable):
    """The memory was closed."""


class Conflict(PerdureError):
    """Somebody else changed the same memory first."""


class StoreError(PerdureError):
    """The store needs attention."""


class StoreUnwritable(StoreError):
    """The store's place cannot be written."""


class StoreFull(StoreError):
    """The disk is full; nothing of this call was kept."""


class NotAStore(StoreError):
    """The file is not a Perdure store."""


class NewerSchema(StoreError):
    """The store was written by a newer Perdure."""


class StoreDamaged(StoreError):
    """The store is corrupt."""


class ModelMismatch(StoreError):
    """The stored vectors come from another embedding model."""


class Answer(NamedTuple):
    """How an error is told outside Python: over HTTP, by a process, over MCP (JSON-RPC)."""

    http: int
    exit: int
    mcp: int


ANSWERS: dict[type[PerdureError], Answer] = {
    PerdureError: Answer(500, 1, -32603),
    InvalidInput: Answer(400, 2, -32602),
    TooLarge: Answer(413, 2, -32602),
    NotFound: Answer(404, 3, -32002),
    ConfigurationError: Answer(500, 4, -32603),
    Unavailable: Answer(503, 5, -32000),
    Conflict: Answer(409, 6, -32000),
    StoreError: Answer(500, 7, -32603),
    StoreFull: Answer(507, 7, -32603),
}


def answer(error: PerdureError) -> Answer:
    """The row of `ANSWERS` for the nearest class of this error."""
    return next(ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS)
