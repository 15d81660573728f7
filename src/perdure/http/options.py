"""What every provider over HTTP can be told about time, retries and how much at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HttpOptions:
    """The options that a provider inherits when it speaks JSON over HTTP; times are seconds.

    Raises:
        ValueError: a number that has to be positive is not.
    """

    timeout: float = 60.0
    """Seconds for one try, from the connection to the last byte of the answer."""
    connect_timeout: float = 10.0
    """Seconds for making a connection."""
    retries: int = 3
    """How often a request is sent again that failed for a passing reason; 0: never."""
    budget: float = 300.0
    """Seconds for one call with all that it waits and tries again."""
    backoff: float = 0.5
    """Seconds that the first wait may take at most; each further one twice as long, up to 30."""
    concurrency: int = 100
    """Calls at a time; others wait for their turn, which counts as none of their time."""
    rest: float = 30.0
    """Seconds that a provider is left alone whose calls keep failing; 0: it is always asked."""
    rest_after: int = 5
    """Calls that fail in a row before it is left alone."""
    max_answer_bytes: int = 67_108_864
    """The longest answer that is read."""

    def __post_init__(self) -> None:
        """Refuse what could only hang or spin."""
        for name in ("timeout", "connect_timeout", "budget", "concurrency", "rest_after", "max_answer_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} has to be greater than 0")
        for name in ("retries", "backoff", "rest"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} cannot be less than 0")
