"""How memories are doing and what they cost, for those who run them."""

from perdure.observe.metrics import Metrics

__all__ = ["Metrics"]
