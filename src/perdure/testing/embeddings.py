"""How vendors are asked for embeddings and give them: for a server of tests."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from perdure.testing.fakes import HashEmbedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Body: TypeAlias = Mapping[str, Any]

DIMENSIONS: Final = 1536
"""Of a vector for which neither the request nor the server names any."""


@dataclass(frozen=True, kw_only=True)
class SeenTexts:
    """A request for embeddings as the server saw it."""

    path: str
    """With the query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Mapping[str, Any]
    model: str
    texts: tuple[str, ...]
    dimensions: int
    encoding: str
    """`float` or `base64`."""
    purpose: str | None = None
    """What the texts are embedded for, in the vendor's words."""
    vendor: str = "openai"


class Asked(NamedTuple):
    """What a request holds, whoever's it is."""

    model: object
    texts: object
    dimensions: object = None
    """None: it names none."""
    encoding: object = "float"
    purpose: str | None = None


class EmbeddingWire(NamedTuple):
    """One vendor's interface for embeddings."""

    vendor: str
    path: str
    """How the paths end at which it is spoken."""
    most: int
    """Texts in one request."""
    asked: Callable[[str, Body], Asked]
    """Of a path and a body."""
    reply: Callable[[SeenTexts, Sequence[list[float] | str], int], dict[str, Any]]
    """To a request, with the vectors, and how many tokens it had."""
    error: Callable[[int, str, str | None], dict[str, Any]]


def wire_of(path: str) -> EmbeddingWire | None:
    """The interface that is spoken at a path; None: none for embeddings."""
    return next((wire for wire in WIRES if path.endswith(wire.path)), None)


def understood(
    wire: EmbeddingWire, path: str, headers: Mapping[str, str], body: Body, *, dimensions: int = DIMENSIONS
) -> SeenTexts:
    """What a request asks for.

    Args:
        path: with the query.
        dimensions: of a vector for which the request names none.

    Raises:
        ValueError: it asks for what the vendor's server refuses; the message is for the caller.
    """
    asked = wire.asked(path.partition("?")[0], body)
    texts = [asked.texts] if isinstance(asked.texts, str) else asked.texts
    if not isinstance(texts, list) or not 0 < len(texts) <= wire.most:
        raise ValueError(f"'input' has to be a text or a list of 1 to {wire.most} of them")
    if not all(isinstance(text, str) and text for text in texts):
        raise ValueError("'input' holds what is no text, or an empty one")
    wanted = dimensions if asked.dimensions is None else asked.dimensions
    if type(wanted) is not int or wanted < 1:
        raise ValueError("'dimensions' has to be 1 or more")
    if asked.encoding not in ("float", "base64"):
        raise ValueError("'encoding_format' has to be 'float' or 'base64'")
    return SeenTexts(
        path=path,
        headers=headers,
        body=body,
        model=str(asked.model),
        texts=tuple(texts),
        dimensions=wanted,
        encoding=str(asked.encoding),
        purpose=asked.purpose,
        vendor=wire.vendor,
    )


async def reply(wire: EmbeddingWire, asked: SeenTexts, *, fault: str | None = None) -> dict[str, Any]:
    """The vectors of the words' hashes, the same for the same text.

    Args:
        fault: `length`: all but the last; `width`: each one number short; `nan`: the last without a first number.
    """
    width = asked.dimensions - (fault == "width")
    vectors = await HashEmbedder(dimensions=width).embed(asked.texts)
    if fault == "nan":
        vectors[-1, 0] = float("nan")
    written = [_written(vector, asked.encoding) for vector in vectors]
    tokens = sum(len(text.split()) for text in asked.texts)
    return wire.reply(asked, written[:-1] if fault == "length" else written, tokens)


def _written(vector: NDArray[np.float32], encoding: str) -> list[float] | str:
    """Numbers, or the bytes of little-endian float32 in base64."""
    if encoding == "base64":
        return b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(number) for number in vector]


def _openai_asked(_: str, body: Body) -> Asked:
    encoding = body.get("encoding_format", "float")
    return Asked(body.get("model"), body.get("input"), body.get("dimensions"), encoding)


def _voyage_asked(_: str, body: Body) -> Asked:
    encoding = body.get("encoding_format") or "float"
    size = body.get("output_dimension")
    return Asked(body.get("model"), body.get("input"), size, encoding, body.get("input_type"))


def _list_reply(asked: SeenTexts, vectors: Sequence[list[float] | str], tokens: int) -> dict[str, Any]:
    return {
        "object": "list",
        "model": asked.model,
        "data": [
            {"object": "embedding", "index": place, "embedding": vector}
            for place, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _openai_error(status: int, message: str, code: str | None) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _ollama_asked(_: str, body: Body) -> Asked:
    return Asked(body.get("model"), body.get("input"), body.get("dimensions"))


def _ollama_reply(asked: SeenTexts, vectors: Sequence[list[float] | str], tokens: int) -> dict[str, Any]:
    times = {"total_duration": 14_143_917, "load_duration": 1_019_500}
    return {"model": asked.model, "embeddings": list(vectors), **times, "prompt_eval_count": tokens}


def _gemini_asked(path: str, body: Body) -> Asked:
    model = f"models/{path.rpartition('/')[2].partition(':')[0]}"
    requests = body.get("requests")
    if not isinstance(requests, list) or not requests:
        return Asked(model, None)
    if any(request.get("model") != model for request in requests):
        raise ValueError("the model in each of these requests must match the model of the batch")
    texts = ["".join(part["text"] for part in request["content"]["parts"]) for request in requests]
    first = requests[0]
    return Asked(model, texts, first.get("outputDimensionality"), purpose=first.get("taskType"))


def _gemini_reply(_: SeenTexts, vectors: Sequence[list[float] | str], __: int) -> dict[str, Any]:
    return {"embeddings": [{"values": vector} for vector in vectors]}


def _gemini_error(status: int, message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": code or "INVALID_ARGUMENT"}}


def _cohere_asked(_: str, body: Body) -> Asked:
    if body.get("embedding_types") != ["float"] or not body.get("input_type"):
        raise ValueError("'input_type' and 'embedding_types' have to be given")
    size = body.get("output_dimension")
    return Asked(body.get("model"), body.get("texts"), size, purpose=body["input_type"])


def _cohere_reply(asked: SeenTexts, vectors: Sequence[list[float] | str], tokens: int) -> dict[str, Any]:
    return {
        "id": "da6e531f-54c5-4a73-bf92-f60566d8d753",
        "embeddings": {"float": list(vectors)},
        "texts": list(asked.texts),
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}},
        "response_type": "embeddings_by_type",
    }


WIRES: Final = (
    EmbeddingWire(
        "voyage",
        "/voyage/v1/embeddings",
        1_000,
        _voyage_asked,
        _list_reply,
        lambda status, message, code: {"detail": message},  # noqa: ARG005  # no more than that
    ),
    EmbeddingWire("openai", "/embeddings", 2_048, _openai_asked, _list_reply, _openai_error),
    EmbeddingWire(
        "ollama",
        "/api/embed",
        100_000,
        _ollama_asked,
        _ollama_reply,
        lambda status, message, code: {"error": message},  # noqa: ARG005  # likewise
    ),
    EmbeddingWire("gemini", ":batchEmbedContents", 100, _gemini_asked, _gemini_reply, _gemini_error),
    EmbeddingWire(
        "cohere",
        "/v2/embed",
        96,
        _cohere_asked,
        _cohere_reply,
        lambda status, message, code: {"message": message},  # noqa: ARG005  # likewise
    ),
)
