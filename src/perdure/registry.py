"""Providers by name: built-in ones by dotted path, others by entry point; each is imported when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import cache
from importlib import import_module
from operator import attrgetter
from typing import Any, Generic, TypeVar

from perdure.arguments import shown
from perdure.errors import ConfigurationError, MissingExtra
from perdure.options import checked, nearest, schema
from perdure.ports import LLM, Embedder, Reranker, Store
from perdure.ports.caches import Cache
from perdure.ports.derived import GraphEngine, VectorEngine

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Registry(Generic[T]):
    """The providers of one role. A provider is a frozen dataclass whose fields are its configuration."""

    role: str
    group: str
    """Of the entry points with which a package offers its own; a built-in of the same name goes first."""
    built_in: Mapping[str, str]
    """Name to `module:class`."""
    extras: Mapping[str, str] = field(default_factory=dict)
    """Name to the extra of this package that brings what the provider needs."""

    def names(self) -> list[str]:
        """What can be configured here, sorted."""
        return sorted({*self.built_in, *_offered(self.group)})

    def create(self, name: str, options: Mapping[str, Any]) -> T:
        """A provider with these options, checked; nothing is opened yet.

        Raises:
            ConfigurationError: an unknown provider or option, or a value of the wrong kind.
            MissingExtra: the provider needs a package that is not installed.
        """
        return checked(self.load(name), options, f"{self.role} {name!r}")

    def schema(self, name: str) -> dict[str, Any]:
        """The JSON schema of a provider's options; raises as `create` does."""
        return schema(self.load(name))

    def load(self, name: str) -> type[T]:
        """The provider's class; raises as `create` does."""
        target = self.built_in.get(name) or _offered(self.group).get(name)
        if target is None:
            raise ConfigurationError(f"there is no {self.role} {shown(name)}: {nearest(name, self.names())}")
        module, _, attribute = target.partition(":")
        try:
            provider: type[T] = attrgetter(attribute)(import_module(module))
        except (ImportError, AttributeError) as error:
            raise self._explained(name, target, error) from error
        if not is_dataclass(provider):
            raise ConfigurationError(
                f"{self.role} {name!r}: {target} is no dataclass, as a provider has to be"
            )
        return provider

    def _explained(self, name: str, target: str, error: ImportError | AttributeError) -> ConfigurationError:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        # the provider's own package lacks it: a fault, not an extra; else somebody else's package is not installed
        if not missing or missing.partition(".")[0] == target.partition(":")[0].partition(".")[0]:
            return ConfigurationError(f"{self.role} {name!r} cannot be loaded from {target}: {error}")
        remedy = "install what its package asks for"
        if name in self.built_in:
            remedy = (
                f"pip install 'perdure[{self.extras[name]}]'"
                if name in self.extras
                else "pip install perdure"
            )
        return MissingExtra(f"{self.role} {name!r} needs {missing.partition('.')[0]}: {remedy}")


STORES: Registry[Store] = Registry(
    role="store",
    group="perdure.stores",
    built_in={
        "sqlite": "perdure.stores.sqlite:SqliteStore",
        "postgres": "perdure.stores.postgres:PostgresStore",
        "memory": "perdure.stores.memory:InMemoryStore",
    },
    extras={"postgres": "postgres"},
)
EMBEDDERS: Registry[Embedder] = Registry(
    role="embedder",
    group="perdure.embedders",
    built_in={
        "local": "perdure.embedders.local:LocalEmbedder",
        "openai": "perdure.embedders.openai:OpenAIEmbedder",
        "ollama": "perdure.embedders.ollama:OllamaEmbedder",
        "gemini": "perdure.embedders.gemini:GeminiEmbedder",
        "cohere": "perdure.embedders.cohere:CohereEmbedder",
        "voyage": "perdure.embedders.voyage:VoyageEmbedder",
        "fastembed": "perdure.embedders.fastembed:FastEmbedEmbedder",
        "hash": "perdure.testing.fakes:HashEmbedder",
    },
    extras={"fastembed": "fastembed"},
)
RERANKERS: Registry[Reranker] = Registry(
    role="reranker",
    group="perdure.rerankers",
    built_in={
        "cohere": "perdure.rerankers.cohere:CohereReranker",
        "jina": "perdure.rerankers.jina:JinaReranker",
        "tei": "perdure.rerankers.tei:TeiReranker",
        "fastembed": "perdure.rerankers.fastembed:FastEmbedReranker",
        "llm": "perdure.rerankers.llm:LLMReranker",
        "words": "perdure.testing.fakes:WordReranker",
    },
    extras={"fastembed": "fastembed"},
)
LLMS: Registry[LLM] = Registry(
    role="llm",
    group="perdure.llms",
    built_in={
        "openai": "perdure.llms.openai:OpenAIModel",
        "anthropic": "perdure.llms.anthropic:AnthropicModel",
        "gemini": "perdure.llms.gemini:GeminiModel",
    },
)
CACHES: Registry[Cache[Any]] = Registry(
    role="cache",
    group="perdure.caches",
    built_in={"memory": "perdure.caches.memory:MemoryCache", "redis": "perdure.caches.redis:RedisCache"},
    extras={"redis": "redis"},
)

VECTORS: Registry[VectorEngine] = Registry(
    role="vectors",
    group="perdure.vectors",
    built_in={
        "redis": "perdure.vectors.redis:RedisVectors",
        "qdrant": "perdure.vectors.qdrant:QdrantVectors",
        "chroma": "perdure.vectors.chroma:ChromaVectors",
        "pgvector": "perdure.vectors.pgvector:PostgresVectors",
        "milvus": "perdure.vectors.milvus:MilvusVectors",
    },
    extras={"redis": "redis", "qdrant": "qdrant", "pgvector": "pgvector", "milvus": "milvus"},
)
GRAPHS: Registry[GraphEngine] = Registry(
    role="graph",
    group="perdure.graphs",
    built_in={
        "falkordb": "perdure.graphs.falkordb:FalkorGraph",
        "neo4j": "perdure.graphs.neo4j:Neo4jGraph",
    },
    extras={"falkordb": "redis", "neo4j": "neo4j"},
)


@cache
def _offered(group: str) -> dict[str, str]:
    """Name to `module:class` of what installed packages offer."""
    from importlib.metadata import entry_points  # built-ins do without it

    return {point.name: f"{point.module}:{point.attr}" for point in entry_points(group=group)}
