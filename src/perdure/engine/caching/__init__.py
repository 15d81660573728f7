"""Not doing twice what was done: calls for vectors that are shared, vectors, scores and answers that are kept."""

from perdure.engine.caching.caching import Caching

__all__ = ["Caching"]
